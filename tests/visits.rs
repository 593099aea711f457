//! Visits, builds and preparations as people write them, and what surrounds them.

use std::fs;

use refcow::model::{Measurement, RegionName, Run, Warning};
use refcow::python::Interpreter;
use refcow::shell;
use rstest::rstest;

use crate::common::by_python;
use crate::common::{Finished, Place, python, run};

const BUILD: &str =
    "def build():\n    print('built')\n    return [float(i) for i in range(2000)]\n";

/// A file with this text below its `build`.
fn file(place: &Place, text: &str) -> String {
    place.file("mine.py", &format!("{BUILD}{text}"))
}

/// `refcow measure FILE… --format json`, with one child.
fn measure(place: &Place, words: &[&str]) -> Finished {
    let words = [words, &["--format", "json"]].concat();
    place.run(place.measure(words))
}

/// The same with an interpreter.
fn measure_with(place: &Place, interpreter: &Interpreter, words: &[&str]) -> Finished {
    let measure = ["measure", "--children=1", "--format=json", "--python"];
    let measure = [&measure[..], &[by_python::path(interpreter)], words].concat();
    place.run(place.refcow(measure))
}

fn warned(run: &Run, is: impl Fn(&Warning) -> bool) -> bool {
    run.warnings.iter().any(is)
}

// What runs nothing when it is called.

#[rstest]
#[case::a_generator(
    "def visit_look(data):\n    for x in data: yield x\n",
    "a generator function",
    "return list(look(data))"
)]
#[case::by_a_yield_in_an_expression(
    "def visit_look(data):\n    if data:\n        print((yield from data))\n",
    "a generator function",
    "list("
)]
#[case::asynchronous(
    "async def visit_look(data):\n    sum(data)\n",
    "`async def`",
    "asyncio.run(look(data))"
)]
#[case::an_asynchronous_generator(
    "async def visit_look(data):\n    yield 1\n",
    "`async def` with a `yield`",
    "async for"
)]
#[case::under_another_name(
    "def rows(data):\n    yield 1\nvisit_look = rows\n",
    "a generator function",
    "list("
)]
#[case::the_last_of_two(
    "def visit_look(data): pass\ndef visit_look(data):\n    yield 1\n",
    "a generator function",
    "list("
)]
#[case::a_build(
    "def build():\n    yield 1\ndef visit_look(data): pass\n",
    "`build` is a generator function",
    "list("
)]
#[case::an_asynchronous_build(
    "async def build():\n    return []\ndef visit_look(data): pass\n",
    "`build` is an `async def`",
    "asyncio.run("
)]
#[case::a_preparation(
    "def prepare_it(data):\n    yield\ndef visit_look(data): pass\n",
    "`prepare_it` is a generator function",
    "list(it(data))"
)]
fn what_the_text_says_to_run_nothing_is_refused_before_any_python_is_started(
    #[case] text: &str,
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    let file = file(&place, text);
    let mut words = vec![
        "measure",
        &file,
        "--visit",
        "look",
        "--python",
        "/nowhere/python3",
    ];
    if text.contains("prepare_it") {
        words.extend(["--prepare", "it"]);
    }
    place.run(place.refcow(&words)).refuses(2, error, help);
    if !text.contains("prepare_it") {
        let look = format!("{file}:look");
        let words = ["advise", &look, "--python", "/nowhere/python3"];
        place.run(place.refcow(words)).refuses(2, error, help);
    }
}

#[test]
fn what_runs_is_measured() {
    let place = Place::new();
    let all = [
        (
            "within_another",
            "def visit_look(data):\n    def rows():\n        yield from data\n    return sum(rows())\n",
        ),
        (
            "in_a_lambda",
            "def visit_look(data):\n    rows = lambda: (yield sum(data))\n    list(rows())\n",
        ),
        (
            "in_a_method",
            "def visit_look(data):\n    class Rows:\n        def __iter__(self):\n            yield from data\n    sum(Rows())\n",
        ),
        (
            "an_expression",
            "def visit_look(data):\n    sum(x for x in data)\n",
        ),
        (
            "run_by_its_decorator",
            "import functools\ndef eats(f):\n    @functools.wraps(f)\n    def inner(data):\n        return sum(f(data))\n    return inner\n@eats\ndef visit_look(data):\n    yield from data\n",
        ),
        (
            "gone_through_by_its_decorator",
            "def eats(f):\n    def inner(data):\n        rows = f(data)\n        for row in rows: pass\n        return rows\n    return inner\n@eats\ndef visit_look(data):\n    yield from data\n",
        ),
        (
            "awaited_by_its_decorator",
            "import asyncio, functools\ndef runs(f):\n    return functools.wraps(f)(lambda data: asyncio.new_event_loop().run_until_complete(f(data)))\n@runs\nasync def visit_look(data):\n    return sum(data)\n",
        ),
    ];
    let texts = all.map(|(visit, text)| text.replace("visit_look", &format!("visit_{visit}")));
    let finished = measure(&place, &[&file(&place, &texts.concat())]).exits_with(0);
    let run = run::the_run(&finished.stdout);
    let lazy = warned(&run, |one| matches!(one, Warning::NothingConsumed { .. }));
    assert!(!lazy, "{finished}");
    for (visit, _) in all {
        // It did read the data.
        let child = &run::visit(&run, "mine", visit).children[0];
        assert!(child.totals().unshared >= 10, "{visit}: {finished}");
    }
}

const DEFERRED: [(&str, &str); 9] = [
    (
        "import functools\ndef timed(f):\n    @functools.wraps(f)\n    def inner(*args):\n        found = f(*args)\n        print('took')\n        return found\n    return inner\n@timed\ndef visit_look(data):\n    yield 1\n",
        "a generator function",
    ),
    (
        "def logged(f):\n    def inner(*args): return f(*args)\n    return inner\n@logged\nasync def visit_look(data): pass\n",
        "`async def`",
    ),
    (
        "class Timed:\n    def __init__(self, f): self.f = f\n    def __call__(self, *args): return self.f(*args)\n@Timed\ndef visit_look(data):\n    yield 1\n",
        "a generator function",
    ),
    (
        "import functools\ndef rows(how, data):\n    yield 1\nvisit_look = functools.partial(rows, 1)\n",
        "a generator function",
    ),
    (
        "import functools\n@functools.lru_cache(None)\ndef visit_look(data):\n    yield 1\n",
        "a generator function",
    ),
    (
        "class Rows:\n    def all(self, data):\n        yield 1\nvisit_look = Rows().all\n",
        "a generator function",
    ),
    (
        "if True:\n    def visit_look(data):\n        yield 1\nelse:\n    def visit_look(data): pass\n",
        "a generator function",
    ),
    (
        "import contextlib\n@contextlib.contextmanager\ndef visit_look(data):\n    yield 1\n",
        "decorated as a context manager",
    ),
    (
        "from beside import rows as visit_look\n",
        "a generator function",
    ),
];

#[rstest]
fn what_only_python_knows_to_run_nothing_is_refused_before_the_build(
    #[values("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "deferred", |interpreter| {
        for (text, error) in DEFERRED {
            let place = Place::new();
            place.file("beside.py", "def rows(data):\n    yield from data\n");
            let look = format!("{}:look", file(&place, text));
            let words = ["measure", &look, "--python", by_python::path(interpreter)];
            let finished = place.run(place.refcow(words));
            let finished = finished.says(".py:");
            assert!(!finished.stderr.contains("built"), "{text}\n{finished}");
            finished.refuses(2, error, "look(data)");
        }
    });
}

// What a visit returns.

/// What visits return, by their names, and the type that is told if it does nothing by itself.
const RETURNED: [(&str, &str, Option<&str>); 23] = [
    ("a_generator", "(x for x in data)", Some("generator")),
    ("a_map", "map(str, data)", Some("map")),
    ("a_filter", "filter(None, data)", Some("filter")),
    ("a_zip", "zip(data, data)", Some("zip")),
    ("a_chain", "itertools.chain(data)", Some("itertools.chain")),
    ("a_bare_iterator", "iter(data)", Some("list_iterator")),
    ("one_of_its_own", "Rows()", Some("Rows")),
    ("a_coroutine", "co()", Some("coroutine")),
    (
        "an_asynchronous_generator",
        "asynchronous()",
        Some("async_generator"),
    ),
    ("a_list", "list(data)", None),
    ("a_range", "range(3)", None),
    ("a_view", "{}.items()", None),
    ("nothing", "None", None),
    ("text_in_memory", "io.StringIO('a')", None),
    ("bytes_in_memory", "io.BytesIO(b'a')", None),
    ("a_file", "open('/dev/null')", None),
    ("a_class_of_files", "Lines()", None),
    ("an_iterator_that_can_be_added_to", "Added()", Some("Added")),
    ("a_container_that_iterates_itself", "Whole()", None),
    ("a_generator_that_has_ended", "ended(data)", None),
    ("an_instance_of_a_class", "Plain()", None),
    ("a_class", "Plain", None),
    ("an_exception", "ValueError()", None),
];

#[rstest]
fn a_lazy_object_that_a_visit_returns_is_told(
    #[values("3.8", "3.10", "3.11", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "lazy", |interpreter| {
        let place = Place::new();
        let visits = RETURNED.map(|(visit, returned, _)| {
            format!("def visit_{visit}(data):\n    return {returned}\n")
        });
        let text = format!(
            "import io, itertools, warnings\nwarnings.simplefilter('ignore')\nasync def co(): pass\nasync def asynchronous(): yield 1\n\
             class Rows:\n    def __iter__(self): return self\n    def __next__(self): raise StopIteration\n\
             class Plain: pass\n\
             class Lines(Plain, io.RawIOBase): pass\n\
             class Added(Rows):\n    def __add__(self, other): return self\n\
             class Whole(Rows):\n    def __len__(self): return 0\n\
             def ended(data):\n    rows = (x for x in data)\n    sum(rows)\n    return rows\n{}",
            visits.concat()
        );
        let file = file(&place, &text);
        let finished = measure_with(&place, interpreter, &[&file]).exits_with(0);
        let run = run::the_run(&finished.stdout);
        for (name, _, lazy) in RETURNED {
            let told = run.warnings.iter().find_map(|warning| match warning {
                Warning::NothingConsumed {
                    visit, returned, ..
                } if visit == name => Some(&returned[..]),
                _ => None,
            });
            assert_eq!(told, lazy, "{name}: {finished}");
        }
    });
}

// Visits that fail beside others.

const SEVERAL: &str = "import os, signal, threading, time\n\
    def visit_first(data):\n    for x in data: pass\n\
    def visit_raises(data): raise RuntimeError('no such luck')\n\
    def visit_hangs(data): signal.pause()\n\
    def visit_thread(data): threading.Thread(target=signal.pause, daemon=True).start()\n\
    def visit_forks(data):\n    if os.fork() == 0: signal.pause()\n\
    def visit_dies(data): os._exit(3)\n\
    def visit_leaves(data):\n    if os.fork() == 0:\n        os.execv('/bin/sleep', ['sleep', '1000'])\n    raise KeyError('left')\n\
    def visit_last(data):\n    sum(data)\n";

/// Each region's pages and copies. Of the rest of the process, of which a page more or less is
/// shared when the first visit of a subject begins, the copies.
fn counts(measurement: &Measurement) -> Vec<(RegionName, Option<u64>, u64)> {
    let regions = measurement.children.iter().flat_map(|child| &child.regions);
    let counts = regions.map(|region| {
        let pages = region.name.is_data().then_some(region.pages);
        (region.name, pages, region.unshared)
    });
    counts.collect()
}

#[rstest]
#[case::counted(&[])]
#[case::with_lines(&["--lines"])]
fn a_visit_that_fails_costs_no_other(#[case] more: &[&str]) {
    let place = Place::new();
    let file = file(&place, SEVERAL);
    let words = [&[&file[..], "--timeout", "4"], more].concat();
    let finished = measure(&place, &words).exits_with(3);
    let failing = ["raises", "hangs", "thread", "forks", "dies", "leaves"];
    let run = run::the_run(&finished.stdout);
    let measured: Vec<_> = run.measurements.iter().map(|one| &one.visit[..]).collect();
    assert_eq!(measured, ["idle", "first", "last"], "{finished}");
    for failed in failing {
        let told = warned(&run, |warning| match warning {
            Warning::NotMeasured { fixture, visit, .. } => {
                fixture == "mine" && visit.as_deref() == Some(failed)
            }
            _ => false,
        });
        assert!(told, "{failed}\n{finished}");
    }
    place.nothing_remains();

    let [first, last] = ["first", "last"].map(|visit| format!("{file}:{visit}"));
    let words = [&[&first[..], &last], more].concat();
    let alone = run::the_run(&measure(&place, &words).exits_with(0).stdout);
    for visit in ["first", "last"] {
        let [one, other] = [&run, &alone].map(|run| counts(run::visit(run, "mine", visit)));
        assert_eq!(one, other, "{visit}");
    }
}

#[test]
fn the_table_names_the_visit_that_failed() {
    let place = Place::new();
    let file = file(&place, SEVERAL);
    let words = [&file[..], "--visit", "thread", "--visit", "first"];
    let finished = place.run(place.measure(words)).exits_with(3);
    let finished = finished.says("error: mine:thread: a thread that the child started");
    assert!(
        finished.stdout.contains("mine:thread was not measured: "),
        "{finished}"
    );
    assert!(finished.stdout.contains("first: "), "{finished}");
}

#[test]
fn advice_is_given_on_the_visits_that_can_be_measured() {
    let place = Place::new();
    let file = file(
        &place,
        "def visit_raises(data): raise RuntimeError('no such luck')\ndef visit_reads(data): return sum(data)\n",
    );
    let words = [
        "advise",
        &file,
        "--children=1",
        "--format=json",
        "--python",
        python(),
    ];
    let finished = place.run(place.refcow_with_packages(words));
    let finished = finished.exits_with(3);
    let run = run::the_run(&finished.stdout);
    let advised: Vec<_> = run.advice.iter().map(|one| &one.visit[..]).collect();
    assert_eq!(advised, ["reads"], "{finished}");
    assert!(
        run.advice[0]
            .remedies
            .iter()
            .any(|one| one.saved_bytes.is_some())
    );
}

#[test]
fn a_document_that_lacks_a_visit_is_reproduced() {
    let place = Place::new();
    let file = file(&place, SEVERAL);
    let document = place.path("run.json");
    let document = document.to_str().unwrap();
    let words = [
        &file[..],
        "--visit",
        "raises",
        "--visit",
        "first",
        "--output",
        document,
    ];
    measure(&place, &words).exits_with(3);
    let words = ["reproduce", document, "--run-code", "--python", python()];
    let finished = place.run(place.refcow(words)).exits_with(0);
    assert!(finished.stdout.starts_with("reproduced"), "{finished}");
}

// What a file's code lacks.

#[rstest]
#[case::at_the_import("import no_such_module\n", "pass")]
#[case::in_the_visit("", "import no_such_module.part")]
#[case::behind_another_error(
    "",
    "try: import no_such_module\n    except ImportError: raise RuntimeError('install it')"
)]
fn a_module_that_is_missing_is_looked_for_in_the_environment_beside_the_file(
    #[case] import: &str,
    #[case] visit: &str,
) {
    let place = Place::new();
    let look = format!(
        "{}:look",
        file(
            &place,
            &format!("{import}def visit_look(data):\n    {visit}\n")
        )
    );
    let command = || {
        let mut command = place.measure([&look]);
        command.env_remove("VIRTUAL_ENV").env_remove("CONDA_PREFIX");
        command
    };
    place
        .run(command())
        .refuses(3, "no_such_module", "--python path/to/venv");
    place.program(".venv/bin/python", "#!/bin/sh\n");
    let beside = place.path(".venv");
    let beside = shell::word(beside.to_str().unwrap());
    place
        .run(command())
        .refuses(3, "no_such_module", &format!("--python {beside}"));
    // Of two the one that has it.
    place.program("active/bin/python3", "#!/bin/sh\n");
    let package = place.path("active/lib/python3.11/site-packages/no_such_module");
    fs::create_dir_all(package).unwrap();
    let active = place.path("active");
    let mut with_active = command();
    with_active.env("VIRTUAL_ENV", &active);
    let active = format!(
        "{} has `no_such_module`: choose it with --python {}",
        active.display(),
        shell::word(active.to_str().unwrap())
    );
    place.run(with_active).refuses(3, "no_such_module", &active);
}

// The user's environment.

#[rstest]
fn a_variable_that_is_missing_is_one_to_give(
    #[values("3.8", "3.11", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "variable", |interpreter| {
        let place = Place::new();
        let file = file(
            &place,
            "import os\ndef visit_look(data):\n    os.environ['REFCOW_TEST_A']\n\
             def visit_in_bytes(data):\n    os.environb[b'REFCOW_TEST_A']\n\
             def visit_take(data):\n    os.environ.pop('REFCOW_TEST_A')\n",
        );
        let refcow = |named: &str| {
            place.refcow(["measure", named, "--python", by_python::path(interpreter)])
        };
        let missing = "KeyError: ";
        for visit in ["look", "in_bytes", "take"] {
            place.run(refcow(&format!("{file}:{visit}"))).refuses(
                3,
                missing,
                "--env REFCOW_TEST_A=VALUE",
            );
        }
        let mut set = refcow(&format!("{file}:look"));
        set.env("REFCOW_TEST_A", "1");
        place.run(set).refuses(3, missing, "--env REFCOW_TEST_A,");
        for given in [
            &["--env", "REFCOW_TEST_A=2"][..],
            &["--env", "REFCOW_TEST_A"],
            &["--env-all"],
        ] {
            let mut with = refcow(&file);
            with.args(given).env("REFCOW_TEST_A", "1");
            place.run(with).exits_with(0);
        }
    });
}

#[test]
fn a_key_of_something_else_is_no_variable() {
    let place = Place::new();
    let look = format!("{}:look", file(&place, "def visit_look(data): {}['a']\n"));
    measure(&place, &[&look]).refuses(3, "KeyError: 'a'", "fix the error in the dataset's code");
}

#[test]
fn the_code_finds_what_was_given_and_no_more() {
    let place = Place::new();
    let look = format!(
        "{}:look",
        file(
            &place,
            "import os\ndef visit_look(data):\n    print([os.environ.get('REFCOW_TEST_' + one) for one in 'ABC'], os.environ['PYTHONHASHSEED'])\n"
        )
    );
    let run = |given: &[&str]| {
        let mut command = place.measure([&look, "--format", "json"]);
        command
            .args(given)
            .env("REFCOW_TEST_A", "a")
            .env("REFCOW_TEST_B", "b");
        command.env("PYTHONHASHSEED", "7");
        place.run(command).exits_with(0)
    };
    run(&[]).says("[None, None, None] 0\n");
    run(&["--env", "REFCOW_TEST_A", "--env", "REFCOW_TEST_C=c=d"]).says("['a', None, 'c=d'] 0\n");
    let finished = run(&["--env-all", "--env", "REFCOW_TEST_B=x"]).says("['a', 'x', None] 0\n");
    // Of the user's variables a document has what the command line says, and no more.
    let report = run::report(&finished.stdout);
    let environment = &report.runs[0].environment;
    assert!(environment.all_variables);
    let given = [("REFCOW_TEST_B".to_owned(), Some("x".to_owned()))];
    assert_eq!(environment.variables, given.into());
    assert!(!finished.stdout.contains("REFCOW_TEST_A"), "{finished}");
    let words = report.command.join(" ");
    assert!(words.contains("--env REFCOW_TEST_B=x --env-all"), "{words}");
}

#[rstest]
#[case::the_linkers("LD_PRELOAD=x.so", "keep it out", "ctypes")]
#[case::of_another_python("PYTHONHOME=/usr", "where Python finds", "--python")]
#[case::of_hashes("PYTHONHASHSEED=random", "the same in each run", "leave it out")]
#[case::not_set("REFCOW_TEST_NOT_SET", "not set here", "REFCOW_TEST_NOT_SET=VALUE")]
fn a_variable_with_which_nothing_could_be_measured_is_refused(
    #[case] word: &str,
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    let file = file(&place, "def visit_look(data): pass\n");
    let words = [
        "measure",
        &file,
        "--env",
        word,
        "--python",
        "/nowhere/python3",
    ];
    place.run(place.refcow(words)).refuses(2, error, help);
}

#[rstest]
fn python_starts_with_the_allocator_that_it_is_given(
    #[values("3.8", "3.11", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "allocator", |interpreter| {
        let place = Place::new();
        let text = "def build(): return [[i] for i in range(20_000)]\ndef visit_look(data):\n    for x in data: pass\n";
        let look = format!("{}:look", place.file("mine.py", text));
        let copied = |given: &[&str]| {
            let words = [&[&look[..]], given].concat();
            let finished = measure_with(&place, interpreter, &words).exits_with(0);
            let run = run::the_run(&finished.stdout);
            run.measurements[0].children[0].totals().unshared
        };
        let (own, of_malloc) = (copied(&[]), copied(&["--env", "PYTHONMALLOC=malloc"]));
        // Buffers and objects side by side: each page has a header.
        assert!(of_malloc > 2 * own, "{own}, {of_malloc}");
    });
}

#[test]
fn a_documents_variables_are_set_only_where_its_code_may_run() {
    let place = Place::new();
    let document = place.path("run.json");
    let document = document.to_str().unwrap();
    let words = [
        "ints",
        "--count=100",
        "--visit=iterate",
        "--env=REFCOW_TEST_A=1",
        "--output",
        document,
    ];
    measure(&place, &words).exits_with(0);
    let words = ["reproduce", document, "--python", python()];
    let refused = place.run(place.refcow(words)).exits_with(2);
    refused.says("REFCOW_TEST_A=1").says("--run-code");
    let words = [&words[..], &["--run-code"]].concat();
    place.run(place.refcow(words)).exits_with(0);
}

// Preparations that every file has.

#[rstest]
#[case::freeze("freeze", "frozen True, garbage True, enabled True")]
#[case::collect("collect", "frozen False, garbage False, enabled True")]
#[case::both("collect+freeze", "frozen True, garbage False, enabled True")]
#[case::disable("disable", "frozen False, garbage True, enabled False")]
fn every_file_can_be_prepared_by_the_collector(
    #[case] name: &str,
    #[case] found: &str,
    #[values("3.8", "3.11", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "prepare", |interpreter| {
        let place = Place::new();
        let text = "import gc, weakref\nclass Node: pass\ngc.disable()\n\
            def build():\n    node = Node()\n    node.me = node\n    global REF\n    REF = weakref.ref(node)\n    gc.enable()\n    return [1]\n\
            def visit_look(data):\n    print('frozen {}, garbage {}, enabled {}'.format(gc.get_freeze_count() > 0, REF() is not None, gc.isenabled()))\n";
        let look = format!("{}:look", place.file("mine.py", text));
        let words = [&look, "--prepare", name];
        let finished = measure_with(&place, interpreter, &words).exits_with(0);
        let finished = finished.says(found);
        let run = run::the_run(&finished.stdout);
        assert_eq!(run.measurements[0].prepare.as_deref(), Some(name));
    });
}

#[rstest]
#[case::in_its_text("def prepare_freeze(data): print('mine')\n")]
#[case::from_elsewhere("from beside import *\n")]
fn a_files_own_preparation_wins(#[case] text: &str) {
    let place = Place::new();
    place.file("beside.py", "def prepare_freeze(data): print('mine')\n");
    let text = format!("{text}import gc\ndef visit_look(data): print(gc.get_freeze_count())\n");
    let look = format!("{}:look", file(&place, &text));
    let finished = measure(&place, &[&look, "--prepare", "freeze"]).exits_with(0);
    finished.says("mine\n").says("\n0\n");
}

// Locks that nobody will release.

#[rstest]
fn a_lock_that_a_thread_held_at_the_fork_is_told_with_the_thread(
    #[values("3.8", "3.11", "3.13", "3.14", "3.15")] series: &str,
) {
    by_python::each(series, "lock", |interpreter| {
        let place = Place::new();
        let text = "import threading\nLOCK = threading.Lock()\nHELD = threading.Event()\n\
            def hold():\n    with LOCK:\n        HELD.set()\n        threading.Event().wait()\n\
            def build():\n    threading.Thread(target=hold, daemon=True, name='refresher-7').start()\n    HELD.wait()\n    return [1]\n\
            def visit_look(data):\n    with LOCK: pass\n";
        let look = format!("{}:look", place.file("mine.py", text));
        let words = [
            "measure",
            &look,
            "--timeout=4",
            "--python",
            by_python::path(interpreter),
        ];
        let finished = place.run(place.refcow(words));
        finished
            .says("waits for a lock")
            .says("`refresher-7`")
            .refuses(
                3,
                "fork copies only the thread that forks",
                "a longer limit does not help",
            );
        place.nothing_remains();
    });
}

/// What a visit waits for, and what is said of that. Each begins when those before it wait.
const WAITS: [(&str, &str, &str); 5] = [
    // Taken twice.
    (
        "LOCK.acquire(); LOCK.acquire()",
        "had no other thread",
        "does not help",
    ),
    // With a limit of its own.
    (
        "LOCK.acquire(); LOCK.acquire(timeout=1000)",
        "limit of its own",
        "only if",
    ),
    (
        "S.acquire(); S.acquire()",
        "another process may release",
        "only if",
    ),
    // A thread of the child's own may.
    (
        "threading.Thread(target=signal.pause, daemon=True).start(); LOCK.acquire(); LOCK.acquire()",
        "did not finish",
        "give it longer",
    ),
    ("signal.pause()", "did not finish", "give it longer"),
];

#[test]
fn what_may_be_released_is_not_said_to_be_for_ever() {
    let places = WAITS.map(|_| Place::new());
    let started = places.iter().zip(&WAITS).map(|(place, (waits, ..))| {
        let said = place.path("said").display().to_string();
        let text = format!(
            "import multiprocessing, signal, threading\nLOCK = threading.Lock()\nS = multiprocessing.Lock()\ndef visit_look(data):\n    print('waits', file=open({said:?}, 'w'), flush=True)\n    {waits}\n"
        );
        let look = format!("{}:look", file(place, &text));
        let mut run = place.start(place.measure([&look, "--timeout=4"]));
        run.hear();
        run
    });
    let runs: Vec<_> = started.collect();
    for (run, (waits, error, help)) in runs.into_iter().zip(WAITS) {
        eprintln!("{waits}");
        run.wait().refuses(3, error, help);
    }
}
