//! What belongs to the data, and what does not: each kind of thing that the collector is not told
//! of is written to, and the fixture itself counts its pages.

use std::collections::HashMap;

use refcow::model::{Cause, Child, RegionName, Run, Warning};
use rstest::rstest;

use crate::common::{Place, by_python, run};

const SHAPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/shapes.py");
const ARRAYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/arrays.py");
const CLASSES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/classes.py");

/// Pages on which something else was written to first, or that were written before.
const A_FEW: u64 = 5;

/// As many of the pages with children of elements: what else is on those depends on the length of
/// the fixture's own path, which is in each of its code objects. There were 3 to 6 of 145 or 146,
/// in six folders.
const A_FEW_BESIDE_ELEMENTS: u64 = 7;

/// What the fixture has counted for each visit, and what refcow says of it.
fn measured(file: &str, python: &str) -> (HashMap<String, u64>, Run) {
    let place = Place::new();
    let log = place.path("log");
    let log_of = format!("log={}", log.display());
    let run = run::measure(&[
        file,
        "--set",
        &log_of,
        "--children",
        "1",
        "--python",
        python,
    ]);
    let counted = std::fs::read(log).unwrap();
    (serde_json::from_slice(&counted).unwrap(), run)
}

/// Pages that were written to first for this cause, at objects of one of these types, or at what
/// belongs to one.
fn pages(child: &Child, regions: &[RegionName], cause: Cause, types: &[&str]) -> u64 {
    let wanted = child.written.iter().filter(|row| {
        let of_type = row.of_type.as_deref().unwrap_or_default();
        regions.contains(&row.region)
            && row.cause == cause
            && (types.is_empty() || types.contains(&of_type))
    });
    wanted.map(|row| row.pages).sum()
}

const DATA: [RegionName; 3] = [RegionName::Header, RegionName::Spine, RegionName::Payload];

/// Every page that the visits of a file write to is where it belongs.
fn is_data(file: &str, python: &str) {
    let (counted, run) = measured(file, python);
    let not_walked = |warning: &&Warning| matches!(warning, Warning::NotWalked { .. });
    assert_eq!(run.warnings.iter().find(not_walked), None);
    let mut some = 0;
    for measurement in &run.measurements {
        let visit = &measurement.visit[..];
        let Some(expected) = counted.get(visit).copied() else {
            continue;
        };
        some += 1;
        let child = &measurement.children[0];
        let (region, cause, types): (_, _, &[&str]) = match visit {
            "blocks" | "nodes" => (RegionName::Spine, Cause::Buffer, &[]),
            // Elements' own blocks lie between elements.
            "children" => (RegionName::Header, Cause::Buffer, &[]),
            "digits" | "small" | "arena" | "long_texts" => {
                (RegionName::Payload, Cause::Buffer, &[])
            }
            _ => (RegionName::Header, Cause::Refcount, &["str", "bytes"]),
        };
        let of_data = pages(child, &DATA, cause, types);
        if visit == "own_type" {
            // No object of the data leads to a class but by being of it.
            assert!(of_data <= A_FEW, "{visit}: {:#?}", child.written);
            continue;
        }
        assert!(expected > 6 * A_FEW, "{visit}: {expected}");
        let few = match visit {
            "children" => A_FEW_BESIDE_ELEMENTS,
            _ => A_FEW,
        };
        let difference = expected.abs_diff(of_data);
        assert!(
            difference <= few,
            "{visit}: {of_data} of {expected}: {:#?}",
            child.written
        );
        assert!(
            pages(child, &[region], cause, types) > expected / 2,
            "{visit}"
        );
        let rest = pages(child, &[RegionName::Rest], cause, types);
        assert!(rest <= A_FEW, "{visit}: {:#?}", child.written);
    }
    assert!(some > 5);
}

#[rstest]
fn what_the_collector_is_not_told_of_is_data(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    if crate::common::cannot_record("what_the_collector_is_not_told_of_is_data") {
        return;
    }
    by_python::each_build(series, "shapes", |interpreter| {
        is_data(SHAPES, by_python::path(interpreter));
    });
}

#[rstest]
fn what_arrays_have_and_lead_to_is_data(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    if crate::common::cannot_record("what_arrays_have_and_lead_to_is_data") {
        return;
    }
    by_python::each_build(series, "arrays", |interpreter| {
        is_data(ARRAYS, by_python::path(interpreter));
    });
}

#[rstest]
fn what_classes_lead_to_has_the_same_causes_frozen_and_not(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    if crate::common::cannot_record("what_classes_lead_to_has_the_same_causes_frozen_and_not") {
        return;
    }
    by_python::each_build(series, "classes", |interpreter| {
        let of = |more: &[&str]| {
            let python = ["--children", "1", "--python", by_python::path(interpreter)];
            let run = run::measure(&[&[CLASSES, "--visit", "texts"], &python[..], more].concat());
            let child = &run.measurements[0].children[0];
            let all: u64 = child.written.iter().map(|row| row.pages).sum();
            // The interpreter's cache of methods is no object.
            let unknown = pages(child, &DATA, Cause::Unattributed, &[]);
            assert!(all > 200 && unknown <= A_FEW, "{:#?}", child.written);
            let types = ["str", "classes.Entry", "type"];
            types.map(|of_type| pages(child, &DATA, Cause::Refcount, &[of_type]))
        };
        let (as_it_is, frozen) = (of(&[]), of(&["--prepare", "freeze"]));
        for (one, other) in as_it_is.into_iter().zip(frozen) {
            assert!(
                one > 2 * A_FEW && one.abs_diff(other) <= A_FEW,
                "{as_it_is:?} {frozen:?}"
            );
        }
    });
}

/// What the warning says of some data: types, objects and pages.
fn not_walked(source: &str, python: &str) -> Option<(String, u64, u64)> {
    let place = Place::new();
    let file = place.file("held.py", source);
    let run = run::measure(&[
        &file,
        "--visit",
        "idle",
        "--children",
        "1",
        "--python",
        python,
    ]);
    let mut all = run.warnings.iter().filter_map(|warning| match warning {
        Warning::NotWalked {
            types,
            objects,
            pages,
            ..
        } => Some((types.clone(), objects.unwrap(), pages.unwrap())),
        _ => None,
    });
    let first = all.next();
    assert_eq!(all.next(), None);
    first
}

#[rstest]
fn only_memory_that_c_code_holds_is_a_warning(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each_build(series, "held", |interpreter| {
        let python = by_python::path(interpreter);
        let nothing = "import decimal, enum, functools, io, itertools, re, threading, types\n\
            class Colour(enum.Enum):\n    RED = 1\n\n\
            def build():\n    \
                return [True, None, 1.5, {'a': False}, int, Colour, Colour.RED, build, build.__code__, threading.Lock(), \
                    re.compile('a.*'), functools.partial(print), itertools.chain([1]), io.BytesIO(b'a' * 9999), \
                    decimal.Decimal('1' * 999), types.SimpleNamespace(a=1), range(9), iter([1]), bytearray(999), 1 << 999]\n";
        assert_eq!(not_walked(nothing, python), None);
        let held = "import io, sqlite3\n\
            def build():\n    \
                text = io.StringIO('x' * 40_960)\n    \
                return [sqlite3.connect(':memory:'), text, text]\n";
        let (types, objects, pages) = not_walked(held, python).unwrap();
        assert_eq!(types, "_io.StringIO, sqlite3.Connection");
        assert_eq!(objects, 2);
        assert!((10..100).contains(&pages), "{pages}");
    });
}
