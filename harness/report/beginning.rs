//! What stands above everything else of a report.

use refcow_model::Report;

use super::date;
use super::style::{READABLE, Style, wrapped};

/// What a page of a run that was ended says before anything else.
pub fn incomplete(report: &Report) -> Option<&'static str> {
    let words = "Incomplete: the run was ended early, and what is missing here was not measured.";
    report.interrupted.then_some(words)
}

/// The beginning of a page: whether the run is whole, and when it was made.
pub(crate) fn beginning(report: &Report, style: Style) -> String {
    let when = paragraph(date::measured(report), style);
    incomplete_at_first(report, style) + &when
}

/// That a run is not whole, as the beginning of a page.
pub(crate) fn incomplete_at_first(report: &Report, style: Style) -> String {
    let words = incomplete(report).map(|words| match style {
        Style::Terminal { .. } => words.to_owned(),
        Style::Markdown => format!("> {words}"),
    });
    paragraph(words, style)
}

/// Words that stand on lines of their own, with an empty one behind them.
fn paragraph(words: Option<String>, style: Style) -> String {
    match (words, style) {
        (None, _) => String::new(),
        (Some(words), Style::Terminal { width, .. }) => {
            let words = wrapped(&words, width.unwrap_or(READABLE), "");
            format!("{words}\n")
        }
        (Some(words), Style::Markdown) => format!("{words}\n\n"),
    }
}
