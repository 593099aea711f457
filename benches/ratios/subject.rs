//! refcow's programs, started as a user's run starts them, and a child of plain pages to look at.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use refcow::driver::{DriverError, Forked, Launch, Subject};
use refcow::experiment;
use refcow::model::{self, Run};
use refcow::protocol::{ForkRequest, Job, WITNESS};
use refcow::python::{self, Interpreter};

use crate::BenchResult;

/// A child of a process with so many plain pages. Both, and a witness, wait.
pub struct Plain {
    subject: Subject,
    children: Vec<Forked>,
    pub first_page: u64,
}

impl Plain {
    pub fn start(interpreter: &Interpreter, pages: u64) -> BenchResult<Self> {
        let mut subject = Subject::start(&launch(interpreter)?)?;
        let first_page = subject.fill(pages, false)?;
        let fork = |channel, job| ForkRequest { channel, job };
        let forks = vec![fork(WITNESS, Job::Wait), fork(1, Job::Idle)];
        let children = subject.fork(forks, |_| Ok::<_, DriverError>(()))?;
        Ok(Self {
            subject,
            children,
            first_page,
        })
    }

    pub fn parent(&self) -> i32 {
        self.subject.pid()
    }

    pub fn child(&self) -> i32 {
        self.children[1].pid
    }
}

/// A subject with this interpreter, and room for a witness and a child.
pub fn launch(interpreter: &Interpreter) -> BenchResult<Launch> {
    let ready = python::prepare(interpreter.clone(), &[], &|_| {})?;
    let launch = experiment::launch(&ready, 1, Duration::from_secs(120))?;
    // This program is none.
    let keeper = env!("CARGO_BIN_EXE_refcow").into();
    Ok(Launch { keeper, ..launch })
}

/// `refcow ARGUMENTS --format json`.
pub fn refcow(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_refcow"));
    command
        .args(arguments)
        .args(["--format", "json"])
        .stderr(Stdio::inherit());
    command
}

/// What it reported.
pub fn report(arguments: &[&str]) -> BenchResult<Run> {
    let output = refcow(arguments).output()?;
    if !output.status.success() {
        return Err(format!("refcow {}: {}", arguments.join(" "), output.status).into());
    }
    let (mut report, _) = model::read(&output.stdout)?;
    Ok(report.runs.remove(0))
}

/// Runs a command to its end.
pub fn succeeded(command: &mut Command) -> BenchResult<()> {
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or_default();
            Err(format!("{command:?}: {} {last}", output.status).into())
        }
    }
}

/// A file beside this one.
pub fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("benches/ratios")
        .join(name)
}
