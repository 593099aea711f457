//! Where a shim of pyenv's led when it was asked last: a shell script that starts others takes
//! several times as long as Python, and leads to the same program until something of this changes.
//!
//! pyenv documents what it chooses by ("Understanding Python version selection" in its README):
//! `PYENV_VERSION`, else `.python-version` in the working folder or above it, else `version` in its
//! root, else `PATH`. Where plugins have hooks for that, they may choose by anything, and the shim
//! is asked each time.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::cache::WatchedFiles;
use super::program::is_shim;

/// Larger than any shim.
const SIZE_LIMIT_BYTES: u64 = 4096;

/// Where hooks can be, besides pyenv's root and its plugins.
const HOOK_FOLDERS: [&str; 4] = [
    "/usr/etc/pyenv.d",
    "/usr/local/etc/pyenv.d",
    "/etc/pyenv.d",
    "/usr/lib/pyenv/hooks",
];

/// What the choice of a shim depends on.
pub(super) struct Choice {
    /// Where pyenv has its versions.
    pub(super) versions: PathBuf,
    /// All that is no file.
    pub(super) question: String,
    /// The files.
    pub(super) watched: WatchedFiles,
}

/// What a program chooses by, if it is one of pyenv's shims and nothing else can have a say.
pub(super) fn choice(program: &Path) -> Option<Choice> {
    let file = fs::metadata(program).ok()?;
    let small = file.is_file() && file.len() < SIZE_LIMIT_BYTES;
    if !is_shim(program) || !small || !fs::read_to_string(program).ok()?.contains("PYENV_ROOT") {
        return None;
    }
    let root = program.parent()?.parent()?;
    let versions = root.join("versions");
    if has_hooks(root) {
        return None;
    }
    let mut watched = WatchedFiles::default();
    for file in [program, &root.join("version"), &versions] {
        watched.add(file)?;
    }
    let mut question = format!("pyenv\n{}\n", program.to_str()?);
    // A shell's own name for the working folder may lead over links.
    let named = ["PWD", "PYENV_DIR"].map(|name| env::var_os(name).map(PathBuf::from));
    let folders = named.into_iter().chain([env::current_dir().ok()]);
    for folder in folders.flatten() {
        question += &format!("{}\n", folder.to_str()?);
        for folder in folder.ancestors() {
            watched.add(&folder.join(".python-version"))?;
        }
    }
    let mut variables: Vec<_> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name == "PATH" || name.contains("PYENV"))
        .collect();
    variables.sort();
    for (name, value) in variables {
        question += &format!("{name}={}\n", value.to_str()?);
    }
    Some(Choice {
        versions,
        question,
        watched,
    })
}

/// Whether something besides pyenv itself chooses versions.
fn has_hooks(root: &Path) -> bool {
    let plugins = fs::read_dir(root.join("plugins")).into_iter().flatten();
    let of_plugins = plugins.flatten().map(|one| one.path().join("etc/pyenv.d"));
    let mut folders = of_plugins
        .chain([root.join("pyenv.d")])
        .chain(HOOK_FOLDERS.map(PathBuf::from));
    env::var_os("PYENV_HOOK_PATH").is_some()
        || folders.any(|folder| folder.join("version-name").exists())
}
