//! Verdicts: a table for all, and each claim explained in full.

use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table};

use super::beginning::{beginning, incomplete_at_first};
use super::columns::{Columns, cut};
use super::escape::markdown as escaped;
use super::labels::{labels, pythons};
use super::style::{READABLE, Style, wrapped};
use super::tally::summary_of_claims;
use super::warnings::warnings;
use super::{changes, date};
use refcow_model::claims::Statement;
use refcow_model::numbers::{bytes, count, share, time};
use refcow_model::{Claim, Figure, Report, Unit, Value, Verdict};

/// From so many columns on, what the article says and what was found stand side by side.
const WIDE: u16 = 130;
/// With fewer columns a verdict stands under its claim.
const NARROW: u16 = 60;

/// Whose statements they are.
pub(crate) const ARTICLE: &str =
    "Shared Memory in Multiprocessing: Unraveling Copy-On-Write and Reference Counting";

/// What the words of the sentences mean that are no everyday words.
pub(crate) const REGIONS: &str = "Header pages hold objects with their reference counts, spine pages a list's \
pointers to them, payload pages the content of arrays.";

/// The verdicts in one table, or, if some claims are to be explained, these one after the other. Of
/// several interpreters each has a column, and every change from one to the next is named.
pub fn render(report: &Report, explained: &[&Statement], style: Style) -> Vec<u8> {
    let mut text = match explained {
        [] => incomplete_at_first(report, style) + &first_lines(report, style),
        _ => beginning(report, style),
    };
    if explained.is_empty() {
        text += &match &report.runs[..] {
            [run] => table(&run.claims, style),
            _ => side_by_side(report, style),
        };
        text.push('\n');
        if report.runs.iter().any(|run| !run.alternatives.is_empty()) {
            text += &alternatives(report, style);
            text.push('\n');
        }
    }
    for statement in explained {
        text += &explanation(report, statement, style);
    }
    for warning in warnings(report) {
        match style {
            Style::Terminal { width, .. } => {
                text += &wrapped(
                    &format!("warning: {warning}"),
                    width.unwrap_or(READABLE),
                    "",
                );
            }
            Style::Markdown => {
                text += &format!("\n> Warning: {}\n", escaped(&warning));
            }
        }
    }
    changes::add_between_neighbours(&mut text, report, style);
    text.into_bytes()
}

/// Of what they are, how many statements hold, when that was measured, and what the words mean.
fn first_lines(report: &Report, style: Style) -> String {
    let statements = report.statements();
    let summary = summary_of_claims(&statements, &pythons(report));
    match style {
        Style::Markdown => {
            let when = date::measured(report).map_or(String::new(), |words| format!(" {words}"));
            let summary = escaped(&summary);
            format!("What holds of the article *{ARTICLE}*:\n\n**{summary}.**{when} {REGIONS}\n\n")
        }
        Style::Terminal { width, .. } => {
            let lines = [
                Some(format!("What holds of the article \"{ARTICLE}\":")),
                Some(format!("{summary}.")),
                date::measured(report),
                Some(REGIONS.to_owned()),
            ];
            let lines = lines.into_iter().flatten();
            let lines = lines.map(|line| wrapped(&line, width.unwrap_or(READABLE), ""));
            lines.chain(["\n".to_owned()]).collect()
        }
    }
}

/// The verdicts with a column an interpreter, and below them what decides each with the newest.
fn side_by_side(report: &Report, style: Style) -> String {
    let labels = labels(report);
    let mut columns = Columns {
        header: std::iter::once("claim".to_owned())
            .chain(labels.clone())
            .collect(),
        rows: Vec::new(),
        leading: 1,
        numbers: 0..0,
    };
    let mut unexpected = false;
    for found in report.statements() {
        let cells = found.claims.iter().map(|claim| match claim {
            None => String::new(),
            Some(claim) if claim.verdict == claim.expected => short(claim.verdict).to_owned(),
            Some(claim) => {
                unexpected = true;
                format!("{} !", short(claim.verdict))
            }
        });
        let row = std::iter::once(found.id.to_owned()).chain(cells);
        columns.rows.push(row.collect());
    }
    let mut legend =
        "yes: holds. limits: holds with limits. no: does not hold. –: not testable here."
            .to_owned();
    if unexpected {
        legend += " !: not as expected of this interpreter.";
    }
    let mut text = match style {
        Style::Markdown => format!("{}\n\n{legend}\n\n", columns.markdown()),
        Style::Terminal { width, .. } => {
            let table = columns.text(width);
            format!(
                "{table}{}\n",
                wrapped(&legend, width.unwrap_or(READABLE), "")
            )
        }
    };
    // The newest says in full what decides each.
    if let Some((run, label)) = report.runs.iter().zip(&labels).next_back() {
        let label = match style {
            Style::Markdown => &escaped(label),
            Style::Terminal { .. } => label,
        };
        text += &format!("With CPython {label}:\n\n");
        text += &table(&run.claims, style);
    }
    text
}

fn short(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "yes",
        Verdict::HoldsWithLimits => "limits",
        Verdict::DoesNotHold => "no",
        Verdict::NotTestableHere => "–",
    }
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
    let (wide, narrow) = (width >= WIDE, width < NARROW);
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
            let said = Cell::new(format!("{}\n{found}", claim.statement));
            match narrow {
                true => {
                    let words = format!("{}\n{}", claim.id, verdict(claim));
                    vec![coloured(words.replace(" (expected", "\n(expected")), said]
                }
                false => vec![Cell::new(&claim.id), coloured(in_few_columns(claim)), said],
            }
        });
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding(if index == 0 { (0, 0) } else { (2, 0) });
        if index == 0 || !narrow && index == 1 {
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
            [&claim.id, &verdict(claim), &claim.statement, &found].map(|text| escaped(&cut(text))),
        );
    }
    format!("{table}\n")
}

fn verdict(claim: &Claim) -> String {
    match claim.verdict == claim.expected {
        true => claim.verdict.to_string(),
        false => format!("{} (expected: {})", claim.verdict, claim.expected),
    }
}

/// The same in lines of one or two words.
fn in_few_columns(claim: &Claim) -> String {
    let words = verdict(claim);
    let breaks = [
        ("holds with ", "holds with\n"),
        ("does not ", "does not\n"),
        ("not testable ", "not testable\n"),
        (" (expected: ", "\n(expected:\n"),
    ];
    breaks
        .into_iter()
        .fold(words, |words, (from, to)| words.replace(from, to))
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
fn explanation(report: &Report, statement: &Statement, style: Style) -> String {
    let mut text = String::new();
    let width = match style {
        Style::Terminal { width, .. } => width,
        Style::Markdown => None,
    };
    let mut say = |words: &str, indent: &str| match style {
        Style::Terminal { .. } => text += &wrapped(words, width.unwrap_or(READABLE), indent),
        Style::Markdown => text += &format!("{words}\n"),
    };
    // What a document says.
    let said = |words: &str| match style {
        Style::Terminal { .. } => words.to_owned(),
        Style::Markdown => escaped(words),
    };
    let heading = |words: &str| match style {
        Style::Terminal { .. } => words.to_owned(),
        Style::Markdown => format!("\n**{words}**\n"),
    };
    let all = report.statements();
    let Some(found_of_runs) = all.iter().find(|one| one.id == statement.id) else {
        return text;
    };
    let claims = &found_of_runs.claims;
    let labels = labels(report);
    let Some(first) = claims.iter().flatten().next() else {
        return text;
    };
    // Verdicts with the interpreters that gave them, those that came to the same together.
    let verdicts = found_of_runs.by_verdict().into_iter();
    let verdicts: Vec<(&Claim, Vec<&str>)> = verdicts
        .map(|(claim, places)| {
            let of = places.into_iter().map(|place| &labels[place][..]);
            (claim, of.collect())
        })
        .collect();
    let title = match &verdicts[..] {
        [(claim, _)] => format!("{}: {}", statement.id, claim.verdict),
        several => {
            let parts = several
                .iter()
                .map(|(claim, labels)| format!("{} ({})", claim.verdict, labels.join(", ")));
            format!("{}: {}", statement.id, parts.collect::<Vec<_>>().join("; "))
        }
    };
    match style {
        Style::Terminal { .. } => say(&title, ""),
        Style::Markdown => say(&format!("## {}\n", said(&title)), ""),
    }
    say(&said(&first.statement), "  ");
    say("", "");
    for (claim, labels) in &verdicts {
        if verdicts.len() > 1 {
            say(&said(&format!("{}:", labels.join(", "))), "  ");
        }
        for words in found(claim) {
            say(&said(&words), "  ");
        }
        if claim.verdict != claim.expected {
            say(&format!("Expected: {}.", claim.expected), "  ");
        }
    }
    say("", "");
    say(
        &heading(&said(&format!(
            "Measured, with CPython {}",
            labels.join(", ")
        ))),
        "",
    );
    let value = |claim: &Option<&Claim>, name: &str| match claim {
        None => String::new(),
        Some(claim) => claim
            .figures
            .get(name)
            .map_or_else(|| "absent".to_owned(), shown),
    };
    if let [only] = &claims[..] {
        let mut figures = Table::new();
        for rule in &statement.figures {
            figures.add_row(
                [&rule.name, &value(only, &rule.name), &rule.means].map(|cell| said(&cut(cell))),
            );
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
        for line in figures.lines() {
            match style {
                Style::Terminal { .. } => say(line.trim_end(), ""),
                Style::Markdown => say(&line, ""),
            }
        }
    } else {
        let columns = Columns {
            header: std::iter::once("figure".to_owned())
                .chain(labels.clone())
                .collect(),
            rows: statement
                .figures
                .iter()
                .map(|rule| {
                    let cells = claims.iter().map(|claim| value(claim, &rule.name));
                    std::iter::once(rule.name.clone()).chain(cells).collect()
                })
                .collect(),
            leading: 1,
            numbers: 1..labels.len() + 1,
        };
        let table = match style {
            Style::Markdown => columns.markdown(),
            Style::Terminal { width, .. } => columns.text(width),
        };
        for line in table.lines() {
            say(line, "");
        }
        if style == Style::Markdown {
            say("", "");
        }
        for rule in &statement.figures {
            let words = format!("{}: {}", rule.name, rule.means);
            match style {
                Style::Markdown => say(&format!("- {}", said(&words)), ""),
                Style::Terminal { .. } => say(&words, "  "),
            }
        }
    }
    say("", "");
    say(&heading("The rule: the first that applies (→)"), "");
    for (number, rule) in statement.rules.iter().enumerate() {
        let applied = applied(statement, claims, number);
        let (mark, with) = match (applied.len(), labels.len()) {
            (0, _) => ("  ", String::new()),
            (some, all) if some == all => ("→ ", String::new()),
            _ => {
                let of = applied.iter().map(|place| &labels[*place][..]);
                ("→ ", format!(" ({})", of.collect::<Vec<_>>().join(", ")))
            }
        };
        let verdict = rule.verdict;
        match style {
            Style::Terminal { .. } => {
                let when = if rule.when == "true" {
                    "otherwise"
                } else {
                    &rule.when
                };
                say(&format!("{mark}{verdict}{with}: {when}"), "  ");
            }
            Style::Markdown => {
                let when = match &rule.when[..] {
                    "true" => "otherwise".to_owned(),
                    when => format!("`{when}`"),
                };
                let line = format!("{}{verdict}{}: {when}", mark.trim_start(), said(&with));
                say(&format!("1. {line}"), "");
            }
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
    let evidence = format!("Evidence: {}.", first.evidence.join(", "));
    say(&said(&evidence), "");
    say("", "");
    text
}

/// The places of the runs whose verdict came of the rule of this number. None where the verdict
/// follows from other rules than these.
pub(crate) fn applied(
    statement: &Statement,
    claims: &[Option<&Claim>],
    number: usize,
) -> Vec<usize> {
    let rule_of = |claim: &Claim| {
        let judged = statement.judge(&claim.figures).ok()?;
        judged.rule.filter(|_| judged.verdict == claim.verdict)
    };
    let applies = |claim: &Option<&Claim>| claim.and_then(rule_of) == Some(number);
    let all = claims.iter().enumerate();
    all.filter(|(_, claim)| applies(claim))
        .map(|(place, _)| place)
        .collect()
}

/// A figure with its unit.
pub(crate) fn shown(figure: &Figure) -> String {
    match (&figure.value, figure.unit) {
        (Value::Truth(true), _) => "yes".into(),
        (Value::Truth(false), _) => "no".into(),
        (Value::Text(text), _) => text.clone(),
        (Value::Count(number), Unit::Share) => share(*number as f64),
        (Value::Count(number), unit) => match (u64::try_from(*number), unit) {
            (Ok(number), Unit::Bytes) => bytes(number),
            (Ok(number), _) => count(number),
            (Err(_), _) => refcow_model::numbers::signed(*number),
        },
        (Value::Number(number), Unit::Share) => share(*number),
        (Value::Number(number), Unit::Seconds) => time(*number),
        (Value::Number(number), _) => format!("{number:.2}"),
    }
}
