//! The measurements of a run, and what the figures of one must agree in.

use super::bounds::{MOST, MOST_CHILDREN, MOST_PAGES};
use super::child::{growth_wrong, on_the_way_wrong, sums_wrong};
use super::error::DocumentError;
use super::region::{causes_wrong, map_wrong};
use crate::{Measurement, Region, Run, Tree};

/// All measurements of a run, those that advice repeated among them, each with its place in the run.
pub(super) fn measurements(run: &Run) -> impl Iterator<Item = (String, &Measurement)> {
    let all = run.measurements.iter().enumerate();
    let all = all.map(|(index, one)| (format!("measurements[{index}]"), one));
    let again = run.advice.iter().enumerate().filter_map(|(index, one)| {
        let again = &one.measured_again.as_ref()?.measurement;
        Some((format!("advice[{index}].measured_again.measurement"), again))
    });
    all.chain(again)
}

/// Refuses children, regions and causes that cannot be.
pub(super) fn check_measurement(
    measurement: &Measurement,
    page: u64,
    place: &str,
) -> Result<(), DocumentError> {
    let wrong = |place: String, what: String| Err(DocumentError::Inconsistent { place, what });
    let children = measurement.children.len();
    if children == 0 {
        return wrong(place.to_owned(), "no child".into());
    }
    if children > MOST_CHILDREN {
        return Err(DocumentError::Excessive {
            place: format!("{place}.children"),
            what: format!("{children} children"),
        });
    }
    if let Some(what) = tree_wrong(&measurement.tree, children) {
        return wrong(format!("{place}.tree"), what);
    }
    for (child, one) in measurement.children.iter().enumerate() {
        if let Some(what) = growth_wrong(one, page) {
            return wrong(format!("{place}.children[{child}]"), what);
        }
        if let Some((index, what)) = on_the_way_wrong(one) {
            let place = format!("{place}.children[{child}].copied_on_the_way[{index}]");
            return wrong(place, what);
        }
        for (index, written) in one.written.iter().enumerate() {
            let place = || format!("{place}.children[{child}].written[{index}]");
            if one.region(written.region).is_none() {
                let what = format!("no pages of the region {}", written.region.as_str());
                return wrong(place(), what);
            }
            if written.pages == 0 {
                return wrong(place(), "written to no page".into());
            }
        }
        for (index, region) in one.regions.iter().enumerate() {
            let place = || format!("{place}.children[{child}].regions[{index}]");
            if region.pages > MOST_PAGES || region.pages > MOST / page {
                return wrong(place(), format!("{} pages", region.pages));
            }
            if region.unshared > region.pages {
                let what = format!("{} of {} pages unshared", region.unshared, region.pages);
                return wrong(place(), what);
            }
            if let Some(identical) = region.identical
                && identical > region.unshared
            {
                let what = format!("{identical} of {} copies identical", region.unshared);
                return wrong(place(), what);
            }
            if let Some(what) = causes_wrong(one, region).or_else(|| map_wrong(one, region)) {
                return wrong(place(), what);
            }
            let same = |other: &&Region| other.name == region.name;
            if one.regions.iter().filter(same).count() > 1 {
                let what = format!("the region {} twice", region.name.as_str());
                return wrong(place(), what);
            }
        }
        // Sums of regions are safe now.
        if let Some((field, what)) = sums_wrong(one, page) {
            return wrong(format!("{place}.children[{child}].{field}"), what);
        }
    }
    Ok(())
}

/// What is wrong with the memory of all processes, if anything is.
fn tree_wrong(tree: &Tree, children: usize) -> Option<String> {
    let each = &tree.pss_bytes_after_each;
    let last = each.last()?;
    if each.len() != children {
        return Some(format!(
            "{} figures of memory for {children} children",
            each.len()
        ));
    }
    (tree.pss_bytes_after.is_some_and(|after| after != *last))
        .then(|| "memory after the last child differs from memory after all".into())
}
