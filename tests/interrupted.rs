//! A run that is ended keeps what is complete, and goes on from there.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::common::{Finished, Place, REFCOW, python, run, skipped};
use refcow::model::{self, Alternative, Report};
use rstest::rstest;
use rustix::process::Signal;
use serde_json::{Value, json};

/// A dataset that notes each time that it is built. The `slow` one hangs while there is a file `hang`, in the interpreters
/// whose prefix ends with what stands in that.
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

fn forget_builds(place: &Place) {
    let _ = fs::remove_file(place.path("builds"));
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

/// What a document says of pages, without times and identifiers.
fn pages(report: &Report) -> Value {
    let runs = report.runs.iter().map(|run| {
        let measurements = run.measurements.iter().map(|one| {
            let children = one
                .children
                .iter()
                .map(|child| json!([child.regions, child.written]));
            json!([
                one.fixture,
                one.visit,
                one.prepare,
                one.parameters,
                children.collect::<Vec<_>>()
            ])
        });
        json!([run.python, run.warnings, measurements.collect::<Vec<_>>()])
    });
    json!([
        report.command,
        report.sources,
        report.interrupted,
        runs.collect::<Vec<_>>()
    ])
}

fn is_valid(document: &[u8]) -> bool {
    let schema: Value = serde_json::from_str(&run::stdout(&["schema"])).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    schema.is_valid(&serde_json::from_slice(document).unwrap())
}

#[rstest]
fn what_is_complete_is_kept_and_not_measured_again(
    #[values(Signal::INT, Signal::TERM)] signal: Signal,
) {
    let place = Place::new();
    let (whole, part) = (place.path("whole.json"), place.path("a part.json"));
    let to = |path: &PathBuf| {
        ["--format", "json", "--output", path.to_str().unwrap()].map(str::to_owned)
    };
    let to = |path: &PathBuf, more: &[&str]| {
        let words = to(path);
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        measure(&place, &words)
    };
    place.run(to(&whole, &[])).exits_with(0);
    forget_builds(&place);

    let ended = end_in_the_second(&place, to(&part, &[]), signal);
    assert_eq!(builds(&place), ["first", "second"]);
    let [first, second] = fixtures(&place);
    let told = format!(
        "what is complete is in {0}\nhelp: go on with: {REFCOW} measure {first} {second} --format json --children 1 \
         --python {1} --output '{0}' --resume '{0}'\n",
        part.display(),
        python()
    );
    let ended = ended.says(&told);
    assert_eq!(ended.stdout, "");
    let report = read(&part);
    assert!(report.interrupted);
    assert!(is_valid(&fs::read(&part).unwrap()));
    let visits = report.runs[0].measurements.iter();
    let visits: Vec<_> = visits
        .map(|one| format!("{} {}", one.fixture, one.visit))
        .collect();
    assert_eq!(visits, ["first idle", "first look", "first turn"]);
    let sums: Vec<_> = report.sources.iter().map(|source| &source.path).collect();
    assert_eq!(sums, [&first, &second]);

    // By the very words that were told.
    forget_builds(&place);
    let (_, words) = ended.stderr.rsplit_once("go on with: ").unwrap();
    let went_on = place.run(place.command("sh", ["-c", words]));
    went_on.exits_with(0);
    assert_eq!(builds(&place), ["second"]);
    assert_eq!(pages(&read(&part)), pages(&read(&whole)));
    let times = |report: &Report| report.runs[0].measurements[0].build_seconds;
    assert_eq!(times(&read(&part)).to_bits(), times(&report).to_bits());
    place.nothing_remains();
}

#[test]
fn of_a_document_that_is_whole_nothing_is_measured_again() {
    let place = Place::new();
    let (whole, again) = (place.path("whole.json"), place.path("again.json"));
    let arguments = ["--format", "json", "--output", whole.to_str().unwrap()];
    place.run(measure(&place, &arguments)).exits_with(0);
    forget_builds(&place);
    let resume = ["--resume", whole.to_str().unwrap(), "--format", "json"];
    let mut resume = measure(&place, &resume);
    resume.arg("--output").arg(&again);
    let finished = place.run(resume).exits_with(0);
    assert_eq!(finished.stderr, "");
    assert!(builds(&place).is_empty());
    assert_eq!(fs::read(whole).unwrap(), fs::read(again).unwrap());
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
    ended.says(
        "interrupted: what is complete has been written\nhelp: a run that is kept by --report DIR",
    );

    let arguments = ["--format", "markdown"];
    let again = end_in_the_second(&place, measure(&place, &arguments), Signal::INT);
    assert!(
        again.stdout.starts_with("> Incomplete: the run was ended"),
        "{again}"
    );
}

#[test]
fn a_document_on_standard_output_can_be_kept() {
    let place = Place::new();
    let ended = end_in_the_second(&place, measure(&place, &["--format", "json"]), Signal::INT);
    assert!(run::report(&ended.stdout).interrupted);
    ended
        .says("help: keep it as RUN.json, and go on with: ")
        .says(" --resume RUN.json\n");
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
fn what_a_run_goes_on_from_is_not_lost_when_it_is_ended_again() {
    let place = Place::new();
    let part = place.path("part.json");
    let path = part.to_str().unwrap();
    let arguments = ["--format", "json", "--output", path];
    end_in_the_second(&place, measure(&place, &arguments), Signal::INT);
    let first = read(&part);
    let arguments = [&arguments[..], &["--resume", path]].concat();
    end_in_the_second(&place, measure(&place, &arguments), Signal::INT);
    assert_eq!(pages(&read(&part)), pages(&first));
    assert!(read(&part).interrupted);
    assert_eq!(builds(&place), ["first", "second", "second"]);
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

    fs::remove_file(place.path("hang")).unwrap();
    forget_builds(&place);
    let resume = ["--resume", part.to_str().unwrap()];
    let went_on = place.run(measure(&place, &[&all[..], &resume[..]].concat()));
    went_on.exits_with(0);
    assert_eq!(builds(&place), ["second"]);
    let report = read(&part);
    assert!(!report.interrupted);
    let counts: Vec<_> = report
        .runs
        .iter()
        .map(|run| run.measurements.len())
        .collect();
    assert_eq!(counts, [6, 6]);

    // Without the environment, the command means another interpreter.
    fs::remove_dir_all(&venv).unwrap();
    let installation = PathBuf::from(python());
    let installation = installation.parent().unwrap().parent().unwrap();
    std::os::unix::fs::symlink(installation, &venv).unwrap();
    place
        .run(measure(&place, &[&all[..], &resume[..]].concat()))
        .refuses(
            2,
            "none of the interpreters that this command finds now",
            "bring it back",
        );
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

    let resume = ["--resume", part.to_str().unwrap()];
    let resume = [&arguments[..], &resume[..]].concat();
    place
        .run(place.refcow(&resume))
        .exits_with(1)
        .says("one: holds, expected: does not hold");
    assert_eq!(judged(&read(&part)), ["one", "two"]);

    place.file(
        "claims.toml",
        &text.replace("is looked at", "was looked at"),
    );
    place.run(place.refcow(&resume)).refuses(
        2,
        "claims.toml: that has changed since",
        "measure again",
    );
}

/// A document of both datasets, with something else in it than was written.
fn altered(place: &Place, alter: impl Fn(&mut Value)) -> String {
    let path = place.path("run.json");
    let arguments = ["--format", "json", "--output", path.to_str().unwrap()];
    place.run(measure(place, &arguments)).exits_with(0);
    let mut document: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    alter(&mut document);
    place.file("run.json", &document.to_string())
}

#[rstest]
#[case::without_a_command("/command", json!([]), "does not say which command", "merged")]
#[case::of_another_command("/command/1", json!("ints"), "is of another command:\n    refcow measure ints", "measure again")]
#[case::of_another_file("/sources/1/sha256", json!("0".repeat(64)), "second.py: that has changed since", "measure again")]
#[case::of_another_kernel("/runs/0/environment/kernel", json!("5.3.0"), "the kernel of CPython", "measure again")]
#[case::of_another_refcow("/runs/0/environment/refcow_version", json!("9.9.9"), "was 9.9.9", "measure again")]
#[case::of_another_commit("/runs/0/environment/refcow_commit", json!("abc"), "(abc), and is", "measure again")]
#[case::with_other_privileges("/runs/0/environment/privileges/root", json!(null), "privileges", "measure again")]
#[case::with_huge_pages("/runs/0/environment/transparent_huge_pages/disabled_in_subject", json!(false), "huge pages", "measure again")]
#[case::with_other_settings("/runs/0/environment/kernel_settings", json!({"a": "1"}), "the kernel's settings", "measure again")]
#[case::of_another_build("/runs/0/python/build", json!("3.11.7 (of mine)"), "build of CPython", "measure again")]
#[case::of_another_interpreter("/runs/0/python/executable", json!("/nowhere/python3"), "(/nowhere/python3), which is none", "bring it back")]
fn what_does_not_belong_together_is_refused(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    let document = altered(&place, |document| {
        if pointer.ends_with("/refcow_commit") {
            // A build that is of no checkout has none.
            document["runs"][0]["environment"]["refcow_commit"] = Value::Null;
        }
        let there = document.pointer_mut(pointer).unwrap();
        // The opposite, whatever it is.
        *there = match there.as_bool() {
            Some(yes) => json!(!yes),
            None => value.clone(),
        };
        // Something is to be measured.
        document["runs"][0]["measurements"]
            .as_array_mut()
            .unwrap()
            .pop();
    });
    forget_builds(&place);
    place
        .run(measure(&place, &["--resume", &document]))
        .refuses(2, error, help);
    assert!(builds(&place).is_empty());
}

#[rstest]
#[case::another_option(&["--visit", "look"], "is of another command")]
#[case::nothing_is_there(&["--resume", "/nowhere.json"], "cannot read /nowhere.json")]
fn another_command_line_is_refused(#[case] arguments: &[&str], #[case] error: &str) {
    let place = Place::new();
    let document = altered(&place, |_| {});
    let resume = match arguments {
        ["--resume", _] => arguments.to_vec(),
        _ => [arguments, &["--resume", &document]].concat(),
    };
    place.run(measure(&place, &resume)).refuses(2, error, "");
}

#[test]
fn a_dataset_that_lacks_a_visit_is_measured_anew() {
    let place = Place::new();
    let document = altered(&place, |document| {
        document["runs"][0]["measurements"]
            .as_array_mut()
            .unwrap()
            .remove(1);
    });
    forget_builds(&place);
    let resume = ["--resume", &document, "--format", "json"];
    let finished = place.run(measure(&place, &resume)).exits_with(0);
    assert_eq!(builds(&place), ["first"]);
    assert_eq!(run::the_run(&finished.stdout).measurements.len(), 6);
}

#[test]
fn ways_that_are_there_are_not_measured_again() {
    let place = Place::new();
    let arguments = "alternatives --size 8192 --way array --way args --start-method fork --format json --children 1";
    let arguments: Vec<&str> = arguments.split(' ').chain(["--python", python()]).collect();
    let whole = place.run(place.refcow(&arguments)).exits_with(0);
    let mut document: Value = serde_json::from_str(&whole.stdout).unwrap();
    let ways = document["runs"][0]["alternatives"].as_array_mut().unwrap();
    assert_eq!(ways.len(), 2);
    ways.remove(0);
    let path = place.file("part.json", &document.to_string());
    let resume = [&arguments[..], &["--resume", &path]].concat();
    let went_on = place.run(place.refcow(resume)).exits_with(0);
    let ways = |text: &str| -> Vec<Alternative> { run::the_run(text).alternatives };
    let (then, now) = (ways(&whole.stdout), ways(&went_on.stdout));
    assert_eq!(then[1], now[1]);
    assert_eq!(then[0].way, now[0].way);
    assert_ne!(
        then[0].start_seconds.to_bits(),
        now[0].start_seconds.to_bits()
    );
}

#[test]
fn advice_is_taken_over_with_its_measurements() {
    let place = Place::new();
    let [first, _] = fixtures(&place);
    let path = place.path("advice.json");
    let arguments = [
        "advise",
        &first,
        "--set",
        "rows=200000",
        "--visit",
        "look",
        "--children",
        "1",
    ];
    let written = [
        "--python",
        python(),
        "--format",
        "json",
        "--output",
        path.to_str().unwrap(),
    ];
    let arguments = [&arguments[..], &written[..]].concat();
    place.run(place.refcow(&arguments)).exits_with(0);
    let then = fs::read(&path).unwrap();
    assert_eq!(read(&path).runs[0].advice.len(), 1);
    forget_builds(&place);
    let resume = [&arguments[..], &["--resume", path.to_str().unwrap()]].concat();
    place.run(place.refcow(resume)).exits_with(0);
    assert!(builds(&place).is_empty());
    assert_eq!(fs::read(&path).unwrap(), then);

    // Half of it is none.
    let mut document: Value = serde_json::from_slice(&then).unwrap();
    document["runs"][0]
        .as_object_mut()
        .unwrap()
        .remove("advice");
    let half = place.file("half.json", &document.to_string());
    let resume = [&arguments[..], &["--resume", &half]].concat();
    place.run(place.refcow(resume)).exits_with(0);
    assert!(builds(&place).len() > 1);
    assert_eq!(read(&path).runs[0].advice.len(), 1);
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
