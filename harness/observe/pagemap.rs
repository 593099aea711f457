//! `/proc/PID/pagemap`: one 64-bit word a page (Linux `Documentation/admin-guide/mm/pagemap.rst`).

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use procfs::process::{MemoryPageFlags, Process};

use super::mappings::private_memory;
use super::{Error, PageSet, reading};

mod absent;
mod gaps;
mod read_words;
mod states;
mod words;

pub use gaps::Gaps;
pub use read_words::ReadWords;
pub use states::PageStates;
#[cfg(test)]
pub(super) use states::tests;
pub use words::{FrameFlags, Pagemap, Word};

use absent::Absent;
use states::{SOMEWHERE, STATE, WORD, count, flags};

/// Pages asked of the kernel in one read: 32 KiB of words, which stay in the processor's nearest
/// cache.
const PAGES_PER_READ: usize = 4096;

/// While the kernel moves a page to another frame, pagemap shows it as one in swap. It takes up to a
/// batch of pages at a time, and may have to wait for a processor in the middle of it. What stays for
/// longer, the kernel has put aside (memory of devices, broken memory).
const MOVING: Duration = Duration::from_millis(200);
/// Where nobody tells what moves from what is in swap.
const PERHAPS_MOVING: Duration = Duration::from_millis(20);
/// But of a large process one reading may take that long.
const LEAST_READINGS: u32 = 4;

/// Reads the state of all pages in `ranges`, which are page numbers in ascending order.
///
/// Frame numbers need CAP_SYS_ADMIN; without it the kernel shows 0 for each (Linux 4.2), and they
/// are absent here. Pages that are on their way to another frame are waited for.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn page_states(pid: i32, ranges: &[Range<u64>]) -> Result<PageStates, Error> {
    let file = open(pid)?;
    let read = || read(pid, &file, ranges).map_err(|source| reading(pid, "pagemap")(source.into()));
    let began = Instant::now();
    let mut states = read()?;
    for readings in 1_u32.. {
        let patience = match states.absent() {
            None | Some(Absent::Mark | Absent::Swap) => break,
            Some(Absent::Untold) if absent::has_swap() => PERHAPS_MOVING,
            Some(Absent::Untold | Absent::Moving) => MOVING,
        };
        if readings >= LEAST_READINGS && began.elapsed() >= patience {
            break;
        }
        states = read()?;
    }
    Ok(states)
}

/// How many anonymous pages a process has for its own, but for these, in ascending order: as it
/// runs, at one glance. A page that the kernel moves just then is missed.
///
/// # Errors
/// As there.
pub(super) fn own_pages(pid: i32, but: &[u64]) -> Result<u64, Error> {
    let failed = |source: std::io::Error| reading(pid, "pagemap")(source.into());
    let pagemap = open(pid)?;
    let mut buffer = vec![0_u8; PAGES_PER_READ * WORD];
    let mut gaps = Gaps::new(pid, &pagemap);
    let mut own = 0;
    for range in private_memory(pid)? {
        let mut page = range.start;
        let mut nothing = true;
        while page < range.end {
            if nothing && range.end - page > PAGES_PER_READ as u64 {
                page = gaps.end(page, &range).map_err(failed)?;
            }
            let wanted = range.end.saturating_sub(page).min(PAGES_PER_READ as u64);
            let bytes = &mut buffer[..count(wanted) * WORD];
            pagemap
                .read_exact_at(bytes, page * WORD as u64)
                .map_err(failed)?;
            let (words, _) = bytes.as_chunks::<WORD>();
            let is_own = |word: &[u8; WORD]| (flags(word) & STATE) == OWN;
            own += words.iter().filter(|word| is_own(word)).count() as u64;
            let known = &but[but.partition_point(|known| *known < page)..];
            let known = known.iter().take_while(|known| **known < page + wanted);
            own -= known
                .filter(|known| is_own(&words[count(*known - page)]))
                .count() as u64;
            nothing = words.iter().all(|word| !flags(word).intersects(SOMEWHERE));
            page += wanted;
        }
    }
    Ok(own)
}

/// In memory, in one process alone, and of no file.
const OWN: MemoryPageFlags = MemoryPageFlags::PRESENT.union(MemoryPageFlags::MMAP_EXCLUSIVE);

/// Reads which of these pages are in memory, and nothing else of them: where the kernel can be
/// asked that (Linux 6.7), it takes a small part of the time.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn present_pages(pid: i32, ranges: &[Range<u64>]) -> Result<PageSet, Error> {
    let failed = reading(pid, "pagemap");
    let file = open(pid)?;
    match gaps::present(&file, ranges).map_err(|source| failed(source.into()))? {
        Some(present) => Ok(present),
        None => Ok(page_states(pid, ranges)?.present()),
    }
}

/// Reads which of these pages are in memory or in swap, and of no file.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn anonymous_pages(pid: i32, ranges: &[Range<u64>]) -> Result<PageSet, Error> {
    let failed = |source: std::io::Error| reading(pid, "pagemap")(source.into());
    let file = open(pid)?;
    if let Some(pages) = gaps::anonymous(&file, ranges).map_err(failed)? {
        return Ok(pages);
    }
    let states = read(pid, &file, ranges).map_err(failed)?;
    Ok(states.anonymous() | states.swapped())
}

/// Which of these pages are part of a huge page; `None` where the kernel does not tell (before
/// Linux 6.7).
///
/// # Errors
/// When the process is gone or may not be read.
pub fn huge_pages(pid: i32, ranges: &[Range<u64>]) -> Result<Option<PageSet>, Error> {
    gaps::huge(&open(pid)?, ranges).map_err(|source| reading(pid, "pagemap")(source.into()))
}

fn open(pid: i32) -> Result<File, Error> {
    Process::new(pid)
        .and_then(|process| process.open_relative("pagemap"))
        .map_err(reading(pid, "pagemap"))
}

fn read(pid: i32, pagemap: &File, ranges: &[Range<u64>]) -> std::io::Result<PageStates> {
    let mut states = PageStates::default();
    let mut buffer = vec![0_u8; PAGES_PER_READ * WORD];
    let mut gaps = Gaps::new(pid, pagemap);
    for range in ranges {
        let mut page = range.start;
        // A reservation may begin with nothing; where something was, something is likely to follow.
        let mut nothing = true;
        while page < range.end {
            if nothing && range.end - page > PAGES_PER_READ as u64 {
                page = gaps.end(page, range)?;
            }
            let wanted = usize::try_from(range.end - page)
                .unwrap_or(usize::MAX)
                .min(PAGES_PER_READ);
            let bytes = &mut buffer[..wanted * WORD];
            pagemap.read_exact_at(bytes, page * WORD as u64)?;
            let (words, _) = bytes.as_chunks::<WORD>();
            nothing = !states.extend(page, words);
            page += wanted as u64;
        }
    }
    states.hide_absent_frames();
    Ok(states)
}
