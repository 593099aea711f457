//! How a subject is started, and what it finds around itself.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fixed_paths::FixedPaths;
use crate::python::LIBRARY_PATH;
use crate::variables::HASH_SEED;

/// How a subject is to be started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// refcow's own program, which is the subject's keeper, too.
    pub keeper: PathBuf,
    /// refcow-subject, a library that is preloaded into the interpreter.
    pub library: PathBuf,
    /// The interpreter's own program, no link to it.
    pub interpreter: PathBuf,
    /// What its `sys.executable` is to be: by it Python finds its environment.
    pub executable: PathBuf,
    /// Whether it only starts with the user's `LD_LIBRARY_PATH`.
    pub needs_library_path: bool,
    /// `sys.version` as the interpreter says it: what the running one must say too.
    pub version: String,
    /// `sys.prefix` of the environment that it must find itself in.
    pub prefix: PathBuf,
    /// What it finds around itself.
    pub surroundings: Surroundings,
    /// Variables that the user gives it, in the place of others of these names.
    pub variables: Vec<(OsString, OsString)>,
    /// Whether it has transparent huge pages as the user's own program would have them, or none.
    pub keep_huge_pages: bool,
    /// How many channels it needs: the witness and all children.
    pub channels: usize,
    /// The time that one request or one visit may take.
    pub timeout: Duration,
}

/// What a subject finds around itself: all of it can reach the heap that is measured.
#[derive(Clone, Debug)]
pub enum Surroundings {
    /// The same everywhere, for code that needs nothing of the user's: paths of one length, a home
    /// and a working folder that every machine has, no variable and no descriptor of whoever
    /// started refcow.
    Fixed(FixedPaths),
    /// The user's own home, working folder, temporary files and descriptors: what a program of the
    /// user's would have.
    Users,
}

/// A home and a working folder for code that needs none: every machine has it, and every user may
/// enter it.
pub(super) const NO_HOME: &str = "/";

/// Opens a file to be found by its descriptor.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .custom_flags(nix::libc::O_PATH)
        .open(path)?;
    // A folder can be opened so, too.
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
    }
}

/// The subject's whole environment: what makes runs alike, what the user gives it, and no more of
/// the user's than Python needs.
pub(super) fn variables(launch: &Launch) -> Vec<(OsString, OsString)> {
    const SYSTEMS: &str = "/usr/local/bin:/usr/bin:/bin";
    let mut variables: Vec<(&str, OsString)> = vec![
        ("LANG", "C.UTF-8".into()),
        ("PYTHONHASHSEED", HASH_SEED.to_string().into()),
        ("PYTHONNOUSERSITE", "1".into()),
        // A run that writes byte code and the next, which finds it, would not have the same heap.
        ("PYTHONDONTWRITEBYTECODE", "1".into()),
        // Threads would write while children run, and fork copies none of them.
        ("OPENBLAS_NUM_THREADS", "1".into()),
        ("OMP_NUM_THREADS", "1".into()),
        ("MKL_NUM_THREADS", "1".into()),
    ];
    if !launch.keep_huge_pages {
        // NumPy asks for huge pages by itself (numpy/numpy#15769).
        variables.push(("NUMPY_MADVISE_HUGEPAGE", "0".into()));
    }
    let mut users = Vec::new();
    match &launch.surroundings {
        Surroundings::Fixed(places) => {
            if launch.needs_library_path {
                users.push(LIBRARY_PATH);
            }
            variables.extend([
                ("PATH", SYSTEMS.into()),
                // Where it is not set, Python looks the user up.
                ("HOME", NO_HOME.into()),
                ("TMPDIR", places.temporary().into()),
            ]);
        }
        Surroundings::Users => {
            let bin = launch.executable.parent().unwrap_or(Path::new("/"));
            let mut path = bin.as_os_str().to_owned();
            path.push(":");
            path.push(SYSTEMS);
            variables.push(("PATH", path));
            users.extend(["HOME", "TMPDIR", LIBRARY_PATH]);
        }
    }
    for name in users {
        variables.extend(std::env::var_os(name).map(|value| (name, value)));
    }
    let mut all: Vec<(OsString, OsString)> = variables
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect();
    for (name, value) in &launch.variables {
        all.retain(|(known, _)| known != name);
        all.push((name.clone(), value.clone()));
    }
    all
}

/// Variables by which OpenBLAS is told what the machine's processor can do.
pub(super) fn of_libraries() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("OPENBLAS_") && name != "OPENBLAS_NUM_THREADS")
        .collect()
}
