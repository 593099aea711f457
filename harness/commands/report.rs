//! `refcow report`: a saved run as a page with charts and tables, or as one of these.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, ValueHint};

use super::error::CommandError;
use super::report_folder;
use crate::documents::AnyDocument;
use crate::model::printable_lines;
use crate::model::trees::Trees;
use crate::output::{FolderKind, Output, ReportFolder};
use crate::report::charts::{Chart, charts, of_trees, png};
use crate::{documents, report};

/// A folder of charts.
const SVG: FolderKind = FolderKind {
    folders: &[],
    has: |name| report::is_picture(name, "svg"),
};
const PNG: FolderKind = FolderKind {
    folders: &[],
    has: |name| report::is_picture(name, "png"),
};

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run, as --format json wrote it, or the run.json of a report
    #[arg(value_name = "RUN.json", value_hint = ValueHint::FilePath)]
    run: PathBuf,
    /// Write only this [default: everything, to a directory]
    #[arg(long, value_enum)]
    format: Option<ReportFormat>,
    /// Write only this chart, of --format svg or png [default: all, to a directory]
    #[arg(long, value_name = "NAME", requires = "format")]
    chart: Option<String>,
    /// Where to write, whole or not at all: a directory for several files, else a file [default: for everything, the directory
    /// of a report's run.json, or RUN-report beside another RUN.json; for one file, standard output]
    #[arg(long, value_name = "PATH|DIR", value_hint = ValueHint::AnyPath)]
    output: Option<PathBuf>,
}

/// Formats of a report that people publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// One file with everything in it, for a browser
    Html,
    /// For a blog or a pull request
    Markdown,
    /// The document itself, as this refcow would write it
    Json,
    /// The page counts: one row for each region of each worker
    Csv,
    /// The charts
    Svg,
    /// The charts, as pictures
    Png,
}

impl ReportArgs {
    /// Writes what is asked for of the document.
    pub fn run(&self) -> Result<(), CommandError> {
        let output = self.output.as_deref();
        let Some(format) = self.format else {
            let place = match output {
                Some(place) => place.to_owned(),
                None => default_place(&self.run).ok_or(CommandError::NoFolder {
                    what: "a page, its charts and tables",
                    remedy: "add --output DIR, or choose one of them with --format",
                })?,
            };
            match documents::read_any(&self.run)? {
                AnyDocument::Report(named) => {
                    report_folder::write(report_folder::open(Some(&place))?, &named.report)?;
                }
                AnyDocument::Trees(trees) => {
                    report_folder::write_trees(report_folder::open(Some(&place))?, &trees)?;
                }
            }
            let said = match output {
                Some(_) => String::new(),
                None => format!("The report is {}\n", place.join("index.html").display()),
            };
            return Ok(Output::Standard.write(printable_lines(&said).as_bytes())?);
        };
        let document = match documents::read_any(&self.run)? {
            AnyDocument::Report(named) => named.report,
            AnyDocument::Trees(trees) => return self.of_trees(format, &trees),
        };
        let bytes = match format {
            ReportFormat::Svg | ReportFormat::Png => {
                return self.pictures(format, &charts(&document)?);
            }
            _ if self.chart.is_some() => return Err(CommandError::NoChart),
            ReportFormat::Html => report::render_html(&document, &charts(&document)?)?,
            ReportFormat::Markdown => report::render_page_markdown(&document, &charts(&document)?)?,
            ReportFormat::Json => report::render(&document, report::Format::Json)?,
            ReportFormat::Csv => report::render_pages(&document)?,
        };
        Ok(Output::open(output)?.write(&bytes)?)
    }

    /// The same of trees.
    fn of_trees(&self, format: ReportFormat, trees: &Trees) -> Result<(), CommandError> {
        let charts = of_trees(trees)?;
        let bytes = match format {
            ReportFormat::Svg | ReportFormat::Png => return self.pictures(format, &charts),
            _ if self.chart.is_some() => return Err(CommandError::NoChart),
            ReportFormat::Html => report::trees::html(trees, &charts)?,
            ReportFormat::Markdown => report::trees::markdown(trees, &charts)?,
            ReportFormat::Json => report::render_json(trees)?,
            ReportFormat::Csv => report::trees::csv(trees)?,
        };
        Ok(Output::open(self.output.as_deref())?.write(&bytes)?)
    }

    /// Writes charts: one to where it is asked for, or all to a folder.
    fn pictures(&self, format: ReportFormat, all: &[Chart]) -> Result<(), CommandError> {
        let bytes = |chart: &Chart| match format {
            ReportFormat::Png => png(&chart.svg),
            _ => Ok(chart.svg.clone().into_bytes()),
        };
        let output = self.output.as_deref();
        if let Some(name) = &self.chart {
            let Some(chart) = all.iter().find(|chart| chart.name == *name) else {
                let names: Vec<_> = all.iter().map(|chart| &chart.name[..]).collect();
                return Err(CommandError::NoSuchChart {
                    name: name.clone(),
                    offer: match names.is_empty() {
                        true => "it has none".to_owned(),
                        false => format!("there are: {}", names.join(", ")),
                    },
                });
            };
            return Ok(Output::open(output)?.write(&bytes(chart)?)?);
        }
        let place = output.ok_or(CommandError::NoFolder {
            what: "charts",
            remedy: "add --output DIR, or choose one with --chart NAME",
        })?;
        let (kind, end) = match format {
            ReportFormat::Png => (PNG, "png"),
            _ => (SVG, "svg"),
        };
        let folder = ReportFolder::open(place, kind)?;
        let files: Result<Vec<_>, report::Error> = all
            .iter()
            .map(|chart| Ok((format!("{}.{end}", chart.name), bytes(chart)?)))
            .collect();
        Ok(folder.write(&files?)?)
    }
}

/// Where a report is written if nobody says: to the folder of a report whose document it is, or beside another document, in a
/// folder named for it. `None` of what is no file in a folder.
fn default_place(run: &Path) -> Option<PathBuf> {
    let folder = run.parent()?;
    // A pipe or a device stands in no folder of the user's. What is not there is told by whoever reads it.
    if run.metadata().is_ok_and(|there| !there.is_file()) {
        return None;
    }
    if run.file_name()? == report::DOCUMENT && ReportFolder::is_written(folder) {
        let is_here = folder.as_os_str().is_empty();
        return Some(if is_here { Path::new(".") } else { folder }.to_owned());
    }
    let mut name = run.file_stem()?.to_owned();
    name.push("-report");
    Some(folder.join(name))
}
