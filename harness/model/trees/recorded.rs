//! What was recorded of a tree over time, as a part of its document.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_zero;
use crate::Cause;

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
    /// Whether threads stood still for it; else a BPF program looked.
    #[serde(default = "always")]
    pub with_stops: bool,
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

/// What was so in documents that do not say it.
fn always() -> bool {
    true
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
