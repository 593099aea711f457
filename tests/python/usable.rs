//! Whether a program can be measured, and why not.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use miette::Diagnostic as _;
use refcow::python::{self, Interpreter, PythonError, Unusable};
use rstest::rstest;

use crate::fake::{all_gone, alone, elf, fixed, foreign, installation, script};

pub fn choose(path: &Path) -> Result<Interpreter, PythonError> {
    python::choose(Some(path.to_str().unwrap()))
}

pub fn refusal(path: &Path) -> Unusable {
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
    // No #! line and no ELF header: execvp(3) hands it to the shell, which cannot make sense of it
    // either.
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
fn what_a_program_leaves_running_is_killed_and_not_waited_for() {
    let _alone = alone();
    let root = tempfile::tempdir().unwrap();
    let pids = root.path().join("pids");
    let program = script(
        &root.path().join("leaves"),
        &format!("sleep 600 & echo $! >'{}'", pids.display()),
    );
    // Waited for, it would be one that does not answer.
    assert!(matches!(refusal(&program), Unusable::NotPython));
    all_gone(&pids);
}
