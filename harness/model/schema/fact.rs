//! What is known of versions of Python, and what was found.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Figure;

/// Something that is known to differ, or not to differ, between versions of Python, put to the test on one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// Its short name.
    pub id: String,
    /// What is known, in a sentence.
    pub statement: String,
    /// Where it can be read: PEP, issue or pull request number of CPython's.
    pub source: String,
    /// The versions from which on something else is predicted than before.
    pub changes: Vec<String>,
    /// What came of it here.
    pub outcome: Outcome,
    /// What was predicted for this version, with the figures that were found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// Of a fact that could not be tested: why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_testable_because: Option<String>,
    /// What was found. A figure that could not be had is absent.
    pub figures: BTreeMap<String, Figure>,
    /// What the figures are taken from.
    pub evidence: Vec<String>,
    /// SHA-256 of the rules that it was judged by. Absent in documents of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_sha256: Option<String>,
}

/// Whether a prediction came true.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Outcome {
    /// It is as predicted for this version.
    #[serde(rename = "as predicted")]
    AsPredicted,
    /// It is not.
    #[serde(rename = "otherwise")]
    Otherwise,
    /// It could not be put to the test on this machine.
    #[serde(rename = "not testable here")]
    NotTestableHere,
}

impl Outcome {
    /// The words as JSON and tables have them.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::AsPredicted => "as predicted",
            Self::Otherwise => "otherwise",
            Self::NotTestableHere => "not testable here",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_spelled_alike_in_json_and_in_tables() {
        for outcome in [
            Outcome::AsPredicted,
            Outcome::Otherwise,
            Outcome::NotTestableHere,
        ] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }
}
