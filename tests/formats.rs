//! The formats of a report: one canned report in each, and a real one against the schema.

mod common;

use std::collections::BTreeMap;

use refcow::claims::Claims;
use refcow::model::{
    self, Calibration, Child, Claim, CrossChecks, Environment, Figure, HugePages, Ksm, Measurement,
    Privileges, Python, Region, RegionName, Report, Run, Tree, Unit, Value as FigureValue, Verdict,
    Warning,
};
use refcow::report::{Format, Style, render, render_claims};
use rstest::rstest;
use serde_json::Value;

use common::run;

fn child(regions: &[(RegionName, u64, u64, Option<u64>)], seconds: f64) -> Child {
    let regions: Vec<_> = regions
        .iter()
        .map(|&(name, pages, unshared, identical)| Region {
            name,
            pages,
            unshared,
            identical,
        })
        .collect();
    Child {
        visit_seconds: seconds,
        minor_faults: 42,
        uss_bytes_before: Some(655_360),
        uss_bytes_after: None,
        pages_copied_by_fork: 160,
        regions,
        cross_checks: CrossChecks {
            faults_minus_unshared: 1,
            uss_pages_minus_unshared: None,
        },
    }
}

fn measurement(fixture: &str, visit: &str, sharing: &str, children: Vec<Child>) -> Measurement {
    Measurement {
        fixture: fixture.into(),
        visit: visit.into(),
        prepare: None,
        sharing: sharing.into(),
        count: 2_000,
        item_bytes: 65_536,
        build_seconds: 0.25,
        tree: Tree {
            pss_bytes_before: Some(400 << 20),
            pss_bytes_after: None,
        },
        children,
    }
}

fn python(version: &str) -> Python {
    Python {
        version: version.into(),
        build: Some(format!("{version} (main) [GCC]")),
        executable: format!("/usr/bin/python{version}").into(),
        libpython: format!("/usr/lib/libpython{version}.so.1.0").into(),
        free_threaded: false,
    }
}

/// A report with everything that a renderer has to cope with: children that differ, unknown bytes, a
/// preparation, a warning.
fn canned() -> Report {
    Report::of(canned_run())
}

fn canned_run() -> Run {
    use RegionName::{Header, Payload, Rest, Segment, Spine};
    let lists = |header, rest, identical, seconds| {
        child(
            &[
                (Header, 121, header, identical),
                (Spine, 14, 0, Some(0)),
                (Payload, 96_027, 0, Some(0)),
                (Rest, 1_851, rest, Some(0)),
            ],
            seconds,
        )
    };
    let shared = |rest| {
        child(
            &[
                (Segment, 96_000, 0, Some(0)),
                (Rest, 3_832, rest, Some(rest)),
            ],
            0.000_04,
        )
    };
    Run {
        python: python("3.12.1"),
        environment: Environment {
            refcow_version: "0.1.0".into(),
            kernel: "6.12.0".into(),
            architecture: "x86_64".into(),
            page_size_bytes: 4096,
            transparent_huge_pages: HugePages {
                enabled: Some("madvise".into()),
                disabled_in_subject: true,
            },
            ksm: Ksm { running: None },
            privileges: Privileges {
                page_frame_numbers: false,
                root: false,
            },
            cpu: None,
            cpus: 2,
            memory_total_bytes: 8 << 30,
            memory_available_bytes: 7 << 30,
            packages: BTreeMap::from([("numpy".into(), "2.5.5".into())]),
        },
        calibration: Calibration {
            pages_written: 1365,
            pages_counted: 1365,
        },
        warnings: vec![Warning::KsmRunning],
        claims: Vec::new(),
        facts: Vec::new(),
        observations: Vec::new(),
        alternatives: Vec::new(),
        measurements: vec![
            measurement(
                "three_lists",
                "idle",
                "fork",
                vec![
                    lists(0, 0, Some(0), 0.000_000_6),
                    lists(0, 0, Some(0), 0.000_000_7),
                ],
            ),
            measurement(
                "three_lists",
                "reference",
                "fork",
                vec![
                    lists(2, 9, Some(2), 0.000_15),
                    lists(2, 9, Some(2), 0.000_16),
                ],
            ),
            measurement(
                "three_lists",
                "iterate",
                "fork",
                vec![
                    lists(121, 8, Some(117), 0.001_2),
                    lists(120, 8, Some(117), 0.001_3),
                ],
            ),
            measurement(
                "three_lists",
                "read",
                "fork",
                vec![lists(121, 16, None, 0.86), lists(121, 16, None, 0.9)],
            ),
            measurement("shared_numpy", "idle", "shared_memory", vec![shared(0)]),
            measurement("shared_numpy", "read", "shared_memory", vec![shared(67)]),
            Measurement {
                prepare: Some("freeze".into()),
                ..measurement("shared_numpy", "read", "shared_memory", vec![shared(66)])
            },
        ],
    }
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

/// The same with claims of every verdict, one of which was expected to be another.
fn canned_claims() -> Report {
    let claim = |id: &str, verdict, expected, limit: Option<&str>, why: Option<&str>| Claim {
        id: id.into(),
        statement: format!(
            "What the article says of {id} takes more than one line of a narrow terminal."
        ),
        verdict,
        expected,
        decided_by: why
            .is_none()
            .then(|| "80.1 % | of the list was copied".into()),
        limit: limit.map(Into::into),
        not_testable_because: why.map(Into::into),
        figures: BTreeMap::from([
            (
                "deleted".into(),
                Figure {
                    value: FigureValue::Count(1000),
                    unit: Unit::Count,
                },
            ),
            (
                "least".into(),
                Figure {
                    value: FigureValue::Number(0.0012),
                    unit: Unit::Share,
                },
            ),
            (
                "payload_pages".into(),
                Figure {
                    value: FigureValue::Count(96_027),
                    unit: Unit::Pages,
                },
            ),
        ]),
        evidence: vec!["ints/iterate".into(), "observed/deletion".into()],
    };
    Report::of(Run {
        claims: vec![
            claim(
                "zero-deletes",
                Verdict::Holds,
                Verdict::HoldsWithLimits,
                None,
                None,
            ),
            claim(
                "entire-list",
                Verdict::HoldsWithLimits,
                Verdict::HoldsWithLimits,
                Some("no payload page was"),
                None,
            ),
            claim(
                "read-only",
                Verdict::DoesNotHold,
                Verdict::DoesNotHold,
                None,
                None,
            ),
            claim(
                "fork-shares",
                Verdict::NotTestableHere,
                Verdict::Holds,
                None,
                Some("ptrace is forbidden here"),
            ),
        ],
        ..canned_run()
    })
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
    let style = Style::Terminal {
        width: Some(width),
        colours: false,
    };
    let claims = Claims::parse(STATEMENTS).unwrap();
    let explained = [claims.find("zero-deletes").unwrap()];
    for explained in [&explained[..], &[]] {
        let text = String::from_utf8(render_claims(&canned_claims(), explained, style)).unwrap();
        for line in text.lines() {
            assert!(line.chars().count() <= usize::from(width), "{line}");
        }
    }
}

#[rstest]
#[case(60)]
#[case(80)]
fn a_table_fits_the_terminal(#[case] width: u16) {
    let text = render(&canned(), Format::Table { width: Some(width) }).unwrap();
    let text = String::from_utf8(text).unwrap();
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
    let report = Report::of(run::measure(&[
        "ints",
        "--count",
        "3000",
        "--visit",
        "iterate",
        "--children",
        "1",
    ]));
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_json_snapshot!("json_of_a_run", report, {
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
            ".runs[].measurements[].children[].cross_checks.*" => "[pages]",
            ".runs[].measurements[].children[].regions[].pages" => "[pages]",
            ".runs[].measurements[].children[].regions[].unshared" => "[pages]",
            ".runs[].measurements[].children[].regions[].identical" => "[pages]",
        });
    });
}

#[rstest]
#[case(&["--help"], "Usage: refcow")]
#[case(&["--version"], "refcow 0.1.0")]
#[case(&["completions", "bash"], "complete -F _refcow")]
#[case(&["completions", "zsh"], "#compdef refcow")]
#[case(&["man"], ".TH refcow")]
#[case(&["man", "measure"], "item\\-bytes")]
#[case(&["man", "claims"], "\\-\\-quick")]
#[case(&["fixtures"], "three_lists (by fork)")]
#[case(&["fixtures", "shared_numpy"], "(by shared_memory)")]
#[case(&["pythons"], "library: /")]
#[case(&["doctor"], "calibration: 1365 pages written, 1365 counted")]
fn commands_that_measure_no_fixture_print_what_they_are_for(
    #[case] arguments: &[&str],
    #[case] expected: &str,
) {
    let printed = run::stdout(arguments);
    assert!(printed.contains(expected), "{printed}");
}
