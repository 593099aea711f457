//! What others can change is not started.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rstest::rstest;

use crate::elsewhere::{Elsewhere, IN_ITS_OWN, environments, made_in};
use crate::fake::{alone, binary, maker, open_to_all, starts};

/// Where refcow looks by itself: the variable that leads there, its value, and the installation
/// there.
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
        .args(IN_ITS_OWN)
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
