//! Of the memory of the process that has forked most of a tree: how many of those share each page, and who has unshared the rest.

use procfs::process::{MMapPath, MemoryMap};

use super::tree::FamilyTree;
use super::who::Class;
use crate::model::trees::{AddressMap, MapRegion, MapRegionName};
use crate::observe::{self, memory_maps, page_size};

/// As many cells at most, but for one more a region.
const CELLS: u64 = 4096;

/// Pages side by side that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AlikePages {
    first: u64,
    pages: u64,
    /// How many workers share each; of how many the worker has unshared it, and of how many the process itself has.
    shared: u64,
    by_workers: u64,
    by_itself: u64,
}

/// What is seen page by page.
#[derive(Debug)]
pub struct MapDraft {
    process: usize,
    workers: Vec<usize>,
    runs: Vec<AlikePages>,
}

impl MapDraft {
    /// Of the member with most children; `None` if nobody has any.
    pub fn of(tree: &FamilyTree) -> Option<Self> {
        let members = || 0..tree.members.len();
        let children = |place: &usize| {
            let all = members().filter(|child| tree.ancestors[*child].first() == Some(place));
            all.count()
        };
        // Of several with as many, the oldest.
        let process = members().rev().max_by_key(children)?;
        let workers: Vec<usize> = members()
            .filter(|member| tree.descends(*member, process))
            .collect();
        (!workers.is_empty()).then(|| Self {
            process,
            workers,
            runs: Vec::new(),
        })
    }

    /// Takes up pages that all of these members share.
    pub fn shared_by(&mut self, first: u64, pages: u64, members: &[usize]) {
        if members.contains(&self.process) {
            let shared = self.workers.iter().filter(|one| members.contains(one));
            self.add(AlikePages {
                first,
                pages,
                shared: shared.count() as u64,
                by_workers: 0,
                by_itself: 0,
            });
        }
    }

    /// Takes up one page, and what it is of each member.
    pub fn page(&mut self, page: u64, classes: &[Option<Class>]) {
        let has_it = !matches!(
            classes[self.process],
            None | Some(Class::File | Class::Swapped)
        );
        if !has_it {
            return;
        }
        let count = |which: fn(&Class) -> bool| {
            let all = self.workers.iter().filter_map(|place| classes[*place]);
            all.filter(which).count() as u64
        };
        self.add(AlikePages {
            first: page,
            pages: 1,
            shared: count(|class| *class == Class::Shared),
            by_workers: count(|class| matches!(class, Class::Copied | Class::Huge)),
            by_itself: count(|class| *class == Class::LeftBehind),
        });
    }

    fn add(&mut self, run: AlikePages) {
        match self.runs.last_mut() {
            Some(last) if last.first + last.pages == run.first && last.alike(&run) => {
                last.pages += run.pages;
            }
            _ => self.runs.push(run),
        }
    }

    /// The map. `None` if the process has no anonymous page.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn finished(self, tree: &FamilyTree) -> Result<Option<AddressMap>, observe::Error> {
        let pid = tree.members[self.process].pid;
        let maps = memory_maps(pid)?;
        let kinds: Vec<(u64, u64, MapRegionName)> = maps
            .into_iter()
            .map(|map| {
                (
                    map.address.0 / page_size(),
                    map.address.1 / page_size(),
                    kind(&map),
                )
            })
            .collect();
        Ok(drawn(pid, self.workers.len() as u64, &self.runs, &kinds))
    }
}

impl AlikePages {
    fn alike(&self, other: &Self) -> bool {
        (self.shared, self.by_workers, self.by_itself)
            == (other.shared, other.by_workers, other.by_itself)
    }
}

fn kind(map: &MemoryMap) -> MapRegionName {
    match map.pathname {
        MMapPath::Heap => MapRegionName::Heap,
        MMapPath::Stack => MapRegionName::Stack,
        MMapPath::Path(_) => MapRegionName::Files,
        _ => MapRegionName::Anonymous,
    }
}

fn drawn(
    pid: i32,
    workers: u64,
    runs: &[AlikePages],
    kinds: &[(u64, u64, MapRegionName)],
) -> Option<AddressMap> {
    use MapRegionName::{Anonymous, Files, Heap, Stack};
    let all: u64 = runs.iter().map(|run| run.pages).sum();
    let pages_per_cell = all.div_ceil(CELLS).max(1);
    let regions = [Heap, Anonymous, Files, Stack]
        .into_iter()
        .filter_map(|name| {
            let of_kind = kinds.iter().filter(|(.., kind)| *kind == name);
            let mut cells = Cells::new(pages_per_cell, workers);
            for (start, end, _) in of_kind {
                let first = runs.partition_point(|run| run.first + run.pages <= *start);
                for run in runs[first..].iter().take_while(|run| run.first < *end) {
                    let inside = run.first.max(*start)..(run.first + run.pages).min(*end);
                    cells.add(run, inside.end - inside.start);
                }
            }
            cells.region(name)
        });
    let regions: Vec<MapRegion> = regions.collect();
    (!regions.is_empty()).then_some(AddressMap {
        pid,
        workers,
        pages_per_cell,
        regions,
    })
}

/// Cells of a region, the last of which is not full.
struct Cells {
    pages_per_cell: u64,
    workers: u64,
    pages: u64,
    shared: String,
    unshared_by: String,
    /// Of the cell that is not full: its pages, and of them those shared, unshared by workers, and by the process.
    now: [u64; 4],
}

impl Cells {
    fn new(pages_per_cell: u64, workers: u64) -> Self {
        Self {
            pages_per_cell,
            workers,
            pages: 0,
            shared: String::new(),
            unshared_by: String::new(),
            now: [0; 4],
        }
    }

    fn add(&mut self, run: &AlikePages, mut pages: u64) {
        self.pages += pages;
        while pages > 0 {
            let part = pages.min(self.pages_per_cell - self.now[0]);
            let more = [1, run.shared, run.by_workers, run.by_itself];
            for (sum, more) in self.now.iter_mut().zip(more) {
                *sum += more * part;
            }
            pages -= part;
            if self.now[0] == self.pages_per_cell {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        let [pages, shared, by_workers, by_itself] = std::mem::take(&mut self.now);
        let all = pages * self.workers;
        self.shared.push(match shared {
            0 => '0',
            shared if shared == all => 'a',
            shared => char::from(b'0' + u8::try_from((shared * 10 / all).clamp(1, 9)).unwrap_or(9)),
        });
        self.unshared_by.push(match (by_workers, by_itself) {
            (0, 0) => '.',
            (by_workers, by_itself) if by_workers >= by_itself => 'w',
            _ => 'p',
        });
    }

    fn region(mut self, name: MapRegionName) -> Option<MapRegion> {
        if self.now[0] > 0 {
            self.close();
        }
        (self.pages > 0).then_some(MapRegion {
            name,
            pages: self.pages,
            shared: self.shared,
            unshared_by: self.unshared_by,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::tree;
    use super::*;
    use Class::{Copied, LeftBehind, Own, Shared};

    #[test]
    fn each_page_is_drawn_by_how_many_share_it_and_who_unshared_it() {
        let tree = tree(&[(1, 0), (2, 1), (3, 1)]);
        let mut draft = MapDraft::of(&tree).unwrap();
        draft.shared_by(10, 3, &[0, 1, 2]);
        draft.page(13, &[Some(Shared), Some(Copied), Some(Shared)]);
        draft.page(14, &[Some(Own), Some(LeftBehind), Some(LeftBehind)]);
        draft.page(15, &[Some(Own), Some(Copied), Some(Copied)]);
        // What the parent has not is on no map of its.
        draft.page(16, &[None, Some(Class::New), None]);
        draft.page(40, &[Some(Own), None, None]);
        let kinds = [
            (10, 14, MapRegionName::Heap),
            (14, 30, MapRegionName::Anonymous),
            (40, 41, MapRegionName::Stack),
        ];
        let map = drawn(1, 2, &draft.runs, &kinds).unwrap();
        let regions: Vec<_> = map
            .regions
            .iter()
            .map(|one| (one.pages, &one.shared[..], &one.unshared_by[..]))
            .collect();
        assert_eq!(
            regions,
            [(4, "aaa5", "...w"), (2, "00", "pw"), (1, "0", ".")]
        );
    }

    #[test]
    fn many_pages_are_drawn_in_cells() {
        let run = |first, pages, shared| AlikePages {
            first,
            pages,
            shared,
            by_workers: 2 - shared,
            by_itself: 0,
        };
        let kinds = [(0, 100_000, MapRegionName::Heap)];
        let map = drawn(
            1,
            2,
            &[run(0, 8192, 2), run(8192, 1, 0), run(8193, 8, 2)],
            &kinds,
        )
        .unwrap();
        assert_eq!(map.pages_per_cell, 3);
        let heap = &map.regions[0];
        assert_eq!(heap.pages, 8201);
        assert_eq!(heap.shared.len(), 2734);
        // Two thirds of one cell; all of it is not.
        assert_eq!(heap.shared.matches('a').count(), 2733);
        assert_eq!(heap.shared.matches('6').count(), 1);
        assert_eq!(heap.unshared_by.matches('w').count(), 1);
    }

    #[test]
    fn who_has_forked_nobody_has_no_map() {
        assert!(MapDraft::of(&tree(&[(1, 0)])).is_none());
    }
}
