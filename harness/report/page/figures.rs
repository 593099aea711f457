//! What was measured: pages, ways of sharing, memory, remedies.

use std::collections::HashMap;

use super::block::Block;
use super::table::Table;
use crate::charts::Chart;
use crate::columns::Columns;
use crate::labels::labels;
use crate::{advice as told, alternatives as ways, grid, own_data, why};
use refcow_model::numbers::{bytes, signed, spread};
use refcow_model::remedies::remedy;
use refcow_model::{Measurement, Report, Run, datasets};

/// Pictures of one kind that are shown at first.
const OPEN: usize = 4;

/// Pictures of one kind: the first ones beside each other, the others when they are asked for.
pub(crate) fn pictures(charts: &[&Chart]) -> Vec<Block> {
    let (first, others) = charts.split_at(charts.len().min(OPEN));
    let mut blocks = Vec::new();
    if !first.is_empty() {
        blocks.push(Block::Pictures {
            blocks: first.iter().map(|chart| Block::chart(chart)).collect(),
        });
    }
    let others = others.iter();
    blocks.extend(others.map(|chart| Block::fold(&chart.title, false, vec![Block::chart(chart)])));
    blocks
}

/// The pictures of pages.
pub(super) fn maps(pictures: Vec<Block>) -> Vec<Block> {
    if pictures.is_empty() {
        return pictures;
    }
    let text = "The bar above shows all of the data to scale. Below it, each small square is one page of a \
    region, or several neighbouring ones, in the order of their addresses. It is filled by the part that the \
    child has for itself after the visit. The colour shows what was written there first, and whether the copy \
    still equals the original.";
    let mut blocks = vec![Block::text(text)];
    blocks.extend(pictures);
    blocks
}

/// Ways to hand data to children, and how what they copied is drawn.
pub(super) fn alternatives(report: &Report, charts: Vec<Block>) -> Vec<Block> {
    let mut blocks = charts;
    let Some(title) = ways::title(report) else {
        return blocks;
    };
    blocks.push(Block::text(format!("{title}:")));
    for part in ways::all(report) {
        blocks.push(match part.first {
            true => Block::Table(Table::of(part.title, part.columns)),
            false => Block::folded_table(part.title, part.columns),
        });
    }
    blocks.extend(ways::notes(report).into_iter().map(Block::note));
    blocks
}

/// The user's own data with workers.
pub(super) fn own_data(report: &Report, charts: Vec<Block>) -> Vec<Block> {
    let mut blocks = charts;
    for (run, label) in report.runs.iter().zip(labels(report)) {
        for data in &run.own_data {
            blocks.push(Block::text(format!("{}:", own_data::title(data, &label))));
            for part in own_data::all(data, run.environment.page_size_bytes) {
                blocks.push(Block::Table(Table::of(part.title, part.columns)));
            }
            blocks.extend(own_data::notes(data, run).into_iter().map(Block::note));
        }
    }
    blocks
}

/// Memory of all processes of a measurement together, by how many children had visited the data.
pub(super) fn tree(report: &Report, charts: Vec<Block>) -> Vec<Block> {
    let mut blocks = charts;
    let labels = labels(report);
    let several = labels.len() > 1;
    let mut tables: Vec<Block> = Vec::new();
    for (run, label) in report.runs.iter().zip(&labels) {
        let Some(columns) = tree_columns(run) else {
            continue;
        };
        let caption = format!("PSS of parent, witness and children of CPython {label}");
        tables.push(match several {
            true => Block::folded_table(caption, columns),
            false => Block::Table(Table::of(caption, columns)),
        });
    }
    if !tables.is_empty() {
        blocks.push(Block::text(
            "All processes together, with each page's bytes divided among those that share it, so that copies add \
             to the sum. Pages of libraries are divided among all programs that have them, so the sums of two \
             runs can differ by some MiB.",
        ));
    }
    blocks.append(&mut tables);
    blocks
}

fn tree_columns(run: &Run) -> Option<Columns> {
    let known = |one: &&Measurement| {
        one.tree.pss_bytes_before.is_some() || one.tree.pss_bytes_after.is_some()
    };
    let measured = || run.measurements.iter().filter(known);
    let most = measured()
        .map(|one| one.tree.pss_bytes_after_each.len())
        .max()?;
    let after = |number: usize| match number {
        1 => "1 child".to_owned(),
        number => format!("{number} children"),
    };
    let mut header = vec![
        "data".to_owned(),
        "visited by".to_owned(),
        "no child yet".to_owned(),
    ];
    header.extend((1..most).map(after));
    header.push("all children".into());
    let mut rows = Vec::new();
    let all: Vec<&Measurement> = measured().collect();
    let names = DataNames::of(run.measurements.iter());
    for group in all.chunk_by(|one, next| one.has_data_of(next)) {
        for (index, one) in group.iter().enumerate() {
            let each = &one.tree.pss_bytes_after_each;
            let data = if index == 0 {
                names.name(one)
            } else {
                String::new()
            };
            let mut row = vec![
                data,
                one.visit.clone(),
                known_bytes(one.tree.pss_bytes_before),
            ];
            // The last of them is that of all children.
            let last = each.len().saturating_sub(1);
            row.extend((1..most).map(|number| match each[..last].get(number - 1) {
                Some(sum) => known_bytes(Some(*sum)),
                None => String::new(),
            }));
            row.push(known_bytes(one.tree.pss_bytes_after));
            rows.push(row);
        }
    }
    Some(Columns {
        numbers: 2..header.len(),
        header,
        rows,
        leading: 2,
    })
}

/// Names of datasets, each with what it was made of where another has the same name.
pub(super) struct DataNames<'a>(HashMap<(String, &'a str), usize>);

impl<'a> DataNames<'a> {
    /// Of all datasets of these measurements.
    pub(super) fn of(all: impl Iterator<Item = &'a Measurement>) -> Self {
        let mut number = HashMap::new();
        for dataset in datasets(all) {
            *number.entry(Self::key(dataset[0])).or_default() += 1;
        }
        Self(number)
    }

    fn key(one: &Measurement) -> (String, &str) {
        (one.data(), &one.sharing)
    }

    /// The name of one of them.
    pub(super) fn name(&self, one: &'a Measurement) -> String {
        let another = self
            .0
            .get(&Self::key(one))
            .is_some_and(|number| *number > 1);
        match grid::made_of(one).filter(|_| another) {
            Some(words) => format!("{} ({words})", one.data()),
            None => one.data(),
        }
    }
}

/// What could be done about what is copied.
pub(super) fn advice(report: &Report) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut helping: Vec<(&str, Vec<Block>)> = Vec::new();
    for (run, label) in report.runs.iter().zip(labels(report)) {
        for advice in &run.advice {
            let Some(as_it_is) = advice.measurement(&run.measurements, None) else {
                continue;
            };
            let head = told::head(advice, as_it_is, &label);
            blocks.push(Block::heading(&head));
            blocks.push(Block::text(&advice.finding));
            let measured = advice
                .remedies
                .iter()
                .filter(|one| one.saved_bytes.is_some());
            if measured.clone().next().is_some() {
                let columns = told::columns(run, advice, as_it_is, measured);
                blocks.push(Block::Table(Table::of(head, columns).under_its_name()));
            }
        }
        let not_measured = told::not_measured(run).into_iter();
        let not_measured = not_measured
            .map(|(reason, titles)| format!("Not measured: {}: {reason}.", titles.join(", ")));
        let all: Vec<_> = not_measured.chain(told::nothing_returned(run)).collect();
        if !all.is_empty() {
            blocks.push(Block::list(all));
        }
        for (name, visits) in told::helping(run) {
            let code = told::code(&visits).into_iter().flat_map(|(tried, visits)| {
                let done = Block::list(told::done(tried));
                let head = format!(
                    "Code that was run for {} with CPython {label}:",
                    visits.join(", ")
                );
                let text = tried.code.join("\n");
                [done, Block::text(head), Block::Code { text }]
            });
            match helping.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.extend(code),
                None => helping.push((name, code.collect())),
            }
        }
    }
    if !helping.is_empty() {
        blocks.push(Block::note(told::legend(report)));
    }
    blocks.extend(told::recorded(report).map(Block::note));
    for (name, code) in helping {
        let Some(known) = remedy(name) else {
            continue;
        };
        let lines = told::explained(known);
        let lines = lines.map(|(what, words)| (what.to_owned(), format!("{words}.")));
        let terms = Block::Terms {
            terms: lines.to_vec(),
        };
        let blocks_of_it = std::iter::once(terms).chain(code).collect();
        blocks.push(Block::fold(&known.title, false, blocks_of_it));
    }
    blocks
}

/// Every figure, and who wrote.
pub(super) fn measurements(report: &Report) -> Vec<Block> {
    let grids = grid::grids(report).into_iter();
    let mut blocks: Vec<Block> = grids
        .map(|grid| {
            let title = format!("{} ({})", grid.title, grid.subtitle);
            Block::folded_table(title, grid.columns)
        })
        .collect();
    let several = report.runs.len() > 1;
    for (run, label) in report.runs.iter().zip(labels(report)) {
        if let Some(columns) = cross_checks(run) {
            let title = match several {
                true => format!("Cross-checks with the kernel's counters, with CPython {label}"),
                false => "Cross-checks with the kernel's counters".to_owned(),
            };
            blocks.push(Block::folded_table(title, columns));
        }
    }
    for (run, label) in report.runs.iter().zip(labels(report)) {
        let sentences = why::sentences(run);
        if sentences.is_empty() {
            continue;
        }
        let title = match several {
            true => format!("Who wrote to the copied pages, with CPython {label}"),
            false => "Who wrote to the copied pages".to_owned(),
        };
        blocks.push(Block::fold(title, false, vec![Block::list(sentences)]));
    }
    blocks
}

/// What two cruder instruments say: neither need be 0, as a fault may map in a page without copying
/// it.
fn cross_checks(run: &Run) -> Option<Columns> {
    let page_size = run.environment.page_size_bytes;
    let names = DataNames::of(run.measurements.iter());
    let mut rows = Vec::new();
    for group in run.measurements.chunk_by(Measurement::has_data_of) {
        for (index, one) in group.iter().enumerate() {
            let summary = one.summary(page_size)?;
            let data = if index == 0 {
                names.name(one)
            } else {
                String::new()
            };
            let uss = summary.uss_pages_minus_unshared.as_ref();
            rows.push(vec![
                data,
                one.visit.clone(),
                spread(&summary.faults_minus_unshared, signed),
                uss.map_or_else(|| "unknown".into(), |uss| spread(uss, signed)),
            ]);
        }
    }
    let header = [
        "data",
        "visited by",
        "page faults less copied pages",
        "growth of USS in pages less copied pages",
    ];
    (!rows.is_empty()).then(|| Columns {
        header: header.map(str::to_owned).to_vec(),
        rows,
        leading: 2,
        numbers: 2..4,
    })
}

/// A table's words for bytes that may not be known.
fn known_bytes(number: Option<u64>) -> String {
    number.map_or_else(|| "unknown".into(), bytes)
}
