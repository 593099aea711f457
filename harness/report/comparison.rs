//! A base against a new document: for a terminal, a page, and GitHub's annotations.

use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{ColumnConstraint, ContentArrangement, Table};

use super::changes::{transition, value};
use super::table::{say, wrapped};
use super::{READABLE, Style};
use crate::claims::Claims;
use crate::model::{ComparedRuns, Comparison, Row, RunName, Status};
use crate::numbers::{count, share};

/// The tables: a row for everything that is not the same, and how many are.
pub fn render(comparison: &Comparison, style: Style) -> Vec<u8> {
    let mut text = String::new();
    for runs in &comparison.compared {
        text += &of_runs(comparison, runs, style);
        text.push('\n');
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
        Style::Markdown => format!("{words}\n\n"),
    }
}

fn run(name: &RunName) -> String {
    format!(
        "CPython {} ({}, Linux {}, {})",
        name.version, name.executable, name.kernel, name.architecture
    )
}

fn of_runs(comparison: &Comparison, runs: &ComparedRuns, style: Style) -> String {
    let mut text = String::new();
    let same = runs.base == runs.new;
    let title = match same {
        true => run(&runs.base),
        false => format!("{} → {}", run(&runs.base), run(&runs.new)),
    };
    let allowed = if runs.differs.is_empty() {
        "One machine and one build: every page counts.".to_owned()
    } else {
        format!(
            "Not the same: {}. So {} pages, or {} of the base, are noise.",
            runs.differs.join(", "),
            count(comparison.tolerance.pages),
            share(comparison.tolerance.share),
        )
    };
    match style {
        Style::Terminal { width, .. } => {
            say(&mut text, width, &title);
            say(&mut text, width, &allowed);
        }
        Style::Markdown => text += &format!("**{title}**\n\n{allowed}\n"),
    }
    text.push('\n');
    let told: Vec<&Row> = Status::ALL
        .into_iter()
        .filter(|status| *status != Status::Unchanged)
        .flat_map(|status| runs.rows.iter().filter(move |row| row.status == status))
        .collect();
    if !told.is_empty() {
        text += &table(&told, style);
        text.push('\n');
    }
    let unchanged = runs.rows.len() - told.len();
    let words = format!(
        "{} of {} rows unchanged",
        count(unchanged as u64),
        count(runs.rows.len() as u64)
    );
    text += &sentence(style, &words);
    let known = facts(&told);
    for fact in known {
        text += &sentence(style, &fact);
    }
    text
}

/// What is known of these changes, a sentence a fact.
fn facts(rows: &[&Row]) -> Vec<String> {
    let all = Claims::versions().facts.iter();
    let told = all.filter(|fact| rows.iter().any(|row| row.facts.contains(&fact.id)));
    told.map(|fact| format!("{}: {} [{}]", fact.id, fact.statement, fact.source))
        .collect()
}

fn table(rows: &[&Row], style: Style) -> String {
    let mut table = Table::new();
    table.set_header(["", "base", "new", "", "known as"]);
    for row in rows {
        let mut status = row.status.to_string();
        if let Some(because) = &row.because {
            status += &format!(": {because}");
        }
        let cells = [
            row.key.to_string(),
            value(row.base),
            value(row.new),
            status,
            row.facts.join(", "),
        ];
        table.add_row(cells.map(|cell| match style {
            Style::Markdown => super::claims::escaped(&cell),
            Style::Terminal { .. } => cell,
        }));
    }
    match style {
        Style::Markdown => {
            table
                .load_style(ASCII_MARKDOWN)
                .set_content_arrangement(ContentArrangement::Disabled);
            format!("{table}\n")
        }
        Style::Terminal { width, .. } => {
            table
                .load_style(NOTHING)
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width.unwrap_or(READABLE));
            for (index, column) in table.column_iter_mut().enumerate() {
                column.set_padding(if index == 0 { (0, 0) } else { (2, 0) });
                if index == 0 {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
            table
                .lines()
                .map(|line| format!("{}\n", line.trim_end()))
                .collect()
        }
    }
}

fn total(comparison: &Comparison) -> String {
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

/// Workflow commands, of which GitHub makes annotations: an error for each regression, a notice for other changes.
///
/// Source: GitHub's documentation, "Workflow commands for GitHub Actions", "Setting an error message".
pub fn github(comparison: &Comparison) -> Vec<u8> {
    let mut text = String::new();
    for (runs, row) in comparison.rows() {
        let command = match row.status {
            Status::Regressed => "error",
            Status::Improved | Status::ChangedAsExpected => "notice",
            Status::NotComparable | Status::OnlyInBase => "warning",
            Status::Unchanged | Status::WithinNoise | Status::OnlyInNew => continue,
        };
        let mut message = format!(
            "CPython {}: {}: {}",
            runs.new.version,
            row.key,
            transition(row.base, row.new)
        );
        if let Some(because) = &row.because {
            message += &format!(" ({because})");
        }
        if !row.facts.is_empty() {
            message += &format!(" [{}]", row.facts.join(", "));
        }
        text += &annotation(command, &format!("refcow: {}", row.status), &message);
    }
    for name in &comparison.only_in_base {
        let message = format!("{} is only in the base", run(name));
        text += &annotation("warning", "refcow: only in base", &message);
    }
    text += &format!("{}\n", total(comparison));
    text.into_bytes()
}

fn annotation(command: &str, title: &str, message: &str) -> String {
    format!("::{command} title={}::{}\n", property(title), data(message))
}

/// What would end a message is written as the runner's own toolkit writes it.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_begin_a_command_of_its_own() {
        let text = annotation("error", "a: b, c", "100 %\n::warning::x\r");
        assert_eq!(
            text,
            "::error title=a%3A b%2C c::100 %25%0A::warning::x%0D\n"
        );
    }
}
