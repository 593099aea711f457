//! The memory of a process that runs, read where that changes nothing of it.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use procfs::process::Process;

use super::{Error, Mappings, Pagemap, ReadWords, mappings, page_size, reading};

/// As [`StillMemory`](super::StillMemory), of a process that does not hold still: what is in memory
/// is asked anew for each page. What was read is kept until it is to be read anew.
#[derive(Debug)]
pub struct LiveMemory {
    pid: i32,
    file: File,
    words: ReadWords,
    mappings: Mappings,
    /// How often mappings were read anew for an address that is not in memory.
    anew: u32,
    /// Pieces that were read, with their numbers.
    pieces: Vec<(u64, [u8; PIECE])>,
}

/// As many bytes are read together. Of a page little is wanted, and to bring all of it from memory takes longer than another call.
const PIECE: usize = 512;
/// An object, what is in front of it, its type and the names of that are in fewer.
const MOST_PIECES: usize = 32;

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
            pieces: Vec::new(),
        })
    }

    /// Fills the buffer from an address on, with what was there since [`Self::read_anew`]; whether all of it could be read.
    pub fn read(&mut self, mut address: u64, mut buffer: &mut [u8]) -> bool {
        if address.checked_add(buffer.len() as u64).is_none() {
            return false;
        }
        while !buffer.is_empty() {
            let Some(content) = self.piece(address / PIECE as u64) else {
                return false;
            };
            let content = &content[(address % PIECE as u64) as usize..];
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
        self.pieces.clear();
    }

    fn piece(&mut self, piece: u64) -> Option<&[u8; PIECE]> {
        if let Some(place) = self.pieces.iter().position(|(number, _)| *number == piece) {
            return Some(&self.pieces[place].1);
        }
        let address = piece * PIECE as u64;
        if !self.is_readable(address / page_size()) {
            return None;
        }
        let mut content = [0; PIECE];
        self.file.read_exact_at(&mut content, address).ok()?;
        if self.pieces.len() >= MOST_PIECES {
            self.pieces.clear();
        }
        self.pieces.push((piece, content));
        self.pieces.last().map(|(_, content)| content)
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
