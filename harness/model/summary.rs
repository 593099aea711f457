//! What a measurement comes to: the figures that tables and sentences show. Every statistic is made here.

use std::ops::RangeInclusive;

use super::{Child, Measurement, RegionName};

/// A figure over all children: the least and the most.
pub type Spread<T> = RangeInclusive<T>;

/// One region over all children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionSummary {
    /// Which.
    pub name: RegionName,
    /// Shared pages when the visit began.
    pub pages: Spread<u64>,
    /// Pages that the visit copied.
    pub unshared: Spread<u64>,
}

/// One measurement over all its children.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The regions that have pages.
    pub regions: Vec<RegionSummary>,
    /// Copies equal to their originals, of all regions.
    pub identical: Option<Spread<u64>>,
    /// Bytes that one child copied, of all regions.
    pub copied_bytes: Spread<u64>,
    /// Bytes that all children copied together.
    pub copied_bytes_all: u64,
    /// Bytes of the dataset: the pages of every region but the rest.
    pub dataset_bytes: u64,
    /// The part of the dataset's pages that one child copied, from 0 to 1; `None` without a dataset.
    pub copied_share: Option<Spread<f64>>,
    /// Minor faults less copies.
    pub faults_minus_unshared: Spread<i64>,
    /// Growth of the USS in pages less copies.
    pub uss_pages_minus_unshared: Option<Spread<i64>>,
    /// How long the visit took.
    pub seconds: Spread<f64>,
}

impl Measurement {
    /// Adds the children up. `None` for a measurement without children, which refcow does not make but a file may hold.
    pub fn summary(&self, page_size_bytes: u64) -> Option<Summary> {
        let bytes = |pages: u64| pages * page_size_bytes;
        let per_child = |figure: fn(&Child) -> u64| spread(self.children.iter().map(figure));
        let copied = per_child(|child| child.totals().unshared)?;
        let regions = RegionName::ALL.into_iter().filter_map(|name| {
            let of = |figure: fn(&super::Region) -> u64| {
                spread(
                    self.children
                        .iter()
                        .map(|child| child.region(name).map_or(0, figure)),
                )
            };
            let pages = of(|region| region.pages)?;
            (*pages.end() > 0).then_some(RegionSummary {
                name,
                pages,
                unshared: of(|region| region.unshared)?,
            })
        });
        let identical: Option<Vec<_>> = self
            .children
            .iter()
            .map(|child| child.totals().identical)
            .collect();
        let checks: Vec<_> = self
            .children
            .iter()
            .map(|child| child.cross_checks)
            .collect();
        let uss: Option<Vec<_>> = checks
            .iter()
            .map(|checks| checks.uss_pages_minus_unshared)
            .collect();
        let shares = self.children.iter().filter_map(|child| {
            let dataset = child.dataset();
            (dataset.pages > 0).then(|| dataset.unshared as f64 / dataset.pages as f64)
        });
        Some(Summary {
            regions: regions.collect(),
            identical: identical.and_then(|identical| spread(identical.into_iter())),
            copied_bytes: bytes(*copied.start())..=bytes(*copied.end()),
            copied_bytes_all: bytes(
                self.children
                    .iter()
                    .map(|child| child.totals().unshared)
                    .sum(),
            ),
            dataset_bytes: bytes(*per_child(|child| child.dataset().pages)?.end()),
            copied_share: spread(shares),
            faults_minus_unshared: spread(
                checks.iter().map(|checks| checks.faults_minus_unshared),
            )?,
            uss_pages_minus_unshared: uss.and_then(|uss| spread(uss.into_iter())),
            seconds: spread(self.children.iter().map(|child| child.visit_seconds))?,
        })
    }
}

/// From the least to the most; `None` of nothing.
pub(super) fn spread<T: PartialOrd + Copy>(
    mut figures: impl Iterator<Item = T>,
) -> Option<Spread<T>> {
    let first = figures.next()?;
    let (least, most) = figures.fold((first, first), |(least, most), figure| {
        (
            if figure < least { figure } else { least },
            if figure > most { figure } else { most },
        )
    });
    Some(least..=most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_runs_from_the_least_to_the_most() {
        assert_eq!(spread([3, 1, 2].into_iter()), Some(1..=3));
        assert_eq!(spread([0.5].into_iter()), Some(0.5..=0.5));
        assert_eq!(spread(std::iter::empty::<u64>()), None);
    }
}
