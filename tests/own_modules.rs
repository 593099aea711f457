//! Data and code of the user's own: a Python file with `build(…)` and `visit_…(data)` is all it
//! takes.

use std::fs;
use std::process::Command;

use crate::common::{Finished, Place, REFCOW, python, run};
use refcow::model::{Measurement, Warning};
use rstest::rstest;

/// A file whose `build` has these parameters, and says what it got.
fn module(place: &Place, parameters: &str) -> String {
    let text = format!(
        "def build({parameters}):\n    print('got', sorted(locals().items()))\n    return [object()] * 10\n\n\
         def visit_look(data):\n    'Looks.'\n    len(data)\n\ndef visit_turn(data):\n    'Turns.'\n    data[::-1]\n"
    );
    place.file("mine.py", &text)
}

/// The only measurement of a run that has succeeded.
fn measurement(finished: &Finished) -> Measurement {
    let mut run = run::the_run(&finished.stdout);
    assert_eq!(run.measurements.len(), 1, "{finished}");
    run.measurements.remove(0)
}

/// Measures one visit of a file.
fn look(place: &Place, file: &str, arguments: &[&str]) -> Finished {
    let fixture = format!("{file}:look");
    let mut measure = place.measure([&fixture, "--format", "json"]);
    measure.args(arguments);
    place.run(measure)
}

#[rstest]
#[case::none("", &[], "[]", "{}")]
#[case::its_own_defaults("rows=7, kind='list'", &[], "[('kind', 'list'), ('rows', 7)]", "{}")]
#[case::only_what_was_set("rows=7, kind='list'", &["rows=8"], "[('kind', 'list'), ('rows', 8)]", r#"{"rows":8}"#)]
#[case::by_keyword_only("*, rows", &["rows=8"], "[('rows', 8)]", r#"{"rows":8}"#)]
#[case::by_place_only("rows=1, cols=2, /", &["cols=3"], "[('cols', 3), ('rows', 1)]", r#"{"cols":3}"#)]
#[case::any_name("**options", &["a=1", "b=x"], "[('options', {'a': 1, 'b': 'x'})]", r#"{"a":1,"b":"x"}"#)]
#[case::beside_others("*rest, rows=1", &["rows=2"], "[('rest', ()), ('rows', 2)]", r#"{"rows":2}"#)]
#[case::each_as_its_kind_is_written(
    "name: str, rows: list, pair, path, text='a'",
    &["name=5", "rows=[1, 'a']", "pair=(1, 2)", "path=a/b=c", "text=None"],
    "[('name', '5'), ('pair', (1, 2)), ('path', 'a/b=c'), ('rows', [1, 'a']), ('text', 'None')]",
    r#"{"name":"5","pair":"(1, 2)","path":"a/b=c","rows":[1,"a"],"text":"None"}"#
)]
fn build_gets_what_it_takes_and_only_what_was_set(
    #[case] parameters: &str,
    #[case] set: &[&str],
    #[case] got: &str,
    #[case] recorded: &str,
) {
    let place = Place::new();
    let file = module(&place, parameters);
    let set: Vec<&str> = set.iter().flat_map(|one| ["--set", one]).collect();
    let finished = look(&place, &file, &set)
        .exits_with(0)
        .says(&format!("got {got}\n"));
    let measured = measurement(&finished);
    let parameters = serde_json::to_string(&measured.parameters).unwrap();
    assert_eq!(parameters, recorded);
    assert_eq!((measured.count, measured.item_bytes), (None, None));
}

#[rstest]
#[case::by_flag("count, item_bytes", &["--count", "5"], (Some(5), Some(65_536)))]
#[case::by_name("count, item_bytes", &["--set", "count=5"], (Some(5), Some(65_536)))]
#[case::its_own_default("count=2 + 2", &[], (Some(4), None))]
#[case::computed("item_bytes=len('abc')", &[], (None, Some(3)))]
fn a_size_is_told_as_one_however_it_was_given(
    #[case] parameters: &str,
    #[case] arguments: &[&str],
    #[case] size: (Option<u64>, Option<u64>),
) {
    let place = Place::new();
    let file = module(&place, parameters);
    let measured = measurement(&look(&place, &file, arguments).exits_with(0));
    assert_eq!((measured.count, measured.item_bytes), size);
    assert!(measured.parameters.is_empty());
}

#[rstest]
#[case::near_another("rows=1", &["--set", "row=2"], "no parameter `row`", "did you mean `rows`?")]
#[case::of_nothing("", &["--set", "row=2"], "no parameter `row`", "takes nothing")]
#[case::not_by_name("*row", &["--set", "row=2"], "no parameter `row`", "takes nothing")]
#[case::a_flag_that_it_has_no_use_for("rows=1", &["--count", "2"], "no parameter `count`", "rows")]
#[case::missing("rows: int", &[], "no default for `rows`", "--set rows=int")]
#[case::no_number("rows: int", &["--set", "rows=many"], "--set rows=many", "written as in Python")]
#[case::another_number("rows: int", &["--set", "rows=1.5"], "as `rows`: int", "written as in Python")]
#[case::a_small_letter("fast=False", &["--set", "fast=true"], "as its default False is", "None")]
#[case::twice("rows=1", &["--set", "rows=1", "--set", "rows=2"], "`rows` is set twice", "leave one")]
#[case::twice_by_a_flag("count=1", &["--set", "count=1", "--count", "2"], "set twice", "leave one")]
fn what_build_does_not_take_is_refused_before_any_python_is_started(
    #[case] parameters: &str,
    #[case] arguments: &[&str],
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    let file = module(&place, parameters);
    let mut measure = place.refcow(["measure", &file, "--python", "/nowhere/python3"]);
    measure.args(arguments);
    place.run(measure).refuses(2, error, help);
}

#[rstest]
#[case::near_another(&["--set", "row=2"], "no parameter `row`", "rows")]
#[case::missing(&[], "no default for `rows`", "--set rows=VALUE")]
fn a_build_from_another_module_is_asked_in_python(
    #[case] arguments: &[&str],
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    place.file(
        "beside.py",
        "def build(rows, kind='a'):\n    print('got', rows, repr(kind))\n    return []\n",
    );
    let file = place.file(
        "mine.py",
        "from beside import build\ndef visit_look(data): pass\n",
    );
    look(&place, &file, arguments).refuses(2, error, help);
    look(&place, &file, &["--set", "rows=2", "--set", "kind=3"])
        .exits_with(0)
        .says("got 2 '3'\n");
}

#[test]
fn what_is_set_is_for_those_of_several_that_take_it() {
    let place = Place::new();
    let file = module(&place, "rows=1");
    let other = place.file(
        "other.py",
        "def build(cols=1): return ['a'] * cols\ndef visit_look(data): pass\n",
    );
    let mut both = place.measure([&file, &other, "--visit", "look", "--format", "json"]);
    both.args(["--set", "cols=3"]);
    let finished = place.run(both).exits_with(0).says("got [('rows', 1)]");
    let run = run::the_run(&finished.stdout);
    let set = |name| run::visit(&run, name, "look").parameters.len();
    assert_eq!((set("mine"), set("other")), (0, 1));

    let mut neither = place.measure([&file, &other]);
    neither.args(["--set", "sides=3"]);
    place.run(neither).refuses(
        2,
        "`build` of `mine`, `other` has no parameter `sides`",
        "rows, cols",
    );
    place
        .run(place.measure(["ints", "--set", "rows=1"]))
        .refuses(2, "`build` of `ints`", "count, item_bytes");
    place
        .run(place.measure(["ints", "--set", "count=0"]))
        .refuses(2, "an int from 1 on", "as in Python");
}

#[test]
fn a_visit_can_stand_behind_a_colon() {
    let place = Place::new();
    let file = module(&place, "");
    let visits = |words: &[&str]| -> Vec<String> {
        let words = words.iter().map(|word| word.replace("FILE", &file));
        let mut measure = place.measure(words);
        measure.args(["--format", "json"]);
        let run = run::the_run(&place.run(measure).exits_with(0).stdout);
        run.measurements.into_iter().map(|one| one.visit).collect()
    };
    assert_eq!(visits(&["FILE:turn"]), ["turn"]);
    assert_eq!(
        visits(&["FILE:turn", "FILE:idle", "--visit", "look"]),
        ["turn", "idle", "look"]
    );
    assert_eq!(visits(&["FILE:turn", "FILE"]), ["turn", "idle", "look"]);

    let measure = place.measure([format!("{file}:tur")]);
    place
        .run(measure)
        .refuses(2, "no visit `tur`", "did you mean `turn`?");
    let elsewhere = place.path("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::copy(&file, elsewhere.join("mine.py")).unwrap();
    let both = place.measure([
        file.clone(),
        format!("{}/elsewhere/mine.py", place.path("").display()),
    ]);
    place
        .run(both)
        .refuses(2, "two fixtures are called `mine`", "another name");
}

#[test]
fn the_report_says_what_the_data_was_made_with() {
    let place = Place::new();
    let file = module(&place, "rows=1, kind='a'");
    let table = |set: &[&str]| {
        let mut measure = place.measure([format!("{file}:look")]);
        measure.args(set);
        let printed = place.run(measure).exits_with(0).stdout;
        let mut lines = printed.lines();
        lines
            .find(|line| line.contains(" in pages"))
            .unwrap()
            .to_owned()
    };
    let set = ["--set", "rows=2", "--set", "kind=b", "--", "-v", "x"];
    let second = table(&set);
    assert!(
        second.contains(" in pages: kind=b, rows=2, arguments -v x; 1 worker of CPython"),
        "{second}"
    );
    let second = table(&[]);
    assert!(
        second.contains("B in pages; 1 worker of CPython"),
        "{second}"
    );

    let document = |name: &str, set: &[&str]| {
        let finished = look(&place, &file, set).exits_with(0);
        place.file(name, &finished.stdout)
    };
    let (base, new) = (
        document("base.json", &["--set", "rows=2"]),
        document("new.json", &["--set", "rows=3"]),
    );
    let compared = place
        .run(place.refcow(["compare", &base, &new]))
        .exits_with(0);
    let reason = "made with rows=2 → rows=3";
    assert!(compared.stdout.contains(reason), "{compared}");

    let csv = look(
        &place,
        &file,
        &["--set", "rows=2", "--format", "csv", "--", "x"],
    );
    assert!(
        csv.status.code() == Some(2),
        "--format cannot be given twice: {csv}"
    );
    let mut csv = place.measure([format!("{file}:look"), "--format".into(), "csv".into()]);
    csv.args(["--set", "rows=2", "--", "x"]);
    let csv = place.run(csv).exits_with(0).stdout;
    assert!(
        csv.contains(r#"mine,look,,fork,,,"{""rows"":2}","[""x""]","#),
        "{csv}"
    );
}

/// A letter that acts on a terminal is refused in documents: refcow's own must not have one.
#[test]
fn what_was_set_can_be_read_back_whatever_it_is() {
    let place = Place::new();
    let file = module(&place, "name: str");
    let finished = look(&place, &file, &["--set", "name=a\u{1b}[1m\n", "--", "\t"])
        .exits_with(0)
        .says("'a\\x1b[1m\\n'");
    let measured = measurement(&finished);
    assert_eq!(measured.parameters["name"], "a\\u{1b}[1m\\u{a}");
    assert_eq!(measured.arguments, ["\\u{9}"]);
}

/// What the first line of a file's own sees of where it is.
const SEES: &str = "import os, sys, inspect, pickle, json\n\
class Row:\n    pass\n\
def build():\n    return [pickle.loads(pickle.dumps(Row())) for _ in range(3)]\n\
def visit_look(data):\n    assert type(data[0]) is Row\n    print('argv', sys.argv[1:], sys.argv[0] == __file__ == os.path.abspath(__file__))\n    \
print('named', __name__, sys.modules[__name__].Row is Row, inspect.getsource(Row).split()[0])\n    \
print('path', sys.path[0] == os.path.dirname(__file__), os.getcwd(), open('data.txt').read())\n\
if __name__ == '__main__':\n    raise SystemExit('executed as a script')\n";

#[rstest]
#[case::plain("mine.py", "mine")]
#[case::no_identifier("my-workload.py", "my-workload")]
#[case::with_a_dot("my.work.py", "my_work")]
fn a_file_finds_itself_where_a_script_would(#[case] name: &str, #[case] module: &str) {
    let place = Place::new();
    for folder in ["code", "here"] {
        fs::create_dir(place.path(folder)).unwrap();
    }
    place.file(&format!("code/{name}"), SEES);
    place.file("here/data.txt", "read");
    let fixture = format!("../code/{name}:look");
    let mut measure = place.measure([&fixture[..], "--", "-v", "a b", "--help"]);
    measure.current_dir(place.path("here"));
    let here = place.path("here");
    place
        .run(measure)
        .exits_with(0)
        .says("argv ['-v', 'a b', '--help'] True\n")
        .says(&format!("named {module} True class\n"))
        .says(&format!("path True {} read\n", here.display()));

    let refused = place.run(place.measure(["ints", "--", "-v"]));
    refused.refuses(2, "`-v` and what follows it", "before `--`");
}

#[test]
fn imports_beside_the_file_work_also_by_way_of_a_link() {
    let place = Place::new();
    fs::create_dir_all(place.path("code/package")).unwrap();
    place.file("code/beside.py", "NAME = 'beside'\n");
    place.file("code/package/__init__.py", "from beside import NAME\n");
    place.file("code/package/deep.py", "from . import NAME\n");
    place.file(
        "code/mine.py",
        "from package.deep import NAME\ndef build(): return [NAME]\ndef visit_look(data): print('has', data)\n",
    );
    std::os::unix::fs::symlink("code/mine.py", place.path("link.py")).unwrap();
    for file in ["code/mine.py", "link.py"] {
        let file = place.path(file).to_str().unwrap().to_owned();
        look(&place, &file, &[])
            .exits_with(0)
            .says("has ['beside']\n");
    }
}

#[test]
fn the_modules_of_an_environment_can_be_imported() {
    let place = Place::new();
    let environment = place.path("env");
    let mut venv = Command::new(python());
    venv.args(["-m", "venv", "--without-pip"]).arg(&environment);
    run::succeeded("python -m venv", run::output(&mut venv));
    let lib = fs::read_dir(environment.join("lib"))
        .unwrap()
        .next()
        .unwrap();
    let installed = lib.unwrap().path().join("site-packages/only_there.py");
    fs::write(installed, "WHERE = __file__\n").unwrap();
    let file = place.file(
        "mine.py",
        "import only_there\ndef build(): return [only_there.WHERE]\ndef visit_look(data): print('from', data)\n",
    );
    let environment = environment.to_str().unwrap();
    let mut measure = place.refcow(["measure", &file, "--children", "1", "--python", environment]);
    measure.args(["--visit", "look"]);
    let found = format!("from ['{environment}/lib");
    place.run(measure).exits_with(0).says(&found);

    look(&place, &file, &[]).refuses(
        3,
        " raised ModuleNotFoundError: No module named 'only_there'",
        "",
    );
}

#[rstest]
#[case::in_the_library("queue", "queue.py)")]
#[case::already_imported("abc", "abc")]
#[case::in_the_interpreter("itertools", "part of the interpreter")]
fn a_file_cannot_take_the_place_of_one_of_pythons_own_modules(
    #[case] name: &str,
    #[case] whose: &str,
) {
    let place = Place::new();
    let text = "print('executed')\ndef build(): return []\ndef visit_look(data): pass\n";
    let file = place.file(&format!("{name}.py"), text);
    let finished = look(&place, &file, &[]);
    assert!(!finished.stderr.contains("executed"), "{finished}");
    finished.says(whose).refuses(
        2,
        "has the name of a module that this Python has",
        "another name",
    );
}

#[test]
fn what_a_file_prints_goes_to_standard_error_by_whatever_way() {
    let place = Place::new();
    let text = "import ctypes, os, subprocess\n\
        def say(where):\n    print('print in', where)\n    os.write(1, f'write in {where}\\n'.encode())\n    \
        ctypes.CDLL(None).puts(f'puts in {where}'.encode()); ctypes.CDLL(None).fflush(None)\n\
        say('import')\n\
        def build():\n    say('build'); return []\n\
        def visit_look(data):\n    say('visit')\n";
    let file = place.file("mine.py", text);
    let finished = look(&place, &file, &[]).exits_with(0);
    for place in ["import", "build", "visit"] {
        for way in ["print", "write", "puts"] {
            let line = format!("{way} in {place}\n");
            assert!(finished.stderr.contains(&line), "{line}{finished}");
        }
    }
    measurement(&finished);
}

#[rstest]
#[case::import(
    "raise KeyError('no')",
    "pass",
    "pass",
    " raised KeyError: 'no'",
    "line 1, in <module>\n    raise KeyError('no')"
)]
#[case::build(
    "pass",
    "raise KeyError('no')",
    "pass",
    "building the dataset raised KeyError: 'no'",
    "line 3, in build\n    raise KeyError('no')"
)]
#[case::visit(
    "pass",
    "pass",
    "raise KeyError('no')",
    "visiting the data (look) raised KeyError: 'no'",
    "line 6, in visit_look\n    raise KeyError('no')"
)]
#[case::leave(
    "pass",
    "pass",
    "raise SystemExit(4)",
    "visiting the data (look) raised SystemExit: 4",
    "in visit_look"
)]
#[case::gone(
    "pass",
    "pass",
    "import os; os._exit(4)",
    "the child exited with status 4 while visiting the data (look)",
    ""
)]
#[case::crash(
    "pass",
    "pass",
    "import ctypes; ctypes.string_at(0)",
    "the child was killed by SIGSEGV while visiting the data (look)",
    ""
)]
#[case::crash_in_build(
    "pass",
    "import ctypes; ctypes.string_at(0)",
    "pass",
    "the parent was killed by SIGSEGV while building the dataset",
    ""
)]
fn what_goes_wrong_in_a_file_is_told_with_its_place(
    #[case] import: &str,
    #[case] build: &str,
    #[case] visit: &str,
    #[case] error: &str,
    #[case] place_in_text: &str,
) {
    let place = Place::new();
    let text = format!(
        "{import}\ndef build():\n    {build}\n    return []\ndef visit_look(data):\n    {visit}\n"
    );
    let file = place.file("mine.py", &text);
    let finished = look(&place, &file, &[])
        .says("error: mine: ")
        .says(place_in_text);
    if !place_in_text.is_empty() {
        assert!(
            finished.stderr.contains(&format!("File \"{file}\"")),
            "{finished}"
        );
    }
    finished.refuses(3, error, "");
    place.nothing_remains();
}

#[test]
fn objects_that_misbehave_are_measured_all_the_same() {
    let place = Place::new();
    let text = "class Loud:\n    def __del__(self): print('gone')\n\
        class Broken:\n    def __del__(self): raise ValueError('in __del__')\n\
        def build():\n    all = [Loud(), Broken()]\n    all.append(all)\n    all[0].me = all[0]\n    return all\n\
        def visit_look(data):\n    while data: data.pop()\n    import gc; gc.collect()\n";
    let file = place.file("mine.py", text);
    let finished = look(&place, &file, &[]).exits_with(0);
    let finished = finished.says("gone\n").says("ValueError: in __del__");
    assert!(measurement(&finished).children[0].totals().unshared > 0);
    place.nothing_remains();
}

#[test]
fn a_build_without_return_is_a_warning() {
    let place = Place::new();
    let file = place.file(
        "mine.py",
        "def build(): [1]\ndef visit_look(data): print(data)\n",
    );
    let finished = look(&place, &file, &[]).exits_with(0).says("None\n");
    let warning = Warning::BuiltNothing {
        fixture: "mine".into(),
    };
    let run = run::the_run(&finished.stdout);
    assert!(run.warnings.contains(&warning), "{finished}");
}

#[test]
fn data_that_does_not_fit_is_refused_by_the_files_own_estimate() {
    let place = Place::new();
    let text = "def build(rows=1, kind='a'): return []\n\
        def footprint(rows): return {'objects': rows << 40}\ndef visit_look(data): pass\n";
    let file = place.file("mine.py", text);
    look(&place, &file, &["--set", "rows=1000"]).refuses(2, "mine needs about", "--force");
    look(&place, &file, &["--set", "rows=0"]).exits_with(0);
    // Nothing is known of this one.
    let file = module(&place, "rows=1 << 60");
    look(&place, &file, &[]).exits_with(0);
    let file = module(&place, "count, item_bytes=1 << 40");
    look(&place, &file, &["--count", "1000"]).refuses(2, "mine needs about", "--force");
}

#[rstest]
#[case::long("--help")]
#[case::short("-h")]
fn help_tells_what_a_file_offers_without_a_python(#[case] flag: &str) {
    let place = Place::new();
    let text = "'''Mine.\n\nMore.\n'''\n\
        def build(rows: int = 1_000, *, kind='a', seed, count, **options): 'Rows.'\n\
        def visit_look(data):\n    '''Looks.\n\n    At it.\n    '''\ndef prepare_cold(data): 'Freezes.'\n";
    let file = place.file("mine.py", text);
    let mut help = place.refcow(["measure", &file, flag]);
    help.env("PATH", "/nowhere");
    let help = place.run(help).exits_with(0).stdout;
    let (usual, own) = help.split_once(&format!("\n{file}: Mine.\n")).unwrap();
    assert!(usual.contains("Usage: refcow measure"), "{help}");
    let expected = format!(
        "\nParameters of build (--set NAME=VALUE):\n  rows       int [default: 1_000]\n  kind           [default: 'a']\n  \
         seed           required\n  count          [default: 2000]\n  **options      any name\n\n\
         Visits ({file}:NAME or --visit NAME):\n"
    );
    assert!(own.starts_with(&expected), "{own}");
    assert!(own.contains("  look       Looks.\n"), "{own}");
    let (_, preparations) = own.split_once("(--prepare NAME):\n").unwrap();
    let names: Vec<_> = preparations
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    // Its own, and those that every file has.
    let all = ["cold", "freeze", "collect", "collect+freeze", "disable"];
    assert_eq!(names, all, "{own}");
    assert!(
        preparations.starts_with("  cold           Freezes.\n"),
        "{own}"
    );
    let described = place
        .run(place.refcow(["fixtures", &file]))
        .exits_with(0)
        .stdout;
    assert!(
        described.contains("    rows       int [default: 1_000]\n"),
        "{described}"
    );

    let missing = place.refcow(["measure", "missing.py", flag]);
    place
        .run(missing)
        .refuses(2, "missing.py cannot be read", "give its path");
}

#[test]
fn a_new_file_is_measured_by_the_command_that_is_printed() {
    let place = Place::new();
    let new = |name: &str| {
        let mut new = place.refcow(["new", name]);
        new.current_dir(place.path(""));
        place.run(new)
    };
    let printed = new("it's mine.py").exits_with(0).stdout;
    let command = printed
        .lines()
        .find_map(|line| line.strip_prefix("    "))
        .unwrap();
    assert!(
        command.starts_with(&refcow::shell::word(REFCOW)),
        "{printed}"
    );
    let mut shell = place.command("sh", ["-c", &format!("{command} --python '{}'", python())]);
    shell.current_dir(place.path(""));
    let finished = place.run(shell).exits_with(0);
    assert!(finished.stdout.contains("iterate"), "{finished}");
    assert_eq!(finished.stderr, "");

    fs::write(place.path("it's mine.py"), "mine").unwrap();
    new("it's mine.py").refuses(2, "it's mine.py already exists", "another name");
    assert_eq!(fs::read(place.path("it's mine.py")).unwrap(), b"mine");
    new("mine.txt").refuses(2, "mine.txt is not the name of a Python file", ".py");
    new("nowhere/mine.py").refuses(2, "cannot write nowhere/mine.py", "an existing directory");
    let drafts = fs::read_dir(place.path("")).unwrap();
    let drafts = drafts.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(".refcow-")
    });
    assert_eq!(drafts.count(), 0);
}
