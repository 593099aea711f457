//! What programs have answered, kept for the next run.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::elsewhere::Elsewhere;
use crate::fake::{alone, binary, script, starts};

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
