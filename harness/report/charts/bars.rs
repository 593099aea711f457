//! Rows of figures in groups: amounts as bars, times as dots on a logarithmic axis.

use super::chart::{ChartKind, Charts, head, listed};
use super::sketch::{Anchor, MARGIN, Sketch, WIDTH};
use super::text::{HEADING, TEXT, clean, distinct, fit, width, wrap};
use super::theme::{self, Colour};
use crate::error::Error;
use refcow_model::numbers::count;

/// Rows of one chart.
const ROWS: usize = 48;

/// Charts of one kind.
const MOST: usize = 6;

/// Pixels from one row to the next.
const ROW: i32 = 20;

/// A line of text.
const LINE: i32 = 15;

/// How thick a bar is.
const BAR: i32 = 12;

/// The room of a name.
const NAMES: i32 = 220;

/// The room of a figure.
const FIGURES: i32 = 290;

/// Marks of a logarithmic axis.
const MARKS: i32 = 10;

/// What stands behind each other in a bar.
pub(super) const PARTS: [(Colour, &str); 3] = [
    (theme::BAR, "copied"),
    (theme::NEW, "new"),
    (theme::FILES, "files"),
];

#[derive(Clone)]
pub(super) struct BarRow {
    pub(super) name: String,
    pub(super) mark: BarMark,
    pub(super) figure: String,
}

#[derive(Clone)]
pub(super) enum BarMark {
    /// How long each of [`PARTS`] is.
    Bar([f64; PARTS.len()]),
    /// From the least to the most, where there is a dot.
    Dot(f64, f64),
}

impl BarMark {
    fn most(&self) -> f64 {
        match self {
            Self::Bar(parts) => parts.iter().sum(),
            Self::Dot(_, most) => *most,
        }
    }
}

/// Rows that have something in common, which stands above them.
#[derive(Clone)]
pub(super) struct BarGroup {
    pub(super) heading: String,
    pub(super) rows: Vec<BarRow>,
}

/// So many rows in each part; a group that goes on says so.
fn parts(groups: &[BarGroup]) -> Vec<Vec<BarGroup>> {
    let mut parts: Vec<Vec<BarGroup>> = Vec::new();
    let mut free = 0;
    for group in groups {
        for (index, row) in group.rows.iter().enumerate() {
            let begins = free == 0;
            if begins {
                parts.push(Vec::new());
                free = ROWS;
            }
            free -= 1;
            let Some(part) = parts.last_mut() else {
                continue;
            };
            if begins || index == 0 {
                let heading = match index {
                    0 => group.heading.clone(),
                    _ => format!("{}, continued", group.heading),
                };
                part.push(BarGroup {
                    heading,
                    rows: Vec::new(),
                });
            }
            if let Some(group) = part.last_mut() {
                group.rows.push(row.clone());
            }
        }
    }
    parts
}

pub(super) fn chart(
    charts: &mut Charts,
    kind: ChartKind,
    name: &str,
    (title, notes): (&str, Vec<String>),
    mut groups: Vec<BarGroup>,
) -> Result<(), Error> {
    for group in &mut groups {
        let names = distinct(group.rows.iter().map(|row| &row.name[..]));
        for (row, name) in group.rows.iter_mut().zip(names) {
            row.name = name;
        }
    }
    // One scale for all parts.
    let axis = Axis::of(groups.iter().flat_map(|group| &group.rows));
    let all = parts(&groups);
    let (shown, left_out) = all.split_at(all.len().min(MOST));
    for (index, groups) in shown.iter().enumerate() {
        let mut notes = notes.clone();
        if index + 1 == shown.len() && !left_out.is_empty() {
            let names = left_out.iter().flatten().map(|group| {
                let rows: Vec<String> = group.rows.iter().map(|row| row.name.clone()).collect();
                format!("{}: {}", clean(&group.heading), listed(rows))
            });
            notes.push(format!("not drawn: {}", listed(names.collect())));
        }
        let title = match shown.len() {
            1 => title.to_owned(),
            several => format!("{title} ({} of {several})", index + 1),
        };
        let figures = groups.iter().map(|group| {
            let rows = group.rows.iter();
            let rows = rows.map(|row| format!("{} {}", row.name, clean(&row.figure)));
            format!("{}: {}", clean(&group.heading), listed(rows.collect()))
        });
        let alt = format!(
            "{title} ({}). {}.",
            notes.join("; "),
            listed(figures.collect())
        );
        charts.add(kind, name, title, alt, |title, alt| {
            let mut sketch = Sketch::default();
            let top = head(&mut sketch, title, &notes);
            let top = draw(&mut sketch, top, groups, &axis);
            sketch.finish(top + MARGIN - 4, title, alt)
        })?;
    }
    Ok(())
}

fn draw(sketch: &mut Sketch, mut top: i32, groups: &[BarGroup], axis: &Axis) -> i32 {
    let all = || groups.iter().flat_map(|group| &group.rows);
    let names = all().flat_map(|row| wrap(&row.name, NAMES, TEXT));
    let name_room = names.map(|line| width(&line, TEXT)).max().unwrap_or(0);
    let figures = all().map(|row| width(&fit(&row.figure, FIGURES, TEXT), TEXT));
    let figure_room = figures.max().unwrap_or(0);
    let left = MARGIN + name_room + 10;
    let right = WIDTH - MARGIN - figure_room - 8;
    let room = right - left;
    let marks = axis.marks(left, room);
    if !marks.is_empty() {
        for (at, words) in &marks {
            sketch.text((*at, top + 8), words, TEXT, Anchor::Middle, theme::MUTED);
        }
        top += ROW;
    }
    for group in groups {
        for line in wrap(&clean(&group.heading), WIDTH - 2 * MARGIN, HEADING) {
            sketch.text((MARGIN, top + 8), line, HEADING, Anchor::Start, theme::INK);
            top += LINE;
        }
        top += ROW - LINE;
        let first = top;
        let mut marked = Vec::new();
        for row in &group.rows {
            let lines = wrap(&row.name, NAMES, TEXT);
            let tall = i32::try_from(lines.len()).unwrap_or(1) * LINE + ROW - LINE;
            for (line, words) in (0..).zip(lines) {
                let at = (left - 10, top + ROW / 2 + line * LINE);
                sketch.text(at, words, TEXT, Anchor::End, theme::INK);
            }
            marked.push((top + ROW / 2, row));
            top += tall;
        }
        for (at, _) in &marks {
            sketch.path(vec![(*at, first), (*at, top)], 1, theme::LINE);
        }
        for (middle, row) in marked {
            let figure = fit(&row.figure, FIGURES, TEXT);
            let beside = match row.mark {
                BarMark::Bar(parts) => left + bar(sketch, (left, middle), parts, axis, room) + 6,
                BarMark::Dot(least, most) => {
                    if let Some(end) = axis.place(most, left, room) {
                        let begin = axis.place(least, left, room).unwrap_or(end);
                        sketch.path(vec![(begin, middle), (end, middle)], 2, theme::BAR);
                        sketch.dot((end, middle), theme::BAR);
                    }
                    right + 8
                }
            };
            let at = (beside, middle);
            sketch.text(at, figure, TEXT, Anchor::Start, theme::INK);
        }
        sketch.path(vec![(left, first), (left, top)], 1, theme::MUTED);
        top += 10;
    }
    let is_there = |place: usize| {
        all().any(|row| matches!(row.mark, BarMark::Bar(parts) if parts[place] > 0.0))
    };
    if (1..PARTS.len()).any(is_there) {
        let parts = PARTS
            .iter()
            .enumerate()
            .filter(|(place, _)| is_there(*place));
        let entries: Vec<_> = parts
            .map(|(_, (colour, words))| (*colour, (*words).to_owned()))
            .collect();
        top = sketch.legend(top, &entries);
    }
    top
}

/// Draws a bar; gives how long it is.
fn bar(
    sketch: &mut Sketch,
    (left, middle): (i32, i32),
    parts: [f64; PARTS.len()],
    axis: &Axis,
    room: i32,
) -> i32 {
    let mut long = 0;
    for (value, (colour, _)) in parts.into_iter().zip(PARTS) {
        // What is something has a bar that can be seen.
        let part = match value.is_finite() && value > 0.0 && room > long {
            true => {
                let part = (value / axis.most * f64::from(room)).round() as i32;
                part.clamp(1, room - long)
            }
            false => 0,
        };
        if part > 0 {
            sketch.area(left + long, middle - BAR / 2, part, BAR, colour);
            long += part;
        }
    }
    long
}

/// What all rows of a kind have in common.
struct Axis {
    /// The longest bar.
    most: f64,
    /// Powers of ten, from one to the other, that hold all dots; `None` without dots.
    tens: Option<(i32, i32)>,
}

impl Axis {
    fn of<'a>(rows: impl Iterator<Item = &'a BarRow> + Clone) -> Self {
        let most = rows.clone().map(|row| row.mark.most());
        let most = most.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let ends = rows.filter_map(|row| match row.mark {
            BarMark::Dot(least, most) => Some([least, most]),
            BarMark::Bar(_) => None,
        });
        let ends: Vec<f64> = ends
            .flatten()
            .filter(|value| value.is_finite() && *value > 0.0)
            .map(f64::log10)
            .collect();
        let least = ends.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = ends.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let tens = (!ends.is_empty()).then(|| {
            let first = least.floor() as i32;
            (first, (largest.ceil() as i32).max(first + 1))
        });
        Self { most, tens }
    }

    /// Where a dot is; `None` of what is no length of time.
    fn place(&self, value: f64, left: i32, room: i32) -> Option<i32> {
        let (first, last) = self.tens?;
        let place = (value.log10() - f64::from(first)) / f64::from(last - first);
        let is_there = value.is_finite() && value > 0.0;
        is_there.then(|| left + (place * f64::from(room)).round() as i32)
    }

    /// Where powers of ten are, and what they are.
    fn marks(&self, left: i32, room: i32) -> Vec<(i32, String)> {
        let Some((first, last)) = self.tens else {
            return Vec::new();
        };
        let each = usize::try_from((last - first) / MARKS + 1).unwrap_or(1);
        let marks = (first..=last).step_by(each).filter_map(|power| {
            let value = 10f64.powi(power);
            let words = fit(&power_of_ten(power), 60, TEXT);
            Some((self.place(value, left, room)?, words))
        });
        marks.collect()
    }
}

/// `100 µs`, as a mark of an axis.
fn power_of_ten(power: i32) -> String {
    match power {
        ..-9 | 6.. => format!("10^{power} s"),
        -9..-6 => format!("{} ns", 10u64.pow((power + 9).unsigned_abs())),
        -6..-3 => format!("{} µs", 10u64.pow((power + 6).unsigned_abs())),
        -3..0 => format!("{} ms", 10u64.pow((power + 3).unsigned_abs())),
        0..6 => format!("{} s", count(10u64.pow(power.unsigned_abs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn dot(most: f64) -> BarRow {
        BarRow {
            name: String::new(),
            mark: BarMark::Dot(most, most),
            figure: String::new(),
        }
    }

    #[test]
    fn each_ten_times_is_as_far() {
        let rows = [154e-6, 0.678].map(dot);
        let axis = Axis::of(rows.iter());
        assert_eq!(axis.tens, Some((-4, 0)));
        let places = [1e-4, 1e-3, 1e-2, 1e-1, 1.0].map(|value| axis.place(value, 10, 400));
        assert_eq!(places, [10, 110, 210, 310, 410].map(Some));
        let words = axis.marks(10, 400).into_iter().map(|(_, words)| words);
        let words: Vec<String> = words.map(|words| words.replace('\u{a0}', " ")).collect();
        assert_eq!(words, ["100 µs", "1 ms", "10 ms", "100 ms", "1 s"]);
        for none in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(axis.place(none, 10, 400), None);
        }
    }

    #[rstest]
    #[case(-9, "1 ns")]
    #[case(-6, "1 µs")]
    #[case(-1, "100 ms")]
    #[case(3, "1,000 s")]
    #[case(300, "10^300 s")]
    fn marks_are_round(#[case] power: i32, #[case] words: &str) {
        assert_eq!(power_of_ten(power), words);
    }
}
