//! The messages between observer and subject: one line of JSON each, over sockets.
//!
//! The observer talks to the parent over the control socket, which is the subject's standard input when it starts, and to
//! each child over a channel of its own, so that the parent can stay blocked in `read(2)` while children run. The first
//! thing on the control socket is one byte ([`GO`]) that carries the other descriptors (`SCM_RIGHTS`, unix(7)): the file
//! of the object map, then the channels. Nobody chooses their numbers. Later a single such byte releases a blocked
//! process: reading it writes to no page that the process has not written before.

// What is `pub` is what another crate uses, so that rustc sees what nobody does.
#![warn(unreachable_pub)]

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use refcow_model::RegionMap;

mod own_files;

pub use own_files::OwnFiles;

/// Bytes in front of the map of objects, in the file that carries it to the observer: memory (`memfd_create(2)`), as the
/// map of many objects is large. They say what the mapper is about.
pub const ASKED_BYTES: u64 = 1 << 16;

/// The most children a measurement may have: each has a channel, and descriptors are limited (`ulimit -n`).
pub const MOST_CHILDREN: usize = 64;

/// Releases a process that waits.
pub const GO: u8 = b'\n';

/// The channel of the witness, and of the mapper before there is a witness. Children have 1 to [`MOST_CHILDREN`].
pub const WITNESS: usize = 0;

/// The exit status of an interpreter in which refcow-subject does not run: the loader took no notice of `LD_PRELOAD`, and
/// Python's own `main` did what its arguments say.
pub const NOT_LOADED: i32 = 93;

/// The exit status of a process that finds that the fixture has closed, or replaced, the descriptor by which it hears the observer.
pub const CLOSED_DESCRIPTORS: u8 = 197;

/// Where descriptors begin that are refcow's: a fixture that closes those which a program usually has finds none of them,
/// and what it opens itself has the numbers that it would have in a plain script.
pub const FIRST_DESCRIPTOR: i32 = 100;

/// What the observer asks of the parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Start the interpreter. Reply: [`Reply::Started`]. All but the plain pages below need it.
    Start {
        /// What `sys.executable` is to be: by it Python finds its library, and its environment.
        executable: PathBuf,
        /// Variables of the environment that the C libraries of packages look for, and Python does not: it starts without
        /// them, so that the heap of a machine that sets them is no other.
        variables: Vec<(String, String)>,
    },
    /// Execute the fixture's module. Reply: [`Reply::Loaded`].
    Load {
        /// Modules that the fixture may import, in the order they are to be executed.
        helpers: Vec<ModuleSource>,
        /// The fixture.
        fixture: ModuleSource,
        /// `sys.argv[1:]` of a user's own file.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        arguments: Vec<String>,
    },
    /// Look at these functions of a user's own file, which will be called, whether a call runs them. Reply:
    /// [`Reply::Loaded`] or [`Reply::Deferred`].
    Look {
        /// Their names.
        functions: Vec<String>,
    },
    /// Ask the fixture what it would allocate. Reply: [`Reply::Footprint`].
    Footprint(Size),
    /// The same of a user's own file.
    FootprintBy(NamedArguments),
    /// Build the dataset. Reply: [`Reply::Built`].
    Build(Size),
    /// The same of a user's own file.
    BuildBy(NamedArguments),
    /// Call `prepare_NAME(data)`. Reply: [`Reply::Prepared`].
    Prepare {
        /// NAME.
        name: String,
        /// Functions of Python's module `gc` to call, one after the other, if the fixture has no such function.
        steps: Vec<String>,
    },
    /// Name the threads that Python knows. Reply: [`Reply::Threads`].
    Threads,
    /// Execute these modules, call this function of the last with the data, and keep what it returns beside the data.
    /// Reply: [`Reply::Remedied`] or [`Reply::DoesNotApply`].
    Remedy {
        /// In the order they are to be executed.
        modules: Vec<ModuleSource>,
        /// The function.
        function: String,
    },
    /// Let go of the data: what the remedy returned takes its place. Reply: [`Reply::Prepared`].
    Adopt,
    /// Call a function of the fixture's module with these arguments, as `json.loads` has them. Reply:
    /// [`Reply::Returned`].
    Call {
        /// Its name.
        function: String,
        /// In their order.
        arguments: Vec<Value>,
    },
    /// Have transparent huge pages as the user's own program would have them. Comes first, if at all. Reply: [`Reply::Kept`].
    KeepHugePages,
    /// Instead of a dataset: map so many anonymous pages and write each. Reply: [`Reply::Filled`].
    Fill {
        /// How many.
        pages: u64,
        /// In a shared mapping, which fork does not copy on write.
        shared: bool,
    },
    /// Write one byte into one of the plain pages. Reply: [`Reply::Wrote`].
    Write {
        /// Its number, from 0.
        page: u64,
    },
    /// Fork these processes, one after the other. Replies for each: [`Reply::Armed`], then, after [`GO`],
    /// [`Reply::Forked`]; in the end [`Reply::AllForked`].
    ///
    /// All in one request, so that the parent runs no Python between its forks: what it writes between two of them,
    /// it no longer shares with the earlier child.
    Fork(Vec<ForkRequest>),
    /// Wait for one ended child. Reply: [`Reply::Reaped`].
    Reap {
        /// Which.
        pid: i32,
    },
}

/// A process to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkRequest {
    /// Its channel.
    pub channel: usize,
    /// What it is to do.
    pub job: Job,
}

/// A Python module in source.
///
/// The subject keeps them all: a field more here is heap more there, in front of the data, and shifts what shares a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleSource {
    /// Its name.
    pub name: String,
    /// The file name that tracebacks show.
    pub file: String,
    /// A folder to put first on `sys.path`, for a user's own file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Its text.
    pub source: String,
}

/// What a fixture's `build` is called with.
///
/// The two are requests of their own: nothing is looked up in Python for refcow's own fixtures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Both, in their order: refcow's own fixtures.
    Size(Size),
    /// By name: a user's own.
    Named(NamedArguments),
}

/// Only what was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedArguments {
    /// What was.
    pub set: Vec<Argument>,
    /// For a `count` or an `item_bytes` that has no default, and was not set.
    pub otherwise: Size,
}

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argument {
    /// The parameter.
    pub name: String,
    /// The value, as it was written.
    pub text: String,
    /// What that means.
    pub reading: Reading,
}

/// How the text of an argument is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// As it is.
    Text,
    /// As the literal of Python's that it is.
    Literal,
    /// As a text where the parameter's default is one, else as a literal if it is one.
    AsDefault {
        /// Whether it is.
        literal: bool,
    },
}

/// What a user's `build` was called with, its own defaults included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltWith {
    /// The `count`, if it takes one.
    pub count: Option<u64>,
    /// The `item_bytes`, if it takes them.
    pub item_bytes: Option<u64>,
    /// Whether it returned None.
    pub nothing: bool,
}

/// The size of refcow's own datasets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Elements in each list.
    pub count: u64,
    /// Bytes of content in each element.
    pub item_bytes: u64,
}

/// What a forked process does between its first wait and its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Only wait: the witness.
    Wait,
    /// Go through every step of a visit but the visit: `idle`.
    Idle,
    /// Make the data a global variable of the fixture's module, let go of both, and finalise the interpreter: `exit`.
    Exit,
    /// Call `visit_NAME(data)`, and when released after that say what it imported ([`ChildMessage::Imported`]).
    Visit {
        /// NAME.
        name: String,
        /// Keep a log of the lines that run, and send it ([`ChildMessage::Lines`]) when released once more after the visit and after
        /// [`ChildMessage::Imported`], before waiting for the end.
        #[serde(default)]
        lines: bool,
    },
    /// Go through every step up to this job but the job, with the collector stopped, and wait for the end.
    OnlyTheWay {
        /// To what.
        job: Box<Job>,
    },
    /// Write one byte into each of these pages of [`Request::Fill`].
    Write {
        /// Numbers from 0; one that stands twice is one page.
        pages: Vec<u64>,
        /// So many further pages the child writes and keeps from its answer: a lie, for the test that refcow does not
        /// report when its calibration fails.
        unreported: u64,
    },
    /// Call `visit_NAME` with the data and with what a remedy returned, and compare ([`ChildMessage::Compared`]).
    Compare {
        /// NAME.
        name: String,
    },
    /// Find the pages of the dataset. A process of its own does this, so that it costs the measured ones nothing.
    Map {
        /// Write a table of all objects to the map's file, too.
        objects: bool,
    },
}

/// What the parent answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The interpreter runs.
    Started(Started),
    /// The module was executed.
    Loaded,
    /// Huge pages are as the user's own program would have them.
    Kept,
    /// What `build` would allocate; `None` where the fixture does not say.
    Footprint(Option<Footprint>),
    /// The dataset stands.
    Built {
        /// How long it took.
        seconds: f64,
        /// Of a user's own file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        with: Option<BuiltWith>,
    },
    /// A user's file, or what was set for its `build`, is not what this Python takes.
    Refused {
        /// Why.
        reason: String,
        /// What to do.
        help: String,
    },
    /// A function of a user's file runs nothing when it is called.
    Deferred {
        /// Its name in the file.
        function: String,
        /// What it is.
        kind: Deferred,
        /// Where its code is: a file, and a line.
        place: (String, u32),
    },
    /// Python's threads: the kernel's number of each, and its name.
    Threads(Vec<(i32, String)>),
    /// The parent has prepared.
    Prepared,
    /// A remedy has done what it does.
    Remedied {
        /// How long it took.
        seconds: f64,
        /// Whether it returned another object than the data.
        replaced: bool,
    },
    /// A remedy can do nothing with this data.
    DoesNotApply {
        /// Why.
        reason: String,
    },
    /// What a called function returned, as `json.dumps` writes it.
    Returned(Value),
    /// The plain pages stand.
    Filled {
        /// Number of the first page: its address divided by the page size.
        first_page: u64,
    },
    /// The byte is written.
    Wrote,
    /// The next system call of this process, once released, is the fork.
    Armed,
    /// The fork is done.
    Forked {
        /// The new process.
        pid: i32,
    },
    /// All forks are done.
    AllForked,
    /// The kernel refused to fork.
    ForkFailed {
        /// Its `errno`.
        errno: i32,
    },
    /// A child has ended and been waited for.
    Reaped {
        /// The wait status as `waitpid` gives it.
        status: i32,
    },
    /// Python raised.
    Raised(Raised),
}

/// What a function is that runs nothing when it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deferred {
    /// `def` with a `yield`.
    Generator,
    /// `async def`.
    Coroutine,
    /// `async def` with a `yield`.
    AsyncGenerator,
    /// One of the two with a `yield` as `contextlib` decorates it.
    ContextManager,
}

/// What the running interpreter says of itself and its process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// `sys.version`.
    pub full_version: String,
    /// `sys.prefix`: the environment it found itself in.
    pub prefix: PathBuf,
    /// Whether the kernel lets this process have its mappings at the same addresses in each run.
    pub addresses_fixed: bool,
}

/// A fixture's own estimate of what its `build` allocates, in bytes but for the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footprint {
    /// Objects and lists, which a child may copy.
    pub objects: u64,
    /// Buffers out of line, which a child that reads does not copy.
    pub payload: u64,
    /// Shared memory.
    pub segment: u64,
    /// How many objects these are, if it says so: less than their bytes would allow.
    pub number: Option<u64>,
}

/// An exception.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// Its type and text, one line.
    pub summary: String,
    /// As Python prints it.
    pub traceback: String,
}

/// What a forked process sends over its channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildMessage {
    /// It waits.
    Ready,
    /// It has done its job, in this time, and waits.
    Done {
        /// From entry to return.
        seconds: f64,
        /// The type of what the visit returned, where that does something only when it is asked to: an iterator, a coroutine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lazy: Option<String>,
    },
    /// It has written so many distinct pages, and waits.
    Wrote {
        /// How many.
        pages: u64,
    },
    /// The pages of the dataset.
    Mapped(RegionMap),
    /// What a visit does with other objects in the place of the data.
    Compared {
        /// Why that is not the same. Absent: it is, as far as what it returned tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        differs: Option<String>,
        /// Whether it returned anything to tell by.
        returned: bool,
    },
    /// Modules that the visit has imported, as `sys.modules` names them. Asked of the child after it was looked at.
    Imported {
        /// In the order of `sys.modules`.
        modules: Vec<String>,
    },
    /// Which line ran when. Finding their names writes to memory, so it is sent after the child was looked at.
    Lines(LineIntervals),
    /// Python raised.
    Raised(Raised),
}

/// Which Python line ran when, for those times in which the visit had page faults.
///
/// As it was logged: `LineLog` (harness/experiment/lines.rs) checks it, and answers questions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineIntervals {
    /// The places that intervals name. One that is the user's own stands once, another once for each line of the user's own
    /// that had called it.
    pub places: Vec<PythonLine>,
    /// Of each of them the number of the innermost place of the user's own that had called it, if it is not itself one.
    #[serde(default)]
    pub own: Vec<Option<usize>>,
    /// In the order of time.
    pub intervals: Vec<Interval>,
    /// Intervals with page faults for which the log had no room.
    pub dropped: u64,
    /// Whether the log ended before the visit: it set a trace function of its own (`sys.settrace`), and a thread has one.
    pub cut_short: bool,
}

/// A line of Python.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PythonLine {
    /// Its file, as tracebacks name it (`co_filename`).
    pub file: String,
    /// Its function: with classes and enclosing functions (`co_qualname`) since CPython 3.11, its bare name before.
    pub function: String,
    /// Its number, from 1. Of a function that is being entered, the line of its `def` or first decorator.
    pub line: u32,
}

/// A time without interruption in which one line was the running one, C code that it called included.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = serde_json::from_slice::<Request>(&bytes);
            let _ = serde_json::from_slice::<Reply>(&bytes);
            let _ = serde_json::from_slice::<ChildMessage>(&bytes);
        }

        #[test]
        fn a_report_comes_back_as_it_was_sent(seconds in 0.0f64..1e6, pages in any::<u64>()) {
            let lazy = None;
            for report in [ChildMessage::Done { seconds, lazy }, ChildMessage::Wrote { pages }] {
                let line = serde_json::to_vec(&report).unwrap();
                prop_assert!(!line.contains(&b'\n'));
                prop_assert_eq!(serde_json::from_slice::<ChildMessage>(&line).unwrap(), report);
            }
        }
    }
}
