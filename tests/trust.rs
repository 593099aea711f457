//! What refcow starts by itself, and what it installs: only what nobody else can have put there.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::common::{Place, REFCOW, python, run};

/// A program by the name of an interpreter, which notes that it was started and answers with this
/// line.
fn noting(place: &Place, path: &str, answer: &str) {
    let starts = place.path("starts");
    let text = format!(
        "#!/bin/sh\necho '{path}' >>'{}'\necho '{answer}'\n",
        starts.display()
    );
    place.program(path, &text);
}

fn older(version: &str) -> String {
    let (series, _) = version.rsplit_once('.').unwrap();
    let series = series.replace('.', ", ");
    format!(
        r#"refcow-older:{{"series": [{series}], "version": "{version}", "shared_memory": false, "raw_array": true}}"#
    )
}

/// refcow where `python3` is a usable interpreter, nothing else is on PATH, and pyenv's versions
/// are in this place.
fn where_nothing_else_is(place: &Place, arguments: &[&str]) -> Command {
    let bin = place.path("bin");
    fs::create_dir_all(&bin).unwrap();
    symlink(python(), bin.join("python3")).unwrap();
    let mut command = place.refcow_with_packages(arguments);
    command
        .env("PATH", bin)
        .env("HOME", place.path("home"))
        .env("PYENV_ROOT", place.path("pyenv"));
    for variable in ["REFCOW_PYTHONS", "VIRTUAL_ENV", "CONDA_PREFIX"] {
        command.env_remove(variable);
    }
    // A cache that is not named is looked for at home.
    if std::env::var_os("XDG_CACHE_HOME").is_none() {
        let home = std::env::var_os("HOME").unwrap_or_default();
        command.env("XDG_CACHE_HOME", Path::new(&home).join(".cache"));
    }
    command
}

/// Claims are measured with one interpreter. Of the others it starts one, for the claim about 3.8:
/// the first that is older, if it is in a place that only the user and root can write to.
#[test]
fn claims_start_their_own_interpreter_and_one_older() {
    let place = Place::new();
    let programs = [
        ("pyenv/versions/3.13.9/bin/python3", "3.13.9"),
        ("pyenv/versions/3.12.9/bin/python3", "3.12.9"),
        ("pyenv/versions/3.7.17/bin/python3", "3.7.17"),
        ("pyenv/versions/3.7.16/bin/python3", "3.7.16"),
        ("pyenv/versions/3.6.15/bin/python3.6", "3.6.15"),
        ("pyenv/versions/3.5.10/bin/python3", "3.5.10"),
    ];
    for (path, version) in programs {
        noting(&place, path, &older(version));
    }
    // The first is somebody else's as well, the second broken.
    let open = place.path("pyenv/versions/3.7.17/bin");
    fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
    noting(&place, "pyenv/versions/3.7.16/bin/python3", "none");
    // One of each kind of evidence, and the one that an older interpreter is for.
    let arguments = [
        "claims",
        "shm-new",
        "read-only",
        "shm-reliable",
        "saves-memory",
    ];
    let arguments = [&arguments[..], &["--quick", "--quiet", "--format", "json"]].concat();
    let finished = place.run(where_nothing_else_is(&place, &arguments));
    let starts = fs::read_to_string(place.path("starts")).unwrap_or_default();
    let starts: Vec<&str> = starts.lines().collect();
    assert_eq!(
        starts,
        [
            "pyenv/versions/3.7.16/bin/python3",
            "pyenv/versions/3.6.15/bin/python3.6"
        ],
        "{finished}"
    );
    let report = finished.exits_with(0);
    let run = run::the_run(&report.stdout);
    let found = run
        .observations
        .iter()
        .find(|one| one.name == "older_pythons");
    let figures = serde_json::to_value(&found.unwrap().figures).unwrap();
    assert_eq!(figures["older"], 1, "{figures}");
    assert_eq!(figures["older_versions"], "3.6.15", "{figures}");
    assert_eq!(figures["older_with_blocks"], 0, "{figures}");
    assert_eq!(figures["older_with_raw_array"], 1, "{figures}");
}

/// A wheel of this name and version with code that leaves a mark, in a folder that pip is led to.
const FORGED: &str = r#"
import base64, hashlib, os, sys, zipfile
folder, mark = sys.argv[1:3]
for pin in sys.argv[3:]:
    name, version = pin.split("==")
    files = {
        f"{name}/__init__.py": f"__version__ = {version!r}\nopen({mark!r}, 'w').close()\n",
        f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{name}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in files) + f"{name}-{version}.dist-info/RECORD,,\n"
    files[f"{name}-{version}.dist-info/RECORD"] = record
    with zipfile.ZipFile(os.path.join(folder, f"{name}-{version}-py3-none-any.whl"), "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
"#;

#[test]
fn a_wheel_that_is_not_the_pinned_one_is_not_installed() {
    let place = Place::new();
    let (wheels, mark) = (place.path("wheels"), place.path("mark"));
    fs::create_dir(&wheels).unwrap();
    let requirements = include_str!("../python_fixtures/requirements.txt");
    let pins = requirements
        .lines()
        .filter_map(|line| line.split_once(" ;"));
    let mut forge = Command::new(python());
    forge.args(["-c", FORGED]).args([&wheels, &mark]);
    forge.args(pins.map(|(pin, _)| pin));
    run::succeeded("forging wheels", run::output(&mut forge));

    let environment = place.path("bare");
    let mut venv = Command::new(python());
    venv.args(["-m", "venv", "--without-pip"]).arg(&environment);
    run::succeeded("python -m venv", run::output(&mut venv));
    let mut measure = place.refcow(["measure", "bitarrays", "--python"]);
    measure
        .arg(&environment)
        .env("PIP_NO_INDEX", "1")
        // pip takes spaces for what is between two places.
        .env(
            "PIP_FIND_LINKS",
            format!("file://{}", wheels.display()).replace(' ', "%20"),
        )
        // No uv, which would not read these.
        .env("PATH", "/usr/bin:/bin");
    let finished = place.run(measure);
    let finished = finished.refuses(3, "installing the pinned packages", "to the byte");
    assert!(
        finished.stderr.to_lowercase().contains("hash"),
        "{finished}"
    );
    assert!(!mark.exists(), "{finished}");
}

#[test]
fn the_subject_is_not_looked_for_in_the_folder_above() {
    let place = Place::new();
    noting(&place, "refcow-subject", "none");
    fs::create_dir(place.path("own")).unwrap();
    let copy = place.path("own/refcow");
    // By another process: a program that is open for writing in this one cannot be executed.
    let copied = Command::new("cp").arg(REFCOW).arg(&copy).status();
    assert!(copied.unwrap().success());
    let measure = ["measure", "ints", "--count", "10", "--python", python()];
    let finished = place.run(place.command(copy, measure));
    finished.refuses(3, "no refcow-subject beside", "in one folder");
    assert!(!place.path("starts").exists());
}
