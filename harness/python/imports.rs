//! What an interpreter can import: tried for real.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::child::{self, ChildFailure};
use super::error::PythonError;
use super::pins::is_pinned;
use super::place::{place_for, program_of};
use super::probe::Interpreter;
use crate::threads;

const SCRIPT: &str = include_str!("import.py");
const MARK: &str = "refcow-import:";
/// NumPy's first import from a cold disk takes seconds; what takes longer than this hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

/// What is known of modules that can be imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Installed {
    /// Of each that has one.
    pub versions: BTreeMap<String, String>,
    /// Of the files of each, as [`crate::model::Environment`] tells it.
    pub sha256: BTreeMap<String, String>,
}

impl Installed {
    /// With those of another.
    pub fn extend(&mut self, more: Self) {
        self.versions.extend(more.versions);
        self.sha256.extend(more.sha256);
    }
}

/// What came of importing.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Imports {
    pub(super) versions: BTreeMap<String, String>,
    /// Of the files of each, by what its installer says of them.
    #[serde(default)]
    pub(super) sha256: BTreeMap<String, String>,
    pub(super) failures: BTreeMap<String, String>,
    /// Packages without code of their own.
    #[serde(default)]
    namespaces: Vec<String>,
}

impl Imports {
    pub(super) fn installed(self) -> Installed {
        Installed {
            versions: self.versions,
            sha256: self.sha256,
        }
    }
}

/// Imports for real, in a process of its own: only that shows that an extension loads.
pub(super) fn import(executable: &Path, modules: &[String]) -> Result<Imports, PythonError> {
    if modules.is_empty() {
        return Ok(Imports::default());
    }
    let mut command = Command::new(executable);
    command.args(["-I", "-B", "-c", SCRIPT]).args(modules);
    let all_fail = |reason: String| Imports {
        failures: modules
            .iter()
            .map(|module| (module.clone(), reason.clone()))
            .collect(),
        ..Imports::default()
    };
    let mut imports = match child::run(&mut command, TIMEOUT) {
        Ok(output) => child::marked_line(&output.stdout, MARK)
            .and_then(|line| serde_json::from_slice::<Imports>(line).ok())
            // An extension that crashes takes the others' answers along.
            .unwrap_or_else(|| {
                all_fail(format!(
                    "{} {}",
                    child::ending(output.status),
                    child::tail(&output.stderr, 1)
                ))
            }),
        Err(ChildFailure::Interrupted) => return Err(PythonError::Interrupted),
        Err(failure) => all_fail(failure.to_string()),
    };
    // None that refcow installs is without code: these are the remains of one.
    for module in std::mem::take(&mut imports.namespaces) {
        if is_pinned(&module) {
            imports.versions.remove(&module);
            let reason = "it is a folder without an __init__.py".to_owned();
            imports.failures.insert(module, reason);
        }
    }
    Ok(imports)
}

/// Where an interpreter's packages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packages {
    /// It can import them itself.
    Own,
    /// A private environment stands.
    Ready(PathBuf),
    /// The first run that needs them makes one.
    OnFirstUse,
    /// There is no place for one: why.
    Nowhere(String),
}

/// Where `modules` would come from, for each interpreter, without making anything.
///
/// # Errors
/// [`PythonError::Interrupted`].
pub fn packages(
    interpreters: &[&Interpreter],
    modules: &[String],
) -> Result<Vec<Packages>, PythonError> {
    // Half of an import is waiting for the disk.
    let most = 2 * threads::processors();
    threads::each(interpreters.to_vec(), most, |interpreter| {
        packages_of(interpreter, modules)
    })
    .into_iter()
    .collect()
}

fn packages_of(interpreter: &Interpreter, modules: &[String]) -> Result<Packages, PythonError> {
    let imports_all =
        |executable: &Path| Ok::<_, PythonError>(import(executable, modules)?.failures.is_empty());
    let place = place_for(interpreter);
    let program = match &place {
        Ok(environment) => program_of(environment),
        Err(_) => Ok(None),
    };
    if let (Ok(environment), Ok(Some(python))) = (&place, &program)
        && imports_all(python)?
    {
        return Ok(Packages::Ready(environment.clone()));
    }
    if imports_all(&interpreter.executable)? {
        return Ok(Packages::Own);
    }
    Ok(match (place, program) {
        (Err(why), _) | (_, Err(why)) => Packages::Nowhere(why.to_string()),
        _ => Packages::OnFirstUse,
    })
}
