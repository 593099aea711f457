//! Paths are bytes: what is no UTF-8 works, or is refused in words.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Command;

use rstest::rstest;

use crate::common::{Place, REFCOW, python, subject};

/// A folder whose name is no UTF-8.
fn strange(place: &Place) -> PathBuf {
    let folder = place.path(OsStr::from_bytes(b"a \xff folder"));
    std::fs::create_dir(&folder).unwrap();
    folder
}

const MEASURE: &[&str] = &[
    "measure", "ints", "--count", "100", "--visit", "iterate", "--format", "json",
];

#[rstest]
#[case::measure(MEASURE)]
#[case::sharing(&["sharing", "--size", "65536", "--way", "list"])]
#[case::doctor(&["doctor"])]
#[case::calibrate(&["calibrate"])]
fn every_variable_that_names_a_folder_may_be_of_any_bytes(
    #[case] arguments: &[&str],
    #[values("TMPDIR", "HOME", "XDG_CACHE_HOME", "PATH")] variable: &str,
) {
    let place = Place::new();
    let folder = strange(&place);
    let mut command = place.refcow(arguments);
    if ["measure", "calibrate", "sharing"].contains(&arguments[0]) {
        command.args(["--python", python()]);
    }
    match variable {
        "PATH" => {
            let mut path = OsString::from(&folder);
            path.push(":/usr/local/bin:/usr/bin:/bin");
            command.env(variable, path);
        }
        _ => {
            command.env(variable, &folder);
        }
    }
    command.current_dir(&folder);
    place.run(command).exits_with(0);
    place.nothing_remains();
}

#[rstest]
#[case::measure(MEASURE)]
#[case::new(&["new", "fresh.py"])]
#[case::doctor(&["doctor"])]
#[case::help(&["measure", "--help"])]
fn the_programs_may_be_in_any_folder(#[case] arguments: &[&str]) {
    let place = Place::new();
    let folder = strange(&place);
    for program in [REFCOW.as_ref(), subject().as_path()] {
        let copied = Command::new("cp")
            .arg(program)
            .arg(&folder)
            .status()
            .unwrap();
        assert!(copied.success());
    }
    let mut command = place.command(folder.join("refcow"), arguments);
    command.current_dir(&folder);
    place.run(command).exits_with(0);
}

/// The kernel tells of it in /proc/PID/maps.
#[test]
fn what_a_fixture_has_mapped_may_have_any_name() {
    let place = Place::new();
    let folder = strange(&place);
    let text = "import mmap\n\ndef build(n=10):\n    with open(b'name \\xfe', 'w+b') as file:\n        file.write(bytes(8192))\n        \
                file.flush()\n        build.kept = mmap.mmap(file.fileno(), 8192)\n    return [object() for _ in range(n)]\n\n\
                def visit_look(data):\n    build.kept[:]\n";
    let file = place.file("mine.py", text);
    let mut command = place.measure([&file[..], "--visit", "look"]);
    command.current_dir(folder);
    place.run(command).exits_with(0);
}

#[rstest]
#[case::a_file(b"mine\xff.py")]
#[case::an_option(b"--count=\xff")]
fn words_of_the_command_line_that_are_no_text_are_refused(#[case] word: &[u8]) {
    let place = Place::new();
    let words = [OsStr::new("measure"), OsStr::from_bytes(word)];
    place
        .run(place.refcow(words))
        .exits_with(2)
        .says("invalid UTF-8");
}
