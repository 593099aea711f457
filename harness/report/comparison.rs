//! A base against a new document: for a terminal, and for a page.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{ContentArrangement, Table};

use super::changes::{NO_KNOWN_REASON, bytes_then, change_of, part_change, transition, value};
use super::columns::cut;
use super::escape::markdown as escaped;
use super::style::{READABLE, Style, say, wrapped};
use refcow_model::claims::Claims;
use refcow_model::numbers::{bytes, count, counted, share};
use refcow_model::{ComparedRuns, Comparison, Paid, Row, RowKey, RowValue, RunName, Status};

/// What is judged, each with the rows that explain it.
pub(super) type JudgedRow<'a> = (&'a Row, &'a [Row]);

/// What came of all that is judged, what a worker pays first; what is not the same with its reason.
pub fn render(comparison: &Comparison, style: Style) -> Vec<u8> {
    let mut text = String::new();
    for runs in &comparison.compared {
        text += &of_runs(comparison, runs, style);
        if let Style::Terminal { .. } = style {
            text.push('\n');
        }
    }
    for (names, where_) in [
        (&comparison.only_in_base, "the base"),
        (&comparison.only_in_new, "the new document"),
    ] {
        for name in names {
            let words = format!("{} is only in {where_}", run(name));
            text += &sentence(style, &words);
        }
    }
    text += &sentence(style, &total(comparison));
    text.into_bytes()
}

fn sentence(style: Style, words: &str) -> String {
    match style {
        Style::Terminal { width, .. } => wrapped(words, width.unwrap_or(READABLE), ""),
        Style::Markdown => format!("{}\n\n", escaped(words)),
    }
}

pub(super) fn run(name: &RunName) -> String {
    format!("CPython {} ({})", name.version, machine(name))
}

fn machine(name: &RunName) -> String {
    format!("Linux {}, {}", name.kernel, name.architecture)
}

/// Which runs, told by what tells them apart.
fn pair(base: &RunName, new: &RunName) -> String {
    let same_machine = machine(base) == machine(new);
    match (base.version == new.version, same_machine) {
        (true, true) if base.executable == new.executable => run(base),
        (true, true) => format!("{}: {} → {}", run(base), base.executable, new.executable),
        (false, true) => format!(
            "CPython {} → {} ({})",
            base.version,
            new.version,
            machine(base)
        ),
        (_, false) => format!("{} → {}", run(base), run(new)),
    }
}

fn of_runs(comparison: &Comparison, runs: &ComparedRuns, style: Style) -> String {
    let mut text = String::new();
    let title = pair(&runs.base, &runs.new);
    let all: Vec<JudgedRow<'_>> = Status::ALL
        .into_iter()
        .flat_map(|status| runs.judged().filter(move |(row, _)| row.status == status))
        .collect();
    match style {
        Style::Terminal { width, .. } => {
            let width = width.unwrap_or(READABLE);
            say(&mut text, Some(width), &title);
            text.push('\n');
            text += &list(&all, width);
        }
        Style::Markdown => {
            text += &format!("**{}**\n\n", escaped(&title));
            text += &table(&all);
        }
    }
    let has_ways = all.iter().any(|(row, _)| is_way(row) || is_worker(row));
    if !has_ways || !all.iter().all(|(row, _)| is_way(row) || is_worker(row)) {
        text += &sentence(style, &allowed(comparison, runs));
    }
    if has_ways {
        text += &sentence(style, &allowed_of_ways(comparison));
    }
    for fact in facts(&runs.rows) {
        text += &sentence(style, &fact);
    }
    text
}

/// What is noise, and why.
fn allowed(comparison: &Comparison, runs: &ComparedRuns) -> String {
    let noise = format!(
        "differences of up to {} pages per worker, or {}, count as noise",
        count(comparison.tolerance.pages),
        share(comparison.tolerance.share),
    );
    let mut judged = runs.judged();
    let others = judged.any(|(row, _)| !row.other_data.is_empty());
    match (runs.differs.is_empty(), others) {
        (true, false) => {
            "One machine and one build, the same code and data: every page counts.".to_owned()
        }
        (true, true) => format!("The code or the data differs, so {noise}."),
        (false, _) => format!(
            "These differ: {}. So {noise}, and what only the interpreter's own memory explains is not compared.",
            runs.differs.join(", "),
        ),
    }
}

fn allowed_of_ways(comparison: &Comparison) -> String {
    format!(
        "Of what all processes take with a way to share, and of what a worker copies, differences of up to {} pages per process, or {}, \
         count as noise.",
        count(comparison.tolerance.pages),
        share(comparison.tolerance.share),
    )
}

/// What is known of these changes, a sentence a fact.
fn facts(rows: &[Row]) -> Vec<String> {
    let is_told = |row: &&Row| row.status.is_change() || row.status == Status::WithinNoise;
    let rows: Vec<&Row> = rows.iter().filter(is_told).collect();
    let all = Claims::versions().facts.iter();
    let told = all.filter(|fact| rows.iter().any(|row| row.facts.contains(&fact.id)));
    told.map(|fact| format!("{}: {} [{}]", fact.id, fact.statement, fact.source))
        .collect()
}

/// For a terminal: what came of all, and under it of what it did.
fn list(all: &[JudgedRow<'_>], width: u16) -> String {
    let mut text = String::new();
    for group in all.chunk_by(|one, next| one.0.status == next.0.status) {
        let status = group[0].0.status;
        text += &format!("{status}\n");
        for (indent, line) in lines(status, group) {
            text += &wrapped(&line, width, indent);
        }
        text.push('\n');
    }
    text
}

/// The lines of one status, each with its indentation.
fn lines(status: Status, group: &[JudgedRow<'_>]) -> Vec<(&'static str, String)> {
    const ONE: &str = "  ";
    const TWO: &str = "    ";
    let mut lines = Vec::new();
    match status {
        _ if status.is_change() => {
            for (row, explaining) in group {
                match row.key {
                    RowKey::Cost { .. } => {
                        lines.push((ONE, row.key.subject()));
                        lines.extend(cost(row).into_iter().map(|line| (TWO, line)));
                        let parts = parts(explaining);
                        lines.extend(parts.map(|part| (TWO, part_change(part))));
                    }
                    _ => lines.push((
                        ONE,
                        format!(
                            "{}: {}",
                            row.key.subject(),
                            transition(row.base.as_ref(), row.new.as_ref())
                        ),
                    )),
                }
                lines.extend(reason(row).map(|reason| (TWO, reason)));
            }
        }
        Status::WithinNoise => {
            for (row, explaining) in group {
                lines.push((ONE, short(row)));
                for part in parts(explaining).filter(|part| !part.facts.is_empty()) {
                    let known = part.facts.join(", ");
                    lines.push((TWO, format!("{} ({known})", part_change(part))));
                }
            }
        }
        Status::Unchanged => {
            let costs = group.iter().filter(|(row, _)| is_cost(row));
            let costs: Vec<String> = costs.map(|(row, _)| short(row)).collect();
            let ways = group.iter().filter(|(row, _)| is_way(row)).count();
            let workers = group.iter().filter(|(row, _)| is_worker(row));
            let workers: Vec<String> = workers.map(|(row, _)| short(row)).collect();
            let others = group.len() - costs.len() - ways - workers.len();
            if !costs.is_empty() {
                lines.push((ONE, costs.join("; ")));
            }
            if ways > 0 {
                lines.push((ONE, counted(ways as u64, "way to share", "ways to share")));
            }
            if !workers.is_empty() {
                lines.push((ONE, workers.join("; ")));
            }
            if others > 0 {
                lines.push((
                    ONE,
                    counted(others as u64, "verdict or fact", "verdicts and facts"),
                ));
            }
        }
        _ => {
            for (because, rows) in by_reason(group) {
                let all: Vec<String> = rows.into_iter().map(short).collect();
                let all = all.join("; ");
                lines.push((
                    ONE,
                    match because {
                        Some(because) => format!("{because}: {all}"),
                        None => all,
                    },
                ));
            }
        }
    }
    lines
}

fn is_cost(row: &Row) -> bool {
    matches!(row.key, RowKey::Cost { .. })
}

fn is_way(row: &Row) -> bool {
    matches!(row.key, RowKey::Way { .. })
}

fn is_worker(row: &Row) -> bool {
    matches!(row.key, RowKey::WayWorker { .. })
}

/// The regions that changed. New memory is part of the cost.
pub(super) fn parts(explaining: &[Row]) -> impl Iterator<Item = &Row> {
    let is_region = |row: &&Row| row.key.region().is_some() && row.status.is_change();
    explaining.iter().filter(is_region)
}

/// What a worker pays, all of them, and of what that is made.
fn cost(row: &Row) -> Vec<String> {
    let mut lines = vec![transition(row.base.as_ref(), row.new.as_ref())];
    let Some((base, new)) = costs(row) else {
        return lines;
    };
    lines.extend(of_all(base, new));
    let mut made_of = vec![format!(
        "copied {} → {}",
        copied(base.worker),
        copied(new.worker)
    )];
    if let Some((then, now)) = base.worker.new.zip(new.worker.new) {
        made_of.push(format!("new {} → {}", bytes(then), bytes(now)));
    }
    let (then, now) = (base.worker.processes, new.worker.processes);
    if then.max(now) > 0 {
        made_of.push(format!(
            "processes of the visit {} → {}",
            bytes(then),
            bytes(now)
        ));
    }
    // Copies alone are what the first line says.
    if made_of.len() > 1 || base.worker.given_back.max(new.worker.given_back) > 0 {
        lines.push(made_of.join(", "));
    }
    lines
}

/// `50.1 MiB (45.7 MiB of it given back)`.
fn copied(paid: &Paid) -> String {
    match paid.given_back {
        0 => bytes(paid.copied),
        given_back => format!(
            "{} ({} of it given back)",
            bytes(paid.copied),
            bytes(given_back)
        ),
    }
}

/// All workers, unless there is only one.
fn of_all(base: CostSide<'_>, new: CostSide<'_>) -> Option<String> {
    match (base.workers, new.workers) {
        (1, 1) => None,
        (then, now) if then == now => Some(format!(
            "all {} workers {}",
            count(now),
            bytes_then(base.all.sum, new.all.sum)
        )),
        (then, now) => Some(format!(
            "{} {} → {} {}",
            counted(then, "worker", "workers"),
            bytes(base.all.sum),
            counted(now, "worker", "workers"),
            bytes(new.all.sum),
        )),
    }
}

#[derive(Clone, Copy)]
struct CostSide<'a> {
    worker: &'a Paid,
    all: &'a Paid,
    workers: u64,
}

/// Both sides of a cost.
fn costs(row: &Row) -> Option<(CostSide<'_>, CostSide<'_>)> {
    side(row.base.as_ref()?).zip(side(row.new.as_ref()?))
}

fn side(value: &RowValue) -> Option<CostSide<'_>> {
    match value {
        RowValue::Cost {
            worker,
            all,
            workers,
        } => Some(CostSide {
            worker,
            all,
            workers: *workers,
        }),
        _ => None,
    }
}

/// Why a row changed, as far as it is known. That each of two verdicts was expected of its
/// interpreter is reason enough.
pub(super) fn reason(row: &Row) -> Option<String> {
    let known = known(row);
    match known.is_empty() {
        true if row.status == Status::ChangedAsExpected => None,
        true => Some(NO_KNOWN_REASON.to_owned()),
        false => Some(format!("because: {known}")),
    }
}

fn known(row: &Row) -> String {
    let known = row.other_data.iter().chain(&row.facts);
    known
        .map(|reason| &reason[..])
        .collect::<Vec<_>>()
        .join(", ")
}

/// A row in a few words: its subject with the bytes of a worker.
pub(super) fn short(row: &Row) -> String {
    let subject = row.key.subject();
    let words = match (&row.base, &row.new) {
        (Some(_), Some(_)) if !is_cost(row) => transition(row.base.as_ref(), row.new.as_ref()),
        (Some(base), Some(new)) if base == new => value(Some(new)),
        (Some(RowValue::Cost { worker, .. }), Some(RowValue::Cost { worker: now, .. })) => {
            bytes_then(worker.sum, now.sum)
        }
        _ => return subject,
    };
    let others = match row.other_data.is_empty() {
        true => String::new(),
        false => format!(" ({})", row.other_data.join(", ")),
    };
    format!("{subject} {words}{others}")
}

/// Rows with the same reason together.
pub(super) fn by_reason<'a>(group: &[JudgedRow<'a>]) -> Vec<(Option<&'a str>, Vec<&'a Row>)> {
    let mut groups: Vec<(Option<&str>, Vec<&Row>)> = Vec::new();
    for (row, _) in group {
        let because = row.because.as_deref();
        match groups.iter_mut().find(|(reason, _)| *reason == because) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((because, vec![row])),
        }
    }
    groups
}

/// For a page: what is not the same.
fn table(all: &[JudgedRow<'_>]) -> String {
    let mut table = Table::new();
    table
        .load_style(ASCII_MARKDOWN)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["", "base", "new", "change", "", "because"]);
    let told = all
        .iter()
        .filter(|(row, _)| row.status != Status::Unchanged);
    for (row, explaining) in told.clone() {
        for cells in cells(row, explaining) {
            table.add_row(cells.map(|cell| escaped(&cut(&cell))));
        }
    }
    let unchanged = all.len() - told.count();
    let words = format!(
        "{} of {} unchanged",
        count(unchanged as u64),
        count(all.len() as u64)
    );
    match unchanged == all.len() {
        true => format!("{words}\n\n"),
        false => format!("{table}\n\n{words}\n\n"),
    }
}

/// The rows of a table about something that is judged.
fn cells(row: &Row, explaining: &[Row]) -> Vec<[String; 6]> {
    let changed = row.status.is_change();
    let because = match (&row.because, known(row)) {
        (Some(because), _) => because.clone(),
        (None, known) if known.is_empty() && changed => reason(row).unwrap_or_default(),
        (None, known) => known,
    };
    let change = |base: u64, new: u64| change_of(base, new).unwrap_or_default();
    let both = costs(row);
    let mut rows = vec![[
        match both {
            Some(_) => format!("{}: a worker", row.key.subject()),
            None => row.key.subject(),
        },
        value(row.base.as_ref()),
        value(row.new.as_ref()),
        both.map_or_else(String::new, |(base, new)| {
            change(base.worker.sum, new.worker.sum)
        }),
        row.status.to_string(),
        because,
    ]];
    if let Some((base, new)) = both.filter(|_| changed) {
        let workers = |side: CostSide<'_>| match base.workers == new.workers {
            true => bytes(side.all.sum),
            false => format!("{} ({})", bytes(side.all.sum), count(side.workers)),
        };
        if base.workers.max(new.workers) > 1 {
            rows.push([
                "all workers".to_owned(),
                workers(base),
                workers(new),
                match base.workers == new.workers {
                    true => change(base.all.sum, new.all.sum),
                    false => String::new(),
                },
                String::new(),
                String::new(),
            ]);
        }
    }
    let told = parts(explaining).filter(|part| changed || !part.facts.is_empty());
    rows.extend(told.map(|part| {
        [
            part.key.part().unwrap_or_default().to_owned(),
            value(part.base.as_ref()),
            value(part.new.as_ref()),
            String::new(),
            part.status.to_string(),
            part.facts.join(", "),
        ]
    }));
    rows
}

pub(super) fn total(comparison: &Comparison) -> String {
    let parts: Vec<String> = Status::ALL
        .into_iter()
        .map(|status| (comparison.count(status), status))
        .filter(|(number, _)| *number > 0)
        .map(|(number, status)| format!("{} {status}", count(number as u64)))
        .collect();
    match parts.is_empty() {
        true => "Nothing to compare.".into(),
        false => format!("In all: {}.", parts.join(", ")),
    }
}
