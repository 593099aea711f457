//! The document as a whole: runs, and the files that they are of.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    Advice, Alternative, Calibration, Claim, Environment, Fact, Measurement, Observation, OwnData,
    Python, Warning, printable,
};

/// The version of the JSON document. It grows by one whenever a field changes its meaning or goes away.
///
/// 1 had one interpreter, named in every entry; 2 has a list of runs; in 3 the cause of a write to memory out of line is
/// `buffer`, where it was `payload`, and what was `rest` is divided.
pub const SCHEMA_VERSION: u32 = 3;

/// What one or several interpreters gave, on one or several machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The version of this document's shape: [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The words behind `refcow` that measure all this again; where to write it is not among them. Empty of documents that were
    /// merged, and of older ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The files of the user's that the command names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// Whether the run was ended (Ctrl-C) before all was measured that the command asks for.
    #[serde(default, skip_serializing_if = "is_false")]
    pub interrupted: bool,
    /// Interpreters that were asked for and of which there is no run, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// One entry an interpreter and machine; the versions of one command in ascending order.
    pub runs: Vec<Run>,
}

/// A file that a run read: a dataset of the user's own, or claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// As the command names it.
    pub path: String,
    /// Of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// The modules in its folder that it imports, and those that they do; of a package all that Python could load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
    /// Why those are not known. Absent: they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imports_unknown: Option<String>,
}

/// A module that a file imports from beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// From the folder of the file that imports it.
    pub path: String,
    /// Of its bytes, in hexadecimal digits.
    pub sha256: String,
}

impl Source {
    /// A file by the name that a command has for it.
    pub fn of(path: &Path, bytes: &[u8]) -> Self {
        Self {
            path: printable(&path.to_string_lossy()),
            sha256: sha256(bytes),
            ..Self::default()
        }
    }
}

/// The SHA-256 of these bytes, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// What one interpreter gave on one machine: what it ran on, how the instrument proved itself, and what it measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// When it began, by the machine's clock, in UTC: `2026-11-28T16:22:01Z`. Absent in documents of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<String>,
    /// How long it took, all that it measured included. Absent in documents of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The interpreter.
    pub python: Python,
    /// The machine and the programs that the figures depend on.
    pub environment: Environment,
    /// The instrument's own check, made before anything else in this run.
    pub calibration: Calibration,
    /// What limits the figures, each with its cause and its remedy.
    pub warnings: Vec<Warning>,
    /// Statements of the article, each with its verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// What is known of versions of Python, each with what came of it here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
    /// One entry a fixture and visit, in the order they were measured.
    pub measurements: Vec<Measurement>,
    /// What was seen besides pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observations: Vec<Observation>,
    /// The same bytes, reaching children by each way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// The user's own data, reaching workers by each way. Absent in documents of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own_data: Vec<OwnData>,
    /// What could be done about what is copied, one entry a fixture and visit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Advice>,
}

impl Report {
    /// A document of one run.
    pub fn of(run: Run) -> Self {
        Self::of_all(vec![run], Vec::new())
    }

    /// A document of several.
    pub fn of_all(runs: Vec<Run>, warnings: Vec<Warning>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            command: Vec::new(),
            sources: Vec::new(),
            interrupted: false,
            warnings,
            runs,
        }
    }
}

impl Run {
    /// `FIXTURE/VISIT`, `WAY/START_METHOD`, …: everything that is in it, by the name that tells it from all else in it.
    pub fn contents(&self) -> impl Iterator<Item = String> {
        let name = |measurement: &Measurement| {
            let made_of = measurement.made_of(u64::to_string, |bytes| format!("{bytes} bytes"));
            format!(
                "{}/{} ({}{}{})",
                measurement.data(),
                measurement.visit,
                made_of,
                if made_of.is_empty() { "" } else { ", " },
                measurement.sharing
            )
        };
        let measurements = self.measurements.iter().map(name);
        let advice = self.advice.iter().map(move |advice| {
            let as_it_is = advice.measurement(&self.measurements, None);
            let of = as_it_is.map_or_else(|| format!("{}/{}", advice.fixture, advice.visit), name);
            format!("advice on {of}")
        });
        let observations = self.observations.iter();
        let alternatives = self.alternatives.iter();
        measurements
            .chain(observations.map(|observation| format!("observed/{}", observation.name)))
            .chain(alternatives.map(|alternative| {
                let name = Alternative::name(&alternative.way, alternative.start_method);
                format!("alternatives/{name} ({} bytes)", alternative.size_bytes)
            }))
            .chain(
                self.own_data
                    .iter()
                    .map(|data| format!("ways to share {}", data.name())),
            )
            .chain(
                self.claims
                    .iter()
                    .map(|claim| format!("claim {}", claim.id)),
            )
            .chain(self.facts.iter().map(|fact| format!("fact {}", fact.id)))
            .chain(advice)
    }
}
