//! What figures of one document of trees must agree in.

use super::error::DocumentError;
use crate::trees::{
    PagesAre, ProcessFigures, RecordedFigures, RecordedProcess, TreeFigures, Trees,
};

/// Refuses what no refcow writes, before a figure is made of it.
pub(super) fn check(document: &Trees) -> Result<(), DocumentError> {
    if !document.page_bytes.is_power_of_two() || document.page_bytes > 1 << 20 {
        return wrong("page_bytes".to_owned(), "it is no size of a page");
    }
    for (number, tree) in document.trees.iter().enumerate() {
        let at = |place: &str| format!("trees[{number}].{place}");
        of_now(tree, &at)?;
        if let Some(recorded) = &tree.recorded {
            of_recorded(recorded, &|place| at(&format!("recorded.{place}")))?;
        }
    }
    Ok(())
}

fn wrong(place: String, what: &str) -> Result<(), DocumentError> {
    let what = what.to_owned();
    Err(DocumentError::Inconsistent { place, what })
}

/// Numbers that were found to be no larger than any run holds.
fn sum(all: impl IntoIterator<Item = u64>) -> u64 {
    all.into_iter().fold(0, u64::saturating_add)
}

fn of_now(tree: &TreeFigures, at: &dyn Fn(&str) -> String) -> Result<(), DocumentError> {
    let kinds = |one: &ProcessFigures| {
        sum([
            one.shared_pages,
            one.copied_pages,
            one.left_behind_pages,
            one.written_by_both_pages,
            one.huge_pages,
            one.unknown_pages,
            one.new_pages,
            one.own_pages,
        ])
    };
    for (number, one) in tree.processes.iter().enumerate() {
        if kinds(one) > one.anonymous_pages {
            let place = at(&format!("processes[{number}]"));
            return wrong(place, "its kinds of pages are more than all of its pages");
        }
        if one.depth > number as u64 {
            let place = at(&format!("processes[{number}].depth"));
            return wrong(
                place,
                "it has more ancestors than there are processes before it",
            );
        }
    }
    for (number, one) in tree.alike.iter().enumerate() {
        if sum([one.alike_pages, one.zero_pages]) > one.new_pages {
            let place = at(&format!("alike[{number}]"));
            return wrong(place, "more pages are alike than were compared");
        }
    }
    Ok(())
}

fn of_recorded(
    recorded: &RecordedFigures,
    at: &dyn Fn(&str) -> String,
) -> Result<(), DocumentError> {
    if recorded.seconds < 0.0 || recorded.moments.iter().any(|moment| moment.seconds < 0.0) {
        return wrong(at("seconds"), "time went back");
    }
    let members = recorded.processes.len() as u64;
    for (number, one) in recorded.processes.iter().enumerate() {
        let place = || at(&format!("processes[{number}]"));
        if one.given_back_pages > Some(one.copied_pages) {
            return wrong(place(), "it gave back more pages than it copied");
        }
        let all = KINDS.map(|(_, pages)| pages(one));
        if one.shutdown_pages > Some(sum(all)) {
            return wrong(place(), "it wrote more pages at its end than at all");
        }
        if one.depth > sum([members, recorded.executed]) {
            return wrong(place(), "it has more ancestors than there are processes");
        }
        let look = one.last_look.as_ref();
        if look.is_some_and(|look| look.shared_pages > look.anonymous_pages) {
            return wrong(place(), "it shared more pages at its end than it had");
        }
    }
    for (kind, pages) in KINDS {
        let caused = recorded.causes.iter().filter(|one| one.pages_are == kind);
        let caused = sum(caused.map(|one| one.pages));
        let counted = sum(recorded.processes.iter().map(pages));
        if caused != counted {
            let what = format!(
                "{caused} pages of the kind {kind:?} have a cause, and the processes have {counted}"
            );
            return wrong(at("causes"), &what);
        }
    }
    for (number, one) in recorded.made_by_all.iter().enumerate() {
        if one.least_pages.saturating_mul(one.workers) > one.pages {
            let place = at(&format!("made_by_all[{number}]"));
            return wrong(place, "the worker with fewest pages has more than its part");
        }
    }
    let Some(lines) = &recorded.lines else {
        return Ok(());
    };
    if sum(lines.without_line.iter().map(|one| one.number)) > lines.looked_at_pages {
        return wrong(at("lines"), "more pages have no line than were looked at");
    }
    Ok(())
}

/// What becomes of pages, and how many of a process these are.
type Kind = (PagesAre, fn(&RecordedProcess) -> u64);

const KINDS: [Kind; 4] = [
    (PagesAre::Copied, |one| one.copied_pages),
    (PagesAre::New, |one| one.new_pages),
    (PagesAre::Rewritten, |one| one.rewritten_pages),
    (PagesAre::Unknown, |one| one.unknown_pages),
];

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    /// A parent with a worker.
    fn document() -> Value {
        let recorded = |pid: i32, depth: u64| {
            json!({"pid": pid, "parent_pid": pid - 1, "depth": depth, "command": "app.py", "ended": false,
                   "copied_pages": 100 * depth, "given_back_pages": 100 * depth, "new_pages": 7, "rewritten_pages": 0,
                   "unknown_pages": 0, "shutdown_pages": 7,
                   "last_look": {"seconds": 0.5, "anonymous_pages": 9, "shared_pages": 9, "swapped_pages": 0}})
        };
        let there = |pid: i32, depth: u64| {
            json!({"pid": pid, "parent_pid": pid - 1, "depth": depth, "command": "app.py", "anonymous_pages": 10,
                   "shared_pages": 4, "copied_pages": 1, "left_behind_pages": 1, "written_by_both_pages": 1, "huge_pages": 1,
                   "unknown_pages": 1, "new_pages": 1, "own_pages": 0, "rewritten_pages": 4, "swapped_pages": 0, "file_pages": 99})
        };
        let cause = |are: &str, pages: u64| json!({"pages_are": are, "function": "f", "thread": "main", "pages": pages});
        json!({"schema_version": 1, "refcow_version": "0.1.0", "page_bytes": 4096, "trees": [{
            "processes": [there(10, 0), there(11, 1)],
            "alike": [{"parent_pid": 10, "workers": 2, "new_pages": 9, "alike_pages": 5, "zero_pages": 4, "libraries": []}],
            "recorded": {
                "seconds": 1.0, "lost_faults": 0, "with_kernel_writes": true, "executed": 0,
                "moments": [{"seconds": 0.0, "processes": 2, "copied_pages": 0, "new_pages": 0, "rewritten_pages": 0}],
                "processes": [recorded(10, 0), recorded(11, 1)],
                "causes": [cause("copied", 60), cause("copied", 40), cause("new", 14)],
                "made_by_all": [{"line": "f (a.py:1)", "workers": 2, "pages": 9, "least_pages": 4}],
                "lines": {"one_in": 7, "looked_at_pages": 9, "without_line": [{"reason": "none", "number": 9}],
                          "not_traced_processes": 0, "not_traced": [], "pauses": 0, "dropped": 0, "ended_early": false},
            },
        }]})
    }

    fn checked(document: Value) -> Result<(), DocumentError> {
        check(&serde_json::from_value(document).unwrap())
    }

    #[test]
    fn figures_that_agree_are_no_contradiction() {
        checked(document()).unwrap();
    }

    #[rstest]
    #[case("page_bytes", json!(4095), "page_bytes")]
    #[case("trees/0/processes/1/new_pages", json!(2), "trees[0].processes[1]")]
    #[case("trees/0/processes/1/depth", json!(2), "trees[0].processes[1].depth")]
    #[case("trees/0/alike/0/zero_pages", json!(5), "trees[0].alike[0]")]
    #[case("trees/0/recorded/seconds", json!(-0.1), "trees[0].recorded.seconds")]
    #[case("trees/0/recorded/moments/0/seconds", json!(-1), "trees[0].recorded.seconds")]
    #[case("trees/0/recorded/processes/1/given_back_pages", json!(101), "trees[0].recorded.processes[1]")]
    #[case("trees/0/recorded/processes/1/shutdown_pages", json!(108), "trees[0].recorded.processes[1]")]
    #[case("trees/0/recorded/processes/1/depth", json!(3), "trees[0].recorded.processes[1]")]
    #[case("trees/0/recorded/processes/1/last_look/shared_pages", json!(10), "trees[0].recorded.processes[1]")]
    #[case("trees/0/recorded/processes/1/copied_pages", json!(101), "trees[0].recorded.causes")]
    #[case("trees/0/recorded/processes/0/unknown_pages", json!(1), "trees[0].recorded.causes")]
    #[case("trees/0/recorded/causes/2/pages", json!(13), "trees[0].recorded.causes")]
    #[case("trees/0/recorded/made_by_all/0/least_pages", json!(5), "trees[0].recorded.made_by_all[0]")]
    #[case("trees/0/recorded/lines/without_line/0/number", json!(10), "trees[0].recorded.lines")]
    fn figures_that_contradict_each_other_are_refused_at_their_place(
        #[case] pointer: &str,
        #[case] value: Value,
        #[case] at: &str,
    ) {
        let mut changed = document();
        *changed.pointer_mut(&format!("/{pointer}")).unwrap() = value;
        match checked(changed) {
            Err(DocumentError::Inconsistent { place, .. }) => assert_eq!(place, at),
            other => panic!("{other:?}"),
        }
    }
}
