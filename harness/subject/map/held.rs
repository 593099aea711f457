//! What objects hold and the walk has not found.

use std::ops::Range;

use pyo3::prelude::*;
use refcow_model::NotWalked;
use refcow_observe::page_size;

use super::known::Known;
use super::types::lookup;
use super::walk::Walk;

impl<'py> Walk<'py> {
    /// Looks whether an object holds more than was found of it: whether it says that it is larger,
    /// as C extensions' own containers do, or its struct leads to memory that is no object's and
    /// not its own.
    pub(super) fn compare(
        &mut self,
        object: &Bound<'py, PyAny>,
        known: Known,
        found: usize,
        own: &Range<usize>,
    ) {
        let left = &mut self.to_compare[known.of_type as usize];
        if *left == 0 {
            return;
        }
        let before = *left;
        *left -= 1;
        let class = object.get_type();
        let says = lookup(&class, "__sizeof__")
            .filter(|says| self.is_of_c(says) && !says.is(&self.plain_sizeof));
        let says = says.and_then(|says| says.call1((object,)).ok());
        // A type's own answer may be an error.
        let says = says.and_then(|bytes| bytes.extract::<usize>().ok());
        let mut found = found;
        let mut led_to = 0;
        let mut holds = false;
        if known.besides.is_foreign {
            for word in known.besides.words(object.as_ptr()) {
                let is_memory = self.heap.word_if_there(word & !7).is_some();
                if !is_memory || own.contains(&word) {
                    continue;
                }
                if self.is_object(word) {
                    // It may count this among its own, as `io.BytesIO` does.
                    found += self.heap.block_bytes(word).unwrap_or(0);
                    continue;
                }
                holds = true;
                // Several may share one.
                if let Some(bytes) = self.heap.block_bytes(word)
                    && self.led_to.insert(word)
                {
                    led_to += bytes;
                }
            }
        }
        let more = says.unwrap_or(0).saturating_sub(found);
        if holds || more > 0 {
            let more = more.max(led_to);
            if !holds {
                let name = self.name_of(&class);
                self.told.insert(name);
            }
            self.to_compare[known.of_type as usize] = before;
            self.note(object, more);
        }
    }

    /// What objects hold and the walk has not found. What a type tells in full, and is less than a
    /// page, is not worth a word.
    pub(super) fn not_walked(&self) -> Vec<NotWalked> {
        let all = self.not_walked.values();
        let much =
            all.filter(|held| held.bytes >= page_size() || !self.told.contains(&held.of_type));
        much.cloned().collect()
    }

    /// Notes that an object holds so many bytes that are not looked at.
    pub(super) fn note(&mut self, object: &Bound<'py, PyAny>, bytes: usize) {
        let name = self.name_of(&object.get_type());
        let held = self.not_walked.entry(name);
        let held = held.or_insert_with_key(|name| NotWalked {
            of_type: name.clone(),
            objects: 0,
            bytes: 0,
        });
        held.objects += 1;
        held.bytes += bytes as u64;
    }
}
