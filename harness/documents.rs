//! Documents in files: those that the user names, baselines, and the summary of a GitHub job.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::consistency;
use crate::merge::Named;
use crate::model::{self, DocumentError, MAX_DOCUMENT_BYTES, Report};
use crate::output::{self, Output};

/// Where baselines are, in the folder that refcow is run in: they are there to be looked at, and to be committed.
const BASELINES: &str = "baselines";

/// Why a file is of no use.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum DocumentFileError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    #[diagnostic(help("give the path of a file that --format json --output FILE wrote"))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel answered, or what it is instead.
        source: io::Error,
    },
    /// It is none of refcow's.
    #[error("{}: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        source: DocumentError,
        /// What to do about it.
        #[help]
        help: Option<String>,
    },
    /// There is no baseline of that name.
    #[error("there is no baseline {name}: no file {}", path.display())]
    #[diagnostic(help("{offer}"))]
    NoBaseline {
        /// As the user wrote it.
        name: String,
        /// Where it would be.
        path: PathBuf,
        /// Those that there are, and how one is made.
        offer: String,
    },
    /// A baseline has no place.
    #[error("cannot write {}: {source}", path.display())]
    #[diagnostic(help(
        "baselines are saved in the current directory: run refcow in one that you may write to"
    ))]
    NoPlace {
        /// Where it would be.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The summary cannot be written.
    #[error("cannot write to {}, which GITHUB_STEP_SUMMARY names: {source}", path.display())]
    #[diagnostic(help("set GITHUB_STEP_SUMMARY to a file that you may write to, or unset it"))]
    Summary {
        /// The file.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// Reads a document.
///
/// # Errors
/// When it cannot be read or is none.
pub fn read(path: &Path) -> Result<Named, DocumentFileError> {
    let bytes = read_bytes(path).map_err(|source| DocumentFileError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let checked = model::read(&bytes).and_then(|(mut report, schema_version)| {
        consistency::check(&mut report, crate::COMMIT)?;
        Ok((report, schema_version))
    });
    match checked {
        Ok((report, schema_version)) => Ok(Named {
            name: path.display().to_string(),
            schema_version,
            report,
        }),
        Err(source) => Err(DocumentFileError::Malformed {
            path: path.to_owned(),
            help: miette::Diagnostic::help(&source).map(|help| help.to_string()),
            source,
        }),
    }
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let there = fs::metadata(path)?;
    // A pipe or a device could be waited for without end.
    if !there.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let too_large = || {
        io::Error::other(format!(
            "it is larger than {}, the limit for a document",
            crate::numbers::bytes(MAX_DOCUMENT_BYTES)
        ))
    };
    if there.len() > MAX_DOCUMENT_BYTES {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    let mut file = fs::File::open(path)?.take(MAX_DOCUMENT_BYTES + 1);
    file.read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        true => Err(too_large()),
        false => Ok(bytes),
    }
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
    pub fn read(&self) -> Result<Report, DocumentFileError> {
        match read(&self.path) {
            Err(DocumentFileError::Unreadable { source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Err(DocumentFileError::NoBaseline {
                    name: self.name.clone(),
                    path: self.path.clone(),
                    offer: offer(),
                })
            }
            other => Ok(other?.report),
        }
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A place to keep a run in, found writable before it is measured.
    ///
    /// # Errors
    /// When it is not.
    pub fn open(&self) -> Result<Place, DocumentFileError> {
        let fail = |source| DocumentFileError::NoPlace {
            path: self.path.clone(),
            source,
        };
        let made = match fs::create_dir(BASELINES) {
            Ok(()) => Some(MadeFolder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
            Err(error) => return Err(fail(error)),
        };
        match Output::open(Some(&self.path)) {
            Ok(output) => Ok(Place {
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
pub struct Place {
    path: PathBuf,
    output: Output,
    _made: Option<MadeFolder>,
}

impl Place {
    /// Keeps it, and says where.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn keep(self, bytes: &[u8]) -> Result<PathBuf, output::OutputError> {
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

/// Adds a Markdown text to what GitHub shows of a job, where refcow runs in one.
///
/// # Errors
/// When the file that the runner names cannot be written.
pub fn append_to_summary(text: &[u8]) -> Result<(), DocumentFileError> {
    let named = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|name| !name.is_empty());
    let Some(path) = named.map(PathBuf::from) else {
        return Ok(());
    };
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).open(&path);
    file.and_then(|mut file| file.write_all(text))
        .map_err(|source| DocumentFileError::Summary { path, source })
}
