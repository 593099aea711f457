//! What a visit cost a child, and why.

use std::collections::BTreeMap;

use super::noise::{is_noise, share_of};
use super::{
    By, Cause, Child, Followed, Made, Measurement, Region, RegionName, VisitBytes, Written,
};

/// What has a name, with its pages, the most first. `None`: it has none that is known.
pub type NamedPages = Vec<(Option<String>, u64)>;

/// Pages of one region that one cause copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CausedPages {
    /// The cause.
    pub cause: Cause,
    /// How many pages.
    pub pages: u64,
    /// By the type of the object.
    pub types: NamedPages,
    /// By the line of the user's own file, else by the innermost one.
    pub lines: NamedPages,
    /// By the function that wrote.
    pub functions: NamedPages,
}

/// Pages at the edge of a region that one child copied for a neighbour: another object there, or the allocator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The region.
    pub region: RegionName,
    /// How many pages.
    pub pages: u64,
    /// By the type of the neighbour.
    pub types: NamedPages,
}

/// The copied pages of one region, in one child, and who wrote to them. Those for a neighbour are not among them.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// The region.
    pub region: RegionName,
    /// Its copied pages.
    pub pages: u64,
    /// The same in bytes.
    pub bytes: u64,
    /// Which part of the region that is, if the region is large enough for a part to say anything.
    pub share: Option<f64>,
    /// Those of each cause, the most first. Empty: causes are not known.
    pub reasons: Vec<CausedPages>,
    /// Those of each type, and of each Python line where lines are known.
    pub objects: NamedPages,
    /// Those of each function.
    pub functions: NamedPages,
    /// Those that equal their original.
    pub identical: Option<u64>,
}

/// What a visit cost the child that it cost most.
#[derive(Clone, Debug)]
pub struct Cost<'a> {
    /// The child.
    pub child: &'a Child,
    /// Whether every child copied and made as much as this one, but for noise.
    pub alike: bool,
    /// What it has at the end.
    pub bytes: VisitBytes,
    /// Whether its copies are more than noise.
    pub copied: bool,
    /// Whether its new pages are; `None` where they were not counted.
    pub new: Option<bool>,
    /// What it had at most, if that is more than at the end.
    pub peak_bytes: Option<u64>,
    /// Bytes that it copied at any time, if it has given much of that back.
    pub ever_copied_bytes: Option<u64>,
    /// Bytes that processes of the visit copied, and that they made.
    pub forked_bytes: Option<(u64, u64)>,
    /// What visits are ordered by: at the end or at the peak, with the processes of the visit.
    pub total_bytes: u64,
    /// The new pages by type, by function, and by line.
    pub made: [NamedPages; 3],
    /// Bytes copied between the fork and the visit, by region, the most first.
    pub on_the_way: Vec<(RegionName, u64)>,
}

/// What a visit cost one child, in pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Copies that it has at the end.
    pub copied: u64,
    /// Copies that it had at any time. `None`: not known of all.
    pub ever_copied: Option<u64>,
    /// Those at the end that are no part of the data.
    pub around: u64,
    /// Pages that it filled anew, if they were counted.
    pub new: Option<u64>,
    /// Copies and new pages of processes that the visit started.
    pub processes: u64,
}

impl Measurement {
    /// What the visit cost the child that it cost most. `None` without children.
    pub fn cost(&self, page_size_bytes: u64) -> Option<Cost<'_>> {
        let costs = self
            .children
            .iter()
            .map(|child| child.cost(page_size_bytes));
        // The first of equals.
        let mut most = costs.reduce(|most, next| match next.total_bytes > most.total_bytes {
            true => next,
            false => most,
        })?;
        let own = |child: &Child| {
            let bytes = child.visit_bytes(page_size_bytes);
            bytes.copied.saturating_add(bytes.new.unwrap_or(0))
        };
        let largest = own(most.child);
        most.alike = self
            .children
            .iter()
            .all(|child| is_noise(own(child).abs_diff(largest) / page_size_bytes.max(1)));
        Some(most)
    }
}

impl Child {
    /// The pages that were copied for neighbours of the data, by region.
    pub fn edges(&self) -> Vec<Edge> {
        let regions = RegionName::ALL.into_iter().filter_map(|region| {
            let written = self.written.iter();
            let of_neighbours = written.filter(|one| one.region == region && one.is_of_neighbour());
            let types = ordered(of_neighbours, |one| one.of_type.clone());
            let pages = types.iter().map(|(_, pages)| *pages);
            let pages = pages.fold(0, u64::saturating_add);
            (pages > 0).then_some(Edge {
                region,
                pages,
                types,
            })
        });
        regions.collect()
    }

    /// The copied pages of a region without those.
    pub(crate) fn own_unshared(&self, region: &Region) -> u64 {
        let edges = self.edges();
        let edge = edges.iter().find(|edge| edge.region == region.name);
        let edge = edge.map_or(0, |edge| edge.pages);
        region.unshared.saturating_sub(edge)
    }

    /// The causes of these.
    pub(super) fn own_causes(&self, region: &Region) -> Option<super::Causes> {
        let mut causes = region.causes?;
        let written = self.written.iter();
        for one in written.filter(|one| one.region == region.name && one.is_of_neighbour()) {
            let pages = causes.of_mut(one.cause);
            *pages = pages.saturating_sub(one.pages);
        }
        Some(causes)
    }

    /// The copied pages of each region in which more than noise was copied, the most first.
    pub fn why(&self, page_size_bytes: u64) -> Vec<Why> {
        let regions = self.regions.iter();
        let mut all: Vec<Why> = regions
            .filter(|region| !is_noise(self.own_unshared(region)))
            .map(|region| self.why_region(region, page_size_bytes))
            .collect();
        // Those of as many pages stay in their order.
        all.sort_by_key(|why| std::cmp::Reverse(why.pages));
        all
    }

    /// What the visit cost it.
    pub(crate) fn spent(&self) -> Spent {
        let copied = self.peak.and_then(|peak| peak.copied_pages);
        let followed = self.processes.iter().flat_map(|all| &all.followed);
        let pages = followed.flat_map(|one| {
            let copies = one.regions.iter().map(|region| region.pages);
            copies.chain([one.new_pages])
        });
        Spent {
            copied: self.totals().unshared,
            ever_copied: copied.filter(|_| self.lost_faults == 0),
            around: self.around().unshared,
            new: self.new_pages,
            processes: pages.fold(0, u64::saturating_add),
        }
    }

    fn why_region(&self, region: &Region, page_size_bytes: u64) -> Why {
        let written = || {
            let all = self.written.iter();
            all.filter(|written| written.region == region.name && !written.is_of_neighbour())
        };
        let pages = self.own_unshared(region);
        let causes = self.own_causes(region);
        let at_edge = pages != region.unshared;
        let mut reasons: Vec<CausedPages> = Cause::ALL
            .into_iter()
            .filter(|_| causes.is_some())
            .map(|cause| {
                let of_cause = || written().filter(|written| written.cause == cause);
                CausedPages {
                    cause,
                    pages: causes.map_or(0, |causes| causes.of(cause)),
                    types: ordered(of_cause(), |one| one.of_type.clone()),
                    lines: ordered(of_cause(), |one| {
                        one.own_line.clone().or_else(|| one.line.clone())
                    }),
                    functions: ordered(of_cause(), |one| one.function.clone()),
                }
            })
            .filter(|reason| reason.pages > 0)
            .collect();
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.pages));
        Why {
            region: region.name,
            pages,
            bytes: pages.saturating_mul(page_size_bytes),
            share: share_of(pages, region.pages, page_size_bytes),
            reasons,
            objects: ordered(written(), |one| {
                let line = one.key(By::Line);
                match (one.of_type.as_deref(), line) {
                    (of_type, None) => of_type.map(str::to_owned),
                    (of_type, Some(line)) => Some(format!(
                        "{} in {line}",
                        of_type.unwrap_or("no known object")
                    )),
                }
            }),
            functions: ordered(written(), |one| one.function.clone()),
            identical: match at_edge {
                false => region.identical,
                true => written().map(|one| one.identical).sum(),
            },
        }
    }

    fn cost(&self, page_size_bytes: u64) -> Cost<'_> {
        let bytes = self.visit_bytes(page_size_bytes);
        let in_bytes = |pages: u64| pages.saturating_mul(page_size_bytes);
        let noise = |bytes: u64| is_noise(bytes / page_size_bytes.max(1));
        let at_end = bytes.copied.saturating_add(bytes.new.unwrap_or(0));
        // Less than a twentieth more is not worth a word.
        let more = |bytes: u64, than: u64| {
            let difference = bytes.saturating_sub(than);
            !noise(difference) && difference >= than / 20
        };
        let peak = self.peak.map(|peak| peak.bytes);
        let ever = self.peak.and_then(|peak| peak.copied_pages).map(in_bytes);
        let forked = self
            .processes
            .as_ref()
            .filter(|all| !all.followed.is_empty());
        let forked_bytes = forked.map(|all| {
            let pages =
                |of: fn(&Followed) -> u64| all.followed.iter().map(of).fold(0, u64::saturating_add);
            let copied = pages(|one| {
                let regions = one.regions.iter().map(|region| region.pages);
                regions.fold(0, u64::saturating_add)
            });
            (in_bytes(copied), in_bytes(pages(|one| one.new_pages)))
        });
        let of_forked = forked_bytes.map_or(0, |(copied, new)| copied.saturating_add(new));
        let most = at_end.max(peak.unwrap_or(0)).max(ever.unwrap_or(0));
        let made = |key: fn(&Made) -> Option<String>| {
            sums(self.made.iter().map(|one| (key(one), one.pages)))
        };
        let mut on_the_way: Vec<_> = self
            .copied_on_the_way
            .iter()
            .filter(|one| !is_noise(one.pages))
            .map(|one| (one.region, in_bytes(one.pages)))
            .collect();
        on_the_way.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        Cost {
            child: self,
            alike: true,
            bytes,
            copied: !noise(bytes.copied),
            new: bytes.new.map(|new| !noise(new)),
            peak_bytes: peak.filter(|peak| more(*peak, at_end)),
            ever_copied_bytes: ever.filter(|ever| more(*ever, bytes.copied)),
            forked_bytes,
            total_bytes: most.saturating_add(of_forked),
            made: [
                made(|one| one.of_type.clone()),
                made(|one| one.function.clone()),
                made(|one| one.own_line.clone().or_else(|| one.line.clone())),
            ],
            on_the_way,
        }
    }
}

/// Pages of each key, the most first.
fn ordered<'a>(
    written: impl Iterator<Item = &'a Written>,
    key: impl Fn(&Written) -> Option<String>,
) -> NamedPages {
    sums(written.map(|written| (key(written), written.pages)))
}

fn sums(all: impl Iterator<Item = (Option<String>, u64)>) -> NamedPages {
    let mut sums: BTreeMap<_, u64> = BTreeMap::new();
    for (key, pages) in all {
        let sum = sums.entry(key).or_default();
        *sum = sum.saturating_add(pages);
    }
    let mut sums: NamedPages = sums.into_iter().collect();
    // Those of as many pages stay in the order of their keys.
    sums.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
    sums
}
