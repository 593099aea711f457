//! What a run could leave behind besides processes: shared memory and temporary folders.
//!
//! All of it has one name, which nobody else has, and a lock: the kernel lets go of that when the last process that
//! holds it ends, however it ends. So whoever can take the lock knows that the run is dead, wherever it ran: process
//! numbers say nothing in another PID namespace, which may have /dev/shm in common with this one.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Once;

use nix::libc::{O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK};
use nix::unistd::geteuid;
use rustix::fs::FlockOperation;
use rustix::rand::GetRandomFlags;

/// The variable in which a subject finds its [`Name`]: with that begins what it makes outside of its own memory.
pub const VARIABLE: &str = "REFCOW_SUBJECT";

const PREFIX: &str = "refcow-run-";

/// Bytes of a name that are random, two digits each. As few as will do: paths of sockets are short.
const RANDOM_BYTES: usize = 6;

/// Where temporary folders may be, those with short paths first, and the user's own choice last.
pub fn temporary_places() -> impl Iterator<Item = PathBuf> {
    let all = ["/tmp", "/var/tmp", SHARED_MEMORY].map(PathBuf::from);
    all.into_iter()
        .chain(std::path::absolute(std::env::temp_dir()))
}

/// Where segments of shared memory are.
pub const SHARED_MEMORY: &str = "/dev/shm";

/// A name that no other run has, always of one length: what stands in the environment moves the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// A new one.
    ///
    /// # Errors
    /// When the kernel has no random bytes.
    pub fn new() -> io::Result<Self> {
        let mut bytes = [0; RANDOM_BYTES];
        // So few come whole, or not at all (getrandom(2)).
        rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())?;
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self(format!("{PREFIX}{digits}")))
    }

    /// One that was written.
    pub fn read(text: &OsStr) -> Option<Self> {
        Self::of(text)
            .filter(|(_, more)| !more)
            .map(|(name, _)| name)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name with which the name of a file begins, and whether more follows.
    fn of(file: &OsStr) -> Option<(Self, bool)> {
        let text = file.to_str()?;
        let (digits, rest) = text
            .strip_prefix(PREFIX)?
            .split_at_checked(2 * RANDOM_BYTES)?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let whole = digits.bytes().all(is_digit) && (rest.is_empty() || rest.starts_with('-'));
        whole.then(|| (Self(format!("{PREFIX}{digits}")), !rest.is_empty()))
    }

    /// What of this user's has this name in a folder: what begins with it, then what has no other.
    fn bearers(&self, place: &Path) -> Vec<PathBuf> {
        let mut all: Vec<_> = own(place)
            .filter_map(|(path, name, more)| (name == *self).then_some((more, path)))
            .collect();
        all.sort_by_key(|(more, _)| !more);
        all.into_iter().map(|(_, path)| path).collect()
    }

    /// The segments of shared memory by this name.
    pub fn segments(&self) -> Vec<PathBuf> {
        let mut all = self.bearers(Path::new(SHARED_MEMORY));
        all.retain(|path| path.file_name() != Some(OsStr::new(self.as_str())));
        all
    }

    /// Removes everything by this name, the lock last: as long as there is something, the next run finds it by that.
    pub fn remove_all(&self) {
        for place in [std::env::temp_dir().as_path(), Path::new(SHARED_MEMORY)] {
            for path in self.bearers(place) {
                remove(&path);
            }
        }
    }
}

/// All of this user's in a folder that has a [`Name`], and whether more follows on that.
fn own(place: &Path) -> impl Iterator<Item = (PathBuf, Name, bool)> {
    // No such folder: nothing in it.
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let user = geteuid().as_raw();
    entries.filter_map(move |entry| {
        let (name, more) = Name::of(&entry.file_name())?;
        // Not what a link leads to.
        let is_own = entry.metadata().is_ok_and(|there| there.uid() == user);
        is_own.then(|| (entry.path(), name, more))
    })
}

fn remove(path: &Path) {
    // Gone already, or not to be removed: nobody could do anything about it.
    let _ = match path.symlink_metadata() {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
}

/// Takes the lock of a file or a folder, unless somebody holds it. Held until it is dropped, or the process ends.
fn lock(path: &Path, flags: i32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Nor wait for whoever opens the other end of a pipe.
    let flags = flags | O_NOFOLLOW | O_NONBLOCK;
    let file = options.read(true).custom_flags(flags).open(path)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    // Whoever tidies up may have removed it between the two.
    let (opened, there) = (file.metadata()?, path.symlink_metadata()?);
    if (opened.dev(), opened.ino()) != (there.dev(), there.ino()) {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(file)
}

/// Says to other runs that this one lives and which segments are its. `None` where there is no /dev/shm to say so in:
/// then there are no segments either.
pub fn live(name: &Name) -> Option<File> {
    let path = Path::new(SHARED_MEMORY).join(name.as_str());
    loop {
        let mut options = OpenOptions::new();
        options.write(true).create(true).mode(0o600);
        options.custom_flags(O_NOFOLLOW).open(&path).ok()?;
        if let Some(locked) = first(lock(&path, 0)) {
            return locked.ok();
        }
    }
}

/// `None` if another run has taken what was just made for a dead one's.
fn first(locked: io::Result<File>) -> Option<io::Result<File>> {
    let late = |error: &io::Error| {
        let kind = error.kind();
        kind == io::ErrorKind::NotFound || kind == io::ErrorKind::WouldBlock
    };
    (!locked.as_ref().is_err_and(late)).then_some(locked)
}

/// A temporary folder of this process. Removed when dropped, or by the next run.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// `None` where the file system has no locks for folders: nobody but this process removes it then.
    _lock: Option<File>,
}

impl Folder {
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
            let mut path = place.join(Name::new()?.as_str()).into_os_string();
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

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes what dead runs of this user have left, once in a process.
pub fn sweep() {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| {
        for place in temporary_places() {
            sweep_folders(&place);
        }
        sweep_segments(Path::new(SHARED_MEMORY));
    });
}

/// Each has a lock of its own.
fn sweep_folders(place: &Path) {
    for (path, ..) in own(place) {
        if let Ok(_lock) = lock(&path, O_DIRECTORY) {
            remove(&path);
        }
    }
}

/// The lock is a file whose name is the beginning of all others'.
fn sweep_segments(place: &Path) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_again_and_nothing_else_is_taken_for_one() {
        let name = Name::new().unwrap();
        let of = |text: &str| Name::of(OsStr::new(text));
        assert_eq!(of(name.as_str()), Some((name.clone(), false)));
        assert_eq!(of(&format!("{}-a", name.0)), Some((name.clone(), true)));
        for text in [
            "refcow",
            "refcow-run-",
            "refcow-run-0123456789a",
            "refcow-run-0123456789abc",
            "refcow-run-0123456789aB",
            "refcow-run-0123456789äb",
            "refcow-run-0123456789ab_",
            "xrefcow-run-0123456789ab",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_ne!(Name::new().unwrap(), name);
    }

    #[test]
    fn a_dead_runs_folders_are_removed_and_a_living_ones_are_not() {
        let place = tempfile::tempdir().unwrap();
        let living = Folder::new(place.path()).unwrap();
        let dead = place.path().join("refcow-run-0123456789ab-x");
        fs::create_dir_all(dead.join("in it")).unwrap();
        let users = place.path().join("refcow-run-mine");
        fs::create_dir(&users).unwrap();
        sweep_folders(place.path());
        assert!(living.path().exists() && users.exists() && !dead.exists());
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
        let long = Folder::of_length(place.path(), 100).unwrap();
        assert_eq!(long.path().as_os_str().len(), 100);
        sweep_folders(place.path());
        assert!(long.path().exists());
    }

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
        sweep_segments(place.path());
        assert!(living.exists() && its.exists() && unlocked.exists());
        assert!(!dead.exists() && !left.exists());
        drop(held);
        sweep_segments(place.path());
        assert!(!living.exists() && !its.exists() && unlocked.exists());
    }
}
