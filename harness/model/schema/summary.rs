//! What a measurement comes to: the figures that tables and sentences show. Every statistic is made here.

use super::noise::SMALLEST_WHOLE_BYTES;
use super::spread::{Spread, spread};
use std::borrow::Cow;
use std::collections::HashMap;

use super::{By, Cause, Child, Measurement, Region, RegionName, VisitBytes};

/// One region over all children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionSummary {
    /// Which.
    pub name: RegionName,
    /// Shared pages when the visit began.
    pub pages: Spread<u64>,
    /// Pages that the visit copied.
    pub unshared: Spread<u64>,
    /// Those without the ones that were copied for a neighbour.
    pub own: Spread<u64>,
    /// Those that were copied for a neighbour: at the edges.
    pub edge: Spread<u64>,
    /// Those of `own` of each cause that any has; `None` where causes are not known.
    pub causes: Option<Vec<(Cause, Spread<u64>)>>,
}

/// Pages that have something in common, over all children.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What, in the order of what was asked for; `None` of that which is not known of them.
    pub key: Vec<Option<String>>,
    /// How many.
    pub pages: Spread<u64>,
    /// The same in bytes.
    pub bytes: Spread<u64>,
    /// Which part of all pages of the kind, from 0 to 1.
    pub share: f64,
    /// The same, unless all of them together are too few for a part to say anything.
    pub told_share: Option<f64>,
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
    /// Anonymous pages that a child alone has besides its copies; `None` if that is not known of each, as all that follow.
    pub new_pages: Option<Spread<u64>>,
    /// The same in bytes.
    pub new_bytes: Option<Spread<u64>>,
    /// Pages of files that a child has mapped in, in bytes; `None` if that is not known of each.
    pub file_bytes: Option<Spread<u64>>,
    /// Copied, new and of files, together.
    pub sum_bytes: Option<Spread<u64>>,
    /// By how much the USS of a child grew.
    pub uss_growth_bytes: Option<Spread<i64>>,
    /// Copied and new bytes that a child had at most.
    pub peak_bytes: Option<Spread<u64>>,
    /// How long the visit took.
    pub seconds: Spread<f64>,
}

impl Measurement {
    /// Adds the children up. `None` for a measurement without children, which refcow does not make but a file may hold.
    pub fn summary(&self, page_size_bytes: u64) -> Option<Summary> {
        let bytes = |pages: u64| pages * page_size_bytes;
        let per_child = |figure: fn(&Child) -> u64| spread(self.children.iter().map(figure));
        let copied = per_child(|child| child.totals().unshared)?;
        let regions = RegionName::ALL
            .into_iter()
            .filter_map(|name| self.together(&[name]));
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
        let of_each = |figure: fn(&Child) -> Option<u64>| {
            let figures: Option<Vec<_>> = self.children.iter().map(figure).collect();
            spread(figures?.into_iter())
        };
        let new_pages = of_each(|child| child.new_pages);
        let shares = self.children.iter().filter_map(Child::copied_share);
        let costs: Vec<VisitBytes> = {
            let children = self.children.iter();
            children
                .map(|child| child.visit_bytes(page_size_bytes))
                .collect()
        };
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
            new_bytes: of_all(&costs, |one| one.new),
            file_bytes: of_all(&costs, |one| one.file),
            sum_bytes: of_all(&costs, |one| one.sum),
            uss_growth_bytes: of_all(&costs, |one| one.uss_growth),
            peak_bytes: of_each(|child| Some(child.peak?.bytes)),
            faults_minus_unshared: spread(
                checks.iter().map(|checks| checks.faults_minus_unshared),
            )?,
            uss_pages_minus_unshared: uss.and_then(|uss| spread(uss.into_iter())),
            new_pages,
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

    /// Several regions as one, over all children; `None` if the process has no pages in them.
    pub fn together(&self, names: &[RegionName]) -> Option<RegionSummary> {
        let sum = |child: &Child, figure: fn(&Region) -> u64| {
            let regions = names.iter().filter_map(|name| child.region(*name));
            regions.map(figure).fold(0, u64::saturating_add)
        };
        let of = |figure: fn(&Region) -> u64| {
            let children = self.children.iter();
            spread(children.map(|child| sum(child, figure)))
        };
        let pages = of(|region| region.pages)?;
        (*pages.end() > 0).then_some(RegionSummary {
            name: *names.last()?,
            pages,
            unshared: of(|region| region.unshared)?,
            own: self.without_edges(names)?,
            edge: self.at_edges(names)?,
            causes: self.causes(names),
        })
    }

    fn without_edges(&self, names: &[RegionName]) -> Option<Spread<u64>> {
        let own = |child: &Child| {
            let regions = names.iter().filter_map(|name| child.region(*name));
            let pages = regions.map(|region| child.own_unshared(region));
            pages.fold(0, u64::saturating_add)
        };
        spread(self.children.iter().map(own))
    }

    fn at_edges(&self, names: &[RegionName]) -> Option<Spread<u64>> {
        let at_edges = |child: &Child| {
            let edges = child.edges().into_iter();
            let pages = edges.filter(|edge| names.contains(&edge.region));
            pages.fold(0, |sum: u64, edge| sum.saturating_add(edge.pages))
        };
        spread(self.children.iter().map(at_edges))
    }

    /// The causes of the copies of regions.
    fn causes(&self, names: &[RegionName]) -> Option<Vec<(Cause, Spread<u64>)>> {
        let of_child = |child: &Child| {
            let mut causes = super::Causes::default();
            for region in names.iter().filter_map(|name| child.region(*name)) {
                causes += &child.own_causes(region)?;
            }
            Some(causes)
        };
        let of_children: Option<Vec<_>> = self.children.iter().map(of_child).collect();
        let of_children = of_children?;
        let all = Cause::ALL.into_iter().filter_map(|cause| {
            let pages = spread(of_children.iter().map(|causes| causes.of(cause)))?;
            (*pages.end() > 0).then_some((cause, pages))
        });
        Some(all.collect())
    }

    /// The copied pages of all regions by what they have in common, the most first. `None` where causes are not known.
    pub fn groups(&self, by: &[By], page_size_bytes: u64) -> Option<Vec<Group>> {
        if !self.has_causes() {
            return None;
        }
        let of_children = self.children.iter().map(|child| {
            let groups = child.written_by(by).into_iter();
            groups.map(|(key, pages, _)| (key, pages)).collect()
        });
        Some(grouped(of_children.collect(), page_size_bytes))
    }

    /// The new pages by what they have in common, the most first. `None` where there are some and nobody knows who made any,
    /// or where they are told apart by what only copies have.
    pub fn made_groups(&self, by: &[By], page_size_bytes: u64) -> Option<Vec<Group>> {
        let known = [By::Type, By::Function, By::Line];
        let unknown = self.children.iter().all(|child| child.made.is_empty())
            && self.children.iter().any(|child| child.new_pages != Some(0));
        if unknown || !by.iter().all(|by| known.contains(by)) {
            return None;
        }
        let of_children = self.children.iter().map(|child| {
            let made = child.made.iter();
            let made = made.map(|one| (by.iter().map(|by| one.key(*by)).collect(), one.pages));
            let mut groups: Vec<(GroupKey<'_>, u64)> = Vec::new();
            for (key, pages) in made {
                match groups.iter_mut().find(|group| group.0 == key) {
                    Some((_, sum)) => *sum = sum.saturating_add(pages),
                    None => groups.push((key, pages)),
                }
            }
            groups
        });
        Some(grouped(of_children.collect(), page_size_bytes))
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
    pub fn written_by(&self, by: &[By]) -> Vec<(GroupKey<'_>, u64, Option<u64>)> {
        let mut groups: Vec<(GroupKey<'_>, u64, Option<u64>)> = Vec::new();
        for written in &self.written {
            let key: GroupKey<'_> = by.iter().map(|by| written.key(*by)).collect();
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

/// What tells pages from others, in the order of what was asked for.
type GroupKey<'a> = Vec<Option<Cow<'a, str>>>;

/// The groups of all children together, the most first.
fn grouped(of_children: Vec<Vec<(GroupKey<'_>, u64)>>, page_size_bytes: u64) -> Vec<Group> {
    let sum = |pages: &mut dyn Iterator<Item = u64>| pages.fold(0, u64::saturating_add);
    let all = sum(&mut of_children.iter().flatten().map(|group| group.1));
    let of_each = of_children
        .iter()
        .map(|groups| sum(&mut groups.iter().map(|group| group.1)));
    let most = of_each.max().unwrap_or(0);
    let is_large = most.saturating_mul(page_size_bytes) >= SMALLEST_WHOLE_BYTES;
    let mut by_key: HashMap<&GroupKey<'_>, Vec<u64>> = HashMap::new();
    for (child, groups) in of_children.iter().enumerate() {
        for (key, pages) in groups {
            let of_key = by_key
                .entry(key)
                .or_insert_with(|| vec![0; of_children.len()]);
            of_key[child] = pages.saturating_add(of_key[child]);
        }
    }
    let group = |(key, pages): (&GroupKey<'_>, Vec<u64>)| {
        let share = sum(&mut pages.iter().copied()) as f64 / all as f64;
        let pages = spread(pages.into_iter())?;
        let bytes = |pages: &u64| pages.saturating_mul(page_size_bytes);
        Some(Group {
            key: key
                .iter()
                .map(|part| part.as_ref().map(|part| part.to_string()))
                .collect(),
            bytes: bytes(pages.start())..=bytes(pages.end()),
            pages,
            share,
            told_share: is_large.then_some(share),
        })
    };
    let mut groups: Vec<_> = by_key.into_iter().filter_map(group).collect();
    let order = |group: &Group| (*group.pages.end(), *group.pages.start());
    groups.sort_by(|one, other| {
        let names = || one.key.cmp(&other.key);
        order(other).cmp(&order(one)).then_with(names)
    });
    groups
}

/// A figure over all children, if it is known of each.
fn of_all<T: PartialOrd + Copy>(
    all: &[VisitBytes],
    figure: impl Fn(&VisitBytes) -> Option<T>,
) -> Option<Spread<T>> {
    let figures: Option<Vec<_>> = all.iter().map(figure).collect();
    spread(figures?.into_iter())
}
