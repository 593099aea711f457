//! Where the private environment of an interpreter is, whether it stands or not.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::error::PythonError;
use super::pins::REQUIREMENTS;
use super::probe::Interpreter;
use super::{cache, trust};

/// The place of the private environment for an interpreter, whether it stands or not.
pub(super) fn place_for(interpreter: &Interpreter) -> Result<PathBuf, PythonError> {
    Ok(cache::folder()?
        .join("environments")
        .join(name(interpreter, REQUIREMENTS)))
}

/// What an installation makes of the same pins. A new number for each change of that, so that no
/// old environment is used.
const RECIPE: &str = "4";

/// One name for one interpreter and one set of pins: a version to read, a digest to tell two of
/// that version apart.
fn name(interpreter: &Interpreter, requirements: &str) -> String {
    format!(
        "{}-{}",
        interpreter.version.replace('/', "_"),
        digest(interpreter, requirements)
    )
}

fn digest(interpreter: &Interpreter, text: &str) -> String {
    // python3 and python3.11 are one interpreter. An environment's program is known by its own path
    // alone.
    let executable = if interpreter.is_environment() {
        interpreter.executable.clone()
    } else {
        fs::canonicalize(&interpreter.executable).unwrap_or_else(|_| interpreter.executable.clone())
    };
    cache::digest([
        executable.as_os_str().as_bytes(),
        interpreter.full_version.as_bytes(),
        text.as_bytes(),
        RECIPE.as_bytes(),
    ])
}

/// The program of the environment, if it is there.
///
/// # Errors
/// [`PythonError::CacheNotTrusted`].
pub(super) fn program_of(environment: &Path) -> Result<Option<PathBuf>, PythonError> {
    let python = environment.join("bin/python3");
    if !python.exists() {
        return Ok(None);
    }
    match trust::check_environment(environment) {
        Ok(()) => Ok(Some(python)),
        Err(why) => Err(PythonError::CacheNotTrusted {
            folder: environment.to_owned(),
            why,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreter() -> Interpreter {
        Interpreter {
            executable: "/opt/py/bin/python3".into(),
            version: "3.11.7".into(),
            full_version: "3.11.7 (main) [GCC]".into(),
            series: (3, 11),
            prefix: "/opt/py".into(),
            base_prefix: "/opt/py".into(),
            program: "/opt/py/bin/python3.11".into(),
            needs_library_path: false,
            free_threaded: false,
        }
    }

    #[test]
    fn one_name_for_one_interpreter_and_one_set_of_pins() {
        let one = name(&interpreter(), "numpy==1");
        assert!(one.starts_with("3.11.7-"), "{one}");
        assert_eq!(one.len(), "3.11.7-".len() + 10);
        assert_eq!(one, name(&interpreter(), "numpy==1"));
        assert_ne!(one, name(&interpreter(), "numpy==2"));
        let mut moved = interpreter();
        moved.executable = "/opt/other/bin/python3".into();
        assert_ne!(one, name(&moved, "numpy==1"));
        let mut rebuilt = interpreter();
        rebuilt.full_version = "3.11.7 (main) [Clang]".into();
        assert_ne!(one, name(&rebuilt, "numpy==1"));
    }
}
