//! The figures of a child that has been looked at.

use super::looks::VisitedChild;
use crate::experiment::causes::{self, Attributed, RecordedVisit};
use crate::experiment::lines::LineLog;
use crate::experiment::new_pages::NewPages;
use crate::model::{
    Child, CrossChecks, Fate, Made, OnTheWay, PageMap, Peak, Region, UssGrowth, Written,
};
use crate::objects::ObjectMap;
use crate::observe::{PageSet, PeakSeen, Regions, page_size};

impl VisitedChild {
    /// The figures of this child.
    pub(super) fn count(&self, objects: Option<&ObjectMap>) -> Child {
        let identical = self.identical.as_ref();
        let recorded = self.recorded.as_ref().zip(objects);
        let Attributed {
            causes,
            by_page,
            written,
        } = match recorded {
            Some((recorded, objects)) => {
                let regions = self.ready.regions.iter();
                causes::attribute(regions, &self.unshared, identical, recorded, objects)
            }
            None => Attributed::default(),
        };
        let on_the_way = self.ready.fork.on_the_way();
        let fate = |page| match self.unshared.contains(page) {
            false if on_the_way.contains(page) => Fate::OnTheWay,
            false => Fate::Shared,
            true => Fate::Copied {
                cause: by_page.get(&page).copied(),
                identical: identical.map(|identical| identical.contains(page)),
            },
        };
        let regions: Vec<_> = self
            .ready
            .regions
            .iter()
            .filter(|(_, pages)| !pages.is_empty())
            .map(|(name, pages)| Region {
                name,
                pages: pages.len(),
                unshared: pages.intersection_len(&self.unshared),
                identical: identical.map(|identical| pages.intersection_len(identical)),
                causes: causes.get(&name).copied(),
                map: name.is_data().then(|| PageMap::of(pages.iter().map(fate))),
            })
            .collect();
        let (before, after) = (&self.ready.before.counters, &self.after.counters);
        let minor_faults = after.minor_faults - before.minor_faults;
        let unshared = self.unshared.len();
        let growth = &self.growth;
        let new = growth.new.len();
        let peak = self.seen.map(|PeakSeen { most, looks }| Peak {
            bytes: most.max(unshared + new) * page_size(),
            // With that at the end.
            looks: looks + 1,
            copied_pages: self.copied_at_any_time,
        });
        let uss = before.uss_bytes.zip(after.uss_bytes);
        let uss_growth = uss.map(|(before, after)| {
            UssGrowth::new(
                difference(after / page_size(), before / page_size()),
                unshared,
                new,
                growth.others,
                difference(self.after.own_of_files, self.ready.before.own_of_files),
                growth.given_back,
            )
        });
        Child {
            visit_seconds: self.seconds,
            minor_faults,
            uss_bytes_before: before.uss_bytes,
            uss_bytes_after: after.uss_bytes,
            pages_copied_by_fork: self.ready.fork.copied_by_fork,
            new_pages: Some(new),
            file_pages: Some(growth.of_files),
            bytes: None,
            peak,
            resident_peak_growth_bytes: self.resident_peak_growth,
            made: self.made.groups(),
            imported: self.imported.clone(),
            processes: None,
            copied_on_the_way: self
                .ready
                .regions
                .iter()
                .map(|(region, pages)| OnTheWay {
                    region,
                    pages: pages.intersection_len(on_the_way),
                })
                .filter(|of_region| of_region.pages > 0)
                .collect(),
            cross_checks: CrossChecks {
                faults_minus_unshared: difference(minor_faults, unshared),
                uss_pages_minus_unshared: before.uss_bytes.zip(after.uss_bytes).map(
                    |(before, after)| {
                        difference(after / page_size(), before / page_size() + unshared)
                    },
                ),
                uss_growth,
            },
            regions,
            written,
            lost_faults: self.recorded.as_ref().map_or(0, |recorded| recorded.lost),
        }
    }
}

fn difference(one: u64, other: u64) -> i64 {
    i64::try_from(i128::from(one) - i128::from(other)).expect("counts of pages are small")
}

/// All that is known page by page of a child whose first writes were recorded.
#[derive(Debug)]
pub struct Details {
    /// Its process, which has ended.
    pub pid: i32,
    pub(super) regions: Regions,
    pub(super) unshared: PageSet,
    pub(super) identical: Option<PageSet>,
    /// The first writes.
    pub recorded: RecordedVisit,
    pub(super) made: NewPages,
}

impl Details {
    /// Takes over the lines of another child that made the same visit, of which it is known which
    /// line ran when.
    pub fn take_lines(&mut self, other: &Self, log: &LineLog, objects: &ObjectMap) {
        self.recorded
            .take_lines(&other.recorded, other.pid, log, objects);
        self.made.take_lines(&other.made, other.pid, log);
    }

    /// The new pages in groups, again.
    pub fn made(&self) -> Vec<Made> {
        self.made.groups()
    }

    /// The copied pages in groups, again: when more is known of their first writes than when they
    /// were counted.
    pub fn written(&self, objects: &ObjectMap) -> Vec<Written> {
        let Self {
            regions,
            unshared,
            identical,
            recorded,
            ..
        } = self;
        causes::attribute(
            regions.iter(),
            unshared,
            identical.as_ref(),
            recorded,
            objects,
        )
        .written
    }
}
