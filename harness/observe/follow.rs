//! What a process forks, from each fork to its end, by ptrace(2).
//!
//! With `PTRACE_O_TRACEFORK` and its like, whoever forks stops inside the system call, and the new
//! process before it first runs: there it is seen what both share. With `PTRACE_O_TRACEEXIT` it
//! stops once more when it ends, by whatever that is brought about, with all of its memory still
//! there.
//!
//! A tracer is a thread, and so is whom it waits for (`__WNOTHREAD`): one of its own can wait for
//! all of its tracees at once, and takes nobody's children. When it ends, the kernel lets go of
//! those that are left.

mod look;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use procfs::process::Process;

use look::{ForkedProcess, at_fork, group_of, look};

use super::{Error, PageSet, SharedAtFork};

/// While one process ends, so many others are looked at: each takes its time, and the one that ends
/// waits meanwhile.
const MOST_LOOKED_AT: usize = 16;

/// A visit may fork thousands, and each look holds up those that are looked at. What is forked
/// after so much of it is only counted.
const LOOKING: Duration = Duration::from_secs(10);

/// Follows what a process forks.
#[derive(Debug)]
pub struct Follower {
    thread: JoinHandle<Descendants>,
}

/// What was seen of the processes that one has forked, and those in turn.
#[derive(Debug, Default)]
pub struct Descendants {
    /// How many were started.
    pub number: u64,
    /// Those whose memory was looked at when they ended, in the order of their forks.
    pub ended: Vec<Ended>,
    /// Pages that all of them together had for themselves, copied or new, when that was most.
    pub most_pages: u64,
    /// Names of programs that some went on to execute: what they have then is no copy of anything.
    pub programs: Vec<String>,
    /// How many lived in their parent's own memory until they ended (vfork(2)).
    pub in_parents_memory: u64,
    /// How many ended before what they had forked in turn: what both had then was that one's alone,
    /// and counts for it.
    pub outlived: u64,
    /// How many had not ended when the process did that was followed.
    pub unfinished: u64,
    /// Why others could not be looked at.
    pub unseen: Vec<String>,
}

/// A process at its end.
#[derive(Debug)]
pub struct Ended {
    /// What it shared when it was forked.
    pub fork: SharedAtFork,
    /// Those of these pages that were its alone: it copied them, or all others did or let go of
    /// them.
    pub copied: PageSet,
    /// Anonymous pages that it alone had besides.
    pub new: u64,
}

impl Follower {
    /// Begins to follow a process, which waits meanwhile.
    ///
    /// Needs ptrace attach access, as [`at_next_fork`](super::at_next_fork) does.
    ///
    /// # Errors
    /// When it cannot be traced.
    pub fn start(pid: i32) -> Result<Self, Error> {
        let tracing = move |source| Error::Trace { pid, source };
        let (tell, told) = mpsc::channel();
        let follow = move || {
            let seized = seize(pid);
            let goes_on = seized.is_ok();
            // Whoever started this waits for it.
            let _ = tell.send(seized);
            match goes_on {
                true => Tracer::new(pid).follow(),
                false => Descendants::default(),
            }
        };
        let thread = std::thread::Builder::new()
            .name(format!("follow {pid}"))
            .spawn(follow)
            .map_err(|error| tracing(Errno::from_raw(error.raw_os_error().unwrap_or(0))))?;
        match told.recv() {
            Ok(Ok(())) => Ok(Self { thread }),
            Ok(Err(source)) => Err(tracing(source)),
            Err(_) => Err(tracing(Errno::ESRCH)),
        }
    }

    /// What was seen, when the process that was followed has ended.
    pub fn finish(self) -> Descendants {
        self.thread.join().unwrap_or_default()
    }
}

/// All threads of a process.
fn seize(pid: i32) -> Result<(), Errno> {
    let options = Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACEEXIT;
    let tasks = Process::new(pid).and_then(|process| process.tasks());
    for task in tasks.map_err(|_| Errno::ESRCH)?.flatten() {
        ptrace::seize(Pid::from_raw(task.tid), options)?;
    }
    Ok(())
}

/// What became of one that was forked.
#[derive(Debug)]
enum ForkedFate {
    /// It has its parent's memory until it executes a program or ends.
    InParentsMemory,
    /// It was compared with its parent at the fork.
    Lives(Box<ForkedProcess>),
    Ended(Ended),
    Executed(String),
    Unseen(String),
}

#[derive(Debug)]
struct Tracer {
    root: i32,
    /// In the order of their forks.
    all: Vec<(i32, ForkedFate)>,
    /// The place of the living in `all`.
    living: BTreeMap<i32, usize>,
    /// New processes that have not come to their first stop, and who waits stopped inside the fork
    /// for that.
    awaited: HashMap<i32, i32>,
    /// What has come to its first stop before its fork was told of.
    early: BTreeSet<i32>,
    /// What has been let go from its first stop.
    begun: BTreeSet<i32>,
    most_pages: u64,
    outlived: u64,
    /// The time that looking has taken.
    looked: Duration,
}

impl Tracer {
    fn new(root: i32) -> Self {
        Self {
            root,
            all: Vec::new(),
            living: BTreeMap::new(),
            awaited: HashMap::new(),
            early: BTreeSet::new(),
            begun: BTreeSet::new(),
            most_pages: 0,
            outlived: 0,
            looked: Duration::ZERO,
        }
    }

    /// Serves every stop until the process has ended.
    fn follow(mut self) -> Descendants {
        loop {
            match wait() {
                Ok((thread, status)) => {
                    if self.hear(thread, status) {
                        break;
                    }
                }
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        self.told()
    }

    /// What a thread has come to; whether it was the end of the process that is followed.
    fn hear(&mut self, thread: i32, status: i32) -> bool {
        if libc::WIFEXITED(status) || libc::WIFSIGNALED(status) {
            self.gone(thread);
            return thread == self.root;
        }
        if !libc::WIFSTOPPED(status) {
            return false;
        }
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            0 => go_on(thread, libc::PTRACE_CONT, signal),
            event @ (libc::PTRACE_EVENT_FORK
            | libc::PTRACE_EVENT_VFORK
            | libc::PTRACE_EVENT_CLONE) => self.forks(thread, event),
            libc::PTRACE_EVENT_EXEC => self.executes(thread),
            libc::PTRACE_EVENT_EXIT => {
                self.ends(thread);
                go_on(thread, libc::PTRACE_CONT, 0);
            }
            libc::PTRACE_EVENT_STOP => {
                let stopped = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
                let is_first = thread != self.root && !self.begun.contains(&thread);
                match is_first {
                    true => self.arrives(thread),
                    // It was told to stop, and stays so until it is told to go on.
                    false if stopped.contains(&signal) => go_on(thread, libc::PTRACE_LISTEN, 0),
                    false => go_on(thread, libc::PTRACE_CONT, 0),
                }
            }
            _ => go_on(thread, libc::PTRACE_CONT, 0),
        }
        false
    }

    /// A thread stands still inside a fork, a vfork or a clone.
    fn forks(&mut self, thread: i32, event: i32) {
        let new = ptrace::getevent(Pid::from_raw(thread));
        let Some(new) = new.ok().and_then(|new| i32::try_from(new).ok()) else {
            return go_on(thread, libc::PTRACE_CONT, 0);
        };
        if group_of(new) == Some(new) {
            let fate = match event {
                libc::PTRACE_EVENT_VFORK => ForkedFate::InParentsMemory,
                _ => ForkedFate::Unseen("it ended at once".to_owned()),
            };
            self.living.insert(new, self.all.len());
            self.all.push((new, fate));
            let to_compare = event != libc::PTRACE_EVENT_VFORK && !self.begun.contains(&new);
            if to_compare && !self.early.contains(&new) {
                self.awaited.insert(new, thread);
                return;
            }
            if to_compare {
                self.compare(thread, new);
            }
        }
        go_on(thread, libc::PTRACE_CONT, 0);
        if self.early.remove(&new) {
            self.begins(new);
        }
    }

    /// A new thread or process stands still before it first runs.
    fn arrives(&mut self, new: i32) {
        if let Some(parent) = self.awaited.remove(&new) {
            self.compare(parent, new);
            go_on(parent, libc::PTRACE_CONT, 0);
            self.begins(new);
        } else if self.living.contains_key(&new) || group_of(new) != Some(new) {
            self.begins(new);
        } else {
            self.early.insert(new);
        }
    }

    fn begins(&mut self, new: i32) {
        self.begun.insert(new);
        go_on(new, libc::PTRACE_CONT, 0);
    }

    /// Compares a process that forks with the new one. Both stand still.
    fn compare(&mut self, parent: i32, new: i32) {
        let Some(place) = self.living.get(&new) else {
            return;
        };
        let start = Instant::now();
        self.all[*place].1 = match self.looked < LOOKING {
            true => match at_fork(parent, new) {
                Ok(forked) => ForkedFate::Lives(Box::new(forked)),
                Err(error) => ForkedFate::Unseen(error),
            },
            false => ForkedFate::Unseen(format!("looking took {} s already", LOOKING.as_secs())),
        };
        self.looked += start.elapsed();
    }

    /// A process runs another program now: it is let go.
    fn executes(&mut self, pid: i32) {
        if pid == self.root {
            return go_on(pid, libc::PTRACE_CONT, 0);
        }
        if let Some(place) = self.living.remove(&pid) {
            let name = Process::new(pid).and_then(|process| process.stat());
            let name = name.map_or_else(|_| "?".to_owned(), |stat| stat.comm);
            self.all[place].1 = ForkedFate::Executed(name);
        }
        let _ = ptrace::detach(Pid::from_raw(pid), None);
    }

    /// A thread is about to end, and its process with it if it is the first.
    fn ends(&mut self, pid: i32) {
        let Some(place) = self.living.get(&pid).copied() else {
            return;
        };
        let has_forked = self.living.values().any(
            |other| matches!(&self.all[*other].1, ForkedFate::Lives(forked) if forked.parent == pid),
        );
        let ForkedFate::Lives(forked) = &mut self.all[place].1 else {
            return;
        };
        if has_forked {
            self.outlived += 1;
        }
        let start = Instant::now();
        let fate = match look(forked, pid) {
            Ok((copied, new)) => {
                forked.seen = copied.len() + new;
                self.look_around(pid);
                // Nobody else is asked for it any more.
                let ForkedFate::Lives(forked) = std::mem::replace(
                    &mut self.all[place].1,
                    ForkedFate::Unseen("it ended twice".to_owned()),
                ) else {
                    return;
                };
                ForkedFate::Ended(Ended {
                    fork: forked.fork,
                    copied,
                    new,
                })
            }
            Err(error) => ForkedFate::Unseen(error.to_string()),
        };
        self.looked += start.elapsed();
        self.all[place].1 = fate;
        self.living.remove(&pid);
    }

    /// What all that live have, while `ending` stands still.
    fn look_around(&mut self, ending: i32) {
        let mut pages = 0;
        let mut looks = 0;
        for (pid, place) in &self.living {
            let ForkedFate::Lives(forked) = &mut self.all[*place].1 else {
                continue;
            };
            if *pid != ending && looks < MOST_LOOKED_AT {
                looks += 1;
                // It runs. What cannot be read now was last seen before.
                if let Ok((copied, new)) = look(forked, *pid) {
                    forked.seen = copied.len() + new;
                }
            }
            pages += forked.seen;
        }
        self.most_pages = self.most_pages.max(pages);
    }

    /// A thread is no more.
    fn gone(&mut self, thread: i32) {
        self.living.remove(&thread);
        self.begun.remove(&thread);
        self.early.remove(&thread);
        if let Some(parent) = self.awaited.remove(&thread) {
            go_on(parent, libc::PTRACE_CONT, 0);
        }
        // It may be the one whose fork these wait to be told of.
        for new in std::mem::take(&mut self.early) {
            if !self.living.contains_key(&new) {
                self.living.insert(new, self.all.len());
                let why = "its parent was killed inside the fork".to_owned();
                self.all.push((new, ForkedFate::Unseen(why)));
            }
            self.begins(new);
        }
    }

    fn told(self) -> Descendants {
        let mut told = Descendants {
            number: self.all.len() as u64,
            most_pages: self.most_pages,
            outlived: self.outlived,
            ..Descendants::default()
        };
        for (_, fate) in self.all {
            match fate {
                ForkedFate::InParentsMemory => told.in_parents_memory += 1,
                ForkedFate::Lives(_) => told.unfinished += 1,
                ForkedFate::Ended(ended) => told.ended.push(ended),
                ForkedFate::Executed(name) => told.programs.push(name),
                ForkedFate::Unseen(why) => told.unseen.push(why),
            }
        }
        told
    }
}

/// The next thing that a tracee of this thread comes to, with its status as the kernel writes it:
/// it may be a signal of real time, for which nix has no name.
fn wait() -> Result<(i32, i32), Errno> {
    let mut status = 0;
    #[expect(unsafe_code, reason = "nix fails at signals that it cannot name")]
    // SAFETY: `status` outlives the call, and is all that it writes.
    let thread = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
    Errno::result(thread).map(|thread| (thread, status))
}

/// Lets a tracee that stands still go on, with this signal if it is not 0. One that was killed
/// needs no letting go.
pub(super) fn go_on(thread: i32, request: libc::c_uint, signal: i32) {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    #[expect(
        unsafe_code,
        reason = "nix cannot pass on a signal of real time, and has no PTRACE_LISTEN"
    )]
    // SAFETY: neither request reads or writes memory of this process: the address is ignored, the
    // data is a number.
    unsafe {
        libc::ptrace(request, thread, nothing, libc::c_long::from(signal));
    }
}
