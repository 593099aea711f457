//! The instrument against known truth: it counts what was written, and changes nothing by looking.

use std::io::IoSliceMut;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::{Pid, geteuid};
use procfs::process::{MMapPath, Process};
use refcow::driver::{DriverError, Forked, Launch, Subject};
use refcow::model::{RegionName, Run};
use refcow::observe::{PageSet, identical_pages, mappings, page_size, page_states};
use refcow::protocol::{
    Argument, Arguments, ForkRequest, Job, NamedArguments, Reading, Size, WITNESS,
};
use refcow::python;
use rstest::rstest;

use crate::common::{Place, REFCOW, python as python_path, run};

#[rstest]
#[case("none", 0)]
#[case("one", 1)]
#[case("every:3", 1_000)]
#[case("all", 3_000)]
fn what_a_child_wrote_is_what_is_counted(#[case] write: &str, #[case] pages: u64) {
    let printed = run::stdout(&["calibrate", "--pages", "3000", "--write", write]);
    assert_eq!(
        printed,
        format!("pages written {pages}, pages counted {pages}\n")
    );
}

#[test]
fn a_calibration_that_fails_gives_no_figure() {
    let output = run::run(&["calibrate", "--unreported", "1"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("a child wrote 1365 pages and refcow counted 1366"),
        "{error}"
    );
}

#[test]
fn every_report_carries_its_calibration() {
    let report = run::measure(&["ints", "--count", "1000", "--visit", "idle"]);
    assert_eq!(
        report.calibration.pages_written,
        report.calibration.pages_counted
    );
    assert!(report.calibration.pages_written > 0);
}

#[rstest]
#[case(2, 2)]
#[case(16, 16)]
// As many sums as children, each of as many processes, take too long.
#[case(17, 0)]
fn memory_is_summed_up_after_each_of_some_children(#[case] children: usize, #[case] sums: usize) {
    let number = children.to_string();
    let arguments = [
        "small_ints",
        "--count",
        "100",
        "--visit",
        "iterate",
        "--children",
        &number,
    ];
    let tree = &run::measure(&arguments).measurements[0].tree;
    assert_eq!(tree.pss_bytes_after_each.len(), sums);
    assert!(tree.pss_bytes_after.is_some());
}

#[test]
fn twenty_runs_count_the_same_pages() {
    let counts = || -> Vec<_> {
        let visits = ["--visit", "iterate", "--visit", "collect"];
        let report = run::measure(&[&["ints", "--count", "20000"], &visits[..]].concat());
        let children = report.measurements.into_iter().flat_map(|one| one.children);
        // Of the faults some map in pages of libraries, as many as the page cache has at hand: no
        // counts of pages.
        children
            .map(|child| (child.pages_copied_by_fork, child.regions))
            .collect()
    };
    let first = counts();
    for run in 2..=20 {
        assert_eq!(counts(), first, "run {run} of 20");
    }
}

/// Python keeps the path of its working folder: one that is longer once shifted a page.
#[test]
fn counts_do_not_depend_on_the_folder_that_refcow_is_run_in() {
    let place = Place::new();
    let deep = place.path("a/folder/with/a/path/that/is/longer/than/most/others/are");
    std::fs::create_dir_all(&deep).unwrap();
    let counts = |folder: &std::path::Path| -> Vec<_> {
        // One with packages, and one without.
        let names = ["three_lists", "ints"];
        let mut command = Command::new(REFCOW);
        command
            .arg("measure")
            .args(names)
            .args([
                "--count", "2000", "--visit", "iterate", "--visit", "collect",
            ])
            .args(["--format", "json", "--python", python_path()])
            .current_dir(folder);
        let printed = run::succeeded("refcow measure", run::output(&mut command));
        let measurements = run::the_run(&printed).measurements.into_iter();
        let children = measurements.flat_map(|one| one.children);
        children.map(|child| child.regions).collect()
    };
    assert_eq!(counts(&deep), counts("/".as_ref()));
}

#[test]
fn an_ordinary_user_gets_the_counts_that_root_gets() {
    let arguments = ["measure", "ints", "--count", "20000", "--visit", "iterate"];
    let arguments = [&arguments[..], &["--visit", "collect", "--format", "json"]].concat();
    if !geteuid().is_root() {
        eprintln!("skipped: only root can run refcow as two users");
        return;
    }
    let (_folder, program) = run::public_copies();
    let system = "/usr/bin/python3";
    let run_as = |user: Option<u32>| {
        let mut command = Command::new(&program);
        command.args(&arguments).args(["--python", system]);
        if let Some(user) = user {
            command.uid(user).gid(user).current_dir("/");
        }
        command
    };
    let report = |mut command: Command| -> Run {
        let output = run::output(&mut command);
        run::the_run(&run::succeeded(&format!("{command:?}"), output))
    };
    const NOBODY: u32 = 65_534;
    // A machine whose system has no usable Python: root's own, without the privilege that shows
    // frame numbers.
    let usable = python::choose(Some(system)).is_ok();
    let (root, plain) = if usable {
        (report(run_as(None)), report(run_as(Some(NOBODY))))
    } else {
        let mut without = Command::new("setpriv");
        without
            .args(["--bounding-set=-sys_admin", REFCOW])
            .args(&arguments);
        let mut with = Command::new(REFCOW);
        with.args(&arguments);
        (report(with), report(without))
    };
    assert!(root.environment.privileges.page_frame_numbers);
    assert!(!plain.environment.privileges.page_frame_numbers);
    let regions = |report: &Run| -> Vec<_> {
        let children = report.measurements.iter().flat_map(|one| &one.children);
        children.map(|child| child.regions.clone()).collect()
    };
    assert_eq!(regions(&plain), regions(&root));
}

fn launch() -> Launch {
    let interpreter = python::choose(None).expect("a usable interpreter");
    crate::common::launch(&interpreter, 0)
}

/// A subject with plain pages and one process that shares them, and the pages' numbers.
fn plain_pages() -> (Subject, Forked, PageSet) {
    let mut subject = Subject::start(&launch()).unwrap();
    let pages = 16;
    let first = subject.fill(pages, false).unwrap();
    let fork = ForkRequest {
        channel: WITNESS,
        job: Job::Wait,
    };
    let forked = subject
        .fork(vec![fork], |_| Ok::<_, DriverError>(()))
        .unwrap();
    let [child] = <[Forked; 1]>::try_from(forked).unwrap();
    (subject, child, (first..first + pages).collect())
}

/// The pages that are the process's alone.
fn own(pid: i32, pages: &PageSet) -> PageSet {
    let states = page_states(pid, &mappings(pid).unwrap().ranges).unwrap();
    states.exclusive() & pages
}

/// Python's heap is where the C library's is, which an allocation of the subject's own would move.
#[test]
fn what_the_observer_sends_leaves_the_heap_as_python_alone_would_have_it() {
    let heap = |requests: usize| {
        let mut subject = Subject::start(&launch()).unwrap();
        for request in 1..=requests {
            let argument = |index: usize| Argument {
                name: format!("name_{index}"),
                text: "x".repeat(37 * request + index),
                reading: Reading::Text,
            };
            let otherwise = Size {
                count: 1,
                item_bytes: 1,
            };
            let set = (0..10).map(argument).collect();
            let refused = subject.build(&Arguments::Named(NamedArguments { set, otherwise }));
            assert!(refused.is_err(), "Python has not been started");
        }
        subject.start_python().unwrap();
        let maps = Process::new(subject.pid()).and_then(|process| process.maps());
        let heap = maps.unwrap();
        let heap = heap.iter().find(|map| map.pathname == MMapPath::Heap);
        let (start, end) = heap.expect("glibc's heap").address;
        let pages = start / page_size()..end / page_size();
        let states = page_states(subject.pid(), &[pages]).unwrap();
        let present = states.present();
        (end - start, present.len())
    };
    let alone = heap(0);
    assert_eq!(heap(1), alone);
    assert_eq!(heap(100), alone);
}

#[test]
fn comparing_bytes_leaves_shared_pages_shared() {
    let (subject, child, pages) = plain_pages();
    assert_eq!(own(child.pid, &pages), PageSet::new());
    let identical = identical_pages(subject.pid(), child.pid, &pages).unwrap();
    assert_eq!(identical, pages);
    assert_eq!(own(child.pid, &pages), PageSet::new());
    assert_eq!(own(subject.pid(), &pages), PageSet::new());
}

/// Why `observe::memory` reads /proc/PID/mem. If this fails, the kernel has changed, and the choice
/// can be made anew.
#[test]
fn process_vm_readv_would_copy_the_pages_it_reads() {
    let release = nix::sys::utsname::uname().unwrap();
    let release = release.release().to_string_lossy().into_owned();
    let mut numbers = release
        .split(['.', '-'])
        .filter_map(|part| part.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) < (Some(5), Some(19)) {
        eprintln!("skipped: Linux {release} is older than 5.19");
        return;
    }
    let (_subject, child, pages) = plain_pages();
    let first = pages.min().unwrap();
    let mut byte = [0];
    let read = process_vm_readv(
        Pid::from_raw(child.pid),
        &mut [IoSliceMut::new(&mut byte)],
        &[RemoteIoVec {
            base: usize::try_from(first * page_size()).unwrap(),
            len: 1,
        }],
    );
    assert_eq!(read, Ok(1));
    assert_eq!(own(child.pid, &pages), PageSet::from_iter([first]));
}

#[test]
fn an_idle_child_unshares_nothing_in_any_region() {
    let fixtures: Vec<_> = refcow::fixtures::builtin().iter().collect();
    let names: Vec<_> = fixtures
        .iter()
        .map(|fixture| fixture.name.as_str())
        .collect();
    let small = ["--count", "300", "--visit", "idle"];
    let report = run::measure(&[&names[..], &small].concat());
    assert_eq!(report.measurements.len(), fixtures.len());
    for measurement in &report.measurements {
        for child in &measurement.children {
            let totals = child.totals();
            assert!(totals.pages > 0);
            assert_eq!(
                (totals.unshared, totals.identical),
                (0, Some(0)),
                "{measurement:#?}"
            );
            assert_eq!(child.minor_faults, 0, "{measurement:#?}");
        }
    }
}

#[test]
fn regions_are_disjoint_and_named_once() {
    let report = run::measure(&["three_lists", "--count", "100", "--visit", "idle"]);
    for child in &report.measurements[0].children {
        let names: Vec<_> = child.regions.iter().map(|region| region.name).collect();
        let expected = [
            RegionName::Header,
            RegionName::Spine,
            RegionName::Payload,
            RegionName::Modules,
            RegionName::Interpreter,
            RegionName::Libraries,
            RegionName::Stack,
            RegionName::Rest,
        ];
        assert_eq!(names, expected);
    }
}

#[test]
fn what_a_child_fills_anew_is_counted_and_what_it_maps_of_a_file_is_not() {
    let place = Place::new();
    let pages = 256;
    let bytes = usize::try_from(pages * page_size()).unwrap();
    // Nobody else has mapped it, so that it counts for the USS.
    let file = place.file("large", &"x".repeat(bytes));
    let fixture = place.file(
        "mine.py",
        &format!(
            "import mmap\nkept = []\n\ndef build():\n    return [object() for _ in range(10)]\n\n\
             def visit_fill(data):\n    kept.append(b'x' * {bytes})\n\n\
             def visit_map(data):\n    file = open({file:?}, 'rb')\n    \
             kept.append(mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ))\n    kept[0][::{}]\n",
            page_size()
        ),
    );
    let visits = ["--visit", "fill", "--visit", "map", "--format", "json"];
    let finished = place.run(place.measure([&[&fixture[..]], &visits[..]].concat()));
    let report = run::the_run(&finished.exits_with(0).stdout);
    let child = |index: usize| &report.measurements[index].children[0];
    // Besides: what it takes to do that.
    let few = 40;
    let filled = child(0).new_pages.unwrap();
    assert!((pages..pages + few).contains(&filled), "{filled}");
    let mapped = child(1).new_pages.unwrap();
    assert!(mapped < few, "{mapped}");
    if let Some(in_uss) = child(1).cross_checks.uss_pages_minus_unshared {
        assert!(in_uss >= pages.cast_signed(), "{in_uss}");
    }
}
