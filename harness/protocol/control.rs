//! What the observer and the parent say over the control socket.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::child::Job;
use crate::module_source::ModuleSource;
use crate::raised::Raised;

/// What the observer asks of the parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Start the interpreter. Reply: [`Reply::Started`]. All but the plain pages below need it.
    Start {
        /// What `sys.executable` is to be: by it Python finds its library, and its environment.
        executable: PathBuf,
        /// Variables of the environment that the C libraries of packages look for, and Python does
        /// not: it starts without them, so that the heap of a machine that sets them is no other.
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
    /// Look at these functions of a user's own file, which will be called, whether a call runs
    /// them. Reply: [`Reply::Loaded`] or [`Reply::Deferred`].
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
        /// Functions of Python's module `gc` to call, one after the other, if the fixture has no
        /// such function.
        steps: Vec<String>,
    },
    /// Name the threads that Python knows. Reply: [`Reply::Threads`].
    Threads,
    /// Execute this code, before the data is built: it is part of the program. Visits that it names
    /// are those of the fixture. A function `end_worker` takes the place of what
    /// [`Job::Exit`](crate::Job::Exit) does. Reply: [`Reply::Remedied`].
    Remedy {
        /// The code.
        code: ModuleSource,
    },
    /// Call `before_fork` of that code with the data, if it has one, and keep what that returns
    /// beside the data. Reply: [`Reply::Remedied`].
    BeforeFork,
    /// Let go of the data: what the remedy returned takes its place. Reply: [`Reply::Prepared`].
    Adopt,
    /// Call a function of the fixture's module with these arguments, as `json.loads` has them.
    /// Reply: [`Reply::Returned`].
    Call {
        /// Its name.
        function: String,
        /// In their order.
        arguments: Vec<Value>,
    },
    /// Have transparent huge pages as the user's own program would have them. Comes first, if at
    /// all. Reply: [`Reply::Kept`].
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
    /// Fork these processes, one after the other. Replies for each: [`Reply::Armed`], then, after
    /// [`GO`](crate::GO), [`Reply::Forked`]; in the end [`Reply::AllForked`].
    ///
    /// All in one request, so that the parent runs no Python between its forks: what it writes
    /// between two of them, it no longer shares with the earlier child.
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

/// The size of the datasets that come with refcow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Elements in each list.
    pub count: u64,
    /// Bytes of content in each element.
    pub item_bytes: u64,
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
