//! Paths of one length that stand for places whose paths have any.
//!
//! An interpreter keeps the paths of its environment: in each module, in each code object, in
//! `sys.path`. They are objects on the heap that is measured, so that the same environment in
//! another folder would give other counts. The subject therefore finds it, and the folder for
//! temporary files, under links in a folder whose path always has one length.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::temporary::{self, TemporaryFolder};

/// Bytes of the folder's path. What the user's temporary folder is called must fit where nothing
/// else can be written.
const LENGTH: usize = 48;
const ENVIRONMENT: &str = "env";
const TEMPORARY: &str = "tmp";

/// A folder with the links, which goes with the last user of it.
#[derive(Clone, Debug)]
pub struct FixedPaths {
    folder: Arc<TemporaryFolder>,
    /// The environment, if there is one.
    prefix: Option<PathBuf>,
}

impl FixedPaths {
    /// Makes the folder, with a link to the environment whose `sys.prefix` this is; `None` for an
    /// interpreter that is in no environment, and so always in the same place.
    ///
    /// # Errors
    /// When there is nowhere to write.
    pub fn new(prefix: Option<&Path>) -> io::Result<Self> {
        let folder = folder()?;
        // Children that give up root's rights go on to import.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        symlink(
            std::path::absolute(std::env::temp_dir())?,
            folder.path().join(TEMPORARY),
        )?;
        if let Some(prefix) = prefix {
            symlink(prefix, folder.path().join(ENVIRONMENT))?;
        }
        Ok(Self {
            folder: Arc::new(folder),
            prefix: prefix.map(Path::to_owned),
        })
    }

    /// What stands for a path in the environment. Any other path stands for itself.
    pub fn standing_for(&self, path: &Path) -> PathBuf {
        let within = self.prefix.as_ref();
        match within.and_then(|prefix| path.strip_prefix(prefix).ok()) {
            Some(rest) => self.folder.path().join(ENVIRONMENT).join(rest),
            None => path.to_owned(),
        }
    }

    /// What stands for the folder for temporary files.
    pub fn temporary(&self) -> PathBuf {
        self.folder.path().join(TEMPORARY)
    }
}

/// A folder in the first place that can be written, with as long a name as makes its path
/// [`LENGTH`] bytes long.
fn folder() -> io::Result<TemporaryFolder> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for place in temporary::places() {
        match TemporaryFolder::of_length(&place, LENGTH) {
            Ok(folder) => return Ok(folder),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_length_wherever_the_environment_is() {
        let real = tempfile::tempdir().unwrap();
        let mut lengths = Vec::new();
        for name in ["a", "a much longer name ü"] {
            let prefix = real.path().join(name);
            fs::create_dir(&prefix).unwrap();
            fs::write(prefix.join("pyvenv.cfg"), name).unwrap();
            let paths = FixedPaths::new(Some(&prefix)).unwrap();
            let standing = paths.standing_for(&prefix.join("pyvenv.cfg"));
            assert_eq!(fs::read_to_string(&standing).unwrap(), name);
            assert_eq!(paths.standing_for(Path::new("/else")), Path::new("/else"));
            assert!(paths.temporary().is_dir());
            lengths.push(standing.as_os_str().len());
            drop(paths);
            assert!(!standing.exists());
            assert!(prefix.join("pyvenv.cfg").exists());
        }
        assert_eq!(lengths[0], lengths[1]);
        for place in ["/tmp", "/dev/shm"] {
            let folder = TemporaryFolder::of_length(Path::new(place), LENGTH).unwrap();
            assert_eq!(folder.path().as_os_str().len(), LENGTH);
        }
    }
}
