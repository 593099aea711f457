//! A measurement against the same one of now.

use std::collections::BTreeMap;

use super::comparing::Comparing;
use crate::compare;
use crate::{Cause, Child, Measurement, OnTheWay, Processes, Region, RegionName};

/// Why functions and lines say nothing between builds.
const OTHER_CODE: &str = "another build has other functions";
/// Why what is imported says nothing between builds.
const OTHER_MODULES: &str = "another build, or other packages, import other modules";

/// How answers name it.
pub(super) fn short(measurement: &Measurement) -> String {
    format!("{}/{}", measurement.data(), measurement.visit)
}

pub(super) fn compare(recorded: &Measurement, now: &Measurement, comparing: &mut Comparing) {
    let name = format!("{} ({})", short(recorded), compare::made_of(recorded));
    let (tree, tree_now) = (&recorded.tree, &now.tree);
    for (what, recorded, now) in [
        ("before", tree.pss_bytes_before, tree_now.pss_bytes_before),
        ("after", tree.pss_bytes_after, tree_now.pss_bytes_after),
    ] {
        comparing.memory(|| format!("{name}, PSS of all {what}"), recorded, now);
    }
    let each = tree.pss_bytes_after_each.iter();
    for (number, (one, other)) in (1..).zip(each.zip(&tree_now.pss_bytes_after_each)) {
        let of = || format!("{name}, PSS of all after child {number}");
        comparing.memory(of, Some(*one), Some(*other));
    }
    let children = recorded.children.iter().zip(&now.children);
    for (number, (one, other)) in (1..).zip(children) {
        let name = format!("{name}, child {number}");
        for region in RegionName::ALL.into_iter().filter(|one| one.is_data()) {
            let of = |what: &str| format!("{name}, {} {what}", region.as_str());
            data(one, other, region, &of, comparing);
        }
        around(one, other, &name, comparing);
        child(one, other, &name, comparing);
    }
}

fn pages_of(region: Option<&Region>) -> (u64, u64) {
    region.map_or((0, 0), |it| (it.pages, it.unshared))
}

fn data(
    recorded: &Child,
    now: &Child,
    region: RegionName,
    of: &dyn Fn(&str) -> String,
    comparing: &mut Comparing,
) {
    let (one, other) = (recorded.region(region), now.region(region));
    if one.is_none() && other.is_none() {
        return;
    }
    let ((pages, unshared), (pages_now, unshared_now)) = (pages_of(one), pages_of(other));
    comparing.pages(|| of("pages"), pages, pages_now, false);
    let whole = compare::all_or_nothing((unshared, pages), (unshared_now, pages_now));
    comparing.pages(|| of("unshared"), unshared, unshared_now, whole);
    let (Some(one), Some(other)) = (one, other) else {
        return;
    };
    // Where one of the machines does not tell, nothing is compared.
    if let (Some(one), Some(other)) = (one.identical, other.identical) {
        comparing.pages(|| of("identical"), one, other, false);
    }
    if let (Some(one), Some(other)) = (&one.causes, &other.causes) {
        for cause in Cause::ALL {
            comparing.pages(|| of(cause.as_str()), one.of(cause), other.of(cause), false);
        }
    }
    if let (Some(one), Some(other)) = (&one.map, &other.map)
        && comparing.one_build
        && let Some(apart) = one.apart(other)
    {
        comparing.map(|| of("map of pages"), apart, unshared);
    }
}

/// The process around the data, by region if both runs divide it alike: older ones divide it no
/// further.
fn around(recorded: &Child, now: &Child, name: &str, comparing: &mut Comparing) {
    let regions = || {
        RegionName::ALL
            .into_iter()
            .filter(|region| !region.is_data())
    };
    let divided = |child: &Child| {
        let mut named = regions().filter(|region| *region != RegionName::Rest);
        named.any(|region| child.region(region).is_some())
    };
    if divided(recorded) != divided(now) {
        let of = || format!("{name}, pages around the data unshared");
        return comparing.around(of, recorded.around().unshared, now.around().unshared);
    }
    for region in regions() {
        let of = |what: &str| format!("{name}, {} {what}", region.as_str());
        let (one, other) = (recorded.region(region), now.region(region));
        let ((pages, unshared), (pages_now, unshared_now)) = (pages_of(one), pages_of(other));
        if pages.max(pages_now) == 0 {
            continue;
        }
        match region {
            RegionName::Libraries => comparing.of_files(|| of("pages"), pages, pages_now),
            _ => comparing.around(|| of("pages"), pages, pages_now),
        }
        comparing.around(|| of("unshared"), unshared, unshared_now);
        let (Some(one), Some(other)) = (one, other) else {
            continue;
        };
        if let (Some(one), Some(other)) = (one.identical, other.identical) {
            comparing.around(|| of("identical"), one, other);
        }
        if let (Some(one), Some(other)) = (&one.causes, &other.causes) {
            for cause in Cause::ALL {
                comparing.around(|| of(cause.as_str()), one.of(cause), other.of(cause));
            }
        }
    }
}

/// What a child has besides its regions.
fn child(recorded: &Child, now: &Child, name: &str, comparing: &mut Comparing) {
    let of = |what: &str| format!("{name}, {what}");
    let (by_fork, by_fork_now) = (recorded.pages_copied_by_fork, now.pages_copied_by_fork);
    comparing.around(|| of("pages copied by the fork"), by_fork, by_fork_now);
    let words = "copied on the way";
    let (way, way_now) = (&recorded.copied_on_the_way, &now.copied_on_the_way);
    by_region(way, way_now, words, &of, comparing);
    if let (Some(one), Some(other)) = (recorded.new_pages, now.new_pages) {
        comparing.around(|| of("new pages"), one, other);
    }
    let peak = |child: &Child| child.peak.and_then(|peak| peak.copied_pages);
    if let (Some(one), Some(other)) = (peak(recorded), peak(now)) {
        comparing.around(|| of("pages copied at any time"), one, other);
    }
    let imported = |child: &Child| child.imported.join(", ");
    let (modules, modules_now) = (imported(recorded), imported(now));
    comparing.own(
        || of("imported modules"),
        &modules,
        &modules_now,
        OTHER_MODULES,
    );
    match (&recorded.processes, &now.processes) {
        (None, None) => {}
        (Some(one), Some(other)) => processes(one, other, &of, comparing),
        (one, _) => {
            let number = |there: bool| if there { "some" } else { "none" };
            let there = one.is_some();
            comparing.word(|| of("processes"), number(there), number(!there));
        }
    }
    rows(recorded, now, &of, comparing);
}

/// Copied pages by region, each of which is named by its own name and these words.
fn by_region(
    recorded: &[OnTheWay],
    now: &[OnTheWay],
    words: &str,
    of: &dyn Fn(&str) -> String,
    comparing: &mut Comparing,
) {
    for region in RegionName::ALL {
        let pages = |all: &[OnTheWay]| {
            let all = all.iter().filter(|one| one.region == region);
            all.map(|one| one.pages).sum::<u64>()
        };
        let (one, other) = (pages(recorded), pages(now));
        if one.max(other) > 0 {
            let what = format!("{} {words}", region.as_str());
            comparing.around(|| of(&what), one, other);
        }
    }
}

fn processes(
    recorded: &Processes,
    now: &Processes,
    of: &dyn Fn(&str) -> String,
    comparing: &mut Comparing,
) {
    let (one, other) = (recorded.number.to_string(), now.number.to_string());
    comparing.word(|| of("processes"), &one, &other);
    let why = |it: &Processes| it.not_followed.clone().unwrap_or_default();
    comparing.own(
        || of("why processes were not followed"),
        &why(recorded),
        &why(now),
        "it depends on the machine",
    );
    let (one, other) = (recorded.followed.len(), now.followed.len());
    comparing.word(
        || of("processes followed"),
        &one.to_string(),
        &other.to_string(),
    );
    let pairs = recorded.followed.iter().zip(&now.followed);
    for (number, (one, other)) in (1..).zip(pairs) {
        let of = |what: &str| of(&format!("process {number}: {what}"));
        by_region(&one.regions, &other.regions, "copied", &of, comparing);
        comparing.around(|| of("new pages"), one.new_pages, other.new_pages);
    }
}

/// Pages and identical ones of rows of one name; of the dataset if the last is true.
type Rows = BTreeMap<String, (u64, u64, bool)>;

fn add(rows: &mut Rows, name: &[Option<&str>], pages: u64, identical: u64, data: bool) {
    let name: Vec<_> = name.iter().copied().flatten().collect();
    let sum = rows.entry(name.join(", ")).or_insert((0, 0, data));
    sum.0 = sum.0.saturating_add(pages);
    sum.1 = sum.1.saturating_add(identical);
}

/// What was written first, and who made new pages: row by row.
fn rows(recorded: &Child, now: &Child, of: &dyn Fn(&str) -> String, comparing: &mut Comparing) {
    let written = |child: &Child| {
        let mut all = Rows::new();
        for one in &child.written {
            let name = [
                Some("written"),
                Some(one.region.as_str()),
                Some(one.cause.as_str()),
                one.of_type.as_deref(),
                one.function.as_deref(),
                one.line.as_deref(),
                one.own_line.as_deref(),
                one.package.as_deref(),
            ];
            let identical = one.identical.unwrap_or(0);
            add(&mut all, &name, one.pages, identical, one.region.is_data());
        }
        all
    };
    let made = |child: &Child| {
        let mut all = Rows::new();
        for one in &child.made {
            let name = [
                Some("new"),
                one.of_type.as_deref(),
                one.function.as_deref(),
                one.line.as_deref(),
                one.own_line.as_deref(),
            ];
            add(&mut all, &name, one.pages, 0, false);
        }
        all
    };
    let caused = |child: &Child| child.regions.iter().any(|region| region.causes.is_some());
    if caused(recorded) && caused(now) {
        each_row(&written(recorded), &written(now), of, comparing);
    }
    if !recorded.made.is_empty() && !now.made.is_empty() {
        each_row(&made(recorded), &made(now), of, comparing);
    }
}

fn each_row(recorded: &Rows, now: &Rows, of: &dyn Fn(&str) -> String, comparing: &mut Comparing) {
    let only_now = now.keys().filter(|name| !recorded.contains_key(*name));
    for name in recorded.keys().chain(only_now) {
        let both = [recorded, now].map(|all| all.get(name).copied());
        let data = both.iter().flatten().any(|(_, _, data)| *data);
        let [(pages, same, _), (pages_now, same_now, _)] = both.map(Option::unwrap_or_default);
        for (what, one, other) in [("", pages, pages_now), (", identical", same, same_now)] {
            let of = || of(&format!("{name}{what}"));
            match (data, comparing.one_build) {
                (true, true) => comparing.pages(of, one, other, false),
                (true, false) => {
                    let (one, other) = (one.to_string(), other.to_string());
                    comparing.own(of, &one, &other, OTHER_CODE);
                }
                (false, _) => comparing.around(of, one, other),
            }
        }
    }
}
