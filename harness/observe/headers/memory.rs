//! Which memory is an object's: its block in a pool, and the chunks of glibc's that it and what it
//! has out of line fill.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::types::{DICT, LIST};
use super::{ALIGNMENT, END_OF_ADDRESSES, Headers, Object, POOL_HEADER, WORD, is_address};
use crate::page_size;

const SIZE_CLASSES: u64 = 32;

/// Addresses, and the type of the object whose memory is there.
pub(super) type ObjectExtent = (Range<u64>, Arc<str>);

impl<Read: FnMut(u64, &mut [u8]) -> bool> Headers<Read> {
    /// The memory of these objects that goes on over further pages.
    pub(super) fn claim(&mut self, objects: &[Object], claims: &mut Vec<ObjectExtent>) {
        for object in objects {
            for start in self.memory_of(object) {
                if let Some(chunk) = self.chunk(start) {
                    claims.push((chunk, Arc::clone(&object.of_type.name)));
                }
            }
        }
    }

    /// How long the blocks of the pool are that this address is in, if it is in one.
    pub(super) fn pool_of(&mut self, address: u64) -> Option<u64> {
        if self.free_threaded {
            return None;
        }
        let pool = address - address % self.pool_bytes;
        let mut header = [0; POOL_HEADER as usize];
        if !(self.read)(pool, &mut header) {
            return None;
        }
        // Fields of 32 bits.
        let half = |index: usize| {
            let mut half = [0; 4];
            half.copy_from_slice(&header[4 * index..4 * index + 4]);
            u64::from(u32::from_ne_bytes(half))
        };
        let (used, size_class, next, most) = (half(0), half(9), half(10), half(11));
        if size_class >= SIZE_CLASSES {
            return None;
        }
        let block_bytes = (size_class + 1) * ALIGNMENT;
        // `maxnextoffset` is what remains to be certain of.
        let plausible = most == self.pool_bytes - block_bytes
            && next >= POOL_HEADER
            && next <= most + block_bytes
            && (next - POOL_HEADER).is_multiple_of(block_bytes)
            && used <= (self.pool_bytes - POOL_HEADER) / block_bytes;
        plausible.then_some(block_bytes)
    }

    /// Where the memory of an object begins: its own, and what it has out of line.
    fn memory_of(&mut self, object: &Object) -> Vec<u64> {
        /// `PyListObject.ob_item`, `PyDictObject.ma_keys` and `.ma_values`; below,
        /// `PySetObject.table`, `PyByteArrayObject.ob_bytes`, `arrayobject.ob_item` and NumPy's
        /// `PyArrayObject_fields.data`.
        const ITEMS: u64 = 24;
        const KEYS: u64 = 32;
        const VALUES: u64 = 40;
        let Object { address, of_type } = object;
        let offsets: &[u64] = match &*of_type.name {
            _ if of_type.flags & LIST != 0 => &[ITEMS],
            _ if of_type.flags & DICT != 0 => &[KEYS, VALUES],
            "set" | "frozenset" => &[40],
            "bytearray" => &[32],
            "array.array" => &[24],
            "numpy.ndarray" => &[16],
            _ => &[],
        };
        let mut all = vec![address - self.before(of_type)];
        all.extend(
            offsets
                .iter()
                .filter_map(|offset| self.word(address + self.shift() + offset)),
        );
        all
    }

    /// The chunk of glibc's whose content begins at this address (malloc/malloc.c, `struct
    /// malloc_chunk`), if it is longer than the blocks of pymalloc and both its size and what is
    /// behind it are plausible.
    fn chunk(&mut self, content: u64) -> Option<Range<u64>> {
        const FLAGS: u64 = 7;
        const PREVIOUS_IN_USE: u64 = 1;
        const MAPPED: u64 = 2;
        const LEAST: u64 = 512;
        if !is_address(content) || !content.is_multiple_of(ALIGNMENT) {
            return None;
        }
        let word = WORD as u64;
        let size = self.word(content - word)?;
        let (bytes, flags) = (size & !FLAGS, size & FLAGS);
        let start = content - 2 * word;
        let end = start
            .checked_add(bytes)
            .filter(|end| *end < END_OF_ADDRESSES)?;
        // Since glibc 2.43 the size of a mapping is that without the chunk's head.
        let end = match flags & MAPPED {
            MAPPED if (end + 2 * word).is_multiple_of(page_size()) => end + 2 * word,
            _ => end,
        };
        if bytes <= LEAST || !bytes.is_multiple_of(ALIGNMENT) {
            return None;
        }
        let plausible = match flags & MAPPED {
            // In a mapping of its own, which it fills. Its end need not have been touched.
            MAPPED => {
                flags == MAPPED
                    && self.word(start) == Some(0)
                    && start.is_multiple_of(page_size())
                    && end.is_multiple_of(page_size())
            }
            _ => {
                // The next chunk says that this one is in use.
                let next = self.word(end + word)?;
                next & PREVIOUS_IN_USE != 0 && next & !FLAGS >= 2 * word
            }
        };
        plausible.then_some(content..end)
    }
}

/// Gives these pages, in ascending order, the names of what claims them, if they have none. Not
/// page by page of what is claimed, which is as much as a word of that memory says.
pub(super) fn settle(claims: Vec<ObjectExtent>, pages: &[u64], found: &mut HashMap<u64, Arc<str>>) {
    for (bytes, name) in claims {
        let claimed = bytes.start / page_size()..bytes.end.div_ceil(page_size());
        let first = pages.partition_point(|page| *page < claimed.start);
        for page in pages[first..]
            .iter()
            .take_while(|page| **page < claimed.end)
        {
            found.entry(*page).or_insert_with(|| Arc::clone(&name));
        }
    }
}
