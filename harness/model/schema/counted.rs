//! Pages of a region, counted.

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cause::Causes;
use super::pages::PageMap;
use super::region::RegionName;

/// Pages of one region, in one child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Which part.
    pub name: RegionName,
    /// Pages that parent and child shared when the visit began.
    pub pages: u64,
    /// Those of which the child had a copy of its own when the visit had ended.
    pub unshared: u64,
    /// Those copies whose bytes equal the parent's. Absent when the memory could not be read (a warning says why).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identical: Option<u64>,
    /// The unshared pages by the cause of their first write. Absent when that was not recorded (a warning says why, if
    /// it was to be).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causes: Option<Causes>,
    /// Its pages one by one. Absent of regions that are no part of the dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<PageMap>,
}

/// Regions added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Shared pages when the visit began.
    pub pages: u64,
    /// Pages copied by the visit.
    pub unshared: u64,
    /// Copies equal to their original; `None` when that is not known of every region.
    pub identical: Option<u64>,
}

impl AddAssign<&Region> for Totals {
    fn add_assign(&mut self, region: &Region) {
        self.pages += region.pages;
        self.unshared += region.unshared;
        self.identical = self.identical.zip(region.identical).map(|(a, b)| a + b);
    }
}

/// Copied pages of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnTheWay {
    /// Which.
    pub region: RegionName,
    /// How many.
    pub pages: u64,
}
