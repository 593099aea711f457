//! A report in, bytes out. Nothing here opens a file, and no figure is made here: they come from
//! `model`.

// What is `pub` is what another crate uses, so that rustc sees what nobody does.
#![warn(unreachable_pub)]

mod advice;
mod advice_on_trees;
mod alternatives;
mod annotations;
mod beginning;
mod changes;
pub mod charts;
mod claims;
mod columns;
mod comparison;
mod csv;
mod date;
mod error;
mod escape;
mod facts;
mod finding;
mod folder;
mod grid;
mod html;
mod json;
mod labels;
mod own_data;
mod own_data_csv;
mod page;
mod reproduction;
mod style;
mod table;
mod tally;
pub mod trees;
pub mod trees_comparison;
mod warnings;
mod why;
mod words;

pub use advice::render as render_advice;
pub use advice_on_trees::render as render_advice_on_trees;
pub use alternatives::{
    render as render_alternatives, render_markdown as render_alternatives_markdown,
};
pub use annotations::github;
pub use beginning::incomplete;
pub use claims::render as render_claims;
pub use columns::Columns;
pub use comparison::render as render_comparison;
pub use csv::{render_claims_csv, render_pages, render_times};
pub use error::Error;
pub use facts::render as render_facts;
pub use finding::findings;
pub use folder::{CHARTS, DOCUMENT, all, is_file, is_picture};
pub use html::{render_html, render_page_markdown};
pub use own_data::render as render_own_data;
pub use own_data_csv::render as render_ways_csv;
pub use refcow_model::numbers::{bytes, count, share, time};
pub use reproduction::render as render_reproduction;
pub use style::{Style, wrapped};

use refcow_model::claims::Claims;
use refcow_model::{By, Report, Run};

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a terminal, at most so many columns wide; `None` for a pipe or a file.
    Table {
        /// Columns.
        width: Option<u16>,
    },
    /// One document; see [`refcow_model::schema`].
    Json,
    /// Tables for a page or a pull request.
    Markdown,
    /// One row a region of a child, for pandas, R or a spreadsheet.
    Csv,
}

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

/// Renders the copied pages of a report, cut another way. The JSON document holds every cut.
///
/// # Errors
/// As [`render`].
pub fn render_by(report: &Report, by: &[By], format: Format) -> Result<Vec<u8>, Error> {
    match format {
        Format::Table { width } => Ok(table::render_by(report, by, width)),
        Format::Markdown => Ok(table::render_markdown_by(report, by)),
        Format::Json => json::render(report),
        Format::Csv => csv::render_by(report, by),
    }
}

/// A document whatever is in it: facts about versions, else verdicts, else advice, else ways to
/// share, else pages.
pub fn render_document(report: &Report, style: Style) -> Vec<u8> {
    let any = |has: fn(&Run) -> bool| report.runs.iter().any(has);
    if any(|run| !run.facts.is_empty()) {
        return render_facts(report, Claims::versions(), style);
    }
    if any(|run| !run.claims.is_empty()) {
        return render_claims(report, &[], style);
    }
    if any(|run| !run.advice.is_empty()) {
        return render_advice(report, style);
    }
    if any(|run| !run.own_data.is_empty()) {
        return render_own_data(report, style);
    }
    if any(|run| !run.alternatives.is_empty()) {
        return match style {
            Style::Terminal { width, .. } => render_alternatives(report, width),
            Style::Markdown => render_alternatives_markdown(report),
        };
    }
    match style {
        Style::Terminal { width, .. } => table::render(report, width),
        Style::Markdown => table::render_markdown(report),
    }
}

/// The document of a comparison.
///
/// # Errors
/// None that is known of.
pub fn render_json(document: &impl serde::Serialize) -> Result<Vec<u8>, Error> {
    json::render(document)
}
