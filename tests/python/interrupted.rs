//! An environment that is not finished leaves nothing behind.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;

use crate::elsewhere::made_in;
use crate::fake::{all_gone, alone, installation, script};
use crate::signals::with_default_signals;

/// An interpreter that can import nothing and whose `-m venv` hangs once it has made a folder:
/// refcow is in the middle of building for as long as a test likes.
fn builder(root: &Path) {
    installation(root, "3.12.1", "{}");
    script(
        &root.join("bin/python3"),
        &format!(
            "case \"$1$3\" in -E*) cat '{0}/answer';; -Ivenv) mkdir -p \"$5\"; echo $$ >'{0}/pids'; echo started >'{0}/fifo'; exec sleep 600;; *) exit 1;; esac",
            root.display()
        ),
    );
    nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
}

fn start(root: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_refcow"));
    with_default_signals(&mut command);
    command
        .args(["measure", "numpy_arrays", "--python"])
        .arg(root.join("bin/python3"))
        .env("XDG_CACHE_HOME", root.join("cache"))
        // No uv: it would be asked first.
        .env("PATH", "/usr/bin:/bin")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Names in the folder of environments, lock files apart.
fn made(root: &Path) -> Vec<String> {
    made_in(&root.join("cache/refcow/environments"))
}

#[rstest]
#[case(Signal::SIGINT)]
#[case(Signal::SIGTERM)]
#[case(Signal::SIGHUP)]
fn an_interrupted_build_leaves_nothing(#[case] signal: Signal) {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    builder(root.path());
    let mut run = start(root.path());
    // Opening a FIFO waits for the other side: the build has begun when this returns.
    fs::read(root.path().join("fifo")).unwrap();
    kill(Pid::from_raw(run.id().cast_signed()), signal).unwrap();
    let mut said = String::new();
    run.stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    run.wait().unwrap();
    assert!(said.contains("error: interrupted"), "{said}");
    assert!(made(root.path()).is_empty());
    all_gone(&root.path().join("pids"));
}

#[test]
fn a_killed_build_takes_its_child_along_and_the_next_run_sweeps() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    builder(root.path());
    let mut first = start(root.path());
    fs::read(root.path().join("fifo")).unwrap();

    // A second run that starts meanwhile waits for the first.
    let mut second = start(root.path());
    let mut said = BufReader::new(second.stderr.take().unwrap()).lines();
    assert!(
        said.by_ref()
            .map(Result::unwrap)
            .any(|line| line.starts_with("refcow: waiting for another refcow"))
    );
    let left = made(root.path());
    assert_eq!(left.len(), 1);

    first.kill().unwrap();
    first.wait().unwrap();
    all_gone(&root.path().join("pids"));
    // Then it is the second one's turn, with a folder of its own.
    fs::read(root.path().join("fifo")).unwrap();
    let now = made(root.path());
    assert_eq!(now.len(), 1);
    assert_ne!(left, now);
    kill(Pid::from_raw(second.id().cast_signed()), Signal::SIGTERM).unwrap();
    second.wait().unwrap();
    assert!(made(root.path()).is_empty());
}
