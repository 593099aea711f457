//! What the page of a tree of processes says.

use refcow_model::numbers::{bytes, count, counted, duration, share};
use refcow_model::trees::{
    CauseFigures, LastLook, PagesAre, Phase, ProcessFigures, RecordedFigures, RecordedProcess,
    SeenBy, ThreadIs, TreeFigures, Trees,
};

use super::preloading;
use crate::charts::{Chart, ChartKind};
use crate::columns::Columns;
use crate::page::block::{Block, Item};
use crate::page::figures::pictures;
use crate::page::table::Table;
use crate::page::{Page, Section};

/// Pages as memory, which figures of anybody's may be too many for.
struct PagesAsMemory(u64);

impl PagesAsMemory {
    fn text(&self, pages: u64) -> String {
        match pages {
            0 => "–".to_owned(),
            pages => bytes(pages.saturating_mul(self.0)),
        }
    }
}

fn sum<T>(all: &[T], pages: impl Fn(&T) -> u64) -> u64 {
    all.iter().map(pages).fold(0, u64::saturating_add)
}

pub(super) fn of(trees: &Trees, charts: &[Chart]) -> Page {
    let of_kind = |kind: ChartKind| {
        let all: Vec<&Chart> = charts.iter().filter(|chart| chart.kind == kind).collect();
        pictures(&all)
    };
    let several = trees.trees.len() > 1;
    let each = |blocks: &dyn Fn(&TreeFigures) -> Vec<Block>| {
        let mut all = Vec::new();
        for tree in &trees.trees {
            let blocks = blocks(tree);
            if several && !blocks.is_empty() {
                all.push(Block::heading(tree.command()));
            }
            all.extend(blocks);
        }
        all
    };
    let pages = PagesAsMemory(trees.page_bytes);
    let sections = [
        (
            "findings",
            "What to do about it",
            each(&|tree| findings(tree)),
        ),
        ("map", "What is still shared", of_kind(ChartKind::Pages)),
        ("time", "Over time", of_kind(ChartKind::Tree)),
        (
            "causes",
            "Why pages were copied, and who made new ones",
            each(&|tree| causes(tree, &pages)),
        ),
        (
            "preloading",
            "What all workers made for themselves",
            each(&|tree| preloading::blocks(tree, trees.page_bytes)),
        ),
        (
            "processes",
            "Each process",
            each(&|tree| processes(tree, &pages)),
        ),
        ("method", "How it was seen", each(&method)),
    ];
    let first = trees.trees.first();
    let title = first.map_or("no tree", |tree| tree.command());
    Page {
        title: title.to_owned(),
        incomplete: None,
        finding: first.map_or_else(
            || "No tree was there.".to_owned(),
            |tree| headline(tree, &pages),
        ),
        findings: Vec::new(),
        about: about(trees),
        sections: sections
            .into_iter()
            .filter(|(.., blocks)| !blocks.is_empty())
            .map(|(id, title, blocks)| Section { id, title, blocks })
            .collect(),
    }
}

fn about(trees: &Trees) -> String {
    let tree = trees.trees.first();
    let python = tree
        .and_then(|tree| tree.python.as_deref())
        .unwrap_or("not CPython");
    let command = tree.map_or("", |tree| tree.command());
    let others = match trees.trees.len() {
        0 | 1 => String::new(),
        several => format!(
            ", and {}",
            counted(several as u64 - 1, "other tree", "other trees")
        ),
    };
    format!(
        "{command}{others}; {python}; refcow {}",
        trees.refcow_version
    )
}

fn headline(tree: &TreeFigures, pages: &PagesAsMemory) -> String {
    match &tree.recorded {
        Some(recorded) => {
            let all = &recorded.processes;
            format!(
                "In {}, {} copied {} and made {} of new memory.",
                duration(recorded.seconds),
                counted(all.len() as u64, "process", "processes"),
                pages.text(sum(all, |one| one
                    .copied_pages
                    .saturating_add(one.rewritten_pages))),
                pages.text(sum(all, |one| one.new_pages)),
            )
        }
        None => {
            let taken = tree.total.as_ref().and_then(|total| total.anonymous_bytes);
            format!(
                "{} take {} of memory.",
                counted(tree.processes.len() as u64, "process", "processes"),
                taken.map_or("an unknown amount".to_owned(), bytes),
            )
        }
    }
}

fn findings(tree: &TreeFigures) -> Vec<Block> {
    let items = tree.findings.iter().map(|one| Item {
        text: one.says.clone(),
        code: None,
        under: vec![one.remedy.clone()],
    });
    let items: Vec<Item> = items.collect();
    match items.is_empty() {
        true => Vec::new(),
        false => vec![Block::List { items }],
    }
}

/// Rows of causes; the rest is one more.
const MOST_CAUSES: usize = 30;

fn causes(tree: &TreeFigures, pages: &PagesAsMemory) -> Vec<Block> {
    let Some(recorded) = &tree.recorded else {
        return Vec::new();
    };
    let at_end = |one: &CauseFigures| one.phase == Some(Phase::Shutdown);
    let is_copied =
        |one: &CauseFigures| matches!(one.pages_are, PagesAre::Copied | PagesAre::Rewritten);
    type IsPart<'a> = &'a dyn Fn(&CauseFigures) -> bool;
    let parts: [(&str, IsPart<'_>); 4] = [
        ("Copied", &|one| is_copied(one) && !at_end(one)),
        ("New", &|one| one.pages_are == PagesAre::New && !at_end(one)),
        ("Copied while interpreters were ending", &|one| {
            is_copied(one) && at_end(one)
        }),
        ("New while interpreters were ending", &|one| {
            one.pages_are == PagesAre::New && at_end(one)
        }),
    ];
    parts
        .into_iter()
        .filter_map(|(caption, is_part)| {
            let all: Vec<&CauseFigures> =
                recorded.causes.iter().filter(|one| is_part(one)).collect();
            causes_table(caption, &all, pages)
        })
        .collect()
}

fn causes_table(caption: &str, all: &[&CauseFigures], pages: &PagesAsMemory) -> Option<Block> {
    let whole = sum(all, |one| one.pages);
    if whole == 0 {
        return None;
    }
    let figures = |number: u64| vec![pages.text(number), share(number as f64 / whole as f64)];
    let mut rows: Vec<Vec<String>> = all
        .iter()
        .take(MOST_CAUSES)
        .map(|one| {
            let thread = match one.thread {
                ThreadIs::Main => "",
                ThreadIs::Other => " (other thread)",
            };
            let words = vec![
                one.cause
                    .map_or("–", refcow_model::Cause::as_str)
                    .to_owned(),
                one.type_name.clone().unwrap_or_else(|| "–".to_owned()),
                format!("{}{thread}", one.function),
            ];
            [words, figures(one.pages)].concat()
        })
        .collect();
    let rest = &all[all.len().min(MOST_CAUSES)..];
    if !rest.is_empty() {
        let words = vec![
            counted(rest.len() as u64, "other", "others"),
            String::new(),
            String::new(),
        ];
        rows.push([words, figures(sum(rest, |one| one.pages))].concat());
    }
    Some(Block::Table(Table::of(
        caption,
        Columns {
            header: ["first write to", "type", "by", "memory", "part"]
                .map(str::to_owned)
                .to_vec(),
            rows,
            leading: 3,
            numbers: 3..5,
        },
    )))
}

/// A column: its name, and pages.
type PagesColumn<T> = (&'static str, fn(&T) -> u64);

fn processes(tree: &TreeFigures, pages: &PagesAsMemory) -> Vec<Block> {
    let mut blocks = Vec::new();
    if let Some(recorded) = &tree.recorded {
        let columns: [PagesColumn<RecordedProcess>; 6] = [
            ("copied", |one| one.copied_pages),
            ("given back", |one| one.given_back_pages.unwrap_or(0)),
            ("rewritten", |one| one.rewritten_pages),
            ("unknown", |one| one.unknown_pages),
            ("new", |one| one.new_pages),
            ("at shutdown", |one| one.shutdown_pages.unwrap_or(0)),
        ];
        let name = |one: &RecordedProcess| {
            let end = if one.ended { " (ended)" } else { "" };
            (one.depth, format!("{}{end}", one.pid))
        };
        blocks.push(process_table(
            "While they were recorded",
            &recorded.processes,
            name,
            &columns,
            pages,
        ));
    }
    let ended = tree.recorded.iter().flat_map(|one| &one.processes);
    let ended = ended.filter_map(|one| Some((one, one.last_look.as_ref()?)));
    let ended: Vec<(&RecordedProcess, &LastLook)> = ended.collect();
    if !ended.is_empty() {
        let columns: [PagesColumn<(&RecordedProcess, &LastLook)>; 2] = [
            ("memory", |(_, look)| look.anonymous_pages),
            ("shared", |(_, look)| look.shared_pages),
        ];
        let name = |(one, _): &(&RecordedProcess, &LastLook)| (one.depth, one.pid.to_string());
        let caption = "What each had when it ended";
        blocks.push(process_table(caption, &ended, name, &columns, pages));
    }
    if !tree.processes.is_empty() {
        let columns: [PagesColumn<ProcessFigures>; 10] = [
            ("memory", |one| one.anonymous_pages),
            ("shared", |one| one.shared_pages),
            ("copied", |one| one.copied_pages),
            ("both wrote", |one| one.written_by_both_pages),
            ("parent wrote", |one| one.left_behind_pages),
            ("rewritten", |one| one.rewritten_pages),
            ("huge", |one| one.huge_pages),
            ("unknown", |one| one.unknown_pages),
            ("new", |one| one.new_pages),
            ("files", |one| one.file_pages),
        ];
        let caption = match (tree.taken_at_seconds, &tree.recorded) {
            (Some(seconds), _) => format!("What they had after {}", duration(seconds)),
            (None, Some(_)) => "What they had when the recording ended".to_owned(),
            (None, None) => "What they have".to_owned(),
        };
        let name = |one: &ProcessFigures| (one.depth, one.pid.to_string());
        blocks.push(process_table(
            &caption,
            &tree.processes,
            name,
            &columns,
            pages,
        ));
    }
    if let Some(total) = &tree.total {
        let taken = total
            .anonymous_bytes
            .map_or("an unknown amount".to_owned(), bytes);
        blocks.push(Block::text(format!(
            "Together they took {taken}; it would be {} if no page were shared, and {} if every page that was shared at a fork still were.",
            bytes(total.if_nothing_shared_bytes),
            bytes(total.if_all_shared_bytes),
        )));
    }
    blocks
}

fn process_table<T>(
    caption: &str,
    all: &[T],
    name: impl Fn(&T) -> (u64, String),
    columns: &[PagesColumn<T>],
    pages: &PagesAsMemory,
) -> Block {
    let shown: Vec<&PagesColumn<T>> = columns
        .iter()
        .filter(|(_, figure)| all.iter().any(|one| figure(one) > 0))
        .collect();
    let row = |one: &T| {
        let (depth, name) = name(one);
        // A row below another one's is indented, once.
        let indent = if depth > 0 { "  " } else { "" };
        let figures = shown.iter().map(|(_, figure)| pages.text(figure(one)));
        std::iter::once(format!("{indent}{name}"))
            .chain(figures)
            .collect()
    };
    let header = std::iter::once("process").chain(shown.iter().map(|(name, _)| *name));
    Block::Table(Table::of(
        caption,
        Columns {
            header: header.map(str::to_owned).collect(),
            rows: all.iter().map(row).collect(),
            leading: 1,
            numbers: 1..shown.len() + 1,
        },
    ))
}

fn method(tree: &TreeFigures) -> Vec<Block> {
    let mut blocks = vec![Block::text(how(tree))];
    blocks.extend(tree.seen_by.map(|by| {
        Block::text(match by {
            SeenBy::FramesAndMarks => "Which pages are shared, and who wrote, was seen by page frames and the kernel's marks of them.",
            SeenBy::Frames => "Which pages are shared was seen by page frames.",
            SeenBy::MappedOnce => "Without page frames, which take root (CAP_SYS_ADMIN), refcow sees whether a page has one user, not who else has it: a page that a parent rewrote between two forks counts as copied.",
        })
    }));
    if let Some(why) = &tree.objects_unseen {
        blocks.push(Block::text(format!(
            "Nothing is said of this Python's objects: {why}."
        )));
    }
    if let Some(recorded) = &tree.recorded {
        blocks.extend(limits(recorded));
    }
    blocks
}

/// What was done to the processes.
fn how(tree: &TreeFigures) -> String {
    let Some(recorded) = &tree.recorded else {
        return "refcow read /proc; no process was stopped, and nothing was written to any."
            .to_owned();
    };
    let lines = recorded.lines.as_ref().filter(|lines| lines.with_stops);
    let lines = lines.map(|lines| match lines.one_in {
        1 => "each thread stood still for a moment at its page faults".to_owned(),
        number => {
            format!(
                "each thread stood still for a moment at one page fault in {}",
                count(number)
            )
        }
    });
    let end = (recorded.without_last_look.is_some()
        || recorded.processes.iter().any(|one| one.last_look.is_some()))
    .then(|| "processes stood still for a moment at their ends".to_owned());
    let stood: Vec<String> = lines.into_iter().chain(end).collect();
    let stood = match stood.is_empty() {
        true => "no process was stopped".to_owned(),
        false => stood.join(", "),
    };
    format!(
        "refcow read /proc and had the kernel record page faults; {stood}; nothing was written to any process."
    )
}

fn limits(recorded: &RecordedFigures) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut warn = |text: String| blocks.push(Block::Warning { text });
    if recorded.lost_faults > 0 {
        let lost = counted(recorded.lost_faults, "page fault", "page faults");
        warn(format!(
            "{lost} left no record; the pages are in no figure here."
        ));
    }
    if !recorded.with_kernel_writes {
        warn("Pages that the kernel wrote for a system call are in no figure of the recording: that takes CAP_PERFMON, which root has outside of containers.".to_owned());
    }
    if let Some(why) = &recorded.shutdown_unseen {
        warn(format!(
            "What was written while interpreters ended is not told apart: {why}."
        ));
    }
    blocks
}
