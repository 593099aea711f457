//! A run in one sentence.

use crate::model::{Measurement, RegionName, Run, Summary};
use crate::numbers::{count, share, spread};

/// What was found: the visit that copied the most of the inherited data, and what sharing by other ways copied.
pub fn finding(run: &Run) -> String {
    let page_size = run.environment.page_size_bytes;
    let all: Vec<(&Measurement, Summary)> = run
        .measurements
        .iter()
        .filter_map(|measurement| Some((measurement, measurement.summary(page_size)?)))
        .collect();
    let sharings = {
        let mut sharings: Vec<&str> = Vec::new();
        for (measurement, _) in &all {
            if !sharings.contains(&measurement.sharing.as_str()) {
                sharings.push(&measurement.sharing);
            }
        }
        sharings
    };
    let parts: Vec<String> = sharings
        .into_iter()
        .filter_map(|sharing| {
            let of_sharing = all
                .iter()
                .filter(|(measurement, _)| measurement.sharing == sharing);
            // The first of equals, so that the sentence does not depend on the order of later visits.
            of_sharing
                .reduce(|most, next| {
                    if copied(next) > copied(most) {
                        next
                    } else {
                        most
                    }
                })
                .map(|(measurement, summary)| most(measurement, summary))
        })
        .collect();
    if parts.is_empty() {
        "Found: nothing was measured.".into()
    } else {
        format!("Found: {}.", parts.join("; "))
    }
}

/// The share of the data that a child copied, to order measurements by.
fn copied((_, summary): &(&Measurement, Summary)) -> f64 {
    summary
        .copied_share
        .as_ref()
        .map_or(0.0, |share| *share.end())
}

fn most(measurement: &Measurement, summary: &Summary) -> String {
    let regions: Vec<String> = summary
        .regions
        .iter()
        .filter(|region| region.name != RegionName::Rest)
        .map(|region| {
            format!(
                "{} of {} {}",
                spread(&region.unshared, count),
                spread(&region.pages, count),
                region.name.as_str(),
            )
        })
        .collect();
    let regions = regions.join(", ");
    let data = measurement.data();
    let Measurement { sharing, visit, .. } = measurement;
    match &summary.copied_share {
        None => format!("no page of {data} was told from the rest of the process"),
        Some(copied) if *copied.end() == 0.0 => {
            format!("no child copied a page of {data}, shared by {sharing} ({regions} pages)")
        }
        Some(copied) => format!(
            "of {data}, shared by {sharing}, a child copied at most {} ({visit}: {regions} pages)",
            share(*copied.end()),
        ),
    }
}
