//! `refcow advise`: each remedy helps with the data that it is for, with none else, and says so.

use std::fs;

use crate::common::{Finished, Place, by_python, python, run};
use refcow::model::{self, Advice, Compared, Measurement, Run, Tried, Warning};
use rstest::rstest;
use rustix::process::Signal;
use serde_json::Value;

const LOADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/loader.py");
const PAGE: u64 = 4096;
/// Remedies that put other objects in the place of lists.
const REPLACING: [&str; 3] = ["pickled-rows", "packed-arrays", "shared-memory"];

/// `refcow advise … --format json` with one child, and with the user's own cache: NumPy is
/// installed once.
fn advise(arguments: &[&str]) -> Run {
    let more = ["--children", "1", "--format", "json"];
    run::the_run(&run::stdout(&[&["advise"], arguments, &more].concat()))
}

fn advice<'a>(run: &'a Run, visit: &str) -> &'a Advice {
    let mut all = run.advice.iter();
    all.find(|one| one.visit == visit)
        .unwrap_or_else(|| panic!("{visit}"))
}

fn tried<'a>(advice: &'a Advice, name: &str) -> &'a Tried {
    let mut all = advice.remedies.iter();
    all.find(|one| one.remedy == name)
        .unwrap_or_else(|| panic!("{name}: {advice:#?}"))
}

fn unshared(measurement: &Measurement) -> u64 {
    let all = measurement.children.iter();
    all.map(|child| child.totals().unshared).max().unwrap()
}

/// A file of the user's own.
fn written(place: &Place, text: &str) -> String {
    place.file("mine.py", text)
}

#[test]
fn strings_and_records_are_best_packed_and_a_measurement_of_them_packed_says_the_same() {
    let printed = run::stdout(&["advise", LOADER, "--children", "1", "--format", "json"]);
    let document: Value = serde_json::from_str(&printed).unwrap();
    let schema: Value = serde_json::from_str(&run::stdout(&["schema"])).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    if let Err(error) = schema.validate(&document) {
        panic!("{error} at {}", error.instance_path());
    }
    let run = run::the_run(&printed);

    // Nothing can be saved where nothing is copied, and nothing is tried.
    let length = advice(&run, "length");
    assert!(length.copied_bytes <= length.noise_bytes && length.remedies.is_empty());
    assert!(length.finding.contains("a child copies"), "{length:#?}");

    let epoch = advice(&run, "epoch");
    let best = epoch.best().unwrap();
    assert!(REPLACING.contains(&&best.remedy[..]), "{epoch:#?}");
    for name in REPLACING {
        assert_eq!(tried(epoch, name).compared, Some(Compared::Returned));
        assert!(epoch.helps(tried(epoch, name)), "{name}");
    }
    // What is packed is the parent's gain, too.
    assert!(tried(epoch, "packed-arrays").parent_bytes < epoch.parent_bytes);
    let again = epoch.measured_again.as_ref().unwrap();
    let [first, second] = [best.tree, again.tree].map(Option::unwrap);
    assert!(
        first.end.abs_diff(second.end) <= epoch.tree_noise_bytes.unwrap(),
        "{first:?} {second:?}"
    );
    let saved = best.saved_bytes.unwrap();
    assert!(saved as u64 > epoch.copied_bytes * 9 / 10);
    // Seven times at most in a go, and a second go: the machine may have been busier in the first.
    assert!(best.visit_seconds.len() > 7 && epoch.visit_seconds.len() > 7);

    // The same without `advise`: as it is to the page.
    // (`idle` first would be one fork more, and one page.)
    let visits = ["--visit", "epoch", "--visit", "length"];
    let plain = run::measure(&[&[LOADER, "--children", "1"][..], &visits].concat());
    let of = |measured: &Run| unshared(run::visit(measured, "loader", "epoch"));
    assert_eq!(of(&plain) * PAGE, epoch.copied_bytes);
}

#[test]
fn a_collection_in_the_children_is_what_freezing_is_for() {
    let place = Place::new();
    let file = written(
        &place,
        "import gc\ndef build(): return [[[range(0)]] for _ in range(20_000)]\ndef visit_collect(data): gc.collect()\n",
    );
    let run = advise(&[&file]);
    let advice = advice(&run, "collect");
    let freezing = ["gc.freeze", "gc.collect+freeze"];
    let best = advice.best().unwrap();
    assert!(freezing.contains(&&best.remedy[..]), "{advice:#?}");
    // A parent that goes on forking unfreezes, and copies what its workers still share.
    assert!(best.refreeze_bytes.unwrap() > advice.noise_bytes);
    // A collection that is asked for is none that begins by itself.
    let disabled = tried(advice, "gc.disable").saved_bytes.unwrap();
    assert!(disabled.unsigned_abs() < advice.noise_bytes, "{disabled}");
    let packed = tried(advice, "packed-arrays");
    let reason = packed.does_not_apply.as_ref().unwrap();
    assert!(
        reason.ends_with("holds objects of the type range"),
        "{reason}"
    );
    assert_eq!(
        tried(advice, "shared-memory").does_not_apply.as_ref(),
        Some(reason)
    );
}

#[rstest]
#[case::content(
    "def build(): return bytearray(1 << 20)\n\
     def visit_write(data):\n    for place in range(0, len(data), 4096): data[place] = 1\n",
    "Nothing that refcow tries saves more than noise: a child copies 1.0 MiB: 256 of 258 pages are pages of buffers, where the \
     content of `bytearray` is written first, by bytearray_ass_subscript.",
    " or more elements."
)]
#[case::the_interpreter(
    "import sys\ndef build(): return [0] * 40\n\
     def visit_modules(data):\n    for module in list(sys.modules.values()):\n        for name in vars(module): pass\n",
    "Nothing that refcow tries saves more than noise: a child copies ",
    "."
)]
#[case::nothing(
    "def build(): return [0] * 40\ndef visit_pass(data): pass\n",
    "Nothing here helps: a child copies and makes",
    "."
)]
fn where_nothing_helps_one_line_says_why(
    #[case] text: &str,
    #[case] first: &str,
    #[case] last: &str,
) {
    let place = Place::new();
    let run = advise(&[&written(&place, text)]);
    let [advice] = &run.advice[..] else {
        panic!("{run:#?}")
    };
    assert_eq!((advice.best(), &advice.measured_again), (None, &None));
    let unknown = |warning: &Warning| matches!(warning, Warning::CausesUnknown { .. });
    if run.warnings.iter().any(unknown) {
        return crate::common::skipped("where_nothing_helps", "causes are not known here");
    }
    let finding = &advice.finding;
    assert!(
        finding.starts_with(first) && finding.ends_with(last),
        "{finding}"
    );
}

#[test]
fn a_visit_that_does_not_do_the_same_with_other_objects_is_no_case_for_them() {
    let place = Place::new();
    let file = written(
        &place,
        "import os\n\
         def build(): return [{'n': n, 'name': 'row %d' % n} for n in range(5_000)]\n\
         def visit_identity(data): return sum(row is data[row['n']] for row in data)\n\
         def visit_change(data):\n    for row in data: row['n'] += 1\n\
         def visit_append(data):\n    for row in data: pass\n    data.append(data[0])\n\
         def visit_type(data): return [type(row) for row in data if type(row) is dict][:1]\n\
         def visit_random(data): return [row['n'] for row in data], os.urandom(8)\n\
         def visit_exit(data):\n    for row in data: pass\n    if type(data) is not list: os._exit(3)\n"
            .replace("visit_exit", "visit_quit")
            .as_str(),
    );
    let run = advise(&[&file]);
    for (visit, reason) in [
        ("identity", "with it the visit returned 0, and not 5000"),
        (
            "change",
            "the visit changes what is in the data, and such a change would be lost",
        ),
        (
            "append",
            "the visit changes what is in the data, and such a change would be lost",
        ),
        (
            "type",
            "with it the visit returned [], and not [<class 'dict'>]",
        ),
        (
            "random",
            "what the visit returns differs from time to time, and cannot be compared",
        ),
        (
            "quit",
            "the child exited with status 3 while visiting other objects in the place of the data (quit)",
        ),
    ] {
        let packed = tried(advice(&run, visit), "packed-arrays");
        assert_eq!(packed.does_not_apply.as_deref(), Some(reason));
        // What leaves the objects as they are is measured all the same.
        assert!(
            tried(advice(&run, visit), "gc.freeze")
                .saved_bytes
                .is_some()
        );
    }
}

/// A visit that acts where the data is in shared memory, and says whose.
fn where_it_is_shared(place: &Place, action: &str) -> String {
    let text = format!(
        "import os, signal\n\
         def build(): return [1.5 + n for n in range(20_000)]\n\
         def visit_act(data):\n    for _ in data: pass\n    maps = open('/proc/self/maps').read()\n    \
         if '/dev/zero (deleted)' in maps:\n        \
         with open(os.environ['TMPDIR'] + '/said', 'w') as said: said.write(os.environ['REFCOW_SUBJECT'] + '\\n')\n        {action}\n"
    );
    place.file("mine.py", &text)
}

fn advise_on(place: &Place, file: &str) -> std::process::Command {
    place.refcow_with_packages(["advise", file, "--children", "1", "--python", python()])
}

#[test]
fn nothing_is_left_in_shared_memory_when_a_visit_crashes() {
    let place = Place::new();
    let file = where_it_is_shared(&place, "os.kill(os.getpid(), signal.SIGSEGV)");
    let mut command = advise_on(&place, &file);
    command.args(["--format", "json"]);
    let mut running = place.start(command);
    running.hear();
    let finished = running.wait().exits_with(0);
    let run = run::the_run(&finished.stdout);
    let shared = tried(advice(&run, "act"), "shared-memory");
    let reason = shared.does_not_apply.as_ref().unwrap();
    assert!(reason.contains("SIGSEGV"), "{reason}");
    assert_eq!(advice(&run, "act").best().unwrap().remedy, "packed-arrays");
    place.nothing_remains();
}

#[test]
fn nothing_is_left_when_it_is_interrupted() {
    let place = Place::new();
    let file = where_it_is_shared(&place, "signal.pause()");
    let mut running = place.start(advise_on(&place, &file));
    running.hear();
    running.signal(Signal::INT);
    let finished: Finished = running.wait().exits_with(130);
    assert!(finished.stdout.is_empty(), "{finished}");
    place.nothing_remains();
}

#[rstest]
#[case::idle(&["FILE:idle"], "refcow's own visit `idle`", "a visit that uses")]
#[case::preparation(&["FILE", "--prepare", "freez"], "no preparation `freez`", "freeze")]
#[case::unknown(&["FILE:loo"], "no visit `loo`", "did you mean `look`?")]
#[case::parameter(&["FILE", "--set", "row=1"], "no parameter `row`", "rows")]
#[case::arguments(&["ints", "--", "-v"], "`-v`", "stand before")]
#[case::fixture(&["intz"], "no fixture `intz`", "did you mean `ints`?")]
fn bad_input_is_refused_before_any_python_is_started(
    #[case] words: &[&str],
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    let text = "def build(rows=1): return []\ndef visit_look(data): pass\n";
    let file = written(&place, text);
    let mut words: Vec<String> = words
        .iter()
        .map(|word| word.replace("FILE", &file))
        .collect();
    words.splice(1..1, ["--python", "/nowhere/python3"].map(str::to_owned));
    let command = place.refcow([vec!["advise".to_owned()], words].concat());
    place.run(command).refuses(2, error, help);
    let file = place.file("none.py", "def build(): return []\n");
    let command = place.refcow(["advise", &file]);
    place
        .run(command)
        .refuses(2, "no visit of its own", "visit_NAME");
}

#[test]
fn what_cannot_be_measured_as_it_is_ends_with_its_error() {
    let place = Place::new();
    let file = written(
        &place,
        "def build(): return [1]\ndef visit_raise(data): raise KeyError('x')\n",
    );
    place.run(advise_on(&place, &file)).refuses(
        3,
        "visiting the data (raise) raised KeyError: 'x'",
        "fix the error",
    );
}

#[rstest]
fn strings_are_packed_with_every_python(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "advise", |interpreter| {
        let python = by_python::path(interpreter);
        let run = advise(&[
            &format!("{LOADER}:epoch"),
            "--python",
            python,
            "--set",
            "samples=5000",
        ]);
        let epoch = advice(&run, "epoch");
        let best = &epoch.best().unwrap().remedy;
        assert!(REPLACING.contains(&&best[..]), "{epoch:#?}");
        assert!(
            tried(epoch, "shared-memory").saved_bytes.is_some(),
            "{epoch:#?}"
        );
        let mut all = epoch.remedies.iter();
        let immortal = all.find(|one| one.remedy == "immortal-objects");
        // Where this Python has no call for it, not a word.
        match interpreter.series >= (3, 15) {
            true => assert!(immortal.unwrap().saved_bytes.unwrap() > 0),
            false => assert_eq!(immortal, None),
        }
    });
}

#[test]
fn what_a_report_shows_has_causes_and_the_code() {
    let place = Place::new();
    let out = place.path("out");
    let arguments = [
        "advise",
        "lists:iterate",
        "--set",
        "count=20000",
        "--children",
        "1",
    ];
    let arguments = arguments
        .into_iter()
        .chain(["--report", out.to_str().unwrap()]);
    let finished = place.run(place.refcow(arguments)).exits_with(0);
    assert!(finished.stdout.contains("Code that was run"), "{finished}");
    let (report, _) = model::read(&fs::read(out.join("run.json")).unwrap()).unwrap();
    let measurements = &report.runs[0].measurements;
    assert!(measurements.len() > 1);
    for one in measurements {
        assert!(one.has_causes(), "{:?}", one.prepare);
    }
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(
        page.contains("copied for a reference count") && page.contains("def before_fork(data)")
    );
    assert!(!page.contains("cause unknown"));
}

#[test]
fn what_each_child_makes_for_itself_is_made_before_the_fork() {
    let place = Place::new();
    let file = written(
        &place,
        "def build(): return [[n, None] for n in range(400)]\n\
         def visit_fill(data):\n    for row in data:\n        if row[1] is None: row[1] = bytearray(b'x' * 8192)\n    \
         return len(data)\n\
         def visit_import(data):\n    import decimal, email.message, sqlite3\n\
         class Table:\n    def __init__(self): self.keys, self.places = ['key %d' % n for n in range(20_000)], {}\n    \
         def loc(self, key):\n        \
         if not self.places: self.places = {key: place for place, key in enumerate(self.keys)}\n        \
         return self.places[key]\n\
         TABLE = Table()\n\
         def visit_look_up(data): return TABLE.loc('key 7')\n",
    );
    let run = advise(&[&file]);
    // As the index of a table of pandas, which the first `.loc` makes.
    let look_up = advice(&run, "look_up");
    assert_eq!(
        look_up.best().unwrap().remedy,
        "visit-before",
        "{look_up:#?}"
    );
    // Nobody imports for it what another visit imports.
    assert!(
        look_up
            .remedies
            .iter()
            .all(|one| one.remedy != "import-before")
    );
    let fill = advice(&run, "fill");
    assert_eq!(fill.best().unwrap().remedy, "visit-before", "{fill:#?}");
    let would_be_lost = tried(fill, "pickled-rows").does_not_apply.as_ref().unwrap();
    assert!(would_be_lost.contains("changes what is in the data"));
    let import = advice(&run, "import");
    // Both serve, and which more depends on what else there is in the pages.
    let before = tried(import, "import-before");
    assert!(["import-before", "visit-before"].contains(&&import.best().unwrap().remedy[..]));
    assert!(import.helps(before) && import.helps(tried(import, "visit-before")));
    // Those that bring the others with them.
    let code = &before.code;
    for line in ["import decimal", "import email.message", "import sqlite3"] {
        assert!(code.contains(&line.to_owned()), "{code:#?}");
    }
    assert!(code.len() < 10, "{code:#?}");
}

#[test]
fn a_visit_that_keeps_what_it_looked_up_is_not_told_to_have_it_made_anew() {
    let place = Place::new();
    let file = written(
        &place,
        "HELD = []\n\
         def build(): return [{'id': n, 'w': n / 3} for n in range(20_000)]\n\
         def visit_hold(data):\n    HELD[:] = data\n    return len(HELD)\n",
    );
    let run = advise(&[&file]);
    let hold = advice(&run, "hold");
    assert_eq!(hold.best(), None, "{hold:#?}");
    for name in REPLACING {
        // Rows made anew take more than the copies of what is there.
        let saved = hold.saved_of_tree(tried(hold, name)).unwrap();
        assert!(saved.end < 0, "{name}");
    }
}

#[test]
fn the_end_of_python_is_frozen_or_left_out() {
    let place = Place::new();
    let file = written(
        &place,
        "import random\n\
         def build():\n    items = [(b'%d' % n, [n]) for n in range(40_000)]\n    \
         random.Random(0).shuffle(items)\n    return dict(items)\n\
         def visit_nothing(data): pass\n",
    );
    let run = advise(&[&file, "--visit", "exit"]);
    let exit = advice(&run, "exit");
    assert_eq!(exit.best().unwrap().remedy, "os._exit", "{exit:#?}");
    // All of it is copied as it is, and nothing of it where nothing is freed.
    assert!(tried(exit, "os._exit").saved_bytes > Some(0));
    assert!(exit.helps(tried(exit, "gc.collect+freeze")), "{exit:#?}");
    assert!(
        exit.remedies
            .iter()
            .all(|one| !REPLACING.contains(&&one.remedy[..]))
    );
}

#[test]
fn a_preparation_is_there_in_all_that_is_measured_and_lines_are_named() {
    let place = Place::new();
    let file = written(
        &place,
        "import gc\n\
         def build(): return [[[]] for _ in range(20_000)]\n\
         def visit_collect(data):\n    gc.collect()\n    for _ in data: pass\n",
    );
    let run = advise(&[&file, "--prepare", "freeze", "--lines"]);
    let collect = advice(&run, "collect");
    assert_eq!(collect.prepare.as_deref(), Some("freeze"));
    let as_it_is = collect.measurement(&run.measurements, None).unwrap();
    assert_eq!(as_it_is.prepare.as_deref(), Some("freeze"));
    let mut written = as_it_is.children[0].written.iter();
    let has_lines = written.any(|one| one.line.is_some() || one.own_line.is_some());
    let with = collect.measurement(&run.measurements, Some("gc.collect"));
    assert_eq!(with.unwrap().prepare.as_deref(), Some("freeze, gc.collect"));
    // What freezing saves is saved already.
    assert!(!collect.helps(tried(collect, "gc.freeze")), "{collect:#?}");
    let unknown = |warning: &Warning| matches!(warning, Warning::CausesUnknown { .. });
    assert!(has_lines || run.warnings.iter().any(unknown));
}
