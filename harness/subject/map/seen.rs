//! Which addresses the walk has been at.

use std::collections::HashMap;
use std::ops::Range;

/// Addresses that have been seen, one bit for eight bytes.
#[derive(Default)]
pub(super) struct SeenAddresses {
    /// Which of `bits` is a page's: of pages of 4 KiB, 32 bits count 16 TiB.
    pages: HashMap<usize, u32>,
    bits: Vec<[u64; 8]>,
    last: Option<(usize, u32)>,
}

impl SeenAddresses {
    /// None yet, with room for the bits of so many pages.
    pub(super) fn within(bits: Vec<[u64; 8]>) -> Self {
        Self {
            bits,
            ..Self::default()
        }
    }

    /// Whether the address has been seen.
    pub(super) fn has(&self, address: usize) -> bool {
        let (page, word, bit) = Self::place(address);
        self.pages
            .get(&page)
            .is_some_and(|place| self.bits[*place as usize][word] & bit != 0)
    }

    /// Whether the address is new.
    pub(super) fn insert(&mut self, address: usize) -> bool {
        let (page, word, bit) = Self::place(address);
        let place = match self.last {
            Some((last, place)) if last == page => place,
            _ => *self.pages.entry(page).or_insert_with(|| {
                self.bits.push([0; 8]);
                (self.bits.len() - 1) as u32
            }),
        };
        self.last = Some((page, place));
        let word = &mut self.bits[place as usize][word];
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Has the address be new again.
    pub(super) fn remove(&mut self, address: usize) {
        let (page, word, bit) = Self::place(address);
        if let Some(place) = self.pages.get(&page) {
            self.bits[*place as usize][word] &= !bit;
        }
    }

    /// Whether any address in this range has been seen.
    pub(super) fn has_any(&self, range: Range<usize>) -> bool {
        let mut address = range.start;
        while address < range.end {
            let next = (address / 4096 + 1) * 4096;
            if let Some(place) = self.pages.get(&(address >> 12)) {
                let bits = &self.bits[*place as usize];
                let mut grains = (address..next.min(range.end)).step_by(8);
                if grains.any(|grain| {
                    let (_, word, bit) = Self::place(grain);
                    bits[word] & bit != 0
                }) {
                    return true;
                }
            }
            address = next;
        }
        false
    }

    /// Its page of 4 KiB, and where in that page's bits.
    fn place(address: usize) -> (usize, usize, u64) {
        let grain = address % 4096 / 8;
        (address >> 12, grain / 64, 1 << (grain % 64))
    }
}
