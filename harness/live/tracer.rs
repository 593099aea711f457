//! The process that has threads stand still at their page faults and asks where they are, and processes at their end until refcow has looked
//! at them. It is refcow's own program under another name.
//!
//! A process that stands still waits for this one, which therefore does nothing else: no symbols, no sums, no output that could make it
//! wait. It hears from refcow through its standard input, whose end is the sign to leave; what refcow does not take up in time is kept
//! here up to a limit, and then dropped.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::time::{ClockId, clock_gettime};
use procfs::process::Process;
use rustix::event::{PollFd, PollFlags, Timespec};
use serde::{Deserialize, Serialize};

use super::own::is_own_among;
use crate::observe::frames::{NoLine, RemoteFrames, RunningAt};
use crate::observe::stops::{NotTraced, Stops};
use crate::process;

mod telling;
mod watchdog;

use telling::Telling;
use watchdog::Watchdog;

/// The name under which refcow's program is the tracer.
pub const NAME: &str = "refcow-tracer";

/// What refcow says, one line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum TracerOrder {
    /// Trace a process that runs.
    Trace {
        pid: i32,
        /// The first process of its tree: all of these run one interpreter.
        root: usize,
        /// Absent where no lines are asked for.
        interpreter: Option<InterpreterAt>,
    },
    /// It has heard that a process stands at its end, and looks at it as soon as it comes to that.
    Heard { pid: i32 },
    /// Let a process end that stands at its end.
    LetGo { pid: i32 },
}

/// Where the frames of a process begin.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct InterpreterAt {
    /// CPython 3.`minor`.
    pub(super) minor: u8,
    /// The address of `_PyRuntime`.
    pub(super) runtime: u64,
}

/// What the tracer says, likewise.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum TracerSaid {
    /// Lines, which have this number from now on.
    Lines {
        number: u32,
        line: String,
        own: Option<String>,
    },
    /// A thread stood still at a page fault.
    Stopped {
        thread: i32,
        address: u64,
        /// In nanoseconds of CLOCK_MONOTONIC.
        time: u64,
        at: Result<u32, NoLine>,
    },
    /// A process is traced.
    Traced { process: i32 },
    /// A process has come to its end, and stands there.
    Ends { process: i32 },
    /// It was let go before refcow said so.
    Late { process: i32 },
    /// A thread that could not be traced.
    NotTraced { thread: i32, why: NotTraced },
    /// The frames of a tree's interpreter cannot be read.
    NoFrames { root: usize, why: String },
    /// Answering took so long that for a while no thread was stopped.
    Paused,
    /// So many stops were not told of: refcow did not listen.
    Dropped { stops: u64 },
}

/// As setpriority(2) has it. Only some may have more than others; else it stays as it is.
const PRIORITY: i32 = -10;
/// A process stands at its end for so long at most, if refcow does not say that it has heard of it: it may be stopped.
const LONGEST_UNHEARD: Duration = Duration::from_secs(1);
/// And for so long if it has: others use the processors.
const LONGEST_END: Duration = Duration::from_secs(10);
/// No stop comes any more if none has for so long.
const QUIET: Duration = Duration::from_millis(20);
/// At most so long it is waited for signals that are still to come: others may use the processors.
const LEAVING: Duration = Duration::from_secs(10);
/// And so long for refcow to take up the last words.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Traces until refcow says that it is over, or is no more.
///
/// # Errors
/// When it was not started by refcow.
pub fn run() -> io::Result<()> {
    process::raise_open_files();
    // The last one to be killed for want of memory: others would wait for it. Only some may say so.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-900");
    // Nor has it to wait for a processor behind those that wait for it.
    let _ = rustix::process::setpriority_process(None, PRIORITY);
    // None of them ends or stops it at once.
    SigSet::all().thread_block()?;
    #[expect(unsafe_code, reason = "whoever started refcow may have had it ignored")]
    // SAFETY: the default action is no handler.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
    let mut words = std::env::args_os().skip(1);
    let mut number = || words.next()?.to_str()?.parse::<u64>().ok();
    let (one_in, at_end) = number().zip(number()).ok_or(io::ErrorKind::InvalidInput)?;
    let own = words.map(PathBuf::from).collect();
    let stops = Stops::new((one_in > 0).then_some(one_in), at_end > 0);
    let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
    let signals = SignalFd::with_flags(&SigSet::all(), flags)?;
    for end in [io::stdin().as_fd(), io::stdout().as_fd()] {
        rustix::io::ioctl_fionbio(end, true)?;
    }
    let mut tracer = Tracer::new(stops, own);
    let watchdog = Watchdog::start(tracer.stops.events())?;
    let left = tracer.serve(&signals, &watchdog);
    tracer.leave(&signals, &watchdog);
    left
}

struct Tracer {
    stops: Stops,
    /// Until when processes may stand at their end.
    standing: HashMap<i32, Instant>,
    own: Arc<Vec<PathBuf>>,
    /// By the first process of a tree; `None`: its frames cannot be read.
    interpreters: HashMap<usize, Option<usize>>,
    numbers: HashMap<RunningAt, u32>,
    /// A line of which the end has not come yet.
    heard: Vec<u8>,
    telling: Telling,
}

impl Tracer {
    fn new(stops: Stops, own: Vec<PathBuf>) -> Self {
        Self {
            stops,
            standing: HashMap::new(),
            own: Arc::new(own),
            interpreters: HashMap::new(),
            numbers: HashMap::new(),
            heard: Vec::new(),
            telling: Telling::default(),
        }
    }

    /// Until it is time to leave.
    fn serve(&mut self, signals: &SignalFd, watchdog: &Watchdog) -> io::Result<()> {
        loop {
            // Signals first: one that comes after the last stop was served tells of another one.
            let is_over = asks_to_leave(signals);
            self.serve_stops(watchdog);
            self.let_go_late();
            if is_over || self.telling.flush_due().is_err() {
                return Ok(());
            }
            if self.wait(signals)? && !self.hear() {
                return Ok(());
            }
        }
    }

    /// All stops that have come; whether there were any.
    fn serve_stops(&mut self, watchdog: &Watchdog) -> bool {
        let mut any = false;
        while let Some((thread, status)) = Stops::next() {
            any = true;
            let time = now();
            watchdog.begins(time);
            let stop = self.stops.serve(thread, status);
            watchdog.ends();
            if let Some(stop) = stop {
                let at = stop.running.map(|running| self.number(running));
                self.say(&TracerSaid::Stopped {
                    thread: stop.thread,
                    address: stop.address,
                    time,
                    at,
                });
            }
            if watchdog.has_paused() {
                self.stops.events().switch(true);
                self.say(&TracerSaid::Paused);
            }
        }
        for process in std::mem::take(&mut self.stops.traced) {
            self.say(&TracerSaid::Traced { process });
        }
        for process in std::mem::take(&mut self.stops.ending) {
            let until = Instant::now() + LONGEST_UNHEARD;
            self.standing.insert(process, until);
            self.say(&TracerSaid::Ends { process });
        }
        for (thread, why) in std::mem::take(&mut self.stops.not_traced) {
            self.say(&TracerSaid::NotTraced { thread, why });
        }
        any
    }

    fn number(&mut self, running: RunningAt) -> u32 {
        if let Some(number) = self.numbers.get(&running) {
            return *number;
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.say(&TracerSaid::Lines {
            number,
            line: running.line.to_string(),
            own: running.own.as_deref().map(str::to_owned),
        });
        self.numbers.insert(running, number);
        number
    }

    fn say(&mut self, said: &TracerSaid) {
        self.telling.say(said);
    }

    /// Orders that have come; whether refcow is still there.
    fn hear(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match rustix::io::read(io::stdin().as_fd(), &mut bytes) {
            Ok(0) => false,
            Ok(read) => {
                self.obey(&bytes[..read]);
                true
            }
            Err(error) => matches!(error, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR),
        }
    }

    fn obey(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
        while let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.heard.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(TracerOrder::Trace {
                    pid,
                    interpreter: None,
                    ..
                }) => self.stops.trace(pid, None),
                Ok(TracerOrder::Trace {
                    pid,
                    root,
                    interpreter: Some(at),
                }) => self.trace_lines(pid, root, at),
                Ok(TracerOrder::Heard { pid }) => {
                    if let Some(until) = self.standing.get_mut(&pid) {
                        *until += LONGEST_END - LONGEST_UNHEARD;
                    }
                }
                Ok(TracerOrder::LetGo { pid }) => self.let_go(pid),
                Err(_) => {}
            }
        }
    }

    fn let_go(&mut self, process: i32) {
        self.standing.remove(&process);
        self.stops.let_go(process);
    }

    /// Those that have stood for too long.
    fn let_go_late(&mut self) {
        let now = Instant::now();
        let late = self.standing.iter().filter(|(_, until)| now >= **until);
        let late: Vec<i32> = late.map(|(process, _)| *process).collect();
        for process in late {
            self.let_go(process);
            self.say(&TracerSaid::Late { process });
        }
    }

    fn trace_lines(&mut self, pid: i32, root: usize, at: InterpreterAt) {
        let known = self.interpreters.get(&root).copied();
        let interpreter = known.unwrap_or_else(|| {
            let interpreter = self.interpreter(pid, root, at);
            self.interpreters.insert(root, interpreter);
            interpreter
        });
        if interpreter.is_some() {
            self.stops.trace(pid, interpreter);
        }
    }

    fn interpreter(&mut self, pid: i32, root: usize, at: InterpreterAt) -> Option<usize> {
        let memory = Process::new(pid).and_then(|process| process.mem());
        let mut read = |address: u64, buffer: &mut [u8]| {
            let memory = memory.as_ref().ok();
            memory.is_some_and(|memory| memory.read_exact_at(buffer, address).is_ok())
        };
        let is_own = is_own_among(Arc::clone(&self.own));
        match RemoteFrames::new(at.minor, at.runtime, is_own, &mut read) {
            Ok(frames) => Some(self.stops.add_interpreter(frames)),
            Err(error) => {
                let why = error.to_string();
                self.say(&TracerSaid::NoFrames { root, why });
                None
            }
        }
    }

    /// Until something has come, refcow takes up more, or a process has stood at its end for too long; whether an order has come, or the end
    /// of them.
    fn wait(&self, signals: &SignalFd) -> io::Result<bool> {
        let (input, output) = (io::stdin(), io::stdout());
        let mut waiting = vec![
            PollFd::new(&input, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        let first = self.standing.values().min();
        let end = first.map(|until| until.saturating_duration_since(Instant::now()));
        let words = self.telling.may_wait();
        // They have been offered: refcow does not take them up yet.
        if words == Some(Duration::ZERO) {
            waiting.push(PollFd::new(&output, PollFlags::OUT));
        }
        let words = words.filter(|left| !left.is_zero());
        let limit = end.into_iter().chain(words).min();
        let limit = limit.map(|left| Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        match rustix::event::poll(&mut waiting, limit.as_ref()) {
            Ok(_) => Ok(!waiting[0].revents().is_empty()),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Has no further thread stop, serves those that still do, and says what is left to say. The kernel lets go of all threads when this
    /// process ends, which interrupts none.
    fn leave(&mut self, signals: &SignalFd, watchdog: &Watchdog) {
        self.stops.end();
        let start = Instant::now();
        while start.elapsed() < LEAVING {
            asks_to_leave(signals);
            if self.serve_stops(watchdog) {
                continue;
            }
            let mut waiting = [PollFd::new(signals, PollFlags::IN)];
            let is_quiet = !process::wait(&mut waiting, Instant::now() + QUIET);
            if is_quiet && !self.stops.is_awaited() {
                break;
            }
        }
        self.telling.say_dropped();
        let start = Instant::now();
        while !self.telling.is_empty() && start.elapsed() < LAST_WORDS {
            let written = self.telling.flush();
            self.serve_stops(watchdog);
            let output = io::stdout();
            let mut waiting = [PollFd::new(&output, PollFlags::OUT)];
            process::wait(&mut waiting, Instant::now() + QUIET);
            if written.is_err() {
                break;
            }
        }
    }
}

/// Takes up signals that have come; whether one asks this process to end.
fn asks_to_leave(signals: &SignalFd) -> bool {
    let mut asks = false;
    while let Ok(Some(signal)) = signals.read_signal() {
        let ends = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT];
        asks |= ends.contains(&signal.ssi_signo.cast_signed());
    }
    asks
}

/// CLOCK_MONOTONIC in nanoseconds.
fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_stands_longer_if_refcow_has_heard_that_it_does() {
        let mut tracer = Tracer::new(Stops::new(None, true), Vec::new());
        let (unheard, heard) = (i32::MAX - 1, i32::MAX);
        let over = Instant::now();
        tracer.standing = HashMap::from([(unheard, over), (heard, over)]);
        tracer.obey(format!("{{\"Heard\":{{\"pid\":{heard}}}}}\n").as_bytes());
        tracer.let_go_late();
        assert_eq!(tracer.standing.keys().collect::<Vec<_>>(), [&heard]);
    }
}
