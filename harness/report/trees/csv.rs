//! The figures of trees of processes as rows for programs.

use refcow_model::trees::{PagesAre, Phase, ThreadIs, Trees};

use crate::csv::{Text, table};
use crate::error::Error;

#[derive(serde::Serialize)]
struct CauseRow<'a> {
    tree: Text<'a>,
    pages_are: PagesAre,
    cause: Option<&'static str>,
    #[serde(rename = "type")]
    type_name: Option<Text<'a>>,
    function: Text<'a>,
    thread: ThreadIs,
    phase: Option<Phase>,
    pages: u64,
    bytes: u64,
    line: Option<Text<'a>>,
    own_line: Option<Text<'a>>,
}

/// A row for each cause of what was recorded, or where nothing was, for each process that is there.
///
/// # Errors
/// None that is known of.
pub fn one(trees: &Trees) -> Result<Vec<u8>, Error> {
    match trees.trees.iter().any(|tree| tree.recorded.is_some()) {
        true => causes(trees),
        false => processes_now(trees),
    }
}

pub(super) fn causes(trees: &Trees) -> Result<Vec<u8>, Error> {
    let all = trees.trees.iter().flat_map(|tree| {
        let causes = tree.recorded.iter().flat_map(|recorded| &recorded.causes);
        causes.map(|one| CauseRow {
            tree: tree.command().into(),
            pages_are: one.pages_are,
            cause: one.cause.map(refcow_model::Cause::as_str),
            type_name: one.type_name.as_deref().map(Text::from),
            function: one.function[..].into(),
            thread: one.thread,
            phase: one.phase,
            pages: one.pages,
            bytes: one.pages.saturating_mul(trees.page_bytes),
            line: one.line.as_deref().map(Text::from),
            own_line: one.own_line.as_deref().map(Text::from),
        })
    });
    table(all)
}

#[derive(serde::Serialize)]
struct ProcessRow<'a> {
    tree: Text<'a>,
    pid: i32,
    parent_pid: i32,
    depth: u64,
    ended: bool,
    copied_pages: u64,
    given_back_pages: Option<u64>,
    new_pages: u64,
    rewritten_pages: u64,
    unknown_pages: u64,
    shutdown_pages: Option<u64>,
    last_anonymous_pages: Option<u64>,
    last_shared_pages: Option<u64>,
    peak_resident_bytes: Option<u64>,
    command: Text<'a>,
    ended_unseen: bool,
    last_swapped_pages: Option<u64>,
    last_seconds: Option<f64>,
}

pub(super) fn processes(trees: &Trees) -> Result<Vec<u8>, Error> {
    let all = trees.trees.iter().flat_map(|tree| {
        let processes = tree
            .recorded
            .iter()
            .flat_map(|recorded| &recorded.processes);
        processes.map(|one| {
            let last = one.last_look.as_ref();
            ProcessRow {
                tree: tree.command().into(),
                pid: one.pid,
                parent_pid: one.parent_pid,
                depth: one.depth,
                ended: one.ended,
                copied_pages: one.copied_pages,
                given_back_pages: one.given_back_pages,
                new_pages: one.new_pages,
                rewritten_pages: one.rewritten_pages,
                unknown_pages: one.unknown_pages,
                shutdown_pages: one.shutdown_pages,
                last_anonymous_pages: last.map(|look| look.anonymous_pages),
                last_shared_pages: last.map(|look| look.shared_pages),
                peak_resident_bytes: last.and_then(|look| look.peak_resident_bytes),
                command: one.command[..].into(),
                ended_unseen: one.ended_unseen,
                last_swapped_pages: last.map(|look| look.swapped_pages),
                last_seconds: last.map(|look| look.seconds),
            }
        })
    });
    table(all)
}

#[derive(serde::Serialize)]
struct NowRow<'a> {
    tree: Text<'a>,
    pid: i32,
    parent_pid: i32,
    depth: u64,
    anonymous_pages: u64,
    shared_pages: u64,
    copied_pages: u64,
    left_behind_pages: u64,
    written_by_both_pages: u64,
    unknown_pages: u64,
    new_pages: u64,
    file_pages: u64,
    command: Text<'a>,
    own_pages: u64,
    rewritten_pages: u64,
    huge_pages: u64,
    swapped_pages: u64,
    page_table_bytes: Option<u64>,
}

/// A row for each process that is there.
///
/// # Errors
/// None that is known of.
pub fn processes_now(trees: &Trees) -> Result<Vec<u8>, Error> {
    let all = trees.trees.iter().flat_map(|tree| {
        tree.processes.iter().map(|one| NowRow {
            tree: tree.command().into(),
            pid: one.pid,
            parent_pid: one.parent_pid,
            depth: one.depth,
            anonymous_pages: one.anonymous_pages,
            shared_pages: one.shared_pages,
            copied_pages: one.copied_pages,
            left_behind_pages: one.left_behind_pages,
            written_by_both_pages: one.written_by_both_pages,
            unknown_pages: one.unknown_pages,
            new_pages: one.new_pages,
            file_pages: one.file_pages,
            command: one.command[..].into(),
            own_pages: one.own_pages,
            rewritten_pages: one.rewritten_pages,
            huge_pages: one.huge_pages,
            swapped_pages: one.swapped_pages,
            page_table_bytes: one.page_table_bytes,
        })
    });
    table(all)
}

#[derive(serde::Serialize)]
struct MomentRow<'a> {
    tree: Text<'a>,
    seconds: f64,
    pid: i32,
    copied_pages: u64,
    new_pages: u64,
}

pub(super) fn moments(trees: &Trees) -> Result<Vec<u8>, Error> {
    let all = trees.trees.iter().flat_map(|tree| {
        let moments = tree.recorded.iter().flat_map(|recorded| &recorded.moments);
        moments.flat_map(|moment| {
            moment.by_process.iter().map(|one| MomentRow {
                tree: tree.command().into(),
                seconds: moment.seconds,
                pid: one.pid,
                copied_pages: one.copied_pages,
                new_pages: one.new_pages,
            })
        })
    });
    table(all)
}
