//! A document as refcow wrote it when the cause `buffer` was called `payload`, and all of the
//! process but the data was `rest`.

use refcow::claims::Claims;
use refcow::compare::{TOLERANCE, compare};
use refcow::model::{self, By, Cause, Fate, RegionName, Report, Status};
use refcow::report::{Format, render, render_by};
use serde_json::Value;

/// A part of a real one: one visit of three lists, in which 3.12 wrote a version into the keys of a
/// dict.
const DOCUMENT: &str = include_str!("fixtures/second_version.json");

fn read() -> Report {
    let (report, version) = model::read(DOCUMENT.as_bytes()).unwrap();
    assert_eq!(version, 2);
    report
}

#[test]
fn the_cause_has_its_new_name_and_the_region_its_own() {
    let then: Value = serde_json::from_str(DOCUMENT).unwrap();
    let then = &then["runs"][0]["measurements"][0]["children"][0];
    assert_eq!(then["regions"][1]["causes"]["payload"], 1);
    assert!(then["regions"][1]["map"].as_str().unwrap().contains("1p"));

    let report = read();
    let child = &report.runs[0].measurements[0].children[0];
    let spine = child.region(RegionName::Spine).unwrap();
    assert_eq!(spine.causes.unwrap().of(Cause::Buffer), 1);
    let map = spine.map.as_ref().unwrap();
    let buffer = |fate| {
        matches!(
            fate,
            Fate::Copied {
                cause: Some(Cause::Buffer),
                ..
            }
        )
    };
    assert_eq!(map.sum(buffer), 1);
    assert_eq!(map.causes(), spine.causes);
    let written = child.written.iter();
    let mut of_cause = written.filter(|written| written.cause == Cause::Buffer);
    assert_eq!(of_cause.next().unwrap().of_type.as_deref(), Some("dict"));
    let payload = child.region(RegionName::Payload).unwrap();
    assert_eq!((payload.pages, payload.unshared), (4_802, 0));
    let rest = child.region(RegionName::Rest).unwrap();
    assert_eq!((rest.pages, rest.unshared), (926, 14));
}

#[test]
fn it_is_written_in_todays_shape() {
    let report = read();
    let text = render(&report, Format::Json).unwrap();
    assert_eq!(
        model::read(&text).unwrap(),
        (report, u64::from(model::SCHEMA_VERSION))
    );
}

/// What nobody recorded then is neither nothing nor a guess.
#[test]
fn it_is_told_of_without_what_it_lacks() {
    let report = read();
    let table = render(&report, Format::Table { width: None }).unwrap();
    let table = String::from_utf8(table).unwrap();
    assert!(table.contains("Found: the worker copied 88 KiB"), "{table}");
    assert!(table.contains("\nnew "), "{table}");
    for unknown in ["files", "peak", "It started", "imported"] {
        assert!(!table.contains(unknown), "{unknown}: {table}");
    }
    for by in By::ALL {
        render_by(&report, &[by], Format::Table { width: None }).unwrap();
    }
}

#[test]
fn it_compares_with_a_document_of_today_that_divides_the_rest() {
    let base = read();
    let mut new = read();
    let child = &mut new.runs[0].measurements[0].children[0];
    let rest = child.regions.last_mut().unwrap();
    let mut modules = rest.clone();
    modules.name = RegionName::Modules;
    (modules.pages, modules.unshared) = (500, 10);
    (rest.pages, rest.unshared) = (426, 4);
    modules.causes = None;
    rest.causes = None;
    child.regions.push(modules);
    child.written.clear();
    let compared = compare(&base, &new, TOLERANCE, &[], Claims::versions());
    for row in compared.compared.iter().flat_map(|runs| &runs.rows) {
        assert_eq!(row.status, Status::Unchanged, "{row:?}");
    }
}
