//! Makes the table, in the subject's mapper.

use std::collections::HashMap;
use std::io::{self, Write};

use super::record::{
    FIRST_BITS, GRAIN, KIND_BITS, KIND_MASK, MOST_KINDS, MOST_RECORDS, REPEATED, RecordKind,
    RecordPart, TableHead,
};
use crate::page_size;

/// Fewer take no more room one by one.
const FEWEST_REPEATED: usize = 4;

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

    /// Adds what begins at this address. If it is of one kind more, of a type and a size, than
    /// [`MOST_KINDS`], it is left out.
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

    /// Orders the table and writes it. Of more than [`MOST_RECORDS`], those at the highest
    /// addresses are left out.
    ///
    /// # Errors
    /// What writing answers.
    pub fn write(self, out: &mut impl Write) -> io::Result<()> {
        self.write_at_most(MOST_RECORDS, out)
    }

    pub(super) fn write_at_most(mut self, most: u64, out: &mut impl Write) -> io::Result<()> {
        let mut records = std::mem::take(&mut self.records);
        records.sort_unstable();
        // What stays moves to the front: as many bytes again may not be there.
        let mut kept = 0;
        // How far the buffers reach that have begun so far.
        let mut covered = 0;
        let mut next = 0;
        while let Some(mut record) = records.get(next).copied() {
            next += 1;
            // Of several that begin at one address the one that says most: an object, else the
            // longest.
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

/// Leaves of records in ascending order that are alike, see [`REPEATED`], the first and the last,
/// and puts between them how far they are apart. What stays moves to the front.
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
