//! The ways to share data: each does what its row says, and none leaves anything behind, however it
//! ends.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use refcow::model::{AfterKill, Alternative, Report, Run, StartMethod, Warning};
use refcow::report::render_alternatives;
use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};

use crate::common::by_python::{MeasuredOnce, assert_snapshot_of};
use crate::common::{Finished, Place, Running, by_python, python, run, skipped};

/// Large enough that the data is many times what a child copies anyhow.
const SIZE: u64 = 1 << 20;

fn compare(place: &Place, arguments: &[&str]) -> Command {
    compare_with(place, python(), arguments)
}

fn compare_with(place: &Place, python: &str, arguments: &[&str]) -> Command {
    let mut command =
        place.refcow_with_packages(["sharing", "--format", "json", "--python", python]);
    command.args(arguments);
    command
}

fn report(finished: &Finished) -> Run {
    run::the_run(&finished.stdout)
}

/// One way with [`SIZE`] bytes, measured once for all tests that look at it.
fn one(way: &str, method: &str) -> &'static Alternative {
    static MEASURED: MeasuredOnce<Alternative> = MeasuredOnce::new();
    MEASURED.of(&format!("{way}/{method}"), || {
        let place = Place::new();
        let size = SIZE.to_string();
        let arguments = ["--way", way, "--start-method", method, "--size", &size];
        let finished = place.run(compare(&place, &arguments)).exits_with(0);
        place.nothing_remains();
        nothing_in(&place);
        let mut alternatives = report(&finished).alternatives;
        assert_eq!(alternatives.len(), 1, "{finished}");
        alternatives.remove(0)
    })
}

/// No temporary folder of a way is left.
fn nothing_in(place: &Place) {
    let left: Vec<_> = fs::read_dir(place.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("refcow-"))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

fn copied_bytes(alternative: &Alternative) -> Vec<i64> {
    let page = i64::try_from(procfs::page_size()).unwrap();
    let children = alternative.children.iter();
    children.map(|child| child.copied_pages * page).collect()
}

#[rstest]
// Each int is 32 bytes, four times what is handed over; reading all writes each of their pages.
#[case::list("list", "fork", 3.5..6.0)]
#[case::args("args", "fork", 3.5..6.0)]
// Headers of the arrays alone.
#[case::arrays("arrays", "fork", 0.0..0.2)]
#[case::array("array", "fork", 0.0..0.1)]
#[case::bitarrays("bitarrays", "fork", 0.0..0.2)]
#[case::bitarray("bitarray", "fork", 0.0..0.1)]
#[case::numpy("numpy", "fork", 0.0..0.4)]
#[case::shared_memory("shared_memory", "fork", 0.0..0.4)]
#[case::shared_memory_spawned("shared_memory", "spawn", -0.2..0.2)]
#[case::raw_array("raw_array", "fork", 0.0..0.1)]
#[case::raw_array_spawned("raw_array", "spawn", -0.2..0.2)]
#[case::mmap("mmap", "fork", 0.0..0.1)]
#[case::mmap_file("mmap_file", "fork", 0.0..0.1)]
#[case::memmap("memmap", "fork", 0.0..0.5)]
// Unpickled: 32 bytes an int, and eight in the list.
#[case::args_spawned("args", "spawn", 4.5..7.0)]
// An import takes other ways through the heap when the data came before it.
#[case::numpy_spawned("args_numpy", "spawn", 0.7..1.3)]
#[case::args_from_a_server("args", "forkserver", 4.5..7.0)]
#[case::bitarrays_spawned("args_bitarrays", "spawn", 1.0..3.0)]
// Half of it in each of two children.
#[case::pool("pool", "fork", 2.2..3.5)]
fn a_child_copies_what_the_way_makes_it_copy(
    #[case] way: &str,
    #[case] method: &str,
    #[case] times: std::ops::Range<f64>,
) {
    let alternative = one(way, method);
    for bytes in copied_bytes(alternative) {
        let of_size = bytes as f64 / SIZE as f64;
        assert!(times.contains(&of_size), "{of_size}: {alternative:#?}");
    }
    assert_eq!(alternative.children.len(), 2);
}

#[rstest]
// An int below 2³¹ is pickled in five bytes.
#[case::args("args", "spawn", 0.6..0.7)]
#[case::pool("pool", "fork", 0.3..0.35)]
#[case::manager("manager", "fork", 0.6..0.7)]
#[case::bitarrays("args_bitarrays", "spawn", 1.0..1.1)]
#[case::inherited("list", "fork", 0.0..0.01)]
#[case::shared("shared_memory", "spawn", 0.0..0.01)]
fn what_goes_through_pipes_is_counted(
    #[case] way: &str,
    #[case] method: &str,
    #[case] times: std::ops::Range<f64>,
) {
    let alternative = one(way, method);
    for child in &alternative.children {
        let piped = child.piped_bytes.unwrap() as f64 / SIZE as f64;
        assert!(times.contains(&piped), "{piped}: {alternative:#?}");
    }
}

#[test]
fn times_and_sums_of_memory_are_there() {
    let alternative = one("shareable_list", "fork");
    let prepared = alternative.prepare_seconds.unwrap();
    assert!(0.0 < prepared && prepared < alternative.handover_seconds);
    for child in &alternative.children {
        // On a busy machine one element may take longer than all.
        assert!(0.0 < child.first_read_seconds && 0.0 < child.read_all_seconds);
    }
    // The segment is in it.
    assert!(alternative.pss_bytes_held.unwrap() > SIZE);
    assert!(alternative.pss_bytes_read.unwrap() > SIZE);
    assert!(alternative.memory_bytes_held.unwrap() > SIZE);
    assert!(alternative.memory_bytes_read.unwrap() > SIZE);
    assert_eq!(one("list", "fork").prepare_seconds, None);
}

#[test]
fn the_list_is_larger_when_it_has_been_read() {
    let place = Place::new();
    let size: u64 = 4 << 20;
    let arguments = ["--way", "list", "--size", &size.to_string()];
    let finished = place.run(compare(&place, &arguments)).exits_with(0);
    let list = &report(&finished).alternatives[0];
    let grown = list.memory_bytes_read.unwrap() - list.memory_bytes_held.unwrap();
    // Two children, each with a copy of ints that take four times as much as packed, and by another
    // way of counting. Other tests start and end programs meanwhile, which moves the PSS, but not
    // this.
    let copied: i64 = copied_bytes(list).into_iter().sum();
    let copied = copied.cast_unsigned();
    assert!(grown > size * 7, "{grown}");
    assert!(grown.abs_diff(copied) < copied / 20, "{grown} and {copied}");
}

#[rstest]
fn properties_are_those_of_the_way(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "properties of all ways", |interpreter| {
        let text = properties(by_python::path(interpreter));
        let version = by_python::version(interpreter);
        assert_snapshot_of!(version, "alternatives_properties", text);
    });
}

/// All ways with an interpreter, measured once for all tests here.
fn all_ways(python: &str) -> &'static Report {
    static REPORTS: MeasuredOnce<Report> = MeasuredOnce::new();
    REPORTS.of(python, || {
        let place = Place::new();
        let finished = place
            .run(compare_with(&place, python, &["--size", "65536"]))
            .exits_with(0);
        place.nothing_remains();
        nothing_in(&place);
        run::report(&finished.stdout)
    })
}

fn properties(python: &str) -> String {
    let mut text = String::new();
    for alternative in all_ways(python).runs[0].alternatives.clone() {
        let Alternative {
            way,
            start_method,
            writes_seen_by_parent,
            writes_seen_by_sibling,
            container_survives,
            elements_survive,
            after_child_killed,
            left_after_kill,
            ..
        } = alternative;
        let left: Vec<_> = left_after_kill.iter().map(|left| left.as_str()).collect();
        let left = left.join(", ");
        let usable = match after_child_killed {
            AfterKill::Usable => "usable",
            AfterKill::Unusable => "unusable",
            AfterKill::Hangs { .. } => "hangs",
        };
        let sibling = writes_seen_by_sibling.map_or("–".into(), |seen| seen.to_string());
        writeln!(
            text,
            "{way}/{start_method}: writes seen by parent {writes_seen_by_parent}, by sibling {sibling}; \
             container survives {container_survives}, elements {elements_survive}; {usable}; left: {left}"
        )
        .unwrap();
    }
    text
}

#[test]
fn one_child_has_no_sibling() {
    let place = Place::new();
    let arguments = ["--size", "65536", "--children", "1", "--way", "mmap"];
    let finished = place.run(compare(&place, &arguments)).exits_with(0);
    let alternative = &report(&finished).alternatives[0];
    assert!(alternative.writes_seen_by_parent);
    assert_eq!(alternative.writes_seen_by_sibling, None);
    assert_eq!(alternative.children.len(), 1);
}

#[test]
fn tables_fit_a_terminal_of_80_columns() {
    // As into a pipe, where sentences are wrapped at 100.
    let table = render_alternatives(all_ways(python()), None);
    let table = String::from_utf8(table).unwrap();
    let (tables, _notes) = table.split_once("\nshm: multiprocessing").unwrap();
    for line in tables.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let place = Place::new();
    let words = ["--size", "65536", "--way", "list", "--format", "markdown"];
    let command = place.refcow([&["sharing", "--python", python()], &words[..]].concat());
    let markdown = place.run(command).exits_with(0).stdout;
    assert!(markdown.contains("| fork: list of ints |"), "{markdown}");
}

#[test]
fn an_ordinary_user_gets_the_same_table() {
    let place = Place::new();
    let mut command = match place.measure_as_ordinary_user() {
        Ok(command) => command,
        Err(why) => return skipped("comparing as an ordinary user", &why),
    };
    let program = command.get_program().to_owned();
    let mut arguments = vec!["sharing", "--format", "json", "--size", "1048576"];
    for way in [
        "list",
        "array",
        "raw_array",
        "shareable_list",
        "pool",
        "manager",
    ] {
        arguments.extend(["--way", way]);
    }
    if nix::unistd::geteuid().is_root() {
        command = place.command(program, arguments);
        command.args(["--python", "/usr/bin/python3"]);
        std::os::unix::process::CommandExt::uid(&mut command, 65534);
        std::os::unix::process::CommandExt::gid(&mut command, 65534);
        command.current_dir("/").env("TMPDIR", "/tmp");
    } else {
        command = compare(&place, &arguments[3..]);
    }
    let finished = place.run(command).exits_with(0);
    let alternatives = report(&finished).alternatives;
    assert_eq!(alternatives.len(), 6);
    for alternative in &alternatives {
        let large = !["array", "raw_array"].contains(&&alternative.way[..]);
        for bytes in copied_bytes(alternative) {
            assert!((bytes > 100_000) == large, "{alternative:#?}");
        }
        assert!(alternative.children[0].piped_bytes.is_some());
    }
}

/// A virtual environment in which `code` runs when any Python starts. It may say something as a
/// fixture can.
fn environment_that(place: &Place, code: &str) -> String {
    let folder = place.path("venv");
    let made = Command::new(python())
        .args(["-m", "venv", "--without-pip"])
        .arg(&folder)
        .status()
        .unwrap();
    assert!(made.success());
    let library = fs::read_dir(folder.join("lib")).unwrap().next().unwrap();
    let packages = library.unwrap().path().join("site-packages");
    let code = code.replace(
        "SAID",
        &format!("{:?}", place.path("said").display().to_string()),
    );
    fs::write(packages.join("refcow_test.py"), code).unwrap();
    fs::write(packages.join("refcow_test.pth"), "import refcow_test\n").unwrap();
    folder.to_str().unwrap().to_owned()
}

/// Every child that adds up the integers does this instead. The parent adds, too, before it has
/// children.
fn summing_child_that(does: &str) -> String {
    format!(
        "import builtins, os, signal\n\
         add = builtins.sum\n\
         parent = os.getpid()\n\
         def say(words):\n    \
             fifo = os.open(SAID, os.O_WRONLY)\n    \
             os.write(fifo, words.encode())\n    \
             os.close(fifo)\n\
         def sum(*arguments):\n    \
             import multiprocessing\n    \
             if multiprocessing.parent_process() is not None:\n        \
                 {does}\n    \
             return add(*arguments)\n\
         builtins.sum = sum\n"
    )
}

#[rstest]
#[case::forked("list", "fork", "child 1")]
#[case::spawned("args", "spawn", "child 1")]
#[case::from_a_server("args", "forkserver", "child 1")]
#[case::of_a_manager("manager", "fork", "child 1")]
#[case::of_a_pool("pool", "fork", "a worker of the pool")]
fn a_child_that_is_killed_is_told_at_once(
    #[case] way: &str,
    #[case] method: &str,
    #[case] who: &str,
) {
    let place = Place::new();
    let kill = summing_child_that("os.kill(os.getpid(), signal.SIGKILL)");
    let environment = environment_that(&place, &kill);
    let arguments = ["--way", way, "--start-method", method, "--size", "65536"];
    let command = compare_with(&place, &environment, &arguments);
    // Its parent, the server, does not tell by which signal.
    let how = if method == "forkserver" {
        ""
    } else {
        " was killed by SIGKILL while reading"
    };
    place
        .run(command)
        .refuses(3, &format!("{way}/{method}: {who}{how}"), "dmesg");
    place.nothing_remains();
    nothing_in(&place);
}

#[test]
fn a_way_that_fails_does_not_keep_the_others_from_the_table() {
    let place = Place::new();
    let kill = "if isinstance(arguments[0], list): os.kill(os.getpid(), signal.SIGKILL)";
    let environment = environment_that(&place, &summing_child_that(kill));
    let arguments = ["--way", "list", "--way", "array", "--size", "65536"];
    let finished = place
        .run(compare_with(&place, &environment, &arguments))
        .exits_with(3)
        .says("list/fork: child 1 was killed by SIGKILL while reading");
    let report = report(&finished);
    assert_eq!(report.alternatives.len(), 1);
    assert_eq!(report.alternatives[0].way, "array");
    let missing = Warning::NotMeasured {
        fixture: "list/fork".into(),
        visit: None,
        reason: "child 1 was killed by SIGKILL while reading".into(),
    };
    assert!(report.warnings.contains(&missing), "{:?}", report.warnings);
    place.nothing_remains();
    nothing_in(&place);
}

fn hang(place: &Place, way: &str, method: &str) -> Command {
    // The job, by the number of its process and by the name of its segments. A child of a server
    // has another parent.
    let does = "say(str(os.getppid()) + ' ' + os.environ['REFCOW_SUBJECT']); signal.pause()";
    let environment = environment_that(place, &summing_child_that(does));
    let arguments = ["--way", way, "--start-method", method, "--size", "65536"];
    compare_with(place, &environment, &arguments)
}

fn segments_of(name: &str) -> Vec<String> {
    let prefix = format!("{name}-");
    let entries = fs::read_dir("/dev/shm").unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with(&prefix))
        .collect()
}

/// Waits until a child is in the middle of its reading; the parent's number and the name.
fn in_the_middle(run: &mut Running<'_>, way: &str) -> (Pid, String) {
    let heard = run.hear();
    let (parent, name) = heard.split_once(' ').unwrap();
    if way == "shareable_list" {
        // If there were none, its absence afterwards would say nothing.
        assert_eq!(segments_of(name).len(), 1);
    }
    (
        Pid::from_raw(parent.parse().unwrap()).unwrap(),
        name.to_owned(),
    )
}

#[rstest]
fn nothing_survives_an_interruption_or_a_refcow_that_is_killed(
    #[values(
        ("list", "fork"), ("shareable_list", "fork"), ("shareable_list", "spawn"), ("raw_array", "fork"),
        ("mmap_file", "fork"), ("args", "spawn"), ("args", "forkserver"), ("pool", "fork"), ("manager", "fork"),
        ("manager", "spawn"),
    )]
    way: (&str, &str),
    #[values(Signal::INT, Signal::KILL)] signal: Signal,
) {
    let place = Place::new();
    let (way, method) = way;
    let command = hang(&place, way, method);
    let mut run = place.start(command);
    let (_, name) = in_the_middle(&mut run, way);
    run.signal(signal);
    if signal == Signal::KILL {
        run.wait().killed_by(signal);
        // Its temporary folder is the one thing that stays, to the next run.
        place.nothing_remains();
    } else {
        run.wait().exits_with(130).says("interrupted");
        place.nothing_remains();
        nothing_in(&place);
    }
    assert_eq!(segments_of(&name), [] as [&str; 0]);
}

#[test]
fn the_temporary_folder_of_a_run_that_was_killed_does_not_outlive_the_next() {
    let place = Place::new();
    let folder = |place: &Place| {
        let entries = fs::read_dir(place.path("")).unwrap();
        let mut names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.find(|name| name.starts_with("refcow-run-"))
    };
    let mut run = place.start(hang(&place, "mmap_file", "fork"));
    in_the_middle(&mut run, "mmap_file");
    // It writes elsewhere, and has the same TMPDIR.
    let other = Place::new();
    let next = || other.run(place.measure(["ints", "--count", "10", "--visit", "idle"]));
    next().exits_with(0);
    let living = folder(&place).expect("another run does not touch it while the run lives");
    run.signal(Signal::KILL);
    run.wait().killed_by(Signal::KILL);
    place.nothing_remains();
    assert_eq!(folder(&place), Some(living));
    next().exits_with(0);
    nothing_in(&place);
}

#[rstest]
fn nothing_survives_a_parent_that_is_killed(
    #[values("list", "shareable_list", "pool", "manager")] way: &str,
) {
    let place = Place::new();
    let command = hang(&place, way, "fork");
    let mut run = place.start(command);
    let (parent, name) = in_the_middle(&mut run, way);
    kill_process(parent, Signal::KILL).unwrap();
    run.wait().refuses(
        3,
        &format!("{way}/fork: the parent was killed by SIGKILL while running read()"),
        "",
    );
    place.nothing_remains();
    nothing_in(&place);
    assert_eq!(segments_of(&name), [] as [&str; 0]);
}

const NO_SERVER: &str = "import multiprocessing.context, multiprocessing.reduction\n\
                         multiprocessing.reduction.HAVE_SEND_HANDLE = False\n\
                         multiprocessing.context._concrete_contexts.pop('forkserver', None)\n";

#[test]
fn a_start_method_that_this_python_lacks_is_refused_or_left_out() {
    let place = Place::new();
    let environment = environment_that(&place, NO_SERVER);
    let run = |arguments: &[&str]| {
        let mut command = compare_with(&place, &environment, &["--way", "args", "--size", "65536"]);
        command.args(arguments);
        place.run(command)
    };
    run(&["--start-method", "forkserver"]).refuses(
        2,
        "has no start method forkserver",
        "it has fork, spawn",
    );
    let finished = run(&[]).exits_with(0);
    let report = report(&finished);
    let methods: Vec<_> = report
        .alternatives
        .iter()
        .map(|alternative| alternative.start_method)
        .collect();
    assert_eq!(methods, [StartMethod::Fork, StartMethod::Spawn]);
    let left_out = report.warnings.iter().any(|warning| match warning {
        Warning::NotMeasured {
            fixture, reason, ..
        } => fixture == "args/forkserver" && reason.contains("has no start method forkserver"),
        _ => false,
    });
    assert!(left_out, "{:?}", report.warnings);
    place.nothing_remains();
}

#[rstest]
#[case::too_large(&["--size", "1099511627776"], "`list` needs about ", "choose a smaller --size")]
#[case::unknown(&["--way", "shared_memor"], "no way `shared_memor`", "did you mean `shared_memory`?")]
#[case::not_inherited(&["--way", "list", "--start-method", "spawn"], "`list` does not exist under spawn", "under fork")]
fn what_cannot_be_compared_is_refused(
    #[case] arguments: &[&str],
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    place
        .run(compare(&place, arguments))
        .refuses(2, error, help);
    place.nothing_remains();
}

#[rstest]
#[case::no_children("--children=0")]
#[case::no_bytes("--size=0")]
#[case::of_another_system("--start-method=vfork")]
fn a_flag_that_means_nothing_is_refused(#[case] flag: &str) {
    let place = Place::new();
    let (name, value) = flag.split_once('=').unwrap();
    place
        .run(compare(&place, &[flag]))
        .exits_with(2)
        .says(&format!("invalid value '{value}' for '{name}"));
}

#[test]
fn a_way_that_does_not_fit_into_dev_shm_is_refused_before_anything_is_measured() {
    let place = Place::new();
    let mounts = "mount -t tmpfs -o size=1m none /dev/shm";
    let arguments = ["sharing", "--way", "shared_memory", "--python", python()];
    match place.refcow_in_mounts(mounts, &arguments) {
        Ok(command) => drop(place.run(command).refuses(
            2,
            "`shared_memory` needs 4 MiB in /dev/shm, and 1 MiB is free there",
            "--force",
        )),
        Err(why) => skipped("a way with too small a /dev/shm", &why),
    }
    place.nothing_remains();
}
