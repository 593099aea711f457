//! The user's own data with workers, against the same of now.

use super::besides::by_name;
use super::comparing::Comparing;
use crate::compare::PIPED;
use crate::ways::came_through_pipe;
use crate::{GivesBack, OwnData, OwnDataWay, Run};

/// Why other reasons say nothing.
const DEPENDS: &str = "what keeps a way from being measured depends on the machine, too";

/// What the ways do must be the same; what they copy moves by some pages each time.
pub(super) fn own_data(run: &Run, now: &Run, incomplete: bool, comparing: &mut Comparing) {
    let words = |run: &Run| -> Vec<(String, String)> {
        let of_data = run.own_data.iter();
        let all = of_data.flat_map(|data| data.ways.iter().map(move |one| (data, one)));
        all.map(|(data, one)| (name(data, one), properties(one)))
            .collect()
    };
    by_name(&words(run), &words(now), incomplete, comparing);
    for data in &run.own_data {
        let Some(other) = now
            .own_data
            .iter()
            .find(|other| other.name() == data.name())
        else {
            continue;
        };
        let of = |what: &str| format!("{}: {what}", data.name());
        comparing.memory(|| of("size"), data.size_bytes, other.size_bytes);
        comparing.memory(
            || of("size of the pickled data"),
            data.pickled_bytes,
            other.pickled_bytes,
        );
        let unpicklable = |data: &OwnData| data.not_picklable.clone().unwrap_or_default();
        comparing.word(
            || of("what cannot be pickled"),
            &unpicklable(data),
            &unpicklable(other),
        );
        let method = |data: &OwnData| data.default_start_method.to_string();
        comparing.word(
            || of("start method by default"),
            &method(data),
            &method(other),
        );
        for one in &data.ways {
            let again = other.ways.iter().find(|again| {
                (&again.way, again.start_method, again.workers)
                    == (&one.way, one.start_method, one.workers)
            });
            if let Some(again) = again {
                let of = |what: &str| format!("{}: {what}", name(data, one));
                let piped = came_through_pipe(one, data.pickled_bytes);
                way(one, again, piped.then_some(PIPED), &of, comparing);
            }
        }
    }
}

fn way(
    one: &OwnDataWay,
    other: &OwnDataWay,
    because: Option<&'static str>,
    of: &dyn Fn(&str) -> String,
    comparing: &mut Comparing,
) {
    comparing.word(|| of("title"), &one.title, &other.title);
    if let (Some(reason), Some(now)) = (&one.does_not_apply, &other.does_not_apply) {
        comparing.compared += 1;
        if reason != now {
            let (reason, now) = (reason.clone(), now.clone());
            comparing.weighed(of("why it does not apply"), reason, now, Some(DEPENDS));
        }
    }
    let (Some(one), Some(other)) = (&one.measured, &other.measured) else {
        return;
    };
    let memory = [one, other].map(|figures| figures.memory.map(|memory| memory.sum()));
    comparing.memory(|| of("memory of all processes"), memory[0], memory[1]);
    comparing.memory(
        || of("memory at the peak"),
        one.peak_bytes,
        other.peak_bytes,
    );
    let copied = [one, other].map(|figures| {
        let children = figures.children.iter();
        children.map(|child| child.copied_pages).sum::<i64>()
    });
    comparing.compared += 1;
    let tolerance = comparing.tolerance;
    let allowed = tolerance
        .of(copied[0].unsigned_abs())
        .max(tolerance.pages.saturating_mul(one.children.len() as u64));
    if copied[0].abs_diff(copied[1]) > allowed {
        let [recorded, now] = copied.map(|pages| pages.to_string());
        comparing.weighed(of("copied pages of all workers"), recorded, now, because);
    }
}

fn name(data: &OwnData, one: &OwnDataWay) -> String {
    let (way, method, workers) = (&one.way, one.start_method, one.workers);
    format!("{} by {way}/{method} with {workers} workers", data.name())
}

/// What a way does and leaves, in words.
fn properties(one: &OwnDataWay) -> String {
    let Some(figures) = &one.measured else {
        return "does not apply".to_owned();
    };
    let left: Vec<_> = figures
        .left_after_kill
        .iter()
        .map(|one| one.as_str())
        .collect();
    format!(
        "gives back: {}; after a kill: {}; left: {}",
        match &figures.gives_back {
            GivesBack::Same => "the same",
            GivesBack::Equal => "equal",
            GivesBack::Differs { .. } => "something else",
            GivesBack::Unknown { .. } => "unknown",
        },
        figures.after_worker_killed.as_str(),
        left.join(", ")
    )
}
