//! A run, while it goes on and when it has ended.

use std::fmt;
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::place::Place;
use super::waiting::{PATIENCE, ends, wait_for};

/// Between one Ctrl-C and the next.
const PRESSING: Duration = Duration::from_millis(50);

/// A run that goes on. Killed when dropped.
pub struct Running<'a> {
    place: &'a Place,
    child: Child,
    ended: OwnedFd,
    shown: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl<'a> Running<'a> {
    pub(super) fn new(
        place: &'a Place,
        mut command: Command,
        shown: String,
        stdout: PathBuf,
        stderr: PathBuf,
    ) -> Self {
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{shown}: {error}"));
        let ended = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        Self {
            place,
            child,
            ended: ended.unwrap(),
            shown,
            stdout,
            stderr,
        }
    }

    /// Waits for what the fixture says (`say("…")` in Python), a line of it.
    pub fn hear(&mut self) -> String {
        let mut fds = [
            PollFd::new(&self.place.said, PollFlags::IN),
            PollFd::new(&self.ended, PollFlags::IN),
        ];
        let in_time = wait_for(&mut fds, Instant::now() + PATIENCE);
        let mut words = String::new();
        if fds[0].revents().contains(PollFlags::IN) {
            // One short write into a FIFO arrives whole.
            let mut bytes = [0; 512];
            let length = (&self.place.said).read(&mut bytes).unwrap();
            words = String::from_utf8_lossy(&bytes[..length]).trim().to_owned();
        }
        if words.is_empty() {
            let why = if in_time { "it ended" } else { "it hangs" };
            let _ = self.child.kill();
            panic!(
                "the fixture said nothing, {why}\n{}",
                self.finished().unwrap()
            );
        }
        words
    }

    /// Sends refcow a signal, and nobody else.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Sends refcow a signal again and again, as somebody does who has no patience, to its end.
    pub fn signal_to_the_end(self, signal: Signal) -> Finished {
        let patience = Instant::now() + PATIENCE;
        while !ends(&self.ended, Instant::now() + PRESSING) && Instant::now() < patience {
            self.signal(signal);
        }
        self.wait()
    }

    /// Waits for refcow's end.
    pub fn wait(mut self) -> Finished {
        if !ends(&self.ended, Instant::now() + PATIENCE) {
            let _ = self.child.kill();
            panic!("it hangs\n{}", self.finished().unwrap());
        }
        self.finished().unwrap()
    }

    fn finished(&mut self) -> std::io::Result<Finished> {
        let text = |path: &Path| {
            fs::read(path)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .unwrap_or_default()
        };
        Ok(Finished {
            status: self.child.wait()?,
            shown: self.shown.clone(),
            stdout: text(&self.stdout),
            stderr: text(&self.stderr),
        })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A run that has ended.
pub struct Finished {
    /// How.
    pub status: ExitStatus,
    shown: String,
    /// What it wrote there.
    pub stdout: String,
    /// And there.
    pub stderr: String,
}

impl Finished {
    /// Fails unless this was the exit status.
    #[track_caller]
    pub fn exits_with(self, status: i32) -> Self {
        assert_eq!(self.status.code(), Some(status), "{self}");
        self
    }

    /// Fails unless a signal killed it.
    #[track_caller]
    pub fn killed_by(self, signal: Signal) -> Self {
        assert_eq!(self.status.signal(), Some(signal.as_raw()), "{self}");
        self
    }

    /// Fails unless this stands on standard error.
    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(self.stderr.contains(words), "not said: {words}\n{self}");
        self
    }

    /// Fails unless an error in these words, its remedy in those, and no report came of it.
    #[track_caller]
    pub fn refuses(self, status: i32, error: &str, help: &str) -> Self {
        let finished = self.exits_with(status).says("error: ").says(error);
        let (_, remedy) = finished
            .stderr
            .rsplit_once("\nhelp: ")
            .unwrap_or_else(|| panic!("no help given\n{finished}"));
        assert!(remedy.contains(help), "no such help: {help}\n{finished}");
        assert!(finished.stdout.is_empty(), "half a report\n{finished}");
        finished
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            shown,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "command: {shown}\n{status}\nstdout:\n{stdout}\nstderr:\n{stderr}"
        )
    }
}
