//! Memory of all processes together, the more children have visited the data.

use super::sketch::{Anchor, MARGIN, Sketch, TEXT, WIDTH, clean, wrap};
use super::theme::{self, Colour};
use super::{Charts, Kind, head};
use crate::model::{Measurement, Report, Run, datasets};
use crate::numbers::{bytes, count};
use crate::report::Error;

/// Lines of a chart.
const LINES: usize = theme::LINES.len();
/// Beside the lines, for their names.
const NAMES: i32 = 200;
/// How high the field of the lines is.
const HEIGHT: i32 = 260;
/// A line of text.
const LINE: i32 = 14;
/// What is more than so many times as large as another is not of about the same size.
const ALIKE: f64 = 2.0;
/// How much of the axis there is for the most.
const HEADROOM: f64 = 1.05;
/// Points of one line, and marks of one axis.
const MARKS: u64 = 12;

struct Line {
    name: String,
    colour: Colour,
    /// Children that have visited the data, and bytes.
    points: Vec<(u64, u64)>,
}

/// One chart of the newest interpreter that knows the memory of all processes.
pub fn draw(report: &Report, charts: &mut Charts) -> Result<(), Error> {
    let known = |one: &Measurement| {
        let from_none_on = one.tree.pss_bytes_before.is_some();
        one.visit != "idle" && from_none_on && one.memory_by_children().len() > 1
    };
    let Some(run) = report.newest(|run| run.measurements.iter().any(known)) else {
        return Ok(());
    };
    let chosen = choose(run, known);
    let Some(first) = chosen.first() else {
        return Ok(());
    };
    let mut lines: Vec<Line> = chosen
        .iter()
        .zip(theme::LINES)
        .map(|(measurement, colour)| Line {
            name: format!("{}: {}", measurement.visit, measurement.data()),
            colour,
            points: thinned(measurement.memory_by_children()),
        })
        .collect();
    let page_size = run.environment.page_size_bytes;
    let title = "Memory of all processes together".to_owned();
    let subtitle = format!(
        "PSS of parent, witness and children, by how many children have visited the data; CPython {}",
        clean(&run.python.version)
    );
    let alt = alt(&title, &subtitle, &lines);
    if let Some(points) = first.memory_if_all_copied(page_size) {
        lines.push(Line {
            name: format!("{} if each child copied all", first.data()),
            colour: theme::SUPPOSED,
            points,
        });
    }
    charts.add(Kind::Tree, "memory", title, alt, |title, alt| {
        let mut sketch = Sketch::default();
        let top = head(&mut sketch, title, &[subtitle]) + 8;
        let bottom = field(&mut sketch, top, &lines);
        sketch.finish(bottom, title, alt)
    })
}

/// The dataset with the most visits, the same prepared otherwise, and what holds about as much and is shared in another way.
fn choose(run: &Run, known: impl Fn(&Measurement) -> bool) -> Vec<&Measurement> {
    let mut all = datasets(run.measurements.iter().filter(|one| known(one)));
    let most = all.iter().map(Vec::len).max().unwrap_or(0);
    let Some(place) = all.iter().position(|dataset| dataset.len() == most) else {
        return Vec::new();
    };
    let chosen = all.remove(place);
    let bytes = |one: &Measurement| {
        let summary = one.summary(run.environment.page_size_bytes);
        summary.map_or(0, |summary| summary.dataset_bytes) as f64
    };
    let size = bytes(chosen[0]);
    let others = all.into_iter().filter(|dataset| {
        let other = bytes(dataset[0]);
        let alike = other <= size * ALIKE && size <= other * ALIKE;
        let same = dataset[0].fixture == chosen[0].fixture;
        match dataset[0].sharing == chosen[0].sharing {
            true => same && dataset[0].prepare != chosen[0].prepare,
            false => same || alike,
        }
    });
    let others: Vec<_> = others.flatten().collect();
    let of_chosen = LINES - others.len().min(LINES / 3);
    chosen
        .into_iter()
        .take(of_chosen)
        .chain(others)
        .take(LINES)
        .collect()
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
fn field(sketch: &mut Sketch, top: i32, lines: &[Line]) -> i32 {
    let all = || lines.iter().flat_map(|line| &line.points);
    let children = all().map(|point| point.0).max().unwrap_or(1).max(1);
    let most = all().map(|point| point.1).max().unwrap_or(1).max(1);
    // Powers of two read well in binary units.
    let step = most
        .div_ceil(4)
        .checked_next_power_of_two()
        .unwrap_or(1 << 63);
    let (left, right) = (MARGIN + 68, WIDTH - MARGIN - NAMES);
    let bottom = top + HEIGHT;
    let along = |from: i32, to: i32, part: f64| from + (part * f64::from(to - from)).round() as i32;
    let x = |number: u64| along(left + 8, right - 8, number as f64 / children as f64);
    let y = |bytes: u64| along(bottom, top, bytes as f64 / (most as f64 * HEADROOM));

    for mark in 0..=most / step {
        let value = mark * step;
        let level = y(value);
        sketch.path(vec![(left, level), (right, level)], 1, theme::LINE);
        sketch.text(
            (left - 8, level),
            bytes(value),
            TEXT,
            Anchor::End,
            theme::MUTED,
        );
    }
    let each = children.div_ceil(MARKS);
    for mark in (0..=children / each).map(|mark| mark * each) {
        let at = (x(mark), bottom + 16);
        sketch.text(at, count(mark), TEXT, Anchor::Middle, theme::MUTED);
    }
    let below = ((left + right) / 2, bottom + 34);
    sketch.text(
        below,
        "children that have visited",
        TEXT,
        Anchor::Middle,
        theme::MUTED,
    );

    for line in lines {
        let points: Vec<_> = line
            .points
            .iter()
            .map(|(number, bytes)| (x(*number), y(*bytes)))
            .collect();
        sketch.path(points.clone(), 2, line.colour);
        for point in points {
            sketch.dot(point, line.colour);
        }
    }

    // From the top down, each as near to its line's end as those above let it be.
    let mut names: Vec<(i32, &Line, Vec<String>)> = lines
        .iter()
        .map(|line| {
            let (_, end) = line.points[line.points.len() - 1];
            let room = NAMES - 34;
            let mut words = wrap(&line.name, room, TEXT);
            words.truncate(3);
            words.extend(wrap(&figures(line), room, TEXT));
            (y(end), line, words)
        })
        .collect();
    names.sort_by_key(|(end, ..)| *end);
    let tall = |words: &Vec<String>| i32::try_from(words.len()).unwrap_or(1) * LINE;
    let mut left_over: i32 = names.iter().map(|(.., words)| tall(words) + 4).sum();
    let mut free = top - 8;
    let mut lowest = bottom + 44;
    for (end, line, words) in names {
        let wanted = end - tall(&words) / 2;
        let place = wanted.min(bottom + 8 - left_over).max(free);
        let middle = place + tall(&words) / 2;
        let last = line.points[line.points.len() - 1];
        sketch.path(
            vec![
                (x(last.0), end),
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
        for (row, words) in (0..).zip(&words) {
            let at = (right + 34, place + LINE / 2 + row * LINE);
            sketch.text(at, words, TEXT, Anchor::Start, theme::INK);
        }
        free = place + tall(&words) + 4;
        left_over -= tall(&words) + 4;
        lowest = lowest.max(free);
    }
    lowest + 8
}

/// Where a line begins and ends.
fn figures(line: &Line) -> String {
    let of = |point: Option<&(u64, u64)>| point.map_or_else(String::new, |(_, size)| bytes(*size));
    format!("{} → {}", of(line.points.first()), of(line.points.last()))
}

fn alt(title: &str, subtitle: &str, lines: &[Line]) -> String {
    let label = |line: &Line| format!("{}: {}", clean(&line.name), figures(line));
    let labels: Vec<String> = lines.iter().map(label).collect();
    let children = lines
        .iter()
        .flat_map(|line| &line.points)
        .map(|point| point.0);
    format!(
        "{title} ({subtitle}), from none to {}. {}.",
        count(children.max().unwrap_or(0)),
        labels.join("; ")
    )
}
