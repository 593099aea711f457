//! Finding and preparing interpreters, with shell scripts in their place: no network and no Python needed.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use miette::Diagnostic as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use refcow::python::{self, Interpreter, PythonError, Unusable};
use rstest::rstest;
use signals::with_default_signals;

#[expect(dead_code, reason = "the other tests use all of it")]
#[path = "common/signals.rs"]
mod signals;

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

/// The start of this very program, which says how it is loaded, with some bytes changed.
fn elf(path: &Path, change: impl FnOnce(&mut [u8])) {
    let mut start = [0; 4096];
    fs::File::open(std::env::current_exe().unwrap())
        .unwrap()
        .read_exact(&mut start)
        .unwrap();
    change(&mut start);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, start).unwrap();
}

/// For another processor: S/390.
fn foreign(start: &mut [u8]) {
    start[18] = 22;
}

/// Without a dynamic loader: among the program headers, behind the file's 64 bytes, none names one.
fn fixed(start: &mut [u8]) {
    for header in start[64..].chunks_mut(56).take(32) {
        if header[0] == 3 {
            header[0] = 4;
        }
    }
}

/// A folder with an "installation" in it: `bin/python3` answers as an interpreter would, and `lib/program` could be its
/// program.
fn installation(root: &Path, version: &str, changes: &str) -> PathBuf {
    let program = root.join("lib/program");
    elf(&program, |_| {});

    let mut answer = serde_json::json!({
        "implementation": "cpython",
        "version": format!("{version} (main) [fake]"),
        "version_info": version.split('.').map(|n| n.parse().unwrap()).collect::<Vec<u32>>(),
        "executable": root.join("bin/python3"),
        "prefix": root,
        "base_prefix": root,
        "program": program,
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

fn choose(path: &Path) -> Result<Interpreter, PythonError> {
    python::choose(Some(path.to_str().unwrap()))
}

fn refusal(path: &Path) -> Unusable {
    match choose(path) {
        Err(PythonError::Unusable { reason, .. }) => reason,
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
        assert_eq!(found.program, root.path().join("lib/program"));
    }
}

#[rstest]
#[case::too_old("3.7.16", "{}", "3.8 is the oldest")]
#[case::other("3.10.14", r#"{"implementation": "pypy"}"#, "pypy, not CPython")]
#[case::free_threaded("3.13.0", r#"{"gil_disabled": true}"#, "free-threaded")]
#[case::statically_linked("3.11.7", r#"{"program": "FIXED"}"#, "linked statically")]
#[case::other_processor("3.11.7", r#"{"program": "FOREIGN"}"#, "another architecture")]
#[case::script("3.11.7", r#"{"program": "SCRIPT"}"#, "no 64-bit ELF program")]
#[case::gone("3.11.7", r#"{"program": "/nowhere/python3"}"#, "No such file")]
fn what_cannot_be_measured_is_refused_with_its_reason_and_a_remedy(
    #[case] version: &str,
    #[case] changes: &str,
    #[case] says: &str,
) {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    elf(&at("fixed"), fixed);
    elf(&at("foreign"), foreign);
    script(&at("script"), "exec python3");
    let mut changes = changes.to_owned();
    for name in ["fixed", "foreign", "script"] {
        let path = at(name).to_str().unwrap().to_owned();
        changes = changes.replace(&name.to_uppercase(), &path);
    }
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
        Err(PythonError::NotAnEnvironment { .. })
    ));
    let plain = root.path().join("plain");
    fs::write(&plain, "import sys").unwrap();
    assert!(matches!(
        choose(&plain),
        Err(PythonError::NotExecutable { .. })
    ));
    assert!(matches!(
        choose(&plain.join("x")),
        Err(PythonError::Unreadable { .. })
    ));
    assert!(matches!(
        choose(&root.path().join("absent")),
        Err(PythonError::NotFound { .. })
    ));
    assert!(matches!(
        python::choose(Some("3.99")),
        Err(PythonError::NoSuchVersion { .. })
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
    assert_eq!(ready.executable, root.path().join("bin/python3"));
    assert_eq!(ready.installed.versions["numpy"], "9.9");
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
    let Err(PythonError::NotPinned { modules, .. }) =
        python::prepare(interpreter, &modules, &|_| {})
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

fn made_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
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

/// A process of its own, whose environment a test chooses: PATH and the folders of a user cannot be changed in one that
/// has other threads.
struct Elsewhere {
    root: tempfile::TempDir,
    variables: Vec<(&'static str, PathBuf)>,
}

/// What [`in_a_process_of_its_own`] said, a line each.
#[derive(Debug)]
struct Said {
    lines: Vec<String>,
    progress: Vec<String>,
}

impl Elsewhere {
    /// With nothing on PATH but what every system has.
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["home", "cache", "work"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self {
            root,
            variables: Vec::new(),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn set(&mut self, name: &'static str, value: impl Into<PathBuf>) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
    }

    /// PATH, with these folders of the test's before it.
    fn path(&mut self, folders: &[&str]) {
        let folders = folders.iter().map(|folder| self.at(folder));
        let all = folders.chain(["/usr/bin".into(), "/bin".into()]);
        self.set("PATH", std::env::join_paths(all).unwrap());
    }

    fn start(&self, task: &str, selectors: &[&str]) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "in_a_process_of_its_own",
            ])
            .env_clear()
            .env("TASK", task)
            .env("SELECTORS", selectors.join("\n"))
            .env("HOME", self.at("home"))
            .env("XDG_CACHE_HOME", self.at("cache"))
            .env("PATH", "/usr/bin:/bin")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.at("work"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        with_default_signals(&mut command);
        command.spawn().unwrap()
    }

    fn run(&self, task: &str, selectors: &[&str]) -> Said {
        self.finish(self.start(task, selectors), Vec::new())
    }

    fn finish(&self, child: Child, before: Vec<String>) -> Said {
        let output = child.wait_with_output().unwrap();
        let root = self.root.path().to_str().unwrap();
        // What a machine has in /usr/bin is no matter of these tests.
        let ours = |text: Vec<u8>, mark: &str| -> Vec<String> {
            String::from_utf8(text)
                .unwrap()
                .lines()
                .filter_map(|line| line.strip_prefix(mark))
                .filter(|line| line.contains(root) || mark == "progress: ")
                .map(|line| line.replace(&format!("{root}/"), ""))
                .collect()
        };
        assert!(output.status.success(), "{output:?}");
        let mut progress = before;
        progress.extend(ours(output.stderr, "progress: "));
        Said {
            lines: ours(output.stdout, "said: "),
            progress,
        }
    }

    fn choose(&self, selectors: &[&str]) -> Vec<String> {
        self.run("choose", selectors).lines
    }

    fn cache(&self) -> PathBuf {
        self.at("cache/refcow/interpreters.json")
    }
}

/// Not a test: what other tests have done in a process of its own, in words.
#[test]
#[ignore = "other tests run it, in an environment of their own"]
fn in_a_process_of_its_own() {
    let Ok(task) = std::env::var("TASK") else {
        return;
    };
    let selectors = std::env::var("SELECTORS").unwrap();
    let selectors: Vec<String> = selectors.lines().map(str::to_owned).collect();
    let one_line = |text: String| text.replace('\n', " ");
    if task == "discover" {
        for found in python::discover() {
            let words = match found.outcome {
                Ok(interpreter) => interpreter.version,
                Err(reason) => one_line(reason.to_string()),
            };
            println!("said: {}: {words}", found.path.display());
        }
        return;
    }
    if task == "packages" {
        let found = python::choose_all(&selectors).unwrap().interpreters;
        let modules = ["numpy".to_owned()];
        let packages = python::packages(&found.iter().collect::<Vec<_>>(), &modules).unwrap();
        for (one, packages) in found.iter().zip(packages) {
            println!("said: {}: {packages:?}", one.executable.display());
        }
        return;
    }
    let chosen = match python::choose_all(&selectors) {
        Ok(chosen) => chosen,
        Err(error) => {
            println!("said: error: {}", one_line(error.to_string()));
            return;
        }
    };
    for error in chosen.refused {
        println!("said: refused: {}", one_line(error.to_string()));
    }
    if task == "choose" {
        for one in chosen.interpreters {
            println!("said: {} {}", one.version, one.executable.display());
        }
        return;
    }
    let mut progress = |line: &str| eprintln!("progress: {line}");
    for ready in python::prepare_all(chosen.interpreters, &["numpy".to_owned()], &mut progress) {
        match ready {
            Ok(ready) => println!(
                "said: {} numpy {} in {}",
                ready.interpreter.version,
                ready.installed.versions["numpy"],
                ready.executable.parent().unwrap().display()
            ),
            Err(error) => println!("said: error: {}", one_line(error.to_string())),
        }
    }
}

/// A virtual environment over an installation: its program is a link, as `venv` makes it.
fn environment(place: &Elsewhere, name: &str, base: &str) {
    let (root, base) = (place.at(name), place.at(base));
    let answer = fs::read_to_string(base.join("answer")).unwrap();
    let mut answer: serde_json::Value =
        serde_json::from_str(answer.trim().strip_prefix("refcow-probe:").unwrap()).unwrap();
    answer["prefix"] = root.to_str().unwrap().into();
    answer["executable"] = root.join("bin/python3").to_str().unwrap().into();
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("pyvenv.cfg"), "").unwrap();
    fs::write(root.join("answer"), format!("refcow-probe:{answer}\n")).unwrap();
    script(
        &root.join("bin/python3"),
        &format!("cat '{}'", root.join("answer").display()),
    );
}

#[test]
fn all_are_sorted_by_version_and_come_once_each() {
    let _alone = alone();
    let mut place = Elsewhere::new();
    let install = |name: &str, version: &str| installation(&place.at(name), version, "{}");
    install("ten", "3.10.4");
    install("nine", "3.9.2");
    install("patched", "3.10.14");
    install("twin", "3.10.14");
    let changes = r#"{"version": "3.15.0b2 (main) [fake]", "version_info": [3, 15, 0]}"#;
    installation(&place.at("beta"), "3.15.0", changes);
    installation(&place.at("alpha"), "3.15.0", &changes.replace("b2", "a10"));
    install("final", "3.15.0");
    environment(&place, "env", "nine");
    environment(&place, "other_env", "nine");
    place.path(&["twin/bin", "env/bin", "final/bin"]);
    let named = ["patched", "nine", "beta", "alpha", "ten", "other_env"];
    let named = named.map(|name| place.at(name));
    place.set("REFCOW_PYTHONS", std::env::join_paths(named).unwrap());
    let all = [
        // Of one installation the first on PATH: not nine itself, and not its other environment.
        "3.9.2 env/bin/python3",
        "3.10.4 ten/bin/python3",
        // Two of one version: in PATH's order.
        "3.10.14 twin/bin/python3",
        "3.10.14 patched/bin/python3",
        "3.15.0a10 alpha/bin/python3",
        "3.15.0b2 beta/bin/python3",
        "3.15.0 final/bin/python3",
    ];
    assert_eq!(place.choose(&["all"]), all);
    assert_eq!(place.choose(&["all", "3.10.14", "3.9", "all"]), all);

    // A version alone is still the first of PATH's order.
    assert_eq!(place.choose(&["3.10"]), ["3.10.14 twin/bin/python3"]);
    assert_eq!(place.choose(&["3.15"]), ["3.15.0 final/bin/python3"]);
    assert_eq!(place.choose(&[]), ["3.10.14 twin/bin/python3"]);

    // What is named stays, and stands for its installation.
    let (nine, other) = (place.at("nine"), place.at("other_env"));
    let (nine, other) = (nine.to_str().unwrap(), other.to_str().unwrap());
    let named = ["3.9.2 other_env/bin/python3", "3.9.2 nine/bin/python3"];
    assert_eq!(place.choose(&[other, nine, other, "3.9.2"])[..2], named);
    let with_others = place.choose(&["all", other, nine]);
    assert_eq!(with_others[..2], named);
    assert_eq!(with_others[2..], all[1..]);
}

#[test]
fn what_cannot_be_used_is_refused_beside_what_can() {
    let _alone = alone();
    let mut place = Elsewhere::new();
    let good = installation(&place.at("good"), "3.12.1", "{}");
    let old = installation(&place.at("old"), "3.7.16", "{}");
    installation(
        &place.at("pypy"),
        "3.10.14",
        r#"{"implementation": "pypy"}"#,
    );
    installation(&place.at("static"), "3.11.7", "{}");
    elf(&place.at("static/lib/program"), fixed);
    installation(&place.at("free"), "3.13.0", r#"{"gil_disabled": true}"#);
    script(
        &place.at("fails/bin/python3"),
        "echo out of order >&2; exit 3",
    );
    installation(&place.at("foreign"), "3.13.1", "{}");
    elf(&place.at("foreign/lib/program"), foreign);
    script(&place.at("hello/bin/python3"), "echo hello");
    // An environment whose base has gone.
    fs::create_dir_all(place.at("env/bin")).unwrap();
    fs::write(place.at("env/pyvenv.cfg"), "").unwrap();
    std::os::unix::fs::symlink(place.at("gone/bin/python3"), place.at("env/bin/python")).unwrap();
    std::os::unix::fs::symlink("python", place.at("env/bin/python3")).unwrap();

    place.path(&[
        "env/bin",
        "fails/bin",
        "good/bin",
        "old/bin",
        "pypy/bin",
        "static/bin",
        "free/bin",
        "foreign/bin",
        "hello/bin",
    ]);
    let all = [
        "refused: env/bin/python3 cannot be used: it does not run: it is a link to gone/bin/python3, which is not there",
        "refused: fails/bin/python3 cannot be used: it does not run: exit status 3: out of order",
        "refused: foreign/bin/python3 cannot be used: refcow-subject cannot be preloaded into foreign/lib/program: it is built \
         for another architecture than refcow",
        "3.12.1 good/bin/python3",
    ];
    assert_eq!(place.choose(&["all"]), all);
    let env = place.at("env");
    assert_eq!(place.choose(&["all", env.to_str().unwrap()]), all);

    let (good, old) = (good.to_str().unwrap(), old.to_str().unwrap());
    let refused = "old/bin/python3 cannot be used: it is Python 3.7.16; 3.8 is the oldest that refcow can measure";
    let both = [
        format!("refused: {refused}"),
        "3.12.1 good/bin/python3".into(),
    ];
    assert_eq!(place.choose(&[old, good, old]), both);
    assert_eq!(place.choose(&["3.7", good]), both);
    assert_eq!(place.choose(&[old]), [format!("error: {refused}")]);

    // What is not there at all is told at once.
    let absent = place.at("absent");
    let [said] = &place.choose(&[good, absent.to_str().unwrap()])[..] else {
        panic!();
    };
    assert!(said.starts_with("error: no Python at"), "{said}");
    let work = place.at("work");
    let [said] = &place.choose(&["all", work.to_str().unwrap()])[..] else {
        panic!();
    };
    assert!(said.contains("is no Python environment"), "{said}");
}

/// An installation whose program is no script, so that its answer is kept. Each start adds a line to `starts`.
fn binary(place: &Elsewhere, name: &str, version: &str) {
    let root = place.at(name);
    let program = installation(&root, version, "{}");
    fs::remove_file(&program).unwrap();
    // The grammar that reads fixtures needs a C compiler as well.
    let compiled = Command::new(std::env::var_os("CC").unwrap_or("cc".into()))
        .arg("-o")
        .arg(&program)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/interpreter.c"
        ))
        .status();
    assert!(compiled.unwrap().success());
}

fn starts(place: &Elsewhere, name: &str) -> usize {
    let lines = fs::read_to_string(place.at(name).join("starts")).unwrap_or_default();
    lines.lines().count()
}

#[test]
fn a_program_is_started_again_only_when_something_has_changed() {
    let _alone = alone();
    let mut place = Elsewhere::new();
    binary(&place, "one", "3.12.1");
    place.path(&["one/bin"]);
    let expect = |count: usize, after: &str| {
        assert_eq!(
            place.choose(&["all"]),
            ["3.12.1 one/bin/python3"],
            "{after}"
        );
        assert_eq!(place.choose(&[]), ["3.12.1 one/bin/python3"], "{after}");
        assert_eq!(starts(&place, "one"), count, "{after}");
    };
    expect(1, "first");
    let program = place.at("one/bin/python3");
    let touch = |path: &Path| {
        let file = fs::File::open(path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
    };
    touch(&program);
    expect(2, "time of modification");
    fs::write(place.at("one/pyvenv.cfg"), "").unwrap();
    expect(3, "pyvenv.cfg");
    fs::write(place.at("one/pyvenv.cfg"), "home = elsewhere").unwrap();
    expect(4, "pyvenv.cfg of another size");
    let own = place.at("one/lib/program");
    touch(&own);
    expect(5, "its program");
    // Another file with the same bytes.
    let copy = place.at("copy");
    let copied = Command::new("cp")
        .arg("-p")
        .args([&program, &copy])
        .status();
    assert!(copied.unwrap().success());
    fs::rename(&copy, &program).unwrap();
    expect(6, "inode");
    for broken in ["", "{", "null", r#"{"asked_by":1}"#] {
        fs::write(place.cache(), broken).unwrap();
        place.choose(&["all"]);
    }
    expect(10, "broken caches");
    let kept = fs::read_to_string(place.cache()).unwrap();
    fs::write(place.cache(), kept.replace("refcow 0", "refcow older 0")).unwrap();
    expect(11, "another refcow's");

    // The program is not asked, and still what follows from its answer is looked at.
    fs::rename(&own, place.at("away")).unwrap();
    let said = place.choose(&["all"]);
    assert!(
        said[0].starts_with("refused: one/bin/python3 cannot be used: "),
        "{said:?}"
    );
    fs::rename(place.at("away"), &own).unwrap();
    fs::rename(place.at("one"), place.at("moved")).unwrap();
    assert!(
        place
            .choose(&["all"])
            .iter()
            .all(|line| !line.contains("3.12.1"))
    );
}

#[test]
fn a_refusal_is_remembered_too_and_a_failure_is_not() {
    let _alone = alone();
    let mut place = Elsewhere::new();
    binary(&place, "old", "3.7.16");
    binary(&place, "silent", "3.12.1");
    let answer = place.at("silent/answer");
    fs::rename(&answer, place.at("answer")).unwrap();
    place.path(&["old/bin", "silent/bin"]);
    for _ in 0..2 {
        assert_eq!(
            place.run("discover", &[]).lines,
            [
                "old/bin/python3: it is Python 3.7.16; 3.8 is the oldest that refcow can measure",
                "silent/bin/python3: it does not run: exit status 1"
            ]
        );
    }
    assert_eq!((starts(&place, "old"), starts(&place, "silent")), (1, 2));
    fs::rename(place.at("answer"), &answer).unwrap();
    assert_eq!(place.choose(&["all"]), ["3.12.1 silent/bin/python3"]);
}

#[test]
fn without_a_place_for_a_cache_programs_are_asked() {
    let _alone = alone();
    let mut place = Elsewhere::new();
    binary(&place, "one", "3.12.1");
    place.path(&["one/bin"]);
    // Root may write anywhere, but not into a file as if it were a folder, nor into /proc.
    for (count, folder) in (1..).zip([place.at("one/answer"), "/proc/nowhere".into()]) {
        place.set("XDG_CACHE_HOME", folder);
        assert_eq!(place.choose(&["all"]), ["3.12.1 one/bin/python3"]);
        assert_eq!(starts(&place, "one"), count);
    }
}

#[test]
fn several_runs_at_once_share_a_cache() {
    let _alone = alone();
    let mut place = Elsewhere::new();
    for (name, version) in [("one", "3.12.1"), ("two", "3.13.2")] {
        binary(&place, name, version);
    }
    place.path(&["one/bin", "two/bin"]);
    let all = ["3.12.1 one/bin/python3", "3.13.2 two/bin/python3"];
    let runs: Vec<_> = (0..6).map(|_| place.start("choose", &["all"])).collect();
    for run in runs {
        assert_eq!(place.finish(run, Vec::new()).lines, all);
    }
    let before = starts(&place, "one") + starts(&place, "two");
    assert_eq!(place.choose(&["all"]), all);
    assert_eq!(starts(&place, "one") + starts(&place, "two"), before);
    // Nothing lies about.
    let left: Vec<_> = fs::read_dir(place.at("cache/refcow")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_wrapper_is_asked_each_time() {
    let _alone = alone();
    let place = Elsewhere::new();
    binary(&place, "one", "3.12.1");
    binary(&place, "two", "3.13.2");
    // It leads somewhere else tomorrow, and its own file will not tell.
    let wrapper = script(
        &place.at("wrapper/python3"),
        &format!("exec \"$(cat '{}')\" \"$@\"", place.at("target").display()),
    );
    for (name, expected) in [
        ("one", "3.12.1 one/bin/python3"),
        ("two", "3.13.2 two/bin/python3"),
    ] {
        fs::write(
            place.at("target"),
            place.at(name).join("bin/python3").to_str().unwrap(),
        )
        .unwrap();
        assert_eq!(place.choose(&[wrapper.to_str().unwrap()]), [expected]);
    }
}

#[test]
fn a_shim_of_pyenvs_is_asked_once_for_each_choice() {
    let _alone = alone();
    let mut place = Elsewhere::new();
    for version in ["3.12.1", "3.9.18"] {
        let root = format!("pyenv/versions/{version}");
        binary(&place, &root, version);
    }
    let pyenv = place.at("pyenv");
    // What pyenv writes into its shims, and a pyenv that says that it was started.
    let shim = format!(
        "set -e\nprogram=\"${{0##*/}}\"\nexport PYENV_ROOT=\"{0}\"\nexec \"{0}/libexec/pyenv\" exec \"$program\" \"$@\"",
        pyenv.display()
    );
    script(&pyenv.join("shims/python3"), &shim);
    script(&pyenv.join("shims/python3.8"), &shim);
    script(
        &pyenv.join("libexec/pyenv"),
        &format!(
            "echo started >>'{0}/starts'\n\
             version=${{PYENV_VERSION:-$(cat ../.python-version 2>/dev/null || cat '{0}/version')}}\n\
             [ $version = 3.9 ] && version=3.9.18\n\
             shift; program=$1; shift; exec '{0}/versions/'$version/bin/$program \"$@\"",
            pyenv.display()
        ),
    );
    place.path(&["pyenv/shims"]);
    let (old, new) = (
        "3.9.18 pyenv/versions/3.9.18/bin/python3",
        "3.12.1 pyenv/versions/3.12.1/bin/python3",
    );
    let expect = |place: &Elsewhere, expected: &str, count: usize| {
        for _ in 0..2 {
            assert_eq!(place.choose(&[]), [expected]);
        }
        assert_eq!(starts(place, "pyenv"), count);
    };
    fs::write(pyenv.join("version"), "3.12.1\n").unwrap();
    expect(&place, new, 1);
    // A file in the working folder, or above it, that was not there.
    fs::write(place.at(".python-version"), "3.9.18\n").unwrap();
    expect(&place, old, 2);
    place.set("PYENV_VERSION", "3.12.1");
    expect(&place, new, 3);
    place.set("PYENV_VERSION", "3.9");
    expect(&place, old, 4);
    // Another version of this prefix may have come.
    fs::create_dir(pyenv.join("versions/3.9.19")).unwrap();
    expect(&place, old, 5);
    // All are found without it: what is behind the shim of 3.8 would be among its versions.
    place.set("PYENV_ROOT", pyenv.clone());
    assert_eq!(place.choose(&["all"]), [old, new]);
    // PYENV_ROOT is another question.
    assert_eq!(starts(&place, "pyenv"), 6);
    // A version of one's own choosing means the first on PATH, whatever it costs.
    place.choose(&["3.8"]);
    assert_eq!(starts(&place, "pyenv"), 7);
    // A plugin may choose by anything.
    fs::create_dir_all(pyenv.join("plugins/own/etc/pyenv.d/version-name")).unwrap();
    expect(&place, old, 9);
}

#[test]
fn pythons_says_of_each_what_it_is_and_what_would_help() {
    let _alone = alone();
    let mut place = Elsewhere::new();
    let fakes = [
        ("good", "3.12.1", "{}".to_owned()),
        ("static", "3.11.7", "{}".to_owned()),
        ("free", "3.13.0", r#"{"gil_disabled": true}"#.to_owned()),
        (
            "pypy",
            "3.10.14",
            r#"{"implementation": "pypy"}"#.to_owned(),
        ),
        ("old", "3.7.16", "{}".to_owned()),
        ("foreign", "3.13.1", "{}".to_owned()),
    ];
    for (name, version, changes) in &fakes {
        installation(&place.at(name), version, changes);
    }
    elf(&place.at("foreign/lib/program"), foreign);
    elf(&place.at("static/lib/program"), fixed);
    maker(&place, "bare", "3.9.18", "", "");
    let names = fakes.iter().map(|(name, ..)| *name).chain(["bare"]);
    let named: Vec<_> = names.map(|name| place.at(name)).collect();
    place.set("REFCOW_PYTHONS", std::env::join_paths(&named).unwrap());
    let pythons = || {
        let output = Command::new(env!("CARGO_BIN_EXE_refcow"))
            .arg("pythons")
            .env_clear()
            .env("HOME", place.at("home"))
            .env("XDG_CACHE_HOME", place.at("cache"))
            .envs(place.variables.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let root = format!("{}/", place.root.path().display());
        String::from_utf8(output.stdout).unwrap().replace(&root, "")
    };
    let said = pythons();
    for block in [
        "3.12.1   good/bin/python3\n         program: good/lib/program\n         \
         bitarray, numpy: its own\n",
        "no       static/bin/python3: refcow-subject cannot be preloaded into static/lib/program: it is linked statically, so \
         that nothing can be loaded into it\n         remedy: choose an interpreter that is linked dynamically with glibc",
        "no       free/bin/python3: it is a free-threaded build (3.13.0), which has another ABI\n         \
         remedy: choose the build of the same version with the GIL",
        "no       pypy/bin/python3: it is pypy, not CPython\n         remedy: refcow measures CPython's",
        "no       old/bin/python3: it is Python 3.7.16; 3.8 is the oldest that refcow can measure\n         \
         remedy: choose a CPython 3.8 or newer\n",
        "no       foreign/bin/python3: refcow-subject cannot be preloaded into foreign/lib/program: it is built for another \
         architecture than refcow\n         remedy: choose an interpreter of refcow's own architecture",
        "3.9.18   bare/bin/python3\n         program: bare/lib/program\n         \
         bitarray, numpy: a private environment is made on first use\n",
    ] {
        assert!(said.contains(block), "{block}\nin\n{said}");
    }
    // It stands from then on.
    let bare = place.at("bare");
    place.run("prepare", &[bare.to_str().unwrap()]);
    let ready = format!(
        "bitarray, numpy: ready in cache/refcow/environments/{}\n",
        environments(&place)[0]
    );
    let said = pythons();
    assert!(said.contains(&ready), "{ready}\nin\n{said}");
}

/// An interpreter that can import nothing, makes environments, and installs what is a file there. `venv` and `pip` are
/// what it does besides, in these steps.
fn maker(place: &Elsewhere, name: &str, version: &str, venv: &str, pip: &str) {
    let root = place.at(name);
    installation(&root, version, "{}");
    let series = version.rsplit_once('.').unwrap().0;
    let in_environment = r#"#!/bin/sh
        numpy=$(echo "${0%/bin/*}"/lib/*/site-packages/numpy)
        [ -e "$numpy" ] || exit 1
        [ -e "$numpy/__init__.py" ] || hollow='"numpy"'
        echo "refcow-import:{\"versions\":{\"numpy\":\"9.9\"},\"failures\":{},\"namespaces\":[$hollow]}""#;
    fs::write(root.join("environments_python"), in_environment).unwrap();
    script(
        &root.join("bin/python3"),
        &format!(
            r#"cd '{root}'
            case "$1 $2 $3" in
            "-E -s -B") cat answer;;
            "-I -m venv") echo made >>starts; {venv}
                mkdir -p "$5/bin" "$5/lib/python{series}/site-packages"
                echo 'home = nowhere' >"$5/pyvenv.cfg"
                cp environments_python "$5/bin/python3"; chmod 755 "$5/bin/python3";;
            "-I -m pip")
                for word; do
                    case $last in --target) site=$word;; --requirement) requirements=$word;; esac
                    last=$word
                done
                {pip} mkdir "$site/numpy"; touch "$site/numpy/__init__.py";;
            *) case "$4" in *refcow-pip*) echo 'refcow-pip:{{"module":"99.0","bundled":null}}';; *) exit 1;; esac;;
            esac"#,
            root = root.display()
        ),
    );
}

fn fifo(place: &Elsewhere, name: &str) -> PathBuf {
    let path = place.at(name);
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    path
}

/// Names in the folder of environments, lock files apart.
fn environments(place: &Elsewhere) -> Vec<String> {
    made_in(&place.at("cache/refcow/environments"))
}

#[test]
fn one_that_fails_half_way_does_not_keep_another_from_being_made() {
    let _alone = alone();
    let mut place = Elsewhere::new();
    // Each is in the middle of it when the other is, or waits for ever.
    let (here, there) = (fifo(&place, "here"), fifo(&place, "there"));
    let first = format!("echo >'{}'; read _ <'{}';", here.display(), there.display());
    let second = format!("read _ <'{}'; echo >'{}';", here.display(), there.display());
    maker(
        &place,
        "bad",
        "3.11.7",
        &first,
        "touch \"$site/half\"; echo no network >&2; exit 1;",
    );
    maker(&place, "good", "3.12.1", &second, "");
    place.path(&["good/bin"]);
    let (bad, good) = (place.at("bad"), place.at("good"));
    let said = place.run("prepare", &[bad.to_str().unwrap(), good.to_str().unwrap()]);
    let [error, ready] = &said.lines[..] else {
        panic!("{said:?}");
    };
    assert!(
        error.starts_with("error: Python 3.11.7 (bad/bin/python3) lacks numpy"),
        "{error}"
    );
    assert!(error.contains("no network"), "{error}");
    let [made] = &environments(&place)[..] else {
        panic!("{said:?}");
    };
    assert_eq!(
        *ready,
        format!("3.12.1 numpy 9.9 in cache/refcow/environments/{made}/bin")
    );
    assert_eq!(said.progress.len(), 2);
    for line in &said.progress {
        assert!(
            line.contains("Python 3.11.7") || line.contains("Python 3.12.1"),
            "{line}"
        );
    }
}

#[test]
fn two_runs_make_one_environment() {
    let _alone = alone();
    let place = Elsewhere::new();
    let (begun, go) = (fifo(&place, "begun"), fifo(&place, "go"));
    let venv = format!("echo >'{}'; read _ <'{}';", begun.display(), go.display());
    maker(&place, "one", "3.12.1", &venv, "");
    let one = place.at("one");
    let first = place.start("prepare", &[one.to_str().unwrap()]);
    fs::read(begun).unwrap();
    let mut second = place.start("prepare", &[one.to_str().unwrap()]);
    let mut said = BufReader::new(second.stderr.take().unwrap()).lines();
    let waiting = said
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line.starts_with("progress: "));
    assert_eq!(
        waiting.as_deref(),
        Some(
            "progress: waiting for another refcow that is making the private environment for Python 3.12.1"
        )
    );
    fs::write(go, "\n").unwrap();
    let first = place.finish(first, Vec::new()).lines;
    assert_eq!(first.len(), 1);
    assert_eq!(place.finish(second, Vec::new()).lines, first);
    assert_eq!((starts(&place, "one"), environments(&place).len()), (1, 1));
}

/// What byte code leaves on the heap when it is read depends on the order of sets in it.
#[test]
fn what_is_made_anew_has_the_same_byte_code() {
    let _alone = alone();
    let place = Elsewhere::new();
    // Written at another time in each.
    let package = r#"mkdir() { command mkdir "$1"
        echo 'def known(word): return word in {"a", "b", "c", "d", "e", "f"}' >"$1/__init__.py"
        touch -d @$(wc -l <starts) "$1/__init__.py"; }; touch() { [ "$1" != -d ] || command touch "$@"; };"#;
    maker(&place, "one", "3.12.1", "", package);
    let one = place.at("one");
    let program = one.join("environments_python");
    let asked = fs::read_to_string(&program).unwrap();
    let mut real = Command::new("python3");
    real.args(["-c", "import sys; print(sys.executable)"]);
    let real = String::from_utf8(real.output().unwrap().stdout).unwrap();
    let compiles = format!(
        "case \"$*\" in *compileall*) exec '{}' \"$@\";; esac",
        real.trim()
    );
    fs::write(
        &program,
        asked.replacen("/bin/sh", &format!("/bin/sh\n{compiles}"), 1),
    )
    .unwrap();
    let make = || {
        let said = place.run("prepare", &[one.to_str().unwrap()]);
        let made = place.at("cache/refcow/environments");
        let environment = made.join(&environments(&place)[0]);
        let package = environment.join("lib/python3.12/site-packages/numpy");
        let written = fs::metadata(package.join("__init__.py")).unwrap().mtime();
        let cached = fs::read_dir(package.join("__pycache__"));
        let [code] = &cached
            .unwrap_or_else(|_| panic!("{said:?}"))
            .collect::<Vec<_>>()[..]
        else {
            panic!("{said:?}");
        };
        let code = fs::read(code.as_ref().unwrap().path()).unwrap();
        fs::remove_dir_all(made).unwrap();
        (written, code)
    };
    let (first, second) = (make(), make());
    assert_ne!(first.0, second.0);
    assert_eq!(first.1, second.1);
}

#[rstest]
#[case::module("lib/python3.12/site-packages/numpy")]
#[case::code_of_a_module("lib/python3.12/site-packages/numpy/__init__.py")]
#[case::program("bin/python3")]
#[case::all_that_is_in_it("bin")]
fn a_broken_environment_gives_way_to_a_new_one(#[case] lost: &str) {
    let _alone = alone();
    let place = Elsewhere::new();
    maker(&place, "one", "3.12.1", "", "");
    let one = place.at("one");
    let prepare = || place.run("prepare", &[one.to_str().unwrap()]);
    let ready = prepare().lines;
    assert!(ready[0].starts_with("3.12.1 numpy 9.9 in "), "{ready:?}");
    assert!(prepare().progress.is_empty());
    let lost = place
        .at("cache/refcow/environments")
        .join(&environments(&place)[0])
        .join(lost);
    if lost.is_dir() {
        fs::remove_dir_all(lost).unwrap();
    } else {
        fs::remove_file(lost).unwrap();
    }
    let again = prepare();
    assert_eq!(again.lines, ready);
    assert_eq!(
        again.progress[0],
        "the private environment for Python 3.12.1 is broken and gives way to a new one"
    );
    assert_eq!((starts(&place, "one"), environments(&place).len()), (2, 1));
}

#[test]
fn an_interpreter_that_has_gone_is_an_error_of_its_own() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let (gone, here) = (root.path().join("gone"), root.path().join("here"));
    installation(&gone, "3.11.7", "{}");
    installation(&here, "3.12.1", "{}");
    let both = vec![choose(&gone).unwrap(), choose(&here).unwrap()];
    fs::remove_dir_all(gone).unwrap();
    let ready = python::prepare_all(both, &["numpy".to_owned()], &mut |_| {});
    let [
        Err(
            PythonError::NoEnvironment { reason, .. }
            | PythonError::NotInstalled { detail: reason, .. },
        ),
        Ok(ready),
    ] = &ready[..]
    else {
        panic!("{ready:?}");
    };
    assert!(!reason.is_empty());
    assert_eq!(ready.interpreter.version, "3.12.1");
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

/// Lets everybody write to something.
fn open_to_all(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
}

/// Where refcow looks by itself: the variable that leads there, its value, and the installation there.
#[rstest]
#[case::pyenv("PYENV_ROOT", "root", "root/versions/3.12.1")]
#[case::pyenv_at_home("HOME", "root", "root/.pyenv/versions/3.12.1")]
#[case::uv("UV_PYTHON_INSTALL_DIR", "root", "root/cpython-3.12.1-linux")]
#[case::asdf("ASDF_DATA_DIR", "root", "root/installs/python/3.12.1")]
#[case::mise("MISE_DATA_DIR", "root", "root/installs/python/3.12.1")]
#[case::rye("RYE_HOME", "root", "root/py/cpython@3.12.1")]
#[case::mamba("MAMBA_ROOT_PREFIX", "root", "root/envs/one")]
#[case::tool_cache("RUNNER_TOOL_CACHE", "root", "root/Python/3.12.1/x64")]
#[case::active_environment("VIRTUAL_ENV", "root", "root")]
#[case::active_conda("CONDA_PREFIX", "root", "root")]
fn what_others_can_write_to_is_listed_and_not_started(
    #[case] variable: &'static str,
    #[case] value: &str,
    #[case] installation: &str,
) {
    let _alone = alone();
    let mut place = Elsewhere::new();
    binary(&place, installation, "3.12.1");
    place.set(variable, place.at(value));
    let program = format!("{installation}/bin/python3");
    // Any folder on the way, the program, and what it loads first.
    for open in [
        "root",
        installation,
        &format!("{installation}/bin"),
        &program,
    ] {
        let before = fs::metadata(place.at(open)).unwrap().permissions();
        open_to_all(&place.at(open));
        let said = place.run("discover", &[]).lines;
        let why = format!("it is not started: everybody can write to {open} (mode 0777)");
        assert_eq!(said, [format!("{program}: {why}")]);
        assert_eq!(starts(&place, installation), 0, "{open}");
        fs::set_permissions(place.at(open), before).unwrap();
    }
    let said = place.run("discover", &[]).lines;
    assert_eq!(said, [format!("{program}: 3.12.1")]);
    assert_eq!(starts(&place, installation), 1);
}

#[test]
fn what_another_user_owns_is_not_started() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED what_another_user_owns_is_not_started: only root can give files away");
        return;
    }
    let _alone = alone();
    let mut place = Elsewhere::new();
    binary(&place, "pyenv/versions/3.12.1", "3.12.1");
    binary(&place, "theirs", "3.11.7");
    // Root's own link to another user's program.
    fs::create_dir_all(place.at("pyenv/versions/3.11.7/bin")).unwrap();
    std::os::unix::fs::symlink(
        place.at("theirs/bin/python3"),
        place.at("pyenv/versions/3.11.7/bin/python3"),
    )
    .unwrap();
    place.set("PYENV_ROOT", place.at("pyenv"));
    std::os::unix::fs::chown(place.at("theirs"), Some(4321), None).unwrap();
    std::os::unix::fs::chown(place.at("pyenv/versions/3.12.1/bin"), Some(4321), None).unwrap();
    assert_eq!(
        place.run("discover", &[]).lines,
        [
            "pyenv/versions/3.12.1/bin/python3: it is not started: pyenv/versions/3.12.1/bin belongs to user 4321",
            "pyenv/versions/3.11.7/bin/python3: it is not started: theirs belongs to user 4321",
        ]
    );
    let [said] = &place.choose(&["3.11.7"])[..] else {
        panic!();
    };
    assert_eq!(
        said,
        "error: pyenv/versions/3.11.7/bin/python3 cannot be used: it is not started: theirs belongs to user 4321"
    );
    let started = ["pyenv/versions/3.12.1", "theirs"].map(|name| starts(&place, name));
    assert_eq!(started, [0, 0]);
}

/// The user's word: a shell would start it as well.
#[test]
fn what_the_user_names_is_started_whoever_can_write_to_it() {
    let _alone = alone();
    let mut place = Elsewhere::new();
    binary(&place, "one", "3.12.1");
    open_to_all(&place.at("one"));
    let one = ["3.12.1 one/bin/python3"];
    assert_eq!(place.choose(&[place.at("one").to_str().unwrap()]), one);
    place.path(&["one/bin"]);
    assert_eq!(place.choose(&[]), one);
    place.set("PATH", "/usr/bin");
    place.set("REFCOW_PYTHONS", place.at("one"));
    assert_eq!(place.choose(&["3.12.1"]), one);
}

#[test]
fn pythons_says_whom_it_does_not_trust_and_what_would_help() {
    let _alone = alone();
    let place = Elsewhere::new();
    binary(&place, "pyenv/versions/3.12.1", "3.12.1");
    open_to_all(&place.at("pyenv/versions"));
    let output = Command::new(env!("CARGO_BIN_EXE_refcow"))
        .arg("pythons")
        .env_clear()
        .env("HOME", place.at("home"))
        .env("PYENV_ROOT", place.at("pyenv"))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let root = format!("{}/", place.root.path().display());
    let block = "no       pyenv/versions/3.12.1/bin/python3: it is not started: everybody can write to pyenv/versions \
                 (mode 0777)\n         remedy: refcow starts by itself only what nobody but you and root can change; if \
                 you trust it, name it: --python PATH\n";
    assert!(said.replace(&root, "").contains(block), "{said}");
    assert_eq!(starts(&place, "pyenv/versions/3.12.1"), 0);
}

#[rstest]
#[case::above_it("cache")]
#[case::itself("cache/refcow")]
#[case::the_environments("cache/refcow/environments")]
#[case::modules("cache/refcow/environments/NAME/lib/python3.12/site-packages")]
#[case::programs("cache/refcow/environments/NAME/bin")]
fn an_environment_that_others_can_write_to_is_not_used(#[case] open: &str) {
    let _alone = alone();
    let place = Elsewhere::new();
    maker(&place, "one", "3.12.1", "", "");
    let one = place.at("one");
    let prepare = || place.run("prepare", &[one.to_str().unwrap()]).lines;
    let ready = prepare();
    assert!(ready[0].starts_with("3.12.1 numpy 9.9 in "), "{ready:?}");
    let open = open.replace("NAME", &environments(&place)[0]);
    let before = fs::metadata(place.at(&open)).unwrap().permissions();
    open_to_all(&place.at(&open));
    let [said] = &prepare()[..] else { panic!() };
    assert!(
        said.starts_with("error: the private environments in cache/refcow"),
        "{said}"
    );
    assert!(
        said.ends_with(&format!(
            " are not used: everybody can write to {open} (mode 0777)"
        )),
        "{said}"
    );
    let said = place.run("packages", &[one.to_str().unwrap()]).lines;
    assert!(said[0].contains("Nowhere"), "{said:?}");
    // Nothing of it was thrown away.
    fs::set_permissions(place.at(&open), before).unwrap();
    assert_eq!(prepare(), ready);
    assert_eq!(starts(&place, "one"), 1);
}

#[test]
fn answers_that_others_can_write_are_not_believed() {
    let _alone = alone();
    let mut place = Elsewhere::new();
    binary(&place, "one", "3.12.1");
    binary(&place, "two", "3.13.2");
    place.path(&["one/bin"]);
    let one = ["3.12.1 one/bin/python3"];
    assert_eq!(place.choose(&[]), one);
    // An answer that leads to another program, in a file of the user's own.
    let forged = fs::read_to_string(place.cache()).unwrap();
    let executable = place.at("one/bin/python3").display().to_string();
    let other = place.at("two/bin/python3").display().to_string();
    let forged = forged.replace(
        &format!("\"executable\":\"{executable}\""),
        &format!("\"executable\":\"{other}\""),
    );
    fs::write(place.cache(), forged).unwrap();
    assert_eq!(
        place.choose(&[]),
        ["3.12.1 two/bin/python3"],
        "this test forges nothing"
    );
    for folder in ["cache", "cache/refcow"] {
        let before = fs::metadata(place.at(folder)).unwrap().permissions();
        open_to_all(&place.at(folder));
        assert_eq!(place.choose(&[]), one, "{folder}");
        fs::set_permissions(place.at(folder), before).unwrap();
    }
}

#[test]
fn what_is_made_in_the_cache_is_for_this_user_alone_whatever_the_umask() {
    let _alone = alone();
    let place = Elsewhere::new();
    maker(&place, "one", "3.12.1", "", "");
    let (cache, one) = (place.at("new/cache"), place.at("one"));
    let made = Command::new("sh")
        .args(["-c", "umask 000; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "--nocapture",
            "in_a_process_of_its_own",
        ])
        .env_clear()
        .env("TASK", "prepare")
        .env("SELECTORS", &one)
        .env("HOME", place.at("home"))
        .env("XDG_CACHE_HOME", &cache)
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    let said = String::from_utf8(made.stdout).unwrap();
    assert!(said.contains("said: 3.12.1 numpy 9.9 in "), "{said}");
    let environments = cache.join("refcow/environments");
    let environment = environments.join(&made_in(&environments)[0]);
    let inside = ["bin", "bin/python3", "lib/python3.12/site-packages/numpy"];
    let all = inside.iter().map(|path| environment.join(path));
    for path in all.chain(environment.ancestors().take(5).map(Path::to_owned)) {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o022, 0, "{} has mode {mode:o}", path.display());
    }
}

/// What pip is told, a line each time, by an interpreter of [`maker`].
const SAYS_WHAT_PIP_IS_TOLD: &str = "echo \"$*\" >>pip; cp \"$requirements\" requirements;";

#[test]
fn wheels_are_installed_by_their_hashes() {
    let _alone = alone();
    let place = Elsewhere::new();
    maker(&place, "one", "3.12.1", "", SAYS_WHAT_PIP_IS_TOLD);
    let one = place.at("one");
    let ready = place.run("prepare", &[one.to_str().unwrap()]).lines;
    assert!(ready[0].starts_with("3.12.1 numpy 9.9 in "), "{ready:?}");
    let told = fs::read_to_string(one.join("pip")).unwrap();
    assert!(
        told.contains(" --only-binary=:all: ") && told.contains(" --require-hashes "),
        "{told}"
    );
    let requirements = fs::read_to_string(one.join("requirements")).unwrap();
    assert!(requirements.contains("--hash=sha256:"), "{requirements}");
}

#[test]
fn a_pip_that_is_too_old_gives_way_to_a_pinned_one() {
    let _alone = alone();
    let place = Elsewhere::new();
    // It "fetches" itself: what is run then is `SITE/pip` with these arguments.
    let fetch = format!(
        "{SAYS_WHAT_PIP_IS_TOLD} case \"$site\" in */pip) mkdir \"$site\"; echo 'exit 3' >\"$site/pip\"; exit;; esac;"
    );
    maker(&place, "one", "3.12.1", "", &fetch);
    let one = place.at("one");
    let program = fs::read_to_string(one.join("bin/python3")).unwrap();
    script(
        &one.join("bin/python3"),
        &program.replace("\"module\":\"99.0\"", "\"module\":\"19.2.3\""),
    );
    place.run("prepare", &[one.to_str().unwrap()]);
    let told = fs::read_to_string(one.join("pip")).unwrap();
    let first = told.lines().next().unwrap();
    assert!(
        first.contains(" --only-binary=:all: ") && first.contains(" --require-hashes "),
        "{told}"
    );
    assert!(!first.contains(">="), "{told}");
    let pinned = fs::read_to_string(one.join("requirements")).unwrap();
    assert!(
        pinned.contains("\npip==") && pinned.contains("--hash=sha256:"),
        "{pinned}"
    );
}
