//! What is worth telling of a tree, with what to do about it: data of `findings.toml`, and the figures behind it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::{Environment, UndefinedBehavior, context};
use serde::Deserialize;

use super::{
    AlikeFigures, CauseFigures, PagesAre, Phase, RecordedFigures, RecordedProcess, ThreadIs,
    TreeFigures, TreeFinding,
};
use crate::Cause;
use crate::numbers::{bytes, counted, share};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Findings {
    least_bytes: u64,
    least_share: f64,
    #[serde(rename = "finding")]
    all: Vec<KnownFinding>,
}

/// One that a tree may have.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownFinding {
    id: String,
    of: FindingOf,
    says: String,
    remedy: String,
}

/// Which bytes it is about.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum FindingOf {
    /// Pages that were recorded.
    Pages(ChosenPages),
    /// Pages of workers in huge pages of their own.
    Huge,
    /// Pages that workers have alike, and would share with their parent.
    Alike,
    /// New memory: as much as the worker with least of it made, for each of them.
    NewInEach,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChosenPages {
    are: Vec<PagesAre>,
    cause: Option<Cause>,
    phase: Phase,
}

impl ChosenPages {
    fn has(&self, one: &CauseFigures) -> bool {
        self.are.contains(&one.pages_are)
            && (self.cause.is_none() || self.cause == one.cause)
            && one.phase.unwrap_or(Phase::Work) == self.phase
    }
}

/// A figure, in pages.
#[derive(Debug, Default)]
struct FindingFigure {
    pages: u64,
    /// What it is a part of.
    whole: u64,
    types: NamesOfPages,
    functions: NamesOfPages,
    by_other_threads: u64,
    workers: u64,
    /// Pages of each worker.
    each: u64,
    libraries: Vec<String>,
}

/// Pages by a name.
type NamesOfPages = BTreeMap<String, u64>;

/// Names that a sentence tells at most.
const NAMED: usize = 3;

/// A name is told if it has this part of the pages.
const LEAST_NAMED: f64 = 0.1;

fn known() -> &'static Findings {
    static ALL: LazyLock<Findings> = LazyLock::new(|| {
        let text = include_str!("findings.toml");
        toml::from_str(text).expect("a test reads the findings")
    });
    &ALL
}

/// Of a tree whose pages have so many bytes, most bytes first.
pub fn findings(tree: &TreeFigures, page_bytes: u64) -> Vec<TreeFinding> {
    let known = known();
    let mut found: Vec<TreeFinding> = Vec::new();
    for one in &known.all {
        let figure = one.of.figure(tree);
        let amount = figure.pages.saturating_mul(page_bytes);
        let part = figure.pages as f64 / figure.whole.max(1) as f64;
        if amount >= known.least_bytes && part >= known.least_share {
            found.push(TreeFinding {
                id: one.id.clone(),
                bytes: amount,
                says: said(&one.says, &figure, page_bytes).unwrap_or_default(),
                remedy: one.remedy.clone(),
            });
        }
    }
    found.sort_by_key(|one| std::cmp::Reverse(one.bytes));
    found
}

impl FindingOf {
    fn figure(&self, tree: &TreeFigures) -> FindingFigure {
        match (self, &tree.recorded) {
            (Self::Pages(chosen), Some(recorded)) => of_causes(chosen, recorded),
            // What is alike says more.
            (Self::NewInEach, Some(recorded)) if tree.alike.is_empty() => new_in_each(recorded),
            (Self::Alike, _) => alike(tree),
            (Self::Huge, _) => {
                let forked = || tree.processes.iter().filter(|one| one.depth > 0);
                FindingFigure {
                    pages: sum(forked().map(|one| one.huge_pages)),
                    whole: sum(forked().map(|one| one.anonymous_pages)),
                    ..FindingFigure::default()
                }
            }
            _ => FindingFigure::default(),
        }
    }
}

fn of_causes(chosen: &ChosenPages, recorded: &RecordedFigures) -> FindingFigure {
    let mut figure = FindingFigure {
        whole: sum(recorded.causes.iter().map(|one| one.pages)),
        ..FindingFigure::default()
    };
    for one in recorded.causes.iter().filter(|one| chosen.has(one)) {
        figure.pages = figure.pages.saturating_add(one.pages);
        let of_type = one.type_name.as_deref().unwrap_or("unknown");
        let names = [
            (&mut figure.types, of_type),
            (&mut figure.functions, &one.function),
        ];
        for (names, name) in names {
            let pages = names.entry(name.to_owned()).or_default();
            *pages = pages.saturating_add(one.pages);
        }
        if one.thread == ThreadIs::Other {
            figure.by_other_threads = figure.by_other_threads.saturating_add(one.pages);
        }
    }
    figure
}

fn new_in_each(recorded: &RecordedFigures) -> FindingFigure {
    let workers: Vec<&RecordedProcess> = workers(recorded).collect();
    let least = workers.iter().map(|one| one.new_pages).min().unwrap_or(0);
    let number = workers.len() as u64;
    FindingFigure {
        pages: if number > 1 {
            least.saturating_mul(number)
        } else {
            0
        },
        whole: sum(recorded.causes.iter().map(|one| one.pages)),
        workers: number,
        each: least,
        ..FindingFigure::default()
    }
}

/// Of the parent whose workers have most alike.
fn alike(tree: &TreeFigures) -> FindingFigure {
    let saved = |one: &AlikeFigures| {
        one.alike_pages
            .saturating_mul(one.workers.saturating_sub(1))
    };
    let Some(most) = tree.alike.iter().max_by_key(|one| saved(one)) else {
        return FindingFigure::default();
    };
    let forked = tree
        .processes
        .iter()
        .filter(|one| one.parent_pid == most.parent_pid);
    FindingFigure {
        pages: saved(most),
        whole: sum(forked.map(|one| one.anonymous_pages)),
        workers: most.workers,
        each: most.alike_pages,
        libraries: most.libraries.clone(),
        ..FindingFigure::default()
    }
}

/// Processes that were forked, and have forked none themselves while they were recorded.
fn workers(recorded: &RecordedFigures) -> impl Iterator<Item = &RecordedProcess> {
    let has_forked = |pid: i32| {
        recorded
            .processes
            .iter()
            .any(|one| one.parent_pid == pid && one.depth > 0)
    };
    let all = recorded.processes.iter();
    all.filter(move |one| one.depth > 0 && !has_forked(one.pid))
}

fn sum(pages: impl Iterator<Item = u64>) -> u64 {
    pages.fold(0, u64::saturating_add)
}

/// A sentence with its figures.
fn said(
    sentence: &str,
    figure: &FindingFigure,
    page_bytes: u64,
) -> Result<String, minijinja::Error> {
    let amount = |pages: u64| bytes(pages.saturating_mul(page_bytes));
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.render_str(
        sentence,
        context! {
            bytes => amount(figure.pages),
            share => share(figure.pages as f64 / figure.whole.max(1) as f64),
            workers => figure.workers,
            each => amount(figure.each),
            libraries => listed(&figure.libraries[..figure.libraries.len().min(NAMED)], figure.libraries.len()),
            types => most(&figure.types, figure.pages),
            functions => most(&figure.functions, figure.pages),
            other_threads => (figure.by_other_threads > 0).then(|| amount(figure.by_other_threads)),
        },
    )
}

/// `a.so, b.so and 3 others`: the first of so many.
fn listed(told: &[String], all: usize) -> String {
    match (all - told.len(), told.split_last()) {
        (0, Some((last, []))) => last.clone(),
        (0, Some((last, rest))) => format!("{} and {last}", rest.join(", ")),
        (others, Some(_)) => {
            let others = counted(others as u64, "other", "others");
            format!("{} and {others}", told.join(", "))
        }
        (_, None) => String::new(),
    }
}

/// `int (60 %), str (25 %) and 3 others`: those with most pages.
fn most(names: &NamesOfPages, pages: u64) -> String {
    let mut all: Vec<(&String, &u64)> = names.iter().collect();
    all.sort_by_key(|(_, pages)| std::cmp::Reverse(**pages));
    let part = |of: u64| of as f64 / pages.max(1) as f64;
    let told = all.iter().take(NAMED).enumerate();
    let told = told.take_while(|(place, (_, of))| *place == 0 || part(**of) >= LEAST_NAMED);
    let told: Vec<String> = told
        .map(|(_, (name, of))| format!("{name} ({})", share(part(**of))))
        .collect();
    listed(&told, all.len())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::trees::ProcessFigures;

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
            seen_by: None,
            processes: Vec::new(),
            total: None,
            recorded: Some(RecordedFigures {
                seconds: 1.0,
                lost_faults: 0,
                with_kernel_writes: true,
                shutdown_unseen: None,
                processes,
                executed: 0,
                moments: Vec::new(),
                causes,
                lines: None,
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
    fn what_is_written_at_the_end_is_a_finding_of_its_own() {
        let at_end = |mut one: CauseFigures| {
            one.phase = Some(Phase::Shutdown);
            one
        };
        let tree = tree(
            Vec::new(),
            vec![
                cause(
                    PagesAre::Copied,
                    Cause::Gc,
                    "list",
                    "deduce_unreachable",
                    100,
                ),
                at_end(cause(
                    PagesAre::Copied,
                    Cause::Gc,
                    "list",
                    "gc_collect_main",
                    200,
                )),
                at_end(cause(PagesAre::New, Cause::Unattributed, "x", "malloc", 50)),
            ],
        );
        let found = findings(&tree, PAGE);
        let told: Vec<(&str, u64)> = found
            .iter()
            .map(|one| (&one.id[..], one.bytes / PAGE))
            .collect();
        assert_eq!(told, [("shutdown", 250), ("collections", 100)]);
        assert!(
            found[0].says.contains("(71.4 % of all they did)"),
            "{}",
            found[0].says
        );
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
}
