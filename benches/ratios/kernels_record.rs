//! The kernel's own price of a record: a visit in a plain script, or a program with its workers, with rings like a recorder's on it
//! that nobody reads, against the same without. No recorder of page faults can cost less, so there is no limit to meet.

use std::cell::Cell;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::Criterion;
use refcow::observe::Unread;
use refcow::python::{self, Interpreter};

use crate::BenchResult;
use crate::subject::beside;
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
        of_both(criterion, table, &what, |recorded| {
            visits(&ready.executable, visit, recorded)
        })?;
    }
    for (of, file) in [
        ("a Pool that copies", "live_pool.py"),
        ("workers that only copy", "live_copies.py"),
    ] {
        let what = format!("run of {of} 100,000 pages, rings that nobody reads : none");
        of_both(criterion, table, &what, |recorded| {
            program(&interpreter.executable, file, recorded)
        })?;
    }
    Ok(())
}

/// A row of what takes so long, and of which so many records are written, recorded and not.
fn of_both(
    criterion: &mut Criterion,
    table: &mut RatioTable,
    what: &str,
    one: impl Fn(bool) -> BenchResult<(Duration, u64)>,
) -> BenchResult<()> {
    let records = Cell::new(0);
    let ours = || {
        let (time, written) = one(true)?;
        records.set(written);
        match written {
            0 => Err("the kernel has written no record".into()),
            _ => Ok(time),
        }
    };
    let theirs = || Ok(one(false)?.0);
    // Criterion's least number: one turn builds the data twice.
    let mut group = std::mem::take(criterion).sample_size(10);
    let turns = turns::take(&mut group, what, ours, theirs);
    *criterion = group.sample_size(50);
    if let Some(turns) = turns? {
        let figures = format!("{} records; {}", records.get(), turns.times());
        table.tell(what, turns.ratio(), "x", figures);
    }
    Ok(())
}

/// How long a program beside this file takes with its workers, and how many records were written of them; what finds no room is
/// not.
fn program(python: &Path, file: &str, recorded: bool) -> BenchResult<(Duration, u64)> {
    // Waits until it is recorded, and is the program then.
    let mut program = Command::new("sh")
        .args(["-c", "read -r _ && exec \"$0\" \"$1\""])
        .args([python, &beside(file)])
        .stdin(Stdio::piped())
        .spawn()?;
    let pid = program.id().cast_signed();
    let unread = recorded.then(|| Unread::start(pid)).transpose()?;
    let start = Instant::now();
    let mut input = program.stdin.take().ok_or("it is piped")?;
    input.write_all(b"\n")?;
    drop(input);
    let status = program.wait()?;
    let elapsed = start.elapsed();
    let records = unread.map(Unread::stop).transpose()?.unwrap_or(0);
    match status.success() {
        true => Ok((elapsed, records)),
        false => Err(format!("{file}: {status}").into()),
    }
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
    Ok((fastest(seconds.into_iter())?, records))
}
