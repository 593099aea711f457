//! refcow-subject inside interpreters of every build.

use std::fs;
use std::path::Path;
use std::process::Command;

use refcow::python;

use crate::common::{Place, by_python, run, skipped, subject};

#[test]
fn a_static_interpreter_needs_no_library_of_pythons() {
    let test = "a_static_interpreter_needs_no_library_of_pythons";
    let Some(interpreter) = by_python::without_a_library() else {
        return skipped(
            test,
            "the system's interpreter is none, or has CPython in a library",
        );
    };
    let place = Place::new();
    // Nothing of that name is left where one is installed.
    let hide = "{ find / -xdev -maxdepth 6 -path /tmp -prune -o -name 'libpython*.so*' -type f -print || :; } > \"$TMPDIR/libraries\"\n\
                while read -r library; do mount --bind /dev/null \"$library\"; done < \"$TMPDIR/libraries\"";
    let program = interpreter.executable.to_str().unwrap();
    let arguments = [
        "measure",
        "ints",
        "--count=1000",
        "--visit=iterate",
        "--format=json",
        "--python",
        program,
    ];
    let command = match place.refcow_in_mounts(hide, &arguments) {
        Ok(command) => command,
        Err(why) => return skipped(test, &why),
    };
    let finished = place.run(command).exits_with(0);
    let here = run::measure(&[
        "ints",
        "--count=1000",
        "--visit=iterate",
        "--python",
        program,
    ]);
    let there = run::the_run(&finished.stdout);
    assert!(!there.measurements[0].children.is_empty());
    assert_eq!(
        there.measurements[0].children[0].regions,
        here.measurements[0].children[0].regions
    );
    place.nothing_remains();
}

#[test]
fn an_environment_may_have_any_path() {
    let place = Place::new();
    let folder = place.path("a place: 'with'/ünï");
    let interpreter = python::choose(Some(crate::common::python())).unwrap();
    let mut make = place.command(
        &interpreter.executable,
        ["-I", "-m", "venv", "--without-pip"],
    );
    // Where PATH could hold it; then elsewhere.
    make.arg(place.path("made"));
    place.run(make).exits_with(0);
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    fs::rename(place.path("made"), &folder).unwrap();
    // A user's own code finds its environment where it is, and no trace of how refcow came in.
    let fixture = place.file(
        "looks.py",
        "import os, subprocess, sys\n\
         def build():\n    \
             assert 'LD_PRELOAD' not in os.environ\n    \
             assert sys.argv[0] == __file__, sys.argv\n    \
             say = 'import os, sys; assert \"LD_PRELOAD\" not in os.environ; print(sys.prefix, open(\"/proc/self/maps\").read())'\n    \
             said = subprocess.check_output([sys.executable, '-c', say]).decode()\n    \
             assert said.startswith(sys.prefix + ' '), sys.prefix.encode(errors=\"backslashreplace\")\n    \
             assert 'refcow-subject' not in said\n    \
             print('prefix:', sys.prefix, file=sys.stderr)\n    \
             return [1]\n\
         def visit_nothing(data):\n    pass\n",
    );
    let mut measure = place.refcow(["measure", &fixture, "--visit", "nothing", "--children", "1"]);
    measure.arg("--python").arg(&folder);
    place
        .run(measure)
        .exits_with(0)
        .says(&format!("prefix: {}", folder.display()));
    place.nothing_remains();
}

#[test]
fn nothing_of_the_users_reaches_code_that_needs_nothing() {
    // refcow's own data is built without variables, descriptors and folders of whoever starts it; a
    // file of the user's has them.
    let place = Place::new();
    let fixture = place.file(
        "looks.py",
        "import os, sys\n\
         def build():\n    \
             print('descriptor:', os.path.exists('/proc/self/fd/77'), file=sys.stderr)\n    \
             print('first free:', os.open('/dev/null', os.O_RDONLY), file=sys.stderr)\n    \
             return [1]\n\
         def visit_nothing(data):\n    pass\n",
    );
    let python = crate::common::python();
    let give = "import os, sys\nos.dup2(1, 77)\nos.set_inheritable(77, True)\nos.execv(sys.argv[1], sys.argv[1:])";
    let words = [
        "-c",
        give,
        crate::common::REFCOW,
        "measure",
        &fixture,
        "--visit=nothing",
        "--python",
        python,
    ];
    let command = place.command(python, words);
    place
        .run(command)
        .exits_with(0)
        .says("descriptor: True")
        .says("first free: 3");
    place.nothing_remains();
}

#[test]
fn the_library_says_what_it_is_if_somebody_runs_it() {
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return skipped(
            "the_library_says_what_it_is",
            "its entry is written for two architectures",
        );
    }
    let output = run::output(&mut Command::new(subject()));
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("run refcow"), "{said}");
}

#[test]
fn the_library_shows_a_program_nothing_but_its_entry() {
    let Ok(listed) = Command::new("nm")
        .args(["--dynamic", "--defined-only"])
        .arg(subject())
        .output()
    else {
        return skipped("the_library_shows_a_program_nothing", "there is no nm");
    };
    let listed = String::from_utf8(listed.stdout).unwrap();
    let names: Vec<_> = listed
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(names, ["__libc_start_main"]);
    assert!(Path::new(&subject()).is_file());
}
