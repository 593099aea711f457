//! What is known of pages, by their numbers.

use rustc_hash::FxHashMap;

/// Neighbours are kept together: whoever writes to a page writes to the next one soon, and each look at another place in a large table
/// waits for memory.
const TOGETHER: u64 = 8;

/// A table by page.
#[derive(Debug)]
pub(super) struct PageTable<What> {
    /// By the number of the first page, divided by how many are together.
    together: FxHashMap<u64, [Option<What>; TOGETHER as usize]>,
}

impl<What> Default for PageTable<What> {
    fn default() -> Self {
        Self {
            together: FxHashMap::default(),
        }
    }
}

impl<What: Copy> PageTable<What> {
    /// Of a page, if anything is known.
    pub(super) fn get(&self, page: u64) -> Option<What> {
        self.together.get(&(page / TOGETHER))?[(page % TOGETHER) as usize]
    }

    pub(super) fn insert(&mut self, page: u64, what: What) {
        let together = self.together.entry(page / TOGETHER);
        together.or_insert([None; TOGETHER as usize])[(page % TOGETHER) as usize] = Some(what);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.together.is_empty()
    }

    /// All pages, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, What)> {
        self.together.iter().flat_map(|(first, together)| {
            let pages = first * TOGETHER..;
            let known = pages.zip(together);
            known.filter_map(|(page, what)| Some((page, (*what)?)))
        })
    }
}
