//! Two runs of ways to share, side by side: what compares, what does not, and why.

use refcow::claims::Claims;
use refcow::compare::{self, Renamed};
use refcow::model::{Alternative, Comparison, OwnData, Report, Status};
use refcow::report::{Style, render_comparison};
use rstest::rstest;
use serde_json::json;

use crate::common::{Place, canned};

/// Data of the user's by these ways, with what all processes take, and what a worker read from pipes.
fn run_with_ways(ways: &[(&str, u64, u64)]) -> Report {
    let way = |(way, bytes, piped): &(&str, u64, u64)| {
        let child = json!({"visit_seconds": 0.1, "own_pages": 20, "copied_pages": 10, "piped_bytes": piped});
        json!({
            "way": way, "title": way, "start_method": "fork", "workers": 2,
            "measured": {
                "start_seconds": 0.1, "handover_seconds": 0.1, "first_result_seconds": 0.2,
                "memory": {
                    "shared_bytes": bytes, "own_bytes": 0, "new_bytes": 0, "page_table_bytes": 0, "mapped_bytes": 0
                },
                "gives_back": "same", "after_worker_killed": "usable", "left_after_kill": [], "reference_own_pages": 10,
                "children": [child, child]
            }
        })
    };
    let data = json!({
        "fixture": "records", "visit": "read", "build_seconds": 0.1, "pickled_bytes": 1_000_000,
        "default_start_method": "fork", "fork": {"seconds": [0.001], "resident_bytes": 1 << 20},
        "memory_limit": {"bytes": 1 << 30, "from": "--memory"},
        "ways": ways.iter().map(way).collect::<Vec<_>>()
    });
    let mut run = canned::run("3.12.1");
    run.measurements.clear();
    run.own_data = vec![serde_json::from_value(data).unwrap()];
    Report::of(run)
}

#[test]
fn two_runs_are_compared_by_what_all_processes_take_with_each_way() {
    let base = run_with_ways(&[
        ("inherit", 50 << 20, 0),
        ("args", 40 << 20, 0),
        ("freeze", 30 << 20, 0),
        ("file", 30 << 20, 0),
        ("executor", 30 << 20, 1_000_000),
        ("memmap", 1 << 20, 0),
    ]);
    let new = run_with_ways(&[
        ("inherit", 30 << 20, 0),
        ("args", 60 << 20, 0),
        ("freeze", 30 << 20, 0),
        ("file", (30 << 20) + 4096, 0),
        ("executor", 40 << 20, 1_000_000),
        ("buffers", 1 << 20, 0),
    ]);
    let compared = compare::compare(&base, &new, compare::TOLERANCE, &[], Claims::versions());
    let statuses: Vec<(String, Status)> = compared.compared[0]
        .judged()
        .map(|(row, _)| (row.key.subject(), row.status))
        .collect();
    let of = |way: &str| format!("records/read by {way}/fork with 2 workers");
    assert_eq!(
        statuses,
        [
            (of("inherit"), Status::Improved),
            (of("args"), Status::Regressed),
            (of("freeze"), Status::Unchanged),
            (of("file"), Status::WithinNoise),
            (of("executor"), Status::NotComparable),
            (of("memmap"), Status::OnlyInBase),
            (of("buffers"), Status::OnlyInNew),
        ]
    );
    let style = Style::Terminal {
        width: Some(80),
        colours: false,
    };
    let text = String::from_utf8(render_comparison(&compared, style)).unwrap();
    for line in [
        "  records/read by args/fork with 2 workers: 40 MiB → 60 MiB\n",
        "  the data came through a pipe",
        "  1 way to share\n",
        "\nOf what all processes take with a way to share",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("every page counts"), "{text}");
    // Another Python takes more or less itself.
    let mut other = new.clone();
    other.runs[0].python.version = "3.13.0".into();
    let compared = compare::compare(&base, &other, compare::TOLERANCE, &[], Claims::versions());
    assert_eq!(compared.count(Status::Regressed), 0);
    assert!(compare::neighbours(&base, Claims::versions()).is_empty());
}

/// What is judged of two runs by one way that take 50 MiB, but for this in the second: subject, status, and why.
fn judged(renamed: &[Renamed], change: impl Fn(&mut OwnData)) -> Vec<(String, Status, String)> {
    let (base, new) = changed(change);
    let compared = compare::compare(&base, &new, compare::TOLERANCE, renamed, Claims::versions());
    rows(&compared)
}

fn changed(change: impl Fn(&mut OwnData)) -> (Report, Report) {
    let base = run_with_ways(&[("inherit", 50 << 20, 0)]);
    let mut new = base.clone();
    change(&mut new.runs[0].own_data[0]);
    (base, new)
}

fn rows(compared: &Comparison) -> Vec<(String, Status, String)> {
    let all = compared.judged();
    all.map(|row| {
        let why = row.because.iter().chain(&row.other_data);
        let why: Vec<_> = why.map(String::as_str).collect();
        (row.key.subject(), row.status, why.join("; "))
    })
    .collect()
}

/// So many workers, of which each copied so many pages.
fn workers(data: &mut OwnData, number: usize, copied_pages: i64) {
    let way = &mut data.ways[0];
    way.workers = number as u64;
    let figures = way.measured.as_mut().unwrap();
    figures.children = vec![figures.children[0].clone(); number];
    for child in &mut figures.children {
        child.copied_pages = copied_pages;
    }
}

#[rstest]
#[case::as_much(10, Status::Unchanged)]
#[case::more(100, Status::Regressed)]
fn with_other_numbers_of_workers_a_worker_is_compared_and_the_sum_is_not(
    #[case] copied_pages: i64,
    #[case] status: Status,
) {
    let rows = judged(&[], |data| workers(data, 4, copied_pages));
    let sum = "records/read by inherit/fork with 2 workers".to_owned();
    let worker = "a worker of records/read by inherit/fork".to_owned();
    assert_eq!(
        rows,
        [
            (sum, Status::NotComparable, "2 and 4 workers".to_owned()),
            (worker, status, String::new()),
        ]
    );
    let (base, new) = changed(|data| workers(data, 4, copied_pages));
    let compared = compare::compare(&base, &new, compare::TOLERANCE, &[], Claims::versions());
    let style = Style::Terminal {
        width: Some(80),
        colours: false,
    };
    let text = String::from_utf8(render_comparison(&compared, style)).unwrap();
    let worker = match status {
        Status::Unchanged => {
            "unchanged\n  a worker of records/read by inherit/fork 40 KiB → 40 KiB\n"
        }
        _ => "regressed\n  a worker of records/read by inherit/fork: 40 KiB → 400 KiB\n",
    };
    assert!(text.contains(worker), "{text}");
    assert!(
        text.contains("not comparable\n  2 and 4 workers: records/read by inherit/fork with 2 workers 50 MiB → 50 MiB\n"),
        "{text}"
    );
}

#[test]
fn a_number_of_workers_that_both_have_goes_before_others() {
    let base = run_with_ways(&[("inherit", 50 << 20, 0)]);
    let mut new = base.clone();
    let mut more = new.runs[0].own_data[0].clone();
    workers(&mut more, 4, 10);
    new.runs[0].own_data[0].ways.push(more.ways.remove(0));
    let compared = compare::compare(&base, &new, compare::TOLERANCE, &[], Claims::versions());
    let statuses: Vec<Status> = compared.judged().map(|row| row.status).collect();
    assert_eq!(statuses, [Status::Unchanged, Status::OnlyInNew]);
}

#[test]
fn other_data_of_the_same_file_is_compared_and_told() {
    let larger = |data: &mut OwnData| {
        data.parameters.insert("n".to_owned(), json!(200));
        let figures = data.ways[0].measured.as_mut().unwrap();
        figures.memory.as_mut().unwrap().shared_bytes = 90 << 20;
    };
    let [(_, status, why)] = &judged(&[], larger)[..] else {
        panic!("one row")
    };
    assert_eq!(
        (*status, &why[..]),
        (Status::Regressed, "made with nothing set → n=200")
    );
}

#[test]
fn a_visit_that_was_renamed_is_compared_where_that_is_said() {
    let renamed = |data: &mut OwnData| {
        data.visit = "scan".into();
        let figures = data.ways[0].measured.as_mut().unwrap();
        figures.memory.as_mut().unwrap().shared_bytes = 20 << 20;
    };
    let apart: Vec<Status> = judged(&[], renamed).into_iter().map(|row| row.1).collect();
    assert_eq!(apart, [Status::OnlyInBase, Status::OnlyInNew]);
    let place = Place::new();
    let (base, new) = changed(renamed);
    let compare = |arguments: &[&str]| {
        let file =
            |name: &str, report: &Report| place.file(name, &serde_json::to_string(report).unwrap());
        let documents = [file("base.json", &base), file("new.json", &new)];
        let mut command = place.refcow(["compare"]);
        command.args(documents).args(arguments);
        place.run(command)
    };
    compare(&[])
        .exits_with(2)
        .says("nothing in common")
        .says("the same ways to share");
    let matched = compare(&["--match", "records:read=records:scan"]).exits_with(0);
    assert!(
        matched
            .stdout
            .contains("because: visit scan instead of read"),
        "{matched}"
    );
}

#[test]
fn a_way_that_no_longer_applies_says_why() {
    let none = |data: &mut OwnData| {
        data.ways[0].measured = None;
        data.ways[0].does_not_apply = Some("not picklable: data.lock".into());
    };
    let subject = "records/read by inherit/fork with 2 workers".to_owned();
    let why = "not picklable: data.lock".to_owned();
    assert_eq!(judged(&[], none), [(subject, Status::OnlyInBase, why)]);
}

#[test]
fn refcows_integers_are_compared_with_other_sizes_and_numbers_of_children() {
    let of = |change: &dyn Fn(&mut Alternative)| {
        let mut base = canned::run("3.12.1");
        base.measurements.clear();
        base.alternatives = vec![canned::alternatives().remove(0)];
        let mut new = base.clone();
        change(&mut new.alternatives[0]);
        let [base, new] = [base, new].map(Report::of);
        rows(&compare::compare(
            &base,
            &new,
            compare::TOLERANCE,
            &[],
            Claims::versions(),
        ))
    };
    let sum = "4194304 bytes of integers by list/fork with 2 workers".to_owned();
    let larger = of(&|way| {
        way.size_bytes *= 2;
        way.memory_bytes_read = Some(99 << 20);
    });
    let why = "made with 4194304 bytes → 8388608 bytes".to_owned();
    assert_eq!(larger, [(sum.clone(), Status::Regressed, why)]);
    let more = of(&|way| way.children.push(way.children[0].clone()));
    let worker = "a worker of 4194304 bytes of integers by list/fork".to_owned();
    assert_eq!(
        more,
        [
            (sum, Status::NotComparable, "2 and 3 workers".to_owned()),
            (worker, Status::Unchanged, String::new()),
        ]
    );
}
