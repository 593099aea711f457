//! The ends of processes that `refcow run` records: the last look at each, and those that are over before anybody looks.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use refcow::live::document::{PagesAre, RecordedFigures, RecordedProcess, Trees};
use rstest::rstest;

use crate::common::trees::document;
use crate::common::{REFCOW, by_python, cannot_record, python, run};

/// What `refcow run` says of a program with these options, and what that has printed.
fn recorded(options: &[&str], command: &mut Command) -> (Trees, Output) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("run.json");
    let mut refcow = Command::new(REFCOW);
    refcow
        .args(["run", "-q", "--format", "json", "--output"])
        .arg(&place)
        .args(options)
        .arg("--")
        .arg(command.get_program())
        .args(command.get_args());
    let output = run::output(refcow.stdin(Stdio::null()));
    (document(&std::fs::read_to_string(place).unwrap()), output)
}

fn of_text<'a>(command: &'a mut Command, program: &str) -> &'a mut Command {
    command.args(["-c", program])
}

fn figures(trees: &Trees) -> &RecordedFigures {
    assert_eq!(trees.trees.len(), 1, "{trees:#?}");
    trees.trees[0].recorded.as_ref().unwrap()
}

fn process(recorded: &RecordedFigures, pid: i32) -> &RecordedProcess {
    let mut all = recorded.processes.iter();
    all.find(|one| one.pid == pid).expect("a member")
}

/// Pages that a worker copies, makes, and gives back after it has copied them, too.
const STEPS: [[u64; 3]; 6] = [
    [0, 0, 0],
    [1, 0, 0],
    [1000, 0, 0],
    [0, 1, 0],
    [0, 1000, 0],
    [1000, 10, 700],
];

/// The numbers of the processes that take the steps of `live/ends.py` in this way, with what is known of them.
fn steps(way: &str, python: &Path) -> (Vec<i32>, RecordedFigures) {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("ends.py");
    std::fs::write(&script, include_str!("live/ends.py")).unwrap();
    let mut command = Command::new(python);
    command.arg(&script).arg(way);
    command.args(STEPS.map(|step| step.map(|pages| pages.to_string()).join(",")));
    let (trees, output) = recorded(&[], &mut command);
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let pids: Vec<i32> = printed.lines().map(|pid| pid.parse().unwrap()).collect();
    let last = pids[pids.len() - STEPS.len()..].to_vec();
    (last, figures(&trees).clone())
}

#[rstest]
#[case::a_worker("plain")]
#[case::a_thread_of_one("thread")]
#[case::a_worker_of_a_worker("grandchild")]
fn what_a_process_does_right_before_its_end_is_counted_to_the_page(#[case] way: &str) {
    if cannot_record("the ends of processes") {
        return;
    }
    for interpreter in by_python::builds() {
        let (pids, recorded) = steps(way, &interpreter.program);
        assert_eq!(recorded.lost_faults, 0);
        assert_eq!(recorded.without_last_look, Some(Vec::new()));
        let python = &interpreter.program;
        for (place, [copy, ..]) in STEPS.iter().enumerate() {
            let name = format!("__main__.Step{place}");
            let copied = recorded.causes.iter().filter(|one| {
                one.pages_are == PagesAre::Copied && one.type_name.as_deref() == Some(&name)
            });
            let copied: u64 = copied.map(|one| one.pages).sum();
            assert_eq!(copied, *copy, "{python:?} {way} {name}");
        }
        let figures = |pid: i32| {
            let one = process(&recorded, pid);
            let look = one.last_look.as_ref().expect("a last look");
            assert!(look.peak_resident_bytes > Some(look.anonymous_pages * 4096));
            assert!(look.shared_pages < look.anonymous_pages);
            assert_eq!((one.ended, one.ended_unseen), (true, false));
            let given_back = one.given_back_pages.unwrap();
            [one.new_pages, given_back, look.anonymous_pages].map(u64::cast_signed)
        };
        // Stacks of two threads that wait for one another are not the same each time.
        let besides = if way == "thread" { 2 } else { 0 };
        let base = figures(pids[0]);
        for (pid, [_, make, back]) in pids
            .iter()
            .zip(STEPS.map(|step| step.map(u64::cast_signed)))
        {
            let figures = figures(*pid).into_iter().zip(base);
            let added: Vec<i64> = figures.map(|(one, base)| one - base).collect();
            let expected = [make, back, make - back];
            let is_so = |(added, expected): (&i64, i64)| added.abs_diff(expected) <= besides;
            assert!(
                added.iter().zip(expected).all(is_so),
                "{python:?} {way}: new, given back, memory: {added:?}, not {expected:?}"
            );
        }
    }
}

#[test]
fn who_is_killed_has_a_last_look_or_it_is_said_that_there_is_none() {
    if cannot_record("the ends of processes") {
        return;
    }
    let (pids, recorded) = steps("killed", Path::new(python()));
    let looked = |pid: &i32| process(&recorded, *pid).last_look.is_some();
    let without: u64 = recorded
        .without_last_look
        .iter()
        .flatten()
        .map(|one| {
            assert_eq!(one.reason, "it was killed");
            one.number
        })
        .sum();
    let all = recorded.processes.iter();
    assert_eq!(
        all.filter(|one| one.last_look.is_none()).count() as u64,
        without
    );
    eprintln!(
        "{} of {} killed ones have one",
        pids.iter().filter(|pid| looked(pid)).count(),
        pids.len()
    );
}

#[rstest]
#[case::success("true", 0)]
#[case::failure("false", 1)]
fn a_program_that_is_over_at_once_is_told_of(#[case] program: &str, #[case] status: i32) {
    if cannot_record("refcow run") {
        return;
    }
    let (trees, output) = recorded(&[], &mut Command::new(program));
    assert_eq!(output.status.code(), Some(status));
    let recorded = figures(&trees);
    assert_eq!(recorded.processes.len(), 1, "{recorded:#?}");
    let one = &recorded.processes[0];
    assert!(
        one.ended && one.new_pages + one.unknown_pages > 0,
        "{one:?}"
    );
    if one.ended_unseen {
        assert_eq!((one.new_pages, one.copied_pages), (0, 0), "{one:?}");
    }
    // Another time it may be seen.
    let mut refcow = Command::new(REFCOW);
    let said = run::output(refcow.args(["run", "-q", "--", program])).stderr;
    let said = String::from_utf8(said).unwrap();
    assert!(
        said.starts_with(&format!("{program}: 1 process, not CPython\n"))
            || said.starts_with(&format!("[{program}]: 1 process, not CPython\n")),
        "{said}"
    );
    assert!(
        said.contains("is not known.") || said.contains("part  made by"),
        "{said}"
    );
}

#[test]
fn programs_that_were_over_before_they_were_seen_are_told_of_beside_pythons() {
    if cannot_record("refcow run") {
        return;
    }
    let program = "import subprocess
for _ in range(20): subprocess.run(['true'])";
    let mut command = Command::new(python());
    let (trees, _) = recorded(&[], of_text(&mut command, program));
    assert_eq!(figures(&trees).executed, 20);
    // Each of them may be seen.
    for one in &trees.unseen_programs {
        assert!(one.name == "true" && one.number <= 20, "{one:?}");
    }
    let mut refcow = Command::new(REFCOW);
    refcow.args(["run", "-q", "--", python(), "-c", program]);
    let said = String::from_utf8(run::output(&mut refcow).stderr).unwrap();
    let words: Vec<&str> = said.split_whitespace().collect();
    let unseen = " in no tree: true.";
    assert!(
        words.join(" ").contains(unseen) || trees.unseen_programs.is_empty(),
        "{said}"
    );
}

/// Three workers that copy 16 MiB each, wait for one another, and end.
const PEAK: &str = "
import mmap, os
LENGTH = 16 << 20
data = mmap.mmap(-1, LENGTH, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
data.madvise(mmap.MADV_NOHUGEPAGE)
for page in range(0, LENGTH, 4096): data[page] = 1
while True:
    with open('/proc/self/status') as status:
        if 'TracerPid:\\t0\\n' not in status.read(): break
ready, done = os.pipe()
goes, go = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        os.close(go)
        for page in range(0, LENGTH, 4096): data[page] = 2
        os.write(done, b'x')
        os.read(goes, 1)
        os._exit(0)
for _ in range(3): os.read(ready, 1)
os.close(go)
for _ in range(3): os.wait()
";

#[test]
fn what_all_have_together_is_seen_when_the_first_of_them_ends() {
    if cannot_record("the peak of a tree") {
        return;
    }
    let peak = |options: &[&str]| {
        let mut command = Command::new(python());
        let (trees, _) = recorded(options, of_text(&mut command, PEAK));
        let moments = figures(&trees).moments.iter();
        moments
            .filter_map(|moment| moment.memory_bytes)
            .max()
            .unwrap()
    };
    // No look is due before the end.
    let mebibyte = 1 << 20;
    let seen = peak(&["--every", "1h"]);
    assert!((64 * mebibyte..96 * mebibyte).contains(&seen), "{seen}");
}

#[test]
fn nobody_is_traced_whose_last_look_is_not_wanted() {
    if cannot_record("the ends of processes") {
        return;
    }
    let mut command = Command::new(python());
    let program =
        "print([line for line in open('/proc/self/status') if line.startswith('TracerPid')])";
    let (trees, output) = recorded(&["--no-last-look"], of_text(&mut command, program));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, "['TracerPid:\\t0\\n']\n");
    let recorded = figures(&trees);
    assert_eq!(recorded.without_last_look, None);
    assert_eq!(recorded.processes[0].last_look, None);
}

/// Traces a process itself that becomes a Python then.
const TRACES: &str = r#"
import ctypes, os, subprocess, sys
shell = ['sh', '-c', 'read line; exec "$0" -c "sum(range(10000000))"', sys.executable]
child = subprocess.Popen(shell, stdin=subprocess.PIPE)
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
SEIZE = 0x4206
print(libc.ptrace(SEIZE, child.pid, None, None), ctypes.get_errno(), flush=True)
child.communicate(b'\n')
print(child.returncode)
"#;

#[test]
fn who_is_traced_by_another_program_is_left_alone_and_that_is_said() {
    if cannot_record("the ends of processes") {
        return;
    }
    let mut command = Command::new(python());
    let (trees, output) = recorded(&[], of_text(&mut command, TRACES));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0 0\n0\n");
    assert_eq!(trees.trees.len(), 2, "{trees:#?}");
    let traced = trees.trees[1].recorded.as_ref().unwrap();
    let missing = traced.without_last_look.as_ref().unwrap();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(
        missing[0].reason.starts_with("another program traces it"),
        "{missing:?}"
    );
    let all = figures_of_both(&trees);
    assert!(all[0].without_last_look.as_ref().unwrap().is_empty());
}

fn figures_of_both(trees: &Trees) -> Vec<&RecordedFigures> {
    trees
        .trees
        .iter()
        .filter_map(|tree| tree.recorded.as_ref())
        .collect()
}

#[test]
fn a_signal_that_waits_for_nobody_finds_the_program_as_it_is_without_refcow() {
    if cannot_record("the ends of processes") {
        return;
    }
    // A worker that is stopped and goes on, while it is traced.
    let program = "
import os, signal
pid = os.fork()
if pid == 0:
    signal.raise_signal(signal.SIGSTOP)
    os._exit(5)
print(os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1]))
os.kill(pid, signal.SIGCONT)
print(os.waitpid(pid, 0)[1] >> 8)";
    let mut command = Command::new(python());
    let (trees, output) = recorded(&[], of_text(&mut command, program));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "True\n5\n");
    assert_eq!(figures(&trees).processes.len(), 2);
}
