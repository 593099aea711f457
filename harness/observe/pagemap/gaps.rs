//! Where something is in a mapping and where nothing: reservations, as CUDA and sanitizers make
//! them, have terabytes of that.
//!
//! The kernel takes some 10 ms to write down in a pagemap that a GiB is nowhere. Of what is
//! somewhere it looks at each frame, which is far from what the processor has at hand. Asked for
//! one state alone it does neither.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;

use super::super::PageSet;
use super::super::mappings::detailed_maps;
use crate::page_size;

/// `PAGEMAP_SCAN`, `struct pm_scan_arg` and `struct page_region` of linux/fs.h, since Linux 6.7.
const PAGEMAP_SCAN: libc::c_ulong = 0xc060_6610;
const PAGE_IS_FILE: u64 = 1 << 2;
const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_SWAPPED: u64 = 1 << 4;
const PAGE_IS_ZERO: u64 = 1 << 5;
const PAGE_IS_HUGE: u64 = 1 << 6;

const SOMEWHERE: u64 = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;

#[repr(C)]
#[derive(Default)]
struct Scan {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    regions: u64,
    regions_len: u64,
    max_pages: u64,
    inverted: u64,
    all_of: u64,
    any_of: u64,
    told: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct ScannedRegion {
    start: u64,
    end: u64,
    categories: u64,
}

/// The gaps of one process.
#[derive(Debug)]
pub struct Gaps<'a> {
    pid: i32,
    pagemap: &'a File,
    /// Whether this kernel has the request.
    scans: bool,
    /// Of a kernel without it, once asked for: the mappings of which nothing is in memory or in
    /// swap, in pages.
    empty: Option<Vec<Range<u64>>>,
}

impl<'a> Gaps<'a> {
    pub(super) fn new(pid: i32, pagemap: &'a File) -> Self {
        Self {
            pid,
            pagemap,
            scans: true,
            empty: None,
        }
    }

    /// The next page of a range, from this one on, that may be somewhere; the range's end if none
    /// is.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn end(&mut self, page: u64, range: &Range<u64>) -> io::Result<u64> {
        if self.scans {
            match self.scan(page, range.end) {
                Err(Errno::ENOTTY | Errno::EINVAL) => self.scans = false,
                next => return Ok(next?),
            }
        }
        let empty = match &self.empty {
            Some(empty) => empty,
            None => self.empty.insert(empty_mappings(self.pid)?),
        };
        let is_empty = |mapping: &Range<u64>| mapping.contains(&page) && range.end <= mapping.end;
        Ok(if empty.iter().any(is_empty) {
            range.end
        } else {
            page
        })
    }

    fn scan(&self, page: u64, end: u64) -> nix::Result<u64> {
        let mut region = [ScannedRegion::default()];
        let (found, _) = scan(self.pagemap, page..end, &mut region, 1, SOMEWHERE)?;
        Ok(found
            .first()
            .map_or(end, |region| (region.start / page_size()).clamp(page, end)))
    }
}

/// Pages of these ranges that are in memory; `None` where the kernel has no such request, or some
/// are in swap or on their way to another frame.
pub(super) fn present(pagemap: &File, ranges: &[Range<u64>]) -> io::Result<Option<PageSet>> {
    pages_that_are(pagemap, ranges, SOMEWHERE, PAGE_IS_SWAPPED)
}

/// Pages of these ranges that are in memory or in swap and of no file; `None` where the kernel has
/// no such request.
pub(super) fn anonymous(pagemap: &File, ranges: &[Range<u64>]) -> io::Result<Option<PageSet>> {
    let mut pages = PageSet::new();
    let told = each_region(pagemap, ranges, SOMEWHERE | PAGE_IS_FILE, |region| {
        if region.categories & PAGE_IS_FILE == 0 {
            pages.insert_range(region.start / page_size()..region.end / page_size());
        }
        true
    })?;
    Ok(told.then_some(pages))
}

/// Pages of these ranges that a huge page holds, as one entry of the page tables; `None` where the
/// kernel has no such request.
pub(super) fn huge(pagemap: &File, ranges: &[Range<u64>]) -> io::Result<Option<PageSet>> {
    pages_that_are(pagemap, ranges, PAGE_IS_HUGE, 0)
}

/// Pages of these ranges in huge pages, and those that are the kernel's page of zeros (which may be
/// a huge one).
pub(super) fn huge_and_zero(
    pagemap: &File,
    ranges: &[Range<u64>],
) -> io::Result<Option<[PageSet; 2]>> {
    let (mut huge, mut zero) = (PageSet::new(), PageSet::new());
    let told = each_region(pagemap, ranges, PAGE_IS_HUGE | PAGE_IS_ZERO, |region| {
        let pages = region.start / page_size()..region.end / page_size();
        if region.categories & PAGE_IS_ZERO != 0 {
            zero.insert_range(pages);
        } else {
            huge.insert_range(pages);
        }
        true
    })?;
    Ok(told.then_some([huge, zero]))
}

/// Pages that are one of these; `None` where the kernel has no such request, or one is what it may
/// not be.
fn pages_that_are(
    pagemap: &File,
    ranges: &[Range<u64>],
    wanted: u64,
    unwanted: u64,
) -> io::Result<Option<PageSet>> {
    let mut pages = PageSet::new();
    let told = each_region(pagemap, ranges, wanted, |region| {
        pages.insert_range(region.start / page_size()..region.end / page_size());
        region.categories & unwanted == 0
    })?;
    Ok(told.then_some(pages))
}

/// Calls back with each stretch of pages that are one of what is wanted, until that says no;
/// whether it never did, and the kernel has such a request.
fn each_region(
    pagemap: &File,
    ranges: &[Range<u64>],
    wanted: u64,
    mut take: impl FnMut(&ScannedRegion) -> bool,
) -> io::Result<bool> {
    let mut regions = [ScannedRegion::default(); 512];
    for range in ranges {
        let mut page = range.start;
        while page < range.end {
            let (found, next) = match scan(pagemap, page..range.end, &mut regions, 0, wanted) {
                Err(Errno::ENOTTY | Errno::EINVAL) => return Ok(false),
                scanned => scanned?,
            };
            if !found.iter().all(&mut take) {
                return Ok(false);
            }
            // It goes on where there was no more room; a kernel that says nothing else has seen
            // all.
            page = if next > page { next } else { range.end };
        }
    }
    Ok(true)
}

/// Stretches of pages that are one of what is wanted, as many as there is room for or until `most`
/// pages were found (0: any number), and the page that was not looked at any more.
fn scan<'r>(
    pagemap: &File,
    pages: Range<u64>,
    regions: &'r mut [ScannedRegion],
    most: u64,
    wanted: u64,
) -> nix::Result<(&'r [ScannedRegion], u64)> {
    let bytes = |page: u64| page.checked_mul(page_size()).ok_or(Errno::EINVAL);
    let mut scan = Scan {
        size: size_of::<Scan>() as u64,
        start: bytes(pages.start)?,
        end: bytes(pages.end)?,
        regions: regions.as_mut_ptr().expose_provenance() as u64,
        regions_len: regions.len() as u64,
        max_pages: most,
        any_of: wanted,
        told: wanted,
        ..Scan::default()
    };
    #[expect(unsafe_code, reason = "nix has no such request")]
    // SAFETY: the request reads and writes `scan`, whose size it is told, and writes as many
    // regions as it is told there is room for; both outlive the call.
    let found = unsafe {
        libc::ioctl(
            pagemap.as_raw_fd(),
            PAGEMAP_SCAN as _,
            (&raw mut scan).cast::<libc::c_void>(),
        )
    };
    let found = usize::try_from(Errno::result(found)?).map_err(|_| Errno::EINVAL)?;
    let found = regions.get(..found).ok_or(Errno::EINVAL)?;
    Ok((found, scan.walk_end / page_size()))
}

/// From smaps, which tells it of a whole mapping. One that was only read is among them: it has the
/// kernel's one page of zeros, and nothing of its own.
fn empty_mappings(pid: i32) -> io::Result<Vec<Range<u64>>> {
    let maps = detailed_maps(pid).map_err(io::Error::other)?;
    let empty = maps.iter().filter(|map| {
        let bytes = |name| map.extension.map.get(name).copied();
        bytes("Rss") == Some(0) && bytes("Swap").unwrap_or(0) == 0
    });
    let pages = empty.map(|map| map.address.0 / page_size()..map.address.1 / page_size());
    Ok(pages.collect())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::ptr::NonNull;

    use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect};

    use super::super::{anonymous_pages, page_states, present_pages};
    use super::*;

    /// A reservation of 1 TiB, and its pages; between two that nobody may touch, as neighbours
    /// would become one mapping.
    fn reserved() -> (NonNull<u8>, Range<u64>) {
        let (bytes, page) = (1_usize << 40, page_size() as usize);
        let all = NonZeroUsize::new(bytes + 2 * page).unwrap();
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        #[expect(unsafe_code, reason = "addresses are reserved by mapping them")]
        // SAFETY: a new mapping, which replaces none, and stays.
        let start = unsafe {
            let all = mmap_anonymous(None, all, ProtFlags::PROT_NONE, flags).unwrap();
            let start = all.byte_add(page);
            let writable = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            mprotect(start, bytes, writable).unwrap();
            start.cast::<u8>()
        };
        let first = start.as_ptr().addr() as u64 / page_size();
        (start, first..first + bytes as u64 / page_size())
    }

    fn write(start: NonNull<u8>, page: u64) {
        #[expect(unsafe_code, reason = "a mapping is bare memory")]
        // SAFETY: within the mapping of `reserved`.
        unsafe {
            start
                .byte_add((page * page_size()) as usize)
                .write_volatile(1);
        }
    }

    #[test]
    fn what_was_written_far_apart_is_found_and_nothing_else() {
        let (start, pages) = reserved();
        let pid = std::process::id().cast_signed();
        let pagemap = File::open("/proc/self/pagemap").unwrap();
        let without_scan = || {
            let mut gaps = Gaps::new(pid, &pagemap);
            gaps.scans = false;
            gaps.end(pages.start, &pages).unwrap()
        };
        let read = || page_states(pid, std::slice::from_ref(&pages)).unwrap();
        assert_eq!(without_scan(), pages.end);
        assert!(read().present().is_empty());
        // Near ones and far ones, the first page and the last.
        let mut written: Vec<u64> = (0..2000).map(|index| index * index * 7).collect();
        written.push(pages.end - pages.start - 1);
        for page in &written {
            write(start, *page);
        }
        assert_eq!(without_scan(), pages.start);
        let present = read().present();
        // Asked for alone, in several pieces where the kernel has the request, it is the same.
        let alone = present_pages(pid, std::slice::from_ref(&pages)).unwrap();
        assert_eq!(alone, present);
        let present: Vec<_> = present.iter().map(|page| page - pages.start).collect();
        assert_eq!(present, written);
    }

    #[test]
    fn anonymous_pages_are_those_of_no_file() {
        let (start, range) = reserved();
        let pid = std::process::id().cast_signed();
        write(start, 3);
        write(start, 5);
        let found = anonymous_pages(pid, std::slice::from_ref(&range)).unwrap();
        assert_eq!(
            found,
            PageSet::from_iter([range.start + 3, range.start + 5])
        );
        // Of this program's file: what runs is in memory.
        let code = reserved as fn() -> (NonNull<u8>, Range<u64>);
        let page = (code as usize) as u64 / page_size();
        let code = page..page + 1;
        let states = page_states(pid, std::slice::from_ref(&code)).unwrap();
        assert_eq!(states.present().len(), 1);
        let found = anonymous_pages(pid, &[code]).unwrap();
        assert_eq!(found, PageSet::new());
    }
}
