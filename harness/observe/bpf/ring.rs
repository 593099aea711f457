//! Records that programs have written (Documentation/bpf/ringbuf.rst).

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

use super::kernel::{Map, MapKind};
use crate::page::page_size;

/// A ring, and what of it has been taken up.
#[derive(Debug)]
pub(crate) struct Ring {
    map: Map,
    bytes: usize,
    /// A page of ours: how far records have been taken up.
    taken: Mapped,
    /// A page of the kernel's: how far they have been written; behind it the records, twice, so that each is in one piece.
    written: Mapped,
}

/// Before each record: its length, and where it belongs.
const HEADER: usize = 8;
/// So often a record that is being written is looked at anew.
const MOST_WAITS: u32 = 10_000;
/// `BPF_RINGBUF_BUSY_BIT` and `BPF_RINGBUF_DISCARD_BIT`.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;

impl Ring {
    /// Of so many bytes, a power of two.
    pub(crate) fn new(bytes: usize) -> io::Result<Self> {
        let map = Map::new(MapKind::Ring, 0, bytes)?;
        let page = page_size() as usize;
        let taken = Mapped::new(
            map.as_fd(),
            page,
            0,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        )?;
        let written = Mapped::new(map.as_fd(), page + 2 * bytes, page, ProtFlags::PROT_READ)?;
        Ok(Self {
            map,
            bytes,
            taken,
            written,
        })
    }

    /// What programs write to.
    pub(crate) fn map(&self) -> &Map {
        &self.map
    }

    /// Takes up the records that were begun before now, in that order.
    pub(crate) fn take(&mut self, mut each: impl FnMut(&[u8])) {
        let (written, taken) = (self.written.counter(), self.taken.counter());
        let mut at = taken.load(Ordering::Relaxed);
        let end = written.load(Ordering::Acquire);
        let mut waits = 0;
        while at < end {
            let place = page_size() as usize + at as usize % self.bytes;
            let length = self.written.half(place).load(Ordering::Acquire);
            if length & BUSY != 0 {
                // Another processor is about to finish it, unless it has been taken away from this machine.
                waits += 1;
                if waits > MOST_WAITS {
                    break;
                }
                std::thread::yield_now();
                continue;
            }
            let bytes = (length & !DISCARDED) as usize;
            if length & DISCARDED == 0 {
                each(self.written.bytes(place + HEADER, bytes));
            }
            at += (HEADER + bytes).next_multiple_of(8) as u64;
            taken.store(at, Ordering::Release);
        }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }
}

/// Memory that the kernel writes to, too.
#[derive(Debug)]
struct Mapped {
    start: NonNull<u8>,
    length: usize,
}

#[expect(unsafe_code, reason = "the kernel shares it")]
// SAFETY: nothing of it belongs to a thread.
unsafe impl Send for Mapped {}

impl Mapped {
    fn new(of: BorrowedFd<'_>, length: usize, from: usize, how: ProtFlags) -> io::Result<Self> {
        let size = NonZeroUsize::new(length).ok_or(io::ErrorKind::InvalidInput)?;
        let from = from.try_into().map_err(io::Error::other)?;
        #[expect(unsafe_code, reason = "nix marks mmap so")]
        // SAFETY: the kernel chooses where, so that nothing is there.
        let start = unsafe { mmap(None, size, how, MapFlags::MAP_SHARED, of, from) }?;
        Ok(Self {
            start: start.cast(),
            length,
        })
    }

    /// The number at its start.
    fn counter(&self) -> &AtomicU64 {
        #[expect(unsafe_code, reason = "the kernel shares it")]
        // SAFETY: the mapping lives as long as `self`, begins with a page of which this is the first word, and is written atomically.
        unsafe {
            self.start.cast().as_ref()
        }
    }

    fn half(&self, place: usize) -> &AtomicU32 {
        assert!(place.is_multiple_of(4) && place + 4 <= self.length);
        #[expect(unsafe_code, reason = "the kernel shares it")]
        // SAFETY: it is within the mapping, which lives as long as `self`, and at a multiple of its size.
        unsafe {
            self.start.byte_add(place).cast().as_ref()
        }
    }

    fn bytes(&self, place: usize, length: usize) -> &[u8] {
        assert!(place + length <= self.length);
        #[expect(unsafe_code, reason = "the kernel shares it")]
        // SAFETY: they are within the mapping, which lives as long as `self`. The kernel has written them, and does so again only when
        // `taken` says that they have been taken up, which is after the last use of this.
        unsafe {
            std::slice::from_raw_parts(self.start.byte_add(place).as_ptr(), length)
        }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "nix marks munmap so")]
        // SAFETY: the mapping is this one's alone, and nobody uses it any more.
        let _ = unsafe { munmap(self.start.cast(), self.length) };
    }
}
