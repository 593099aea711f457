//! From recorded faults to causes: which write came first to each unshared page, and to what.
//!
//! Pure: everything it needs was read before. Of a page that parent and child shared, the child has
//! a page-table entry that forbids writing, so that a fault there is a write, and the first one is
//! the write that copied it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use super::lines::LineLog;
use crate::model::{self, Cause, Causes, RegionName, Written};
use crate::objects::ObjectMap;
use crate::observe::PageSet;
use crate::protocol::PythonLine;

/// The first fault on a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstWrite {
    /// The address that was written.
    pub address: u64,
    /// The function that wrote. Few write to most pages.
    pub function: Arc<str>,
    /// When, in nanoseconds of CLOCK_MONOTONIC.
    pub time: u64,
    /// By which thread.
    pub thread: i32,
    /// The Python line that was running, if that was asked for and one was.
    pub line: Option<Arc<str>>,
    /// The innermost line of the user's own that had called it, if it is not itself one.
    pub own_line: Option<Arc<str>>,
}

/// What was recorded of one child's visit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedVisit {
    /// By the page's number.
    pub first: HashMap<u64, FirstWrite>,
    /// Faults of which the kernel had no room for a record.
    pub lost: u64,
    /// The pages that are part of a huge page when the visit has ended.
    pub huge: Huge,
}

/// What is known of a child's huge pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Huge {
    /// The pages that are part of one.
    Pages(PageSet),
    /// There are some, and the kernel does not tell where.
    Somewhere,
}

impl Default for Huge {
    fn default() -> Self {
        Self::Pages(PageSet::new())
    }
}

impl RecordedVisit {
    /// Why there is a copy of a page without a record.
    fn without_record(&self, page: u64) -> Cause {
        match &self.huge {
            // Nobody knows whose records were lost.
            _ if self.lost > 0 => Cause::Unattributed,
            Huge::Somewhere => Cause::Unattributed,
            Huge::Pages(huge) if huge.contains(page) => Cause::Khugepaged,
            Huge::Pages(_) => Cause::Kernel,
        }
    }
}

impl RecordedVisit {
    /// Takes over the lines of another child that made the same visit, of which it is known which
    /// line ran when. A page has the line of the other's first write to it, if both wrote the same
    /// first, or the same in an object of the same type. Not always by the same function, or to the
    /// same object: where lines are traced, CPython runs its specialised instructions less often,
    /// and 3.11's `first, last = pair` takes its references from the last to the first.
    pub fn take_lines(&mut self, other: &Self, process: i32, log: &LineLog, objects: &ObjectMap) {
        let alike = |one: u64, other: u64| {
            let found = |address| {
                objects
                    .at(address)
                    .map(|found| (found.cause, found.of_type))
            };
            one == other || (found(one).is_some() && found(one) == found(other))
        };
        let mut shown: HashMap<&PythonLine, Arc<str>> = HashMap::new();
        for (page, write) in &mut self.first {
            let same = other.first.get(page).filter(|same| {
                // The log speaks of the process's first thread.
                alike(same.address, write.address) && same.thread == process
            });
            let mut show = |place| {
                let shown = shown
                    .entry(place)
                    .or_insert_with(|| line_of(place, log).into());
                Arc::clone(shown)
            };
            let found = same.and_then(|same| log.with_caller_at(same.time));
            write.line = found.map(|(place, _)| show(place));
            write.own_line = found.and_then(|(_, own)| own).map(show);
        }
    }
}

/// `function (file:line)`.
pub(super) fn line_of(place: &PythonLine, log: &LineLog) -> String {
    let name = |place: &'_ PythonLine| Path::new(&place.file).file_name().map(OsStr::to_owned);
    let of_place = name(place);
    let mut others = log.places().iter();
    // Two files of one name are told apart by their paths.
    let alone = others.all(|other| other.file == place.file || name(other) != of_place);
    let file = match of_place.filter(|_| alone) {
        Some(name) => name.to_string_lossy().into_owned(),
        None => place.file.clone(),
    };
    format!("{} ({file}:{})", place.function, place.line)
}

/// What the recorded writes to one child's unshared pages come to.
#[derive(Debug, Default)]
pub struct Attributed {
    /// Of each region.
    pub causes: BTreeMap<RegionName, Causes>,
    /// By the page's number.
    pub by_page: HashMap<u64, Cause>,
    /// In groups whose first writes are alike.
    pub written: Vec<Written>,
}

/// The unshared pages of one child, by region and cause, and in groups whose first writes are
/// alike.
pub fn attribute<'a>(
    regions: impl Iterator<Item = (RegionName, &'a PageSet)>,
    unshared: &PageSet,
    identical: Option<&PageSet>,
    recorded: &RecordedVisit,
    objects: &ObjectMap,
) -> Attributed {
    let mut causes = BTreeMap::new();
    let mut by_page = HashMap::new();
    let mut groups: HashMap<_, (u64, u64)> = HashMap::new();
    for (region, pages) in regions {
        let of_region: &mut Causes = causes.entry(region).or_default();
        for page in &(pages & unshared) {
            let write = recorded.first.get(&page);
            let (cause, of_type, package) = match write {
                Some(write) => match objects.at(write.address) {
                    Some(found) => (found.cause, found.of_type, found.package),
                    None => (Cause::Unattributed, None, None),
                },
                None => (recorded.without_record(page), None, None),
            };
            *of_region.of_mut(cause) += 1;
            by_page.insert(page, cause);
            let function = write.map(|write| &*write.function);
            let line = write.and_then(|write| write.line.as_deref());
            let own_line = write.and_then(|write| write.own_line.as_deref());
            let group = groups.entry((region, cause, of_type, package, function, line, own_line));
            let (pages, equal) = group.or_default();
            *pages += 1;
            *equal += u64::from(identical.is_some_and(|identical| identical.contains(page)));
        }
    }
    let mut written: Vec<_> = groups
        .into_iter()
        .map(
            |((region, cause, of_type, package, function, line, own_line), (pages, equal))| {
                Written {
                    region,
                    cause,
                    of_type: of_type.map(model::printable),
                    function: function.map(model::printable),
                    line: line.map(model::printable),
                    own_line: own_line.map(model::printable),
                    package: package.map(model::printable),
                    pages,
                    identical: identical.map(|_| equal),
                }
            },
        )
        .collect();
    // Most pages first; the rest of the order only makes it one.
    written.sort_by(|one, other| {
        let key = |written: &Written| {
            let Written {
                region,
                cause,
                of_type,
                package,
                function,
                line,
                own_line,
                ..
            } = written.clone();
            (region, cause, of_type, package, function, line, own_line)
        };
        other
            .pages
            .cmp(&one.pages)
            .then_with(|| key(one).cmp(&key(other)))
    });
    Attributed {
        causes,
        by_page,
        written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{Builder, RecordKind, RecordPart};
    use crate::observe::page_size;
    use crate::protocol::LineIntervals;
    use proptest::prelude::*;

    /// Pages 16 to 47 hold one object each at their beginning, behind a GC header.
    fn objects() -> ObjectMap {
        let mut builder = Builder::default();
        builder.add_type("thing".into());
        for page in 16..48 {
            let kind = RecordKind {
                part: RecordPart::Object {
                    before: 16,
                    collected: true,
                },
                of_type: Some(0),
                package: None,
                bytes: 80,
            };
            builder.add(page * page_size(), kind);
        }
        let mut bytes = Vec::new();
        builder.write(&mut bytes).unwrap();
        ObjectMap::read(&bytes[..]).unwrap()
    }

    fn regions() -> [(RegionName, PageSet); 2] {
        [
            (RegionName::Header, (16..48).collect()),
            (RegionName::Rest, (0..16).chain(48..64).collect()),
        ]
    }

    fn attributed(
        unshared: &PageSet,
        identical: Option<&PageSet>,
        recorded: &RecordedVisit,
    ) -> Attributed {
        let regions = regions();
        let regions = regions.iter().map(|(name, pages)| (*name, pages));
        attribute(regions, unshared, identical, recorded, &objects())
    }

    fn write(page: u64, offset: u64, function: &str) -> (u64, FirstWrite) {
        let write = FirstWrite {
            address: page * page_size() + offset,
            function: function.into(),
            time: page,
            thread: 7,
            line: None,
            own_line: None,
        };
        (page, write)
    }

    #[test]
    fn each_page_has_the_cause_of_its_first_write() {
        let recorded = RecordedVisit {
            first: [
                write(16, 16, "iterate"),
                write(17, 16, "iterate"),
                write(18, 8, "collect"),
                write(3, 8, "elsewhere"),
            ]
            .into(),
            ..RecordedVisit::default()
        };
        let unshared: PageSet = [3, 16, 17, 18, 19].into_iter().collect();
        let identical: PageSet = [16, 18].into_iter().collect();
        let Attributed {
            causes,
            by_page,
            written,
        } = attributed(&unshared, Some(&identical), &recorded);
        let header = causes[&RegionName::Header];
        assert_eq!((header.refcount, header.gc, header.kernel), (2, 1, 1));
        assert_eq!(causes[&RegionName::Rest].unattributed, 1);
        assert_eq!((by_page[&16], by_page[&18]), (Cause::Refcount, Cause::Gc));
        assert_eq!(by_page.len(), 5);
        let most = &written[0];
        assert_eq!(
            (
                most.cause,
                most.of_type.as_deref(),
                most.function.as_deref()
            ),
            (Cause::Refcount, Some("thing"), Some("iterate"))
        );
        assert_eq!((most.pages, most.identical), (2, Some(1)));
    }

    #[test]
    fn a_page_without_a_record_is_the_kernels_only_if_none_was_lost() {
        let unshared: PageSet = [20].into_iter().collect();
        let lost = RecordedVisit {
            lost: 1,
            ..RecordedVisit::default()
        };
        let of = |recorded: &RecordedVisit| {
            let Attributed { causes, .. } = attributed(&unshared, None, recorded);
            causes[&RegionName::Header]
        };
        assert_eq!(of(&RecordedVisit::default()).kernel, 1);
        assert_eq!(of(&lost).unattributed, 1);
    }

    #[test]
    fn a_page_without_a_record_is_khugepageds_if_it_is_in_a_huge_page() {
        let unshared: PageSet = (20..24).collect();
        let of = |lost, huge| {
            let recorded = RecordedVisit {
                first: [write(20, 16, "iterate")].into(),
                lost,
                huge,
            };
            attributed(&unshared, None, &recorded).causes[&RegionName::Header]
        };
        let huge = || Huge::Pages((20..23).collect());
        let causes = of(0, huge());
        // What was written first, and became huge later, was copied by the write.
        assert_eq!(
            (causes.refcount, causes.khugepaged, causes.kernel),
            (1, 2, 1)
        );
        // Any of them may have had a record that was lost.
        assert_eq!(
            (of(1, huge()).khugepaged, of(1, huge()).unattributed),
            (0, 3)
        );
        assert_eq!(of(0, Huge::Somewhere).unattributed, 3);
    }

    #[test]
    fn a_line_is_taken_over_with_the_same_write_and_no_other() {
        let place = |line| PythonLine {
            file: "/home/me/mine.py".into(),
            function: "visit_it".into(),
            line,
        };
        let log = LineLog::new(LineIntervals {
            places: vec![place(3), place(4)],
            intervals: vec![(3, 18, 0).into(), (18, 30, 1).into()],
            ..LineIntervals::default()
        });
        let recorded = |all: Vec<(u64, FirstWrite)>| RecordedVisit {
            first: all.into_iter().collect(),
            ..RecordedVisit::default()
        };
        let ours = || {
            recorded(vec![
                write(16, 0, "a"),
                write(17, 16, "a"),
                write(18, 0, "a"),
                write(19, 0, "a"),
                write(20, 48, "a"),
                write(3, 8, "a"),
            ])
        };
        let other = recorded(vec![
            write(16, 0, "a"),
            // Its GC header, not its reference count.
            write(17, 0, "a"),
            write(18, 0, "b"),
            write(19, 0, "a"),
            write(20, 64, "a"),
            // Of no known object.
            write(3, 0, "a"),
        ]);
        let lines = |process| {
            let mut ours = ours();
            ours.take_lines(&other, process, log.as_ref().unwrap(), &objects());
            let mut lines: Vec<_> = ours.first.into_iter().collect();
            lines.sort_by_key(|(page, _)| *page);
            lines
                .into_iter()
                .map(|(_, write)| write.line)
                .collect::<Vec<_>>()
        };
        let named = |line| Some(Arc::<str>::from(format!("visit_it (mine.py:{line})")));
        let named = [None, named(3), None, named(4), named(4), named(4)];
        assert_eq!(lines(7), named);
        // Another thread's faults.
        assert_eq!(lines(8), [const { None::<Arc<str>> }; 6]);
    }

    proptest! {
        #[test]
        fn causes_add_up_to_what_was_unshared(
            writes in proptest::collection::btree_map(0u64..64, (0u64..200, 0u8..3), 0..64),
            unshared in proptest::collection::btree_set(0u64..64, 0..64),
            equal in proptest::collection::vec(any::<bool>(), 64),
            lost in 0u64..2,
        ) {
            let unshared: PageSet = unshared.into_iter().collect();
            let identical: PageSet =
                unshared.iter().filter(|page| equal[usize::try_from(*page).unwrap()]).collect();
            let first = writes
                .into_iter()
                .map(|(page, (offset, by))| write(page, offset, ["a", "b", "c"][usize::from(by)]))
                .collect();
            let recorded = RecordedVisit { first, lost, ..RecordedVisit::default() };
            let Attributed { causes, by_page, written } =
                attributed(&unshared, Some(&identical), &recorded);
            for (name, pages) in regions() {
                let copied = pages.intersection_len(&unshared);
                prop_assert_eq!(causes[&name].sum(), copied);
                let of_region = &pages & &unshared;
                for cause in Cause::ALL {
                    let of_cause = of_region.iter().filter(|page| by_page[page] == cause);
                    prop_assert_eq!(of_cause.count() as u64, causes[&name].of(cause));
                }
                let of_region = written.iter().filter(|written| written.region == name);
                prop_assert_eq!(of_region.clone().map(|written| written.pages).sum::<u64>(), copied);
                let equal: u64 = of_region.filter_map(|written| written.identical).sum();
                prop_assert_eq!(equal, pages.intersection_len(&identical));
            }
        }
    }
}
