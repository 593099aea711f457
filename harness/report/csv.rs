//! CSV: one row a region of a child.

use std::borrow::Cow;

use serde::Serialize;

use super::Error;
use crate::model::{RegionName, Report};

/// A row, with the words of the JSON.
#[derive(Serialize)]
struct Row<'a> {
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
    visit_seconds: f64,
    minor_faults: u64,
    uss_bytes_before: Option<u64>,
    uss_bytes_after: Option<u64>,
    pages_copied_by_fork: u64,
    region: RegionName,
    pages: u64,
    unshared: u64,
    identical: Option<u64>,
}

/// What has more than one value, in one field.
fn in_json(values: &impl Serialize, none: bool) -> Option<String> {
    match none {
        true => None,
        false => serde_json::to_string(values).ok(),
    }
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
                writer
                    .serialize(Row {
                        fixture: &measurement.fixture,
                        visit: &measurement.visit,
                        prepare: measurement.prepare.as_deref(),
                        sharing: &measurement.sharing,
                        count: measurement.count,
                        item_bytes: measurement.item_bytes,
                        parameters: in_json(
                            &measurement.parameters,
                            measurement.parameters.is_empty(),
                        ),
                        arguments: in_json(
                            &measurement.arguments,
                            measurement.arguments.is_empty(),
                        ),
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
                    })
                    .map_err(|error| Error(error.to_string()))?;
            }
        }
    }
    writer
        .into_inner()
        .map_err(|error| Error(error.to_string()))
}
