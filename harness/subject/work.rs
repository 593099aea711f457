//! What forked processes are to do.

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use refcow_protocol::{ForkRequest, Job, ModuleSource};
use serde_json::Value;

use crate::modules::Modules;
use crate::plain::PlainPages;
use crate::trace::Trace;

/// What a forked process is to do, with all it needs at hand: made before the fork, so that making
/// it is nobody's visit.
pub(crate) enum Work<'a, 'py> {
    Wait,
    Idle,
    /// Finalise the interpreter, which holds the only references to the fixture's module and to the
    /// data, if there are any.
    Exit {
        module: Option<&'a Py<PyModule>>,
        data: Option<&'a Py<PyAny>>,
    },
    Call {
        function: Bound<'py, PyAny>,
        arguments: Bound<'py, PyTuple>,
        /// What was imported before.
        modules: Modules,
        /// Whether to keep a log of lines, and what that takes.
        trace: Option<Trace>,
    },
    Write(&'a PlainPages, Vec<u64>, u64),
    Compare {
        visit: Bound<'py, PyAny>,
        data: Bound<'py, PyAny>,
        replacement: Bound<'py, PyAny>,
    },
    /// Find out what a remedy would do.
    Plan {
        data: Bound<'py, PyAny>,
        modules: Vec<ModuleSource>,
        function: String,
        arguments: Vec<Value>,
    },
    /// Do all that a program does before it ends itself, and end nothing.
    Leave {
        function: Bound<'py, PyAny>,
        arguments: Bound<'py, PyTuple>,
    },
    Map {
        data: Bound<'py, PyAny>,
        objects: bool,
    },
    /// All steps up to this work, with the collector stopped.
    OnlyTheWay(Box<Work<'a, 'py>>),
}

impl Work<'_, '_> {
    /// Whether the process only looks, or waits: then it runs no Python, and nobody's hooks.
    pub(crate) fn only_looks(&self) -> bool {
        matches!(self, Self::Wait | Self::Map { .. })
    }
}

/// A process to be: which channel it has, and its work.
pub(crate) type Planned<'a, 'py> = (usize, Work<'a, 'py>);

/// What each process is to do. A job that needs Python, which the observer never asks for here, is
/// to do nothing.
pub(crate) fn of_plain_pages(plain: &PlainPages, forks: Vec<ForkRequest>) -> Vec<Planned<'_, '_>> {
    let work = forks.into_iter().map(|fork| {
        let work = match fork.job {
            Job::Write { pages, unreported } => Work::Write(plain, pages, unreported),
            Job::Wait => Work::Wait,
            Job::OnlyTheWay { .. } => Work::OnlyTheWay(Box::new(Work::Idle)),
            Job::Idle
            | Job::Exit
            | Job::Visit { .. }
            | Job::Compare { .. }
            | Job::Plan { .. }
            | Job::Map { .. } => Work::Idle,
        };
        (fork.channel, work)
    });
    work.collect()
}
