//! What figures of one document must agree in.

use std::collections::HashSet;

use super::bounds::{MOST, MOST_CHILDREN, MOST_PAGES, MOST_SECONDS};
use super::error::DocumentError;
use super::own_data;
use crate::{
    Advice, Calibration, Cause, Causes, Child, Fate, Measurement, Region, Report, Run, Tree,
};

/// More than any kernel's base page.
const MOST_PAGE_BYTES: u64 = 1 << 20;
/// Interpreters on machines.
const MOST_RUNS: usize = 1 << 8;
/// Ten times all fixtures, visits and preparations with eight interpreters.
const MOST_MEASUREMENTS: usize = 50_000;
/// Claims, facts and the like of all runs together: of none there are a hundred in a run.
const MOST_OF_A_KIND: usize = 10_000;

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

/// Refuses children, regions and causes that cannot be.
fn check_measurement(
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

/// What is wrong with the pages that were copied between the fork and the visit, if anything is, and of which entry.
fn on_the_way_wrong(child: &Child) -> Option<(usize, String)> {
    let mut of_all: u64 = 0;
    for (index, one) in child.copied_on_the_way.iter().enumerate() {
        let name = one.region.as_str();
        let Some(region) = child.region(one.region) else {
            return Some((index, format!("no pages of the region {name}")));
        };
        let earlier = &child.copied_on_the_way[..index];
        if earlier.iter().any(|other| other.region == one.region) {
            return Some((index, format!("the region {name} twice")));
        }
        if one.pages == 0 {
            return Some((index, "no page".to_owned()));
        }
        // The visit cannot copy them again.
        if one.pages > region.pages.saturating_sub(region.unshared) {
            let (left, pages) = (region.pages.saturating_sub(region.unshared), one.pages);
            return Some((index, format!("{pages} of {left} pages of {name}")));
        }
        of_all = of_all.saturating_add(one.pages);
        if of_all > child.pages_copied_by_fork {
            let before = child.pages_copied_by_fork;
            let what = format!("{of_all} of {before} pages copied before the visit");
            return Some((index, what));
        }
    }
    None
}

/// What of a child's sums is not what its pages say, and in which field.
fn sums_wrong(child: &Child, page: u64) -> Option<(&'static str, String)> {
    let pages = child.visit_bytes(page);
    if let Some(bytes) = &child.bytes {
        let (copied, new, file) = (bytes.copied, bytes.new, bytes.file);
        let others = [
            ("bytes.copied", Some(copied), Some(pages.copied)),
            ("bytes.new", new, pages.new),
            ("bytes.file", file, pages.file),
            ("bytes.sum", bytes.sum, pages.sum),
        ];
        let wrong = others.into_iter().find(|(_, said, are)| said != are);
        if let Some((field, said, are)) = wrong {
            return Some((
                field,
                format!("{}, and {} by its pages", told(said), told(are)),
            ));
        }
        if bytes.uss_growth != pages.uss_growth {
            let what = "it is not the difference of uss_bytes_after and uss_bytes_before";
            return Some(("bytes.uss_growth", what.to_owned()));
        }
    }
    let at_end = pages.copied.saturating_add(pages.new.unwrap_or(0));
    if let Some(peak) = child.peak.filter(|peak| peak.bytes < at_end) {
        let what = format!("{} bytes at most, and {at_end} at the end", peak.bytes);
        return Some(("peak.bytes", what));
    }
    cross_checks_wrong(child, page)
}

/// The same, of what is known of the growth of the unique set size.
fn cross_checks_wrong(child: &Child, page: u64) -> Option<(&'static str, String)> {
    let copied = child.totals().unshared;
    let uss = child.uss_bytes_before.zip(child.uss_bytes_after);
    let grown = uss.map(|(before, after)| i128::from(after / page) - i128::from(before / page));
    let less = child.cross_checks.uss_pages_minus_unshared;
    if let (Some(grown), Some(less)) = (grown, less)
        && grown - i128::from(copied) != i128::from(less)
    {
        let what = format!("{less}, and it grew by {grown} pages with {copied} copies");
        return Some(("cross_checks.uss_pages_minus_unshared", what));
    }
    let growth = child.cross_checks.uss_growth.as_ref()?;
    for (field, said, are) in [
        (
            "cross_checks.uss_growth.copied",
            growth.copied,
            Some(copied),
        ),
        ("cross_checks.uss_growth.new", growth.new, child.new_pages),
    ] {
        if Some(said) != are {
            return Some((
                field,
                format!("{said} pages, and {} in the child", told(are)),
            ));
        }
    }
    let more: i128 = [growth.copied, growth.new, growth.others]
        .map(i128::from)
        .into_iter()
        .sum();
    let left = i128::from(growth.pages) - more - i128::from(growth.own_of_files)
        + i128::from(growth.given_back);
    (left != i128::from(growth.left)).then(|| {
        let what = format!("{}, and {left} pages are left", growth.left);
        ("cross_checks.uss_growth.left", what)
    })
}

/// A figure that may not be known.
fn told(figure: Option<u64>) -> String {
    figure.map_or_else(|| "none".to_owned(), |figure| figure.to_string())
}

/// What is wrong with what a child has besides its copies, if anything is.
fn growth_wrong(child: &Child, page: u64) -> Option<String> {
    let most = MOST_PAGES.min(MOST / page);
    let copied = child.peak.and_then(|peak| peak.copied_pages);
    for (what, pages) in [
        ("new pages", child.new_pages),
        ("pages of files", child.file_pages),
        ("pages copied at any time", copied),
    ] {
        if let Some(pages) = pages.filter(|pages| *pages > most) {
            return Some(format!("{pages} {what}"));
        }
    }
    let made: u128 = child.made.iter().map(|made| u128::from(made.pages)).sum();
    let new = child.new_pages.unwrap_or(0);
    (made > 0 && made != u128::from(new)).then(|| format!("{made} of {new} new pages made"))
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

/// What is wrong with an advice, if anything is: what it says must be what was measured.
fn advice_wrong(advice: &Advice, run: &Run) -> Option<String> {
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
            && saved(&again.measurement) == i128::from(again.saved_bytes);
        (!right).then(|| "the remedy that was measured again is not the best".into())
    })
}

/// What is wrong with a region's map, if anything is: it must say what the region's figures say.
fn map_wrong(child: &Child, region: &Region) -> Option<String> {
    let map = region.map.as_ref()?;
    let mut on_the_way = child.copied_on_the_way.iter();
    let on_the_way = on_the_way.find(|one| one.region == region.name);
    let (said, drawn) = (
        on_the_way.map_or(0, |one| one.pages),
        map.sum(|fate| fate == Fate::OnTheWay),
    );
    if said != drawn {
        return Some(format!(
            "its map has {drawn} pages copied on the way, and copied_on_the_way says {said}"
        ));
    }
    let unshared = map.sum(|fate| matches!(fate, Fate::Copied { .. }));
    let sum_of = |wanted| {
        map.sum(|fate| matches!(fate, Fate::Copied { identical, .. } if identical == wanted))
    };
    // Of a copy it is known whether it is identical if it is known of all.
    let identical = match region.identical {
        Some(identical) => sum_of(Some(true)) == identical && sum_of(None) == 0,
        None => sum_of(None) == unshared,
    };
    let causes = match &region.causes {
        Some(causes) => map.causes().as_ref() == Some(causes),
        None => map.sum(|fate| matches!(fate, Fate::Copied { cause: Some(_), .. })) == 0,
    };
    let right = map.pages() == region.pages && unshared == region.unshared && identical && causes;
    (!right).then(|| "the map of its pages belongs to another region".into())
}

/// What is wrong with the causes of a region, if anything is.
fn causes_wrong(child: &Child, region: &Region) -> Option<String> {
    let of_region = || {
        let all = child.written.iter();
        all.filter(|written| written.region == region.name)
    };
    let Some(causes) = &region.causes else {
        let there = of_region().next().is_some();
        return there.then(|| "writes are listed, but no causes".to_owned());
    };
    let too_many = Cause::ALL
        .iter()
        .any(|cause| causes.of(*cause) > MOST_PAGES);
    if too_many || causes.sum() != region.unshared {
        return Some("causes do not add up to the unshared pages".into());
    }
    let mut listed = Causes::default();
    let mut identical = 0;
    for written in of_region() {
        if written.pages > MOST_PAGES || written.identical > Some(written.pages) {
            return Some("more identical copies than pages of a cause".into());
        }
        let sum = listed.of_mut(written.cause);
        *sum = sum.saturating_add(written.pages);
        identical += written.identical.unwrap_or(0);
    }
    if listed != *causes {
        return Some("the listed writes do not match the causes".into());
    }
    let known = of_region().all(|written| written.identical.is_some());
    match region.identical {
        Some(of_all) if known && of_all != identical => {
            Some("identical copies do not add up".into())
        }
        _ => None,
    }
}
