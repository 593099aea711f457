//! The same rows for every kind of table: a grid a dataset; side by side its visits, or the
//! interpreters of a report.

use super::columns::Columns;
use super::labels::labels;
use refcow_model::numbers::{bytes, count, share, signed_bytes, spread, time};
use refcow_model::{
    Cause, Measurement, RegionName, RegionSummary, Report, Run, SMALLEST_WHOLE_BYTES, Spread,
    Summary, datasets, is_noise,
};

/// One table.
pub(crate) struct Grid {
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
pub(crate) fn grids(report: &Report) -> Vec<Grid> {
    match &report.runs[..] {
        [run] => of_run(run),
        _ => side_by_side(report),
    }
}

/// One grid for each sequence of measurements of the same data, in their order.
fn of_run(run: &Run) -> Vec<Grid> {
    let page_size = run.environment.page_size_bytes;
    run.measurements
        .chunk_by(Measurement::has_data_of)
        .filter_map(|group| {
            let columns: Option<Vec<_>> = group
                .iter()
                .map(|measurement| VisitColumn::of(measurement, page_size))
                .collect();
            columns.map(|columns| grid(&run.python.version, &columns))
        })
        .collect()
}

/// A visit, with what it comes to.
struct VisitColumn<'a> {
    measurement: &'a Measurement,
    summary: Summary,
}

impl<'a> VisitColumn<'a> {
    fn of(measurement: &'a Measurement, page_size: u64) -> Option<Self> {
        let summary = measurement.summary(page_size)?;
        Some(Self {
            measurement,
            summary,
        })
    }

    /// The visit of this name of such data.
    fn find(run: &'a Run, data: &Measurement, visit: &str) -> Option<Self> {
        let mut all = run.measurements.iter();
        let found = all.find(|one| one.has_data_of(data) && one.visit == visit)?;
        Self::of(found, run.environment.page_size_bytes)
    }

    fn region(&self, name: RegionName) -> Option<&RegionSummary> {
        let mut regions = self.summary.regions.iter();
        regions.find(|region| region.name == name)
    }
}

/// A row of the table: a region, or several of the process around the data of which hardly anything
/// was copied.
struct RegionRow(Vec<RegionName>);

impl RegionRow {
    fn name(&self) -> &'static str {
        match &self.0[..] {
            [one] => one.as_str(),
            _ => RegionName::Rest.as_str(),
        }
    }

    fn of(&self, column: &VisitColumn<'_>) -> Option<RegionSummary> {
        match &self.0[..] {
            [one] => column.region(*one).cloned(),
            several => column.measurement.together(several),
        }
    }
}

/// The rows of these visits. Together they are all regions, so that they add up.
fn parts<'a>(columns: impl Iterator<Item = &'a VisitColumn<'a>> + Clone) -> Vec<RegionRow> {
    let there = RegionName::ALL.into_iter().filter(|name| {
        let mut columns = columns.clone();
        columns.any(|column| column.region(*name).is_some())
    });
    let told = |name: RegionName| {
        let mut copied = columns
            .clone()
            .filter_map(|column| column.region(name))
            .map(|region| *region.unshared.end());
        name.is_data() || name != RegionName::Rest && copied.any(|pages| !is_noise(pages))
    };
    let (told, others): (Vec<_>, Vec<_>) = there.partition(|name| told(*name));
    let mut parts: Vec<_> = told.into_iter().map(|name| RegionRow(vec![name])).collect();
    if !others.is_empty() {
        parts.push(RegionRow(others));
    }
    parts
}

/// The name of the row of those pages of a part that were copied for neighbours, if any were.
fn edge<'a>(
    part: &RegionRow,
    mut columns: impl Iterator<Item = &'a VisitColumn<'a>>,
) -> Option<String> {
    let any = columns.any(|column| part.of(column).is_some_and(|region| *region.edge.end() > 0));
    any.then(|| format!("edge of {}", part.name()))
}

fn at_edge(part: &RegionRow, column: &VisitColumn<'_>) -> String {
    let region = part.of(column);
    region.map_or_else(|| "0".into(), |region| spread(&region.edge, count))
}

fn wider(one: Spread<u64>, other: Spread<u64>) -> Spread<u64> {
    *one.start().min(other.start())..=*one.end().max(other.end())
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
        all.filter(|one| one.has_data_of(data))
    };
    let mut visits: Vec<&str> = Vec::new();
    for measurement in of_data() {
        if !visits.contains(&&measurement.visit[..]) {
            visits.push(&measurement.visit);
        }
    }
    let by_visit: Vec<(&str, Vec<Option<VisitColumn<'_>>>)> = visits
        .into_iter()
        .map(|visit| {
            let of_runs = report
                .runs
                .iter()
                .map(|run| VisitColumn::find(run, data, visit));
            (visit, of_runs.collect())
        })
        .collect();
    let columns = || by_visit.iter().flat_map(|(_, columns)| columns).flatten();
    let parts = parts(columns());

    let mut rows = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let first = if index == 0 { "shared before" } else { "" };
        let mut row = vec![first.to_owned(), part.name().to_owned()];
        for place in 0..report.runs.len() {
            let pages = by_visit
                .iter()
                .filter_map(|(_, columns)| part.of(columns[place].as_ref()?))
                .map(|region| region.pages)
                .reduce(wider);
            row.push(pages.map_or_else(String::new, |pages| spread(&pages, count)));
        }
        rows.push(row);
    }
    for (visit, columns) in &by_visit {
        let mut row = |first: &str, name: &str, cell: &dyn Fn(&VisitColumn<'_>) -> String| {
            let mut row = vec![first.to_owned(), name.to_owned()];
            let cells = columns.iter();
            row.extend(cells.map(|column| column.as_ref().map_or_else(String::new, cell)));
            rows.push(row);
        };
        row("", "", &|_| String::new());
        for (index, part) in parts.iter().enumerate() {
            let first = if index == 0 { visit } else { "" };
            row(first, part.name(), &|column| {
                let region = part.of(column);
                region.map_or_else(|| "0".into(), |region| spread(&region.own, count))
            });
            if let Some(name) = edge(part, columns.iter().flatten()) {
                row("", &name, &|column| at_edge(part, column));
            }
        }
        row("", "identical", &|column| {
            let identical = column.summary.identical.as_ref();
            identical.map_or_else(|| "unknown".into(), |identical| spread(identical, count))
        });
        row("", "copied", &|column| {
            bytes(*column.summary.copied_bytes.end())
        });
        type PageFigure = fn(&Summary) -> Option<u64>;
        let others: [(&str, PageFigure); 4] = [
            ("new", |one| Some(*one.new_bytes.as_ref()?.end())),
            ("files", |one| Some(*one.file_bytes.as_ref()?.end())),
            ("together", |one| Some(*one.sum_bytes.as_ref()?.end())),
            ("peak, at least", |one| {
                Some(*one.peak_bytes.as_ref()?.end())
            }),
        ];
        for (name, figure) in others {
            let of = |column: &VisitColumn<'_>| figure(&column.summary);
            if columns.iter().flatten().any(|column| of(column).is_some()) {
                row("", name, &|column| {
                    of(column).map_or_else(|| "unknown".into(), bytes)
                });
            }
        }
        row("", "slowest", &|column| time(*column.summary.seconds.end()));
    }
    let mut header = vec!["copied pages".to_owned(), String::new()];
    header.extend(labels(report));
    let children = data.children.len();
    Grid {
        title: format!("{}, shared by {}", data.data(), data.sharing),
        subtitle: format!(
            "{}{}",
            made_of(data).map_or_else(String::new, |words| format!("{words}; ")),
            if children == 1 {
                "1 worker of each CPython".into()
            } else {
                format!("{children} workers of each CPython")
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

/// A figure of a visit, over all children, in words; `None` where it is not known.
type FigureText = fn(&Summary) -> Option<String>;

/// What a visit cost a child.
const COSTS: [(&str, FigureText); 7] = [
    ("copied", |one| Some(spread(&one.copied_bytes, bytes))),
    ("new", |one| Some(spread(one.new_bytes.as_ref()?, bytes))),
    ("files mapped", |one| {
        Some(spread(one.file_bytes.as_ref()?, bytes))
    }),
    ("together", |one| {
        Some(spread(one.sum_bytes.as_ref()?, bytes))
    }),
    ("growth of USS", |one| {
        Some(spread(one.uss_growth_bytes.as_ref()?, signed_bytes))
    }),
    ("peak, at least", |one| {
        Some(spread(one.peak_bytes.as_ref()?, bytes))
    }),
    ("copied by all workers", |one| {
        Some(bytes(one.copied_bytes_all))
    }),
];

fn grid(version: &str, columns: &[VisitColumn<'_>]) -> Grid {
    let first = columns[0].measurement;
    let children = first.children.len();
    let dataset = columns.iter().map(|column| column.summary.dataset_bytes);
    let title = format!("{}, shared by {}", first.data(), first.sharing);
    let subtitle = format!(
        "{} in pages{}; {} of CPython {}",
        bytes(dataset.max().unwrap_or(0)),
        made_of(first).map_or_else(String::new, |words| format!(": {words}")),
        if children == 1 {
            "1 worker".into()
        } else {
            format!("{children} workers")
        },
        version,
    );
    let mut header = vec!["each worker".to_owned(), String::new()];
    header.extend(
        columns
            .iter()
            .map(|column| column.measurement.visit.clone()),
    );

    let mut rows = Vec::new();
    let mut row = |name: &str, of: String, cell: &dyn Fn(&VisitColumn<'_>) -> String| {
        let mut row = vec![name.to_owned(), of];
        row.extend(columns.iter().map(cell));
        rows.push(row);
    };
    let unknown = || "unknown".to_owned();
    for (name, words) in COSTS {
        let is_one = name == "copied by all workers" && children == 1;
        if !is_one && columns.iter().any(|one| words(&one.summary).is_some()) {
            row(name, String::new(), &|one| {
                words(&one.summary).unwrap_or_else(unknown)
            });
        }
    }
    let part = |one: &VisitColumn<'_>| {
        let told = one.summary.dataset_bytes >= SMALLEST_WHOLE_BYTES;
        let copied = one.summary.copied_share.as_ref().filter(|_| told)?;
        Some(spread(copied, share))
    };
    if columns.iter().any(|one| part(one).is_some()) {
        row("part of the data", String::new(), &|one| {
            part(one).unwrap_or_default()
        });
    }
    // Recording takes time of the child's own.
    let recorded = columns.iter().any(|one| one.measurement.has_causes());
    let slowest = match recorded {
        true => "time while recorded",
        false => "time, slowest worker",
    };
    row(slowest, String::new(), &|one| {
        time(*one.summary.seconds.end())
    });
    row("", String::new(), &|_| String::new());
    row("copied pages", "of".to_owned(), &|_| String::new());
    for part in parts(columns.iter()) {
        let pages = columns.iter().filter_map(|one| part.of(one));
        let Some(pages) = pages.map(|region| region.pages).reduce(wider) else {
            continue;
        };
        row(part.name(), spread(&pages, count), &|one| {
            let region = part.of(one);
            region.map_or_else(|| "0".into(), |region| spread(&region.own, count))
        });
        for cause in Cause::ALL {
            let pages = |one: &VisitColumn<'_>| {
                let causes = part.of(one)?.causes?;
                let found = causes.into_iter().find(|(known, _)| *known == cause);
                found.map(|(_, pages)| pages)
            };
            let worth_it = |pages: Spread<u64>| !is_noise(*pages.end());
            if columns.iter().any(|one| pages(one).is_some_and(worth_it)) {
                let name = format!("  {}", cause.as_str());
                row(&name, String::new(), &|one| match pages(one) {
                    Some(pages) => spread(&pages, count),
                    None if part.of(one).is_some_and(|region| region.causes.is_none()) => unknown(),
                    None => "0".into(),
                });
            }
        }
        if let Some(name) = edge(&part, columns.iter()) {
            row(&name, String::new(), &|one| at_edge(&part, one));
        }
    }
    row("identical copies", String::new(), &|one| {
        let identical = one.summary.identical.as_ref();
        identical.map_or_else(unknown, |identical| spread(identical, count))
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
