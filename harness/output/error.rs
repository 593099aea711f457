//! Why something cannot be written.

use std::io;
use std::path::PathBuf;

/// The report has no place to go.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum OutputError {
    /// Found before anything was measured.
    #[error("cannot write {}: {source}", path.display())]
    #[diagnostic(help("give --output a file in an existing directory that you may write to"))]
    NotWritable { path: PathBuf, source: io::Error },
    /// Nor is there a folder to write it to.
    #[error("cannot write to the directory {}: {source}", path.display())]
    #[diagnostic(help(
        "give a new directory in an existing one that you may write to, or the directory of an earlier report"
    ))]
    NotAFolder { path: PathBuf, source: io::Error },
    /// Something of the user's is where a file of the report would be.
    #[error("{} was not written by refcow, or was changed since", path.display())]
    #[diagnostic(help("a report would replace it: move it away, or choose another directory"))]
    Occupied {
        /// The file, or what it is instead.
        path: PathBuf,
    },
    /// What refcow wrote into a folder earlier is not known.
    #[error("{} does not say which files refcow wrote: {reason}", path.display())]
    #[diagnostic(help(
        "remove it and the report that is there, or choose another directory: refcow replaces only files that it wrote"
    ))]
    Manifest { path: PathBuf, reason: String },
    /// Somebody else is at it.
    #[error("another refcow is writing a report to {}", path.display())]
    #[diagnostic(help("wait until it has ended, or choose another directory"))]
    Busy { path: PathBuf },
    /// What was measured is lost.
    #[error("cannot write {}: {source}", path.display())]
    #[diagnostic(help("make room there, or choose another place (--output, --report)"))]
    NotWritten { path: PathBuf, source: io::Error },
}

impl OutputError {
    /// What the kernel answered.
    pub fn into_source(self) -> io::Error {
        match self {
            Self::NotWritable { source, .. }
            | Self::NotAFolder { source, .. }
            | Self::NotWritten { source, .. } => source,
            Self::Occupied { .. } | Self::Manifest { .. } => io::ErrorKind::AlreadyExists.into(),
            Self::Busy { .. } => io::ErrorKind::ResourceBusy.into(),
        }
    }
}

/// There is no new file.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum CreateError {
    /// Not over something of the user's.
    #[error("{} already exists", path.display())]
    #[diagnostic(help("choose another name, or move it away: refcow does not overwrite it"))]
    Exists { path: PathBuf },
    /// The folder is not there, or not the user's.
    #[error("cannot write {}: {source}", path.display())]
    #[diagnostic(help("give a new file in an existing directory that you may write to"))]
    NotCreated { path: PathBuf, source: io::Error },
}
