//! Trees as tables.

mod causes;
mod cells;
mod notes;

use super::document::{
    LastLook, ProcessFigures, RecordedFigures, RecordedProcess, TreeFigures, Trees,
};
use super::watch::Moment;
use crate::numbers::{bytes, count, counted, duration, one_or_several};
use crate::observe::page_size;
use crate::report::Columns;

use cells::{NOTHING, prose};

pub use causes::TreeBy;
pub(super) use cells::cut;

/// A line for each tree.
pub fn of_all(trees: &Trees, width: Option<u16>) -> String {
    let mut text = String::new();
    // So that all columns stand side by side on a terminal of 80.
    let command = if width.is_some_and(|width| width < 90) {
        14
    } else {
        24
    };
    let rows = trees.trees.iter().filter_map(|tree| {
        let oldest = tree.processes.first()?;
        let total = tree.total.as_ref()?;
        let copied: u64 = tree.processes.iter().map(|one| one.copied_pages).sum();
        Some(vec![
            oldest.pid.to_string(),
            cut(&oldest.command, command),
            count(tree.processes.len() as u64),
            total.anonymous_bytes.map_or(NOTHING.to_owned(), bytes),
            bytes(copied * page_size()),
            bytes(total.if_all_shared_bytes),
            bytes(total.if_nothing_shared_bytes),
        ])
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        text += "no tree of Python processes that share memory\n";
    } else {
        let columns = Columns {
            header: [
                "pid",
                "command",
                "processes",
                "memory",
                "copied",
                "if all shared",
                "if none",
            ]
            .map(str::to_owned)
            .to_vec(),
            rows,
            leading: 2,
            numbers: 2..7,
        };
        text += &columns.text(width);
    }
    if let Some(alone @ 1..) = trees.alone {
        let words = counted(
            alone,
            "other Python process shares",
            "other Python processes share",
        );
        let words = format!("{words} no memory with another process by fork.");
        text += &prose(&words, width, "");
    }
    if let Some(closed @ 1..) = trees.closed {
        let words = counted(closed, "process is", "processes are");
        let whom = one_or_several(closed, "it", "them");
        let words = format!(
            "{words} not among these, as the kernel does not let you look at {whom}. With CAP_SYS_PTRACE, as root has it, you see those of all users."
        );
        text += &prose(&words, width, "");
    }
    text
}

/// All trees that were recorded, or looked at, one after the other.
pub fn of_each(trees: &Trees, width: Option<u16>, by: &[TreeBy]) -> String {
    let whose = match trees.trees.len() {
        0 | 1 => "all together",
        _ => "all trees together",
    };
    let all = trees.trees.iter();
    let mut all: Vec<String> = all.map(|tree| of_one(tree, whose, width, by)).collect();
    if all.is_empty() {
        all.push("No program is left to show: it had ended before refcow saw it begin, or went on to execute another one.\n".to_owned());
    }
    let unseen = notes::of_unseen_programs(&trees.unseen_programs);
    all.extend(unseen.map(|note| prose(&note, width, "")));
    all.join("\n")
}

/// A column: its name, whether it is there when nothing is in it, and the pages in it.
type Column<T> = (&'static str, bool, fn(&T) -> Option<u64>);

/// One tree, with a line for each process. `whose`: the memory that was looked at over time.
fn of_one(tree: &TreeFigures, whose: &str, width: Option<u16>, by: &[TreeBy]) -> String {
    let mut text = prose(&title(tree), width, "");
    text.push('\n');
    let mut is_cut = false;
    if let Some(recorded) = &tree.recorded {
        text += &prose(&recorded_title(recorded, whose), width, "");
        text.push('\n');
        text += &recorded_table(recorded, width);
        let notes = notes::of_recorded(recorded).into_iter();
        let notes: Vec<String> = notes.chain(notes::of_objects(tree)).collect();
        for note in &notes {
            text += &prose(note, width, "");
        }
        if !notes.is_empty() {
            text.push('\n');
        }
        let tables = match by {
            [] => causes::of_all(recorded, width),
            by => causes::grouped(recorded, by, width),
        };
        text += &tables.text;
        is_cut |= tables.is_cut;
        text += &last_looks(recorded, width);
        if tree.processes.is_empty() {
            text += "All of its processes have ended.\n";
            text += &findings(tree, width, is_cut);
            return text;
        }
        let all_ended = recorded.processes.iter().all(|one| one.ended);
        text += &match tree.taken_at_seconds {
            None => "What the processes have now:\n\n".to_owned(),
            Some(seconds) => {
                let ended = match all_ended {
                    true => "All of its processes have ended. ",
                    false => "",
                };
                let words = format!(
                    "{ended}What they had after {}, before the program was told to end:",
                    duration(seconds)
                );
                prose(&words, width, "") + "\n"
            }
        };
    }
    text += &table_of_now(tree, width);
    text += &prose(&total(tree), width, "");
    let notes = notes::of_now(tree).into_iter();
    for note in notes.chain(notes::of_survivors(tree)) {
        text += &prose(&note, width, "");
    }
    text += &findings(tree, width, is_cut);
    text
}

/// What is to be known of processes that run on, where nobody reads the tables.
pub fn survivors(trees: &Trees) -> impl Iterator<Item = String> {
    trees.trees.iter().filter_map(notes::of_survivors)
}

/// Sentences, each with what to do below it; and where all is that they, and the tables above, leave out.
fn findings(tree: &TreeFigures, width: Option<u16>, is_cut: bool) -> String {
    let mut text = String::new();
    if !tree.findings.is_empty() {
        text += "\nFound, most bytes first:\n";
    }
    for one in &tree.findings {
        text.push('\n');
        text += &prose(&one.says, width, "  ");
        text += &prose(&one.remedy, width, "    ");
    }
    if is_cut || tree.findings.iter().any(|one| one.left_out > 0) {
        text.push('\n');
        let where_all_is =
            "Each of the others is in the JSON (--format json) and in the tables of --report DIR.";
        text += &prose(where_all_is, width, "");
    }
    text
}

fn table_of_now(tree: &TreeFigures, width: Option<u16>) -> String {
    let several = tree.processes.len() > 1;
    let all: [Column<ProcessFigures>; 11] = [
        ("memory", true, |one| Some(one.anonymous_pages)),
        ("shared", true, |one| Some(one.shared_pages)),
        ("copied", true, |one| {
            (one.depth > 0).then_some(one.copied_pages)
        }),
        ("both wrote", false, |one| {
            (one.depth > 0).then_some(one.written_by_both_pages)
        }),
        ("parent wrote", false, |one| {
            (one.depth > 0).then_some(one.left_behind_pages)
        }),
        ("rewritten", false, |one| Some(one.rewritten_pages)),
        ("huge", false, |one| {
            (one.depth > 0).then_some(one.huge_pages)
        }),
        ("unknown", false, |one| {
            (one.depth > 0).then_some(one.unknown_pages)
        }),
        ("new", true, |one| (one.depth > 0).then_some(one.new_pages)),
        ("in swap", false, |one| Some(one.swapped_pages)),
        ("files", true, |one| Some(one.file_pages)),
    ];
    let chosen = all
        .into_iter()
        .filter(|(name, ..)| several || ["memory", "in swap", "files"].contains(name));
    table(
        &tree.processes,
        |one| (one.depth, one.pid.to_string()),
        chosen.collect(),
        width,
    )
}

/// What those had that have ended, where that was seen.
fn last_looks(recorded: &RecordedFigures, width: Option<u16>) -> String {
    let all: [Column<(&RecordedProcess, &LastLook)>; 4] = [
        ("memory", true, |(_, look)| Some(look.anonymous_pages)),
        ("shared", true, |(_, look)| Some(look.shared_pages)),
        ("in swap", false, |(_, look)| Some(look.swapped_pages)),
        ("peak, with files", false, |(_, look)| {
            look.peak_resident_bytes.map(|bytes| bytes / page_size())
        }),
    ];
    let looks = recorded.processes.iter();
    let looks = looks.filter_map(|one| Some((one, one.last_look.as_ref()?)));
    let looks: Vec<_> = looks.collect();
    if looks.is_empty() {
        return String::new();
    }
    let name = |(one, _): &(&RecordedProcess, &LastLook)| (one.depth, one.pid.to_string());
    let table = table(&looks, name, all.to_vec(), width);
    format!("What each process had when it ended:\n\n{table}")
}

fn recorded_table(recorded: &RecordedFigures, width: Option<u16>) -> String {
    let all: [Column<RecordedProcess>; 6] = [
        ("copied", true, |one| Some(one.copied_pages)),
        ("given back", false, |one| one.given_back_pages),
        ("rewritten", false, |one| Some(one.rewritten_pages)),
        ("unknown", false, |one| Some(one.unknown_pages)),
        ("new", true, |one| Some(one.new_pages)),
        ("at shutdown", false, |one| one.shutdown_pages),
    ];
    let name = |one: &RecordedProcess| {
        let end = if one.ended { " (ended)" } else { "" };
        (one.depth, format!("{}{end}", one.pid))
    };
    table(&recorded.processes, name, all.to_vec(), width)
}

/// A line for each process, below its parent.
fn table<T>(
    processes: &[T],
    name: impl Fn(&T) -> (u64, String),
    columns: Vec<Column<T>>,
    width: Option<u16>,
) -> String {
    let is_shown = |(_, always, pages): &Column<T>| {
        *always || processes.iter().any(|one| pages(one).unwrap_or(0) > 0)
    };
    let shown: Vec<Column<T>> = columns.into_iter().filter(is_shown).collect();
    let cell = |pages: Option<u64>| match pages {
        None | Some(0) => NOTHING.to_owned(),
        Some(pages) => bytes(pages * page_size()),
    };
    let row = |one: &T| {
        let (depth, name) = name(one);
        let indent = "  ".repeat(usize::try_from(depth).unwrap_or(0).min(8));
        let figures = shown.iter().map(|(_, _, pages)| cell(pages(one)));
        std::iter::once(format!("{indent}{name}"))
            .chain(figures)
            .collect()
    };
    let header = std::iter::once("process").chain(shown.iter().map(|(name, ..)| *name));
    let columns = Columns {
        header: header.map(str::to_owned).collect(),
        rows: processes.iter().map(row).collect(),
        leading: 1,
        numbers: 1..shown.len() + 1,
    };
    columns.text(width)
}

fn recorded_title(recorded: &RecordedFigures, whose: &str) -> String {
    let sum = |pages: fn(&RecordedProcess) -> u64| {
        let all: u64 = recorded.processes.iter().map(pages).sum();
        bytes(all * page_size())
    };
    let mut text = format!(
        "In {} the processes copied {} and made {} of new memory",
        duration(recorded.seconds),
        sum(|one| one.copied_pages + one.rewritten_pages),
        sum(|one| one.new_pages),
    );
    let most = recorded
        .moments
        .iter()
        .filter_map(|moment| moment.memory_bytes)
        .max();
    if let Some(most @ 1..) = most {
        text += &format!("; the most that was seen of {whose} is {}", bytes(most));
    }
    text.push('.');
    text
}

/// A line for a moment.
pub fn line(moment: &Moment, before: Option<&Moment>) -> String {
    let [copied, made, rewrote] = moment.pages;
    let mut text = format!(
        "{:.1} s: {}, copied {}, new {}",
        moment.seconds,
        counted(moment.processes, "process", "processes"),
        bytes((copied + rewrote) * page_size()),
        bytes(made * page_size()),
    );
    let (seconds, pages) = before.map_or((0.0, [0; 3]), |before| (before.seconds, before.pages));
    let passed = moment.seconds - seconds;
    // What has gone on to execute another program takes its pages along.
    let sum = |pages: [u64; 3]| pages.iter().sum::<u64>();
    let more = sum(moment.pages).saturating_sub(sum(pages));
    if passed > 0.0 {
        let a_second = (more * page_size()) as f64 / passed;
        text += &format!(" (+{} a second)", bytes(a_second as u64));
    }
    if let (Some(memory), 1..) = (moment.memory_bytes, moment.processes) {
        text += &format!(", memory of all {}", bytes(memory));
    }
    text
}

/// What it is.
fn title(tree: &TreeFigures) -> String {
    let recorded = tree
        .recorded
        .iter()
        .flat_map(|recorded| &recorded.processes);
    let recorded: Vec<&RecordedProcess> = recorded.collect();
    let command = match (tree.processes.first(), recorded.first()) {
        (Some(oldest), _) => &oldest.command,
        (None, Some(first)) => &first.command,
        (None, None) => "",
    };
    let command = cut(command, 60);
    let python = tree.python.as_deref().unwrap_or("not CPython");
    let number = tree.processes.len().max(recorded.len()) as u64;
    format!(
        "{command}: {}, {python}",
        counted(number, "process", "processes")
    )
}

fn total(tree: &TreeFigures) -> String {
    let mut text = String::new();
    let Some(total) = &tree.total else {
        return text;
    };
    if tree.processes.len() < 2 {
        text += "Nothing was forked from this process, or it is no longer there: it shares no memory by fork.";
        return text;
    }
    match total.anonymous_bytes {
        Some(taken) => text += &format!("The tree takes {} of memory", bytes(taken)),
        None => text += "The kernel does not tell what the tree takes (Pss_Anon: Linux 5.3)",
    }
    // What an orphan made is not told apart from what it copied.
    let orphans = notes::orphans(tree) > 0;
    let at_most = if orphans { "at most " } else { "" };
    text += &format!(
        "; it would take {} if no page were shared, and {at_most}{} if every page that was shared at a fork still were.",
        bytes(total.if_nothing_shared_bytes),
        bytes(total.if_all_shared_bytes),
    );
    text += &format!(" Besides: {} of files", bytes(total.file_bytes));
    if let Some(tables) = total.page_table_bytes {
        text += &format!(", {} of page tables", bytes(tables));
    }
    text.push('.');
    text
}

#[cfg(test)]
mod tests;
