//! A run that is ended keeps what is complete.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::common::{Finished, Place, python, run, skipped};
use refcow::model::{self, Report};
use rstest::rstest;
use rustix::process::Signal;
use serde_json::Value;

/// A dataset that notes each time that it is built. The `slow` one hangs while there is a file
/// `hang`, in the interpreters whose prefix ends with what stands in that.
fn fixtures(place: &Place) -> [String; 2] {
    let text = |name: &str, slow: &str| {
        format!(
            r#"import os, signal, sys

PLACE = os.environ["TMPDIR"]


def build(rows=500):
    with open(os.path.join(PLACE, "builds"), "a") as builds:
        builds.write("{name}\n")
    hang = os.path.join(PLACE, "hang")
    if {slow} and os.path.exists(hang) and sys.prefix.endswith(open(hang).read()):
        with open(os.path.join(PLACE, "said"), "w") as said:
            said.write("building\n")
        while True:
            signal.pause()
    return [object() for _ in range(rows)]


def visit_look(data):
    return sum(1 for _ in data)


def visit_turn(data):
    return len(data[::-1])
"#
        )
    };
    [
        place.file("first.py", &text("first", "False")),
        place.file("second.py", &text("second", "True")),
    ]
}

/// What was built, in the order of time.
fn builds(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.path("builds")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn read(path: &PathBuf) -> Report {
    run::report(&fs::read_to_string(path).unwrap())
}

/// `refcow measure` of both datasets.
fn measure(place: &Place, arguments: &[&str]) -> Command {
    let [first, second] = fixtures(place);
    let mut measure = place.measure([first, second]);
    measure.args(arguments);
    measure
}

/// Starts a run, and ends it while it builds the second dataset.
fn end_in_the_second(place: &Place, command: Command, signal: Signal) -> Finished {
    place.file("hang", "");
    let mut run = place.start(command);
    run.hear();
    run.signal(signal);
    let finished = run.wait().exits_with(130).says("error: interrupted: ");
    fs::remove_file(place.path("hang")).unwrap();
    place.nothing_remains();
    finished
}

fn is_valid(document: &[u8]) -> bool {
    let schema: Value = serde_json::from_str(&run::stdout(&["schema"])).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    schema.is_valid(&serde_json::from_slice(document).unwrap())
}

#[rstest]
fn what_is_complete_is_written(
    #[values(Signal::INT, Signal::TERM)] signal: Signal,
    #[values("--output", "--report")] kept: &str,
) {
    let place = Place::new();
    let (arguments, part) = match kept {
        "--output" => {
            let part = place.path("a part.json");
            let words = ["--format", "json", kept, part.to_str().unwrap()];
            (words.map(str::to_owned).to_vec(), part)
        }
        _ => {
            let folder = place.path("a report");
            let words = [kept, folder.to_str().unwrap()].map(str::to_owned);
            (words.to_vec(), folder.join("run.json"))
        }
    };
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = end_in_the_second(&place, measure(&place, &words), signal);
    assert_eq!(builds(&place), ["first", "second"]);
    ended.says(&format!(
        "error: interrupted: what is complete is in {}\nhelp: run the same command again to measure everything\n",
        part.display()
    ));
    let report = read(&part);
    assert!(report.interrupted);
    assert!(is_valid(&fs::read(&part).unwrap()));
    let visits = report.runs[0].measurements.iter();
    let visits: Vec<_> = visits
        .map(|one| format!("{} {}", one.fixture, one.visit))
        .collect();
    assert_eq!(visits, ["first idle", "first look", "first turn"]);
    let sums: Vec<_> = report.sources.iter().map(|source| &source.path).collect();
    let [first, second] = fixtures(&place);
    assert_eq!(sums, [&first, &second]);

    // The same command again measures everything.
    place.run(measure(&place, &words)).exits_with(0);
    let report = read(&part);
    assert!(!report.interrupted);
    assert_eq!(report.runs[0].measurements.len(), 6);
    place.nothing_remains();
}

#[test]
fn a_page_of_a_run_that_was_ended_says_so_at_its_top() {
    let place = Place::new();
    let ended = end_in_the_second(&place, measure(&place, &[]), Signal::INT);
    assert!(
        ended.stdout.starts_with("Incomplete: the run was ended"),
        "{ended}"
    );
    assert!(
        ended.stdout.contains("\nfirst, shared by fork\n"),
        "{ended}"
    );
    ended.says("error: interrupted: what is complete has been written\n");

    let arguments = ["--format", "markdown"];
    let again = end_in_the_second(&place, measure(&place, &arguments), Signal::INT);
    assert!(
        again.stdout.starts_with("> Incomplete: the run was ended"),
        "{again}"
    );
}

#[test]
fn a_document_on_standard_output_is_whole_json() {
    let place = Place::new();
    let ended = end_in_the_second(&place, measure(&place, &["--format", "json"]), Signal::INT);
    assert!(run::report(&ended.stdout).interrupted);
    assert!(is_valid(ended.stdout.as_bytes()));
    ended.says("error: interrupted: what is complete has been written\n");
}

#[test]
fn a_baseline_is_not_kept_of_a_run_that_was_ended() {
    let place = Place::new();
    let mut measure = measure(&place, &["--save-baseline", "b"]);
    measure.current_dir(place.path(""));
    end_in_the_second(&place, measure, Signal::INT);
    assert!(!place.path("baselines").exists());
}

#[test]
fn what_is_whole_of_each_interpreter_is_kept() {
    let place = Place::new();
    let venv = place.path("venv");
    let mut make = place.command(python(), ["-m", "venv", "--without-pip"]);
    make.arg(&venv);
    let made = place.run(make);
    if !made.status.success() {
        return skipped("several interpreters", &made.to_string());
    }
    let part = place.path("part.json");
    let both = ["--python", venv.to_str().unwrap()];
    let written = ["--format", "json", "--output", part.to_str().unwrap()];
    let all = [&both[..], &written[..]].concat();
    place.file("hang", "venv");
    let mut run = place.start(measure(&place, &all));
    run.hear();
    run.signal(Signal::INT);
    run.wait().exits_with(130);
    let report = read(&part);
    let counts: Vec<_> = report
        .runs
        .iter()
        .map(|run| run.measurements.len())
        .collect();
    assert_eq!(counts, [6, 3]);
}

const CLAIMS: &str = r#"
[[claim]]
id = "one"
statement = "The first is looked at."
leaves_out = "Nothing."
expected = "does not hold"
evidence = ["FIRST/look", "FIRST/turn"]
figures = [{ name = "unshared", unit = "pages", is = "first.look.unshared", means = "copied" }]
rules = [{ when = "true", verdict = "holds", decided_by = "{{ unshared }}" }]

[[claim]]
id = "two"
statement = "The second is, too."
leaves_out = "Nothing."
expected = "holds"
evidence = ["FIRST/look", "SECOND/look"]
figures = [{ name = "unshared", unit = "pages", is = "first.look.unshared", means = "copied" }]
rules = [{ when = "true", verdict = "holds", decided_by = "{{ unshared }}" }]
"#;

#[test]
fn a_verdict_needs_all_of_its_evidence() {
    let place = Place::new();
    let [first, second] = fixtures(&place);
    let text = CLAIMS.replace("FIRST", &first).replace("SECOND", &second);
    let claims = place.file("claims.toml", &text);
    let part = place.path("part.json");
    let arguments = [
        "claims",
        "--children",
        "1",
        "--python",
        python(),
        "--claims",
        &claims,
    ];
    let written = ["--format", "json", "--output", part.to_str().unwrap()];
    let arguments = [&arguments[..], &written[..]].concat();
    // The first verdict is not the one expected: that is no matter of a run that was ended.
    end_in_the_second(&place, place.refcow(&arguments), Signal::INT);
    let judged = |report: &Report| -> Vec<String> {
        report.runs[0]
            .claims
            .iter()
            .map(|claim| claim.id.clone())
            .collect()
    };
    assert_eq!(judged(&read(&part)), ["one"]);
    let sources: Vec<_> = read(&part)
        .sources
        .into_iter()
        .map(|source| source.path)
        .collect();
    assert_eq!(sources, [claims.clone(), first, second]);
}

#[test]
fn a_document_of_some_that_were_ended_is_of_such_a_run() {
    let place = Place::new();
    let part = place.path("part.json");
    let arguments = ["--format", "json", "--output", part.to_str().unwrap()];
    end_in_the_second(&place, measure(&place, &arguments), Signal::INT);
    let other = place.path("other.json");
    let ints = [
        "ints", "--count", "10", "--visit", "idle", "--format", "json", "--output",
    ];
    let mut ints = place.measure(ints);
    ints.arg(&other);
    place.run(ints).exits_with(0);
    let mut merge = place.refcow(["merge"]);
    merge.args([&other, &part]);
    let merged = place.run(merge).exits_with(0);
    let (report, _) = model::read(merged.stdout.as_bytes()).unwrap();
    assert!(report.interrupted);
}
