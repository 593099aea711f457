//! Trees of processes as a page, and as rows for programs.

use refcow_model::trees::Trees;

use super::charts::{self, Chart};
use super::error::Error;
use super::html::render_page;
use super::json;

mod csv;
mod page;
mod preloading;

pub use csv::{one as csv, processes_now as processes_now_csv};

/// The files of a report, the document last: the page, the same in Markdown, the tables for
/// programs, and each chart as SVG and as PNG.
///
/// # Errors
/// As [`crate::render`].
pub fn all(trees: &Trees) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let charts = charts::of_trees(trees)?;
    let mut all = vec![
        ("index.html".to_owned(), html(trees, &charts)?),
        ("report.md".to_owned(), markdown(trees, &charts)?),
    ];
    match trees.trees.iter().any(|tree| tree.recorded.is_some()) {
        true => all.extend([
            ("causes.csv".to_owned(), csv::causes(trees)?),
            ("processes.csv".to_owned(), csv::processes(trees)?),
            ("moments.csv".to_owned(), csv::moments(trees)?),
            ("preloading.csv".to_owned(), preloading::csv(trees)?),
        ]),
        false => all.push(("processes.csv".to_owned(), csv::processes_now(trees)?)),
    }
    for chart in &charts {
        let path = |end: &str| format!("{}/{}.{end}", super::CHARTS, chart.name);
        all.push((path("svg"), chart.svg.clone().into_bytes()));
        all.push((path("png"), charts::png(&chart.svg)?));
    }
    all.push((super::DOCUMENT.to_owned(), json::render(trees)?));
    Ok(all)
}

/// One file for a browser.
///
/// # Errors
/// None that is known of.
pub fn html(trees: &Trees, charts: &[Chart]) -> Result<Vec<u8>, Error> {
    render_page("page.html", page::of(trees, charts))
}

/// The same for a blog or a pull request.
///
/// # Errors
/// None that is known of.
pub fn markdown(trees: &Trees, charts: &[Chart]) -> Result<Vec<u8>, Error> {
    render_page("page.md", page::of(trees, charts))
}
