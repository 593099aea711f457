//! A document says what follows from what it measured, or is refused by whoever reads it.

use refcow::advice;
use refcow::claims::{Claims, Expectations};
use refcow::consistency;
use refcow::model::{self, DocumentError, Report, Run, SecondTrial, TreeBytes, Verdict, Warning};
use rstest::rstest;
use serde_json::{Value, json};

use crate::common::{Place, canned, run};

/// A run with claims and a fact that were judged as refcow judges them.
fn judged(version: &str) -> Run {
    let mut run = canned::run(version);
    let three = ["three-lists".to_owned(), "child-reference".to_owned()];
    let claims = Claims::builtin();
    run.claims = claims.judge(&three, &run, &Expectations::new()).unwrap();
    let facts = Claims::versions();
    let fact = ["small-ints-immortal".to_owned()];
    run.facts = facts.judge_facts(&fact, &run).unwrap();
    assert_eq!(run.claims[0].verdict, Verdict::DoesNotHold);
    run
}

fn edited(place: &str, value: Value) -> Value {
    let mut document = serde_json::to_value(Report::of(judged("3.12.1"))).unwrap();
    *document.pointer_mut(place).unwrap() = value;
    document
}

/// That of a build which knows it: one from an archive does not.
const COMMIT: &str = "0123456789";

fn checked(document: &Value) -> Result<Report, DocumentError> {
    checked_by(Some(COMMIT), document)
}

fn checked_by(commit: Option<&str>, document: &Value) -> Result<Report, DocumentError> {
    let (mut report, _) = model::read(document.to_string().as_bytes())?;
    consistency::check(&mut report, commit)?;
    Ok(report)
}

#[test]
fn what_follows_is_as_it_was() {
    let document = Report::of(judged("3.12.1"));
    let read = checked(&serde_json::to_value(&document).unwrap()).unwrap();
    assert_eq!(read, document);
}

#[rstest]
#[case::a_statement("/runs/0/claims/0/statement", json!("Rust is better than Python."), "claims[0].statement")]
#[case::a_sentence("/runs/0/claims/0/decided_by", json!("all of it copied"), "claims[0].decided_by")]
#[case::a_figure("/runs/0/claims/0/figures/share/value", json!(0.9), "claims[0].figures.share.value")]
#[case::a_unit("/runs/0/claims/0/figures/share/unit", json!("bytes"), "claims[0].figures.share.unit")]
#[case::a_verdict("/runs/0/claims/0/verdict", json!("holds"), "claims[0].verdict")]
#[case::why_not("/runs/0/claims/1/not_testable_because", json!("no time"), "claims[1].not_testable_because")]
#[case::the_evidence("/runs/0/claims/1/evidence/0", json!("ints/read"), "claims[1].evidence")]
#[case::a_fact("/runs/0/facts/0/statement", json!("All is shared."), "facts[0].statement")]
#[case::a_source("/runs/0/facts/0/source", json!("PEP 1"), "facts[0].source")]
// The pages of a measurement that a claim rests on, with all that they are in there.
#[case::pages("/runs/0/measurements/3/children/0/regions/0/pages", json!(125), "claims[0].decided_by: \"0.13 %")]
fn a_claim_that_does_not_follow_is_refused_by_every_command_with_its_place(
    #[case] place: &str,
    #[case] value: Value,
    #[case] said: &str,
) {
    let document = edited(place, value);
    let error = checked(&document).unwrap_err().to_string();
    assert!(
        error.contains(&format!("it contradicts itself: runs[0].{said}")),
        "{error}"
    );
    let folder = Place::new();
    let file = folder.file("run.json", &document.to_string());
    let out = folder.path("out").display().to_string();
    for command in [
        &["report", &file, "--output", &out][..],
        &["compare", &file, &file],
        &["merge", &file],
        &["reproduce", &file],
    ] {
        let finished = folder.run(folder.refcow(command));
        finished.refuses(2, &format!("runs[0].{said}"), "measure again");
    }
    assert!(!folder.path("out").exists());
}

#[rstest]
#[case::of_other_rules(Some("0".repeat(64)))]
#[case::of_an_older_refcow(None)]
fn claims_of_other_rules_are_marked_as_the_documents_own_words(#[case] rules: Option<String>) {
    let mut run = judged("3.12.1");
    let claim = &mut run.claims[0];
    claim.statement = "Lists are large.".into();
    claim.rules_sha256 = rules;
    // It says what follows, by whatever rules.
    run.claims[1].rules_sha256 = None;
    run.facts[0].id = "of-tomorrow".into();
    let document = serde_json::to_value(Report::of(run)).unwrap();
    let report = checked(&document).unwrap();
    let marked = Warning::OtherRules {
        of: vec!["three-lists".into(), "of-tomorrow".into()],
    };
    assert_eq!(report.runs[0].warnings.last(), Some(&marked));
    // As often as it is read.
    let again = checked(&serde_json::to_value(&report).unwrap()).unwrap();
    assert_eq!(again, report);
    let place = Place::new();
    let file = place.file("run.json", &document.to_string());
    for format in ["markdown", "html"] {
        let page = run::stdout(&["report", &file, "--format", format]);
        let words = "does not have the rules that judged three-lists, of-tomorrow";
        assert!(page.replace('\\', "").contains(words), "{page}");
    }
}

#[test]
fn a_mark_that_was_taken_away_comes_back() {
    let mut run = judged("3.12.1");
    run.claims[0].id = "of-tomorrow".into();
    let mark = |report: &Report| report.runs[0].warnings.clone();
    let mut report = Report::of(run);
    assert!(
        !mark(&report)
            .iter()
            .any(|one| matches!(one, Warning::OtherRules { .. }))
    );
    consistency::check(&mut report, Some(COMMIT)).unwrap();
    assert!(
        mark(&report)
            .iter()
            .any(|one| matches!(one, Warning::OtherRules { .. }))
    );
}

/// What this very build of refcow writes.
fn of_this_build(mut run: Run) -> Report {
    run.environment.refcow_version = env!("CARGO_PKG_VERSION").into();
    run.environment.refcow_commit = Some(COMMIT.into());
    Report::of(run)
}

fn with_ways_and_advice() -> Run {
    let mut run = canned::run_with_advice("3.12.1");
    run.alternatives = canned::alternatives();
    run.alternatives.truncate(1);
    for one in &mut run.advice {
        let mut remedies = std::mem::take(&mut one.remedies);
        advice::rank(one, &mut remedies);
        one.remedies = remedies;
    }
    run
}

#[rstest]
#[case::a_finding("/runs/0/advice/0/finding", json!("Rewrite it in Rust."), "advice[0].finding: \"")]
#[case::of_nothing("/runs/0/advice/2/finding", json!("Nothing."), "advice[2].finding: \"")]
#[case::noise("/runs/0/advice/0/noise_bytes", json!(1), "advice[0].noise_bytes")]
#[case::a_title("/runs/0/alternatives/0/title", json!("by magic"), "alternatives[0].title: refcow calls list")]
#[case::a_way("/runs/0/alternatives/0/way", json!("magic"), "alternatives[0].way: refcow has no way magic")]
#[case::contents("/runs/0/alternatives/0/contents", json!("bitarrays"), "alternatives[0].contents")]
fn words_of_this_build_must_be_its_own(
    #[case] place: &str,
    #[case] value: Value,
    #[case] said: &str,
) {
    let report = of_this_build(with_ways_and_advice());
    let mut document = serde_json::to_value(&report).unwrap();
    assert_eq!(checked(&document).unwrap(), report);
    *document.pointer_mut(place).unwrap() = value;
    let error = checked(&document).unwrap_err().to_string();
    assert!(error.contains(said), "{error}");
}

#[test]
fn what_the_data_took_more_the_second_time_is_noise_too() {
    let mut run = with_ways_and_advice();
    let advice = &mut run.advice[0];
    let tree = advice.tree.unwrap();
    let again = advice.measured_again.as_ref().unwrap().tree.unwrap();
    advice.remedies[0].second = Some(SecondTrial {
        as_it_is: TreeBytes {
            end: tree.end + 150_000,
            peak: tree.peak + 150_000,
        },
        tree: again,
    });
    advice.tree_noise_bytes = Some(300_000);
    let mut remedies = std::mem::take(&mut advice.remedies);
    advice::rank(advice, &mut remedies);
    advice.remedies = remedies;
    let as_it_is = advice.measurement(&run.measurements, None).unwrap();
    advice.finding = advice::finding(advice, as_it_is, 4096);
    let report = of_this_build(run);
    let mut document = serde_json::to_value(&report).unwrap();
    assert_eq!(checked(&document).unwrap(), report);
    document["runs"][0]["advice"][0]["tree_noise_bytes"] = json!(300_001);
    let error = checked(&document).unwrap_err().to_string();
    assert!(error.contains("advice[0].tree_noise_bytes"), "{error}");
}

#[rstest]
#[case::of_another_version("0.0.9", Some(COMMIT), Some(COMMIT))]
#[case::of_another_commit(env!("CARGO_PKG_VERSION"), Some("9876543210"), Some(COMMIT))]
#[case::of_none(env!("CARGO_PKG_VERSION"), None, Some(COMMIT))]
#[case::of_which_neither_knows_its_commit(env!("CARGO_PKG_VERSION"), None, None)]
fn words_of_another_build_give_way_to_those_of_this(
    #[case] version: &str,
    #[case] of: Option<&str>,
    #[case] this: Option<&str>,
) {
    let mut run = with_ways_and_advice();
    let right = run.clone();
    run.environment.refcow_version = version.into();
    run.environment.refcow_commit = of.map(Into::into);
    run.advice[0].finding = "Best of all: arrays.".into();
    run.alternatives[0].title = "a list".into();
    let document = serde_json::to_value(Report::of(run)).unwrap();
    let read = checked_by(this, &document).unwrap();
    assert_eq!(read.runs[0].advice, right.advice);
    assert_eq!(read.runs[0].alternatives, right.alternatives);
}

#[rstest]
#[case::of_faults("cross_checks/faults_minus_unshared", json!(7), "faults_minus_unshared: 7, but 1 follows")]
#[case::the_faults("minor_faults", json!(7), "faults_minus_unshared: 1, but 7 follows")]
#[case::of_the_uss("cross_checks/uss_pages_minus_unshared", json!(3), "uss_pages_minus_unshared: 3, but nothing follows")]
fn cross_checks_follow_from_what_they_check(
    #[case] field: &str,
    #[case] value: Value,
    #[case] said: &str,
) {
    let mut document = serde_json::to_value(Report::of(canned::run("3.12.1"))).unwrap();
    let (parent, name) = field.rsplit_once('/').unwrap_or(("", field));
    let child = document
        .pointer_mut("/runs/0/measurements/0/children/1")
        .unwrap();
    let parent = match parent {
        "" => child,
        parent => &mut child[parent],
    };
    parent[name] = value;
    let error = model::read(document.to_string().as_bytes()).unwrap_err();
    let place = "runs[0].measurements[0].children[1].cross_checks.";
    assert!(
        error.to_string().contains(&format!("{place}{said}")),
        "{error}"
    );
}

#[rstest]
#[case::fork_more(0, 5_000)]
#[case::fork_fewer(0, 4_000)]
#[case::spawn(1, 0)]
fn a_child_copies_no_other_pages_than_it_has(#[case] way: usize, #[case] copied: i64) {
    let mut run = canned::run("3.12.1");
    run.alternatives = canned::alternatives();
    let report = Report::of(run);
    let mut document = serde_json::to_value(&report).unwrap();
    assert_eq!(
        model::read(document.to_string().as_bytes()).unwrap().0,
        report
    );
    document["runs"][0]["alternatives"][way]["children"][1]["copied_pages"] = json!(copied);
    let error = model::read(document.to_string().as_bytes()).unwrap_err();
    let place =
        format!("runs[0].alternatives[{way}].children[1].copied_pages: {copied}, but it has");
    assert!(error.to_string().contains(&place), "{error}");
}

#[test]
fn a_build_without_the_gil_was_not_measured() {
    let mut document = edited("/runs/0/python/free_threaded", json!(true));
    for (build, why) in [
        (
            json!("3.12.1 (main) [GCC]"),
            "true, but `build` says otherwise",
        ),
        (
            json!(null),
            "true, but refcow builds no data without the GIL",
        ),
    ] {
        document["runs"][0]["python"]["build"] = build;
        let error = checked(&document).unwrap_err().to_string();
        let what = format!("runs[0].python.free_threaded: {why}");
        assert!(error.contains(&what), "{error}");
    }
}

/// Of such a build there is what needs no data, and nothing that is known of others.
#[test]
fn facts_of_a_build_without_the_gil_are_its_own() {
    let mut run = canned::run("3.13.5");
    run.python.free_threaded = true;
    run.python.build = Some("3.13.5 experimental free-threading build (main) [GCC]".into());
    run.measurements.clear();
    run.facts = Claims::versions().judge_facts(&[], &run).unwrap();
    let own = Claims::versions().facts.iter();
    let own = own.filter(|fact| fact.free_threaded).map(|fact| &fact.id);
    let ids = run.facts.iter().map(|fact| &fact.id);
    assert!(ids.eq(own) && !run.facts.is_empty());
    let other = ["size-of-zero".to_owned()];
    let other = Claims::versions().judge_facts(&other, &run).unwrap();
    let why = other[0].not_testable_because.as_deref();
    assert_eq!(why, Some("it is about builds with the GIL"));
    let document = serde_json::to_value(Report::of_all(vec![run], Vec::new())).unwrap();
    let read = checked(&document).unwrap();
    assert_eq!(read.runs[0].python.title(), "3.13.5t");
}

/// A visit may have any name, and so may a preparation.
#[test]
fn evidence_of_any_names_harms_nobody() {
    let mut run = judged("3.12.1");
    run.claims.truncate(1);
    let mut prepared = run.measurements[0].clone();
    prepared.visit = "prepared".into();
    let mut share = run.measurements[0].clone();
    share.prepare = Some("pages".into());
    run.measurements.extend([prepared, share]);
    let report = Report::of(run);
    let read = checked(&serde_json::to_value(&report).unwrap()).unwrap();
    assert_eq!(read.runs[0].claims, report.runs[0].claims);
}

/// Data of two sizes, of one interpreter: which of them a claim of one run rests on is told by its
/// run.
#[test]
fn runs_stay_apart_where_a_claim_would_come_to_rest_on_other_data() {
    let place = Place::new();
    let claims = judged("3.12.1");
    let mut other = canned::run("3.12.1");
    for measurement in &mut other.measurements {
        measurement.count = Some(9);
        for child in &mut measurement.children {
            child.regions[1].pages += 1;
        }
    }
    let write = |name: &str, run: &Run| {
        place.file(
            name,
            &serde_json::to_string(&Report::of(run.clone())).unwrap(),
        )
    };
    let files = [write("claims.json", &claims), write("other.json", &other)];
    let merged = |one: usize, two: usize| {
        run::report(&run::stdout(&[
            "merge",
            &files[one],
            &files[two],
            "--format",
            "json",
        ]))
    };
    // What comes first is what claims rest on.
    assert_eq!(merged(0, 1).runs.len(), 1);
    let apart = merged(1, 0);
    assert_eq!(apart.runs.len(), 2);
    assert_eq!(apart.runs[1].claims, claims.claims);
    let mut read = apart.clone();
    consistency::check(&mut read, Some(COMMIT)).unwrap();
    assert_eq!(read, apart);
}
