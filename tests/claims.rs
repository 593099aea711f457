//! The article's claims: the verdicts on this machine's interpreter, and that none of them is
//! foregone.

use std::collections::BTreeMap;
use std::fmt::Write;

use refcow::claims::{Claims, Expectations, Figures};
use refcow::model::{
    Cause, Claim, Figure, RegionName, Report, Run, Unit, Value, Verdict, Warning, Written,
};
use refcow::report::{Style, render_claims, render_html};
use rstest::rstest;

use crate::common::by_python::{MeasuredOnce, assert_snapshot_of};
use crate::common::{Place, When, by_python, python, run, skipped};
use rustix::process::Signal;

/// All claims with small data, measured once for all tests here.
fn report() -> &'static Run {
    report_of(python())
}

/// The same with another interpreter.
fn report_of(python: &str) -> &'static Run {
    static REPORTS: MeasuredOnce<Run> = MeasuredOnce::new();
    REPORTS.of(python, || {
        let arguments = ["claims", "--quick", "--format", "json", "--python", python];
        run::the_run(&run::stdout(&arguments))
    })
}

fn claim(id: &str) -> &'static Claim {
    claim_of(report(), id)
}

fn claim_of<'a>(run: &'a Run, id: &str) -> &'a Claim {
    run.claims.iter().find(|claim| claim.id == id).unwrap()
}

/// Figures in which a single page or byte would be a fault.
const EXACT: [&str; 10] = [
    "read_copied",
    "write_copied",
    "idle_pages",
    "not_shared",
    "child_copied",
    "parent_copied",
    "shared_copied",
    "writers_changed",
    "others_changed",
    "shared_others_changed",
];

/// A figure as it is on any machine and interpreter: in one word where its size depends on them.
fn rounded(name: &str, figure: &Figure) -> String {
    let number = match &figure.value {
        Value::Truth(_) if name == "frames_compared" => return "by root alone".into(),
        Value::Truth(truth) => return truth.to_string(),
        Value::Text(_) => return "text".into(),
        Value::Count(count) => *count as f64,
        Value::Number(number) => *number,
    };
    match figure.unit {
        // How many interpreters a machine has is its own matter.
        Unit::Count if name.starts_with("older") => "some or none".into(),
        Unit::Count | Unit::Truth | Unit::Text => format!("{number}"),
        Unit::Share => match number {
            0.0 => "none",
            0.0..0.02 => "hardly any",
            0.02..0.5 => "some",
            0.5..0.98 => "most",
            _ => "all",
        }
        .into(),
        Unit::Pages | Unit::Bytes if EXACT.contains(&name) => format!("{number}"),
        // At the edges of a region lie a few pages that hold other objects too, and where differs
        // between builds.
        Unit::Pages if number < 50.0 => "at most a few".into(),
        Unit::Pages | Unit::Bytes => "many".into(),
        Unit::Seconds => "some".into(),
    }
}

/// A sentence with every number in it made `#`.
fn without_numbers(text: &str) -> String {
    let mut result = String::new();
    for word in text.split(' ') {
        let number = word.starts_with(|letter: char| letter.is_ascii_digit());
        let end = word
            .trim_start_matches(|letter: char| letter.is_ascii_digit() || ",.".contains(letter));
        let space = if result.is_empty() { "" } else { " " };
        let _ = if number {
            write!(result, "{space}#{end}")
        } else {
            write!(result, "{space}{word}")
        };
    }
    result
}

#[rstest]
fn every_claim_has_its_verdict_on_this_interpreter(
    #[values(
        "three-lists",
        "read-only",
        "fork-shares",
        "write-copies-page",
        "saves-memory",
        "refcount-tracks",
        "zero-deletes",
        "child-reference",
        "entire-list",
        "shm-new",
        "shm-no-copy",
        "shm-numpy",
        "shm-reliable"
    )]
    id: &str,
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, id, |interpreter| {
        let text = verdict_with(id, report_of(by_python::path(interpreter)));
        let version = by_python::version(interpreter);
        assert_snapshot_of!(version, format!("claim_{id}"), text);
    });
}

fn verdict_with(id: &str, report: &Run) -> String {
    let claim = claim_of(report, id);
    let mut text = format!("{}: {}\n", claim.id, claim.verdict);
    if let Some(limit) = &claim.limit {
        let _ = writeln!(text, "limit: {}", without_numbers(limit));
    }
    for (name, figure) in &claim.figures {
        if name == "outlives_unrelated_reader_untracked" {
            assert_eq!(
                figure.value,
                Value::Truth(true),
                "track=False is there for that"
            );
            continue;
        }
        let _ = writeln!(text, "{name}: {}", rounded(name, figure));
    }
    assert_eq!(claim.verdict, claim.expected, "{claim:#?}");
    text
}

#[test]
fn every_claim_has_a_case_above_and_the_verdict_that_is_expected() {
    let ids: Vec<_> = Claims::builtin()
        .statements
        .iter()
        .map(|claim| &claim.id)
        .collect();
    let judged: Vec<_> = report().claims.iter().map(|claim| &claim.id).collect();
    assert_eq!(ids, judged);
    assert_eq!(ids.len(), 13);
    for claim in &report().claims {
        assert_eq!(claim.verdict, claim.expected, "{claim:#?}");
    }
}

/// The figures of a claim as they were measured, with some of them replaced.
fn figures(id: &str, other: &[(&str, f64)]) -> Figures {
    let mut figures = claim(id).figures.clone();
    for (name, value) in other {
        let figure = figures
            .get_mut(*name)
            .unwrap_or_else(|| panic!("{id} has no figure {name}"));
        figure.value = match &figure.value {
            Value::Truth(_) => Value::Truth(*value != 0.0),
            Value::Count(_) => Value::Count(*value as i64),
            _ => Value::Number(*value),
        };
    }
    figures
}

/// Every rule of every claim, reached by figures of the opposite case.
#[rstest]
fn other_figures_give_another_verdict() {
    const HOLDS: Verdict = Verdict::Holds;
    const LIMITS: Verdict = Verdict::HoldsWithLimits;
    const NOT: Verdict = Verdict::DoesNotHold;
    type Case<'a> = (&'a str, Verdict, &'a [(&'a str, f64)]);
    let cases: &[Case<'_>] = &[
        ("three-lists", HOLDS, &[("share", 0.9)]),
        ("three-lists", LIMITS, &[("share", 0.1)]),
        ("three-lists", NOT, &[("share", 0.001)]),
        ("read-only", HOLDS, &[("copied_pages", 0.0)]),
        ("read-only", NOT, &[("copied_pages", 1.0)]),
        ("fork-shares", HOLDS, &[("not_shared", 0.0)]),
        (
            "fork-shares",
            LIMITS,
            &[("pages", 100.0), ("shared", 60.0), ("not_shared", 40.0)],
        ),
        (
            "fork-shares",
            NOT,
            &[("pages", 100.0), ("shared", 40.0), ("not_shared", 60.0)],
        ),
        ("write-copies-page", HOLDS, &[]),
        ("write-copies-page", LIMITS, &[("child_copied", 2.0)]),
        ("write-copies-page", LIMITS, &[("parent_copied", 2.0)]),
        ("write-copies-page", NOT, &[("parent_copied", 0.0)]),
        ("write-copies-page", NOT, &[("others_changed", 1.0)]),
        ("refcount-tracks", NOT, &[("rise", 0.0)]),
        ("refcount-tracks", NOT, &[("left", 1.0)]),
        ("refcount-tracks", LIMITS, &[("rise_of_none", 0.0)]),
        (
            "refcount-tracks",
            HOLDS,
            &[("rise_of_none", 1000.0), ("rise_of_small_int", 1000.0)],
        ),
        ("zero-deletes", NOT, &[("deleted", 0.0)]),
        ("zero-deletes", NOT, &[("deleted", 999.0)]),
        ("zero-deletes", HOLDS, &[("collections", 1.0)]),
        ("zero-deletes", LIMITS, &[]),
        ("child-reference", NOT, &[("rise_in_child", 0.0)]),
        ("child-reference", LIMITS, &[("rise_in_parent", 1.0)]),
        ("child-reference", LIMITS, &[("copied_pages", 4.0)]),
        ("child-reference", HOLDS, &[]),
        ("entire-list", HOLDS, &[("least", 0.97), ("most", 1.0)]),
        ("entire-list", LIMITS, &[("most", 0.8)]),
        ("entire-list", LIMITS, &[("payload_copied", 1e5)]),
        ("entire-list", NOT, &[("most", 0.1)]),
        ("shm-new", NOT, &[("here", 0.0)]),
        (
            "shm-new",
            NOT,
            &[("older", 2.0), ("older_with_blocks", 1.0)],
        ),
        (
            "shm-new",
            HOLDS,
            &[("older", 0.0), ("older_with_blocks", 0.0)],
        ),
        (
            "shm-new",
            HOLDS,
            &[("older", 2.0), ("older_with_blocks", 0.0)],
        ),
        ("saves-memory", NOT, &[("shared", 1e8), ("copies", 1e8)]),
        ("saves-memory", HOLDS, &[("shared", 1e8), ("copies", 2e8)]),
        ("shm-numpy", NOT, &[("seen", 0.0)]),
        ("shm-numpy", NOT, &[("copied", 1e9)]),
        (
            "shm-numpy",
            LIMITS,
            &[("copied", 1e5), ("sent_copied", 3e5)],
        ),
        ("shm-numpy", HOLDS, &[("copied", 1e5), ("sent_copied", 1e6)]),
        ("shm-no-copy", NOT, &[("read_copied", 1.0)]),
        ("shm-no-copy", NOT, &[("write_copied", 1.0)]),
        ("shm-no-copy", NOT, &[("new_pages", 1e6)]),
        ("shm-no-copy", LIMITS, &[("seen_by_parent", 0.0)]),
        ("shm-no-copy", LIMITS, &[("seen_by_sibling", 0.0)]),
        ("shm-no-copy", HOLDS, &[]),
        ("shm-reliable", NOT, &[("outlives_killed_child", 0.0)]),
        ("shm-reliable", NOT, &[("gone_after_unlink", 0.0)]),
        ("shm-reliable", HOLDS, &[("outlives_unrelated_reader", 1.0)]),
        (
            "shm-reliable",
            LIMITS,
            &[("outlives_unrelated_reader", 0.0)],
        ),
        (
            "shm-reliable",
            LIMITS,
            &[
                ("outlives_unrelated_reader", 1.0),
                ("outlives_killed_owner", 1.0),
            ],
        ),
    ];
    let mut reached: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
    for (id, verdict, other) in cases {
        let statement = Claims::builtin().find(id).unwrap();
        let judged = statement.judge(&figures(id, other)).unwrap();
        assert_eq!(judged.verdict, *verdict, "{id} with {other:?}");
        assert_eq!(
            judged.limit.is_some(),
            *verdict == LIMITS,
            "{id} with {other:?}"
        );
        let reached = reached
            .entry(id)
            .or_insert_with(|| vec![false; statement.rules.len()]);
        reached[judged.rule.unwrap()] = true;
    }
    for statement in &Claims::builtin().statements {
        let reached = reached.get(&statement.id[..]);
        assert!(
            reached.is_some_and(|rules| rules.iter().all(|rule| *rule)),
            "a rule of {} is reached by no case: {reached:?}",
            statement.id
        );
    }
}

#[test]
fn a_claim_without_its_figures_is_not_testable_and_names_them() {
    for statement in &Claims::builtin().statements {
        let judged = statement.judge(&Figures::new()).unwrap();
        assert_eq!(judged.verdict, Verdict::NotTestableHere, "{}", statement.id);
        assert_eq!(judged.decided_by, None);
        let lacking = judged.lacking.unwrap();
        assert!(lacking.contains(&statement.figures[0].name), "{lacking}");
    }
}

/// Judges a claim by measurements of something else: refcow's own data of claims, with some words
/// replaced.
fn judged_otherwise(id: &str, replaced: &[(&str, &str)]) -> Claim {
    let mut text = include_str!("../harness/model/claims/claims.toml").to_owned();
    for (word, other) in replaced {
        assert!(text.contains(word), "{word}");
        text = text.replace(word, other);
    }
    let place = Place::new();
    let file = place.file("claims.toml", &text);
    let mut refcow = place.refcow(["claims", id, "--quick", "--format", "json"]);
    refcow.args(["--claims", &file]);
    let finished = place.run(refcow).exits_with(1);
    let report = run::the_run(&finished.stdout);
    place.nothing_remains();
    report.claims.into_iter().next().unwrap()
}

#[test]
fn a_child_that_rewrites_what_arrays_hold_copies_the_entire_list() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rewrites.py/");
    let mut replaced = Vec::new();
    for fixture in [
        "bitarrays",
        "int_arrays",
        "numpy_arrays",
        "ints",
        "floats",
        "strings",
        "lists",
    ] {
        replaced.push((
            format!("\"{fixture}/iterate\""),
            format!("\"{path}iterate\""),
        ));
        replaced.push((
            format!("{fixture}.iterate."),
            "rewrites.iterate.".to_owned(),
        ));
    }
    let replaced: Vec<_> = replaced
        .iter()
        .map(|(word, other)| (&word[..], &other[..]))
        .collect();
    let claim = judged_otherwise("entire-list", &replaced);
    assert_eq!(claim.verdict, Verdict::Holds, "{claim:#?}");
}

#[test]
fn one_byte_in_a_shared_mapping_copies_no_page() {
    let claim = judged_otherwise(
        "write-copies-page",
        &[("one_byte.private_", "one_byte.shared_")],
    );
    assert_eq!(claim.verdict, Verdict::DoesNotHold, "{claim:#?}");
}

#[rstest]
#[case::writes_to_a_private_mapping("read", "write")]
#[case::keeps_a_copy_of_what_it_read("read", "read")]
fn a_child_that_copies_does_not_share(#[case] read: &str, #[case] write: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/copies.py");
    let claim = judged_otherwise(
        "shm-no-copy",
        &[
            ("\"shared_numpy/read\"", &format!("\"{path}/{read}\"")),
            ("\"shared_numpy/write\"", &format!("\"{path}/{write}\"")),
            ("shared_numpy.read.", &format!("copies.{read}.")),
            ("shared_numpy.write.", &format!("copies.{write}.")),
        ],
    );
    assert_eq!(claim.verdict, Verdict::DoesNotHold, "{claim:#?}");
}

#[test]
fn the_data_of_the_claims_is_whole() {
    for statement in &Claims::builtin().statements {
        let id = &statement.id;
        assert!(statement.statement.ends_with('.'), "{id}");
        assert!(!statement.leaves_out.trim().is_empty(), "{id}");
        let last = statement.rules.last().unwrap();
        assert_eq!(last.when, "true", "{id}");
        for rule in &statement.rules {
            assert_eq!(
                rule.limit.is_some(),
                rule.verdict == Verdict::HoldsWithLimits,
                "{id}"
            );
            assert_ne!(
                rule.verdict,
                Verdict::NotTestableHere,
                "{id}: that is no rule's to say"
            );
        }
        for figure in &statement.figures {
            // Since 3.13 alone.
            if figure.name == "outlives_unrelated_reader_untracked" {
                continue;
            }
            assert!(
                claim(id).figures.contains_key(&figure.name),
                "{id}: {}",
                figure.name
            );
        }
    }
}

#[rstest]
#[case::unknown_claim(
    "claims entire-lst",
    "refcow knows no claim `entire-lst`",
    "did you mean `entire-list`?"
)]
#[case::no_children("claims --children 0", "0 is not in 1..=64", "--help")]
#[case::too_many_children("claims --children 65", "65 is not in 1..=64", "--help")]
#[case::two_efforts("claims --quick --full", "cannot be used with '--full'", "--help")]
#[case::unknown_format("claims --format csv", "invalid value 'csv'", "--help")]
fn bad_input_is_refused(#[case] arguments: &str, #[case] error: &str, #[case] help: &str) {
    let place = Place::new();
    let finished = place
        .run(place.refcow(arguments.split(' ')))
        .exits_with(2)
        .says(error);
    assert!(finished.stdout.is_empty(), "{finished}");
    assert!(finished.stderr.contains(help), "{finished}");
}

#[rstest]
#[case::no_toml("entire-list: holds", "expected", "names a claim and a verdict")]
#[case::unknown_claim(
    "no-claim = \"holds\"",
    "no claim `no-claim`",
    "names a claim and a verdict"
)]
#[case::unknown_verdict("shm-new = \"perhaps\"", "perhaps", "does not hold")]
fn a_file_of_expectations_that_is_none_is_refused_before_anything_is_measured(
    #[case] text: &str,
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    let file = place.file("expected.toml", text);
    let refcow = place.refcow(["claims", "shm-new", "--expect", &file]);
    place.run(refcow).refuses(2, error, help);
    let refcow = place.refcow([
        "claims",
        "--expect",
        place.path("nowhere").to_str().unwrap(),
    ]);
    place
        .run(refcow)
        .refuses(2, "No such file", "names a claim and a verdict");
    let refcow = place.refcow(["claims", "--expect", place.path("said").to_str().unwrap()]);
    place
        .run(refcow)
        .refuses(2, "not a regular file", "names a claim and a verdict");
}

#[test]
fn a_verdict_that_is_not_the_expected_one_is_status_1_with_the_report_whole() {
    let place = Place::new();
    let file = place.file(
        "expected.toml",
        "zero-deletes = \"holds\"\nshm-new = \"not testable here\"\n",
    );
    let claims = [
        "claims",
        "zero-deletes",
        "refcount-tracks",
        "--format",
        "json",
    ];
    let mut refcow = place.refcow(claims);
    refcow.args(["--expect", &file]);
    let finished = place
        .run(refcow)
        .exits_with(1)
        .says("error: zero-deletes: holds with limits, expected: holds")
        .says("help: ");
    let report = run::the_run(&finished.stdout);
    // In the article's order, whatever was asked for first.
    let ids: Vec<_> = report.claims.iter().map(|claim| &claim.id[..]).collect();
    assert_eq!(ids, ["refcount-tracks", "zero-deletes"]);
    assert_eq!(report.claims[1].expected, Verdict::Holds);
    place.nothing_remains();
}

#[test]
fn an_explained_claim_shows_figures_rule_and_what_is_left_out() {
    let printed = run::stdout(&["claims", "zero-deletes"]);
    for part in [
        "zero-deletes: holds with limits\n",
        "objects whose count came to zero, with the collector disabled",
        "1,000",
        "does not hold: deleted < objects",
        "What the article leaves out\n",
        "Evidence: observed/deletion.",
    ] {
        // What is too long for 80 columns goes on in the next line.
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            words(&printed).contains(&words(part)),
            "lacks {part:?}:\n{printed}"
        );
    }
}

/// A claim about a fixture that hangs once it was visited, and refcow testing it.
fn claim_that_hangs(place: &Place) -> std::process::Command {
    let fixture = place.fixture_that(When::Visit, "say(os.getpid())\nwhile True: signal.pause()");
    let text = format!(
        "[[claim]]\nid = 'mine'\nstatement = 'It ends.'\nexpected = 'holds'\nleaves_out = 'Nothing.'\n\
         evidence = ['{fixture}/act']\n\
         figures = [{{ name = 'pages', unit = 'pages', is = 'acts.act.pages', means = 'all' }}]\n\
         rules = [{{ when = 'true', verdict = 'holds', decided_by = '{{{{ pages }}}}' }}]\n"
    );
    let file = place.file("claims.toml", &text);
    let mut refcow = place.refcow(["claims", "--python", python(), "--claims", &file]);
    refcow.args(["--children", "1"]);
    refcow
}

#[test]
fn an_interrupted_test_of_claims_leaves_nothing() {
    let place = Place::new();
    let mut running = place.start(claim_that_hangs(&place));
    running.hear();
    running.signal(Signal::INT);
    let finished = running.wait().exits_with(130).says("acts: interrupted");
    assert!(finished.stdout.is_empty(), "{finished}");
    place.nothing_remains();
}

#[test]
fn a_claim_without_its_evidence_says_why_and_the_others_have_their_verdicts() {
    let place = Place::new();
    let mut refcow = claim_that_hangs(&place);
    refcow.args(["--timeout", "4"]);
    let finished = place
        .run(refcow)
        .exits_with(3)
        .says("acts: the child did not finish");
    assert!(
        finished.stdout.is_empty(),
        "nothing was measured: {finished}"
    );
    place.nothing_remains();

    // The same beside a claim that can be tested.
    let other = include_str!("../harness/model/claims/claims.toml");
    let mine = std::fs::read_to_string(place.path("claims.toml")).unwrap();
    let file = place.file("claims.toml", &format!("{other}\n{mine}"));
    let mut refcow = place.refcow(["claims", "mine", "zero-deletes", "--format", "json"]);
    refcow.args(["--claims", &file, "--timeout", "4", "--children", "1"]);
    let finished = place
        .run(refcow)
        .exits_with(3)
        .says("acts: the child did not finish");
    let report = run::the_run(&finished.stdout);
    let [zero, mine] = &report.claims[..] else {
        panic!("{finished}");
    };
    assert_eq!(zero.verdict, Verdict::HoldsWithLimits);
    assert_eq!(mine.verdict, Verdict::NotTestableHere);
    let why = mine.not_testable_because.as_deref().unwrap();
    assert!(why.contains("the child did not finish"), "{why}");
    place.nothing_remains();
}

#[rstest]
#[case::fails(
    "if os.getuid() == 0: os.setuid(65534)\n    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))",
    "fork failed: "
)]
// Functions of C, as a process that only looks runs none of Python's.
#[case::never_comes(
    "before_fork(signal.pause)",
    "the parent did not finish forking within 4 s"
)]
#[case::kills(
    "before_fork(lambda: os.kill(os.getpid(), signal.SIGKILL))",
    "the parent was killed by SIGKILL while forking"
)]
fn a_fork_that_does_not_come_is_not_waited_for(#[case] first: &str, #[case] error: &str) {
    let place = Place::new();
    let fixture = place.file(
        "forkless.py",
        &format!(
            "import ctypes, os, resource, signal\n\
             def before_fork(act):\n    \
                 global kept\n    \
                 kept = ctypes.CFUNCTYPE(None)(act)\n    \
                 ctypes.CDLL(None).__register_atfork(kept, None, None, None)\n\
             def build(count=1, item_bytes=1):\n    {first}\n    return []\n\
             def visit_read(data):\n    pass\n"
        ),
    );
    let claims = include_str!("../harness/model/claims/claims.toml").replace(
        "at_fork = { fixture = \"three_lists\" }",
        &format!("at_fork = {{ fixture = '{fixture}' }}"),
    );
    let file = place.file("claims.toml", &claims);
    let mut refcow = place.refcow_with_packages(["claims", "fork-shares", "--claims", &file]);
    refcow.args(["--python", python(), "--timeout", "4"]);
    place.run(refcow).exits_with(3).says(error);
    place.nothing_remains();
}

#[test]
fn a_block_whose_child_was_killed_too_soon_is_no_fact() {
    let place = Place::new();
    let code = "import os, signal, sys\nsys.path.insert(0, sys.argv[1])\nimport block\n\
                early = lambda name: os.kill(os.getpid(), signal.SIGKILL)\n\
                block.child_ends(early, -signal.SIGKILL)\n";
    let facts = concat!(env!("CARGO_MANIFEST_DIR"), "/python_fixtures/facts");
    let mut command = place.command(python(), ["-B", "-c", code, facts]);
    command.env("REFCOW_SUBJECT", place.name());
    place
        .run(command)
        .exits_with(1)
        .says("a child that attaches to a block ended with -9 too soon");
}

#[test]
fn a_claim_whose_alternative_was_not_measured_says_why() {
    let report = Run {
        alternatives: Vec::new(),
        own_data: Vec::new(),
        warnings: vec![Warning::NotMeasured {
            fixture: "args/spawn".into(),
            visit: None,
            reason: "there was no room".into(),
        }],
        ..report().clone()
    };
    let claims = Claims::builtin();
    let ids = ["saves-memory".to_owned()];
    let judged = claims.judge(&ids, &report, &Expectations::new()).unwrap();
    assert_eq!(
        judged[0].not_testable_because.as_deref(),
        Some("args/spawn: there was no room")
    );
}

#[rstest]
#[case::no_toml("claims", "key")]
#[case::no_claims("x = 1", "unknown field `x`")]
#[case::less_than_a_page(
    "claim = []\nalternatives = { quick = 8, default = 8192, full = 8192 }",
    "4096 bytes or more"
)]
#[case::no_observation(
    "claim = [{ id = 'a', statement = 's', expected = 'holds', leaves_out = 'l', evidence = ['observed/nothing'], \
     figures = [], rules = [{ when = 'true', verdict = 'holds', decided_by = 'd' }] }]",
    "\"observed/nothing\" names no evidence"
)]
#[case::without_its_fixture(
    "claim = [{ id = 'a', statement = 's', expected = 'holds', leaves_out = 'l', evidence = ['observed/at_fork'], \
     figures = [], rules = [{ when = 'true', verdict = 'holds', decided_by = 'd' }] }]",
    "\"observed/at_fork\" names no evidence"
)]
#[case::without_rules(
    "claim = [{ id = 'a', statement = 's', expected = 'holds', leaves_out = 'l', evidence = ['observed/deletion'], \
     figures = [], rules = [] }]",
    "a: the last rule must apply always"
)]
#[case::with_an_unknown_figure(
    "claim = [{ id = 'a', statement = 's', expected = 'holds', leaves_out = 'l', evidence = ['observed/deletion'], \
     figures = [], rules = [{ when = 'b > 1', verdict = 'holds', decided_by = 'd' }] }]",
    "a: \"b > 1\": there is no figure `b`"
)]
#[case::with_a_broken_sentence(
    "claim = [{ id = 'a', statement = 's', expected = 'holds', leaves_out = 'l', evidence = ['observed/deletion'], \
     figures = [], rules = [{ when = 'true', verdict = 'holds', decided_by = '{{ d' }] }]",
    "a: \"{{ d\": syntax error"
)]
#[case::with_a_sentence_without_end(
    &format!(
        "claim = [{{ id = 'a', statement = 's', expected = 'holds', leaves_out = 'l', evidence = ['observed/deletion'], \
         figures = [], rules = [{{ when = 'true', verdict = 'holds', decided_by = '{}x{}' }}] }}]",
        "{% for a in [0, 0, 0, 0, 0, 0, 0, 0, 0, 0] %}".repeat(9),
        "{% endfor %}".repeat(9)
    ),
    "engine ran out of fuel"
)]
fn a_file_of_claims_that_is_none_is_refused(#[case] text: &str, #[case] error: &str) {
    let place = Place::new();
    let file = place.file("claims.toml", text);
    let refcow = place.refcow(["claims", "--claims", &file]);
    place
        .run(refcow)
        .refuses(2, error, "harness/model/claims/claims.toml");
}

#[test]
fn a_block_that_does_not_fit_is_no_verdict_but_a_reason() {
    let place = Place::new();
    let mounts = "mount -t tmpfs -o size=1m none /dev/shm";
    let arguments = ["claims", "shm-reliable", "--quick", "--python", python()];
    match place.refcow_in_mounts(mounts, &arguments) {
        Ok(command) => drop(place.run(command).refuses(
            3,
            "a block of 16777216 bytes does not fit: 1048576 are free",
            "sizes",
        )),
        Err(why) => skipped("a block with too small a /dev/shm", &why),
    }
    place.nothing_remains();
}

#[test]
fn a_figure_that_only_the_sentence_needs_is_missed_too() {
    // As where the kernel tells no memory of all processes.
    let mut figures = figures("saves-memory", &[]);
    figures.remove("read").unwrap();
    let judged = Claims::builtin().find("saves-memory").unwrap();
    let judged = judged.judge(&figures).unwrap();
    assert_eq!(judged.verdict, Verdict::NotTestableHere);
    assert_eq!(judged.lacking.as_deref(), Some("read"));
}

#[test]
fn the_rule_that_applied_is_marked() {
    let report = Report::of(report().clone());
    let style = Style::Terminal {
        width: Some(u16::MAX),
        colours: false,
    };
    for (claim, statement) in report.runs[0]
        .claims
        .iter()
        .zip(&Claims::builtin().statements)
    {
        let text = String::from_utf8(render_claims(&report, &[statement], style)).unwrap();
        let (_, rules) = text
            .split_once("The rule: the first that applies (→)\n")
            .unwrap();
        let rules = rules.lines().take(statement.rules.len());
        let marked: Vec<usize> = rules
            .enumerate()
            .filter(|(_, line)| line.starts_with("  → "))
            .map(|(number, _)| number)
            .collect();
        let judged = statement.judge(&claim.figures).unwrap();
        assert_eq!(marked, Vec::from_iter(judged.rule), "{text}");
    }
    let page = String::from_utf8(render_html(&report, &[]).unwrap()).unwrap();
    assert_eq!(page.matches("This one applied.").count(), 13);
}

#[test]
fn what_holds_is_said_before_any_verdict() {
    let of = |claims: &[Verdict]| {
        let mut run = report().clone();
        run.claims.truncate(claims.len());
        for (claim, verdict) in run.claims.iter_mut().zip(claims) {
            (claim.verdict, claim.expected) = (*verdict, *verdict);
        }
        let style = Style::Terminal {
            width: None,
            colours: false,
        };
        let text = render_claims(&Report::of(run), &[], style);
        let text = String::from_utf8(text).unwrap();
        // Of which article is said first.
        let first = text.lines().find(|line| line.contains(" statement"));
        let first = first.unwrap();
        let (_, said) = first.split_once(": ").unwrap();
        format!("{} {said}", first.split_once(',').unwrap().0)
    };
    use Verdict::{DoesNotHold, Holds, HoldsWithLimits, NotTestableHere};
    assert_eq!(
        of(&[DoesNotHold, Holds, HoldsWithLimits]),
        "3 statements 1 holds, 1 with limits, 1 does not."
    );
    assert_eq!(
        of(&[
            DoesNotHold,
            DoesNotHold,
            Holds,
            Holds,
            HoldsWithLimits,
            HoldsWithLimits
        ]),
        "6 statements 2 hold, 2 with limits, 2 do not."
    );
    assert_eq!(of(&[NotTestableHere]), "1 statement 1 not testable here.");
}

#[test]
fn a_page_that_was_copied_for_a_neighbour_of_the_payload_is_told_apart() {
    let statement = Claims::builtin().find("three-lists").unwrap();
    let decided_by = |neighbours: &str, pages: f64| {
        let replaced = [
            ("share", 0.001),
            ("payload_pages", 96_026.0),
            ("payload_copied", 0.0),
            ("payload_edge", pages),
        ];
        let mut figures = figures("three-lists", &replaced);
        let text = figures.get_mut("neighbours").unwrap();
        text.value = Value::Text(neighbours.into());
        statement.judge(&figures).unwrap().decided_by.unwrap()
    };
    assert!(decided_by("", 0.0).ends_with(", 0 of 96,026 payload pages"));
    let told = decided_by("dict", 1.0);
    assert!(
        told.ends_with(", 0 of 96,026 payload pages; 1 more, for what stands beside them (dict)"),
        "{told}"
    );
}

#[test]
fn what_a_child_copied_for_a_neighbour_is_no_payload_of_the_evidence() {
    let mut run = report().clone();
    let mut changed = 0;
    for measurement in &mut run.measurements {
        for child in &mut measurement.children {
            let copied = child.written.first().cloned();
            let payload = child.regions.iter_mut();
            for region in payload.filter(|region| region.name == RegionName::Payload) {
                let Some(written) = &copied else { continue };
                child.written.push(Written {
                    region: RegionName::Payload,
                    cause: Cause::Refcount,
                    of_type: Some("dict".into()),
                    pages: 1,
                    ..written.clone()
                });
                region.unshared += 1;
                region.causes.as_mut().unwrap().refcount += 1;
                changed += 1;
            }
        }
    }
    assert!(changed > 0);
    let ids = ["three-lists".to_owned()];
    let judged = |run: &Run| {
        let claims = Claims::builtin().judge(&ids, run, &Expectations::new());
        claims.unwrap().remove(0).figures
    };
    let (before, after) = (judged(report()), judged(&run));
    assert_eq!(after["payload_copied"], before["payload_copied"]);
    let pages = |figures: &Figures| match figures["payload_edge"].value {
        Value::Count(pages) => pages,
        _ => panic!("{figures:?}"),
    };
    assert_eq!(pages(&after), pages(&before) + 1);
    let Value::Text(neighbours) = &after["neighbours"].value else {
        panic!("{after:?}");
    };
    assert!(neighbours.contains("dict"), "{neighbours}");
}

#[test]
fn a_dataset_without_pages_tells_nothing() {
    let mut report = report().clone();
    for measurement in &mut report.measurements {
        for child in &mut measurement.children {
            child.regions.clear();
        }
    }
    let ids = ["read-only".to_owned(), "shm-no-copy".to_owned()];
    let expected = Expectations::new();
    let claims = Claims::builtin().judge(&ids, &report, &expected);
    for claim in claims.unwrap() {
        assert_eq!(claim.verdict, Verdict::NotTestableHere, "{claim:#?}");
    }
}
