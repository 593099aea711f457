//! What a program of `python_fixtures/recorded/` says, and what of it `refcow run` records: no
//! subject is in it, so that it can be run by any CPython.

use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde::Deserialize;

use super::observations::ObservedValues;
use crate::fixtures;
use crate::model::trees::{CauseFigures, PagesAre, Trees};
use crate::model::{Cause, Value};

/// What such a program prints, of which the last line is taken.
#[derive(Deserialize)]
struct Said {
    /// The type of the objects that matter.
    #[serde(rename = "type")]
    of_type: Option<String>,
    /// All that it found out itself.
    figures: ObservedValues,
}

/// A program, and what runs it.
pub(super) struct Recorded<'a> {
    /// The interpreter.
    pub(super) executable: &'a Path,
    /// Its name.
    pub(super) program: &'a str,
    /// The time that each case may take.
    pub(super) timeout: Duration,
}

impl Recorded<'_> {
    /// Runs the program with the name of each of its cases: figures `CASE_NAME`.
    ///
    /// # Errors
    /// When it fails, or cannot be recorded.
    pub(super) fn observe(&self) -> io::Result<ObservedValues> {
        let names = String::from_utf8_lossy(&self.run(&[])?.stdout).into_owned();
        let mut all = ObservedValues::new();
        for case in names.split_whitespace() {
            let found = self.run(&[case]).and_then(|recorded| figures(&recorded));
            let found = found
                .map_err(|error| io::Error::new(error.kind(), format!("{case}: {error}")))?
                .into_iter();
            all.extend(found.map(|(name, value)| (format!("{case}_{name}"), value)));
        }
        Ok(all)
    }

    /// Its standard output, and on standard error the document of `refcow run`.
    fn run(&self, words: &[&str]) -> io::Result<Output> {
        let limit = format!("{}ms", self.timeout.as_millis());
        let source = fixtures::program(&format!("recorded/{}", self.program));
        let output = Command::new("/proc/self/exe")
            .args(["run", "--quiet", "--format", "json"])
            .args(["--for", &limit, "--"])
            .arg(self.executable)
            .args(["-I", "-c", source])
            .args(words)
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let refused = said.lines().find_map(|line| line.strip_prefix("error: "));
            // What Python says last is behind its traceback, and may be followed by a document.
            let mut lines = said
                .lines()
                .filter(|line| !line.starts_with(['{', '}', ' ']));
            let why = refused.or_else(|| lines.next_back()).unwrap_or_default();
            return Err(io::Error::other(format!("{}: {why}", output.status)));
        }
        if output.stdout.is_empty() {
            return Err(io::Error::other(format!("it took longer than {limit}")));
        }
        Ok(output)
    }
}

/// The figures of one case.
fn figures(recorded: &Output) -> io::Result<ObservedValues> {
    let mut lines = recorded.stdout.trim_ascii().rsplit(|byte| *byte == b'\n');
    let said: Said = serde_json::from_slice(lines.next().unwrap_or_default())?;
    let trees: Trees = serde_json::from_slice(&recorded.stderr)?;
    let [tree] = &trees.trees[..] else {
        let number = trees.trees.len();
        return Err(io::Error::other(format!(
            "{number} trees were recorded, not 1"
        )));
    };
    let recorded = tree.recorded.as_ref();
    let recorded = recorded.ok_or_else(|| io::Error::other("nothing was recorded"))?;
    if recorded.lost_faults > 0 {
        let lost = recorded.lost_faults;
        return Err(io::Error::other(format!("{lost} page faults were lost")));
    }
    let mut figures = said.figures;
    if said.of_type.is_none() {
        return Ok(figures);
    }
    if recorded.unread_pages > 0 {
        let why = "refcow was too slow to see what was written: is this machine busy?";
        return Err(io::Error::other(why));
    }
    let copied = |wanted: &dyn Fn(&CauseFigures) -> bool| {
        let copied = |one: &&CauseFigures| one.pages_are == PagesAre::Copied && wanted(one);
        let pages = recorded.causes.iter().filter(copied).map(|one| one.pages);
        Value::Count(i64::try_from(pages.sum::<u64>()).unwrap_or(i64::MAX))
    };
    for (name, cause) in [
        ("count_pages", Cause::Refcount),
        ("collector_pages", Cause::Gc),
    ] {
        let is_of_type = |one: &CauseFigures| one.type_name == said.of_type;
        let pages = copied(&|one| one.cause == Some(cause) && is_of_type(one));
        figures.insert(name.into(), pages);
    }
    Ok(figures)
}
