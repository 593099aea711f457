//! The bytes of two processes, side by side.
//!
//! Not with `process_vm_readv(2)`: it pins the pages it reads (`FOLL_PIN`), and since Linux 5.19
//! the kernel first makes a pinned anonymous page the owner's alone (`mm/gup.c`,
//! `gup_must_unshare`). It would copy every shared page that it looks at and so do what is to be
//! measured. `/proc/PID/mem` takes a plain reference and leaves the page where it is;
//! `tests/instrument.rs` shows both.

use std::fs::File;
use std::os::unix::fs::FileExt;

use procfs::process::Process;

use super::mappings::ranges;
use super::{Error, Mappings, PageSet, PageStates, page_size, reading};

/// Bytes compared at a time: what two buffers need stays small however large the data.
const CHUNK_BYTES: u64 = 1 << 20;

/// The bytes of one page of a process.
///
/// Needs ptrace attach access.
///
/// # Errors
/// When the process may not be read, or has nothing there.
pub fn read_page(pid: i32, page: u64) -> Result<Vec<u8>, Error> {
    let file = open(pid)?;
    let mut buffer = vec![0; page_bytes()];
    read(&file, pid, &mut buffer, page)?;
    Ok(buffer)
}

/// The memory of a process that holds still, wherever reading makes it no page of its own: what is
/// in memory, and read-only mappings, whose pages the kernel then maps in as it would for the
/// process.
#[derive(Debug)]
pub struct StillMemory {
    file: File,
    readable: PageSet,
}

impl StillMemory {
    /// Of a process with these mappings, and pages in these states.
    ///
    /// # Errors
    /// When it may not be read.
    pub fn new(pid: i32, mappings: &Mappings, states: &PageStates) -> Result<Self, Error> {
        Ok(Self {
            file: open(pid)?,
            readable: (&mappings.private - &mappings.writable) | states.present(),
        })
    }

    /// Fills the buffer from an address on; whether all of it could be read.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        let Some(end) = address.checked_add(buffer.len() as u64) else {
            return false;
        };
        let mut pages = address / page_size()..end.div_ceil(page_size());
        pages.all(|page| self.readable.contains(page))
            && self.file.read_exact_at(buffer, address).is_ok()
    }
}

fn open(pid: i32) -> Result<File, Error> {
    Process::new(pid)
        .and_then(|process| process.mem())
        .map_err(reading(pid, "mem"))
}

/// Fills the buffer from the beginning of a page on.
fn read(file: &File, pid: i32, buffer: &mut [u8], page: u64) -> Result<(), Error> {
    file.read_exact_at(buffer, page * page_size())
        .map_err(|source| reading(pid, "mem")(source.into()))
}

fn page_bytes() -> usize {
    usize::try_from(page_size()).expect("a page fits into memory")
}

/// Those of `pages` that hold nothing but zeros.
///
/// Needs ptrace attach access.
///
/// # Errors
/// When the process may not be read, or a page has gone.
pub fn zero_pages(pid: i32, pages: &PageSet) -> Result<PageSet, Error> {
    let file = open(pid)?;
    let mut zero = PageSet::new();
    let mut buffer = vec![0; page_bytes()];
    for page in pages {
        read(&file, pid, &mut buffer, page)?;
        if buffer.iter().all(|byte| *byte == 0) {
            zero.insert(page);
        }
    }
    Ok(zero)
}

/// Those of `pages` whose bytes are the same in both processes.
///
/// Needs ptrace attach access to both.
///
/// # Errors
/// When either may not be read, or a page has gone.
pub fn identical_pages(one: i32, other: i32, pages: &PageSet) -> Result<PageSet, Error> {
    let mut identical = PageSet::new();
    if pages.is_empty() {
        return Ok(identical);
    }
    let (one_file, other_file) = (open(one)?, open(other)?);
    let page_bytes = page_bytes();
    let most = CHUNK_BYTES / page_size();
    let bytes_of =
        |count: u64| page_bytes * usize::try_from(count).expect("a chunk fits into memory");
    let ranges = ranges(pages);
    let counts = ranges.iter().map(|range| most.min(range.end - range.start));
    // Once, for the longest: to make them longer for each range is to write zeros that are read
    // over.
    let longest = bytes_of(counts.max().unwrap_or(0));
    let (mut ours, mut theirs) = (vec![0; longest], vec![0; longest]);
    for range in ranges {
        let mut first = range.start;
        while first < range.end {
            let count = most.min(range.end - first);
            let bytes = bytes_of(count);
            let (ours, theirs) = (&mut ours[..bytes], &mut theirs[..bytes]);
            read(&one_file, one, ours, first)?;
            read(&other_file, other, theirs, first)?;
            let equal = ours.chunks(page_bytes).zip(theirs.chunks(page_bytes));
            for (page, (our_page, their_page)) in (first..).zip(equal) {
                if our_page == their_page {
                    identical.insert(page);
                }
            }
            first += count;
        }
    }
    Ok(identical)
}
