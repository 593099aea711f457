//! Shared memory: the segments of a run in /dev/shm, and the room that is there.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::libc::O_NOFOLLOW;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use crate::run_name::{UniqueRunName, first, lock, own, remove};

/// Where segments of shared memory are.
pub const FOLDER: &str = "/dev/shm";

/// The segments by this name.
pub fn segments(name: &UniqueRunName) -> Vec<PathBuf> {
    let mut all = name.bearers(Path::new(FOLDER));
    all.retain(|path| path.file_name() != Some(OsStr::new(name.as_str())));
    all
}

/// Says to other runs that this one lives and which segments are its. `None` where there is no
/// /dev/shm to say so in: then there are no segments either.
pub fn live(name: &UniqueRunName) -> Option<File> {
    let path = Path::new(FOLDER).join(name.as_str());
    loop {
        let mut options = OpenOptions::new();
        options.write(true).create(true).mode(0o600);
        options.custom_flags(O_NOFOLLOW).open(&path).ok()?;
        if let Some(locked) = first(lock(&path, 0)) {
            return locked.ok();
        }
    }
}

/// Removes the segments of dead runs.
pub fn sweep() {
    sweep_in(Path::new(FOLDER));
}

/// The lock is a file whose name is the beginning of all others'.
fn sweep_in(place: &Path) {
    for (path, name, more) in own(place) {
        if more {
            continue;
        }
        if let Ok(_lock) = lock(&path, 0) {
            for path in name.bearers(place) {
                remove(&path);
            }
        }
    }
}

/// Whether what is in a folder is in memory: in a tmpfs.
pub fn is_tmpfs(folder: &Path) -> bool {
    statfs(folder).is_ok_and(|found| found.filesystem_type() == TMPFS_MAGIC)
}

/// Size and free space of /dev/shm.
#[derive(Debug)]
pub struct Space {
    /// `None`: a tmpfs without a limit of its own, which takes what memory there is.
    pub size_bytes: Option<u64>,
    /// What is left of that.
    pub free_bytes: u64,
}

/// How much room there is.
///
/// # Errors
/// When there is no /dev/shm.
pub fn space() -> nix::Result<Space> {
    let space = statfs(FOLDER)?;
    // f_bsize is the unit of the counts on Linux, whatever its sign is on this architecture.
    let unit = u64::try_from(space.block_size()).unwrap_or_default();
    let unlimited = space.blocks() == 0 && space.filesystem_type() == TMPFS_MAGIC;
    Ok(Space {
        size_bytes: (!unlimited).then(|| space.blocks() * unit),
        free_bytes: space.blocks_available() * unit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_dead_runs_segments_are_removed_and_a_living_ones_are_not() {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = place.path().join(name);
            fs::write(&path, "").unwrap();
            path
        };
        let (living, its) = (
            file("refcow-run-0123456789ab"),
            file("refcow-run-0123456789ab-x"),
        );
        let (dead, left) = (
            file("refcow-run-ba9876543210"),
            file("refcow-run-ba9876543210-x"),
        );
        // Nobody can tell whose that is.
        let unlocked = file("refcow-run-111111111111-x");
        let held = lock(&living, 0).unwrap();
        sweep_in(place.path());
        assert!(living.exists() && its.exists() && unlocked.exists());
        assert!(!dead.exists() && !left.exists());
        drop(held);
        sweep_in(place.path());
        assert!(!living.exists() && !its.exists() && unlocked.exists());
    }
}
