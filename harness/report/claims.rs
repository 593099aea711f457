//! Verdicts: a table for all, and each claim explained in full.

use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table};

use super::READABLE;
use super::table::wrapped;
use crate::claims::Statement;
use crate::model::{Claim, Figure, Report, Unit, Value, Verdict};
use crate::numbers::{bytes, count, share, time};

/// From so many columns on, claims stand in four columns, not in two.
const WIDE: u16 = 130;

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A terminal so many columns wide; `None` for a pipe.
    Terminal {
        /// Columns.
        width: Option<u16>,
        /// Whether verdicts are coloured.
        colours: bool,
    },
    /// A page or a pull request.
    Markdown,
}

/// The verdicts in one table, or, if some claims are to be explained, these one after the other.
pub fn render(report: &Report, explained: &[&Statement], style: Style) -> Vec<u8> {
    let mut text = String::new();
    if explained.is_empty() {
        text += &table(&report.claims, style);
        text.push('\n');
        if !report.alternatives.is_empty() {
            text += &alternatives(report, style);
            text.push('\n');
        }
    }
    for (statement, claim) in explained.iter().zip(&report.claims) {
        text += &explanation(statement, claim, style);
    }
    for warning in &report.warnings {
        match style {
            Style::Terminal { width, .. } => {
                text += &wrapped(
                    &format!("warning: {warning}"),
                    width.unwrap_or(READABLE),
                    "",
                );
            }
            Style::Markdown => text += &format!("\n> Warning: {warning}\n"),
        }
    }
    text.into_bytes()
}

fn table(claims: &[Claim], style: Style) -> String {
    let (width, colours) = match style {
        Style::Markdown => return markdown_table(claims),
        Style::Terminal { width, colours } => (width.unwrap_or(READABLE), colours),
    };
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width);
    if colours {
        table.enforce_styling();
    }
    let wide = width >= WIDE;
    if wide {
        table.set_header(["claim", "verdict", "the article says", "found"]);
    }
    for claim in claims {
        let coloured = |words: String| match colours {
            true => Cell::new(words)
                .fg(colour(claim.verdict))
                .add_attribute(Attribute::Bold),
            false => Cell::new(words),
        };
        let found = found(claim).join("\n");
        table.add_row(if wide {
            let id = Cell::new(&claim.id);
            let statement = Cell::new(&claim.statement);
            vec![id, coloured(verdict(claim)), statement, Cell::new(found)]
        } else {
            let words = format!("{}\n{}", claim.id, verdict(claim));
            let words = words.replace(" (expected", "\n(expected");
            let said = format!("{}\n{found}", claim.statement);
            vec![coloured(words), Cell::new(said)]
        });
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding(if index == 0 { (0, 0) } else { (2, 0) });
        if index == 0 || wide && index == 1 {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn alternatives(report: &Report, style: Style) -> String {
    match style {
        Style::Markdown => super::alternatives::tables_markdown(report),
        Style::Terminal { width, .. } => super::alternatives::tables(report, width),
    }
}

fn markdown_table(claims: &[Claim]) -> String {
    let mut table = Table::new();
    table
        .load_style(ASCII_MARKDOWN)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(["claim", "verdict", "the article says", "found"]);
    for claim in claims {
        let found = found(claim).join(" ");
        table.add_row(
            [&claim.id, &verdict(claim), &claim.statement, &found].map(|text| escaped(text)),
        );
    }
    format!("{table}\n")
}

/// Text that ends no cell of a Markdown table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn verdict(claim: &Claim) -> String {
    match claim.verdict == claim.expected {
        true => claim.verdict.to_string(),
        false => format!("{} (expected: {})", claim.verdict, claim.expected),
    }
}

/// The figure that decides, and the limit.
fn found(claim: &Claim) -> Vec<String> {
    let decided = claim.decided_by.as_ref().map(|words| format!("→ {words}"));
    let why = claim.not_testable_because.as_ref();
    let limit = claim.limit.as_ref().map(|words| format!("→ but {words}"));
    let why = why.map(|words| format!("→ {words}"));
    [decided, why, limit].into_iter().flatten().collect()
}

fn colour(verdict: Verdict) -> Color {
    match verdict {
        Verdict::Holds => Color::Green,
        Verdict::HoldsWithLimits => Color::Yellow,
        Verdict::DoesNotHold => Color::Red,
        Verdict::NotTestableHere => Color::Blue,
    }
}

/// One claim with everything that its verdict follows from.
fn explanation(statement: &Statement, claim: &Claim, style: Style) -> String {
    let mut text = String::new();
    let width = match style {
        Style::Terminal { width, .. } => width,
        Style::Markdown => None,
    };
    let mut say = |words: &str, indent: &str| match style {
        Style::Terminal { .. } => text += &wrapped(words, width.unwrap_or(READABLE), indent),
        Style::Markdown => text += &format!("{words}\n"),
    };
    let heading = |words: &str| match style {
        Style::Terminal { .. } => words.to_owned(),
        Style::Markdown => format!("\n**{words}**\n"),
    };
    match style {
        Style::Terminal { .. } => say(&format!("{}: {}", claim.id, claim.verdict), ""),
        Style::Markdown => say(&format!("## {}: {}\n", claim.id, claim.verdict), ""),
    }
    say(&claim.statement, "  ");
    say("", "");
    for words in found(claim) {
        say(&words, "  ");
    }
    if claim.verdict != claim.expected {
        say(&format!("Expected: {}.", claim.expected), "  ");
    }
    say("", "");
    say(
        &heading(&format!("Measured, with CPython {}", claim.python.version)),
        "",
    );
    let mut figures = Table::new();
    for rule in &statement.figures {
        let value = match claim.figures.get(&rule.name) {
            Some(figure) => shown(figure),
            None => "absent".into(),
        };
        figures.add_row([rule.name.clone(), value, rule.means.clone()]);
    }
    if style == Style::Markdown {
        figures.set_header(["figure", "value", "what it is"]);
        figures
            .load_style(ASCII_MARKDOWN)
            .set_content_arrangement(ContentArrangement::Disabled);
    } else {
        figures
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width.unwrap_or(READABLE));
        for column in figures.column_iter_mut() {
            column.set_padding((2, 0));
        }
    }
    for line in figures.to_string().lines() {
        match style {
            Style::Terminal { .. } => say(line.trim_end(), ""),
            Style::Markdown => say(line, ""),
        }
    }
    say("", "");
    say(&heading("The rule: the first that applies"), "");
    for rule in &statement.rules {
        let line = format!(
            "{}: {}",
            rule.verdict,
            if rule.when == "true" {
                "otherwise"
            } else {
                &rule.when
            }
        );
        match style {
            Style::Terminal { .. } => say(&line, "  "),
            Style::Markdown => say(&format!("1. {}", line.replace(": ", ": `") + "`"), ""),
        }
    }
    say("", "");
    say(&heading("What the article leaves out"), "");
    say(
        &statement
            .leaves_out
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
        "  ",
    );
    say("", "");
    say(&format!("Evidence: {}.", claim.evidence.join(", ")), "");
    say("", "");
    text
}

fn shown(figure: &Figure) -> String {
    match (&figure.value, figure.unit) {
        (Value::Truth(true), _) => "yes".into(),
        (Value::Truth(false), _) => "no".into(),
        (Value::Text(text), _) => text.clone(),
        (Value::Count(number), Unit::Share) => share(*number as f64),
        (Value::Count(number), unit) => match (u64::try_from(*number), unit) {
            (Ok(number), Unit::Bytes) => bytes(number),
            (Ok(number), _) => count(number),
            (Err(_), _) => crate::numbers::signed(*number),
        },
        (Value::Number(number), Unit::Share) => share(*number),
        (Value::Number(number), Unit::Seconds) => time(*number),
        (Value::Number(number), _) => format!("{number:.2}"),
    }
}
