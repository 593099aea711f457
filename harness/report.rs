//! A report in, bytes out. Nothing here opens a file, and no figure is made here: they come from `model`.

mod alternatives;
mod claims;
mod csv;
mod finding;

mod grid;
mod json;
mod table;

pub use crate::numbers::{bytes, count, share, time};
pub use alternatives::{
    render as render_alternatives, render_markdown as render_alternatives_markdown,
};
pub use claims::{Style, render as render_claims};
pub use finding::finding;

use crate::model::Report;

/// Columns of prose for a pipe or a file, which have no width of their own.
const READABLE: u16 = 100;

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a terminal, at most so many columns wide; `None` for as wide as it needs.
    Table {
        /// Columns.
        width: Option<u16>,
    },
    /// One document; see [`crate::model::schema`].
    Json,
    /// Tables for a page or a pull request.
    Markdown,
    /// One row a region of a child, for pandas, R or a spreadsheet.
    Csv,
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot render the report: {0}")]
pub struct Error(String);

/// Renders a report.
///
/// # Errors
/// Only if a figure has no form in the format (a time that is not a number).
pub fn render(report: &Report, format: Format) -> Result<Vec<u8>, Error> {
    match format {
        Format::Table { width } => Ok(table::render(report, width)),
        Format::Markdown => Ok(table::render_markdown(report)),
        Format::Json => json::render(report),
        Format::Csv => csv::render(report),
    }
}
