//! What changes from one version of Python to the next, each with the fact that tells of it.

use super::escape::markdown as escaped;
use super::table::wrapped;
use super::{READABLE, Style, labels, legend};
use crate::claims::Claims;
use crate::compare;
use crate::model::{ComparedRuns, Outcome, Report, Row, RowKey, RowValue};
use crate::numbers::{bytes, count, share, signed};

/// The changes from one interpreter to the next.
pub struct Step {
    /// `3.8.18 → 3.9.18`; several, where nothing changed.
    pub title: String,
    /// What changed.
    pub lines: Vec<Line>,
}

/// A sentence, or one that belongs under the one before.
pub struct Line {
    /// 1, or 2 for one that belongs under another.
    pub depth: usize,
    /// The sentence.
    pub words: String,
}

/// Of several interpreters, every change between neighbours, the versions in ascending order.
pub fn between_neighbours(report: &Report) -> Vec<Step> {
    let facts = Claims::versions();
    let all = compare::neighbours(report, facts);
    let labels = labels(report);
    let told: Vec<(&ComparedRuns, &str, Vec<Line>)> = all
        .iter()
        .zip(labels.windows(2))
        .map(|(runs, pair)| (runs, &pair[1][..], of_runs(runs, facts)))
        .collect();
    let mut from = labels.first().cloned().unwrap_or_default();
    let mut steps = Vec::new();
    // Steps without a change stand together.
    let mut told = told.into_iter().peekable();
    while let Some((runs, label, mut lines)) = told.next() {
        let mut title = format!("{from} → {label}");
        let mut last = label;
        if lines.is_empty() {
            let mut compared = !runs.rows.is_empty();
            while let Some((runs, label, _)) = told.next_if(|(.., lines)| lines.is_empty()) {
                title += &format!(" → {label}");
                last = label;
                compared |= !runs.rows.is_empty();
            }
            let words = match compared {
                true => "nothing by more than noise",
                false => "nothing was compared: no pages, verdicts or facts",
            };
            lines.push(Line {
                depth: 1,
                words: words.to_owned(),
            });
        }
        steps.push(Step { title, lines });
        from = last.to_owned();
    }
    steps
}

/// What counts as a change.
pub fn note() -> String {
    let tolerance = compare::TOLERANCE;
    format!(
        "Differences of up to {} pages or {} are treated as noise between builds, except a change from all pages to none.",
        tolerance.pages,
        share(tolerance.share)
    )
}

/// Adds these changes, if there are several interpreters.
pub fn add_between_neighbours(text: &mut String, report: &Report, style: Style) {
    if report.runs.len() < 2 {
        return;
    }
    if !text.ends_with("\n\n") {
        text.push('\n');
    }
    *text += match style {
        Style::Markdown => "### Changes\n",
        Style::Terminal { .. } => "Changes between neighbours\n",
    };
    for words in legend(report) {
        *text += &line(style, 0, &words);
    }
    for step in between_neighbours(report) {
        *text += &match style {
            Style::Markdown => format!("\n**{}**\n\n", escaped(&step.title)),
            Style::Terminal { width, .. } => {
                format!("\n{}", wrapped(&step.title, width.unwrap_or(READABLE), ""))
            }
        };
        for Line { depth, words } in step.lines {
            *text += &line(style, depth, &words);
        }
    }
    text.push('\n');
    *text += &line(style, 0, &note());
}

/// The changes of two runs, those that a fact tells of under that.
fn of_runs(runs: &ComparedRuns, facts: &Claims) -> Vec<Line> {
    let rows = || runs.rows.iter();
    let told: Vec<&Row> = rows().filter(|row| row.status.is_change()).collect();
    let own = |row: &&Row| row.because.as_deref() == Some(compare::INTERPRETERS_OWN);
    let rest: Vec<&Row> = rows().filter(own).collect();
    let mut lines = Vec::new();
    let mut say = |depth, words| lines.push(Line { depth, words });
    for fact in &facts.facts {
        let rows: Vec<&Row> = told
            .iter()
            .copied()
            .filter(|row| row.facts.contains(&fact.id))
            .collect();
        if !rows.is_empty() {
            say(
                1,
                format!("{}: {} [{}]", fact.id, fact.statement, fact.source),
            );
            for change in merged(&rows) {
                say(2, change);
            }
        }
    }
    let unknown: Vec<&Row> = told
        .into_iter()
        .filter(|row| row.facts.is_empty())
        .collect();
    if !unknown.is_empty() {
        say(1, "of which no fact tells:".into());
        for change in merged(&unknown) {
            say(2, change);
        }
    }
    if let Some(words) = of_the_interpreter(&rest) {
        say(1, words);
    }
    lines
}

/// Pages of the region `rest` in one sentence: every version has others, and nobody's data is in them.
fn of_the_interpreter(rows: &[&Row]) -> Option<String> {
    let differences = rows
        .iter()
        .filter_map(|row| match (row.base.as_ref()?, row.new.as_ref()?) {
            (
                RowValue::Pages { unshared: one, .. },
                RowValue::Pages {
                    unshared: other, ..
                },
            ) => Some(*other as i64 - *one as i64),
            _ => None,
        });
    let least = differences.clone().min()?;
    let most = differences.max()?;
    let range = match least == most {
        true => signed(most),
        false => format!("{} to {}", signed(least), signed(most)),
    };
    let visits = match rows.len() {
        1 => "1 visit".to_owned(),
        number => format!("{} visits", count(number as u64)),
    };
    Some(format!(
        "the interpreter's own pages (rest): {range} copied in {visits}"
    ))
}

/// A sentence a change; visits that changed alike in one.
pub fn merged(rows: &[&Row]) -> Vec<String> {
    let alike = |one: &Row, other: &Row| match (&one.key, &other.key) {
        (
            RowKey::Pages {
                fixture,
                prepare,
                sharing,
                region,
                ..
            },
            RowKey::Pages {
                fixture: fixture_too,
                prepare: prepare_too,
                sharing: sharing_too,
                region: region_too,
                ..
            },
        ) => {
            (fixture, prepare, sharing, region)
                == (fixture_too, prepare_too, sharing_too, region_too)
                && (&one.base, &one.new) == (&other.base, &other.new)
        }
        (
            RowKey::Memory {
                fixture,
                prepare,
                sharing,
                memory,
                ..
            },
            RowKey::Memory {
                fixture: fixture_too,
                prepare: prepare_too,
                sharing: sharing_too,
                memory: memory_too,
                ..
            },
        ) => {
            (fixture, prepare, sharing, memory)
                == (fixture_too, prepare_too, sharing_too, memory_too)
                && (&one.base, &one.new) == (&other.base, &other.new)
        }
        _ => false,
    };
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|group| alike(group[0], row)) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    groups
        .into_iter()
        .map(|group| {
            let subjects: Vec<String> = group
                .iter()
                .enumerate()
                .map(|(index, row)| match (&row.key, index) {
                    (RowKey::Pages { visit, .. } | RowKey::Memory { visit, .. }, 1..) => {
                        visit.clone()
                    }
                    (key, _) => key.subject(),
                })
                .collect();
            let part = group[0].key.part();
            let part = part.map_or_else(String::new, |name| format!(" {name}"));
            let transition = transition(group[0].base.as_ref(), group[0].new.as_ref());
            match &group[0].key {
                // Told under the fact itself.
                RowKey::Fact { id } if group[0].facts.contains(id) => transition,
                _ => format!("{}{part}: {transition}", subjects.join(", ")),
            }
        })
        .collect()
}

/// `121 of 130 → 0 of 128 pages`, `holds → does not hold`.
pub fn transition(base: Option<&RowValue>, new: Option<&RowValue>) -> String {
    match (base, new) {
        (
            Some(RowValue::Pages { unshared, of }),
            Some(RowValue::Pages {
                unshared: then,
                of: of_then,
            }),
        ) => format!(
            "{} of {} → {} of {} pages",
            count(*unshared),
            count(*of),
            count(*then),
            count(*of_then)
        ),
        _ => format!("{} → {}", value(base), value(new)),
    }
}

/// One side of it.
pub fn value(value: Option<&RowValue>) -> String {
    match value {
        None => "–".into(),
        Some(RowValue::Pages { unshared, of }) => {
            format!("{} of {} pages", count(*unshared), count(*of))
        }
        Some(RowValue::Memory { bytes: size }) => bytes(*size),
        Some(RowValue::Claim { verdict, expected }) if verdict == expected => verdict.to_string(),
        Some(RowValue::Claim { verdict, expected }) => {
            format!("{verdict} (expected: {expected})")
        }
        Some(RowValue::Fact {
            outcome: Outcome::AsPredicted,
            found: Some(found),
        }) => found.clone(),
        Some(RowValue::Fact { outcome, .. }) => outcome.to_string(),
    }
}

fn line(style: Style, depth: usize, words: &str) -> String {
    match style {
        Style::Terminal { width, .. } => {
            let indent = "  ".repeat(depth);
            wrapped(words, width.unwrap_or(READABLE), &indent)
        }
        Style::Markdown if depth == 0 => format!("{}\n", escaped(words)),
        Style::Markdown => format!("{}- {}\n", "  ".repeat(depth - 1), escaped(words)),
    }
}
