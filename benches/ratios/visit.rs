//! A visit under refcow, against the same visit in a script that only forks.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::Criterion;
use refcow::python::{self, Interpreter};

use crate::BenchResult;
use crate::subject::{beside, report};
use crate::table::RatioTable;
use crate::turns;

const LIMIT: f64 = 1.05;
/// Visits a turn: several, as building the data takes longer than most.
const CHILDREN: &str = "2";

pub fn run(
    criterion: &mut Criterion,
    interpreter: &Interpreter,
    table: &mut RatioTable,
) -> BenchResult<()> {
    for (fixture, visit) in [("three_lists", "read"), ("ints", "iterate")] {
        let what = format!("visit `{visit}` of {fixture} : in a plain script");
        let modules = refcow::fixtures::find(fixture)?.modules;
        let ready = python::prepare(interpreter.clone(), &modules, &|line| eprintln!("{line}"))?;
        let program = ready.executable.clone();

        let ours = || {
            let arguments = ["measure", fixture, "--visit", visit, "--children", CHILDREN];
            let report = report(&arguments)?;
            let children = report.measurements.iter().flat_map(|one| &one.children);
            fastest(children.map(|child| child.visit_seconds))
        };
        let theirs = || {
            let output = plain_script(&program)
                .args([fixture, visit, CHILDREN])
                .output()?;
            if !output.status.success() {
                return Err(format!("plain_fork.py: {}", output.status).into());
            }
            let seconds: Vec<f64> = serde_json::from_slice(&output.stdout)?;
            fastest(seconds.into_iter())
        };
        let turns = {
            // Criterion's least number: one turn builds the data twice.
            let mut group = std::mem::take(criterion).sample_size(10);
            let turns = turns::take(&mut group, &what, ours, theirs);
            *criterion = group.sample_size(50);
            turns?
        };
        if let Some(turns) = turns {
            table.add(&what, turns.ratio(), LIMIT, "x", turns.times());
        }
    }
    Ok(())
}

/// plain_fork.py, with the variables that harness/subject.rs gives a subject, but for LD_PRELOAD.
pub fn plain_script(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .arg(beside("plain_fork.py"))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .env("PYTHONHASHSEED", "0")
        .env("PYTHONNOUSERSITE", "1")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("OPENBLAS_NUM_THREADS", "1")
        .env("OMP_NUM_THREADS", "1")
        .env("MKL_NUM_THREADS", "1")
        .env("NUMPY_MADVISE_HUGEPAGE", "0")
        .stderr(Stdio::inherit());
    command
}

/// Of one turn's visits, which are the same work: the others were interrupted more.
pub fn fastest(seconds: impl Iterator<Item = f64>) -> BenchResult<Duration> {
    let fastest = seconds.fold(f64::INFINITY, f64::min);
    Ok(Duration::try_from_secs_f64(fastest)?)
}
