//! What became of a dataset's pages: before, and after each visit, a square a page or so many of them.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::sketch::{Anchor, HEADING, MARGIN, Sketch, TEXT, WIDTH, clean, fit, width, wrap};
use super::theme::{self, Colour};
use super::{Charts, Kind, head};
use crate::model::{
    Cause, Child, Fate, Measurement, PageMap, Region, RegionName, Report, Run, Squares, datasets,
};
use crate::numbers::{bytes, count, share};
use crate::report::Error;
use crate::report::grid::made_of;

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

/// A visit, and its child that copied most.
type Visit<'a> = (&'a Measurement, &'a Child);

/// A chart for each dataset of the newest interpreter that has maps, or several where there are many visits.
pub fn draw(report: &Report, charts: &mut Charts) -> Result<(), Error> {
    let mapped = |child: &Child| child.regions.iter().any(|region| region.map.is_some());
    let has_maps = |run: &Run| {
        let mut children = run.measurements.iter().flat_map(|one| &one.children);
        children.any(mapped)
    };
    let Some(run) = report.newest(has_maps) else {
        return Ok(());
    };
    let of_datasets = datasets(run.measurements.iter())
        .into_iter()
        .map(|dataset| {
            let visits = dataset.into_iter().filter(|one| one.visit != "idle");
            let visits = visits.filter_map(|one| Some((one, one.most_copied()?)));
            visits
                .filter(|(_, child)| mapped(child))
                .collect::<Vec<Visit>>()
        });
    let all: Vec<Vec<Visit>> = of_datasets
        .flat_map(|visits| {
            let parts = visits.chunks(VISITS).map(<[Visit]>::to_vec);
            parts.collect::<Vec<_>>()
        })
        .collect();
    let shown = &all[..all.len().min(MOST)];
    for (index, visits) in shown.iter().enumerate() {
        let left_out = (index + 1 == shown.len()).then_some(all.len() - shown.len());
        chart(run, visits, left_out.unwrap_or(0), charts)?;
    }
    Ok(())
}

/// What has been drawn, for the legend.
#[derive(Default)]
struct Seen {
    /// Those with pages that are still shared.
    regions: BTreeSet<RegionName>,
    /// Cause, and whether the copy is identical.
    copies: BTreeSet<(Option<Cause>, Option<bool>)>,
    /// Whether there is a square of more than one page.
    several: bool,
}

impl Seen {
    fn add(&mut self, name: RegionName, squares: &Squares) {
        self.several |= squares.pages_per_square > 1;
        for fate in &squares.fates {
            match fate {
                Fate::Shared => self.regions.insert(name),
                Fate::OnTheWay => self.copies.insert((None, None)),
                Fate::Copied { cause, identical } => self.copies.insert((*cause, *identical)),
            };
        }
    }
}

/// One region in all columns.
struct Row<'a> {
    name: RegionName,
    /// As large as it was, all shared.
    before: PageMap,
    /// After each visit.
    after: Vec<Option<(&'a Region, &'a PageMap)>>,
}

fn chart(run: &Run, visits: &[Visit], left_out: usize, charts: &mut Charts) -> Result<(), Error> {
    let first = visits[0].0;
    let title = format!("{}, shared by {}", first.data(), first.sharing);
    let rows: Vec<Row> = RegionName::ALL
        .into_iter()
        .filter_map(|name| row(name, visits))
        .collect();
    let pages = rows
        .iter()
        .fold(0u64, |sum, row| sum.saturating_add(row.before.pages()));
    let size = bytes(pages.saturating_mul(run.environment.page_size_bytes));
    let children = match first.children.len() {
        1 => "its child".to_owned(),
        _ => "the child that copied most".to_owned(),
    };
    let subtitle = format!(
        "{size} in pages{}; CPython {}, {children}",
        made_of(first).map_or_else(String::new, |words| format!(": {words}")),
        clean(&run.python.version),
    );
    let alt = alt(&title, &run.python.version, &rows, visits);
    let name = format!(
        "pages-{}",
        match &first.prepare {
            Some(prepare) => format!("{}-{prepare}", first.fixture),
            None => first.fixture.clone(),
        }
    );
    charts.add(Kind::Pages, &name, title, alt, |title, alt| {
        let mut sketch = Sketch::default();
        let top = head(&mut sketch, title, &[subtitle]);
        let mut top = columns(&mut sketch, top, pages, visits);
        let mut seen = Seen::default();
        for row in &rows {
            top = block_row(&mut sketch, top, row, visits.len(), &mut seen);
        }
        top = legend(&mut sketch, top, &seen);
        if left_out > 0 {
            let more = format!(
                "{} more charts of this kind are left out.",
                count(left_out as u64)
            );
            sketch.text((MARGIN, top + 8), more, TEXT, Anchor::Start, theme::MUTED);
            top += LINE;
        }
        sketch.finish(top + MARGIN, title, alt)
    })
}

fn row<'a>(name: RegionName, visits: &[Visit<'a>]) -> Option<Row<'a>> {
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
    (before.pages() > 0).then_some(Row {
        name,
        before,
        after,
    })
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

fn columns(sketch: &mut Sketch, top: i32, pages: u64, visits: &[Visit]) -> i32 {
    let (room, lefts) = lanes(visits.len());
    let before = ("before".to_owned(), pages_of(pages));
    let after = visits.iter().map(|(measurement, child)| {
        let copied = child.copied_share().map_or_else(String::new, share);
        let words = format!("{copied} copied");
        let words = if width(&words, TEXT) > room {
            copied
        } else {
            words
        };
        (measurement.visit.clone(), words)
    });
    for (left, (name, copied)) in lefts.zip(std::iter::once(before).chain(after)) {
        let mut line = |at, text: &str, font, colour| {
            let text = fit(text, room, font);
            sketch.text((left, top + at), text, font, Anchor::Start, colour);
        };
        line(8, &name, HEADING, theme::INK);
        line(8 + LINE, &copied, TEXT, theme::MUTED);
    }
    top + 2 * LINE + 10
}

/// What a region is, for whoever meets the word here first.
fn what(name: RegionName) -> &'static str {
    match name {
        RegionName::Header => "objects with their reference counts",
        RegionName::Spine => "arrays of pointers",
        RegionName::Payload => "content out of line",
        RegionName::Native => "allocated while building, owned by C",
        RegionName::Segment => "content in shared memory",
        RegionName::Modules => "objects of modules and classes",
        RegionName::Interpreter => "the interpreter's own objects",
        RegionName::Libraries => "variables of libraries",
        RegionName::Stack => "stacks of threads",
        RegionName::Rest => "the rest of the process",
    }
}

fn scale(squares: &Squares) -> String {
    match squares.pages_per_square {
        1 => "1 square = 1 page".into(),
        pages => format!("1 square = {} pages", count(pages)),
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
    match number {
        1 => "1 page".to_owned(),
        _ => format!("{} pages", count(number)),
    }
}

fn block_row(sketch: &mut Sketch, top: i32, row: &Row, visits: usize, seen: &mut Seen) -> i32 {
    let (room, lefts) = lanes(visits);
    let most = SQUARES.min(u64::from(
        ((room / EDGES.start()) * (HIGHEST / EDGES.start())).unsigned_abs(),
    ));
    let before = row.before.squares(most);
    // As large as it can be, with all squares in the room there is.
    let number = i32::try_from(before.fates.len()).unwrap_or(i32::MAX);
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
    let words = pages_of(row.before.pages());
    columns.insert(0, (Some(before), wrap(&words, room, TEXT)));

    let in_a_row = room / edge;
    let mut lines = 0;
    let mut grids = Vec::new();
    let lefts: Vec<i32> = lefts.collect();
    for (left, (squares, _)) in lefts.iter().zip(&columns) {
        if let Some(squares) = squares {
            seen.add(row.name, squares);
            let across = usize::try_from(in_a_row).unwrap_or(1);
            lines = lines.max(i32::try_from(squares.fates.len().div_ceil(across)).unwrap_or(0));
            let colours: Vec<Colour> = squares
                .fates
                .iter()
                .map(|fate| theme::fate(row.name, *fate))
                .collect();
            block(sketch, (*left, top), edge, across, &colours);
            let widest = in_a_row.min(i32::try_from(squares.fates.len()).unwrap_or(in_a_row));
            grids.extend((1..widest).map(|index| left + index * edge));
        }
    }
    // In the colour of what is behind, so that it shows on the squares alone: one line through all of them, there and back.
    let bottom = top + lines * edge;
    let upright = zigzag(&grids, top - 1, bottom + 1);
    sketch.path(upright, 1, theme::BACKGROUND);
    let levels: Vec<i32> = (1..lines).map(|index| top + index * edge).collect();
    let level = zigzag(&levels, MARGIN - 1, WIDTH - MARGIN + 1);
    let level = level.into_iter().map(|(y, x)| (x, y)).collect();
    sketch.path(level, 1, theme::BACKGROUND);

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

/// A line that goes there at one place and back at the next.
fn zigzag(places: &[i32], one: i32, other: i32) -> Vec<(i32, i32)> {
    let turns =
        places
            .iter()
            .enumerate()
            .flat_map(|(index, place)| match index.is_multiple_of(2) {
                true => [(*place, one), (*place, other)],
                false => [(*place, other), (*place, one)],
            });
    turns.collect()
}

/// Squares in rows, in as few boxes as it takes to draw those of one colour that lie together.
fn block(
    sketch: &mut Sketch,
    (left, top): (i32, i32),
    edge: i32,
    across: usize,
    colours: &[Colour],
) {
    let pixels = |squares: usize| i32::try_from(squares).unwrap_or(0) * edge;
    let mut drawn = vec![false; colours.len()];
    let mut boxes = Vec::new();
    for first in 0..colours.len() {
        if drawn[first] {
            continue;
        }
        let alike = |place: usize, drawn: &[bool]| {
            colours.get(place) == Some(&colours[first]) && !drawn[place]
        };
        let (row, column) = (first / across, first % across);
        let beside = (first..(row + 1) * across).take_while(|place| alike(*place, &drawn));
        let wide = beside.count();
        let below = (row..).take_while(|row| {
            (0..wide).all(|beside| alike(row * across + column + beside, &drawn))
        });
        let high = below.count();
        for row in row..row + high {
            let begin = row * across + column;
            drawn[begin..begin + wide].fill(true);
        }
        let place = (left + pixels(column), top + pixels(row));
        boxes.push((colours[first], place, (pixels(wide), pixels(high))));
    }
    // Boxes of one colour that follow each other become one shape.
    boxes.sort_by_key(|(colour, ..)| colour.light);
    for (colour, (left, top), (wide, high)) in boxes {
        sketch.area(left, top, wide, high, colour);
    }
}

/// What the colours mean that are there.
fn legend(sketch: &mut Sketch, top: i32, seen: &Seen) -> i32 {
    let shared = RegionName::ALL
        .into_iter()
        .filter(|name| seen.regions.contains(name));
    let shared = shared.map(|name| (theme::region(name), format!("{}, shared", name.as_str())));
    let mut copies: Vec<_> = seen.copies.iter().collect();
    copies.sort_by_key(|(cause, identical)| (cause.is_none(), *cause, Reverse(*identical)));
    let copied = copies.into_iter().map(|(cause, identical)| {
        let words = match cause {
            Some(cause) => format!("copied for {}", words(*cause)),
            None => "copied, cause not known".to_owned(),
        };
        let bytes = match identical {
            Some(true) => "identical",
            Some(false) => "changed",
            None => "bytes not compared",
        };
        let fate = Fate::Copied {
            cause: *cause,
            identical: *identical,
        };
        (
            theme::fate(RegionName::Rest, fate),
            format!("{words}, {bytes}"),
        )
    });
    let entries: Vec<(Colour, String)> = shared.chain(copied).collect();
    sketch.path(vec![(MARGIN, top), (WIDTH - MARGIN, top)], 1, theme::LINE);
    let (mut left, mut top) = (MARGIN, top + 10);
    for (colour, text) in entries {
        let wide = 18 + width(&text, TEXT) + 16;
        if left > MARGIN && left + wide > WIDTH - MARGIN + 16 {
            left = MARGIN;
            top += 18;
        }
        sketch.area(left, top + 1, 12, 12, colour);
        sketch.text((left + 18, top + 8), text, TEXT, Anchor::Start, theme::INK);
        left += wide;
    }
    top += 20;
    if seen.several {
        let words = "A square of several pages has the colour of its copied pages, if it has any.";
        sketch.text((MARGIN, top + 8), words, TEXT, Anchor::Start, theme::MUTED);
        top += LINE + 3;
    }
    top
}

/// What a cause is, for whoever meets the word here first.
fn words(cause: Cause) -> &'static str {
    match cause {
        Cause::Refcount => "a reference count",
        Cause::Gc => "the garbage collector",
        Cause::Buffer => "an object's content",
        Cause::Body => "another field of an object",
        Cause::Allocator => "the allocator",
        Cause::Kernel => "the kernel",
        Cause::Khugepaged => "khugepaged",
        Cause::Unattributed => "something else",
    }
}

fn alt(title: &str, version: &str, rows: &[Row], visits: &[Visit]) -> String {
    let sentences = visits.iter().enumerate().map(|(index, (measurement, _))| {
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
        format!("{}: {}", clean(&measurement.visit), regions.join("; "))
    });
    let sentences: Vec<String> = sentences.collect();
    format!(
        "Pages of {}, in CPython {}, before and after each visit. {}.",
        clean(title),
        clean(version),
        sentences.join(". ")
    )
}
