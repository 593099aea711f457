//! Memory of all processes of a visit together, and what a remedy saves of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Memory of the parent and all children together, each page counted once: anonymous pages, and pages of mappings that they
/// share to write to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TreeBytes {
    /// When all children have made the visit, and none has exited.
    pub end: u64,
    /// When each of them has at once what it had at most: what it was seen to have of copies and new memory, or its copies at
    /// the end with as much new memory as it ever had, if that is more.
    pub peak: u64,
}

/// What a remedy saves of the memory of all processes: less than nothing where they take more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedOfTree {
    /// When all children have made the visit.
    pub end: i64,
    /// At the peak.
    pub peak: i64,
}

impl SavedOfTree {
    /// What remedies are ordered by.
    pub fn together(self) -> i64 {
        self.end.saturating_add(self.peak)
    }
}

impl TreeBytes {
    /// What another one saves.
    pub fn saved_by(self, other: Self) -> SavedOfTree {
        let less = |one: u64, other: u64| {
            i64::try_from(i128::from(one) - i128::from(other)).unwrap_or(i64::MIN)
        };
        SavedOfTree {
            end: less(self.end, other.end),
            peak: less(self.peak, other.peak),
        }
    }
}
