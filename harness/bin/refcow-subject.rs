//! The shared library that refcow preloads into a Python: the crate `refcow_subject`, and nothing
//! else.

use std::process::ExitCode;

// Linked for what it exports (build.rs); nothing of it is called from here.
use refcow_subject as _;

/// What cargo wants of a program.
fn main() -> ExitCode {
    ExitCode::from(2)
}
