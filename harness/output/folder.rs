//! A folder of files that belong together, in which the user may have others.
//!
//! Each file is replaced by rename, so that it is the older or the newer one at any time, and the
//! last file comes last. What is replaced or removed is what the folder's [`Manifest`] says that
//! refcow wrote, as long as it is still that. The manifest names the new files before the first of
//! them is there, and forgets the older ones after the last is gone: a run that is killed leaves
//! nothing that the next one does not know for refcow's.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::draft::{Draft, Lock, folder_of, lock, remove_abandoned, replaceable};
use super::error::OutputError;
use super::manifest::{Content, FileOwner, Manifest, NAME};
use crate::{interrupt, process};

/// How long another refcow is waited for, which is writing to the folder: a second, on a slow disk.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked whether it has ended.
const INTERVAL: Duration = Duration::from_millis(20);

/// What files of a folder may be called.
#[derive(Clone, Copy, Debug)]
pub struct FolderKind {
    /// The folders in it.
    pub folders: &'static [&'static str],
    /// Whether a file, by its path in the folder, may be one of them. Nothing else in the folder is
    /// touched.
    pub has: fn(&str) -> bool,
}

/// A place for a folder, found writable before anything was measured.
#[derive(Debug)]
pub struct ReportFolder {
    /// Links followed.
    path: PathBuf,
    kind: FolderKind,
}

impl ReportFolder {
    /// Opens the place, without changing what is there.
    ///
    /// # Errors
    /// When it can be told already that writing will fail, or that a file of the user's would be in
    /// the way.
    pub fn open(path: &Path, kind: FolderKind) -> Result<Self, OutputError> {
        let fail = |source| OutputError::NotAFolder {
            path: path.to_owned(),
            source,
        };
        match fs::metadata(path) {
            Ok(there) if !there.is_dir() => Err(fail(io::ErrorKind::NotADirectory.into())),
            Ok(_) => {
                // A link stays a link.
                let folder = Self {
                    path: fs::canonicalize(path).map_err(fail)?,
                    kind,
                };
                let _lock = folder.lock()?;
                let manifest = Manifest::read(&folder.path)?;
                folder.look(&manifest).map_err(|why| why.or(fail))?;
                Ok(folder)
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(fail(error)),
            Err(_) if path.symlink_metadata().is_ok() => {
                let why = "it is a link to something that does not exist";
                Err(fail(io::Error::other(why)))
            }
            // Its own folder decides.
            Err(_) => {
                drop(Draft::beside(path).map_err(fail)?);
                let path = path.to_owned();
                Ok(Self { path, kind })
            }
        }
    }

    /// Whether refcow has written such a folder here.
    pub fn is_written(path: &Path) -> bool {
        path.join(NAME).is_file()
    }

    /// Looks whether everything could be written that this kind of folder has, and nothing is in
    /// the way.
    fn look(&self, manifest: &Manifest) -> Result<(), WriteFailure> {
        self.has_folders()?;
        self.remove_abandoned(manifest);
        for folder in self.folders() {
            let path = self.path.join(folder);
            let entries = match fs::read_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            // Only to see that it can be.
            drop(Draft::beside(&path.join(NAME))?);
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name();
                let name = match folder {
                    "" => name.to_string_lossy().into_owned(),
                    folder => format!("{folder}/{}", name.to_string_lossy()),
                };
                if (self.kind.has)(&name) && self.is_free(manifest, &name)? == FileOwner::Ours {
                    replaceable(&entry.path(), &entry.metadata()?)
                        .map_err(|why| io::Error::other(format!("{name}: {why}")))?;
                }
            }
        }
        Ok(())
    }

    /// The folder itself, and those in it.
    fn folders(&self) -> impl Iterator<Item = &'static str> {
        [""].into_iter().chain(self.kind.folders.iter().copied())
    }

    /// Writes all files, each with its path in the folder, in this order. Files that refcow wrote
    /// here earlier, of names that this kind of folder has, are gone then if they are none of
    /// these.
    ///
    /// # Errors
    /// When the disk is full, or something of the user's has come into the way. Each file is the
    /// older or the newer one then.
    pub fn write(self, files: &[(String, Vec<u8>)]) -> Result<(), OutputError> {
        let fail = |source| OutputError::NotWritten {
            path: self.path.clone(),
            source,
        };
        let mut made = MadeFolders::default();
        made.folder(&self.path).map_err(fail)?;
        let _lock = self.lock()?;
        self.place(files, &mut made).map_err(|why| why.or(fail))
    }

    fn place(
        &self,
        files: &[(String, Vec<u8>)],
        made: &mut MadeFolders,
    ) -> Result<(), WriteFailure> {
        let before = Manifest::read(&self.path)?;
        let after = self.manifest(&before, files)?;
        let both = before.clone().and(&after);
        self.has_folders()?;
        self.remove_abandoned(&both);
        let mut drafts = Vec::new();
        for (name, bytes) in files {
            self.is_free(&before, name)?;
            let path = self.path.join(name);
            made.folder(folder_of(&path))?;
            let mut draft = Draft::beside(&path)?;
            draft.fill(bytes)?;
            drafts.push((name, draft));
        }
        both.write(&self.path)?;
        let last = drafts.len().saturating_sub(1);
        for (number, (name, draft)) in drafts.into_iter().enumerate() {
            if number == 0 || number == last {
                self.to_disk();
            }
            match self.is_free(&both, name)? {
                FileOwner::Nothing => draft.create()?,
                _ => draft.replace()?,
            }
        }
        self.to_disk();
        self.remove_stale(&before, &after);
        after.write(&self.path)?;
        Ok(())
    }

    /// What refcow has written when all of these files are written: they, and what is of another
    /// kind.
    fn manifest(&self, before: &Manifest, files: &[(String, Vec<u8>)]) -> io::Result<Manifest> {
        let others = before.files.iter();
        let mut all: BTreeMap<_, _> = others
            .filter(|(name, _)| !(self.kind.has)(name))
            .map(|(name, contents)| (name.clone(), contents.clone()))
            .collect();
        for (name, bytes) in files {
            if !(self.kind.has)(name) {
                // The next report would take it for the user's.
                return Err(io::Error::other(format!("no file is called {name}")));
            }
            all.insert(name.clone(), vec![Content::of(bytes)]);
        }
        Ok(Manifest::of(all))
    }

    /// Whether a file may be written, over one of refcow's or where none is.
    fn is_free(&self, manifest: &Manifest, name: &str) -> Result<FileOwner, OutputError> {
        match manifest.there(&self.path, name) {
            FileOwner::Theirs => Err(OutputError::Occupied {
                path: self.path.join(name),
            }),
            there => Ok(there),
        }
    }

    /// Refuses links and files in the place of folders: a link may lead to other files of the
    /// user's.
    fn has_folders(&self) -> Result<(), OutputError> {
        for folder in self.kind.folders {
            let path = self.path.join(folder);
            let there = path.symlink_metadata();
            if there.is_ok_and(|there| !there.is_dir()) {
                return Err(OutputError::Occupied { path });
            }
        }
        Ok(())
    }

    /// Removes files of an older report that the new one has not, and folders that are empty then.
    fn remove_stale(&self, before: &Manifest, after: &Manifest) {
        let stale = before.files.keys();
        for name in stale.filter(|name| (self.kind.has)(name) && !after.files.contains_key(*name)) {
            let path = self.path.join(name);
            if before.there(&self.path, name) == FileOwner::Ours && fs::remove_file(&path).is_ok() {
                let folder = folder_of(&path);
                if folder != self.path {
                    // Not if something is in it.
                    let _ = fs::remove_dir(folder);
                }
            }
        }
    }

    /// Removes what killed runs have left.
    fn remove_abandoned(&self, manifest: &Manifest) {
        for folder in self.folders() {
            let names = manifest.files.keys().filter(|name| in_folder(name, folder));
            let names = names.map(|name| last_of(name)).chain([NAME]);
            remove_abandoned(&self.path.join(folder), names.map(OsStr::new));
        }
    }

    /// Keeps others from writing here, for as long as it is not dropped. Where the file system has
    /// no locks, nothing does.
    fn lock(&self) -> Result<File, OutputError> {
        let folder = File::open(&self.path).map_err(|source| OutputError::NotAFolder {
            path: self.path.clone(),
            source,
        })?;
        let deadline = Instant::now() + PATIENCE;
        // What a run has that was ended is written all the same, so that only an end that is asked
        // for now is one.
        let ended_before = interrupt::requested();
        while lock(&folder) == Lock::Taken {
            // flock() has no descriptor that could be waited for.
            process::wait(&mut [], Instant::now() + INTERVAL);
            let ended = interrupt::requested() && !ended_before;
            if ended || Instant::now() > deadline {
                let path = self.path.clone();
                return Err(OutputError::Busy { path });
            }
        }
        Ok(folder)
    }

    /// Has the order of what was done so far survive a failure of the machine's power, where the
    /// file system can.
    fn to_disk(&self) {
        for folder in self.folders() {
            if let Ok(folder) = File::open(self.path.join(folder)) {
                let _ = folder.sync_all();
            }
        }
    }
}

/// Why nothing was written.
enum WriteFailure {
    Known(OutputError),
    Kernel(io::Error),
}

impl WriteFailure {
    fn or(self, of: impl FnOnce(io::Error) -> OutputError) -> OutputError {
        match self {
            Self::Known(error) => error,
            Self::Kernel(source) => of(source),
        }
    }
}

impl From<OutputError> for WriteFailure {
    fn from(error: OutputError) -> Self {
        Self::Known(error)
    }
}

impl From<io::Error> for WriteFailure {
    fn from(error: io::Error) -> Self {
        Self::Kernel(error)
    }
}

/// Folders that were made. They go if nothing comes into them.
#[derive(Default)]
struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    fn folder(&mut self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Ok(()) => {
                self.0.push(path.to_owned());
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            let _ = fs::remove_dir(path);
        }
    }
}

/// Whether a file is in this folder, and in none of that one's.
fn in_folder(name: &str, folder: &str) -> bool {
    match name.rsplit_once('/') {
        Some((of, _)) => of == folder,
        None => folder.is_empty(),
    }
}

/// The name of a file in its own folder.
fn last_of(name: &str) -> &str {
    name.rsplit_once('/').map_or(name, |(_, last)| last)
}

#[cfg(test)]
mod tests;
