//! A program that tests look at with refcow while it runs, or refcow that runs one: it says lines
//! and is told lines, and ends when its input does.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};

use refcow::observe::settle;

use super::{REFCOW, python};

/// `refcow run` that looks often, and writes its document there. What it runs is to be added.
pub fn recording_to(place: &Path) -> Command {
    let mut refcow = Command::new(REFCOW);
    refcow.args(["run", "--every", "20ms", "--format", "json", "--output"]);
    refcow.arg(place);
    refcow
}

pub struct Target {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
    /// What it writes to standard error, if that is heard.
    errors: Option<Lines<BufReader<ChildStderr>>>,
    /// Processes that wait when they have answered.
    pub waiting: Vec<i32>,
}

impl Target {
    pub fn start(mut command: Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()).lines(),
            errors: child
                .stderr
                .take()
                .map(|errors| BufReader::new(errors).lines()),
            waiting: Vec::new(),
            child,
        }
    }

    /// The same; what it writes to standard error is heard, too.
    pub fn start_and_hear(mut command: Command) -> Self {
        command.stderr(Stdio::piped());
        Self::start(command)
    }

    /// A program of Python.
    pub fn of_text(program: &str) -> Self {
        let mut command = Command::new(python());
        command.args(["-c", program]);
        Self::start(command)
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// The next line that it says.
    pub fn line(&mut self) -> String {
        self.output.next().expect("a line").unwrap()
    }

    /// The last one, when it says no more.
    pub fn last_line(&mut self) -> Option<String> {
        self.output.by_ref().map(Result::unwrap).last()
    }

    pub fn numbers(&mut self) -> Vec<i32> {
        let line = self.line();
        line.split_whitespace()
            .map(|word| word.parse().unwrap())
            .collect()
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Tells it a line; its answer.
    pub fn say(&mut self, line: &str) -> String {
        self.tell(line);
        let answer = self.line();
        for pid in &self.waiting {
            settle(*pid).unwrap();
        }
        answer
    }

    /// The next line on standard error.
    pub fn error_line(&mut self) -> String {
        let errors = self.errors.as_mut().expect("it is heard");
        errors.next().expect("a line").unwrap()
    }

    /// Waits until refcow, which records, has seen so many MiB (`what`: "copied", "new"), and for
    /// one line more: all of it has been looked at, then. These lines.
    pub fn until_seen(&mut self, what: &str, least: f64) -> String {
        let amount = |line: &str| -> Option<f64> {
            let (_, amount) = line.split_once(&format!("{what} "))?;
            amount.split_once(" MiB")?.0.parse().ok()
        };
        let mut all = String::new();
        loop {
            let line = self.error_line();
            all += &format!("{line}\n");
            if amount(&line).is_some_and(|amount| amount >= least) {
                break all + &self.error_line() + "\n";
            }
        }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Ends its input, and waits for it. What it has said on standard error since, and its status.
    pub fn end(&mut self) -> (String, ExitStatus) {
        self.input = None;
        let said = self.errors.iter_mut().flatten();
        let said = said.map(|line| line.unwrap() + "\n").collect();
        (said, self.child.wait().unwrap())
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.child.kill();
        }
        self.input = None;
        let _ = self.child.wait();
    }
}
