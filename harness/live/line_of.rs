//! Where a thread of Python was when it wrote.

use std::sync::Arc;

use crate::observe::frames::{NoLine, RunningAt};

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
