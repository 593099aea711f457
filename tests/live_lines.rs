//! Lines of Python behind the pages that trees of processes copy: `--lines`, `--own` and `--by`.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use refcow::live::document::{CauseFigures, PagesAre, RecordedFigures, ThreadIs};
use rstest::rstest;
use tempfile::TempDir;

use crate::common::trees::{NOBODY, SYSTEM, document};
use crate::common::{
    REFCOW, Target, by_python, cannot_record, python, recording_to, run, signals, skipped,
};

/// The program whose lines are known, with a package that it imports from where packages are installed.
struct KnownLines {
    folder: TempDir,
}

const TEXT: &str = include_str!("live/lines.py");
const PACKAGE: &str =
    "def write(data, places):\n    for place in places:\n        data[place] = 2\n";

impl KnownLines {
    fn new() -> Self {
        let folder = run::public_folder();
        let program = Self { folder };
        std::fs::create_dir(program.packages()).unwrap();
        std::fs::write(program.packages().join("installed.py"), PACKAGE).unwrap();
        std::fs::write(program.script(), TEXT).unwrap();
        program
    }

    fn packages(&self) -> PathBuf {
        self.folder.path().join("site-packages")
    }

    fn script(&self) -> PathBuf {
        self.folder.path().join("lines.py")
    }

    /// The command that runs it.
    fn add_to(&self, command: &mut Command, python: impl AsRef<std::ffi::OsStr>) {
        command.arg("--").arg(python);
        command.arg("-B").arg(self.script()).arg(self.packages());
    }

    /// `FUNCTION (FILE:LINE)` of a line that is marked.
    fn line(&self, function: &str) -> String {
        let mark = format!("# MARK {function}");
        let line = TEXT.lines().position(|line| line.ends_with(&mark)).unwrap() + 1;
        format!("{function} ({}:{line})", self.script().display())
    }

    fn line_of_package(&self) -> String {
        format!(
            "write ({}:3)",
            self.packages().join("installed.py").display()
        )
    }

    /// `refcow run` with these options, of an interpreter.
    fn run(&self, options: &[&str], python: &Path) -> RecordedFigures {
        let place = self.folder.path().join("run.json");
        let mut refcow = recording_to(&place);
        refcow.args(options);
        self.add_to(&mut refcow, python);
        Self::let_go(refcow);
        let mut trees = document(&std::fs::read_to_string(place).unwrap()).trees;
        assert_eq!(trees.len(), 1, "{trees:#?}");
        trees.remove(0).recorded.unwrap()
    }

    /// What refcow says that runs the program, which is let go when all of its pages have been looked at.
    fn let_go(refcow: Command) -> String {
        let mut target = Target::start_and_hear(refcow);
        // The parent ends when its worker's pages have been looked at: 1,500 and some.
        let mut all = target.until_seen("copied", 5.8);
        target.line();
        assert_eq!(target.line(), "done");
        for _ in 0..2 {
            all += &(target.error_line() + "\n");
        }
        let (others, status) = target.end();
        assert!(status.success());
        all + &others
    }
}

/// Copied pages by innermost line, line of the user's own and thread.
type ByLine = BTreeMap<(String, Option<String>, bool), u64>;

fn by_line(recorded: &RecordedFigures) -> ByLine {
    let copied = |one: &&CauseFigures| one.pages_are == PagesAre::Copied;
    let mut sums = ByLine::new();
    for one in recorded.causes.iter().filter(copied) {
        if let Some(line) = &one.line {
            let key = (
                line.clone(),
                one.own_line.clone(),
                one.thread == ThreadIs::Main,
            );
            *sums.entry(key).or_default() += one.pages;
        }
    }
    sums
}

/// What the program writes, and at most so many pages besides: of objects that these lines use.
fn check(program: &KnownLines, by_line: &ByLine, own_package: bool) {
    const BESIDES: u64 = 12;
    let package = match own_package {
        true => (program.line_of_package(), None),
        false => (program.line_of_package(), Some(program.line("by_package"))),
    };
    let alone = |function| (program.line(function), None);
    let expected = [
        (alone("some"), true, 300),
        (alone("many"), true, 700),
        (package, true, 200),
        (alone("in_thread"), false, 200),
        (alone("generated"), true, 100),
    ];
    for ((line, own), is_main, least) in expected {
        let key = (line, own, is_main);
        let pages = by_line.get(&key).copied().unwrap_or(0);
        assert!(
            (least..=least + BESIDES).contains(&pages),
            "{key:?}: {pages} of {least} pages: {by_line:#?}"
        );
    }
}

/// What a program in the kernel finds where that is allowed, and what is found while threads stand still.
#[rstest]
#[case::by_a_program(&["--lines=1"])]
#[case::by_stops(&["--lines=1", "--no-bpf"])]
fn each_page_has_the_line_that_wrote_it(#[case] options: &[&str]) {
    if cannot_record("lines of a tree") {
        return;
    }
    let free_threaded = by_python::free_threaded();
    for interpreter in by_python::builds().iter().chain(&free_threaded) {
        eprintln!("{}", interpreter.program.display());
        let program = KnownLines::new();
        let recorded = program.run(options, &interpreter.program);
        check(&program, &by_line(&recorded), false);
        let lines = recorded.lines.as_ref().unwrap();
        let known = recorded.causes.iter().filter(|one| one.line.is_some());
        let known: u64 = known.map(|one| one.pages).sum();
        let without: u64 = lines.without_line.iter().map(|one| one.number).sum();
        assert_eq!(lines.looked_at_pages, known + without, "{lines:?}");
        assert!(
            lines.not_traced.is_empty() && !lines.ended_early,
            "{lines:?}"
        );
        assert_eq!((lines.dropped, lines.not_traced_processes), (0, 0));
        assert!(lines.with_stops || options.len() == 1, "{lines:?}");
    }
}

/// A program in the kernel counts on each processor by itself.
#[rstest]
#[case::by_a_program(&["--lines=7"], std::thread::available_parallelism().unwrap().get() as u64)]
#[case::by_stops(&["--lines", "--no-bpf"], 0)]
fn looking_at_some_faults_keeps_the_shares(#[case] options: &[&str], #[case] more_or_less: u64) {
    if cannot_record("lines of a tree") {
        return;
    }
    let program = KnownLines::new();
    let recorded = program.run(options, Path::new(python()));
    let by_line = by_line(&recorded);
    // Every seventh; what else the line copies may be among them.
    for (function, pages) in [("some", 300_u64), ("many", 700)] {
        let looked_at = by_line[&(program.line(function), None, true)];
        let differs = looked_at.abs_diff(pages / 7);
        assert!(differs <= 3 + more_or_less, "{by_line:#?}");
    }
    assert_eq!(recorded.lines.unwrap().one_in, 7);
}

#[test]
fn a_folder_can_be_the_users_own_although_it_is_installed() {
    if cannot_record("lines of a tree") {
        return;
    }
    let program = KnownLines::new();
    let folder = program.packages();
    let options = ["--lines=1", "--own", folder.to_str().unwrap()];
    let recorded = program.run(&options, Path::new(python()));
    check(&program, &by_line(&recorded), true);
}

/// What `attach` says of the program, as root and as an ordinary user.
fn attached(
    refcow: Command,
    options: &[&str],
    user: Option<u32>,
    python: &str,
) -> (KnownLines, RecordedFigures, String) {
    let program = KnownLines::new();
    let mut command = Command::new(python);
    command
        .arg("-B")
        .arg(program.script())
        .arg(program.packages())
        .arg("when told");
    if let Some(user) = user {
        command.uid(user).gid(user).current_dir("/");
    }
    let mut target = Target::start(command);
    let pid = target.line();
    let mut refcow = refcow;
    refcow.args([
        "attach",
        &pid,
        "--lines=1",
        "--every",
        "20ms",
        "--format",
        "json",
    ]);
    refcow.args(options);
    signals::with_default_signals(&mut refcow);
    let refcow = refcow.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut refcow = refcow.spawn().unwrap();
    let mut said = BufReader::new(refcow.stderr.take().unwrap());
    let mut warned = String::new();
    // It looks at a process from soon after its beginning on, which the first of these lines comes after.
    while !warned.contains("copied") {
        assert_ne!(said.read_line(&mut warned).unwrap(), 0, "{warned}");
    }
    assert_eq!(target.say(""), "done");
    kill(Pid::from_raw(refcow.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = refcow.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut trees = document(&String::from_utf8(output.stdout).unwrap()).trees;
    said.read_to_string(&mut warned).unwrap();
    // Nobody traces it any more, and it runs on.
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("TracerPid:\t0\n"), "{status}");
    (program, trees.remove(0).recorded.unwrap(), warned)
}

#[test]
fn attach_says_the_same_and_warns() {
    if cannot_record("lines of a tree") {
        return;
    }
    for options in [&[][..], &["--no-bpf"]] {
        let (program, recorded, warned) = attached(Command::new(REFCOW), options, None, python());
        check(&program, &by_line(&recorded), false);
        let stops = recorded.lines.unwrap().with_stops;
        assert_eq!(
            warned.contains("--lines stops the processes"),
            stops,
            "{warned}"
        );
        assert!(stops || options.is_empty());
    }
}

#[test]
fn an_ordinary_user_gets_the_lines_of_their_own_processes() {
    if cannot_record("lines of a tree") {
        return;
    }
    if !Path::new(SYSTEM).exists() {
        return skipped("lines of a tree", "there is no Python of the system's");
    }
    let (_folder, public) = run::public_copies();
    let mut refcow = Command::new(&public);
    let user = geteuid().is_root().then_some(NOBODY);
    if let Some(user) = user {
        refcow.uid(user).gid(user).current_dir("/");
    }
    let (program, recorded, _) = attached(refcow, &[], user, SYSTEM);
    check(&program, &by_line(&recorded), false);
}

#[test]
fn lines_stand_below_the_causes_and_pages_can_be_grouped() {
    if cannot_record("lines of a tree") {
        return;
    }
    let program = KnownLines::new();
    let table = |options: &[&str]| {
        let mut refcow = Command::new(REFCOW);
        refcow.args(["run", "--every", "20ms"]).args(options);
        program.add_to(&mut refcow, python());
        KnownLines::let_go(refcow)
    };
    let all = table(&["--lines=7"]);
    assert!(
        all.contains("Lines: one page fault in 7 was looked at; "),
        "{all}"
    );
    assert!(
        all.contains("first write to") && all.contains("\ncopied, 1 in 7 "),
        "{all}"
    );
    assert!(all.contains("many ("), "{all}");
    // Grouping by line asks for lines; another one does not.
    let grouped = table(&["--by", "line,thread"]);
    assert!(
        grouped.contains("thread") && grouped.contains("in_thread ("),
        "{grouped}"
    );
    assert!(!grouped.contains("first write to"), "{grouped}");
    let mut refcow = Command::new(REFCOW);
    refcow.args(["run", "-q", "--by", "cause,type", "--", python(), "-c"]);
    refcow.arg("import os; os.fork() or os._exit(0); os.wait()");
    let grouped = String::from_utf8(run::output(&mut refcow).stderr).unwrap();
    assert!(
        !grouped.contains("Lines:") && grouped.contains("first write to"),
        "{grouped}"
    );
}

#[test]
fn what_is_traced_already_is_refused() {
    if cannot_record("lines of a tree") {
        return;
    }
    let mut command = Command::new(python());
    command.args(["-c", "print(1, flush=True); input()"]);
    let mut target = Target::start(command);
    target.line();
    let pid = target.pid();
    ptrace::seize(Pid::from_raw(pid), ptrace::Options::empty()).unwrap();
    let pid_word = pid.to_string();
    let output = run::run(&["attach", &pid_word, "--lines", "--no-bpf", "--for", "1s"]);
    let error = String::from_utf8(output.stderr).unwrap();
    // The kernel names the thread.
    let own = nix::unistd::gettid();
    let expected = format!("error: process {pid} is traced already, by process {own} (");
    assert!(error.starts_with(&expected), "{error}");
    assert!(
        error.contains("\nhelp: a process has one tracer"),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(3));
    target.kill();
}

#[test]
fn a_folder_that_is_none_is_refused_and_one_without_lines() {
    let output = run::run(&["run", "--own", "/", "--", "true"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("--lines"), "{error}");
    assert_eq!(output.status.code(), Some(2));
    let output = run::run(&["run", "--lines", "--own", "/no/such", "--", "true"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("'/no/such'") && error.contains("this is no directory"),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(2));
}

/// A program whose workers copy pages again and again, with what runs it.
fn copying(folder: &Path, mut runs: Command) -> Target {
    let script = folder.join("killed.py");
    std::fs::write(&script, include_str!("live/killed.py")).unwrap();
    runs.arg(&script).arg("10").stderr(Stdio::null());
    Target::start(runs)
}

/// Reads how it goes on to another moment each time, does something then, and waits for the end of all workers.
fn ends_well(target: &mut Target, round: usize, act: impl FnOnce(&mut Target)) {
    for _ in 0..round * 7 % 37 {
        assert_eq!(target.line(), "round");
    }
    act(target);
    let last = target.last_line();
    assert_eq!(last.as_deref(), Some("ended 0 0 0 0"), "{round}");
}

/// Kills refcow, or its tracer, while it looks for lines of workers, or only at their ends.
fn survives(rounds: impl Iterator<Item = usize>, options: &[&str]) {
    if cannot_record("lines of a tree") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for round in rounds {
        let mut refcow = Command::new(REFCOW);
        refcow.args(["run", "-q"]).args(options);
        refcow.arg("--").arg(python());
        let mut target = copying(folder.path(), refcow);
        let tracer: i32 = target.line().parse().unwrap();
        ends_well(&mut target, round, |target| match round % 2 {
            0 => target.kill(),
            _ => kill(Pid::from_raw(tracer), Signal::SIGKILL).unwrap(),
        });
    }
}

#[rstest]
#[case::while_a_program_looks_for_lines(&["--lines=1"])]
#[case::while_threads_stand_still_for_lines(&["--lines=1", "--no-bpf"])]
#[case::while_ends_are_looked_at(&[])]
fn no_worker_dies_or_stays_stopped_when_refcow_is_killed(#[case] options: &[&str]) {
    survives(0..4, options);
}

/// As above, as often as it takes to be sure: several at a time, so that a processor is never idle, and moments are not always the same.
#[test]
#[ignore = "takes a minute"]
fn no_worker_dies_or_stays_stopped_when_refcow_is_killed_a_hundred_times() {
    const AT_A_TIME: usize = 4;
    std::thread::scope(|scope| {
        for first in 0..AT_A_TIME {
            scope.spawn(move || {
                survives((first..100).step_by(AT_A_TIME), &["--lines=1", "--no-bpf"]);
                survives((first..100).step_by(AT_A_TIME), &["--lines=1"]);
                survives((first..100).step_by(AT_A_TIME), &[]);
            });
        }
    });
    eprintln!("of 3 × 100 trees, each has ended as it does without refcow");
}

/// What was started without refcow does not ignore the signal that stops it.
#[test]
fn a_tree_goes_on_when_refcow_is_killed_that_was_attached_or_its_tracer_is_told_to_end() {
    if cannot_record("lines of a tree") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let mut target = copying(folder.path(), Command::new(python()));
        let pid = target.pid().to_string();
        let mut refcow = Command::new(REFCOW);
        refcow.args(["attach", &pid, "-q", "--lines=1", "--no-bpf"]);
        let refcow = refcow.stdout(Stdio::null()).stderr(Stdio::null());
        let mut refcow = refcow.spawn().unwrap();
        let tracer: i32 = target.line().parse().unwrap();
        ends_well(&mut target, round, |_| match round % 2 {
            0 => refcow.kill().unwrap(),
            _ => kill(Pid::from_raw(tracer), Signal::SIGTERM).unwrap(),
        });
        refcow.wait().unwrap();
    }
}
