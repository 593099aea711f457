//! What a child's figures must agree in.

use super::bounds::{MOST, MOST_PAGES};
use crate::Child;

/// What is wrong with the pages that were copied between the fork and the visit, if anything is, and of which entry.
pub(super) fn on_the_way_wrong(child: &Child) -> Option<(usize, String)> {
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
pub(super) fn sums_wrong(child: &Child, page: u64) -> Option<(&'static str, String)> {
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
pub(super) fn growth_wrong(child: &Child, page: u64) -> Option<String> {
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
