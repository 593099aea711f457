//! The process that finds the dataset: what it takes, what it has no room for, and that it runs
//! nobody's code.

use std::collections::BTreeSet;

use procfs::process::Process;
use refcow::driver::{DriverError, Subject};
use refcow::model::Warning;
use refcow::protocol::{Arguments, ChildMessage, ForkRequest, Job, ModuleSource, Size, WITNESS};
use refcow::python;
use rstest::rstest;

use crate::common::{Place, by_python, run};

#[rstest]
fn nothing_of_the_users_runs_in_a_process_that_only_looks(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
    #[values(&[], &["--no-causes"])] more: &[&str],
) {
    by_python::each_build(series, "hooks", |interpreter| {
        // One of them may be the allocation with which a collection is due.
        for due in [0, 1, 2, 5, 12, 40] {
            runs_no_hooks(interpreter, due, more);
        }
    });
}

fn runs_no_hooks(interpreter: &python::Interpreter, due: usize, more: &[&str]) {
    let place = Place::new();
    let path = place.path("log");
    let source = include_str!("fixtures/hooks.py").replace("HOOKS_LOG", path.to_str().unwrap());
    let file = place.file("hooks.py", &source);
    let due = format!("due={due}");
    let arguments = [
        &file,
        "--visit",
        "nothing",
        "--set",
        &due,
        "--children",
        "2",
    ];
    let python = ["--python", by_python::path(interpreter)];
    run::measure(&[&arguments[..], &python, more].concat());
    let log = std::fs::read_to_string(&path).unwrap();
    let lines = || log.lines().map(|line| line.split_once(' ').unwrap());
    let of = |what: &str| -> BTreeSet<&str> {
        let lines = lines().filter(|line| line.1 == what);
        lines.map(|line| line.0).collect()
    };
    // As os.fork does for those that run Python, and for no other.
    let (parent, children) = (of("before"), of("visit"));
    assert_eq!((parent.len(), children.len()), (1, 2), "{log}");
    // Where a collection fell due on the way, one more takes the same way, without the visit.
    let forked = of("child");
    assert!(children.is_subset(&forked) && forked.len() <= 3, "{log}");
    let strangers: Vec<_> = lines()
        .filter(|(pid, _)| !parent.contains(pid) && !forked.contains(pid))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    for what in ["before", "after"] {
        let times = lines().filter(|line| line.1 == what).count();
        assert_eq!(times, forked.len() - 1, "{log}");
    }
}

#[test]
fn what_the_map_has_no_room_for_is_a_warning_and_counts_are_as_ever() {
    let place = Place::new();
    let file = place.file(
        "kinds.py",
        "def build(n=530_000):\n    view = memoryview(bytearray(n))\n    return [view[:i] for i in range(1, n)]\n\n\
         def visit_iterate(data):\n    for _ in data:\n        pass\n",
    );
    let arguments = [&file[..], "--visit", "iterate", "--children", "1"];
    let with = run::measure(&arguments);
    let without = run::measure(&[&arguments[..], &["--no-causes"]].concat());
    let pages = |run: &refcow::model::Run| -> Vec<_> {
        let regions = run.measurements[0].children[0].regions.iter();
        regions
            .map(|region| (region.name, region.pages, region.unshared))
            .collect()
    };
    assert_eq!(pages(&with), pages(&without));
    let left_out = with.warnings.iter().find_map(|warning| match warning {
        Warning::ObjectsLeftOut { objects, .. } => Some(*objects),
        _ => None,
    });
    // Of 529,999 views, and of what else the process has.
    assert!((5_711..60_000).contains(&left_out.unwrap()), "{left_out:?}");
}

/// With byte code and without, the process is another one outside the data.
#[rstest]
#[case::there_is_none("", true)]
#[case::it_fits("py_compile.compile(source)", false)]
#[case::it_fits_by_hash(
    "py_compile.compile(source, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)",
    false
)]
#[case::the_source_is_younger(
    "py_compile.compile(source); os.utime(source, (1_000_000_000, 1_000_000_000))",
    true
)]
#[case::the_source_is_longer(
    "time = os.stat(source).st_mtime_ns; py_compile.compile(source); open(source, 'a').write('z = 1\\n'); os.utime(source, ns=(time, time))",
    true
)]
#[case::it_is_another_pythons(
    "name = py_compile.compile(source); code = open(name, 'r+b'); code.write(b'else'); code.close()",
    true
)]
fn an_installed_module_that_python_had_to_compile_is_a_warning(
    #[case] before: &str,
    #[case] is_compiled: bool,
) {
    let place = Place::new();
    std::fs::create_dir(place.path("site-packages")).unwrap();
    let source = place.file("site-packages/installed.py", "y = 1\n");
    place.file("beside.py", "x = 1\n");
    let file = place.file(
        "importing.py",
        &format!(
            "import sys\n\n\ndef build(n=100):\n    sys.path[:0] = [{:?}, {:?}]\n    __import__('installed')\n    \
             __import__('beside')\n    return list(range(n))\n\n\ndef visit_len(data):\n    return len(data)\n",
            place.path("site-packages"),
            place.path(""),
        ),
    );
    let made = std::process::Command::new(python::choose(None).unwrap().executable)
        .args([
            "-c",
            &format!("import os, py_compile, sys; source = sys.argv[1]; {before}"),
            &source,
        ])
        .status();
    assert!(made.unwrap().success());
    let run = run::measure(&[&file, "--visit", "len", "--children", "1"]);
    let told = run.warnings.iter().find_map(|warning| match warning {
        Warning::NoByteCode {
            modules, examples, ..
        } => Some((*modules, examples.as_str())),
        _ => None,
    });
    assert_eq!(told, is_compiled.then_some((1, "installed")));
}

#[test]
fn the_mapper_needs_a_few_bytes_an_object() {
    let own_bytes = |count: u64, objects: bool| {
        let interpreter = python::choose(None).expect("a usable interpreter");
        let launch = crate::common::launch(&interpreter, 0);
        let module = ModuleSource {
            name: "lists".into(),
            file: "lists.py".into(),
            folder: None,
            source: "def build(count, item_bytes):\n    return [[] for _ in range(count)]\n".into(),
        };
        let mut subject = Subject::start(&launch).unwrap();
        subject.start_python().unwrap();
        subject.load(Vec::new(), module, Vec::new()).unwrap();
        let item_bytes = 1;
        subject
            .build(&Arguments::Size(Size { count, item_bytes }))
            .unwrap();
        let job = Job::Map { objects };
        let fork = ForkRequest {
            channel: WITNESS,
            job,
        };
        let mapper = subject
            .fork(vec![fork], |_| Ok::<_, DriverError>(()))
            .unwrap();
        let ChildMessage::Mapped(_) = subject.hear(&mapper[0], "mapping").unwrap() else {
            panic!("no map")
        };
        let status = |pid| Process::new(pid).and_then(|process| process.status());
        // A page that it shares with its parent, and one that it has copied, both count once.
        let parent = status(subject.pid()).unwrap().rssanon.unwrap();
        (status(mapper[0].pid).unwrap().vmhwm.unwrap() - parent) * 1024
    };
    let count = 1_000_000;
    for (objects, most) in [(false, 12), (true, 22)] {
        let more = own_bytes(2 * count, objects) - own_bytes(count, objects);
        assert!(more <= most * count, "{} B a list", more / count);
    }
}
