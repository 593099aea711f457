//! The claims with two interpreters in one run, against a run for each: a second interpreter costs what it measures, and
//! neither a rebuild nor anything else.

use std::time::Instant;

use criterion::Criterion;
use refcow::python;

use crate::BenchResult;
use crate::subject::report;
use crate::table::RatioTable;
use crate::turns;

const LIMIT: f64 = 1.0;

pub fn run(criterion: &mut Criterion, table: &mut RatioTable) -> BenchResult<()> {
    let what = "claims of several interpreters in one run : in a run each";
    let chosen = python::choose_all(&["all".to_owned()])?;
    let paths: Vec<String> = chosen
        .interpreters
        .iter()
        .map(|interpreter| interpreter.executable.display().to_string())
        .collect();
    let [one, .., other] = &paths[..] else {
        table.absent(what, LIMIT, "x", "there is one interpreter here");
        return Ok(());
    };
    let claims = |pythons: &[&String]| -> BenchResult<()> {
        let mut arguments = vec!["claims", "--quick"];
        for python in pythons {
            arguments.extend(["--python", python]);
        }
        report(&arguments).map(drop)
    };
    let ours = || {
        let start = Instant::now();
        claims(&[one, other])?;
        Ok(start.elapsed())
    };
    let theirs = || {
        let start = Instant::now();
        claims(&[one])?;
        claims(&[other])?;
        Ok(start.elapsed())
    };
    let mut ten = std::mem::take(criterion).sample_size(10);
    let turns = turns::take(&mut ten, what, ours, theirs);
    *criterion = ten.sample_size(50);
    if let Some(turns) = turns? {
        table.add(what, turns.ratio(), LIMIT, "x", turns.times());
    }
    Ok(())
}
