//! The memory of a process that runs, read where that changes nothing of it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use procfs::process::Process;

use super::{Error, Mappings, Pagemap, ReadWords, mappings, page_size, reading};

/// As [`StillMemory`](super::StillMemory), of a process that does not hold still: what is in memory
/// is asked anew for each page. Pages that were read are kept until they are to be read anew.
#[derive(Debug)]
pub struct LiveMemory {
    pid: i32,
    file: File,
    words: ReadWords,
    mappings: Mappings,
    /// How often mappings were read anew for an address that is not in memory.
    anew: u32,
    /// Pages that were read, with their numbers.
    pages: Vec<(u64, Box<[u8]>)>,
    /// Room for further ones.
    spare: Vec<Box<[u8]>>,
}

/// An object, what is in front of it, its type and the names of that are in fewer.
const MOST_PAGES: usize = 16;

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
            words: ReadWords::new(Pagemap::open(pid)?),
            mappings: mappings(pid)?,
            anew: 0,
            pages: Vec::new(),
            spare: Vec::new(),
        })
    }

    /// Fills the buffer from an address on, with what was there since [`Self::read_anew`]; whether all of it could be read.
    pub fn read(&mut self, mut address: u64, mut buffer: &mut [u8]) -> bool {
        if address.checked_add(buffer.len() as u64).is_none() {
            return false;
        }
        while !buffer.is_empty() {
            let Some(content) = self.page(address / page_size()) else {
                return false;
            };
            let content = &content[(address % page_size()) as usize..];
            let (filled, rest) = buffer.split_at_mut(content.len().min(buffer.len()));
            filled.copy_from_slice(&content[..filled.len()]);
            address += filled.len() as u64;
            buffer = rest;
        }
        true
    }

    /// What was read may have changed.
    pub fn read_anew(&mut self) {
        self.words.read_anew();
        self.forget_pages();
    }

    fn forget_pages(&mut self) {
        self.spare
            .extend(self.pages.drain(..).map(|(_, page)| page));
    }

    fn page(&mut self, page: u64) -> Option<&[u8]> {
        if let Some(place) = self.pages.iter().position(|(number, _)| *number == page) {
            return Some(&self.pages[place].1);
        }
        if !self.is_readable(page) {
            return None;
        }
        if self.pages.len() >= MOST_PAGES {
            self.forget_pages();
        }
        let new = || vec![0; page_size() as usize].into();
        let mut content = self.spare.pop().unwrap_or_else(new);
        let read = self.file.read_exact_at(&mut content, page * page_size());
        self.pages.push((page, content));
        match read {
            Ok(()) => self.pages.last().map(|(_, content)| &content[..]),
            Err(_) => {
                self.spare.extend(self.pages.pop().map(|(_, page)| page));
                None
            }
        }
    }

    /// In memory, or of a mapping that is only read: its pages are those of a file, which the
    /// kernel maps in as it would for the process.
    fn is_readable(&mut self, page: u64) -> bool {
        let word = self.words.word_if_there(page).unwrap_or_default();
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
