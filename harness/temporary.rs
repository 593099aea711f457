//! Temporary folders of a run.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::libc::O_DIRECTORY;

use crate::run_name::{UniqueRunName, first, lock, own, remove};
use crate::shm;

/// Where temporary folders may be, those with short paths first, and the user's own choice last.
pub fn places() -> impl Iterator<Item = PathBuf> {
    let all = ["/tmp", "/var/tmp", shm::FOLDER].map(PathBuf::from);
    all.into_iter()
        .chain(std::path::absolute(std::env::temp_dir()))
}

/// A temporary folder of this process. Removed when dropped, or by the next run.
#[derive(Debug)]
pub struct TemporaryFolder {
    path: PathBuf,
    /// `None` where the file system has no locks for folders: nobody but this process removes it
    /// then.
    _lock: Option<File>,
}

impl TemporaryFolder {
    /// Makes one.
    ///
    /// # Errors
    /// When nothing can be made there.
    pub fn new(place: &Path) -> io::Result<Self> {
        Self::of_length(place, 0)
    }

    /// Makes one whose path has so many bytes, if that is not less than it takes.
    ///
    /// # Errors
    /// When nothing can be made there.
    pub fn of_length(place: &Path, bytes: usize) -> io::Result<Self> {
        loop {
            let mut path = place.join(UniqueRunName::new()?.as_str()).into_os_string();
            while path.len() < bytes {
                path.push("-");
            }
            let path = PathBuf::from(path);
            fs::DirBuilder::new().mode(0o700).create(&path)?;
            if let Some(locked) = first(lock(&path, O_DIRECTORY)) {
                let _lock = locked.ok();
                return Ok(Self { path, _lock });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes the folders of dead runs. Each has a lock of its own.
pub fn sweep(place: &Path) {
    for (path, ..) in own(place) {
        if let Ok(_lock) = lock(&path, O_DIRECTORY) {
            remove(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_runs_folders_are_removed_and_a_living_ones_are_not() {
        let place = tempfile::tempdir().unwrap();
        let living = TemporaryFolder::new(place.path()).unwrap();
        let dead = place.path().join("refcow-run-0123456789ab-x");
        fs::create_dir_all(dead.join("in it")).unwrap();
        let users = place.path().join("refcow-run-mine");
        fs::create_dir(&users).unwrap();
        sweep(place.path());
        assert!(living.path().exists() && users.exists() && !dead.exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
        let long = TemporaryFolder::of_length(place.path(), 100).unwrap();
        assert_eq!(long.path().as_os_str().len(), 100);
        sweep(place.path());
        assert!(long.path().exists());
    }
}
