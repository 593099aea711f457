//! Which objects of CPython stand on pages of another process, by the look of what is there:
//! without a walk, and without a word from the process.
//!
//! An object begins with its reference count and the address of its type, and a type is told by its
//! own fields. What the collector knows has two words in front of that, and since 3.11 some types
//! have two more. Blocks of pymalloc lie in pools whose headers say how long a block is; elsewhere
//! objects begin at multiples of 16 bytes. All this holds from 3.8 to 3.15 in builds with the GIL.
//!
//! In builds without it (from 3.13 on) two counts and the collector's bits stand in the object
//! itself, which makes it 16 bytes longer, and there are no pools: [`free_threaded`].
//!
//! A freed object is none: its count is 0, or the allocator has written an address over it.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{PageSet, page_size};

mod at;
mod dict;
mod free_threaded;
mod memory;
mod modules;
mod types;

pub use at::{At, Part};

use memory::settle;
use types::{COLLECTED, Type};

const WORD: usize = size_of::<u64>();
/// Sizes of blocks and addresses of objects are multiples of it.
const ALIGNMENT: u64 = 16;
/// `struct pool_header` (Objects/obmalloc.c).
const POOL_HEADER: u64 = 48;
/// No process of a user's has addresses from here on.
const END_OF_ADDRESSES: u64 = 1 << 47;

struct Object {
    address: u64,
    of_type: Arc<Type>,
}

/// Reads the objects of one process, through a function that fills a buffer from an address on and
/// says whether it could. The process must hold still.
#[derive(Debug)]
pub struct Headers<Read> {
    read: Read,
    minor: u8,
    /// Whether the build is one without the GIL.
    free_threaded: bool,
    pool_bytes: u64,
    /// By address; `None`: no type is there.
    types: FxHashMap<u64, Option<Arc<Type>>>,
    /// Whether this is the type of a type.
    metatypes: FxHashMap<u64, bool>,
    /// Names of classes with their modules.
    full_names: FxHashMap<(u64, Arc<str>), Arc<str>>,
}

impl<Read: FnMut(u64, &mut [u8]) -> bool> Headers<Read> {
    /// For a process of CPython 3.`minor`.
    pub fn new(minor: u8, read: Read) -> Self {
        Self {
            read,
            minor,
            free_threaded: false,
            // `POOL_SIZE`: bpo-37448.
            pool_bytes: if minor < 10 { 4 << 10 } else { 16 << 10 },
            types: FxHashMap::default(),
            metatypes: FxHashMap::default(),
            full_names: FxHashMap::default(),
        }
    }

    /// Whether what is at an address can be read.
    pub fn reads(&mut self, address: u64) -> bool {
        self.word(address - address % WORD as u64).is_some()
    }

    /// The type of most objects that stand on each of these pages, and where none begins, of the
    /// object whose memory it is: one that begins on another of these pages, or of `others`. A page
    /// of no known object is left out.
    pub fn types_on(&mut self, pages: &PageSet, others: &PageSet) -> HashMap<u64, Arc<str>> {
        /// So few pages are not worth looking at all others for.
        const FEW: usize = 4;
        let all: Vec<u64> = pages.iter().collect();
        let mut found = HashMap::new();
        let mut claims = Vec::new();
        for page in &all {
            let objects = self.objects_on(*page);
            let mut numbers: HashMap<&Arc<str>, usize> = HashMap::new();
            for object in &objects {
                *numbers.entry(&object.of_type.name).or_default() += 1;
            }
            // Of as many the first by its name, so that the same memory has the same answer.
            let most = numbers
                .into_iter()
                .max_by(|(name, number), (other, others)| (number, other).cmp(&(others, name)));
            if let Some((name, _)) = most {
                found.insert(*page, Arc::clone(name));
            }
            self.claim(&objects, &mut claims);
        }
        settle(claims, &all, &mut found);
        if found.len() + FEW <= all.len() {
            let mut claims = Vec::new();
            for page in others - pages {
                let objects = self.objects_on(page);
                self.claim(&objects, &mut claims);
            }
            settle(claims, &all, &mut found);
        }
        found
    }

    /// The objects that begin on a page.
    fn objects_on(&mut self, page: u64) -> Vec<Object> {
        let start = page * page_size();
        // With the words in front of the first object, which are the page's before.
        let mut bytes = vec![0; usize::try_from(page_size()).unwrap_or(0)];
        if !(self.read)(start, &mut bytes) {
            return Vec::new();
        }
        let words: Vec<u64> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|word| u64::from_ne_bytes(*word))
            .collect();
        let Some(block_bytes) = self.pool_of(start) else {
            // Anywhere, then. A key of a dict that is a type would look like an object's second
            // word, so that the first must look like a count.
            let all = (start..start + page_size()).step_by(ALIGNMENT as usize);
            return all
                .filter_map(|address| self.object(&words, start, address))
                .collect();
        };
        let pool = start - start % self.pool_bytes;
        let first = pool + POOL_HEADER;
        let end = (pool + self.pool_bytes).min(start + page_size());
        // The first block that an object on this page may stand in: it may have begun on the page
        // before.
        let skipped = start.saturating_sub(first) / block_bytes;
        let mut objects = Vec::new();
        let mut block = first + skipped * block_bytes;
        while block + block_bytes <= pool + self.pool_bytes && block < end {
            for before in [0, ALIGNMENT, 2 * ALIGNMENT] {
                let address = block + before;
                if (start..end).contains(&address)
                    && let Some(object) = self.object(&words, start, address)
                    && self.before(&object.of_type) == before
                {
                    objects.push(object);
                    break;
                }
            }
            block += block_bytes;
        }
        objects
    }

    /// The type of an object that has this word for its reference count, and this one for its type;
    /// none of what cannot be one.
    fn type_behind(&mut self, count: u64, kind: u64) -> Option<Arc<Type>> {
        // 3.14 has flags in the upper sixteen bits. An address, as a free block has one here, is
        // more than 32.
        let most = if self.minor >= 14 { 1 << 48 } else { u64::MAX };
        let count = count % most;
        if count == 0 || count > u64::from(u32::MAX) {
            return None;
        }
        let of_type = self.type_at(kind)?;
        // Where a program is at low addresses, that of a type or of something else of it looks like
        // a count: in an array of pointers.
        self.word(count).is_none().then_some(of_type)
    }

    /// The object at an address of a page that has been read.
    fn object(&mut self, words: &[u64], start: u64, address: u64) -> Option<Object> {
        let index = usize::try_from((address - start) / WORD as u64).ok()?;
        let of_type = self.type_of(words.get(index..)?)?;
        // The links of the collector's lists: addresses, with marks in the lowest bits.
        if of_type.flags & COLLECTED != 0 && index >= 2 && !self.free_threaded {
            let linked = words[index - 2..index].iter();
            if !linked.into_iter().all(|link| *link < END_OF_ADDRESSES) {
                return None;
            }
        }
        Some(Object { address, of_type })
    }

    /// The type of the object that begins with these words.
    fn type_of(&mut self, words: &[u64]) -> Option<Arc<Type>> {
        match (self.free_threaded, words) {
            (false, [count, kind, ..]) => self.type_behind(*count, *kind),
            (true, [_, bits, shared, kind, ..]) => self.type_behind_counts(*bits, *shared, *kind),
            _ => None,
        }
    }

    fn word(&mut self, address: u64) -> Option<u64> {
        let mut word = [0; WORD];
        (is_address(address) && (self.read)(address, &mut word)).then(|| u64::from_ne_bytes(word))
    }
}

/// Whether something that words and pointers can be read from may be there.
fn is_address(address: u64) -> bool {
    (page_size()..END_OF_ADDRESSES).contains(&address) && address.is_multiple_of(WORD as u64)
}

#[cfg(test)]
mod tests {
    use super::types::{DICT, FLAGS, LIST, READY, TYPE};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::ops::Range;

    const TYPE_OF_TYPES: u64 = 0x5000_0000_0000;
    pub(super) const THING: u64 = 0x5000_0000_1000;
    pub(super) const TUPLE: u64 = 0x5000_0000_2000;
    /// Where a pool and, behind it, large blocks may begin.
    pub(super) const HEAP: u64 = 0x7000_0000_0000;
    const HEAP_PAGES: u64 = 16;
    /// A program's variables may be where counts reach to.
    const LOW: u64 = 0x90_0000;

    /// Memory by words; what is not written is zero, and behind these pages there is none.
    #[derive(Clone, Default)]
    pub(super) struct MemoryWords(BTreeMap<u64, u64>);

    impl MemoryWords {
        /// With the types of all that is put there.
        pub(super) fn new() -> Self {
            let mut words = Self::default();
            words.put_type(TYPE_OF_TYPES, TYPE_OF_TYPES, READY | TYPE, b"type");
            words.put_type(THING, TYPE_OF_TYPES, READY, b"thing");
            words.put_type(TUPLE, TYPE_OF_TYPES, READY | COLLECTED, b"tuple");
            words
        }

        /// The same as builds without the GIL have it.
        pub(super) fn free_threaded() -> Self {
            let shift = 16;
            let mut words = Self::default();
            for (kind, flags, name) in [
                (TYPE_OF_TYPES, READY | TYPE, *b"type\0\0\0\0"),
                (THING, READY, *b"thing\0\0\0"),
            ] {
                words.put(kind, &[0, 1 << 32, 0, TYPE_OF_TYPES, 0, kind + 512, 40, 0]);
                words.put(kind + FLAGS as u64 + shift, &[flags]);
                words.put(kind + 512, &[u64::from_ne_bytes(name)]);
            }
            words
        }

        pub(super) fn put(&mut self, address: u64, all: &[u64]) {
            for (index, word) in (0..).zip(all) {
                self.0.insert(address + 8 * index, *word);
            }
        }

        fn put_type(&mut self, address: u64, metatype: u64, flags: u64, name: &[u8]) {
            let mut text = [0; 8];
            text[..name.len()].copy_from_slice(name);
            self.put(address, &[1, metatype, 0, address + 512, 24, 8]);
            self.put(address + FLAGS as u64, &[flags]);
            self.put(address + 512, &[u64::from_ne_bytes(text)]);
        }

        /// The types `dict` and `str`: their addresses.
        pub(super) fn put_dict_and_str(&mut self) -> (u64, u64) {
            self.put_type(THING, TYPE_OF_TYPES, READY | DICT, b"dict");
            self.put_type(TUPLE, TYPE_OF_TYPES, READY, b"str");
            (THING, TUPLE)
        }

        /// None, and behind it its type.
        pub(super) fn put_none(&mut self, address: u64) {
            let kind = address + 1024;
            self.put_type(kind, TYPE_OF_TYPES, READY, b"NoneType");
            self.put(address, &[1, kind]);
        }

        /// A str of up to eight letters of ASCII, as 3.12 has it.
        pub(super) fn put_text(&mut self, address: u64, kind: u64, text: &str) {
            let mut letters = [0; 8];
            letters[..text.len()].copy_from_slice(text.as_bytes());
            self.put(address, &[1, kind, text.len() as u64]);
            self.put(address + 40, &[u64::from_ne_bytes(letters)]);
        }

        pub(super) fn put_pool(&mut self, pool: u64, block_bytes: u64, pool_bytes: u64) {
            let used = (pool_bytes - POOL_HEADER) / block_bytes;
            let next = POOL_HEADER + used * block_bytes;
            self.put(pool, &[used, 0, 0, 0]);
            self.put(pool + 32, &[(block_bytes / 16 - 1) << 32]);
            self.put(pool + 40, &[next | (pool_bytes - block_bytes) << 32]);
        }

        fn names(self, minor: u8, pages: Range<u64>) -> Vec<Option<String>> {
            let first = HEAP / page_size();
            let all = (first + pages.start..first + pages.end).collect();
            let found = Headers::new(minor, self.reader()).types_on(&all, &PageSet::new());
            let name = |page| found.get(&page).map(|name| name.to_string());
            all.iter().map(name).collect()
        }

        pub(super) fn reader(self) -> impl FnMut(u64, &mut [u8]) -> bool {
            move |address, bytes| {
                let end = address + bytes.len() as u64;
                let within = |range: Range<u64>| address >= range.start && end <= range.end;
                if !within(HEAP..HEAP + HEAP_PAGES * page_size())
                    && !within(0x5000_0000_0000..0x5000_0000_3000)
                    && !within(LOW..LOW + page_size())
                {
                    return false;
                }
                let (mut at, mut left) = (address, bytes);
                while !left.is_empty() {
                    let word = self.0.get(&(at - at % 8)).copied().unwrap_or(0);
                    let skipped = usize::try_from(at % 8).unwrap();
                    let length = left.len().min(8 - skipped);
                    let (part, others) = left.split_at_mut(length);
                    part.copy_from_slice(&word.to_ne_bytes()[skipped..skipped + length]);
                    (at, left) = (at + length as u64, others);
                }
                true
            }
        }
    }

    fn some(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    #[test]
    fn in_a_pool_objects_begin_where_blocks_do() {
        for (minor, pool_bytes) in [(8, 4 << 10), (11, 16 << 10), (15, 16 << 10)] {
            let mut words = MemoryWords::new();
            words.put_pool(HEAP, 48, pool_bytes);
            let blocks = (HEAP + POOL_HEADER..HEAP + pool_bytes - 48).step_by(48);
            for (index, block) in blocks.enumerate() {
                match index % 3 {
                    0 => words.put(block, &[0, 0, 1, TUPLE]),
                    1 => words.put(block, &[2, THING]),
                    // Freed: a block's first word leads to the next one, what it was stays behind
                    // that.
                    _ => words.put(block, &[block + 48, THING, 0, TUPLE]),
                }
                // In the middle of a tuple: no object, as none begins there.
                words.put(block + 32, &[1, if index % 3 == 0 { THING } else { 0 }]);
            }
            let mut fewer = words.clone();
            let expected = vec![some("tuple"); usize::try_from(pool_bytes / page_size()).unwrap()];
            let names = words.names(minor, 0..pool_bytes / page_size());
            // As many of both on a page, or one more: by their names, then.
            assert!(
                names
                    .iter()
                    .all(|name| *name == some("thing") || *name == some("tuple"))
            );
            // Without the others all are tuples.
            for (address, word) in &mut fewer.0 {
                if *word == THING && *address >= HEAP {
                    *word = 0;
                }
            }
            assert_eq!(fewer.names(minor, 0..pool_bytes / page_size()), expected);
        }
    }

    #[test]
    fn a_table_of_types_is_no_object() {
        let mut words = MemoryWords::new();
        // Entries of a dict: a hash, which is made of the type's address, and the type.
        for entry in 0..100 {
            words.put(HEAP + 48 * entry, &[THING << 28, THING, HEAP]);
        }
        // A list's array: one type after the other.
        for item in 0..100 {
            words.put(HEAP + page_size() + 8 * item, &[THING]);
        }
        assert_eq!(words.names(11, 0..3), [None, None, None]);
    }

    #[test]
    fn an_array_of_pointers_to_low_addresses_is_no_object() {
        let of = |count| {
            let mut words = MemoryWords::new();
            words.put(HEAP, &[count, THING]);
            words.names(14, 0..1)
        };
        assert_eq!(of(LOW + 8), [None]);
        // A count may be as high where nothing is.
        assert_eq!(of(LOW + (1 << 16)), [some("thing")]);
    }

    #[test]
    fn a_large_object_and_what_it_holds_go_as_far_as_their_chunks() {
        let page = page_size();
        // A mapping's size is that of all of it, and since glibc 2.43 without the chunk's head.
        for size in [3 * page, 3 * page - 16] {
            large_objects(size);
        }
    }

    fn large_objects(size: u64) {
        let page = page_size();
        let mut words = MemoryWords::new();
        words.put_type(TUPLE, TYPE_OF_TYPES, READY | LIST, b"list");
        // A chunk of two pages and a half with a thing in it, and a small one behind, with a list
        // whose items are elsewhere.
        words.put(HEAP + 8, &[(5 * page / 2) | 1, 1, THING]);
        let list = HEAP + 5 * page / 2 + 16;
        let items = HEAP + 4 * page;
        words.put(list - 8, &[64 | 1, 1, TUPLE, 0, items]);
        words.put(list - 16 + 64 + 8, &[page | 1]);
        // The items' chunk is a mapping of its own.
        words.put(items - 8, &[0]);
        let items = HEAP + 5 * page + 16;
        words.put(list + 24, &[items]);
        words.put(items - 8, &[size | 2]);
        let thing = || some("thing");
        let list = || some("list");
        let expected = [
            thing(),
            thing(),
            list(),
            None,
            None,
            list(),
            list(),
            list(),
            None,
        ];
        assert_eq!(words.names(11, 0..9), expected);
    }

    #[test]
    fn what_is_no_type_in_every_field_is_none() {
        let with = |change: fn(&mut MemoryWords)| {
            let mut words = MemoryWords::new();
            words.put(HEAP, &[1, THING]);
            change(&mut words);
            words.names(11, 0..1)
        };
        assert_eq!(with(|_| {}), [some("thing")]);
        // Not ready; a type that is no type of types; no name; a name that nobody can read; larger
        // than any.
        assert_eq!(with(|words| words.put(THING + 168, &[0])), [None]);
        assert_eq!(with(|words| words.put(THING + 8, &[TUPLE])), [None]);
        assert_eq!(with(|words| words.put(THING + 24, &[8])), [None]);
        assert_eq!(with(|words| words.put(THING + 512, &[0x07])), [None]);
        assert_eq!(with(|words| words.put(THING + 32, &[1 << 20])), [None]);
        // A freed object's count, and that of none.
        assert_eq!(with(|words| words.put(HEAP, &[0])), [None]);
        assert_eq!(with(|words| words.put(HEAP, &[HEAP])), [None]);
    }

    proptest! {
        #[test]
        fn any_words_are_objects_or_none(
            minor in 8u8..16,
            all in proptest::collection::vec(prop_oneof![
                any::<u64>(), 0u64..3, Just(THING), Just(TUPLE), (0u64..64).prop_map(|at| HEAP + 512 * at), Just((HEAP + 31) << 32),
            ], 0..2000),
        ) {
            let mut words = MemoryWords::new();
            words.put(HEAP, &all);
            let _ = words.names(minor, 0..HEAP_PAGES);
        }
    }
}
