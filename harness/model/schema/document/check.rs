//! What figures of one document must agree in.

use std::collections::HashSet;

use super::advice::advice_wrong;
use super::bounds::{MOST, MOST_PAGES};
use super::error::DocumentError;
use super::measurement::{check_measurement, measurements};
use super::own_data;
use crate::{Calibration, Report, Run};

/// More than any kernel's base page.
const MOST_PAGE_BYTES: u64 = 1 << 20;
/// Interpreters on machines.
const MOST_RUNS: usize = 1 << 8;
/// Ten times all fixtures, visits and preparations with eight interpreters.
const MOST_MEASUREMENTS: usize = 50_000;
/// Claims, facts and the like of all runs together: of none there are a hundred in a run.
const MOST_OF_A_KIND: usize = 10_000;

/// Refuses what no refcow writes, before a figure is made of it.
pub(super) fn check(report: &Report) -> Result<(), DocumentError> {
    let wrong = |place: String, what: String| Err(DocumentError::Inconsistent { place, what });
    check_sizes(report)?;
    for (index, source) in report.sources.iter().enumerate() {
        if !is_sha256(&source.sha256) {
            let what = format!("{:?} is not a SHA-256", shortened(&source.sha256));
            return wrong(format!("sources[{index}].sha256"), what);
        }
        for (number, import) in source.imports.iter().enumerate() {
            if !is_sha256(&import.sha256) {
                let what = format!("{:?} is not a SHA-256", shortened(&import.sha256));
                return wrong(format!("sources[{index}].imports[{number}].sha256"), what);
            }
        }
    }
    for (number, run) in report.runs.iter().enumerate() {
        let page = run.environment.page_size_bytes;
        if !page.is_power_of_two() || page > MOST_PAGE_BYTES {
            return wrong(
                format!("runs[{number}].environment"),
                format!("a page of {page} bytes"),
            );
        }
        if let Some(began) = run.began.as_deref()
            && began.parse::<jiff::Timestamp>().is_err()
        {
            return wrong(
                format!("runs[{number}].began"),
                format!("{:?} is not a time", shortened(began)),
            );
        }
        let mut hashes = run.environment.package_sha256.iter();
        if let Some((name, sum)) = hashes.find(|(_, sum)| !is_sha256(sum)) {
            return wrong(
                format!("runs[{number}].environment.package_sha256.{name}"),
                format!("{:?} is not a SHA-256", shortened(sum)),
            );
        }
        let Calibration {
            pages_written,
            pages_counted,
        } = run.calibration;
        if pages_written != pages_counted {
            return wrong(
                format!("runs[{number}].calibration"),
                format!("{pages_written} pages written, {pages_counted} counted"),
            );
        }
        let mut seen = HashSet::new();
        if let Some(twice) = run.contents().find(|what| !seen.insert(what.clone())) {
            return wrong(format!("runs[{number}]"), format!("{twice} is there twice"));
        }
        for (place, measurement) in measurements(run) {
            check_measurement(measurement, page, &format!("runs[{number}].{place}"))?;
        }
        for (index, advice) in run.advice.iter().enumerate() {
            if let Some(what) = advice_wrong(advice, run) {
                return wrong(format!("runs[{number}].advice[{index}]"), what);
            }
        }
        if let Some((place, what)) = own_data::wrong(run) {
            return wrong(format!("runs[{number}].{place}"), what);
        }
        for (index, alternative) in run.alternatives.iter().enumerate() {
            for (child, one) in alternative.children.iter().enumerate() {
                let most = MOST_PAGES.min(MOST / page);
                if one.copied_pages.unsigned_abs() > most || one.own_pages > most {
                    let (copied, own) = (one.copied_pages, one.own_pages);
                    return wrong(
                        format!("runs[{number}].alternatives[{index}].children[{child}]"),
                        format!("{copied} pages copied, {own} pages of its own"),
                    );
                }
            }
        }
    }
    Ok(())
}

/// Refuses more of a kind than can be put into tables.
fn check_sizes(report: &Report) -> Result<(), DocumentError> {
    let sum = |of: fn(&Run) -> usize| report.runs.iter().map(of).sum::<usize>();
    let warnings = sum(|run| run.warnings.len()) + report.warnings.len();
    for (what, number, most) in [
        ("runs", report.runs.len(), MOST_RUNS),
        (
            "measurements",
            sum(|run| run.measurements.len()),
            MOST_MEASUREMENTS,
        ),
        ("claims", sum(|run| run.claims.len()), MOST_OF_A_KIND),
        ("facts", sum(|run| run.facts.len()), MOST_OF_A_KIND),
        (
            "observations",
            sum(|run| run.observations.len()),
            MOST_OF_A_KIND,
        ),
        (
            "alternatives",
            sum(|run| run.alternatives.len()),
            MOST_OF_A_KIND,
        ),
        ("advice", sum(|run| run.advice.len()), MOST_OF_A_KIND),
        (
            "own_data",
            sum(|run| {
                let ways = run.own_data.iter().map(|data| data.ways.len());
                ways.sum::<usize>() + run.own_data.len()
            }),
            MOST_OF_A_KIND,
        ),
        ("warnings", warnings, MOST_OF_A_KIND),
    ] {
        if number > most {
            return Err(DocumentError::Excessive {
                place: if what == "runs" {
                    what.to_owned()
                } else {
                    format!("runs[…].{what}")
                },
                what: format!("{number} {what}"),
            });
        }
    }
    Ok(())
}

fn is_sha256(text: &str) -> bool {
    let digit = |letter: u8| matches!(letter, b'0'..=b'9' | b'a'..=b'f');
    text.len() == 64 && text.bytes().all(digit)
}

/// So much of a text that an error can show it.
fn shortened(text: &str) -> String {
    text.chars().take(70).collect()
}
