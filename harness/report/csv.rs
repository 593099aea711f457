//! CSV: one row a region of a child, or one a group of its copied pages.

use std::borrow::Cow;

use serde::Serialize;

use super::Error;
use crate::model::{By, Cause, Child, Measurement, Region, RegionName, Report, Run};

/// Of which child a row is, with the words of the JSON.
#[derive(Serialize)]
struct Whose<'a> {
    fixture: &'a str,
    visit: &'a str,
    prepare: Option<&'a str>,
    sharing: &'a str,
    count: Option<u64>,
    item_bytes: Option<u64>,
    parameters: Option<String>,
    arguments: Option<String>,
    python: &'a str,
    executable: Cow<'a, str>,
    architecture: &'a str,
    kernel: &'a str,
    child: usize,
}

impl<'a> Whose<'a> {
    fn of(run: &'a Run, measurement: &'a Measurement, child: usize) -> Self {
        let Measurement {
            parameters,
            arguments,
            ..
        } = measurement;
        Self {
            fixture: &measurement.fixture,
            visit: &measurement.visit,
            prepare: measurement.prepare.as_deref(),
            sharing: &measurement.sharing,
            count: measurement.count,
            item_bytes: measurement.item_bytes,
            parameters: in_json(parameters, parameters.is_empty()),
            arguments: in_json(arguments, arguments.is_empty()),
            python: &run.python.version,
            executable: run.python.executable.to_string_lossy(),
            architecture: &run.environment.architecture,
            kernel: &run.environment.kernel,
            child,
        }
    }
}

/// What has more than one value, in one field.
fn in_json(values: &impl Serialize, none: bool) -> Option<String> {
    match none {
        true => None,
        false => serde_json::to_string(values).ok(),
    }
}

/// A region of a child.
#[derive(Serialize)]
struct OfRegion {
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
    /// The machine's kernel has the shorter name.
    by_kernel: Option<u64>,
    unattributed: Option<u64>,
}

impl OfRegion {
    fn of(child: &Child, region: &Region) -> Self {
        let of = |cause| region.causes.map(|causes| causes.of(cause));
        Self {
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
            by_kernel: of(Cause::Kernel),
            unattributed: of(Cause::Unattributed),
        }
    }
}

/// Copied pages of a child that have something in common.
#[derive(Serialize)]
struct OfGroup<'a> {
    by: &'static str,
    /// Empty where that is not known of them.
    key: Option<&'a str>,
    unshared: u64,
    identical: Option<u64>,
}

/// All regions under a line of names. What is absent is an empty field.
pub fn render(report: &Report) -> Result<Vec<u8>, Error> {
    rows(report, |child| {
        let all = child.regions.iter();
        all.map(|region| OfRegion::of(child, region)).collect()
    })
}

/// Copied pages that have something in common, the most first.
pub fn render_by(report: &Report, by: By) -> Result<Vec<u8>, Error> {
    rows(report, |child| {
        let all = child.written_by(by).into_iter();
        all.map(|(key, unshared, identical)| OfGroup {
            by: by.as_str(),
            key,
            unshared,
            identical,
        })
        .collect()
    })
}

fn rows<'a, Row: Serialize>(
    report: &'a Report,
    of: impl Fn(&'a Child) -> Vec<Row>,
) -> Result<Vec<u8>, Error> {
    let fail = |error: csv::Error| Error(error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    for run in &report.runs {
        for measurement in &run.measurements {
            for (number, child) in (1..).zip(&measurement.children) {
                for row in of(child) {
                    let whose = Whose::of(run, measurement, number);
                    writer.serialize((whose, row)).map_err(fail)?;
                }
            }
        }
    }
    writer
        .into_inner()
        .map_err(|error| Error(error.to_string()))
}
