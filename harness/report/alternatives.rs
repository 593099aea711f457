//! Ways to share data with children, side by side: figures, and below them what a figure cannot
//! say.

use super::beginning::beginning;
use super::changes;
use super::columns::Columns;
use super::escape::markdown as escaped;
use super::labels::labels;
use super::own_data::hangs;
use super::style::{READABLE, Style, say};
use super::warnings::warnings;
use refcow_model::mitigations::{Mitigation, Mitigations, mitigations};
use refcow_model::numbers::{about_bytes, bytes, share, signed_bytes, time};
use refcow_model::{Alternative, AlternativeSummary, Contents, Report, Run, StartMethod};

/// In front of a figure that is not the same in each run.
const MOVES: &str = "~";

/// For a terminal: columns that do not fit side by side go into a further table below.
pub fn render(report: &Report, width: Option<u16>) -> Vec<u8> {
    let style = Style::Terminal {
        width,
        colours: false,
    };
    let mut text = beginning(report, style) + &tables(report, width);
    for warning in warnings(report) {
        say(&mut text, width, &format!("warning: {warning}"));
    }
    changes::add_between_neighbours(&mut text, report, style);
    text.into_bytes()
}

/// The same without the report's warnings.
pub(super) fn tables(report: &Report, width: Option<u16>) -> String {
    let mut text = String::new();
    if let Some(title) = title(report) {
        say(&mut text, width, &title);
        text.push('\n');
        for part in all(report) {
            text.push_str(&part.columns.text(width));
        }
    }
    for note in notes(report) {
        say(&mut text, Some(width.unwrap_or(READABLE)), &note);
    }
    text
}

/// For a page.
pub fn render_markdown(report: &Report) -> Vec<u8> {
    let mut text = beginning(report, Style::Markdown) + &tables_markdown(report);
    for warning in warnings(report) {
        text.push_str(&format!("> Warning: {}\n\n", escaped(&warning)));
    }
    changes::add_between_neighbours(&mut text, report, Style::Markdown);
    while text.ends_with("\n\n") {
        text.pop();
    }
    text.into_bytes()
}

/// The same without the report's warnings.
pub(super) fn tables_markdown(report: &Report) -> String {
    let mut text = String::new();
    if let Some(title) = title(report) {
        text.push_str(&format!("{}\n\n", escaped(&title)));
        for part in all(report) {
            text.push_str(&format!("{}\n\n", part.columns.markdown()));
        }
    }
    for note in notes(report) {
        text.push_str(&format!("{}\n\n", escaped(&note)));
    }
    text
}

/// What was handed to whom; `None` where nothing was.
pub(super) fn title(report: &Report) -> Option<String> {
    let first = alternatives(report).next()?;
    let children = first.children.len();
    let version = match &report.runs[..] {
        [run] => format!("CPython {}", run.python.version),
        _ => "each CPython".to_owned(),
    };
    Some(format!(
        "{} handed to {} of {version}, by each way",
        bytes(first.size_bytes),
        if children == 1 {
            "1 child".into()
        } else {
            format!("each of {children} children")
        },
    ))
}

fn alternatives(report: &Report) -> impl Iterator<Item = &Alternative> {
    report.runs.iter().flat_map(|run| &run.alternatives)
}

/// What the tables' words mean.
pub(super) fn notes(report: &Report) -> Vec<String> {
    if alternatives(report).next().is_none() {
        return Vec::new();
    }
    let hangs = hangs(alternatives(report).map(|one| one.after_child_killed));
    let mut notes = vec![
        "shm: multiprocessing.shared_memory. copied: memory of its own that a child has beyond one that was \
         started alike and got nothing. copied, read, input: of the child with the most. memory: of all processes \
         together, when all children have read, without pages of files that other programs may share. Times are \
         from one run. Pool.map gives each child only its chunk."
            .to_owned(),
        format!(
            "input: what a child read from pipes and files, beyond the child that got nothing. writes: who sees what a child writes, of the \
             parent and another child. survives: which objects in a child are the same objects as in the parent. kill one: whether the \
             others can continue when one child is killed{hangs}. kill all: what is left when parent and children \
             are killed at once."
        ),
    ];
    if alternatives(report).any(Alternative::came_through_pipe) {
        notes.push(format!(
            "{MOVES}: varies from run to run. The data came through a pipe, and how much of it the allocator \
             keeps depends on how it arrived."
        ));
    }
    let by_pss =
        |one: &Alternative| one.memory_bytes_read.is_none() && one.pss_bytes_read.is_some();
    if alternatives(report).any(by_pss) {
        notes.push(format!(
            "{MOVES} in memory: an earlier refcow counted PSS, which depends on what other programs have mapped."
        ));
    }
    if report.runs.iter().any(|run| mitigated(run).is_some()) {
        notes.push(
            "iterate, collect, allocate: the per cent are the part of the data that was copied; the other copies \
             belong to the interpreter."
                .to_owned(),
        );
    }
    notes
}

/// A table, and what it shows.
pub(super) struct WaysTable {
    /// In words.
    pub title: String,
    /// Whether it is among those that come first to a reader.
    pub first: bool,
    /// The table.
    pub columns: Columns,
}

/// The tables.
pub(super) fn all(report: &Report) -> Vec<WaysTable> {
    match &report.runs[..] {
        [run] => of_run(run),
        _ => side_by_side(report),
    }
}

/// Of several interpreters: each figure with a column an interpreter, and together what is the same
/// with all.
fn side_by_side(report: &Report) -> Vec<WaysTable> {
    let by_run: Vec<Vec<WaysTable>> = report.runs.iter().map(of_run).collect();
    let labels = labels(report);
    let tables = by_run.iter().map(Vec::len).max().unwrap_or(0);
    let mut all = Vec::new();
    for table in 0..tables {
        let parts = || by_run.iter().map(|run| run.get(table));
        let Some(WaysTable { title, .. }) = parts().flatten().next() else {
            continue;
        };
        let of_runs: Vec<Option<&Columns>> =
            parts().map(|part| part.map(|part| &part.columns)).collect();
        let Some(first) = of_runs.iter().flatten().next() else {
            continue;
        };
        let rows = rows_of_all(&of_runs);
        let cell = |run: usize, row: &(String, String), column: usize| {
            let found = of_runs[run].and_then(|columns| {
                let mut named = named_rows(columns);
                named.find(|(name, _)| name == row).map(|(_, cells)| cells)
            });
            found.map(|cells| cells[column].clone())
        };
        // What a run has no row of differs from nothing.
        let of_all = |row: &(String, String), column: usize| -> Vec<String> {
            let runs = 0..labels.len();
            runs.filter_map(|run| cell(run, row, column)).collect()
        };
        let titled =
            |header: Vec<String>, columns: &dyn Fn(&(String, String)) -> Vec<String>, numbers| {
                let mut section = String::new();
                let mut table = Vec::new();
                for row in &rows {
                    if row.0 != section {
                        section.clone_from(&row.0);
                        let mut title = vec![String::new(); header.len()];
                        title[0].clone_from(&section);
                        table.push(title);
                    }
                    table.push(std::iter::once(row.1.clone()).chain(columns(row)).collect());
                }
                Columns {
                    leading: 1,
                    numbers,
                    header,
                    rows: table,
                }
            };
        let mut same = Vec::new();
        for column in 1..first.header.len() {
            let number = first.numbers.contains(&column);
            let alike = rows.iter().all(|row| {
                let cells = of_all(row, column);
                cells.windows(2).all(|pair| pair[0] == pair[1])
            });
            if alike && !number {
                same.push(column);
                continue;
            }
            let header = std::iter::once(first.header[column].clone()).chain(labels.clone());
            let numbers = if number { 1..labels.len() + 1 } else { 0..0 };
            let columns = titled(
                header.collect(),
                &|row| {
                    (0..labels.len())
                        .map(|run| cell(run, row, column).unwrap_or_else(|| "–".into()))
                        .collect()
                },
                numbers,
            );
            all.push(WaysTable {
                title: format!("{title}: {}", first.header[column]),
                first: table == 0 && column == 1,
                columns,
            });
        }
        if !same.is_empty() {
            let header = std::iter::once("with each".to_owned())
                .chain(same.iter().map(|column| first.header[*column].clone()));
            let columns = titled(
                header.collect(),
                &|row| {
                    let columns = same.iter();
                    columns
                        .map(|column| of_all(row, *column).swap_remove(0))
                        .collect()
                },
                0..0,
            );
            all.push(WaysTable {
                title: title.clone(),
                first: true,
                columns,
            });
        }
    }
    all
}

/// The rows that hold figures, each by its section and its name.
fn named_rows(columns: &Columns) -> impl Iterator<Item = ((String, String), &Vec<String>)> {
    let mut section = String::new();
    columns.rows.iter().filter_map(move |row| {
        if row[1..].iter().all(String::is_empty) {
            section.clone_from(&row[0]);
            return None;
        }
        Some(((section.clone(), row[0].clone()), row))
    })
}

/// The names of all rows, in the order of the interpreter that has the most.
fn rows_of_all(of_runs: &[Option<&Columns>]) -> Vec<(String, String)> {
    let mut lists: Vec<Vec<(String, String)>> = of_runs
        .iter()
        .flatten()
        .map(|columns| named_rows(columns).map(|(name, _)| name).collect())
        .collect();
    lists.sort_by_key(|list| std::cmp::Reverse(list.len()));
    let mut lists = lists.into_iter();
    let mut all = lists.next().unwrap_or_default();
    for name in lists.flatten() {
        if !all.contains(&name) {
            // Behind the last of its section.
            let place = all.iter().rposition(|(section, _)| *section == name.0);
            all.insert(place.map_or(all.len(), |place| place + 1), name);
        }
    }
    all
}

/// Figures, then properties, then what can be done about lists.
fn of_run(run: &Run) -> Vec<WaysTable> {
    let page_size = run.environment.page_size_bytes;
    let columns = |names: [&str; 6], numbers| Columns {
        header: names.map(str::to_owned).to_vec(),
        rows: Vec::new(),
        leading: 1,
        numbers: 1..numbers,
    };
    let mut figures = columns(
        [
            "",
            "copied",
            "memory",
            "hand over",
            "first read",
            "read all",
        ],
        6,
    );
    let mut properties = columns(
        ["", "input", "writes", "survives", "kill one", "kill all"],
        2,
    );
    for (contents, name) in [
        (Contents::Ints, "integers:"),
        (Contents::Bitarrays, "bitarrays:"),
    ] {
        let mut section = Some(name);
        for alternative in &run.alternatives {
            let Some(summary) = alternative.summary(page_size) else {
                continue;
            };
            if alternative.contents != contents {
                continue;
            }
            if let Some(name) = section.take() {
                if !figures.rows.is_empty() {
                    figures.rows.push(section_row("", figures.header.len()));
                    properties
                        .rows
                        .push(section_row("", properties.header.len()));
                }
                figures.rows.push(section_row(name, figures.header.len()));
                properties
                    .rows
                    .push(section_row(name, properties.header.len()));
            }
            let label = label(run, alternative);
            figures.rows.push(figures_of(&label, alternative, &summary));
            properties
                .rows
                .push(properties_of(&label, alternative, &summary));
        }
    }
    let mut all = Vec::new();
    let part = |title: &str, columns| WaysTable {
        title: title.to_owned(),
        first: true,
        columns,
    };
    if !run.alternatives.is_empty() {
        all.push(part("What each way costs", figures));
        all.push(part("What the figures do not show", properties));
    }
    all.extend(mitigated(run).map(|columns| part("What can be done about lists", columns)));
    all
}

/// What each mitigation leaves to be copied, if they were measured.
fn mitigated(run: &Run) -> Option<Columns> {
    let page_size = run.environment.page_size_bytes;
    let size_bytes = run.alternatives.first()?.size_bytes;
    let Mitigations { visits, all } = mitigations();
    let mut header = vec!["copied by a child".to_owned()];
    header.extend(visits.iter().cloned());
    let cell = |mitigation: &Mitigation, visit: &str| {
        let measurement = run.measurements.iter().find(|measurement| {
            mitigation.is(measurement, size_bytes) && measurement.visit == visit
        })?;
        let summary = measurement.summary(page_size)?;
        let copied = bytes(*summary.copied_bytes.end());
        Some(match &summary.copied_share {
            Some(part) => format!("{copied}, {}", share(*part.end())),
            None => copied,
        })
    };
    let rows = all.iter().filter_map(|mitigation| {
        let cells: Option<Vec<_>> = visits.iter().map(|visit| cell(mitigation, visit)).collect();
        let mut row = vec![mitigation.title.clone()];
        row.extend(cells?);
        Some(row)
    });
    let rows: Vec<_> = rows.collect();
    (rows.len() == all.len()).then_some(Columns {
        leading: 1,
        numbers: 1..header.len(),
        header,
        rows,
    })
}

fn section_row(name: &str, columns: usize) -> Vec<String> {
    let mut row = vec![String::new(); columns];
    row[0] = name.to_owned();
    row
}

/// The way, with its start method where that is not fork, or where the way has several here.
pub(super) fn label(run: &Run, alternative: &Alternative) -> String {
    let several = run.alternatives.iter().any(|other| {
        other.way == alternative.way && other.start_method != alternative.start_method
    });
    match alternative.start_method {
        StartMethod::Fork if !several => alternative.title.clone(),
        method => format!("{}, {method}", alternative.title),
    }
}

fn figures_of(label: &str, alternative: &Alternative, summary: &AlternativeSummary) -> Vec<String> {
    let copied = signed_bytes(*summary.copied_bytes.end());
    let memory = match (alternative.memory_bytes_read, alternative.pss_bytes_read) {
        (Some(memory), _) => bytes(memory),
        (None, Some(pss)) => format!("{MOVES}{}", about_bytes(pss)),
        (None, None) => "unknown".into(),
    };
    vec![
        label.to_owned(),
        match alternative.came_through_pipe() {
            true => format!("{MOVES}{copied}"),
            false => copied,
        },
        memory,
        time(alternative.handover_seconds),
        time(*summary.first_read_seconds.end()),
        time(*summary.read_all_seconds.end()),
    ]
}

fn properties_of(
    label: &str,
    alternative: &Alternative,
    summary: &AlternativeSummary,
) -> Vec<String> {
    let seen = match (
        alternative.writes_seen_by_parent,
        alternative.writes_seen_by_sibling,
    ) {
        // Where there is no sibling, or none with the same data, the parent is all who could see
        // it.
        (true, Some(true) | None) => "seen",
        (true, Some(false)) => "parent",
        (false, Some(true)) => "sibling",
        (false, _) => "unseen",
    };
    let survives = match (alternative.container_survives, alternative.elements_survive) {
        (_, true) => "elements",
        (true, false) => "object",
        (false, false) => "nothing",
    };
    let left: Vec<&str> = alternative
        .left_after_kill
        .iter()
        .map(|left| left.as_str())
        .collect();
    let piped = summary.piped_bytes.as_ref();
    vec![
        label.to_owned(),
        piped.map_or_else(|| "unknown".into(), |piped| bytes(*piped.end())),
        seen.into(),
        survives.into(),
        alternative.after_child_killed.as_str().into(),
        if left.is_empty() {
            "nothing".into()
        } else {
            left.join(", ")
        },
    ]
}
