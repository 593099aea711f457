//! Pages without Python, for the calibration.

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous};
use refcow_observe::page_size;

use crate::huge;

/// What every page holds at first, and after a write of [`PlainPages::write`].
const BEFORE: u8 = 1;
const AFTER: u8 = 2;

/// Anonymous memory, each page of which has been written once. Never unmapped.
pub(crate) struct PlainPages {
    start: NonNull<u8>,
    pages: usize,
    page_bytes: usize,
}

impl PlainPages {
    /// Maps and touches `pages` pages, of a private mapping or of a shared one.
    pub(crate) fn new(pages: u64, shared: bool) -> io::Result<Self> {
        let page_bytes = usize::try_from(page_size()).map_err(io::Error::other)?;
        let length = usize::try_from(pages)
            .ok()
            .and_then(|pages| pages.checked_mul(page_bytes))
            .and_then(NonZeroUsize::new)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let kind = if shared {
            MapFlags::MAP_SHARED
        } else {
            MapFlags::MAP_PRIVATE
        };
        #[expect(
            unsafe_code,
            reason = "nix marks every mmap unsafe, as one may ask for an address in use"
        )]
        // SAFETY: a new mapping at an address of the kernel's choice aliases nothing in this
        // process.
        let start = unsafe {
            mmap_anonymous(
                None,
                length,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                kind | MapFlags::MAP_NORESERVE,
            )
        }?;
        if huge::are_kept() {
            #[expect(unsafe_code, reason = "some advice of madvise discards what is there")]
            // SAFETY: this one changes nothing that the mapping, which is new, holds. A kernel
            // without huge pages refuses it.
            unsafe {
                _ = madvise(start, length.get(), MmapAdvise::MADV_HUGEPAGE);
            }
        }
        let plain = Self {
            start: start.cast(),
            pages: length.get() / page_bytes,
            page_bytes,
        };
        for page in 0..plain.pages {
            plain.put(page, BEFORE);
        }
        Ok(plain)
    }

    /// Number of the first page.
    pub(crate) fn first_page(&self) -> u64 {
        self.start.as_ptr() as u64 / page_size()
    }

    /// Writes one byte into each of these pages and says how many of them it had not written
    /// before.
    pub(crate) fn write(&self, pages: impl Iterator<Item = u64>) -> u64 {
        let mut distinct = 0;
        for page in pages {
            let page = usize::try_from(page).unwrap_or(usize::MAX);
            if page < self.pages && self.get(page) == BEFORE {
                self.put(page, AFTER);
                distinct += 1;
            }
        }
        distinct
    }

    /// Writes so many pages more, of those that have not been written.
    pub(crate) fn write_further(&self, count: u64) {
        let mut left = count;
        for page in 0..self.pages as u64 {
            if left == 0 {
                break;
            }
            left -= self.write(std::iter::once(page));
        }
    }

    /// Scattered over the page, so that no one offset is special.
    fn byte(&self, page: usize) -> *mut u8 {
        let offset = page * self.page_bytes + page.wrapping_mul(61) % self.page_bytes;
        self.start.as_ptr().wrapping_add(offset)
    }

    fn get(&self, page: usize) -> u8 {
        #[expect(unsafe_code, reason = "the memory is the kernel's, not Rust's")]
        // SAFETY: callers give a page below `self.pages`, so the byte lies inside the mapping,
        // which is never unmapped and which no other thread of this process sees; another process
        // may, if the mapping is shared, but the observer lets one run at a time. Volatile, so that
        // the read happens.
        unsafe {
            self.byte(page).read_volatile()
        }
    }

    fn put(&self, page: usize, value: u8) {
        #[expect(unsafe_code, reason = "the memory is the kernel's, not Rust's")]
        // SAFETY: as in `get`; the mapping is writable, and no reference to it exists.
        unsafe {
            self.byte(page).write_volatile(value);
        }
    }
}
