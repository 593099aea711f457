//! Versions of Python side by side: what each copies, what is known of them, and what changes from
//! one to the next.

use super::block::{Block, Item};
use super::figures::DataNames;
use super::table::Table;
use crate::columns::Columns;
use crate::labels::{labels, legend};
use crate::{changes, charts, facts};
use refcow_model::claims::Claims;
use refcow_model::numbers::share;
use refcow_model::{Child, Report};

/// All of it.
pub(super) fn section(report: &Report, charts: Vec<Block>) -> Vec<Block> {
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

/// The part of the data that a child copied, a row a visit, a column an interpreter; `None` where
/// none is known.
fn heat(report: &Report) -> Option<Table> {
    let names = DataNames::of(report.runs.iter().flat_map(|run| &run.measurements));
    let mut shares: Vec<Vec<Option<f64>>> = Vec::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for dataset in report.copied_by_run() {
        rows.push(vec![String::new(); 2 + report.runs.len()]);
        for (index, visit) in dataset.iter().enumerate() {
            let data = match index {
                0 => names.name(visit.first),
                _ => String::new(),
            };
            let children = visit.children.iter();
            let of_row: Vec<_> = children
                .map(|child| child.and_then(Child::copied_share))
                .collect();
            let cells = of_row
                .iter()
                .map(|part| part.map_or_else(|| "–".to_owned(), share));
            let head = [data, visit.first.visit.clone()];
            rows.push(head.into_iter().chain(cells).collect());
            shares.push(of_row);
        }
    }
    shares.iter().flatten().flatten().next()?;
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

/// The colour of a part, of as many steps as the pictures have; none of nothing.
fn heat_of(part: f64) -> Option<&'static str> {
    const STEPS: [&str; 5] = ["heat1", "heat2", "heat3", "heat4", "heat5"];
    let step = charts::heat(part).checked_sub(1)?;
    STEPS.get(step).copied()
}
