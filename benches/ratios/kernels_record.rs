//! The kernel's own price of a record: a visit in a plain script with rings like a recorder's on it that nobody reads, against the
//! same visit without. No recorder of page faults can cost less, so there is no limit to meet.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use criterion::Criterion;
use refcow::observe::Unread;
use refcow::python::{self, Interpreter};

use crate::BenchResult;
use crate::table::RatioTable;
use crate::turns;
use crate::visit::{fastest, plain_script};

const CHILDREN: &str = "2";

pub fn run(
    criterion: &mut Criterion,
    interpreter: &Interpreter,
    table: &mut RatioTable,
) -> BenchResult<()> {
    for visit in ["iterate", "sum"] {
        let what = format!(
            "causes: visit `{visit}` of ints in a plain script, rings that nobody reads : none"
        );
        let modules = refcow::fixtures::find("ints")?.modules;
        let ready = python::prepare(interpreter.clone(), &modules, &|line| eprintln!("{line}"))?;
        let records = Cell::new(0);
        let ours = || {
            let (time, written) = visits(&ready.executable, visit, true)?;
            records.set(written);
            Ok(time)
        };
        let theirs = || Ok(visits(&ready.executable, visit, false)?.0);
        let turns = {
            // Criterion's least number: one turn builds the data twice.
            let mut group = std::mem::take(criterion).sample_size(10);
            let turns = turns::take(&mut group, &what, ours, theirs);
            *criterion = group.sample_size(50);
            turns?
        };
        if let Some(turns) = turns {
            let figures = format!("{} records; {}", records.get(), turns.times());
            table.tell(&what, turns.ratio(), "x", figures);
        }
    }
    Ok(())
}

/// The fastest of the script's visits, and how many records were written of one.
fn visits(program: &Path, visit: &str, recorded: bool) -> BenchResult<(Duration, u64)> {
    let mut script = plain_script(program)
        .args(["ints", visit, CHILDREN, "told"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (stdin, stdout) = (script.stdin.take(), script.stdout.take());
    let (mut stdin, stdout) = stdin
        .zip(stdout)
        .expect("both are piped, a few lines above");
    let (mut unread, mut records, mut seconds) = (None, 0, Vec::new());
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        // The child before has ended.
        if let Some(unread) = unread.take().map(Unread::stop) {
            records = unread?;
        }
        match line.parse() {
            Ok(child) => {
                unread = recorded.then(|| Unread::start(child)).transpose()?;
                stdin.write_all(b"\n")?;
            }
            Err(_) => seconds = serde_json::from_str(&line)?,
        }
    }
    let status = script.wait()?;
    if !status.success() {
        return Err(format!("plain_fork.py: {status}").into());
    }
    if recorded && records == 0 {
        return Err("the kernel has written no record".into());
    }
    Ok((fastest(seconds.into_iter())?, records))
}
