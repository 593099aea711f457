//! `refcow advise`: each remedy helps with the data that it is for, with none else, and says so.

use std::fs;
use std::path::Path;

use crate::common::{Finished, Place, by_python, canned, python, run};
use refcow::model::{self, Advice, Compared, Measurement, Report, Run, Tried, Warning};
use refcow::remedies::remedies;
use refcow::report::{Style, render_advice, render_document};
use rstest::rstest;
use rustix::process::Signal;
use serde_json::{Value, json};

const LOADER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/loader.py");
const PACKED: &str = include_str!("../python_fixtures/remedies/packed.py");
const PAGE: u64 = 4096;

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
    assert!(
        ["packed-arrays", "shared-memory"].contains(&&best.remedy[..]),
        "{epoch:#?}"
    );
    assert_eq!(
        epoch.remedies[1].saved_bytes.map(|saved| saved > 0),
        Some(true)
    );
    for name in ["packed-arrays", "shared-memory"] {
        assert_eq!(tried(epoch, name).compared, Some(Compared::Returned));
    }
    // What is packed is the parent's gain, too.
    assert!(tried(epoch, "packed-arrays").parent_bytes < epoch.parent_bytes);
    let saved = best.saved_bytes.unwrap();
    let again = epoch.measured_again.as_ref().unwrap();
    assert!(
        saved.abs_diff(again.saved_bytes) <= 2 * PAGE,
        "{saved} {}",
        again.saved_bytes
    );
    assert!(saved as u64 > epoch.copied_bytes * 9 / 10);

    // The same without `advise`: as it is to the page, and packed by the user's own module.
    let place = Place::new();
    let file = place.file("loader.py", &fs::read_to_string(LOADER).unwrap());
    place.file("packed.py", PACKED);
    // (`idle` first would be one fork more, and one page.)
    let visits = ["--visit", "epoch", "--visit", "length"];
    let plain = run::measure(&[&[LOADER, "--children", "1"][..], &visits].concat());
    let of = |measured: &Run| unshared(run::visit(measured, "loader", "epoch"));
    assert_eq!(of(&plain) * PAGE, epoch.copied_bytes);
    let packed = ["--set", "packed=True", "--children", "1", "--no-causes"];
    let packed = run::measure(&[&[&file[..], "--visit", "epoch"], &packed[..]].concat());
    let advised = epoch.measurement(&run.measurements, Some("packed-arrays"));
    let advised = unshared(advised.unwrap());
    assert!(
        of(&packed).abs_diff(advised) <= 8,
        "{} {advised}",
        of(&packed)
    );
}

/// Its lists are attributes of an object of a class of its own.
#[test]
fn the_data_loader_is_best_packed_and_its_own_packed_form_saves_as_much() {
    const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/data_loader.py");
    let sized = ["--visit", "epoch", "--set", "samples=20000"];
    let run = advise(&[&[EXAMPLE], &sized[..]].concat());
    let epoch = advice(&run, "epoch");
    let best = epoch.best().unwrap();
    assert!(
        ["packed-arrays", "shared-memory"].contains(&&best.remedy[..]),
        "{epoch:#?}"
    );
    let own = |more: &[&str]| {
        let children = ["--children", "1"];
        let measured = run::measure(&[&[EXAMPLE], &sized[..], &children, more].concat());
        of_data(run::visit(&measured, "data_loader", "epoch"))
    };
    let packed = ["--set", "paths=packed", "--set", "records=packed"];
    let advised = epoch.measurement(&run.measurements, Some(&best.remedy));
    let saved = [own(&[]), of_data(advised.unwrap())];
    // Of the interpreter's own pages there are more: what the lists took is free, and so is where
    // the visit's own objects go.
    assert!(saved[0] > 20 * saved[1], "{saved:?}");
    assert!(saved[1].abs_diff(own(&packed)) < saved[0] / 50, "{saved:?}");
}

/// Pages of the dataset that the child with the most has copied.
fn of_data(measurement: &Measurement) -> u64 {
    let all = measurement.children.iter();
    let of_child = all.map(|child| {
        let regions = child.regions.iter();
        let data = regions.filter(|region| region.name.is_data());
        data.map(|region| region.unshared).sum()
    });
    of_child.max().unwrap()
}

#[test]
fn data_that_is_in_itself_is_packed_where_it_is_not() {
    let place = Place::new();
    let file = written(
        &place,
        "def build():\n    data = [list(map(float, range(20_000)))]\n    data.append(data)\n    return data\n\
         def visit_total(data): return sum(data[0])\n",
    );
    let run = advise(&[&file]);
    let total = advice(&run, "total");
    assert_eq!(
        tried(total, "packed-arrays").compared,
        Some(Compared::Returned)
    );
}

#[test]
fn a_collection_in_the_children_is_what_freezing_is_for() {
    let place = Place::new();
    let file = written(
        &place,
        "import gc\ndef build(): return [[[]] for _ in range(20_000)]\ndef visit_collect(data): gc.collect()\n",
    );
    let run = advise(&[&file]);
    let advice = advice(&run, "collect");
    assert_eq!(advice.best().unwrap().remedy, "gc.freeze", "{advice:#?}");
    assert!(
        advice.finding.starts_with("Best: gc.freeze()."),
        "{}",
        advice.finding
    );
    // A collection that is asked for is none that begins by itself.
    let disabled = tried(advice, "gc.disable").saved_bytes.unwrap();
    assert!(disabled.unsigned_abs() < advice.noise_bytes, "{disabled}");
    let packed = tried(advice, "packed-arrays");
    let reason = packed.does_not_apply.as_ref().unwrap();
    assert_eq!(reason, "a list in it holds objects of the type list");
    assert_eq!(
        tried(advice, "shared-memory").does_not_apply.as_ref(),
        Some(reason)
    );
}

#[rstest]
#[case::content(
    "def build(): return bytearray(1 << 20)\n\
     def visit_write(data):\n    for place in range(0, len(data), 4096): data[place] = 1\n",
    "Nothing here helps: the visit itself writes to the data (2",
    "what is written must be copied."
)]
#[case::lists(
    "def build(): return [[[]] for _ in range(5_000)]\ndef visit_iterate(data):\n    for _ in data: pass\n",
    "Nothing here helps: the writes are to the objects' reference counts",
    "packed arrays do not apply: a list in it holds objects of the type list."
)]
#[case::the_interpreter(
    "import sys\ndef build(): return [0] * 40\n\
     def visit_modules(data):\n    for module in list(sys.modules.values()):\n        for name in vars(module): pass\n",
    "Nothing here helps: most of what a child copies belongs to the interpreter",
    "pages)."
)]
#[case::nothing(
    "def build(): return [0] * 40\ndef visit_pass(data): pass\n",
    "Nothing here helps: a child copies",
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
        assert!(advice.finding.starts_with("Nothing here helps: "));
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
            "with it the visit raised TypeError: this record was made for one access: a change would be lost",
        ),
        (
            "append",
            "with it the visit raised AttributeError: 'Records' object has no attribute 'append'",
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
         if '/dev/shm/refcow-' in maps:\n        \
         with open(os.environ['TMPDIR'] + '/said', 'w') as said: said.write(os.environ['REFCOW_SUBJECT'] + '\\n')\n        {action}\n"
    );
    place.file("mine.py", &text)
}

fn advise_on(place: &Place, file: &str) -> std::process::Command {
    place.refcow_with_packages(["advise", file, "--children", "1", "--python", python()])
}

fn has_no_segment(name: &str) {
    let left = format!("{name}-");
    let all = fs::read_dir("/dev/shm").unwrap();
    let names = all.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.filter(|name| name.starts_with(&left)).collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn nothing_is_left_in_shared_memory_when_a_visit_crashes() {
    let place = Place::new();
    let file = where_it_is_shared(&place, "os.kill(os.getpid(), signal.SIGSEGV)");
    let mut command = advise_on(&place, &file);
    command.args(["--format", "json"]);
    let mut running = place.start(command);
    let name = running.hear();
    let finished = running.wait().exits_with(0);
    let run = run::the_run(&finished.stdout);
    let shared = tried(advice(&run, "act"), "shared-memory");
    let reason = shared.does_not_apply.as_ref().unwrap();
    assert!(reason.contains("SIGSEGV"), "{reason}");
    assert_eq!(advice(&run, "act").best().unwrap().remedy, "packed-arrays");
    has_no_segment(&name);
    place.nothing_remains();
}

#[test]
fn nothing_is_left_when_it_is_interrupted() {
    let place = Place::new();
    let file = where_it_is_shared(&place, "signal.pause()");
    let mut running = place.start(advise_on(&place, &file));
    let name = running.hear();
    // Its mapping is there, and its name has gone already.
    has_no_segment(&name);
    running.signal(Signal::INT);
    let finished: Finished = running.wait().exits_with(130);
    assert!(finished.stdout.is_empty(), "{finished}");
    has_no_segment(&name);
    place.nothing_remains();
}

#[rstest]
#[case::idle(&["FILE:idle"], "no advice on `idle`", "a visit that reads")]
#[case::exit(&["FILE", "--visit", "exit"], "no advice on `exit`", "a visit that reads")]
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
        assert!(
            ["packed-arrays", "shared-memory"].contains(&&best[..]),
            "{epoch:#?}"
        );
        assert!(
            tried(epoch, "shared-memory").saved_bytes.is_some(),
            "{epoch:#?}"
        );
        let immortal = tried(epoch, "immortal-objects");
        match interpreter.series >= (3, 15) {
            true => assert!(immortal.saved_bytes.unwrap() > 0),
            false => assert!(
                immortal
                    .does_not_apply
                    .as_ref()
                    .unwrap()
                    .contains("before 3.15")
            ),
        }
    });
}

fn canned() -> Report {
    Report::of(canned::run_with_advice("3.12.1"))
}

#[rstest]
#[case("pipe.txt", Style::Terminal { width: None, colours: false })]
#[case("narrow.txt", Style::Terminal { width: Some(60), colours: false })]
#[case("markdown", Style::Markdown)]
fn advice_reads_the_same_in_every_form(#[case] name: &str, #[case] style: Style) {
    let text = String::from_utf8(render_advice(&canned(), style)).unwrap();
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(style == Style::Markdown || widest <= Some(80), "{text}");
    assert_eq!(render_document(&canned(), style), text.as_bytes());
    insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(format!("advice_{name}"), text);
    });
}

#[test]
fn what_a_report_shows_has_causes_and_its_times_say_that_they_were_recorded() {
    let place = Place::new();
    let out = place.path("out");
    let arguments = [
        "advise",
        "lists:iterate",
        "--set",
        "count=3000",
        "--children",
        "1",
    ];
    let arguments = arguments
        .into_iter()
        .chain(["--report", out.to_str().unwrap()]);
    let finished = place.run(place.refcow(arguments)).exits_with(0);
    let recorded = "timed while page faults were recorded";
    let without_breaks = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        without_breaks(&finished.stdout).contains(recorded),
        "{}",
        finished.stdout
    );
    let (report, _) = model::read(&fs::read(out.join("run.json")).unwrap()).unwrap();
    let measurements = &report.runs[0].measurements;
    assert!(measurements.len() > 1);
    for one in measurements {
        assert!(one.has_causes(), "{:?}", one.prepare);
    }
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("copied for a reference count") && page.contains(recorded));
    assert!(!page.contains("cause unknown"));
    // Nobody asked for pictures.
    let text = String::from_utf8(render_advice(&canned(), Style::Markdown)).unwrap();
    assert!(!text.contains(recorded));
}

#[rstest]
#[case::a_saving("/runs/0/advice/0/remedies/0/saved_bytes", json!(1), "what it says of packed-arrays")]
#[case::copies("/runs/0/advice/0/copied_bytes", json!(1), "1 bytes copied")]
#[case::the_visit("/runs/0/advice/0/visit", json!("x"), "was not measured as it is")]
#[case::the_second("/runs/0/advice/0/measured_again/saved_bytes", json!(1), "measured again")]
#[case::the_seconds_pages(
    "/runs/0/advice/0/measured_again/measurement/children/0/regions/0/unshared", json!(1000), "of 121 pages unshared"
)]
#[case::a_remedy_twice("/runs/0/advice/0/remedies/1/remedy", json!("packed-arrays"), "packed-arrays twice")]
fn a_document_whose_advice_is_not_what_was_measured_is_refused(
    #[case] place: &str,
    #[case] value: Value,
    #[case] what: &str,
) {
    let mut document = serde_json::to_value(canned()).unwrap();
    let text = |document: &Value| serde_json::to_vec(document).unwrap();
    assert_eq!(model::read(&text(&document)).unwrap().0, canned());
    *document.pointer_mut(place).unwrap() = value;
    let error = model::read(&text(&document)).unwrap_err().to_string();
    assert!(error.contains(what), "{error}");
}

#[test]
fn documents_with_advice_are_merged_and_compared() {
    let place = Place::new();
    let report = serde_json::to_string(&canned()).unwrap();
    let other = serde_json::to_string(&Report::of(canned::run("3.13.0"))).unwrap();
    let (one, two) = (
        place.file("one.json", &report),
        place.file("two.json", &other),
    );
    let merged = run::report(&run::stdout(&["merge", &one, &two]));
    assert_eq!(merged.runs[0].advice, canned().runs[0].advice);
    let twice = place.refcow(["merge", &one, &one]);
    place.run(twice).refuses(2, "both hold", "leave one");
    let compared = run::stdout(&["compare", &one, &one]);
    assert!(compared.contains("unchanged"), "{compared}");
}

#[test]
fn remedies_are_no_fixtures_and_each_is_told_in_the_help() {
    assert!(Path::new("harness/model/remedies.toml").exists());
    let help = run::stdout(&["advise", "--help"]);
    for remedy in remedies() {
        let word = remedy.title.split(' ').next().unwrap();
        assert!(help.contains(word), "{word}\n{help}");
    }
    let help = run::stdout(&["advise", LOADER, "--help"]);
    assert!(help.contains("Reads each sample once"), "{help}");
}
