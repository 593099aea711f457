//! What advice prints, and how its documents are read: of a canned run.

use std::path::Path;

use crate::common::{Place, canned, run};
use refcow::model::{self, Report};
use refcow::remedies::remedies;
use refcow::report::{Style, render_advice, render_document};
use rstest::rstest;
use serde_json::{Value, json};

const LOADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/loader.py");

fn canned() -> Report {
    Report::of(canned::run_with_advice("3.12.1"))
}

#[rstest]
#[case("pipe.txt", Style::Terminal { width: None, colours: false })]
#[case("narrow.txt", Style::Terminal { width: Some(60), colours: false })]
#[case("markdown", Style::Markdown)]
fn advice_reads_the_same_in_every_form(#[case] name: &str, #[case] style: Style) {
    let text = String::from_utf8(render_advice(&canned(), style)).unwrap();
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(style == Style::Markdown || widest <= Some(80), "{text}");
    assert_eq!(render_document(&canned(), style), text.as_bytes());
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("advice_{name}"), text);
    });
}

/// Several interpreters, side by side.
#[test]
fn each_interpreter_has_its_table_and_the_same_code_is_shown_once() {
    let mut report = canned();
    let mut other = canned().runs.remove(0);
    other.python.version = "3.13.0".into();
    report.runs.push(other);
    let style = Style::Terminal {
        width: None,
        colours: false,
    };
    let text = String::from_utf8(render_advice(&report, style)).unwrap();
    for version in ["3.12.1", "3.13.0"] {
        let tables = text.matches(&format!(" of CPython {version}\n")).count();
        assert_eq!(tables, report.runs[0].advice.len(), "{text}");
    }
    let code = text.matches("def before_fork").count();
    let once = String::from_utf8(render_advice(&canned(), style)).unwrap();
    assert_eq!(code, once.matches("def before_fork").count(), "{text}");
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let same = "with CPython 3.13.0: the same as with CPython 3.12.1.";
    assert!(flat.contains(same), "{text}");
}

#[rstest]
#[case::a_saving("/runs/0/advice/0/remedies/0/saved_bytes", json!(1), "what it says of packed-arrays")]
#[case::copies("/runs/0/advice/0/copied_bytes", json!(1), "1 bytes copied")]
#[case::the_visit("/runs/0/advice/0/visit", json!("x"), "was not measured as it is")]
#[case::the_second("/runs/0/advice/0/measured_again/saved_bytes", json!(1), "measured again")]
#[case::the_seconds_pages(
    "/runs/0/advice/0/measured_again/measurement/children/0/regions/0/unshared", json!(1000), "of 121 pages unshared"
)]
#[case::a_remedy_twice("/runs/0/advice/0/remedies/1/remedy", json!("packed-arrays"), "packed-arrays twice")]
fn a_document_whose_advice_is_not_what_was_measured_is_refused(
    #[case] place: &str,
    #[case] value: Value,
    #[case] what: &str,
) {
    let mut document = serde_json::to_value(canned()).unwrap();
    let text = |document: &Value| serde_json::to_vec(document).unwrap();
    assert_eq!(model::read(&text(&document)).unwrap().0, canned());
    *document.pointer_mut(place).unwrap() = value;
    let error = model::read(&text(&document)).unwrap_err().to_string();
    assert!(error.contains(what), "{error}");
}

#[test]
fn documents_with_advice_are_merged_and_compared() {
    let place = Place::new();
    let report = serde_json::to_string(&canned()).unwrap();
    let other = serde_json::to_string(&Report::of(canned::run("3.13.0"))).unwrap();
    let (one, two) = (
        place.file("one.json", &report),
        place.file("two.json", &other),
    );
    let merged = run::report(&run::stdout(&["merge", &one, &two]));
    assert_eq!(merged.runs[0].advice, canned().runs[0].advice);
    let twice = place.refcow(["merge", &one, &one]);
    place.run(twice).refuses(2, "both hold", "leave one");
    let compared = run::stdout(&["compare", &one, &one]);
    assert!(compared.contains("unchanged"), "{compared}");
}

#[test]
fn remedies_are_no_fixtures_and_each_is_told_in_the_help() {
    assert!(Path::new("harness/model/remedies.toml").exists());
    let help = run::stdout(&["advise", "--help"]);
    for remedy in remedies() {
        let word = remedy.title.split(' ').next().unwrap();
        assert!(help.contains(word), "{word}\n{help}");
    }
    let help = run::stdout(&["advise", LOADER, "--help"]);
    assert!(help.contains("Reads each sample once"), "{help}");
}

/// A recording of a program: one worker copied for the collector, and for reference counts.
fn tree(python: &str) -> String {
    let process = |depth: u64, pid: u64, copied: u64| {
        json!({
            "pid": pid, "parent_pid": 1, "depth": depth, "command": "python app.py", "ended": true, "copied_pages": copied,
            "given_back_pages": 0, "new_pages": 0, "rewritten_pages": 0, "unknown_pages": 0, "shutdown_pages": 0
        })
    };
    let cause = |cause: &str, pages: u64| {
        json!({
            "pages_are": "copied", "cause": cause, "type": "list", "function": "visit", "thread": "main", "phase": "work",
            "pages": pages
        })
    };
    json!({
        "schema_version": 1, "refcow_version": "0.1.0", "page_bytes": 4096,
        "trees": [{
            "python": python, "processes": [],
            "recorded": {
                "seconds": 1.0, "lost_faults": 0, "with_kernel_writes": true, "executed": 0, "moments": [],
                "processes": [process(0, 10, 0), process(1, 11, 3000)],
                "causes": [cause("gc", 2000), cause("refcount", 1000)]
            }
        }]
    })
    .to_string()
}

#[test]
fn findings_of_a_tree_become_remedies_with_their_code() {
    let place = Place::new();
    let file = place.file("tree.json", &tree("CPython 3.13"));
    let said = run::stdout(&["advise", &file]);
    let collections = said.find("1. Workers copied 7.8 MiB").expect(&said);
    let counts = said.find("2. Workers copied 3.9 MiB").expect(&said);
    let code = said.find("          gc.freeze()\n").expect(&said);
    assert!(collections < code && code < counts, "{said}");
    assert!(
        said[counts..].contains("pickled rows: ")
            && said.contains("`refcow advise FILE.py` writes")
    );
    // What this Python does not have is not named.
    assert!(!said.contains("immortal"), "{said}");
    assert!(
        said.lines().all(|line| line.chars().count() <= 80),
        "{said}"
    );
    let newer = place.file("newer.json", &tree("CPython 3.15"));
    assert!(run::stdout(&["advise", &newer]).contains("immortal objects: "));
    let markdown = run::stdout(&["advise", &file, "--format", "markdown"]);
    assert!(markdown.contains("```\nimport gc\n"), "{markdown}");
    let json = place.refcow(["advise", &file, "--format", "json"]);
    place.run(json).refuses(2, "no JSON", "--format markdown");
}

#[rstest]
#[case::a_visit(&["--visit", "epoch"], "and --visit means nothing")]
#[case::a_value(&["--set", "rows=-1"], "and --set means nothing")]
#[case::workers(&["--children", "2"], "and --children means nothing")]
#[case::an_interpreter(&["--python", "3.12"], "and --python means nothing")]
#[case::lines(&["--lines"], "and --lines means nothing")]
#[case::arguments(&["--", "-v"], "and -- means nothing")]
#[case::a_report(&["--report", "out"], "and --report means nothing")]
fn what_only_a_measurement_has_a_use_for_is_refused_beside_a_tree(
    #[case] options: &[&str],
    #[case] error: &str,
) {
    let place = Place::new();
    let file = place.file("tree.json", &tree("CPython 3.13"));
    let command = place.refcow([&["advise", &file], options].concat());
    place
        .run(command)
        .refuses(2, error, "refcow advise FILE.py");
}

#[test]
fn a_run_is_no_recording_and_the_error_says_what_to_do_with_it() {
    let place = Place::new();
    let file = place.file("run.json", &serde_json::to_string(&canned()).unwrap());
    let out = place.path("out.txt");
    let command = place.refcow(["advise", &file, "--output", out.to_str().unwrap()]);
    let finished = place
        .run(command)
        .refuses(2, "no recording", "refcow report");
    assert!(
        finished.stderr.contains("run.json is a run of a command"),
        "{finished}"
    );
    assert!(!out.exists());
}
