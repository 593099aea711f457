//! Private environments are made, found again, and made anew.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use refcow::python::{self, PythonError};
use rstest::rstest;

use crate::elsewhere::{Elsewhere, environments};
use crate::fake::{alone, fifo, installation, maker, script, starts};
use crate::usable::choose;

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
