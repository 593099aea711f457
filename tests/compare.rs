//! Comparing and merging documents, and baselines: on canned documents, and once for real.

use std::collections::BTreeMap;
use std::fs;

use refcow::claims::Claims;
use refcow::compare::{FixtureOrVisit, Renamed, TOLERANCE, compare};
use refcow::model::{
    self, Comparison, Fact, Fate, Memory, OnTheWay, Outcome, PageMap, Peak, RegionName, Report,
    Row, RowKey, RowValue, Run, Source, Status, Tolerance, Verdict, VisitBytes,
};
use refcow::report::{self, Format, Style};
use rstest::rstest;
use serde_json::{Value, json};

use crate::common::{Place, canned, run};

/// All rows, those that explain others too.
fn rows(comparison: &Comparison) -> impl Iterator<Item = &Row> {
    comparison.compared.iter().flat_map(|runs| &runs.rows)
}

fn compared(base: &Report, new: &Report) -> Comparison {
    compare(base, new, TOLERANCE, &[], Claims::versions())
}

/// The canned run, with so many unshared header pages of the first dataset's `iterate`.
fn with_unshared(version: &str, unshared: u64) -> Run {
    with_pages(version, unshared, unshared.max(121))
}

/// The same, of so many pages.
fn with_pages(version: &str, unshared: u64, pages: u64) -> Run {
    let mut run = canned::run(version);
    for measurement in &mut run.measurements {
        if measurement.fixture == "three_lists" && measurement.visit == "iterate" {
            for child in &mut measurement.children {
                canned::without_causes(child);
                let header = child
                    .regions
                    .iter_mut()
                    .find(|region| region.name == RegionName::Header)
                    .unwrap();
                header.unshared = unshared;
                header.pages = pages;
                header.identical = None;
                canned::with_faults(child);
            }
        }
    }
    run
}

fn header_of_iterate(comparison: &Comparison) -> &Row {
    let wanted = |row: &&Row| {
        row.key.subject() == "three_lists/iterate" && row.key.region() == Some(RegionName::Header)
    };
    let mut rows = comparison.compared.iter().flat_map(|runs| &runs.rows);
    rows.find(wanted).unwrap()
}

/// What a visit of three lists costs.
fn cost_of<'a>(comparison: &'a Comparison, visit: &str) -> &'a Row {
    let subject = format!("three_lists/{visit}");
    let mut judged = comparison.judged();
    judged.find(|row| row.key.subject() == subject).unwrap()
}

/// The comparison as a terminal of 80 columns shows it.
fn in_words(comparison: &Comparison) -> String {
    let style = Style::Terminal {
        width: Some(80),
        colours: false,
    };
    String::from_utf8(report::render_comparison(comparison, style)).unwrap()
}

/// A status of what is judged, and of a row that explains it.
fn explained(status: Status) -> Status {
    match status {
        Status::Regressed => Status::More,
        Status::Improved => Status::Fewer,
        status => status,
    }
}

#[rstest]
#[case::the_same(121, 121, Status::Unchanged)]
#[case::one_page_more(121, 122, Status::Regressed)]
#[case::one_page_less(121, 120, Status::Improved)]
fn on_one_machine_and_one_build_every_page_counts(
    #[case] base: u64,
    #[case] new: u64,
    #[case] status: Status,
) {
    let base = Report::of(with_unshared("3.12.1", base));
    let new = Report::of(with_unshared("3.12.1", new));
    let comparison = compared(&base, &new);
    assert!(comparison.compared[0].differs.is_empty());
    assert_eq!(cost_of(&comparison, "iterate").status, status);
    assert_eq!(header_of_iterate(&comparison).status, explained(status));
}

#[rstest]
#[case::few_pages(121, 137, Status::WithinNoise)]
#[case::more_pages(121, 138, Status::Regressed)]
#[case::less(121, 104, Status::Improved)]
#[case::two_per_cent(10_000, 10_200, Status::WithinNoise)]
#[case::more_than_that(10_000, 10_201, Status::Regressed)]
fn between_builds_there_is_noise(#[case] base: u64, #[case] new: u64, #[case] status: Status) {
    let base = Report::of(with_unshared("3.12.1", base));
    let mut other = with_unshared("3.12.1", new);
    other.python.build = Some("3.12.1 (another build)".into());
    let new = Report::of(other);
    let comparison = compared(&base, &new);
    assert_eq!(comparison.compared[0].differs, ["build of Python"]);
    assert_eq!(cost_of(&comparison, "iterate").status, status);
    assert_eq!(header_of_iterate(&comparison).status, explained(status));
    // Whoever wants none of it says so.
    let strict = compare(&base, &new, Tolerance::EXACT, &[], Claims::versions());
    let expected = match new.runs[0].measurements == base.runs[0].measurements {
        true => Status::Unchanged,
        false if status == Status::Improved => Status::Improved,
        false => Status::Regressed,
    };
    assert_eq!(cost_of(&strict, "iterate").status, expected);
}

type Change = (&'static str, fn(&mut Run));

#[rstest]
#[case::all_to_none((3, 3), (0, 4), Status::Improved)]
#[case::none_to_all((0, 3), (4, 4), Status::Regressed)]
#[case::some_to_none((2, 3), (0, 3), Status::WithinNoise)]
#[case::a_single_page((1, 1), (0, 1), Status::WithinNoise)]
fn all_or_nothing_is_no_noise(
    #[case] base: (u64, u64),
    #[case] new: (u64, u64),
    #[case] status: Status,
) {
    let base = Report::of(with_pages("3.11.7", base.0, base.1));
    let new = Report::of(with_pages("3.12.1", new.0, new.1));
    let comparison = compared(&base, &new);
    assert_eq!(header_of_iterate(&comparison).status, explained(status));
    // So few pages are no change of what a worker pays.
    assert_eq!(cost_of(&comparison, "iterate").status, Status::WithinNoise);
}

/// What may differ between two runs besides their figures.
fn changes() -> Vec<Change> {
    vec![
        ("packages", |run| {
            run.environment
                .packages
                .insert("numpy".into(), "1.0".into());
        }),
        ("refcow", |run| {
            run.environment.refcow_version = "9.0.0".into()
        }),
        ("architecture", |run| {
            run.environment.architecture = "aarch64".into()
        }),
        ("kernel", |run| run.environment.kernel = "9.9".into()),
        ("machine", |run| run.environment.memory_total_bytes += 1),
        ("addresses (random in each run)", |run| {
            run.warnings.push(model::Warning::AddressesRandom);
        }),
    ]
}

#[test]
fn what_differs_between_two_runs_is_named() {
    let base = Report::of(canned::run("3.12.1"));
    for (what, change) in changes() {
        let mut other = canned::run("3.12.1");
        change(&mut other);
        let comparison = compared(&base, &Report::of(other));
        assert_eq!(comparison.compared[0].differs, [what]);
    }
    // How much memory was free is nobody's difference.
    let mut other = canned::run("3.12.1");
    other.environment.memory_available_bytes /= 2;
    assert!(
        compared(&base, &Report::of(other)).compared[0]
            .differs
            .is_empty()
    );
}

#[rstest]
#[case::page_size(
    |run: &mut Run| run.environment.page_size_bytes = 16_384,
    "pages of 4096 and of 16384 bytes"
)]
#[case::huge_pages(
    |run: &mut Run| run.environment.transparent_huge_pages.disabled_in_subject = false,
    "huge pages: off and madvise"
)]
fn other_circumstances_are_not_compared(#[case] change: fn(&mut Run), #[case] because: &str) {
    let base = Report::of(canned::run("3.12.1"));
    let mut other = canned::run("3.12.1");
    change(&mut other);
    let comparison = compared(&base, &Report::of(other));
    for row in [
        cost_of(&comparison, "iterate"),
        header_of_iterate(&comparison),
    ] {
        assert_eq!(row.status, Status::NotComparable);
        assert_eq!(row.because.as_deref(), Some(because));
    }
    assert_eq!(comparison.count(Status::Regressed), 0);
}

#[test]
fn a_worker_pays_the_same_beside_fewer_others_and_all_together_less() {
    let base = Report::of(canned::run("3.12.1"));
    let mut alone = canned::run("3.12.1");
    for measurement in &mut alone.measurements {
        measurement.children.truncate(1);
    }
    let comparison = compared(&base, &Report::of(alone));
    assert_eq!(cost_of(&comparison, "iterate").status, Status::Unchanged);
    // Which regions its pages are in is another matter.
    let header = header_of_iterate(&comparison);
    assert_eq!(header.because.as_deref(), Some("2 and 1 children"));
    let shown = in_words(&comparison);
    assert!(shown.contains("three_lists/iterate 516 KiB"), "{shown}");
}

#[test]
fn what_only_one_has_is_told() {
    let mut base = canned::run("3.12.1");
    let mut new = canned::run("3.12.1");
    base.measurements.retain(|one| one.visit != "read");
    new.measurements.retain(|one| one.visit != "idle");
    let comparison = compared(&Report::of(base), &Report::of(new));
    let of = |status| {
        let rows = rows(&comparison).filter(|row| row.status == status);
        rows.map(|row| row.key.subject()).collect::<Vec<_>>()
    };
    assert!(
        of(Status::OnlyInBase)
            .iter()
            .all(|name| name.ends_with("/idle"))
    );
    assert!(
        of(Status::OnlyInNew)
            .iter()
            .all(|name| name.ends_with("/read"))
    );
    assert!(!of(Status::OnlyInBase).is_empty() && !of(Status::OnlyInNew).is_empty());
}

#[rstest]
#[case::holds_still((Verdict::Holds, Verdict::Holds), (Verdict::Holds, Verdict::Holds), Status::Unchanged)]
#[case::fails((Verdict::Holds, Verdict::Holds), (Verdict::DoesNotHold, Verdict::Holds), Status::Regressed)]
#[case::is_as_expected_again((Verdict::DoesNotHold, Verdict::Holds), (Verdict::Holds, Verdict::Holds), Status::Improved)]
#[case::of_another_version((Verdict::Holds, Verdict::Holds), (Verdict::HoldsWithLimits, Verdict::HoldsWithLimits), Status::ChangedAsExpected)]
#[case::not_tested((Verdict::Holds, Verdict::Holds), (Verdict::NotTestableHere, Verdict::Holds), Status::NotComparable)]
#[case::wrong_in_another_way((Verdict::HoldsWithLimits, Verdict::Holds), (Verdict::DoesNotHold, Verdict::Holds), Status::Regressed)]
fn a_verdict_is_better_or_worse_as_it_is_expected_or_not(
    #[case] base: (Verdict, Verdict),
    #[case] new: (Verdict, Verdict),
    #[case] status: Status,
) {
    let with = |(verdict, expected)| {
        let mut run = canned::run_with_claims("3.12.1");
        run.claims.truncate(1);
        run.claims[0].verdict = verdict;
        run.claims[0].expected = expected;
        Report::of(run)
    };
    let comparison = compared(&with(base), &with(new));
    let rows: Vec<_> = rows(&comparison)
        .filter(|row| matches!(row.key, RowKey::Claim { .. }))
        .map(|row| row.status)
        .collect();
    assert_eq!(rows, [status]);
}

#[test]
fn runs_of_one_version_belong_together_then_those_of_one_series_then_single_ones() {
    let report = |versions: &[&str]| {
        let runs = versions.iter().map(|version| canned::run(version));
        Report::of_all(runs.collect(), Vec::new())
    };
    let pairs = |base: &[&str], new: &[&str]| {
        let comparison = compared(&report(base), &report(new));
        let pairs = comparison.compared.iter();
        let pairs: Vec<_> = pairs
            .map(|runs| format!("{} {}", runs.base.version, runs.new.version))
            .collect();
        (
            pairs,
            comparison.only_in_base.len(),
            comparison.only_in_new.len(),
        )
    };
    assert_eq!(
        pairs(&["3.11.2", "3.11.7"], &["3.11.7", "3.11.9"]),
        (vec!["3.11.2 3.11.9".into(), "3.11.7 3.11.7".into()], 0, 0)
    );
    assert_eq!(
        pairs(&["3.11.7"], &["3.12.1"]),
        (vec!["3.11.7 3.12.1".into()], 0, 0)
    );
    assert_eq!(
        pairs(&["3.11.7", "3.13.0"], &["3.12.1", "3.13.1"]),
        (vec!["3.13.0 3.13.1".into()], 1, 1)
    );
}

#[test]
fn a_change_between_versions_is_named_by_the_fact_that_tells_of_it() {
    let small_ints = |version: &str, unshared: u64| {
        let mut run = canned::run(version);
        run.measurements.truncate(1);
        let measurement = &mut run.measurements[0];
        measurement.fixture = "small_ints".into();
        measurement.visit = "iterate".into();
        for child in &mut measurement.children {
            canned::without_causes(child);
            for region in &mut child.regions {
                region.unshared = if region.name == RegionName::Header {
                    unshared
                } else {
                    0
                };
                region.identical = None;
            }
        }
        Report::of(run)
    };
    let facts = |base: &Report, new: &Report| {
        let comparison = compare(base, new, Tolerance::EXACT, &[], Claims::versions());
        let mut rows = rows(&comparison).filter(|row| row.status.is_change());
        rows.next().map(|row| row.facts.clone())
    };
    let (older, newer) = (small_ints("3.11.7", 3), small_ints("3.12.1", 0));
    let named = Some(vec!["small-ints-immortal".to_owned()]);
    assert_eq!(facts(&older, &newer), named);
    assert_eq!(facts(&newer, &older), named);
    // The same change between other versions is not known.
    let (older, newer) = (small_ints("3.12.1", 3), small_ints("3.13.0", 0));
    assert_eq!(facts(&older, &newer), Some(Vec::new()));
}

/// Two documents that differ in every way that has a word.
fn different() -> (Report, Report) {
    let mut base = with_unshared("3.11.7", 121);
    base.claims = canned::run_with_claims("3.11.7").claims;
    base.claims[0].verdict = base.claims[0].expected;
    let mut new = with_unshared("3.12.1", 300);
    new.claims = canned::run_with_claims("3.12.1").claims;
    new.claims[2].verdict = Verdict::Holds;
    new.claims[2].expected = Verdict::Holds;
    new.measurements.retain(|one| one.visit != "idle");
    for measurement in &mut new.measurements {
        if measurement.fixture == "shared_numpy" {
            measurement.count = Some(7);
        }
    }
    let gone = canned::run("3.8.18");
    (
        Report::of_all(vec![gone, base], Vec::new()),
        Report::of_all(vec![new, canned::run("3.15.0")], Vec::new()),
    )
}

#[rstest]
#[case("wide.txt", Some(Style::Terminal { width: Some(120), colours: false }))]
#[case("narrow.txt", Some(Style::Terminal { width: Some(60), colours: false }))]
#[case("markdown", Some(Style::Markdown))]
#[case("github", None)]
fn a_comparison_reads_the_same_in_every_form(#[case] name: &str, #[case] style: Option<Style>) {
    let (mut base, mut new) = different();
    // One pair of another series each, or they would have no counterpart.
    base.runs[1].python = canned::run("3.12.0").python;
    new.runs[0].python = canned::run("3.12.1").python;
    let comparison = compared(&base, &new);
    let bytes = match style {
        Some(style) => report::render_comparison(&comparison, style),
        None => report::github(&comparison),
    };
    let text = String::from_utf8(bytes).unwrap();
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("comparison_{name}"), text);
    });
}

#[test]
fn the_json_of_a_comparison_is_what_its_schema_says() {
    let (base, new) = different();
    let comparison = compared(&base, &new);
    let text = report::render_json(&comparison).unwrap();
    let document: Value = serde_json::from_slice(&text).unwrap();
    let schema: Value = serde_json::from_str(&run::stdout(&["schema", "comparison"])).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    if let Err(error) = schema.validate(&document) {
        panic!("{error} at {}", error.instance_path());
    }
    assert_eq!(
        serde_json::from_slice::<Comparison>(&text).unwrap(),
        comparison
    );
}

/// Files with the documents in them.
fn files(place: &Place, base: &Report, new: &Report) -> (String, String) {
    let write = |name: &str, report: &Report| {
        let bytes = report::render(report, Format::Json).unwrap();
        place.file(name, std::str::from_utf8(&bytes).unwrap())
    };
    (write("base.json", base), write("new.json", new))
}

#[rstest]
#[case::nothing_changed(121, 0)]
#[case::a_regression(122, 1)]
#[case::an_improvement(120, 0)]
fn the_status_tells_of_a_regression(#[case] unshared: u64, #[case] status: i32) {
    let place = Place::new();
    let base = Report::of(with_unshared("3.12.1", 121));
    let new = Report::of(with_unshared("3.12.1", unshared));
    let (base, new) = files(&place, &base, &new);
    for format in ["table", "markdown", "json", "github"] {
        let mut refcow = place.refcow(["compare", &base, &new, "--format", format]);
        refcow.env_remove("GITHUB_STEP_SUMMARY");
        let finished = place.run(refcow).exits_with(status);
        assert!(!finished.stdout.is_empty(), "{finished}");
        if status == 1 {
            finished
                .says("error: three_lists/iterate regressed")
                .says("help: ");
        }
    }
}

#[test]
fn the_summary_of_a_job_gets_the_table_and_keeps_what_it_has() {
    let place = Place::new();
    let base = Report::of(with_unshared("3.12.1", 121));
    let new = Report::of(with_unshared("3.12.1", 122));
    let (base, new) = files(&place, &base, &new);
    let summary = place.file("summary.md", "# Before\n");
    let mut refcow = place.refcow(["compare", &base, &new, "--format", "github"]);
    refcow.env("GITHUB_STEP_SUMMARY", &summary);
    let finished = place.run(refcow).exits_with(1);
    assert!(
        finished.stdout.starts_with(
            "::error title=refcow%3A regressed::CPython 3.12.1: three_lists/iterate: a worker copied 516 KiB → 520 KiB"
        ),
        "{finished}"
    );
    let text = fs::read_to_string(&summary).unwrap();
    assert!(text.starts_with("# Before\n**CPython 3.12.1"), "{text}");
    let cells = |row: &str| {
        let mut lines = text.lines().filter(|line| line.contains(row));
        let line = lines.next().unwrap_or_else(|| panic!("{row}: {text}"));
        line.split('|')
            .map(|cell| cell.trim().to_owned())
            .collect::<Vec<_>>()
    };
    let worker = cells("three_lists/iterate: a worker");
    assert_eq!(
        worker[2..7],
        [
            "516 KiB",
            "520 KiB",
            "+0.78 %",
            "regressed",
            "no known reason"
        ]
    );
    let header = cells("header");
    assert_eq!(
        header[2..6],
        ["121 of 121 pages", "122 of 122 pages", "", "more"]
    );

    let mut refcow = place.refcow(["compare", &base, &new, "--format", "github"]);
    refcow.env("GITHUB_STEP_SUMMARY", place.path("no/such"));
    place
        .run(refcow)
        .exits_with(2)
        .says("which GITHUB_STEP_SUMMARY names")
        .says("help: set GITHUB_STEP_SUMMARY");
    // Some runners set it to nothing.
    let mut refcow = place.refcow(["compare", &base, &new, "--format", "github"]);
    refcow.env("GITHUB_STEP_SUMMARY", "");
    place.run(refcow).exits_with(1);
}

#[rstest]
#[case::no_file(None, "No such file", "--format json")]
#[case::empty(Some(""), "not a refcow JSON file: EOF", "--format json")]
#[case::cut_off(
    Some("{\"schema_version\": 2, \"runs\": ["),
    "EOF while parsing",
    "--format json"
)]
#[case::of_somebody_elses(Some("{\"a\": 1}"), "it has no schema_version", "--format json")]
#[case::newer(
    Some(
        "{\"schema_version\": 7, \"runs\": [{\"environment\": {\"refcow_version\": \"4.2.0\"}}]}"
    ),
    "it has schema version 7, and this refcow reads 3 and older",
    "you need refcow 4.2.0 or newer"
)]
#[case::unknown_field(
    Some("{\"schema_version\": 2, \"runs\": [], \"rums\": 1}"),
    "unknown field `rums`",
    ""
)]
fn what_is_no_document_is_refused(
    #[case] text: Option<&str>,
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    let file = match text {
        Some(text) => place.file("document.json", text),
        None => place.path("document.json").to_str().unwrap().to_owned(),
    };
    for command in [vec!["compare", &file, &file], vec!["merge", &file]] {
        place.run(place.refcow(command)).refuses(2, error, help);
    }
}

#[rstest]
#[case::unshared("unshared", 10_000_000, "pages unshared")]
#[case::identical("identical", 10_000_000, "copies identical")]
#[case::pages("pages", u64::MAX, "pages")]
fn a_document_that_contradicts_itself_is_refused_with_the_place(
    #[case] field: &str,
    #[case] number: u64,
    #[case] what: &str,
) {
    let bytes = report::render(&Report::of(canned::run("3.12.1")), Format::Json).unwrap();
    let mut document: Value = serde_json::from_slice(&bytes).unwrap();
    document["runs"][0]["measurements"][1]["children"][0]["regions"][3][field] = json!(number);
    let place = Place::new();
    let file = place.file("document.json", &document.to_string());
    place
        .run(place.refcow(["merge", &file]))
        .refuses(
            2,
            "runs[0].measurements[1].children[0].regions[3]",
            "measure again",
        )
        .says(what);
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let place = Place::new();
    let file = place.file("document.json", "");
    // It has a size, and takes no room.
    let opened = fs::OpenOptions::new().write(true).open(&file).unwrap();
    opened.set_len(model::MAX_DOCUMENT_BYTES + 1).unwrap();
    place.run(place.refcow(["merge", &file])).refuses(
        2,
        "it is larger than 64 MiB",
        "--format json",
    );
}

#[test]
fn a_pipe_is_not_waited_for() {
    let place = Place::new();
    let pipe = place.path("said").to_str().unwrap().to_owned();
    place
        .run(place.refcow(["merge", &pipe]))
        .refuses(2, "not a regular file", "--format json");
}

/// A document as refcow wrote it when it knew one interpreter a document.
fn first_version(version: &str) -> String {
    let run = serde_json::to_value(canned::run_with_claims(version)).unwrap();
    let mut document = run.as_object().unwrap().clone();
    let mut python = document.remove("python").unwrap();
    python.as_object_mut().unwrap().remove("build");
    for list in ["measurements", "claims"] {
        for entry in document[list].as_array_mut().unwrap() {
            entry["python"] = python.clone();
        }
    }
    document.insert("schema_version".into(), json!(1));
    Value::Object(document).to_string()
}

#[test]
fn an_older_document_is_read_and_what_it_lacks_is_absent() {
    let (report, version) = model::read(first_version("3.12.1").as_bytes()).unwrap();
    assert_eq!(version, 1);
    let mut expected = canned::run_with_claims("3.12.1");
    expected.python.build = None;
    assert_eq!(report, Report::of(expected));

    // And compares with today's, though of its build nothing is known.
    let new = Report::of(canned::run_with_claims("3.12.1"));
    let comparison = compared(&report, &new);
    assert_eq!(comparison.compared[0].differs, ["build of Python"]);
    assert_eq!(
        comparison.count(Status::Unchanged),
        comparison.judged().count()
    );

    let two =
        first_version("3.12.1").replacen("\"version\":\"3.12.1\"", "\"version\":\"3.12.2\"", 1);
    let error = model::read(two.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("one interpreter"), "{error}");
}

#[test]
fn documents_are_joined_in_the_order_of_versions() {
    let place = Place::new();
    let base = Report::of(canned::run("3.12.1"));
    let new = Report::of_all(
        vec![canned::run("3.9.1"), canned::run("3.10.0")],
        Vec::new(),
    );
    let (base, new) = files(&place, &base, &new);
    let merged = place
        .run(place.refcow(["merge", &base, &new]))
        .exits_with(0);
    let report = run::report(&merged.stdout);
    let versions: Vec<_> = report.runs.iter().map(|run| &run.python.version).collect();
    assert_eq!(versions, ["3.9.1", "3.10.0", "3.12.1"]);
    for format in ["table", "markdown", "csv"] {
        let shown = place
            .run(place.refcow(["merge", &base, &new, "--format", format]))
            .exits_with(0);
        for version in ["3.9.1", "3.10.0", "3.12.1"] {
            assert!(shown.stdout.contains(version), "{shown}");
        }
    }
}

/// Causes are of the visit `iterate` in the canned run.
#[rstest]
#[case::more_than_there_are(&["regions", "0", "causes", "gc"], 2.into(), "causes do not add up")]
#[case::more_than_64_bits(&["regions", "0", "causes", "gc"], u64::MAX.into(), "causes.gc: the number 18446744073709551615")]
#[case::moved_elsewhere(&["written", "0", "cause"], "gc".into(), "do not match the causes")]
#[case::another_number(&["written", "0", "pages"], 79.into(), "do not match the causes")]
#[case::more_identical(&["written", "0", "identical"], 81.into(), "more identical copies than pages")]
#[case::none_at_all(&["regions", "0", "causes"], Value::Null, "writes are listed, but no causes")]
fn causes_that_contradict_themselves_are_refused(
    #[case] place: &[&str],
    #[case] value: Value,
    #[case] said: &str,
) {
    let mut document = serde_json::to_value(Report::of(canned::run("3.12.1"))).unwrap();
    let child = &mut document["runs"][0]["measurements"][2]["children"][0];
    assert_eq!(child["written"][0]["pages"], 80);
    let pointer = format!("/{}", place.join("/"));
    *child.pointer_mut(&pointer).unwrap_or(&mut Value::Null) = value.clone();
    if child.pointer(&pointer).is_none() {
        child["written"][0]["identical"] = value;
    }
    let error = model::read(document.to_string().as_bytes()).unwrap_err();
    assert!(error.to_string().contains(said), "{error}");
}

#[test]
fn what_is_there_twice_is_refused() {
    let place = Place::new();
    let mut other = canned::run("3.12.1");
    other.measurements.truncate(1);
    // Free memory is another each time; the machine is the same.
    other.environment.memory_available_bytes /= 2;
    let (base, new) = files(
        &place,
        &Report::of(canned::run("3.12.1")),
        &Report::of(other.clone()),
    );
    place.run(place.refcow(["merge", &base, &new])).refuses(
        2,
        &format!("{base} and {new} both hold three_lists/idle"),
        "leave one of them out",
    );
    place.run(place.refcow(["merge", &base, &base])).refuses(
        2,
        "both hold",
        "leave one of them out",
    );
    // On another machine it is another run.
    other.environment.cpu = Some("another".into());
    let (base, new) = files(
        &place,
        &Report::of(canned::run("3.12.1")),
        &Report::of(other),
    );
    let merged = place
        .run(place.refcow(["merge", &base, &new]))
        .exits_with(0);
    assert_eq!(run::report(&merged.stdout).runs.len(), 2);
}

#[test]
fn runs_of_one_interpreter_on_one_machine_become_one() {
    let place = Place::new();
    let (mut one, mut other) = (canned::run("3.12.1"), canned::run("3.12.1"));
    one.measurements.retain(|one| one.fixture == "three_lists");
    other
        .measurements
        .retain(|one| one.fixture != "three_lists");
    let bitarray = ("bitarray".to_owned(), "3.12.3".to_owned());
    other.environment.packages = BTreeMap::from([bitarray]);
    other.environment.memory_available_bytes /= 2;
    let (first, second) = files(&place, &Report::of(one.clone()), &Report::of(other.clone()));
    let merged = place
        .run(place.refcow(["merge", &first, &second]))
        .exits_with(0);
    let run = run::the_run(&merged.stdout);
    assert_eq!(run.measurements, canned::run("3.12.1").measurements);
    let packages: Vec<_> = run.environment.packages.keys().collect();
    assert_eq!(packages, ["bitarray", "numpy"]);
    assert_eq!(run.warnings, one.warnings);

    // With another NumPy it is not the same.
    let numpy = ("numpy".to_owned(), "1.0".to_owned());
    other.environment.packages = BTreeMap::from([numpy]);
    let (first, second) = files(&place, &Report::of(one), &Report::of(other));
    let merged = place
        .run(place.refcow(["merge", &first, &second]))
        .exits_with(0);
    assert_eq!(run::report(&merged.stdout).runs.len(), 2);
}

#[test]
fn documents_of_two_schema_versions_are_not_joined() {
    let place = Place::new();
    let old = place.file("old.json", &first_version("3.11.7"));
    let (new, _) = files(
        &place,
        &Report::of(canned::run("3.12.1")),
        &Report::of(canned::run("3.12.1")),
    );
    place.run(place.refcow(["merge", &new, &old])).refuses(
        2,
        &format!("{new} has schema version 3, {old} 1"),
        &format!("refcow merge {old} --output NEW"),
    );
    // As the help says.
    let today = place.path("today.json").to_str().unwrap().to_owned();
    place
        .run(place.refcow(["merge", &old, "--output", &today]))
        .exits_with(0);
    place
        .run(place.refcow(["merge", &new, &today]))
        .exits_with(0);
}

#[test]
fn a_baseline_is_kept_and_compared_with() {
    let place = Place::new();
    let measure = |more: &[&str]| {
        let mut refcow = place.measure(["ints", "--visit", "iterate"]);
        refcow.args(more).current_dir(place.path("."));
        refcow
    };
    let small = ["--count", "20000"];
    place
        .run(measure(&[&small[..], &["--baseline", "mine"]].concat()))
        .refuses(
            2,
            "there is no baseline mine",
            "--save-baseline NAME saves one",
        );
    let saved = place
        .run(measure(
            &[&small[..], &["--save-baseline", "mine"]].concat(),
        ))
        .exits_with(0);
    let said =
        "refcow: the run is saved in baselines/mine.json: compare with it by --baseline mine";
    assert!(saved.stderr.lines().any(|line| line == said), "{saved}");
    let kept = fs::read_to_string(place.path("baselines/mine.json")).unwrap();
    assert_eq!(run::report(&kept).runs[0].measurements.len(), 1);

    // The same again: nothing has changed, to the page, and the baseline stays as it is.
    let again = place
        .run(measure(&[&small[..], &["--baseline", "mine"]].concat()))
        .exits_with(0);
    assert!(
        again
            .stdout
            .contains("One machine and one build, the same code and data: every page counts."),
        "{again}"
    );
    assert!(again.stdout.contains("In all: 1 unchanged."), "{again}");
    assert_eq!(
        fs::read_to_string(place.path("baselines/mine.json")).unwrap(),
        kept
    );

    let other = place
        .run(measure(&["--count", "30000", "--baseline", "mine"]))
        .exits_with(1);
    assert!(
        other
            .stdout
            .contains("because: made with 20000 × 28 bytes → 30000 × 28 bytes"),
        "{other}"
    );
    place.run(measure(&["--baseline", "other"])).refuses(
        2,
        "there is no baseline other",
        "there are: mine;",
    );
    place
        .run(measure(&["--baseline", "mine", "--format", "json"]))
        .refuses(2, "no place for", "refcow compare");
    for name in ["", "../mine", ".hidden", "a b"] {
        place.run(measure(&["--save-baseline", name])).exits_with(2);
    }
}

#[test]
fn a_run_that_lacks_something_is_no_baseline() {
    let place = Place::new();
    let fixture = place.file(
        "broken.py",
        "def build(count, item_bytes):\n    raise RuntimeError('broken')\ndef visit_look(data):\n    pass\n",
    );
    let mut refcow = place.measure([
        "ints",
        &fixture,
        "--count",
        "100",
        "--save-baseline",
        "mine",
    ]);
    refcow.current_dir(place.path("."));
    place
        .run(refcow)
        .exits_with(3)
        .says("broken")
        .says("was not saved as a baseline");
    assert!(!place.path("baselines").exists());
}

#[test]
fn documents_without_a_common_row_are_no_comparison() {
    let place = Place::new();
    let mut other = canned::run("3.12.1");
    for measurement in &mut other.measurements {
        measurement.fixture = format!("other_{}", measurement.fixture);
    }
    let (base, new) = files(
        &place,
        &Report::of(canned::run("3.12.1")),
        &Report::of(other),
    );
    place
        .run(place.refcow(["compare", &base, &new]))
        .exits_with(2)
        .says("nothing in common")
        .says("the same ways to share");
}

#[test]
fn the_interpreters_own_pages_are_not_compared_between_builds() {
    let with_rest = |version: &str, unshared: u64| {
        let mut run = canned::run(version);
        for child in &mut run.measurements[2].children {
            let rest = &mut child.regions[3];
            assert_eq!(rest.name, RegionName::Rest);
            rest.unshared = unshared;
            rest.identical = None;
        }
        Report::of(run)
    };
    let status = |base: &Report, new: &Report| {
        let comparison = compared(base, new);
        let mut rows = rows(&comparison);
        let wanted = |row: &&Row| {
            row.key.subject() == "three_lists/iterate" && row.key.region() == Some(RegionName::Rest)
        };
        rows.find(wanted)
            .map(|row| (row.status, row.because.clone()))
            .unwrap()
    };
    let (few, many) = (with_rest("3.12.1", 8), with_rest("3.12.1", 800));
    assert_eq!(status(&few, &many), (Status::More, None));
    let (not_comparable, because) = status(&few, &with_rest("3.13.0", 800));
    assert_eq!(not_comparable, Status::NotComparable);
    assert!(because.unwrap().contains("the interpreter's own memory"));
    assert_eq!(status(&few, &with_rest("3.13.0", 9)).0, Status::WithinNoise);
}

#[test]
fn what_a_fact_predicts_of_two_versions_is_a_change_by_its_name() {
    let with_fact = |version: &str, found: &str| {
        let mut run = canned::run(version);
        run.measurements.clear();
        run.facts = vec![Fact {
            id: "fork-warning".into(),
            statement: "It warns.".into(),
            source: "gh-100228".into(),
            changes: vec!["3.12".into()],
            outcome: Outcome::AsPredicted,
            found: Some(found.into()),
            not_testable_because: None,
            figures: BTreeMap::new(),
            evidence: Vec::new(),
            rules_sha256: None,
        }];
        Report::of(run)
    };
    let (older, newer) = (with_fact("3.11.7", "silent"), with_fact("3.12.1", "warns"));
    let comparison = compared(&older, &newer);
    let row = rows(&comparison).next().unwrap();
    assert_eq!(row.status, Status::ChangedAsExpected);
    assert_eq!(row.facts, ["fork-warning"]);
    let shown = report::render_comparison(&comparison, Style::Markdown);
    let shown = String::from_utf8(shown).unwrap();
    assert!(
        shown.contains("| silent | warns |        | changed as expected | fork-warning |"),
        "{shown}"
    );
    // Where no step lies between, it is the same.
    let same = compared(&newer, &with_fact("3.13.0", "warns"));
    assert_eq!(rows(&same).next().unwrap().status, Status::Unchanged);
}

#[test]
fn a_run_of_another_architecture_is_the_last_choice() {
    let on = |version: &str, architecture: &str, kernel: &str| {
        let mut run = canned::run(version);
        run.environment.architecture = architecture.into();
        run.environment.kernel = kernel.into();
        run
    };
    let base = Report::of_all(
        vec![
            on("3.12.1", "x86_64", "6.1"),
            on("3.12.1", "aarch64", "6.1"),
        ],
        Vec::new(),
    );
    let new = Report::of(on("3.12.1", "aarch64", "6.9"));
    let comparison = compared(&base, &new);
    assert_eq!(comparison.compared[0].base.architecture, "aarch64");
    assert_eq!(comparison.only_in_base[0].architecture, "x86_64");
}

#[rstest]
#[case::line_end("a\n::error::b")]
#[case::escape("\u{1b}[31mred")]
#[case::turned_around("\u{202e}txt")]
fn a_document_with_controls_in_its_texts_is_refused(#[case] text: &str) {
    let mut run = canned::run("3.12.1");
    run.measurements[0].fixture = text.into();
    let place = Place::new();
    let (file, _) = files(&place, &Report::of(run.clone()), &Report::of(run));
    let finished = place.run(place.refcow(["merge", &file])).refuses(
        2,
        "runs[0].measurements[0].fixture: a text with a control character",
        "measure again",
    );
    assert!(!finished.stderr.contains(text), "{finished}");
}

#[test]
fn what_is_twice_in_a_document_is_refused() {
    let mut run = canned::run("3.12.1");
    run.measurements.push(run.measurements[0].clone());
    let place = Place::new();
    let (file, _) = files(&place, &Report::of(run.clone()), &Report::of(run));
    place.run(place.refcow(["compare", &file, &file])).refuses(
        2,
        "three_lists/idle (2000 × 65536 bytes, fork) is there twice",
        "measure again",
    );
}

/// A run of the visit `epoch` of the user's file `loader.py`, in two workers that copied so many
/// pages of 6,300 of the data, and of 1,500 around it.
fn of_the_loader(copied: u64, around: u64, change: impl Fn(&mut model::Child)) -> Report {
    let regions = [
        (RegionName::Header, 6_300, copied),
        (RegionName::Rest, 1_500, around),
    ];
    let mut run = canned::of_a_visit("epoch", &regions, &[], change);
    for measurement in &mut run.measurements {
        measurement.fixture = "loader".into();
        (measurement.count, measurement.item_bytes) = (None, None);
    }
    let mut report = Report::of(run);
    report.sources = vec![Source::of("src/loader.py".as_ref(), b"as it was")];
    report
}

/// The same file with other code in it.
fn edited(mut report: Report) -> Report {
    report.sources = vec![Source::of("src/loader.py".as_ref(), b"as it is")];
    report
}

/// The only thing that is judged.
fn judged(comparison: &Comparison) -> &Row {
    let mut judged = comparison.judged();
    let row = judged.next().unwrap();
    assert!(judged.next().is_none());
    row
}

#[test]
fn a_cure_is_an_improvement_whatever_page_of_the_rest_it_costs() {
    let base = of_the_loader(6_290, 9, |_| {});
    let new = edited(of_the_loader(2, 11, |_| {}));
    let comparison = compared(&base, &new);
    let row = judged(&comparison);
    assert_eq!(row.status, Status::Improved);
    assert_eq!(row.other_data, ["loader.py was edited"]);
    let shown = in_words(&comparison);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(
        lines[2..8],
        [
            "improved",
            "  loader/epoch",
            "    a worker copied and made 24.6 MiB → 52 KiB (−99.8 %)",
            "    all 2 workers 49.2 MiB → 104 KiB (−99.8 %)",
            "    copied 24.6 MiB → 52 KiB, new 0 B → 0 B",
            "    header 6,290 of 6,300 → 2 of 6,300 pages",
        ],
        "{shown}"
    );
    assert!(
        shown.contains("    because: loader.py was edited"),
        "{shown}"
    );
    let place = Place::new();
    let (base, new) = files(&place, &base, &new);
    place
        .run(place.refcow(["compare", &base, &new]))
        .exits_with(0);
    // The other way round it costs what it saved.
    place
        .run(place.refcow(["compare", &new, &base]))
        .exits_with(1)
        .says("error: loader/epoch regressed");
}

#[rstest]
#[case::the_same_code(false, Status::Regressed)]
#[case::other_code(true, Status::WithinNoise)]
fn a_page_of_the_rest_counts_where_the_code_is_the_same(
    #[case] other_code: bool,
    #[case] expected: Status,
) {
    let base = of_the_loader(6_290, 9, |_| {});
    let new = of_the_loader(6_290, 10, |_| {});
    let new = if other_code { edited(new) } else { new };
    assert_eq!(judged(&compared(&base, &new)).status, expected);
}

#[test]
fn what_is_made_counts_as_what_is_copied() {
    let base = of_the_loader(6_290, 9, |_| {});
    let copies = edited(of_the_loader(2, 9, |child| child.new_pages = Some(6_900)));
    let comparison = compared(&base, &copies);
    assert_eq!(judged(&comparison).status, Status::Regressed);
    let shown = in_words(&comparison);
    assert!(shown.contains("new 0 B → 27.0 MiB"), "{shown}");
    // What only one of them knows is not compared.
    let unknown = of_the_loader(6_290, 9, |child| child.new_pages = None);
    let comparison = compared(&unknown, &copies);
    assert_eq!(judged(&comparison).status, Status::Improved);
    let shown = in_words(&comparison);
    assert!(
        shown.contains("a worker copied 24.6 MiB → 44 KiB"),
        "{shown}"
    );
}

#[test]
fn copies_that_were_given_back_count_where_both_runs_know_them() {
    let with_peak = |ever: u64| {
        of_the_loader(300, 9, move |child| {
            child.peak = Some(Peak {
                bytes: 4 << 20,
                looks: 3,
                copied_pages: Some(ever),
            });
        })
    };
    let comparison = compared(&with_peak(12_800), &edited(with_peak(1_468)));
    assert_eq!(judged(&comparison).status, Status::Improved);
    let shown = in_words(&comparison);
    assert!(
        shown.contains("copied 50 MiB (48.8 MiB of it given back) → 5.7 MiB"),
        "{shown}"
    );
    let at_the_end = edited(of_the_loader(300, 9, |_| {}));
    let comparison = compared(&with_peak(12_800), &at_the_end);
    assert_eq!(judged(&comparison).status, Status::Unchanged);
}

type Otherwise = fn(&mut Report);

#[rstest]
#[case::a_module_beside_it(
    |report: &mut Report| report.sources[0].imports.push(model::Import { path: "b.py".into(), sha256: "0".repeat(64) }),
    "a module that loader.py imports was edited"
)]
#[case::an_argument(
    |report: &mut Report| { report.runs[0].measurements[0].parameters.insert("records".into(), json!("packed")); },
    "made with nothing set → records=packed"
)]
#[case::a_preparation(
    |report: &mut Report| report.runs[0].measurements[0].prepare = Some("freeze".into()),
    "prepared by nothing → freeze"
)]
#[case::a_way_to_share(
    |report: &mut Report| report.runs[0].measurements[0].sharing = "shared_memory".into(),
    "shared by fork → shared_memory"
)]
#[case::code_that_is_not_known(
    |report: &mut Report| report.sources.clear(),
    "the code of loader in the new run is unknown"
)]
#[case::other_contents(
    |report: &mut Report| report.runs[0].measurements[0].children.iter_mut().for_each(|child| child.regions[0].pages = 9_000),
    "the data fills 24.6 MiB → 35.2 MiB"
)]
fn other_data_is_named_and_its_totals_compared(#[case] change: Otherwise, #[case] said: &str) {
    let base = of_the_loader(6_290, 9, |_| {});
    let mut new = of_the_loader(2, 9, |_| {});
    change(&mut new);
    let comparison = compared(&base, &new);
    let row = judged(&comparison);
    assert_eq!(row.status, Status::Improved);
    assert_eq!(row.other_data, [said]);
    let shown = in_words(&comparison).replace("\n    ", " ");
    assert!(shown.contains(&format!("because: {said}")), "{shown}");
    assert!(
        shown.contains("The code or the data differs, so differences of up to 16 pages"),
        "{shown}"
    );
}

#[test]
fn of_several_preparations_none_is_taken_for_another() {
    let mut base = of_the_loader(6_290, 9, |_| {});
    let with = |name: &str| model::Measurement {
        prepare: Some(name.into()),
        ..of_the_loader(10, 9, |_| {}).runs[0].measurements[0].clone()
    };
    base.runs[0].measurements.push(with("disable"));
    let mut new = of_the_loader(2, 9, |_| {});
    new.runs[0].measurements = vec![with("freeze")];
    let comparison = compared(&base, &new);
    assert_eq!(comparison.common(), 0);
    assert_eq!(comparison.count(Status::OnlyInBase), 2);
}

#[rstest]
#[case::nothing_to_match("loader", "write it as OLD=NEW: a name in the base, and its name now")]
#[case::no_name("loader=", "`` names no file or fixture")]
#[case::a_visit_of_one("loader:epoch=fast", "name a visit on both sides")]
fn what_is_no_match_is_refused(#[case] names: &str, #[case] said: &str) {
    let place = Place::new();
    let refcow = place.refcow(["compare", "base.json", "new.json", "--match", names]);
    place.run(refcow).exits_with(2).says(said);
}

/// The cured file under another name.
fn as_fast() -> Report {
    let mut report = of_the_loader(2, 9, |_| {});
    report.runs[0].measurements[0].fixture = "fast".into();
    report.sources = vec![Source::of("fast.py".as_ref(), b"as it is")];
    report
}

#[test]
fn a_renamed_file_is_matched_by_the_user() {
    let place = Place::new();
    let (base, new) = files(&place, &of_the_loader(6_290, 9, |_| {}), &as_fast());
    place
        .run(place.refcow(["compare", &base, &new]))
        .exits_with(2)
        .says("nothing in common")
        .says("if fast is what loader was: --match loader=fast");
    for names in [
        "loader=fast",
        "src/loader.py=fast.py",
        "loader.py:epoch=fast.py:epoch",
    ] {
        let compared = place
            .run(place.refcow(["compare", &base, &new, "--match", names]))
            .exits_with(0);
        let shown = &compared.stdout;
        assert!(shown.contains("(−99.8 %)"), "{compared}");
        assert!(
            shown.contains("because: fast.py instead of loader.py"),
            "{compared}"
        );
    }
}

#[test]
fn a_visit_of_one_file_is_compared_with_another() {
    let mut base = of_the_loader(6_290, 9, |_| {});
    let mut paths = base.runs[0].measurements[0].clone();
    paths.visit = "paths".into();
    for child in &mut paths.children {
        child.regions[0].unshared = 2_000;
    }
    base.runs[0].measurements.push(paths);
    let subject = |visit: &str| FixtureOrVisit {
        fixture: "loader".into(),
        visit: Some(visit.into()),
    };
    let mut new = base.clone();
    new.runs[0].measurements.remove(0);
    let renamed = [Renamed {
        old: subject("epoch"),
        new: subject("paths"),
    }];
    let comparison = compare(&base, &new, TOLERANCE, &renamed, Claims::versions());
    let statuses: Vec<_> = comparison
        .judged()
        .map(|row| (row.key.subject(), row.status))
        .collect();
    assert_eq!(
        statuses,
        [
            ("loader/epoch".to_owned(), Status::Improved),
            ("loader/paths".to_owned(), Status::OnlyInBase)
        ]
    );
    let row = comparison.judged().next().unwrap();
    assert_eq!(row.other_data, ["visit paths instead of epoch"]);
}

#[rstest]
#[case::not_in_the_base(&["loder=fast"], "`loder`, which the base does not have", "did you mean `loader`?")]
#[case::not_in_the_new_run(&["loader=fats.py"], "`fats`, which the new run does not have", "did you mean `fast`?")]
#[case::no_such_visit(&["loader:epch=fast:epoch"], "`loader:epch`, which the base does not have", "loader:epoch")]
#[case::twice(&["loader=fast", "loader=fast"], "`loader` twice", "each name of the base")]
fn names_that_match_nothing_are_refused(
    #[case] names: &[&str],
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    let (base, new) = files(&place, &of_the_loader(6_290, 9, |_| {}), &as_fast());
    let mut refcow = place.refcow(["compare", &base, &new]);
    for name in names {
        refcow.args(["--match", name]);
    }
    place.run(refcow).refuses(2, error, help);
}

#[test]
fn names_are_looked_for_before_anything_is_measured() {
    let place = Place::new();
    let bytes = report::render(&of_the_loader(6_290, 9, |_| {}), Format::Json).unwrap();
    fs::create_dir(place.path("baselines")).unwrap();
    fs::write(place.path("baselines/before.json"), bytes).unwrap();
    let measure = |names: &str| {
        let mut refcow = place.measure(["ints", "--visit", "iterate", "--count", "2000"]);
        refcow.args(["--baseline", "before", "--match", names]);
        refcow.current_dir(place.path("."));
        refcow
    };
    place.run(measure("loader=lists")).refuses(
        2,
        "`lists`, which the new run does not have",
        "ints",
    );
    place.run(measure("loader:iterate=ints:iterate")).refuses(
        2,
        "`loader:iterate`, which the base does not have",
        "loader:epoch",
    );
    let mut refcow = place.measure(["ints", "--count", "2000", "--baseline", "before"]);
    refcow.current_dir(place.path("."));
    place.run(refcow).refuses(
        2,
        "nothing in common",
        "if ints is what loader was: --match loader=ints",
    );
    let mut refcow = place.measure(["ints", "--match", "loader=ints"]);
    refcow.current_dir(place.path("."));
    place.run(refcow).exits_with(2).says("--baseline <NAME>");
}

#[test]
fn where_the_heap_of_a_build_ends_is_no_change_between_builds() {
    let with_new = |version: &str, new: u64| {
        let mut report = of_the_loader(300, 700, |child| child.new_pages = Some(new));
        report.runs[0].python = canned::run(version).python;
        report
    };
    // As `allocate` of lists and pickling were seen to swing.
    let comparison = compared(&with_new("3.11.7", 41), &with_new("3.12.1", 316));
    let row = judged(&comparison);
    assert_eq!(row.status, Status::NotComparable);
    assert!(
        row.because
            .as_deref()
            .unwrap()
            .contains("interpreter's own memory")
    );
    let mut rows = rows(&comparison);
    let is_new = |row: &&Row| {
        matches!(
            row.key,
            RowKey::Memory {
                memory: Memory::New,
                ..
            }
        )
    };
    assert_eq!(rows.find(is_new).unwrap().status, Status::WithinNoise);
    let together = Report::of_all(
        [with_new("3.11.7", 41), with_new("3.12.1", 316)]
            .map(|report| report.runs[0].clone())
            .into(),
        Vec::new(),
    );
    let shown = report::render(&together, Format::Table { width: Some(80) }).unwrap();
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("nothing by more than noise"), "{shown}");
    // More than any heap's end makes.
    let comparison = compared(&with_new("3.11.7", 41), &with_new("3.12.1", 900));
    assert_eq!(judged(&comparison).status, Status::Regressed);
    assert!(in_words(&comparison).contains("no known reason"));
}

#[test]
fn what_is_left_as_python_ends_does_not_compare_between_builds() {
    let with_exit = |version: &str, left: u64, ever: Option<u64>| {
        let mut report = of_the_loader(left, 9, |child| {
            child.peak = ever.map(|ever| Peak {
                bytes: 8 << 20,
                looks: 3,
                copied_pages: Some(ever),
            });
        });
        report.runs[0].python = canned::run(version).python;
        report.runs[0].measurements[0].visit = "exit".into();
        report
    };
    let status = |base: &Report, new: &Report| judged(&compared(base, new)).status;
    let (some, more) = (
        with_exit("3.11.7", 33, None),
        with_exit("3.12.1", 291, None),
    );
    assert_eq!(status(&some, &more), Status::NotComparable);
    // Of one build it is the same each time.
    assert_eq!(
        status(&some, &with_exit("3.11.7", 291, None)),
        Status::Regressed
    );
    let (some, more) = (
        with_exit("3.11.7", 33, Some(2_200)),
        with_exit("3.12.1", 291, Some(4_400)),
    );
    let comparison = compared(&some, &more);
    assert_eq!(judged(&comparison).status, Status::Regressed);
    assert!(!in_words(&comparison).contains("header"));
}

#[test]
fn of_several_interpreters_each_that_regressed_is_named() {
    let place = Place::new();
    let runs = |unshared| {
        let runs = ["3.11.7", "3.12.1"].map(|version| with_unshared(version, unshared));
        Report::of_all(runs.into(), Vec::new())
    };
    let (base, new) = files(&place, &runs(121), &runs(300));
    place
        .run(place.refcow(["compare", &base, &new]))
        .exits_with(1)
        .says("error: three_lists/iterate with CPython 3.11.7 and three_lists/iterate with CPython 3.12.1 regressed");
}

#[test]
fn a_cost_has_the_facts_of_what_explains_it() {
    let arrays = |version: &str, unshared: u64| Report::of(with_unshared(version, unshared));
    let comparison = compared(&arrays("3.9.18", 5), &arrays("3.10.13", 121));
    let row = cost_of(&comparison, "iterate");
    assert_eq!(row.status, Status::Regressed);
    assert_eq!(row.facts, ["arrays-tracked"]);
    let shown = in_words(&comparison);
    assert!(shown.contains("because: arrays-tracked"), "{shown}");
    assert!(
        shown.contains("arrays-tracked: array.array is tracked"),
        "{shown}"
    );
    assert!(matches!(row.new, Some(RowValue::Cost { workers: 2, .. })));
}

/// A child of a visit, as a document has it, with all that is derived from its pages.
fn a_child() -> model::Child {
    let report = of_the_loader(300, 9, |child| {
        child.pages_copied_by_fork = 7;
        child.copied_on_the_way = vec![OnTheWay {
            region: RegionName::Header,
            pages: 5,
        }];
        let shared = (0..6_300 - 305).map(|_| Fate::Shared);
        let copied = Fate::Copied {
            cause: None,
            identical: Some(false),
        };
        let fates = (0..5).map(|_| Fate::OnTheWay);
        let fates = fates.chain((0..300).map(|_| copied)).chain(shared);
        child.regions[0].map = Some(PageMap::of(fates));
        child.uss_bytes_after = Some(655_360 + 309 * 4096);
        child.cross_checks.uss_pages_minus_unshared = Some(0);
        child.cross_checks.uss_growth = Some(model::UssGrowth::new(309, 309, 0, 0, 0, 0));
        child.peak = Some(Peak {
            bytes: 309 * 4096,
            looks: 2,
            copied_pages: None,
        });
        child.bytes = Some(child.visit_bytes(4096));
    });
    report.runs[0].measurements[0].children[0].clone()
}

#[test]
fn a_child_whose_figures_agree_is_read() {
    let mut report = of_the_loader(0, 0, |_| {});
    report.runs[0].measurements[0].children = vec![a_child()];
    let text = report::render(&report, Format::Json).unwrap();
    assert_eq!(model::read(&text).unwrap().0, report);
}

type Contradiction = fn(&mut model::Child);

fn bytes_of(child: &mut model::Child) -> &mut VisitBytes {
    child.bytes.as_mut().unwrap()
}

#[rstest]
#[case::another_number(
    |child: &mut model::Child| child.copied_on_the_way[0].pages = 6,
    "children[0].regions[0]: its map has 5 pages copied on the way, and copied_on_the_way says 6"
)]
#[case::of_none(
    |child: &mut model::Child| child.copied_on_the_way.clear(),
    "children[0].regions[0]: its map has 5 pages copied on the way, and copied_on_the_way says 0"
)]
#[case::more_than_before_the_visit(
    |child: &mut model::Child| child.pages_copied_by_fork = 4,
    "children[0].copied_on_the_way[0]: 5 of 4 pages copied before the visit"
)]
#[case::more_than_are_left(
    |child: &mut model::Child| child.copied_on_the_way.push(OnTheWay { region: RegionName::Rest, pages: 1_492 }),
    "children[0].copied_on_the_way[1]: 1492 of 1491 pages of rest"
)]
#[case::of_a_region_without_pages(
    |child: &mut model::Child| child.copied_on_the_way[0].region = RegionName::Spine,
    "children[0].copied_on_the_way[0]: no pages of the region spine"
)]
#[case::twice(
    |child: &mut model::Child| child.copied_on_the_way.push(child.copied_on_the_way[0]),
    "children[0].copied_on_the_way[1]: the region header twice"
)]
#[case::no_page(
    |child: &mut model::Child| child.copied_on_the_way.push(OnTheWay { region: RegionName::Rest, pages: 0 }),
    "children[0].copied_on_the_way[1]: no page"
)]
#[case::copied(
    |child: &mut model::Child| bytes_of(child).copied += 4096,
    "children[0].bytes.copied: 1269760, and 1265664 by its pages"
)]
#[case::new(
    |child: &mut model::Child| bytes_of(child).new = Some(4096),
    "children[0].bytes.new: 4096, and 0 by its pages"
)]
#[case::new_that_is_not_known(
    |child: &mut model::Child| bytes_of(child).new = None,
    "children[0].bytes.new: none, and 0 by its pages"
)]
#[case::file(
    |child: &mut model::Child| bytes_of(child).file = Some(1),
    "children[0].bytes.file: 1, and 0 by its pages"
)]
#[case::sum(
    |child: &mut model::Child| bytes_of(child).sum = Some(0),
    "children[0].bytes.sum: 0, and 1265664 by its pages"
)]
#[case::growth(
    |child: &mut model::Child| bytes_of(child).uss_growth = Some(1),
    "children[0].bytes.uss_growth: it is not the difference"
)]
#[case::peak(
    |child: &mut model::Child| child.peak.as_mut().unwrap().bytes = 4096,
    "children[0].peak.bytes: 4096 bytes at most, and 1265664 at the end"
)]
#[case::less_unshared(
    |child: &mut model::Child| child.cross_checks.uss_pages_minus_unshared = Some(1),
    "children[0].cross_checks.uss_pages_minus_unshared: 1, and it grew by 309 pages with 309 copies"
)]
#[case::copies_of_the_growth(
    |child: &mut model::Child| child.cross_checks.uss_growth.as_mut().unwrap().copied = 1,
    "children[0].cross_checks.uss_growth.copied: 1 pages, and 309 in the child"
)]
#[case::new_of_the_growth(
    |child: &mut model::Child| child.cross_checks.uss_growth.as_mut().unwrap().new = 1,
    "children[0].cross_checks.uss_growth.new: 1 pages, and 0 in the child"
)]
#[case::left_of_the_growth(
    |child: &mut model::Child| child.cross_checks.uss_growth.as_mut().unwrap().left = 1,
    "children[0].cross_checks.uss_growth.left: 1, and 0 pages are left"
)]
fn a_child_that_contradicts_itself_is_refused_with_the_place(
    #[case] change: Contradiction,
    #[case] said: &str,
) {
    let mut child = a_child();
    change(&mut child);
    let mut report = of_the_loader(0, 0, |_| {});
    report.runs[0].measurements[0].children = vec![child];
    let text = report::render(&report, Format::Json).unwrap();
    let error = model::read(&text).unwrap_err().to_string();
    assert!(
        error.contains(&format!("runs[0].measurements[0].{said}")),
        "{error}"
    );
}
