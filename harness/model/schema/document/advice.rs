//! What an advice must agree in with what was measured.

use std::collections::HashSet;

use super::bounds::MOST_SECONDS;
use crate::{Advice, Measurement, Run};

/// What is wrong with an advice, if anything is: what it says must be what was measured.
pub(super) fn advice_wrong(advice: &Advice, run: &Run) -> Option<String> {
    let page = run.environment.page_size_bytes;
    // Regions have been checked: sums of so few pages fit.
    let copied = |measurement: &Measurement| {
        let pages = measurement.children.iter().map(|one| one.totals().unshared);
        pages.max().unwrap_or(0).saturating_mul(page)
    };
    let saved = |measurement| i128::from(advice.copied_bytes) - i128::from(copied(measurement));
    let Some(as_it_is) = advice.measurement(&run.measurements, None) else {
        return Some("the data it is about was not measured as it is".into());
    };
    if copied(as_it_is) != advice.copied_bytes {
        return Some(format!("{} bytes copied", advice.copied_bytes));
    }
    if let Some(tree) = advice
        .tree
        .filter(|_| advice.tree != as_it_is.tree_bytes(page))
    {
        return Some(format!("all processes with {} bytes", tree.end));
    }
    let times = advice
        .remedies
        .iter()
        .flat_map(|tried| &tried.visit_seconds);
    let mut times = times.chain(&advice.visit_seconds);
    if let Some(seconds) = times.find(|seconds| !(0.0..=MOST_SECONDS).contains(*seconds)) {
        return Some(format!("a visit of {seconds} s"));
    }
    let mut seen = HashSet::new();
    let mut others = false;
    for tried in &advice.remedies {
        let name = &tried.remedy;
        if !seen.insert(name) {
            return Some(format!("{name} twice"));
        }
        let measured = advice.measurement(&run.measurements, Some(name));
        let right = match (measured, tried.saved_bytes, &tried.does_not_apply) {
            (Some(measured), Some(bytes), None) => {
                let of_tree = tried.tree.is_none() || tried.tree == measured.tree_bytes(page);
                saved(measured) == i128::from(bytes) && of_tree && !others
            }
            (None, None, Some(_)) => {
                others = true;
                true
            }
            _ => false,
        };
        if !right {
            return Some(format!("what it says of {name} is not what was measured"));
        }
    }
    let again = advice.measured_again.as_ref();
    again.and_then(|again| {
        let first = advice.remedies.first().map(|first| &first.remedy[..]);
        let right = first.is_some()
            && again.measurement.prepare == advice.prepared(first)
            && again
                .tree
                .is_none_or(|tree| Some(tree) == again.measurement.tree_bytes(page))
            && advice.is_of(&again.measurement)
            && advice
                .remedies
                .first()
                .and_then(|first| first.second)
                .is_none_or(|second| Some(second.tree) == again.tree)
            && saved(&again.measurement) == i128::from(again.saved_bytes);
        (!right).then(|| "the remedy that was measured again is not the best".into())
    })
}
