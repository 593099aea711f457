//! Interpreters side by side: how many pages of the data each visit copied with each, in the colour
//! of their part of it.

use super::chart::{ChartKind, Charts, head, listed};
use super::dataset::idle_left_out;
use super::sketch::{Anchor, MARGIN, Sketch, WIDTH};
use super::text::{HEADING, TEXT, clean, fit, width, wrap};
use super::theme;
use crate::error::Error;
use crate::grid::made_of;
use crate::labels::labels;
use refcow_model::numbers::count;
use refcow_model::{Child, CopiedByRun, Report, share_of};

/// Interpreters of one chart.
const COLUMNS: usize = 9;
/// Rows of a report before those are left out of which no interpreter copied anything.
const MANY: usize = 40;
/// Charts of a report.
const MOST: usize = 12;
/// A chart is not higher.
const HIGHEST: i32 = 1_200;
/// What the head of a chart and its legend take of it, at most.
const HEAD: i32 = 240;
/// Rows of one dataset in one chart.
const ROWS: usize = 48;
/// Between datasets.
const GAP: i32 = 6;
/// Pixels from one row to the next.
const ROW: i32 = 20;
/// A line of text.
const LINE: i32 = 15;
/// The room of a visit's name.
const NAMES: i32 = 130;
/// The widest cell.
const CELL: i32 = 72;

/// Rows of one dataset, below what it is.
struct DatasetRows<'a> {
    name: String,
    rows: Vec<&'a CopiedByRun<'a>>,
}

/// A table of colours for each few interpreters; more where there are many rows.
pub(super) fn draw(report: &Report, charts: &mut Charts) -> Result<(), Error> {
    if report.runs.len() < 2 {
        return Ok(());
    }
    let all = report.copied_by_run();
    // What does nothing is shown where there is nothing else.
    let worth_it = |dataset: &[CopiedByRun], row: &CopiedByRun| {
        row.first.visit != "idle" || dataset.iter().all(|row| row.first.visit == "idle")
    };
    let rows = || {
        let rows = all
            .iter()
            .flat_map(|dataset| dataset.iter().map(move |row| (dataset, row)));
        rows.filter(|(dataset, row)| worth_it(dataset, row))
    };
    let idle = rows().count() < all.iter().map(Vec::len).sum();
    let many = rows().count() > MANY;
    let left_out = rows().filter(|(_, row)| many && is_zero(row));
    let left_out: Vec<String> = left_out
        .map(|(_, row)| {
            format!(
                "{} of {}",
                clean(&row.first.visit),
                clean(&row.first.data())
            )
        })
        .collect();
    let is_shown = |dataset: &[CopiedByRun], row: &CopiedByRun| {
        worth_it(dataset, row) && !(many && is_zero(row))
    };
    let blocks: Vec<DatasetRows> = all
        .iter()
        .map(|dataset| {
            let first = dataset[0].first;
            let made_of = made_of(first).map_or_else(String::new, |words| format!(" ({words})"));
            DatasetRows {
                name: clean(&format!(
                    "{}{made_of}, shared by {}",
                    first.data(),
                    first.sharing
                )),
                rows: dataset
                    .iter()
                    .filter(|row| is_shown(dataset, row))
                    .collect(),
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
    let (shown, not_drawn) = all.split_at(all.len().min(MOST));
    let sizes: Vec<u64> = report
        .runs
        .iter()
        .map(|run| run.environment.page_size_bytes)
        .collect();
    for (index, (columns, part)) in shown.iter().enumerate() {
        let mut notes: Vec<String> = idle_left_out(idle).into_iter().collect();
        if !left_out.is_empty() {
            notes.push(format!(
                "not shown, as no interpreter copied a page of the data: {}",
                listed(left_out.clone())
            ));
        }
        if index + 1 == shown.len() && !not_drawn.is_empty() {
            let blocks = not_drawn.iter().flat_map(|(_, part)| part.iter());
            let mut names: Vec<String> = blocks.map(|block| clean(&block.name)).collect();
            names.dedup();
            notes.push(format!("not drawn: {}", listed(names)));
        }
        let place = (shown.len() > 1).then(|| format!(" ({} of {})", index + 1, shown.len()));
        chart(part, &labels, &sizes, columns, place, notes, charts)?;
    }
    Ok(())
}

/// Whether every interpreter says that nothing was copied.
fn is_zero(row: &CopiedByRun) -> bool {
    row.pages().all(|pages| pages == Some(0))
}

/// Blocks in as many charts as it takes.
fn parts(blocks: Vec<DatasetRows>) -> Vec<Vec<DatasetRows>> {
    let mut parts: Vec<Vec<DatasetRows>> = Vec::new();
    let mut free = 0;
    for block in blocks {
        for rows in block.rows.chunks(ROWS) {
            let heads = wrap(&block.name, WIDTH - 2 * MARGIN, HEADING).len();
            let lines = rows
                .iter()
                .map(|row| wrap(&clean(&row.first.visit), NAMES, TEXT).len());
            let lines = i32::try_from(heads + lines.sum::<usize>()).unwrap_or(0);
            let needed = ROW * lines + GAP;
            if needed > free {
                parts.push(Vec::new());
                free = HIGHEST - HEAD;
            }
            free -= needed;
            if let Some(part) = parts.last_mut() {
                part.push(DatasetRows {
                    name: block.name.clone(),
                    rows: rows.to_vec(),
                });
            }
        }
    }
    parts
}

/// The part of the data that a child copied, if there is enough of it for a part to say anything.
fn part_of(child: &Child, page_size_bytes: u64) -> Option<f64> {
    let data = child.dataset();
    share_of(data.unshared, data.pages, page_size_bytes)
}

fn chart(
    blocks: &[DatasetRows],
    labels: &[String],
    sizes: &[u64],
    columns: &[usize],
    place: Option<String>,
    more: Vec<String>,
    charts: &mut Charts,
) -> Result<(), Error> {
    let mut notes = vec![
        "by the child with the most, the rest of the process not counted; the colour is the part of the data".to_owned(),
    ];
    notes.extend(more);
    let place = place.unwrap_or_default();
    let title = format!("Pages of the data that a child copied, by interpreter{place}");
    let alt = alt(&title, blocks, labels, columns, &notes[1..]);
    charts.add(ChartKind::Versions, "versions", title, alt, |title, alt| {
        let mut sketch = Sketch::default();
        let mut top = head(&mut sketch, title, &notes);
        let names = blocks.iter().flat_map(|block| &block.rows);
        let names = names.flat_map(|row| wrap(&clean(&row.first.visit), NAMES, TEXT));
        let widest = names.map(|line| width(&line, TEXT)).max().unwrap_or(0);
        let left = MARGIN + 10 + widest + 10;
        let number = i32::try_from(columns.len()).unwrap_or(1).max(1);
        let cell = ((WIDTH - MARGIN - left) / number).min(CELL);
        let middles: Vec<i32> = (0..number)
            .map(|index| left + index * cell + cell / 2)
            .collect();

        let heads: Vec<Vec<String>> = columns
            .iter()
            .map(|column| words(&labels[*column], cell - 4))
            .collect();
        for (middle, words) in middles.iter().zip(&heads) {
            for (line, word) in (0..).zip(words) {
                let at = (*middle, top + 8 + LINE * line);
                sketch.text(at, word, HEADING, Anchor::Middle, theme::INK);
            }
        }
        top += LINE * i32::try_from(heads.iter().map(Vec::len).max().unwrap_or(1)).unwrap_or(1) + 6;

        let mut small = false;
        for block in blocks {
            for line in wrap(&block.name, WIDTH - 2 * MARGIN, HEADING) {
                sketch.text((MARGIN, top + 10), line, HEADING, Anchor::Start, theme::INK);
                top += LINE;
            }
            top += ROW - LINE;
            // Neighbours of one colour are one shape, if no text is drawn between them.
            let mut figures = Vec::new();
            for row in &block.rows {
                let name = wrap(&clean(&row.first.visit), NAMES, TEXT);
                let tall = ROW + LINE * (i32::try_from(name.len()).unwrap_or(1) - 1);
                for (line, words) in (0..).zip(name) {
                    let at = (MARGIN + 10, top + ROW / 2 + LINE * line);
                    figures.push((at, words, Anchor::Start, theme::INK));
                }
                for (column, middle) in columns.iter().zip(&middles) {
                    let (figure, ink) = match row.children[*column] {
                        Some(child) => {
                            let part = part_of(child, sizes[*column]);
                            let (colour, ink) = match part {
                                Some(part) => theme::HEAT[theme::heat(part)],
                                None => (theme::BACKGROUND, theme::INK),
                            };
                            small |= part.is_none();
                            sketch.area(middle - cell / 2, top, cell - 1, tall - 1, colour);
                            (fit(&count(child.dataset().unshared), cell - 3, TEXT), ink)
                        }
                        None => ("–".to_owned(), theme::MUTED),
                    };
                    let at = (*middle, top + ROW / 2);
                    figures.push((at, figure, Anchor::Middle, ink));
                }
                top += tall;
            }
            for (at, figure, anchor, ink) in figures {
                sketch.text(at, figure, TEXT, anchor, ink);
            }
            top += GAP;
        }
        let steps = theme::HEAT.iter().zip(theme::HEAT_WORDS);
        let mut steps: Vec<_> = steps
            .map(|((colour, _), words)| (*colour, words.to_owned()))
            .collect();
        if small {
            let words = "too little data for a part";
            steps.push((theme::BACKGROUND, words.to_owned()));
        }
        let top = sketch.legend(top + 4, &steps);
        sketch.finish(top + MARGIN - GAP, title, alt)
    })
}

/// A version in lines: what follows a space, and of a long one the stage, stands below.
fn words(label: &str, room: i32) -> Vec<String> {
    let mut words = Vec::new();
    for word in clean(label).split(' ') {
        let stage = word.find(|letter: char| letter.is_ascii_alphabetic());
        match stage {
            Some(stage) if stage > 0 && width(word, HEADING) > room => {
                words.extend(wrap(&word[..stage], room, HEADING));
                words.extend(wrap(&word[stage..], room, HEADING));
            }
            _ => words.extend(wrap(word, room, HEADING)),
        }
    }
    words
}

fn alt(
    title: &str,
    blocks: &[DatasetRows],
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
        .map(|note| format!(" {note}."))
        .collect::<String>();
    format!("{title}, CPython {names}. {}.{notes}", listed(rows))
}
