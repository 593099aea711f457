//! Forked processes of a subject: the witness, the children and the mapper.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::channel::Silence;
use super::error::{DriverError, out_of_turn};
use super::subject::Subject;
use crate::deadlock;
use crate::observe::{self, AtFork, Disagreement};
use crate::process::{self, watch};
use crate::protocol::{ChildMessage, ForkRequest, GO, Reply, Request};

/// A forked process of a subject: the witness or a child.
#[derive(Debug)]
pub struct Forked {
    /// Its process.
    pub pid: i32,
    pub(super) channel: usize,
    pub(super) ended: OwnedFd,
}

impl Drop for Forked {
    /// Its keeper ends it. Where somebody has killed that, nobody would end a process that has
    /// become another user's: it is not told of its parent's end any more.
    fn drop(&mut self) {
        let _ = process::kill(&self.ended);
    }
}

impl Subject {
    /// Forks processes, which then wait. `armed` runs before each fork, while the parent waits with
    /// all else done; it is told how many have been forked.
    ///
    /// # Errors
    /// As [`DriverError`] tells, or what `armed` returns.
    pub fn fork<E: From<DriverError>>(
        &mut self,
        forks: Vec<ForkRequest>,
        mut armed: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Vec<Forked>, E> {
        self.fork_by(forks, |subject, so_far| {
            armed(so_far)?;
            Ok(subject.go("forking")?)
        })
    }

    /// Forks one process and compares it with the parent at the very moment, before either goes on.
    ///
    /// # Errors
    /// As [`DriverError`] tells, or why they cannot be compared.
    pub fn fork_and_compare<E>(&mut self, fork: ForkRequest) -> Result<(Forked, AtFork), E>
    where
        E: From<DriverError> + From<observe::Error> + From<Disagreement>,
    {
        let mut compared = None;
        let pid = self.pid();
        let doing = "forking";
        let deadline = Instant::now() + self.launch.timeout;
        let forked = self.fork_by(vec![fork], |subject, _| {
            // Both use it, one after the other.
            let subject = RefCell::new(subject);
            let go = || Ok::<_, E>(subject.borrow_mut().go(doing)?);
            let spoke = || Ok::<_, E>(subject.borrow_mut().has_spoken(doing, deadline)?);
            compared = observe::at_next_fork(pid, go, spoke)?;
            Ok::<_, E>(())
        })?;
        let forked = forked.into_iter().next();
        Ok(forked
            .zip(compared)
            .expect("one process was forked, and compared"))
    }

    /// Forks processes; `release` lets the parent, which waits before each fork, go on.
    fn fork_by<E: From<DriverError>>(
        &mut self,
        forks: Vec<ForkRequest>,
        mut release: impl FnMut(&mut Self, usize) -> Result<(), E>,
    ) -> Result<Vec<Forked>, E> {
        let doing = "forking";
        let channels: Vec<_> = forks.iter().map(|fork| fork.channel).collect();
        self.threads_at_fork = observe::other_threads(self.pid());
        let mut answer = self.ask(&Request::Fork(forks), doing)?;
        let mut forked = Vec::new();
        for channel in channels {
            if !matches!(answer, Reply::Armed) {
                return Err(out_of_turn(doing, &answer).into());
            }
            release(self, forked.len())?;
            let pid = match self.answer(doing)? {
                Reply::Forked { pid } => pid,
                Reply::ForkFailed { errno } => return Err(DriverError::Fork { errno }.into()),
                other => return Err(out_of_turn(doing, &other).into()),
            };
            self.alive.push(pid);
            let ended = watch(pid).map_err(|source| {
                DriverError::opening(source, |source| DriverError::Protocol {
                    who: "child",
                    doing: doing.into(),
                    source,
                })
            })?;
            forked.push(Forked {
                pid,
                channel,
                ended,
            });
            answer = self.answer(doing)?;
        }
        if !matches!(answer, Reply::AllForked) {
            return Err(out_of_turn(doing, &answer).into());
        }
        for child in &forked {
            match self.hear(child, doing)? {
                ChildMessage::Ready => {}
                other => return Err(out_of_turn(doing, &other).into()),
            }
        }
        Ok(forked)
    }

    /// Releases a waiting process.
    ///
    /// # Errors
    /// When it is gone.
    pub fn release(&mut self, forked: &Forked, doing: &str) -> Result<(), DriverError> {
        let deadline = Instant::now() + self.launch.timeout;
        let sent = self.channels[forked.channel].send(&[GO], &forked.ended, deadline);
        sent.map_err(|silence| self.child_lost(forked, doing, silence))
    }

    /// The next message of a forked process.
    pub fn hear(&mut self, forked: &Forked, doing: &str) -> Result<ChildMessage, DriverError> {
        let deadline = Instant::now() + self.launch.timeout;
        match self.channels[forked.channel].next(&forked.ended, deadline) {
            Ok(ChildMessage::Raised(raised)) => Err(self.raised(doing, raised)),
            Ok(report) => Ok(report),
            Err(error) => Err(self.child_lost(forked, doing, error)),
        }
    }

    /// Lets processes end and waits until each has.
    pub fn dismiss(&mut self, all: Vec<Forked>) -> Result<(), DriverError> {
        for forked in &all {
            self.release(forked, "ending")?;
        }
        for forked in all {
            let status = self.reap(forked.pid)?;
            if !status.success() {
                return Err(DriverError::Died {
                    who: "child",
                    doing: "ending".into(),
                    status: Some(status),
                });
            }
        }
        Ok(())
    }

    /// Ends all forked processes, each of which waits to be released: one of them has told why it
    /// will not go on. Whether the subject is then as it was before it forked them; it is not where
    /// a process of theirs is left.
    pub fn end_forked(&mut self) -> bool {
        let alone = |pid: &i32| observe::children_of(*pid).is_ok_and(|all| all.is_empty());
        if !self.alive.iter().all(alone) {
            return false;
        }
        let kill = |pid: &i32| watch(*pid).and_then(|process| process::kill(&process));
        let killed = self.alive.iter().map(kill).all(|killed| killed.is_ok());
        killed
            && self
                .alive
                .clone()
                .into_iter()
                .all(|pid| self.reap(pid).is_ok())
    }

    /// Ends a forked process that waits, whatever for.
    pub fn kill(&mut self, forked: Forked) -> Result<(), DriverError> {
        let killed = process::kill(&forked.ended);
        killed.map_err(|source| DriverError::Protocol {
            who: "child",
            doing: "being ended".into(),
            source,
        })?;
        self.reap(forked.pid)?;
        Ok(())
    }

    /// How a child ended, after it did or while it does.
    fn reap(&mut self, pid: i32) -> Result<ExitStatus, DriverError> {
        let doing = "waiting for a child's end";
        match self.ask(&Request::Reap { pid }, doing)? {
            Reply::Reaped { status } => {
                self.alive.retain(|one| *one != pid);
                Ok(ExitStatus::from_raw(status))
            }
            other => Err(out_of_turn(doing, &other)),
        }
    }

    /// What is known of a lock that a child waits for at the time limit; `None` if it waits for
    /// something else.
    fn locked(&mut self, forked: &Forked, doing: &str) -> Option<DriverError> {
        let locked = observe::locked(forked.pid)?;
        let others = self.names_of_threads();
        let (why, help) = deadlock::told(locked, &others);
        Some(DriverError::Locked {
            doing: doing.into(),
            limit: self.launch.timeout,
            why,
            help,
        })
    }

    /// The names of the threads that the parent had at the fork: Python's, else the kernel's.
    fn names_of_threads(&mut self) -> Vec<String> {
        if self.threads_at_fork.is_empty() {
            return Vec::new();
        }
        // Whoever waits for this has waited long enough, and a thread may not let go of Python.
        const MOMENT: Duration = Duration::from_secs(10);
        let limit = std::mem::replace(&mut self.launch.timeout, MOMENT);
        let named = match self.ask(&Request::Threads, "naming its threads") {
            Ok(Reply::Threads(named)) => named,
            _ => Vec::new(),
        };
        self.launch.timeout = limit;
        let threads = self.threads_at_fork.iter();
        threads
            .map(|(number, comm)| {
                let mut named = named.iter();
                let python = named.find(|(known, _)| known == number);
                python.map_or_else(|| comm.clone(), |(_, name)| name.clone())
            })
            .collect()
    }

    /// Why a child does not answer. Its parent knows how it ended.
    fn child_lost(&mut self, forked: &Forked, doing: &str, silence: Silence) -> DriverError {
        if let Silence::TimedOut = silence
            && let Some(locked) = self.locked(forked, doing)
        {
            return locked;
        }
        let status = if silence.is_end() {
            match self.reap(forked.pid) {
                Ok(status) => Some(status),
                // The parent went first, and its children with it: that is the story to tell.
                Err(error) => return error,
            }
        } else {
            None
        };
        silence.explain("child", doing, status, self.launch.timeout)
    }
}
