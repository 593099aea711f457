//! The files of a report's folder.

use refcow_model::Report;

use super::error::Error;
use super::html::{render_html, render_page_markdown};
use super::{charts, csv, json, own_data_csv};

/// The document in the folder of a report.
pub const DOCUMENT: &str = "run.json";

/// The names in the folder of a report, but for those in [`CHARTS`].
const FILES: [&str; 11] = [
    "index.html",
    "report.md",
    DOCUMENT,
    "pages.csv",
    "times.csv",
    "claims.csv",
    "ways.csv",
    "causes.csv",
    "processes.csv",
    "preloading.csv",
    "moments.csv",
];

/// The folder of charts in it.
pub const CHARTS: &str = "charts";

/// Whether a file of a report's folder may have this path in it.
pub fn is_file(path: &str) -> bool {
    match path
        .strip_prefix(CHARTS)
        .and_then(|path| path.strip_prefix('/'))
    {
        Some(name) => ["svg", "png"].iter().any(|end| is_picture(name, end)),
        None => FILES.contains(&path),
    }
}

/// Whether a chart's file may have this name, with this end.
pub fn is_picture(name: &str, end: &str) -> bool {
    let stem = name
        .strip_suffix(end)
        .and_then(|name| name.strip_suffix('.'));
    stem.is_some_and(charts::is_name)
}

/// All files of a report, by their paths in its folder, the document last: the page, the same in
/// Markdown, the document, the tables for programs, and each chart as SVG and as PNG. `claims.csv`
/// is there if there are verdicts, `ways.csv` if data reached workers by each way.
///
/// # Errors
/// As [`crate::render`].
pub fn all(report: &Report) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let charts = charts::charts(report)?;
    let mut files = vec![
        ("index.html", render_html(report, &charts)?),
        ("report.md", render_page_markdown(report, &charts)?),
        ("pages.csv", csv::render_pages(report)?),
        ("times.csv", csv::render_times(report)?),
    ];
    if report.runs.iter().any(|run| !run.claims.is_empty()) {
        files.push(("claims.csv", csv::render_claims_csv(report)?));
    }
    if report.runs.iter().any(|run| !run.own_data.is_empty()) {
        files.push(("ways.csv", own_data_csv::render(report)?));
    }
    let mut all: Vec<_> = files
        .into_iter()
        .map(|(name, bytes)| (name.to_owned(), bytes))
        .collect();
    for chart in &charts {
        let path = |end: &str| format!("{CHARTS}/{}.{end}", chart.name);
        all.push((path("svg"), chart.svg.clone().into_bytes()));
        all.push((path("png"), charts::png(&chart.svg)?));
    }
    // Who finds a new one finds all of it new.
    all.push((DOCUMENT.to_owned(), json::render(report)?));
    Ok(all)
}
