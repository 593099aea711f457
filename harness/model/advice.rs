//! Which remedy helps, from what was measured: an order, and sentences.

mod nothing;

use crate::compare::TOLERANCE;
use crate::numbers::{bytes, share, signed_bytes};
use crate::remedies::{remedies, title};
use crate::{Advice, Measurement, Tried};

/// A time must be so much longer or shorter to be another.
const LEAST_CHANGE: f64 = 0.05;
/// Where no time is more than so many times another, and they are not told apart, they are the same.
const MOST_OF_SAME: f64 = 1.25;
/// From so many times on one that was much longer than the others may be left out: something else
/// ran.
const MANY_TIMES: usize = 5;

/// What is no saving. A remedy's own code and objects make another heap of the same data, as
/// another build of Python does, whose memory begins elsewhere: the same tolerance.
pub fn noise_bytes(copied_bytes: u64, page_size_bytes: u64) -> u64 {
    let part = (copied_bytes as f64 * TOLERANCE.share) as u64;
    part.max(TOLERANCE.pages * page_size_bytes)
}

/// The same of the memory of all processes: so many pages of each, or that part of all that the
/// children copied and made.
pub fn tree_noise_bytes(as_it_is: &Measurement, page_size_bytes: u64) -> u64 {
    let processes = as_it_is.children.len() as u64 + 1;
    let part = (own_bytes(as_it_is, page_size_bytes) as f64 * TOLERANCE.share) as u64;
    part.max(TOLERANCE.pages * page_size_bytes * processes)
}

/// The same once the data as it is was measured a second time: nothing that is no more than twice as much as it differed by
/// is a saving. `noise` is what was none before.
pub fn tree_noise_of(advice: &Advice, noise: u64) -> u64 {
    let again = advice.remedies.iter().filter_map(|one| one.second);
    let apart = again.filter_map(|again| Some(advice.tree?.end.abs_diff(again.as_it_is.end)));
    apart.fold(noise, |noise, apart| noise.max(apart.saturating_mul(2)))
}

/// Bytes that a child copied, of the children the most.
pub fn copied_bytes(measurement: &Measurement, page_size_bytes: u64) -> u64 {
    let children = measurement.children.iter();
    let most = children.map(|child| child.totals().unshared).max();
    most.unwrap_or(0).saturating_mul(page_size_bytes)
}

/// Bytes that all children copied and made, at the end of their visits.
pub fn own_bytes(measurement: &Measurement, page_size_bytes: u64) -> u64 {
    let of_child = measurement.children.iter().map(|child| {
        let pages = child
            .totals()
            .unshared
            .saturating_add(child.new_pages.unwrap_or(0));
        pages.saturating_mul(page_size_bytes)
    });
    of_child.fold(0, u64::saturating_add)
}

/// What they copied and made more with a remedy than with the data as it is.
pub fn more_of_workers(
    as_it_is: &Measurement,
    with_remedy: &Measurement,
    page_size_bytes: u64,
) -> Option<u64> {
    let [then, now] = [as_it_is, with_remedy].map(|one| own_bytes(one, page_size_bytes));
    now.checked_sub(then).filter(|more| *more > 0)
}

/// What was saved: less than nothing where more was copied.
pub fn saved_bytes(as_it_is: u64, with_remedy: u64) -> i64 {
    i64::try_from(i128::from(as_it_is) - i128::from(with_remedy)).unwrap_or(i64::MIN)
}

/// Whether there is anything to be saved: a child copies or makes more than noise, at the end or on
/// its way.
pub fn is_worth_a_try(advice: &Advice, as_it_is: &Measurement, page_size_bytes: u64) -> bool {
    let peaks = as_it_is.children.iter().filter_map(|child| child.peak);
    let most = peaks.map(|peak| peak.bytes).max().unwrap_or(0);
    let new = as_it_is.children.iter().filter_map(|child| child.new_pages);
    let new = new.max().unwrap_or(0).saturating_mul(page_size_bytes);
    advice.copied_bytes.max(most).max(new) > advice.noise_bytes
}

/// Puts first what helps, and of that what saves most; of those that save the same but for noise,
/// the simplest. What was not measured is last.
pub fn rank(advice: &Advice, tried: &mut Vec<Tried>) {
    let noise = match advice.tree {
        Some(_) => advice.tree_noise_bytes.unwrap_or(0).saturating_mul(2),
        None => advice.noise_bytes,
    };
    let noise = i64::try_from(noise).unwrap_or(i64::MAX);
    let simple = |tried: &Tried| {
        let place = remedies().iter().position(|one| one.name == tried.remedy);
        place.unwrap_or(usize::MAX)
    };
    let saved = |tried: &Tried| match advice.saved_of_tree(tried) {
        Some(saved) => Some(saved.together()),
        None => tried.saved_bytes,
    };
    tried.sort_by_key(simple);
    let (mut helping, mut others): (Vec<_>, Vec<_>) =
        tried.drain(..).partition(|one| advice.helps(one));
    for group in [&mut helping, &mut others] {
        while let Some(most) = group.iter().filter_map(saved).max() {
            let alike = |one: &Tried| saved(one) >= Some(most.saturating_sub(noise));
            let place = group.iter().position(alike);
            tried.extend(place.map(|place| group.remove(place)));
        }
    }
    tried.append(&mut others);
}

/// How long a visit takes with a remedy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimeOfVisit {
    /// Nobody timed it.
    Unknown,
    /// As long, and none of the times is far from another.
    Same,
    /// So many times as long.
    Times(f64),
    /// The times vary too much to tell: between so many and so many times as long.
    Unclear(f64, f64),
}

/// What times of a visit say, as it is and with a remedy. They differ by more than noise where
/// each of one is longer than each of the other, but for the longest of many.
pub fn time_of_visit(as_it_is: &[f64], with_remedy: &[f64]) -> TimeOfVisit {
    let sorted = |times: &[f64]| {
        let mut times = times.to_vec();
        times.sort_by(f64::total_cmp);
        if times.len() >= MANY_TIMES {
            times.pop();
        }
        times
    };
    let [base, with] = [as_it_is, with_remedy].map(sorted);
    let (Some(base_most), Some(with_most)) = (base.last(), with.last()) else {
        return TimeOfVisit::Unknown;
    };
    let ratio = median(&with) / median(&base);
    let (least, most) = (with[0] / base_most, with_most / base[0]);
    if !ratio.is_finite() || !least.is_finite() || !most.is_finite() {
        // A clock that did not move.
        return TimeOfVisit::Unknown;
    }
    let is_apart = least > 1.0 || most < 1.0;
    if is_apart && (ratio - 1.0).abs() >= LEAST_CHANGE {
        TimeOfVisit::Times(ratio)
    } else if is_apart || most.max(1.0 / least) <= MOST_OF_SAME {
        TimeOfVisit::Same
    } else {
        TimeOfVisit::Unclear(least, most)
    }
}

/// The one in the middle; 0 of none.
pub fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(0.0)
}

/// What came of it. `as_it_is` is the measurement without a remedy.
pub fn finding(advice: &Advice, as_it_is: &Measurement, page_size_bytes: u64) -> String {
    match advice.best() {
        Some(best) => helped(advice, best, as_it_is.children.len()),
        None => nothing::finding(advice, as_it_is, page_size_bytes),
    }
}

fn helped(advice: &Advice, best: &Tried, workers: usize) -> String {
    let saved = best.saved_bytes.unwrap_or(0);
    let copied = bytes(advice.copied_bytes);
    let left = i128::from(advice.copied_bytes) - i128::from(saved);
    let left = bytes(u64::try_from(left).unwrap_or(0));
    let title = title(&best.remedy);
    let measured = advice.tree.zip(best.tree).zip(advice.saved_of_tree(best));
    let Some(((tree, with), saved_of_tree)) = measured else {
        // Of an earlier version, which knew of nothing else.
        return format!(
            "Best: {title}. A child copies {left} instead of {copied}, {} less{}.",
            bytes(saved.unsigned_abs()),
            again(advice, best)
        );
    };
    let noise = advice.tree_noise_bytes.unwrap_or(0);
    let at_end = saved_of_tree.end > i64::try_from(noise).unwrap_or(i64::MAX);
    let more_at_peak = saved_of_tree.peak != saved_of_tree.end;
    let of = |now: u64, then: u64, saved: i64| {
        let part = saved as f64 / then.max(1) as f64;
        format!(
            "{} instead of {}, {} less ({})",
            bytes(now),
            bytes(then),
            bytes(saved.unsigned_abs()),
            share(part)
        )
    };
    let mut words = format!("Best: {title}. ");
    if at_end || !more_at_peak {
        words += &format!(
            "All processes together take {}",
            of(with.end, tree.end, saved_of_tree.end)
        );
        if more_at_peak {
            words += &format!(
                "; at the peak {}",
                of(with.peak, tree.peak, saved_of_tree.peak)
            );
        }
    } else {
        words += &format!(
            "All processes together take at their peak {}, and {} at the end",
            of(with.peak, tree.peak, saved_of_tree.peak),
            match saved_of_tree.end.unsigned_abs() > noise {
                true => format!("{} more", bytes(saved_of_tree.end.unsigned_abs())),
                false => "as much as before".to_owned(),
            }
        );
    }
    words += &format!("; a child copies {left} instead of {copied}");
    words += &again(advice, best);
    words += ".";
    if let Some(more) = more_workers(advice, best, workers) {
        words += &format!(" But {more}.");
    }
    match time_of_visit(&advice.visit_seconds, &best.visit_seconds) {
        TimeOfVisit::Unknown => {}
        TimeOfVisit::Same => words += " No difference in the time of the visit was found.",
        TimeOfVisit::Times(ratio) => {
            words += &format!(" The visit takes {}.", times(ratio));
        }
        TimeOfVisit::Unclear(least, most) => {
            words += &format!(
                " Whether the visit takes longer is not known, its times vary too much: {least:.1} to {most:.1} times as long."
            );
        }
    }
    words
}

/// `1.8 times as long`, `40 % of the time`.
fn times(ratio: f64) -> String {
    match ratio {
        ..0.0095 => "less than 1 % of the time".to_owned(),
        ..0.995 => format!("{:.0} % of the time", ratio * 100.0),
        ..9.95 => format!("{ratio:.1} times as long"),
        _ => format!("{ratio:.0} times as long"),
    }
}

/// That each worker takes more with a remedy, so that with many of them nothing is saved, if it does.
fn more_workers(advice: &Advice, tried: &Tried, workers: usize) -> Option<String> {
    let more = u64::try_from(advice.more_of_workers(tried))
        .ok()
        .filter(|more| *more > 0)?;
    let each = more / (workers as u64).max(1);
    // What the parent saves, once, is what so many workers take more.
    let once = u64::try_from(advice.saved_of_tree(tried)?.end)
        .ok()?
        .saturating_add(more);
    let enough = once.div_ceil(each.max(1));
    Some(format!(
        "each worker copies and makes {} more than without it, so with {enough} workers or more nothing is saved",
        bytes(each)
    ))
}

/// What a second measurement says, if there was one.
fn again(advice: &Advice, best: &Tried) -> String {
    let Some(again) = &advice.measured_again else {
        return String::new();
    };
    let trees = advice.tree.zip(best.tree).zip(again.tree);
    let (told, first, second, noise) = match trees {
        Some(((tree, with), again)) => {
            let plain = best.second.map_or(tree, |second| second.as_it_is);
            let (first, second) = (tree.saved_by(with), plain.saved_by(again));
            let noise = advice.tree_noise_bytes.unwrap_or(0);
            let at_peak = first.peak.abs_diff(first.end) > advice.peak_noise();
            let mut told = signed_bytes(second.end);
            if at_peak {
                told += &format!(" and {} at the peak", signed_bytes(second.peak));
            }
            // The peak is what was seen of it.
            (told, first.end, second.end, noise)
        }
        None => {
            let (first, second) = (best.saved_bytes.unwrap_or(0), again.saved_bytes);
            (signed_bytes(second), first, second, advice.noise_bytes)
        }
    };
    // An arena of the allocator more or less, which may be held by one object, is no reason to doubt what is saved each time.
    match first.abs_diff(second) > noise && second < first / 2 {
        true => format!("; but measured again: {told} saved, so do not count on it"),
        false => format!("; measured again: {told} saved"),
    }
}

#[cfg(test)]
mod tests;
