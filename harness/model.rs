//! What is measured and reported: plain data with units in the field names, the same words in code, JSON and docs.
//!
//! Nothing here touches a process, a file, the clock or the environment. What could not be had is `None` and absent
//! from the JSON; it is never written as 0.

mod alternative;
mod claim;
mod environment;
mod measurement;
mod summary;
mod warning;

pub use alternative::{
    AfterKill, Alternative, AlternativeSummary, Contents, Leftover, Receiver, StartMethod,
};
pub use claim::{Claim, Figure, Observation, Unit, Value, Verdict};
pub use environment::{Environment, HugePages, Ksm, Privileges};
pub use measurement::{
    Calibration, Child, CrossChecks, Measurement, Python, Region, RegionMap, RegionName, Totals,
    Tree,
};
pub use summary::{RegionSummary, Spread, Summary};
pub use warning::Warning;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the JSON document. It grows by one whenever a field changes its meaning or goes away.
pub const SCHEMA_VERSION: u32 = 1;

/// One run of refcow: what it ran on, how it proved itself, and what it measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The version of this document's shape: [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The machine and the programs that the figures depend on.
    pub environment: Environment,
    /// The instrument's own check, made before anything else in this run.
    pub calibration: Calibration,
    /// What limits the figures, each with its cause and its remedy.
    pub warnings: Vec<Warning>,
    /// Statements of the article, each with its verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// One entry a fixture and visit, in the order they were measured.
    pub measurements: Vec<Measurement>,
    /// What was seen besides pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observations: Vec<Observation>,
    /// The same bytes, reaching children by each way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
}

/// The JSON Schema of [`Report`], as `refcow schema` prints it.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_a_report_or_an_error(text in "[\\[\\]{}\":,a-z_0-9 ]{0,200}") {
            let _ = serde_json::from_str::<Report>(&text);
        }
    }
}
