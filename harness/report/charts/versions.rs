//! Interpreters side by side: how many pages of the data each visit copied with each.

use super::sketch::{Anchor, HEADING, MARGIN, Sketch, TEXT, WIDTH, clean, fit, width};
use super::{Charts, Kind, head, listed, theme};
use crate::model::{CopiedByRun, Report};
use crate::numbers::count;
use crate::report::Error;
use crate::report::grid::made_of;
use crate::report::labels;

/// Interpreters of one chart.
const COLUMNS: usize = 9;
/// Rows of a report before those are left out of which no interpreter copied anything.
const MANY: usize = 40;
/// Charts of a report.
const MOST: usize = 12;
/// A chart is not higher.
const HIGHEST: i32 = 1_200;
/// What the head of a chart takes of it, at most.
const HEAD: i32 = 180;
/// Rows of one dataset in one chart.
const ROWS: usize = 48;
/// Between datasets.
const GAP: i32 = 6;
/// Pixels from one row to the next.
const ROW: i32 = 20;
/// The room of a visit's name.
const NAMES: i32 = 130;
/// The widest cell.
const CELL: i32 = 72;

/// Rows of one dataset, below what it is.
struct Block<'a> {
    name: String,
    made_of: String,
    rows: Vec<&'a CopiedByRun<'a>>,
}

/// A table of colours for each few interpreters; more where there are many rows.
pub fn draw(report: &Report, charts: &mut Charts) -> Result<(), Error> {
    if report.runs.len() < 2 {
        return Ok(());
    }
    let all = report.copied_by_run();
    let worth_it = |row: &CopiedByRun| row.first.visit != "idle";
    let rows = || all.iter().flatten().filter(|row| worth_it(row));
    let many = rows().count() > MANY;
    let is_shown = |row: &CopiedByRun| worth_it(row) && !(many && is_zero(row));
    let left_out = rows().filter(|row| !is_shown(row)).count();
    let blocks: Vec<Block> = all
        .iter()
        .map(|dataset| {
            let first = dataset[0].first;
            Block {
                name: first.data(),
                made_of: match made_of(first) {
                    Some(made_of) => format!("{made_of}, shared by {}", first.sharing),
                    None => format!("shared by {}", first.sharing),
                },
                rows: dataset.iter().filter(|row| is_shown(row)).collect(),
            }
        })
        .filter(|block| !block.rows.is_empty())
        .collect();
    let labels = labels(report);
    let places: Vec<usize> = (0..labels.len()).collect();
    let parts = parts(blocks);
    let all: Vec<_> = places
        .chunks(COLUMNS)
        .flat_map(|columns| parts.iter().map(move |part| (columns, part)))
        .collect();
    let shown = &all[..all.len().min(MOST)];
    for (index, (columns, part)) in shown.iter().enumerate() {
        let mut notes = Vec::new();
        if left_out > 0 {
            let visits = count(left_out as u64);
            notes.push(format!(
                "Visits left out, as no interpreter copied a page of theirs: {visits}."
            ));
        }
        if index + 1 == shown.len() && all.len() > shown.len() {
            let more = count((all.len() - shown.len()) as u64);
            notes.push(format!("More charts of this kind, left out: {more}."));
        }
        chart(part, &labels, columns, notes, charts)?;
    }
    Ok(())
}

/// Whether every interpreter says that nothing was copied.
fn is_zero(row: &CopiedByRun) -> bool {
    row.pages().all(|pages| pages == Some(0))
}

/// Blocks in as many charts as it takes.
fn parts(blocks: Vec<Block>) -> Vec<Vec<Block>> {
    let mut parts: Vec<Vec<Block>> = Vec::new();
    let mut free = 0;
    for block in blocks {
        for rows in block.rows.chunks(ROWS) {
            let needed = ROW * (1 + i32::try_from(rows.len()).unwrap_or(0)) + GAP;
            if needed > free {
                parts.push(Vec::new());
                free = HIGHEST - HEAD;
            }
            free -= needed;
            if let Some(part) = parts.last_mut() {
                part.push(Block {
                    name: block.name.clone(),
                    made_of: block.made_of.clone(),
                    rows: rows.to_vec(),
                });
            }
        }
    }
    parts
}

fn chart(
    blocks: &[Block],
    labels: &[String],
    columns: &[usize],
    more: Vec<String>,
    charts: &mut Charts,
) -> Result<(), Error> {
    let mut notes = vec![
        "by the child with the most, the rest of the process not counted; the stronger the colour, the more of the row's largest figure"
            .to_owned(),
    ];
    notes.extend(more);
    let title = "Pages of the data that a child copied, by interpreter".to_owned();
    let alt = alt(&title, blocks, labels, columns, &notes[1..]);
    charts.add(Kind::Versions, "versions", title, alt, |title, alt| {
        let mut sketch = Sketch::default();
        let mut top = head(&mut sketch, title, &notes);
        let names = blocks.iter().flat_map(|block| &block.rows);
        let names = names.map(|row| width(&fit(&row.first.visit, NAMES, TEXT), TEXT));
        let left = MARGIN + 10 + names.max().unwrap_or(0) + 10;
        let number = i32::try_from(columns.len()).unwrap_or(1).max(1);
        let cell = ((WIDTH - MARGIN - left) / number).min(CELL);
        let middles: Vec<i32> = (0..number)
            .map(|index| left + index * cell + cell / 2)
            .collect();

        let heads: Vec<Vec<String>> = columns
            .iter()
            .map(|column| {
                let words = words(&labels[*column], cell - 4);
                words
                    .iter()
                    .take(2)
                    .map(|word| fit(word, cell - 4, HEADING))
                    .collect()
            })
            .collect();
        for (middle, words) in middles.iter().zip(&heads) {
            for (line, word) in (0..).zip(words) {
                let at = (*middle, top + 8 + 15 * line);
                sketch.text(at, word, HEADING, Anchor::Middle, theme::INK);
            }
        }
        top += 15 * i32::try_from(heads.iter().map(Vec::len).max().unwrap_or(1)).unwrap_or(1) + 6;

        for block in blocks {
            let room = WIDTH - 2 * MARGIN;
            let name = fit(&block.name, room, HEADING);
            let beside = MARGIN + width(&name, HEADING) + 8;
            sketch.text((MARGIN, top + 10), name, HEADING, Anchor::Start, theme::INK);
            if WIDTH - MARGIN - beside > 60 {
                let made_of = fit(&block.made_of, WIDTH - MARGIN - beside, TEXT);
                sketch.text(
                    (beside, top + 10),
                    made_of,
                    TEXT,
                    Anchor::Start,
                    theme::MUTED,
                );
            }
            top += ROW;
            // Neighbours of one colour are one shape, if no text is drawn between them.
            let mut figures = Vec::new();
            for row in &block.rows {
                let name = fit(&row.first.visit, NAMES, TEXT);
                let middle_of_row = top + ROW / 2;
                let at = (MARGIN + 10, middle_of_row);
                figures.push((at, name, Anchor::Start, theme::INK));
                let pages: Vec<_> = row.pages().collect();
                let largest = pages.iter().flatten().copied().max().unwrap_or(0);
                for (column, middle) in columns.iter().zip(&middles) {
                    let (figure, ink) = match pages[*column] {
                        Some(pages) => {
                            let (colour, ink) = theme::HEAT[step(pages, largest)];
                            sketch.area(middle - cell / 2, top, cell - 1, ROW - 1, colour);
                            (fit(&count(pages), cell - 3, TEXT), ink)
                        }
                        None => ("–".to_owned(), theme::MUTED),
                    };
                    figures.push(((*middle, middle_of_row), figure, Anchor::Middle, ink));
                }
                top += ROW;
            }
            for (at, figure, anchor, ink) in figures {
                sketch.text(at, figure, TEXT, anchor, ink);
            }
            top += GAP;
        }
        sketch.finish(top + MARGIN - GAP, title, alt)
    })
}

/// Which colour of [`theme::HEAT`]: the first for none, else by the fifth of the row's largest figure.
fn step(pages: u64, largest: u64) -> usize {
    let last = theme::HEAT.len() - 1;
    let part = pages as f64 / largest.max(1) as f64;
    ((part * last as f64).ceil() as usize).min(last)
}

/// A version in lines: what follows a space, and of a long one the stage, stands below.
fn words(label: &str, room: i32) -> Vec<String> {
    let mut words = Vec::new();
    for word in label.split(' ') {
        let stage = word.find(|letter: char| letter.is_ascii_alphabetic());
        match stage {
            Some(stage) if stage > 0 && width(&fit(word, 2 * room, HEADING), HEADING) > room => {
                words.extend([word[..stage].to_owned(), word[stage..].to_owned()]);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

fn alt(
    title: &str,
    blocks: &[Block],
    labels: &[String],
    columns: &[usize],
    notes: &[String],
) -> String {
    let names: Vec<&str> = columns.iter().map(|column| &labels[*column][..]).collect();
    let mut rows = Vec::new();
    for block in blocks {
        for row in &block.rows {
            let pages: Vec<_> = row.pages().collect();
            let figures = columns.iter().map(|column| pages[*column]);
            let figures = figures.map(|pages| pages.map_or_else(|| "not measured".into(), count));
            let figures: Vec<String> = figures.collect();
            // What is the same everywhere is said once.
            let figures = match figures.windows(2).all(|pair| pair[0] == pair[1]) {
                true => figures.first().cloned().unwrap_or_default(),
                false => figures.join(", "),
            };
            let visit = clean(&row.first.visit);
            rows.push(format!(
                "{visit} of {}: {figures}",
                clean(&row.first.data())
            ));
        }
    }
    let names = names
        .iter()
        .map(|name| clean(name))
        .collect::<Vec<_>>()
        .join(", ");
    let notes = notes
        .iter()
        .map(|note| format!(" {note}"))
        .collect::<String>();
    format!("{title}, CPython {names}. {}.{notes}", listed(rows))
}
