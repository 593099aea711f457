//! Versions of Python side by side: what each copies, what is known of them, and what changes from one to the next.

use super::figures::name_of_data;
use super::{Block, Item, Table};
use crate::claims::Claims;
use crate::model::{Measurement, Report, Run};
use crate::numbers::share;
use crate::report::columns::Columns;
use crate::report::{changes, facts, grid, labels, legend};

/// All of it.
pub fn section(report: &Report, charts: Vec<Block>) -> Vec<Block> {
    let mut blocks = charts;
    if report.runs.len() > 1 {
        blocks.extend(legend(report).into_iter().map(Block::note));
        blocks.extend(heat(report).map(Block::Table));
    }
    for fact in facts::told(report, Claims::versions()) {
        let mut of_fact = vec![
            Block::text(&fact.statement),
            Block::note(format!("{}. Source: {}", fact.since, fact.source)),
            Block::Table(Table::of(format!("Figures of {}", fact.id), fact.columns)),
        ];
        of_fact.extend(fact.notes.into_iter().map(Block::text));
        let title = format!("{}: {}", fact.id, fact.since);
        blocks.push(Block::fold(title, false, of_fact));
    }
    if report.runs.len() > 1 {
        blocks.push(Block::heading("What changes from one to the next"));
        for step in changes::between_neighbours(report) {
            let mut items: Vec<Item> = Vec::new();
            for line in step.lines {
                match items.last_mut().filter(|_| line.depth > 1) {
                    Some(above) => above.under.push(line.words),
                    None => items.push(Item::of(line.words)),
                }
            }
            let changed = items.len() > 1 || items.iter().any(|item| !item.under.is_empty());
            blocks.push(Block::fold(
                step.title,
                changed,
                vec![Block::List { items }],
            ));
        }
        blocks.push(Block::note(changes::note()));
    }
    blocks
}

/// The part of the data that a child copied, a row a visit, a column an interpreter; `None` where none is known.
fn heat(report: &Report) -> Option<Table> {
    let runs: Vec<&Run> = report.runs.iter().collect();
    let same = |one: &Measurement, other: &Measurement| {
        grid::same_data(one, other) && one.visit == other.visit
    };
    let mut visits: Vec<&Measurement> = Vec::new();
    for one in report.runs.iter().flat_map(|run| &run.measurements) {
        if !visits.iter().any(|known| same(known, one)) {
            // Beside the others of its data.
            let beside = visits.iter().rposition(|known| grid::same_data(known, one));
            visits.insert(beside.map_or(visits.len(), |place| place + 1), one);
        }
    }
    let copied = |run: &Run, visit: &Measurement| {
        let one = run.measurements.iter().find(|one| same(one, visit))?;
        let summary = one.summary(run.environment.page_size_bytes)?;
        summary.copied_share.map(|share| *share.end())
    };
    let shares: Vec<Vec<Option<f64>>> = visits
        .iter()
        .map(|visit| runs.iter().map(|run| copied(run, visit)).collect())
        .collect();
    shares.iter().flatten().flatten().next()?;
    let mut last: Option<&Measurement> = None;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (visit, shares) in visits.iter().zip(&shares) {
        let data = match last.is_some_and(|last| grid::same_data(last, visit)) {
            true => String::new(),
            false => {
                rows.push(vec![String::new(); 2 + runs.len()]);
                name_of_data(&runs, visit)
            }
        };
        last = Some(visit);
        let cells = shares
            .iter()
            .map(|part| part.map_or_else(|| "–".to_owned(), share));
        rows.push(
            [data, visit.visit.clone()]
                .into_iter()
                .chain(cells)
                .collect(),
        );
    }
    let head = ["data".to_owned(), "visit".to_owned()];
    let header: Vec<String> = head.into_iter().chain(labels(report)).collect();
    let mut table = Table::of(
        "Part of the data that a child copied, the child with the most",
        Columns {
            numbers: 2..header.len(),
            header,
            rows,
            leading: 2,
        },
    );
    for (row, shares) in table.rows_mut().zip(&shares) {
        for (cell, part) in row.cells.iter_mut().zip(shares) {
            cell.classes.extend(part.and_then(heat_of));
        }
    }
    Some(table)
}

/// The colour of a part; none of nothing.
fn heat_of(part: f64) -> Option<&'static str> {
    match part {
        ..=0.0 => None,
        ..0.01 => Some("heat1"),
        ..0.1 => Some("heat2"),
        ..0.5 => Some("heat3"),
        ..0.9 => Some("heat4"),
        _ => Some("heat5"),
    }
}
