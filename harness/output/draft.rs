//! A file that is not whole yet, beside the one whose place it will take.
//!
//! A draft that a killed refcow has left is known by its name, which only refcow makes up
//! ([`name`]), and by being locked no more. Where a file system has no locks it stays.

use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use nix::unistd::geteuid;
use rustix::fs::{AtFlags, CWD, FlockOperation, StatxAttributes, StatxFlags};
use tempfile::{NamedTempFile, TempPath};

use crate::model::sha256;

/// How names of drafts begin.
const PREFIX: &str = ".refcow-";
/// Hexadecimal digits of each half of the rest.
const DIGITS: usize = 16;

/// Attributes of a file that what replaces it gets, too: who may read and write it, and what the
/// user has noted on it. Not those that vouch for its bytes.
const KEPT_ATTRIBUTES: [&str; 3] = ["user.", ACL, "security.selinux"];
/// The list of who may do what.
const ACL: &str = "system.posix_acl_access";
/// The kernel's limit, for a value and for a list of names.
const LONGEST_ATTRIBUTE: usize = 64 << 10;

/// A new file beside another. It goes unless it takes that one's place.
#[derive(Debug)]
pub struct Draft {
    file: NamedTempFile,
    target: PathBuf,
}

impl Draft {
    /// An empty one, which nobody else may read if there is a file to be replaced: that may be a
    /// secret.
    ///
    /// # Errors
    /// When the folder cannot be written to, or the file that is there could not be replaced.
    pub fn beside(target: &Path) -> io::Result<Self> {
        let mode = match target.symlink_metadata() {
            Ok(there) => {
                replaceable(target, &there)?;
                0o600
            }
            // A report is no secret; the user's umask says who may read it.
            Err(_) => 0o666,
        };
        loop {
            let path = folder_of(target).join(name(last_of(target)?, &random()));
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create_new(true).mode(mode);
            let file = match options.open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            let file = NamedTempFile::from_parts(file, TempPath::try_from_path(path)?);
            let locked = lock(file.as_file()) != Lock::Taken;
            // Or whoever removes drafts has come between, and took it for abandoned.
            if locked && file.as_file().metadata()?.nlink() > 0 {
                let target = target.to_owned();
                return Ok(Self { file, target });
            }
        }
    }

    /// Writes everything, to the disk.
    ///
    /// # Errors
    /// When there is no room.
    pub fn fill(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.as_file().sync_all()
    }

    /// Takes the place of what is there, with its owner, its group, its permissions and its
    /// attributes, as far as this user may give them.
    ///
    /// # Errors
    /// When it cannot, or something that is no file is there by now.
    pub fn replace(self) -> io::Result<()> {
        match self.target.symlink_metadata() {
            Ok(there) if there.is_file() => {
                make_alike(self.file.as_file(), &self.target, &there);
            }
            Ok(_) => return Err(io::Error::other("what is there now is no file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.file.persist(&self.target)?;
        Ok(())
    }

    /// Stays, as when refcow is killed.
    #[cfg(test)]
    pub fn abandon(self) {
        let (_, path) = self.file.keep().unwrap();
        assert!(path.exists());
    }

    /// Takes a place in which nothing is.
    ///
    /// # Errors
    /// When something is there.
    pub fn create(self) -> io::Result<()> {
        let target = self.target;
        match self.file.persist_noclobber(&target) {
            Ok(_) => Ok(()),
            // A file system that cannot do both in one (some have no flags, and no hard links
            // either).
            Err(error) if target.symlink_metadata().is_err() => {
                error.file.persist(&target)?;
                Ok(())
            }
            Err(error) => Err(error.error),
        }
    }
}

/// Removes what killed runs have left beside these files of a folder.
pub fn remove_abandoned<'a>(folder: &Path, names: impl Iterator<Item = &'a OsStr> + Clone) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let found = entry.file_name();
        if is_of_one(&found, names.clone()) && is_abandoned(&entry.path()) {
            // Where it cannot be, the next run may be able to.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a name is that of a draft of one of these.
fn is_of_one<'a>(found: &OsStr, mut names: impl Iterator<Item = &'a OsStr>) -> bool {
    let found = found.to_str().unwrap_or_default();
    let Some((random, _)) = found
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_once('-'))
    else {
        return false;
    };
    random.len() == DIGITS && names.any(|of| name(of, random) == found)
}

/// Whether this is a file of this user's that nobody is writing.
fn is_abandoned(path: &Path) -> bool {
    let open = || -> io::Result<bool> {
        let mut options = OpenOptions::new();
        let options = options.read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK);
        let file = options.open(path)?;
        let there = file.metadata()?;
        let ours = there.is_file() && there.uid() == geteuid().as_raw();
        // Closed, it is unlocked again; but nobody waits for it.
        Ok(ours && lock(&file) == Lock::Got)
    };
    open().unwrap_or(false)
}

/// A name that nobody else gives to a file: what is random in it is signed with the name of the
/// file that the draft is for.
fn name(of: &OsStr, random: &str) -> String {
    let sum = sha256(&[random.as_bytes(), of.as_bytes()].concat());
    format!("{PREFIX}{random}-{}", &sum[..DIGITS])
}

fn random() -> String {
    // The standard library's maps have random seeds.
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

/// The folder that a file is in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn last_of(path: &Path) -> io::Result<&OsStr> {
    path.file_name()
        .ok_or_else(|| io::ErrorKind::IsADirectory.into())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    Got,
    /// By somebody else.
    Taken,
    /// The file system has none.
    Impossible,
}

/// Locks a file for as long as it is open, against others that do so.
pub fn lock(file: &File) -> Lock {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Lock::Got,
        Err(rustix::io::Errno::WOULDBLOCK) => Lock::Taken,
        Err(_) => Lock::Impossible,
    }
}

/// Whether another file could take this one's place, as far as it can be told without trying.
///
/// # Errors
/// Why not.
pub fn replaceable(path: &Path, there: &Metadata) -> io::Result<()> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    // Before Linux 4.11 there is no statx, and so nothing to be told.
    if let Ok(more) = rustix::fs::statx(CWD, path, flags, StatxFlags::BASIC_STATS) {
        let set = more.stx_attributes;
        if set.intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND) {
            return Err(io::Error::other("it is protected from changes (chattr)"));
        }
        if set.contains(StatxAttributes::MOUNT_ROOT) {
            return Err(io::Error::other(
                "it is a mount point, which no other file can replace: mount its directory instead",
            ));
        }
    }
    let folder = fs::metadata(folder_of(path))?;
    let user = geteuid();
    let sticky = folder.mode() & 0o1000 != 0;
    if sticky && !user.is_root() && ![folder.uid(), there.uid()].contains(&user.as_raw()) {
        return Err(io::Error::other(
            "it belongs to another user, and in its directory users may replace only their own files",
        ));
    }
    Ok(())
}

/// Gives a file the owner, the group, the permissions and the attributes of another, as far as this
/// user may. Nobody may do more with it than with the other.
fn make_alike(file: &File, other: &Path, there: &Metadata) {
    let (uid, gid) = (Some(there.uid()), Some(there.gid()));
    let own = |uid, gid| std::os::unix::fs::fchown(file, uid, gid).is_ok();
    let same_group = own(uid, gid) || own(None, gid);
    let same_list = copy_attributes(file, other);
    let mut mode = there.mode() & 0o777;
    if !same_group || !same_list {
        // The group is another one, or its part of the mode was the limit of a list.
        mode = mode & !0o070 | (mode & (mode << 3) & 0o070);
    }
    // Where a file system knows no modes, the draft is its owner's alone.
    let _ = file.set_permissions(fs::Permissions::from_mode(mode));
}

/// Copies the attributes that are worth it. Gives whether the list of who may do what is the same.
fn copy_attributes(file: &File, from: &Path) -> bool {
    let mut names = vec![0; LONGEST_ATTRIBUTE];
    // Where a file system has none, there is no list either.
    let length = rustix::fs::llistxattr(from, &mut names[..]).unwrap_or(0);
    let names = names[..length].split(|byte| *byte == 0);
    let names: Vec<&str> = names
        .filter_map(|name| std::str::from_utf8(name).ok())
        .filter(|name| KEPT_ATTRIBUTES.iter().any(|kept| name.starts_with(kept)))
        .collect();
    let mut value = vec![0; LONGEST_ATTRIBUTE];
    let mut copy = |name: &str| {
        let length = rustix::fs::lgetxattr(from, name, &mut value[..])?;
        let flags = rustix::fs::XattrFlags::empty();
        rustix::fs::fsetxattr(file, name, &value[..length], flags)
    };
    let mut same_list = true;
    for name in &names {
        let copied = copy(name).is_ok();
        same_list &= copied || *name != ACL;
    }
    if !names.contains(&ACL) {
        // One that new files in this folder get. Mostly there is none.
        let _ = rustix::fs::fremovexattr(file, ACL);
    }
    same_list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let all = fs::read_dir(folder).unwrap();
        let mut all: Vec<_> = all
            .map(|one| one.unwrap().file_name().into_string().unwrap())
            .collect();
        all.sort_unstable();
        all
    }

    fn of(name: &str) -> impl Iterator<Item = &OsStr> + Clone {
        std::iter::once(OsStr::new(name))
    }

    #[test]
    fn what_a_killed_run_has_left_is_removed_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a");
        let left = |of: &str| name(OsStr::new(of), &random());
        let (abandoned, of_another) = (left("a"), left("b"));
        let mut like_it = left("a");
        like_it.pop();
        like_it.push('x');
        let folder = left("a");
        let link = left("a");
        for name in [&abandoned, &of_another, &like_it, "a", ".refcow-mine"] {
            fs::write(root.path().join(name), name).unwrap();
        }
        fs::create_dir(root.path().join(&folder)).unwrap();
        std::os::unix::fs::symlink("a", root.path().join(&link)).unwrap();
        let living = Draft::beside(&target).unwrap();
        let before = names(root.path());
        remove_abandoned(root.path(), of("a"));
        let mut after = names(root.path());
        after.push(abandoned);
        after.sort_unstable();
        assert_eq!(before, after);
        drop(living);
        assert_eq!(names(root.path()).len(), before.len() - 2);
    }

    #[test]
    fn a_draft_is_nobody_elses_if_what_it_replaces_may_be() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a");
        let mode = |draft: &Draft| draft.file.as_file().metadata().unwrap().mode() & 0o777;
        assert_ne!(mode(&Draft::beside(&target).unwrap()), 0o600);
        fs::write(&target, "").unwrap();
        assert_eq!(mode(&Draft::beside(&target).unwrap()), 0o600);
    }

    fn replaced(target: &Path) -> Metadata {
        let mut draft = Draft::beside(target).unwrap();
        draft.fill(b"new").unwrap();
        draft.replace().unwrap();
        assert_eq!(fs::read(target).unwrap(), b"new");
        fs::metadata(target).unwrap()
    }

    #[test]
    fn what_replaces_a_file_has_its_permissions_its_owner_and_its_notes() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a");
        fs::write(&target, "old").unwrap();
        if geteuid().is_root() {
            std::os::unix::fs::chown(&target, Some(12), Some(34)).unwrap();
        }
        let flags = rustix::fs::XattrFlags::empty();
        // On every file system that the kernel's developers would call one, but for some.
        let noted = rustix::fs::setxattr(&target, "user.note", b"mine", flags).is_ok();
        for mode in [0o640, 0o604, 0o444, 0o777] {
            fs::set_permissions(&target, fs::Permissions::from_mode(mode)).unwrap();
            let before = fs::metadata(&target).unwrap();
            let after = replaced(&target);
            assert_ne!(after.ino(), before.ino());
            assert_eq!(after.mode() & 0o7777, mode);
            assert_eq!(
                (after.uid(), after.gid()),
                (before.uid(), before.gid()),
                "{mode:o}"
            );
            let mut value = [0; 16];
            let length = rustix::fs::getxattr(&target, "user.note", &mut value[..]);
            assert_eq!(
                length.is_ok_and(|length| &value[..length] == b"mine"),
                noted
            );
        }
    }

    /// The bytes of a list: the owner, one user, the group, the limit, the others.
    fn list(user: u32, limit: u16) -> Vec<u8> {
        const NOBODY_IN_PARTICULAR: u32 = u32::MAX;
        let entries: [(u16, u16, u32); 5] = [
            (0x01, 6, NOBODY_IN_PARTICULAR),
            (0x02, 6, user),
            (0x04, 0, NOBODY_IN_PARTICULAR),
            (0x10, limit, NOBODY_IN_PARTICULAR),
            (0x20, 0, NOBODY_IN_PARTICULAR),
        ];
        let mut bytes = 2u32.to_le_bytes().to_vec();
        for (tag, may, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(may.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_list_of_who_may_do_what_stays() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("a");
        fs::write(&target, "old").unwrap();
        let flags = rustix::fs::XattrFlags::empty();
        if let Err(error) = rustix::fs::setxattr(&target, ACL, &list(1234, 6), flags) {
            eprintln!("SKIPPED access control lists: {error}");
            return;
        }
        assert_eq!(fs::metadata(&target).unwrap().mode() & 0o777, 0o660);
        assert_eq!(replaced(&target).mode() & 0o777, 0o660);
        let mut value = [0; 256];
        let length = rustix::fs::getxattr(&target, ACL, &mut value[..]).unwrap();
        assert_eq!(value[..length], list(1234, 6));

        // One that new files get is none of the older file's.
        rustix::fs::removexattr(&target, ACL).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o640)).unwrap();
        let default = "system.posix_acl_default";
        rustix::fs::setxattr(root.path(), default, &list(1234, 6), flags).unwrap();
        assert_eq!(replaced(&target).mode() & 0o777, 0o640);
        assert!(rustix::fs::getxattr(&target, ACL, &mut value[..]).is_err());
    }
}
