//! Where a report goes: standard output, or a file that is written whole or not at all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A place that was found writable before anything was measured.
#[derive(Debug)]
pub enum Output {
    /// Standard output.
    Standard,
    /// A new file beside the one to be replaced.
    File {
        /// Its name in the end.
        path: PathBuf,
        /// What is written until then. Removed if that never comes.
        draft: NamedTempFile,
    },
}

/// The file cannot be written.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error("cannot write {}: {source}", path.display())]
#[diagnostic(help(
    "give --output the path of a file in a folder that exists and that this user may write to"
))]
pub struct Error {
    path: PathBuf,
    source: io::Error,
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
        let fail = |source| Error {
            path: path.to_owned(),
            source,
        };
        if path.is_dir() {
            return Err(fail(io::ErrorKind::IsADirectory.into()));
        }
        let folder = match path.parent() {
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
            path: path.to_owned(),
        })
    }

    /// Writes everything and, for a file, gives it its name. A reader that has closed the pipe has read enough.
    ///
    /// # Errors
    /// When the disk is full, or standard output cannot be written.
    pub fn write(self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Self::Standard => {
                let mut standard = io::stdout().lock();
                match standard.write_all(bytes).and_then(|()| standard.flush()) {
                    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error {
                        path: "standard output".into(),
                        source: error,
                    }),
                    _ => Ok(()),
                }
            }
            Self::File { path, mut draft } => {
                let written = draft
                    .write_all(bytes)
                    .and_then(|()| draft.as_file().sync_all());
                written
                    .and_then(|()| draft.persist(&path).map_err(|error| error.error))
                    .map(drop)
                    .map_err(|source| Error { path, source })
            }
        }
    }
}
