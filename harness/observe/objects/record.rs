//! The form of the table's records, which who writes it and who reads it know.

use serde::{Deserialize, Serialize};

/// Records begin at multiples of so many bytes: objects do, on every build with 64 bits.
pub(super) const GRAIN: u64 = 8;

/// Bits of a record that say its [`RecordKind`]; the others, in how many [`GRAIN`]s into its page
/// it begins.
pub(super) const KIND_BITS: u32 = 19;
pub(super) const KIND_MASK: u64 = (1 << KIND_BITS) - 1;

/// In the place of a kind: the records from the one before to the one behind are all of their kind,
/// so many [`GRAIN`]s apart as stands in the place of where one begins.
pub(super) const REPEATED: u64 = KIND_MASK;

/// Bits of a page's entry that say its first record; the others are the page's number.
pub(super) const FIRST_BITS: u32 = 28;
pub(super) const FIRST_MASK: u64 = (1 << FIRST_BITS) - 1;

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
    /// Of which package, as a place in the list of packages, if only modules and classes lead to
    /// it.
    pub package: Option<u32>,
    /// How many bytes, those in front of an object included.
    pub bytes: u64,
}

/// How many kinds of records, and how many records, a table can hold.
pub(super) const MOST_KINDS: u64 = REPEATED;

/// See [`MOST_KINDS`].
pub(super) const MOST_RECORDS: u64 = FIRST_MASK + 1;

/// What the table says of all records, in front of them.
#[derive(Serialize, Deserialize)]
pub(super) struct TableHead {
    pub(super) types: Vec<String>,
    pub(super) packages: Vec<String>,
    pub(super) kinds: Vec<RecordKind>,
    pub(super) pages: u64,
    /// What they take, in words of four bytes.
    pub(super) words: u64,
    pub(super) left_out: u64,
}
