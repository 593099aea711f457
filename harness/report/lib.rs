//! A report in, bytes out. Nothing here opens a file, and no figure is made here: they come from `model`.

// What is `pub` is what another crate uses, so that rustc sees what nobody does.
#![warn(unreachable_pub)]

mod advice;
mod alternatives;
mod changes;
pub mod charts;
mod claims;
mod columns;
mod comparison;
mod csv;
mod date;
mod escape;
mod facts;
mod finding;
mod grid;
mod html;
mod json;
mod page;
mod reproduction;
mod table;
mod why;
mod words;

pub use advice::render as render_advice;
pub use alternatives::{
    render as render_alternatives, render_markdown as render_alternatives_markdown,
};
pub use claims::render as render_claims;
pub use comparison::{github, render as render_comparison};
pub use csv::{render_claims_csv, render_pages, render_times};
pub use facts::render as render_facts;
pub use finding::findings;
pub use html::{render_html, render_page_markdown};
pub use refcow_model::numbers::{bytes, count, share, time};
pub use reproduction::render as render_reproduction;

use std::collections::BTreeSet;

use refcow_model::claims::Claims;
use refcow_model::failures::{Failed, names, together};
use refcow_model::{By, Report, Run, Warning};

/// Columns of a pipe or a file, which have no width of their own: a log is read at this width.
const READABLE: u16 = 80;

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

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A terminal so many columns wide; `None` for a pipe.
    Terminal {
        /// Columns.
        width: Option<u16>,
        /// Whether verdicts are coloured.
        colours: bool,
    },
    /// A page or a pull request.
    Markdown,
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

/// A document whatever is in it: facts about versions, else verdicts, else advice, else ways to share, else pages.
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

/// The document in the folder of a report.
pub const DOCUMENT: &str = "run.json";

/// The names in the folder of a report, but for those in [`CHARTS`].
const FILES: [&str; 6] = [
    "index.html",
    "report.md",
    DOCUMENT,
    "pages.csv",
    "times.csv",
    "claims.csv",
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

/// All files of a report, by their paths in its folder, the document last: the page, the same in Markdown, the document, the tables for programs, and
/// each chart as SVG and as PNG. `claims.csv` is there if there are verdicts.
///
/// # Errors
/// As [`render`].
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

/// What tells each run of a document from the others, in the head of a column: its version, and more where that is not
/// enough.
fn labels(report: &Report) -> Vec<String> {
    let version = |index: usize| &report.runs[index].python.version;
    let places: Vec<usize> = (0..report.runs.len()).collect();
    places
        .iter()
        .map(|&index| {
            let same: Vec<usize> = places
                .iter()
                .copied()
                .filter(|&other| version(other) == version(index))
                .collect();
            let architecture = |index: usize| &report.runs[index].environment.architecture;
            let alike = same
                .iter()
                .filter(|&&other| architecture(other) == architecture(index))
                .count();
            match (same.len(), alike) {
                (1, _) => version(index).clone(),
                (_, 1) => format!("{} {}", version(index), architecture(index)),
                _ => {
                    let number = same.iter().position(|&other| other == index).unwrap_or(0);
                    format!("{} #{}", version(index), number + 1)
                }
            }
        })
        .collect()
}

/// Which runs the labels mean that are more than a version.
fn legend(report: &Report) -> Vec<String> {
    let labels = labels(report);
    let all = report.runs.iter().zip(labels);
    all.filter(|(run, label)| *label != run.python.version)
        .map(|(run, label)| {
            let environment = &run.environment;
            format!(
                "{label}: {} (Linux {}, {}{})",
                run.python.executable.display(),
                environment.kernel,
                environment.architecture,
                environment
                    .cpu
                    .as_ref()
                    .map_or_else(String::new, |cpu| format!(", {cpu}"))
            )
        })
        .collect()
}

/// What a page of a run that was ended says before anything else.
pub fn incomplete(report: &Report) -> Option<&'static str> {
    let words =
        "Incomplete: the run was ended before all was measured; what is missing here was not.";
    report.interrupted.then_some(words)
}

/// The beginning of a page: whether the run is whole, and when it was made.
fn beginning(report: &Report, style: Style) -> String {
    let when = paragraph(date::measured(report), style);
    incomplete_at_first(report, style) + &when
}

/// That a run is not whole, as the beginning of a page.
fn incomplete_at_first(report: &Report, style: Style) -> String {
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
            let words = table::wrapped(&words, width.unwrap_or(READABLE), "");
            format!("{words}\n")
        }
        (Some(words), Style::Markdown) => format!("{words}\n\n"),
    }
}

/// All warnings, each with the interpreter that it is of, if there are several. What is missing for one reason is one
/// warning.
fn warnings(report: &Report) -> Vec<String> {
    let interpreters = report.warnings.iter().map(|warning| match warning {
        Warning::InterpreterNotMeasured { python, reason } => {
            let failed = Failed {
                interpreter: Some(python.clone()),
                what: None,
            };
            (Ok(&**reason), failed)
        }
        other => (Err(other.to_string()), Failed::default()),
    });
    let runs = report.runs.iter().zip(labels(report));
    let of_runs = together(runs.flat_map(|(run, label)| {
        let warnings = run.warnings.iter();
        warnings.map(move |warning| (warning, label.clone()))
    }));
    let of_runs = of_runs.into_iter().flat_map(|(warning, labels)| {
        let of_some = labels.len() < report.runs.len();
        match warning {
            Warning::NotMeasured {
                fixture,
                visit,
                reason,
            } => {
                let failed = |interpreter| Failed {
                    interpreter,
                    what: Some(refcow_model::named(fixture, visit.as_deref())),
                };
                let failed: Vec<_> = match of_some {
                    true => labels.into_iter().map(Some).map(failed).collect(),
                    false => vec![failed(None)],
                };
                let failed = failed.into_iter();
                failed.map(|failed| (Ok(&**reason), failed)).collect()
            }
            other => {
                let said = match of_some {
                    true => format!("{}: {other}", labels.join(", ")),
                    false => other.to_string(),
                };
                vec![(Err(said), Failed::default())]
            }
        }
    });
    let said = |(reason, failed): (Result<&str, String>, Vec<Failed>)| match reason {
        Ok(reason) => {
            let whats = failed.iter().filter_map(|one| one.what.as_ref());
            let number = match whats.collect::<BTreeSet<_>>().len() {
                0 => failed.len(),
                number => number,
            };
            refcow_model::not_measured(&names(&failed), number, reason)
        }
        Err(said) => said,
    };
    let all = [together(interpreters), together(of_runs)];
    all.into_iter().flatten().map(said).collect()
}
