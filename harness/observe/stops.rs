//! Has threads of other processes stand still at some of their page faults, by a perf event that
//! sends SIGTRAP and ptrace(2), and says where each is; and processes at their end.
//!
//! Nobody is interrupted: a thread is seized while it runs, stands still only at its own faults and
//! at its end, as far as that is asked for (and where it forks, starts a thread or gets a signal, as
//! under any tracer), and is let go by the end of this process. The event belongs to one thread; a new thread, and the first one of a
//! new process, get theirs before they first run.
//!
//! What stops a thread is a signal, and a signal that nobody takes up ends a process which does not
//! ignore it. So a thread that blocks SIGTRAP without ignoring it has no event until it unblocks
//! it.

mod threads;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;
use perf_event::events::Software;
use perf_event::{Builder, Counter, ReadFormat};
use procfs::process::Process;
use serde::{Deserialize, Serialize};

pub use threads::tracer;
use threads::{Signals, has_ended, has_run, identity, is_own, of_event};

use super::follow::go_on;
use super::frames::{NoLine, RemoteFrames, RunningAt};
use super::unavailable::{Attempt, Unavailable};

/// The events of all threads that are traced. Another thread than the tracer may switch them off.
#[derive(Clone, Debug, Default)]
pub struct Events(Arc<Mutex<Switched>>);

#[derive(Debug, Default)]
struct Switched {
    by_thread: HashMap<i32, Counter>,
    /// None is switched on any more.
    ended: bool,
}

impl Events {
    fn locked(&self) -> MutexGuard<'_, Switched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Switches all of them on or off, until they are for good.
    pub fn switch(&self, on: bool) {
        let mut events = self.locked();
        let on = on && !events.ended;
        for event in events.by_thread.values_mut() {
            // One whose thread has ended has nothing to switch.
            let _ = match on {
                true => event.enable(),
                false => event.disable(),
            };
        }
    }
}

/// A stop at a page fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Whose.
    pub thread: i32,
    /// What it touched.
    pub address: u64,
    /// Where it was.
    pub running: Result<RunningAt, NoLine>,
}

/// Why a thread does not stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NotTraced {
    /// Somebody else traces it, or the system forbids it.
    Refused,
    /// It blocks the signal that would stop it, and does not ignore it.
    Blocks,
    /// The kernel gives no event.
    NoEvent,
    /// It is not known from whom it was forked.
    Stranger,
}

impl NotTraced {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "another program traces it, or this user may not",
            Self::Blocks => "it blocks SIGTRAP",
            Self::NoEvent => "the kernel gave no event for it",
            Self::Stranger => "its parent had ended",
        }
    }
}

/// Traces processes for whoever waits for them in the same thread.
#[derive(Debug)]
pub struct Stops {
    /// Every so many-th fault of a thread stops it; `None`: no fault does.
    one_in: Option<u64>,
    /// Whether a process stops at its end.
    at_end: bool,
    interpreters: Vec<RemoteFrames>,
    processes: HashMap<i32, StoppedProcess>,
    threads: HashMap<i32, Thread>,
    events: Events,
    /// Threads that are not traced, with the reason.
    pub not_traced: Vec<(i32, NotTraced)>,
    /// Processes that are traced, or were.
    pub traced: Vec<i32>,
    /// Processes that have come to their end, where they stand until they are let go.
    pub ending: Vec<i32>,
    /// Those that stand there.
    standing: HashSet<i32>,
    /// Threads that were to run when the events were switched off, and how long each had run: between a fault and the signal, nothing shows
    /// that one is to come.
    to_run: HashMap<i32, u64>,
}

#[derive(Debug)]
struct StoppedProcess {
    memory: File,
    /// `None`: nobody asks where its threads are.
    interpreter: Option<usize>,
}

#[derive(Debug)]
struct Thread {
    process: i32,
    /// At how many system calls it was looked whether it blocks SIGTRAP still.
    looks: u32,
}

/// How often threads of a process are listed: while it starts some all the time, no two lists are
/// alike.
const LISTS: usize = 20;

/// A new thread unblocks its signals within so many system calls, or never.
const MOST_LOOKS: u32 = 64;

impl Stops {
    /// Of no process. `one_in`: every so many-th fault of a thread stops it. `at_end`: a process stops
    /// at its end.
    pub fn new(one_in: Option<u64>, at_end: bool) -> Self {
        Self {
            one_in,
            at_end,
            interpreters: Vec::new(),
            processes: HashMap::new(),
            threads: HashMap::new(),
            events: Events::default(),
            not_traced: Vec::new(),
            traced: Vec::new(),
            ending: Vec::new(),
            standing: HashSet::new(),
            to_run: HashMap::new(),
        }
    }

    /// The events of all threads.
    pub fn events(&self) -> Events {
        self.events.clone()
    }

    /// Whether a process is traced.
    pub fn has(&self, pid: i32) -> bool {
        self.processes.contains_key(&pid)
    }

    /// An interpreter whose processes may be traced: its number.
    pub fn add_interpreter(&mut self, frames: RemoteFrames) -> usize {
        self.interpreters.push(frames);
        self.interpreters.len() - 1
    }

    /// Begins to trace all threads of a process that runs.
    pub fn trace(&mut self, pid: i32, interpreter: Option<usize>) {
        if self.has(pid) {
            return;
        }
        let Ok(memory) = Process::new(pid).and_then(|process| process.mem()) else {
            if !has_ended(pid, pid) {
                self.not_traced.push((pid, NotTraced::Refused));
            }
            return;
        };
        self.processes.insert(
            pid,
            StoppedProcess {
                memory,
                interpreter,
            },
        );
        self.traced.push(pid);
        // While it starts threads, no two lists are alike; those that a seized one starts are
        // traced by the kernel.
        let mut known: Vec<i32> = Vec::new();
        for _ in 0..LISTS {
            let tasks = Process::new(pid).and_then(|process| process.tasks());
            let threads = tasks.into_iter().flatten();
            let threads = threads.filter_map(|task| Some(task.ok()?.tid));
            let new: Vec<i32> = threads.filter(|thread| !known.contains(thread)).collect();
            if new.is_empty() {
                break;
            }
            for thread in new {
                known.push(thread);
                self.seize(pid, thread);
            }
        }
    }

    fn seize(&mut self, process: i32, thread: i32) {
        let mut options = Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACESYSGOOD;
        options.set(Options::PTRACE_O_TRACEEXIT, self.at_end);
        match ptrace::seize(Pid::from_raw(thread), options) {
            Ok(()) => {
                self.threads.insert(thread, Thread { process, looks: 0 });
                let Some(one_in) = self.one_in else { return };
                match Signals::of(process, thread) {
                    Some(signals) if signals.may_trap() => self.open(thread, one_in),
                    Some(_) => self.not_traced.push((thread, NotTraced::Blocks)),
                    None => {}
                }
            }
            // It has ended.
            Err(Errno::ESRCH) => {}
            // The kernel has seized it with the thread that started it, and it is about to come to
            // its first stop.
            Err(_) if is_own(process, thread) || has_ended(process, thread) => {}
            Err(_) => self.not_traced.push((thread, NotTraced::Refused)),
        }
    }

    fn open(&mut self, thread: i32, one_in: u64) {
        if self.events.locked().ended {
            return;
        }
        let opened = event(one_in).observe_pid(thread).build();
        let opened = opened.and_then(|mut event| {
            event.enable()?;
            Ok(event)
        });
        match opened {
            Ok(event) => {
                self.events.locked().by_thread.insert(thread, event);
            }
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            Err(_) => self.not_traced.push((thread, NotTraced::NoEvent)),
        }
    }

    /// Serves what a thread has come to, as waitpid(2) says it.
    pub fn serve(&mut self, thread: i32, status: i32) -> Option<Stop> {
        if !libc::WIFSTOPPED(status) {
            self.gone(thread);
            return None;
        }
        let signal = libc::WSTOPSIG(status);
        match status >> 16 {
            0 if signal == libc::SIGTRAP | 0x80 => match self.one_in {
                Some(one_in) => self.in_system_call(thread, one_in),
                None => go_on(thread, libc::PTRACE_CONT, 0),
            },
            0 if signal == libc::SIGTRAP => return self.trapped(thread),
            0 => go_on(thread, libc::PTRACE_CONT, signal),
            libc::PTRACE_EVENT_EXEC => {
                self.leave(thread);
                let _ = ptrace::detach(Pid::from_raw(thread), None);
            }
            libc::PTRACE_EVENT_EXIT => self.ends(thread),
            libc::PTRACE_EVENT_STOP => {
                let stopped = [libc::SIGSTOP, libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];
                match self.threads.contains_key(&thread) {
                    false => self.arrives(thread),
                    // It was told to stop, and stays so until it is told to go on.
                    true if stopped.contains(&signal) => go_on(thread, libc::PTRACE_LISTEN, 0),
                    true => go_on(thread, libc::PTRACE_CONT, 0),
                }
            }
            // It has forked, or started a thread.
            _ => go_on(thread, libc::PTRACE_CONT, 0),
        }
        None
    }

    /// A thread is about to end, and its process with it if it is the first.
    fn ends(&mut self, thread: i32) {
        if !self.has(thread) || self.events.locked().ended {
            return go_on(thread, libc::PTRACE_CONT, 0);
        }
        self.standing.insert(thread);
        self.ending.push(thread);
    }

    /// Lets a process end that stands at its end.
    pub fn let_go(&mut self, process: i32) {
        if self.standing.remove(&process) {
            go_on(process, libc::PTRACE_CONT, 0);
        }
    }

    /// A new thread or process stands still before it first runs.
    fn arrives(&mut self, thread: i32) {
        let status = Process::new(thread).and_then(|process| process.status());
        let Ok(status) = status else {
            return go_on(thread, libc::PTRACE_CONT, 0);
        };
        let (process, parent) = (status.tgid, status.ppid);
        let interpreter = self.processes.get(&parent).map(|traced| traced.interpreter);
        if !self.has(process) {
            let memory = Process::new(process).and_then(|process| process.mem());
            // Whose end alone is looked at may be anybody's.
            let interpreter = match self.one_in {
                Some(_) => interpreter,
                None => Some(None),
            };
            let (Some(interpreter), Ok(memory)) = (interpreter, memory) else {
                self.not_traced.push((thread, NotTraced::Stranger));
                let _ = ptrace::detach(Pid::from_raw(thread), None);
                return;
            };
            self.processes.insert(
                process,
                StoppedProcess {
                    memory,
                    interpreter,
                },
            );
            self.traced.push(process);
        }
        self.threads.insert(thread, Thread { process, looks: 0 });
        match self.one_in {
            Some(one_in) => self.in_system_call(thread, one_in),
            None => go_on(thread, libc::PTRACE_CONT, 0),
        }
    }

    /// A thread stands still that had no event so far.
    fn in_system_call(&mut self, thread: i32, one_in: u64) {
        let Some(known) = self.threads.get_mut(&thread) else {
            return go_on(thread, libc::PTRACE_CONT, 0);
        };
        known.looks += 1;
        let is_last = known.looks > MOST_LOOKS;
        match Signals::of(known.process, thread) {
            Some(signals) if signals.may_trap() => self.open(thread, one_in),
            Some(_) if !is_last => return go_on(thread, libc::PTRACE_SYSCALL, 0),
            Some(_) => self.not_traced.push((thread, NotTraced::Blocks)),
            None => {}
        }
        go_on(thread, libc::PTRACE_CONT, 0);
    }

    fn trapped(&mut self, thread: i32) -> Option<Stop> {
        /// `TRAP_PERF` of asm-generic/siginfo.h.
        const BY_EVENT: i32 = 6;
        let info = ptrace::getsiginfo(Pid::from_raw(thread));
        let Ok(info) = info else {
            go_on(thread, libc::PTRACE_CONT, 0);
            return None;
        };
        if info.si_code != BY_EVENT {
            // The program's own.
            go_on(thread, libc::PTRACE_CONT, libc::SIGTRAP);
            return None;
        }
        let (address, is_late) = of_event(&info);
        let running = match is_late {
            false => self.running(thread),
            true => None,
        };
        go_on(thread, libc::PTRACE_CONT, 0);
        running.map(|running| Stop {
            thread,
            address,
            running,
        })
    }

    fn running(&mut self, thread: i32) -> Option<Result<RunningAt, NoLine>> {
        let process = self.threads.get(&thread)?.process;
        let traced = self.processes.get(&process)?;
        let identity = identity(thread)?;
        let memory = &traced.memory;
        let mut read =
            |address: u64, buffer: &mut [u8]| memory.read_exact_at(buffer, address).is_ok();
        let frames = self.interpreters.get_mut(traced.interpreter?)?;
        Some(frames.running(thread, identity, &mut read))
    }

    /// A thread is no more.
    fn gone(&mut self, thread: i32) {
        self.events.locked().by_thread.remove(&thread);
        let Some(known) = self.threads.remove(&thread) else {
            return;
        };
        if let Some(traced) = self.processes.get(&known.process)
            && let Some(interpreter) = traced.interpreter
            && let Some(frames) = self.interpreters.get_mut(interpreter)
        {
            frames.forget(thread);
        }
        if known.process == thread {
            self.processes.remove(&thread);
            self.standing.remove(&thread);
        }
    }

    /// A process executes another program: all its threads but the first have ended.
    fn leave(&mut self, process: i32) {
        let all = self.threads.iter();
        let all = all.filter(|(_, thread)| thread.process == process);
        let all: Vec<i32> = all.map(|(thread, _)| *thread).collect();
        all.into_iter().for_each(|thread| self.gone(thread));
        self.processes.remove(&process);
    }

    /// Switches all events off, for good, and lets all go that stand at their end.
    pub fn end(&mut self) {
        self.events.locked().ended = true;
        self.events.switch(false);
        let threads = self.threads.iter();
        let to_run =
            threads.filter_map(|(thread, known)| Some((*thread, has_run(known.process, *thread)?)));
        self.to_run = to_run.collect();
        for process in std::mem::take(&mut self.standing) {
            go_on(process, libc::PTRACE_CONT, 0);
        }
    }

    /// Whether a stop is still to come: of a thread that would die of it if nobody took it up.
    pub fn is_awaited(&mut self) -> bool {
        let Self {
            to_run, threads, ..
        } = self;
        to_run.retain(|thread, before| {
            let process = threads.get(thread).map(|known| known.process);
            process.and_then(|process| has_run(process, *thread)) == Some(*before)
        });
        if !to_run.is_empty() {
            return true;
        }
        let mut all = self.threads.iter();
        all.any(|(thread, known)| {
            let signals = Signals::of(known.process, *thread);
            signals.is_some_and(|signals| signals.is_trap_pending())
        })
    }

    /// What a thread has come to that this thread traces, as waitpid(2) says it: thread and status.
    /// `None`: nothing new.
    pub fn next() -> Option<(i32, i32)> {
        let mut status = 0;
        #[expect(unsafe_code, reason = "nix fails at signals that it cannot name")]
        // SAFETY: `status` outlives the call, and is all that it writes.
        let thread = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::WNOHANG) };
        (thread > 0).then_some((thread, status))
    }
}

/// Whether threads can be stopped at page faults here: tries it on the calling thread, which does
/// not stop.
///
/// # Errors
/// When they cannot, with the reason and what helps.
pub fn try_stopping() -> Result<(), Unavailable> {
    let mut event = event(u64::MAX >> 1);
    let opened = event.observe_self().build();
    opened.map(drop).map_err(Attempt::Open.failed())
}

/// An event that stops its thread at every so many-th page fault of user code, switched off.
///
/// Not at those that the kernel has on behalf of a thread: the signal would end its system call.
fn event(one_in: u64) -> Builder<'static> {
    let mut event = Builder::new(Software::PAGE_FAULTS_MIN);
    event
        .read_format(ReadFormat::empty())
        .exclude_kernel(true)
        .exclude_hv(true)
        .sample_period(one_in)
        .sigtrap(true)
        .remove_on_exec(true)
        .any_cpu();
    event
}
