//! Where the objects of a process are: a table from addresses to what stands there.
//!
//! The subject's mapper makes it ([`Builder`]), before there is a child; the observer keeps it ([`ObjectMap`]) and asks it
//! for the address of each page's first write. A record is an object, a buffer of one's, or memory that the allocator
//! has for itself. It takes four bytes, and a page on which records begin takes eight more: the size and the type of what
//! begins there are in a list of [`RecordKind`]s, of which there are few, because many objects are alike. Where four or more of a
//! kind follow each other on a page at one distance, as in a pool of the allocator's, they take twelve bytes together.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};

use serde::{Deserialize, Serialize};

use crate::page_size;
use refcow_model::Cause;

/// Records begin at multiples of so many bytes: objects do, on every build with 64 bits.
const GRAIN: u64 = 8;
/// Bits of a record that say its [`RecordKind`]; the others, in how many [`GRAIN`]s into its page it begins.
const KIND_BITS: u32 = 19;
const KIND_MASK: u64 = (1 << KIND_BITS) - 1;
/// In the place of a kind: the records from the one before to the one behind are all of their kind, so many [`GRAIN`]s apart as
/// stands in the place of where one begins.
const REPEATED: u64 = KIND_MASK;
/// Fewer take no more room one by one.
const FEWEST_REPEATED: usize = 4;
/// Bits of a page's entry that say its first record; the others are the page's number.
const FIRST_BITS: u32 = 28;
const FIRST_MASK: u64 = (1 << FIRST_BITS) - 1;
/// The reference count: the first word of every object (`PyObject.ob_refcnt`).
const REFCOUNT_BYTES: u64 = 8;
/// The GC header: the two words in front of an object (`PyGC_Head`).
const GC_HEADER_BYTES: u64 = 16;

/// What a record stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordPart {
    /// An object: what stands in front of its address, its head, its fields.
    Object {
        /// Bytes in front of its address.
        before: u32,
        /// Whether the last of these are a GC header.
        collected: bool,
    },
    /// Memory out of line that belongs to an object: an array of pointers, a table, a buffer.
    Buffer,
    /// The allocator's own: a pool's header, a block that is free, a chunk's size.
    Allocator,
}

/// What records have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RecordKind {
    /// What it is.
    pub part: RecordPart,
    /// Of which type, as a place in the list of types; of the allocator's memory none.
    pub of_type: Option<u32>,
    /// Of which package, as a place in the list of packages, if only modules and classes lead to it.
    pub package: Option<u32>,
    /// How many bytes, those in front of an object included.
    pub bytes: u64,
}

/// How many kinds of records, and how many records, a table can hold.
pub(crate) const MOST_KINDS: u64 = REPEATED;
/// See [`MOST_KINDS`].
pub(crate) const MOST_RECORDS: u64 = FIRST_MASK + 1;

/// What the table says of all records, in front of them.
#[derive(Serialize, Deserialize)]
struct TableHead {
    types: Vec<String>,
    packages: Vec<String>,
    kinds: Vec<RecordKind>,
    pages: u64,
    /// What they take, in words of four bytes.
    words: u64,
    left_out: u64,
}

/// A table in the making: eight bytes a record.
#[derive(Default)]
pub struct Builder {
    types: Vec<String>,
    packages: Vec<String>,
    kinds: Vec<RecordKind>,
    numbers: HashMap<RecordKind, u32>,
    last: Option<(RecordKind, u32)>,
    /// The address in [`GRAIN`]s, then the kind.
    records: Vec<u64>,
    /// Records for which there was no room.
    left_out: u64,
}

impl Builder {
    /// With this memory for the records, so that they need not be moved as they grow.
    pub fn within(records: Vec<u64>) -> Self {
        Self {
            records,
            ..Self::default()
        }
    }

    /// Adds a type; its place in the list.
    pub fn add_type(&mut self, name: String) -> u32 {
        self.types.push(name);
        u32::try_from(self.types.len() - 1).expect("there are fewer types than bytes of memory")
    }

    /// Adds a package; its place in the list.
    pub fn add_package(&mut self, name: String) -> u32 {
        self.packages.push(name);
        u32::try_from(self.packages.len() - 1)
            .expect("there are fewer packages than bytes of memory")
    }

    /// Adds what begins at this address. If it is of one kind more, of a type and a size, than [`MOST_KINDS`], it is left out.
    pub fn add(&mut self, start: u64, kind: RecordKind) {
        // A buffer may begin anywhere.
        let kind = RecordKind {
            bytes: kind.bytes + start % GRAIN,
            ..kind
        };
        let number = match self.last {
            Some((last, number)) if last == kind => number,
            _ => match self.number(kind) {
                Some(number) => number,
                None => {
                    self.left_out += 1;
                    return;
                }
            },
        };
        self.last = Some((kind, number));
        self.records
            .push((start / GRAIN) << KIND_BITS | u64::from(number));
    }

    fn number(&mut self, kind: RecordKind) -> Option<u32> {
        if let Some(number) = self.numbers.get(&kind) {
            return Some(*number);
        }
        let number = self.kinds.len() as u64;
        if number >= MOST_KINDS {
            return None;
        }
        self.kinds.push(kind);
        let number = number as u32;
        self.numbers.insert(kind, number);
        Some(number)
    }

    /// Orders the table and writes it. Of more than [`MOST_RECORDS`], those at the highest addresses are left out.
    ///
    /// # Errors
    /// What writing answers.
    pub fn write(self, out: &mut impl Write) -> io::Result<()> {
        self.write_at_most(MOST_RECORDS, out)
    }

    fn write_at_most(mut self, most: u64, out: &mut impl Write) -> io::Result<()> {
        let mut records = std::mem::take(&mut self.records);
        records.sort_unstable();
        // What stays moves to the front: as many bytes again may not be there.
        let mut kept = 0;
        // How far the buffers reach that have begun so far.
        let mut covered = 0;
        let mut next = 0;
        while let Some(mut record) = records.get(next).copied() {
            next += 1;
            // Of several that begin at one address the one that says most: an object, else the longest.
            while let Some(other) = records.get(next)
                && other >> KIND_BITS == record >> KIND_BITS
            {
                if self.rank(*other) > self.rank(record) {
                    record = *other;
                }
                next += 1;
            }
            let kind = self.kinds[(record & KIND_MASK) as usize];
            let end = (record >> KIND_BITS) * GRAIN + kind.bytes;
            if kind.part == RecordPart::Buffer {
                // A view of what another one owns.
                if end <= covered {
                    continue;
                }
                covered = end;
            } else if matches!(kind.part, RecordPart::Object { .. }) {
                covered = covered.max(end);
            }
            records[kept] = record;
            kept += 1;
        }
        let room = usize::try_from(most).unwrap_or(usize::MAX);
        self.left_out += kept.saturating_sub(room) as u64;
        records.truncate(kept.min(room));
        join_repeated(&mut records);
        let grains = page_size() / GRAIN;
        let begin_pages = |index: &usize| {
            index.checked_sub(1).map(|before| page(records[before])) != Some(page(records[*index]))
        };
        let pages = || (0..records.len()).filter(begin_pages);
        let head = TableHead {
            types: self.types,
            packages: self.packages,
            kinds: self.kinds,
            pages: pages().count() as u64,
            words: records.len() as u64,
            left_out: self.left_out,
        };
        // Whole: a file is written to once a word otherwise.
        let mut line = serde_json::to_vec(&head)?;
        line.push(b'\n');
        out.write_all(&line)?;
        write_words(
            out,
            pages().map(|first| (page(records[first]) << FIRST_BITS | first as u64).to_le_bytes()),
        )?;
        let word = |record: &u64| {
            let offset = (record >> KIND_BITS) % grains;
            ((offset << KIND_BITS | record & KIND_MASK) as u32).to_le_bytes()
        };
        write_words(out, records.iter().map(word))
    }

    fn rank(&self, record: u64) -> (bool, u64) {
        let kind = &self.kinds[(record & KIND_MASK) as usize];
        (matches!(kind.part, RecordPart::Object { .. }), kind.bytes)
    }
}

/// The number of the page that a record of a [`Builder`]'s begins on.
fn page(record: u64) -> u64 {
    (record >> KIND_BITS) / (page_size() / GRAIN)
}

/// Leaves of records in ascending order that are alike, see [`REPEATED`], the first and the last, and puts between them how far
/// they are apart. What stays moves to the front.
fn join_repeated(records: &mut Vec<u64>) {
    let mut kept = 0;
    let mut next = 0;
    while next < records.len() {
        let first = records[next];
        let distance = records.get(next + 1).map_or(0, |second| second - first);
        // Of one kind, else the distance has something of both.
        let alike = records[next..]
            .windows(2)
            .take_while(|pair| {
                distance & KIND_MASK == 0
                    && pair[1] - pair[0] == distance
                    && page(pair[1]) == page(first)
            })
            .count();
        records[kept] = first;
        kept += 1;
        if alike + 1 >= FEWEST_REPEATED {
            let last = records[next + alike];
            let begin = page(first) * (page_size() / GRAIN);
            records[kept] = (begin << KIND_BITS) + (distance | REPEATED);
            records[kept + 1] = last;
            kept += 2;
            next += alike;
        }
        next += 1;
    }
    records.truncate(kept);
}

/// The last record of a page that begins at `grain` or before.
fn last_until(words: &[u32], grain: u32) -> Option<u32> {
    let mut found: Option<u32> = None;
    let mut distance = None;
    for &word in words {
        if u64::from(word) & KIND_MASK == REPEATED {
            distance = Some(word >> KIND_BITS);
            continue;
        }
        if word >> KIND_BITS > grain {
            let between = found.zip(distance).map(|(first, distance)| {
                let beyond = grain - (first >> KIND_BITS);
                first + ((beyond - beyond % distance) << KIND_BITS)
            });
            return between.or(found);
        }
        found = Some(word);
        distance = None;
    }
    found
}

fn write_words<const BYTES: usize>(
    out: &mut impl Write,
    words: impl Iterator<Item = [u8; BYTES]>,
) -> io::Result<()> {
    let mut chunk = Vec::with_capacity(1 << 16);
    for word in words {
        chunk.extend_from_slice(&word);
        if chunk.len() >= 1 << 16 {
            out.write_all(&chunk)?;
            chunk.clear();
        }
    }
    out.write_all(&chunk)
}

/// The finished table.
#[derive(Clone, Debug, Default)]
pub struct ObjectMap {
    types: Vec<String>,
    packages: Vec<String>,
    kinds: Vec<RecordKind>,
    pages: Vec<u64>,
    /// Records, and what stands for several.
    words: Vec<u32>,
    left_out: u64,
}

/// What stands at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupant<'map> {
    /// Which cause a write there has.
    pub cause: Cause,
    /// The type of the object, or of the one whose buffer it is.
    pub of_type: Option<&'map str>,
    /// The top-level package whose modules and classes alone lead to it.
    pub package: Option<&'map str>,
}

impl ObjectMap {
    /// Reads what [`Builder::write`] wrote.
    ///
    /// # Errors
    /// When it is something else, or cut off.
    pub fn read(from: impl Read) -> io::Result<Self> {
        let mut from = BufReader::with_capacity(1 << 16, from);
        let mut line = Vec::new();
        from.read_until(b'\n', &mut line)?;
        let head: TableHead = serde_json::from_slice(&line)?;
        let read = Self {
            pages: read_words(&mut from, head.pages, u64::from_le_bytes)?,
            words: read_words(&mut from, head.words, u32::from_le_bytes)?,
            types: head.types,
            packages: head.packages,
            kinds: head.kinds,
            left_out: head.left_out,
        };
        let known = |word: &u32| match u64::from(*word) & KIND_MASK {
            REPEATED => word >> KIND_BITS > 0,
            kind => (kind as usize) < read.kinds.len(),
        };
        let typed = |kind: &RecordKind| {
            let known = |place: Option<u32>, list: &[String]| {
                place.is_none_or(|place| (place as usize) < list.len())
            };
            known(kind.of_type, &read.types) && known(kind.package, &read.packages)
        };
        match read.words.iter().all(known) && read.kinds.iter().all(typed) {
            true => Ok(read),
            false => Err(io::Error::other("a record of an unknown kind")),
        }
    }

    /// How many objects and buffers there was no room for.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Bytes that the table takes, but for its lists of types and kinds, which do not grow with the number of objects.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.pages[..]) + size_of_val(&self.words[..])
    }

    /// What stands at this address, if that is known.
    pub fn at(&self, address: u64) -> Option<Occupant<'_>> {
        let page = address / page_size();
        let after = self
            .pages
            .partition_point(|entry| entry >> FIRST_BITS <= page);
        let grain = (address % page_size() / GRAIN) as u32;
        let on_page = |index: usize, grain| {
            let first = |entry: &u64| (entry & FIRST_MASK) as usize;
            let end = self.pages.get(index + 1).map_or(self.words.len(), first);
            let words = self.words.get(first(&self.pages[index])..end)?;
            Some((self.pages[index] >> FIRST_BITS, last_until(words, grain)?))
        };
        let last = after.checked_sub(1)?;
        let here = (self.pages[last] >> FIRST_BITS == page).then(|| on_page(last, grain));
        let (page, record) = match here {
            None => on_page(last, u32::MAX)?,
            Some(Some(found)) => found,
            // The last one that began on an earlier page may reach over to this.
            Some(None) => on_page(last.checked_sub(1)?, u32::MAX)?,
        };
        self.within(page, record, address)
    }

    /// What a record says of an address, if it reaches that far.
    fn within(&self, page: u64, record: u32, address: u64) -> Option<Occupant<'_>> {
        let record = u64::from(record);
        let start = page * page_size() + (record >> KIND_BITS) * GRAIN;
        let kind = &self.kinds[(record & KIND_MASK) as usize];
        let offset = address - start;
        if offset >= kind.bytes {
            return None;
        }
        let cause = match kind.part {
            RecordPart::Buffer => Cause::Buffer,
            RecordPart::Allocator => Cause::Allocator,
            RecordPart::Object { before, collected } => {
                let before = u64::from(before);
                if offset < before {
                    match collected && before - offset <= GC_HEADER_BYTES {
                        true => Cause::Gc,
                        false => Cause::Body,
                    }
                } else if offset - before < REFCOUNT_BYTES {
                    Cause::Refcount
                } else {
                    Cause::Body
                }
            }
        };
        let of_type = kind.of_type.map(|of| self.types[of as usize].as_str());
        let package = kind.package.map(|of| self.packages[of as usize].as_str());
        Some(Occupant {
            cause,
            of_type,
            package,
        })
    }
}

fn read_words<const BYTES: usize, Word>(
    from: &mut impl Read,
    count: u64,
    word: fn([u8; BYTES]) -> Word,
) -> io::Result<Vec<Word>> {
    let mut bytes = vec![0; BYTES << 13];
    let mut left = usize::try_from(count).map_err(io::Error::other)?;
    let mut words = Vec::new();
    // Room for no more than that: there may be millions.
    words.try_reserve_exact(left).map_err(io::Error::other)?;
    while left > 0 {
        let now = left.min(1 << 13);
        let bytes = &mut bytes[..now * BYTES];
        from.read_exact(bytes)?;
        let (chunks, _) = bytes.as_chunks::<BYTES>();
        words.extend(chunks.iter().copied().map(word));
        left -= now;
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object(of_type: u32, before: u32, collected: bool, bytes: u64) -> RecordKind {
        RecordKind {
            part: RecordPart::Object { before, collected },
            of_type: Some(of_type),
            package: None,
            bytes,
        }
    }

    fn buffer(of_type: u32, bytes: u64) -> RecordKind {
        RecordKind {
            part: RecordPart::Buffer,
            of_type: Some(of_type),
            package: None,
            bytes,
        }
    }

    fn written(builder: Builder) -> ObjectMap {
        let mut bytes = Vec::new();
        builder.write(&mut bytes).unwrap();
        ObjectMap::read(&bytes[..]).unwrap()
    }

    fn with_types(names: &[&str]) -> Builder {
        let mut builder = Builder::default();
        for name in names {
            builder.add_type((*name).to_owned());
        }
        builder
    }

    #[test]
    fn each_field_of_an_object_has_its_cause() {
        let mut builder = with_types(&["list"]);
        // Two words of a managed dict's, the GC header, then 56 bytes of the object at 0x10020.
        builder.add(0x10000, object(0, 32, true, 32 + 56));
        let map = written(builder);
        let cause = |address| map.at(address).map(|found| found.cause);
        assert_eq!(cause(0xffff), None);
        assert_eq!(cause(0x10000), Some(Cause::Body));
        assert_eq!(cause(0x1000f), Some(Cause::Body));
        assert_eq!(cause(0x10010), Some(Cause::Gc));
        assert_eq!(cause(0x1001f), Some(Cause::Gc));
        assert_eq!(cause(0x10020), Some(Cause::Refcount));
        assert_eq!(cause(0x10027), Some(Cause::Refcount));
        assert_eq!(cause(0x10028), Some(Cause::Body));
        assert_eq!(cause(0x10057), Some(Cause::Body));
        assert_eq!(cause(0x10058), None);
        assert_eq!(map.at(0x10020).unwrap().of_type, Some("list"));
    }

    #[test]
    fn a_buffer_reaches_over_pages_on_which_nothing_begins() {
        let mut builder = with_types(&["bytearray", "int"]);
        builder.add(0x20010, buffer(0, 0x3000));
        builder.add(0x23010, object(1, 0, false, 28));
        let map = written(builder);
        for address in [0x20010, 0x21000, 0x22fff, 0x2300f] {
            let found = map.at(address).unwrap();
            assert_eq!(
                (found.cause, found.of_type),
                (Cause::Buffer, Some("bytearray"))
            );
        }
        assert_eq!(map.at(0x23010).unwrap().cause, Cause::Refcount);
        assert_eq!(map.at(0x20008), None);
        assert_eq!(map.at(0x23030), None);
    }

    #[test]
    fn a_view_of_a_buffer_does_not_hide_its_owner() {
        let mut builder = with_types(&["memoryview", "bytearray"]);
        // In the order in which a list of views leads to them.
        builder.add(0x30100, buffer(0, 0x100));
        builder.add(0x30000, buffer(0, 0x100));
        builder.add(0x30000, buffer(1, 0x8000));
        builder.add(0x30203, buffer(0, 0x100));
        let map = written(builder);
        assert_eq!(map.words.len(), 1);
        for address in [0x30000, 0x30150, 0x30203, 0x37fff] {
            assert_eq!(map.at(address).unwrap().of_type, Some("bytearray"));
        }
    }

    #[test]
    fn an_object_in_a_block_that_was_thought_free_is_an_object() {
        let mut builder = with_types(&["float"]);
        let free = RecordKind {
            part: RecordPart::Allocator,
            of_type: None,
            package: None,
            bytes: 64,
        };
        builder.add(0x40000, free);
        builder.add(0x40000, object(0, 0, false, 24));
        let map = written(builder);
        assert_eq!(map.at(0x40000).unwrap().cause, Cause::Refcount);
    }

    #[test]
    fn four_bytes_a_record_and_eight_a_page() {
        let mut builder = with_types(&["int"]);
        for index in 0..100_000 {
            // No three at one distance.
            builder.add(
                0x10_0000 + index * 32 + index % 2 * 8,
                object(0, 0, false, 8),
            );
        }
        let map = written(builder);
        let pages = 100_000 * 32 / page_size() + 1;
        assert_eq!(map.words.len(), 100_000);
        assert!(map.bytes() as u64 <= 4 * 100_000 + 8 * pages);
    }

    #[test]
    fn records_of_one_kind_at_one_distance_take_twelve_bytes_a_page() {
        let mut builder = with_types(&["int"]);
        for index in 0..100_000 {
            builder.add(0x10_0000 + index * 32, object(0, 0, false, 28));
        }
        let map = written(builder);
        assert!(map.bytes() as u64 <= (12 + 8) * (100_000 * 32 / page_size() + 1));
        for index in 0..100_000 {
            let address = 0x10_0000 + index * 32;
            let cause = |offset: u64| map.at(address + offset).map(|found| found.cause);
            let causes = [0, 7, 8, 27, 28, 31].map(cause);
            let (count, body) = (Some(Cause::Refcount), Some(Cause::Body));
            assert_eq!(causes, [count, count, body, body, None, None], "{index}");
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_counted_and_the_others_are_found() {
        let mut builder = with_types(&["bytes"]);
        for kind in 0..MOST_KINDS + 2 {
            builder.add(0x1000 + kind * 16, object(0, 0, false, 8 + kind));
        }
        // A kind that it has.
        builder.add(0x10, object(0, 0, false, 8));
        let last = 0x1000 + (MOST_KINDS - 1) * 16;
        let map = written(builder);
        assert_eq!(map.words.len() as u64, MOST_KINDS + 1);
        assert_eq!(map.left_out(), 2);
        assert!(map.at(0x10).is_some());
        assert!(map.at(last).is_some());

        let mut builder = with_types(&["int"]);
        for index in (0..10).rev() {
            builder.add(0x10_0000 + index * 32, object(0, 0, false, 28));
        }
        let mut bytes = Vec::new();
        builder.write_at_most(7, &mut bytes).unwrap();
        let map = ObjectMap::read(&bytes[..]).unwrap();
        assert_eq!(map.left_out(), 3);
        let is_there = |index: u64| map.at(0x10_0000 + index * 32).is_some();
        assert!((0..7).all(is_there) && !is_there(7));
    }

    #[test]
    fn a_table_that_is_cut_off_is_an_error() {
        let mut builder = with_types(&["int"]);
        builder.add(0x1000, object(0, 0, false, 28));
        let mut bytes = Vec::new();
        builder.write(&mut bytes).unwrap();
        for end in 0..bytes.len() {
            assert!(ObjectMap::read(&bytes[..end]).is_err(), "{end}");
        }
    }

    /// What stands between objects, and their sizes: often alike, as in a pool of the allocator's.
    fn gap_and_bytes() -> impl Strategy<Value = (u64, u64)> {
        prop_oneof![
            6 => Just((0, 32)),
            2 => Just((16, 40)),
            1 => (0u64..700, 1u64..900),
        ]
    }

    proptest! {
        /// Against the plain way: look at all of them.
        #[test]
        fn what_stands_somewhere_is_found(
            gaps in proptest::collection::vec(gap_and_bytes(), 1..200),
            probes in proptest::collection::vec(prop_oneof![0u64..4000, 0u64..200_000], 50),
        ) {
            let mut builder = with_types(&["one"]);
            let mut all = Vec::new();
            let mut start = 0x7000_0000;
            for (gap, bytes) in gaps {
                start = (start + gap).next_multiple_of(8);
                builder.add(start, object(0, 0, false, bytes));
                all.push(start..start + bytes);
                start += bytes;
            }
            let map = written(builder);
            for probe in probes {
                let address = 0x7000_0000 + probe;
                let there = all.iter().find(|range| range.contains(&address));
                let cause = there.map(|range| match address - range.start < REFCOUNT_BYTES {
                    true => Cause::Refcount,
                    false => Cause::Body,
                });
                prop_assert_eq!(map.at(address).map(|found| found.cause), cause);
            }
        }
    }
}
