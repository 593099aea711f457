//! What the words of a pagemap say: which state each page is in, and in which frame it is.

use std::ops::Range;

use procfs::process::MemoryPageFlags;

use super::super::PageSet;
use super::absent::Absent;

/// Consecutive pages in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PageRun {
    first: u64,
    pages: u64,
    flags: MemoryPageFlags,
}

/// The state of the pages of one process at one moment. Pages that are nowhere (never touched) are
/// left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageStates {
    runs: Vec<PageRun>,
    /// Page frame numbers of all pages in `runs`, in order; empty if the kernel hides them.
    frames: Vec<u64>,
    /// What stands where no page is mapped: of all that does, what is least certain to stay so.
    absent: Option<Absent>,
}

/// The bits that say how a page is mapped: all but the frame number and the soft-dirty mark.
pub(super) const STATE: MemoryPageFlags = MemoryPageFlags::MMAP_EXCLUSIVE
    .union(MemoryPageFlags::FILE)
    .union(MemoryPageFlags::SWAP)
    .union(MemoryPageFlags::PRESENT);

/// Mapped to memory or gone to swap: there is something that fork can share.
pub(super) const SOMEWHERE: MemoryPageFlags = MemoryPageFlags::PRESENT.union(MemoryPageFlags::SWAP);

/// Bytes that tell of one page.
pub(super) const WORD: usize = size_of::<u64>();

impl PageStates {
    /// Appends the words of consecutive pages, the first of which is `page`, in stretches of one
    /// state each: a page at a time would take half as long again as the kernel does to tell.
    /// Whether one of them is somewhere.
    pub(super) fn extend(&mut self, mut page: u64, mut words: &[[u8; WORD]]) -> bool {
        let before = self.frames.len();
        while let Some(first) = words.first() {
            let flags = flags(first) & STATE;
            let (stretch, further) = words.split_at(alike(words));
            words = further;
            let pages = stretch.len() as u64;
            if flags.contains(MemoryPageFlags::PRESENT) {
                self.push_run(page, pages, flags);
                let frame = |word| self::flags(word).get_page_frame_number().0;
                self.frames.extend(stretch.iter().map(frame));
            } else if flags.contains(MemoryPageFlags::SWAP) {
                self.extend_absent(page, stretch, flags);
            }
            page += pages;
        }
        self.frames.len() > before
    }

    /// Appends pages that are not mapped.
    fn extend_absent(&mut self, first: u64, words: &[[u8; WORD]], flags: MemoryPageFlags) {
        for (page, word) in (first..).zip(words) {
            let absent = Absent::of(u64::from_ne_bytes(*word));
            self.absent = self.absent.max(Some(absent));
            if absent != Absent::Mark {
                self.push_run(page, 1, flags);
                // What stands here for a page in swap is its place there, not a frame.
                self.frames.push(0);
            }
        }
    }

    /// What stands where no page is mapped: of all that does, what is least certain to stay so.
    pub(super) fn absent(&self) -> Option<Absent> {
        self.absent
    }

    fn push_run(&mut self, first: u64, pages: u64, flags: MemoryPageFlags) {
        match self.runs.last_mut() {
            Some(run) if run.first + run.pages == first && run.flags == flags => run.pages += pages,
            _ => self.runs.push(PageRun {
                first,
                pages,
                flags,
            }),
        }
    }

    /// Without privilege each frame reads 0, which no page of a process has: not a number, but no
    /// answer.
    pub(super) fn hide_absent_frames(&mut self) {
        if self.frames.iter().all(|frame| *frame == 0) {
            self.frames = Vec::new();
        }
    }

    /// Whether the kernel showed frame numbers.
    pub fn has_frames(&self) -> bool {
        !self.frames.is_empty()
    }

    /// Pages in memory.
    pub fn present(&self) -> PageSet {
        self.pages(|flags| flags.contains(MemoryPageFlags::PRESENT))
    }

    /// Pages in swap, or on their way to another frame.
    pub fn swapped(&self) -> PageSet {
        self.pages(|flags| flags.contains(MemoryPageFlags::SWAP))
    }

    /// Pages in memory that belong to no file and no shared mapping (bit 61 is clear).
    pub fn anonymous(&self) -> PageSet {
        self.pages(|flags| {
            flags.contains(MemoryPageFlags::PRESENT) && !flags.contains(MemoryPageFlags::FILE)
        })
    }

    /// Pages mapped exactly once, in this process (bit 56), anonymous or not.
    pub fn exclusive(&self) -> PageSet {
        self.pages(|flags| flags.contains(MemoryPageFlags::MMAP_EXCLUSIVE))
    }

    /// Pages that are in the same page frame in both processes; `None` if the kernel hides frames.
    ///
    /// The zero page, which is everybody's, is the same frame too.
    pub fn same_frames(&self, other: &Self) -> Option<PageSet> {
        if !self.has_frames() || !other.has_frames() {
            return None;
        }
        let mut same = PageSet::new();
        let mut theirs = other.each_run().peekable();
        for (first, ours) in self.each_run() {
            let end = first + ours.len() as u64;
            while let Some((their_first, their_frames)) = theirs.peek() {
                let their_end = their_first + their_frames.len() as u64;
                let both = first.max(*their_first)..end.min(their_end);
                if !both.is_empty() {
                    let ours = part(ours, first, &both);
                    insert_equal(
                        &mut same,
                        both.start,
                        ours,
                        part(their_frames, *their_first, &both),
                    );
                }
                if their_end > end {
                    // What is left of this run of theirs meets our next one.
                    break;
                }
                theirs.next();
            }
        }
        Some(same)
    }

    /// The first page of each run, and the frames of all its pages.
    fn each_run(&self) -> impl Iterator<Item = (u64, &[u64])> {
        let mut rest = &self.frames[..];
        self.runs.iter().map(move |run| {
            let (frames, further) = rest.split_at(count(run.pages));
            rest = further;
            (run.first, frames)
        })
    }

    fn pages(&self, wanted: impl Fn(MemoryPageFlags) -> bool) -> PageSet {
        let mut set = PageSet::new();
        for run in self.runs.iter().filter(|run| wanted(run.flags)) {
            set.insert_range(run.first..run.first + run.pages);
        }
        set
    }
}

pub(super) fn flags(word: &[u8; WORD]) -> MemoryPageFlags {
    MemoryPageFlags::from_bits_retain(u64::from_ne_bytes(*word))
}

/// Pages that are looked at together where they are likely to be alike: the compiler makes it a few
/// instructions without a branch.
const TOGETHER: usize = 64;

/// How many words from the first on say the same state.
fn alike(words: &[[u8; WORD]]) -> usize {
    // Where states change from page to page, to look at many is to look at them again and again.
    const ONE_BY_ONE: usize = 8;
    let first = flags(&words[0]).bits();
    let differs = |word: &[u8; WORD]| (flags(word).bits() ^ first) & STATE.bits();
    let until = |words: &[[u8; WORD]]| words.iter().take_while(|word| differs(word) == 0).count();
    let (one_by_one, rest) = words.split_at(ONE_BY_ONE.min(words.len()));
    let mut number = until(one_by_one);
    if number == ONE_BY_ONE {
        for some in rest.chunks(TOGETHER) {
            if some.iter().fold(0, |all, word| all | differs(word)) != 0 {
                return number + until(some);
            }
            number += some.len();
        }
    }
    number
}

/// Those of a run's frames that belong to `pages`, which lie in the run.
fn part<'a>(frames: &'a [u64], first: u64, pages: &Range<u64>) -> &'a [u64] {
    &frames[count(pages.start - first)..count(pages.end - first)]
}

pub(super) fn count(pages: u64) -> usize {
    usize::try_from(pages)
        .expect("frames are in memory, and no more pages than frames are asked for")
}

/// Inserts the pages, of which `first` is the first, that have the same frame in both. A range at a
/// time: page by page would take longer than reading the pagemap.
fn insert_equal(set: &mut PageSet, first: u64, ours: &[u64], theirs: &[u64]) {
    let mut since = None;
    let mut page = first;
    for (ours, theirs) in ours.chunks(TOGETHER).zip(theirs.chunks(TOGETHER)) {
        let pairs = || ours.iter().zip(theirs);
        let equal = |(our, their): (&u64, &u64)| our == their && *our != 0;
        if pairs().fold(true, |all, pair| all & equal(pair)) {
            since.get_or_insert(page);
            page += ours.len() as u64;
            continue;
        }
        for pair in pairs() {
            if equal(pair) {
                since.get_or_insert(page);
            } else if let Some(start) = since.take() {
                set.insert_range(start..page);
            }
            page += 1;
        }
    }
    if let Some(start) = since {
        set.insert_range(start..page);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) const PRESENT: u64 = 1 << 63;
    pub(crate) const SWAP: u64 = 1 << 62;
    pub(crate) const FILE: u64 = 1 << 61;
    pub(crate) const EXCLUSIVE: u64 = 1 << 56;
    const SOFT_DIRTY: u64 = 1 << 55;
    const FRAME: u64 = (1 << 55) - 1;

    /// The states of consecutive pages, the first of which is number `first`.
    pub(crate) fn states(first: u64, words: &[u64]) -> PageStates {
        let mut states = PageStates::default();
        let words: Vec<_> = words.iter().map(|word| word.to_ne_bytes()).collect();
        states.extend(first, &words);
        states.hide_absent_frames();
        states
    }

    fn pages(set: PageSet) -> Vec<u64> {
        set.into_iter().collect()
    }

    #[test]
    fn bits_are_read_as_the_kernel_documents_them() {
        let states = states(
            10,
            &[
                0,
                PRESENT | 0x11,
                PRESENT | EXCLUSIVE | 0x12,
                PRESENT | FILE | EXCLUSIVE | 0x13,
                SWAP | 0x14,
                PRESENT | SOFT_DIRTY | 0x15,
            ],
        );
        assert_eq!(pages(states.present()), [11, 12, 13, 15]);
        assert_eq!(pages(states.anonymous()), [11, 12, 15]);
        assert_eq!(pages(states.exclusive()), [12, 13]);
        assert_eq!(pages(states.swapped()), [14]);
    }

    #[test]
    fn a_guard_is_nowhere_and_a_page_that_moves_is_told_from_one_in_swap() {
        let guard = SWAP | 31 | 4 << 5;
        let all = states(0, &[guard, PRESENT | 5, SWAP | 1 << 5]);
        assert_eq!(pages(all.swapped()), [2]);
        assert_eq!(all.absent(), Some(Absent::Swap));
        assert_eq!(pages(all.same_frames(&all).unwrap()), [1]);
        let all = states(0, &[SWAP | FILE | 28 | 7 << 5, SWAP | 1 << 5, guard]);
        assert_eq!(pages(all.swapped()), [0, 1]);
        assert_eq!(all.absent(), Some(Absent::Moving));
        assert_eq!(states(0, &[PRESENT | 5]).absent(), None);
        assert_eq!(states(0, &[guard]).absent(), Some(Absent::Mark));
    }

    #[test]
    fn a_long_stretch_ends_where_the_state_changes() {
        for length in [1, 7, 8, 9, 71, 72, 73, 200, 4000] {
            let mut words = vec![PRESENT | 5; length];
            words.extend([PRESENT | EXCLUSIVE | 6, SWAP | 7]);
            words.extend(vec![PRESENT | SOFT_DIRTY | 8; length]);
            let all = states(0, &words);
            let runs: Vec<_> = all.runs.iter().map(|run| run.pages).collect();
            let pages = length as u64;
            assert_eq!(runs, [pages, 1, 1, pages]);
            assert_eq!(all.frames[length - 1..length + 3], [5, 6, 0, 8]);
            let mut others = words.clone();
            others[length - 1] += 1;
            let same: Vec<_> = self::pages(all.same_frames(&states(0, &others)).unwrap());
            let expected = (0..pages - 1)
                .chain([pages])
                .chain(pages + 2..2 * pages + 2);
            assert_eq!(same, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_frame_number_of_zero_is_no_answer() {
        let hidden = states(0, &[PRESENT, PRESENT | EXCLUSIVE]);
        assert!(!hidden.has_frames());
        assert_eq!(hidden.same_frames(&hidden), None);
    }

    #[test]
    fn the_place_in_swap_is_no_frame() {
        let parent = states(0, &[PRESENT | 5, SWAP | 7]);
        assert_eq!(pages(parent.same_frames(&parent).unwrap()), [0]);
    }

    #[test]
    fn frames_are_compared_page_by_page_over_gaps() {
        let parent = states(0, &[PRESENT | 5, 0, PRESENT | 7, PRESENT | 8]);
        let child = states(0, &[PRESENT | 5, PRESENT | 6, PRESENT | 9, PRESENT | 8]);
        assert_eq!(pages(parent.same_frames(&child).unwrap()), [0, 3]);
        assert_eq!(pages(child.same_frames(&parent).unwrap()), [0, 3]);
    }

    /// Words of few frames and flags, so that runs begin, end and meet often.
    fn word() -> impl Strategy<Value = u64> {
        prop_oneof![
            Just(0),
            (0u64..3).prop_map(|frame| PRESENT | frame),
            (0u64..3).prop_map(|frame| PRESENT | EXCLUSIVE | frame),
            Just(SWAP | 1),
        ]
    }

    proptest! {
        #[test]
        fn any_words_are_states(first in 0..1u64 << 40, words in proptest::collection::vec(any::<u64>(), 0..300)) {
            let states = states(first, &words);
            let expected = words.iter().filter(|word| *word & PRESENT != 0).count() as u64;
            prop_assert_eq!(states.present().len(), expected);
            prop_assert!(states.anonymous().is_subset(&states.present()));
            prop_assert!(states.runs.iter().all(|run| run.first >= first));
        }

        #[test]
        fn same_frames_are_those_that_are_equal_page_by_page(
            ours in proptest::collection::vec(word(), 0..60), theirs in proptest::collection::vec(word(), 0..60),
            shift in 0u64..20,
        ) {
            let (one, other) = (states(shift, &ours), states(10, &theirs));
            let frames = |first: u64, words: &[u64]| -> std::collections::BTreeMap<u64, u64> {
                let present = (first..).zip(words.iter().copied());
                present.filter(|(_, word)| word & PRESENT != 0).map(|(page, word)| (page, word & FRAME)).collect()
            };
            let (one_by_one, others) = (frames(shift, &ours), frames(10, &theirs));
            let expected: PageSet = one_by_one
                .iter()
                .filter(|(page, frame)| **frame != 0 && others.get(page) == Some(frame))
                .map(|(page, _)| *page)
                .collect();
            if let Some(same) = one.same_frames(&other) {
                prop_assert_eq!(same, expected);
            } else {
                prop_assert!(!one.has_frames() || !other.has_frames());
            }
        }
    }
}
