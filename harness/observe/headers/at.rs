//! What stands at one address: the object, and the part of it, by the pool or by the look of the
//! words around.

use std::sync::Arc;

use super::{ALIGNMENT, COLLECTED, END_OF_ADDRESSES, Headers, POOL_HEADER, Type, WORD};

/// Which part of an object, or of memory that holds objects, is at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The reference count.
    Count,
    /// The two words of the collector in front of the object; in free-threaded builds its fields in
    /// the object.
    Collector,
    /// Another field.
    Body,
    /// A block of pymalloc in which no object stands: a table, an array, a buffer.
    Block,
    /// What pymalloc has for itself: the header of a pool, the link of a free block.
    Allocator,
}

/// What is at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    /// Which part.
    pub part: Part,
    /// The type of the object, with its module where the type says it.
    pub type_name: Option<Arc<str>>,
}

/// Fields of `PyTypeObject`, and `Py_TPFLAGS_HEAPTYPE`.
const DICT: u64 = 264;
const HEAP_TYPE: u64 = 1 << 9;
/// As many entries of a class's dict are looked at.
const MOST_ENTRIES: u64 = 4096;

impl<Read: FnMut(u64, &mut [u8]) -> bool> Headers<Read> {
    /// What is at an address to which something was written first. `None`: nothing that is known.
    pub fn at(&mut self, address: u64) -> Option<At> {
        if self.free_threaded {
            return self.in_head(address);
        }
        if let Some(block_bytes) = self.pool_of(address) {
            let pool = address - address % self.pool_bytes;
            if address < pool + POOL_HEADER {
                return Some(At::without_type(Part::Allocator));
            }
            let block = address - (address - pool - POOL_HEADER) % block_bytes;
            return Some(self.in_block(address, block, pool, block_bytes));
        }
        self.by_words(address)
    }

    fn in_block(&mut self, address: u64, block: u64, pool: u64, block_bytes: u64) -> At {
        for before in [0, ALIGNMENT, 2 * ALIGNMENT] {
            let object = block + before;
            if let Some(of_type) = self.object_at(object)
                && self.before(&of_type) == before
            {
                let part = match address.checked_sub(object) {
                    Some(0..8) => Part::Count,
                    Some(_) => Part::Body,
                    None if of_type.flags & COLLECTED != 0 && object - address <= ALIGNMENT => {
                        Part::Collector
                    }
                    None => Part::Body,
                };
                return self.of_object(part, object, &of_type);
            }
        }
        // A debugging allocator puts words of its own in front.
        if let Some(found) = self.by_words(address) {
            return found;
        }
        // The first word of a free block is the address of the next, or nothing; and what was never
        // given out is behind all others.
        let used_until = self.word(pool + 40).map_or(0, |word| word & 0xffff_ffff);
        let free = match self.word(block) {
            _ if block - pool >= used_until => true,
            Some(0) => address == block,
            Some(next) => {
                let place = next.wrapping_sub(pool);
                (POOL_HEADER..self.pool_bytes).contains(&place)
                    && (place - POOL_HEADER).is_multiple_of(block_bytes)
            }
            None => false,
        };
        At::without_type(if free { Part::Allocator } else { Part::Block })
    }

    /// The first write to an object goes to its count or to the collector's words, nearly always.
    fn by_words(&mut self, address: u64) -> Option<At> {
        let word = WORD as u64;
        // A write may be to a part of the word.
        let address = address - address % word;
        if let Some(of_type) = self.object_at(address) {
            return Some(self.of_object(Part::Count, address, &of_type));
        }
        let object = match address % ALIGNMENT {
            0 => address + 2 * word,
            _ => address + word,
        };
        let of_type = self.object_at(object)?;
        (of_type.flags & COLLECTED != 0).then(|| self.of_object(Part::Collector, object, &of_type))
    }

    pub(super) fn of_object(&mut self, part: Part, object: u64, of_type: &Type) -> At {
        let address = self.word(object + WORD as u64 + self.shift()).unwrap_or(0);
        At {
            part,
            type_name: Some(self.full_name(address, of_type)),
        }
    }

    /// The type of the object at an address, if one is there.
    fn object_at(&mut self, address: u64) -> Option<Arc<Type>> {
        if !address.is_multiple_of(ALIGNMENT) {
            return None;
        }
        let count = self.word(address)?;
        let kind = self.word(address + WORD as u64)?;
        let of_type = self.type_behind(count, kind)?;
        if of_type.flags & COLLECTED != 0 {
            let links = [self.word(address - 16), self.word(address - 8)];
            if !links
                .iter()
                .all(|link| link.is_some_and(|link| link < END_OF_ADDRESSES))
            {
                return None;
            }
        }
        Some(of_type)
    }

    /// Forgets what it knows of types: a class may be where nothing was.
    pub fn forget(&mut self) {
        self.types.clear();
        self.metatypes.clear();
        self.full_names.clear();
    }

    /// The name of a type with its module: a type of C code has it in its name, a class in its
    /// dict.
    fn full_name(&mut self, address: u64, of_type: &Type) -> Arc<str> {
        let name = Arc::clone(&of_type.name);
        if of_type.flags & HEAP_TYPE == 0 || name.contains('.') {
            return name;
        }
        if let Some(known) = self.full_names.get(&(address, Arc::clone(&name))) {
            return Arc::clone(known);
        }
        let full = match self.module_of(address) {
            Some(module) if module != "builtins" => format!("{module}.{name}").into(),
            _ => Arc::clone(&name),
        };
        self.full_names.insert((address, name), Arc::clone(&full));
        full
    }

    /// What stands for `__module__` in the dict of a class.
    fn module_of(&mut self, class: u64) -> Option<String> {
        let dict = self.word(class + DICT + self.shift())?;
        let mut module = None;
        self.entries(dict, MOST_ENTRIES, |headers, key, value| {
            let is_it = headers.text_of(key).as_deref() == Some("__module__");
            module = is_it.then(|| headers.text_of(value)).flatten();
            !is_it
        })?;
        module
    }
}

impl At {
    fn without_type(part: Part) -> Self {
        Self {
            part,
            type_name: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{HEAP, MemoryWords, THING, TUPLE};
    use super::*;

    const POOL: u64 = 16 << 10;

    fn at(words: &MemoryWords, address: u64) -> Option<(Part, Option<String>)> {
        let found = Headers::new(12, words.clone().reader()).at(address)?;
        Some((found.part, found.type_name.map(|name| name.to_string())))
    }

    fn some(part: Part, name: &str) -> Option<(Part, Option<String>)> {
        Some((part, Some(name.to_owned())))
    }

    #[test]
    fn in_a_pool_the_block_tells_which_part_of_an_object_an_address_is() {
        let mut words = MemoryWords::new();
        words.put_pool(HEAP, 64, POOL);
        let block = HEAP + POOL_HEADER;
        words.put(block, &[2, THING, 7]);
        // The collector's words, and behind them the object.
        words.put(block + 64, &[HEAP, HEAP, 1, TUPLE, 2]);
        words.put(block + 128, &[0x1234_5678, 0x9abc]);
        words.put(block + 192, &[block + 256]);
        assert_eq!(at(&words, block), some(Part::Count, "thing"));
        assert_eq!(at(&words, block + 4), some(Part::Count, "thing"));
        assert_eq!(at(&words, block + 16), some(Part::Body, "thing"));
        assert_eq!(at(&words, block + 72), some(Part::Collector, "tuple"));
        assert_eq!(at(&words, block + 80), some(Part::Count, "tuple"));
        assert_eq!(at(&words, block + 136), Some((Part::Block, None)));
        assert_eq!(at(&words, block + 192), Some((Part::Allocator, None)));
        assert_eq!(at(&words, HEAP + 8), Some((Part::Allocator, None)));
    }

    #[test]
    fn elsewhere_the_words_around_tell_a_count_from_a_header() {
        let mut words = MemoryWords::new();
        words.put(HEAP + 64, &[3, THING]);
        words.put(HEAP + 128, &[HEAP, HEAP, 1, TUPLE]);
        assert_eq!(at(&words, HEAP + 64), some(Part::Count, "thing"));
        assert_eq!(at(&words, HEAP + 128), some(Part::Collector, "tuple"));
        assert_eq!(at(&words, HEAP + 136), some(Part::Collector, "tuple"));
        assert_eq!(at(&words, HEAP + 144), some(Part::Count, "tuple"));
        // What the collector does not know has no header.
        assert_eq!(at(&words, HEAP + 48), None);
        assert_eq!(at(&words, HEAP + 200), None);
    }
}
