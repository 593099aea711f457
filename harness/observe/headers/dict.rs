//! What is in a dict: its entries, and names.

use super::{Headers, is_address};

/// The longest name that is read.
const LONGEST: u64 = 200;

impl<Read: FnMut(u64, &mut [u8]) -> bool> Headers<Read> {
    /// Calls `is_wanted` with the addresses of each key and its value, in the order in which they were put in, until it says no; `None`
    /// where no dict can be read, or it has had more entries than `most`.
    pub(super) fn entries(
        &mut self,
        dict: u64,
        most: u64,
        mut is_wanted: impl FnMut(&mut Self, u64, u64) -> bool,
    ) -> Option<()> {
        /// `PyDictObject.ma_keys`.
        const KEYS: u64 = 32;
        let keys = self.word(dict.checked_add(KEYS + self.shift())?)?;
        // `struct _dictkeysobject`: where the number of entries and the indices are, and how long
        // the indices are.
        let (entries, indices, index_bytes, entry_bytes) = if self.minor >= 11 {
            let sizes = self.word(keys + 8)?;
            let entry_bytes = if sizes >> 16 & 0xff == 0 { 24 } else { 16 };
            let index_bytes = 1_u64.checked_shl(u32::try_from(sizes >> 8 & 0xff).ok()?)?;
            (24, 32, index_bytes, entry_bytes)
        } else {
            let size = self.word(keys + 8)?;
            let limits = [(1 << 8, 1), (1 << 16, 2), (1 << 32, 4)];
            let width = limits.iter().find(|(limit, _)| size < *limit);
            let width = width.map_or(8, |(_, width)| *width);
            (32, 40, size.checked_mul(width)?, 24)
        };
        let number = self.word(keys + entries)?;
        let first = keys.checked_add(indices)?.checked_add(index_bytes)?;
        for entry in 0..number.min(most) {
            // Hash, key and value; where all keys are str, the hash is theirs.
            let at = first.checked_add(entry * entry_bytes + (entry_bytes - 16))?;
            let (key, value) = (self.word(at)?, self.word(at + 8)?);
            // One that was taken out has no value.
            if key != 0 && value != 0 && !is_wanted(self, key, value) {
                return Some(());
            }
        }
        (number <= most).then_some(())
    }

    /// The text of a str of ASCII letters.
    pub(super) fn text_of(&mut self, object: u64) -> Option<String> {
        let shift = self.shift();
        let kind = self.word(object.checked_add(8 + shift)?)?;
        if &*self.type_at(kind)?.name != "str" {
            return None;
        }
        let length = self.word(object + 16 + shift)?;
        if !(1..=LONGEST).contains(&length) {
            return None;
        }
        // `PyASCIIObject` has lost a field (PEP 623).
        let start = object + shift + if self.minor >= 12 { 40 } else { 48 };
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        if !is_address(object) || !(self.read)(start, &mut bytes) {
            return None;
        }
        let text = String::from_utf8(bytes).ok()?;
        text.bytes()
            .all(|byte| byte.is_ascii_graphic())
            .then_some(text)
    }
}
