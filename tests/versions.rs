//! What is known of versions of Python: that it is so on each, and that none of it is foregone.

use refcow::claims::{Claims, FactStatement, Figures};
use refcow::model::{Fact, Figure, Outcome, Run, Value, Version};
use rstest::rstest;

use crate::common::{Place, by_python, python, run};

/// All facts, put to the test once for all tests here.
fn run_of(python: &str) -> &'static Run {
    static RUNS: by_python::MeasuredOnce<Run> = by_python::MeasuredOnce::new();
    RUNS.of(python, || {
        let arguments = ["facts", "--format", "json", "--python", python];
        run::the_run(&run::stdout(&arguments))
    })
}

fn facts() -> &'static [FactStatement] {
    &Claims::versions().facts
}

fn fact(id: &str) -> &'static FactStatement {
    facts().iter().find(|fact| fact.id == id).unwrap()
}

#[rstest]
fn every_fact_is_as_predicted(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "all facts", |interpreter| {
        let run = run_of(by_python::path(interpreter));
        let with_gil = facts().iter().filter(|fact| !fact.free_threaded);
        assert_eq!(run.facts.len(), with_gil.count());
        for fact in &run.facts {
            // Where there is no interpreter before 3.8 that could lack it.
            let older = fact.figures.get("older").map(|figure| &figure.value);
            if fact.id == "shared-memory" && older == Some(&Value::Count(0)) {
                assert_eq!(fact.outcome, Outcome::NotTestableHere, "{fact:#?}");
                continue;
            }
            assert_eq!(fact.outcome, Outcome::AsPredicted, "{fact:#?}");
            let known = &Claims::versions().facts;
            let known = known.iter().find(|known| known.id == fact.id).unwrap();
            for figure in &known.figures {
                // There is no such parameter before 3.13.
                if figure.name == "outlives_untracked" {
                    continue;
                }
                assert!(fact.figures.contains_key(&figure.name), "{fact:#?}");
            }
        }
    });
}

/// The figures that a fact had with the default interpreter, with some of them replaced.
fn figures(id: &str, other: &[(&str, Value)]) -> Figures {
    let run = run_of(python());
    let found: &Fact = run.facts.iter().find(|fact| fact.id == id).unwrap();
    let mut figures = found.figures.clone();
    for (name, value) in other {
        let mut rules = fact(id).figures.iter();
        let rule = rules.find(|rule| rule.name == *name);
        let unit = rule
            .unwrap_or_else(|| panic!("{id} has no figure {name}"))
            .unit;
        let value = value.clone();
        figures.insert((*name).to_owned(), Figure { value, unit });
    }
    figures
}

fn outcome(id: &str, version: &str, figures: &Figures) -> Outcome {
    let version: Version = version.parse().unwrap();
    fact(id).judge(figures, &version).unwrap().0
}

/// A version before a fact's change and one after it, and figures as each has them.
type NamedFigure<'a> = (&'a str, Value);
type ChangeSide<'a> = (&'a str, &'a [NamedFigure<'a>]);

/// What is found on one side of a change is not what is predicted for the other, and the other way
/// round.
#[test]
fn no_prediction_is_foregone() {
    use Value::{Count, Text, Truth};
    let cases: &[(&str, ChangeSide<'_>, ChangeSide<'_>)] = &[
        (
            "small-ints-immortal",
            (
                "3.11.7",
                &[
                    ("iterated", Count(3)),
                    ("summed", Count(3)),
                    ("rise_of_none", Count(1000)),
                    ("rise_of_true", Count(1000)),
                    ("rise_of_small_int", Count(1000)),
                ],
            ),
            (
                "3.12.0",
                &[
                    ("iterated", Count(0)),
                    ("summed", Count(0)),
                    ("rise_of_none", Count(0)),
                    ("rise_of_true", Count(0)),
                    ("rise_of_small_int", Count(0)),
                ],
            ),
        ),
        (
            "small-ints-to-1024",
            ("3.14.10", &[("kept", Count(256))]),
            ("3.15.0", &[("kept", Count(1024))]),
        ),
        (
            "interned-strings-immortal",
            ("3.11.7", &[("pages", Count(400)), ("copied", Count(400))]),
            ("3.12.6", &[("pages", Count(315)), ("copied", Count(0))]),
        ),
        (
            "interned-strings-immortal",
            ("3.12.6", &[("pages", Count(315)), ("copied", Count(0))]),
            ("3.12.7", &[("pages", Count(315)), ("copied", Count(315))]),
        ),
        (
            "arrays-tracked",
            (
                "3.9.18",
                &[
                    ("pages", Count(64)),
                    ("collected", Count(1)),
                    ("iterated", Count(64)),
                    ("array", Count(64)),
                ],
            ),
            (
                "3.10.0",
                &[
                    ("pages", Count(79)),
                    ("collected", Count(79)),
                    ("iterated", Count(79)),
                    ("array", Count(80)),
                ],
            ),
        ),
        (
            "dicts-tracked",
            (
                "3.13.9",
                &[
                    ("pages", Count(315)),
                    ("collected", Count(5)),
                    ("disabled", Count(5)),
                ],
            ),
            (
                "3.14.0",
                &[
                    ("pages", Count(315)),
                    ("collected", Count(315)),
                    ("disabled", Count(315)),
                ],
            ),
        ),
        (
            "tuples-never-tracked",
            (
                "3.14.0",
                &[
                    ("of_list", Truth(true)),
                    ("of_display", Truth(true)),
                    ("of_tuples", Truth(true)),
                ],
            ),
            (
                "3.14.1",
                &[
                    ("of_list", Truth(false)),
                    ("of_display", Truth(false)),
                    ("of_tuples", Truth(false)),
                ],
            ),
        ),
        (
            "gc-threshold",
            ("3.12.9", &[("threshold", Count(700))]),
            ("3.13.0", &[("threshold", Count(2000))]),
        ),
        (
            "gc-between-bytecodes",
            ("3.11.9", &[("within", Count(14))]),
            ("3.12.0", &[("within", Count(0))]),
        ),
        (
            "pickle-references",
            (
                "3.10.5",
                &[
                    ("ints", Count(2)),
                    ("floats", Count(2)),
                    ("strings", Count(20_000)),
                    ("string_pages", Count(20_000)),
                ],
            ),
            (
                "3.10.6",
                &[
                    ("ints", Count(7_844)),
                    ("int_pages", Count(7_844)),
                    ("floats", Count(7_844)),
                    ("float_pages", Count(7_844)),
                ],
            ),
        ),
        (
            "tuple-caches-hash",
            (
                "3.13.9",
                &[
                    ("copied", Count(480)),
                    ("identical", Count(482)),
                    ("tuple", Count(40)),
                ],
            ),
            (
                "3.14.0",
                &[
                    ("copied", Count(480)),
                    ("identical", Count(9)),
                    ("tuple", Count(48)),
                ],
            ),
        ),
        (
            "arenas",
            (
                "3.9.18",
                &[
                    ("arena", Count(262_144)),
                    ("pool", Count(4_096)),
                    ("ints", Count(7_937)),
                ],
            ),
            (
                "3.10.0",
                &[
                    ("arena", Count(1_048_576)),
                    ("pool", Count(16_384)),
                    ("ints", Count(7_844)),
                ],
            ),
        ),
        (
            "arenas-ask-for-huge-pages",
            ("3.14.10", &[("asks", Truth(false))]),
            ("3.15.0", &[("asks", Truth(true))]),
        ),
        (
            "strings-smaller",
            (
                "3.11.7",
                &[
                    ("header", Count(49)),
                    ("pages", Count(20_000)),
                    ("copied", Count(20_000)),
                ],
            ),
            (
                "3.12.0",
                &[
                    ("header", Count(41)),
                    ("pages", Count(15_690)),
                    ("copied", Count(15_690)),
                ],
            ),
        ),
        (
            "instance-layout",
            (
                "3.10.13",
                &[
                    ("touched", Count(633)),
                    ("read", Count(2_833)),
                    ("tables", Count(473)),
                    ("instance", Count(48)),
                    ("before", Count(16)),
                ],
            ),
            (
                "3.11.0",
                &[
                    ("touched", Count(705)),
                    ("read", Count(2_586)),
                    ("tables", Count(479)),
                    ("instance", Count(56)),
                    ("before", Count(32)),
                ],
            ),
        ),
        (
            "instance-layout",
            (
                "3.12.9",
                &[
                    ("touched", Count(630)),
                    ("read", Count(2_514)),
                    ("tables", Count(486)),
                    ("instance", Count(48)),
                    ("before", Count(32)),
                ],
            ),
            (
                "3.13.0",
                &[
                    ("touched", Count(1_039)),
                    ("read", Count(2_922)),
                    ("tables", Count(80)),
                    ("instance", Count(48)),
                    ("before", Count(32)),
                ],
            ),
        ),
        (
            "size-of-zero",
            ("3.11.1", &[("zero", Count(24))]),
            ("3.11.2", &[("zero", Count(28))]),
        ),
        (
            "start-method",
            (
                "3.13.9",
                &[
                    ("method", Text("fork".into())),
                    ("shared", Count(4_094)),
                    ("list_shared", Count(4_094)),
                ],
            ),
            (
                "3.14.0",
                &[
                    ("method", Text("forkserver".into())),
                    ("shared", Count(0)),
                    ("list_shared", Count(0)),
                ],
            ),
        ),
        (
            "shared-memory-track",
            (
                "3.12.9",
                &[
                    ("track", Truth(false)),
                    ("outlives", Truth(false)),
                    ("outlives_untracked", Truth(false)),
                ],
            ),
            (
                "3.13.0",
                &[
                    ("track", Truth(true)),
                    ("outlives", Truth(false)),
                    ("outlives_untracked", Truth(true)),
                ],
            ),
        ),
        (
            "fork-warning",
            ("3.11.9", &[("beside", Truth(false))]),
            ("3.12.0", &[("beside", Truth(true))]),
        ),
        (
            "fork-warning-raised",
            ("3.14.10", &[("raised", Truth(false))]),
            ("3.15.0", &[("raised", Truth(true))]),
        ),
    ];
    for (id, (before, old), (after, new)) in cases {
        let (old, new) = (figures(id, old), figures(id, new));
        assert_eq!(outcome(id, before, &old), Outcome::AsPredicted, "{id}");
        assert_eq!(outcome(id, after, &new), Outcome::AsPredicted, "{id}");
        assert_eq!(outcome(id, after, &old), Outcome::Otherwise, "{id}");
        assert_eq!(outcome(id, before, &new), Outcome::Otherwise, "{id}");
    }
    // Each fact that has changed is among them, with each of its changes but the twelfth of the
    // instances' layout.
    for fact in facts() {
        let steps = cases.iter().filter(|(id, ..)| *id == fact.id).count();
        let changes = fact.changes().count();
        assert!(steps >= changes.min(2), "{}: {steps} of {changes}", fact.id);
    }

    // What is so on every version, and would not be.
    for (id, figure) in [
        ("counts-are-written", "ints"),
        ("tuples-untracked", "lists"),
        ("freeze", "iterated"),
    ] {
        let figures = figures(id, &[(figure, Count(0))]);
        assert_eq!(outcome(id, "3.12.1", &figures), Outcome::Otherwise, "{id}");
    }
    for (id, figure) in [
        ("tuples-untracked", "tuples"),
        ("freeze", "frozen_objects"),
        ("untracked-types", "floats"),
        ("header-sizes", "gc_header"),
        ("shared-memory", "older_with_blocks"),
    ] {
        let figures = figures(id, &[(figure, Count(900))]);
        assert_eq!(outcome(id, "3.12.1", &figures), Outcome::Otherwise, "{id}");
    }
}

#[test]
fn a_figure_that_is_not_there_is_no_outcome_but_a_reason() {
    let mut run = run_of(python()).clone();
    run.observations.retain(|one| one.name != "sizes");
    let ids = ["size-of-zero".to_owned()];
    let judged = Claims::versions().judge_facts(&ids, &run).unwrap();
    assert_eq!(judged[0].outcome, Outcome::NotTestableHere);
    assert_eq!(
        judged[0].not_testable_because.as_deref(),
        Some("not to be had here: zero")
    );
}

#[test]
fn the_data_of_the_facts_is_whole() {
    for fact in facts() {
        let id = &fact.id;
        assert!(fact.statement.ends_with(['.', ')']), "{id}");
        assert!(!fact.source.is_empty(), "{id}");
        assert!(
            !fact.evidence.is_empty() && !fact.figures.is_empty(),
            "{id}"
        );
    }
    let mut ids: Vec<_> = facts().iter().map(|fact| &fact.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), facts().len());
}

/// The document that shows the facts' figures is made by a command; that it is of these facts can
/// be told.
#[test]
fn the_document_has_every_fact() {
    let document = include_str!("../docs/versions.md");
    let headings: Vec<_> = document
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter(|heading| *heading != "Changes")
        .collect();
    let ids: Vec<_> = facts().iter().map(|fact| &fact.id[..]).collect();
    assert_eq!(headings, ids, "docs/versions.md says how it is made anew");
    for fact in facts() {
        assert!(document.contains(&fact.statement), "{}", fact.id);
        assert!(document.contains(&fact.source), "{}", fact.id);
    }
}

#[test]
fn a_fact_that_is_otherwise_is_status_1_with_the_report_whole() {
    let place = Place::new();
    let facts = include_str!("../harness/model/claims/versions.toml")
        .replace("when = \"gc_header == 16", "when = \"gc_header == 17");
    let file = place.file("facts.toml", &facts);
    let mut refcow = place.refcow(["facts", "header-sizes", "--format", "json"]);
    refcow.args(["--facts", &file, "--python", python()]);
    let finished = place
        .run(refcow)
        .exits_with(1)
        .says("error: header-sizes: not as predicted: 16 bytes")
        .says("help: ");
    let run = run::the_run(&finished.stdout);
    assert_eq!(run.facts[0].outcome, Outcome::Otherwise);
    place.nothing_remains();
}

#[rstest]
#[case::unknown_fact(&["facts", "small-int-immortal"], "refcow knows no fact `small-int-immortal`", "did you mean `small-ints-immortal`?")]
#[case::unknown_file(&["facts", "--facts", "no-such-file"], "No such file", "--claims")]
fn bad_input_is_refused(#[case] arguments: &[&str], #[case] error: &str, #[case] help: &str) {
    let place = Place::new();
    place.run(place.refcow(arguments)).refuses(2, error, help);
}
