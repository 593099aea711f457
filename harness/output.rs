//! Where a report goes: standard output, or a file that is written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::O_NONBLOCK;
use tempfile::NamedTempFile;

mod folder;

pub use folder::Folder;

/// How names of files begin that are not whole yet.
const DRAFT: &str = ".refcow-";

/// A place that was found writable before anything was measured.
#[derive(Debug)]
pub enum Output {
    /// Standard output.
    Standard,
    /// A device or a pipe, which is written into: a file in its place would be its end.
    Special {
        /// Its name.
        path: PathBuf,
        /// Open for writing.
        file: File,
    },
    /// A new file beside the one to be replaced.
    File {
        /// Its name in the end, links followed.
        path: PathBuf,
        /// What is written until then. Removed if that never comes.
        draft: NamedTempFile,
    },
}

/// The report has no place to go.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// Found before anything was measured.
    #[error("cannot write {}: {source}", path.display())]
    #[diagnostic(help(
        "give --output the path of a file in a folder that exists and that this user may write to"
    ))]
    NotWritable {
        /// As the user gave it.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// Nor is there a folder to write it to.
    #[error("cannot write to the folder {}: {source}", path.display())]
    #[diagnostic(help(
        "give the path of a new folder in one that exists and that this user may write to, or of an earlier report's"
    ))]
    NotAFolder {
        /// As the user gave it.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The folder is the user's.
    #[error("{} holds {other}, which is no part of a report", path.display())]
    #[diagnostic(help(
        "a report takes the whole folder's place: give another one, or move that away"
    ))]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// The first such name in it.
        other: String,
    },
    /// What was measured is lost.
    #[error("cannot write {}: {source}", path.display())]
    #[diagnostic(help("make room there, or choose another place with --output"))]
    NotWritten {
        /// The place.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
}

impl Error {
    /// What the kernel answered.
    pub fn into_source(self) -> io::Error {
        match self {
            Self::NotWritable { source, .. }
            | Self::NotAFolder { source, .. }
            | Self::NotWritten { source, .. } => source,
            Self::Occupied { .. } => io::ErrorKind::DirectoryNotEmpty.into(),
        }
    }
}

/// There is no new file.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum CreateError {
    /// Not over something of the user's.
    #[error("{} is there already", path.display())]
    #[diagnostic(help("give another name, or move it away: nothing is overwritten"))]
    Exists {
        /// As the user gave it.
        path: PathBuf,
    },
    /// The folder is not there, or not the user's.
    #[error("cannot write {}: {source}", path.display())]
    #[diagnostic(help(
        "give the path of a new file in a folder that exists and that this user may write to"
    ))]
    NotCreated {
        /// As the user gave it.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
}

/// Writes a new file, whole or not at all.
///
/// # Errors
/// When there is something of that name, or no folder to write it to.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), CreateError> {
    let exists = || CreateError::Exists {
        path: path.to_owned(),
    };
    // A link is in the way wherever it leads.
    if path.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let fail = |source| CreateError::NotCreated {
        path: path.to_owned(),
        source,
    };
    let mut draft = draft_beside(path).map_err(fail)?;
    let written = draft
        .write_all(bytes)
        .and_then(|()| draft.as_file().sync_all());
    written.map_err(fail)?;
    match draft.persist_noclobber(path) {
        Ok(_) => Ok(()),
        // Somebody else was first.
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(exists()),
        Err(error) => Err(fail(error.error)),
    }
}

/// A file in the folder of another. Removed unless it takes that one's place.
fn draft_beside(path: &Path) -> io::Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(DRAFT);
    // A report is no secret; the user's umask says who may read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

impl Output {
    /// Opens the place, without changing what is there.
    ///
    /// # Errors
    /// When it can be told already that writing will fail.
    pub fn open(path: Option<&Path>) -> Result<Self, Error> {
        let Some(path) = path else {
            return Ok(Self::Standard);
        };
        let fail = |source| Error::NotWritable {
            path: path.to_owned(),
            source,
        };
        let mut target = path.to_owned();
        // A link that leads nowhere yet is followed too.
        if let (Ok(aim), false) = (fs::read_link(path), path.exists()) {
            target = path.parent().unwrap_or(Path::new("")).join(aim);
        }
        // Where nothing is yet, the folder decides.
        if let Ok(there) = fs::metadata(path) {
            if there.is_dir() {
                return Err(fail(io::ErrorKind::IsADirectory.into()));
            }
            if !there.is_file() {
                return Ok(Self::Special {
                    path: path.to_owned(),
                    file: special(path).map_err(fail)?,
                });
            }
            // A link stays a link.
            target = fs::canonicalize(path).map_err(fail)?;
        }
        Ok(Self::File {
            draft: draft_beside(&target).map_err(fail)?,
            path: target,
        })
    }

    /// Writes everything and, for a file, gives it its name. A reader that has closed the pipe has read enough.
    ///
    /// # Errors
    /// When the disk is full, or standard output cannot be written.
    pub fn write(self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::Standard => pour(bytes, io::stdout().lock(), "standard output".into()),
            Self::Special { path, file } => pour(bytes, file, path),
            Self::File { path, mut draft } => {
                let written = draft
                    .write_all(bytes)
                    .and_then(|()| draft.as_file().sync_all());
                written
                    .and_then(|()| draft.persist(&path).map_err(|error| error.error))
                    .map(drop)
                    .map_err(|source| Error::NotWritten { path, source })
            }
        }
    }
}

/// Opens a device or a pipe without waiting for whoever is to read it: a pipe without a reader is an error.
fn special(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.write(true).custom_flags(O_NONBLOCK).open(path)?;
    // Opened so, but written as usual: a slow reader is waited for.
    rustix::io::ioctl_fionbio(&file, false)?;
    Ok(file)
}

fn pour(bytes: &[u8], mut into: impl Write, path: PathBuf) -> Result<(), Error> {
    match into.write_all(bytes).and_then(|()| into.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::NotWritten { path, source })
        }
        _ => Ok(()),
    }
}
