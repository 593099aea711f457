//! What memory of all processes together grows by, the more children have visited the data: a chart
//! a dataset.

use super::chart::{ChartKind, Charts, head};
use super::dataset::{ChartedDataset, in_parts, newest_datasets};
use super::sketch::{Anchor, MARGIN, Sketch, WIDTH};
use super::text::{TEXT, distinct, wrap};
use super::theme::{self, Colour};
use crate::error::Error;
use refcow_model::numbers::{bytes, count};
use refcow_model::{Measurement, Report};

/// Lines of a chart.
const LINES: usize = theme::LINES.len();
/// Charts of a report.
const MOST: usize = 24;
/// Beside the lines, for their names.
const NAMES: i32 = 220;
/// How high the field of the lines is.
const HEIGHT: i32 = 200;
/// A line of text.
const LINE: i32 = 14;
/// What all copies would add is drawn if the axis is no more than so many times as high for it.
const ALIKE: f64 = 2.0;
/// How much of the axis there is for the most.
const HEADROOM: f64 = 1.05;
/// A growth of less is no slope.
const LEAST: f64 = (64 << 10) as f64;
/// Points of one line, and marks of one axis.
const MARKS: u64 = 12;

pub(super) struct MemoryLine {
    pub name: String,
    /// From what to what, in bytes.
    pub figures: Vec<String>,
    pub colour: Colour,
    /// Children that have visited the data, and the bytes that there are more than before.
    pub points: Vec<(u64, f64)>,
    /// How it goes on, where that was not measured.
    pub supposed: Vec<(u64, f64)>,
}

impl MemoryLine {
    fn all(&self) -> impl Iterator<Item = &(u64, f64)> {
        self.points.iter().chain(&self.supposed)
    }
}

/// What the axes say.
pub(super) struct Axes {
    /// Below the lower one.
    pub name: &'static str,
    /// From one mark of it to the next, by the last value on it.
    pub step: fn(u64) -> u64,
    /// A mark of it.
    pub mark: fn(u64) -> String,
    /// A mark of the other one, of bytes.
    pub memory: fn(f64) -> String,
}

const CHILDREN: Axes = Axes {
    name: "children that have visited",
    step: |children| children.div_ceil(MARKS),
    mark: count,
    memory: signed,
};

/// Lines of text, each in its colour.
type ColouredLines = Vec<(String, Colour)>;

/// A chart for each dataset of which the memory of all processes is known, or several where there
/// are many visits.
pub(super) fn draw(report: &Report, charts: &mut Charts) -> Result<(), Error> {
    let known = |one: &Measurement| {
        one.tree.pss_bytes_before.is_some() && one.memory_by_children().len() > 1
    };
    let mut all = newest_datasets(report, known);
    for part in in_parts(&mut all, LINES, MOST) {
        let name = format!("memory-{}", part.stem);
        let python = part.dataset.python(report);
        chart(
            part.dataset,
            part.visits,
            &name,
            &python,
            part.notes,
            charts,
        )?;
    }
    Ok(())
}

fn chart(
    dataset: &ChartedDataset<'_>,
    visits: &[&Measurement],
    name: &str,
    python: &str,
    more: Vec<String>,
    charts: &mut Charts,
) -> Result<(), Error> {
    let names = distinct(visits.iter().map(|one| &one.visit[..]));
    let mut lines: Vec<MemoryLine> = visits
        .iter()
        .zip(names)
        .zip(theme::LINES)
        .map(|((measurement, name), colour)| line(name, measurement, colour))
        .collect();
    let points = lines.iter().flat_map(|line| &line.points);
    let highest = points.map(|point| point.1).fold(LEAST, f64::max);
    let title = format!("Memory of all processes: {}", dataset.title());
    let mut notes = vec![
        format!(
            "how much the PSS of parent, witness and children together grows as they visit; {python}"
        ),
        "other programs that share libraries with them move it a little, too".to_owned(),
    ];
    if let Some(all) = if_all_copied(visits[0], dataset.run.environment.page_size_bytes) {
        let (_, most) = all.points[all.points.len() - 1];
        let words = format!(
            "a copy of all the data for each child would be {}",
            signed(most)
        );
        match most <= ALIKE * highest {
            true => {
                notes.push(format!("{words}: the broken line"));
                lines.push(all);
            }
            false => notes.push(format!("{words}, far above the drawing")),
        }
    }
    notes.extend(more);
    let alt = alt(&title, &notes, &lines);
    charts.add(ChartKind::Tree, name, title, alt, |title, alt| {
        let mut sketch = Sketch::default();
        let top = head(&mut sketch, title, &notes) + 8;
        let bottom = field(&mut sketch, top, &lines, &CHILDREN);
        sketch.finish(bottom, title, alt)
    })
}

fn line(name: String, measurement: &Measurement, colour: Colour) -> MemoryLine {
    let all = thinned(measurement.memory_by_children());
    let (first, last) = (all[0].1, all[all.len() - 1].1);
    MemoryLine {
        name,
        figures: vec![
            signed(last as f64 - first as f64),
            format!("{} → {}", bytes(first), bytes(last)),
        ],
        colour,
        points: all
            .into_iter()
            .map(|(children, bytes)| (children, bytes as f64 - first as f64))
            .collect(),
        supposed: Vec::new(),
    }
}

fn if_all_copied(measurement: &Measurement, page_size_bytes: u64) -> Option<MemoryLine> {
    let all = measurement.memory_if_all_copied(page_size_bytes)?;
    let first = all.first()?.1;
    let points = all.iter();
    let points: Vec<_> = points
        .map(|(children, bytes)| (*children, *bytes as f64 - first as f64))
        .collect();
    Some(MemoryLine {
        name: "if each child copied all".to_owned(),
        figures: vec![signed(points.last()?.1)],
        colour: theme::SUPPOSED,
        points,
        supposed: Vec::new(),
    })
}

/// `+4 MiB`, `0 B`, `−12 KiB`.
fn signed(number: f64) -> String {
    let sign = match number {
        ..0.0 => "−",
        0.0 => "",
        _ => "+",
    };
    format!("{sign}{}", bytes(number.abs() as u64))
}

/// Some of many points, the first and the last among them.
fn thinned(points: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    let last = points.len() as u64 - 1;
    let each = last.div_ceil(MARKS).max(1);
    let is_shown = |index: u64| index.is_multiple_of(each) || index == last;
    let indexed = (0..).zip(points);
    indexed
        .filter(|(index, _)| is_shown(*index))
        .map(|(_, point)| point)
        .collect()
}

/// Axes, lines, and the lines' names at their ends; gives where all of it ends.
pub(super) fn field(sketch: &mut Sketch, top: i32, lines: &[MemoryLine], axes: &Axes) -> i32 {
    let all = || lines.iter().flat_map(MemoryLine::all);
    let children = all().map(|point| point.0).max().unwrap_or(1).max(1);
    let highest = all().map(|point| point.1).fold(LEAST, f64::max) * HEADROOM;
    let lowest = all().map(|point| point.1).fold(0.0, f64::min) * HEADROOM;
    // Powers of two read well in binary units.
    let step = ((highest - lowest) / 4.0).log2().ceil().exp2();
    let (left, right) = (MARGIN + 76, WIDTH - MARGIN - NAMES);
    let bottom = top + HEIGHT;
    let along = |from: i32, to: i32, part: f64| from + (part * f64::from(to - from)).round() as i32;
    let x = |number: u64| along(left + 8, right - 8, number as f64 / children as f64);
    let y = |bytes: f64| along(bottom, top, (bytes - lowest) / (highest - lowest));

    let marks = (lowest / step).ceil() as i64..=(highest / step).floor() as i64;
    for mark in marks {
        let value = mark as f64 * step;
        let level = y(value);
        let colour = if mark == 0 { theme::MUTED } else { theme::LINE };
        sketch.path(vec![(left, level), (right, level)], 1, colour);
        let at = (left - 8, level);
        sketch.text(at, (axes.memory)(value), TEXT, Anchor::End, theme::MUTED);
    }
    let each = (axes.step)(children).max(1);
    for mark in (0..=children / each).map(|mark| mark * each) {
        let at = (x(mark), bottom + 16);
        sketch.text(at, (axes.mark)(mark), TEXT, Anchor::Middle, theme::MUTED);
    }
    let below = ((left + right) / 2, bottom + 34);
    sketch.text(below, axes.name, TEXT, Anchor::Middle, theme::MUTED);

    for line in lines {
        let points = line.points.iter();
        let points: Vec<_> = points
            .map(|(number, bytes)| (x(*number), y(*bytes)))
            .collect();
        sketch.path(points.clone(), 2, line.colour);
        let supposed = line.supposed.iter();
        let supposed: Vec<_> = supposed
            .map(|(number, bytes)| (x(*number), y(*bytes)))
            .collect();
        if !supposed.is_empty() {
            sketch.path(supposed, 2, theme::SUPPOSED);
        }
        // Many would hide their line.
        if points.len() as u64 <= MARKS + 2 {
            for point in points {
                sketch.dot(point, line.colour);
            }
        }
    }

    // From the top down, each as near to its line's end as those above let it be.
    let mut names: Vec<(i32, &MemoryLine, ColouredLines)> = lines
        .iter()
        .map(|line| {
            let end = line.all().last().map_or(0.0, |(_, end)| *end);
            let room = NAMES - 34;
            let figure = |words: &String| wrap(words, room, TEXT);
            let name = wrap(&format!("{}: {}", line.name, line.figures[0]), room, TEXT);
            let more = line.figures[1..].iter().flat_map(figure);
            let words = name.into_iter().map(|words| (words, theme::INK));
            let words = words.chain(more.map(|words| (words, theme::MUTED)));
            (y(end), line, words.collect())
        })
        .collect();
    names.sort_by_key(|(end, ..)| *end);
    let tall = |words: &Vec<_>| i32::try_from(words.len()).unwrap_or(1) * LINE;
    let mut left_over: i32 = names.iter().map(|(.., words)| tall(words) + 6).sum();
    let mut free = top - 8;
    let mut lowest = bottom + 44;
    for (end, line, words) in names {
        let wanted = end - tall(&words) / 2;
        let place = wanted.min(bottom + 8 - left_over).max(free);
        let middle = place + tall(&words) / 2;
        let last = line.all().last().map_or(0, |(number, _)| *number);
        sketch.path(
            vec![
                (x(last), end),
                (right + 4, end),
                (right + 20, middle),
                (right + 28, middle),
            ],
            1,
            match line.colour {
                theme::SUPPOSED => theme::MUTED,
                colour => colour,
            },
        );
        for (row, (words, colour)) in (0..).zip(&words) {
            let at = (right + 34, place + LINE / 2 + row * LINE);
            sketch.text(at, words, TEXT, Anchor::Start, *colour);
        }
        free = place + tall(&words) + 6;
        left_over -= tall(&words) + 6;
        lowest = lowest.max(free);
    }
    lowest + 8
}

fn alt(title: &str, notes: &[String], lines: &[MemoryLine]) -> String {
    let label = |line: &MemoryLine| format!("{}: {}", line.name, line.figures.join(", "));
    let labels: Vec<String> = lines.iter().map(label).collect();
    let points = lines.iter().flat_map(|line| &line.points);
    format!(
        "{title} ({}), from none to {}. {}.",
        notes.join("; "),
        count(points.map(|point| point.0).max().unwrap_or(0)),
        labels.join("; ")
    )
}
