//! `refcow report`, and the folder that `--report` asks for.

use std::path::{Path, PathBuf};

use super::Error;
use crate::cli::{ReportFormat, ReportOptions};
use crate::model::{Report, printable_lines};
use crate::output::{Folder, Kind, Output};
use crate::report::charts::{Chart, charts, png};
use crate::{documents, report};

/// The folder of a report.
const REPORT: Kind = Kind {
    folders: &[report::CHARTS],
    has: report::is_file,
};

/// A folder of charts.
const SVG: Kind = Kind {
    folders: &[],
    has: |name| report::is_picture(name, "svg"),
};
const PNG: Kind = Kind {
    folders: &[],
    has: |name| report::is_picture(name, "png"),
};

/// Writes what is asked for of a document.
pub(super) fn report(options: &ReportOptions) -> Result<(), Error> {
    let output = options.output.as_deref();
    let Some(format) = options.format else {
        let place = match output {
            Some(place) => place.to_owned(),
            None => default_place(&options.run).ok_or(Error::NoFolder {
                what: "a page, its charts and tables",
                remedy: "add --output DIR, or choose one of them with --format",
            })?,
        };
        let document = documents::read(&options.run)?.report;
        write(Some(folder(&place)?), &document)?;
        let said = match output {
            Some(_) => String::new(),
            None => format!("The report is {}\n", place.join("index.html").display()),
        };
        return Ok(Output::Standard.write(printable_lines(&said).as_bytes())?);
    };
    let document = documents::read(&options.run)?.report;
    let bytes = match format {
        ReportFormat::Svg | ReportFormat::Png => return pictures(options, format, &document),
        _ if options.chart.is_some() => return Err(Error::NoChart),
        ReportFormat::Html => report::render_html(&document, &charts(&document)?)?,
        ReportFormat::Markdown => report::render_page_markdown(&document, &charts(&document)?)?,
        ReportFormat::Json => report::render(&document, report::Format::Json)?,
        ReportFormat::Csv => report::render_pages(&document)?,
    };
    Ok(Output::open(output)?.write(&bytes)?)
}

/// Where a report is written if nobody says: to the folder of a report whose document it is, or beside another document, in a
/// folder named for it. `None` of what is no file in a folder.
fn default_place(run: &Path) -> Option<PathBuf> {
    let folder = run.parent()?;
    // A pipe or a device stands in no folder of the user's. What is not there is told by whoever reads it.
    if run.metadata().is_ok_and(|there| !there.is_file()) {
        return None;
    }
    if run.file_name()? == report::DOCUMENT && Folder::is_written(folder) {
        let is_here = folder.as_os_str().is_empty();
        return Some(if is_here { Path::new(".") } else { folder }.to_owned());
    }
    let mut name = run.file_stem()?.to_owned();
    name.push("-report");
    Some(folder.join(name))
}

/// Writes charts: one to where it is asked for, or all to a folder.
fn pictures(options: &ReportOptions, format: ReportFormat, document: &Report) -> Result<(), Error> {
    let all = charts(document)?;
    let bytes = |chart: &Chart| match format {
        ReportFormat::Png => png(&chart.svg),
        _ => Ok(chart.svg.clone().into_bytes()),
    };
    let output = options.output.as_deref();
    if let Some(name) = &options.chart {
        let Some(chart) = all.iter().find(|chart| chart.name == *name) else {
            let names: Vec<_> = all.iter().map(|chart| &chart.name[..]).collect();
            return Err(Error::NoSuchChart {
                name: name.clone(),
                offer: match names.is_empty() {
                    true => "it has none".to_owned(),
                    false => format!("there are: {}", names.join(", ")),
                },
            });
        };
        return Ok(Output::open(output)?.write(&bytes(chart)?)?);
    }
    let place = output.ok_or(Error::NoFolder {
        what: "charts",
        remedy: "add --output DIR, or choose one with --chart NAME",
    })?;
    let (kind, end) = match format {
        ReportFormat::Png => (PNG, "png"),
        _ => (SVG, "svg"),
    };
    let folder = Folder::open(place, kind)?;
    let files: Result<Vec<_>, report::Error> = all
        .iter()
        .map(|chart| Ok((format!("{}.{end}", chart.name), bytes(chart)?)))
        .collect();
    Ok(folder.write(&files?)?)
}

/// The same, if there is to be one.
pub(super) fn place(place: Option<&Path>) -> Result<Option<Folder>, Error> {
    place.map(folder).transpose()
}

/// A place for a report, found writable before anything is measured.
fn folder(place: &Path) -> Result<Folder, Error> {
    Ok(Folder::open(place, REPORT)?)
}

/// Writes all of a report, if there is a place for it.
pub(super) fn write(folder: Option<Folder>, document: &Report) -> Result<(), Error> {
    match folder {
        Some(folder) => Ok(folder.write(&report::all(document)?)?),
        None => Ok(()),
    }
}
