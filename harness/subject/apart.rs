//! Memory of the mapper's own, apart from the heap that it maps.
//!
//! Rust's allocations are glibc's chunks, as Python's are. In the parent that is how they are measured; in the mapper, which
//! notes what is free in the parent, they would take some of it first. From [`begin`] on they come from addresses that nothing
//! else is in.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

use dlmalloc::{Allocator, Dlmalloc};
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, mprotect, munmap};

/// Addresses cost nothing, and of so many no dataset needs all.
const MOST_BYTES: usize = 1 << 40;
/// Where a limit (RLIMIT_AS) does not leave twice as many, the mapper needs them elsewhere.
const LEAST_BYTES: usize = 1 << 26;

#[global_allocator]
static APART: Apart = Apart {
    begun: AtomicBool::new(false),
    heap: UnsafeCell::new(Dlmalloc::new_with_allocator(Reserved::none())),
};

/// From now on this process allocates apart; for the mapper alone, which soon ends: what was allocated before is never freed.
///
/// If addresses are too few for that, all stays as it was, and some of what is free in the parent will look used.
pub fn begin() {
    let Some(reserved) = Reserved::new() else {
        return;
    };
    #[expect(unsafe_code, reason = "an allocator is shared by nature")]
    // SAFETY: see `Sync` below for the one thread; nothing was allocated there yet, so nothing refers to the old value.
    unsafe {
        *APART.heap.get() = Dlmalloc::new_with_allocator(reserved);
    }
    APART.begun.store(true, Ordering::Relaxed);
}

/// glibc's until it has begun, then its own.
struct Apart {
    begun: AtomicBool,
    heap: UnsafeCell<Dlmalloc<Reserved>>,
}

#[expect(unsafe_code, reason = "a static must be shareable")]
// SAFETY: `heap` is touched only from `begin` on, and so only in the mapper. That is a forked process, which starts with one
// thread, and this program starts none. A thread that Python's hooks may start after a fork runs none of this program's code,
// and so does not allocate here: other libraries written in Rust have their own allocators. No signal handler allocates.
unsafe impl Sync for Apart {}

impl Apart {
    fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether this was allocated apart; asked only once that has begun.
    fn is_own(&self, start: *mut u8) -> bool {
        #[expect(unsafe_code, reason = "an allocator is shared by nature")]
        // SAFETY: one thread (see `Sync`), which is in no method of `heap`: these call only `Reserved`'s, and those nothing here.
        let heap = unsafe { &*self.heap.get() };
        heap.allocator().all.contains(&start.addr())
    }
}

#[expect(unsafe_code, reason = "allocators are unsafe by contract")]
// SAFETY: before it has begun all calls are glibc's allocator's, which has all there is by then. Afterwards memory is told apart by
// its address, as nothing else is where `heap`'s is; what is not of `heap` is left as it is, which its owner cannot tell from
// its being freed.
unsafe impl GlobalAlloc for Apart {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's guarantees are both allocators'; one thread uses `heap`, and none of `heap`'s methods comes back
        // here (see `Sync` and `is_own`).
        unsafe {
            if self.has_begun() {
                let start = (*self.heap.get()).malloc(layout.size(), layout.align());
                if !start.is_null() {
                    return start;
                }
                // All addresses are taken, or no memory is left; glibc's own may still do.
            }
            System.alloc(layout)
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's guarantees are `System`'s and `alloc`'s, and what `alloc` gives has the layout's size.
        unsafe {
            if !self.has_begun() {
                return System.alloc_zeroed(layout);
            }
            let start = self.alloc(layout);
            if !start.is_null() {
                start.write_bytes(0, layout.size());
            }
            start
        }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller has this memory from here with this layout: before it had begun from `System`, and if it is of
        // `heap`'s addresses from `heap`, which is used as in `alloc`.
        unsafe {
            if !self.has_begun() {
                System.dealloc(start, layout);
            } else if self.is_own(start) {
                (*self.heap.get()).free(start, layout.size(), layout.align());
            }
        }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`, and the caller guarantees that the new size makes a layout. Old and new memory do not overlap,
        // since the old is given back only then, and both have the bytes that are copied.
        unsafe {
            if !self.has_begun() {
                return System.realloc(start, layout, bytes);
            }
            if self.is_own(start) {
                let heap = &mut *self.heap.get();
                let moved = heap.realloc(start, layout.size(), layout.align(), bytes);
                if !moved.is_null() {
                    return moved;
                }
            }
            let moved = self.alloc(Layout::from_size_align_unchecked(bytes, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(start, moved, layout.size().min(bytes));
                self.dealloc(start, layout);
            }
            moved
        }
    }
}

/// Addresses where nothing is, handed out from the lowest on.
struct Reserved {
    all: Range<usize>,
    /// The first that was not handed out.
    next: Cell<usize>,
}

impl Reserved {
    const fn none() -> Self {
        Self {
            all: 0..0,
            next: Cell::new(0),
        }
    }

    /// As many as may be had, if at least as many remain for Python.
    ///
    /// Without access, which comes as they are handed out: only then does memory count, where the system allows no more than it
    /// has (overcommit_memory), and a mapping that may be written is one that the mapper looks through.
    fn new() -> Option<Self> {
        let halves = (0..).map(|halvings| MOST_BYTES >> halvings);
        let halves = halves.take_while(|bytes| *bytes >= LEAST_BYTES);
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        for bytes in halves {
            let twice = NonZeroUsize::new(2 * bytes)?;
            #[expect(unsafe_code, reason = "addresses are reserved by mapping them")]
            // SAFETY: a new mapping where the kernel likes; nobody can refer to it yet, so that half of it can go again.
            let start = unsafe {
                let Ok(start) = mmap_anonymous(None, twice, ProtFlags::PROT_NONE, flags) else {
                    continue;
                };
                munmap(start.byte_add(bytes), bytes).ok()?;
                start.as_ptr().expose_provenance()
            };
            return Some(Self {
                all: start..start + bytes,
                next: Cell::new(start),
            });
        }
        None
    }

    fn at(address: usize) -> Option<NonNull<c_void>> {
        NonNull::new(ptr::with_exposed_provenance_mut(address))
    }

    /// Gives back what is there from this address on.
    fn give_back(&self, from: usize) -> Option<()> {
        #[expect(unsafe_code, reason = "madvise takes memory away")]
        // SAFETY: it was handed out last, and whoever had it gives it back.
        let given = unsafe {
            madvise(
                Self::at(from)?,
                self.next.get() - from,
                MmapAdvise::MADV_DONTNEED,
            )
        };
        given.ok()?;
        self.next.set(from);
        Some(())
    }

    fn take(&self, bytes: usize) -> Option<NonNull<c_void>> {
        let next = self.next.get();
        let after = next
            .checked_add(bytes)
            .filter(|after| *after <= self.all.end)?;
        let start = Self::at(next)?;
        #[expect(unsafe_code, reason = "mprotect takes an address")]
        // SAFETY: these addresses are this range's, and of no one else's yet.
        let taken = unsafe { mprotect(start, bytes, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE) };
        taken.ok()?;
        self.next.set(after);
        Some(start)
    }
}

#[expect(unsafe_code, reason = "the trait is unsafe")]
// SAFETY: what `alloc` hands out is zeroed memory that can be written, stays where it is, and is handed out again only once
// `free_part` took it back. The sizes are multiples of `Dlmalloc`'s granularity, 64 KiB, and so of pages.
unsafe impl Allocator for Reserved {
    fn alloc(&self, bytes: usize) -> (*mut u8, usize, u32) {
        match self.take(bytes) {
            Some(start) => (start.as_ptr().cast(), bytes, 0),
            None => (ptr::null_mut(), 0, 0),
        }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    /// The end of what was handed out last.
    fn free_part(&self, start: *mut u8, bytes: usize, remaining: usize) -> bool {
        let (end, from) = (start.addr() + bytes, start.addr() + remaining);
        end == self.next.get() && self.give_back(from).is_some()
    }

    fn free(&self, start: *mut u8, bytes: usize) -> bool {
        self.free_part(start, bytes, 0)
    }

    fn can_release_part(&self, _: u32) -> bool {
        true
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        refcow::observe::page_size() as usize
    }
}
