//! The types of objects, told by their own fields.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::{ALIGNMENT, Headers, WORD, is_address};
use crate::page_size;

/// Bits of `tp_flags`.
pub(super) const READY: u64 = 1 << 12;
pub(super) const COLLECTED: u64 = 1 << 14;
pub(super) const LIST: u64 = 1 << 25;
pub(super) const DICT: u64 = 1 << 29;
pub(super) const TYPE: u64 = 1 << 31;
/// `Py_TPFLAGS_MANAGED_WEAKREF`, since 3.12, and `Py_TPFLAGS_MANAGED_DICT`, since 3.11.
const MANAGED_WEAKREF: u64 = 1 << 3;
const MANAGED_DICT: u64 = 1 << 4;

/// Where `PyTypeObject` has its fields, and as much of it as is read.
const NAME: usize = 24;
const BASIC_SIZE: usize = 32;
pub(super) const FLAGS: usize = 168;
const TYPE_BYTES: usize = FLAGS + 2 * WORD + WORD;

/// The types of types end in `type`; nobody writes more metaclasses above one another.
const MOST_METATYPES: usize = 4;
/// The longest name of a type that is looked for.
const NAME_BYTES: u64 = 256;

/// A type, as far as its objects are told by it.
#[derive(Debug)]
pub(super) struct Type {
    pub(super) name: Arc<str>,
    pub(super) flags: u64,
}

impl<Read: FnMut(u64, &mut [u8]) -> bool> Headers<Read> {
    /// The type at this address, if one is there.
    pub(super) fn type_at(&mut self, address: u64) -> Option<Arc<Type>> {
        if !is_address(address) {
            return None;
        }
        if let Some(known) = self.types.get(&address) {
            return known.clone();
        }
        let found = self.read_type(address).map(Arc::new);
        self.types.insert(address, found.clone());
        found
    }

    fn read_type(&mut self, address: u64) -> Option<Type> {
        let word = self.type_words(address)?;
        let basic_size = word(BASIC_SIZE);
        let metatype = word(WORD);
        let flags = word(FLAGS);
        let plausible = flags & READY != 0 && (16..1 << 20).contains(&basic_size);
        if !plausible || !self.is_metatype(metatype, MOST_METATYPES) {
            return None;
        }
        let name = self.text(word(NAME))?;
        Some(Type { name, flags })
    }

    fn is_metatype(&mut self, address: u64, steps: usize) -> bool {
        match self.metatypes.entry(address) {
            Entry::Occupied(known) => return *known.get(),
            // A ring of types that are not their own is none.
            Entry::Vacant(unknown) => unknown.insert(false),
        };
        let is = self.type_words(address).is_some_and(|word| {
            let (own, flags) = (word(WORD), word(FLAGS));
            flags & READY != 0
                && flags & TYPE != 0
                && (own == address || steps > 1 && self.is_metatype(own, steps - 1))
        });
        self.metatypes.insert(address, is);
        is
    }

    /// What reads a word of the struct at this address, by its offset.
    fn type_words(&mut self, address: u64) -> Option<impl Fn(usize) -> u64 + use<Read>> {
        let mut bytes = [0; TYPE_BYTES];
        let shift = self.shift();
        let length = FLAGS + WORD + shift as usize;
        if !is_address(address) || !(self.read)(address, &mut bytes[..length]) {
            return None;
        }
        Some(move |offset: usize| {
            let offset = offset + shift as usize;
            let mut word = [0; WORD];
            word.copy_from_slice(&bytes[offset..offset + WORD]);
            u64::from_ne_bytes(word)
        })
    }

    /// A C string that people can read.
    fn text(&mut self, address: u64) -> Option<Arc<str>> {
        let mut text = Vec::new();
        let mut at = address;
        while at < address.checked_add(NAME_BYTES)? {
            // No further than the page: the next one may not be there.
            let until = (at / page_size() + 1) * page_size();
            let length = (until - at).min(address + NAME_BYTES - at);
            let mut bytes = vec![0; usize::try_from(length).ok()?];
            if !(self.read)(at, &mut bytes) {
                return None;
            }
            let end = bytes.iter().position(|byte| *byte == 0);
            text.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            if end.is_some() {
                let text = String::from_utf8(text).ok()?;
                return (!text.is_empty() && !text.chars().any(char::is_control))
                    .then(|| text.into());
            }
            at += length;
        }
        None
    }

    /// Bytes in front of an object of this type (`_PyType_PreHeaderSize`).
    pub(super) fn before(&self, of_type: &Type) -> u64 {
        let managed = match self.minor {
            ..11 => 0,
            11 => MANAGED_DICT,
            12.. => MANAGED_DICT | MANAGED_WEAKREF,
        };
        let words = |flag| {
            if of_type.flags & flag != 0 {
                ALIGNMENT
            } else {
                0
            }
        };
        match self.free_threaded {
            true => words(managed),
            false => words(COLLECTED) + words(managed),
        }
    }
}
