//! What each visit cost: bytes as bars, time as dots.

use super::bars::{BarGroup, BarMark, BarRow, PARTS, chart};
use super::chart::{ChartKind, Charts};
use super::dataset::{ChartedDataset, idle_left_out, newest_datasets, python};
use crate::error::Error;
use refcow_model::numbers::{self, bytes};
use refcow_model::{Measurement, Report, Run};

/// What children copied, made and mapped in all visits.
pub(super) fn copied(report: &Report, charts: &mut Charts) -> Result<(), Error> {
    let all = newest_datasets(report, |one| !one.children.is_empty());
    let (groups, idle) = of_visits(all, report, |run, measurement| {
        let cost = measurement.cost(run.environment.page_size_bytes)?.bytes;
        let parts = [Some(cost.copied), cost.new, cost.file];
        let figures = parts.iter().zip(PARTS).filter_map(|(size, (_, name))| {
            // What was not copied is said, too.
            let worth_it = |size: &u64| *size > 0 || name == "copied";
            size.filter(worth_it).map(|size| match name {
                "copied" => bytes(size),
                _ => format!("{} {name}", bytes(size)),
            })
        });
        let figure = figures.collect::<Vec<_>>().join(" + ");
        let parts = parts.map(|size| size.unwrap_or(0) as f64);
        Some((BarMark::Bar(parts), figure))
    });
    let made = groups
        .iter()
        .flat_map(|group| &group.rows)
        .any(|row| match row.mark {
            BarMark::Bar([_, new, files]) => new > 0.0 || files > 0.0,
            BarMark::Dot(..) => false,
        });
    let title = match made {
        false => "Bytes that a child copied",
        true => "Bytes that a child copied, made and mapped",
    };
    let mut notes = vec![format!(
        "the child that paid most, all regions{}",
        with_python(report)
    )];
    notes.extend(idle_left_out(idle));
    chart(charts, ChartKind::Copied, "copied", (title, notes), groups)
}

/// A row a visit of each dataset.
pub(super) fn time(report: &Report, charts: &mut Charts) -> Result<(), Error> {
    let all = newest_datasets(report, |one| !one.children.is_empty());
    let measured = || report.runs.iter().flat_map(|run| &run.measurements);
    let recorded = match measured().any(Measurement::has_causes) {
        true => "while page faults were recorded, which adds time",
        false => "nothing was recorded at the same time",
    };
    let (groups, idle) = of_visits(all, report, |run, measurement| {
        let summary = measurement.summary(run.environment.page_size_bytes)?;
        let (least, most) = summary.seconds.into_inner();
        Some((BarMark::Dot(least, most), numbers::time(most)))
    });
    let mut notes = vec![format!(
        "logarithmic axis: each mark is ten times the one before; the dot is the slowest child, its line begins \
         at the fastest; {recorded}{}",
        with_python(report)
    )];
    notes.extend(idle_left_out(idle));
    let title = "How long a visit took";
    chart(charts, ChartKind::Time, "time", (title, notes), groups)
}

/// The interpreter of a chart, where there is one; else each dataset says its own.
fn with_python(report: &Report) -> String {
    match &report.runs[..] {
        [run] => format!("; {}", python(run, report)),
        _ => String::new(),
    }
}

/// A group a dataset, and whether there were visits that do nothing besides.
fn of_visits(
    datasets: Vec<ChartedDataset<'_>>,
    report: &Report,
    row: impl Fn(&Run, &Measurement) -> Option<(BarMark, String)>,
) -> (Vec<BarGroup>, bool) {
    let mut idle = false;
    let mut groups = Vec::new();
    for mut dataset in datasets {
        idle |= dataset.without_idle();
        let rows = dataset.visits.iter().filter_map(|measurement| {
            let (mark, figure) = row(dataset.run, measurement)?;
            Some(BarRow {
                name: measurement.visit.clone(),
                mark,
                figure,
            })
        });
        let rows: Vec<BarRow> = rows.collect();
        let version = &dataset.run.python.version;
        let heading = match report.runs.len() {
            1 => dataset.title(),
            _ => format!("{}; CPython {version}", dataset.title()),
        };
        if !rows.is_empty() {
            groups.push(BarGroup { heading, rows });
        }
    }
    (groups, idle)
}
