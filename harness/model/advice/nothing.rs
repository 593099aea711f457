//! What is said where no remedy helps: what is written, and where, as far as that is known.

use std::cmp::Reverse;

use super::more_workers;
use crate::numbers::{bytes, count};
use crate::remedies::{remedy, title};
use crate::{Advice, Cause, CausedPages, Child, Measurement, NamedPages, RegionName, SavedOfTree};

/// From this part on a name stands for all of them.
const MOST: f64 = 0.5;

/// That nothing helps, and why.
pub(super) fn finding(advice: &Advice, as_it_is: &Measurement, page_size_bytes: u64) -> String {
    let children = as_it_is.children.iter();
    let own = |child: &&Child| {
        let new = child.new_pages.unwrap_or(0);
        child.totals().unshared.saturating_add(new)
    };
    let Some(child) = children.max_by_key(own) else {
        return "Nothing here helps: nothing was measured.".to_owned();
    };
    let new = child.new_pages.unwrap_or(0).saturating_mul(page_size_bytes);
    let copied = child.totals().unshared.saturating_mul(page_size_bytes);
    if advice.remedies.is_empty() {
        return match copied.saturating_add(new) {
            0 => "Nothing here helps: a child copies and makes nothing.".to_owned(),
            some => format!(
                "Nothing here helps: a child copies and makes almost nothing anyway ({}).",
                bytes(some)
            ),
        };
    }
    let mut words = match at_a_price(advice, as_it_is.children.len()) {
        Some(price) => {
            format!("Nothing that refcow tries helps throughout: {price}. As it is, a child copies")
        }
        None => "Nothing that refcow tries saves more than noise: a child copies".to_owned(),
    };
    words += &format!(" {}", bytes(copied));
    if new > advice.noise_bytes {
        words += &format!(" and makes {} of new memory", bytes(new));
    }
    if let Some(written) = written(child, copied, page_size_bytes) {
        words += &written;
    }
    if new > advice.noise_bytes {
        let by = |key: fn(&crate::Made) -> Option<String>| {
            let made = child.made.iter().map(|one| (key(one), one.pages));
            named(&made.collect(), child.new_pages.unwrap_or(0))
        };
        if let Some(function) = by(|one| one.own_line.clone().or_else(|| one.line.clone()))
            .or_else(|| by(|one| one.function.clone()))
        {
            words += &format!("; most of what is new is made by {function}");
        }
    }
    words.push('.');
    if let Some(first) = child.why(page_size_bytes).first()
        && let Some(reason) = first.reasons.first()
    {
        words += only_the_code_can(first.region, reason);
    }
    for (reason, titles) in not_measured(advice) {
        words += &format!(" Not measured: {}: {reason}.", titles.join(", "));
    }
    words
}

/// Why other objects were not tried, each reason with all remedies that it is one for.
fn not_measured(advice: &Advice) -> Vec<(&str, Vec<&str>)> {
    let all = || {
        let remedies = advice.remedies.iter();
        remedies.filter_map(|tried| Some((tried.does_not_apply.as_deref()?, &tried.remedy)))
    };
    let mut reasons: Vec<&str> = Vec::new();
    for (reason, name) in all() {
        if remedy(name).is_some_and(|known| known.replaces) && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    let titles = |reason| {
        all()
            .filter(move |(other, _)| *other == reason)
            .map(|(_, name)| title(name))
    };
    reasons
        .into_iter()
        .map(|reason| (reason, titles(reason).collect()))
        .collect()
}

/// What saves most at the end or at the peak, where all processes take more at the other, or would with more workers.
pub(super) fn at_a_price(advice: &Advice, workers: usize) -> Option<String> {
    let noise = i64::try_from(advice.tree_noise_bytes?).ok()?;
    let all = advice.remedies.iter();
    // Where a second time was needed to know, what it says.
    let last = |tried| advice.saved_again(tried).or(advice.saved_of_tree(tried));
    let saved = all.filter_map(|tried| Some((tried, last(tried)?)));
    let most = |saved: &SavedOfTree| saved.end.max(saved.peak);
    let (tried, saved) = saved
        .filter(|(_, saved)| most(saved) > noise)
        .min_by_key(|(_, saved)| Reverse(most(saved)))?;
    if saved.end.min(saved.peak) >= -noise
        && let Some(more) = more_workers(advice, tried, workers)
    {
        let less = bytes(saved.end.unsigned_abs());
        return Some(format!(
            "with {}, all processes together take {less} less, but {more}",
            title(&tried.remedy)
        ));
    }
    let is_at_end = saved.end > saved.peak;
    let less = format!("{} less", bytes(most(&saved).unsigned_abs()));
    let more = format!("{} more", bytes(saved.end.min(saved.peak).unsigned_abs()));
    let (end, peak) = if is_at_end {
        (less, more)
    } else {
        (more, less)
    };
    Some(format!(
        "with {}, all processes together take {end} at the end and {peak} at the peak",
        title(&tried.remedy)
    ))
}

/// What could be done about most of the copied pages, if it is the program's code alone that can do it.
pub(super) fn only_the_code_can(region: RegionName, reason: &CausedPages) -> &'static str {
    let by = named(&reason.functions, reason.pages);
    match (region, reason.cause, by.as_deref()) {
        (RegionName::Native, Cause::Refcount, _) => {
            " If that C code can hold numbers in place of these objects, no reference count of theirs is written."
        }
        (_, _, Some("bounded_lru_cache_wrapper")) => {
            " An lru_cache with a maxsize notes each hit in a list of its own; with maxsize=None there is no such list."
        }
        _ => "",
    }
}

/// What is written first to most of the copied pages, where, and by whom.
fn written(child: &Child, copied: u64, page_size_bytes: u64) -> Option<String> {
    let why = child.why(page_size_bytes);
    let first = why.first()?;
    let of_all = |pages: u64| {
        let pages_of_all = copied / page_size_bytes.max(1);
        format!("{} of {} pages", count(pages), count(pages_of_all))
    };
    let Some(reason) = first.reasons.first() else {
        return Some(format!(
            ": {} are {}; what wrote there was not recorded",
            of_all(first.pages),
            place(first.region)
        ));
    };
    let mut words = format!(
        ": {} are {}, where {} first",
        of_all(first.pages),
        place(first.region),
        what(reason)
    );
    let by = named(&reason.lines, reason.pages).or_else(|| named(&reason.functions, reason.pages));
    if let Some(by) = by {
        words += &format!(", by {by}");
    }
    Some(words)
}

/// What is written there.
fn what(reason: &CausedPages) -> String {
    let of = match named(&reason.types, reason.pages) {
        Some(name) => format!("`{name}`"),
        None => "objects".to_owned(),
    };
    match reason.cause {
        Cause::Refcount => format!("the reference count of {of} is written"),
        Cause::Gc => format!("the collector's header of {of} is written"),
        Cause::Buffer => format!("the content of {of} is written"),
        Cause::Body => format!("a field of {of} is written"),
        Cause::Allocator => "the allocator writes".to_owned(),
        Cause::Kernel => "the kernel writes for a system call".to_owned(),
        Cause::Khugepaged => "the kernel makes huge pages".to_owned(),
        Cause::Unattributed => "something that refcow cannot name is written".to_owned(),
    }
}

fn place(region: RegionName) -> &'static str {
    match region {
        RegionName::Header => "pages of objects",
        RegionName::Spine => "pages of pointers",
        RegionName::Payload => "pages of buffers",
        RegionName::Native => "pages that C code holds",
        RegionName::Segment => "pages of shared memory",
        RegionName::Modules => "pages of imported modules",
        RegionName::Interpreter => "pages of the interpreter",
        RegionName::Libraries => "pages of libraries' variables",
        RegionName::Stack => "pages of stacks",
        RegionName::Rest => "pages of which refcow does not know what is there",
    }
}

/// The name that most pages have, if there is one.
fn named(names: &NamedPages, pages: u64) -> Option<String> {
    let (name, of_name) = names.first()?;
    let is_most = *of_name as f64 >= MOST * pages as f64;
    name.clone().filter(|_| is_most)
}
