//! Interpreters that are too old to be measured, asked what they have by running them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::child::{self, Failure};
use super::{Error, Unusable, discover};

/// Importing two modules takes a tenth of a second.
const TIMEOUT: Duration = Duration::from_secs(20);

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
}

/// Every Python 3 before 3.8 on this machine that answers. They are asked once, however many others are measured.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn older() -> Result<&'static [Older], Error> {
    static ALL: OnceLock<Vec<Older>> = OnceLock::new();
    if let Some(all) = ALL.get() {
        return Ok(all);
    }
    let mut all = Vec::new();
    for found in discover() {
        if let Err(Unusable::TooOld { version }) = &found.outcome
            && version.starts_with("3.")
            && let Some(answer) = ask(&found.path, version)?
        {
            all.push(answer);
        }
    }
    Ok(ALL.get_or_init(|| all))
}

/// Asks one interpreter; `None` if it does not answer.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn ask(path: &Path, version: &str) -> Result<Option<Older>, Error> {
    let can = |code: &str| {
        let mut command = Command::new(path);
        match child::run(command.args(["-I", "-c", code]), TIMEOUT) {
            Ok(output) => Ok(Some(output.status.success())),
            Err(Failure::Interrupted) => Err(Error::Interrupted),
            Err(_) => Ok(None),
        }
    };
    let answers = (
        can("pass")?,
        can("import multiprocessing.shared_memory")?,
        can("import multiprocessing; multiprocessing.RawArray('b', 1)")?,
    );
    Ok(match answers {
        (Some(true), Some(shared_memory), Some(raw_array)) => Some(Older {
            path: path.to_owned(),
            version: version.to_owned(),
            shared_memory,
            raw_array,
        }),
        _ => None,
    })
}
