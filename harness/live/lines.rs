//! Lines of Python for page faults that were recorded: what the tracer says of a stop belongs to the fault of that thread at that address.
//!
//! Both come on ways of their own, so that either may be first.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};

use super::LiveError;
use super::cause::{Key, TreeCauses};
use super::family::Family;
use super::python::LivePython;
use super::tracer::{NAME, TraceOrder, TracerSaid};
use crate::observe::frames::{NoLine, RemoteFrames, RunningAt};
use crate::observe::stops::{NotTraced, tracer, try_stopping};
use crate::observe::{Fault, LiveMemory};

/// What is known of the line of a page that was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LineOf {
    /// Nobody looked.
    #[default]
    NotLooked,
    /// The thread stood still, and it is not known where.
    Unknown(NoLine),
    /// Where it was.
    Known(Arc<RunningAt>),
}

/// How lines are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Every so many-th page fault of a thread is looked at.
    pub one_in: u64,
    /// Folders whose files are the user's own, wherever they are.
    pub own: Vec<PathBuf>,
}

/// What is not known of lines, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Processes that were traced.
    pub traced: HashSet<i32>,
    /// Threads that were not traced.
    pub threads: BTreeMap<NotTraced, BTreeSet<i32>>,
    /// Why the frames of a tree cannot be read, by its first process.
    pub frames: BTreeMap<usize, String>,
    /// How often no thread was stopped for some time, as answering took too long.
    pub pauses: u64,
    /// Stops that refcow was too slow for.
    pub dropped: u64,
    /// Whether the tracer had ended before it was to.
    pub ended_early: bool,
}

/// The tracer, and what it has said that belongs to no fault yet.
#[derive(Debug)]
pub struct Lines {
    child: Child,
    orders: Option<ChildStdin>,
    said: Receiver<TracerSaid>,
    one_in: u64,
    /// Trees that are traced.
    roots: HashSet<usize>,
    by_number: HashMap<u32, Arc<RunningAt>>,
    /// By thread and address: when, and where it was.
    stops: HashMap<(i32, u64), (u64, LineOf)>,
    /// Pages whose stop may still be told of.
    pages: HashMap<(i32, u64), (u64, Key)>,
    newest_stop: u64,
    newest_fault: u64,
    missing: Missing,
}

/// A stop is told of within this time of its fault, in nanoseconds of both.
const LATEST: u64 = 2_000_000_000;
/// As many faults and stops are kept before it is looked which of them are too old.
const MANY: usize = 20_000;

impl Lines {
    /// Starts the tracer, which traces nobody yet.
    ///
    /// # Errors
    /// When the kernel does not stop threads at page faults, or there is no process for the tracer.
    pub fn start(wanted: &Wanted) -> Result<Self, LiveError> {
        try_stopping()?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0(NAME)
            .arg(wanted.one_in.to_string())
            .args(&wanted.own)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().map_err(LiveError::Tracer)?;
        let orders = child.stdin.take();
        let output = child.stdout.take();
        let output =
            output.ok_or_else(|| LiveError::Tracer(std::io::ErrorKind::BrokenPipe.into()))?;
        let (tell, said) = mpsc::channel();
        let listen = move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Ok(said) = serde_json::from_str(&line)
                    && tell.send(said).is_err()
                {
                    break;
                }
            }
        };
        let thread = std::thread::Builder::new().name("lines".to_owned());
        thread.spawn(listen).map_err(LiveError::Tracer)?;
        Ok(Self {
            child,
            orders,
            said,
            one_in: wanted.one_in,
            roots: HashSet::new(),
            by_number: HashMap::new(),
            stops: HashMap::new(),
            pages: HashMap::new(),
            newest_stop: 0,
            newest_fault: 0,
            missing: Missing::default(),
        })
    }

    /// The tracer's number.
    pub fn tracer(&self) -> u32 {
        self.child.id()
    }

    /// Every so many-th page fault is looked at.
    pub fn one_in(&self) -> u64 {
        self.one_in
    }

    /// Whether a tree is traced.
    pub fn traces(&self, root: usize) -> bool {
        self.roots.contains(&root)
    }

    /// Has all of these processes of a tree traced, as soon as the interpreter that they run has begun.
    pub fn trace(&mut self, root: usize, python: &LivePython, pids: &[i32]) {
        let (minor, runtime) = match pids.first().map(|pid| begun(python, *pid)) {
            Some(Ok(Some(begun))) => begun,
            Some(Err(why)) => return drop(self.missing.frames.insert(root, why)),
            // It is asked again.
            Some(Ok(None)) | None => return,
        };
        self.missing.frames.remove(&root);
        self.roots.insert(root);
        for pid in pids {
            let order = TraceOrder {
                pid: *pid,
                root,
                minor,
                runtime,
            };
            let told = serde_json::to_vec(&order).map(|mut line| {
                line.push(b'\n');
                let orders = self.orders.as_mut();
                orders.is_some_and(|orders| orders.write_all(&line).is_ok())
            });
            if !told.is_ok_and(|told| told) {
                self.missing.ended_early = true;
            }
        }
    }

    /// The line of a page whose fault was recorded, if it was told of already.
    pub fn of(&mut self, fault: &Fault) -> LineOf {
        self.newest_fault = self.newest_fault.max(fault.time);
        let place = (fault.thread, fault.address);
        match self.stops.get(&place) {
            Some((time, _)) if *time >= fault.time => {
                let stop = self.stops.remove(&place);
                stop.map_or(LineOf::NotLooked, |(_, line)| line)
            }
            _ => LineOf::NotLooked,
        }
    }

    /// A page without a line so far.
    pub fn expect(&mut self, fault: &Fault, key: Key) {
        self.pages
            .insert((fault.thread, fault.address), (fault.time, key));
        if self.pages.len() > MANY {
            // Either way may be slower than the other.
            let seen = self
                .newest_stop
                .max(self.newest_fault.saturating_sub(LATEST));
            self.pages.retain(|_, (time, _)| *time + LATEST > seen);
        }
    }

    /// Takes up what the tracer has said.
    pub fn hear(&mut self, causes: &mut TreeCauses) {
        while let Ok(said) = self.said.try_recv() {
            self.take(said, causes);
        }
    }

    fn take(&mut self, said: TracerSaid, causes: &mut TreeCauses) {
        match said {
            TracerSaid::Lines { number, line, own } => {
                let running = Arc::new(RunningAt {
                    line: line.into(),
                    own: own.map(Arc::from),
                });
                self.by_number.insert(number, running);
            }
            TracerSaid::Stopped {
                thread,
                address,
                time,
                at,
            } => {
                let line = match at {
                    Ok(number) => match self.by_number.get(&number) {
                        Some(running) => LineOf::Known(Arc::clone(running)),
                        None => return,
                    },
                    Err(why) => LineOf::Unknown(why),
                };
                self.newest_stop = self.newest_stop.max(time);
                match self.pages.remove(&(thread, address)) {
                    Some((fault, key)) if fault <= time => causes.set_line(&key, line),
                    _ => drop(self.stops.insert((thread, address), (time, line))),
                }
                if self.stops.len() > MANY {
                    let seen = self.newest_fault;
                    self.stops.retain(|_, (time, _)| *time + LATEST > seen);
                }
            }
            TracerSaid::Traced { process } => drop(self.missing.traced.insert(process)),
            TracerSaid::NotTraced { thread, why } => {
                self.missing.threads.entry(why).or_default().insert(thread);
            }
            TracerSaid::NoFrames { root, why } => drop(self.missing.frames.insert(root, why)),
            TracerSaid::Paused => self.missing.pauses += 1,
            TracerSaid::Dropped { stops } => self.missing.dropped += stops,
        }
    }

    /// Has the tracer leave, and takes up its last words. What else is not known.
    pub fn leave(&mut self, causes: &mut TreeCauses) -> Missing {
        self.missing.ended_early |= matches!(self.child.try_wait(), Ok(Some(_)));
        self.orders = None;
        while let Ok(said) = self.said.recv() {
            self.take(said, causes);
        }
        let _ = self.child.wait();
        std::mem::take(&mut self.missing)
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // The end of its orders is the sign to leave.
        self.orders = None;
        let _ = self.child.wait();
    }
}

/// The version of the interpreter of a process, and where it has its variable; `None` if it has not begun. Why there are no lines.
fn begun(python: &LivePython, pid: i32) -> Result<Option<(u8, u64)>, String> {
    let (Some(minor), Some(runtime)) = (python.minor, python.runtime(pid)) else {
        return Err("the interpreter's file does not say where its frames are".to_owned());
    };
    let Ok(mut memory) = LiveMemory::open(pid) else {
        return Ok(None);
    };
    let mut read = |address: u64, buffer: &mut [u8]| memory.read(address, buffer);
    let nobody = Box::new(|_: &str| false);
    match RemoteFrames::new(minor, runtime, nobody, &mut read) {
        Ok(frames) => Ok(frames.has_begun(&mut read).then_some((minor, runtime))),
        Err(error) => Err(error.to_string()),
    }
}

/// Refuses a tree of which somebody else traces a process.
///
/// # Errors
/// With who that is.
pub fn check(family: &Family) -> Result<(), LiveError> {
    for member in &family.members {
        if let Some(by) = tracer(member.pid) {
            return Err(LiveError::Traced {
                pid: member.pid,
                by,
                name: super::family::Member::read(by).map_or_else(String::new, |by| by.title()),
            });
        }
    }
    Ok(())
}
