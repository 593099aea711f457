//! Programs that `refcow run` starts: they run as ever.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use rstest::rstest;

use crate::common::trees::{document, recorded, recorded_of};
use crate::common::{REFCOW, Target, cannot_record, python, recording_to, run, signals};

fn run_with(arguments: &[&str], program: &str) -> std::process::Output {
    let mut refcow = Command::new(REFCOW);
    refcow
        .arg("run")
        .args(arguments)
        .args(["--", python(), "-c", program]);
    signals::with_default_signals(&mut refcow);
    run::output(refcow.stdin(Stdio::null()))
}

#[rstest]
#[case::success("print('out'); import sys; print('err', file=sys.stderr)", 0)]
#[case::failure(
    "print('out'); import sys; print('err', file=sys.stderr); sys.exit(3)",
    3
)]
#[case::a_signal(
    "print('out', flush=True); import os, sys; print('err', file=sys.stderr); os.kill(os.getpid(), 15)",
    143
)]
fn a_program_runs_as_ever_and_its_status_is_passed_on(#[case] program: &str, #[case] status: i32) {
    if cannot_record("refcow run") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("run.json");
    let output = run_with(
        &[
            "--output",
            place.to_str().unwrap(),
            "--format",
            "json",
            "-q",
        ],
        program,
    );
    assert_eq!(output.status.code(), Some(status));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");
    let trees = document(&std::fs::read_to_string(place).unwrap());
    assert_eq!(trees.trees.len(), 1, "{trees:#?}");
    let tree = &trees.trees[0];
    assert!(tree.processes.is_empty() && tree.total.is_none());
    let of_program = &recorded(tree).processes[0];
    assert!(
        of_program.ended && of_program.new_pages > 500,
        "{of_program:?}"
    );
}

#[test]
fn a_signal_that_refcow_gets_is_the_programs() {
    if cannot_record("refcow run") {
        return;
    }
    let program = "import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print('ready', flush=True)
while True: signal.pause()";
    let mut refcow = Command::new(REFCOW);
    refcow.args(["run", "-q", "--", python(), "-c", program]);
    signals::with_default_signals(&mut refcow);
    refcow.stderr(Stdio::null());
    let mut target = Target::start(refcow);
    assert_eq!(target.line(), "ready");
    kill(Pid::from_raw(target.pid()), Signal::SIGTERM).unwrap();
    assert_eq!(target.end().1.code(), Some(7));
}

#[test]
fn a_second_ctrl_c_ends_a_program_that_does_not_heed_the_first() {
    if cannot_record("refcow run") {
        return;
    }
    let program = "import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
print('ready', flush=True)
sys.stdin.read()
print('went on', flush=True)";
    let mut refcow = Command::new(REFCOW);
    refcow.args(["run", "-q", "--", python(), "-c", program]);
    signals::with_default_signals(&mut refcow);
    refcow.stderr(Stdio::null());
    let mut target = Target::start(refcow);
    assert_eq!(target.line(), "ready");
    let pid = Pid::from_raw(target.pid());
    let has_ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
    while waitid(Id::Pid(pid), has_ended).unwrap() == WaitStatus::StillAlive {
        kill(pid, Signal::SIGINT).unwrap();
    }
    assert_eq!(target.end().1.code(), Some(130));
    assert_eq!(target.last_line(), None);
}

#[test]
fn what_is_no_program_is_not_run() {
    if cannot_record("refcow run") {
        return;
    }
    let output = run::run(&["run", "--", "/no/such/program"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.starts_with("error: cannot run /no/such/program: No such file"),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn of_a_program_that_is_no_python_and_forks_nobody_pages_are_counted_all_the_same() {
    if cannot_record("refcow run") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("run.json");
    let mut refcow = recording_to(&place);
    refcow.args(["--", "sh", "-c", "echo ready; read line"]);
    let mut target = Target::start_and_hear(refcow);
    assert_eq!(target.line(), "ready");
    // It is recorded by the second line after that.
    for _ in 0..2 {
        target.error_line();
    }
    target.end();
    let trees = document(&std::fs::read_to_string(place).unwrap()).trees;
    assert_eq!(trees.len(), 1, "{trees:#?}");
    assert_eq!(trees[0].python, None);
    let of_program = &recorded(&trees[0]).processes[0];
    assert!(of_program.new_pages > 0, "{of_program:?}");
}

#[test]
fn workers_that_come_and_go_and_programs_that_they_start_are_recorded_with_their_ends() {
    if cannot_record("refcow run") {
        return;
    }
    let program = "import multiprocessing as m, os, subprocess, sys
data = [object() for _ in range(500000)]
def use(_):
    for one in data: pass
    if _ == 0: subprocess.run([sys.executable, '-c', ''])
    return os.getpid()
c = m.get_context('fork')
with c.Pool(2, maxtasksperchild=1) as p:
    pids = p.map(use, range(4), chunksize=1)
    print(*pids)";
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("run.json");
    let output = run_with(
        &["--output", place.to_str().unwrap(), "--format", "json"],
        program,
    );
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let workers = printed.split_whitespace().map(|pid| pid.parse().unwrap());
    let workers: BTreeSet<i32> = workers.collect();
    let trees = document(&std::fs::read_to_string(place).unwrap()).trees;
    let pool = trees
        .iter()
        .find(|tree| recorded(tree).processes.len() > 1)
        .expect("a pool");
    let recorded = recorded(pool);
    assert!(recorded.processes.len() > workers.len(), "{recorded:#?}");
    assert!(recorded.processes.iter().all(|one| one.ended));
    assert_eq!(recorded.executed, 1);
    // Objects of 16 bytes, all of which each of these has taken a reference to.
    let least = 500_000 * 16 / 4096;
    for pid in workers {
        let worker = recorded_of(pool, pid);
        // The pool's process may have given back what a worker copied before that is judged.
        let copied = worker.copied_pages + worker.unknown_pages;
        assert!(copied > least, "{copied} of {least}: {recorded:#?}");
    }
}
