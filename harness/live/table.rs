//! Trees as tables.

use super::document::{
    CauseFigures, LinesFigures, PagesAre, Phase, ProcessFigures, RecordedFigures, RecordedProcess,
    SeenBy, ThreadIs, TreeFigures, Trees,
};
use super::watch::Moment;
use crate::model::Cause;
use crate::numbers::{bytes, count, counted, duration, share};
use crate::observe::page_size;
use crate::report::{Columns, wrapped};

/// Where nothing can be.
const NOTHING: &str = "–";

/// Columns of text where there is no terminal.
const WIDTH: u16 = 100;

/// A line for each tree.
pub fn of_all(trees: &Trees, width: Option<u16>) -> String {
    let width = width.unwrap_or(WIDTH);
    let mut text = String::new();
    let rows = trees.trees.iter().filter_map(|tree| {
        let oldest = tree.processes.first()?;
        let total = tree.total.as_ref()?;
        let copied: u64 = tree.processes.iter().map(|one| one.copied_pages).sum();
        Some(vec![
            oldest.pid.to_string(),
            cut(&oldest.command, 24),
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
        text += &columns.text(Some(width));
    }
    if let Some(alone @ 1..) = trees.alone {
        let words = counted(
            alone,
            "other Python process shares",
            "other Python processes share",
        );
        text += &wrapped(
            &format!("{words} no memory with another process by fork."),
            width,
            "",
        );
    }
    if let Some(closed @ 1..) = trees.closed {
        let words = counted(
            closed,
            "process of other users is",
            "processes of other users are",
        );
        text += &wrapped(
            &format!("{words} not among these: looking at them takes root."),
            width,
            "",
        );
    }
    text
}

/// A column: its name, whether it is there when nothing is in it, and the pages in it.
type Column<T> = (&'static str, bool, fn(&T) -> Option<u64>);

/// One tree, with a line for each process.
pub fn of_one(tree: &TreeFigures, width: Option<u16>, by: &[TreeBy]) -> String {
    let width = width.unwrap_or(WIDTH);
    let mut text = wrapped(&title(tree), width, "");
    text.push('\n');
    if let Some(recorded) = &tree.recorded {
        text += &wrapped(&recorded_title(recorded), width, "");
        text.push('\n');
        text += &recorded_table(recorded, width);
        for note in recorded_notes(recorded) {
            text += &wrapped(&note, width, "");
        }
        text.push('\n');
        text += &match by {
            [] => causes(recorded, width) + &lines(recorded, width),
            by => grouped(recorded, by, MOST_CAUSES, width),
        };
        if tree.processes.is_empty() {
            text += "All of its processes have ended.\n";
            text += &findings(tree, width);
            return text;
        }
        text += &match tree.taken_at_seconds {
            None => "What the processes have now:\n\n".to_owned(),
            Some(seconds) => {
                wrapped(
                    &format!(
                        "All of its processes have ended. What they had after {}, before they were told to:",
                        duration(seconds)
                    ),
                    width,
                    "",
                ) + "\n"
            }
        };
    }
    text += &table_of_now(tree, width);
    text += &wrapped(&total(tree), width, "");
    for note in notes(tree) {
        text += &wrapped(&note, width, "");
    }
    text += &findings(tree, width);
    text
}

/// Sentences, each with what to do below it.
fn findings(tree: &TreeFigures, width: u16) -> String {
    if tree.findings.is_empty() {
        return String::new();
    }
    let mut text = "\nFound, most bytes first:\n".to_owned();
    for one in &tree.findings {
        text.push('\n');
        text += &wrapped(&one.says, width, "  ");
        text += &wrapped(&one.remedy, width, "    ");
    }
    text
}

fn table_of_now(tree: &TreeFigures, width: u16) -> String {
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

fn recorded_table(recorded: &RecordedFigures, width: u16) -> String {
    let all: [Column<RecordedProcess>; 6] = [
        ("copied", true, |one| {
            (one.depth > 0).then_some(one.copied_pages)
        }),
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
    width: u16,
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
    columns.text(Some(width))
}

/// What pages are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TreeBy {
    /// What was written first
    Cause,
    /// The type of the object that was written
    Type,
    /// The function that wrote
    Function,
    /// The Python line that was running, and the line of your own code that had called it
    Line,
    /// Whether the first thread of the process wrote, or another one
    Thread,
}

impl TreeBy {
    fn name(self) -> &'static str {
        match self {
            Self::Cause => "first write to",
            Self::Type => "type",
            Self::Function => "by",
            Self::Line => "line",
            Self::Thread => "thread",
        }
    }

    fn words(self, one: &CauseFigures) -> String {
        match self {
            Self::Cause => one.cause.map_or(NOTHING, Cause::as_str).to_owned(),
            Self::Type => one.type_name.clone().unwrap_or(NOTHING.to_owned()),
            Self::Function => one.function.clone(),
            Self::Line => line_of(one).unwrap_or(NOTHING.to_owned()),
            Self::Thread => match one.thread {
                ThreadIs::Main => "first",
                ThreadIs::Other => "other",
            }
            .to_owned(),
        }
    }
}

/// The innermost line, and the innermost one of the user's own code.
fn line_of(one: &CauseFigures) -> Option<String> {
    let line = one.line.as_ref()?;
    Some(match &one.own_line {
        Some(own) => format!("{line}, from {own}"),
        None => line.clone(),
    })
}

/// Copied pages and new ones, each by what the user has chosen. By line, only those of which it is known.
fn grouped(recorded: &RecordedFigures, by: &[TreeBy], most: usize, width: u16) -> String {
    let is_by_line = by.contains(&TreeBy::Line);
    let kinds: [(&str, &[PagesAre]); 2] = [
        ("copied", &[PagesAre::Copied, PagesAre::Rewritten]),
        ("new", &[PagesAre::New]),
    ];
    let headers: Vec<&str> = by.iter().map(|by| by.name()).collect();
    let tables = kinds.map(|(name, kinds)| {
        let all = recorded.causes.iter();
        let all = all.filter(|one| kinds.contains(&one.pages_are));
        let all = all.filter(|one| !is_by_line || one.line.is_some());
        let name = match is_by_line {
            true => looked_at(recorded, name),
            false => name.to_owned(),
        };
        let words = |one: &CauseFigures| by.iter().map(|by| by.words(one)).collect();
        ranked(
            all,
            [&[&name, "part"], &headers[..]].concat(),
            most,
            words,
            width,
        )
    });
    tables.concat()
}

/// The lines that copied and made most.
fn lines(recorded: &RecordedFigures, width: u16) -> String {
    match &recorded.lines {
        Some(_) => grouped(recorded, &[TreeBy::Line], MOST_LINES, width),
        None => String::new(),
    }
}

/// `copied, 1 in 7`.
fn looked_at(recorded: &RecordedFigures, name: &str) -> String {
    match &recorded.lines {
        Some(lines) if lines.one_in > 1 => format!("{name}, 1 in {}", lines.one_in),
        _ => name.to_owned(),
    }
}

/// As many rows of lines, which are long, where nobody asks for more of them.
const MOST_LINES: usize = 6;

/// As many rows of causes; the rest is one more.
const MOST_CAUSES: usize = 12;

/// What was written first on copied pages, and who made the new ones.
fn causes(recorded: &RecordedFigures, width: u16) -> String {
    let mut text = String::new();
    let ending = |one: &&CauseFigures| one.phase == Some(Phase::Shutdown);
    let copied =
        |one: &&CauseFigures| matches!(one.pages_are, PagesAre::Copied | PagesAre::Rewritten);
    let made = |one: &&CauseFigures| one.pages_are == PagesAre::New;
    let of_copied = |one: &CauseFigures| {
        let cause = one.cause.map_or(NOTHING, Cause::as_str);
        let of_type = one.type_name.as_deref().unwrap_or(NOTHING);
        vec![cause.to_owned(), cut(of_type, 40), function(one)]
    };
    let working = || recorded.causes.iter().filter(|one| !ending(one));
    let all = working().filter(copied);
    text += &ranked(
        all,
        vec!["copied", "part", "first write to", "type", "by"],
        MOST_CAUSES,
        of_copied,
        width,
    );
    let header = vec!["new", "part", "made by"];
    let all = working().filter(made);
    text += &ranked(all, header, MOST_CAUSES, |one| vec![function(one)], width);
    let all = recorded.causes.iter().filter(ending);
    text += &ranked(
        all.filter(copied),
        vec!["copied at shutdown", "part", "first write to", "type", "by"],
        MOST_CAUSES,
        of_copied,
        width,
    );
    text
}

fn function(one: &CauseFigures) -> String {
    let thread = match one.thread {
        ThreadIs::Main => "",
        ThreadIs::Other => " (other thread)",
    };
    format!("{}{thread}", cut(&one.function, 48))
}

/// Pages by what their rows say, most first.
fn ranked<'a>(
    causes: impl Iterator<Item = &'a CauseFigures>,
    header: Vec<&str>,
    most: usize,
    words: impl Fn(&CauseFigures) -> Vec<String>,
    width: u16,
) -> String {
    let mut sums: Vec<(Vec<String>, u64)> = Vec::new();
    for one in causes {
        let words = words(one);
        match sums.iter_mut().find(|(known, _)| *known == words) {
            Some((_, pages)) => *pages += one.pages,
            None => sums.push((words, one.pages)),
        }
    }
    let all: u64 = sums.iter().map(|(_, pages)| pages).sum();
    if all == 0 {
        return String::new();
    }
    sums.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
    let rest: u64 = sums.iter().skip(most).map(|(_, pages)| pages).sum();
    let figures = |pages: u64| vec![bytes(pages * page_size()), share(pages as f64 / all as f64)];
    let mut rows: Vec<Vec<String>> = sums
        .iter()
        .take(most)
        .map(|(words, pages)| [figures(*pages), words.clone()].concat())
        .collect();
    if rest > 0 {
        let others = counted((sums.len() - most) as u64, "other", "others");
        let mut words = vec![String::new(); header.len() - 2];
        words[0] = others;
        rows.push([figures(rest), words].concat());
    }
    let columns = Columns {
        header: header.into_iter().map(str::to_owned).collect(),
        rows,
        leading: 2,
        numbers: 0..2,
    };
    columns.text(Some(width))
}

fn recorded_title(recorded: &RecordedFigures) -> String {
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
        text += &format!(
            "; the most that was seen of all together is {}",
            bytes(most)
        );
    }
    text.push('.');
    text
}

/// What is to be known of lines.
fn notes_of_lines(lines: &LinesFigures) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(why) = &lines.no_frames {
        notes.push(format!("warning: no lines are known: {why}."));
        return notes;
    }
    let without: u64 = lines.without_line.iter().map(|one| one.number).sum();
    let known = lines.looked_at_pages - without.min(lines.looked_at_pages);
    let every = match lines.one_in {
        1 => "every page fault".to_owned(),
        number => format!("one page fault in {number}"),
    };
    notes.push(format!(
        "Lines: {every} was looked at; {} with a known line.",
        counted(known, "page", "pages")
    ));
    for one in &lines.without_line {
        let pages = counted(one.number, "page has", "pages have");
        notes.push(format!("{pages} no line: {}.", one.reason));
    }
    if lines.not_traced_processes > 0 {
        let processes = counted(lines.not_traced_processes, "process was", "processes were");
        notes.push(format!(
            "warning: {processes} not looked at: they ended, or were forked, before refcow traced them."
        ));
    }
    for one in &lines.not_traced {
        let threads = counted(one.number, "thread was", "threads were");
        notes.push(format!("warning: {threads} not looked at: {}.", one.reason));
    }
    if lines.ended_early {
        notes.push("warning: the process that looks for lines ended early.".to_owned());
    }
    if lines.pauses > 0 {
        let times = counted(lines.pauses, "time", "times");
        notes.push(format!(
            "warning: {times} looking took too long, and no lines were looked for until it was over."
        ));
    }
    if lines.dropped > 0 {
        let stops = counted(lines.dropped, "page fault", "page faults");
        notes.push(format!(
            "warning: the lines of {stops} were lost, as refcow was too slow."
        ));
    }
    notes
}

fn recorded_notes(recorded: &RecordedFigures) -> Vec<String> {
    let mut notes = Vec::new();
    if recorded.lost_faults > 0 {
        let lost = counted(recorded.lost_faults, "page fault", "page faults");
        notes.push(format!(
            "warning: {lost} left no record; the pages are not among these."
        ));
    }
    if !recorded.with_kernel_writes {
        notes.push("Pages that the kernel wrote for a system call (read, recv) are not among these: recording them takes root or CAP_PERFMON.".to_owned());
    }
    notes.extend(recorded.lines.iter().flat_map(notes_of_lines));
    if recorded.executed > 0 {
        let executed = counted(recorded.executed, "process", "processes");
        notes.push(format!(
            "{executed} went on to execute another program and left the tree."
        ));
    }
    if recorded.processes.iter().any(|one| one.rewritten_pages > 0) {
        notes.push(
            "Rewritten: pages that a process copied because one that it had forked still had them."
                .to_owned(),
        );
    }
    if recorded
        .processes
        .iter()
        .any(|one| one.shutdown_pages > Some(0))
    {
        notes.push("At shutdown: of all these pages, those that were written first while the interpreter was ending.".to_owned());
    }
    if let Some(why) = &recorded.shutdown_unseen {
        notes.push(format!(
            "What was written while interpreters ended is not told apart: {why}."
        ));
    }
    if recorded.processes.iter().any(|one| one.unknown_pages > 0) {
        notes.push(
            "Unknown: copied, new, or written when nobody else had the page any more. All from which the process was forked had ended, or had given back what was there at the fork.".to_owned(),
        );
    }
    notes
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
    let more: u64 = moment.pages.iter().sum::<u64>() - pages.iter().sum::<u64>();
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
    text += &format!(
        "; it would take {} if no page were shared, and {} if every page that was shared at a fork still were.",
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

fn notes(tree: &TreeFigures) -> Vec<String> {
    let mut notes = Vec::new();
    let any = |pages: fn(&ProcessFigures) -> u64| tree.processes.iter().any(|one| pages(one) > 0);
    if tree.python.is_none() {
        notes.push(
            "This is not CPython: pages are counted, and nothing is said of objects.".to_owned(),
        );
    }
    if tree.seen_by == Some(SeenBy::MappedOnce) && tree.processes.len() > 1 {
        let mut note = "As an ordinary user refcow sees whether a page has one user, not who else has it: a page that the parent rewrote between two forks counts as copied.".to_owned();
        if any(|one| one.unknown_pages) {
            note += " Unknown: parent and worker each have their own page, and who wrote is not known; root can tell.";
        }
        notes.push(note);
    } else if any(|one| one.unknown_pages) {
        notes.push(match tree.seen_by {
            Some(SeenBy::Frames) => "Unknown: parent and worker each have their own page; who wrote takes Linux 5.19 and a readable /proc/kpageflags.".to_owned(),
            _ => "Unknown: the page was written before a later fork of the same process, which leaves no trace of who wrote.".to_owned(),
        });
    }
    if any(|one| one.rewritten_pages) {
        notes.push("Rewritten: pages that a parent wrote after a fork, while a worker had what was there before; each costs the tree one page.".to_owned());
    }
    if let Some(why) = &tree.alike_unseen {
        notes.push(format!("What workers have alike was not compared: {why}."));
    }
    if any(|one| one.huge_pages) {
        notes.push("Huge: pages that the kernel joined to a huge page of this process's own (khugepaged), which no write asked for.".to_owned());
    }
    notes
}

/// At most so many characters.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}
