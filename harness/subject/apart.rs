//! Memory of this program's own, apart from the heap that Python has.
//!
//! Were Rust's allocations glibc's chunks, as Python's are, what the observer sends, and how long
//! it is, would decide where Python's objects lie. So all of them, from the process's first on,
//! come from addresses that nothing else is in, and that the observer does not count
//! ([`UNCOUNTED`]). They are handed out upwards and hardly ever again: requests are few, and the
//! mapper, which takes much, soon ends.

use std::alloc::{GlobalAlloc, Layout};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, mprotect, munmap};
use nix::sys::resource::{Resource, getrlimit};
use refcow_observe::UNCOUNTED;

/// How many may become accessible at once; a multiple of every kernel's pages.
const STEP: usize = 1 << 20;
/// A multiple of every kernel's pages.
const PAGES: usize = 1 << 16;
/// The part of the addresses that a limit (RLIMIT_AS) leaves to the process: Python needs the
/// others.
const PART_OF_LIMIT: u64 = 16;
/// [`Apart::reserved`] when there are none.
const NONE: usize = 1;

#[global_allocator]
static APART: Apart = Apart {
    reserved: AtomicUsize::new(0),
    used: AtomicUsize::new(0),
    accessible: AtomicUsize::new(0),
    stale: AtomicUsize::new(0),
};

/// Whether this program's own memory is at an address.
pub(crate) fn is_own(address: usize) -> bool {
    APART
        .region()
        .is_some_and(|region| region.contains(&address))
}

/// For a forked process, before it is looked at: from now on it allocates on pages that its parent
/// has not touched, and of these it has the first already. So it copies none for this, however full
/// the parent's last page is.
pub(crate) fn forked() {
    APART.begin_page();
}

/// Hands out addresses upwards. Any thread may, at any time, also before `main` and in the child of
/// a fork: there is no lock that a thread could hold, and each step stands in one atomic number.
struct Apart {
    /// The first address that is reserved, and in the bits below a page's the binary logarithm of
    /// how many; 0 before the first allocation, then [`NONE`] if there are none.
    reserved: AtomicUsize,
    /// How many of them were handed out, from the first on.
    used: AtomicUsize,
    /// How many of them are memory; no fewer than are used.
    accessible: AtomicUsize,
    /// How many of them were ever given back: those behind are zero.
    stale: AtomicUsize,
}

impl Apart {
    /// The addresses that are reserved.
    fn region(&self) -> Option<Range<usize>> {
        let mut reserved = self.reserved.load(Ordering::Acquire);
        if reserved == 0 {
            reserved = self.reserve();
        }
        (reserved != NONE).then(|| {
            let logarithm = reserved % 4096;
            let start = reserved - logarithm;
            start..start + (1 << logarithm)
        })
    }

    /// As many as may be had.
    ///
    /// Without access, which comes as they are handed out: only then does memory count, where the
    /// system allows no more than it has (overcommit_memory).
    #[cold]
    fn reserve(&self) -> usize {
        let most = UNCOUNTED.end - UNCOUNTED.start;
        let most = match getrlimit(Resource::RLIMIT_AS) {
            Ok((soft, _)) => most.min(soft / PART_OF_LIMIT),
            Err(_) => most,
        };
        let logarithms = (STEP.ilog2()..=most.max(1).ilog2()).rev();
        // Elsewhere where there are fewer addresses, or something else is there; then its pages
        // count.
        let places = [NonZeroUsize::new(UNCOUNTED.start as usize), None];
        let found = logarithms
            .flat_map(|logarithm| places.map(|place| (place, logarithm)))
            .find_map(|(place, logarithm)| {
                let mut flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
                if place.is_some() {
                    flags |= MapFlags::MAP_FIXED_NOREPLACE;
                }
                let bytes = NonZeroUsize::new(1 << logarithm)?;
                #[expect(unsafe_code, reason = "addresses are reserved by mapping them")]
                // SAFETY: a new mapping, which replaces none.
                let start = unsafe { mmap_anonymous(place, bytes, ProtFlags::PROT_NONE, flags) };
                Some((start.ok()?, logarithm))
            });
        let (found, reserved) = match found {
            Some((start, logarithm)) => {
                let reserved = start.as_ptr().expose_provenance() | logarithm as usize;
                (Some((start, 1 << logarithm)), reserved)
            }
            None => (None, NONE),
        };
        let first =
            self.reserved
                .compare_exchange(0, reserved, Ordering::AcqRel, Ordering::Acquire);
        match first {
            Ok(_) => reserved,
            Err(others) => {
                if let Some((start, bytes)) = found {
                    #[expect(unsafe_code, reason = "munmap takes an address")]
                    // SAFETY: mapped above, and nobody was told of it.
                    let _ = unsafe { munmap(start, bytes) };
                }
                others
            }
        }
    }

    /// Has at least so many of the region be memory.
    fn reach(&self, region: &Range<usize>, used: usize) -> Option<()> {
        let accessible = self.accessible.load(Ordering::Acquire);
        if used > accessible {
            let until = used.next_multiple_of(STEP).min(region.len());
            #[expect(unsafe_code, reason = "mprotect takes an address")]
            // SAFETY: these addresses are the region's. What another thread has been given there
            // meanwhile stays as it is: it was made accessible in this very way.
            let made = unsafe {
                mprotect(
                    at(region.start + accessible)?.cast(),
                    until - accessible,
                    ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                )
            };
            made.ok()?;
            self.accessible.fetch_max(until, Ordering::AcqRel);
        }
        Some(())
    }

    /// Moves the end of what is used, if nobody else has.
    fn moved(&self, from: usize, to: usize) -> bool {
        self.used
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// The next address for this layout, in the region.
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        let region = self.region()?;
        loop {
            let used = self.used.load(Ordering::Acquire);
            let start = (region.start + used).checked_next_multiple_of(layout.align())?;
            let after = (start - region.start).checked_add(layout.size())?;
            if after > region.len() {
                return None;
            }
            self.reach(&region, after)?;
            if self.moved(used, after) {
                return at(start);
            }
        }
    }

    fn begin_page(&self) {
        let pages = Layout::from_size_align(1, PAGES);
        let first = pages.ok().and_then(|pages| self.take(pages));
        if let Some(first) = first {
            #[expect(unsafe_code, reason = "memory comes as a pointer")]
            // SAFETY: one byte, which is nobody else's.
            unsafe {
                first.write_volatile(0);
            }
        }
    }
}

fn at(address: usize) -> Option<NonNull<u8>> {
    NonNull::new(ptr::with_exposed_provenance_mut(address))
}

/// Has the kernel take back the whole pages of memory that is not used any more. They would read as
/// zero.
fn give_back(start: usize, bytes: usize) {
    let (first, end) = (
        start.next_multiple_of(PAGES),
        (start + bytes) / PAGES * PAGES,
    );
    if let Some(from) = at(first)
        && first < end
    {
        #[expect(unsafe_code, reason = "madvise takes memory away")]
        // SAFETY: the pages lie within memory whose owner gives it back.
        let _ = unsafe { madvise(from.cast(), end - first, MmapAdvise::MADV_DONTNEED) };
    }
}

/// A mapping for this layout alone: where no addresses are left, or could be reserved.
fn map(layout: Layout) -> Option<NonNull<u8>> {
    let writable = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let bytes = NonZeroUsize::new(layout.size()).filter(|_| layout.align() <= 4096)?;
    #[expect(unsafe_code, reason = "memory is had by mapping it")]
    // SAFETY: a new mapping, which replaces none.
    let start = unsafe { mmap_anonymous(None, bytes, writable, MapFlags::MAP_PRIVATE) };
    let start = start.ok()?;
    start.as_ptr().expose_provenance();
    Some(start.cast())
}

#[expect(unsafe_code, reason = "allocators are unsafe by contract")]
// SAFETY: memory is a part of the region that one `compare_exchange` of `used` has made the
// caller's, aligned and accessible, or a mapping of its own. `used` goes back only over the block
// that ends there, by its owner, and then these addresses are nobody's. Its orderings hand over
// what was written there, and `stale`, which was raised before.
unsafe impl GlobalAlloc for Apart {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let memory = self.take(layout).or_else(|| map(layout));
        memory.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some(start) = self.take(layout) else {
            return map(layout).map_or(ptr::null_mut(), NonNull::as_ptr);
        };
        let region = self.region().unwrap_or_default();
        let stale = region.start + self.stale.load(Ordering::Acquire);
        let bytes = layout.size().min(stale.saturating_sub(start.addr().get()));
        // SAFETY: the memory is that long.
        unsafe {
            start.write_bytes(0, bytes);
        }
        start.as_ptr()
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        match self
            .region()
            .filter(|region| region.contains(&start.addr()))
        {
            Some(region) => {
                give_back(start.addr(), layout.size());
                let from = start.addr() - region.start;
                let end = from + layout.size();
                if self.used.load(Ordering::Relaxed) == end {
                    self.stale.fetch_max(end, Ordering::AcqRel);
                    self.moved(end, from);
                }
            }
            None => {
                if let Some(start) = NonNull::new(start) {
                    // SAFETY: a mapping of its own, of this size, whose owner gives it back.
                    let _ = unsafe { munmap(start.cast(), layout.size()) };
                }
            }
        }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if let Some(region) = self
            .region()
            .filter(|region| region.contains(&start.addr()))
        {
            let from = start.addr() - region.start;
            let end = from + layout.size();
            if bytes <= layout.size() {
                // The rest is nobody's any more, nor will it be again.
                return start;
            }
            let fits = from.checked_add(bytes).filter(|end| *end <= region.len());
            if let Some(after) = fits
                && self.used.load(Ordering::Relaxed) == end
                && self.reach(&region, after).is_some()
                && self.moved(end, after)
            {
                return start;
            }
        }
        // SAFETY: the caller guarantees that the new size makes a layout. Old and new memory do not
        // overlap, as the old is given back only then, and both have the bytes that are copied.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(bytes, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(start, moved, layout.size().min(bytes));
                self.dealloc(start, layout);
            }
            moved
        }
    }
}
