//! Finding and preparing interpreters, with shell scripts in their place: no network and no Python needed.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use miette::Diagnostic as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use refcow::python::{self, Error, Interpreter, Unusable};
use rstest::rstest;

/// A script that is still open for writing in one thread while another one forks cannot be executed (ETXTBSY): scripts
/// are written and run by one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn script(path: &Path, body: &str) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_owned()
}

/// A folder with an "installation" in it: `bin/python3` answers as an interpreter would, and libpython exists (a copy of
/// the start of this very program, whose architecture is right).
fn installation(root: &Path, version: &str, changes: &str) -> PathBuf {
    let series = version.rsplit_once('.').unwrap().0;
    let library = root.join(format!("lib/libpython{series}.so.1.0"));
    fs::create_dir_all(library.parent().unwrap()).unwrap();
    let mut header = [0; 64];
    fs::File::open(std::env::current_exe().unwrap())
        .unwrap()
        .read_exact(&mut header)
        .unwrap();
    fs::write(library, header).unwrap();

    let mut answer = serde_json::json!({
        "implementation": "cpython",
        "version": format!("{version} (main) [fake]"),
        "version_info": version.split('.').map(|n| n.parse().unwrap()).collect::<Vec<u32>>(),
        "executable": root.join("bin/python3"),
        "prefix": root,
        "base_prefix": root,
        "libdir": root.join("lib"),
        "multiarch": null,
        "instsoname": format!("libpython{series}.so.1.0"),
        "ldlibrary": null,
        "ldversion": series,
        "gil_disabled": false,
        "loaded": [],
        "packages": {},
    });
    let changes: serde_json::Value = serde_json::from_str(changes).unwrap();
    for (key, value) in changes.as_object().unwrap() {
        answer[key] = value.clone();
    }
    let answer = root
        .join("answer")
        .tap(|path| fs::write(path, format!("refcow-probe:{answer}\n")).unwrap());
    script(
        &root.join("bin/python3"),
        // prepare() imports with -I; the probe asks with -E.
        &format!(
            "case $1 in -E) cat '{}';; *) printf 'refcow-import:{{\"versions\":{{\"numpy\":\"9.9\"}},\"failures\":{{}}}}\\n';; esac",
            answer.display()
        ),
    )
}

/// `let x = f(); g(&x); x` in one line.
trait Tap: Sized {
    fn tap(self, act: impl FnOnce(&Self)) -> Self {
        act(&self);
        self
    }
}
impl Tap for PathBuf {}

fn choose(path: &Path) -> Result<Interpreter, Error> {
    python::choose(Some(path.to_str().unwrap()))
}

fn refusal(path: &Path) -> Unusable {
    match choose(path) {
        Err(Error::Unusable { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_interpreter_is_taken_by_its_path_and_by_its_folder() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let program = installation(root.path(), "3.12.1", "{}");
    for path in [program.as_path(), root.path()] {
        let found = choose(path).unwrap();
        assert_eq!(found.version, "3.12.1");
        assert_eq!(found.executable, program);
        assert_eq!(
            found.libpython,
            root.path().join("lib/libpython3.12.so.1.0")
        );
    }
}

#[rstest]
#[case::too_old("3.7.16", "{}", "3.8 is the oldest")]
#[case::other("3.10.14", r#"{"implementation": "pypy"}"#, "pypy, not CPython")]
#[case::free_threaded("3.13.0", r#"{"gil_disabled": true}"#, "free-threaded")]
#[case::static_build(
    "3.11.7",
    r#"{"libdir": "/nowhere", "base_prefix": "/nowhere"}"#,
    "no shared libpython"
)]
#[case::other_processor(
    "3.11.7",
    r#"{"loaded": ["/dev/null/libpython3.11.so"], "libdir": "FOREIGN"}"#,
    "another architecture"
)]
fn what_cannot_be_embedded_is_refused_with_its_reason_and_a_remedy(
    #[case] version: &str,
    #[case] changes: &str,
    #[case] says: &str,
) {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let foreign = root.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(
        foreign.join("libpython3.11.so.1.0"),
        "not an ELF file, by no means",
    )
    .unwrap();
    let changes = changes.replace("FOREIGN", foreign.to_str().unwrap());
    let program = installation(root.path(), version, &changes);
    let error = choose(&program).unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
    assert!(
        error
            .help()
            .is_some_and(|help| !help.to_string().is_empty())
    );
}

#[test]
fn programs_that_are_no_interpreters_are_told_apart() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let make = |name: &str, body: &str| script(&root.path().join(name), body);
    assert!(matches!(
        refusal(&make("garbage", "echo hello")),
        Unusable::NotPython
    ));
    assert!(matches!(refusal(&make("silent", ":")), Unusable::NotPython));
    assert!(matches!(
        refusal(&make("flood", "exec cat /dev/zero")),
        Unusable::NotPython
    ));
    let Unusable::DoesNotRun { reason } = refusal(&make("fails", "echo why >&2; exit 3")) else {
        panic!();
    };
    assert_eq!(reason, "exit status 3: why");
    let Unusable::DoesNotRun { reason } = refusal(&make("dies", "kill -SEGV $$")) else {
        panic!();
    };
    assert_eq!(reason, "killed by signal 11");
    // No #! line and no ELF header: execvp(3) hands it to the shell, which cannot make sense of it either.
    let binary = root.path().join("binary");
    fs::write(&binary, [0u8; 64]).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(
        refusal(&binary),
        Unusable::DoesNotRun { .. } | Unusable::NotPython
    ));
}

#[test]
fn wrong_paths_are_told_apart() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    assert!(matches!(
        choose(root.path()),
        Err(Error::NotAnEnvironment { .. })
    ));
    let plain = root.path().join("plain");
    fs::write(&plain, "import sys").unwrap();
    assert!(matches!(choose(&plain), Err(Error::NotExecutable { .. })));
    assert!(matches!(
        choose(&plain.join("x")),
        Err(Error::Unreadable { .. })
    ));
    assert!(matches!(
        choose(&root.path().join("absent")),
        Err(Error::NotFound { .. })
    ));
    assert!(matches!(
        python::choose(Some("3.99")),
        Err(Error::NoSuchVersion { .. })
    ));
}

#[test]
fn a_program_that_hangs_is_killed_with_what_it_started() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let pids = root.path().join("pids");
    let program = script(
        &root.path().join("hangs"),
        &format!(
            "sleep 600 & echo $! >'{0}'; echo $$ >>'{0}'; wait",
            pids.display()
        ),
    );
    let start = Instant::now();
    assert!(matches!(refusal(&program), Unusable::Hangs { seconds: 10 }));
    assert!(start.elapsed() < Duration::from_secs(20));
    all_gone(&pids);
}

#[test]
fn what_a_program_leaves_running_is_killed_and_not_waited_for() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let pids = root.path().join("pids");
    let program = script(
        &root.path().join("leaves"),
        &format!("sleep 600 & echo $! >'{}'", pids.display()),
    );
    let start = Instant::now();
    assert!(matches!(refusal(&program), Unusable::NotPython));
    assert!(start.elapsed() < Duration::from_secs(5));
    all_gone(&pids);
}

#[test]
fn an_interpreter_that_imports_all_is_used_as_it_is() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    installation(root.path(), "3.12.1", "{}");
    let interpreter = choose(root.path()).unwrap();
    let ready = python::prepare(interpreter.clone(), &["numpy".to_owned()], &|line| {
        panic!("nothing to do, and yet: {line}")
    })
    .unwrap();
    assert_eq!(ready.bin, root.path().join("bin"));
    assert_eq!(ready.packages["numpy"], "9.9");
    assert_eq!(ready.interpreter, interpreter);
}

#[test]
fn a_module_without_a_pin_is_named() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    installation(root.path(), "3.12.1", "{}");
    let interpreter = choose(root.path()).unwrap();
    script(&root.path().join("bin/python3"), "exit 1");
    let modules = ["numpy".to_owned(), "nonesuch".to_owned()];
    let Err(Error::NotPinned { modules, .. }) = python::prepare(interpreter, &modules, &|_| {})
    else {
        panic!();
    };
    assert_eq!(modules, "nonesuch");
}

/// An interpreter that can import nothing and whose `-m venv` hangs once it has made a folder: refcow is in the middle
/// of building for as long as a test likes.
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
    // Signals that whoever runs the tests ignores (a script's background job) would be ignored here too.
    Command::new("env")
        .arg("--default-signal=INT,TERM,HUP")
        .args([
            env!("CARGO_BIN_EXE_refcow"),
            "measure",
            "numpy_arrays",
            "--python",
        ])
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
    fs::read_dir(root.join("cache/refcow/environments"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".lock"))
        .collect()
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

/// Waits until no process of these pids runs. A zombie runs no more; its parent may take its time to reap it.
fn all_gone(pids: &Path) {
    let deadline = Instant::now() + Duration::from_secs(5);
    for pid in fs::read_to_string(pids).unwrap().lines() {
        let Ok(pid) = pid.parse::<i32>() else {
            panic!("{pid:?}");
        };
        let runs = || {
            procfs::process::Process::new(pid)
                .and_then(|process| process.stat())
                .is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X'))
        };
        while runs() {
            assert!(Instant::now() < deadline, "process {pid} still runs");
            std::thread::yield_now();
        }
    }
}
