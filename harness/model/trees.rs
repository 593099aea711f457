//! What is known of trees of processes that refcow did not start, as a document (`refcow trees`, `attach`, `run`).

pub mod compare;
mod findings;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

pub use findings::findings;

use crate::Cause;

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
    /// What to do about it.
    pub remedy: String,
}

/// What happened while a tree was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedFigures {
    /// For how long.
    pub seconds: f64,
    /// Page faults of which the kernel left no record, those of other trees that were recorded together with this one included: their
    /// pages are in no figure here.
    pub lost_faults: u64,
    /// Copied pages in `causes` that are `unattributed` as nobody's memory could be read any more: who had what was there before had ended.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unread_pages: u64,
    /// Whether pages that the kernel wrote for a system call are among the records; that takes CAP_PERFMON.
    pub with_kernel_writes: bool,
    /// Why it was not seen when interpreters ended. Absent where it was, of all processes but those that ended before refcow began to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown_unseen: Option<String>,
    /// Each process that was there for some of the time, but for those that went on to execute another program.
    pub processes: Vec<RecordedProcess>,
    /// Those that did.
    pub executed: u64,
    /// Sums over the tree, in the order of time.
    pub moments: Vec<MomentFigures>,
    /// The pages by what was written first and what wrote, most first: each page of `processes` is in one of these.
    pub causes: Vec<CauseFigures>,
    /// How lines were looked at. Absent unless asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<LinesFigures>,
    /// Lines at which each of several workers made pages while it worked, most pages first: of the pages whose fault was looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made_by_all: Vec<MadeAtLine>,
    /// Processes that ended and were not looked at while they stood still at their end, by the reason. Absent where no last looks were
    /// asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_last_look: Option<Vec<Reason>>,
}

/// Of how many pages it was looked which line of Python wrote, and why not of others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LinesFigures {
    /// One page fault in so many of each thread was looked at.
    pub one_in: u64,
    /// Pages in `causes` whose fault was looked at.
    pub looked_at_pages: u64,
    /// Those of them without a line.
    pub without_line: Vec<Reason>,
    /// Processes that had ended, or were forked from others, before they could be looked at.
    pub not_traced_processes: u64,
    /// Threads whose faults were not looked at, those of other trees that were recorded together with this one included.
    pub not_traced: Vec<Reason>,
    /// Why there are no lines of this tree at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_frames: Option<String>,
    /// How often nothing was looked at for some time, as looking took too long.
    pub pauses: u64,
    /// Faults that were looked at for nothing, as refcow was too slow.
    pub dropped: u64,
    /// Whether the process that looks had ended before it was to.
    pub ended_early: bool,
}

/// Pages that all workers made at one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MadeAtLine {
    /// `FUNCTION (FILE:LINE)`: the innermost line of the user's own code, or where none had called it, the innermost of all.
    pub line: String,
    /// How many workers: all that were looked at.
    pub workers: u64,
    /// Pages of all of them.
    pub pages: u64,
    /// Of the worker with fewest.
    pub least_pages: u64,
}

/// How often something was so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// What.
    pub reason: String,
    /// Pages, threads or processes.
    pub number: u64,
}

/// Pages of a tree that have a cause in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CauseFigures {
    /// Which pages these are.
    pub pages_are: PagesAre,
    /// What was written first. Absent of new pages, where there was nothing before, and of unknown ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// The type of the object that was written, with its module.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_name: Option<String>,
    /// The function that wrote, or `file+0x1234`; `[kernel]` for a system call.
    pub function: String,
    /// Which thread of the process did.
    pub thread: ThreadIs,
    /// What its interpreter was doing. Absent where that was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The Python function and line that was running: `FUNCTION (FILE:LINE)`. Absent where nobody looked, and where none was running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// The innermost line of the user's own code that had called it. Absent where that is `line`, and where none had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_line: Option<String>,
    /// How many.
    pub pages: u64,
}

/// What became of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PagesAre {
    /// `copied_pages`.
    Copied,
    /// `new_pages`.
    New,
    /// `rewritten_pages`.
    Rewritten,
    /// `unknown_pages`.
    Unknown,
}

/// What an interpreter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It runs the program.
    Work,
    /// It ends (`_PyRuntime.finalizing`): it empties modules, collects, and frees what there is.
    Shutdown,
}

/// A thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ThreadIs {
    /// The first one of its process.
    Main,
    /// Another one.
    Other,
}

/// A process while it was recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedProcess {
    /// Its number.
    pub pid: i32,
    /// That of the process that it was forked from.
    pub parent_pid: i32,
    /// How many of its ancestors are in the tree.
    pub depth: u64,
    /// Its command line, when it was seen first.
    pub command: String,
    /// Whether it had ended before the recording did.
    pub ended: bool,
    /// Pages that it had from its fork and copied by writing to them.
    pub copied_pages: u64,
    /// Of these, the ones that it has given back since, or had given back when it ended. Absent of one that has ended without a last look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_back_pages: Option<u64>,
    /// Addresses at which it had no page and made one.
    pub new_pages: u64,
    /// Pages that it copied because a process that it had forked still had them.
    pub rewritten_pages: u64,
    /// Pages that it copied or made, or wrote to when nobody else had them any more: all from which it was forked had ended, or had given
    /// back what was there at the fork. And pages that are new or of files: it had ended before they were looked at.
    pub unknown_pages: u64,
    /// Of the pages of these four kinds, those that it wrote first while its interpreter was ending. Absent where that was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shutdown_pages: Option<u64>,
    /// Whether it had ended before it was looked at for the first time: what it wrote at addresses at which those from which it was forked
    /// have a page counts as copied, all else is in `unknown_pages`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ended_unseen: bool,
    /// What it had when it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_look: Option<LastLook>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What a process had while it stood still at its end, with all of its memory still there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LastLook {
    /// When that was, since the recording began.
    pub seconds: f64,
    /// Anonymous pages in memory.
    pub anonymous_pages: u64,
    /// Those of them that another process had, too.
    pub shared_pages: u64,
    /// Anonymous pages in swap.
    pub swapped_pages: u64,
    /// The most memory that it ever had, pages of files included (`VmHWM`). Absent where the kernel does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_resident_bytes: Option<u64>,
}

/// Sums over all processes that are recorded, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MomentFigures {
    /// Since the recording began.
    pub seconds: f64,
    /// Those that live.
    pub processes: u64,
    /// Copied until then.
    pub copied_pages: u64,
    /// Made until then.
    pub new_pages: u64,
    /// Rewritten until then.
    pub rewritten_pages: u64,
    /// Anonymous memory that all have, each page once. Absent where no look was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The processes of this tree that live.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by_process: Vec<ProcessMoment>,
}

/// A process at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessMoment {
    /// Its number.
    pub pid: i32,
    /// What it has copied and rewritten until then.
    pub copied_pages: u64,
    /// What it has made until then.
    pub new_pages: u64,
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
