//! The tracer as refcow sees it: what it is told, and what it says.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use super::LiveError;
use super::cause::TreeCauses;
use super::family::Family;
use super::lines::{Lines, Missing, Wanted, begun};
use super::program::TracedBy;
use super::python::LivePython;
use super::tracer::{InterpreterAt, NAME, TracerOrder, TracerSaid};
use crate::observe::stops::{NotTraced, tracer, try_stopping};

/// What the tracer did, and what it could not do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// Whether it had processes stand still at their end.
    pub at_end: bool,
    /// Processes that were traced.
    pub processes: HashSet<i32>,
    /// Threads that were not traced.
    pub not_traced: BTreeMap<NotTraced, BTreeSet<i32>>,
    /// Processes that had to stand at their end for too long, and were let go.
    pub late: HashSet<i32>,
    /// Those that lived when it left, as the recording was over.
    pub left: HashSet<i32>,
    /// Whether it had ended before it was to.
    pub ended_early: bool,
}

/// The tracer, and what it has said that nobody has taken up yet.
#[derive(Debug)]
pub struct Tracing {
    child: Child,
    orders: Orders,
    said: Receiver<TracerSaid>,
    /// Readable when it has said what cannot wait.
    urgent: Arc<OwnedFd>,
    /// What belongs to lines.
    of_lines: Vec<TracerSaid>,
    /// Trees that are traced.
    roots: HashSet<usize>,
    traced: Traced,
    /// Where threads were, if that is asked for.
    pub lines: Option<Lines>,
}

/// The way to the tracer, which leaves when it is closed.
#[derive(Clone, Debug)]
struct Orders(Arc<Mutex<Option<ChildStdin>>>);

impl Orders {
    /// Whether it could be told.
    fn give(&self, order: &TracerOrder) -> bool {
        let mut orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(mut line) = serde_json::to_vec(order) else {
            return false;
        };
        line.push(b'\n');
        let orders = orders.as_mut();
        orders.is_some_and(|orders| orders.write_all(&line).is_ok())
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Tracing {
    /// Starts the tracer, which traces nobody yet. `wanted`: lines. `at_end`: a last look at each process.
    ///
    /// # Errors
    /// When lines are wanted and the kernel does not stop threads at page faults, or there is no process for the tracer.
    pub fn start(wanted: Option<&Wanted>, at_end: bool) -> Result<Self, LiveError> {
        if wanted.is_some() {
            try_stopping()?;
        }
        let one_in = wanted.map_or(0, |wanted| wanted.one_in(false));
        let mut command = Command::new("/proc/self/exe");
        command
            .arg0(NAME)
            .arg(one_in.to_string())
            .arg(u8::from(at_end).to_string())
            .args(wanted.iter().flat_map(|wanted| &wanted.own))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0);
        let urgent = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let urgent = Arc::new(urgent.map_err(|error| LiveError::Tracer(error.into()))?);
        let mut child = command.spawn().map_err(LiveError::Tracer)?;
        let orders = Orders(Arc::new(Mutex::new(child.stdin.take())));
        let output = child.stdout.take();
        let output =
            output.ok_or_else(|| LiveError::Tracer(std::io::ErrorKind::BrokenPipe.into()))?;
        let (tell, said) = mpsc::channel();
        let (wake, answers) = (Arc::clone(&urgent), orders.clone());
        let listen = move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(said) = serde_json::from_str(&line) else {
                    continue;
                };
                let ends = match said {
                    TracerSaid::Ends { process } => Some(process),
                    _ => None,
                };
                if tell.send(said).is_err() {
                    break;
                }
                if let Some(pid) = ends {
                    // At once: what refcow is about to do else may take long on a busy machine.
                    answers.give(&TracerOrder::Heard { pid });
                    // Full, it is readable already.
                    let _ = rustix::io::write(&*wake, &1_u64.to_ne_bytes());
                }
            }
        };
        let thread = std::thread::Builder::new().name("tracing".to_owned());
        thread.spawn(listen).map_err(LiveError::Tracer)?;
        Ok(Self {
            child,
            orders,
            said,
            urgent,
            of_lines: Vec::new(),
            roots: HashSet::new(),
            traced: Traced {
                at_end,
                ..Traced::default()
            },
            lines: wanted.map(|wanted| Lines::new(wanted.one_in(false))),
        })
    }

    /// Who has a program traced that is to be started.
    pub fn by(&self) -> TracedBy {
        TracedBy {
            tracer: self.child.id(),
            ignores_trap: self.lines.is_some(),
        }
    }

    /// Readable when a process stands at its end.
    pub fn urgent(&self) -> BorrowedFd<'_> {
        self.urgent.as_fd()
    }

    /// Whether a tree is traced.
    pub fn traces(&self, root: usize) -> bool {
        self.roots.contains(&root)
    }

    /// Has all of these processes of a tree traced; where lines are wanted, as soon as the interpreter that they run has begun.
    pub fn trace(&mut self, root: usize, python: &LivePython, pids: &[i32]) {
        let interpreter = match &mut self.lines {
            None => None,
            Some(lines) => match pids.first().map(|pid| begun(python, *pid)) {
                Some(Ok(Some((minor, runtime)))) => {
                    lines.missing.frames.remove(&root);
                    Some(InterpreterAt { minor, runtime })
                }
                Some(Err(why)) => return drop(lines.missing.frames.insert(root, why)),
                // It is asked again.
                Some(Ok(None)) | None => return,
            },
        };
        self.roots.insert(root);
        for pid in pids {
            self.order(&TracerOrder::Trace {
                pid: *pid,
                root,
                interpreter,
            });
        }
    }

    /// Lets a process end that stands at its end.
    pub fn let_go(&mut self, pid: i32) {
        self.order(&TracerOrder::LetGo { pid });
    }

    fn order(&mut self, order: &TracerOrder) {
        self.traced.ended_early |= !self.orders.give(order);
    }

    /// Takes up what the tracer has said: the processes that stand at their end.
    pub fn hear(&mut self) -> Vec<i32> {
        // Its count is of no interest; empty, there is none.
        let _ = rustix::io::read(&*self.urgent, &mut [0; 8]);
        let mut ending = Vec::new();
        while let Ok(said) = self.said.try_recv() {
            self.take(said, &mut ending);
        }
        ending
    }

    fn take(&mut self, said: TracerSaid, ending: &mut Vec<i32>) {
        match said {
            TracerSaid::Ends { process } => ending.push(process),
            TracerSaid::Late { process } => drop(self.traced.late.insert(process)),
            TracerSaid::Traced { process } => drop(self.traced.processes.insert(process)),
            TracerSaid::NotTraced { thread, why } => {
                self.traced
                    .not_traced
                    .entry(why)
                    .or_default()
                    .insert(thread);
            }
            of_lines => self.of_lines.push(of_lines),
        }
    }

    /// Takes up what it has said of lines.
    pub fn hear_lines(&mut self, causes: &mut TreeCauses) {
        for said in std::mem::take(&mut self.of_lines) {
            if let Some(lines) = &mut self.lines {
                lines.take(said, causes);
            }
        }
    }

    /// Has the tracer leave, and takes up its last words. What it did, and what is not known of lines.
    pub fn leave(&mut self, causes: &mut TreeCauses) -> (Traced, Option<Missing>) {
        self.traced.ended_early |= matches!(self.child.try_wait(), Ok(Some(_)));
        self.orders.close();
        let mut let_go = Vec::new();
        while let Ok(said) = self.said.recv() {
            self.take(said, &mut let_go);
        }
        self.hear_lines(causes);
        let _ = self.child.wait();
        let missing = self.lines.as_mut();
        let missing = missing.map(|lines| std::mem::take(&mut lines.missing));
        (std::mem::take(&mut self.traced), missing)
    }
}

impl Drop for Tracing {
    fn drop(&mut self) {
        // The end of its orders is the sign to leave.
        self.orders.close();
        let _ = self.child.wait();
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
