//! Objects of builds without the GIL (PEP 703; `PyObject` of Include/object.h, from 3.13 on).
//!
//! An object begins with the thread that made it, a word with the lock, the bits of the collector
//! and that thread's count, and the count of all other threads. Its type and all that follows
//! stands 16 bytes behind where builds with the GIL have it.

use std::sync::Arc;

use super::at::{At, Part};
use super::types::Type;
use super::{ALIGNMENT, Headers, WORD};

/// Where `ob_gc_bits`, `ob_ref_local` and `ob_type` are; `ob_tid` is the first word, and
/// `ob_ref_shared` stands between the last two.
const GC_BITS: u64 = 11;
const LOCAL: u64 = 12;
const TYPE: u64 = 24;

impl<Read: FnMut(u64, &mut [u8]) -> bool> Headers<Read> {
    /// For a process of CPython 3.`minor` without the GIL.
    pub fn free_threaded(minor: u8, read: Read) -> Self {
        Self {
            free_threaded: true,
            ..Self::new(minor, read)
        }
    }

    /// How much further behind an object's first byte its type is, and each field behind that.
    pub(super) fn shift(&self) -> u64 {
        match self.free_threaded {
            true => TYPE - WORD as u64,
            false => 0,
        }
    }

    /// The type of an object with these words behind its first one; none of what cannot be one.
    pub(super) fn type_behind_counts(
        &mut self,
        bits: u64,
        shared: u64,
        kind: u64,
    ) -> Option<Arc<Type>> {
        /// Two bits say who may write it.
        const STATE_BITS: u32 = 2;
        let local = bits >> 32;
        // One thread may have dropped what another one took.
        let shared = shared.cast_signed() >> STATE_BITS;
        // An address, as an array of pointers has here, is more.
        if u32::try_from(shared.unsigned_abs()).is_err() || local == 0 && shared <= 0 {
            return None;
        }
        self.type_at(kind)
    }

    /// What is at an address in the first words of an object. What is behind them is known of no
    /// object: nothing tells how long the blocks are.
    pub(super) fn in_head(&mut self, address: u64) -> Option<At> {
        let nearest = address - address % ALIGNMENT;
        // The first half of an object's head, or the second.
        [nearest, nearest.checked_sub(ALIGNMENT)?]
            .into_iter()
            .find_map(|object| {
                let part = match address - object {
                    0..8 | GC_BITS => Part::Collector,
                    LOCAL..TYPE => Part::Count,
                    8..LOCAL => Part::Body,
                    _ => return None,
                };
                let mut words = [0; 4];
                for (place, word) in (object..).step_by(WORD).zip(&mut words) {
                    *word = self.word(place)?;
                }
                let of_type = self.type_of(&words)?;
                Some(self.of_object(part, object, &of_type))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HEAP, MemoryWords, THING};
    use super::*;

    const MADE_BY: u64 = 0x7f12_3456_7740;

    fn at(words: &MemoryWords, address: u64) -> Option<(Part, String)> {
        let found = Headers::free_threaded(13, words.clone().reader()).at(address)?;
        Some((found.part, found.type_name?.to_string()))
    }

    fn some(part: Part) -> Option<(Part, String)> {
        Some((part, "thing".to_owned()))
    }

    #[test]
    fn each_field_of_the_head_is_a_count_the_collectors_or_another() {
        let mut words = MemoryWords::free_threaded();
        let object = HEAP + 64;
        words.put(object, &[MADE_BY, 1 << 32, 0, THING, 7]);
        assert_eq!(at(&words, object), some(Part::Collector));
        assert_eq!(at(&words, object + 10), some(Part::Body));
        assert_eq!(at(&words, object + 11), some(Part::Collector));
        assert_eq!(at(&words, object + 12), some(Part::Count));
        assert_eq!(at(&words, object + 16), some(Part::Count));
        assert_eq!(at(&words, object + 24), None);
        assert_eq!(at(&words, object + 32), None);
        // With the GIL, nothing is there.
        let mut with_gil = Headers::new(13, words.reader());
        assert_eq!(with_gil.at(object), None);
    }

    #[test]
    fn what_has_no_count_or_too_large_a_one_is_no_object() {
        let with = |bits: u64, shared: u64| {
            let mut words = MemoryWords::free_threaded();
            words.put(HEAP + 64, &[MADE_BY, bits, shared, THING]);
            at(&words, HEAP + 76)
        };
        assert_eq!(with(1 << 32, 0), some(Part::Count));
        // Only other threads hold it; they dropped two of the three that its own thread took.
        assert_eq!(with(0, 1 << 2 | 3), some(Part::Count));
        assert_eq!(
            with(3 << 32, (-2_i64 << 2).cast_unsigned()),
            some(Part::Count)
        );
        // Freed; and an array of pointers.
        assert_eq!(with(0, 0), None);
        assert_eq!(with(0, 3), None);
        assert_eq!(with(HEAP, HEAP), None);
    }

    #[test]
    fn an_object_on_a_page_is_named_by_its_type() {
        let mut words = MemoryWords::free_threaded();
        words.put(HEAP + 128, &[MADE_BY, 1 << 32, 0, THING]);
        let page = HEAP / crate::page_size();
        let pages = std::iter::once(page).collect();
        let none = crate::PageSet::new();
        let found = Headers::free_threaded(13, words.reader()).types_on(&pages, &none);
        assert_eq!(found.get(&page).map(|name| &**name), Some("thing"));
    }
}
