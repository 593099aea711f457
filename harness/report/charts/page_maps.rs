//! What became of a dataset's pages: before, and after each visit. All of it as bars to one scale,
//! then each region as squares of a page, or of several, which are filled by what became of theirs.

use super::chart::{ChartKind, Charts, head};
use super::dataset::{ChartedDataset, in_parts, newest_datasets};
use super::page_legend::{Drawn, legend, what};
use super::sketch::{Anchor, MARGIN, Sketch, WIDTH};
use super::squares::block;
use super::text::{HEADING, TEXT, clean, distinct, width, wrap};
use super::theme::{self, Colour};
use crate::error::Error;
use refcow_model::numbers::{bytes, count, counted, share};
use refcow_model::{Child, Fate, Measurement, PageMap, Region, RegionName, Report, Squares};

/// Visits side by side.
const VISITS: usize = 4;

/// Charts of one report.
const MOST: usize = 32;

/// Between columns.
const GAP: i32 = 12;

/// A line of text.
const LINE: i32 = 15;

/// Squares of one block.
const SQUARES: u64 = 640;

/// Pixels of a square's edge, one of which is the line between it and the next.
const EDGES: std::ops::RangeInclusive<i32> = 5..=9;

/// Pixels of a block, from top to bottom.
const HIGHEST: i32 = 130;

/// How thick a bar is, and the room of its name.
const BAR: i32 = 10;
const NAMES: i32 = 150;

/// A visit, and its child that copied most.
type ShownVisit<'a> = (&'a Measurement, &'a Child);

/// A chart for each dataset that has maps, or several where there are many visits.
pub(super) fn draw(report: &Report, charts: &mut Charts) -> Result<(), Error> {
    let mut all = newest_datasets(report, |one| one.most_copied().is_some_and(is_mapped));
    for part in in_parts(&mut all, VISITS, MOST) {
        let visits: Vec<ShownVisit> = part
            .visits
            .iter()
            .filter_map(|one| Some((*one, one.most_copied()?)))
            .collect();
        let name = format!("pages-{}", part.stem);
        let python = part.dataset.python(report);
        chart(part.dataset, &visits, &name, &python, part.notes, charts)?;
    }
    Ok(())
}

fn is_mapped(child: &Child) -> bool {
    child.regions.iter().any(|region| region.map.is_some())
}

/// One region in all columns.
struct StripRow<'a> {
    name: RegionName,
    /// As large as it was, all shared.
    before: PageMap,
    /// After each visit.
    after: Vec<Option<(&'a Region, &'a PageMap)>>,
}

fn chart(
    dataset: &ChartedDataset<'_>,
    visits: &[ShownVisit],
    name: &str,
    python: &str,
    mut notes: Vec<String>,
    charts: &mut Charts,
) -> Result<(), Error> {
    let title = dataset.title();
    let rows: Vec<StripRow> = RegionName::ALL
        .into_iter()
        .filter_map(|name| row(name, visits))
        .collect();
    let pages = rows
        .iter()
        .fold(0u64, |sum, row| sum.saturating_add(row.before.pages()));
    let size = bytes(pages.saturating_mul(dataset.run.environment.page_size_bytes));
    let child = match visits[0].0.children.len() {
        1 => "its child",
        _ => "the child that copied most",
    };
    notes.insert(0, format!("{size} in pages; {python}, {child}"));
    let names = distinct(visits.iter().map(|(one, _)| &one.visit[..]));
    let alt = alt(&title, python, &rows, &names);
    charts.add(ChartKind::Pages, name, title, alt, |title, alt| {
        let mut sketch = Sketch::default();
        let top = head(&mut sketch, title, &notes);
        let mut seen = Drawn::default();
        let mut top = to_scale(&mut sketch, top, &rows, pages, &names);
        top = columns(&mut sketch, top, pages, visits, &names);
        for row in &rows {
            top = block_row(&mut sketch, top, row, visits.len(), &mut seen);
        }
        top = legend(&mut sketch, top, &seen);
        sketch.finish(top + MARGIN, title, alt)
    })
}

fn row<'a>(name: RegionName, visits: &[ShownVisit<'a>]) -> Option<StripRow<'a>> {
    let after: Vec<_> = visits
        .iter()
        .map(|(_, child)| {
            let region = child.region(name)?;
            Some((region, region.map.as_ref()?))
        })
        .collect();
    // The fork's own bookkeeping may copy a page more of one child than of another.
    let largest = after.iter().flatten().map(|(_, map)| *map);
    let largest = largest.max_by_key(|map| map.pages())?;
    let before = largest.all_shared();
    (before.pages() > 0).then_some(StripRow {
        name,
        before,
        after,
    })
}

/// All pages of the data as a bar, before and after each visit, so that a region's part of it is to
/// be seen.
fn to_scale(sketch: &mut Sketch, top: i32, rows: &[StripRow], pages: u64, names: &[String]) -> i32 {
    let name = "to scale";
    sketch.text((MARGIN, top + 8), name, HEADING, Anchor::Start, theme::INK);
    let beside = MARGIN + width(name, HEADING) + 6;
    let words = format!("each bar is all of the data, {}", pages_of(pages));
    sketch.text((beside, top + 8), words, TEXT, Anchor::Start, theme::MUTED);
    let mut top = top + 20;
    let names = std::iter::once("before").chain(names.iter().map(String::as_str));
    let names: Vec<Vec<String>> = names.map(|name| wrap(name, NAMES, TEXT)).collect();
    let widest = names.iter().flatten().map(|line| width(line, TEXT)).max();
    let left = MARGIN + widest.unwrap_or(0) + 10;
    let room = WIDTH - MARGIN - left;
    for (index, lines) in names.iter().enumerate() {
        for (line, words) in (0..).zip(lines) {
            let at = (left - 10, top + BAR / 2 + line * LINE);
            sketch.text(at, words, TEXT, Anchor::End, theme::INK);
        }
        let mut parts: Vec<(Colour, u64)> = Vec::new();
        for row in rows {
            let map = match index {
                0 => Some(&row.before),
                _ => row.after[index - 1].map(|(_, map)| map),
            };
            // The copied ones first: beside what is shared of the same region, wherever they are in
            // it.
            let fates = map.map(PageMap::fates).unwrap_or_default();
            let (shared, copied): (Vec<_>, Vec<_>) = fates
                .into_iter()
                .partition(|(fate, _)| *fate == Fate::Shared);
            for (fate, pages) in copied.into_iter().chain(shared) {
                parts.push((theme::fate(row.name, fate), pages));
            }
        }
        let each: Vec<u64> = parts.iter().map(|(_, pages)| *pages).collect();
        let mut at = left;
        for ((colour, _), wide) in parts.iter().zip(widths(&each, pages, room)) {
            sketch.area(at, top, wide, BAR, *colour);
            at += wide;
        }
        top += (LINE * i32::try_from(lines.len()).unwrap_or(1)).max(BAR + 5);
    }
    top + 10
}

/// How many of so many pixels each part of a whole gets: each within one of what is its, and what
/// is something gets one.
fn widths(parts: &[u64], whole: u64, room: i32) -> Vec<i32> {
    let mut sum = 0.0;
    let mut last = 0;
    let mut widths: Vec<i32> = parts
        .iter()
        .map(|part| {
            sum += *part as f64;
            let end = (sum / whole.max(1) as f64 * f64::from(room)).round() as i32;
            let wide = end - last;
            last = end;
            wide
        })
        .collect();
    for place in 0..parts.len() {
        if parts[place] > 0 && widths[place] == 0 {
            if let Some(widest) = widths.iter_mut().max().filter(|wide| **wide > 1) {
                *widest -= 1;
            }
            widths[place] = 1;
        }
    }
    widths
}

/// How wide a column is, and where each begins.
fn lanes(visits: usize) -> (i32, impl Iterator<Item = i32>) {
    let number = i32::try_from(visits + 1).unwrap_or(i32::MAX);
    let room = (WIDTH - 2 * MARGIN - (number - 1) * GAP) / number;
    (
        room,
        (0..number).map(move |index| MARGIN + index * (room + GAP)),
    )
}

fn columns(
    sketch: &mut Sketch,
    top: i32,
    pages: u64,
    visits: &[ShownVisit],
    names: &[String],
) -> i32 {
    let (room, lefts) = lanes(visits.len());
    let before = ("before", pages_of(pages));
    let after = visits.iter().zip(names).map(|((_, child), name)| {
        let copied = child.copied_share().map_or_else(String::new, share);
        (&name[..], format!("{copied} copied"))
    });
    let mut last = 0;
    for (left, (name, copied)) in lefts.zip(std::iter::once(before).chain(after)) {
        let name = wrap(name, room, HEADING).into_iter();
        let name = name.map(|line| (line, HEADING, theme::INK));
        let copied = wrap(&copied, room, TEXT).into_iter();
        let copied = copied.map(|line| (line, TEXT, theme::MUTED));
        for (line, (words, font, colour)) in (0..).zip(name.chain(copied)) {
            let at = (left, top + 8 + line * LINE);
            sketch.text(at, words, font, Anchor::Start, colour);
            last = last.max(line + 1);
        }
    }
    top + last * LINE + 10
}

fn scale(squares: &Squares) -> String {
    match squares.pages_per_square {
        1 => "1 square = 1 page".into(),
        pages => format!("1 square = {}, filled by its part", pages_of(pages)),
    }
}

/// How many pages were copied, and of these, how many copies are identical.
fn figures(region: &Region) -> Vec<String> {
    let (copied, pages) = (count(region.unshared), count(region.pages));
    let mut figures = vec![format!("{copied} of {pages} copied")];
    if let Some(identical) = region.identical
        && region.unshared > 0
    {
        figures.push(format!("{} identical", count(identical)));
    }
    figures
}

fn pages_of(number: u64) -> String {
    counted(number, "page", "pages")
}

fn block_row(
    sketch: &mut Sketch,
    top: i32,
    row: &StripRow,
    visits: usize,
    seen: &mut Drawn,
) -> i32 {
    let (room, lefts) = lanes(visits);
    let most = SQUARES.min(u64::from(
        ((room / EDGES.start()) * (HIGHEST / EDGES.start())).unsigned_abs(),
    ));
    let before = row.before.squares(most);
    // As large as it can be, with all squares in the room there is.
    let number = i32::try_from(before.squares.len()).unwrap_or(i32::MAX);
    let fits = |edge: &i32| (number - 1) / (room / edge) < HIGHEST / edge;
    let edge = EDGES.rev().find(fits).unwrap_or(*EDGES.start());

    let name = row.name.as_str();
    sketch.text((MARGIN, top + 8), name, HEADING, Anchor::Start, theme::INK);
    let beside = MARGIN + width(name, HEADING) + 6;
    let words = format!("{}; {}", what(row.name), scale(&before));
    sketch.text((beside, top + 8), words, TEXT, Anchor::Start, theme::MUTED);
    let top = top + 20;

    let mut columns: Vec<(Option<Squares>, Vec<String>)> = Vec::new();
    for after in &row.after {
        columns.push(match after {
            Some((region, map)) => {
                seen.add(row.name, map);
                let squares = map.squares(most);
                let mut words = figures(region);
                if squares.pages_per_square != before.pages_per_square {
                    words.push(scale(&squares));
                }
                let lines = words.iter().flat_map(|words| wrap(words, room, TEXT));
                (Some(squares), lines.collect())
            }
            None => (None, vec!["–".to_owned()]),
        });
    }
    seen.add(row.name, &row.before);
    let words = pages_of(row.before.pages());
    columns.insert(0, (Some(before), wrap(&words, room, TEXT)));

    let in_a_row = room / edge;
    let across = usize::try_from(in_a_row).unwrap_or(1);
    let lefts: Vec<i32> = lefts.collect();
    let mut lines = 0;
    let mut gaps = Vec::new();
    for (left, (squares, _)) in lefts.iter().zip(&columns) {
        let Some(squares) = squares else { continue };
        let number = squares.squares.len();
        lines = lines.max(i32::try_from(number.div_ceil(across)).unwrap_or(0));
        block(sketch, (*left, top), edge, across, row.name, squares);
        let widest = in_a_row.min(i32::try_from(number).unwrap_or(in_a_row));
        gaps.extend((1..=widest).map(|index| left + index * edge - 1));
    }
    // Lines in the colour of what is behind part the squares.
    let bottom = top + lines * edge;
    for gap in gaps {
        sketch.area(gap, top, 1, lines * edge, theme::BACKGROUND);
    }
    for line in 1..=lines {
        let wide = WIDTH - 2 * MARGIN;
        sketch.area(MARGIN, top + line * edge - 1, wide, 1, theme::BACKGROUND);
    }

    let mut last = 0;
    for (left, (_, words)) in lefts.iter().zip(&columns) {
        for (line, words) in (0..).zip(words) {
            let at = (*left, bottom + 12 + line * LINE);
            sketch.text(at, words, TEXT, Anchor::Start, theme::INK);
            last = last.max(line + 1);
        }
    }
    bottom + 4 + last * LINE + 12
}

fn alt(title: &str, python: &str, rows: &[StripRow], names: &[String]) -> String {
    let sentences = names.iter().enumerate().map(|(index, name)| {
        let regions: Vec<String> = rows
            .iter()
            .filter_map(|row| {
                let (region, _) = row.after[index]?;
                Some(format!(
                    "{} {}",
                    row.name.as_str(),
                    figures(region).join(", ")
                ))
            })
            .collect();
        format!("{name}: {}", regions.join("; "))
    });
    let sentences: Vec<String> = sentences.collect();
    format!(
        "Pages of {}, with {python}, before and after each visit. {}.",
        clean(title),
        sentences.join(". ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_bar_are_its_parts_and_none_is_hidden() {
        assert_eq!(widths(&[120, 14, 96_026], 96_160, 500), [1, 1, 498]);
        assert_eq!(widths(&[1, 3], 4, 100), [25, 75]);
        assert_eq!(widths(&[1, 0, 1], 4, 100), [25, 0, 25]);
    }
}
