//! Gives an interpreter the packages that fixtures import: its own, or those of a private environment made once.
//!
//! An environment is built in a folder beside its place and renamed when it is complete, under a lock: it is there as a
//! whole or not at all. What a killed run left half-built is removed by the next one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rustix::event::{PollFd, PollFlags};
use serde::Deserialize;
use tempfile::TempDir;

use super::cache;
use super::child::{self, Failure};
use super::find;
use super::imports::{Imports, import};
use super::probe::Interpreter;
use super::{Error, trust};
use crate::interrupt::{self, Wake};
use crate::side_by_side;

const REQUIREMENTS: &str = include_str!("../../python_fixtures/requirements.txt");
/// What takes the place of a pip that is too old.
const NEWER_PIP: &str = include_str!("../../python_fixtures/pip.txt");
/// As an error names it.
pub(super) const REQUIREMENTS_NAME: &str = "python_fixtures/requirements.txt";
/// A step without network use.
const STEP_TIMEOUT: Duration = Duration::from_secs(120);
/// 20 MB over a slow line. pip gives up by itself long before where there is no line at all.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// The first pip that knows the names of all current Linux wheels (PEP 600). CPython 3.8.0 comes with an older one.
const OLDEST_PIP: (u32, u32) = (20, 3);
/// Lines of an installer's output that an error quotes.
const QUOTED_LINES: usize = 8;

/// An interpreter that can import what it has to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// As it was chosen: an environment made for it does not take its place here.
    pub interpreter: Interpreter,
    /// What `sys.executable` is to be: the interpreter's, or that of its private environment. Python finds its
    /// `sys.prefix` by it.
    pub executable: PathBuf,
    /// The program to run, no link to it.
    pub program: PathBuf,
    /// What `sys.prefix` is in it.
    pub prefix: PathBuf,
    /// What was asked for.
    pub installed: Installed,
}

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

/// Sees to it that `modules` can be imported, with neither the user's site-packages nor PYTHON* variables.
///
/// An interpreter that imports them all is used as it is. For another one a private environment with all pinned packages
/// is made under the user's cache folder, once: that takes seconds, `progress` gets a line for each step, and a second
/// run that starts meanwhile waits. The interpreter's own packages stay as they are.
///
/// # Errors
///
/// [`Error::NotPinned`], [`Error::NotInstalled`], [`Error::NoEnvironment`], [`Error::ImportFails`], [`Error::Cache`],
/// [`Error::NoHome`] and [`Error::Interrupted`]. Nothing half-made remains after any of them.
pub fn prepare(
    interpreter: Interpreter,
    modules: &[String],
    progress: &dyn Fn(&str),
) -> Result<Ready, Error> {
    // Where an environment stands, the interpreter could not import the modules by itself. To ask it again each time
    // would start one Python more in every run.
    if let Ok(environment) = place_for(&interpreter)
        && !modules.is_empty()
        && let Some(found) = usable(&environment, modules)?
    {
        return Ok(in_environment(interpreter, environment, found));
    }
    let own = import(&interpreter.executable, modules)?;
    if own.failures.is_empty() {
        return Ok(Ready {
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
        return Err(Error::NotPinned {
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
            let wanted = Wanted {
                pins: &pins,
                missing: listed(missing),
                modules,
            };
            make(&interpreter, &wanted, &environment, progress)?
        }
    };
    Ok(in_environment(interpreter, environment, found))
}

fn in_environment(interpreter: Interpreter, environment: PathBuf, found: Imports) -> Ready {
    let executable = environment.join("bin/python3");
    Ready {
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

/// [`prepare`] for several interpreters, some of them side by side. What came of each stands in the place of each: one
/// that fails does not keep the others from being ready. An interruption ends them all.
///
/// Lines of progress come one after the other, in the calling thread, and say which Python they are about.
pub fn prepare_all(
    interpreters: Vec<Interpreter>,
    modules: &[String],
    progress: &mut dyn FnMut(&str),
) -> Vec<Result<Ready, Error>> {
    side_by_side::each_telling(
        interpreters,
        SIDE_BY_SIDE,
        |interpreter, tell: &dyn Fn(String)| {
            if interrupt::requested() {
                return Err(Error::Interrupted);
            }
            prepare(interpreter, modules, &|line| tell(line.to_owned()))
        },
        &mut |line: String| progress(&line),
    )
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Cache { path, source }
}

/// The place of the private environment for an interpreter, whether it stands or not.
pub(super) fn place_for(interpreter: &Interpreter) -> Result<PathBuf, Error> {
    Ok(cache::folder()?
        .join("environments")
        .join(name(interpreter, REQUIREMENTS)))
}

/// What [`Build`] makes of the same pins. A new number for each change of that, so that no old environment is used.
const RECIPE: &str = "4";

/// One name for one interpreter and one set of pins: a version to read, a digest to tell two of that version apart.
fn name(interpreter: &Interpreter, requirements: &str) -> String {
    format!(
        "{}-{}",
        interpreter.version.replace('/', "_"),
        digest(interpreter, requirements)
    )
}

fn digest(interpreter: &Interpreter, text: &str) -> String {
    // python3 and python3.11 are one interpreter. An environment's program is known by its own path alone.
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
/// [`Error::CacheNotTrusted`].
pub(super) fn program_of(environment: &Path) -> Result<Option<PathBuf>, Error> {
    let python = environment.join("bin/python3");
    if !python.exists() {
        return Ok(None);
    }
    match trust::check_environment(environment) {
        Ok(()) => Ok(Some(python)),
        Err(why) => Err(Error::CacheNotTrusted {
            folder: environment.to_owned(),
            why,
        }),
    }
}

/// The environment's packages, if it is there and imports all.
fn usable(environment: &Path, modules: &[String]) -> Result<Option<Imports>, Error> {
    let Some(python) = program_of(environment)? else {
        return Ok(None);
    };
    let found = import(&python, modules)?;
    Ok(found.failures.is_empty().then_some(found))
}

/// One pin of requirements.txt that holds for a series.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pin<'a> {
    name: &'a str,
    version: &'a str,
}

/// The pins for one series. requirements.txt keeps to `NAME==VERSION ; python_version OP "X.Y"`, with the hashes in lines
/// of their own, which are for the installer; a test holds it to that form.
fn pins(requirements: &str, series: (u8, u8)) -> Vec<Pin<'_>> {
    requirements
        .lines()
        .map(|line| line.split(['#', '\\']).next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty() && !line.starts_with("--hash="))
        .filter_map(|line| {
            let (pin, marker) = line.split_once(';').unwrap_or((line, ""));
            let (name, version) = pin.split_once("==")?;
            holds(marker, series)?.then_some(Pin {
                name: name.trim(),
                version: version.trim(),
            })
        })
        .collect()
}

/// Whether some Python gets this module with a private environment.
pub(super) fn is_pinned(module: &str) -> bool {
    REQUIREMENTS
        .lines()
        .any(|line| line.split("==").next() == Some(module))
}

/// Whether a marker holds. `None` for what is not in the form above.
fn holds(marker: &str, series: (u8, u8)) -> Option<bool> {
    if marker.trim().is_empty() {
        return Some(true);
    }
    let mut words = marker.split_whitespace();
    let (variable, operator, value) = (words.next()?, words.next()?, words.next()?);
    if variable != "python_version" || words.next().is_some() {
        return None;
    }
    let (major, minor) = value.trim_matches(['"', '\'']).split_once('.')?;
    let wanted: (u8, u8) = (major.parse().ok()?, minor.parse().ok()?);
    match operator {
        "==" => Some(series == wanted),
        ">=" => Some(series >= wanted),
        "<=" => Some(series <= wanted),
        "<" => Some(series < wanted),
        ">" => Some(series > wanted),
        _ => None,
    }
}

/// What an environment is made for.
struct Wanted<'a> {
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
    wanted: &Wanted<'_>,
    environment: &Path,
    progress: &dyn Fn(&str),
) -> Result<Imports, Error> {
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
    if let Some(found) = usable(environment, wanted.modules)? {
        return Ok(found);
    }

    // Under the lock nobody builds this environment: what is left of it is a killed run's, or it is broken.
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
        listed(wanted.pins)
    ));
    let all: Vec<String> = wanted.pins.iter().map(|pin| pin.name.to_owned()).collect();
    let built = Build {
        interpreter,
        scratch: &scratch,
        environment: scratch.path().join("environment"),
        missing: &wanted.missing,
        progress,
    }
    .run()?;
    // Once before it gets its name, so that no other run sees one that does not work, and once in its place.
    succeeded(
        interpreter,
        environment,
        import(&built.join("bin/python3"), &all)?,
    )?;
    fs::rename(&built, environment).map_err(at(environment))?;
    let found = succeeded(
        interpreter,
        environment,
        import(&environment.join("bin/python3"), wanted.modules)?,
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
) -> Result<Imports, Error> {
    if found.failures.is_empty() {
        return Ok(found);
    }
    let lines: Vec<String> = found
        .failures
        .iter()
        .map(|(module, reason)| format!("  {module}: {reason}"))
        .collect();
    Err(Error::ImportFails {
        version: interpreter.version.clone(),
        environment: environment.to_owned(),
        detail: lines.join("\n"),
    })
}

/// `numpy 2.4.6 and bitarray 3.12.3`.
fn listed<'a>(pins: impl IntoIterator<Item = &'a Pin<'a>>) -> String {
    let pins: Vec<String> = pins
        .into_iter()
        .map(|pin| format!("{} {}", pin.name, pin.version))
        .collect();
    pins.join(" and ")
}

/// Holds the lock file until dropped. The file stays: removing it would let two runs lock two files of one name.
fn lock(path: &Path, version: &str, progress: &dyn Fn(&str)) -> Result<Flock<File>, Error> {
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
    // flock() has no descriptor to wait for, and the signal handlers restart it. A thread waits in it; its end closes
    // the pipe, which can be waited for together with an interruption. After one, the thread stays behind, until it
    // gets a lock that nobody receives and lets go of it, or until refcow ends, which is sooner.
    let (gone, here) = io::pipe().map_err(at(path))?;
    let (sender, receiver) = mpsc::channel();
    let waiter = thread::Builder::new().spawn(move || {
        let _here = here;
        let _ = sender.send(Flock::lock(file, FlockArg::LockExclusive));
    });
    waiter.map_err(at(path))?;
    let mut fds = [PollFd::new(&gone, PollFlags::IN)];
    match interrupt::wait(&mut fds, None).map_err(at(path))? {
        Wake::Interrupted | Wake::TimedOut => Err(Error::Interrupted),
        Wake::Ready => match receiver.recv() {
            Ok(Ok(lock)) => Ok(lock),
            Ok(Err((_, errno))) => Err(at(path)(errno.into())),
            Err(_) => Err(at(path)(io::ErrorKind::Other.into())),
        },
    }
}

/// One environment in the making. All that is written lies in `scratch`.
///
/// No step starts a process of its own (which is why pip is not installed by ensurepip, and not run by `pip --python`):
/// a grandchild would outlive a refcow that is killed.
struct Build<'a> {
    interpreter: &'a Interpreter,
    scratch: &'a TempDir,
    environment: PathBuf,
    missing: &'a str,
    progress: &'a dyn Fn(&str),
}

/// How to run pip.
enum Pip {
    /// The interpreter's own module.
    Module,
    /// A file or folder to run: the wheel that ensurepip would install, or a newer pip fetched by an old one.
    Path(PathBuf),
}

/// What `PIP_SCRIPT` prints.
#[derive(Debug, Deserialize)]
struct Installers {
    module: Option<String>,
    bundled: Option<(String, PathBuf)>,
}

const PIP_SCRIPT: &str = include_str!("pip.py");
const PIP_MARK: &str = "refcow-pip:";

impl Build<'_> {
    /// A line of progress that tells whose it is: environments for others may be in the making too.
    fn say(&self, words: &str) {
        (self.progress)(&format!("Python {}: {words}", self.interpreter.version));
    }

    /// Builds it and gives its folder.
    fn run(&self) -> Result<PathBuf, Error> {
        let requirements = self.scratch.path().join("requirements.txt");
        fs::write(&requirements, REQUIREMENTS).map_err(at(&requirements))?;
        let temporary = self.scratch.path().join("tmp");
        fs::create_dir(&temporary).map_err(at(&temporary))?;

        let with_uv = match find::command("uv") {
            Some(uv) => match self.with_uv(&uv, &requirements) {
                // uv does not read pip's settings, which may be what leads to the packages here.
                Err(Error::NotInstalled { detail, .. }) => {
                    self.say("uv could not install its packages, trying pip");
                    if self.environment.exists() {
                        fs::remove_dir_all(&self.environment).map_err(at(&self.environment))?;
                    }
                    Some(detail)
                }
                done => return done.and_then(|()| self.finish()),
            },
            None => None,
        };
        match (self.with_pip(&requirements), with_uv) {
            (Ok(()), _) => self.finish(),
            (Err(Error::NotInstalled { detail, .. }), Some(first)) => {
                Err(self.not_installed(format!("{first}\n{detail}")))
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Takes out of the environment what would give it another heap in each place: Python reads all of pyvenv.cfg, which
    /// since 3.11 tells where it was made, and byte code names the file that it was compiled from.
    fn finish(&self) -> Result<PathBuf, Error> {
        /// In the place of the environment's folder.
        const COMPILED_IN: &str = "/environment";
        let path = self.environment.join("pyvenv.cfg");
        let text = fs::read_to_string(&path).map_err(at(&path))?;
        let kept = text
            .split_inclusive('\n')
            .filter(|line| line.split('=').next().map(str::trim) != Some("command"));
        fs::write(&path, kept.collect::<String>()).map_err(at(&path))?;

        let mut compile = self.command(&self.environment.join("bin/python3"));
        for (name, _) in std::env::vars_os() {
            if name.as_bytes().starts_with(b"PYTHON") {
                compile.env_remove(name);
            }
        }
        compile
            // The same byte code each time it is made: sets of constants stand in the order of their hashes, and what else
            // is in the file is when the source was written, or its hash (PEP 552).
            // -I would leave the seed out; this has the rest of it.
            .env("PYTHONHASHSEED", "0")
            .current_dir(self.scratch.path())
            .args(["-s", "-m", "compileall", "-q", "-f", "-d", COMPILED_IN])
            .args(["--invalidation-mode", "unchecked-hash"])
            .arg(self.environment.join("lib"));
        // Packages bring files that this version cannot compile, nor import; compileall's status is theirs.
        self.step(&mut compile, INSTALL_TIMEOUT)?;
        Ok(self.environment.clone())
    }

    fn with_uv(&self, uv: &Path, requirements: &Path) -> Result<(), Error> {
        // It must not fetch another Python, nor ask the shell which environment is active.
        let mut make = self.command(uv);
        make.env("UV_PYTHON_DOWNLOADS", "never")
            .args(["venv", "--quiet", "--python"])
            .arg(&self.interpreter.executable)
            .arg(&self.environment);
        self.install("uv venv", &mut make, STEP_TIMEOUT)?;
        let mut install = self.command(uv);
        install
            // Not the user's folder: a pyproject.toml or uv.toml there is about something else.
            .current_dir(self.scratch.path())
            .args(["pip", "install", "--only-binary", ":all:"])
            .arg("--python")
            .arg(self.environment.join("bin/python3"))
            .args(["--require-hashes", "--requirement"])
            .arg(requirements);
        self.install("uv", &mut install, INSTALL_TIMEOUT)
    }

    fn with_pip(&self, requirements: &Path) -> Result<(), Error> {
        let python = &self.interpreter.executable;
        // --without-pip: Debian's python3 has venv, and ensurepip only with the package python3-venv.
        let mut make = self.command(python);
        make.args(["-I", "-m", "venv", "--without-pip"])
            .arg(&self.environment);
        let output = self.step(&mut make, STEP_TIMEOUT)?;
        if !output.status.success() {
            return Err(self.no_environment(format!(
                "python -m venv: {} {}",
                child::ending(output.status),
                child::tail(&output.stderr, QUOTED_LINES)
            )));
        }

        let mut pip = self.pip()?;
        let site = self.environment.join(format!(
            "lib/python{}.{}/site-packages",
            self.interpreter.series.0, self.interpreter.series.1
        ));
        if let (pip_now, true) = &pip {
            self.say("its pip is too old for current packages: fetching a newer one first");
            let newer = self.scratch.path().join("pip");
            let pinned = self.scratch.path().join("pip.txt");
            fs::write(&pinned, NEWER_PIP).map_err(at(&pinned))?;
            let mut fetch = self.pip_command(pip_now);
            fetch
                .args(["install", "--only-binary=:all:", "--target"])
                .arg(&newer)
                .args(["--require-hashes", "--requirement"])
                .arg(pinned);
            self.install("pip", &mut fetch, INSTALL_TIMEOUT)?;
            pip = (Pip::Path(newer.join("pip")), false);
        }
        let mut install = self.pip_command(&pip.0);
        // Wheels only: building NumPy takes a compiler and many minutes, and would give each machine another NumPy.
        // --target, not the environment's own interpreter: it works with every pip, in an interpreter whose packages a
        // distribution manages too (PEP 668), and does not take the interpreter's other packages for the environment's.
        install
            .args(["install", "--no-compile", "--only-binary=:all:", "--target"])
            .arg(site)
            .args(["--require-hashes", "--requirement"])
            .arg(requirements);
        self.install("pip", &mut install, INSTALL_TIMEOUT)
    }

    /// The best pip at hand, and whether it is too old.
    fn pip(&self) -> Result<(Pip, bool), Error> {
        let mut ask = self.command(&self.interpreter.executable);
        ask.args(["-I", "-B", "-c", PIP_SCRIPT]);
        let output = self.step(&mut ask, STEP_TIMEOUT)?;
        let installers: Option<Installers> = child::marked_line(&output.stdout, PIP_MARK)
            .and_then(|line| serde_json::from_slice(line).ok());
        installers.and_then(best).ok_or_else(|| {
            self.no_environment(
                "it has neither pip nor ensurepip, and uv is not on PATH".to_owned(),
            )
        })
    }

    fn pip_command(&self, pip: &Pip) -> Command {
        let mut command = self.command(&self.interpreter.executable);
        command.arg("-I");
        match pip {
            Pip::Module => command.args(["-m", "pip"]),
            Pip::Path(path) => command.arg(path),
        };
        command
    }

    /// A command that leaves no trace outside `scratch` but the installer's own cache.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            // What a killed installer leaves is removed with the rest.
            .env("TMPDIR", self.scratch.path().join("tmp"))
            // The user's settings say where packages come from. Where they go is not theirs to say here.
            .env_remove("PIP_TARGET")
            .env_remove("PIP_PREFIX")
            .env_remove("PIP_ROOT")
            .env("PIP_USER", "0")
            .env("PIP_REQUIRE_VIRTUALENV", "0")
            .env("PIP_NO_INPUT", "1")
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            .env_remove("PYTHONHOME")
            .env_remove("VIRTUAL_ENV");
        command
    }

    fn step(&self, command: &mut Command, timeout: Duration) -> Result<child::Output, Error> {
        child::run(command, timeout).map_err(|failure| match failure {
            Failure::Interrupted => Error::Interrupted,
            other => self.no_environment(format!(
                "{}: {other}",
                Path::new(command.get_program()).display()
            )),
        })
    }

    fn install(&self, who: &str, command: &mut Command, timeout: Duration) -> Result<(), Error> {
        match child::run(command, timeout) {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(self.not_installed(quoted(
                who,
                &child::ending(output.status),
                &child::tail(&without_retries(&output.stderr), QUOTED_LINES),
            ))),
            Err(Failure::Interrupted) => Err(Error::Interrupted),
            Err(failure) => Err(self.not_installed(quoted(who, &failure.to_string(), ""))),
        }
    }

    fn not_installed(&self, detail: String) -> Error {
        Error::NotInstalled {
            version: self.interpreter.version.clone(),
            executable: self.interpreter.executable.clone(),
            packages: self.missing.to_owned(),
            detail,
        }
    }

    fn no_environment(&self, reason: String) -> Error {
        Error::NoEnvironment {
            version: self.interpreter.version.clone(),
            executable: self.interpreter.executable.clone(),
            reason,
        }
    }
}

/// The interpreter's own pip if it is new enough (it is what the user has set up and trusts), else the one bundled with
/// ensurepip if that is, else the first of them, to be told that it is too old.
fn best(installers: Installers) -> Option<(Pip, bool)> {
    let module = installers.module.map(|version| (Pip::Module, version));
    let bundled = installers
        .bundled
        .map(|(version, wheel)| (Pip::Path(wheel.join("pip")), version));
    let mut all: Vec<(Pip, bool)> = [module, bundled]
        .into_iter()
        .flatten()
        .map(|(pip, version)| (pip, is_too_old(&version)))
        .collect();
    let index = all.iter().position(|(_, old)| !old).unwrap_or(0);
    (!all.is_empty()).then(|| all.swap_remove(index))
}

fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) < OLDEST_PIP,
        // A version that cannot be read is a development one.
        _ => false,
    }
}

/// pip says of each attempt that it failed, at length, and always the same: one of them is enough.
fn without_retries(stderr: &[u8]) -> Vec<u8> {
    let is_retry = |line: &[u8]| line.starts_with(b"WARNING: Retrying ");
    let lines: Vec<&[u8]> = stderr.split(|byte| *byte == b'\n').collect();
    let mut kept: Vec<&[u8]> = Vec::new();
    for line in lines {
        if is_retry(line) && kept.last().is_some_and(|last| is_retry(last)) {
            kept.pop();
        }
        kept.push(line);
    }
    kept.join(&b'\n')
}

/// `pip (exit status 1):` and its last lines, set off.
fn quoted(who: &str, ending: &str, said: &str) -> String {
    let lines: Vec<String> = said.lines().map(|line| format!("\n  {line}")).collect();
    format!("{who} ({ending}):{}", lines.concat())
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

    #[test]
    fn every_series_has_one_pin_for_each_package() {
        for minor in 8..=20 {
            let pins = pins(REQUIREMENTS, (3, minor));
            let names: Vec<&str> = pins.iter().map(|pin| pin.name).collect();
            assert_eq!(names, ["numpy", "bitarray"], "3.{minor}");
        }
    }

    #[test]
    fn every_line_of_the_requirements_has_the_form_that_is_read_here() {
        for (pin, marker, _) in requirements() {
            assert!(pin.contains("=="), "{pin}");
            assert!(holds(&marker, (3, 8)).is_some(), "{pin}");
        }
    }

    /// Each pin with its marker and its hashes.
    fn requirements() -> Vec<(String, String, Vec<String>)> {
        let text = REQUIREMENTS.replace("\\\n", "");
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let mut words = line.split(" --hash=sha256:").map(str::trim);
                let (pin, marker) = words.next().unwrap().split_once(';').unwrap();
                let hashes = words.map(str::to_owned).collect();
                (pin.to_owned(), marker.to_owned(), hashes)
            })
            .collect()
    }

    /// The series that have wheels, each for two kinds of processors.
    #[test]
    fn every_pin_has_the_hash_of_each_wheel() {
        let mut all = std::collections::HashSet::new();
        for (pin, marker, hashes) in requirements() {
            let series = (8..=15).filter(|minor| holds(&marker, (3, *minor)) == Some(true));
            assert_eq!(hashes.len(), 2 * series.count(), "{pin}");
            for hash in hashes {
                let digits = hash.bytes().filter(u8::is_ascii_hexdigit).count();
                assert_eq!((hash.len(), digits), (64, 64), "{pin}: {hash}");
                assert!(all.insert(hash), "{pin}: twice");
            }
        }
        let newer: Vec<&str> = NEWER_PIP
            .lines()
            .filter(|line| !line.starts_with('#'))
            .collect();
        assert!(
            newer[0].starts_with("pip==") && newer[1].contains("--hash=sha256:"),
            "{newer:?}"
        );
        let version = newer[0].trim_start_matches("pip==").trim_end_matches(" \\");
        assert!(!is_too_old(version), "{version}");
    }

    #[test]
    fn markers_hold_as_pip_reads_them() {
        assert_eq!(holds("", (3, 8)), Some(true));
        assert_eq!(holds(r#" python_version == "3.8""#, (3, 8)), Some(true));
        // As numbers: 3.9 is before 3.10.
        assert_eq!(holds(r#" python_version >= "3.10""#, (3, 9)), Some(false));
        assert_eq!(holds(r#" python_version < '3.10'"#, (3, 9)), Some(true));
        assert_eq!(holds(r#" sys_platform == "linux""#, (3, 9)), None);
        assert_eq!(holds(r#" python_version >= "3.8" and x"#, (3, 9)), None);
    }

    #[test]
    fn an_old_pip_gives_way_to_a_bundled_newer_one() {
        let chosen = |module: Option<&str>, bundled: Option<&str>| {
            best(Installers {
                module: module.map(str::to_owned),
                bundled: bundled.map(|version| (version.to_owned(), "/pip.whl".into())),
            })
            .map(|(pip, old)| (matches!(pip, Pip::Module), old))
        };
        assert_eq!(chosen(Some("23.0.1"), Some("23.2")), Some((true, false)));
        assert_eq!(chosen(Some("19.2.3"), Some("23.2")), Some((false, false)));
        assert_eq!(chosen(Some("19.2.3"), Some("19.2.3")), Some((true, true)));
        assert_eq!(chosen(None, Some("20.3")), Some((false, false)));
        assert_eq!(chosen(Some("26.0.dev0"), None), Some((true, false)));
        assert_eq!(chosen(None, None), None);
    }

    #[test]
    fn one_retry_speaks_for_all() {
        let said = b"WARNING: Retrying (4)\nWARNING: Retrying (3)\nERROR: none\n";
        assert_eq!(
            without_retries(said),
            b"WARNING: Retrying (3)\nERROR: none\n"
        );
        assert_eq!(without_retries(b""), b"");
    }

    #[test]
    fn an_installers_words_are_set_off() {
        assert_eq!(
            quoted("pip", "exit status 1", "a\nb"),
            "pip (exit status 1):\n  a\n  b"
        );
    }
}
