//! Why a report could not be written.

/// Why a report could not be written.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot render the report: {0}")]
pub struct Error(pub(crate) String);
