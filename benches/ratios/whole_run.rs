//! A whole run, from the first instruction to the end of the process, against what it is for: building the data and
//! visiting it. The latter two it says itself.

use std::cell::Cell;
use std::time::{Duration, Instant};

use criterion::Criterion;
use refcow::model::Run;
use refcow::python::Interpreter;

use crate::BenchResult;
use crate::subject::report;
use crate::table::RatioTable;
use crate::turns::{self, median};

const LIMIT: f64 = 1.3;

pub fn run(
    criterion: &mut Criterion,
    interpreter: &Interpreter,
    table: &mut RatioTable,
) -> BenchResult<()> {
    let executable = interpreter.executable.display().to_string();
    let three_lists = ["measure", "three_lists"];
    // Finding python3 through a version manager's shim costs the shim's own start, which is not refcow's.
    let given = ["measure", "three_lists", "--python", &executable];
    let runs: [(&str, &[&str]); 3] = [
        (
            "whole run of three_lists : its builds + visits",
            &three_lists,
        ),
        (
            "whole run of three_lists, interpreter by its path : the same",
            &given,
        ),
        (
            "whole run of three_lists and shared_numpy : its builds + visits",
            &["measure", "three_lists", "shared_numpy"],
        ),
    ];
    for (what, arguments) in runs {
        let work = Cell::new(Duration::ZERO);
        let ours = || {
            let start = Instant::now();
            let report = report(arguments)?;
            let elapsed = start.elapsed();
            work.set(builds_and_visits(&report));
            Ok(elapsed)
        };
        let mut ten = std::mem::take(criterion).sample_size(10);
        let turns = turns::take(&mut ten, what, ours, || Ok(work.get()));
        *criterion = ten.sample_size(50);
        if let Some(turns) = turns? {
            let pairs = turns.ours.iter().zip(&turns.theirs);
            // Of the same run: whatever slowed it down slowed down both.
            let ratios: Vec<f64> = pairs
                .map(|(whole, work)| whole.as_secs_f64() / work.as_secs_f64())
                .collect();
            table.add(what, median(&ratios), LIMIT, "x", turns.times());
        }
    }
    Ok(())
}

/// Each dataset is built once, however many measurements tell of it.
fn builds_and_visits(report: &Run) -> Duration {
    let mut seconds = 0.0;
    let mut built = None;
    for measurement in &report.measurements {
        if built != Some(&measurement.fixture) {
            seconds += measurement.build_seconds;
            built = Some(&measurement.fixture);
        }
        let visits = measurement.children.iter().map(|child| child.visit_seconds);
        seconds += visits.sum::<f64>();
    }
    Duration::from_secs_f64(seconds)
}
