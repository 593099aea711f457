//! The same data has the same pages, the interpreter's own included, wherever and however refcow is
//! started.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use refcow::model::RegionName;
use refcow::python;
use rstest::rstest;
use tempfile::TempDir;

use crate::common::{REFCOW, python as python_path, run, skipped, subject};

/// Two datasets, of which one needs packages, and visits that go through Python's own code, too.
const MEASURED: [&str; 11] = [
    "measure",
    "ints",
    "three_lists",
    "--count",
    "1000",
    "--item-bytes",
    "4096",
    "--visit=iterate",
    "--visit=pickle",
    "--visit=collect",
    "--format=json",
];

/// Pages, unshared pages and identical copies of each region in each child.
type Counts = BTreeMap<String, [u64; 3]>;

fn counts(printed: &str) -> Counts {
    let report = run::the_run(printed);
    let children = report.measurements.iter().flat_map(|measurement| {
        let of = format!("{}/{}", measurement.fixture, measurement.visit);
        let numbered = measurement.children.iter().enumerate();
        numbered.map(move |(number, child)| (format!("{of}, child {number}"), child))
    });
    children
        .flat_map(|(of, child)| {
            child.regions.iter().map(move |region| {
                let identical = region.identical.unwrap_or_default();
                let name = format!("{of}: {:?}", region.name);
                // How much of a library is mapped depends on the page cache, and so on other
                // programs.
                let pages = match region.name {
                    RegionName::Libraries => 0,
                    _ => region.pages,
                };
                (name, [pages, region.unshared, identical])
            })
        })
        .collect()
}

fn measured(command: &mut Command) -> Counts {
    let shown = format!("{command:?}");
    counts(&run::succeeded(&shown, run::output(command)))
}

/// With the interpreter that the other tests have, where they run.
fn here() -> &'static Counts {
    static HERE: OnceLock<Counts> = OnceLock::new();
    HERE.get_or_init(|| measured(&mut refcow(&MEASURED)))
}

fn refcow<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(REFCOW);
    command.args(arguments).args(["--python", python_path()]);
    command
}

/// A folder whose path has what shells, loaders and JSON take for something else, at another depth.
fn strange() -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("a place: 'with'/\"ünï\", and\tmore");
    fs::create_dir_all(&folder).unwrap();
    (root, folder)
}

/// Copies the private environment that the user's cache has for the tests' interpreter.
fn copy_of_cache(to: &Path) {
    let interpreter = python::choose(Some(python_path())).unwrap();
    let modules = ["bitarray".to_owned(), "numpy".to_owned()];
    let ready = python::prepare(interpreter.clone(), &modules, &|_| {}).unwrap();
    if ready.prefix == interpreter.prefix {
        // It has all by itself.
        return;
    }
    let environments = to.join("refcow/environments");
    fs::create_dir_all(&environments).unwrap();
    let copied = Command::new("cp")
        .arg("-a")
        .arg(&ready.prefix)
        .arg(environments)
        .status();
    assert!(copied.unwrap().success());
}

/// What differs from one surroundings to the other.
fn differ(one: &Counts, other: &Counts) -> Vec<String> {
    assert!(one.keys().eq(other.keys()), "{one:?}\n{other:?}");
    let pairs = one.iter().zip(other.values());
    pairs
        .filter(|((_, one), other)| one != other)
        .map(|((name, one), other)| format!("{name}: {one:?}, then {other:?}"))
        .collect()
}

#[track_caller]
fn same_as_here(command: &mut Command) {
    let differ = differ(here(), &measured(command));
    assert!(
        differ.is_empty(),
        "pages, unshared, identical\n{}",
        differ.join("\n")
    );
}

#[test]
fn the_second_run_counts_what_the_first_did() {
    same_as_here(&mut refcow(&MEASURED));
}

#[test]
fn causes_cost_the_measured_processes_nothing() {
    same_as_here(refcow(&MEASURED).arg("--no-causes"));
}

#[rstest]
#[case::home("HOME")]
#[case::temporary_files("TMPDIR")]
#[case::working_folder("PWD")]
fn a_folder_may_be_anywhere(#[case] variable: &str) {
    let (_root, folder) = strange();
    let mut command = refcow(&MEASURED);
    // What the home's other place would hide.
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    for (name, inside) in [("XDG_CACHE_HOME", ".cache"), ("PYENV_ROOT", ".pyenv")] {
        if std::env::var_os(name).is_none() {
            command.env(name, home.join(inside));
        }
    }
    command.env(variable, &folder);
    if variable == "PWD" {
        command.current_dir(&folder);
    }
    same_as_here(&mut command);
}

#[test]
fn the_private_environment_may_be_anywhere() {
    let (_root, folder) = strange();
    copy_of_cache(&folder);
    same_as_here(refcow(&MEASURED).env("XDG_CACHE_HOME", &folder));
}

#[test]
fn refcow_may_be_anywhere() {
    let (_root, folder) = strange();
    for program in [Path::new(REFCOW), &subject()] {
        // By another process: no test's descriptor may be open for writing when the program is
        // started.
        let copied = Command::new("cp").arg(program).arg(&folder).status();
        assert!(copied.unwrap().success());
    }
    let mut command = Command::new(folder.join("refcow"));
    same_as_here(command.args(MEASURED).args(["--python", python_path()]));
}

/// Starts a program whose standard error is a terminal, of which a process reads until it is
/// closed.
const TERMINAL: &str = "\
import os, pty, sys
reads, terminal = pty.openpty()
if os.fork():
    os.dup2(terminal, 2)
    os.close(terminal)
    os.close(reads)
    os.execv(sys.argv[1], sys.argv[1:])
os.closerange(0, 3)
os.close(terminal)
try:
    while os.read(reads, 4096):
        pass
except OSError:
    pass
";

#[rstest]
#[case::many_variables(&[], 300)]
#[case::many_descriptors(
    &[python_path(), "-c", "import os, sys\nfor _ in range(100): os.set_inheritable(os.dup(1), True)\nos.execv(sys.argv[1], sys.argv[1:])"],
    0
)]
#[case::ignored_signals(&["sh", "-c", "trap '' INT HUP CHLD PIPE; exec \"$@\"", "sh"], 0)]
#[case::another_stack(&["sh", "-c", "ulimit -s 1024; exec \"$@\"", "sh"], 0)]
#[case::a_stack_without_limit(&["sh", "-c", "ulimit -s unlimited || ulimit -s 65536 || :; exec \"$@\"", "sh"], 0)]
#[case::few_files(&["sh", "-c", "ulimit -n 256; exec \"$@\"", "sh"], 0)]
#[case::a_terminal(&[python_path(), "-c", TERMINAL], 0)]
#[case::no_standard_error(&["sh", "-c", "exec \"$@\" 2>&-", "sh"], 0)]
#[case::another_umask(&["sh", "-c", "umask 077; exec \"$@\"", "sh"], 0)]
fn whoever_starts_refcow_leaves_no_trace(#[case] starter: &[&str], #[case] variables: usize) {
    let words = [starter, &[REFCOW], &MEASURED].concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).args(["--python", python_path()]);
    for number in 0..variables {
        command.env(format!("REFCOW_TEST_{number}"), "x".repeat(number));
    }
    for (name, value) in [
        ("LANG", "de_DE.UTF-8"),
        ("PYTHONPATH", "/nowhere"),
        ("OPENBLAS_CORETYPE", "Haswell"),
    ] {
        command.env(name, value);
    }
    same_as_here(&mut command);
}

#[test]
fn another_user_gets_the_same_counts() {
    let test = "another_user_gets_the_same_counts";
    if !nix::unistd::geteuid().is_root() {
        return skipped(test, "only root can run refcow as another user");
    }
    // Without packages, which this user has none of; and with an interpreter that all users have.
    let python = "/usr/bin/python3";
    let arguments = [
        "measure",
        "ints",
        "dicts",
        "--count",
        "1000",
        "--visit=iterate",
        "--visit=pickle",
        "--format=json",
        "--python",
        python,
    ];
    let home = tempfile::tempdir().unwrap();
    let (_folder, program) = run::public_copies();
    let nobody = |arguments: &[&str]| {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", home.path());
        command.uid(65534).gid(65534).current_dir("/");
        command
    };
    let trial = run::output(&mut nobody(&[
        "measure", "ints", "--count", "10", "--visit", "idle", "--python", python,
    ]));
    if !trial.status.success() {
        let reason = String::from_utf8_lossy(&trial.stderr).into_owned();
        return skipped(
            test,
            &format!("an ordinary user cannot use {python}: {reason}"),
        );
    }
    let root = measured(Command::new(REFCOW).args(arguments));
    let user = measured(&mut nobody(&arguments));
    let differ = differ(&root, &user);
    assert!(
        differ.is_empty(),
        "pages, unshared, identical\n{}",
        differ.join("\n")
    );
}
