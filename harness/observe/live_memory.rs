//! The memory of a process that runs, read where that changes nothing of it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use procfs::process::Process;

use super::{Error, Mappings, Pagemap, mappings, page_size, reading};

/// As [`StillMemory`](super::StillMemory), of a process that does not hold still: what is in memory
/// is asked anew for each page.
#[derive(Debug)]
pub struct LiveMemory {
    pid: i32,
    file: File,
    pagemap: Pagemap,
    mappings: Mappings,
    /// How often mappings were read anew for an address that is not in memory.
    anew: u32,
}

/// Programs that load libraries all the time are not followed for ever.
const MOST_ANEW: u32 = 50;

impl LiveMemory {
    /// Opens it. Needs ptrace attach access.
    ///
    /// # Errors
    /// When the process is gone or may not be read.
    pub fn open(pid: i32) -> Result<Self, Error> {
        let file = Process::new(pid).and_then(|process| process.mem());
        Ok(Self {
            pid,
            file: file.map_err(reading(pid, "mem"))?,
            pagemap: Pagemap::open(pid)?,
            mappings: mappings(pid)?,
            anew: 0,
        })
    }

    /// Fills the buffer from an address on; whether all of it could be read.
    pub fn read(&mut self, address: u64, buffer: &mut [u8]) -> bool {
        let Some(end) = address.checked_add(buffer.len() as u64) else {
            return false;
        };
        (address / page_size()..end.div_ceil(page_size())).all(|page| self.is_readable(page))
            && self.file.read_exact_at(buffer, address).is_ok()
    }

    /// In memory, or of a mapping that is only read: its pages are those of a file, which the
    /// kernel maps in as it would for the process.
    fn is_readable(&mut self, page: u64) -> bool {
        let word = self.pagemap.word(page);
        if !word.is_nowhere() {
            return !word.is_swapped();
        }
        let is_read_only = |mappings: &Mappings| {
            mappings.of_files.contains(page) && !mappings.writable.contains(page)
        };
        if is_read_only(&self.mappings) {
            return true;
        }
        let is_known = self.mappings.private.contains(page) || self.mappings.shared.contains(page);
        if !is_known && self.anew < MOST_ANEW {
            self.anew += 1;
            if let Ok(now) = mappings(self.pid) {
                self.mappings = now;
            }
            return is_read_only(&self.mappings);
        }
        false
    }
}
