//! Trees of processes that refcow did not start: which belong together, what they share, and who
//! unshared the rest.
//!
//! Nothing is injected, no process is stopped to look at it, and nothing of it is written: files of
//! /proc say all of it.

pub mod alike;
mod called;
pub mod cause;
pub mod document;
pub mod ending;
mod error;
pub mod family;
pub mod keys;
pub mod line_of;
pub mod lines;
pub mod look;
mod made_by_all;
mod map;
pub mod means;
mod not_run;
mod own;
pub mod pace;
pub mod program;
pub mod python;
pub mod recording;
pub mod stacks;
pub mod table;
pub mod tracer;
pub mod tracing;
pub mod tree;
pub mod view;
pub mod watch;
pub mod who;

pub use called::named;
pub use error::LiveError;

/// A document for programs, indented, with a line's end.
///
/// # Errors
/// When it has no form.
pub fn json(document: &document::Trees) -> Result<Vec<u8>, LiveError> {
    let bytes = serde_json::to_vec_pretty(document);
    let mut bytes = bytes.map_err(|error| LiveError::Document(error.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}
