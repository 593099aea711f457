//! Asks programs what they are: each once, and not at all while nothing has changed since an
//! earlier run asked it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::cache::{Cache, WatchedFiles};
use super::find::Candidate;
use super::probe::{self, Interpreter, ProbeAnswer, Unusable};
use super::program::missing_behind;
use super::{pyenv, trust};
use crate::threads;

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
}

impl Inquiry {
    pub(super) fn new() -> Self {
        Self {
            kept: Cache::open("interpreters.json", probe::SCRIPT),
            told: Mutex::default(),
        }
    }

    /// Asks all, a few at a time, and keeps the order.
    pub(super) fn ask_all(&self, candidates: Vec<Candidate>) -> Vec<Found> {
        // Half of a probe is waiting for the disk or the shim's own start.
        let most = 2 * threads::processors();
        threads::each(candidates, most, |candidate| Found {
            outcome: self.ask_candidate(&candidate),
            path: candidate.path,
        })
    }

    /// What a candidate is, if it may be started.
    pub(super) fn ask_candidate(&self, candidate: &Candidate) -> Result<Interpreter, Unusable> {
        if !candidate.named {
            trust::check_program(&candidate.path).map_err(|why| Unusable::NotTrusted { why })?;
        }
        self.ask(&candidate.path)
    }

    /// What the program at a path is.
    pub(super) fn ask(&self, program: &Path) -> Result<Interpreter, Unusable> {
        let told = |of: &Path| {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.get(of).cloned()
        };
        if let Some(outcome) = told(program) {
            return outcome;
        }
        let outcome = self
            .behind(program)
            .and_then(|answer| probe::usable(answer, program));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(program.to_owned(), outcome.clone());
        outcome
    }

    /// What the program says, or that to which it led in an earlier run, if it would lead there
    /// now.
    fn behind(&self, program: &Path) -> Result<ProbeAnswer, Unusable> {
        let (time, choice) = (SystemTime::now(), pyenv::choice(program));
        if let Some(choice) = &choice
            && let Some(chosen) = self.kept.get::<PathBuf>(&choice.question)
        {
            return self.answer(&chosen);
        }
        let answer = self.answer(program)?;
        if let (Some(mut choice), Some(chosen)) = (choice, &answer.executable)
            && chosen.starts_with(&choice.versions)
            && choice.watched.add(chosen).is_some()
        {
            let watched = choice.watched;
            self.kept.keep(choice.question, chosen, watched, time);
        }
        Ok(answer)
    }

    /// What the program says: in an earlier run, if it would say the same now.
    fn answer(&self, program: &Path) -> Result<ProbeAnswer, Unusable> {
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

/// What a program says as it starts depends on this: one text for all that is no file, which is the
/// path by which it is run (an environment's program is a link to that of its base), where that
/// leads, and what chooses the libraries that it loads; and the files. `None`: a path is no text.
pub(super) fn of_program(program: &Path) -> Option<(String, WatchedFiles)> {
    let file = fs::canonicalize(program).ok()?;
    let mut parts = vec![program.to_str()?.to_owned(), file.to_str()?.to_owned()];
    for variable in ["LD_LIBRARY_PATH", "LD_PRELOAD"] {
        let value = std::env::var_os(variable).unwrap_or_default();
        parts.push(value.into_string().ok()?);
    }
    let mut watched = WatchedFiles::default();
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
fn after(answer: &ProbeAnswer, watched: &mut WatchedFiles) -> Option<()> {
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

/// Whether this program answered itself. A shim or a wrapper, script or not, starts another one,
/// and another one tomorrow or in the next folder.
fn is_interpreter(program: &Path, answer: &ProbeAnswer) -> bool {
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
