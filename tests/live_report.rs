//! A document of trees, as a page, charts and rows, and what is no such document.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::common::{REFCOW, Target, cannot_record, run};

/// A parent with two workers that were recorded for two seconds.
fn document() -> Value {
    let process = |pid: i32, depth: u64, copied: u64, new: u64| {
        json!({"pid": pid, "parent_pid": if depth == 0 { 1 } else { 10 }, "depth": depth, "command": "app.py <b>",
               "ended": true, "copied_pages": copied, "new_pages": new, "rewritten_pages": 0, "unknown_pages": 0,
               "shutdown_pages": 256})
    };
    let moment = |seconds: f64, copied: u64| {
        json!({"seconds": seconds, "processes": 3, "copied_pages": copied, "new_pages": 700, "rewritten_pages": 0,
               "by_process": [{"pid": 11, "copied_pages": copied / 2, "new_pages": 100}]})
    };
    let cause = |cause: &str, of_type: &str, pages: u64, phase: &str| {
        json!({"pages_are": "copied", "cause": cause, "type": of_type, "function": "=list_slice", "thread": "main",
               "phase": phase, "pages": pages})
    };
    let made = json!({"pages_are": "new", "function": "malloc", "thread": "main", "phase": "work", "pages": 700});
    json!({
        "schema_version": 1, "refcow_version": "0.1.0", "page_bytes": 4096,
        "trees": [{
            "python": "CPython 3.13",
            "processes": [],
            "map": {"pid": 10, "workers": 2, "pages_per_cell": 1, "regions": [
                {"name": "heap", "pages": 4, "shared": "aa05", "unshared_by": "..wp"},
            ]},
            "recorded": {
                "seconds": 2.0, "lost_faults": 3, "with_kernel_writes": true, "executed": 0,
                "processes": [process(10, 0, 0, 500), process(11, 1, 1000, 100), process(12, 1, 800, 100)],
                "moments": [moment(1.0, 600), moment(2.0, 1800)],
                "causes": [cause("refcount", "app.Row", 1400, "work"), cause("gc", "list", 400, "shutdown"), made],
            },
        }],
    })
}

fn written(folder: &Path, document: &Value) -> String {
    let place = folder.join("tree.json");
    std::fs::write(&place, document.to_string()).unwrap();
    place.to_str().unwrap().to_owned()
}

#[test]
fn a_document_becomes_a_page_with_charts_and_rows() {
    let folder = tempfile::tempdir().unwrap();
    let place = written(folder.path(), &document());
    let report = folder.path().join("report");
    run::stdout(&["report", &place, "--output", report.to_str().unwrap()]);
    let read = |name: &str| std::fs::read_to_string(report.join(name)).unwrap();
    let page = read("index.html");
    let said = [
        "copied 7.0\u{a0}MiB",
        "What to do about it",
        "Types: app.Row (100 %)",
        "os._exit()",
        "3 page faults left no record",
        "app.py &lt;b&gt;",
    ];
    for said in said {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(!page.contains("<b>"), "{page}");
    for chart in ["shared-by-workers", "growth", "workers"] {
        assert!(read(&format!("charts/{chart}.svg")).starts_with("<svg"));
        assert!(page.contains(&format!("refcow-{chart}-title")), "{chart}");
        assert!(report.join(format!("charts/{chart}.png")).exists());
    }
    assert!(read("report.md").contains("app.Row"));
    // A spreadsheet takes no name of a function for a formula.
    let causes = read("causes.csv");
    assert_eq!(causes.lines().count(), 4, "{causes}");
    assert!(
        causes.contains("app.py <b>,copied,refcount,app.Row,'=list_slice,main,work,1400,5734400"),
        "{causes}"
    );
    assert_eq!(read("moments.csv").lines().count(), 3);
    assert_eq!(read("processes.csv").lines().count(), 4);
    // What is written is what was read, with what follows from it.
    let again: Value = serde_json::from_str(&read("run.json")).unwrap();
    assert_eq!(
        again["trees"][0]["recorded"],
        document()["trees"][0]["recorded"]
    );
    assert_eq!(again["trees"][0]["findings"][0]["id"], "reference-counts");
}

#[test]
fn rows_have_what_the_table_has_and_all_that_workers_have_alike() {
    let folder = tempfile::tempdir().unwrap();
    let mut document = document();
    let tree = &mut document["trees"][0];
    tree["recorded"]["causes"][0]["line"] = json!("dumps (/json.py:1)");
    tree["recorded"]["causes"][0]["own_line"] = json!("main (/app.py:7)");
    tree["recorded"]["made_by_all"] =
        json!([{"line": "load (/app.py:3)", "workers": 2, "pages": 90, "least_pages": 40}]);
    let modules = ["email", "email.mime", "xml.dom", "uuid", "csv", "zipfile"];
    tree["alike"] = json!([{"parent_pid": 10, "workers": 2, "new_pages": 400, "alike_pages": 300, "zero_pages": 0,
                            "libraries": ["_uuid.so"], "modules": modules}]);
    let place = written(folder.path(), &document);
    let report = folder.path().join("report");
    run::stdout(&["report", &place, "--output", report.to_str().unwrap()]);
    let read = |name: &str| std::fs::read_to_string(report.join(name)).unwrap();
    let causes = read("causes.csv");
    assert!(
        causes.contains("bytes,line,own_line\n")
            && causes.contains("5734400,dumps (/json.py:1),main (/app.py:7)\n"),
        "{causes}"
    );
    assert_eq!(run::stdout(&["report", &place, "--format", "csv"]), causes);
    let all = read("preloading.csv");
    for name in modules {
        assert!(
            all.contains(&format!("app.py <b>,module,{name},2,10,\n")),
            "{all}"
        );
    }
    for row in ["library,_uuid.so,2,10,", "line,load (/app.py:3),2,,90"] {
        assert!(all.contains(&format!("app.py <b>,{row}\n")), "{all}");
    }
    // Whoever imports a module imports the package that it is in.
    let page = read("report.md");
    assert!(
        page.contains("Imported by all since the fork: email, xml.dom, uuid, csv, zipfile."),
        "{page}"
    );
    assert!(page.contains("| load (/app.py:3) "), "{page}");
}

/// A look at a parent and its worker.
fn one_look() -> Value {
    let process = |pid: i32, depth: u64| {
        json!({"pid": pid, "parent_pid": 9 + depth, "depth": depth, "command": "app.py", "anonymous_pages": 100,
               "shared_pages": 60, "copied_pages": 40 * depth, "left_behind_pages": 0, "written_by_both_pages": 0,
               "huge_pages": 0, "unknown_pages": 0, "new_pages": 0, "own_pages": 40 * (1 - depth), "rewritten_pages": 5,
               "swapped_pages": 0, "file_pages": 10})
    };
    let tree = json!({"python": "CPython 3.7", "objects_unseen": "refcow knows those of CPython 3.8 to 3.15",
                      "processes": [process(10, 0), process(11, 1)]});
    json!({"schema_version": 1, "refcow_version": "0.1.0", "page_bytes": 4096, "trees": [tree]})
}

#[test]
fn a_report_of_one_look_has_its_processes_and_says_how_it_was_taken() {
    let folder = tempfile::tempdir().unwrap();
    let place = written(folder.path(), &one_look());
    let rows = run::stdout(&["report", &place, "--format", "csv"]);
    assert!(
        rows.contains("app.py,11,10,1,100,60,40,0,0,0,0,10,app.py,0,5,0,0,\n"),
        "{rows}"
    );
    let report = folder.path().join("report");
    run::stdout(&["report", &place, "--output", report.to_str().unwrap()]);
    assert_eq!(
        std::fs::read_to_string(report.join("processes.csv")).unwrap(),
        rows
    );
    let page = std::fs::read_to_string(report.join("report.md")).unwrap();
    assert!(
        page.contains("refcow read /proc; no process was stopped"),
        "{page}"
    );
    assert!(!page.contains("page faults"), "{page}");
    assert!(
        page.contains("Nothing is said of this Python's objects: refcow knows"),
        "{page}"
    );
}

#[test]
fn a_page_says_which_processes_stood_still() {
    let folder = tempfile::tempdir().unwrap();
    let how = |change: &dyn Fn(&mut Value)| {
        let mut document = document();
        change(&mut document["trees"][0]["recorded"]);
        let place = written(folder.path(), &document);
        run::stdout(&["report", &place, "--format", "markdown"])
    };
    let lines = |recorded: &mut Value| {
        recorded["lines"] = json!({"one_in": 7, "looked_at_pages": 0, "without_line": [], "not_traced_processes": 0, "not_traced": [],
                                   "pauses": 0, "dropped": 0, "ended_early": false});
        recorded["without_last_look"] = json!([]);
    };
    assert!(how(&|_| ()).contains("page faults; no process was stopped; nothing was written"));
    let page = how(&lines);
    let expected = "each thread stood still for a moment at one page fault in 7, processes stood still for a moment at their ends; nothing";
    assert!(page.contains(expected), "{page}");
    let page = how(&|recorded: &mut Value| {
        lines(recorded);
        recorded["lines"]["with_stops"] = json!(false);
    });
    let expected = "page faults; processes stood still for a moment at their ends; nothing";
    assert!(page.contains(expected), "{page}");
}

#[test]
fn one_form_of_it_goes_to_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let place = written(folder.path(), &document());
    let of = |format: &str| run::stdout(&["report", &place, "--format", format]);
    assert!(of("html").starts_with("<!DOCTYPE html>"));
    assert!(of("csv").starts_with("tree,pages_are,cause,type,"));
    assert!(of("markdown").contains("app.Row"));
    assert!(of("json").contains("\"findings\""));
    let chart = run::stdout(&["report", &place, "--format", "svg", "--chart", "growth"]);
    assert!(chart.contains("copied: 7.0 MiB"), "{chart}");
}

#[test]
fn findings_of_a_document_are_those_of_its_figures() {
    let folder = tempfile::tempdir().unwrap();
    let mut edited = document();
    edited["trees"][0]["findings"] =
        json!([{"id": "x", "bytes": 1, "says": "nothing to see", "remedy": "go on"}]);
    let place = written(folder.path(), &edited);
    let page = run::stdout(&["report", &place, "--format", "html"]);
    assert!(
        !page.contains("nothing to see") && page.contains("app.Row"),
        "{page}"
    );
}

#[test]
fn what_no_tree_can_have_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |change: fn(&mut Value)| {
        let mut document = document();
        change(&mut document);
        let place = written(folder.path(), &document);
        let output = run::run(&["report", &place, "--format", "html"]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let error = refused(|one| {
        one["trees"][0]["recorded"]["processes"][1]["new_pages"] = json!(1_u64 << 60)
    });
    assert!(
        error.contains("trees[0].recorded.processes[1].new_pages"),
        "{error}"
    );
    let error = refused(|one| one["page_bytes"] = json!(1000));
    assert!(
        error.contains("page_bytes: it is no size of a page"),
        "{error}"
    );
    let error = refused(|one| one["schema_version"] = json!(2));
    assert!(
        error.contains("it has schema version 2, and this refcow reads 1 and older"),
        "{error}"
    );
    let error = refused(|one| one["trees"][0]["shared"] = json!(1));
    assert!(error.contains("trees[0]"), "{error}");
    let error =
        refused(|one| one["trees"][0]["recorded"]["causes"][0]["function"] = json!("\u{1b}[2J"));
    assert!(
        error.contains("trees[0].recorded.causes[0].function"),
        "{error}"
    );
}

#[test]
fn a_worker_that_copies_more_than_before_is_a_regression() {
    let folder = tempfile::tempdir().unwrap();
    let base = written(folder.path(), &document());
    let same = run::stdout(&["compare", &base, &base]);
    assert!(same.contains("app.py <b>, 2 workers\n"), "{same}");
    assert!(same.contains("64 pages a worker, or 10.0 %"), "{same}");

    let mut more = document();
    let recorded = &mut more["trees"][0]["recorded"];
    recorded["causes"][0]["pages"] = json!(1400 + 300);
    recorded["processes"][1]["copied_pages"] = json!(1000 + 300);
    let new = folder.path().join("new.json");
    std::fs::write(&new, more.to_string()).unwrap();
    let compare = |options: &[&str]| {
        run::run(&[&["compare", &base, new.to_str().unwrap()], options].concat())
    };
    let output = compare(&[]);
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8(output.stdout).unwrap();
    let row = table
        .lines()
        .find(|line| line.starts_with("copies "))
        .unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(
        words.join(" "),
        "copies 3.5 MiB 4.1 MiB +600 KiB +16.7 % regressed"
    );
    assert!(table.contains("  refcount app.Row  "), "{table}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("app.py <b>: what a worker copied (3.5 MiB → 4.1 MiB) regressed"),
        "{error}"
    );
    assert_eq!(
        compare(&["--tolerance-percent", "20"]).status.code(),
        Some(0)
    );

    let output = compare(&["--format", "json"]);
    let comparison: Value = serde_json::from_slice(&output.stdout).unwrap();
    let schema: Value =
        serde_json::from_str(&run::stdout(&["schema", "trees-comparison"])).unwrap();
    assert!(jsonschema::is_valid(&schema, &comparison), "{comparison}");
    assert_eq!(
        comparison["trees"][0]["costs"][0]["parts"][0]["type"],
        "app.Row"
    );
}

#[test]
fn documents_of_two_kinds_do_not_compare() {
    let folder = tempfile::tempdir().unwrap();
    let trees = written(folder.path(), &document());
    let mut one = document();
    one["trees"] = json!([]);
    let none = folder.path().join("none.json");
    std::fs::write(&none, one.to_string()).unwrap();
    let output = run::run(&["compare", &trees, none.to_str().unwrap()]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("no recorded tree with workers in common"),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(2));
    let output = run::run(&["compare", &trees, "baselines/debian-12.json"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("this is a run of `refcow measure`"),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_recording_is_kept_as_a_baseline_and_a_later_one_compared_with_it() {
    if cannot_record("baselines of trees") {
        return;
    }
    let mut target = Target::of_text(
        "import os, sys
for _ in range(2):
    if os.fork() == 0: sys.stdin.read(); os._exit(0)
print(os.getpid(), flush=True)
sys.stdin.read()",
    );
    let pid = target.line();
    let folder = tempfile::tempdir().unwrap();
    let attach = |options: &[&str]| {
        let mut refcow = Command::new(REFCOW);
        refcow.args(["attach", &pid, "--for", "10ms"]).args(options);
        run::succeeded("refcow attach", run::output(refcow.current_dir(&folder)))
    };
    attach(&["--save-baseline", "idle"]);
    assert!(folder.path().join("baselines/idle.json").exists());
    let table = attach(&["--baseline", "idle", "--report", "page"]);
    let copies = table
        .lines()
        .find(|line| line.starts_with("copies "))
        .unwrap();
    assert!(copies.ends_with(" same"), "{table}");
    assert!(folder.path().join("page/index.html").exists());
    target.end();
}
