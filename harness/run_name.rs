//! The name of a run: with it begins whatever the run could leave behind.
//!
//! Nobody else has it, and it has a lock: the kernel lets go of that when the last process that
//! holds it ends, however it ends. So whoever can take the lock knows that the run is dead,
//! wherever it ran: process numbers say nothing in another PID namespace, which may have /dev/shm
//! in common with this one.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use nix::unistd::geteuid;
use rustix::fs::FlockOperation;
use rustix::rand::GetRandomFlags;

/// The variable in which a subject finds its [`UniqueRunName`]: with that begins what it makes
/// outside of its own memory.
pub const VARIABLE: &str = "REFCOW_SUBJECT";

const PREFIX: &str = "refcow-run-";

/// Bytes of a name that are random, two digits each. As few as will do: paths of sockets are short.
const RANDOM_BYTES: usize = 6;

/// A name that no other run has, always of one length: what stands in the environment moves the
/// stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueRunName(String);

impl UniqueRunName {
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
    pub(crate) fn bearers(&self, place: &Path) -> Vec<PathBuf> {
        let mut all: Vec<_> = own(place)
            .filter_map(|(path, name, more)| (name == *self).then_some((more, path)))
            .collect();
        all.sort_by_key(|(more, _)| !more);
        all.into_iter().map(|(_, path)| path).collect()
    }
}

/// All of this user's in a folder that has a [`UniqueRunName`], and whether more follows on that.
pub(crate) fn own(place: &Path) -> impl Iterator<Item = (PathBuf, UniqueRunName, bool)> {
    // No such folder: nothing in it.
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let user = geteuid().as_raw();
    entries.filter_map(move |entry| {
        let (name, more) = UniqueRunName::of(&entry.file_name())?;
        // Not what a link leads to.
        let is_own = entry.metadata().is_ok_and(|there| there.uid() == user);
        is_own.then(|| (entry.path(), name, more))
    })
}

/// Removes a file or a folder.
pub(crate) fn remove(path: &Path) {
    // Gone already, or not to be removed: nobody could do anything about it.
    let _ = match path.symlink_metadata() {
        Ok(there) if there.is_dir() => fs::remove_dir_all(path),
        _ => fs::remove_file(path),
    };
}

/// Takes the lock of a file or a folder, unless somebody holds it. Held until it is dropped, or the
/// process ends.
pub(crate) fn lock(path: &Path, flags: i32) -> io::Result<File> {
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

/// `None` if another run has taken what was just made for a dead one's.
pub(crate) fn first(locked: io::Result<File>) -> Option<io::Result<File>> {
    let late = |error: &io::Error| {
        let kind = error.kind();
        kind == io::ErrorKind::NotFound || kind == io::ErrorKind::WouldBlock
    };
    (!locked.as_ref().is_err_and(late)).then_some(locked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_again_and_nothing_else_is_taken_for_one() {
        let name = UniqueRunName::new().unwrap();
        let of = |text: &str| UniqueRunName::of(OsStr::new(text));
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
        assert_ne!(UniqueRunName::new().unwrap(), name);
    }
}
