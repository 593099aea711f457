//! Gives an interpreter the packages that fixtures import: its own, or those of a private
//! environment made once.
//!
//! An environment is built in a folder beside its place and renamed when it is complete, under a
//! lock: it is there as a whole or not at all. What a killed run left half-built is removed by the
//! next one.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rustix::event::{PollFd, PollFlags};

use super::cache;
use super::error::{PythonError, at};
use super::imports::{Imports, Installed, import};
use super::install::Build;
use super::pins::{Pin, REQUIREMENTS, listed, pins};
use super::place::{place_for, program_of};
use super::probe::Interpreter;
use crate::interrupt::{self, Wake};
use crate::threads;

/// An interpreter that can import what it has to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadyInterpreter {
    /// As it was chosen: an environment made for it does not take its place here.
    pub interpreter: Interpreter,
    /// What `sys.executable` is to be: the interpreter's, or that of its private environment.
    /// Python finds its `sys.prefix` by it.
    pub executable: PathBuf,
    /// The program to run, no link to it.
    pub program: PathBuf,
    /// What `sys.prefix` is in it.
    pub prefix: PathBuf,
    /// What was asked for.
    pub installed: Installed,
}

/// Sees to it that `modules` can be imported, with neither the user's site-packages nor PYTHON*
/// variables.
///
/// An interpreter that imports them all is used as it is. For another one a private environment
/// with all pinned packages is made under the user's cache folder, once: that takes seconds,
/// `progress` gets a line for each step, and a second run that starts meanwhile waits. The
/// interpreter's own packages stay as they are.
///
/// # Errors
///
/// [`PythonError::NotPinned`], [`PythonError::NotInstalled`], [`PythonError::NoEnvironment`],
/// [`PythonError::ImportFails`], [`PythonError::Cache`], [`PythonError::NoHome`] and
/// [`PythonError::Interrupted`]. Nothing half-made remains after any of them.
pub fn prepare(
    interpreter: Interpreter,
    modules: &[String],
    progress: &dyn Fn(&str),
) -> Result<ReadyInterpreter, PythonError> {
    // Where an environment stands, the interpreter could not import the modules by itself. To ask
    // it again each time would start one Python more in every run.
    if let Ok(environment) = place_for(&interpreter)
        && !modules.is_empty()
        && let Some(found) = usable(&environment, modules)?
    {
        return Ok(in_environment(interpreter, environment, found));
    }
    let own = import(&interpreter.executable, modules)?;
    if own.failures.is_empty() {
        return Ok(ReadyInterpreter {
            executable: interpreter.executable.clone(),
            program: interpreter.program.clone(),
            prefix: interpreter.prefix.clone(),
            installed: own.installed(),
            interpreter,
        });
    }

    let pins = pins(REQUIREMENTS, interpreter.series);
    let unknown: Vec<&str> = own
        .failures
        .keys()
        .map(String::as_str)
        .filter(|module| !pins.iter().any(|pin| pin.name == *module))
        .collect();
    if !unknown.is_empty() {
        return Err(PythonError::NotPinned {
            version: interpreter.version,
            executable: interpreter.executable,
            modules: unknown.join(", "),
        });
    }

    let environment = place_for(&interpreter)?;
    let found = match usable(&environment, modules)? {
        Some(found) => found,
        None => {
            let missing = pins
                .iter()
                .filter(|pin| own.failures.contains_key(pin.name));
            let purpose = Purpose {
                pins: &pins,
                missing: listed(missing),
                modules,
            };
            make(&interpreter, &purpose, &environment, progress)?
        }
    };
    Ok(in_environment(interpreter, environment, found))
}

fn in_environment(
    interpreter: Interpreter,
    environment: PathBuf,
    found: Imports,
) -> ReadyInterpreter {
    let executable = environment.join("bin/python3");
    ReadyInterpreter {
        // A link, but where the file system has none.
        program: fs::canonicalize(&executable).unwrap_or_else(|_| executable.clone()),
        executable,
        prefix: environment,
        installed: found.installed(),
        interpreter,
    }
}

/// At once; installing is half waiting for the network, and the rest of it work for a processor.
const SIDE_BY_SIDE: usize = 3;

/// [`prepare`] for several interpreters, some of them side by side. What came of each stands in the
/// place of each: one that fails does not keep the others from being ready. An interruption ends
/// them all.
///
/// Lines of progress come one after the other, in the calling thread, and say which Python they are
/// about.
pub fn prepare_all(
    interpreters: Vec<Interpreter>,
    modules: &[String],
    progress: &mut dyn FnMut(&str),
) -> Vec<Result<ReadyInterpreter, PythonError>> {
    threads::each_telling(
        interpreters,
        SIDE_BY_SIDE,
        |interpreter, tell: &dyn Fn(String)| {
            if interrupt::requested() {
                return Err(PythonError::Interrupted);
            }
            // Nothing is built in a build without the GIL.
            let modules = match interpreter.free_threaded {
                true => &[],
                false => modules,
            };
            prepare(interpreter, modules, &|line| tell(line.to_owned()))
        },
        &mut |line: String| progress(&line),
    )
}

/// The environment's packages, if it is there and imports all.
fn usable(environment: &Path, modules: &[String]) -> Result<Option<Imports>, PythonError> {
    let Some(python) = program_of(environment)? else {
        return Ok(None);
    };
    let found = import(&python, modules)?;
    Ok(found.failures.is_empty().then_some(found))
}

/// What an environment is made for.
struct Purpose<'a> {
    /// All that it gets.
    pins: &'a [Pin<'a>],
    /// What the interpreter lacks of them, for an error.
    missing: String,
    /// What the fixtures of this run import.
    modules: &'a [String],
}

/// Makes the environment, or waits for the run that is making it.
fn make(
    interpreter: &Interpreter,
    purpose: &Purpose<'_>,
    environment: &Path,
    progress: &dyn Fn(&str),
) -> Result<Imports, PythonError> {
    let place = environment.parent().unwrap_or(Path::new("/"));
    let name = environment
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    cache::make(place)?;
    let _lock = lock(
        &place.join(format!("{name}.lock")),
        &interpreter.version,
        progress,
    )?;
    if let Some(found) = usable(environment, purpose.modules)? {
        return Ok(found);
    }

    // Under the lock nobody builds this environment: what is left of it is a killed run's, or it is
    // broken.
    let building = format!(".building-{name}-");
    for entry in fs::read_dir(place).map_err(at(place))? {
        let entry = entry.map_err(at(place))?;
        if entry
            .file_name()
            .as_bytes()
            .starts_with(building.as_bytes())
        {
            fs::remove_dir_all(entry.path()).map_err(at(&entry.path()))?;
        }
    }
    let scratch = tempfile::Builder::new()
        .prefix(&building)
        .tempdir_in(place)
        .map_err(at(place))?;
    // A folder with something in it cannot be renamed over.
    if fs::symlink_metadata(environment).is_ok() {
        progress(&format!(
            "the private environment for Python {} is broken and gives way to a new one",
            interpreter.version
        ));
        let old = scratch.path().join("broken");
        fs::rename(environment, &old).map_err(at(environment))?;
    }

    progress(&format!(
        "making a private environment for Python {} with {} (once)",
        interpreter.version,
        listed(purpose.pins)
    ));
    let all: Vec<String> = purpose.pins.iter().map(|pin| pin.name.to_owned()).collect();
    let built = Build {
        interpreter,
        scratch: &scratch,
        environment: scratch.path().join("environment"),
        missing: &purpose.missing,
        progress,
    }
    .run()?;
    // Once before it gets its name, so that no other run sees one that does not work, and once in
    // its place.
    succeeded(
        interpreter,
        environment,
        import(&built.join("bin/python3"), &all)?,
    )?;
    fs::rename(&built, environment).map_err(at(environment))?;
    let found = succeeded(
        interpreter,
        environment,
        import(&environment.join("bin/python3"), purpose.modules)?,
    );
    if found.is_err() {
        fs::remove_dir_all(environment).map_err(at(environment))?;
    }
    found
}

fn succeeded(
    interpreter: &Interpreter,
    environment: &Path,
    found: Imports,
) -> Result<Imports, PythonError> {
    if found.failures.is_empty() {
        return Ok(found);
    }
    let lines: Vec<String> = found
        .failures
        .iter()
        .map(|(module, reason)| format!("  {module}: {reason}"))
        .collect();
    Err(PythonError::ImportFails {
        version: interpreter.version.clone(),
        environment: environment.to_owned(),
        detail: lines.join("\n"),
    })
}

/// Holds the lock file until dropped. The file stays: removing it would let two runs lock two files
/// of one name.
fn lock(path: &Path, version: &str, progress: &dyn Fn(&str)) -> Result<Flock<File>, PythonError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(at(path))?;
    let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => return Ok(lock),
        Err((file, Errno::EWOULDBLOCK)) => file,
        Err((_, errno)) => return Err(at(path)(errno.into())),
    };
    progress(&format!(
        "waiting for another refcow that is making the private environment for Python {version}"
    ));
    // flock() has no descriptor to wait for, and the signal handlers restart it. A thread waits in
    // it; its end closes the pipe, which can be waited for together with an interruption. After
    // one, the thread stays behind, until it gets a lock that nobody receives and lets go of it, or
    // until refcow ends, which is sooner.
    let (gone, here) = io::pipe().map_err(at(path))?;
    let (sender, receiver) = mpsc::channel();
    let waiter = thread::Builder::new().spawn(move || {
        let _here = here;
        let _ = sender.send(Flock::lock(file, FlockArg::LockExclusive));
    });
    waiter.map_err(at(path))?;
    let mut fds = [PollFd::new(&gone, PollFlags::IN)];
    match interrupt::wait(&mut fds, None).map_err(at(path))? {
        Wake::Interrupted | Wake::TimedOut => Err(PythonError::Interrupted),
        Wake::Ready => match receiver.recv() {
            Ok(Ok(lock)) => Ok(lock),
            Ok(Err((_, errno))) => Err(at(path)(errno.into())),
            Err(_) => Err(at(path)(io::ErrorKind::Other.into())),
        },
    }
}
