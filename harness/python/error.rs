//! Why there is no interpreter, or no environment for it.

use std::io;
use std::path::{Path, PathBuf};

use super::pins::REQUIREMENTS_NAME;
use super::probe::Unusable;
use super::trust::Distrust;

/// Why there is no interpreter, or no environment for it. [`help`](miette::Diagnostic::help) says
/// what to do.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[non_exhaustive]
pub enum PythonError {
    /// Nothing was asked for in particular, and nothing on this machine serves.
    #[error("no usable CPython on this machine{refused}")]
    #[diagnostic(help(
        "install CPython 3.8 or newer (Debian and Ubuntu: the package python3), or give the path of one with --python"
    ))]
    NoInterpreter {
        /// Those that were found, a line each, with what is wrong with them.
        refused: String,
    },
    /// No interpreter of the wanted version.
    #[error("no Python {wanted} on this machine")]
    #[diagnostic(help("{usable}\nanother one can be given by its path: --python PATH"))]
    NoSuchVersion {
        /// As the user wrote it.
        wanted: String,
        /// What there is instead, a line each.
        usable: String,
    },
    /// No file, folder or command of that name.
    #[error("no Python at {wanted:?}: {place}")]
    #[diagnostic(help(
        "give a version (3.12), the path of an interpreter, or the folder of an environment; {usable}"
    ))]
    NotFound {
        /// As the user wrote it.
        wanted: String,
        /// Where it was looked for, as a statement.
        place: &'static str,
        /// What there is instead, a line each.
        usable: String,
    },
    /// A folder without an interpreter.
    #[error("{} is no Python environment: it has no bin/python", path.display())]
    #[diagnostic(help("give the folder that holds bin/, or the path of the interpreter itself"))]
    NotAnEnvironment {
        /// The folder.
        path: PathBuf,
    },
    /// A file that this user may not run.
    #[error("{} cannot be executed", path.display())]
    #[diagnostic(help("give the path of a python3 program that this user may run"))]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// The path could not even be looked at.
    #[error("{}: {source}", path.display())]
    #[diagnostic(help("give a path that this user may read, or choose another interpreter"))]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The program that was asked for cannot be measured.
    #[error("{} cannot be used: {reason}", path.display())]
    #[diagnostic(help("{}", help_of(reason)))]
    Unusable {
        /// The program.
        path: PathBuf,
        /// Why not.
        reason: Unusable,
    },
    /// A fixture imports something that the interpreter lacks and that refcow has no pinned version
    /// of.
    #[error(
        "Python {version} ({}) cannot import {modules}, which {} has no pin for",
        executable.display(), REQUIREMENTS_NAME
    )]
    #[diagnostic(help(
        "install it into an environment, with all else that the fixture imports, and give that: --python FOLDER"
    ))]
    NotPinned {
        /// The interpreter's version.
        version: String,
        /// The interpreter.
        executable: PathBuf,
        /// The modules, separated by commas.
        modules: String,
    },
    /// The packages could not be installed: most often there is no network.
    #[error(
        "Python {version} ({}) lacks {packages}, and installing the pinned packages into a private environment failed:\n{detail}",
        executable.display()
    )]
    #[diagnostic(help(
        "with a network, try again; without one, install them into an environment and give that (--python FOLDER), \
         or point pip at a folder or an index that has their wheels, to the byte (PIP_FIND_LINKS, PIP_INDEX_URL); \
         fixtures that need neither run as they are: ints, small_ints, int_arrays"
    ))]
    NotInstalled {
        /// The interpreter's version.
        version: String,
        /// The interpreter.
        executable: PathBuf,
        /// What it lacks, with the pinned versions.
        packages: String,
        /// The installer's last words.
        detail: String,
    },
    /// The interpreter can make no environment, or has no installer.
    #[error("Python {version} ({}) cannot make an environment: {reason}", executable.display())]
    #[diagnostic(help(
        "Debian and Ubuntu: install the packages python3-venv and python3-pip; anywhere: put uv on PATH, or make an \
         environment with numpy and bitarray yourself and give its folder: --python FOLDER"
    ))]
    NoEnvironment {
        /// The interpreter's version.
        version: String,
        /// The interpreter.
        executable: PathBuf,
        /// What failed.
        reason: String,
    },
    /// Everything was installed, and still an import fails.
    #[error("in the private environment of Python {version} ({}), imports fail:\n{detail}", environment.display())]
    #[diagnostic(help(
        "if a shared library is missing, install it (libstdc++.so.6: the package libstdc++6 of Debian and Ubuntu); else choose \
         another interpreter, or make an environment with numpy and bitarray yourself and give its folder: --python FOLDER"
    ))]
    ImportFails {
        /// The interpreter's version.
        version: String,
        /// The environment that was tried, and removed again.
        environment: PathBuf,
        /// A line for each module.
        detail: String,
    },
    /// The cache folder cannot be used.
    #[error("{}: {source}", path.display())]
    #[diagnostic(help(
        "private environments are kept there: make room or give permission, or choose another place by XDG_CACHE_HOME"
    ))]
    Cache {
        /// What was to be made, opened, renamed or removed.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// Somebody else could have put something into the cache folder.
    #[error("the private environments in {} are not used: {why}", folder.display())]
    #[diagnostic(help(
        "what is there would be started as you. Take the permission away (chmod go-w {}), or name a folder in \
         XDG_CACHE_HOME that only you can write to", why.path().display()
    ))]
    CacheNotTrusted {
        /// The cache folder.
        folder: PathBuf,
        /// What is wrong with it.
        why: Distrust,
    },
    /// The user has no home, and no cache folder is named.
    #[error("this user has no home folder to keep a private environment under")]
    #[diagnostic(help("name a folder in XDG_CACHE_HOME or HOME"))]
    NoHome,
    /// refcow was told to end.
    #[error("interrupted")]
    Interrupted,
}

impl PythonError {
    /// What cannot be measured, where no interpreter is known yet, and why, without the name of an
    /// interpreter: so the reason is the same for all that have it.
    pub fn reason(&self) -> (Option<String>, String) {
        let of = |path: &Path, reason: String| (Some(path.display().to_string()), reason);
        match self {
            Self::NoSuchVersion { wanted, .. } => (
                Some(format!("Python {wanted}")),
                "not on this machine".into(),
            ),
            Self::NotFound { wanted, place, .. } => (
                Some(format!("{wanted:?}")),
                format!("no Python there: {place}"),
            ),
            Self::NotAnEnvironment { path } => {
                of(path, "no Python environment: there is no bin/python".into())
            }
            Self::NotExecutable { path } => of(path, "not executable".into()),
            Self::Unreadable { path, source } => of(path, source.to_string()),
            Self::Unusable { path, reason } => of(path, format!("not usable: {reason}")),
            Self::NotPinned { modules, .. } => (
                None,
                format!(
                    "cannot import {modules}, which {} has no pin for",
                    REQUIREMENTS_NAME
                ),
            ),
            Self::NotInstalled {
                packages, detail, ..
            } => (
                None,
                format!(
                    "no {packages}, and installing the pinned packages into a private environment failed:\n{detail}"
                ),
            ),
            Self::NoEnvironment { reason, .. } => {
                (None, format!("cannot make an environment: {reason}"))
            }
            Self::ImportFails { detail, .. } => (
                None,
                format!("imports fail in the private environment:\n{detail}"),
            ),
            Self::NoInterpreter { .. }
            | Self::Cache { .. }
            | Self::CacheNotTrusted { .. }
            | Self::NoHome
            | Self::Interrupted => (None, self.to_string()),
        }
    }
}

/// What could not be done in the cache folder.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> PythonError {
    let path = path.to_owned();
    move |source| PythonError::Cache { path, source }
}

fn help_of(reason: &Unusable) -> String {
    miette::Diagnostic::help(reason).map_or_else(String::new, |help| help.to_string())
}
