//! The log of lines of Python that ran.

use serde::{Deserialize, Serialize};

/// Which Python line ran when, for those times in which the visit had page faults.
///
/// As it was logged: `LineLog` (harness/experiment/lines.rs) checks it, and answers questions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineIntervals {
    /// The places that intervals name. One that is the user's own stands once, another once for
    /// each line of the user's own that had called it.
    pub places: Vec<PythonLine>,
    /// Of each of them the number of the innermost place of the user's own that had called it, if
    /// it is not itself one.
    #[serde(default)]
    pub own: Vec<Option<usize>>,
    /// In the order of time.
    pub intervals: Vec<Interval>,
    /// Intervals with page faults for which the log had no room.
    pub dropped: u64,
    /// Whether the log ended before the visit: it set a trace function of its own (`sys.settrace`),
    /// and a thread has one.
    pub cut_short: bool,
}

/// A line of Python.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PythonLine {
    /// Its file, as tracebacks name it (`co_filename`).
    pub file: String,
    /// Its function: with classes and enclosing functions (`co_qualname`) since CPython 3.11, its
    /// bare name before.
    pub function: String,
    /// Its number, from 1. Of a function that is being entered, the line of its `def` or first
    /// decorator.
    pub line: u32,
}

/// A time without interruption in which one line was the running one, C code that it called
/// included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
// There may be a million.
#[serde(from = "(u64, u64, usize)", into = "(u64, u64, usize)")]
pub struct Interval {
    /// Nanoseconds of CLOCK_MONOTONIC.
    pub start: u64,
    /// The same; the first that are not in it.
    pub end: u64,
    /// Which of [`LineIntervals::places`].
    pub place: usize,
}

impl From<(u64, u64, usize)> for Interval {
    fn from((start, end, place): (u64, u64, usize)) -> Self {
        Self { start, end, place }
    }
}

impl From<Interval> for (u64, u64, usize) {
    fn from(interval: Interval) -> Self {
        (interval.start, interval.end, interval.place)
    }
}
