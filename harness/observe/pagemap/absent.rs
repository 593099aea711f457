//! What a word says of a page that the process's page table does not map: it is in swap, the kernel
//! moves it, or somebody has left a mark there.
//!
//! All of these show as `PM_SWAP`, with a kind and an offset in place of a frame
//! (`pte_to_pagemap_entry` of Linux `fs/proc/task_mmu.c`). Kinds are numbers of swap files, and the
//! last ones the kernel has for itself (`SWP_MIGRATION_READ` and others of `include/linux/swap.h`).

/// What stands where no page is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Absent {
    /// Nothing that fork could share: a guard, or what userfaultfd has noted.
    Mark,
    /// A page in swap.
    Swap,
    /// One in swap, or on its way: the kernel does not show which.
    Untold,
    /// A page on its way to another frame. It is in memory.
    Moving,
}

const FILE: u64 = 1 << 61;
/// `PM_GUARD_REGION`, since Linux 6.15.
const GUARD: u64 = 1 << 58;
/// Kind and offset.
const PLACE: u64 = (1 << 55) - 1;
/// `MAX_SWAPFILES_SHIFT`.
const KIND: u64 = (1 << 5) - 1;
/// `SWP_PTE_MARKER`, the last one.
const MARKER: u64 = KIND;
/// So many swap files there may be at least, and fewer than 30: with all that the kernel can have kinds
/// for (four of memory of devices, three of pages that move, one of broken memory, the marker).
const SWAP_FILES: u64 = 23;

impl Absent {
    /// From a word that says "in swap".
    pub(super) fn of(word: u64) -> Self {
        let (place, kind) = (word & PLACE, word & KIND);
        if word & GUARD != 0 {
            return Self::Mark;
        }
        // What is in swap has no page, so that it could not be told to be a file's.
        if word & FILE != 0 {
            return Self::Moving;
        }
        match place {
            // Hidden: at this place of a swap file is its header.
            0 => Self::Untold,
            _ if kind == MARKER => Self::Mark,
            _ if kind >= SWAP_FILES => Self::Moving,
            _ => Self::Swap,
        }
    }
}

/// Whether anything can be in swap on this machine (`/proc/swaps`: a line of titles, and one for each
/// place).
pub(super) fn has_swap() -> bool {
    std::fs::read_to_string("/proc/swaps").map_or(true, |text| text.lines().count() > 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SWAP: u64 = 1 << 62;

    /// As the kernel writes it.
    fn word(kind: u64, offset: u64) -> u64 {
        SWAP | kind | offset << 5
    }

    #[test]
    fn the_kernels_own_kinds_are_no_swap() {
        // Of a kernel that has all, and of one without memory of devices, as Linux 6.18 has them.
        for moving in [24, 25, 26, 28, 29, 30] {
            assert_eq!(Absent::of(word(moving, 0x1_2345)), Absent::Moving);
        }
        for file in [0, 1, 22] {
            assert_eq!(Absent::of(word(file, 1)), Absent::Swap);
        }
    }

    #[test]
    fn a_page_of_a_file_is_never_in_swap_whether_its_frame_is_shown_or_not() {
        assert_eq!(Absent::of(SWAP | FILE), Absent::Moving);
        assert_eq!(Absent::of(FILE | word(29, 7)), Absent::Moving);
    }

    #[test]
    fn where_a_mark_stands_nothing_is() {
        // MADV_GUARD_INSTALL, with and without the bit; and what userfaultfd has protected.
        assert_eq!(Absent::of(GUARD | word(31, 4)), Absent::Mark);
        assert_eq!(Absent::of(word(31, 4)), Absent::Mark);
        assert_eq!(Absent::of(word(31, 1) | 1 << 57), Absent::Mark);
        assert_eq!(Absent::of(SWAP | GUARD), Absent::Mark);
    }

    #[test]
    fn what_an_ordinary_user_sees_is_either() {
        assert_eq!(Absent::of(SWAP), Absent::Untold);
        assert_eq!(Absent::of(SWAP | 1 << 55), Absent::Untold);
    }
}
