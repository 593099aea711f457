//! Why a subject does not answer.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde::Serialize;

use crate::process;
use crate::protocol::{FIRST_DESCRIPTOR, Raised};

/// Why there is no answer.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum DriverError {
    /// The interpreter could not be started with refcow-subject in it.
    #[error("cannot start an interpreter with {}: {source}", library.display())]
    #[diagnostic(help("refcow-subject belongs beside refcow: install or build both"))]
    Start {
        /// refcow-subject.
        library: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The interpreter has gone since it was found.
    #[error("{}: {source}", interpreter.display())]
    #[diagnostic(help(
        "the interpreter was removed, or replaced by another version, while refcow ran: run it again"
    ))]
    NoInterpreter {
        /// Its program.
        interpreter: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The dynamic loader did not load refcow-subject into the interpreter, or could not.
    #[error("refcow-subject does not run inside {} (status {status})", interpreter.display())]
    #[diagnostic(help(
        "refcow preloads a library into the interpreter's own program (LD_PRELOAD), which must be linked dynamically with \
         glibc and export Python's functions; the loader's message is above. Choose another interpreter: --python"
    ))]
    NotLoaded {
        /// The interpreter's program.
        interpreter: PathBuf,
        /// The exit status.
        status: i32,
    },
    /// Too few descriptors.
    #[error("cannot open all that measuring takes: {0}")]
    #[diagnostic(help("{}", process::RAISE_OPEN_FILES))]
    Descriptors(io::Error),
    /// It ended by itself.
    #[error("the {who} {} while {doing}{}", how(*status), bus_note(*status))]
    #[diagnostic(help("its own messages are above; try the same in a plain Python script"))]
    Died {
        /// Parent or child.
        who: &'static str,
        /// What it was about.
        doing: String,
        /// How it ended, if that could be learned.
        status: Option<ExitStatus>,
    },
    /// It can be heard no longer.
    #[error("the measured code has closed refcow's file descriptors (seen while {doing})")]
    #[diagnostic(help(
        "close what your code has opened, and leave the numbers from {FIRST_DESCRIPTOR} on alone: \
         os.closerange(3, {FIRST_DESCRIPTOR}) does"
    ))]
    ClosedDescriptors {
        /// What was going on when that was seen. They may have been closed before.
        doing: String,
    },
    /// It took too long.
    #[error("the {who} did not finish {doing} within {} s", limit.as_secs_f64())]
    #[diagnostic(help("give it longer with --timeout, or give it less data"))]
    TimedOut {
        /// Parent or child.
        who: &'static str,
        /// What it was about.
        doing: String,
        /// The limit.
        limit: Duration,
    },
    /// A child waits for a lock that nobody will release.
    #[error("the child did not finish {doing} within {} s: {why}", limit.as_secs_f64())]
    Locked {
        /// What it was about.
        doing: String,
        /// The limit.
        limit: Duration,
        /// What is known of the lock.
        why: String,
        /// What to do.
        #[help]
        help: String,
    },
    /// Python raised an exception.
    #[error("{doing} raised {}\n\n{}", raised.summary, raised.traceback.trim_end())]
    Raised {
        /// What it was about.
        doing: String,
        /// The exception.
        raised: Raised,
        /// What to do.
        #[help]
        help: String,
    },
    /// A user's file, or what was set for its `build`, is not what this Python takes.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
        /// What to do.
        #[help]
        help: String,
    },
    /// Another Python answered than the one that was chosen.
    #[error("{} is CPython {found} now, and was {wanted} when it was asked", interpreter.display())]
    #[diagnostic(help(
        "the interpreter was replaced while refcow ran: run it again, or choose another"
    ))]
    OtherInterpreter {
        /// Its program.
        interpreter: PathBuf,
        /// What it says now.
        found: String,
        /// What it said.
        wanted: String,
    },
    /// Python found itself in another environment than the one that was chosen.
    #[error("Python started in {}, not in {}", found.display(), wanted.display())]
    #[diagnostic(help(
        "the environment was removed or damaged while refcow ran: make it anew, or choose another interpreter"
    ))]
    OtherEnvironment {
        /// `sys.prefix` of the running one.
        found: PathBuf,
        /// What it was to be.
        wanted: PathBuf,
    },
    /// The kernel gave no process.
    #[error("fork failed: {}", io::Error::from_raw_os_error(*errno))]
    #[diagnostic(help(
        "EAGAIN: raise `ulimit -u` or the cgroup's pids.max; ENOMEM: free memory, or choose smaller data"
    ))]
    Fork {
        /// Its errno.
        errno: i32,
    },
    /// The user ended it.
    #[error("interrupted")]
    Interrupted,
    /// A program without a subject.
    #[error("what python_fixtures/recorded/{program}.py does could not be recorded: {source}")]
    #[diagnostic(help("`refcow doctor` tells what this machine does not allow"))]
    Recording {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A socket failed, or what came out of it is no message.
    #[error("the {who} does not speak refcow's protocol while {doing}: {source}")]
    #[diagnostic(help("are refcow and refcow-subject of one build?"))]
    Protocol {
        /// Parent or child.
        who: &'static str,
        /// What it was about.
        doing: String,
        /// What was wrong.
        source: io::Error,
    },
}

impl DriverError {
    /// Why something was not opened.
    pub(super) fn opening(source: io::Error, otherwise: impl FnOnce(io::Error) -> Self) -> Self {
        match process::is_out_of_descriptors(&source) {
            true => Self::Descriptors(source),
            false => otherwise(source),
        }
    }
}

/// What was said is no answer to what was asked.
pub(crate) fn out_of_turn(doing: &str, answer: &impl Serialize) -> DriverError {
    DriverError::Protocol {
        who: "subject",
        doing: doing.into(),
        source: io::Error::other(serde_json::to_string(answer).unwrap_or_default()),
    }
}

fn how(status: Option<ExitStatus>) -> String {
    match status {
        Some(status) => match (status.code(), status.signal().map(Signal::try_from)) {
            (Some(code), _) => format!("exited with status {code}"),
            (None, Some(Ok(signal))) => format!("was killed by {signal}"),
            (None, _) => format!("ended ({status})"),
        },
        None => "ended".into(),
    }
}

fn bus_note(status: Option<ExitStatus>) -> &'static str {
    match status.and_then(|status| status.signal()) {
        Some(signal) if signal == Signal::SIGBUS as i32 => {
            " (a shared mapping without memory behind it: /dev/shm or a disk was full)"
        }
        _ => "",
    }
}
