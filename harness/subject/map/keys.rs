//! The keys of dicts, which a dict does not tell the collector of when all are `str`: such keys are
//! in no cycle.

use pyo3::ffi;

use super::words::{read, word_of};

const WORD: usize = size_of::<usize>();
/// `PyDictObject.ma_keys`.
pub(super) const KEYS: usize = 4;
/// `PyDictKeysObject.dk_size` and `.dk_lookup` until 3.10; since 3.11 one word of bytes in their
/// place.
const SIZE: usize = 1;
const LOOKUP: usize = 2;
/// `.dk_nentries`, and where the indices begin.
const USED: [usize; 2] = [4, 3];
const INDICES: [usize; 2] = [5, 4];

/// How tables of keys are laid out.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    /// Since 3.11 a byte says what keys a table has.
    says_kind: bool,
    /// `lookdict`, which looks keys of any kind up: until 3.10 that says it.
    general: usize,
}

impl Keys {
    /// As this version has them; `general` is a dict with a key that is no text.
    pub(super) fn new(minor: u8, general: *mut ffi::PyObject) -> Self {
        Self {
            says_kind: minor >= 11,
            general: read(word_of(general, KEYS) + LOOKUP * WORD),
        }
    }

    /// Tells `found` of each key of a table, if it is one of texts alone: those of another one are
    /// told of by the dict itself.
    pub(super) fn each(self, table: usize, mut found: impl FnMut(*mut ffi::PyObject)) {
        let word = |index: usize| read(table + index * WORD);
        let version = usize::from(self.says_kind);
        let (indices_bytes, entry, key) = if self.says_kind {
            let bytes = word(SIZE).to_le_bytes();
            let (log_bytes, kind) = (bytes[1], bytes[2]);
            // `DICT_KEYS_GENERAL`.
            if kind == 0 || log_bytes > 48 {
                return;
            }
            // `PyDictUnicodeEntry`.
            (1 << log_bytes, 2 * WORD, 0)
        } else {
            if word(LOOKUP) == self.general {
                return;
            }
            let size = word(SIZE);
            let index_bytes = match size {
                0..=0xff => 1,
                0x100..=0xffff => 2,
                0x1_0000..=0xffff_ffff => 4,
                _ => 8,
            };
            // `PyDictKeyEntry`: the hash comes first.
            (size * index_bytes, 3 * WORD, WORD)
        };
        let first = table + INDICES[version] * WORD + indices_bytes;
        for index in 0..word(USED[version]) {
            let key = read(first + index * entry + key) as *mut ffi::PyObject;
            // A key that was deleted leaves its place empty.
            if !key.is_null() {
                found(key);
            }
        }
    }
}
