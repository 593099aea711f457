//! Where interpreters are on this machine, and which of them a selector means.

use std::collections::HashSet;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use nix::unistd::{AccessFlags, access};

use super::Error;
use super::probe::{self, Interpreter, Unusable};
use crate::side_by_side;

/// A program that looks like a Python interpreter, and what came of asking it.
#[derive(Debug)]
pub struct Found {
    /// Where it was found, before symbolic links and shims are followed.
    pub path: PathBuf,
    /// The interpreter, or why it cannot be used.
    pub outcome: Result<Interpreter, Unusable>,
}

/// The places to look in. From the environment, apart from tests.
#[derive(Clone, Debug, Default)]
struct Places {
    /// `REFCOW_PYTHONS`: programs, or folders with a `bin/`, that the user names.
    named: Vec<PathBuf>,
    /// `PATH`, its absolute folders only: what another folder would mean changes with the working folder.
    path: Vec<PathBuf>,
    /// Folders with a `bin/` of their own: the active environment and what version managers installed.
    installations: Vec<PathBuf>,
    /// Folders where a system keeps programs, should PATH lack them.
    system: Vec<PathBuf>,
}

impl Places {
    fn of_this_machine() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        let named = env::var_os("REFCOW_PYTHONS").unwrap_or_default();
        let mut installations = Vec::new();
        for environment in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
            installations.extend(env::var_os(environment).map(PathBuf::from));
        }
        if let Ok(user) = etcetera::choose_base_strategy() {
            let pyenv = env::var_os("PYENV_ROOT")
                .map_or_else(|| user.home_dir().join(".pyenv"), PathBuf::from);
            installations.extend(newest_first(&pyenv.join("versions")));
            let uv = env::var_os("UV_PYTHON_INSTALL_DIR")
                .map_or_else(|| user.data_dir().join("uv/python"), PathBuf::from);
            installations.extend(newest_first(&uv));
            installations.extend(conda(user.home_dir()));
        }
        installations.extend(tool_cache());
        installations.extend(newest_first(Path::new("/opt")));
        installations.extend(newest_first(Path::new("/opt/python")));
        Self {
            named: env::split_paths(&named)
                .filter(|path| path.is_absolute())
                .collect(),
            path: env::split_paths(&path)
                .filter(|folder| folder.is_absolute())
                .collect(),
            installations,
            system: vec!["/usr/local/bin".into(), "/usr/bin".into()],
        }
    }

    /// Programs by the names of interpreters, in the order of preference: what `python3` means to the user's shell,
    /// then other versions on PATH, then what the user names, then what is not on PATH. Each file once, but each
    /// environment counts.
    fn candidates(&self) -> Vec<PathBuf> {
        let named = self.named.iter().flat_map(|path| {
            if path.is_dir() {
                in_folder(&path.join("bin")).collect()
            } else {
                vec![path.clone()]
            }
        });
        let on_path = self.path.iter().map(|folder| folder.join("python3"));
        let beside = self.path.iter().flat_map(|folder| versioned(folder));
        let elsewhere = self
            .installations
            .iter()
            .map(|root| root.join("bin"))
            .chain(self.system.iter().cloned())
            .flat_map(|bin| in_folder(&bin));
        let mut seen = HashSet::new();
        on_path
            .chain(beside)
            .chain(named)
            .chain(elsewhere)
            .filter(|path| is_program(path).is_ok())
            .filter(|path| seen.insert(identity(path)))
            .collect()
    }

    fn command(&self, name: &str) -> Option<PathBuf> {
        self.path
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| is_program(path).is_ok())
    }
}

/// The names of interpreters in a folder of programs, whether they are there or not.
fn in_folder(bin: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    std::iter::once(bin.join("python3")).chain(versioned(bin))
}

/// conda's installations and their environments: where its installers put them, and the list that it keeps itself
/// (`~/.conda/environments.txt`, one folder a line).
fn conda(home: &Path) -> Vec<PathBuf> {
    let names = ["miniconda3", "anaconda3", "miniforge3", "mambaforge"];
    let roots = names.iter().map(|name| home.join(name));
    let roots = roots.chain(std::iter::once("/opt/conda".into()));
    let listed = fs::read_to_string(home.join(".conda/environments.txt")).unwrap_or_default();
    let listed: Vec<PathBuf> = listed.lines().map(|line| line.trim().into()).collect();
    roots
        .flat_map(|root| {
            let environments = newest_first(&root.join("envs"));
            std::iter::once(root).chain(environments)
        })
        .chain(listed.into_iter().filter(|path| path.is_absolute()))
        .collect()
}

/// What `actions/setup-python` installs: `Python/VERSION/ARCHITECTURE` in the runner's tool cache.
fn tool_cache() -> Vec<PathBuf> {
    let variables = ["RUNNER_TOOL_CACHE", "AGENT_TOOLSDIRECTORY"];
    let named = variables.iter().find_map(env::var_os).map(PathBuf::from);
    let root = named.unwrap_or_else(|| "/opt/hostedtoolcache".into());
    newest_first(&root.join("Python"))
        .iter()
        .flat_map(|version| newest_first(version))
        .collect()
}

/// The subfolders of a version manager's folder, newest version first. Empty when there is no such folder, or it is
/// another user's.
fn newest_first(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    // Numbers compare as numbers: 3.9 is before 3.10. Then by name, so that the order is the same in every run.
    found.sort_by_cached_key(|path| {
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let numbers: Vec<u64> = name
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|digits| digits.parse().ok())
            .collect();
        std::cmp::Reverse((numbers, name))
    });
    found
}

/// `python3.N` in a folder, newest first. Not `python3-config`, `python3.11-dbg`, `python3.13t`.
fn versioned(folder: &Path) -> Vec<PathBuf> {
    let mut found = newest_first(folder);
    found.retain(|path| minor_in_name(path).is_some());
    found
}

/// 11 for `…/python3.11`.
fn minor_in_name(path: &Path) -> Option<u8> {
    let minor = path.file_name()?.to_str()?.strip_prefix("python3.")?;
    minor
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| minor.parse().ok())?
}

/// What makes two paths the same interpreter before either is run: the file, and the environment it stands in, since
/// the program of an environment is a link to that of its base.
fn identity(path: &Path) -> (PathBuf, Option<PathBuf>) {
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let environment = path
        .parent()
        .and_then(Path::parent)
        .filter(|root| root.join("pyvenv.cfg").is_file())
        .and_then(|root| fs::canonicalize(root).ok());
    (file, environment)
}

/// Whether `path` is a file that this user may execute.
fn is_program(path: &Path) -> io::Result<()> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(access(path, AccessFlags::X_OK)?)
}

/// The program of this name on PATH.
pub(super) fn command(name: &str) -> Option<PathBuf> {
    Places::of_this_machine().command(name)
}

/// Every interpreter of this machine, usable or not, those first that [`choose`] would prefer.
///
/// Programs are asked several at a time, each for ten seconds at most. What another user keeps for himself is not seen.
pub fn discover() -> Vec<Found> {
    discover_in(&Places::of_this_machine())
}

fn discover_in(places: &Places) -> Vec<Found> {
    let mut seen = HashSet::new();
    probe_all(places.candidates())
        .into_iter()
        .filter(|found| match &found.outcome {
            Ok(interpreter) => seen.insert((
                fs::canonicalize(&interpreter.executable)
                    .unwrap_or_else(|_| interpreter.executable.clone()),
                interpreter.prefix.clone(),
            )),
            // A version manager has a shim for each name that any of its versions has, and the shims of the versions
            // not active now fail. The interpreters behind them are in the list by themselves.
            Err(_) => !is_shim(&found.path),
        })
        .collect()
}

fn is_shim(path: &Path) -> bool {
    path.parent().and_then(Path::file_name) == Some("shims".as_ref())
}

/// Asks all, a few at a time, and keeps the order.
fn probe_all(paths: Vec<PathBuf>) -> Vec<Found> {
    // Half of a probe is waiting for the disk or the shim's own start.
    side_by_side::each(paths, 2 * side_by_side::processors(), |path| Found {
        outcome: probe::probe(&path),
        path,
    })
}

/// What the user means by `--python`.
#[derive(Debug, PartialEq, Eq)]
enum Selector<'a> {
    Version(Version<'a>),
    /// A command's name, or a path without a slash.
    Name(&'a str),
    Path(&'a Path),
}

/// `3`, `3.12`, `3.12.1` or `3.15.0b1`.
#[derive(Debug, PartialEq, Eq)]
struct Version<'a> {
    numbers: Vec<u32>,
    /// `b1`: then the version must be exactly this one.
    stage: &'a str,
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (numbers, stage) = text.split_at(end);
        let numbers: Vec<u32> = numbers
            .split('.')
            .map(|number| number.parse().ok())
            .collect::<Option<_>>()?;
        let known_stage = stage.is_empty()
            || (numbers.len() == 3
                && ["a", "b", "rc"].iter().any(|name| {
                    stage.strip_prefix(name).is_some_and(|serial| {
                        !serial.is_empty() && serial.bytes().all(|byte| byte.is_ascii_digit())
                    })
                }));
        (numbers.len() <= 3 && known_stage).then_some(Self { numbers, stage })
    }

    /// Whether an interpreter that calls itself `version` is meant. A build from a checkout adds a `+`.
    fn matches(&self, version: &str) -> bool {
        Version::parse(version.trim_end_matches('+')).is_some_and(|other| {
            other.numbers.starts_with(&self.numbers)
                && (self.stage.is_empty() || self.stage == other.stage)
        })
    }

    /// Whether a program could be meant, by its name alone. Most need not be asked then.
    fn allows(&self, path: &Path) -> bool {
        let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match (minor_in_name(&file), self.numbers.get(1)) {
            (Some(named), Some(wanted)) => u32::from(named) == *wanted,
            _ => true,
        }
    }
}

impl<'a> Selector<'a> {
    fn parse(text: &'a str) -> Self {
        if let Some(version) = Version::parse(text) {
            Self::Version(version)
        } else if text.contains('/') || text == "." || text == ".." {
            Self::Path(Path::new(text))
        } else {
            Self::Name(text)
        }
    }
}

/// The interpreter that is meant.
///
/// `None`: what `python3` is on PATH if that can be used, else the first that can. A version (`3.12`, `3.12.1`): the
/// first usable one of that version; PATH's order decides between several. Otherwise a command's name, the path of an
/// interpreter, or the folder of an environment or installation.
///
/// # Errors
///
/// [`Error::NoInterpreter`], [`Error::NoSuchVersion`], [`Error::NotFound`], [`Error::NotAnEnvironment`],
/// [`Error::NotExecutable`], [`Error::Unreadable`], [`Error::Unusable`] and [`Error::Interrupted`].
pub fn choose(selector: Option<&str>) -> Result<Interpreter, Error> {
    choose_in(selector, &Places::of_this_machine())
}

fn choose_in(selector: Option<&str>, places: &Places) -> Result<Interpreter, Error> {
    let Some(text) = selector else {
        return choose_default(places);
    };
    match Selector::parse(text) {
        Selector::Version(version) => choose_version(text, &version, places),
        Selector::Path(path) => at_path(path),
        Selector::Name(name) => {
            if let Some(program) = places.command(name) {
                ask(&program)
            } else if fs::symlink_metadata(name).is_ok() {
                at_path(Path::new(name))
            } else {
                Err(Error::NotFound {
                    wanted: name.to_owned(),
                    place: "neither on PATH nor in this folder",
                    usable: usable(&discover_in(places)),
                })
            }
        }
    }
}

fn choose_default(places: &Places) -> Result<Interpreter, Error> {
    // PATH's python3 nearly always serves; the others are asked only when it does not.
    let (first, others): (Vec<_>, Vec<_>) = places.candidates().into_iter().partition(|path| {
        places
            .path
            .iter()
            .any(|folder| folder.join("python3") == *path)
    });
    let mut found = Vec::new();
    for path in first {
        match uninterrupted(probe::probe(&path))? {
            Ok(interpreter) => return Ok(interpreter),
            refused => found.push(Found {
                path,
                outcome: refused,
            }),
        }
    }
    found.extend(probe_all(others));
    interrupted(&found)?;
    match found.iter().find_map(|one| one.outcome.as_ref().ok()) {
        Some(interpreter) => Ok(interpreter.clone()),
        None => Err(Error::NoInterpreter {
            refused: refused(&found),
        }),
    }
}

fn choose_version(
    text: &str,
    version: &Version<'_>,
    places: &Places,
) -> Result<Interpreter, Error> {
    let mut candidates = places.candidates();
    candidates.retain(|path| version.allows(path));
    let found = probe_all(candidates);
    interrupted(&found)?;
    let meant = found
        .iter()
        .filter_map(|one| one.outcome.as_ref().ok())
        .find(|interpreter| version.matches(&interpreter.version));
    if let Some(interpreter) = meant {
        return Ok(interpreter.clone());
    }
    // The wanted one may be there and unusable: that is the answer then, not its absence.
    for one in found {
        if let Err(reason) = one.outcome
            && of_version(&reason).is_some_and(|refused| version.matches(refused))
        {
            return Err(Error::Unusable {
                path: one.path,
                reason,
            });
        }
    }
    let all = discover_in(places);
    interrupted(&all)?;
    Err(Error::NoSuchVersion {
        wanted: text.to_owned(),
        usable: usable(&all),
    })
}

fn of_version(reason: &Unusable) -> Option<&str> {
    match reason {
        Unusable::TooOld { version }
        | Unusable::FreeThreaded { version }
        | Unusable::Static { version, .. } => Some(version),
        _ => None,
    }
}

/// The interpreter at a path: itself, or that of the environment it is the folder of.
fn at_path(path: &Path) -> Result<Interpreter, Error> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => Error::NotFound {
            wanted: path.display().to_string(),
            place: "there is no such file or folder",
            usable: usable(&discover()),
        },
        _ => Error::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    // Links are followed to look, never in what is run: an environment's program is known by its own path.
    if fs::metadata(path).map_err(unreadable)?.is_dir() {
        return ["bin/python3", "bin/python"]
            .iter()
            .map(|program| path.join(program))
            .find(|program| is_program(program).is_ok())
            .map_or_else(
                || {
                    Err(Error::NotAnEnvironment {
                        path: path.to_owned(),
                    })
                },
                |program| ask(&program),
            );
    }
    is_program(path).map_err(|_| Error::NotExecutable {
        path: path.to_owned(),
    })?;
    ask(path)
}

fn ask(program: &Path) -> Result<Interpreter, Error> {
    // A name without a slash would be looked up on PATH again.
    let program = std::path::absolute(program).unwrap_or_else(|_| program.to_owned());
    uninterrupted(probe::probe(&program))?.map_err(|reason| Error::Unusable {
        path: program,
        reason,
    })
}

/// Being told to end is no property of an interpreter.
fn uninterrupted(
    outcome: Result<Interpreter, Unusable>,
) -> Result<Result<Interpreter, Unusable>, Error> {
    match outcome {
        Err(Unusable::Interrupted) => Err(Error::Interrupted),
        other => Ok(other),
    }
}

fn interrupted(found: &[Found]) -> Result<(), Error> {
    if found
        .iter()
        .any(|one| matches!(one.outcome, Err(Unusable::Interrupted)))
    {
        return Err(Error::Interrupted);
    }
    Ok(())
}

/// One line for each that can be used: what an error about another one offers instead.
fn usable(found: &[Found]) -> String {
    let lines: Vec<String> = found
        .iter()
        .filter_map(|one| one.outcome.as_ref().ok())
        .map(|one| format!("\n  {}  {}", one.version, one.executable.display()))
        .collect();
    if lines.is_empty() {
        "no interpreter on this machine can be used".to_owned()
    } else {
        format!("usable here:{}", lines.concat())
    }
}

/// One line for each that cannot be used, with the reason.
fn refused(found: &[Found]) -> String {
    found
        .iter()
        .filter_map(|one| Some((&one.path, one.outcome.as_ref().err()?)))
        .map(|(path, reason)| format!("\n  {}: {reason}", path.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn versions_names_and_paths_are_told_apart() {
        let version = |numbers: &[u32], stage| {
            Selector::Version(Version {
                numbers: numbers.to_vec(),
                stage,
            })
        };
        assert_eq!(Selector::parse("3"), version(&[3], ""));
        assert_eq!(Selector::parse("3.12"), version(&[3, 12], ""));
        assert_eq!(Selector::parse("3.12.1"), version(&[3, 12, 1], ""));
        assert_eq!(Selector::parse("3.15.0rc1"), version(&[3, 15, 0], "rc1"));
        for name in [
            "",
            "python3.12",
            "3.13t",
            "3.",
            "3.12.1.0",
            "3.15b1",
            "3.15.0b",
            ".3",
            "venv",
            "-1",
            "99999999999999999999",
        ] {
            assert_eq!(Selector::parse(name), Selector::Name(name));
        }
        for path in ["./3.12", "/usr/bin/python3", "venv/", ".", ".."] {
            assert_eq!(Selector::parse(path), Selector::Path(Path::new(path)));
        }
    }

    #[test]
    fn a_version_means_all_it_begins() {
        let matches = |wanted, version| Version::parse(wanted).unwrap().matches(version);
        assert!(matches("3", "3.11.7"));
        assert!(matches("3.11", "3.11.7"));
        assert!(matches("3.11.7", "3.11.7"));
        assert!(matches("3.15", "3.15.0b1"));
        assert!(matches("3.15.0b1", "3.15.0b1+"));
        assert!(matches("3.11.7", "3.11.7+"));
        assert!(!matches("3.1", "3.11.7"));
        assert!(!matches("3.11.2", "3.11.7"));
        assert!(!matches("3.15.0b1", "3.15.0"));
        assert!(!matches("3.11", "garbage"));
    }

    #[test]
    fn a_name_that_tells_another_version_need_not_be_asked() {
        let wanted = Version::parse("3.12").unwrap();
        assert!(wanted.allows(Path::new("/nowhere/python3.12")));
        assert!(wanted.allows(Path::new("/nowhere/python3")));
        assert!(!wanted.allows(Path::new("/nowhere/python3.11")));
        assert!(
            Version::parse("3")
                .unwrap()
                .allows(Path::new("/nowhere/python3.11"))
        );
    }

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn candidates_come_in_order_once_each_with_environments_apart() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for path in [
            "bin/python3.9",
            "bin/python3.10",
            "bin/python3.10-config",
            "bin/python3.13t",
            "versions/3.9.1/bin/python3.9",
            "versions/3.12.0/bin/python3.12",
        ] {
            program(&at(path));
        }
        fs::write(at("bin/python3.11"), "not executable").unwrap();
        symlink("python3.10", at("bin/python3")).unwrap();
        symlink("python3.12", at("versions/3.12.0/bin/python3")).unwrap();
        for environment in ["env", "env2"] {
            fs::create_dir_all(at(environment).join("bin")).unwrap();
            fs::write(at(environment).join("pyvenv.cfg"), "").unwrap();
            symlink(at("bin/python3.10"), at(environment).join("bin/python3")).unwrap();
        }

        let mut installations = vec![at("env"), at("env2"), at("missing")];
        installations.extend(newest_first(&at("versions")));
        let places = Places {
            named: Vec::new(),
            path: vec![at("nowhere"), at("bin")],
            installations,
            system: vec![at("bin")],
        };
        assert_eq!(
            places.candidates(),
            [
                at("bin/python3"),
                at("bin/python3.9"),
                at("env/bin/python3"),
                at("env2/bin/python3"),
                at("versions/3.12.0/bin/python3"),
                at("versions/3.9.1/bin/python3.9"),
            ]
        );
    }
}
