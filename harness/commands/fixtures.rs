//! `refcow fixtures`: the datasets that refcow brings, and what a user's own file offers.

use std::fmt::Write;

use clap::Args;

use super::error::CommandError;
use crate::fixtures::{self, Fixture, FixtureError, parameters};
use crate::report;

#[derive(Debug, Args)]
pub struct FixturesArgs {
    /// Show everything about these: the effect to expect, sizes, visits, preparations [default: list all, one a line]
    #[arg(value_name = "FIXTURE")]
    names: Vec<String>,
    /// Show everything about all of them
    #[arg(long)]
    long: bool,
}

impl FixturesArgs {
    pub fn run(&self) -> Result<String, CommandError> {
        match self.names.is_empty() && !self.long {
            true => Ok(fixtures_list()),
            false => Ok(fixtures_text(&self.names)?),
        }
    }
}

/// A line for each fixture that refcow brings.
fn fixtures_list() -> String {
    let all = fixtures::builtin();
    let longest = all.iter().map(|fixture| fixture.name.chars().count()).max();
    let width = longest.unwrap_or(0);
    let mut text = String::new();
    for fixture in all {
        let _ = writeln!(text, "{:<width$}  {}", fixture.name, fixture.summary());
    }
    text += "\nrefcow fixtures NAME shows its visits, preparations and sizes, and the effect to expect; --long those of all.\n";
    text
}

fn fixtures_text(names: &[String]) -> Result<String, FixtureError> {
    let chosen = match names.is_empty() {
        true => fixtures::builtin().to_vec(),
        false => {
            let found = names.iter().map(|name| fixtures::find(name));
            found.collect::<Result<_, _>>()?
        }
    };
    let mut text = String::new();
    for (index, fixture) in chosen.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let _ = writeln!(text, "{} (by {})", fixture.name, fixture.sharing);
        let default = |value: Option<u64>| value.map_or_else(|| "–".into(), report::count);
        let needs = match fixture.modules.is_empty() {
            true => "nothing".into(),
            false => fixture.modules.join(", "),
        };
        indent(&mut text, &fixture.doc);
        if fixture.path.is_none() {
            let _ = writeln!(
                text,
                "\n  Default: --count {} --item-bytes {}. Needs: {needs}.",
                default(fixture.default_count),
                default(fixture.default_item_bytes),
            );
        } else {
            text.push('\n');
            add_parameters(&mut text, "  ", fixture);
            let _ = writeln!(text, "  Needs: {needs}.");
        }
        let _ = writeln!(text, "  Visits:");
        add_offers(&mut text, "    ", fixture, "  Preparations:");
    }
    Ok(text)
}

fn indent(text: &mut String, lines: &str) {
    for line in lines.lines() {
        let line = format!("  {line}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// What a user's own file offers.
pub fn offered(path: &str, fixture: &Fixture) -> String {
    let summary = match fixture.summary() {
        "" => "(no docstring)",
        summary => summary,
    };
    let mut text = format!("{path}: {summary}\n\n");
    add_parameters(&mut text, "", fixture);
    let _ = writeln!(text, "\nVisits ({path}:NAME or --visit NAME):");
    add_offers(&mut text, "  ", fixture, "\nPreparations (--prepare NAME):");
    text
}

/// The visits, and below these words the preparations.
fn add_offers(text: &mut String, margin: &str, fixture: &Fixture, words: &str) {
    let visits = fixture.visits.iter();
    add_entries(text, margin, visits.map(|one| (&one.name, &one.doc)));
    let _ = writeln!(text, "{words}");
    let all = fixture.preparations.iter();
    add_entries(text, margin, all.map(|one| (&one.name, &one.doc)));
}

/// Names, each with the first line of what is said of it, in columns.
fn add_entries<'a>(
    text: &mut String,
    margin: &str,
    all: impl Iterator<Item = (&'a String, &'a String)> + Clone,
) {
    let longest = all.clone().map(|(name, _)| name.chars().count()).max();
    let width = longest.unwrap_or(0).max(10);
    for (name, doc) in all {
        let first = doc.lines().next().unwrap_or_default();
        let line = format!("{margin}{name:<width$} {first}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// The parameters of a user's `build`, in columns.
fn add_parameters(text: &mut String, margin: &str, fixture: &Fixture) {
    let all = parameters::described(fixture);
    let _ = writeln!(text, "{margin}Parameters of build (--set NAME=VALUE):");
    if all.is_empty() {
        let words = match fixture.parameters {
            Some(_) => "none",
            None => "known to Python alone: it is defined in another module",
        };
        let _ = writeln!(text, "{margin}  {words}");
    }
    let width = |column: usize| {
        let cells = all.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let (names, annotations) = (width(0).max(10), width(1));
    for [name, annotation, default] in &all {
        let _ = writeln!(
            text,
            "{margin}  {name:<names$} {annotation:<annotations$} {default}"
        );
    }
}
