//! Findings of trees that are made up.

use super::*;
use crate::trees::{MadeAtLine, ProcessFigures};

const PAGE: u64 = 4096;

pub(in crate::trees) fn process(
    depth: u64,
    pid: i32,
    parent_pid: i32,
    new_pages: u64,
) -> RecordedProcess {
    RecordedProcess {
        pid,
        parent_pid,
        depth,
        command: "app.py".to_owned(),
        ended: true,
        copied_pages: 0,
        given_back_pages: None,
        new_pages,
        rewritten_pages: 0,
        unknown_pages: 0,
        shutdown_pages: None,
        ended_unseen: false,
        last_look: None,
    }
}

pub(in crate::trees) fn cause(
    pages_are: PagesAre,
    cause: Cause,
    of_type: &str,
    function: &str,
    pages: u64,
) -> CauseFigures {
    CauseFigures {
        pages_are,
        cause: Some(cause),
        type_name: Some(of_type.to_owned()),
        function: function.to_owned(),
        thread: ThreadIs::Main,
        phase: None,
        pages,
        line: None,
        own_line: None,
    }
}

pub(in crate::trees) fn tree(
    processes: Vec<RecordedProcess>,
    causes: Vec<CauseFigures>,
) -> TreeFigures {
    TreeFigures {
        python: None,
        objects_unseen: None,
        seen_by: None,
        processes: Vec::new(),
        total: None,
        recorded: Some(RecordedFigures {
            seconds: 1.0,
            lost_faults: 0,
            unread_pages: 0,
            with_kernel_writes: true,
            shutdown_unseen: None,
            processes,
            executed: 0,
            moments: Vec::new(),
            causes,
            lines: None,
            made_by_all: Vec::new(),
            without_last_look: None,
        }),
        map: None,
        alike: Vec::new(),
        alike_unseen: None,
        taken_at_seconds: None,
        findings: Vec::new(),
    }
}

fn ids(tree: &TreeFigures) -> Vec<String> {
    findings(tree, PAGE).into_iter().map(|one| one.id).collect()
}

#[test]
fn what_has_most_bytes_is_told_first_with_what_to_do() {
    use PagesAre::{Copied, Rewritten};
    let mut by_thread = cause(Rewritten, Cause::Refcount, "dict", "insertdict", 100);
    by_thread.thread = ThreadIs::Other;
    let found = findings(
        &tree(
            Vec::new(),
            vec![
                cause(Copied, Cause::Gc, "list", "deduce_unreachable", 1000),
                cause(Copied, Cause::Refcount, "app.Row", "list_slice", 2000),
                cause(Copied, Cause::Refcount, "str", "list_slice", 1000),
                cause(Copied, Cause::Refcount, "int", "long_add", 100),
                by_thread,
            ],
        ),
        PAGE,
    );
    let told: Vec<(&str, u64)> = found
        .iter()
        .map(|one| (&one.id[..], one.bytes / PAGE))
        .collect();
    assert_eq!(
        told,
        [
            ("reference-counts", 3100),
            ("collections", 1000),
            ("parent-writes", 100)
        ]
    );
    assert!(
        found[0]
            .says
            .contains("Types: app.Row (64.5 %), str (32.3 %) and 1 other."),
        "{}",
        found[0].says
    );
    assert!(
        found[1].says.contains("by deduce_unreachable (100 %)."),
        "{}",
        found[1].says
    );
    assert!(found[1].remedy.contains("gc.freeze()"));
    assert!(
        found[2]
            .says
            .ends_with("; threads other than the first wrote 400 KiB of it."),
        "{}",
        found[2].says
    );
}

#[test]
fn what_workers_write_at_their_end_is_a_finding_of_its_own_and_what_their_parent_does_is_none() {
    let at_end = |mut one: CauseFigures| {
        one.phase = Some(Phase::Shutdown);
        one
    };
    let ends = |depth: u64, shutdown_pages: u64| RecordedProcess {
        copied_pages: 300,
        shutdown_pages: Some(shutdown_pages),
        ..process(depth, 1 + i32::try_from(depth).unwrap(), 1, 50)
    };
    let of = |processes| {
        let causes = vec![
            cause(PagesAre::Copied, Cause::Gc, "list", "collect", 100),
            at_end(cause(PagesAre::Copied, Cause::Gc, "list", "collect", 200)),
            at_end(cause(PagesAre::New, Cause::Unattributed, "x", "malloc", 50)),
        ];
        findings(&tree(processes, causes), PAGE)
    };
    let found = of(vec![ends(0, 900), ends(1, 250)]);
    let told: Vec<(&str, u64)> = found
        .iter()
        .map(|one| (&one.id[..], one.bytes / PAGE))
        .collect();
    assert_eq!(told, [("shutdown", 250), ("collections", 100)]);
    assert!(
        found[0]
            .says
            .ends_with("ending: 71.4 % of all that they copied, made or wrote to."),
        "{}",
        found[0].says
    );
    let found = of(vec![ends(0, 900), ends(1, 0)]);
    assert!(found.iter().all(|one| one.id != "shutdown"), "{found:?}");
}

#[test]
fn what_is_too_little_is_not_told() {
    let of_gc = |pages, others| {
        ids(&tree(
            Vec::new(),
            vec![
                cause(PagesAre::Copied, Cause::Gc, "list", "collect", pages),
                cause(PagesAre::New, Cause::Unattributed, "x", "malloc", others),
            ],
        ))
    };
    // 256 KiB, and 2 % of all pages.
    assert_eq!(of_gc(63, 0), [""; 0]);
    assert_eq!(of_gc(64, 0), ["collections"]);
    assert_eq!(of_gc(64, 64 * 49), ["collections"]);
    assert_eq!(of_gc(64, 64 * 49 + 1), [""; 0]);
    assert_eq!(ids(&tree(Vec::new(), Vec::new())), [""; 0]);
}

#[test]
fn new_memory_counts_as_what_the_worker_with_least_made_for_each_of_several() {
    let made = [cause(
        PagesAre::New,
        Cause::Unattributed,
        "x",
        "malloc",
        700,
    )];
    // 2 is a server that forks: 3 and 4 are the workers.
    let workers = vec![
        process(0, 1, 0, 900),
        process(1, 2, 1, 20),
        process(2, 3, 2, 100),
        process(2, 4, 2, 300),
    ];
    let found = findings(&tree(workers.clone(), made.to_vec()), PAGE);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0]
            .says
            .starts_with("Each of 2 workers made at least 400 KiB"),
        "{}",
        found[0].says
    );
    assert_eq!(found[0].bytes, 200 * PAGE);
    assert_eq!(ids(&tree(workers[..3].to_vec(), made.to_vec())), [""; 0]);
}

/// A process that lives, with so many pages in huge ones of its own.
fn living(depth: u64, huge_pages: u64) -> ProcessFigures {
    ProcessFigures {
        pid: 1,
        parent_pid: 0,
        depth,
        command: "app.py".to_owned(),
        anonymous_pages: 1_000,
        shared_pages: 1_000 - huge_pages,
        copied_pages: 0,
        left_behind_pages: 0,
        written_by_both_pages: 0,
        huge_pages,
        unknown_pages: 0,
        new_pages: 0,
        own_pages: 0,
        rewritten_pages: 0,
        swapped_pages: 0,
        file_pages: 0,
        page_table_bytes: None,
    }
}

#[test]
fn huge_pages_of_workers_are_told_of_and_those_of_their_parent_are_not() {
    let of = |processes| {
        let tree = TreeFigures {
            processes,
            ..tree(Vec::new(), Vec::new())
        };
        findings(&tree, PAGE)
    };
    let found = of(vec![living(0, 0), living(1, 512), living(1, 0)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (&found[0].id[..], found[0].bytes),
        ("huge-pages", 512 * PAGE)
    );
    // Of both workers' memory.
    let says = "The kernel joined 2 MiB, or 25.6 %, of the workers' memory";
    assert!(found[0].says.starts_with(says), "{}", found[0].says);
    assert_eq!(of(vec![living(0, 512), living(1, 0), living(1, 0)]), []);
}

/// Workers of process 1 that have this much alike, and imported these since the fork.
fn alike(libraries: &[&str], modules: Option<&[&str]>) -> TreeFigures {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    TreeFigures {
        processes: vec![living(1, 0), living(1, 0)],
        alike: vec![AlikeFigures {
            parent_pid: 0,
            workers: 2,
            new_pages: 400,
            alike_pages: 300,
            zero_pages: 10,
            libraries: owned(libraries),
            modules: modules.map(owned),
            modules_unseen: None,
        }],
        ..tree(Vec::new(), Vec::new())
    }
}

#[test]
fn modules_that_workers_imported_are_named_by_their_packages() {
    let said = |libraries: &[&str], modules: Option<&[&str]>| {
        let found = findings(&alike(libraries, modules), PAGE);
        assert_eq!(found[0].id, "alike-in-workers");
        found[0].says.clone()
    };
    let modules = [
        "email",
        "email.mime",
        "email.mime.text",
        "xml.dom",
        "uuid",
        "_uuid",
    ];
    let says = said(&["_uuid.so"], Some(&modules));
    let expected = "; all have imported email, xml.dom, uuid and 1 other since the fork; all have loaded _uuid.so since the fork. Made by";
    assert!(says.contains(expected), "{says}");
    let left_out = |modules| findings(&alike(&[], Some(modules)), PAGE)[0].left_out;
    assert_eq!((left_out(&modules), left_out(&modules[..3])), (1, 0));
    for (libraries, modules) in [(&[][..], Some(&[][..])), (&[], None)] {
        let says = said(libraries, modules);
        assert!(says.contains("at the same addresses. Made by"), "{says}");
    }
}

#[test]
fn modules_that_all_imported_are_named_too_where_little_of_what_they_made_is_alike() {
    let mut little = alike(&["_uuid.so"], Some(&["uuid"]));
    let workers = vec![
        process(0, 1, 0, 0),
        process(1, 2, 1, 100),
        process(1, 3, 1, 300),
    ];
    let made = cause(PagesAre::New, Cause::Unattributed, "x", "malloc", 400);
    little.recorded = tree(workers, vec![made]).recorded;
    // Enough is alike to be told.
    assert_eq!(ids(&little), ["alike-in-workers"]);
    little.alike[0].alike_pages = 10;
    let found = findings(&little, PAGE);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].id, "new-in-each-worker");
    let expected = "800 KiB together; all have imported uuid since the fork; all have loaded _uuid.so since the fork.";
    assert!(found[0].says.ends_with(expected), "{}", found[0].says);
    // One of them was not compared.
    little.alike[0].workers = 3;
    let found = findings(&little, PAGE);
    assert!(found[0].says.ends_with("800 KiB together."), "{found:?}");
}

#[test]
fn lines_at_which_all_workers_made_pages_are_told() {
    let made = [cause(
        PagesAre::New,
        Cause::Unattributed,
        "x",
        "malloc",
        1000,
    )];
    let mut tree = tree(Vec::new(), made.to_vec());
    let lines = [("load (app.py:3)", 300), ("cache (app.py:7)", 100)];
    let lines = lines.map(|(line, pages)| MadeAtLine {
        line: line.to_owned(),
        workers: 4,
        pages,
        least_pages: 20,
    });
    tree.recorded.as_mut().unwrap().made_by_all = lines.to_vec();
    let found = findings(&tree, PAGE);
    let told: Vec<(&str, u64)> = found
        .iter()
        .map(|one| (&one.id[..], one.bytes / PAGE))
        .collect();
    assert_eq!(told, [("made-by-all-workers", 400)]);
    let expected = "Each of 4 workers made new memory at the same lines: load (app.py:3) (75.0 %) and cache (app.py:7) (25.0 %). \
                    Together that is 1.6 MiB of";
    assert!(found[0].says.starts_with(expected), "{}", found[0].says);
}
