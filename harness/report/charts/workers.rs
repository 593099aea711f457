//! Memory of all processes against the number of workers, by each way to share: points that were measured, and beyond them a
//! line that was not.

use super::chart::{ChartKind, Charts, head};
use super::memory::{Axes, MemoryLine, field};
use super::sketch::Sketch;
use super::text::distinct;
use super::theme;
use crate::error::Error;
use crate::own_data::label;
use refcow_model::numbers::{bytes, count};
use refcow_model::workers::WorkersLine;
use refcow_model::{OwnData, OwnDataWay, Report};

/// Lines of a chart.
const LINES: usize = theme::LINES.len();
/// Marks of the axis of workers.
const MARKS: u64 = 12;

const WORKERS: Axes = Axes {
    name: "workers",
    step: |workers| workers.div_ceil(MARKS),
    mark: count,
    memory: |value| bytes(value.max(0.0) as u64),
};

/// A chart for each data of which several numbers of workers were measured, or several where there are many ways.
pub(super) fn draw(report: &Report, charts: &mut Charts) -> Result<(), Error> {
    for run in &report.runs {
        for data in &run.own_data {
            let ways = data.by_way();
            let lines = ways.iter().map(|way| (way[0], WorkersLine::of(way)));
            let lines: Vec<(&OwnDataWay, WorkersLine)> =
                lines.filter_map(|(way, line)| Some((way, line?))).collect();
            for part in lines.chunks(LINES) {
                chart(data, &run.python.version, part, charts)?;
            }
        }
    }
    Ok(())
}

fn chart(
    data: &OwnData,
    version: &str,
    lines: &[(&OwnDataWay, WorkersLine)],
    charts: &mut Charts,
) -> Result<(), Error> {
    let labels: Vec<String> = lines.iter().map(|(way, _)| label(data, way)).collect();
    let names = distinct(labels.iter().map(|label| &label[..]));
    let mut drawn = Vec::new();
    for (((_, line), name), colour) in lines.iter().zip(names).zip(theme::LINES) {
        let (most, last) = line.points[line.points.len() - 1];
        let beyond = line.beyond();
        let kept = line.kept_back.map_or_else(
            || "no point was kept back".to_owned(),
            |kept| {
                let error = format!("{:.1} %", kept.error * 100.0).replace('-', "−");
                format!("off by {error} at {}", count(kept.workers))
            },
        );
        drawn.push(MemoryLine {
            name,
            figures: vec![
                bytes(last),
                format!(
                    "about {} with {}, {kept}",
                    bytes(line.at(beyond)),
                    count(beyond)
                ),
            ],
            colour,
            points: line
                .points
                .iter()
                .map(|(workers, bytes)| (*workers, *bytes as f64))
                .collect(),
            supposed: vec![(most, last as f64), (beyond, line.at(beyond) as f64)],
        });
    }
    let title = format!("Memory against workers: {}", data.name());
    let notes = vec![
        format!(
            "dots: measured, parent, workers and helpers together, page tables included; CPython {version}"
        ),
        "broken lines: not measured, but drawn on by a straight line through the dots; its error is at the last dot, had it \
         not known of that one"
            .to_owned(),
    ];
    let words = |line: &MemoryLine| format!("{}: {}", line.name, line.figures.join(", "));
    let words: Vec<String> = drawn.iter().map(words).collect();
    let alt = format!("{title} ({}). {}.", notes.join("; "), words.join("; "));
    let name = format!("workers-{}-{}", data.fixture, data.visit);
    charts.add(ChartKind::Workers, &name, title, alt, |title, alt| {
        let mut sketch = Sketch::default();
        let top = head(&mut sketch, title, &notes) + 8;
        let bottom = field(&mut sketch, top, &drawn, &WORKERS);
        sketch.finish(bottom, title, alt)
    })
}
