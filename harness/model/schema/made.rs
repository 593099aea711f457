//! New pages, and who made them.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cause::{By, line_and_caller};

/// New pages that were filled alike: for the same type, by the same function and line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// The type of most objects on them. Absent: no object that refcow knows is there.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub of_type: Option<String>,
    /// The function that touched them first, as in [`Written`](super::Written): after they had been given back and mapped anew, if they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The Python line that was running, as in [`Written`](super::Written).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// The line of the user's own file that was running or had called, as in [`Written`](super::Written).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_line: Option<String>,
    /// How many pages.
    pub pages: u64,
}

impl Made {
    /// What tells these pages from others; `None` where that is not known of them, or is no matter of new pages.
    pub fn key(&self, by: By) -> Option<Cow<'_, str>> {
        match by {
            By::Type => self.of_type.as_deref().map(Cow::Borrowed),
            By::Function => self.function.as_deref().map(Cow::Borrowed),
            By::Line => line_and_caller(self.line.as_deref(), self.own_line.as_deref()),
            By::Region | By::Cause | By::Package => None,
        }
    }
}
