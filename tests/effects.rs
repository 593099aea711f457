//! What each visit does to each region, for every fixture: the snapshot that says what the data structures predict.

mod common;

use std::fmt::Write;

use refcow::fixtures;
use refcow::model::{Measurement, RegionName};
use rstest::rstest;

use common::run;

/// Large enough that "all" and "a few" of any region but that of small ints cannot be taken for each other.
const SIZE: [&str; 4] = ["--count", "4000", "--item-bytes", "4096"];

/// A handful of pages at the edges of regions hold other objects as well, and where those lie differs between builds
/// of Python. So do the pages of the interpreter itself, the region `rest`, which is left out.
const A_FEW: u64 = 6;

/// The last object of each list may reach into a page that holds no count: its own is on the page before.
const LAST_PAGES: u64 = 3;

fn extent(measurement: &Measurement, name: RegionName) -> &'static str {
    // Here a single page would be a fault of the instrument, or of what everybody knows of shared memory.
    let exactly = measurement.visit == fixtures::IDLE || name == RegionName::Segment;
    let extents: Vec<_> = run::region(measurement, name)
        .into_iter()
        .map(|(pages, unshared)| match unshared {
            // Every dataset has a header; the few pages of a small one may all have been copied by the fork itself.
            _ if pages == 0 && name != RegionName::Header => "–",
            0 if exactly => "none",
            _ if exactly => "NOT NONE",
            unshared if unshared <= A_FEW => "at most a few",
            unshared if unshared + LAST_PAGES >= pages => "all",
            _ => "some",
        })
        .collect();
    assert!(
        extents.windows(2).all(|pair| pair[0] == pair[1]),
        "children differ: {measurement:#?}"
    );
    extents[0]
}

/// Visits but `collect`, whose effect depends on the Python version.
#[rstest]
#[case("three_lists")]
#[case("bitarrays")]
#[case("int_arrays")]
#[case("ints")]
#[case("small_ints")]
#[case("numpy_arrays")]
#[case("shared_numpy")]
fn each_visit_unshares_what_the_fixture_says(#[case] name: &str) {
    let fixture = fixtures::find(name).unwrap();
    let visits: Vec<&str> = fixture
        .visits
        .iter()
        .map(|visit| visit.name.as_str())
        .filter(|visit| *visit != "collect")
        .collect();
    let mut arguments = vec![name, SIZE[0], SIZE[1]];
    // Sizes of ints are those that ints can have.
    if !["ints", "small_ints"].contains(&name) {
        arguments.extend(&SIZE[2..]);
    }
    for visit in &visits {
        arguments.extend(["--visit", visit]);
    }
    let report = run::measure(&arguments);
    let mut table = String::new();
    for visit in visits {
        let measurement = run::visit(&report, name, visit);
        let _ = write!(table, "{visit:<10}");
        for region in RegionName::ALL {
            if region != RegionName::Rest {
                let extent = extent(measurement, region);
                let _ = write!(table, " {}: {extent:<14}", region.as_str());
            }
        }
        table.truncate(table.trim_end().len());
        table.push('\n');
    }
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("effects_{name}"), table);
    });
}

#[test]
fn every_builtin_fixture_has_a_case_above() {
    let names: Vec<_> = fixtures::builtin()
        .iter()
        .map(|fixture| &fixture.name[..])
        .collect();
    let mut cases = [
        "three_lists",
        "bitarrays",
        "int_arrays",
        "ints",
        "small_ints",
        "numpy_arrays",
        "shared_numpy",
    ];
    cases.sort_unstable();
    assert_eq!(names, cases);
}

#[test]
fn iterating_ints_copies_every_header_page_for_nothing() {
    let report = run::measure(&["ints", "--visit", "iterate"]);
    for child in &run::visit(&report, "ints", "iterate").children {
        let header = child.region(RegionName::Header).unwrap();
        assert!(
            header.pages > 1_000,
            "a million ints are more than {header:?}"
        );
        assert_eq!(header.unshared, header.pages);
        assert_eq!(header.identical, Some(header.pages));
    }
}

/// A user's fixture in a file, and its report.
fn report_of(source: &str) -> refcow::model::Report {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.py");
    std::fs::write(&file, source).unwrap();
    run::measure(&[file.to_str().unwrap(), "--count", "100", "--visit", "idle"])
}

#[test]
fn objects_that_say_odd_things_of_themselves_are_measured_by_their_layout() {
    let report = report_of(
        "class Liar(str):\n    def __sizeof__(self):\n        return 1 << 62\n\n\
         class Long(tuple):\n    def __sizeof__(self):\n        return -1\n\n\
         def build(count, item_bytes):\n    return [int, str, Liar('a'), Long((1, 2))] * count\n",
    );
    for (pages, _) in run::region(&report.measurements[0], RegionName::Header) {
        assert!(pages < 20, "{pages} pages");
    }
}

#[test]
fn one_object_without_its_buffer_does_not_hide_those_of_the_others() {
    let report = report_of(
        "def build(count, item_bytes):\n    views = [memoryview(bytearray(40960)) for _ in range(count)]\n    \
         views[0].release()\n    return views\n",
    );
    for (pages, _) in run::region(&report.measurements[0], RegionName::Payload) {
        assert!(pages > 900, "{pages} pages");
    }
}

#[test]
fn what_is_not_walked_is_a_warning() {
    let report = report_of(
        "def build(count, item_bytes):\n    return [{index: 'a'} for index in range(count)]\n",
    );
    let warning = refcow::model::Warning::NotWalked {
        fixture: "mine".into(),
        types: "dict".into(),
    };
    assert!(report.warnings.contains(&warning), "{:?}", report.warnings);
}

#[test]
fn collecting_writes_to_every_header_of_a_list_of_tracked_objects() {
    // The children's own lists: a fixture of a user's, since 3.8 and 3.9 do not track arrays.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tracked.py");
    let source = "import gc\n\ndef build(count, item_bytes):\n    return [[] for _ in range(count)]\n\n\
                  def visit_collect(data):\n    gc.collect()\n";
    std::fs::write(&file, source).unwrap();
    let file = file.to_str().unwrap();
    let report = run::measure(&[file, "--count", "100000", "--visit", "collect"]);
    for (pages, unshared) in run::region(&report.measurements[0], RegionName::Header) {
        assert!(pages > 1_000);
        assert_eq!(unshared, pages);
    }
}
