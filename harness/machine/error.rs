//! What every Linux tells, and this one does not.

use miette::Diagnostic;
use thiserror::Error;

/// Something that every Linux since 3.14 tells could not be had.
#[derive(Debug, Error, Diagnostic)]
#[error("{what} cannot be had: {reason}")]
#[diagnostic(help("refcow needs Linux 5.3 or newer with /proc mounted"))]
pub struct Error {
    what: &'static str,
    reason: String,
}

impl Error {
    pub(super) fn new(what: &'static str, reason: impl ToString) -> Self {
        Self {
            what,
            reason: reason.to_string(),
        }
    }
}
