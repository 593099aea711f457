//! Figures of one document that follow from others of it.

use super::error::DocumentError;
use super::measurement::measurements;
use crate::{Alternative, Child, Report, StartMethod, UssGrowth};

/// Refuses a document in which one does not.
pub(super) fn check(report: &Report) -> Result<(), DocumentError> {
    for (number, run) in report.runs.iter().enumerate() {
        let wrong = |place: String, what: String| DocumentError::Inconsistent {
            place: format!("runs[{number}].{place}"),
            what,
        };
        // CPython says so of itself (Python/getversion.c).
        let python = &run.python;
        let build = python.build.as_ref();
        let says = build.map(|build| build.contains("free-threading build"));
        if says.is_some_and(|says| says != python.free_threaded) {
            let what = format!("{}, but `build` says otherwise", python.free_threaded);
            return Err(wrong("python.free_threaded".into(), what));
        }
        let is_measured = !(run.measurements.is_empty() && run.alternatives.is_empty());
        if python.free_threaded && is_measured {
            let what = "true, but refcow builds no data without the GIL".into();
            return Err(wrong("python.free_threaded".into(), what));
        }
        let page = run.environment.page_size_bytes;
        for (place, measurement) in measurements(run) {
            for (index, child) in measurement.children.iter().enumerate() {
                if let Some((field, what)) = cross_checks_wrong(child, page) {
                    let place = format!("{place}.children[{index}].cross_checks.{field}");
                    return Err(wrong(place, what));
                }
            }
        }
        for (index, alternative) in run.alternatives.iter().enumerate() {
            if let Some((child, what)) = copies_wrong(alternative) {
                let place = format!("alternatives[{index}].children[{child}].copied_pages");
                return Err(wrong(place, what));
            }
        }
    }
    Ok(())
}

/// Which of the cross-checks does not follow from the figures that it checks, and what would.
fn cross_checks_wrong(child: &Child, page: u64) -> Option<(&'static str, String)> {
    let checks = &child.cross_checks;
    // Each of them is within bounds: no sum of so few is out of 128 bits.
    let unshared = i128::from(child.totals().unshared);
    let grown = child
        .uss_bytes_before
        .zip(child.uss_bytes_after)
        .map(|(before, after)| i128::from(after / page) - i128::from(before / page));
    let of_faults = i128::from(child.minor_faults) - unshared;
    let differs = |field, said: Option<i128>, follows: Option<i128>| {
        let shown =
            |one: Option<i128>| one.map_or_else(|| "nothing".to_owned(), |it| it.to_string());
        (said != follows).then(|| {
            let what = format!("{}, but {} follows", shown(said), shown(follows));
            (field, what)
        })
    };
    let said = Some(i128::from(checks.faults_minus_unshared));
    let faults = differs("faults_minus_unshared", said, Some(of_faults));
    let uss = || {
        let said = checks.uss_pages_minus_unshared.map(i128::from);
        differs(
            "uss_pages_minus_unshared",
            said,
            grown.map(|grown| grown - unshared),
        )
    };
    let growth = || {
        let growth = checks.uss_growth?;
        let UssGrowth {
            pages,
            copied,
            new,
            others,
            own_of_files,
            given_back,
            left,
        } = growth;
        let explained =
            i128::from(copied) + i128::from(new) + i128::from(others) + i128::from(own_of_files)
                - i128::from(given_back);
        let new_pages = child.new_pages.map(i128::from);
        [
            ("uss_growth.pages", i128::from(pages), grown),
            ("uss_growth.copied", i128::from(copied), Some(unshared)),
            ("uss_growth.new", i128::from(new), new_pages),
            (
                "uss_growth.left",
                i128::from(left),
                Some(i128::from(pages) - explained),
            ),
        ]
        .into_iter()
        .find_map(|(field, said, follows)| differs(field, Some(said), follows))
    };
    faults.or_else(uss).or_else(growth)
}

/// Which child of a way cannot have copied so many pages, and why.
fn copies_wrong(alternative: &Alternative) -> Option<(usize, String)> {
    let reference = i128::from(alternative.reference_own_pages);
    alternative
        .children
        .iter()
        .enumerate()
        .find_map(|(index, child)| {
            let (own, copied) = (i128::from(child.own_pages), i128::from(child.copied_pages));
            let more = own - reference;
            let right = match alternative.start_method {
                // Pages of its own that the reference child has not: all of them, or all but as many as that has.
                StartMethod::Fork => (more.max(0)..=own).contains(&copied),
                StartMethod::Spawn | StartMethod::Forkserver => copied == more,
            };
            (!right).then(|| {
            let what = format!(
                "{copied}, but it has {own} pages of its own, and a child that got nothing has {reference}"
            );
            (index, what)
        })
        })
}
