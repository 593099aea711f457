//! Finding all interpreters of this machine when an earlier run has asked them, against starting one of them.

use std::process::{Command, Stdio};
use std::time::Instant;

use criterion::Criterion;
use refcow::python::{self, Interpreter};

use crate::BenchResult;
use crate::table::RatioTable;
use crate::turns;

const LIMIT: f64 = 1.0;

pub fn run(
    criterion: &mut Criterion,
    interpreter: &Interpreter,
    table: &mut RatioTable,
) -> BenchResult<()> {
    // What is not known yet is asked here, once.
    let count = python::discover().len();
    let ours = || {
        let start = Instant::now();
        let found = python::discover();
        let elapsed = start.elapsed();
        assert_eq!(found.len(), count);
        Ok(elapsed)
    };
    let theirs = || {
        let start = Instant::now();
        let status = Command::new(&interpreter.executable)
            .args(["-c", "pass"])
            .stdin(Stdio::null())
            .status()?;
        let elapsed = start.elapsed();
        if !status.success() {
            return Err(format!("{}: {status}", interpreter.executable.display()).into());
        }
        Ok(elapsed)
    };
    let what = "discovery of all interpreters : starting one (-c pass)";
    if let Some(turns) = turns::take(criterion, what, ours, theirs)? {
        let figures = format!("{count} found; {}", turns.times());
        table.add(what, turns.ratio(), LIMIT, "x", figures);
    }
    Ok(())
}
