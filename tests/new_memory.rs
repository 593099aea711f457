//! What a child has besides its copies: what it makes, maps in, imports, and gives back before
//! anybody looks.

use std::path::PathBuf;

use refcow::model::{By, Child, Made, Measurement, Run};
use rstest::rstest;

use crate::common::{Place, by_python, cannot_record, run};

const GROWS: &str = include_str!("fixtures/grows.py");
const MIB: u64 = 1 << 20;
/// What a call, an import's bookkeeping and the like take besides.
const BESIDES: u64 = 100;

/// The fixture, with what it imports and maps beside it.
fn file(place: &Place) -> PathBuf {
    let path = place.path("grows.py");
    std::fs::write(&path, GROWS).unwrap();
    std::fs::write(
        place.path("this_is_imported.py"),
        "TABLE = list(range(200_000))\n",
    )
    .unwrap();
    std::fs::write(place.path("grows.py.large"), vec![7; 8 << 20]).unwrap();
    path
}

fn grown(visits: &[&str], more: &[&str]) -> Run {
    let place = Place::new();
    let file = file(&place);
    let mut arguments = vec![file.to_str().unwrap(), "--children", "1"];
    for visit in visits {
        arguments.extend(["--visit", visit]);
    }
    arguments.extend(more);
    run::measure(&arguments)
}

fn of<'a>(run: &'a Run, visit: &str) -> &'a Measurement {
    run::visit(run, "grows", visit)
}

fn child<'a>(run: &'a Run, visit: &str) -> &'a Child {
    &of(run, visit).children[0]
}

/// What every child must keep to.
fn adds_up(child: &Child) {
    let made: u64 = child.made.iter().map(|made| made.pages).sum();
    assert_eq!(Some(made), child.new_pages, "{:#?}", child.made);
    let checked = child.cross_checks.uss_growth.unwrap();
    assert_eq!(checked.copied, child.totals().unshared);
    assert_eq!(Some(checked.new), child.new_pages);
    assert_eq!(checked.left, 0, "{checked:?}");
    let peak = child.peak.unwrap();
    let at_the_end = checked.copied + checked.new;
    assert!(peak.bytes >= at_the_end * refcow::observe::page_size());
    assert!(peak.looks >= 1);
    assert!(peak.copied_pages.unwrap() >= checked.copied);
}

/// Pages of a type, by functions and lines alike.
fn of_type(child: &Child, of_type: &str) -> u64 {
    let wanted = |made: &&Made| made.of_type.as_deref() == Some(of_type);
    child
        .made
        .iter()
        .filter(wanted)
        .map(|made| made.pages)
        .sum()
}

#[rstest]
fn what_a_child_makes_is_told_by_type_and_by_who_made_it(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    if cannot_record("what_a_child_makes_is_told_by_type_and_by_who_made_it") {
        return;
    }
    by_python::each_build(series, "new pages", |interpreter| {
        let more = ["--lines", "--python", by_python::path(interpreter)];
        let run = grown(&["fill", "objects"], &more);
        let fill = child(&run, "fill");
        adds_up(fill);
        // 500 buffers of 16 KiB, which the bytearrays hold.
        let expected = 500 * 16 / 4;
        let filled = fill.new_pages.unwrap();
        // Some find room on pages that there were already, and that are copied.
        let around = expected - BESIDES..expected + BESIDES;
        assert!(around.contains(&filled), "{filled}");
        // Which keep their content in a bytes object since 3.15 (gh-139871).
        let holds = match interpreter.series < (3, 15) {
            true => "bytearray",
            false => "bytes",
        };
        assert!(
            of_type(fill, holds) + BESIDES > expected,
            "{:#?}",
            fill.made
        );
        let lines = of(&run, "fill").made_groups(&[By::Line], 4096).unwrap();
        let at = 1 + GROWS
            .lines()
            .position(|line| line.ends_with("# fills"))
            .unwrap();
        assert_eq!(lines[0].key, [Some(format!("fill (grows.py:{at})"))]);
        assert!(*lines[0].pages.end() + BESIDES > expected, "{lines:?}");

        let objects = child(&run, "objects");
        adds_up(objects);
        // 24 bytes in a block of 32 since 3.8 on (16 before), 40 and a GC header in one of 48 or
        // 64.
        let floats = 150_000 * 24 / 4096;
        assert!(of_type(objects, "float") >= floats, "{:#?}", objects.made);
        let tuples = 150_000 * 40 / 4096;
        assert!(of_type(objects, "tuple") >= tuples, "{:#?}", objects.made);
        // Two arrays of pointers.
        let arrays = 2 * 150_000 * 8 / 4096;
        assert!(
            (arrays - 8..2 * arrays).contains(&of_type(objects, "list")),
            "{:#?}",
            objects.made
        );
    });
}

#[test]
fn what_was_made_before_the_fork_is_not_made_again() {
    let run = grown(&["fill"], &["--set", "warm=True"]);
    let warm = child(&run, "fill");
    adds_up(warm);
    assert!(warm.new_pages.unwrap() < BESIDES, "{:?}", warm.made);
}

#[rstest]
fn modules_that_a_visit_imports_are_named(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each_build(series, "imports", |interpreter| {
        let more = ["--python", by_python::path(interpreter)];
        let run = grown(&["fill", "import"], &more);
        assert_eq!(
            child(&run, "import").imported,
            ["colorsys", "this_is_imported"]
        );
        // Its table alone has more, of pointers.
        assert!(child(&run, "import").new_pages.unwrap() > 200_000 * 8 / 4096);
        assert!(child(&run, "fill").imported.is_empty());
        let more = [&more[..], &["--set", "warm=True"]].concat();
        assert!(
            child(&grown(&["import"], &more), "import")
                .imported
                .is_empty()
        );
    });
}

#[test]
fn a_batch_that_is_given_back_is_in_the_peak() {
    if cannot_record("a_batch_that_is_given_back_is_in_the_peak") {
        return;
    }
    let run = grown(&["batch", "give_back"], &[]);
    let batch = child(&run, "batch");
    adds_up(batch);
    assert!(batch.new_pages.unwrap() < BESIDES);
    // It has all of them for as long as it takes to write 400 times to each.
    let pages = batch.peak.unwrap().bytes / refcow::observe::page_size();
    assert!(
        (5_000..5_000 + BESIDES).contains(&pages),
        "{:?}",
        batch.peak
    );
    // None of them was shared.
    assert!(batch.peak.unwrap().copied_pages.unwrap() < BESIDES);

    let given_back = child(&run, "give_back");
    adds_up(given_back);
    let copied = given_back.peak.unwrap().copied_pages.unwrap();
    assert!(given_back.totals().unshared < BESIDES);
    assert!((1_000..1_000 + BESIDES).contains(&copied), "{copied}");
}

#[test]
fn pages_of_files_are_told_from_new_ones() {
    let run = grown(&["map"], &[]);
    let map = child(&run, "map");
    let pages = 8 * MIB / refcow::observe::page_size();
    let of_files = map.file_pages.unwrap();
    assert!(
        (pages..pages + 4 * BESIDES).contains(&of_files),
        "{of_files}"
    );
    assert!(map.new_pages.unwrap() < BESIDES);
}

#[test]
fn nobody_looks_where_the_time_counts() {
    let run = grown(&["fill"], &["--no-causes"]);
    let fill = child(&run, "fill");
    assert_eq!(fill.peak, None);
    assert!(fill.made.is_empty());
    assert!(fill.new_pages.is_some() && fill.file_pages.is_some());
}

#[rstest]
fn data_that_is_frozen_is_not_freed_at_the_end(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each_build(series, "exit, frozen", |interpreter| {
        let more = [
            "--set",
            "count=60_000",
            "--python",
            by_python::path(interpreter),
        ];
        let freed = grown(&["exit"], &more);
        let frozen = grown(&["exit"], &[&more[..], &["--prepare", "freeze"]].concat());
        // Each record has an object of its own on a page, and is freed with a write to that.
        let header = |run: &Run| child(run, "exit").regions[0].pages;
        let faults = |run| child(run, "exit").minor_faults;
        assert!(faults(&freed) >= header(&freed), "{}", faults(&freed));
        let written = faults(&freed) - faults(&frozen);
        assert!(
            written + 2 * BESIDES > header(&freed),
            "{} and {}",
            faults(&freed),
            faults(&frozen)
        );
    });
}
