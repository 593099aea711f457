//! `/proc/PID/pagemap`: one 64-bit word a page (Linux `Documentation/admin-guide/mm/pagemap.rst`).

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::LazyLock;

use procfs::process::{MemoryPageFlags, Process};

use super::{Error, PageSet, reading};

/// The kernel's base page in bytes, from `sysconf(_SC_PAGESIZE)`.
pub fn page_size() -> u64 {
    static SIZE: LazyLock<u64> = LazyLock::new(procfs::page_size);
    *SIZE
}

/// Consecutive pages in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: u64,
    pages: u64,
    flags: MemoryPageFlags,
}

/// The state of the pages of one process at one moment. Pages that are nowhere (never touched) are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageStates {
    runs: Vec<Run>,
    /// Page frame numbers of all pages in `runs`, in order; empty if the kernel hides them.
    frames: Vec<u64>,
}

/// The bits that say how a page is mapped: all but the frame number and the soft-dirty mark.
const STATE: MemoryPageFlags = MemoryPageFlags::MMAP_EXCLUSIVE
    .union(MemoryPageFlags::FILE)
    .union(MemoryPageFlags::SWAP)
    .union(MemoryPageFlags::PRESENT);

/// Mapped to memory or gone to swap: there is something that fork can share.
const SOMEWHERE: MemoryPageFlags = MemoryPageFlags::PRESENT.union(MemoryPageFlags::SWAP);

/// Pages asked of the kernel in one read: 32 KiB of words, which stay in the processor's nearest cache.
const PAGES_PER_READ: usize = 4096;

/// Reads the state of all pages in `ranges`, which are page numbers in ascending order.
///
/// Frame numbers need CAP_SYS_ADMIN; without it the kernel shows 0 for each (Linux 4.2), and they are absent here.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn page_states(pid: i32, ranges: &[Range<u64>]) -> Result<PageStates, Error> {
    let file = Process::new(pid)
        .and_then(|process| process.open_relative("pagemap"))
        .map_err(reading(pid, "pagemap"))?;
    read(&file, ranges).map_err(|source| reading(pid, "pagemap")(source.into()))
}

fn read(pagemap: &File, ranges: &[Range<u64>]) -> std::io::Result<PageStates> {
    const WORD: usize = size_of::<u64>();
    let mut states = PageStates::default();
    let mut buffer = vec![0_u8; PAGES_PER_READ * WORD];
    for range in ranges {
        let mut page = range.start;
        while page < range.end {
            let wanted = usize::try_from(range.end - page)
                .unwrap_or(usize::MAX)
                .min(PAGES_PER_READ);
            let bytes = &mut buffer[..wanted * WORD];
            pagemap.read_exact_at(bytes, page * WORD as u64)?;
            let (words, _) = bytes.as_chunks::<WORD>();
            states.extend(page, words.iter().map(|word| u64::from_ne_bytes(*word)));
            page += wanted as u64;
        }
    }
    states.hide_absent_frames();
    Ok(states)
}

impl PageStates {
    /// Appends the words of consecutive pages, the first of which is `page`.
    fn extend(&mut self, mut page: u64, words: impl Iterator<Item = u64>) {
        for word in words {
            let word = MemoryPageFlags::from_bits_retain(word);
            if word.intersects(SOMEWHERE) {
                self.push(page, word);
            }
            page += 1;
        }
    }

    fn push(&mut self, page: u64, word: MemoryPageFlags) {
        let flags = word & STATE;
        match self.runs.last_mut() {
            Some(run) if run.first + run.pages == page && run.flags == flags => run.pages += 1,
            _ => self.runs.push(Run {
                first: page,
                pages: 1,
                flags,
            }),
        }
        // What stands here for a page in swap is its place there, not a frame.
        let frame = if word.contains(MemoryPageFlags::SWAP) {
            0
        } else {
            word.get_page_frame_number().0
        };
        self.frames.push(frame);
    }

    /// Without privilege each frame reads 0, which no page of a process has: not a number, but no answer.
    fn hide_absent_frames(&mut self) {
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

    /// Pages in swap.
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
        let mut theirs = other.each_frame().peekable();
        let mut same = PageSet::new();
        for (page, frame) in self.each_frame() {
            while theirs
                .next_if(|(their_page, _)| *their_page < page)
                .is_some()
            {}
            if frame != 0 && theirs.next_if_eq(&(page, frame)).is_some() {
                same.insert(page);
            }
        }
        Some(same)
    }

    fn each_frame(&self) -> impl Iterator<Item = (u64, u64)> {
        self.runs
            .iter()
            .flat_map(|run| run.first..run.first + run.pages)
            .zip(self.frames.iter().copied())
    }

    fn pages(&self, wanted: impl Fn(MemoryPageFlags) -> bool) -> PageSet {
        let mut set = PageSet::new();
        for run in self.runs.iter().filter(|run| wanted(run.flags)) {
            set.insert_range(run.first..run.first + run.pages);
        }
        set
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::observe) const PRESENT: u64 = 1 << 63;
    pub(in crate::observe) const SWAP: u64 = 1 << 62;
    pub(in crate::observe) const FILE: u64 = 1 << 61;
    pub(in crate::observe) const EXCLUSIVE: u64 = 1 << 56;
    const SOFT_DIRTY: u64 = 1 << 55;

    /// The states of consecutive pages, the first of which is number `first`.
    pub(in crate::observe) fn states(first: u64, words: &[u64]) -> PageStates {
        let mut states = PageStates::default();
        states.extend(first, words.iter().copied());
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

    proptest! {
        #[test]
        fn any_words_are_states(first in 0..1u64 << 40, words in proptest::collection::vec(any::<u64>(), 0..300)) {
            let states = states(first, &words);
            let expected = words.iter().filter(|word| *word & PRESENT != 0).count() as u64;
            prop_assert_eq!(states.present().len(), expected);
            prop_assert!(states.anonymous().is_subset(&states.present()));
            prop_assert!(states.each_frame().all(|(page, _)| page >= first));
        }
    }
}
