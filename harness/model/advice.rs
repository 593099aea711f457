//! Which remedy helps, from what was measured: an order, and a sentence.

use crate::compare::TOLERANCE;
use crate::numbers::{bytes, count, signed_bytes};
use crate::remedies::{remedies, title};
use crate::{Advice, Cause, Measurement, Tried};

/// What is no saving. A remedy's own code and objects make another heap of the same data, as
/// another build of Python does, whose memory begins elsewhere: the same tolerance.
pub fn noise_bytes(copied_bytes: u64, page_size_bytes: u64) -> u64 {
    let part = (copied_bytes as f64 * TOLERANCE.share) as u64;
    part.max(TOLERANCE.pages * page_size_bytes)
}

/// Bytes that a child copied, of the children the most.
pub fn copied_bytes(measurement: &Measurement, page_size_bytes: u64) -> u64 {
    let children = measurement.children.iter();
    let most = children.map(|child| child.totals().unshared).max();
    most.unwrap_or(0).saturating_mul(page_size_bytes)
}

/// What was saved: less than nothing where more was copied.
pub fn saved_bytes(as_it_is: u64, with_remedy: u64) -> i64 {
    i64::try_from(i128::from(as_it_is) - i128::from(with_remedy)).unwrap_or(i64::MIN)
}

/// Puts first what saves most; of those that save the same but for noise, the simplest. What was
/// not measured is last.
pub fn rank(tried: &mut Vec<Tried>, noise_bytes: u64) {
    let noise = i64::try_from(noise_bytes).unwrap_or(i64::MAX);
    let simple = |tried: &Tried| {
        let place = remedies().iter().position(|one| one.name == tried.remedy);
        place.unwrap_or(usize::MAX)
    };
    tried.sort_by_key(simple);
    let mut ranked = Vec::new();
    while let Some(most) = tried.iter().filter_map(|one| one.saved_bytes).max() {
        let alike = |one: &Tried| one.saved_bytes >= Some(most.saturating_sub(noise));
        let place = tried.iter().position(alike);
        ranked.extend(place.map(|place| tried.remove(place)));
    }
    ranked.append(tried);
    *tried = ranked;
}

/// What came of it. `as_it_is` is the measurement without a remedy.
pub fn finding(advice: &Advice, as_it_is: &Measurement) -> String {
    let copied = bytes(advice.copied_bytes);
    let Some((best, saved)) = advice
        .best()
        .and_then(|best| Some((best, best.saved_bytes?)))
    else {
        return format!("Nothing here helps: {}.", why_nothing(advice, as_it_is));
    };
    let left = advice.copied_bytes.saturating_sub(saved.unsigned_abs());
    let again = advice.measured_again.as_ref().map(|again| {
        let saved_again = signed_bytes(again.saved_bytes);
        let apart = again.saved_bytes.abs_diff(saved);
        match apart > advice.noise_bytes {
            true => format!("; but measured again: {saved_again} saved, so do not count on it"),
            false => format!("; measured again: {saved_again} saved"),
        }
    });
    format!(
        "Best: {}. A child copies {} instead of {copied}, {} less{}.",
        title(&best.remedy),
        bytes(left),
        bytes(saved.unsigned_abs()),
        again.unwrap_or_default()
    )
}

/// Why no remedy helps.
fn why_nothing(advice: &Advice, as_it_is: &Measurement) -> String {
    if advice.copied_bytes <= advice.noise_bytes {
        return match advice.copied_bytes {
            0 => "a child copies nothing".to_owned(),
            some => format!("a child copies almost nothing anyway ({})", bytes(some)),
        };
    }
    let children = as_it_is.children.iter();
    let Some(child) = children.max_by_key(|child| child.totals().unshared) else {
        return "nothing was measured".to_owned();
    };
    let all = child.totals().unshared;
    let of_all = |pages: u64| format!("{} of {} pages", count(pages), count(all));
    let rest = child.around().unshared;
    // More than half of it is the story.
    if rest * 2 > all {
        return format!(
            "most of what a child copies belongs to the interpreter, not to the data ({})",
            of_all(rest)
        );
    }
    let pages = |wanted: &[Cause]| -> u64 {
        let causes = child.regions.iter().filter_map(|region| region.causes);
        causes
            .map(|causes| wanted.iter().map(|cause| causes.of(*cause)).sum::<u64>())
            .sum()
    };
    let content = pages(&[Cause::Buffer, Cause::Body, Cause::Kernel]);
    if content * 2 > all {
        return format!(
            "the visit itself writes to the data ({}), and what is written must be copied",
            of_all(content)
        );
    }
    let packed = advice.remedies.iter().find(|one| {
        let known = remedies().iter().find(|known| known.name == one.remedy);
        known.is_some_and(|known| known.replaces)
    });
    let packed = packed.and_then(|one| Some((title(&one.remedy), one.does_not_apply.as_ref()?)));
    let what = match pages(&[Cause::Refcount]) * 2 > all {
        true => "the writes are to the objects' reference counts",
        false => "nothing that was measured saves more than noise",
    };
    match packed {
        Some((title, reason)) => format!("{what}, and {title} do not apply: {reason}"),
        None => format!("{what}, and no other form of the data saves more than noise"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(all: &[(&str, Option<i64>)]) -> Vec<String> {
        let mut tried: Vec<_> = all
            .iter()
            .map(|(name, saved_bytes)| Tried {
                remedy: (*name).into(),
                saved_bytes: *saved_bytes,
                ..Tried::default()
            })
            .collect();
        rank(&mut tried, 100);
        tried.into_iter().map(|tried| tried.remedy).collect()
    }

    #[test]
    fn what_saves_most_is_first_and_of_equals_the_simplest() {
        let all = [
            ("shared-memory", Some(1_050)),
            ("gc.freeze", Some(-20)),
            ("immortal-objects", None),
            ("packed-arrays", Some(1_000)),
            ("gc.collect", Some(0)),
        ];
        assert_eq!(
            ranked(&all),
            [
                "packed-arrays",
                "shared-memory",
                "gc.collect",
                "gc.freeze",
                "immortal-objects"
            ]
        );
        let apart = [
            ("packed-arrays", Some(1_000)),
            ("shared-memory", Some(1_101)),
        ];
        assert_eq!(ranked(&apart), ["shared-memory", "packed-arrays"]);
    }

    #[test]
    fn noise_is_sixteen_pages_or_a_fiftieth() {
        assert_eq!(noise_bytes(0, 4096), 65_536);
        assert_eq!(noise_bytes(100 << 20, 4096), 2 << 20);
    }
}
