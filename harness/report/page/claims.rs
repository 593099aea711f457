//! The statements of the article: what came of each, and what that follows from.

use super::block::{
    Block, ClaimEntry, Item, StatementFinding, VerdictGroup, VerdictMark, Verdicts,
};
use super::table::Table;
use crate::claims::{ARTICLE, REGIONS, applied, shown};
use crate::columns::Columns;
use crate::labels::{labels, ranges};
use refcow_model::claims::{Claims, Statement};
use refcow_model::{Claim, Report, StatementInRuns, Verdict};

/// All statements; nothing where no run has any.
pub(super) fn section(report: &Report) -> Vec<Block> {
    let statements = report.statements();
    if statements.is_empty() {
        return Vec::new();
    }
    let labels = labels(report);
    let groups = refcow_model::by_verdict(&statements).into_iter();
    let groups = groups.map(|(verdict, statements)| VerdictGroup {
        title: match verdict {
            Some(Verdict::Holds) => "Holds",
            Some(Verdict::HoldsWithLimits) => "Holds with limits",
            Some(Verdict::DoesNotHold) => "Does not hold",
            Some(Verdict::NotTestableHere) => "Not testable here",
            None => "Depends on the version of Python",
        }
        .to_owned(),
        number: refcow_model::numbers::count(statements.len() as u64),
        claims: statements
            .into_iter()
            .filter_map(|statement| told(statement, &labels))
            .collect(),
    });
    let figures = match &labels[..] {
        [.., last] if labels.len() > 1 => {
            format!(
                " Where several interpreters agree, the figures are those of CPython {last}; the evidence has all."
            )
        }
        _ => String::new(),
    };
    let mut blocks = vec![Block::text(format!(
        "The article is “{ARTICLE}”. Each statement opens to its evidence.{figures} {REGIONS}"
    ))];
    blocks.push(Block::Verdicts(Verdicts {
        groups: groups.collect(),
    }));
    if report.runs.len() > 1 {
        let table = side_by_side(&statements, &labels).under_its_name();
        let title = table.caption.clone();
        blocks.push(Block::fold(title, false, vec![Block::Table(table)]));
    }
    blocks
}

fn told(statement: &StatementInRuns<'_>, labels: &[String]) -> Option<ClaimEntry> {
    let newest = statement.newest()?;
    let verdicts = statement.by_verdict();
    let found = verdicts.iter().map(|(_, places)| {
        // The newest of these speaks for them.
        let last = *places.last()?;
        let claim = statement.claims[last]?;
        Some(StatementFinding {
            with: (verdicts.len() > 1).then(|| ranges(places, labels)),
            verdict: VerdictMark::of(claim.verdict),
            expected: (claim.verdict != claim.expected).then(|| claim.expected.to_string()),
            because: claim
                .decided_by
                .clone()
                .or_else(|| claim.not_testable_because.clone()),
            limit: claim.limit.clone(),
        })
    });
    Some(ClaimEntry {
        id: statement.id.to_owned(),
        statement: newest.statement.clone(),
        verdict: statement.verdict().map(VerdictMark::of),
        found: found.collect::<Option<_>>()?,
        evidence: evidence(statement, newest, labels),
    })
}

/// Everything that a verdict follows from.
fn evidence(statement: &StatementInRuns<'_>, newest: &Claim, labels: &[String]) -> Vec<Block> {
    // Of claims of the user's own that have the same name nothing is known here.
    let known = Claims::builtin().find(statement.id).ok();
    let known = known.filter(|known| known.statement == newest.statement);
    let mut blocks = Vec::new();
    if let Some(known) = known {
        let leaves_out: Vec<_> = known.leaves_out.split_whitespace().collect();
        blocks.push(Block::text(format!(
            "What the article leaves out: {}",
            leaves_out.join(" ")
        )));
    }
    blocks.push(Block::Table(figures(statement, known, labels)));
    if let Some(known) = known {
        let rules = known.rules.iter().enumerate().map(|(number, rule)| {
            let places = applied(known, &statement.claims, number);
            let under = match (places.len(), labels.len()) {
                (0, _) => Vec::new(),
                (some, all) if some == all => vec!["This one applied.".to_owned()],
                _ => {
                    let with = ranges(&places, labels);
                    vec![format!("This one applied with CPython {with}.")]
                }
            };
            Item {
                code: (rule.when != "true").then(|| rule.when.clone()),
                under,
                ..Item::of(match &rule.when[..] {
                    "true" => format!("{} otherwise", rule.verdict),
                    _ => format!("{} if", rule.verdict),
                })
            }
        });
        blocks.push(Block::text(
            "The verdict is that of the first rule that applies:",
        ));
        blocks.push(Block::List {
            items: rules.collect(),
        });
    }
    blocks.push(Block::note(format!(
        "{}: evidence {}.",
        statement.id,
        newest.evidence.join(", ")
    )));
    blocks
}

/// The figures, a column an interpreter, each with what it is.
fn figures(statement: &StatementInRuns<'_>, known: Option<&Statement>, labels: &[String]) -> Table {
    let mut names: Vec<(&str, &str)> = Vec::new();
    if let Some(known) = known {
        let rules = known.figures.iter();
        names.extend(rules.map(|rule| (&rule.name[..], &rule.means[..])));
    }
    for claim in statement.claims.iter().flatten() {
        for name in claim.figures.keys() {
            if !names.iter().any(|(known, _)| known == name) {
                names.push((name, ""));
            }
        }
    }
    let rows = names.into_iter().map(|(name, means)| {
        let cells = statement.claims.iter().map(|claim| match claim {
            None => "–".to_owned(),
            Some(claim) => claim
                .figures
                .get(name)
                .map_or_else(|| "absent".to_owned(), shown),
        });
        [name.to_owned(), means.to_owned()]
            .into_iter()
            .chain(cells)
            .collect()
    });
    let several = labels.len() > 1;
    let head = ["figure".to_owned(), "what it is".to_owned()];
    let last = match several {
        true => labels.to_vec(),
        false => vec!["measured".to_owned()],
    };
    let header: Vec<String> = head.into_iter().chain(last).collect();
    let mut table = Table::of(
        format!("Figures of {}", statement.id),
        Columns {
            numbers: 2..header.len(),
            header,
            rows: rows.collect(),
            leading: 1,
        },
    );
    for row in table.rows_mut() {
        row.cells[0].classes.push("prose");
    }
    table
}

/// A word for each statement and interpreter.
fn side_by_side(statements: &[StatementInRuns<'_>], labels: &[String]) -> Table {
    let words = |claim: &Option<&Claim>| match claim {
        None => "not asked".to_owned(),
        Some(claim) => {
            let mark = VerdictMark::of(claim.verdict);
            let expected = match claim.verdict == claim.expected {
                true => String::new(),
                false => format!(" (expected: {})", claim.expected),
            };
            format!("{} {}{expected}", mark.sign, mark.word)
        }
    };
    let rows = statements.iter().map(|statement| {
        let cells = statement.claims.iter().map(words);
        std::iter::once(statement.id.to_owned())
            .chain(cells)
            .collect()
    });
    let header = std::iter::once("statement".to_owned()).chain(labels.iter().cloned());
    let mut table = Table::of(
        "Verdicts with each interpreter",
        Columns {
            header: header.collect(),
            rows: rows.collect(),
            leading: 1,
            numbers: 0..0,
        },
    );
    for (row, statement) in table.rows_mut().zip(statements) {
        for (cell, claim) in row.cells.iter_mut().zip(&statement.claims) {
            let class = claim.map(|claim| VerdictMark::of(claim.verdict).class);
            cell.classes.extend(class);
        }
    }
    table
}
