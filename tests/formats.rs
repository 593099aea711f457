//! The formats of a report: one canned report in each, and a real one against the schema.

use refcow::claims::Claims;
use refcow::model::{self, By, Report, StartMethod, Verdict, Warning};
use refcow::report::{
    self, Format, Style, render, render_alternatives, render_alternatives_markdown, render_by,
    render_claims, render_document,
};
use rstest::rstest;
use serde_json::Value;

use crate::common::{canned, run, ways};

fn canned() -> Report {
    Report::of(canned::run("3.12.1"))
}

fn canned_claims() -> Report {
    Report::of(canned::run_with_claims("3.12.1"))
}

#[rstest]
#[case("wide.txt", Format::Table { width: None })]
#[case("narrow.txt", Format::Table { width: Some(60) })]
#[case("markdown", Format::Markdown)]
#[case("csv", Format::Csv)]
#[case("json", Format::Json)]
fn a_report_reads_the_same_in_every_format(#[case] name: &str, #[case] format: Format) {
    let text = String::from_utf8(render(&canned(), format).unwrap()).unwrap();
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("report_{name}"), text);
    });
}

#[rstest]
#[case("pipe.txt", Style::Terminal { width: None, colours: false })]
#[case("narrow.txt", Style::Terminal { width: Some(60), colours: false })]
#[case("wide.txt", Style::Terminal { width: Some(160), colours: false })]
#[case("coloured.txt", Style::Terminal { width: Some(80), colours: true })]
#[case("markdown", Style::Markdown)]
fn verdicts_read_the_same_in_every_form(#[case] name: &str, #[case] style: Style) {
    let text = String::from_utf8(render_claims(&canned_claims(), &[], style)).unwrap();
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("claims_{name}"), text);
    });
}

#[rstest]
#[case("pages", report::render_pages)]
#[case("times", report::render_times)]
#[case("claims", report::render_claims_csv)]
fn a_table_for_programs_reads_the_same(
    #[case] name: &str,
    #[case] render: fn(&Report) -> Result<Vec<u8>, report::Error>,
) {
    let text = String::from_utf8(render(&canned_claims()).unwrap()).unwrap();
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("{name}_csv"), text);
    });
}

/// Data of one's own with one, two and four workers.
fn with_own_data() -> Report {
    let mut run = canned::run("3.12.1");
    run.measurements.clear();
    run.own_data = vec![ways::own_data()];
    Report::of(run)
}

#[rstest]
#[case("narrow.txt", Style::Terminal { width: Some(80), colours: false })]
#[case("markdown", Style::Markdown)]
fn ways_to_share_own_data_read_the_same_in_every_form(#[case] name: &str, #[case] style: Style) {
    let text = String::from_utf8(report::render_own_data(&with_own_data(), style)).unwrap();
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("own_data_{name}"), text);
    });
}

/// Marks are explained where they stand, and only there.
#[rstest]
#[case::inherited("inherit", StartMethod::Fork, &["*"])]
#[case::through_a_pipe("args", StartMethod::Spawn, &["~"])]
#[case::what_comes_with_3_14("args", StartMethod::Forkserver, &["~", "†"])]
fn marks_of_ways_are_explained_where_they_stand(
    #[case] way: &str,
    #[case] method: StartMethod,
    #[case] marks: &[&str],
) {
    let mut report = with_own_data();
    let ways = &mut report.runs[0].own_data[0].ways;
    ways.retain(|one| {
        one.way == way && (one.start_method == StartMethod::Fork) == (method == StartMethod::Fork)
    });
    ways.iter_mut().for_each(|one| one.start_method = method);
    let text = String::from_utf8(report::render_own_data(&report, Style::Markdown)).unwrap();
    for mark in ["~", "*", "†"] {
        let stands = text.matches(mark).count() > 1 && text.contains(&format!("{mark}: "));
        assert_eq!(stands, marks.contains(&mark), "{mark} in {text}");
        assert_eq!(text.contains(mark), stands, "{mark} in {text}");
    }
}

#[test]
fn ways_to_share_own_data_are_a_table_for_programs_too() {
    let text = String::from_utf8(report::render_ways_csv(&with_own_data()).unwrap()).unwrap();
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("ways_csv", text);
    });
}

/// What is another in each run, or on each machine, is in times.csv alone.
#[test]
fn pages_are_the_same_whatever_the_time_and_the_machine() {
    let mut other = canned_claims();
    let run = &mut other.runs[0];
    run.environment.kernel = "7.0.0".into();
    run.environment.memory_available_bytes /= 2;
    run.python.executable = "/opt/python".into();
    for measurement in &mut run.measurements {
        measurement.build_seconds *= 2.0;
        measurement.tree.pss_bytes_before = None;
        for child in &mut measurement.children {
            child.visit_seconds *= 2.0;
            child.minor_faults += 1;
            child.uss_bytes_before = Some(1);
            child.pages_copied_by_fork += 1;
        }
    }
    for render in [report::render_pages, report::render_claims_csv] {
        assert_eq!(render(&other).unwrap(), render(&canned_claims()).unwrap());
    }
    let times = report::render_times;
    assert_ne!(times(&other).unwrap(), times(&canned_claims()).unwrap());
}

/// Several interpreters: one has claims of another verdict, one lacks a dataset, one a claim.
fn several() -> Report {
    let mut first = canned::run_with_claims("3.9.18");
    first
        .measurements
        .retain(|one| one.fixture != "shared_numpy");
    first.claims[2].verdict = Verdict::Holds;
    first.claims[2].expected = Verdict::Holds;
    first.claims.truncate(3);
    let mut second = canned::run_with_claims("3.12.1");
    for measurement in &mut second.measurements {
        for child in &mut measurement.children {
            child.regions[0].pages += 900;
            child.regions[0].unshared = (child.regions[0].unshared * 8).min(1_000);
            child.regions[0].identical = None;
        }
    }
    second.warnings = Vec::new();
    let third = canned::run_with_claims("3.15.0");
    let missing = Warning::InterpreterNotMeasured {
        python: "CPython 3.13.0".into(),
        reason: "it is gone".into(),
    };
    Report::of_all(vec![first, second, third], vec![missing])
}

#[rstest]
#[case("wide.txt", Format::Table { width: None })]
#[case("narrow.txt", Format::Table { width: Some(60) })]
#[case("markdown", Format::Markdown)]
#[case("csv", Format::Csv)]
fn several_interpreters_stand_side_by_side(#[case] name: &str, #[case] format: Format) {
    let text = String::from_utf8(render(&several(), format).unwrap()).unwrap();
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("several_{name}"), text);
    });
}

#[rstest]
#[case("narrow.txt", Style::Terminal { width: Some(60), colours: false })]
#[case("markdown", Style::Markdown)]
fn verdicts_of_several_interpreters_stand_side_by_side(#[case] name: &str, #[case] style: Style) {
    let text = String::from_utf8(render_claims(&several(), &[], style)).unwrap();
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("several_claims_{name}"), text);
    });
    let claims = Claims::parse(STATEMENTS).unwrap();
    let explained = [claims.find("zero-deletes").unwrap()];
    let text = String::from_utf8(render_claims(&several(), &explained, style)).unwrap();
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("several_explained_{name}"), text);
    });
}

#[test]
fn runs_of_one_version_are_told_apart() {
    let mut arm = canned::run("3.12.1");
    arm.environment.architecture = "aarch64".into();
    let other = canned::run("3.12.1");
    let text = |runs: Vec<_>| {
        let report = Report::of_all(runs, Vec::new());
        String::from_utf8(render(&report, Format::Table { width: None }).unwrap()).unwrap()
    };
    let shown = text(vec![canned::run("3.12.1"), arm]);
    assert!(shown.contains("3.12.1 x86_64  3.12.1 aarch64"), "{shown}");
    let shown = text(vec![canned::run("3.12.1"), other]);
    assert!(shown.contains("3.12.1 #1  3.12.1 #2"), "{shown}");
}

/// What the canned claims are judged by.
const STATEMENTS: &str = r#"
[[claim]]
id = "zero-deletes"
statement = "Not shown: a report has it, too."
expected = "holds with limits"
leaves_out = """
That it takes more than one line
of a narrow terminal to say it, and that there is no more to say."""
evidence = []
figures = [
  { name = "deleted", unit = "count", is = "0", means = "objects that went at once, told in more than one line of a narrow terminal" },
  { name = "collections", unit = "count", is = "0", means = "a figure that the report lacks" },
]
rules = [
  { when = "deleted < 1000 and collections == 0", verdict = "does not hold", decided_by = "{{ deleted }}" },
  { when = "true", verdict = "holds", decided_by = "{{ deleted }}" },
]

[[claim]]
id = "entire-list"
statement = "Not shown."
expected = "holds with limits"
leaves_out = "Nothing."
evidence = []
figures = [
  { name = "least", unit = "share", is = "0", means = "a part" },
  { name = "payload_pages", unit = "pages", is = "0", means = "pages" },
]
rules = [{ when = "true", verdict = "holds", decided_by = "{{ least }}" }]
"#;

#[rstest]
#[case("narrow.txt", Style::Terminal { width: Some(60), colours: false })]
#[case("markdown", Style::Markdown)]
fn an_explanation_reads_the_same_in_every_form(#[case] name: &str, #[case] style: Style) {
    let claims = Claims::parse(STATEMENTS).unwrap();
    let explained = [
        claims.find("zero-deletes").unwrap(),
        claims.find("entire-list").unwrap(),
    ];
    let text = String::from_utf8(render_claims(&canned_claims(), &explained, style)).unwrap();
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("explained_{name}"), text);
    });
}

#[rstest]
#[case(60)]
#[case(80)]
#[case(160)]
fn verdicts_fit_the_terminal(#[case] width: u16) {
    for report in [canned_claims(), several()] {
        verdicts_fit(&report, width);
    }
}

fn verdicts_fit(report: &Report, width: u16) {
    let style = Style::Terminal {
        width: Some(width),
        colours: false,
    };
    let claims = Claims::parse(STATEMENTS).unwrap();
    let explained = [claims.find("zero-deletes").unwrap()];
    for explained in [&explained[..], &[]] {
        let text = String::from_utf8(render_claims(report, explained, style)).unwrap();
        for line in text.lines() {
            assert!(line.chars().count() <= usize::from(width), "{line}");
        }
    }
}

#[rstest]
#[case(60)]
#[case(80)]
fn a_table_fits_the_terminal(#[case] width: u16) {
    let mut text = String::new();
    for report in [canned(), several()] {
        let table = render(&report, Format::Table { width: Some(width) }).unwrap();
        text += std::str::from_utf8(&table).unwrap();
    }
    // One line says how large the data is and who visited it; a terminal may break it.
    for line in text.lines().filter(|line| !line.contains(" in pages: ")) {
        assert!(line.chars().count() <= usize::from(width), "{line}");
    }
}

#[test]
fn json_is_read_back_as_it_was() {
    let text = render(&canned(), Format::Json).unwrap();
    assert_eq!(model::read(&text).unwrap().0, canned());
    let text = render(&canned_claims(), Format::Json).unwrap();
    assert_eq!(model::read(&text).unwrap().0, canned_claims());
    assert!(schema().is_valid(&serde_json::from_slice(&text).unwrap()));
}

#[rstest]
#[case::pages(canned::run("3.12.1"))]
#[case::verdicts(canned::run_with_claims("3.12.1"))]
#[case::advice(canned::run_with_advice("3.12.1"))]
#[case::facts(a_fact())]
fn every_page_of_a_run_that_was_ended_begins_with_that(#[case] run: model::Run) {
    let mut report = Report::of(run);
    let styles = [
        (
            "Incomplete: ",
            Style::Terminal {
                width: Some(60),
                colours: false,
            },
        ),
        ("> Incomplete: ", Style::Markdown),
    ];
    for (beginning, style) in styles {
        let whole = String::from_utf8(render_document(&report, style)).unwrap();
        report.interrupted = true;
        let part = String::from_utf8(render_document(&report, style)).unwrap();
        report.interrupted = false;
        assert!(part.starts_with(beginning), "{part}");
        assert!(part.ends_with(&format!("\n\n{whole}")), "{part}");
    }
    report.interrupted = true;
    let mut pages = vec![
        render(&report, Format::Table { width: None }).unwrap(),
        render_by(&report, &[By::Type], Format::Table { width: None }).unwrap(),
        render_alternatives(&report, None),
    ];
    for page in pages.drain(..) {
        assert!(page.starts_with(b"Incomplete: "));
    }
    pages = vec![
        render_by(&report, &[By::Type], Format::Markdown).unwrap(),
        render_alternatives_markdown(&report),
    ];
    for page in pages {
        assert!(page.starts_with(b"> Incomplete: "));
    }
}

fn a_fact() -> model::Run {
    let mut run = canned::run("3.12.1");
    let facts = Claims::versions();
    run.facts = facts.judge_facts(&[], &run).unwrap();
    assert!(!run.facts.is_empty());
    run
}

fn schema() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(&run::stdout(&["schema"])).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn what_is_printed_is_what_the_schema_says() {
    let printed = run::stdout(&[
        "measure", "ints", "--count", "1000", "--visit", "iterate", "--format", "json",
    ]);
    let mut document: Value = serde_json::from_str(&printed).unwrap();
    let schema = schema();
    if let Err(error) = schema.validate(&document) {
        panic!("{error} at {}\n{printed}", error.instance_path());
    }
    // A schema that lets everything pass would have been no test.
    document["runs"][0]["measurements"][0]["children"][0]["regions"][0]
        .as_object_mut()
        .unwrap()
        .remove("unshared");
    assert!(!schema.is_valid(&document));
}

#[test]
fn what_could_not_be_had_is_absent_and_still_valid() {
    let text = render(&canned(), Format::Json).unwrap();
    let document: Value = serde_json::from_slice(&text).unwrap();
    assert!(schema().is_valid(&document));
    let child = document["runs"][0]["measurements"][0]["children"][0]
        .as_object()
        .unwrap();
    assert!(child.contains_key("uss_bytes_before"));
    assert!(!child.contains_key("uss_bytes_after"));
}

#[test]
fn the_json_of_a_real_run_has_this_shape() {
    if crate::common::cannot_record("the_json_of_a_real_run_has_this_shape") {
        return;
    }
    let report = Report::of(run::measure(&[
        "ints",
        "--count",
        "3000",
        "--visit",
        "iterate",
        "--children",
        "1",
    ]));
    let report = without_the_interpreters_own(report);
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_json_snapshot!("json_of_a_run", report, {
            ".runs[].began" => "[now]",
            ".runs[].seconds" => "[some]",
            ".runs[].environment.*" => "[this machine's]",
            ".runs[].environment.*.*" => "[this machine's]",
            ".runs[].environment.packages" => "[this machine's]",
            ".runs[].calibration.*" => "[equal]",
            ".runs[].warnings" => "[this machine's]",
            ".runs[].python.*" => "[this interpreter's]",
            ".runs[].measurements[].build_seconds" => "[time]",
            ".runs[].measurements[].tree.*" => "[bytes]",
            ".runs[].measurements[].children[].visit_seconds" => "[time]",
            ".runs[].measurements[].children[].minor_faults" => "[faults]",
            ".runs[].measurements[].children[].uss_bytes_before" => "[bytes]",
            ".runs[].measurements[].children[].uss_bytes_after" => "[bytes]",
            ".runs[].measurements[].children[].pages_copied_by_fork" => "[pages]",
            ".runs[].measurements[].children[].new_pages" => "[pages]",
            ".runs[].measurements[].children[].file_pages" => "[pages]",
            ".runs[].measurements[].children[].peak.*" => "[bytes, looks, pages]",
            ".runs[].measurements[].children[].made" => "[new pages]",
            ".runs[].measurements[].children[].cross_checks.uss_growth.*" => "[pages]",
            ".runs[].measurements[].children[].bytes.*" => "[bytes]",
            ".runs[].measurements[].children[].cross_checks.*" => "[pages]",
            ".runs[].measurements[].children[].regions[].pages" => "[pages]",
            ".runs[].measurements[].children[].regions[].unshared" => "[pages]",
            ".runs[].measurements[].children[].regions[].identical" => "[pages]",
            // As long as where the data begins on a page has it.
            ".runs[].measurements[].children[].regions[].map" => "[pages]",
        });
    });
}

/// Single pages of the interpreter's own are nobody's matter: which of them a visit writes, a new
/// build may change.
fn without_the_interpreters_own(mut report: Report) -> Report {
    let measurements = report.runs.iter_mut().flat_map(|run| &mut run.measurements);
    for child in measurements.flat_map(|measurement| &mut measurement.children) {
        child.written.retain(|row| row.region.is_data());
        for region in &mut child.regions {
            if !region.name.is_data() {
                region.causes = None;
            }
        }
    }
    report
}

#[rstest]
#[case(&["--help"], "Usage: refcow [COMMAND]")]
#[case(&["--version"], "refcow 0.1.0")]
#[case(&["completions", "bash"], "complete -F _refcow")]
#[case(&["completions", "zsh"], "#compdef refcow")]
#[case(&["man"], ".TH refcow")]
#[case(&["man", "measure"], "item\\-bytes")]
#[case(&["man", "claims"], "\\-\\-quick")]
#[case(&["fixtures"], "\nthree_lists       Three large lists")]
#[case(&["fixtures", "--long"], "three_lists (by fork)")]
#[case(&["fixtures", "shared_numpy"], "(by shared_memory)")]
#[case(&["pythons"], "program: /")]
#[case(&["doctor"], "calibration: 1365 pages written, 1365 counted")]
fn commands_that_measure_no_fixture_print_what_they_are_for(
    #[case] arguments: &[&str],
    #[case] expected: &str,
) {
    let printed = run::stdout(arguments);
    assert!(printed.contains(expected), "{printed}");
}
