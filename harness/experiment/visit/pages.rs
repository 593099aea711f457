//! The pages of a process that waits.

use super::error::VisitError;
use crate::observe::{PageSet, PageStates, mappings, page_states, settle};

/// All pages of a process that waits.
pub(super) fn states(pid: i32) -> Result<PageStates, VisitError> {
    settle(pid)?;
    Ok(page_states(pid, &mappings(pid)?.ranges)?)
}

/// Pages that are this process's alone: written since its last fork, as a later child or the
/// witness shares all others.
pub(super) fn own(states: &PageStates) -> PageSet {
    states.anonymous() & states.exclusive()
}
