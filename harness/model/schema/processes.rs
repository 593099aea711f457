//! Processes that a visit forked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::counted::OnTheWay;

/// Processes that a child forked during its visit, and that have ended with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Processes {
    /// How many are known of, those that were not followed included: as many as another child started that made the same visit.
    pub number: u64,
    /// Each of which the pages could be looked at when it ended, in the order of their forks.
    pub followed: Vec<Followed>,
    /// Copied and new bytes of all of them together, at the moment at which they were seen to have most: when one ended. Absent where none was
    /// followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Why some were not followed. Absent: all were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_followed: Option<String>,
}

/// One process that a visit forked, at its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Followed {
    /// Pages of each region that it shared when it was forked, and that were its alone at its end.
    pub regions: Vec<OnTheWay>,
    /// Anonymous pages that it alone had besides.
    pub new_pages: u64,
}
