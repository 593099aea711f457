//! The ways to share a user's data: what each hands over, what does not apply and why, and what
//! more workers take.

use std::fs;
use std::process::Command;

use refcow::model::workers::WorkersLine;
use refcow::model::{AfterKill, GivesBack, OwnData, OwnDataWay, StartMethod};
use refcow::report::{Style, render_own_data};
use rstest::rstest;
use rustix::process::Signal;

use crate::common::{Finished, Place, python, run};

/// Some records, each an object, and a visit that reads all of them.
const RECORDS: &str = "
def build(n: int = 20_000):
    return [{'number': number, 'name': f'name {number}'} for number in range(n)]

def visit_read(data):
    return sum(len(record['name']) for record in data)
";

fn share(place: &Place, file: &str, arguments: &[&str]) -> Command {
    let mut command = place.refcow(["sharing", file, "--format", "json", "--python", python()]);
    command.args(arguments);
    command
}

fn data(finished: &Finished) -> OwnData {
    let mut all = run::the_run(&finished.stdout).own_data;
    assert_eq!(all.len(), 1, "{finished}");
    all.remove(0)
}

/// One file's data by these ways; nothing is left behind.
fn shared(text: &str, arguments: &[&str]) -> OwnData {
    let place = Place::new();
    let file = place.file("records.py", text);
    let finished = place.run(share(&place, &file, arguments)).exits_with(0);
    place.nothing_remains();
    nothing_in(&place);
    data(&finished)
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

fn way<'a>(data: &'a OwnData, name: &str, method: StartMethod) -> &'a OwnDataWay {
    let mut all = data.ways.iter();
    all.find(|one| one.way == name && one.start_method == method)
        .unwrap_or_else(|| panic!("no {name}/{method}: {data:#?}"))
}

fn reason<'a>(data: &'a OwnData, name: &str, method: StartMethod) -> &'a str {
    let one = way(data, name, method);
    one.does_not_apply
        .as_deref()
        .unwrap_or_else(|| panic!("{one:#?}"))
}

#[test]
fn each_way_hands_over_what_was_put_in() {
    let ways = [
        "inherit",
        "args",
        "args_preload",
        "pool",
        "pool_map",
        "executor",
        "buffers",
        "manager",
        "file",
    ];
    let arguments: Vec<&str> = ways.iter().flat_map(|way| ["--way", way]).collect();
    let data = shared(RECORDS, &arguments);
    assert_eq!((&data.fixture[..], &data.visit[..]), ("records", "read"));
    for one in &data.ways {
        let figures = one.measured.as_ref().unwrap_or_else(|| panic!("{one:#?}"));
        let inherits = one.start_method == StartMethod::Fork
            && ["inherit", "args", "pool"].contains(&&one.way[..]);
        let expected = if inherits {
            GivesBack::Same
        } else {
            GivesBack::Equal
        };
        assert_eq!(figures.gives_back, expected, "{one:#?}");
        assert_eq!(figures.children.len(), 2);
        assert!(figures.first_result_seconds > 0.0);
        assert!(figures.peak_bytes.unwrap() >= figures.memory.unwrap().sum());
        // A copy of all records is more than what a visit copies of inherited ones.
        let own = !inherits && one.way != "pool_map" && one.way != "manager";
        let copied = figures.children[0].copied_pages * 4096;
        let size = data.size_bytes.unwrap().cast_signed();
        assert!(
            !own || copied > size * 3 / 4,
            "{copied} of {size}: {one:#?}"
        );
    }
    let killed = |name| {
        let one = way(&data, name, StartMethod::Fork);
        one.measured.as_ref().unwrap().after_worker_killed
    };
    // Known by what became of a task that was given later, not by how long that took.
    let AfterKill::Hangs { later_done, .. } = killed("pool") else {
        panic!("{data:#?}");
    };
    assert!(later_done);
    assert_eq!(killed("executor"), AfterKill::Unusable);
    assert_eq!(killed("inherit"), AfterKill::Usable);
}

#[test]
fn a_worker_that_is_no_fork_finds_the_file_and_what_lies_beside_it() {
    let place = Place::new();
    fs::create_dir(place.path("a folder")).unwrap();
    place.file("a folder/neighbour.py", "class Thing:\n    number = 5\n");
    let file = place.file(
        "a folder/my.data file.py",
        "import neighbour\n\
         class Own(neighbour.Thing): pass\n\
         def build(): return [Own(), neighbour.Thing()]\n\
         def visit_read(data): assert [type(one).__module__ for one in data] == ['my_data file', 'neighbour']\n",
    );
    let arguments = ["--way", "args", "--way", "args_preload"];
    let finished = place.run(share(&place, &file, &arguments)).exits_with(0);
    place.nothing_remains();
    let data = data(&finished);
    for method in [StartMethod::Spawn, StartMethod::Forkserver] {
        let figures = way(&data, "args", method).measured.as_ref().unwrap();
        assert_eq!(figures.gives_back, GivesBack::Equal);
    }
    let preloaded = way(&data, "args_preload", StartMethod::Forkserver);
    assert!(preloaded.measured.is_some(), "{preloaded:#?}");
}

#[test]
fn what_cannot_be_pickled_is_told_by_its_path() {
    let text = "import threading\n\
                class Record: pass\n\
                def build():\n    \
                    records = [Record() for _ in range(5)]\n    \
                    records[3].lock = threading.Lock()\n    \
                    return {'x': records}\n\
                def visit_count(data): return len(data['x'])\n";
    let data = shared(text, &["--way", "args", "--way", "file"]);
    assert!(way(&data, "args", StartMethod::Fork).measured.is_some());
    for one in data.ways.iter().filter(|one| one.measured.is_none()) {
        let reason = one.does_not_apply.as_ref().unwrap();
        assert!(
            reason.starts_with("not picklable: data['x'][3].lock (cannot pickle"),
            "{reason}"
        );
    }
    assert_eq!(data.numbers(), [2]);
}

#[test]
fn a_global_of_builds_is_missing_in_a_worker_that_is_no_fork() {
    let text = "INDEX = {}\n\
                def build():\n    \
                    INDEX.update({number: number for number in range(100)})\n    \
                    return list(INDEX)\n\
                def visit_look(data): return [INDEX[number] for number in data]\n";
    let data = shared(text, &["--way", "inherit", "--way", "args"]);
    assert!(way(&data, "args", StartMethod::Fork).measured.is_some());
    let reason = reason(&data, "args", StartMethod::Spawn);
    assert!(
        reason.starts_with("worker 1 raised KeyError: 0 ("),
        "{reason}"
    );
    assert!(
        reason.contains("records.py:5) while visiting the data"),
        "{reason}"
    );
    assert!(
        reason.ends_with("no global that `build` has set"),
        "{reason}"
    );
}

#[test]
fn a_shareable_list_that_gives_back_other_strings_is_told_of() {
    let text = "def build(): return ['one', 'two\\0', 'three']\n\
                def visit_read(data): return [len(word) for word in data]\n";
    let data = shared(
        text,
        &[
            "--way",
            "shareable_list",
            "--way",
            "manager",
            "--way",
            "memmap",
        ],
    );
    let list = way(&data, "shareable_list", StartMethod::Fork);
    let GivesBack::Differs { at } = &list.measured.as_ref().unwrap().gives_back else {
        panic!("{list:#?}");
    };
    assert_eq!(at, "data[1] is 'two', and was 'two\\x00'");
    let manager = way(&data, "manager", StartMethod::Fork);
    let manager = manager.measured.as_ref().unwrap();
    assert_eq!(manager.gives_back, GivesBack::Equal);
    let reason = reason(&data, "memmap", StartMethod::Fork);
    assert_eq!(reason, "the data holds no NumPy array");
}

#[test]
fn eight_workers_take_what_a_line_through_one_two_and_four_says() {
    let arguments = ["--workers", "1,2,4,8", "--way", "inherit", "--way", "file"];
    let data = shared(RECORDS, &arguments);
    assert_eq!(data.numbers(), [1, 2, 4, 8]);
    for all in data.by_way() {
        let known: Vec<_> = all.iter().copied().filter(|one| one.workers < 8).collect();
        let line = WorkersLine::of(&known).unwrap();
        let memory = all.last().unwrap().measured.as_ref().unwrap().memory;
        let (taken, said) = (memory.unwrap().sum(), line.at(8));
        assert!(
            said.abs_diff(taken) < taken / 20,
            "{said} and {taken}: {all:#?}"
        );
        assert_eq!(line.beyond(), 8);
        assert_eq!(line.kept_back.unwrap().workers, 4);
    }
}

#[rstest]
#[case::raises(
    "raise KeyError('no')",
    3,
    "inherit/fork: worker 1 raised KeyError: 'no' (",
    "fix the error in the file"
)]
#[case::leaves(
    "os._exit(7)",
    3,
    "inherit/fork: worker 1 exited with status 7 while visiting",
    "os._exit()"
)]
#[case::is_killed(
    "os.kill(os.getpid(), 9)",
    3,
    "inherit/fork: worker 1 was killed by SIGKILL while visiting",
    "dmesg"
)]
#[case::never_ends(
    "signal.pause()",
    3,
    "inherit/fork: the parent did not finish running visit() within 4 s",
    "--timeout"
)]
fn a_visit_that_goes_wrong_is_told_of(
    #[case] does: &str,
    #[case] status: i32,
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    let text = format!("import os, signal\ndef build(): return [1]\ndef visit_it(data): {does}\n");
    let file = place.file("bad.py", &text);
    // Long enough for all that comes before on a busy machine.
    let arguments = ["--way", "inherit", "--timeout", "4"];
    let finished = place.run(share(&place, &file, &arguments));
    finished.refuses(status, error, help);
    place.nothing_remains();
    nothing_in(&place);
}

#[test]
fn data_that_cannot_be_built_is_told_of_and_what_a_visit_prints_is_no_matter() {
    let place = Place::new();
    let file = place.file(
        "bad.py",
        "def build(): raise OSError('no disk')\ndef visit_it(data): pass\n",
    );
    let finished = place.run(share(&place, &file, &[]));
    finished.refuses(3, "OSError: no disk", "fix the error");
    place.nothing_remains();
    let text = "def build(): return [1]\ndef visit_it(data): print('x' * 1_000_000)\n";
    let data = shared(text, &["--way", "inherit"]);
    assert!(data.ways[0].measured.is_some());
}

#[test]
fn nothing_survives_an_interruption() {
    let place = Place::new();
    let said = place.path("said").display().to_string();
    let text = format!(
        "import os, signal\n\
         def build(): return [bytearray(1000)]\n\
         def visit_wait(data):\n    \
             fifo = os.open({said:?}, os.O_WRONLY)\n    \
             os.write(fifo, os.environ['REFCOW_SUBJECT'].encode())\n    \
             os.close(fifo)\n    \
             signal.pause()\n"
    );
    let file = place.file("waits.py", &text);
    let arguments = ["--way", "buffers", "--start-method", "spawn"];
    let mut running = place.start(share(&place, &file, &arguments));
    let name = running.hear();
    let segments = || {
        let entries = fs::read_dir("/dev/shm").unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|one| one.starts_with(&format!("{name}-")))
            .count()
    };
    // If there were none, its absence afterwards would say nothing.
    assert_eq!(segments(), 1);
    running.signal(Signal::INT);
    running.wait().exits_with(130).says("interrupted");
    place.nothing_remains();
    nothing_in(&place);
    assert_eq!(segments(), 0);
}

#[rstest]
#[case::no_file(&["sharing", "--set", "n=5"], "--set is for data of your own", "sharing FILE.py:VISIT")]
#[case::no_limit(&["sharing", "--memory", "8GiB"], "--memory is for data of your own", "sharing FILE.py:VISIT")]
#[case::no_line(&["sharing", "ints:iterate", "--memory", "8GiB"], "--memory has no effect with one number of workers", "--workers 1,2,4")]
#[case::one_number(&["sharing", "--workers", "2,2", "--memory", "8GiB"], "--memory has no effect with one number of workers", "--workers 1,2,4")]
#[case::several(&["sharing", "ints"], "`ints` has several visits", "ints:VISIT, one of reference, ")]
#[case::own(&["sharing", "ints:idle"], "`idle`", "name a visit that uses the data")]
#[case::unknown(&["sharing", "ints:iterate", "--way", "arg"], "no way `arg`", "did you mean `args`?")]
#[case::not_there(&["sharing", "ints:iterate", "--way", "freeze", "--start-method", "spawn"], "`freeze` does not exist under spawn", "under fork")]
fn what_cannot_be_shared_is_refused(
    #[case] arguments: &[&str],
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    place.run(place.refcow(arguments)).refuses(2, error, help);
    place.nothing_remains();
}

#[test]
fn without_a_file_numbers_of_workers_are_of_integers() {
    let place = Place::new();
    let arguments = [
        "sharing",
        "--workers",
        "1",
        "--size",
        "65536",
        "--way",
        "inherit",
    ];
    let mut command = place.refcow(arguments);
    command.args(["--format", "json", "--python", python()]);
    let data = data(&place.run(command).exits_with(0));
    assert_eq!((&data.fixture[..], &data.visit[..]), ("ints", "iterate"));
    assert_eq!(data.parameters["count"], 8192);
    assert_eq!(data.numbers(), [1]);
}

/// What a run of several numbers of workers looks like, and what its words are.
#[test]
fn tables_fit_a_terminal_of_80_columns() {
    let place = Place::new();
    let file = place.file("records.py", RECORDS);
    let arguments = [
        "--workers",
        "1,2",
        "--way",
        "args",
        "--way",
        "torch",
        "--set",
        "n=100",
    ];
    let finished = place.run(share(&place, &file, &arguments)).exits_with(0);
    let report = run::report(&finished.stdout);
    let style = Style::Terminal {
        width: Some(80),
        colours: false,
    };
    let text = String::from_utf8(render_own_data(&report, style)).unwrap();
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for words in [
        "What a program gets that names no start method",
        "Not measured: torch, spawn: the data holds no tensor",
        "A fork of the parent takes",
        "off by: how far a line",
    ] {
        let words: Vec<_> = words.split(' ').skip(1).collect();
        let flat = text.replace('\n', " ");
        assert!(flat.contains(&words.join(" ")), "{text}");
    }
    let markdown = String::from_utf8(render_own_data(&report, Style::Markdown)).unwrap();
    assert!(markdown.contains("| args, spawn"), "{markdown}");
}
