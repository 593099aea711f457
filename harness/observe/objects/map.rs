//! The finished table, and what it says of an address.

use std::io::{self, BufRead, BufReader, Read};

use super::record::{
    FIRST_BITS, FIRST_MASK, GRAIN, KIND_BITS, KIND_MASK, REPEATED, RecordKind, RecordPart,
    TableHead,
};
use crate::page_size;
use refcow_model::Cause;

/// The reference count: the first word of every object (`PyObject.ob_refcnt`).
const REFCOUNT_BYTES: u64 = 8;

/// The GC header: the two words in front of an object (`PyGC_Head`).
const GC_HEADER_BYTES: u64 = 16;

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
    /// Reads what [`Builder::write`](super::Builder::write) wrote.
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

    /// Bytes that the table takes, but for its lists of types and kinds, which do not grow with the
    /// number of objects.
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
    use super::super::builder::Builder;
    use super::super::record::MOST_KINDS;
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
