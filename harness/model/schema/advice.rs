//! Remedies, and what each of them gave.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Measurement;
use super::tree_bytes::{SavedOfTree, TreeBytes};

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
    /// What the parent did after it had built the data and before any remedy, as `--prepare` asked for. Absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<String>,
    /// What came of it, in sentences.
    pub finding: String,
    /// Bytes that a child copied of the data as it is: the one with the most, of all regions.
    pub copied_bytes: u64,
    /// What saves no more than so many bytes does not help: another heap alone moves as many.
    pub noise_bytes: u64,
    /// Resident memory of the parent right before the first fork, with the data as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_bytes: Option<u64>,
    /// Memory of all processes with the data as it is. Absent in documents of earlier versions, which ranked remedies by what
    /// the child with the most copied alone, and where the kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeBytes>,
    /// What saves no more of that than so many bytes does not help: twice what the data as it is took more or less when it was
    /// measured once more, if that is more than another heap moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree_noise_bytes: Option<u64>,
    /// How long the visit took of the data as it is, each time in a new child that nobody looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub visit_seconds: Vec<f64>,
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
    /// What the parent had at most while it did it. Absent where the kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare_peak_bytes: Option<u64>,
    /// Resident memory of the parent right before the first fork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_bytes: Option<u64>,
    /// Memory of all processes. Absent where that of the data as it is, is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeBytes>,
    /// Bytes that all workers copied and made more than with the data as it is, at the end of their visits. Absent where they did
    /// not, or that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers_more_bytes: Option<u64>,
    /// How long the visit took, each time in a new child that nobody looked at. Empty where it does not help.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub visit_seconds: Vec<f64>,
    /// By what more the parent grows, for each fork, if it goes on forking, and unfreezes, collects and freezes its objects in
    /// between while an earlier child lives. Absent where it is no remedy that freezes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refreeze_bytes: Option<u64>,
    /// What other objects took the place of, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<String>,
    /// What stayed as it is, and why, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
    /// The code that was run, to be pasted below the code that builds the data: its lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub code: Vec<String>,
    /// What was compared of the visit with other objects in the data's place. Absent where they are the same objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// What a second time gave, if it was the best after the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<SecondTrial>,
}

/// Memory of all processes, measured once more, one right after the other. What is not saved this time, too, does not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondTrial {
    /// With the data as it is. Of a remedy that only calls something, its code stands there and is not called.
    pub as_it_is: TreeBytes,
    /// With the remedy.
    pub tree: TreeBytes,
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
    /// As [`Tried::tree`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeBytes>,
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

    /// What `prepare` is of the measurement with this remedy; with none, of the data as it is.
    pub fn prepared(&self, remedy: Option<&str>) -> Option<String> {
        match remedy {
            Some(remedy) => Self::label(self.prepare.as_deref(), remedy),
            None => self.prepare.clone(),
        }
    }

    /// The same with a remedy behind this preparation.
    pub fn label(prepare: Option<&str>, remedy: &str) -> Option<String> {
        Some(match prepare {
            Some(first) => format!("{first}, {remedy}"),
            None => remedy.to_owned(),
        })
    }

    /// Its measurement with this remedy; with none, that of the data as it is.
    pub fn measurement<'a>(
        &self,
        all: &'a [Measurement],
        remedy: Option<&str>,
    ) -> Option<&'a Measurement> {
        let prepared = self.prepared(remedy);
        all.iter()
            .find(|one| self.is_of(one) && one.prepare == prepared)
    }

    /// What a remedy saves of the memory of all processes, if that was measured.
    pub fn saved_of_tree(&self, tried: &Tried) -> Option<SavedOfTree> {
        Some(self.saved_between(self.tree?, tried.tree?))
    }

    /// What it saved the second time, if there was one.
    pub fn saved_again(&self, tried: &Tried) -> Option<SavedOfTree> {
        let second = tried.second?;
        Some(self.saved_between(second.as_it_is, second.tree))
    }

    /// A peak is known less well than the end: where it says little else, it says the same.
    fn saved_between(&self, as_it_is: TreeBytes, tree: TreeBytes) -> SavedOfTree {
        let saved = as_it_is.saved_by(tree);
        let is_noise = saved.peak.abs_diff(saved.end) <= self.peak_noise();
        SavedOfTree {
            peak: if is_noise { saved.end } else { saved.peak },
            ..saved
        }
    }

    /// How far a peak may lie apart for no reason: a twentieth of it, or as far as the end may, if that is more.
    pub fn peak_noise(&self) -> u64 {
        let peak = self.tree.map_or(0, |tree| tree.peak);
        self.tree_noise_bytes.unwrap_or(0).max(peak / 20)
    }

    /// Whether a remedy helps: each time it saves more than noise at the end or at the peak, and all processes together do not take
    /// more by it at the other, but for noise or a tenth of what is saved. Where each worker takes more by it, it must still help with
    /// twice as many of them.
    pub fn helps(&self, tried: &Tried) -> bool {
        let noise = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        match (self.saved_of_tree(tried), self.tree_noise_bytes) {
            (Some(saved), Some(bytes)) => {
                let noise = noise(bytes);
                let all = std::iter::once(saved).chain(self.saved_again(tried));
                all.into_iter().all(|saved| {
                    let most = saved.end.max(saved.peak);
                    most > noise.max(self.more_of_workers(tried))
                        && saved.end.min(saved.peak) >= -noise.max(most / 10)
                })
            }
            _ => tried
                .saved_bytes
                .is_some_and(|saved| saved > noise(self.noise_bytes)),
        }
    }

    /// What all workers take more with a remedy, if that is more than noise.
    pub fn more_of_workers(&self, tried: &Tried) -> i64 {
        let more = tried.workers_more_bytes.unwrap_or(0);
        match more > self.tree_noise_bytes.unwrap_or(0) {
            true => i64::try_from(more).unwrap_or(i64::MAX),
            false => 0,
        }
    }

    /// The remedy that saves most, if that is more than noise.
    pub fn best(&self) -> Option<&Tried> {
        self.remedies.first().filter(|first| self.helps(first))
    }
}
