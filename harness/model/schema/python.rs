//! The interpreter that was measured.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The interpreter that was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Python {
    /// `3.11.7`, from the running interpreter.
    pub version: String,
    /// All of `sys.version`, which also tells when and with what it was built. Documents of schema version 1 lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// The program that was chosen.
    pub executable: PathBuf,
    /// The shared library that an earlier version of refcow embedded. This one runs the program itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub libpython: Option<PathBuf>,
    /// Whether it was built without the GIL. Such builds have another ABI: of them there are facts alone, which need nothing of
    /// refcow in them.
    pub free_threaded: bool,
}

impl Python {
    /// Its version as people call it: `3.13.5t` without the GIL.
    pub fn title(&self) -> String {
        let suffix = if self.free_threaded { "t" } else { "" };
        format!("{}{suffix}", self.version)
    }

    /// The version in its order; `None` for what is none, which a file may hold.
    pub fn order(&self) -> Option<super::Version> {
        self.version.parse().ok()
    }
}
