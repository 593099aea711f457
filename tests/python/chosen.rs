//! Which interpreters are meant, of all that there are.

use std::fs;
use std::process::Command;

use crate::elsewhere::{Elsewhere, environments};
use crate::fake::{alone, elf, environment, fixed, foreign, installation, maker, script};

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
