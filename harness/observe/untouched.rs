//! Memory for tests that count what is written first.

use std::num::NonZeroUsize;

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous};

use crate::page_size;

/// So many pages that nobody has had, which stay. An allocator may give some that were in use, and a huge page has one fault.
pub(crate) fn untouched(pages: usize) -> &'static mut [u8] {
    let bytes = NonZeroUsize::new(pages * page_size() as usize).expect("some pages");
    let writable = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    #[expect(unsafe_code, reason = "an allocator gives no such memory")]
    // SAFETY: a new mapping, which replaces none, is all zeros, has no other reference, and stays.
    unsafe {
        let start = mmap_anonymous(None, bytes, writable, MapFlags::MAP_PRIVATE).expect("memory");
        // A kernel without huge pages has no such advice.
        let _ = madvise(start, bytes.get(), MmapAdvise::MADV_NOHUGEPAGE);
        std::slice::from_raw_parts_mut(start.cast().as_ptr(), bytes.get())
    }
}
