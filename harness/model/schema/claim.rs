//! Claims with their verdicts, and what was observed for them.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was seen besides pages: a reference count as names are bound, which process still sees a block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// What was looked at: the name of a program in `python_fixtures/facts/`, or of one of refcow's own.
    pub name: String,
    /// What was seen.
    pub figures: BTreeMap<String, Value>,
}

/// A figure that is not always a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Truth(bool),
    /// A whole number.
    Count(i64),
    /// Any other number.
    Number(f64),
    /// A word.
    Text(String),
}

/// One statement of the article, put to the test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Its short name.
    pub id: String,
    /// The statement, in refcow's words.
    pub statement: String,
    /// What the figures say of it.
    pub verdict: Verdict,
    /// What was expected for this interpreter, by refcow or by `--expect`.
    pub expected: Verdict,
    /// The figure that decides, in a sentence. Absent if the claim could not be tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_by: Option<String>,
    /// Of a claim that holds with limits: the limit, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Of a claim that could not be tested: why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_testable_because: Option<String>,
    /// What the verdict follows from. A figure that could not be had is absent.
    pub figures: BTreeMap<String, Figure>,
    /// The measurements, observations and ways of sharing that the figures are taken from.
    pub evidence: Vec<String>,
    /// SHA-256 of the rules that it was judged by. Absent in documents of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_sha256: Option<String>,
}

/// A value with its unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// How much, or whether.
    pub value: Value,
    /// Of what.
    pub unit: Unit,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Pages of the kernel's base size.
    Pages,
    /// Bytes.
    Bytes,
    /// A part, from 0 to 1.
    Share,
    /// Seconds.
    Seconds,
    /// Things: names, objects, interpreters.
    Count,
    /// Yes or no.
    Truth,
    /// A word.
    Text,
}

/// What the figures say of a claim.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Verdict {
    /// It is as the article says.
    #[serde(rename = "holds")]
    Holds,
    /// It is so in part, and the limit says in which.
    #[serde(rename = "holds with limits")]
    HoldsWithLimits,
    /// It is not so.
    #[serde(rename = "does not hold")]
    DoesNotHold,
    /// It could not be put to the test on this machine.
    #[serde(rename = "not testable here")]
    NotTestableHere,
}

impl Verdict {
    /// The words as JSON and tables have them.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::HoldsWithLimits => "holds with limits",
            Self::DoesNotHold => "does not hold",
            Self::NotTestableHere => "not testable here",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_are_spelled_alike_in_json_and_in_tables() {
        for verdict in [
            Verdict::Holds,
            Verdict::HoldsWithLimits,
            Verdict::DoesNotHold,
            Verdict::NotTestableHere,
        ] {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.as_str());
        }
    }

    #[test]
    fn whole_numbers_stay_whole() {
        for (text, value) in [
            ("true", Value::Truth(true)),
            ("3", Value::Count(3)),
            ("3.0", Value::Number(3.0)),
            ("\"a\"", Value::Text("a".into())),
        ] {
            assert_eq!(serde_json::from_str::<Value>(text).unwrap(), value);
            assert_eq!(serde_json::to_string(&value).unwrap(), text);
        }
    }
}
