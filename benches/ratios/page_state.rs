//! All that refcow does to learn the state of a child's pages, against reading the same pagemap and forgetting it, and
//! against psutil, which asks the kernel for sums only.

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::Criterion;
use refcow::model::RegionMap;
use refcow::observe::{
    Mappings, PageStates, Regions, SharedAtFork, mappings, page_size, page_states,
};
use refcow::python::Interpreter;

use crate::BenchResult;
use crate::subject::{Plain, beside};
use crate::table::RatioTable;
use crate::turns;

const GIB: u64 = 1 << 30;
const PSUTIL: &str = "psutil==7.1.3";

pub fn run(
    criterion: &mut Criterion,
    interpreter: &Interpreter,
    table: &mut RatioTable,
) -> BenchResult<()> {
    let pages = GIB / page_size();
    let plain = Plain::start(interpreter, pages)?;
    let map = RegionMap {
        payload: vec![plain.first_page..plain.first_page + pages],
        ..RegionMap::default()
    };
    let parent_mappings = mappings(plain.parent())?;
    let parent = page_states(plain.parent(), &parent_mappings.ranges)?;
    let ours = || {
        let start = Instant::now();
        black_box(regions(plain.child(), &parent, &map)?);
        Ok(start.elapsed())
    };

    let (what, limit) = ("page state of 1 GiB : bare pread of its pagemap", 1.15);
    let child_mappings = mappings(plain.child())?;
    let bare = || bare(plain.child(), &child_mappings);
    if let Some(turns) = turns::take(criterion, what, ours, bare)? {
        table.add(what, turns.ratio(), limit, "x", turns.times());
    }

    let (what, limit) = ("page state of 1 GiB : psutil memory_full_info", 1.0);
    match Psutil::start(interpreter) {
        Err(error) => table.absent(what, limit, "x", error),
        Ok(mut psutil) => {
            let theirs = || psutil.memory_full_info(plain.child());
            if let Some(turns) = turns::take(criterion, what, ours, theirs)? {
                table.add(what, turns.ratio(), limit, "x", turns.times());
            }
        }
    }
    Ok(())
}

/// What a run does for each child before its visit, with the parent's pages known.
fn regions(pid: i32, parent: &PageStates, map: &RegionMap) -> BenchResult<Regions> {
    let mappings = mappings(pid)?;
    let child = page_states(pid, &mappings.ranges)?;
    // The parent's alone: what it wrote since the fork.
    let written_since = parent.anonymous() & parent.exclusive();
    let fork = SharedAtFork::new(&mappings, parent, &child, &written_since)?;
    Ok(Regions::new(map, &fork))
}

/// As many bytes a read as refcow itself takes.
const BYTES_PER_READ: u64 = 32 << 10;

/// Reads the pagemap, as much at a time as refcow does, and forgets it.
pub fn bare(pid: i32, mappings: &Mappings) -> BenchResult<Duration> {
    let start = Instant::now();
    let file = File::open(format!("/proc/{pid}/pagemap"))?;
    let mut buffer = vec![0; usize::try_from(BYTES_PER_READ)?];
    for range in &mappings.ranges {
        let (mut offset, end) = (range.start * 8, range.end * 8);
        while offset < end {
            let bytes = BYTES_PER_READ.min(end - offset);
            file.read_exact_at(&mut buffer[..usize::try_from(bytes)?], offset)?;
            black_box(&buffer);
            offset += bytes;
        }
    }
    Ok(start.elapsed())
}

/// A Python with psutil in an environment of its own, which tells how long each call took.
struct Psutil {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
    _environment: tempfile::TempDir,
}

impl Psutil {
    fn start(interpreter: &Interpreter) -> BenchResult<Self> {
        let environment = tempfile::tempdir()?;
        let place = environment.path();
        succeed(
            Command::new(&interpreter.executable)
                .args(["-m", "venv"])
                .arg(place),
        )?;
        let python = place.join("bin/python3");
        succeed(python_of(&python).args(["-m", "pip", "install", "--quiet", PSUTIL]))?;
        let mut process = python_of(&python)
            .arg(beside("psutil_turns.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = process.stdout.take().ok_or("its output is piped")?;
        Ok(Self {
            process,
            answers: BufReader::new(answers),
            _environment: environment,
        })
    }

    fn memory_full_info(&mut self, pid: i32) -> BenchResult<Duration> {
        let mut questions = self.process.stdin.as_ref().ok_or("its input is piped")?;
        writeln!(questions, "{pid}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(Duration::from_secs_f64(answer.trim().parse()?))
    }
}

impl Drop for Psutil {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn python_of(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("-I");
    command
}

fn succeed(command: &mut Command) -> BenchResult<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    Err(format!("{command:?}: {} {last}", output.status).into())
}
