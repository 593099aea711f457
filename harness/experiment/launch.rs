//! How the subjects of an interpreter are started.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::driver::{Launch, Surroundings};
use crate::fixed_paths::FixedPaths;
use crate::python::ReadyInterpreter;

/// Why no subject can be started.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LaunchError {
    /// There is nowhere to write.
    #[error("cannot make a folder for the measured processes: {0}")]
    #[diagnostic(help("name a folder that you may write to in TMPDIR"))]
    Nowhere(std::io::Error),
    /// The program beside refcow is not where it should be.
    #[error("there is no refcow-subject beside {}", beside.display())]
    #[diagnostic(help("refcow needs both of its programs in one folder: build or install both"))]
    NoSubject {
        /// refcow's own program.
        beside: PathBuf,
    },
}

/// How subjects are started that run refcow's own code.
///
/// # Errors
/// When refcow-subject is not there, or there is nowhere to write.
pub fn launch(
    ready: &ReadyInterpreter,
    children: usize,
    timeout: Duration,
) -> Result<Launch, LaunchError> {
    let interpreter = &ready.interpreter;
    let is_environment = ready.prefix != interpreter.base_prefix;
    let paths =
        FixedPaths::new(is_environment.then_some(&*ready.prefix)).map_err(LaunchError::Nowhere)?;
    Ok(Launch {
        // The very program that runs, even if another has its name by now.
        keeper: "/proc/self/exe".into(),
        library: subject_library()?,
        interpreter: ready.program.clone(),
        // Outside of environments Python follows links; so it has one name, whichever it was chosen
        // by.
        executable: match is_environment {
            true => ready.executable.clone(),
            false => ready.program.clone(),
        },
        needs_library_path: interpreter.needs_library_path,
        version: interpreter.full_version.clone(),
        prefix: ready.prefix.clone(),
        surroundings: Surroundings::Fixed(paths),
        variables: Vec::new(),
        keep_huge_pages: false,
        channels: children + 1,
        timeout,
    })
}

/// refcow-subject, beside this program (or a folder up, for cargo's tests and benches).
fn subject_library() -> Result<PathBuf, LaunchError> {
    let beside = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("refcow"));
    let own = beside.parent();
    // Only from cargo's folder: what is above another one may be anybody's, as /tmp is.
    let above = own
        .filter(|own| own.ends_with("deps"))
        .and_then(Path::parent);
    let folders = own.into_iter().chain(above);
    let mut candidates = folders.map(|folder| folder.join("refcow-subject"));
    match candidates.find(|candidate| candidate.is_file()) {
        Some(program) => Ok(program),
        None => Err(LaunchError::NoSubject { beside }),
    }
}
