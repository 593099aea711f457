//! An interpreter that is too old to be measured, asked what it has by running it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde::Deserialize;

use super::child::{self, ChildFailure};
use super::error::PythonError;
use super::find::SearchPlaces;
use super::probe::OLDEST_SERIES;
use super::program::{is_shim, minor_told};
use super::trust;

/// Importing two modules takes a tenth of a second.
const TIMEOUT: Duration = Duration::from_secs(60);
const MARK: &str = "refcow-older:";
const SCRIPT: &str = include_str!("older.py");

/// What an interpreter has of shared memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Older {
    /// The program.
    pub path: PathBuf,
    /// The first word of `sys.version`.
    pub version: String,
    /// `multiprocessing.shared_memory`, since 3.8.
    pub shared_memory: bool,
    /// `multiprocessing.RawArray`, since 2.6.
    pub raw_array: bool,
    series: (u8, u8),
}

/// What [`SCRIPT`] prints.
#[derive(Deserialize)]
struct OlderAnswer {
    series: (u8, u8),
    version: String,
    shared_memory: bool,
    raw_array: bool,
}

/// A Python 3 before 3.8 of this machine: the first that answers, of those whose path says that
/// they are one and that nobody but the user and root can change. No other program is started, and
/// it is asked once, however many interpreters are measured.
///
/// # Errors
/// [`PythonError::Interrupted`].
pub fn older() -> Result<Option<&'static Older>, PythonError> {
    static FOUND: OnceLock<Option<Older>> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found.as_ref());
    }
    let found = first(&SearchPlaces::of_this_machine())?;
    Ok(FOUND.get_or_init(|| found).as_ref())
}

fn first(places: &SearchPlaces) -> Result<Option<Older>, PythonError> {
    let (major, oldest) = OLDEST_SERIES;
    for candidate in places.candidates() {
        let path = &candidate.path;
        // Also one on PATH: nobody has asked for it.
        if !is_shim(path)
            && minor_told(path).is_some_and(|minor| minor < oldest)
            && trust::check_program(path).is_ok()
            && let Some(answer) = ask(path)?
            && answer.series.0 == major
            && answer.series < OLDEST_SERIES
        {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

/// Asks one interpreter; `None` if it does not answer.
///
/// # Errors
/// [`PythonError::Interrupted`].
pub fn ask(path: &Path) -> Result<Option<Older>, PythonError> {
    let mut command = Command::new(path);
    // -I is not there before 3.4.
    let output = match child::run(command.args(["-E", "-s", "-B", "-c", SCRIPT]), TIMEOUT) {
        Ok(output) => output,
        Err(ChildFailure::Interrupted) => return Err(PythonError::Interrupted),
        Err(_) => return Ok(None),
    };
    let answer: Option<OlderAnswer> =
        child::marked_line(&output.stdout, MARK).and_then(|line| serde_json::from_slice(line).ok());
    Ok(answer.map(|answer| Older {
        path: path.to_owned(),
        version: answer.version,
        shared_memory: answer.shared_memory,
        raw_array: answer.raw_array,
        series: answer.series,
    }))
}
