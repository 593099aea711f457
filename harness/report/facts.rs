//! What is known of versions of Python, with what came of it on each.

use super::claims::shown;
use super::columns::Columns;
use super::table::wrapped;
use super::{READABLE, Style, changes, labels, warnings};
use crate::claims::Claims;
use crate::model::{Fact, Outcome, Report};

/// Columns of text that the name of a figure takes on a terminal.
const NAME_WIDTH: usize = 32;

/// Each fact with its figures, a column an interpreter.
pub fn render(report: &Report, facts: &Claims, style: Style) -> Vec<u8> {
    let mut text = String::new();
    let mut ids: Vec<&str> = Vec::new();
    for fact in report.runs.iter().flat_map(|run| &run.facts) {
        if !ids.contains(&&fact.id[..]) {
            ids.push(&fact.id);
        }
    }
    if style == Style::Markdown && ids.len() > 1 {
        text += &contents(report, &ids);
    }
    for id in ids {
        text += &one(report, facts, id, style);
        text.push('\n');
    }
    for warning in warnings(report) {
        text += &match style {
            Style::Terminal { width, .. } => {
                let words = format!("warning: {warning}");
                wrapped(&words, width.unwrap_or(READABLE), "")
            }
            Style::Markdown => format!("> Warning: {warning}\n\n"),
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
    let rows = ids.iter().map(|id| {
        let facts = of_id(id);
        let count = |outcome| facts.iter().filter(|fact| fact.outcome == outcome).count();
        let tested = facts.len() - count(Outcome::NotTestableHere);
        let changes = facts.first().map_or(&[][..], |fact| &fact.changes);
        vec![
            format!("[{id}](#{id})"),
            changes.join(", "),
            format!("{} of {tested}", count(Outcome::AsPredicted)),
        ]
    });
    let columns = Columns {
        header: ["fact", "changed in", "as predicted"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.collect(),
        leading: 1,
        numbers: 2..3,
    };
    format!("{}\n\n", columns.markdown())
}

fn one(report: &Report, facts: &Claims, id: &str, style: Style) -> String {
    let found: Vec<Option<&Fact>> = report
        .runs
        .iter()
        .map(|run| run.facts.iter().find(|fact| fact.id == id))
        .collect();
    let Some(fact) = found.iter().flatten().next() else {
        return String::new();
    };
    let since = match &fact.changes[..] {
        [] => "on every version".to_owned(),
        changes => format!("changed in {}", changes.join(", ")),
    };
    let mut text = match style {
        Style::Markdown => format!(
            "### {id}\n\n{} ({}; {since})\n\n",
            fact.statement, fact.source
        ),
        Style::Terminal { width, .. } => {
            let width = width.unwrap_or(READABLE);
            let mut text = format!("{id}: {since}\n");
            text += &wrapped(&fact.statement, width, "  ");
            text += &wrapped(&format!("Source: {}", fact.source), width, "  ");
            text.push('\n');
            text
        }
    };
    let known = facts.facts.iter().find(|known| known.id == id);
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
        let name = match style {
            Style::Markdown => name,
            Style::Terminal { .. } => textwrap::fill(&name, NAME_WIDTH),
        };
        columns
            .rows
            .push(std::iter::once(name).chain(cells).collect());
    }
    text += &match style {
        Style::Markdown => format!("{}\n", columns.markdown()),
        Style::Terminal { width, .. } => columns.text(width),
    };
    // What was predicted, where it did not come true or could not be tested; else of the last, in words.
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
    for (words, labels) in said {
        let words = format!("{}: {words}", labels.join(", "));
        text += &match style {
            Style::Terminal { width, .. } => wrapped(&words, width.unwrap_or(READABLE), "  "),
            Style::Markdown => format!("\n{words}\n"),
        };
    }
    text
}
