//! A run that was repeated, and what came of it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RunName, Tolerance};

/// What came of measuring a document again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reproduction {
    /// The version of this document's shape, which is that of the documents.
    pub schema_version: u32,
    /// In one word or three.
    pub answer: Answer,
    /// How far counts of pages may be apart.
    pub tolerance: Tolerance,
    /// By which part of the larger one figures of the memory of whole processes may be apart: they move with what other processes
    /// have in common with these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_tolerance: Option<f64>,
    /// Why the document as a whole could not be measured again. Absent: it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_comparable: Option<String>,
    /// One entry a run of the document.
    pub runs: Vec<Repeated>,
    /// What the document has and was not compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_compared: Vec<NotCompared>,
}

/// Fields of a document that were not compared, all for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotCompared {
    /// Their paths: `runs[].measurements[].build_seconds`. With all that is in them.
    pub fields: Vec<String>,
    /// Why not.
    pub because: String,
}

/// A run of the document, with what it gave when it was measured again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repeated {
    /// The recorded run.
    pub recorded: RunName,
    /// The run now. Absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<RunName>,
    /// Why there was none. Absent: there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_comparable: Option<String>,
    /// What is not the same besides the figures: another machine, kernel, build or package.
    pub differs: Vec<String>,
    /// How many figures and verdicts were compared.
    pub compared: u64,
    /// Those that are not the same.
    pub differences: Vec<Difference>,
}

/// A figure, or a verdict, that is another one now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// Of what: `three_lists/iterate (2000 × 65536 bytes, fork), child 1, header unshared`.
    pub of: String,
    /// As recorded. Absent: the document does not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<String>,
    /// Now. Absent: it was not measured again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
    /// What follows from it.
    pub weight: Weight,
    /// Why it is not comparable, or why it does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// How much a difference says.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// The two cannot be compared, and no answer is possible.
    NotComparable,
    /// More than the tolerance.
    Differs,
    /// No more than the tolerance.
    WithinTolerance,
    /// Nothing: it is known to be another one each time, or in each build.
    DoesNotCount,
}

impl Weight {
    /// All, the heaviest first.
    pub const ALL: [Self; 4] = [
        Self::NotComparable,
        Self::Differs,
        Self::WithinTolerance,
        Self::DoesNotCount,
    ];
}

/// Whether a document could be repeated.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Answer {
    /// Every page count and every verdict is the same.
    #[serde(rename = "reproduced")]
    Reproduced,
    /// They differ by no more than the tolerance, and no verdict does.
    #[serde(rename = "reproduced within tolerance")]
    WithinTolerance,
    /// At least one differs by more.
    #[serde(rename = "differs")]
    Differs,
    /// This machine cannot do the same, or the document does not say what was done.
    #[serde(rename = "not comparable")]
    NotComparable,
}

impl Answer {
    /// The words as JSON and texts have them.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::WithinTolerance => "reproduced within tolerance",
            Self::Differs => "differs",
            Self::NotComparable => "not comparable",
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Reproduction {
    /// All differences of a weight, with the runs they are of.
    pub fn differences(&self, weight: Weight) -> impl Iterator<Item = (&Repeated, &Difference)> {
        let all = self.runs.iter().flat_map(|run| {
            let differences = run.differences.iter();
            differences.map(move |difference| (run, difference))
        });
        all.filter(move |(_, difference)| difference.weight == weight)
    }

    /// How many figures and verdicts were compared.
    pub fn compared(&self) -> u64 {
        self.runs.iter().map(|run| run.compared).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_spelled_alike_in_json_and_in_texts() {
        let all = [
            Answer::Reproduced,
            Answer::WithinTolerance,
            Answer::Differs,
            Answer::NotComparable,
        ];
        for answer in all {
            assert_eq!(serde_json::to_value(answer).unwrap(), answer.as_str());
        }
    }
}
