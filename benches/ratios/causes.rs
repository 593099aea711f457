//! A visit whose page faults are recorded, against the same visit without.

use criterion::Criterion;
use refcow::python::Interpreter;

use crate::BenchResult;
use crate::subject::report;
use crate::table::RatioTable;
use crate::turns;
use crate::visit::fastest;

const LIMIT: f64 = 1.10;

pub fn run(criterion: &mut Criterion, _: &Interpreter, table: &mut RatioTable) -> BenchResult<()> {
    // From one that is all faults to one that has few.
    for (fixture, visit) in [
        ("ints", "iterate"),
        ("ints", "sum"),
        ("dicts", "read"),
        ("objects", "pickle"),
        ("three_lists", "read"),
    ] {
        let what = format!("causes: visit `{visit}` of {fixture}, recorded : not");
        let seconds = |more: &[&str]| {
            let arguments = ["measure", fixture, "--visit", visit, "--children", "4"];
            let report = report(&[&arguments[..], more].concat())?;
            let children = report.measurements.iter().flat_map(|one| &one.children);
            fastest(children.map(|child| child.visit_seconds))
        };
        let turns = {
            // Criterion's least number: one turn builds the data twice.
            let mut group = std::mem::take(criterion).sample_size(10);
            let turns = turns::take(
                &mut group,
                &what,
                || seconds(&[]),
                || seconds(&["--no-causes"]),
            );
            *criterion = group.sample_size(50);
            turns?
        };
        if let Some(turns) = turns {
            table.add(&what, turns.ratio(), LIMIT, "x", turns.times());
        }
    }
    Ok(())
}
