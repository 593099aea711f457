//! What an interpreter can import: tried for real, or remembered from when it was.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::cache::Cache;
use super::child::{self, Failure};
use super::error::Error;
use super::pins::is_pinned;
use super::place::{place_for, program_of};
use super::probe::Interpreter;
use super::probing;
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
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Imports {
    pub(super) versions: BTreeMap<String, String>,
    /// Of the files of each, by what its installer says of them.
    #[serde(default)]
    pub(super) sha256: BTreeMap<String, String>,
    pub(super) failures: BTreeMap<String, String>,
    /// Packages without code of their own.
    #[serde(default)]
    namespaces: Vec<String>,
    /// Files and folders that it depends on.
    #[serde(default, skip_serializing)]
    files: Vec<PathBuf>,
}

impl Imports {
    pub(super) fn installed(self) -> Installed {
        Installed {
            versions: self.versions,
            sha256: self.sha256,
        }
    }

    /// Whether the next try has the same outcome as long as nothing changes in the folders of modules. What is there
    /// and fails may do so for any reason.
    fn is_stable(&self) -> bool {
        !self.files.is_empty()
            && self.failures.iter().all(|(module, reason)| {
                *reason == format!("ModuleNotFoundError: No module named '{module}'")
            })
    }
}

/// Imports for real, in a process of its own: only that shows that an extension loads.
pub(super) fn import(executable: &Path, modules: &[String]) -> Result<Imports, Error> {
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
        Err(Failure::Interrupted) => return Err(Error::Interrupted),
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
/// What was seen in an earlier run is taken for true as long as the folders of modules, and the files of these modules,
/// stay as they are. [`prepare`](super::prepare) always tries.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn packages(interpreters: &[&Interpreter], modules: &[String]) -> Result<Vec<Packages>, Error> {
    let kept = Cache::open("imports.json", SCRIPT);
    // Half of an import is waiting for the disk.
    let most = 2 * threads::processors();
    threads::each(interpreters.to_vec(), most, |interpreter| {
        packages_of(interpreter, modules, &kept)
    })
    .into_iter()
    .collect()
}

fn packages_of(
    interpreter: &Interpreter,
    modules: &[String],
    kept: &Cache,
) -> Result<Packages, Error> {
    let imports_all = |executable: &Path| {
        Ok::<_, Error>(
            remembered(executable, &interpreter.program, modules, kept)?
                .failures
                .is_empty(),
        )
    };
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

/// [`import`], or what came of it when it was last done.
fn remembered(
    executable: &Path,
    program: &Path,
    modules: &[String],
    kept: &Cache,
) -> Result<Imports, Error> {
    let (time, depends) = (SystemTime::now(), probing::of_program(executable));
    let depends =
        depends.map(|(question, watched)| (format!("{question}\n{}", modules.join("\n")), watched));
    if let Some((question, _)) = &depends
        && let Some(imports) = kept.get(question)
    {
        return Ok(imports);
    }
    let imports = import(executable, modules)?;
    if let Some((question, mut watched)) = depends
        && imports.is_stable()
        && imports
            .files
            .iter()
            .map(PathBuf::as_path)
            .chain([program])
            .all(|file| watched.add(file).is_some())
    {
        kept.keep(question, &imports, watched, time);
    }
    Ok(imports)
}
