//! Where a report goes: standard output, or a file that is written whole or not at all.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use nix::libc::O_NONBLOCK;

use self::draft::{Draft, folder_of};

mod draft;
mod error;
mod folder;
mod manifest;

pub use error::{CreateError, OutputError};
pub use folder::{FolderKind, ReportFolder};

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

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
    /// A file, new or to be replaced.
    File {
        /// Its name, links followed.
        path: PathBuf,
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
    remove_drafts_of(path);
    let mut draft = Draft::beside(path).map_err(fail)?;
    draft.fill(bytes).map_err(fail)?;
    match draft.create() {
        // Somebody else was first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists()),
        created => created.map_err(fail),
    }
}

/// Removes what killed runs have left of this file.
fn remove_drafts_of(path: &Path) {
    let name: Option<&OsStr> = path.file_name();
    draft::remove_abandoned(folder_of(path), name.into_iter());
}

impl Output {
    /// Opens the place, without changing what is there.
    ///
    /// # Errors
    /// When it can be told already that writing will fail.
    pub fn open(path: Option<&Path>) -> Result<Self, OutputError> {
        let Some(path) = path else {
            return Ok(Self::Standard);
        };
        let fail = |source| OutputError::NotWritable {
            path: path.to_owned(),
            source,
        };
        if path.as_os_str().as_bytes().ends_with(b"/") {
            return Err(fail(io::ErrorKind::IsADirectory.into()));
        }
        let target = match aim(path).map_err(fail)? {
            Aim::Path(target) => target,
            Aim::Descriptor(own, number) => return descriptor(path, own, number).map_err(fail),
        };
        match fs::metadata(&target) {
            Ok(there) if there.is_dir() => return Err(fail(io::ErrorKind::IsADirectory.into())),
            Ok(there) if !there.is_file() => {
                return Ok(Self::Special {
                    path: path.to_owned(),
                    file: special(path).map_err(fail)?,
                });
            }
            // Where nothing is yet, the folder decides.
            _ => {}
        }
        remove_drafts_of(&target);
        // Only to see that it can be: what is measured meanwhile may be killed, and would leave it.
        drop(Draft::beside(&target).map_err(fail)?);
        Ok(Self::File { path: target })
    }

    /// Writes everything and, for a file, gives it its name. A reader that has closed the pipe has
    /// read enough.
    ///
    /// # Errors
    /// When the disk is full, or standard output cannot be written.
    pub fn write(self, bytes: &[u8]) -> Result<(), OutputError> {
        match self {
            Self::Standard => pour(bytes, io::stdout().lock(), "standard output".into()),
            Self::Special { path, file } => pour(bytes, file, path),
            Self::File { path } => {
                let write = || {
                    let mut draft = Draft::beside(&path)?;
                    draft.fill(bytes)?;
                    draft.replace()
                };
                write().map_err(|source| OutputError::NotWritten { path, source })
            }
        }
    }
}

/// Where a path leads.
enum Aim {
    /// A place in a file system that is no link, whether something is there or not.
    Path(PathBuf),
    /// An open file of a process, and whether it is this one. `/dev/stdout` is one.
    Descriptor(bool, String),
}

/// Follows links, up to where nothing is.
fn aim(path: &Path) -> io::Result<Aim> {
    let mut at = path.to_owned();
    for _ in 0..MOST_LINKS {
        if !at.symlink_metadata().is_ok_and(|there| there.is_symlink()) {
            // A folder of that name is found by its parent, or is `..` or `/`.
            return Ok(Aim::Path(at));
        }
        let folder = fs::canonicalize(folder_of(&at))?;
        let name = at.file_name().unwrap_or_default();
        if let Some(own) = is_of_descriptors(&folder) {
            return Ok(Aim::Descriptor(own, name.to_string_lossy().into_owned()));
        }
        at = folder.join(fs::read_link(&at)?);
    }
    Err(rustix::io::Errno::LOOP.into())
}

/// Whether a folder lists the open files of a process, and then, whether of this one.
fn is_of_descriptors(folder: &Path) -> Option<bool> {
    let words: Vec<_> = folder.components().map(Component::as_os_str).collect();
    match words[..] {
        [_, proc, pid, fd] | [_, proc, pid, _, _, fd] if proc == "proc" && fd == "fd" => {
            Some(pid.to_str() == Some(&std::process::id().to_string()))
        }
        _ => None,
    }
}

/// An open file is written to where it stands. A file in the place of the one that it is of would
/// take from the user what is written to it before and after.
fn descriptor(path: &Path, own: bool, number: String) -> io::Result<Output> {
    let file = match (own, number.as_str()) {
        (true, "1") => return Ok(Output::Standard),
        (true, "2") => io::stderr().as_fd().try_clone_to_owned()?.into(),
        // Of a file, the end: that it stands anywhere else in it is not to be seen from here.
        _ => special(path)?,
    };
    let path = path.to_owned();
    Ok(Output::Special { path, file })
}

/// Opens what is there without waiting for whoever is to read it: a pipe without a reader is an
/// error.
fn special(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.append(true).custom_flags(O_NONBLOCK).open(path)?;
    // Opened so, but written as usual: a slow reader is waited for.
    rustix::io::ioctl_fionbio(&file, false)?;
    Ok(file)
}

fn pour(bytes: &[u8], mut into: impl Write, path: PathBuf) -> Result<(), OutputError> {
    match into.write_all(bytes).and_then(|()| into.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(OutputError::NotWritten { path, source })
        }
        _ => Ok(()),
    }
}
