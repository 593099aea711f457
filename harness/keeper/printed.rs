//! What the measured program prints goes to refcow's standard error, through a pipe.
//!
//! Were it refcow's standard error itself, the program's heap would depend on what that is: Python
//! makes other objects for a terminal than for a file (`create_stdio` in CPython's `pylifecycle.c`;
//! `TextIOWrapper` asks a file for its position).

use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::libc::PIPE_BUF;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{OFlags, fcntl_setfl};

use crate::process;

/// What is left in the pipe at the end is printed, unless nobody reads for so long.
const LAST_TIME: Duration = Duration::from_secs(2);

/// One end of the pipe, and what has been read from it.
#[derive(Debug)]
pub(super) struct Printed {
    pipe: Option<PipeReader>,
    /// No more than standard error takes at once, when it takes anything: the keeper must not wait
    /// for a reader.
    waiting: Vec<u8>,
}

impl Printed {
    /// With the end for the program.
    pub(super) fn new() -> io::Result<(Self, PipeWriter)> {
        let (read, write) = io::pipe()?;
        // Of this end alone: the program's would fail where its reader is slow.
        fcntl_setfl(&read, OFlags::NONBLOCK)?;
        let printed = Self {
            pipe: Some(read),
            waiting: Vec::new(),
        };
        Ok((printed, write))
    }

    /// What to wait for, if anything more may come.
    pub(super) fn next<'a>(&'a self, error: &'a io::Stderr) -> Option<PollFd<'a>> {
        if !self.waiting.is_empty() {
            return Some(PollFd::from_borrowed_fd(error.as_fd(), PollFlags::OUT));
        }
        let pipe = self.pipe.as_ref()?;
        Some(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN))
    }

    /// One step, once what [`Self::next`] names is ready.
    pub(super) fn pass_on(&mut self) {
        if !self.waiting.is_empty() {
            match io::stderr().write(&self.waiting) {
                Ok(bytes) => drop(self.waiting.drain(..bytes)),
                Err(error) if may_go_on(&error) => {}
                // Nobody reads it any more.
                Err(_) => self.waiting.clear(),
            }
            return;
        }
        let Some(pipe) = &mut self.pipe else { return };
        let mut chunk = [0; PIPE_BUF];
        match pipe.read(&mut chunk) {
            Ok(0) => self.pipe = None,
            Ok(bytes) => self.waiting.extend_from_slice(&chunk[..bytes]),
            Err(error) if may_go_on(&error) => {}
            Err(_) => self.pipe = None,
        }
    }

    /// What is left when all that print are dead.
    pub(super) fn pass_on_the_rest(mut self) {
        let error = io::stderr();
        while let Some(next) = self.next(&error) {
            // A process that could still print has become another user's, and is not waited for.
            let time = if self.waiting.is_empty() {
                Duration::ZERO
            } else {
                LAST_TIME
            };
            if !process::wait(&mut [next], Instant::now() + time) {
                return;
            }
            self.pass_on();
        }
    }
}

fn may_go_on(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock)
}
