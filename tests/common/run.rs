//! Runs the programs under test.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use refcow::model::{self, Measurement, RegionName, Report, Run};

use super::REFCOW;

/// Runs refcow to its end.
pub fn run(arguments: &[&str]) -> Output {
    output(Command::new(REFCOW).args(arguments))
}

/// Runs a command to its end.
pub fn output(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// What refcow wrote to standard output; it must have succeeded.
pub fn stdout(arguments: &[&str]) -> String {
    succeeded(&format!("refcow {}", arguments.join(" ")), run(arguments))
}

/// Standard output of a run that must have succeeded.
pub fn succeeded(command: &str, output: Output) -> String {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("refcow writes UTF-8");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(
        output.status.success(),
        "{command}\n{}\n--- stdout\n{out}\n--- stderr\n{err}",
        output.status
    );
    out
}

/// `refcow measure … --format json`, with one interpreter.
pub fn measure(arguments: &[&str]) -> Run {
    let arguments = [&["measure"], arguments, &["--format", "json"]].concat();
    the_run(&stdout(&arguments))
}

/// A document as refcow prints it.
pub fn report(printed: &str) -> Report {
    match model::read(printed.as_bytes()) {
        Ok((report, _)) => report,
        Err(error) => panic!("the JSON format is a Report: {error}\n{printed}"),
    }
}

/// The only run of a document.
pub fn the_run(printed: &str) -> Run {
    let mut report = report(printed);
    assert_eq!(report.runs.len(), 1, "{printed}");
    report.runs.remove(0)
}

/// One measurement of a report.
pub fn visit<'a>(report: &'a Run, fixture: &str, visit: &str) -> &'a Measurement {
    let wanted =
        |measurement: &&Measurement| measurement.fixture == fixture && measurement.visit == visit;
    report
        .measurements
        .iter()
        .find(wanted)
        .unwrap_or_else(|| panic!("no {visit} of {fixture}"))
}

/// Pages and unshared pages of a region in each child; zeros for a region without pages.
pub fn region(measurement: &Measurement, name: RegionName) -> Vec<(u64, u64)> {
    let children = measurement.children.iter();
    children
        .map(|child| {
            let region = child.region(name);
            region.map_or((0, 0), |region| (region.pages, region.unshared))
        })
        .collect()
}

/// Where any user may go: the folder for temporary files, unless whoever started the tests has one of their own.
pub fn anybodys_place() -> PathBuf {
    let is_anybodys = |place: &PathBuf| {
        let mode = |folder: &Path| {
            folder
                .metadata()
                .map_or(0, |data| data.permissions().mode())
        };
        place.ancestors().all(|folder| mode(folder) & 1 != 0)
    };
    let own = std::env::temp_dir();
    let places = [own.clone(), "/tmp".into(), "/var/tmp".into()];
    places.into_iter().find(is_anybodys).unwrap_or(own)
}

/// What is made from now on any user may read, whatever umask whoever started the tests has.
pub fn open_what_is_made() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
}

/// A folder that any user may enter, and read what is made in it from now on.
pub fn public_folder() -> tempfile::TempDir {
    open_what_is_made();
    let folder = tempfile::tempdir_in(anybodys_place()).expect("a temporary folder");
    open_to_all(folder.path());
    folder
}

fn open_to_all(path: &Path) {
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, open).expect("its permissions");
}

/// Copies of both programs in a folder that any user may enter.
pub fn public_copies() -> (tempfile::TempDir, PathBuf) {
    let folder = public_folder();
    for program in ["refcow", "refcow-subject"] {
        let original = Path::new(REFCOW).with_file_name(program);
        let copy = folder.path().join(program);
        std::fs::copy(original, &copy).expect("a copy of the program");
        open_to_all(&copy);
    }
    let program = folder.path().join("refcow");
    (folder, program)
}
