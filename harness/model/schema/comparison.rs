//! A run beside an earlier one, row by row.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Outcome, RowKey, Verdict};

/// A base against a new document, row by row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The version of this document's shape: [`SCHEMA_VERSION`](super::SCHEMA_VERSION).
    pub schema_version: u32,
    /// What is taken for noise between machines or builds, and where the data or the code that was measured is another. Where
    /// nothing differs nothing is.
    pub tolerance: Tolerance,
    /// Each run of the base with its counterpart.
    pub compared: Vec<ComparedRuns>,
    /// Runs of the base that have no counterpart.
    pub only_in_base: Vec<RunName>,
    /// Runs of the new document that have none.
    pub only_in_new: Vec<RunName>,
}

/// How far page counts may lie apart and still be taken for the same: by so many pages, or by such a part of the base,
/// whichever is more. All pages of a region in one, and none in the other, are never the same, if they are two or more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Pages.
    pub pages: u64,
    /// A part of the base, from 0 to 1.
    pub share: f64,
}

impl Tolerance {
    /// None at all.
    pub const EXACT: Self = Self {
        pages: 0,
        share: 0.0,
    };

    /// Whether there is none.
    pub(crate) fn is_exact(&self) -> bool {
        *self == Self::EXACT
    }

    /// So many pages may be more or fewer than these.
    pub(crate) fn of(&self, pages: u64) -> u64 {
        self.pages.max((pages as f64 * self.share) as u64)
    }
}

/// Which run of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunName {
    /// The interpreter's version.
    pub version: String,
    /// The program that was chosen.
    pub executable: String,
    /// `uname -m` of the machine.
    pub architecture: String,
    /// `uname -r` of the machine.
    pub kernel: String,
}

/// Two runs, side by side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComparedRuns {
    /// Of the base.
    pub base: RunName,
    /// Of the new document.
    pub new: RunName,
    /// What differs between the two besides the figures: machine, kernel, interpreter, packages. Where nothing does, and
    /// the data and its code are the same, every difference of a single page counts.
    pub differs: Vec<String>,
    /// The rows, in the order of the base: of each measurement its cost, which is judged, and then what explains that.
    pub rows: Vec<Row>,
}

/// One figure, or verdict, in both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Of what.
    pub key: RowKey,
    /// In the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<RowValue>,
    /// In the new document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<RowValue>,
    /// What came of it.
    pub status: Status,
    /// Of what is not comparable: why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// Of a cost: in which way the data, or the code that makes and uses it, is another. Empty: no difference is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_data: Vec<String>,
    /// Facts about versions of Python, by their ids, that tell of such a change between these two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<String>,
}

/// What a visit cost, in bytes, as far as both runs know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Paid {
    /// Copies of shared pages. Where both runs recorded faults, those are among them that were given back before the end.
    pub copied: u64,
    /// Those of the copies that were given back.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub given_back: u64,
    /// Anonymous pages that were filled anew. Absent where one of the runs does not know them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<u64>,
    /// What processes copied and made that the visit started.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub processes: u64,
    /// All of it together.
    pub sum: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_nothing(bytes: &u64) -> bool {
    *bytes == 0
}

/// What a row compares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RowValue {
    /// Bytes that workers copied and made.
    Cost {
        /// The worker that it cost most.
        worker: Paid,
        /// All workers together.
        all: Paid,
        /// How many there are.
        workers: u64,
    },
    /// Unshared pages.
    Pages {
        /// By the child with the most.
        unshared: u64,
        /// Of so many that were shared before.
        of: u64,
    },
    /// Bytes.
    Memory {
        /// Of the child with the most; of a way to share with so many workers, of all processes.
        bytes: u64,
    },
    /// A verdict.
    Claim {
        /// What the figures say.
        verdict: Verdict,
        /// What was expected for the interpreter.
        expected: Verdict,
    },
    /// An outcome.
    Fact {
        /// Whether the prediction for the version came true.
        outcome: Outcome,
        /// What was found, in a sentence.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<String>,
    },
}

/// What came of a comparison.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum Status {
    /// The same.
    #[serde(rename = "unchanged")]
    Unchanged,
    /// Not the same, but by no more than the tolerance.
    #[serde(rename = "within noise")]
    WithinNoise,
    /// Fewer bytes are copied and made, or taken by all processes; a verdict is as expected again.
    #[serde(rename = "improved")]
    Improved,
    /// A verdict, or what a fact says, is another, and each is the one that was expected of its interpreter: neither better
    /// nor worse.
    #[serde(rename = "changed as expected")]
    ChangedAsExpected,
    /// More bytes are copied and made, or taken by all processes; a verdict is no longer as expected.
    #[serde(rename = "regressed")]
    Regressed,
    /// Of a row that explains a cost, and is not judged: more by more than the tolerance.
    #[serde(rename = "more")]
    More,
    /// The same, of fewer.
    #[serde(rename = "fewer")]
    Fewer,
    /// The new document lacks it.
    #[serde(rename = "only in base")]
    OnlyInBase,
    /// The base lacks it.
    #[serde(rename = "only in new")]
    OnlyInNew,
    /// Other circumstances than the code's: the reason is in the row.
    #[serde(rename = "not comparable")]
    NotComparable,
}

impl Status {
    /// All, in the order in which they are told.
    pub const ALL: [Self; 10] = [
        Self::Regressed,
        Self::Improved,
        Self::ChangedAsExpected,
        Self::More,
        Self::Fewer,
        Self::NotComparable,
        Self::OnlyInBase,
        Self::OnlyInNew,
        Self::WithinNoise,
        Self::Unchanged,
    ];

    /// The words as JSON and tables have them.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::WithinNoise => "within noise",
            Self::Improved => "improved",
            Self::ChangedAsExpected => "changed as expected",
            Self::Regressed => "regressed",
            Self::More => "more",
            Self::Fewer => "fewer",
            Self::OnlyInBase => "only in base",
            Self::OnlyInNew => "only in new",
            Self::NotComparable => "not comparable",
        }
    }

    /// Whether the two differ by more than noise.
    pub fn is_change(self) -> bool {
        matches!(
            self,
            Self::Improved | Self::Regressed | Self::ChangedAsExpected | Self::More | Self::Fewer
        )
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ComparedRuns {
    /// What is judged, each with the rows that explain it.
    pub fn judged(&self) -> impl Iterator<Item = (&Row, &[Row])> {
        let groups = self.rows.chunk_by(|_, next| !next.key.is_judged());
        groups.filter_map(|group| group.split_first())
    }
}

impl Comparison {
    /// The rows that are judged.
    pub fn judged(&self) -> impl Iterator<Item = &Row> {
        let all = self.compared.iter().flat_map(ComparedRuns::judged);
        all.map(|(row, _)| row)
    }

    /// How many of these both sides have.
    pub fn common(&self) -> usize {
        let both = |row: &&Row| row.base.is_some() && row.new.is_some();
        self.judged().filter(both).count()
    }

    /// How many of them there are of a status.
    pub fn count(&self, status: Status) -> usize {
        self.judged().filter(|row| row.status == status).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_is_spelled_alike_in_json_and_in_tables() {
        for status in Status::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }
}
