//! Pages, and how large they are.

use std::sync::LazyLock;

/// The kernel's base page in bytes, from `sysconf(_SC_PAGESIZE)`.
pub fn page_size() -> u64 {
    static SIZE: LazyLock<u64> = LazyLock::new(procfs::page_size);
    *SIZE
}

/// Page numbers: virtual addresses divided by the page size.
pub type PageSet = roaring::RoaringTreemap;
