//! Lines of Python for page faults that were recorded: what the tracer says of a stop belongs to the fault of that thread at that address.
//!
//! Both come on ways of their own, so that either may be first.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use super::cause::{Key, TreeCauses};
use super::line_of::LineOf;
use super::python::LivePython;
use super::tracer::TracerSaid;
use crate::observe::frames::{RemoteFrames, RunningAt};
use crate::observe::{self, Fault, LiveMemory};

/// How lines are wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Every so many-th page fault is looked at; `None`: as many as cost little.
    pub one_in: Option<u64>,
    /// Folders whose files are the user's own, wherever they are.
    pub own: Vec<PathBuf>,
}

/// Where threads stand still for it, one page fault in so many is looked at. A prime, so that few loops over pages fall in step with it.
const ONE_STOP_IN: u64 = 7;

impl Wanted {
    /// Every so many-th page fault is looked at. `by_program`: nobody stands still for it.
    pub(super) fn one_in(&self, by_program: bool) -> u64 {
        self.one_in
            .unwrap_or(if by_program { 1 } else { ONE_STOP_IN })
    }
}

/// What is not known of lines, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Why the frames of a tree cannot be read, by its first process.
    pub frames: BTreeMap<usize, String>,
    /// How often no thread was stopped for some time, as answering took too long.
    pub pauses: u64,
    /// Stops that refcow was too slow for.
    pub dropped: u64,
}

/// What the tracer has said that belongs to no fault yet.
#[derive(Debug)]
pub struct Lines {
    one_in: u64,
    by_number: HashMap<u32, Arc<RunningAt>>,
    /// By thread and address: when, and where it was.
    stops: Unmatched<LineOf>,
    /// Pages whose stop may still be told of: when, and for what they count.
    pages: Unmatched<Key>,
    newest_stop: u64,
    newest_fault: u64,
    /// What is not known.
    pub missing: Missing,
}

/// A stop is told of within this time of its fault, in nanoseconds of both.
const LATEST: u64 = 2_000_000_000;
/// As many faults and stops are kept before it is looked which of them are too old.
const MANY: usize = 20_000;

/// By thread and address: when, and what.
#[derive(Debug)]
struct Unmatched<What> {
    all: HashMap<(i32, u64), (u64, What)>,
    /// From how many on it is looked which are too old.
    look_at: usize,
}

impl<What> Default for Unmatched<What> {
    fn default() -> Self {
        Self {
            all: HashMap::new(),
            look_at: MANY,
        }
    }
}

impl<What> Unmatched<What> {
    /// Keeps one. Of many, those before a time are dropped.
    fn keep(&mut self, place: (i32, u64), time: u64, what: What, since: impl FnOnce() -> u64) {
        self.all.insert(place, (time, what));
        if self.all.len() > self.look_at {
            let since = since();
            self.all.retain(|_, (time, _)| *time > since);
            // If none is too old, the next look is as far away as it is long.
            self.look_at = MANY.max(2 * self.all.len());
        }
    }
}

impl Lines {
    /// Of no thread.
    pub fn new(one_in: u64) -> Self {
        Self {
            one_in,
            by_number: HashMap::new(),
            stops: Unmatched::default(),
            pages: Unmatched::default(),
            newest_stop: 0,
            newest_fault: 0,
            missing: Missing::default(),
        }
    }

    /// Every so many-th page fault is looked at.
    pub fn one_in(&self) -> u64 {
        self.one_in
    }

    /// The line of a page whose fault was recorded, if it was told of already.
    pub fn of(&mut self, fault: &Fault) -> LineOf {
        self.newest_fault = self.newest_fault.max(fault.time);
        let place = (fault.thread, fault.address);
        match self.stops.all.get(&place) {
            Some((time, _)) if *time >= fault.time => {
                let stop = self.stops.all.remove(&place);
                stop.map_or(LineOf::NotLooked, |(_, line)| line)
            }
            _ => LineOf::NotLooked,
        }
    }

    /// A page without a line so far.
    pub fn expect(&mut self, fault: &Fault, key: Key) {
        let (stop, last) = (self.newest_stop, self.newest_fault);
        // Either way may be slower than the other.
        let since = || stop.max(last.saturating_sub(LATEST)).saturating_sub(LATEST);
        let place = (fault.thread, fault.address);
        self.pages.keep(place, fault.time, key, since);
    }

    /// Takes up what the tracer has said of lines.
    pub(super) fn take(&mut self, said: TracerSaid, causes: &mut TreeCauses) {
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
                let place = (thread, address);
                match self.pages.all.remove(&place) {
                    Some((fault, key)) if fault <= time => causes.set_line(&key, line),
                    _ => {
                        let last = self.newest_fault;
                        let since = || last.saturating_sub(LATEST);
                        self.stops.keep(place, time, line, since);
                    }
                }
            }
            TracerSaid::NoFrames { root, why } => drop(self.missing.frames.insert(root, why)),
            TracerSaid::Paused => self.missing.pauses += 1,
            TracerSaid::Dropped { stops } => self.missing.dropped += stops,
            // Not of lines.
            TracerSaid::Ends { .. }
            | TracerSaid::Late { .. }
            | TracerSaid::Traced { .. }
            | TracerSaid::NotTraced { .. } => {}
        }
    }
}

/// The version of the interpreter of a process, and where it has its variable; `None` if it has not begun. Why there are no lines.
pub(super) fn begun(python: &LivePython, pid: i32) -> Result<Option<(u8, u64)>, String> {
    let Some(minor) = python.minor else {
        return Err("the interpreter's file does not say where its frames are".to_owned());
    };
    // It has ended.
    let Some(runtime) = python.runtime(pid) else {
        return Ok(None);
    };
    let mut memory = match LiveMemory::open(pid) {
        Ok(memory) => memory,
        Err(observe::Error::Gone { .. }) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut read = |address: u64, buffer: &mut [u8]| memory.read(address, buffer);
    let nobody = Box::new(|_: &str| false);
    match RemoteFrames::new(minor, runtime, nobody, &mut read) {
        Ok(frames) => Ok(frames.has_begun(&mut read).then_some((minor, runtime))),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_that_are_not_too_old_none_is_dropped_and_of_those_that_are_all() {
        let mut all = Unmatched::default();
        let mut looks = 0;
        let number = 10 * MANY as u64;
        for place in 1..=number {
            all.keep((1, place), place, (), || {
                looks += 1;
                0
            });
        }
        assert_eq!((all.all.len() as u64, looks), (number, 4));
        for place in number + 1..=2 * number {
            all.keep((1, place), place, (), || number);
        }
        assert!(all.all.keys().all(|(_, place)| *place > number));
    }
}
