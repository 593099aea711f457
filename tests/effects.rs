//! What each visit does to each region, for every fixture: the snapshot that says what the data
//! structures predict.

use std::fmt::Write;

use refcow::fixtures;
use refcow::model::{Child, Measurement, RegionName};
use refcow::python::Interpreter;
use rstest::rstest;

use crate::common::by_python::assert_snapshot_of;
use crate::common::{by_python, run};

/// Large enough that "all" and "a few" of any region but that of small ints cannot be taken for
/// each other.
const SIZE: [&str; 4] = ["--count", "4000", "--item-bytes", "4096"];

/// A handful of pages at the edges of regions hold other objects as well, and where those lie
/// differs between builds of Python. So do the pages of the interpreter itself, the region `rest`,
/// which is left out.
const A_FEW: u64 = 6;

/// The last object of each list may reach into a page that holds no count: its own is on the page
/// before.
const LAST_PAGES: u64 = 3;

fn extent(measurement: &Measurement, name: RegionName) -> &'static str {
    let visit = &measurement.visit[..];
    // Here a single page would be a fault of the instrument, or of what everybody knows of shared
    // memory.
    let exactly = visit == fixtures::IDLE || name == RegionName::Segment;
    let extents: Vec<_> = run::region(measurement, name)
        .into_iter()
        .map(|(pages, unshared)| match unshared {
            // Every dataset has a header; the few pages of a small one may all have been copied by
            // the fork itself.
            _ if pages == 0 && name != RegionName::Header => "–",
            0 if exactly => "none",
            _ if exactly => "NOT NONE",
            unshared if unshared <= A_FEW => "at most a few",
            // Names and small ints are objects of the data, and stand among those of the
            // interpreter.
            unshared if name == RegionName::Header && unshared <= pages / 50 => "at most a few",
            // Memory that the child allocates lies between the data, and so does what the
            // collector's lists link.
            unshared if ALLOCATING.contains(&visit) && unshared <= pages / 5 => "at most a few",
            // Which pages hold none of the elements drawn differs with where they begin.
            unshared if visit == "random" && unshared >= pages / 4 * 3 => "most",
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

/// What is left of its copies when Python has ended depends on what the C library has given back by
/// then; it has tests of its own.
const UNCERTAIN: &str = fixtures::EXIT;

/// Here so much is allocated that "a few" pages are more.
const ALLOCATING: [&str; 3] = ["allocate", "collect", "pickle"];

/// Here the collector is at work, which also moves objects of the interpreter between its lists.
const COLLECTING: [&str; 2] = ["allocate", "collect"];

/// Where the size of an element is not free, or a large one would be many objects, or one without a
/// payload.
const OF_DEFAULT_SIZE: [&str; 11] = [
    "bytes_objects",
    "dicts",
    "floats",
    "interned_strings",
    "ints",
    "lists",
    "objects",
    "packed_ints",
    "small_ints",
    "strings",
    "tuples",
];

/// What these have is where the interpreter itself is, or beside it: with another build, elsewhere.
const OF_EACH_BUILD: [&str; 4] = ["three_lists", "interned_strings", "objects", "small_ints"];

/// Every fixture with what each visit does to its regions, on each interpreter.
#[rstest]
fn each_visit_unshares_what_the_fixture_says(
    #[values(
        "three_lists",
        "bitarrays",
        "bytes_objects",
        "dataframe_like",
        "dicts",
        "floats",
        "int_arrays",
        "interned_strings",
        "ints",
        "lists",
        "memoryviews",
        "numpy_arrays",
        "objects",
        "packed_ints",
        "shared_numpy",
        "small_ints",
        "strings",
        "tuples"
    )]
    name: &str,
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    let check = |interpreter: &Interpreter| {
        let table = effects(name, by_python::path(interpreter));
        let version = by_python::version(interpreter);
        assert_snapshot_of!(version, format!("effects_{name}"), table);
    };
    match OF_EACH_BUILD.contains(&name) {
        true => by_python::each_build(series, name, check),
        false => by_python::each(series, name, check),
    }
}

fn effects(name: &str, python: &str) -> String {
    let fixture = fixtures::find(name).unwrap();
    let visits: Vec<&str> = fixture
        .visits
        .iter()
        .map(|visit| visit.name.as_str())
        .filter(|visit| *visit != UNCERTAIN)
        .collect();
    let mut arguments = vec![name, SIZE[0], SIZE[1], "--python", python];
    if !OF_DEFAULT_SIZE.contains(&name) {
        arguments.extend(&SIZE[2..]);
    }
    for visit in &visits {
        arguments.extend(["--visit", visit]);
    }
    let report = run::measure(&arguments);
    let mut table = String::new();
    for visit in visits {
        let measurement = run::visit(&report, name, visit);
        if COLLECTING.contains(&visit) {
            // What that does to the interpreter alone is more than calling any function does.
            let mut around = measurement.children.iter().map(|child| child.around());
            assert!(around.all(|around| around.unshared > 30));
        }
        let _ = write!(table, "{visit:<10}");
        for region in RegionName::ALL {
            if region.is_data() {
                let extent = extent(measurement, region);
                // Of what is built of objects nothing is C's own, but what the interpreter grew by
                // meanwhile.
                let native = |child: &Child| child.region(region).map_or(0, |found| found.pages);
                if region == RegionName::Native
                    && measurement.children.iter().all(|child| native(child) < 4)
                {
                    continue;
                }
                let _ = write!(table, " {}: {extent:<14}", region.as_str());
            }
        }
        table.truncate(table.trim_end().len());
        table.push('\n');
    }
    table
}

/// A case has a snapshot, and nothing else makes one.
#[test]
fn every_builtin_fixture_has_a_case_above() {
    for fixture in fixtures::builtin() {
        assert!(!text_of(&format!("effects_{}", fixture.name)).is_empty());
    }
}

#[test]
fn every_interpreter_that_is_tested_has_a_case_above() {
    for interpreter in by_python::builds() {
        let (major, minor) = interpreter.series;
        let series = format!("{major}.{minor}");
        assert!(by_python::SERIES.contains(&&series[..]), "{series}");
    }
}

/// The text of a snapshot, without what insta notes in front of it.
fn text_of(name: &str) -> String {
    let file = by_python::snapshots().join(format!("{name}.snap"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let (_, text) = text.split_once("\n---\n").unwrap();
    text.to_owned()
}

#[test]
fn a_snapshot_of_its_own_has_only_a_version_that_differs_from_the_one_before() {
    for (base, since) in by_python::snapshots_of_versions() {
        let own = format!("{base}@{since}");
        let before = by_python::snapshots_of_versions()
            .into_iter()
            .filter(|(other, earlier)| *other == base && *earlier < since)
            .max_by(|(_, one), (_, other)| one.cmp(other))
            .map_or(base, |(base, earlier)| format!("{base}@{earlier}"));
        assert_ne!(text_of(&before), text_of(&own), "{own}");
    }
}

#[rstest]
#[case("bytes_objects")]
#[case("strings")]
fn of_an_element_longer_than_a_page_only_the_first_is_unshared(#[case] name: &str) {
    let visits = ["--visit", "iterate", "--visit", "random"];
    let size = ["--count", "500", "--item-bytes", "16384"];
    let report = run::measure(&[&[name], &size[..], &visits[..]].concat());
    let unshared = |visit| run::region(run::visit(&report, name, visit), RegionName::Header);
    for (pages, unshared) in unshared("iterate") {
        assert!(pages >= 2_000, "{pages} pages");
        assert!(
            (500 - A_FEW..=500 + A_FEW).contains(&unshared),
            "{unshared}"
        );
    }
    // One in ten, some of them twice.
    for (_, unshared) in unshared("random") {
        assert!((30..=50 + A_FEW).contains(&unshared), "{unshared}");
    }
}

#[test]
fn iterating_ints_copies_every_header_page_for_nothing() {
    let report = run::measure(&["ints", "--count", "200000", "--visit", "iterate"]);
    for child in &run::visit(&report, "ints", "iterate").children {
        let header = child.region(RegionName::Header).unwrap();
        assert!(
            header.pages > 1_000,
            "200,000 ints are more than {header:?}"
        );
        assert_eq!(header.unshared, header.pages);
        assert_eq!(header.identical, Some(header.pages));
    }
}

/// A user's fixture in a file, and its report.
fn report_of(source: &str) -> refcow::model::Run {
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

/// A collection writes the GC header of every tracked object that is not frozen, whoever asks for
/// it; a reference count is written all the same.
#[rstest]
#[case::nothing(None, ["all", "all", "all"])]
#[case::freeze(Some("freeze"), ["few", "few", "all"])]
#[case::disable(Some("disable"), ["all", "few", "all"])]
fn a_preparation_saves_what_collections_write_and_no_more(
    #[case] prepare: Option<&str>,
    #[case] expected: [&str; 3],
    #[values("memoryviews", "objects")] name: &str,
) {
    let visits = ["collect", "allocate", "iterate"];
    let mut arguments = vec![name, "--count", "8000", "--item-bytes", "64"];
    for visit in visits {
        arguments.extend(["--visit", visit]);
    }
    arguments.extend(prepare.iter().flat_map(|prepare| ["--prepare", prepare]));
    let report = run::measure(&arguments);
    for (visit, expected) in visits.into_iter().zip(expected) {
        let measurement = run::visit(&report, name, visit);
        assert_eq!(measurement.prepare.as_deref(), prepare);
        // The elements alone: a collection writes to what is tracked, and the ints in the
        // attributes are not.
        let elements = run::region(run::visit(&report, name, "iterate"), RegionName::Header);
        let all = run::region(measurement, RegionName::Header);
        for ((_, pages), (_, unshared)) in elements.into_iter().zip(all) {
            assert!(pages > 200, "{pages} pages");
            let found = match unshared {
                _ if unshared + LAST_PAGES >= pages => "all",
                _ if unshared <= pages / 8 => "few",
                _ => "some",
            };
            assert_eq!(found, expected, "{visit}: {unshared} of {pages}");
        }
    }
}

/// Whether the measured interpreter is at least this one.
fn at_least(run: &refcow::model::Run, version: &str) -> bool {
    run.python.order().unwrap() >= version.parse().unwrap()
}

#[test]
fn pickling_takes_references_to_all_that_it_remembers_and_since_3_10_6_to_all() {
    let visits = ["--count", "8000", "--visit", "pickle"];
    let report = run::measure(&[&["ints", "strings", "tuples"], &visits[..]].concat());
    let unshared = |name: &str| {
        let measurement = run::visit(&report, name, "pickle");
        run::region(measurement, RegionName::Header)
    };
    for (pages, unshared) in unshared("ints") {
        if at_least(&report, "3.10.6") {
            assert!(unshared + LAST_PAGES >= pages, "{unshared} of {pages}");
        } else {
            assert!(unshared <= A_FEW, "{unshared} of {pages}");
        }
    }
    for (pages, unshared) in unshared("strings") {
        assert!(unshared + LAST_PAGES >= pages, "{unshared} of {pages}");
    }
    // The ints in a tuple are taken from it as they are: two thirds of these pages.
    for (pages, unshared) in unshared("tuples") {
        assert!(
            unshared > pages / 4 && unshared < pages / 2,
            "{unshared} of {pages}"
        );
    }
}

#[test]
fn exit_frees_the_data_and_so_writes_to_every_object() {
    let report = run::measure(&[
        "ints",
        "--count",
        "40000",
        "--item-bytes",
        "256",
        "--visit",
        "exit",
    ]);
    for child in &run::visit(&report, "ints", "exit").children {
        let header = child.region(RegionName::Header).unwrap();
        assert!(header.pages > 2_000, "{header:?}");
        // Copies that were given back to the kernel are no longer there to be counted. Each had
        // cost a fault.
        assert!(
            child.minor_faults >= header.pages + child.around().unshared,
            "{child:#?}"
        );
        assert!(child.dataset().unshared > 0, "{child:#?}");
    }
}

#[test]
fn exit_writes_to_no_page_of_a_shared_mapping() {
    let report = run::measure(&["shared_numpy", "--count", "100", "--visit", "exit"]);
    for (pages, unshared) in run::region(&report.measurements[0], RegionName::Segment) {
        assert!(pages > 4_000);
        assert_eq!(unshared, 0);
    }
}

#[test]
fn a_users_file_is_not_ended_unless_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.py");
    let source =
        "def build(count, item_bytes):\n    return []\n\ndef visit_look(data):\n    pass\n";
    std::fs::write(&file, source).unwrap();
    let report = run::measure(&[file.to_str().unwrap()]);
    let visits: Vec<_> = report
        .measurements
        .iter()
        .map(|one| &one.visit[..])
        .collect();
    assert_eq!(visits, ["idle", "look"]);
}
