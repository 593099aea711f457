//! Why a visit cannot be measured.

use crate::driver::DriverError;
use crate::experiment::lines::LineLogError;
use crate::observe::{self, Disagreement};
use crate::protocol::ChildMessage;

/// Why a visit could not be measured.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum VisitError {
    /// The subject failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Subject(#[from] DriverError),
    /// A process could not be observed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Observe(#[from] observe::Error),
    /// The two ways of counting disagree.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Disagreement(#[from] Disagreement),
    /// A log of lines makes no sense.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lines(#[from] LineLogError),
    /// The child's copies have other users.
    #[error("a process that the child forked during its visit is still alive")]
    #[diagnostic(help(
        "it shares the child's copies, so refcow cannot tell them from the parent's pages: let the visit wait for it"
    ))]
    ChildForked,
    /// The child may write after it was looked at.
    #[error("a thread that the child started during its visit is still running")]
    #[diagnostic(help(
        "what it writes after the visit's end would be nobody's: let the visit join it"
    ))]
    ChildThreads,
    /// The parent did not hold still.
    #[error(
        "the parent did not hold still: it had {faults} page faults while a child visited the data"
    )]
    #[diagnostic(help(
        "a thread of the fixture's is still running: end it in build(), before the fork"
    ))]
    ParentFaulted {
        /// Its minor page faults.
        faults: u64,
    },
}

impl VisitError {
    /// The subject's, if it is that.
    pub fn subject(&self) -> Option<&DriverError> {
        match self {
            Self::Subject(error) => Some(error),
            _ => None,
        }
    }

    /// Whether the user ended the run.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Subject(DriverError::Interrupted))
    }

    /// A report that is none of those waited for.
    pub(super) fn waiting_for(doing: &str, report: &ChildMessage) -> Self {
        DriverError::Protocol {
            who: "child",
            doing: doing.into(),
            source: std::io::Error::other(format!("{report:?}")),
        }
        .into()
    }
}
