//! What is known of trees of processes that refcow did not start, as a document (`refcow trees`, `attach`, `run`).

pub mod compare;
mod findings;
mod recorded;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

pub use findings::{findings, packages};
pub use recorded::{
    CauseFigures, LastLook, LinesFigures, MadeAtLine, MomentFigures, PagesAre, Phase,
    ProcessMoment, Reason, RecordedFigures, RecordedProcess, ThreadIs,
};

/// The version of this document's shape.
pub const SCHEMA_VERSION: u32 = 1;

/// Trees of processes that were looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trees {
    /// Of the shape of this document.
    pub schema_version: u32,
    /// Of refcow.
    pub refcow_version: String,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// In the order in which they were started.
    pub trees: Vec<TreeFigures>,
    /// Python processes that no other one was forked from or to; not looked at any further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alone: Option<u64>,
    /// Processes of any kind that this user may not look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed: Option<u64>,
    /// Programs that were started while others were recorded, and had ended before it was seen what they run: they are in no tree.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unseen_programs: Vec<UnseenProgram>,
}

/// A program that was not seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnseenProgram {
    /// As the kernel calls it.
    pub name: String,
    /// How often it was started.
    pub number: u64,
}

/// One tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TreeFigures {
    /// What it runs, as `CPython 3.13`; absent if that is no CPython.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// Why nothing is said of its objects: of what was written first, and of types. Absent where they are known, and of what is no CPython.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_unseen: Option<String>,
    /// How it was seen which pages are shared, and who wrote. Absent when all processes have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_by: Option<SeenBy>,
    /// Those that live when they are looked at, parents before their children.
    pub processes: Vec<ProcessFigures>,
    /// What all of them have together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<Total>,
    /// What happened while the tree was recorded. Absent if it was looked at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<RecordedFigures>,
    /// The memory of the process that has forked most of the others, and what of it they still share. Absent where none has forked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub map: Option<AddressMap>,
    /// What workers have made alike, when these figures were taken. Only of trees that were recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alike: Vec<AlikeFigures>,
    /// Why that could not be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alike_unseen: Option<String>,
    /// When these figures were taken, in seconds from the beginning of the recording on, where the processes have ended since. Absent of
    /// those that live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at_seconds: Option<f64>,
    /// What is worth telling, with what to do about it; most bytes first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<TreeFinding>,
}

/// The anonymous memory of a process, in the order of its addresses: in cells of as many pages, but for the last of a region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddressMap {
    /// The process.
    pub pid: i32,
    /// How many were forked from it, directly or in turn.
    pub workers: u64,
    /// Pages of a cell.
    pub pages_per_cell: u64,
    /// In the order of the tables; those that have pages.
    pub regions: Vec<MapRegion>,
}

/// Memory of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MapRegion {
    /// Which.
    pub name: MapRegionName,
    /// Anonymous pages that the process has in it.
    pub pages: u64,
    /// A letter for each cell: how many of its workers share its pages, in tenths of all: `0` none, `a` all; `1` to `9` for
    /// what lies between.
    pub shared: String,
    /// A letter for each cell: who has unshared most of its other pages. `w`: the workers; `p`: the process itself; `.`: nobody has, or
    /// nothing tells.
    pub unshared_by: String,
}

/// Kinds of memory.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MapRegionName {
    /// The heap of the C library (brk).
    Heap,
    /// Mappings of no file: arenas of Python's allocator, large blocks, stacks of threads.
    Anonymous,
    /// Private mappings of files: variables of the program and of libraries.
    Files,
    /// The stack of the first thread.
    Stack,
}

/// New memory of processes that one process has forked: what each has made for itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlikeFigures {
    /// The one that has forked them.
    pub parent_pid: i32,
    /// How many.
    pub workers: u64,
    /// Addresses at which each of them has an anonymous page of its own, and their parent none.
    pub new_pages: u64,
    /// Of these, the ones whose bytes are the same in all, and not all zero.
    pub alike_pages: u64,
    /// The ones that are all zero in all of them.
    pub zero_pages: u64,
    /// Files with code that all of them have loaded, and their parent has not.
    pub libraries: Vec<String>,
    /// Names that `sys.modules` has in all of them, and has not in their parent, in the order in which the first of them imported them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modules: Option<Vec<String>>,
    /// Why these are not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modules_unseen: Option<String>,
}

/// Something worth telling of a tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TreeFinding {
    /// What it is, as `collections`.
    pub id: String,
    /// Memory that it is about.
    pub bytes: u64,
    /// What was seen.
    pub says: String,
    /// Names that `says` leaves out (`and 3 others`); the figures of the tree have all of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// What to do about it.
    pub remedy: String,
}

/// How sharing was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeenBy {
    /// Page frames, and the kernel's mark of those that a process has written since it last forked (root, Linux 5.19).
    FramesAndMarks,
    /// Page frames (CAP_SYS_ADMIN).
    Frames,
    /// Whether a page is mapped once (bit 56 of pagemap). What a process has alone while its parent's page still has other users counts as
    /// its copy; a parent that wrote between two forks looks the same.
    MappedOnce,
}

/// One process. Pages are anonymous ones in memory, but for the last three.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessFigures {
    /// Its number.
    pub pid: i32,
    /// Its parent's.
    pub parent_pid: i32,
    /// How many of its ancestors are in the tree.
    pub depth: u64,
    /// Its command line.
    pub command: String,
    /// All of them.
    pub anonymous_pages: u64,
    /// Shared with an ancestor at the same address, or where no ancestor has any, with another relative.
    pub shared_pages: u64,
    /// The process wrote to it after the fork, and its parent (or nearest ancestor that has it) did not.
    pub copied_pages: u64,
    /// The parent wrote to it, and the process still has what was there before.
    pub left_behind_pages: u64,
    /// Both wrote.
    pub written_by_both_pages: u64,
    /// In huge pages of its own, of which the kernel makes one of many small ones without a write.
    pub huge_pages: u64,
    /// Its own, and nothing tells whether it or its parent wrote.
    pub unknown_pages: u64,
    /// At an address at which no ancestor has a page.
    pub new_pages: u64,
    /// Of a process without a living ancestor: shared with no relative.
    pub own_pages: u64,
    /// Of these pages (shared or not), those that it wrote after a fork while a process forked from it had what was there before: each of them
    /// costs the tree one page.
    pub rewritten_pages: u64,
    /// Anonymous pages in swap; not in the others.
    pub swapped_pages: u64,
    /// Pages of files, and of memory that is shared to write to.
    pub file_pages: u64,
    /// Bytes of page tables, which no process shares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_table_bytes: Option<u64>,
}

/// What a tree takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Total {
    /// Anonymous memory, each page once: different page frames, or the sum of PSS. Absent where the kernel tells neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous_bytes: Option<u64>,
    /// The same if no page were shared.
    pub if_nothing_shared_bytes: u64,
    /// The same if all that was shared at a fork still were.
    pub if_all_shared_bytes: u64,
    /// Pages of files and of shared mappings, each address once. Other programs may use them, too.
    pub file_bytes: u64,
    /// Page tables of all processes. Absent where the kernel does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_table_bytes: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl TreeFigures {
    /// The command line of its first process.
    pub fn command(&self) -> &str {
        let recorded = self.recorded.iter().flat_map(|one| &one.processes).next();
        let first = self.processes.first().map(|one| &one.command);
        first
            .or(recorded.map(|one| &one.command))
            .map_or("", |command| command)
    }
}

/// The JSON Schema of [`Trees`].
pub fn schema() -> Schema {
    schema_for!(Trees)
}
