//! Tables of trees that are made up.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;

/// A process while it was recorded.
fn recorded(pid: i32, depth: u64, ended: bool) -> Value {
    json!({"pid": pid, "parent_pid": if depth == 0 { 1 } else { 10 }, "depth": depth, "command": "app.py", "ended": ended,
           "copied_pages": 256 * depth, "new_pages": 512, "rewritten_pages": 0, "unknown_pages": 0})
}

/// A process that is there.
fn there(pid: i32, depth: u64) -> Value {
    json!({"pid": pid, "parent_pid": if depth == 0 { 1 } else { 10 }, "depth": depth, "command": "app.py",
           "anonymous_pages": 1024, "shared_pages": 768, "copied_pages": if depth == 0 { 0 } else { 256 }, "left_behind_pages": 0,
           "written_by_both_pages": 0, "huge_pages": 0, "unknown_pages": 0, "new_pages": 0,
           "own_pages": if depth == 0 { 256 } else { 0 }, "rewritten_pages": 0, "swapped_pages": 0, "file_pages": 10})
}

fn cause(number: usize) -> Value {
    json!({"pages_are": "copied", "cause": "refcount", "type": format!("app.Type{number}"), "function": "list_slice",
           "thread": "main", "pages": 100})
}

/// A tree of a parent, 10, with workers, of which these were recorded and those are there.
fn tree(processes: &[Value], there: &[Value], causes: usize) -> Value {
    let causes: Vec<Value> = (0..causes).map(cause).collect();
    let total = json!({"anonymous_bytes": 4 << 20, "if_nothing_shared_bytes": 8 << 20, "if_all_shared_bytes": 2 << 20, "file_bytes": 0});
    json!({
        "python": "CPython 3.11", "seen_by": "frames_and_marks", "processes": there, "total": total,
        "recorded": {"seconds": 2.0, "lost_faults": 0, "with_kernel_writes": true, "executed": 0, "moments": [],
                     "processes": processes, "causes": causes},
    })
}

fn trees(tree: &Value) -> Trees {
    let document = json!({"schema_version": 1, "refcow_version": "0.1.0", "page_bytes": 4096, "trees": [tree]});
    serde_json::from_value(document).unwrap()
}

/// The table, its words with one space between them.
fn said(tree: &Value) -> String {
    let text = of_each(&trees(tree), Some(80), &[]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn workers_that_outlive_the_program_are_told_with_what_to_do() {
    let [parent, first, second] = [(0, true), (1, false), (1, false)];
    let all = [(10, parent), (11, first), (12, second)]
        .map(|(pid, (depth, ended))| recorded(pid, depth, ended));
    let outlived = tree(&all, &[there(11, 0), there(12, 0)], 1);
    let text = said(&outlived);
    let expected = "Process 10 has ended, and 2 processes forked from it run on: 11, 12. To record what they do now: refcow attach 11.";
    assert!(text.contains(expected), "{text}");
    // The parent that tells what they copied is no more.
    assert!(
        text.contains(
            "The parent of 2 processes has ended: what they copied of it is not told apart"
        ),
        "{text}"
    );
    assert!(text.contains("and at most 2 MiB if every page"), "{text}");
    assert_eq!(survivors(&trees(&outlived)).collect::<Vec<_>>(), [expected]);

    let workers = (11..16).map(|pid| recorded(pid, 1, false));
    let many: Vec<Value> = std::iter::once(recorded(10, 0, true))
        .chain(workers)
        .collect();
    let text = said(&tree(&many, &[there(11, 0)], 1));
    assert!(
        text.contains("5 processes forked from it run on: 11, 12, 13 and 2 others. To"),
        "{text}"
    );

    // Of one that is left, the recording tells that it had a parent.
    let text = said(&tree(&all, &[there(11, 0)], 1));
    assert!(
        text.contains("The parent of 1 process has ended: what that process copied"),
        "{text}"
    );

    // While the parent lives, nobody outlives it.
    let all = [recorded(10, 0, false), recorded(11, 1, false)];
    let text = said(&tree(&all, &[there(10, 0), there(11, 1)], 1));
    assert!(
        !text.contains("has ended") && !text.contains("at most"),
        "{text}"
    );
}

#[test]
fn an_earlier_look_says_that_all_have_ended_only_if_all_have() {
    let earlier = |worker_ended| {
        let all = [recorded(10, 0, true), recorded(11, 1, worker_ended)];
        let mut tree = tree(&all, &[there(10, 0), there(11, 1)], 1);
        tree["taken_at_seconds"] = json!(1.13);
        said(&tree)
    };
    let look = "What they had after 1.1 s, before the program was told to end: process memory shared copied";
    let text = earlier(true);
    assert!(
        text.contains(&format!("All of its processes have ended. {look}")),
        "{text}"
    );
    assert!(
        !text.contains("run on") && !text.contains("runs on"),
        "{text}"
    );
    let text = earlier(false);
    assert!(
        text.contains(look) && !text.contains("All of its processes"),
        "{text}"
    );
    assert!(
        text.contains(
            "1 process forked from it runs on: 11. To record what it does now: refcow attach 11."
        ),
        "{text}"
    );
}

#[rstest]
#[case::older("CPython 3.7")]
#[case::without_a_version("CPython")]
fn of_a_python_whose_objects_nobody_knows_that_is_said(#[case] python: &str) {
    let mut tree = tree(&[recorded(10, 0, false)], &[there(10, 0)], 1);
    tree["python"] = json!(python);
    tree["objects_unseen"] = json!("refcow knows those of CPython 3.8 to 3.15");
    let text = said(&tree);
    assert!(
        text.starts_with(&format!("app.py: 1 process, {python} In 2.0 s")),
        "{text}"
    );
    let expected = "Nothing is said of this Python's objects, so that what was written first is unattributed: refcow knows those of CPython 3.8 to 3.15.";
    assert!(text.contains(expected), "{text}");
    tree.as_object_mut().unwrap().remove("objects_unseen");
    assert!(!said(&tree).contains("Nothing is said"));
}

#[test]
fn where_the_others_are_is_said_if_something_is_left_out() {
    let here = [recorded(10, 0, false)];
    let of = |causes| said(&tree(&here, &[there(10, 0)], causes));
    let pointer =
        "Each of the others is in the JSON (--format json) and in the tables of --report DIR.";
    assert!(!of(12).contains(pointer));
    let text = of(13);
    assert!(
        text.contains(" 1 other ") && text.ends_with(pointer),
        "{text}"
    );
    let mut found = tree(&here, &[there(10, 0)], 1);
    let finding = |left_out: u64| json!([{"id": "x", "bytes": 1, "says": "seen", "remedy": "do", "left_out": left_out}]);
    found["findings"] = finding(0);
    assert!(!said(&found).contains(pointer));
    found["findings"] = finding(4);
    assert!(said(&found).ends_with(pointer));
}

#[rstest]
#[case(60)]
#[case(80)]
#[case(132)]
fn no_line_is_wider_than_the_terminal(#[case] width: u16) {
    let all = [recorded(10, 0, true), recorded(11, 1, false)];
    let mut tree = tree(&all, &[there(11, 0), there(12, 0)], 13);
    let lines = &mut tree["recorded"];
    lines["lines"] = json!({"one_in": 7, "looked_at_pages": 20, "without_line": [], "not_traced_processes": 0, "not_traced": [],
                            "pauses": 0, "dropped": 0, "ended_early": false});
    let path = "/srv/an/application/with/a/path/that/is/much/longer/than/a/terminal/is/wide";
    lines["causes"][0]["line"] = json!(format!("handle ({path}/app.py:7)"));
    tree["findings"] =
        json!([{"id": "x", "bytes": 1, "says": "word ".repeat(60), "remedy": "do ".repeat(60)}]);
    let text = of_each(&trees(&tree), Some(width), &[]);
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(usize::from(width)), "{widest:?}\n{text}");
    assert!(
        text.lines()
            .any(|line| line.chars().count() > usize::from(width) - 20),
        "{text}"
    );
}

#[test]
fn a_moment_at_which_a_process_has_left_with_its_pages_tells_of_no_growth() {
    let at = |seconds, copied| Moment {
        seconds,
        processes: 1,
        pages: [copied, 0, 0],
        memory_bytes: None,
    };
    let told = line(&at(2.0, 1), Some(&at(1.0, 5)));
    assert!(told.ends_with("(+0 B a second)"), "{told}");
}

#[test]
fn of_processes_without_a_last_look_the_reasons_are_told() {
    let mut tree = tree(&[recorded(10, 0, true)], &[], 1);
    tree["recorded"]["without_last_look"] = json!([
        {"reason": "it was killed", "number": 1}, {"reason": "refcow was too slow", "number": 2},
    ]);
    let text = said(&tree);
    let expected = "1 process was not looked at when it ended, because it was killed. 2 processes were not looked at when they ended, each because refcow was too slow.";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn what_was_seen_of_all_is_of_all_trees_where_there_are_several() {
    let mut tree = tree(&[recorded(10, 0, false)], &[], 1);
    tree["recorded"]["moments"] = json!([{"seconds": 1.0, "processes": 1, "copied_pages": 0, "new_pages": 0,
                                          "rewritten_pages": 0, "memory_bytes": 4096}]);
    assert!(said(&tree).contains("seen of all together is 4 KiB."));
    let mut both = trees(&tree);
    both.trees.push(both.trees[0].clone());
    let text = of_each(&both, None, &[]);
    assert_eq!(
        text.matches("of all trees together is").count(),
        2,
        "{text}"
    );
}
