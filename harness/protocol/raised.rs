//! Exceptions of Python.

use serde::{Deserialize, Serialize};

/// An exception.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// Its type and text, one line.
    pub summary: String,
    /// As Python prints it.
    pub traceback: String,
}
