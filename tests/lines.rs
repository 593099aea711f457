//! The log of lines says of each page fault's time which line was running, and keeps quiet where it
//! does not know.

use std::fs;

use refcow::driver::Subject;
use refcow::experiment::lines::LineLog;
use refcow::experiment::visit::{Data, visit};
use refcow::model::{RegionMap, RegionName, Run, Warning};
use refcow::protocol::{Arguments, Job, ModuleSource, Size};
use refcow::python::Interpreter;
use rstest::rstest;

use crate::common::{Place, When, by_python, run};

const FIXTURE: &str = include_str!("fixtures/lines.py");

/// A subject with the fixture's data, and the path of its notes.
fn subject(interpreter: &Interpreter, place: &Place) -> Subject {
    let launch = crate::common::launch(interpreter, 1);
    let notes = place.path("notes").to_str().unwrap().to_owned();
    let module = ModuleSource {
        name: "lines".into(),
        file: "lines.py".into(),
        folder: None,
        source: FIXTURE.replace("PATH_OF_NOTES", &notes),
    };
    let mut subject = Subject::start(&launch).unwrap();
    subject.start_python().unwrap();
    subject.load(Vec::new(), module, Vec::new()).unwrap();
    let any = Size {
        count: 1,
        item_bytes: 1,
    };
    subject.build(&Arguments::Size(any)).unwrap();
    subject
}

/// The log of a visit.
fn log(subject: &mut Subject, name: &str) -> LineLog {
    let data = Data {
        map: &RegionMap::default(),
        objects: None,
        memory: false,
    };
    let job = Job::Visit {
        name: name.to_owned(),
        lines: true,
    };
    let mut outcome = visit(subject, data, &job, name, 1, || {}).unwrap();
    assert_eq!(outcome.lines.len(), 1);
    outcome.lines.remove(0)
}

/// What the last visit noted: names, each with the times at which its line was running.
fn notes(place: &Place) -> Vec<(String, Vec<u64>)> {
    let text = fs::read(place.path("notes")).unwrap();
    let notes: Vec<Vec<serde_json::Value>> = serde_json::from_slice(&text).unwrap();
    let note = |mut note: Vec<serde_json::Value>| {
        let name = note.remove(0).as_str().unwrap().to_owned();
        let (first, last) = (&note[0], &note[note.len() - 1]);
        (
            name,
            [first, last].map(|time| time.as_u64().unwrap()).into(),
        )
    };
    notes.into_iter().map(note).collect()
}

/// The line of the fixture that has this comment.
fn line(name: &str) -> u32 {
    let comment = format!("  # {name}");
    let at = FIXTURE.lines().position(|line| line.ends_with(&comment));
    u32::try_from(at.unwrap_or_else(|| panic!("no line {name}")) + 1).unwrap()
}

#[rstest]
fn at_each_noted_time_the_log_names_the_line_that_was_running(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each_build(series, "lines at page faults", |interpreter| {
        let place = Place::new();
        let mut subject = subject(interpreter, &place);
        // With how many notes each makes.
        let visits = [
            ("lines", 6),
            ("classes", 3),
            ("recursion", 8),
            ("generators", 7),
            ("exceptions", 5),
            ("threads", 1),
            ("forks", 2),
        ];
        for (visit, noted) in visits {
            let log = log(&mut subject, visit);
            assert!(!log.cut_short(), "{visit}");
            assert_eq!(log.dropped(), 0, "{visit}");
            let notes = notes(&place);
            assert_eq!(notes.len(), noted, "{visit}: {notes:?}");
            for (name, times) in notes {
                for time in times {
                    let at = log.with_caller_at(time).map(|(at, _)| at.line);
                    assert_eq!(at, Some(line(&name)), "{visit}: {name}\n{log:#?}");
                }
            }
            for place in log.places() {
                assert_ne!(place.function, "in_thread", "{visit}: {log:#?}");
            }
        }
    });
}

#[rstest]
fn of_another_file_the_log_names_the_users_own_line_that_had_called(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "the user's own line", |interpreter| {
        let place = Place::new();
        let mut subject = subject(interpreter, &place);
        let library = log(&mut subject, "library");
        let owners = ["owner", "owner through C", "owner in a recursion"];
        let notes = notes(&place);
        assert_eq!(notes.len(), owners.len());
        for ((_, times), owner) in notes.iter().zip(owners) {
            for time in times {
                let (at, own) = library.with_caller_at(*time).unwrap();
                assert_eq!(at.file, "/usr/lib/somewhere/library.py", "{library:#?}");
                let own = own.unwrap();
                assert_eq!(own.file, "lines.py");
                assert_eq!(own.line, line(owner), "{owner}\n{library:#?}");
            }
        }
        // Its own line has no other.
        let own = log(&mut subject, "lines");
        for time in self::notes(&place).into_iter().flat_map(|(_, times)| times) {
            let (at, caller) = own.with_caller_at(time).unwrap();
            assert_eq!((&at.file[..], caller), ("lines.py", None), "{at:?}");
        }
    });
}

#[rstest]
fn places_have_the_names_that_tracebacks_show(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "names of places", |interpreter| {
        let place = Place::new();
        let log = log(&mut subject(interpreter, &place), "classes");
        let method = log.places().iter().find(|it| it.line == line("method"));
        let method = method.unwrap();
        assert_eq!(method.file, "lines.py");
        let qualified = interpreter.series >= (3, 11);
        let name = if qualified {
            "Something.method"
        } else {
            "method"
        };
        assert_eq!(method.function, name);
    });
}

#[rstest]
fn a_visit_that_sets_a_trace_function_ends_the_log(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "a visit that traces", |interpreter| {
        let place = Place::new();
        let log = log(&mut subject(interpreter, &place), "traces");
        assert!(log.cut_short());
        let notes = notes(&place);
        let [(_, before), (_, after)] = &notes[..] else {
            panic!("{notes:?}");
        };
        for time in before {
            let at = log.with_caller_at(*time).map(|(at, _)| at.line);
            assert_eq!(at, Some(line("before settrace")), "{log:#?}");
        }
        for time in after {
            assert_eq!(log.with_caller_at(*time), None, "{log:#?}");
        }
    });
}

#[test]
fn a_log_that_ended_early_is_told_in_the_report() {
    let place = Place::new();
    let fixture = place.fixture_that(When::Visit, "sys.settrace(None)");
    let mut measure = place.measure([&fixture, "--count", "10", "--visit", "act"]);
    measure.args(["--lines", "--format", "json"]);
    let finished = place.run(measure).exits_with(0);
    let warning = Warning::LinesIncomplete {
        fixture: "acts".into(),
        visit: "act".into(),
        dropped: 0,
        cut_short: true,
    };
    let run = run::the_run(&finished.stdout);
    assert!(run.warnings.contains(&warning), "{:?}", run.warnings);
}

/// Of the visit that is counted, and of the one that is traced.
#[test]
fn what_a_visit_raises_is_shown_as_without_lines() {
    let place = Place::new();
    let fixture = place.fixture_that(When::Visit, "raise RuntimeError('no such luck')");
    let mut measure = place.measure([&fixture, "--count", "10", "--visit", "act"]);
    measure.arg("--lines");
    let error = "visiting the data (act) raised RuntimeError: no such luck";
    place
        .run(measure)
        .says("    raise RuntimeError('no such luck')\n")
        .refuses(3, error, "fix the error in the dataset's code");
    place.nothing_remains();

    let interpreter = &by_python::builds()[0];
    let data = Data {
        map: &RegionMap::default(),
        objects: None,
        memory: false,
    };
    let job = Job::Visit {
        name: "raises".into(),
        lines: true,
    };
    let mut subject = subject(interpreter, &place);
    let error = visit(&mut subject, data, &job, "visiting", 1, || {}).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("in visit_raises\n    raise"), "{error}");
}

#[rstest]
fn with_lines_the_same_pages_of_the_dataset_are_counted(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each_build(series, "the same pages", |interpreter| {
        let counts = |lines: &[&str]| {
            let fixtures = ["three_lists", "ints", "dicts", "objects"];
            // Touches next to nothing itself, so that a page more shows.
            let visits = ["--visit", "reference", "--children", "1"];
            let python = ["--count", "500", "--python", by_python::path(interpreter)];
            let run = run::measure(&[&fixtures, &visits, &python, lines].concat());
            of_the_dataset(&run)
        };
        assert_eq!(counts(&["--lines"]), counts(&[]));
    });
}

/// Regions, pages, unshared pages and identical copies, of all but the process around the dataset.
fn of_the_dataset(run: &Run) -> Vec<(RegionName, u64, u64, Option<u64>)> {
    let children = run.measurements.iter().flat_map(|one| &one.children);
    let regions = children.flat_map(|child| &child.regions);
    regions
        .filter(|region| region.name.is_data())
        .map(|region| (region.name, region.pages, region.unshared, region.identical))
        .collect()
}
