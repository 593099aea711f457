//! Which interpreters the user means.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::discover::without_repetitions;
use super::error::PythonError;
use super::find::{Candidate, SearchPlaces};
use super::probe::{Interpreter, Unusable};
use super::probing::{Found, Inquiry};
use super::program::{identity, is_program, minor_in_name, minor_told, missing_behind};
use crate::model;

/// Means every usable interpreter of this machine.
const ALL: &str = "all";

/// What the user means by `--python`.
#[derive(Debug, PartialEq, Eq)]
enum Selector<'a> {
    Version(AskedVersion<'a>),
    /// A command's name, or a path without a slash.
    Name(&'a str),
    Path(&'a Path),
}

/// `3`, `3.12`, `3.12.1` or `3.15.0b1`.
#[derive(Debug, PartialEq, Eq)]
struct AskedVersion<'a> {
    numbers: Vec<u32>,
    /// `b1`: then the version must be exactly this one.
    stage: &'a str,
}

impl<'a> AskedVersion<'a> {
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

    /// Whether an interpreter that calls itself `version` is meant. A build from a checkout adds a
    /// `+`.
    fn matches(&self, version: &str) -> bool {
        AskedVersion::parse(version.trim_end_matches('+')).is_some_and(|other| {
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

    /// Whether a path tells that its program is of this series.
    fn is_told_by(&self, path: &Path) -> bool {
        minor_told(path).map(u32::from).as_ref() == self.numbers.get(1)
    }
}

impl<'a> Selector<'a> {
    fn parse(text: &'a str) -> Self {
        if let Some(version) = AskedVersion::parse(text) {
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
/// `None`: what `python3` is on PATH if that can be used, else the first that can. A version
/// (`3.12`, `3.12.1`): the first usable one of that version; PATH's order decides between several.
/// Otherwise a command's name, the path of an interpreter, or the folder of an environment or
/// installation.
///
/// # Errors
///
/// [`PythonError::NoInterpreter`], [`PythonError::NoSuchVersion`], [`PythonError::NotFound`],
/// [`PythonError::NotAnEnvironment`], [`PythonError::NotExecutable`], [`PythonError::Unreadable`],
/// [`PythonError::Unusable`] and [`PythonError::Interrupted`].
pub fn choose(selector: Option<&str>) -> Result<Interpreter, PythonError> {
    let search = InterpreterSearch::new(SearchPlaces::of_this_machine());
    selector.map_or_else(|| search.default(), |text| search.one(text))
}

/// The interpreters to work with.
#[derive(Debug)]
pub struct Chosen {
    /// Each once, by ascending version; at least one.
    pub interpreters: Vec<Interpreter>,
    /// Those that are meant too and cannot be used, each with what is wrong with it.
    pub refused: Vec<PythonError>,
}

/// The interpreters that are meant by all selectors together; none means the one that [`choose`]
/// takes then.
///
/// A selector is what [`choose`] takes, or the word `all`: every usable interpreter of this
/// machine, of those that share an installation the first, a named one before any other.
/// Environments that are named themselves all count.
///
/// A selector that names nothing is an error. One that names something of no use is refused as long
/// as others remain. Of what `all` finds, only what is broken is refused: what is merely not for
/// refcow, such as an older version, is not meant. [`discover`](super::discover()) lists it.
///
/// # Errors
///
/// As [`choose`]. [`PythonError::NoInterpreter`] also when `all` finds none.
pub fn choose_all(selectors: &[String]) -> Result<Chosen, PythonError> {
    InterpreterSearch::new(SearchPlaces::of_this_machine()).several(selectors, false)
}

/// The same with those that are built without the GIL, which [`choose_all`] refuses.
///
/// # Errors
///
/// As [`choose_all`].
pub fn choose_all_builds(selectors: &[String]) -> Result<Chosen, PythonError> {
    InterpreterSearch::new(SearchPlaces::of_this_machine()).several(selectors, true)
}

/// Looks for interpreters in the same places, and asks each once.
struct InterpreterSearch {
    places: SearchPlaces,
    inquiry: Inquiry,
}

impl InterpreterSearch {
    fn new(places: SearchPlaces) -> Self {
        Self {
            places,
            inquiry: Inquiry::new(),
        }
    }

    fn several(&self, selectors: &[String], free_threaded: bool) -> Result<Chosen, PythonError> {
        let taken = |reason| match reason {
            Unusable::FreeThreaded { interpreter } if free_threaded => Ok(*interpreter),
            other => Err(other),
        };
        if selectors.is_empty() {
            return Ok(Chosen {
                interpreters: vec![self.default()?],
                refused: Vec::new(),
            });
        }
        let mut interpreters: Vec<Interpreter> = Vec::new();
        let mut refused = Vec::new();
        let mut seen = HashSet::new();
        let mut seen_refused = HashSet::new();
        let mut refuse = |path: PathBuf, reason| {
            if seen_refused.insert(identity(&path)) {
                refused.push(PythonError::Unusable { path, reason });
            }
        };
        for text in selectors.iter().filter(|text| *text != ALL) {
            let found = match self.one(text) {
                Err(PythonError::Unusable { path, reason }) => {
                    taken(reason).map_err(|reason| PythonError::Unusable { path, reason })
                }
                other => other,
            };
            match found {
                Ok(interpreter) => {
                    if seen.insert((installation(&interpreter), real(&interpreter.prefix))) {
                        interpreters.push(interpreter);
                    }
                }
                Err(PythonError::Unusable { path, reason }) => refuse(path, reason),
                Err(error) => return Err(error),
            }
        }
        let mut none = None;
        if selectors.iter().any(|text| text == ALL) {
            let mut installations: HashSet<_> = interpreters.iter().map(installation).collect();
            let found = self.everything()?;
            let listed = refused_list(&found);
            for one in found {
                match one.outcome.or_else(taken) {
                    Ok(interpreter) => {
                        if installations.insert(installation(&interpreter)) {
                            interpreters.push(interpreter);
                        }
                    }
                    Err(reason) if reason.is_broken() => refuse(one.path, reason),
                    Err(_) => {}
                }
            }
            none = Some(PythonError::NoInterpreter { refused: listed });
        }
        if interpreters.is_empty() {
            // What the user has named says more than a list of all.
            return Err(match none {
                Some(error) if selectors.iter().all(|text| text == ALL) => error,
                _ => refused.swap_remove(0),
            });
        }
        // Stable: of equal versions the named ones stay before the others, and these in PATH's
        // order.
        interpreters.sort_by_cached_key(|one| one.version.parse::<model::Version>().ok());
        Ok(Chosen {
            interpreters,
            refused,
        })
    }

    fn one(&self, text: &str) -> Result<Interpreter, PythonError> {
        match Selector::parse(text) {
            Selector::Version(version) => self.version(text, &version),
            Selector::Path(path) => self.at_path(path),
            Selector::Name(name) => {
                if let Some(program) = self.places.command(name) {
                    self.ask(&program)
                } else if fs::symlink_metadata(name).is_ok() {
                    self.at_path(Path::new(name))
                } else {
                    Err(PythonError::NotFound {
                        wanted: name.to_owned(),
                        place: "neither on PATH nor in this folder",
                        usable: usable(&self.everything()?),
                    })
                }
            }
        }
    }

    fn default(&self) -> Result<Interpreter, PythonError> {
        // One after the other: no program is started that is not needed. PATH's python3 nearly
        // always serves.
        let (first, others): (Vec<Candidate>, Vec<_>) = self
            .places
            .worth_asking()
            .into_iter()
            .partition(|candidate| {
                let mut on_path = self.places.path.iter();
                on_path.any(|folder| folder.join("python3") == candidate.path)
            });
        let mut found = Vec::new();
        for candidate in first.into_iter().chain(others) {
            match self.inquiry.ask_candidate(&candidate) {
                Ok(interpreter) => return Ok(interpreter),
                Err(Unusable::Interrupted) => return Err(PythonError::Interrupted),
                refused => found.push(Found {
                    path: candidate.path,
                    outcome: refused,
                }),
            }
        }
        Err(PythonError::NoInterpreter {
            refused: refused_list(&found),
        })
    }

    fn version(&self, text: &str, version: &AskedVersion<'_>) -> Result<Interpreter, PythonError> {
        let mut candidates = self.places.candidates();
        candidates.retain(|candidate| version.allows(&candidate.path));
        let found = self.inquiry.ask_all(candidates);
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
                && (reason
                    .version()
                    .is_some_and(|refused| version.matches(refused))
                    || matches!(reason, Unusable::NotTrusted { .. })
                        && version.is_told_by(&one.path))
            {
                return Err(PythonError::Unusable {
                    path: one.path,
                    reason,
                });
            }
        }
        Err(PythonError::NoSuchVersion {
            wanted: text.to_owned(),
            usable: usable(&self.everything()?),
        })
    }

    /// The interpreter at a path: itself, or that of the environment it is the folder of.
    fn at_path(&self, path: &Path) -> Result<Interpreter, PythonError> {
        if missing_behind(path).is_some() {
            return self.ask(path);
        }
        // Links are followed to look, never in what is run: an environment's program is known by
        // its own path.
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(PythonError::NotFound {
                    wanted: path.display().to_string(),
                    place: "there is no such file or folder",
                    usable: usable(&self.everything()?),
                });
            }
            Err(source) => {
                return Err(PythonError::Unreadable {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        if metadata.is_dir() {
            let programs = ["bin/python3", "bin/python"].map(|program| path.join(program));
            let program = programs
                .iter()
                .find(|program| is_program(program).is_ok())
                // One whose base has gone: there is something to say about it.
                .or_else(|| programs.iter().find(|link| missing_behind(link).is_some()));
            return match program {
                Some(program) => self.ask(program),
                None => Err(PythonError::NotAnEnvironment {
                    path: path.to_owned(),
                }),
            };
        }
        is_program(path).map_err(|_| PythonError::NotExecutable {
            path: path.to_owned(),
        })?;
        self.ask(path)
    }

    fn ask(&self, program: &Path) -> Result<Interpreter, PythonError> {
        // A name without a slash would be looked up on PATH again.
        let path = std::path::absolute(program).unwrap_or_else(|_| program.to_owned());
        match self.inquiry.ask(&path) {
            // Being told to end is no property of an interpreter.
            Err(Unusable::Interrupted) => Err(PythonError::Interrupted),
            Err(reason) => Err(PythonError::Unusable { path, reason }),
            Ok(interpreter) => Ok(interpreter),
        }
    }

    /// All that there is.
    fn everything(&self) -> Result<Vec<Found>, PythonError> {
        let found = self.inquiry.ask_all(self.places.worth_asking());
        interrupted(&found)?;
        Ok(without_repetitions(found))
    }
}

/// What makes two interpreters one installation: an environment has the library and the version of
/// its base.
fn installation(interpreter: &Interpreter) -> (PathBuf, String) {
    (
        real(&interpreter.base_prefix),
        interpreter.full_version.clone(),
    )
}

fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn interrupted(found: &[Found]) -> Result<(), PythonError> {
    if found
        .iter()
        .any(|one| matches!(one.outcome, Err(Unusable::Interrupted)))
    {
        return Err(PythonError::Interrupted);
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
fn refused_list(found: &[Found]) -> String {
    found
        .iter()
        .filter_map(|one| Some((&one.path, one.outcome.as_ref().err()?)))
        .map(|(path, reason)| format!("\n  {}: {reason}", path.display()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_names_and_paths_are_told_apart() {
        let version = |numbers: &[u32], stage| {
            Selector::Version(AskedVersion {
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
        let matches = |wanted, version| AskedVersion::parse(wanted).unwrap().matches(version);
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
        let wanted = AskedVersion::parse("3.12").unwrap();
        assert!(wanted.allows(Path::new("/nowhere/python3.12")));
        assert!(wanted.allows(Path::new("/nowhere/python3")));
        assert!(!wanted.allows(Path::new("/nowhere/python3.11")));
        assert!(
            AskedVersion::parse("3")
                .unwrap()
                .allows(Path::new("/nowhere/python3.11"))
        );
    }
}
