use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Measurement;

/// What could be done about the memory that a visit copies: each remedy measured with the same data and the same visit.
///
/// The figures of pages are measurements of the run: that without `prepare`, and one for each remedy that could be
/// measured, which has the remedy's name there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// As in the measurements.
    pub fixture: String,
    /// As in the measurements.
    pub visit: String,
    /// As in the measurements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// As in the measurements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_bytes: Option<u64>,
    /// As in the measurements.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Value>,
    /// As in the measurements.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// What came of it, in one sentence.
    pub finding: String,
    /// Bytes that a child copied of the data as it is: the one with the most, of all regions.
    pub copied_bytes: u64,
    /// What saves no more than so many bytes does not help: another heap alone moves as many.
    pub noise_bytes: u64,
    /// Resident memory of the parent right before the first fork, with the data as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_bytes: Option<u64>,
    /// Those that were measured, by what they save; then those that were not. Empty where too little is copied for any to
    /// help.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<Tried>,
    /// The first of them a second time, in new processes, if it helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_again: Option<Box<MeasuredAgain>>,
}

/// A remedy, with what it gave or why it gave nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// Its name: `prepare` of its measurement.
    pub remedy: String,
    /// Bytes that a child copied less than of the data as it is, each time the child with the most. Negative: it copied
    /// more. Absent: it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_bytes: Option<i64>,
    /// Why it was not measured. Absent: it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub does_not_apply: Option<String>,
    /// How long the parent took to do it, once, before the first fork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare_seconds: Option<f64>,
    /// Resident memory of the parent right before the first fork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_bytes: Option<u64>,
    /// What was compared of the visit with other objects in the data's place. Absent where they are the same objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
}

/// What says that a visit does the same with other objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compared {
    /// It returned the same.
    Returned,
    /// Only that it raised nothing: it returns nothing.
    NothingReturned,
}

/// A second measurement of a remedy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeasuredAgain {
    /// As [`Tried::saved_bytes`].
    pub saved_bytes: i64,
    /// All of it.
    pub measurement: Measurement,
}

impl Advice {
    /// Whether a measurement is of this data and this visit.
    pub(crate) fn is_of(&self, measurement: &Measurement) -> bool {
        let Self {
            fixture,
            visit,
            count,
            item_bytes,
            parameters,
            arguments,
            ..
        } = self;
        (fixture, visit, count, item_bytes)
            == (
                &measurement.fixture,
                &measurement.visit,
                &measurement.count,
                &measurement.item_bytes,
            )
            && (parameters, arguments) == (&measurement.parameters, &measurement.arguments)
    }

    /// Its measurement with this remedy; with none, that of the data as it is.
    pub fn measurement<'a>(
        &self,
        all: &'a [Measurement],
        remedy: Option<&str>,
    ) -> Option<&'a Measurement> {
        all.iter()
            .find(|one| self.is_of(one) && one.prepare.as_deref() == remedy)
    }

    /// The remedy that saves most, if that is more than noise.
    pub fn best(&self) -> Option<&Tried> {
        let first = self.remedies.first()?;
        (first.saved_bytes? > i64::try_from(self.noise_bytes).ok()?).then_some(first)
    }
}
