//! The user's own data with workers, by each way to share: what it costs, what figures do not show, and what more workers take.

use super::beginning::beginning;
use super::columns::Columns;
use super::escape::markdown as escaped;
use super::finding::capital;
use super::labels::labels;
use super::style::{READABLE, Style, say};
use super::warnings::warnings;
use refcow_model::compare::TOLERANCE;
use refcow_model::numbers::{bytes, count, counted, signed_bytes, time};
use refcow_model::ways::{came_through_pipe, data_ways};
use refcow_model::workers::WorkersLine;
use refcow_model::{
    AfterKill, GivesBack, OwnData, OwnDataFigures, OwnDataWay, Report, Run, StartMethod,
};

/// In front of a figure that is not the same in each run.
const MOVES: &str = "~";
/// Behind a way that starts workers as multiprocessing does by default.
const DEFAULT: &str = "*";
/// Behind one that starts them as it does by default from Python 3.14 on.
const COMING: &str = "†";

/// For a terminal or a page.
pub fn render(report: &Report, style: Style) -> Vec<u8> {
    let mut text = beginning(report, style) + &tables(report, style);
    for warning in warnings(report) {
        match style {
            Style::Terminal { width, .. } => say(&mut text, width, &format!("warning: {warning}")),
            Style::Markdown => text.push_str(&format!("> Warning: {}\n\n", escaped(&warning))),
        }
    }
    while text.ends_with("\n\n") {
        text.pop();
    }
    text.into_bytes()
}

fn tables(report: &Report, style: Style) -> String {
    let mut text = String::new();
    for (run, label) in report.runs.iter().zip(labels(report)) {
        for data in &run.own_data {
            let page_size = run.environment.page_size_bytes;
            paragraph(&mut text, style, &title(data, &label));
            for part in all(data, page_size) {
                match style {
                    Style::Terminal { width, .. } => text.push_str(&part.columns.text(width)),
                    Style::Markdown => {
                        text.push_str(&format!("{}\n\n", part.columns.markdown()));
                    }
                }
            }
            if let Some(words) = finding(data) {
                paragraph(&mut text, style, &format!("{}.", capital(&words)));
            }
            for note in notes(data, run) {
                paragraph(&mut text, style, &note);
            }
        }
    }
    text
}

fn paragraph(text: &mut String, style: Style, words: &str) {
    match style {
        Style::Terminal { width, .. } => {
            say(text, Some(width.unwrap_or(READABLE)), words);
            text.push('\n');
        }
        Style::Markdown => text.push_str(&format!("{}\n\n", escaped(words))),
    }
}

/// Which way takes the least memory, and which the most, in a sentence without its end.
pub(super) fn finding(data: &OwnData) -> Option<String> {
    let most = data.numbers().last().copied()?;
    let memory = |one: &&OwnDataWay| {
        let figures = one.measured.as_ref()?;
        // What gives back something else is no answer.
        let is_answer = !matches!(figures.gives_back, GivesBack::Differs { .. });
        let memory = figures.memory.filter(|_| is_answer)?;
        Some((memory.sum(), label(data, one)))
    };
    let of_most = data.ways.iter().filter(|one| one.workers == most);
    let all: Vec<(u64, String)> = of_most.filter_map(|one| memory(&one)).collect();
    let fewest = all.iter().map(|(bytes, _)| *bytes).min()?;
    // Of those that take as much but for noise, the first: it changes least for a program.
    let least = all
        .iter()
        .find(|(bytes, _)| *bytes as f64 <= fewest as f64 * (1.0 + TOLERANCE.share))?;
    // Of several with the most, the first.
    let largest = all.iter().rev().max_by_key(|(bytes, _)| *bytes)?;
    let workers = counted(most, "worker", "workers");
    let each = |one: &(u64, String)| format!("{} (`{}`)", bytes(one.0), one.1);
    let takes = match largest.0 > least.0 {
        true => format!("from {} to {}", each(least), each(largest)),
        false => each(least),
    };
    Some(format!(
        "with {workers}, all processes of {} take {takes}",
        data.name()
    ))
}

/// What was handed to whom.
pub(super) fn title(data: &OwnData, python: &str) -> String {
    let size = data.size_bytes.map_or_else(String::new, |size| {
        format!(", {} in the parent", bytes(size))
    });
    let pickled = data
        .pickled_bytes
        .map_or_else(String::new, |size| format!(", {} pickled", bytes(size)));
    let numbers: Vec<String> = data.numbers().into_iter().map(count).collect();
    let workers = match &numbers[..] {
        [one] if one == "1" => "1 worker".to_owned(),
        _ => format!("{} workers", numbers.join(", ")),
    };
    format!(
        "{}{size}{pickled}: shared with {workers} of CPython {python} by each way",
        data.name()
    )
}

/// A table, and what it shows.
pub(super) struct OwnDataTable {
    /// In words.
    pub title: String,
    /// The table.
    pub columns: Columns,
}

/// The tables.
pub(super) fn all(data: &OwnData, page_size_bytes: u64) -> Vec<OwnDataTable> {
    let mut costs = columns(
        &["", "copied", "memory", "peak", "hand over", "1st result"],
        1,
        1..6,
    );
    let mut besides = columns(
        &[
            "",
            "start",
            "visit",
            "read",
            "gives back",
            "kill one",
            "kill all",
        ],
        1,
        1..4,
    );
    let ways = data.by_way();
    for way in &ways {
        let Some((one, figures)) = largest(way) else {
            continue;
        };
        let Some(summary) = figures.summary(page_size_bytes) else {
            continue;
        };
        let mut label = label(data, one);
        if Some(&one.workers) != data.numbers().last() {
            label = format!("{label} ({})", counted(one.workers, "worker", "workers"));
        }
        costs.rows.push(vec![
            marked(data, one, &label),
            match came_through_pipe(one, data.pickled_bytes) {
                true => format!("{MOVES}{}", signed_bytes(*summary.copied_bytes.end())),
                false => signed_bytes(*summary.copied_bytes.end()),
            },
            known(figures.memory.map(|memory| memory.sum())),
            known(figures.peak_bytes),
            time(figures.handover_seconds),
            time(figures.first_result_seconds),
        ]);
        besides.rows.push(vec![
            label,
            time(figures.start_seconds),
            time(*summary.visit_seconds.end()),
            known(summary.piped_bytes.map(|piped| *piped.end())),
            gives_back(figures).to_owned(),
            figures.after_worker_killed.as_str().to_owned(),
            left(figures),
        ]);
    }
    let several = data.numbers().len() > 1;
    let with = match data.numbers().last() {
        Some(most) if several => format!(" with {}", counted(*most, "worker", "workers")),
        _ => String::new(),
    };
    let table = |title: String, columns| OwnDataTable { title, columns };
    let mut tables = vec![
        table(format!("What each way costs{with}"), costs),
        table("What the figures do not show".to_owned(), besides),
    ];
    if several {
        tables.push(table(
            "What all processes take".to_owned(),
            parts(data, &ways),
        ));
        tables.extend(more(data, &ways).map(|columns| table("More workers".to_owned(), columns)));
    }
    tables
}

fn columns(names: &[&str], leading: usize, numbers: std::ops::Range<usize>) -> Columns {
    Columns {
        header: names.iter().map(|name| (*name).to_owned()).collect(),
        rows: Vec::new(),
        leading,
        numbers,
    }
}

/// The entry of most workers.
fn largest<'a>(way: &[&'a OwnDataWay]) -> Option<(&'a OwnDataWay, &'a OwnDataFigures)> {
    let last = way.last()?;
    Some((last, last.measured.as_ref()?))
}

/// What the tree takes with each number of workers, piece by piece.
fn parts(data: &OwnData, ways: &[Vec<&OwnDataWay>]) -> Columns {
    let mut table = columns(
        &["", "K", "shared", "own", "new", "tables", "mapped", "sum"],
        2,
        1..8,
    );
    for way in ways {
        for (index, one) in way.iter().enumerate() {
            let Some(memory) = one.measured.as_ref().and_then(|figures| figures.memory) else {
                continue;
            };
            let name = if index == 0 {
                label(data, one)
            } else {
                String::new()
            };
            let mut row = vec![name, count(one.workers)];
            row.extend(
                [
                    memory.shared_bytes,
                    memory.own_bytes,
                    memory.new_bytes,
                    memory.page_table_bytes,
                    memory.mapped_bytes,
                    memory.sum(),
                ]
                .map(bytes),
            );
            table.rows.push(row);
        }
    }
    table
}

/// What a line through these says of more workers; `None` where there is none.
fn more(data: &OwnData, ways: &[Vec<&OwnDataWay>]) -> Option<Columns> {
    let lines = ways.iter().map(|way| (way[0], WorkersLine::of(way)));
    let lines: Vec<(&OwnDataWay, WorkersLine)> =
        lines.filter_map(|(way, line)| Some((way, line?))).collect();
    let beyond = lines.iter().map(|(_, line)| line.beyond()).max()?;
    let fit = format!("fit into {}", bytes(data.memory_limit.bytes));
    let take = format!("{} take", count(beyond));
    let mut table = columns(&["", "each takes", &take, &fit, "off by"], 1, 1..5);
    for (way, line) in lines {
        let off = line.kept_back.map_or_else(
            || "unknown".to_owned(),
            |kept| format!("{:.1} %", kept.error * 100.0).replace('-', "−"),
        );
        table.rows.push(vec![
            label(data, way),
            bytes(line.each_bytes()),
            bytes(line.at(beyond)),
            line.fit(data.memory_limit.bytes)
                .map_or_else(|| "no end".to_owned(), count),
            off,
        ]);
    }
    Some(table)
}

/// The way, with its start method where there could be another.
pub(super) fn label(data: &OwnData, one: &OwnDataWay) -> String {
    let known = data_ways().iter().find(|way| way.id == one.way);
    let only = known.is_some_and(|way| way.start_methods.len() == 1);
    let several = data
        .ways
        .iter()
        .any(|other| other.way == one.way && other.start_method != one.start_method);
    match one.start_method {
        _ if only => one.title.clone(),
        StartMethod::Fork if !several => one.title.clone(),
        method => format!("{}, {method}", one.title),
    }
}

/// Its name, with what says that a program gets it without asking for a start method.
fn marked(data: &OwnData, one: &OwnDataWay, label: &str) -> String {
    format!("{label}{}", mark(data, one))
}

fn mark(data: &OwnData, one: &OwnDataWay) -> &'static str {
    match one.start_method {
        method if method == data.default_start_method => DEFAULT,
        StartMethod::Forkserver => COMING,
        _ => "",
    }
}

fn known(number: Option<u64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), bytes)
}

fn gives_back(figures: &OwnDataFigures) -> &'static str {
    match figures.gives_back {
        GivesBack::Same => "the same",
        GivesBack::Equal => "equal",
        GivesBack::Differs { .. } => "no",
        GivesBack::Unknown { .. } => "unknown",
    }
}

fn left(figures: &OwnDataFigures) -> String {
    let left: Vec<&str> = figures
        .left_after_kill
        .iter()
        .map(|left| left.as_str())
        .collect();
    match left.is_empty() {
        true => "nothing".to_owned(),
        false => left.join(", "),
    }
}

/// What the tables' words mean, and what they have no room for.
pub(super) fn notes(data: &OwnData, run: &Run) -> Vec<String> {
    let mut notes = vec![
        "copied: memory of its own that a worker has beyond one that was started alike and got nothing, of the worker \
         with the most. memory: of all processes together, page tables included, when all workers have made their visit; \
         pages of libraries are not in it. peak: the same, had all of them their most at one moment. 1st result: from \
         when the parent has the data until a worker has visited it."
            .to_owned(),
        format!(
            "start: until a worker runs that gets nothing. read: what a worker read from pipes and files beyond one that got \
             nothing, its visit included. gives back: whether a worker has what was put in, the same objects or equal ones. kill \
             one: whether the others can continue when a worker is killed{}. kill all: what is left when parent and workers are \
             killed at once.",
            hangs(data.ways.iter().filter_map(|one| Some(one.measured.as_ref()?.after_worker_killed)))
        ),
    ];
    let shown = || {
        data.by_way()
            .into_iter()
            .filter_map(|way| largest(&way))
            .map(|(one, _)| one)
    };
    if shown().any(|one| came_through_pipe(one, data.pickled_bytes)) {
        notes[0] += &format!(" {MOVES}: varies from run to run, as the data came through a pipe.");
    }
    notes.extend(start_methods(data, run, shown()));
    if let (Some(middle), Some(each)) = (data.fork.middle_seconds(), data.fork.seconds_per_gib()) {
        notes.push(format!(
            "A fork of the parent takes {}, with {} resident: {} a GiB.",
            time(middle),
            bytes(data.fork.resident_bytes),
            time(each)
        ));
    }
    if data.numbers().len() > 1 {
        notes.push(format!(
            "K: workers. shared: pages that several of these processes have, each counted once. own: pages that one has alone, and that \
             are the parent's, a helper's, or a worker's copies. new: a worker's, where the parent has none. tables: page tables. \
             mapped: shared memory, and files of the way's own. take, fit: by a straight line through the measured numbers of \
             workers. off by: how far a line through all but the last was from that one. {} is {}.",
            bytes(data.memory_limit.bytes),
            data.memory_limit.from,
        ));
    }
    let differs = data
        .ways
        .iter()
        .filter_map(|one| match &one.measured.as_ref()?.gives_back {
            GivesBack::Differs { at } => Some((&at[..], label(data, one))),
            _ => None,
        });
    for (at, names) in by_reason(differs) {
        notes.push(format!("Not what was put in: {names}: {at}."));
    }
    let unknown = data
        .ways
        .iter()
        .filter_map(|one| match &one.measured.as_ref()?.gives_back {
            GivesBack::Unknown { reason } => Some((&reason[..], label(data, one))),
            _ => None,
        });
    for (reason, names) in by_reason(unknown) {
        notes.push(format!(
            "Not compared with what was put in: {names}: {reason}."
        ));
    }
    notes.extend(not_measured(data));
    notes
}

/// What it means that the others hang, in brackets; nothing where none do.
pub(super) fn hangs(all: impl Iterator<Item = AfterKill>) -> String {
    let hanging = all.filter_map(|after| match after {
        AfterKill::Hangs {
            after_seconds,
            later_done,
        } => Some((after_seconds, later_done)),
        _ => None,
    });
    let least = hanging.reduce(|one, other| (one.0.min(other.0), one.1 && other.1));
    match least {
        None => String::new(),
        Some((_, true)) => {
            " (hangs: a task that was given later is done, and that of the killed one has neither a result nor an error)"
                .to_owned()
        }
        Some((seconds, false)) => {
            format!(" (hangs: no result and no error after {})", time(seconds))
        }
    }
}

/// The names of all that have the same reason, together.
fn by_reason<'a>(all: impl Iterator<Item = (&'a str, String)>) -> Vec<(&'a str, String)> {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for (reason, name) in all {
        match groups.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, names)) if names.contains(&name) => {}
            Some((_, names)) => names.push(name),
            None => groups.push((reason, vec![name])),
        }
    }
    let joined = groups.into_iter();
    joined
        .map(|(reason, names)| (reason, names.join("; ")))
        .collect()
}

/// What the marks behind ways say, of those that stand there.
fn start_methods<'a>(
    data: &OwnData,
    run: &Run,
    shown: impl Iterator<Item = &'a OwnDataWay>,
) -> Option<String> {
    let (version, method) = (&run.python.version, data.default_start_method);
    let (mut is_default, mut is_coming) = (false, false);
    for one in shown {
        is_default |= mark(data, one) == DEFAULT;
        is_coming |= mark(data, one) == COMING;
    }
    let mut says = Vec::new();
    let mut who = "what a program gets that names no start method,";
    if is_default {
        says.push(format!("{DEFAULT}: {who} in Python {version}: {method}."));
        who = "what it gets";
    }
    if is_coming {
        says.push(format!("{COMING}: {who} from Python 3.14 on: forkserver."));
    }
    (!says.is_empty()).then(|| says.join(" "))
}

/// Which ways do not apply, together where the reason is the same.
fn not_measured(data: &OwnData) -> Vec<String> {
    let by_way = data.by_way();
    let missing = data.ways.iter().filter_map(|one| {
        let reason = one.does_not_apply.as_deref()?;
        let with_others = by_way
            .iter()
            .flatten()
            .any(|other| other.way == one.way && other.start_method == one.start_method);
        let name = label(data, one);
        Some((
            reason,
            match with_others {
                true => format!("{name} ({})", counted(one.workers, "worker", "workers")),
                false => name,
            },
        ))
    });
    let groups = by_reason(missing).into_iter();
    groups
        .map(|(reason, names)| format!("Not measured: {names}: {reason}."))
        .collect()
}
