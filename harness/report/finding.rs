//! A run in one sentence.

use crate::model::{FactTally, Measurement, OfOneVerdict, Run, Summary, Verdict};
use crate::numbers::{bytes, count, counted, one_or_several, share, signed_bytes, spread};

/// What was found: the visit that copied the most of the inherited data, and what sharing by other ways copied.
pub fn finding(run: &Run) -> String {
    let parts = parts(run);
    match parts.is_empty() {
        true => "Found: nothing was measured.".into(),
        false => format!("Found: {}.", parts.join("; ")),
    }
}

/// The same, one for each way of sharing.
pub(super) fn parts(run: &Run) -> Vec<String> {
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
    sharings
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
        .collect()
}

/// What was found in a run that put no statement to the test: of what was asked for, without a full stop.
pub(super) fn of_run(run: &Run) -> Vec<String> {
    if !run.advice.is_empty() {
        let all = run.advice.iter();
        return all
            .map(|advice| {
                let finding = advice.finding.trim_end_matches('.');
                format!("{finding} ({}, {})", advice.fixture, advice.visit)
            })
            .collect();
    }
    let mut all: Vec<String> = run
        .extreme_ways()
        .map(|[(least, least_bytes), (most, most_bytes)]| {
            format!(
                "of {} handed over, a child copied the most by {} ({}): {}; the least by {} ({}): {}",
                bytes(most.size_bytes),
                most.title,
                most.start_method,
                signed_bytes(most_bytes),
                least.title,
                least.start_method,
                signed_bytes(least_bytes),
            )
        })
        .into_iter()
        .collect();
    all.extend(parts(run));
    all
}

/// How many statements came to each verdict.
pub(super) fn of_claims(
    all: usize,
    source: &str,
    groups: &[OfOneVerdict<'_, '_>],
    pythons: &str,
) -> String {
    // What holds first, and last what is not known.
    let (untested, tested): (Vec<_>, Vec<_>) = groups
        .iter()
        .partition(|(verdict, _)| *verdict == Some(Verdict::NotTestableHere));
    let parts: Vec<String> = tested
        .iter()
        .rev()
        .chain(&untested)
        .map(|(verdict, statements)| {
            let number = statements.len() as u64;
            let word = |one, several| one_or_several(number, one, several);
            let words = match verdict {
                Some(Verdict::Holds) => word("holds", "hold"),
                Some(Verdict::HoldsWithLimits) => word("holds with limits", "hold with limits"),
                Some(Verdict::DoesNotHold) => word("does not hold", "do not hold"),
                Some(Verdict::NotTestableHere) => "could not be tested here",
                None => word("depends on the version", "depend on the version"),
            };
            format!("{} {words}", count(number))
        })
        .collect();
    format!(
        "Of {}{source}, put to the test on {pythons}: {}.",
        counted(all as u64, "statement", "statements"),
        parts.join(", ")
    )
}

/// How many facts came true.
pub(super) fn of_facts(tally: &FactTally<'_>, pythons: &str) -> String {
    let all = tally.as_predicted + tally.otherwise.len() + tally.not_testable.len();
    let mut sentence = format!(
        "Of {} about versions of Python, {} as predicted on {pythons}",
        counted(all as u64, "fact", "facts"),
        counted(tally.as_predicted as u64, "is", "are")
    );
    for (words, ids) in [
        ("not so", &tally.otherwise),
        ("not testable here", &tally.not_testable),
    ] {
        if !ids.is_empty() {
            sentence += &format!("; {words}: {}", ids.join(", "));
        }
    }
    sentence + "."
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
        .filter(|region| region.name.is_data())
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
