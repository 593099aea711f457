//! Where a report goes: standard output, or a file that is written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::O_NONBLOCK;
use tempfile::NamedTempFile;

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
        let folder = match target.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".refcow-");
        // A report is no secret; the user's umask says who may read it.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        Ok(Self::File {
            draft: builder.tempfile_in(folder).map_err(fail)?,
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
