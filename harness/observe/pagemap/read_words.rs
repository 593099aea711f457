//! Words of a pagemap that are asked for one by one, and read many at a time.

use std::cell::RefCell;

use rustc_hash::FxHashMap;

use super::words::{Pagemap, Word};

/// As many words are read together: one call of the kernel costs as much as most of them. Each page is asked for several times, and its
/// neighbours come next.
const BLOCK: usize = 32;
/// As many blocks are kept, for a program that writes here and there.
const MOST_BLOCKS: usize = 4096;

/// The words of a process, which are kept until they are to be read anew.
#[derive(Debug)]
pub struct ReadWords {
    pagemap: Pagemap,
    /// By the number of the block.
    blocks: RefCell<FxHashMap<u64, [Word; BLOCK]>>,
}

impl ReadWords {
    /// Of a process.
    pub fn new(pagemap: Pagemap) -> Self {
        Self {
            pagemap,
            blocks: RefCell::default(),
        }
    }

    /// The word of one page, at a moment since [`Self::read_anew`]; `None` where the process has gone.
    pub fn word_if_there(&self, page: u64) -> Option<Word> {
        let (block, place) = (page / BLOCK as u64, (page % BLOCK as u64) as usize);
        let mut blocks = self.blocks.borrow_mut();
        if let Some(words) = blocks.get(&block) {
            return Some(words[place]);
        }
        let mut words = [Word::default(); BLOCK];
        // The last block of all addresses has an end; and whoever has gone has none.
        let Ok(()) = self
            .pagemap
            .read(block * BLOCK as u64, &mut words, &mut Vec::new())
        else {
            return self.pagemap.word_if_there(page);
        };
        if blocks.len() >= MOST_BLOCKS {
            blocks.clear();
        }
        blocks.insert(block, words);
        Some(words[place])
    }

    /// What was read may have changed.
    pub fn read_anew(&self) {
        self.blocks.borrow_mut().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_size;
    use crate::untouched::untouched;

    #[test]
    fn a_word_is_as_it_was_until_it_is_read_anew() {
        let memory = untouched(2 * BLOCK);
        let first = memory.as_ptr() as u64 / page_size();
        let pid = std::process::id().cast_signed();
        let words = ReadWords::new(Pagemap::open(pid).unwrap());
        let all =
            || (first..first + 2 * BLOCK as u64).map(|page| words.word_if_there(page).unwrap());
        assert!(all().all(|word| !word.is_anonymous()));
        memory.fill(1);
        assert!(all().all(|word| !word.is_anonymous()));
        words.read_anew();
        assert!(all().all(|word| word.is_anonymous() || word.is_swapped()));
    }

    #[test]
    fn the_last_page_of_all_addresses_has_a_word() {
        let words = ReadWords::new(Pagemap::open(std::process::id().cast_signed()).unwrap());
        for page in [0x7_ffff_fffe, 0x7_ffff_ffff - BLOCK as u64] {
            assert_eq!(words.word_if_there(page), Some(Word::default()));
        }
    }
}
