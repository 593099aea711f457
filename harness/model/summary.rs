//! What a measurement comes to: the figures that tables and sentences show. Every statistic is made here.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{By, Cause, Child, Measurement, RegionName, Written};

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
    /// Those of each cause that any has; `None` where causes are not known.
    pub causes: Option<Vec<(Cause, Spread<u64>)>>,
}

/// Copied pages that have something in common, over all children.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What; `None` for those of which it is not known.
    pub key: Option<String>,
    /// How many.
    pub pages: Spread<u64>,
    /// Which part of all pages that the children copied, from 0 to 1.
    pub share: f64,
}

/// The type of an object, and the Python line that was running, as far as they are known.
pub type TypeAndLine = (Option<String>, Option<String>);

/// Who wrote to the copied pages of one region, in the child that copied most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The region.
    pub region: RegionName,
    /// Its copied pages.
    pub pages: u64,
    /// Those of each cause, the most first, as all that follow.
    pub causes: Vec<(Cause, u64)>,
    /// Those of each type, and of each Python line where lines are known. `None`: no known object, no line.
    pub objects: Vec<(TypeAndLine, u64)>,
    /// Those of each function. `None`: the program had no fault.
    pub functions: Vec<(Option<String>, u64)>,
    /// Those that equal their original.
    pub identical: Option<u64>,
}

/// One measurement over all its children.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The regions that have pages.
    pub regions: Vec<RegionSummary>,
    /// The process around the dataset: shared pages when the visit began, and those that the visit copied.
    pub around: (Spread<u64>, Spread<u64>),
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
    /// Anonymous pages that a child alone has besides its copies; `None` if that is not known of each.
    pub new_pages: Option<Spread<u64>>,
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
                causes: self.causes(name),
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
        let new: Option<Vec<_>> = self.children.iter().map(|child| child.new_pages).collect();
        let shares = self.children.iter().filter_map(Child::copied_share);
        Some(Summary {
            regions: regions.collect(),
            around: (
                per_child(|child| child.around().pages)?,
                per_child(|child| child.around().unshared)?,
            ),
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
            new_pages: new.and_then(|new| spread(new.into_iter())),
            seconds: spread(self.children.iter().map(|child| child.visit_seconds))?,
        })
    }
}

impl Measurement {
    /// Whether it is known who wrote first to the pages that were copied.
    pub fn has_causes(&self) -> bool {
        let mut regions = self.children.iter().flat_map(|child| &child.regions);
        regions.all(|region| region.causes.is_some())
    }

    /// The child that copied most of the dataset.
    pub fn most_copied(&self) -> Option<&Child> {
        let children = self.children.iter();
        children.max_by_key(|child| child.dataset().unshared)
    }

    /// The causes of a region's copies.
    fn causes(&self, name: RegionName) -> Option<Vec<(Cause, Spread<u64>)>> {
        let of_children: Option<Vec<_>> = self
            .children
            .iter()
            .map(|child| match child.region(name) {
                Some(region) => region.causes,
                None => Some(super::Causes::default()),
            })
            .collect();
        let of_children = of_children?;
        let all = Cause::ALL.into_iter().filter_map(|cause| {
            let pages = spread(of_children.iter().map(|causes| causes.of(cause)))?;
            (*pages.end() > 0).then_some((cause, pages))
        });
        Some(all.collect())
    }

    /// The copied pages of all regions by what they have in common, the most first. `None` where causes are not known.
    pub fn groups(&self, by: By) -> Option<Vec<Group>> {
        if !self.has_causes() {
            return None;
        }
        let children = self.children.iter();
        let of_children: Vec<_> = children.map(|child| child.written_by(by)).collect();
        let copied: u64 = of_children.iter().flatten().map(|group| group.1).sum();
        let mut keys: Vec<Option<&str>> = Vec::new();
        for (key, ..) in of_children.iter().flatten() {
            if !keys.contains(key) {
                keys.push(*key);
            }
        }
        let group = |key: Option<&str>| {
            let of = |groups: &Vec<(Option<&str>, u64, _)>| {
                let mut all = groups.iter();
                all.find(|group| group.0 == key).map_or(0, |group| group.1)
            };
            let all: u64 = of_children.iter().map(of).sum();
            Some(Group {
                key: key.map(str::to_owned),
                pages: spread(of_children.iter().map(of))?,
                share: all as f64 / copied as f64,
            })
        };
        let mut groups: Vec<_> = keys.into_iter().filter_map(group).collect();
        let order = |group: &Group| (*group.pages.end(), *group.pages.start());
        groups.sort_by(|one, other| {
            let names = || one.key.cmp(&other.key);
            order(other).cmp(&order(one)).then_with(names)
        });
        Some(groups)
    }

    /// Who wrote to the pages of the dataset that the child with the most copies has copied. Empty where causes are not
    /// known, or nothing was copied.
    pub fn why(&self) -> Vec<Why> {
        let Some(child) = self.most_copied() else {
            return Vec::new();
        };
        let regions = child.regions.iter().filter(|region| {
            region.name.is_data() && region.unshared > 0 && region.causes.is_some()
        });
        regions
            .map(|region| {
                let written = || {
                    let all = child.written.iter();
                    all.filter(|written| written.region == region.name)
                };
                Why {
                    region: region.name,
                    pages: region.unshared,
                    causes: ordered(written(), |one| one.cause),
                    objects: ordered(written(), |one| (one.of_type.clone(), one.line.clone())),
                    functions: ordered(written(), |one| one.function.clone()),
                    identical: region.identical,
                }
            })
            .collect()
    }
}

impl Child {
    /// The part of the dataset's pages that it copied, from 0 to 1; `None` without a dataset.
    pub fn copied_share(&self) -> Option<f64> {
        let dataset = self.dataset();
        (dataset.pages > 0).then(|| dataset.unshared as f64 / dataset.pages as f64)
    }

    /// The copied pages by what they have in common, the most first: what (`None` of those of which it is not known), how
    /// many, and those that equal their original.
    pub fn written_by(&self, by: By) -> Vec<(Option<&str>, u64, Option<u64>)> {
        let mut groups: Vec<(Option<&str>, u64, Option<u64>)> = Vec::new();
        for written in &self.written {
            let key = written.key(by);
            match groups.iter_mut().find(|group| group.0 == key) {
                Some((_, pages, identical)) => {
                    *pages += written.pages;
                    *identical = identical.zip(written.identical).map(|(a, b)| a + b);
                }
                None => groups.push((key, written.pages, written.identical)),
            }
        }
        groups.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        groups
    }
}

/// Pages of each key, the most first.
fn ordered<'a, Key: Ord>(
    written: impl Iterator<Item = &'a Written>,
    key: impl Fn(&Written) -> Key,
) -> Vec<(Key, u64)> {
    let mut sums = BTreeMap::new();
    for written in written {
        *sums.entry(key(written)).or_default() += written.pages;
    }
    let mut sums: Vec<(Key, u64)> = sums.into_iter().collect();
    // Those of as many pages stay in the order of their keys.
    sums.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
    sums
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
