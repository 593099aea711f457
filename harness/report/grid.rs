//! The same rows for every kind of table: a grid a dataset; side by side its visits, or the interpreters of a report.

use super::columns::Columns;
use super::labels;
use crate::model::{Cause, Measurement, RegionName, Report, Run, Summary, datasets};
use crate::numbers::{bytes, count, share, signed, spread, time};

/// One table.
pub struct Grid {
    /// What was measured, and how it was shared.
    pub title: String,
    /// How much of it, by whom.
    pub subtitle: String,
    /// Two columns that say what a row is, then the visits or the interpreters.
    pub columns: Columns,
}

/// Columns in front of the visits or interpreters.
const LEADING: usize = 2;

/// The grids of a report: of one interpreter a column a visit, of several a column an interpreter.
pub fn grids(report: &Report) -> Vec<Grid> {
    match &report.runs[..] {
        [run] => of_run(run),
        _ => side_by_side(report),
    }
}

/// One grid for each sequence of measurements of the same data, in their order.
fn of_run(run: &Run) -> Vec<Grid> {
    let page_size = run.environment.page_size_bytes;
    run.measurements
        .chunk_by(same_data)
        .filter_map(|group| {
            let summaries: Option<Vec<_>> = group
                .iter()
                .map(|measurement| measurement.summary(page_size))
                .collect();
            summaries.map(|summaries| grid(&run.python.version, group, &summaries))
        })
        .collect()
}

pub(super) fn same_data(one: &Measurement, other: &Measurement) -> bool {
    (&one.fixture, &one.prepare, &one.sharing) == (&other.fixture, &other.prepare, &other.sharing)
        && one.children.len() == other.children.len()
        && one.made_with() == other.made_with()
}

/// One grid for each dataset that any of the interpreters visited.
fn side_by_side(report: &Report) -> Vec<Grid> {
    datasets(report.runs.iter().flat_map(|run| &run.measurements))
        .into_iter()
        .map(|dataset| columns_of_runs(report, dataset[0]))
        .collect()
}

fn columns_of_runs(report: &Report, data: &Measurement) -> Grid {
    let of_data = || {
        let all = report.runs.iter().flat_map(|run| &run.measurements);
        all.filter(|one| same_data(one, data))
    };
    let mut visits: Vec<&str> = Vec::new();
    for measurement in of_data() {
        if !visits.contains(&&measurement.visit[..]) {
            visits.push(&measurement.visit);
        }
    }
    let summary = |run: &Run, visit: &str| {
        let mut all = run.measurements.iter();
        let found = all.find(|one| same_data(one, data) && one.visit == visit)?;
        found.summary(run.environment.page_size_bytes)
    };
    let by_visit: Vec<(&str, Vec<Option<Summary>>)> = visits
        .into_iter()
        .map(|visit| {
            let of_runs = report.runs.iter().map(|run| summary(run, visit));
            (visit, of_runs.collect())
        })
        .collect();
    let of_region = |summary: &Summary, name: RegionName| {
        let region = summary.regions.iter().find(|region| region.name == name);
        region.cloned()
    };
    let there: Vec<RegionName> = RegionName::ALL
        .into_iter()
        .filter(|name| {
            let mut all = by_visit
                .iter()
                .flat_map(|(_, summaries)| summaries)
                .flatten();
            all.any(|summary| of_region(summary, *name).is_some())
        })
        .collect();

    let mut rows = Vec::new();
    for (index, name) in there.iter().enumerate() {
        let first = if index == 0 { "shared before" } else { "" };
        let mut row = vec![first.to_owned(), name.as_str().to_owned()];
        for place in 0..report.runs.len() {
            let pages = by_visit
                .iter()
                .filter_map(|(_, summaries)| of_region(summaries[place].as_ref()?, *name))
                .map(|region| region.pages)
                .reduce(|one, other| *one.start().min(other.start())..=*one.end().max(other.end()));
            row.push(pages.map_or_else(String::new, |pages| spread(&pages, count)));
        }
        rows.push(row);
    }
    for (visit, summaries) in &by_visit {
        let mut row = |first: &str, name: &str, cell: &dyn Fn(&Summary) -> String| {
            let mut row = vec![first.to_owned(), name.to_owned()];
            let cells = summaries.iter();
            row.extend(cells.map(|summary| summary.as_ref().map_or_else(String::new, cell)));
            rows.push(row);
        };
        row("", "", &|_| String::new());
        for (index, name) in there.iter().enumerate() {
            let first = if index == 0 { visit } else { "" };
            row(first, name.as_str(), &|summary| {
                of_region(summary, *name)
                    .map_or_else(|| "0".into(), |region| spread(&region.unshared, count))
            });
        }
        row("", "identical", &|summary| {
            let identical = summary.identical.as_ref();
            identical.map_or_else(|| "unknown".into(), |identical| spread(identical, count))
        });
        row("", "copied", &|summary| bytes(*summary.copied_bytes.end()));
        row("", "slowest", &|summary| time(*summary.seconds.end()));
    }
    let mut header = vec!["unshared pages".to_owned(), String::new()];
    header.extend(labels(report));
    let children = data.children.len();
    Grid {
        title: format!("{}, shared by {}", data.data(), data.sharing),
        subtitle: format!(
            "{}{}",
            made_of(data).map_or_else(String::new, |words| format!("{words}; ")),
            if children == 1 {
                "1 child of each CPython".into()
            } else {
                format!("{children} children of each CPython")
            },
        ),
        columns: Columns {
            numbers: LEADING..header.len(),
            leading: LEADING,
            header,
            rows,
        },
    }
}

/// What the data was made with, if anything is known of it.
pub(super) fn made_of(measurement: &Measurement) -> Option<String> {
    let a_list = match measurement.parameters.is_empty() && measurement.arguments.is_empty() {
        true => " a list",
        false => "",
    };
    let words = measurement.made_of(|number| count(*number), |size| bytes(*size));
    match (measurement.count, measurement.item_bytes) {
        (Some(_), Some(_)) => Some(words + a_list),
        _ => Some(words).filter(|words| !words.is_empty()),
    }
}

fn grid(version: &str, group: &[Measurement], summaries: &[Summary]) -> Grid {
    let first = &group[0];
    let children = first.children.len();
    let dataset = summaries.iter().map(|summary| summary.dataset_bytes).max();
    let title = format!("{}, shared by {}", first.data(), first.sharing);
    let subtitle = format!(
        "{} in pages{}; {} of CPython {}",
        bytes(dataset.unwrap_or(0)),
        made_of(first).map_or_else(String::new, |words| format!(": {words}")),
        if children == 1 {
            "1 child".into()
        } else {
            format!("{children} children")
        },
        version,
    );
    let mut header = vec!["unshared pages".to_owned(), "of".to_owned()];
    header.extend(group.iter().map(|measurement| measurement.visit.clone()));

    let mut rows = Vec::new();
    let mut row = |name: &str, of: String, cell: &dyn Fn(&Summary) -> String| {
        let mut row = vec![name.to_owned(), of];
        row.extend(summaries.iter().map(cell));
        rows.push(row);
    };
    for name in RegionName::ALL {
        let find = |summary: &Summary| {
            let region = summary.regions.iter().find(|region| region.name == name);
            region.cloned()
        };
        let pages = summaries.iter().filter_map(find).map(|region| region.pages);
        let Some(pages) = pages
            .reduce(|one, other| *one.start().min(other.start())..=*one.end().max(other.end()))
        else {
            continue;
        };
        row(name.as_str(), spread(&pages, count), &|summary| {
            find(summary).map_or_else(|| "0".into(), |region| spread(&region.unshared, count))
        });
        for cause in Cause::ALL {
            let pages = |summary: &Summary| {
                let causes = find(summary)?.causes?;
                let found = causes.into_iter().find(|(known, _)| *known == cause);
                found.map(|(_, pages)| pages)
            };
            if summaries.iter().any(|summary| pages(summary).is_some()) {
                let name = format!("  {}", cause.as_str());
                row(&name, String::new(), &|summary| match pages(summary) {
                    Some(pages) => spread(&pages, count),
                    None if find(summary).is_some_and(|region| region.causes.is_none()) => {
                        "unknown".into()
                    }
                    None => "0".into(),
                });
            }
        }
    }
    row("identical copies", String::new(), &|summary| {
        let identical = summary.identical.as_ref();
        identical.map_or_else(|| "unknown".into(), |identical| spread(identical, count))
    });
    row("copied by a child", String::new(), &|summary| {
        spread(&summary.copied_bytes, bytes)
    });
    row("copied by all", String::new(), &|summary| {
        bytes(summary.copied_bytes_all)
    });
    row("share of the data", String::new(), &|summary| {
        let copied = summary.copied_share.as_ref();
        copied.map_or_else(String::new, |copied| spread(copied, share))
    });
    row("page faults − copies", String::new(), &|summary| {
        spread(&summary.faults_minus_unshared, signed)
    });
    row("USS growth − copies", String::new(), &|summary| {
        let uss = summary.uss_pages_minus_unshared.as_ref();
        uss.map_or_else(|| "unknown".into(), |uss| spread(uss, signed))
    });
    // Recording takes time of the child's own.
    let recorded = group.iter().any(|one| one.has_causes());
    let slowest = match recorded {
        true => "time while recorded",
        false => "time, slowest child",
    };
    row(slowest, String::new(), &|summary| {
        time(*summary.seconds.end())
    });
    Grid {
        title,
        subtitle,
        columns: Columns {
            // The second says of how many pages.
            numbers: 1..header.len(),
            leading: LEADING,
            header,
            rows,
        },
    }
}
