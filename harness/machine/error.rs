//! What every Linux tells, and this one does not.

use miette::Diagnostic;

/// Something that every Linux since 3.14 tells could not be had.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{what} cannot be had: {reason}")]
#[diagnostic(help("refcow needs Linux 5.3 or newer with /proc mounted"))]
pub struct MachineError {
    what: &'static str,
    reason: String,
}

impl MachineError {
    pub(super) fn new(what: &'static str, reason: impl ToString) -> Self {
        Self {
            what,
            reason: reason.to_string(),
        }
    }
}
