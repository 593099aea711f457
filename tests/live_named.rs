//! Which tree `refcow attach` means, and what it says where it means none.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::{Pid, geteuid};
use rstest::rstest;

use crate::common::trees::{NOBODY, SYSTEM, attach};
use crate::common::{REFCOW, Target, python, run, skipped};

#[test]
fn a_name_means_the_python_that_runs_it_and_not_what_started_that_or_has_its_file_open() {
    let folder = tempfile::tempdir().unwrap();
    // Another run of these tests may have one at the same time.
    let name = format!("sharing_of_pages_{}.py", std::process::id());
    let script = folder.path().join(&name);
    std::fs::write(&script, include_str!("live/tree.py")).unwrap();
    let mut timeout = Command::new("timeout");
    timeout.args(["--foreground", "600", python()]).arg(&script);
    let mut target = Target::start(timeout);
    let parent = target.numbers()[0];
    let worker = target.say("fork");
    target.say("1 write 256");
    let mut tail = Command::new("tail");
    let mut tail = tail
        .arg("-f")
        .arg(&script)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let output = run::run(&["attach", &name, "--for", "0"]);
    tail.kill().unwrap();
    tail.wait().unwrap();
    assert!(output.status.success(), "{output:?}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains(": 2 processes, CPython 3."), "{table}");
    assert!(table.contains(&format!("\n{parent} ")), "{table}");
    assert!(table.contains(&format!("\n  {worker} ")), "{table}");
    let words: Vec<&str> = table.split_whitespace().collect();
    assert!(
        words.join(" ").contains("if no page were shared"),
        "{table}"
    );
}

/// What `refcow attach` says of what it does not attach to.
fn refused(mut refcow: Command, named: &str, status: i32) -> String {
    let output = run::output(refcow.args(["attach", named, "--for", "0"]));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{error}");
    assert!(error.contains("\nhelp: "), "{error}");
    error
}

#[rstest]
#[case::no_process("4194303", "there is no process 4194303\n")]
#[case::no_number("99999999999", "no process has the number 99999999999: they have")]
#[case::negative("-1", "no process has the number -1: they have")]
#[case::no_name("a-name-that-no-process-has", "no process is called")]
#[case::empty("", "the number or name of a process is missing")]
#[case::of_the_kernel("2", "process 2 (kthreadd) has no memory to look at: it is a thread")]
#[case::of_the_kernel_by_name("kthreadd", "process 2 (kthreadd) has no memory to look at")]
fn what_is_no_tree_is_an_error_that_says_so(#[case] named: &str, #[case] said: &str) {
    if said.contains("kthreadd")
        && !std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n")
    {
        return skipped("a thread of the kernel's", "none is seen here");
    }
    let error = refused(Command::new(REFCOW), named, 2);
    assert!(error.starts_with(&format!("error: {said}")), "{error}");
}

#[test]
fn a_process_that_has_ended_is_told_with_whoever_has_to_wait_for_it() {
    let mut ended = Command::new("true").spawn().unwrap();
    let pid = Pid::from_raw(ended.id().cast_signed());
    let seen = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(pid), seen).unwrap();
    let error = refused(Command::new(REFCOW), &pid.to_string(), 2);
    ended.wait().unwrap();
    let own = std::process::id();
    let expected = format!(
        "error: process {pid} (true) has no memory to look at: it has ended, and its parent, process {own}, has not waited for it\n"
    );
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn a_process_with_its_parents_memory_is_told_with_that() {
    let folder = tempfile::tempdir().unwrap();
    let [here, on] = ["here", "on"].map(|name| folder.path().join(name));
    for fifo in [&here, &on] {
        nix::unistd::mkfifo(fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    }
    // What glibc spawns has the parent's memory until it executes the program, and opens these before.
    let program = "import os, sys
here, on = sys.argv[1:]
os.posix_spawn('/bin/true', ['true'], {}, file_actions=[
    (os.POSIX_SPAWN_OPEN, 8, here, os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 9, on, os.O_RDONLY, 0)])
os.wait()";
    let mut command = Command::new(python());
    command.args(["-c", program]).args([&here, &on]);
    let mut target = Target::start(command);
    let is_here = File::open(&here).unwrap();
    let parent = target.pid();
    let is_its =
        |process: &procfs::process::Process| process.stat().is_ok_and(|stat| stat.ppid == parent);
    let mut all = procfs::process::all_processes().unwrap().flatten();
    let spawned = all.find(is_its).expect("a process").pid;
    let error = refused(Command::new(REFCOW), &spawned.to_string(), 2);
    drop((is_here, File::options().write(true).open(&on).unwrap()));
    target.end();
    let expected =
        format!("has no memory of its own: it uses that of its parent, process {parent}\n");
    assert!(error.contains(&expected), "{error}");
    assert!(
        error.contains(&format!("refcow attach {parent}")),
        "{error}"
    );
}

#[test]
fn the_number_of_a_thread_means_its_process() {
    let mut target = Target::of_text(
        "import os, sys, threading
def reads():
    print(os.getpid(), threading.get_native_id(), flush=True)
    sys.stdin.read()
thread = threading.Thread(target=reads)
thread.start(); thread.join()",
    );
    let numbers = target.numbers();
    assert_ne!(numbers[0], numbers[1]);
    assert_eq!(attach(numbers[1]).processes[0].pid, numbers[0]);
}

#[test]
fn another_users_tree_is_refused_by_its_users_name() {
    if !geteuid().is_root() || !Path::new(SYSTEM).exists() {
        return skipped("another user's tree", "only root can be two users");
    }
    let (_folder, public) = run::public_copies();
    let scripts = tempfile::tempdir().unwrap();
    let name = format!("of_root_{}.py", std::process::id());
    let script = scripts.path().join(&name);
    std::fs::write(&script, "import sys; print(flush=True); sys.stdin.read()").unwrap();
    let mut command = Command::new(SYSTEM);
    command.arg(&script);
    let mut target = Target::start(command);
    target.line();
    let pid = target.pid().to_string();
    for named in [&pid, &name] {
        let mut refcow = Command::new(&public);
        refcow.uid(NOBODY).gid(NOBODY).current_dir("/");
        let error = refused(refcow, named, 3);
        let expected =
            format!("error: process {pid} (python3) belongs to user root (0), and you are user");
        assert!(error.starts_with(&expected), "{error}");
        assert!(
            error.contains(&format!("sudo refcow attach {pid}")),
            "{error}"
        );
    }
}

#[rstest]
#[case::what_they_are("1")]
#[case::that_they_are("2")]
fn a_process_that_proc_hides_is_there_all_the_same(#[case] hidden: &str) {
    let test = "processes that /proc hides";
    let hides = format!("mount -t proc -o hidepid={hidden} proc /proc");
    let probe = Command::new("unshare")
        .args(["-m", "sh", "-c", &hides])
        .output();
    if !geteuid().is_root() || !probe.is_ok_and(|ran| ran.status.success()) {
        return skipped(test, "only root may mount /proc");
    }
    let (_folder, public) = run::public_copies();
    let target = Target::of_text("import sys; sys.stdin.read()");
    let pid = target.pid().to_string();
    let as_nobody = "exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$@\"";
    let mut shell = Command::new("unshare");
    shell.args([
        "-m",
        "sh",
        "-c",
        &format!("{hides} && cd / && {as_nobody}"),
        "sh",
    ]);
    shell.arg(&public);
    let error = refused(shell, &pid, 3);
    let expected = format!("error: process {pid} belongs to another user, and /proc hides it");
    assert!(error.starts_with(&expected), "{error}");
}
