//! A document with something in every field, and how any value of it becomes another.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use refcow::model::{
    self, AfterKill, Alternative, Contents, Fact, Figure, Import, Leftover, Measurement,
    Observation, Outcome, OwnData, Receiver, Report, Source, StartMethod, Tree, Unit, Warning,
};
use serde_json::{Value, json};

use super::{canned, ways};

/// What would act where it is not escaped.
pub const TEXTS: [&str; 14] = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\" onload=\"alert(1)",
    "' onload='alert(1)",
    "javascript:alert(1)",
    "=HYPERLINK(\"x\")",
    "@SUM(1);=1+1",
    "-1+1",
    "[a](javascript:x)",
    "![a](http://evil)",
    "a\\|b|c\\",
    "`a` ``` * _b_ <",
    "https://evil.example www.evil.example",
    "\\[a\\](javascript:x) &lt;script&gt;",
];

fn figure(value: model::Value, unit: Unit) -> Figure {
    Figure { value, unit }
}

/// Two interpreters' runs with something in every field.
pub fn full() -> Report {
    // Maps are drawn page by page.
    static MADE: LazyLock<Report> = LazyLock::new(make_full);
    MADE.clone()
}

fn make_full() -> Report {
    let mut run = canned::run_with_advice("3.12.1");
    run.began = Some("2026-11-28T16:22:01Z".into());
    run.seconds = Some(41.4);
    run.claims = canned::run_with_claims("3.12.1").claims;
    canned::draw_maps(&mut run);
    for measurement in &mut run.measurements {
        let after = (1..=measurement.children.len() as u64).map(|number| number << 20);
        measurement.tree = Tree {
            pss_bytes_before: Some(1 << 20),
            pss_bytes_after: after.clone().next_back(),
            pss_bytes_after_each: after.collect(),
            ..measurement.tree
        };
    }
    let own = Measurement {
        fixture: "own.py".into(),
        parameters: BTreeMap::from([("kind".into(), json!("dict")), ("big".into(), json!(1e300))]),
        arguments: vec!["-v".into()],
        ..run.measurements[2].clone()
    };
    run.measurements.push(own);
    run.measurements[2].children[0].written[0].line = Some("visit (a.py:2)".into());
    run.warnings.push(Warning::OtherRules {
        of: vec!["zero-deletes".into()],
    });
    run.warnings.push(Warning::NotMeasured {
        fixture: "strings".into(),
        visit: None,
        reason: "it raised ValueError: no".into(),
    });
    run.facts = vec![Fact {
        id: "arrays-tracked".into(),
        statement: "What is known.".into(),
        source: "PEP 1".into(),
        changes: vec!["3.12".into()],
        outcome: Outcome::AsPredicted,
        found: Some("1 of 1 page".into()),
        not_testable_because: None,
        figures: BTreeMap::from([
            (
                "copied".into(),
                figure(model::Value::Count(-1), Unit::Bytes),
            ),
            (
                "word".into(),
                figure(model::Value::Text("dict".into()), Unit::Text),
            ),
        ]),
        evidence: vec!["ints/iterate".into()],
        rules_sha256: Some("0123".repeat(16)),
    }];
    run.observations = vec![Observation {
        name: "deletion".into(),
        figures: BTreeMap::from([("deleted".into(), model::Value::Number(1.5))]),
    }];
    let receiver = |start_method| Receiver {
        first_read_seconds: 0.001,
        read_all_seconds: 0.1,
        own_pages: 9,
        copied_pages: match start_method {
            StartMethod::Fork => 5,
            StartMethod::Spawn | StartMethod::Forkserver => -1,
        },
        piped_bytes: Some(4096),
    };
    let way = |way: &str, start_method, contents| Alternative {
        way: way.into(),
        title: format!("by {way}"),
        contents,
        start_method,
        size_bytes: 4 << 20,
        start_seconds: 0.1,
        prepare_seconds: Some(0.1),
        handover_seconds: 0.2,
        pss_bytes_held: Some(1 << 20),
        pss_bytes_read: Some(2 << 20),
        memory_bytes_held: Some(1 << 19),
        memory_bytes_read: Some(1 << 20),
        writes_seen_by_parent: true,
        writes_seen_by_sibling: Some(true),
        container_survives: true,
        elements_survive: false,
        after_child_killed: AfterKill::Hangs {
            after_seconds: 0.5,
            later_done: true,
        },
        left_after_kill: vec![Leftover::File],
        reference_own_pages: 10,
        children: vec![receiver(start_method), receiver(start_method)],
    };
    run.alternatives = vec![
        way("pool", StartMethod::Fork, Contents::Ints),
        way("pool", StartMethod::Spawn, Contents::Ints),
        way("array", StartMethod::Fork, Contents::Bitarrays),
    ];
    run.own_data = vec![OwnData {
        not_picklable: Some("data.lock (cannot pickle it)".into()),
        pickled_bytes: None,
        ..ways::own_data()
    }];
    let environment = &mut run.environment;
    environment.refcow_commit = Some("0123456789".into());
    environment.cpu = Some("a processor".into());
    let sum = || "0123456789abcdef".repeat(4);
    environment.package_sha256 = BTreeMap::from([("numpy".into(), sum())]);
    environment.kernel_settings = BTreeMap::from([("/proc/sys/a".into(), "0".into())]);
    environment.seeds = BTreeMap::from([("PYTHONHASHSEED".into(), 0)]);
    let mut other = run.clone();
    other.python.version = "3.8.18".into();
    other.measurements.truncate(6);
    other.advice.clear();
    let mut report = Report::of_all(
        vec![other, run],
        vec![Warning::InterpreterNotMeasured {
            python: "CPython 3.13.0".into(),
            reason: "it is gone".into(),
        }],
    );
    report.command = vec!["claims".into(), "--quick".into()];
    report.sources = vec![Source {
        path: "own.py".into(),
        sha256: sum(),
        imports: vec![Import {
            path: "beside.py".into(),
            sha256: sum(),
        }],
        imports_unknown: Some("it is no file".into()),
    }];
    report
}

/// The place of each value, as `Value::pointer_mut` takes it.
pub fn places(value: &Value, place: &str, all: &mut Vec<String>) {
    all.push(place.to_owned());
    match value {
        Value::Array(entries) => {
            for (index, entry) in entries.iter().enumerate() {
                places(entry, &format!("{place}/{index}"), all);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                places(field, &format!("{place}/{name}"), all);
            }
        }
        _ => {}
    }
}
