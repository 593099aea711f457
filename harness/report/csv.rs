//! CSV: one row a region of a child.

use std::borrow::Cow;

use serde::Serialize;

use super::Error;
use crate::model::{By, Cause, RegionName, Report};

/// A row, with the words of the JSON.
#[derive(Serialize)]
struct Row<'a> {
    fixture: &'a str,
    visit: &'a str,
    prepare: Option<&'a str>,
    sharing: &'a str,
    count: u64,
    item_bytes: u64,
    python: &'a str,
    executable: Cow<'a, str>,
    architecture: &'a str,
    kernel: &'a str,
    child: usize,
    visit_seconds: f64,
    minor_faults: u64,
    uss_bytes_before: Option<u64>,
    uss_bytes_after: Option<u64>,
    pages_copied_by_fork: u64,
    region: RegionName,
    pages: u64,
    unshared: u64,
    identical: Option<u64>,
    refcount: Option<u64>,
    gc: Option<u64>,
    payload: Option<u64>,
    body: Option<u64>,
    allocator: Option<u64>,
    kernel_wrote: Option<u64>,
    unattributed: Option<u64>,
}

/// Pages of a child that have something in common.
#[derive(Serialize)]
struct Cut<'a> {
    fixture: &'a str,
    visit: &'a str,
    prepare: Option<&'a str>,
    sharing: &'a str,
    count: u64,
    item_bytes: u64,
    python: &'a str,
    executable: Cow<'a, str>,
    architecture: &'a str,
    kernel: &'a str,
    child: usize,
    by: &'static str,
    key: Option<&'a str>,
    unshared: u64,
    identical: Option<u64>,
}

/// All rows under a line of names. What is absent is an empty field.
pub fn render(report: &Report) -> Result<Vec<u8>, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let measurements = report
        .runs
        .iter()
        .flat_map(|run| run.measurements.iter().map(move |one| (run, one)));
    for (run, measurement) in measurements {
        for (number, child) in (1..).zip(&measurement.children) {
            for region in &child.regions {
                let of = |cause| region.causes.map(|causes| causes.of(cause));
                writer
                    .serialize(Row {
                        fixture: &measurement.fixture,
                        visit: &measurement.visit,
                        prepare: measurement.prepare.as_deref(),
                        sharing: &measurement.sharing,
                        count: measurement.count,
                        item_bytes: measurement.item_bytes,
                        python: &run.python.version,
                        executable: run.python.executable.to_string_lossy(),
                        architecture: &run.environment.architecture,
                        kernel: &run.environment.kernel,
                        child: number,
                        visit_seconds: child.visit_seconds,
                        minor_faults: child.minor_faults,
                        uss_bytes_before: child.uss_bytes_before,
                        uss_bytes_after: child.uss_bytes_after,
                        pages_copied_by_fork: child.pages_copied_by_fork,
                        region: region.name,
                        pages: region.pages,
                        unshared: region.unshared,
                        identical: region.identical,
                        refcount: of(Cause::Refcount),
                        gc: of(Cause::Gc),
                        payload: of(Cause::Payload),
                        body: of(Cause::Body),
                        allocator: of(Cause::Allocator),
                        kernel_wrote: of(Cause::Kernel),
                        unattributed: of(Cause::Unattributed),
                    })
                    .map_err(|error| Error(error.to_string()))?;
            }
        }
    }
    writer
        .into_inner()
        .map_err(|error| Error(error.to_string()))
}

/// The same of pages that have something in common: one row a child and key, most pages first. A field is empty where that
/// is not known of them.
pub fn render_by(report: &Report, by: By) -> Result<Vec<u8>, Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let measurements = report
        .runs
        .iter()
        .flat_map(|run| run.measurements.iter().map(move |one| (run, one)));
    for (run, measurement) in measurements {
        for (number, child) in (1..).zip(&measurement.children) {
            for (key, unshared, identical) in child.written_by(by) {
                writer
                    .serialize(Cut {
                        fixture: &measurement.fixture,
                        visit: &measurement.visit,
                        prepare: measurement.prepare.as_deref(),
                        sharing: &measurement.sharing,
                        count: measurement.count,
                        item_bytes: measurement.item_bytes,
                        python: &run.python.version,
                        executable: run.python.executable.to_string_lossy(),
                        architecture: &run.environment.architecture,
                        kernel: &run.environment.kernel,
                        child: number,
                        by: by.as_str(),
                        key,
                        unshared,
                        identical,
                    })
                    .map_err(|error| Error(error.to_string()))?;
            }
        }
    }
    writer
        .into_inner()
        .map_err(|error| Error(error.to_string()))
}
