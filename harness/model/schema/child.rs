//! What became of one child.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cause::Written;
use super::counted::{OnTheWay, Region, Totals};
use super::made::Made;
use super::processes::Processes;
use super::region::RegionName;

/// One forked child that visited the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(test, derive(Default))]
#[serde(deny_unknown_fields)]
pub struct Child {
    /// Time between the child's entry into the visit and its return, by the child's own monotonic clock.
    pub visit_seconds: f64,
    /// Minor page faults of the child between the two snapshots (`/proc/PID/stat`, field 10).
    pub minor_faults: u64,
    /// Unique set size (`Private_Clean` + `Private_Dirty`) before the visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uss_bytes_before: Option<u64>,
    /// Unique set size after the visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uss_bytes_after: Option<u64>,
    /// Pages that were shared at the fork and that the fork's own bookkeeping, in parent or child, had already copied
    /// when the visit began. They belong to no region and to no visit.
    pub pages_copied_by_fork: u64,
    /// Anonymous pages that the child alone has after the visit, and that were in neither process before: what it has filled
    /// anew. Not the growth of the USS, in which pages of files count that no other process happens to have mapped.
    /// Absent in documents of earlier versions of refcow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_pages: Option<u64>,
    /// Pages of files that the child has mapped in during the visit, whether others have them, too, or not. Shared memory is a
    /// file in this sense. Absent in documents of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_pages: Option<u64>,
    /// What the visit cost it in bytes: the pages above, and those of all regions. Absent in documents of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<VisitBytes>,
    /// What it had at most during the visit. Absent in documents of earlier versions, and where it could not be looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak: Option<Peak>,
    /// By how much more resident memory it had at most during the visit than when it began, in bytes (`VmHWM`): new memory and
    /// pages of files, not copies. Absent where nobody asked for it, where the kernel does not tell, and in documents of earlier
    /// versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident_peak_growth_bytes: Option<u64>,
    /// The new pages again, by who filled them, most pages first. Absent where faults were not recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<Made>,
    /// Modules that the visit imported, as `sys.modules` names them, in that order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imported: Vec<String>,
    /// Processes that the visit started by `fork`. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<Processes>,
    /// The pages of `pages_copied_by_fork` by region, as far as they are more than the fork's own: of a collection, say, that
    /// fell due between the fork and the visit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copied_on_the_way: Vec<OnTheWay>,
    /// Disjoint regions, together all pages that could be shared at the fork and still were when the visit began.
    pub regions: Vec<Region>,
    /// The unshared pages again, by what was first written on them, most pages first. Absent where causes were not
    /// recorded, or nothing was unshared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub written: Vec<Written>,
    /// Page faults whose records the kernel had no room for. Their pages are `unattributed`. Absent: none.
    #[serde(default, skip_serializing_if = "is_none_of_them")]
    pub lost_faults: u64,
    /// What two cruder instruments say about the same visit.
    pub cross_checks: CrossChecks,
}

/// What a visit cost one child, in bytes, at the end of the visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VisitBytes {
    /// Copies of pages that it had shared with the parent, of all regions.
    pub copied: u64,
    /// Anonymous pages that it has filled anew. Absent where they were not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<u64>,
    /// Pages of files that it has mapped in, whether others have them, too, or not. Absent where they were not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<u64>,
    /// The three together. Absent where one of them is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<u64>,
    /// By how much its unique set size grew, as the kernel has it. Pages of files that others have mapped, too, are not in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uss_growth: Option<i64>,
}

/// What a child had at most during its visit, of pages that were neither shared with the parent nor its own before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Peak {
    /// Copied and new bytes together, at the moment at which it was seen to have most. It may have had more between two looks.
    pub bytes: u64,
    /// How often it was looked.
    pub looks: u64,
    /// Pages that were copied at any time, whether the child still had the copy at the end or had given it back: those of which
    /// there was a fault, and no page of the parent's is there any more. At least so many where records of faults were lost
    /// (`lost_faults`). Absent where faults were not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_pages: Option<u64>,
}

/// Differences between what the kernel's counters say and what was counted page by page.
///
/// They need not be 0: a fault may also map in a page without copying it, or give the child a page that is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(test, derive(Default))]
#[serde(deny_unknown_fields)]
pub struct CrossChecks {
    /// Minor faults less unshared pages.
    pub faults_minus_unshared: i64,
    /// Growth of the USS in pages less unshared pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uss_pages_minus_unshared: Option<i64>,
    /// What the USS grew by, and what that is made of. Absent in documents of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uss_growth: Option<UssGrowth>,
}

/// What the USS of a child grew by during its visit, in pages, against what was counted page by page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UssGrowth {
    /// The growth, as the kernel's own sums have it.
    pub pages: i64,
    /// The unshared pages of all regions.
    pub copied: u64,
    /// `new_pages`.
    pub new: u64,
    /// Pages that the child had in common with others but not with its parent, or in swap, and that are its alone now.
    pub others: u64,
    /// Pages of files that no other process has mapped, less those of before. Other processes may have mapped some of them in, or
    /// let go of them, meanwhile.
    pub own_of_files: i64,
    /// Anonymous pages that were the child's alone before the visit, and that it has given back.
    pub given_back: u64,
    /// The growth less all of these: what is not explained.
    pub left: i64,
}

impl UssGrowth {
    /// From the terms; what is left follows.
    pub fn new(
        pages: i64,
        copied: u64,
        new: u64,
        others: u64,
        own_of_files: i64,
        given_back: u64,
    ) -> Self {
        // Terms are counts of pages of an address space: their sum is far from the end of the numbers.
        let explained =
            (copied + new + others).cast_signed() + own_of_files - given_back.cast_signed();
        Self {
            pages,
            copied,
            new,
            others,
            own_of_files,
            given_back,
            left: pages - explained,
        }
    }
}

impl Child {
    /// What it had at most of copies and new memory: what was seen, or its copies at the end with as much new memory as it ever
    /// had, if that is more.
    pub(crate) fn most_bytes(&self, page_size_bytes: u64) -> Option<u64> {
        let bytes = self.visit_bytes(page_size_bytes);
        let resident = self.resident_peak_growth_bytes.map(|growth| {
            let new = growth.saturating_sub(bytes.file.unwrap_or(0));
            bytes.copied.saturating_add(new)
        });
        let seen = self.peak.map(|peak| peak.bytes);
        seen.into_iter().chain(resident).max()
    }

    /// All regions together.
    pub fn totals(&self) -> Totals {
        self.sum(|_| true)
    }

    /// The dataset alone: the regions that are data.
    pub fn dataset(&self) -> Totals {
        self.sum(RegionName::is_data)
    }

    /// The process around the dataset: all other regions.
    pub fn around(&self) -> Totals {
        self.sum(|name| !name.is_data())
    }

    /// What the visit cost it, from what was counted.
    pub fn visit_bytes(&self, page_size_bytes: u64) -> VisitBytes {
        let bytes = |pages: u64| pages.saturating_mul(page_size_bytes);
        let copied = self.totals().unshared;
        let all = self.new_pages.zip(self.file_pages);
        let growth = |(before, after): (u64, u64)| {
            let difference = i128::from(after) - i128::from(before);
            i64::try_from(difference).ok()
        };
        VisitBytes {
            copied: bytes(copied),
            new: self.new_pages.map(bytes),
            file: self.file_pages.map(bytes),
            sum: all.map(|(new, file)| bytes(copied.saturating_add(new).saturating_add(file))),
            uss_growth: self
                .uss_bytes_before
                .zip(self.uss_bytes_after)
                .and_then(growth),
        }
    }

    /// One region, if the dataset has pages in it.
    pub fn region(&self, name: RegionName) -> Option<&Region> {
        self.regions.iter().find(|region| region.name == name)
    }

    fn sum(&self, wanted: impl Fn(RegionName) -> bool) -> Totals {
        let mut totals = Totals {
            identical: Some(0),
            ..Totals::default()
        };
        for region in self.regions.iter().filter(|region| wanted(region.name)) {
            totals += region;
        }
        totals
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_none_of_them(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: RegionName, unshared: u64, identical: Option<u64>) -> Region {
        Region {
            name,
            pages: 10,
            unshared,
            identical,
            causes: None,
            map: None,
        }
    }

    #[test]
    fn an_unknown_part_makes_the_sum_unknown_not_smaller() {
        let child = Child {
            regions: vec![
                region(RegionName::Header, 3, Some(2)),
                region(RegionName::Rest, 4, None),
            ],
            ..Child::default()
        };
        assert_eq!(child.totals().unshared, 7);
        assert_eq!(child.totals().identical, None);
        assert_eq!(child.dataset().identical, Some(2));
    }
}
