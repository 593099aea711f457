//! Tests that are made once for each interpreter: for the default one, and where it matters how an
//! interpreter is built, for one without a shared library, too; or for every one of this machine
//! with `REFCOW_PYTHONS=all`; and snapshots for those that differ.
//!
//! A snapshot `NAME.snap` holds for all versions. Where something is otherwise from a version on,
//! `NAME@3.12.snap` holds from there on, until the next: what differs between the two files is what
//! that version has changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use refcow::model::Version;
use refcow::python::{self, Interpreter};

use super::skipped;

/// The series that there are cases for.
pub const SERIES: [&str; 8] = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15"];

fn are_all_wanted() -> bool {
    std::env::var_os("REFCOW_PYTHONS").is_some_and(|word| word == "all")
}

/// The interpreters of each build that tests are made for: objects of one without a library are
/// elsewhere, and so are its functions.
pub fn builds() -> &'static [Interpreter] {
    static ALL: OnceLock<Vec<Interpreter>> = OnceLock::new();
    ALL.get_or_init(|| {
        let selectors: &[String] = match are_all_wanted() {
            true => &["all".to_owned()],
            false => &[],
        };
        let mut chosen = python::choose_all(selectors).unwrap().interpreters;
        if let Some(one) = without_a_library()
            && !chosen.iter().any(|other| other.program == one.program)
        {
            chosen.push(one.clone());
        }
        chosen
    })
}

/// The interpreters of each version that tests are made for.
pub fn versions() -> &'static [Interpreter] {
    match are_all_wanted() {
        true => builds(),
        // The default one is the first.
        false => &builds()[..1],
    }
}

/// The system's own interpreter, if it has CPython in its program, as Debian's and Ubuntu's have,
/// and not in a library.
pub fn without_a_library() -> Option<&'static Interpreter> {
    static ONE: OnceLock<Option<Interpreter>> = OnceLock::new();
    let one = ONE.get_or_init(|| {
        let one = python::choose(Some("/usr/bin/python3")).ok()?;
        let listed = Command::new("readelf")
            .arg("-d")
            .arg(&one.program)
            .output()
            .ok()?;
        let loads = String::from_utf8_lossy(&listed.stdout).contains("libpython");
        (listed.status.success() && !loads).then_some(one)
    });
    one.as_ref()
}

/// One without the GIL, where there is one.
pub fn free_threaded() -> Option<Interpreter> {
    let chosen = python::choose_all_builds(&["python3.13t".to_owned()]).ok()?;
    chosen.interpreters.into_iter().next()
}

/// Does something with each interpreter of a series, of which there may be several, or none.
pub fn each(series: &str, test: &str, act: impl FnMut(&Interpreter)) {
    each_of(versions(), series, test, act);
}

/// The same with each build.
pub fn each_build(series: &str, test: &str, act: impl FnMut(&Interpreter)) {
    each_of(builds(), series, test, act);
}

fn each_of(all: &[Interpreter], series: &str, test: &str, mut act: impl FnMut(&Interpreter)) {
    assert!(SERIES.contains(&series));
    let (major, minor) = series.split_once('.').unwrap();
    let series = (major.parse().unwrap(), minor.parse().unwrap());
    let mut none = true;
    for interpreter in all {
        if interpreter.series == series {
            none = false;
            // A failure names the interpreter by what is captured of the test.
            eprintln!("{}", interpreter.executable.display());
            act(interpreter);
        }
    }
    if none {
        skipped(test, "this series is not among the interpreters tested");
    }
}

/// What is measured once for all tests that look at it: with each interpreter, say.
pub struct MeasuredOnce<T: 'static>(Mutex<BTreeMap<String, &'static OnceLock<T>>>);

impl<T> MeasuredOnce<T> {
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// That of this name.
    pub fn of(&self, name: &str, measure: impl FnOnce() -> T) -> &'static T {
        let one: &OnceLock<T> = {
            let mut all = self.0.lock().unwrap();
            all.entry(name.to_owned())
                .or_insert_with(|| Box::leak(Box::default()))
        };
        one.get_or_init(measure)
    }
}

/// The interpreter as `--python` takes it.
pub fn path(interpreter: &Interpreter) -> &str {
    interpreter.executable.to_str().unwrap()
}

/// Its version in its order.
pub fn version(interpreter: &Interpreter) -> Version {
    interpreter.version.parse().unwrap()
}

/// The name of the snapshot that holds for a version.
pub fn snapshot(name: &str, version: &Version) -> String {
    let of_versions = snapshots_of_versions();
    let holds = of_versions
        .iter()
        .filter(|(base, since)| base == name && since <= version)
        .max_by(|(_, one), (_, other)| one.cmp(other));
    match holds {
        Some((base, since)) => format!("{base}@{since}"),
        None => name.to_owned(),
    }
}

/// Where snapshots are.
pub fn snapshots() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots").into()
}

/// The snapshots that hold from a version on: their names without it, and the version.
pub fn snapshots_of_versions() -> Vec<(String, Version)> {
    fs::read_dir(snapshots())
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let (base, since) = name.strip_suffix(".snap")?.split_once('@')?;
            Some((base.to_owned(), since.parse().unwrap()))
        })
        .collect()
}

/// Compares a text with the snapshot that holds for the version.
macro_rules! assert_snapshot_of {
    ($version:expr, $name:expr, $text:expr) => {
        insta::with_settings!({snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!($crate::common::by_python::snapshot($name.as_ref(), &$version), $text);
        });
    };
}

pub(crate) use assert_snapshot_of;
