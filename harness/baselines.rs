//! Runs that are kept by name, to compare later ones with.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::documents::{self, DocumentFileError};
use crate::model::Report;
use crate::model::trees::Trees;
use crate::output::{Output, OutputError};

/// Where they are, in the folder that refcow is run in: they are there to be looked at, and to be
/// committed.
const BASELINES: &str = "baselines";

/// Why a baseline is of no use.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum BaselineError {
    /// It is no document.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Document(#[from] DocumentFileError),
    /// There is no baseline of that name.
    #[error("there is no baseline {name}: no file {}", path.display())]
    #[diagnostic(help("{offer}"))]
    NoBaseline {
        name: String,
        path: PathBuf,
        /// Those that there are, and how one is made.
        offer: String,
    },
    /// A baseline has no place.
    #[error("cannot write {}: {source}", path.display())]
    #[diagnostic(help(
        "baselines are saved in the current directory: run refcow in one that you may write to"
    ))]
    NoPlace { path: PathBuf, source: io::Error },
}

/// A run that was kept by name.
#[derive(Debug)]
pub struct Baseline {
    name: String,
    path: PathBuf,
}

impl Baseline {
    /// The one of this name, whether it is there or not.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            path: Path::new(BASELINES).join(format!("{name}.json")),
        }
    }

    /// What was kept.
    ///
    /// # Errors
    /// When there is none, or it is no document.
    pub fn read(&self) -> Result<Report, BaselineError> {
        Ok(self.found(documents::read)?.report)
    }

    /// The same of trees.
    ///
    /// # Errors
    /// As there.
    pub fn read_trees(&self) -> Result<Trees, BaselineError> {
        self.found(documents::read_trees)
    }

    fn found<T>(
        &self,
        read: impl Fn(&Path) -> Result<T, DocumentFileError>,
    ) -> Result<T, BaselineError> {
        match read(&self.path) {
            Err(DocumentFileError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Err(BaselineError::NoBaseline {
                    name: self.name.clone(),
                    path: self.path.clone(),
                    offer: offer(),
                })
            }
            other => Ok(other?),
        }
    }

    /// A place to keep a run in, found writable before it is measured.
    ///
    /// # Errors
    /// When it is not.
    pub fn open(&self) -> Result<BaselinePlace, BaselineError> {
        let fail = |source| BaselineError::NoPlace {
            path: self.path.clone(),
            source,
        };
        let made = match fs::create_dir(BASELINES) {
            Ok(()) => Some(MadeFolder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
            Err(error) => return Err(fail(error)),
        };
        match Output::open(Some(&self.path)) {
            Ok(output) => Ok(BaselinePlace {
                path: self.path.clone(),
                output,
                _made: made,
            }),
            Err(error) => Err(fail(error.into_source())),
        }
    }
}

/// A place that a baseline can be kept in.
#[derive(Debug)]
pub struct BaselinePlace {
    path: PathBuf,
    output: Output,
    _made: Option<MadeFolder>,
}

impl BaselinePlace {
    /// Keeps it, and says where.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn keep(self, bytes: &[u8]) -> Result<PathBuf, OutputError> {
        self.output.write(bytes)?;
        Ok(self.path)
    }
}

/// The folder of baselines, made for one. It goes when nothing came into it.
#[derive(Debug)]
struct MadeFolder;

impl Drop for MadeFolder {
    fn drop(&mut self) {
        // Not if something is in it.
        let _ = fs::remove_dir(BASELINES);
    }
}

/// Which baselines there are, and how to make one.
fn offer() -> String {
    let mut names: Vec<String> = fs::read_dir(BASELINES)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            name.strip_suffix(".json").map(str::to_owned)
        })
        .collect();
    names.sort_unstable();
    let make = "--save-baseline NAME saves one in the current directory";
    match names.is_empty() {
        true => make.to_owned(),
        false => format!("there are: {}; {make}", names.join(", ")),
    }
}
