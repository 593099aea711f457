//! Ways to share data with children, side by side: figures, and below them what a figure cannot say.

use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{CellAlignment, ContentArrangement, Table, TableStyle};

use super::READABLE;
use super::table::say;
use crate::mitigations::{Mitigation, Mitigations, mitigations};
use crate::model::{AfterKill, Alternative, AlternativeSummary, Contents, Report, StartMethod};
use crate::numbers::{bytes, share, time};

/// Some columns of the comparison; the first says which way.
struct Columns {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
    /// The first that are numbers.
    numbers: usize,
}

/// For a terminal: columns that do not fit side by side go into a further table below.
pub fn render(report: &Report, width: Option<u16>) -> Vec<u8> {
    let mut text = tables(report, width);
    for warning in &report.warnings {
        say(&mut text, width, &format!("warning: {warning}"));
    }
    text.into_bytes()
}

/// The same without the report's warnings.
pub(super) fn tables(report: &Report, width: Option<u16>) -> String {
    let mut text = String::new();
    if let Some(title) = title(report) {
        say(&mut text, width, &title);
        text.push('\n');
        for columns in all(report) {
            for part in fitting(&columns, width) {
                for line in table(&columns, &part, NOTHING).lines() {
                    text.push_str(line.trim_end());
                    text.push('\n');
                }
                text.push('\n');
            }
        }
    }
    for note in notes(report) {
        say(&mut text, Some(width.unwrap_or(READABLE)), &note);
    }
    text
}

/// For a page.
pub fn render_markdown(report: &Report) -> Vec<u8> {
    let mut text = tables_markdown(report);
    for warning in &report.warnings {
        text.push_str(&format!("> Warning: {warning}\n\n"));
    }
    while text.ends_with("\n\n") {
        text.pop();
    }
    text.into_bytes()
}

/// The same without the report's warnings.
pub(super) fn tables_markdown(report: &Report) -> String {
    let mut text = String::new();
    if let Some(title) = title(report) {
        text.push_str(&format!("{title}\n\n"));
        for columns in all(report) {
            let all: Vec<usize> = (1..columns.header.len()).collect();
            let table = table(&columns, &all, ASCII_MARKDOWN);
            text.push_str(&format!("{table}\n\n"));
        }
    }
    for note in notes(report) {
        text.push_str(&format!("{note}\n\n"));
    }
    text
}

fn title(report: &Report) -> Option<String> {
    let first = report.alternatives.first()?;
    let children = first.children.len();
    Some(format!(
        "{} handed to {} of CPython {}, by each way",
        bytes(first.size_bytes),
        if children == 1 {
            "1 child".into()
        } else {
            format!("each of {children} children")
        },
        first.python.version
    ))
}

/// What the tables' words mean.
fn notes(report: &Report) -> Vec<String> {
    if report.alternatives.is_empty() {
        return Vec::new();
    }
    let patience =
        report
            .alternatives
            .iter()
            .find_map(|alternative| match alternative.after_child_killed {
                AfterKill::Hangs { after_seconds } => Some(after_seconds),
                _ => None,
            });
    let hangs = patience.map_or_else(String::new, |seconds| {
        format!(" (hangs: no result and no error after {})", time(seconds))
    });
    let mut notes = vec![
        "shm: multiprocessing.shared_memory. copied: what a child has of its own beyond one that was started alike and got \
         nothing. copied, piped, read: by the child with the most. PSS: all processes together, when all children have read. \
         Pool.map gives each child its chunk alone."
            .to_owned(),
        format!(
            "survives: what is in a child the very object that it is in the parent. kill one: whether the others can go on \
             when one child is killed{hangs}. kill all: what is left when parent and children are killed at once."
        ),
    ];
    if mitigated(report).is_some() {
        notes.push(
            "iterate, collect, allocate: with the part of the data that this is; the rest of what is copied is the \
             interpreter's own."
                .to_owned(),
        );
    }
    notes
}

/// Figures, then properties, then what can be done about lists.
fn all(report: &Report) -> Vec<Columns> {
    let page_size = report.environment.page_size_bytes;
    let mut figures = Columns {
        header: vec!["", "copied", "PSS", "hand over", "first read", "read all"],
        rows: Vec::new(),
        numbers: 6,
    };
    let mut properties = Columns {
        header: vec!["", "piped", "writes", "survives", "kill one", "kill all"],
        rows: Vec::new(),
        numbers: 2,
    };
    for (contents, name) in [
        (Contents::Ints, "integers:"),
        (Contents::Bitarrays, "bitarrays:"),
    ] {
        let mut section = Some(name);
        for alternative in &report.alternatives {
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
            let label = label(report, alternative);
            figures.rows.push(figures_of(&label, alternative, &summary));
            properties
                .rows
                .push(properties_of(&label, alternative, &summary));
        }
    }
    let mut all = vec![figures, properties];
    all.extend(mitigated(report));
    all
}

/// What each mitigation leaves to be copied, if they were measured.
fn mitigated(report: &Report) -> Option<Columns> {
    let page_size = report.environment.page_size_bytes;
    let size_bytes = report.alternatives.first()?.size_bytes;
    let Mitigations { visits, all } = mitigations();
    let mut header = vec!["copied by a child"];
    header.extend(visits.iter().map(String::as_str));
    let cell = |mitigation: &Mitigation, visit: &str| {
        let measurement = report.measurements.iter().find(|measurement| {
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
        numbers: header.len(),
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
fn label(report: &Report, alternative: &Alternative) -> String {
    let several = report.alternatives.iter().any(|other| {
        other.way == alternative.way && other.start_method != alternative.start_method
    });
    match alternative.start_method {
        StartMethod::Fork if !several => alternative.title.clone(),
        method => format!("{}, {method}", alternative.title),
    }
}

fn figures_of(label: &str, alternative: &Alternative, summary: &AlternativeSummary) -> Vec<String> {
    let copied = *summary.copied_bytes.end();
    let sign = if copied < 0 { "−" } else { "" };
    vec![
        label.to_owned(),
        format!("{sign}{}", bytes(copied.unsigned_abs())),
        alternative
            .pss_bytes_read
            .map_or_else(|| "unknown".into(), bytes),
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
        // Where there is no sibling, or none with the same data, the parent is all who could see it.
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
    let killed = match alternative.after_child_killed {
        AfterKill::Usable => "usable",
        AfterKill::Unusable => "unusable",
        AfterKill::Hangs { .. } => "hangs",
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
        killed.into(),
        if left.is_empty() {
            "nothing".into()
        } else {
            left.join(", ")
        },
    ]
}

/// The columns behind the first in groups, each of which fits the width beside it.
fn fitting(columns: &Columns, width: Option<u16>) -> Vec<Vec<usize>> {
    let all = 1..columns.header.len();
    let Some(width) = width.map(usize::from) else {
        return vec![all.collect()];
    };
    let wide = |part: &[usize]| {
        let text = table(columns, part, NOTHING).to_string();
        let lines = text.lines().map(|line| line.trim_end().chars().count());
        lines.max().unwrap_or(0)
    };
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for column in all {
        if let Some(part) = parts.last_mut() {
            part.push(column);
            if wide(part) <= width {
                continue;
            }
            part.pop();
        }
        parts.push(vec![column]);
    }
    parts
}

fn table(columns: &Columns, part: &[usize], style: TableStyle) -> Table {
    let chosen: Vec<usize> = std::iter::once(0).chain(part.iter().copied()).collect();
    let mut table = Table::new();
    table
        .load_style(style)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(chosen.iter().map(|column| columns.header[*column]));
    for row in &columns.rows {
        table.add_row(chosen.iter().map(|column| &row[*column]));
    }
    for (column, index) in table.column_iter_mut().zip(&chosen) {
        if (1..columns.numbers).contains(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if style == NOTHING {
            column.set_padding(if *index > 0 { (2, 0) } else { (0, 0) });
        }
    }
    table
}
