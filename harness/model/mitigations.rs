//! What can be done about data that stays a list: data of `mitigations.toml`.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::Measurement;
use crate::embedded::embedded;

/// All of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mitigations {
    /// What children do with each dataset.
    pub visits: Vec<String>,
    /// In the order of the table.
    #[serde(rename = "mitigation")]
    pub all: Vec<Mitigation>,
}

/// One dataset, with or without something done about it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mitigation {
    /// In words; what is done about the dataset above stands indented.
    pub title: String,
    /// What builds the data.
    pub fixture: String,
    /// What the parent does before it forks.
    pub prepare: Option<String>,
    /// Bytes that one element stands for.
    element_bytes: u64,
    /// Bytes of content in each element, for the fixture.
    pub item_bytes: Option<u64>,
}

/// Those of the data.
pub fn mitigations() -> &'static Mitigations {
    static ALL: LazyLock<Mitigations> =
        LazyLock::new(|| embedded(include_str!("mitigations.toml")));
    &ALL
}

impl Mitigation {
    /// How many elements stand for so many bytes.
    pub fn count(&self, size_bytes: u64) -> u64 {
        (size_bytes / self.element_bytes).max(1)
    }

    /// Whether this was measured, with data of so many bytes.
    pub fn is(&self, measurement: &Measurement, size_bytes: u64) -> bool {
        self.fixture == measurement.fixture
            && self.prepare == measurement.prepare
            && Some(self.count(size_bytes)) == measurement.count
            && self
                .item_bytes
                .is_none_or(|bytes| Some(bytes) == measurement.item_bytes)
    }
}
