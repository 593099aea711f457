//! Why a tree cannot be looked at.

use std::ffi::OsStr;

use super::family::FamilyError;
use super::not_run;
use crate::observe;

/// What went wrong.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LiveError {
    /// There is no such tree, or it is somebody else's.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Family(#[from] FamilyError),
    /// It cannot be read.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Observe(#[from] observe::Error),
    /// Its page faults cannot be recorded.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Unavailable(#[from] observe::Unavailable),
    /// Nor be waited for.
    #[error("cannot wait for page faults: {0}")]
    #[diagnostic(help("this is a bug in refcow, or the system is out of memory"))]
    Waiting(String),
    /// Somebody else has its threads stop.
    #[error("process {pid} is traced already, by process {by}{}", shown(name))]
    #[diagnostic(help(
        "a process has one tracer: end the other one (gdb, strace), or leave --lines out"
    ))]
    Traced {
        /// The process.
        pid: i32,
        /// Who traces it.
        by: i32,
        /// What that runs.
        name: String,
    },
    /// What traces the processes does not run.
    #[error("cannot start the process that traces the others: {0}")]
    #[diagnostic(help(
        "raise the limits of processes and open files (ulimit), or do without it: leave --lines out, and with `run` add --no-last-look"
    ))]
    Tracer(std::io::Error),
    /// The program does not run.
    #[error("cannot run {program}: {source}")]
    #[diagnostic(help("{remedy}"))]
    Start {
        /// As the user gave it.
        program: String,
        /// What the kernel answered.
        source: std::io::Error,
        /// What to do.
        remedy: String,
    },
    /// It was there.
    #[error("the processes have ended while they were looked at")]
    #[diagnostic(help("`refcow trees` lists the trees that are there now"))]
    Gone,
    /// It has no form.
    #[error("the document cannot be written: {0}")]
    #[diagnostic(help("this is a bug in refcow"))]
    Document(String),
}

fn shown(name: &str) -> String {
    match name {
        "" => String::new(),
        name => format!(" ({name})"),
    }
}

impl LiveError {
    /// Of a program that does not run.
    pub fn start(program: &OsStr, source: std::io::Error) -> Self {
        Self::Start {
            program: match program.to_string_lossy() {
                name if name.is_empty() => "\"\"".to_owned(),
                name => name.into_owned(),
            },
            remedy: not_run::remedy(program, &source),
            source,
        }
    }

    /// Whether the user named what is not there.
    pub fn is_bad_input(&self) -> bool {
        matches!(
            self,
            Self::Family(
                FamilyError::NoProcess { .. }
                    | FamilyError::NoNumber { .. }
                    | FamilyError::Empty { .. }
                    | FamilyError::Itself { .. }
                    | FamilyError::NoMemory { .. }
                    | FamilyError::ParentsMemory { .. }
                    | FamilyError::NoName { .. }
                    | FamilyError::Ambiguous { .. }
            ) | Self::Start { .. }
        )
    }
}
