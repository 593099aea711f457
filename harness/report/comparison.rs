//! A base against a new document: for a terminal, a page, and GitHub's annotations.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{ContentArrangement, Table};

use super::changes::{merged, transition, value};
use super::columns::cut;
use super::escape::markdown as escaped;
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
        Style::Markdown => format!("{}\n\n", escaped(words)),
    }
}

fn run(name: &RunName) -> String {
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
    let allowed = if runs.differs.is_empty() {
        "One machine and one build: every page counts.".to_owned()
    } else {
        format!(
            "These differ: {}. So differences of up to {} pages or {} are treated as noise, except a change from all pages to none.",
            runs.differs.join(", "),
            count(comparison.tolerance.pages),
            share(comparison.tolerance.share),
        )
    };
    match style {
        Style::Terminal { width, .. } => {
            let width = Some(width.unwrap_or(READABLE));
            say(&mut text, width, &title);
            say(&mut text, width, &allowed);
        }
        Style::Markdown => text += &format!("**{}**\n\n{allowed}\n", escaped(&title)),
    }
    text.push('\n');
    let told: Vec<&Row> = Status::ALL
        .into_iter()
        .filter(|status| *status != Status::Unchanged)
        .flat_map(|status| runs.rows.iter().filter(move |row| row.status == status))
        .collect();
    text += &match style {
        Style::Terminal { width, .. } => list(&told, width.unwrap_or(READABLE)),
        Style::Markdown if told.is_empty() => String::new(),
        Style::Markdown => table(&told),
    };
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

/// For a terminal: what came of the rows, and under it those of which it did.
fn list(rows: &[&Row], width: u16) -> String {
    let mut text = String::new();
    for status in Status::ALL {
        let of_status: Vec<&Row> = rows
            .iter()
            .copied()
            .filter(|row| row.status == status)
            .collect();
        if of_status.is_empty() {
            continue;
        }
        text += &format!("{status}\n");
        for (because, rows) in by_reason(&of_status) {
            let lines = match because {
                _ if status.is_change() || status == Status::WithinNoise => merged(&rows),
                None => regions_together(&rows),
                Some(because) => {
                    vec![format!("{because}: {}", regions_together(&rows).join("; "))]
                }
            };
            for line in lines {
                text += &wrapped(&line, width, "  ");
            }
        }
        text.push('\n');
    }
    text
}

/// Rows with the same reason together.
fn by_reason<'a>(rows: &[&'a Row]) -> Vec<(Option<&'a str>, Vec<&'a Row>)> {
    let mut groups: Vec<(Option<&str>, Vec<&Row>)> = Vec::new();
    for row in rows {
        let because = row.because.as_deref();
        match groups.iter_mut().find(|(reason, _)| *reason == because) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((because, vec![row])),
        }
    }
    groups
}

/// `ints/iterate header, spine`: what each measurement has of these rows.
fn regions_together(rows: &[&Row]) -> Vec<String> {
    let groups = rows.chunk_by(|one, other| one.key.subject() == other.key.subject());
    groups
        .map(|group| {
            let regions: Vec<_> = group.iter().filter_map(|row| row.key.part()).collect();
            let words = format!("{} {}", group[0].key.subject(), regions.join(", "));
            words.trim_end().to_owned()
        })
        .collect()
}

/// For a page.
fn table(rows: &[&Row]) -> String {
    let mut table = Table::new();
    table
        .load_style(ASCII_MARKDOWN)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["", "base", "new", "", "known as"]);
    for row in rows {
        let mut status = row.status.to_string();
        if let Some(because) = &row.because {
            status += &format!(": {because}");
        }
        let cells = [
            row.key.to_string(),
            value(row.base.as_ref()),
            value(row.new.as_ref()),
            status,
            row.facts.join(", "),
        ];
        table.add_row(cells.map(|cell| escaped(&cut(&cell))));
    }
    format!("{table}\n\n")
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
    for runs in &comparison.compared {
        let version = &runs.new.version;
        for status in Status::ALL {
            let command = match status {
                Status::Regressed => "error",
                Status::Improved | Status::ChangedAsExpected => "notice",
                Status::NotComparable | Status::OnlyInBase => "warning",
                Status::Unchanged | Status::WithinNoise | Status::OnlyInNew => continue,
            };
            let rows: Vec<&Row> = runs
                .rows
                .iter()
                .filter(|row| row.status == status)
                .collect();
            let mut messages = Vec::new();
            if status.is_change() {
                messages.extend(rows.iter().map(|row| {
                    let change = format!(
                        "{}: {}",
                        row.key,
                        transition(row.base.as_ref(), row.new.as_ref())
                    );
                    match row.facts.is_empty() {
                        true => change,
                        false => format!("{change} [{}]", row.facts.join(", ")),
                    }
                }));
            } else {
                for (because, rows) in by_reason(&rows) {
                    let what = regions_together(&rows).join("; ");
                    messages.push(match because {
                        Some(because) => format!("{because}: {what}"),
                        None => what,
                    });
                }
            }
            for message in messages {
                let message = format!("CPython {version}: {message}");
                text += &annotation(command, &format!("refcow: {status}"), &message);
            }
        }
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
