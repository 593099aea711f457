//! Asks programs what they are: each once, and not at all while nothing has changed since an earlier run asked it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::cache::{Cache, Watched};
use super::find::Candidate;
use super::probe::{self, Answer, Interpreter, Unusable};
use super::program::missing_behind;
use super::pyenv::{self, Leads, Surroundings};
use super::trust::{self, Distrust};
use crate::side_by_side;

/// A program that looks like a Python interpreter, and what came of asking it.
#[derive(Debug)]
pub struct Found {
    /// Where it was found, before symbolic links and shims are followed.
    pub path: PathBuf,
    /// The interpreter, or why it cannot be used.
    pub outcome: Result<Interpreter, Unusable>,
}

/// One search for interpreters. What it has learnt is kept for the next run when it is dropped.
pub(super) struct Inquiry {
    kept: Cache,
    told: Mutex<HashMap<PathBuf, Result<Interpreter, Unusable>>>,
    surroundings: Surroundings,
}

impl Inquiry {
    pub(super) fn new() -> Self {
        Self {
            kept: Cache::open("interpreters.json", probe::SCRIPT),
            told: Mutex::default(),
            surroundings: Surroundings::of_this_process(),
        }
    }

    /// The program that a candidate leads to. `None`: it is a shim that would find nothing.
    pub(super) fn follow(&self, path: PathBuf, named: bool) -> Option<Candidate> {
        let (program, left_to_pyenv) = match pyenv::leads(&path, &self.surroundings) {
            Leads::To(program) => (program, None),
            Leads::Elsewhere => (path.clone(), None),
            Leads::Unknown(root) => (path.clone(), Some(root)),
            Leads::Nowhere => return None,
        };
        Some(Candidate {
            path,
            program,
            left_to_pyenv,
            named,
        })
    }

    /// What the program at `path` is.
    pub(super) fn ask(&self, path: &Path) -> Result<Interpreter, Unusable> {
        match self.follow(path.to_owned(), true) {
            Some(candidate) => self.ask_program(&candidate.program),
            // It says best itself what is missing.
            None => self.ask_program(path),
        }
    }

    /// Asks all, a few at a time, and keeps the order.
    pub(super) fn ask_all(&self, candidates: Vec<Candidate>) -> Vec<Found> {
        // Half of a probe is waiting for the disk or the shim's own start.
        let most = 2 * side_by_side::processors();
        side_by_side::each(candidates, most, |candidate| Found {
            outcome: self.ask_candidate(&candidate),
            path: candidate.path,
        })
    }

    /// What a candidate is, if it may be started.
    pub(super) fn ask_candidate(&self, candidate: &Candidate) -> Result<Interpreter, Unusable> {
        if !candidate.named {
            trusted(candidate).map_err(|why| Unusable::NotTrusted { why })?;
        }
        self.ask_program(&candidate.program)
    }

    fn ask_program(&self, program: &Path) -> Result<Interpreter, Unusable> {
        let told = |of: &Path| {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.get(of).cloned()
        };
        if let Some(outcome) = told(program) {
            return outcome;
        }
        let outcome = self
            .answer(program)
            .and_then(|answer| probe::usable(answer, program));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(program.to_owned(), outcome.clone());
        outcome
    }

    /// What the program says: in an earlier run, if it would say the same now.
    fn answer(&self, program: &Path) -> Result<Answer, Unusable> {
        if let Some(missing) = missing_behind(program) {
            return Err(Unusable::DoesNotRun {
                reason: format!("it is a link to {}, which is not there", missing.display()),
            });
        }
        // Before the question is put, so that a change meanwhile is one.
        let (time, depends) = (SystemTime::now(), of_program(program));
        if let Some((question, _)) = &depends
            && let Some(answer) = self.kept.get(question)
        {
            return Ok(answer);
        }
        let answer = probe::ask(program)?;
        if let Some((question, mut watched)) = depends
            && is_interpreter(program, &answer)
            && after(&answer, &mut watched).is_some()
        {
            self.kept.keep(question, &answer, watched, time);
        }
        Ok(answer)
    }
}

/// Whether nobody else can have put a program there.
pub(super) fn trusted(candidate: &Candidate) -> Result<(), Distrust> {
    trust::check_program(&candidate.path)?;
    match candidate.program == candidate.path {
        true => Ok(()),
        false => trust::check_program(&candidate.program),
    }
}

/// What a program says as it starts depends on this: one text for all that is no file, which is the path by which it is
/// run (an environment's program is a link to that of its base), where that leads, and what chooses the libraries that
/// it loads; and the files. `None`: a path is no text.
pub(super) fn of_program(program: &Path) -> Option<(String, Watched)> {
    let file = fs::canonicalize(program).ok()?;
    let mut parts = vec![program.to_str()?.to_owned(), file.to_str()?.to_owned()];
    for variable in ["LD_LIBRARY_PATH", "LD_PRELOAD"] {
        let value = std::env::var_os(variable).unwrap_or_default();
        parts.push(value.into_string().ok()?);
    }
    let mut watched = Watched::default();
    watched.add(program)?;
    // CPython looks for it beside itself, and one folder up.
    for folder in program.ancestors().skip(1).take(2) {
        watched.add(&folder.join("pyvenv.cfg"))?;
    }
    // Which library the name of one leads to.
    watched.add(Path::new("/etc/ld.so.cache"))?;
    Some((parts.join("\n"), watched))
}

/// What else it depends on, by the answer itself.
fn after(answer: &Answer, watched: &mut Watched) -> Option<()> {
    for library in &answer.loaded {
        watched.add(library)?;
    }
    if let Ok(interpreter) = probe::usable(answer.clone(), Path::new("/")) {
        watched.add(&interpreter.program)?;
        // The file by which CPython knows its standard library: without it no program runs.
        let (major, minor) = interpreter.series;
        for lib in ["lib", "lib64"] {
            let library = answer
                .base_prefix
                .join(format!("{lib}/python{major}.{minor}"));
            watched.add(&library.join("os.py"))?;
        }
    }
    Some(())
}

/// Whether this program answered itself. A shim or a wrapper, script or not, starts another one, and another one
/// tomorrow or in the next folder.
fn is_interpreter(program: &Path, answer: &Answer) -> bool {
    let same = answer.executable.as_deref().is_some_and(|executable| {
        matches!(
            (fs::canonicalize(program), fs::canonicalize(executable)),
            (Ok(one), Ok(other)) if one == other
        )
    });
    same && is_binary(program).unwrap_or(false)
}

fn is_binary(program: &Path) -> io::Result<bool> {
    let mut start = [0; 2];
    File::open(program)?.read_exact(&mut start)?;
    Ok(start != *b"#!")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_no_binary() {
        let root = tempfile::tempdir().unwrap();
        let script = root.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        assert!(!is_binary(&script).unwrap());
        assert!(is_binary(&std::env::current_exe().unwrap()).unwrap());
    }
}
