//! What is known of versions of Python, with what came of it on each.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use super::beginning::beginning;
use super::changes;
use super::claims::shown;
use super::columns::{Columns, cut};
use super::escape::markdown as escaped;
use super::labels::labels;
use super::style::{READABLE, Style, wrapped};
use super::warnings::warnings;
use refcow_model::claims::Claims;
use refcow_model::{Fact, Outcome, Report};

/// Columns of text that the name of a figure takes on a terminal.
const NAME_WIDTH: usize = 32;

/// Each fact with its figures, a column an interpreter.
pub fn render(report: &Report, facts: &Claims, style: Style) -> Vec<u8> {
    let mut text = beginning(report, style);
    let told = told(report, facts);
    if style == Style::Markdown && told.len() > 1 {
        let ids: Vec<&str> = told.iter().map(|fact| &fact.id[..]).collect();
        text += &contents(report, &ids);
    }
    for fact in told {
        text += &one(fact, style);
        text.push('\n');
    }
    for warning in warnings(report) {
        text += &match style {
            Style::Terminal { width, .. } => {
                let words = format!("warning: {warning}");
                wrapped(&words, width.unwrap_or(READABLE), "")
            }
            Style::Markdown => format!("> Warning: {}\n\n", escaped(&warning)),
        };
    }
    changes::add_between_neighbours(&mut text, report, style);
    text.into_bytes()
}

/// For a page: all facts in a table, each leading to its own.
fn contents(report: &Report, ids: &[&str]) -> String {
    let of_id = |id: &str| -> Vec<&Fact> {
        let all = report.runs.iter().flat_map(|run| &run.facts);
        all.filter(|fact| fact.id == id).collect()
    };
    let mut table = Table::new();
    table
        .load_style(ASCII_MARKDOWN)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["fact", "changed in", "as predicted"]);
    for id in ids {
        let facts = of_id(id);
        let count = |outcome| facts.iter().filter(|fact| fact.outcome == outcome).count();
        let tested = facts.len() - count(Outcome::NotTestableHere);
        let changes = facts.first().map_or(&[][..], |fact| &fact.changes);
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        table.add_row([
            match id.chars().all(plain) {
                true => format!("[{id}](#{id})"),
                false => escaped(&cut(id)),
            },
            escaped(&cut(&changes.join(", "))),
            format!("{} of {tested}", count(Outcome::AsPredicted)),
        ]);
    }
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n\n")
}

/// A fact, with what came of it.
pub(crate) struct FactEntry {
    /// Its short name.
    pub id: String,
    /// What is known.
    pub statement: String,
    /// Who says so.
    pub source: String,
    /// From which versions on it is another.
    pub since: String,
    /// Its figures, a column an interpreter.
    pub columns: Columns,
    /// What was predicted and did not come true, and what could not be tested, each with the
    /// interpreters.
    pub notes: Vec<String>,
}

/// All facts of a report, in their order.
pub(crate) fn told(report: &Report, facts: &Claims) -> Vec<FactEntry> {
    let mut ids: Vec<&str> = Vec::new();
    for fact in report.runs.iter().flat_map(|run| &run.facts) {
        if !ids.contains(&&fact.id[..]) {
            ids.push(&fact.id);
        }
    }
    ids.into_iter()
        .filter_map(|id| tell(report, facts, id))
        .collect()
}

fn tell(report: &Report, facts: &Claims, id: &str) -> Option<FactEntry> {
    let found: Vec<Option<&Fact>> = report
        .runs
        .iter()
        .map(|run| run.facts.iter().find(|fact| fact.id == id))
        .collect();
    let fact = found.iter().flatten().next()?;
    let known = facts.facts.iter().find(|known| known.id == id);
    let since = match &fact.changes[..] {
        [] if known.is_some_and(|known| known.free_threaded) => "without the GIL".to_owned(),
        [] => "on every version".to_owned(),
        changes => format!("changed in {}", changes.join(", ")),
    };
    let names: Vec<String> = match known {
        Some(known) => known.figures.iter().map(|rule| rule.name.clone()).collect(),
        None => {
            let mut names: Vec<String> = Vec::new();
            for name in found.iter().flatten().flat_map(|fact| fact.figures.keys()) {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
            names
        }
    };
    let means = |name: &str| {
        let rules = known.into_iter().flat_map(|known| &known.figures);
        let mut rules = rules.filter(|rule| rule.name == name);
        rules.next().map_or(name, |rule| &rule.means).to_owned()
    };
    let labels = labels(report);
    let mut rows: Vec<(String, Vec<String>)> = names
        .iter()
        .map(|name| {
            let cells = found.iter().map(|fact| {
                let figure = fact.and_then(|fact| fact.figures.get(name));
                figure.map_or_else(|| "–".into(), shown)
            });
            (means(name), cells.collect())
        })
        .collect();
    let outcomes = found
        .iter()
        .map(|fact| match fact.map(|fact| fact.outcome) {
            Some(Outcome::AsPredicted) => "yes".to_owned(),
            Some(Outcome::Otherwise) => "NO".to_owned(),
            Some(Outcome::NotTestableHere) | None => "–".to_owned(),
        });
    rows.push(("as predicted".into(), outcomes.collect()));
    let header = std::iter::once(String::new()).chain(labels.clone());
    let mut columns = Columns {
        header: header.collect(),
        leading: 1,
        numbers: 1..labels.len() + 1,
        rows: Vec::new(),
    };
    for (name, cells) in rows {
        columns
            .rows
            .push(std::iter::once(name).chain(cells).collect());
    }
    // What was predicted, where it did not come true or could not be tested; else of the last, in
    // words.
    let mut said: Vec<(String, Vec<&str>)> = Vec::new();
    for (label, fact) in labels.iter().zip(&found) {
        let Some(fact) = fact else { continue };
        let words = match fact.outcome {
            Outcome::Otherwise => fact
                .found
                .as_ref()
                .map(|words| format!("not as predicted: {words}")),
            Outcome::NotTestableHere => fact.not_testable_because.clone(),
            Outcome::AsPredicted => None,
        };
        if let Some(words) = words {
            match said.iter_mut().find(|(known, _)| *known == words) {
                Some((_, labels)) => labels.push(label),
                None => said.push((words, vec![label])),
            }
        }
    }
    let notes = said.into_iter();
    Some(FactEntry {
        id: id.to_owned(),
        statement: fact.statement.clone(),
        source: fact.source.clone(),
        since,
        columns,
        notes: notes
            .map(|(words, labels)| format!("{}: {words}", labels.join(", ")))
            .collect(),
    })
}

fn one(mut fact: FactEntry, style: Style) -> String {
    let FactEntry {
        id,
        statement,
        source,
        since,
        ..
    } = &fact;
    let mut text = match style {
        Style::Markdown => format!(
            "### {}\n\n{} ({}; {})\n\n",
            escaped(id),
            escaped(statement),
            escaped(source),
            escaped(since)
        ),
        Style::Terminal { width, .. } => {
            let width = width.unwrap_or(READABLE);
            let mut text = format!("{id}: {since}\n");
            text += &wrapped(statement, width, "  ");
            text += &wrapped(&format!("Source: {source}"), width, "  ");
            text.push('\n');
            text
        }
    };
    text += &match style {
        Style::Markdown => format!("{}\n", fact.columns.markdown()),
        Style::Terminal { width, .. } => {
            for row in &mut fact.columns.rows {
                row[0] = textwrap::fill(&row[0], NAME_WIDTH);
            }
            fact.columns.text(width)
        }
    };
    for words in fact.notes {
        text += &match style {
            Style::Terminal { width, .. } => wrapped(&words, width.unwrap_or(READABLE), "  "),
            Style::Markdown => format!("\n{}\n", escaped(&words)),
        };
    }
    text
}
