//! Bars: bytes copied per way of sharing, and the time that visits took.

use std::collections::HashMap;

use super::sketch::{Anchor, HEADING, MARGIN, Sketch, TEXT, WIDTH, clean, fit, width};
use super::{Charts, Kind, head, listed, theme};
use crate::model::{Child, Contents, Measurement, Report, Run, datasets};
use crate::numbers::{self, bytes, count, signed_bytes};
use crate::report::Error;
use crate::report::alternatives::label;
use crate::report::grid::made_of;

/// Bars of bytes in one chart.
const MOST_COPIED: usize = 40;
/// Bars of times.
const MOST_TIMES: usize = 24;
/// Pixels from one bar to the next.
const ROW: i32 = 20;
/// How thick a bar is.
const BAR: i32 = 12;
/// The room of a name.
const NAMES: i32 = 270;
/// The room of a figure.
const FIGURES: i32 = 170;

struct Bar {
    name: String,
    /// How long the bar is beside others.
    value: f64,
    /// What follows at its end in other colours: new memory, and pages of files.
    more: [f64; 2],
    /// What stands at its end.
    figure: String,
}

impl Bar {
    fn whole(&self) -> f64 {
        self.value + self.more.iter().sum::<f64>()
    }
}

/// Bars that have something in common, which stands above them.
struct Group {
    heading: Option<String>,
    bars: Vec<Bar>,
}

/// The bars of a chart, and how many have no room in it.
type Bars = (Vec<Group>, usize);

/// One chart for integers and one for bitarrays where ways to share were measured; else one of all visits.
pub fn copied(report: &Report, charts: &mut Charts) -> Result<(), Error> {
    if let Some(run) = report.newest(|run| !run.alternatives.is_empty()) {
        of_ways(run, Contents::Ints, charts)?;
        return of_ways(run, Contents::Bitarrays, charts);
    }
    let Some(run) = report.newest(|run| !run.measurements.is_empty()) else {
        return Ok(());
    };
    let bars = of_visits(run, MOST_COPIED, |measurement| {
        let cost = measurement.cost(run.environment.page_size_bytes)?.bytes;
        let known = [cost.new, cost.file].map(|bytes| bytes.unwrap_or(0));
        let named = [
            (Some(cost.copied), "copied"),
            (cost.new, "new"),
            (cost.file, "files"),
        ];
        let figures = named
            .iter()
            .filter_map(|(size, name)| Some(((*size)?, *name)))
            // What was not copied is said, too.
            .filter(|(size, name)| *size > 0 || *name == "copied");
        let figure: Vec<String> = figures
            .map(|(size, name)| match name {
                "copied" => bytes(size),
                _ => format!("{} {name}", bytes(size)),
            })
            .collect();
        let value = cost.copied as f64;
        Some((value, known.map(|bytes| bytes as f64), figure.join(" + ")))
    });
    let known = |figure: fn(&Child) -> bool| {
        let mut children = run.measurements.iter().flat_map(|one| &one.children);
        children.any(figure)
    };
    let parts = match known(|child| child.new_pages.is_some_and(|new| new > 0)) {
        true => "copies, then new memory and pages of files in other colours; ",
        false => "",
    };
    let note = format!(
        "{parts}the child that it cost most, all regions; CPython {}",
        clean(&run.python.version)
    );
    let title = match parts.is_empty() {
        true => "Bytes that a child copied".to_owned(),
        false => "Bytes that a child copied and made".to_owned(),
    };
    chart(charts, Kind::Copied, "copied", (title, note), bars)
}

fn of_ways(run: &Run, contents: Contents, charts: &mut Charts) -> Result<(), Error> {
    let of_contents = run
        .alternatives
        .iter()
        .filter(|one| one.contents == contents);
    let Some(first) = of_contents.clone().next() else {
        return Ok(());
    };
    let left_out = of_contents.clone().count().saturating_sub(MOST_COPIED);
    let bars = of_contents.take(MOST_COPIED).filter_map(|alternative| {
        let summary = alternative.summary(run.environment.page_size_bytes)?;
        let copied = *summary.copied_bytes.end();
        Some(Bar {
            name: clean(&label(run, alternative)),
            value: copied as f64,
            more: [0.0; 2],
            figure: signed_bytes(copied),
        })
    });
    let group = Group {
        heading: None,
        bars: bars.collect(),
    };
    let (name, data) = match contents {
        Contents::Ints => ("copied-ints", "integers"),
        Contents::Bitarrays => ("copied-bitarrays", "bitarrays"),
    };
    let title = format!(
        "Bytes that a child copied of {} of {data}",
        bytes(first.size_bytes)
    );
    let note = format!(
        "beyond a child that got nothing; the child with the most; CPython {}",
        clean(&run.python.version)
    );
    let bars = (vec![group], left_out);
    chart(charts, Kind::Copied, name, (title, note), bars)
}

/// A bar a visit of the newest interpreter.
pub fn time(report: &Report, charts: &mut Charts) -> Result<(), Error> {
    let Some(run) = report.newest(|run| !run.measurements.is_empty()) else {
        return Ok(());
    };
    let bars = of_visits(run, MOST_TIMES, |measurement| {
        let summary = measurement.summary(run.environment.page_size_bytes)?;
        let seconds = *summary.seconds.end();
        // A visit that does nothing takes no time worth a bar.
        (measurement.visit != "idle").then(|| (seconds, [0.0; 2], numbers::time(seconds)))
    });
    let recorded = match run.measurements.iter().any(Measurement::has_causes) {
        true => "while page faults were recorded, which takes time too",
        false => "nothing was recorded meanwhile",
    };
    let note = format!(
        "the slowest child, {recorded}; CPython {}",
        clean(&run.python.version)
    );
    let title = "How long a visit took".to_owned();
    chart(charts, Kind::Time, "time", (title, note), bars)
}

/// The first visits of a run, at most so many, by how the data was shared; and how many are left out. What a run is about
/// comes first in it.
fn of_visits(
    run: &Run,
    most: usize,
    bar: impl Fn(&Measurement) -> Option<(f64, [f64; 2], String)>,
) -> Bars {
    let datasets = datasets(run.measurements.iter());
    let mut namesakes: HashMap<_, usize> = HashMap::new();
    for dataset in &datasets {
        *namesakes
            .entry((&dataset[0].fixture, &dataset[0].prepare))
            .or_default() += 1;
    }
    let mut groups: Vec<Group> = Vec::new();
    let (mut shown, mut left_out) = (0, 0);
    for dataset in &datasets {
        let first = dataset[0];
        let alone = namesakes[&(&first.fixture, &first.prepare)] == 1;
        for measurement in dataset {
            let Some((value, more, figure)) = bar(measurement) else {
                continue;
            };
            if shown == most {
                left_out += 1;
                continue;
            }
            shown += 1;
            let mut name = format!("{}: {}", measurement.visit, first.data());
            // The size tells apart what else has the same name.
            if let (false, Some(made_of)) = (alone, made_of(first)) {
                name += &format!(", {made_of}");
            }
            let bar = Bar {
                name: clean(&name),
                value,
                more,
                figure,
            };
            let heading = Some(clean(&format!("shared by {}", first.sharing)));
            match groups.iter_mut().find(|group| group.heading == heading) {
                Some(group) => group.bars.push(bar),
                None => groups.push(Group {
                    heading,
                    bars: vec![bar],
                }),
            }
        }
    }
    (groups, left_out)
}

fn chart(
    charts: &mut Charts,
    kind: Kind,
    name: &str,
    (title, note): (String, String),
    (groups, left_out): Bars,
) -> Result<(), Error> {
    if groups.iter().all(|group| group.bars.is_empty()) {
        return Ok(());
    }
    let mut notes = vec![note.clone()];
    if left_out > 0 {
        notes.push(format!("left out: {}", count(left_out as u64)));
    }
    let all = || groups.iter().flat_map(|group| &group.bars);
    let figures: Vec<String> = all()
        .map(|bar| format!("{} {}", bar.name, clean(&bar.figure)))
        .collect();
    let alt = format!("{title} ({}): {}.", notes.join("; "), listed(figures));
    charts.add(kind, name, title, alt, |title, alt| {
        let mut sketch = Sketch::default();
        let mut top = head(&mut sketch, title, &notes);
        let figure_room = all()
            .map(|bar| width(&fit(&bar.figure, FIGURES, TEXT), TEXT))
            .max();
        let name_room = all()
            .map(|bar| width(&fit(&bar.name, NAMES, TEXT), TEXT))
            .max();
        let (figure_room, name_room) = (figure_room.unwrap_or(0), name_room.unwrap_or(0));
        let left = MARGIN + name_room + 10;
        let room = WIDTH - MARGIN - figure_room - 8 - left;
        let largest = all().map(Bar::whole).filter(|value| value.is_finite());
        let largest = largest.fold(0.0, f64::max);
        for group in &groups {
            if let Some(heading) = &group.heading {
                let heading = fit(heading, WIDTH - 2 * MARGIN, HEADING);
                sketch.text(
                    (MARGIN, top + 8),
                    heading,
                    HEADING,
                    Anchor::Start,
                    theme::INK,
                );
                top += ROW;
            }
            let first = top;
            for bar in &group.bars {
                let middle = top + ROW / 2;
                let name = fit(&bar.name, NAMES, TEXT);
                sketch.text((left - 10, middle), name, TEXT, Anchor::End, theme::INK);
                let mut long = 0;
                let parts = [bar.value, bar.more[0], bar.more[1]];
                for (value, colour) in parts
                    .into_iter()
                    .zip([theme::BAR, theme::NEW, theme::FILES])
                {
                    let part = length(value, largest, room, room - long);
                    if part > 0 {
                        sketch.area(left + long, middle - BAR / 2, part, BAR, colour);
                        long += part;
                    }
                }
                let figure = fit(&bar.figure, FIGURES, TEXT);
                sketch.text(
                    (left + long + 6, middle),
                    figure,
                    TEXT,
                    Anchor::Start,
                    theme::INK,
                );
                top += ROW;
            }
            sketch.path(vec![(left, first), (left, top)], 1, theme::MUTED);
            top += 8;
        }
        sketch.finish(top + MARGIN - 4, title, alt)
    })
}

/// What is something has a bar that can be seen.
fn length(value: f64, largest: f64, whole: i32, room: i32) -> i32 {
    match value.is_finite() && value > 0.0 && room > 0 {
        true => ((value / largest * f64::from(whole)).round() as i32).clamp(1, room),
        false => 0,
    }
}
