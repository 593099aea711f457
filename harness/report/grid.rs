//! The same rows for every kind of table: a grid a dataset, its visits side by side.

use crate::model::{Measurement, Report, Summary};
use crate::numbers::{bytes, count, share, signed, spread, time};

/// One table.
pub struct Grid {
    /// What was measured, and how it was shared.
    pub title: String,
    /// How much of it, by whom.
    pub subtitle: String,
    /// The row of names: two columns that say what a row is, then the visits.
    pub header: Vec<String>,
    /// The rows, as long as the header.
    pub rows: Vec<Vec<String>>,
}

impl Grid {
    /// Columns in front of the visits.
    pub const LEADING: usize = 2;
}

/// One grid for each run of measurements of the same data, in their order.
pub fn grids(report: &Report) -> Vec<Grid> {
    let page_size = report.environment.page_size_bytes;
    report
        .measurements
        .chunk_by(same_data)
        .filter_map(|group| {
            let summaries: Option<Vec<_>> = group
                .iter()
                .map(|measurement| measurement.summary(page_size))
                .collect();
            summaries.map(|summaries| grid(group, &summaries))
        })
        .collect()
}

fn same_data(one: &Measurement, other: &Measurement) -> bool {
    let key = |measurement: &Measurement| {
        (
            measurement.fixture.clone(),
            measurement.prepare.clone(),
            measurement.sharing.clone(),
            measurement.count,
            measurement.item_bytes,
            measurement.python.clone(),
            measurement.children.len(),
        )
    };
    key(one) == key(other)
}

fn grid(group: &[Measurement], summaries: &[Summary]) -> Grid {
    let first = &group[0];
    let children = first.children.len();
    let dataset = summaries.iter().map(|summary| summary.dataset_bytes).max();
    let title = format!("{}, shared by {}", first.data(), first.sharing);
    let subtitle = format!(
        "{} in pages: {} × {} a list; {} of CPython {}",
        bytes(dataset.unwrap_or(0)),
        count(first.count),
        bytes(first.item_bytes),
        if children == 1 {
            "1 child".into()
        } else {
            format!("{children} children")
        },
        first.python.version,
    );
    let mut header = vec!["unshared pages".to_owned(), "of".to_owned()];
    header.extend(group.iter().map(|measurement| measurement.visit.clone()));

    let mut rows = Vec::new();
    let mut row = |name: &str, of: String, cell: &dyn Fn(&Summary) -> String| {
        let mut row = vec![name.to_owned(), of];
        row.extend(summaries.iter().map(cell));
        rows.push(row);
    };
    for name in crate::model::RegionName::ALL {
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
    row("time, slowest child", String::new(), &|summary| {
        time(*summary.seconds.end())
    });
    Grid {
        title,
        subtitle,
        header,
        rows,
    }
}
