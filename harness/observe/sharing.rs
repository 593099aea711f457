//! From page states to shared and unshared pages: set algebra, no system call.
//!
//! Bit 56 of pagemap says "mapped exactly once", not "written". It speaks of a child's own copies
//! only because a witness maps every page of the parent a second time, and because of what
//! [`SharedAtFork`] keeps of the parent's own writes. Where the kernel also shows page frame
//! numbers, both ways must name the same pages.

use super::{Mappings, PageSet, PageStates};
use refcow_model::{RegionMap, RegionName};

/// The two ways of counting name different pages: a fault of refcow, or a kernel that moved pages
/// meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[error(
    "bit 56 of pagemap and page frame numbers disagree on {pages} pages {moment}, the first at {first_address:#x}"
)]
#[diagnostic(help(
    "no figure of this run can be trusted; if it happens again on an idle machine, please report it with the output of `refcow doctor`"
))]
pub struct Disagreement {
    /// How many pages.
    pub pages: u64,
    /// When.
    pub moment: &'static str,
    /// Where.
    pub first_address: u64,
}

/// What one child shares with its parent while it waits for its visit.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedAtFork {
    /// Pages that fork could share and that parent and child still do.
    shared: PageSet,
    /// Pages of private writable mappings of files that neither has written: a child shares them by
    /// way of the page cache, whether it has mapped them yet or not.
    by_page_cache: PageSet,
    /// Private mappings of files, and the first thread's stack.
    of_files: PageSet,
    stack: PageSet,
    /// Pages in the parent's shared mappings: never copied on write, so a copy of one would be a
    /// finding.
    segment: PageSet,
    /// Pages that fork shared and that are no longer shared: written by either side on its way out
    /// of the fork.
    pub copied_by_fork: u64,
    /// These pages.
    copied_early: PageSet,
    /// Those of them that the fork alone would not have copied.
    on_the_way: PageSet,
}

impl SharedAtFork {
    /// Compares parent and child while both wait.
    ///
    /// `written_since` are the pages that the parent has written since it forked *this* child. Bit
    /// 56 of the parent shows them only until the parent's next fork, so they are collected before
    /// each later one. Without them a page would look shared that the parent and this child both
    /// share, but with others, and not with each other.
    ///
    /// # Errors
    /// When the two ways of counting disagree.
    pub fn new(
        mappings: &Mappings,
        parent: &PageStates,
        child: &PageStates,
        written_since: &PageSet,
    ) -> Result<Self, Disagreement> {
        let private = &parent.anonymous() & &mappings.private;
        let writable = &parent.present() & &mappings.writable;
        let in_both = (private | writable) & child.present();
        // What is one's alone is nobody else's, whoever else has the page that it was copied from:
        // a thread of the parent's may have written just now.
        let alone = child.exclusive() | parent.exclusive();
        let shared = &(&in_both - &alone) - written_since;
        if let Some(frames) = parent.same_frames(child) {
            agree("before the visit", &shared, &(&frames & &in_both))?;
        }
        let written = [parent, child].map(|states| states.anonymous() | states.swapped());
        let unwritten = &(&mappings.by_page_cache - &written[0]) - &written[1];
        let copied_early = in_both - &shared;
        Ok(Self {
            copied_by_fork: copied_early.len(),
            copied_early,
            on_the_way: PageSet::new(),
            segment: &parent.present() & &mappings.shared,
            by_page_cache: &unwritten - &shared,
            of_files: mappings.of_files.clone(),
            stack: mappings.stack.clone(),
            shared,
        })
    }

    /// The pages that fork shared and that were copied before the visit began.
    pub fn copied_early(&self) -> &PageSet {
        &self.copied_early
    }

    /// Those of them that the fork alone would not have copied: none until [`Self::tell_apart`] has
    /// told.
    pub fn on_the_way(&self) -> &PageSet {
        &self.on_the_way
    }

    /// Tells what was copied on the way, when it is known what the fork alone copies.
    pub fn tell_apart(&mut self, of_the_fork: &PageSet) {
        self.on_the_way = &self.copied_early - of_the_fork;
    }

    /// Pages of the child's alone that both shared, and of which the parent's part has gone to swap
    /// since. The child may have copied its own; or it went to swap, too, and came back for the
    /// child. Bit 56 and frames say the same of either.
    pub fn perhaps_back_from_swap(&self, parent_now: &PageStates, child: &PageStates) -> PageSet {
        &(&self.shared & &parent_now.swapped()) & &(&child.anonymous() & &child.exclusive())
    }

    /// Pages that fork could share and that parent and child still did before the visit.
    pub fn shared(&self) -> &PageSet {
        &self.shared
    }

    /// How many of the pages that the child shared are in swap now, copied or not.
    pub fn swapped(&self, child: &PageStates) -> u64 {
        self.shared.intersection_len(&child.swapped())
    }

    /// The pages of which the child has a copy of its own now, whose address space is mapped so.
    ///
    /// # Errors
    /// When the two ways of counting disagree.
    pub fn unshared(
        &self,
        mapped: &Mappings,
        parent: &PageStates,
        child: &PageStates,
    ) -> Result<PageSet, Disagreement> {
        let copies = &child.anonymous() & &child.exclusive();
        let unshared = &copies & &(&self.shared | &self.segment);
        // Where the child has unmapped the file, what it has there now is no copy.
        let by_page_cache = &self.by_page_cache & &mapped.by_page_cache;
        let of_files = &copies & &by_page_cache;
        if let Some(frames) = parent.same_frames(child) {
            // A page that the child has given back (munmap) is no copy, nor is one of a file that
            // it has mapped there since (a library that it loads); and one of a shared mapping that
            // it has never touched has no frame in the child at all.
            let of_a_file = &child.present() - &child.anonymous();
            let was_of_a_file = &parent.present() - &parent.anonymous();
            let mapped_anew = &of_a_file - &was_of_a_file;
            let still_there = &(&self.shared & &child.present()) - &mapped_anew;
            let mapped_in = &self.segment & &child.present();
            let differ = &(&still_there | &mapped_in) - &frames;
            agree("after the visit", &unshared, &differ)?;
            // What only one of them has mapped is in no two frames.
            let mapped_by_both = &(&by_page_cache & &child.present()) & &parent.present();
            let differ = &mapped_by_both - &frames;
            agree("after the visit", &(&of_files & &mapped_by_both), &differ)?;
        }
        Ok(unshared | of_files)
    }
}

/// Compares what the two ways of counting found.
///
/// # Errors
/// When they name different pages.
pub fn agree(moment: &'static str, bits: &PageSet, frames: &PageSet) -> Result<(), Disagreement> {
    let differ = bits ^ frames;
    match differ.min() {
        None => Ok(()),
        Some(first) => Err(Disagreement {
            pages: differ.len(),
            moment,
            first_address: first * super::page_size(),
        }),
    }
}

/// Disjoint sets of pages by region.
#[derive(Clone, Debug, PartialEq)]
pub struct Regions([(RegionName, PageSet); RegionName::ALL.len()]);

impl Regions {
    /// Divides the pages that `fork` shares. What several regions claim belongs to the first of
    /// them, and a buffer in a shared mapping is a segment.
    pub fn new(map: &RegionMap, fork: &SharedAtFork) -> Self {
        let shared = &(&fork.shared | &fork.by_page_cache) | &fork.on_the_way;
        Self::divide(
            map,
            &shared,
            &fork.segment,
            [&fork.of_files, &fork.stack].map(PageSet::clone),
        )
    }

    /// All pages of the dataset.
    pub fn data(map: &RegionMap) -> PageSet {
        let mut data = PageSet::new();
        for ranges in [&map.header, &map.spine, &map.payload, &map.native] {
            for range in ranges {
                data.insert_range(range.clone());
            }
        }
        data
    }

    fn divide(
        map: &RegionMap,
        shared: &PageSet,
        in_segments: &PageSet,
        [of_files, stack]: [PageSet; 2],
    ) -> Self {
        let set = |ranges: &[std::ops::Range<u64>]| {
            let mut set = PageSet::new();
            for range in ranges {
                set.insert_range(range.clone());
            }
            set
        };
        let (header, spine, payload) = (set(&map.header), set(&map.spine), set(&map.payload));
        let [native, modules, interpreter] =
            [&map.native, &map.modules, &map.interpreter].map(|ranges| set(ranges));
        let (libraries, stack) = (set(&map.libraries) | of_files, set(&map.stack) | stack);
        let segment = &(&(&header | &spine) | &payload) & in_segments;
        let mut left = shared | &segment;
        let mut take = |name, wanted: &PageSet| {
            let taken = &left & wanted;
            left -= &taken;
            (name, taken)
        };
        Self([
            take(RegionName::Header, &(&header - &segment)),
            take(RegionName::Spine, &(&spine - &segment)),
            take(RegionName::Payload, &(&payload - &segment)),
            take(RegionName::Native, &(&native - &segment)),
            take(RegionName::Segment, &segment),
            take(RegionName::Modules, &modules),
            take(RegionName::Interpreter, &interpreter),
            take(RegionName::Libraries, &libraries),
            take(RegionName::Stack, &stack),
            (RegionName::Rest, left),
        ])
    }

    /// Each region's pages, empty ones too, in the order of precedence.
    pub fn iter(&self) -> impl Iterator<Item = (RegionName, &PageSet)> {
        self.0.iter().map(|(name, pages)| (*name, pages))
    }
}

#[cfg(test)]
mod tests {
    use super::super::pagemap::tests::{EXCLUSIVE, FILE, PRESENT, states};
    use super::*;
    use proptest::prelude::*;

    const OURS: u64 = PRESENT;
    const ALONE: u64 = PRESENT | EXCLUSIVE;

    fn set(pages: impl IntoIterator<Item = u64>) -> PageSet {
        pages.into_iter().collect()
    }

    fn private(pages: std::ops::Range<u64>) -> Mappings {
        Mappings {
            private: set(pages.clone()),
            writable: set(pages.clone()),
            ranges: vec![pages],
            ..Mappings::default()
        }
    }

    fn no_file() -> Mappings {
        Mappings::default()
    }

    #[test]
    fn a_page_the_child_wrote_is_unshared_and_its_neighbours_are_not() {
        let before = states(0, &[OURS, OURS, OURS]);
        let fork = SharedAtFork::new(&private(0..3), &before, &before, &PageSet::new()).unwrap();
        let after = states(0, &[OURS, ALONE, OURS]);
        assert_eq!(
            fork.unshared(&no_file(), &before, &after).unwrap(),
            set([1])
        );
        assert_eq!(
            fork.unshared(&no_file(), &before, &before).unwrap(),
            set([])
        );
    }

    #[test]
    fn what_parent_or_child_wrote_on_the_way_out_of_the_fork_is_nobodys_visit() {
        // Page 0: written by the child. Page 1: by the parent, and shared again with a later child.
        let parent = states(0, &[OURS | 1, OURS | 22, OURS | 3]);
        let child = states(0, &[ALONE | 11, OURS | 2, OURS | 3]);
        let fork = SharedAtFork::new(&private(0..3), &parent, &child, &set([1])).unwrap();
        assert_eq!(fork.shared, set([2]));
        assert_eq!(fork.copied_by_fork, 2);
        // Without the record of the parent's writes bit 56 is misled, and the frames say so.
        let misled = SharedAtFork::new(&private(0..3), &parent, &child, &PageSet::new());
        assert_eq!(misled.unwrap_err().pages, 1);
    }

    #[test]
    fn what_a_thread_of_the_parent_writes_after_the_fork_is_not_shared() {
        // A third process has the page that both had, so that it is not the child's alone.
        let parent = states(0, &[ALONE | 22, OURS | 3]);
        let child = states(0, &[OURS | 2, OURS | 3]);
        let fork = SharedAtFork::new(&private(0..2), &parent, &child, &PageSet::new()).unwrap();
        assert_eq!(fork.shared, set([1]));
        assert_eq!(fork.copied_by_fork, 1);
    }

    #[test]
    fn two_ways_that_disagree_are_an_error_not_a_figure() {
        let before = states(0, &[OURS | 1, OURS | 2]);
        let fork = SharedAtFork::new(&private(0..2), &before, &before, &PageSet::new()).unwrap();
        let moved_but_not_alone = states(0, &[OURS | 1, OURS | 9]);
        let error = fork
            .unshared(&no_file(), &before, &moved_but_not_alone)
            .unwrap_err();
        assert_eq!(
            (error.pages, error.first_address),
            (1, super::super::page_size())
        );
    }

    #[test]
    fn a_page_mapped_in_from_a_shared_mapping_is_no_copy() {
        let mappings = Mappings {
            shared: set(0..2),
            ranges: vec![0..2],
            ..Mappings::default()
        };
        let parent = states(0, &[PRESENT | FILE | 1, PRESENT | FILE | EXCLUSIVE | 2]);
        let untouched = states(0, &[0, 0]);
        let fork = SharedAtFork::new(&mappings, &parent, &untouched, &PageSet::new()).unwrap();
        let touched = states(0, &[PRESENT | FILE | 1, PRESENT | FILE | 2]);
        assert_eq!(
            fork.unshared(&no_file(), &parent, &touched).unwrap(),
            set([])
        );
        let copied = states(0, &[ALONE | 7, PRESENT | FILE | 2]);
        assert_eq!(
            fork.unshared(&no_file(), &parent, &copied).unwrap(),
            set([0])
        );
    }

    #[test]
    fn a_page_the_child_gave_back_is_no_copy() {
        let before = states(0, &[OURS | 1, OURS | 2]);
        let fork = SharedAtFork::new(&private(0..2), &before, &before, &PageSet::new()).unwrap();
        let after = states(0, &[OURS | 1, 0]);
        assert_eq!(fork.unshared(&no_file(), &before, &after).unwrap(), set([]));
    }

    #[test]
    fn a_page_of_a_library_in_the_place_of_one_that_was_given_back_is_no_copy() {
        let before = states(0, &[OURS | 1, OURS | 2]);
        let fork = SharedAtFork::new(&private(0..2), &before, &before, &PageSet::new()).unwrap();
        let after = states(0, &[OURS | 1, PRESENT | FILE | 9]);
        assert_eq!(fork.unshared(&no_file(), &before, &after).unwrap(), set([]));
    }

    #[test]
    fn what_was_copied_on_the_way_stays_in_its_region() {
        let parent = states(0, &[OURS | 1, OURS | 2, OURS | 3]);
        let child = states(0, &[ALONE | 11, ALONE | 12, OURS | 3]);
        let mut fork = SharedAtFork::new(&private(0..3), &parent, &child, &PageSet::new()).unwrap();
        let map = RegionMap {
            header: vec![0..3],
            ..RegionMap::default()
        };
        let header =
            |fork: &SharedAtFork| Regions::new(&map, fork).iter().next().unwrap().1.clone();
        assert_eq!(header(&fork), set([2]));
        fork.tell_apart(&set([0]));
        assert_eq!((fork.on_the_way(), fork.copied_by_fork), (&set([1]), 2));
        assert_eq!(header(&fork), set([1, 2]));
        let after = states(0, &[ALONE | 11, ALONE | 12, ALONE | 13]);
        assert_eq!(
            fork.unshared(&no_file(), &parent, &after).unwrap(),
            set([2])
        );
    }

    #[test]
    fn a_page_that_came_back_from_swap_need_not_be_a_copy() {
        use super::super::pagemap::tests::SWAP;
        let before = states(0, &[OURS | 1, OURS | 2, OURS | 3, OURS | 4]);
        let fork = SharedAtFork::new(&private(0..4), &before, &before, &PageSet::new()).unwrap();
        // Both went to swap, and the child's came back; it was copied; both are in swap; nothing
        // happened.
        let parent = states(0, &[SWAP | 7, OURS | 2, SWAP | 8, OURS | 4]);
        let child = states(0, &[ALONE | 21, ALONE | 22, SWAP | 8, OURS | 4]);
        assert_eq!(
            fork.unshared(&no_file(), &before, &child).unwrap(),
            set([0, 1])
        );
        assert_eq!(fork.perhaps_back_from_swap(&parent, &child), set([0]));
        assert_eq!(fork.swapped(&child), 1);
    }

    #[test]
    fn a_read_only_page_of_a_file_is_not_the_forks() {
        let mappings = Mappings {
            private: set(0..3),
            writable: set(2..3),
            ranges: vec![0..3],
            ..Mappings::default()
        };
        // Text, a relocated page that is read-only now, and data of a library not yet written.
        let states = states(0, &[PRESENT | FILE, OURS, PRESENT | FILE]);
        let fork = SharedAtFork::new(&mappings, &states, &states, &PageSet::new()).unwrap();
        assert_eq!(fork.shared, set([1, 2]));
    }

    /// A private mapping of a file, of three pages.
    fn of_a_file() -> Mappings {
        Mappings {
            by_page_cache: set(0..3),
            of_files: set(0..3),
            ..private(0..3)
        }
    }

    #[test]
    fn a_page_of_a_private_file_is_shared_until_it_is_written() {
        // The parent has read the second and written the third, which the child has got from it.
        let parent = states(0, &[0, PRESENT | FILE | 5, OURS | 6]);
        let child = states(0, &[0, 0, OURS | 6]);
        let fork = SharedAtFork::new(&of_a_file(), &parent, &child, &PageSet::new()).unwrap();
        let after = states(0, &[ALONE | 7, ALONE | 8, ALONE | 9]);
        let unshared = |after: &PageStates| fork.unshared(&of_a_file(), &parent, after);
        assert_eq!(unshared(&child).unwrap(), set([]));
        assert_eq!(unshared(&after).unwrap(), set(0..3));
        // Read, from the page cache.
        let read = states(0, &[PRESENT | FILE | 4, PRESENT | FILE | 5, OURS | 6]);
        assert_eq!(unshared(&read).unwrap(), set([]));
        // In the place of the file the child has mapped something else.
        assert_eq!(
            fork.unshared(&no_file(), &parent, &after).unwrap(),
            set([2])
        );
        let regions = Regions::new(&RegionMap::default(), &fork);
        let libraries = regions
            .iter()
            .find(|(name, _)| *name == RegionName::Libraries);
        assert_eq!(libraries.unwrap().1, &set(0..3));
        let map = RegionMap {
            payload: vec![0..2],
            ..RegionMap::default()
        };
        let regions = Regions::new(&map, &fork);
        let payload = regions
            .iter()
            .find(|(name, _)| *name == RegionName::Payload);
        assert_eq!(payload.unwrap().1, &set(0..2));
    }

    #[test]
    fn frames_have_a_say_in_pages_of_private_files() {
        let parent = states(0, &[PRESENT | FILE | 4, PRESENT | FILE | 5, 0]);
        let child = states(0, &[0, 0, 0]);
        let fork = SharedAtFork::new(&of_a_file(), &parent, &child, &PageSet::new()).unwrap();
        let of_another_frame = states(0, &[PRESENT | FILE | 9, 0, 0]);
        let error = fork.unshared(&of_a_file(), &parent, &of_another_frame);
        assert_eq!(error.unwrap_err().pages, 1);
    }

    proptest! {
        #[test]
        fn regions_are_disjoint_and_together_everything(
            header in 0u64..60, spine in 0u64..60, payload in 0u64..60, others in 0u64..60, length in 1u64..20,
            gone in proptest::collection::vec(any::<bool>(), 64),
        ) {
            let before = states(0, &[OURS; 64]);
            let child: Vec<u64> = gone.iter().map(|gone| if *gone { ALONE } else { OURS }).collect();
            let fork = SharedAtFork::new(&private(0..64), &before, &states(0, &child), &PageSet::new()).unwrap();
            let map = RegionMap {
                header: vec![header..header + length],
                spine: vec![spine..spine + length],
                payload: vec![payload..payload + length],
                native: vec![others..others + length],
                modules: vec![others / 2..others / 2 + length],
                interpreter: vec![others / 3..others / 3 + length],
                libraries: vec![others / 4..others / 4 + length],
                stack: vec![others / 5..others / 5 + length],
                ..RegionMap::default()
            };
            let regions = Regions::new(&map, &fork);
            let sum: u64 = regions.iter().map(|(_, pages)| pages.len()).sum();
            let union = regions.iter().fold(PageSet::new(), |all, (_, pages)| all | pages);
            prop_assert_eq!(sum, union.len());
            prop_assert_eq!(union, fork.shared);
            let headers = regions.iter().next().unwrap().1;
            prop_assert!(headers.iter().all(|page| (header..header + length).contains(&page)));
        }
    }
}
