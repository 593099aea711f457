//! What a process is given of Python.

use serde::{Deserialize, Serialize};

/// A Python module in source.
///
/// The subject keeps them all: a field more here is heap more there, in front of the data, and
/// shifts what shares a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleSource {
    /// Its name.
    pub name: String,
    /// The file name that tracebacks show.
    pub file: String,
    /// A folder to put first on `sys.path`, for a user's own file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Its text.
    pub source: String,
}
