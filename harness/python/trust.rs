//! Whether nobody but the user can have put something there.
//!
//! refcow starts programs that it finds by itself, and believes what it has kept in its cache.
//! Whoever can write to such a file, to a folder above it, or to a link on the way there, decides
//! what is started in the user's name; of root's run, in root's. So each of them has to belong to
//! the user (by the effective id) or to root, and nobody else may write to it:
//!
//! - *The way* is what the kernel would walk: each folder from the root on, each symbolic link, and
//!   the way that it leads.
//! - *A sticky folder* that all may write to, such as `/tmp`, is good to pass: there only the owner
//!   of an entry, or of the folder, can replace it. It is not good as the end of the way: others
//!   can put things into it.
//! - *A group* may write if it is the private one of the user or of root: of the same name, and
//!   without another member. Distributions give each user such a group and a umask of 002, so that
//!   all of a user's own files are so. Members are looked up in the system's lists; another user's
//!   *primary* group is seen in `/etc/passwd` alone.
//! - *Access control lists* of POSIX that let somebody write set the group's permission to write in
//!   the mode. So a file with that bit and a list is not trusted, whatever its group. Those of NFS
//!   4 are the server's, and are not looked at.
//!
//! What the user names (`--python PATH`, `REFCOW_PYTHONS`, what is on `PATH`) is not asked about: a
//! shell would start it as well.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

/// As many as Linux follows.
const MOST_LINKS: u32 = 40;
const STICKY: u32 = 0o1000;
const GROUP_WRITES: u32 = 0o020;
const OTHERS_WRITE: u32 = 0o002;

/// Why something is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Distrust {
    /// Neither the user's nor root's.
    #[error("{} belongs to {owner}", path.display())]
    Owner {
        /// What is on the way, or its end.
        path: PathBuf,
        /// Name or number.
        owner: String,
    },
    /// Somebody else may write to it.
    #[error("{who} can write to {} (mode {mode:04o})", path.display())]
    Writable {
        /// What is on the way, or its end.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
        /// Who that is.
        who: String,
    },
    /// It cannot be looked at.
    #[error("{} cannot be looked at: {reason}", path.display())]
    Unknown {
        /// What is on the way, or its end.
        path: PathBuf,
        /// What the kernel answered.
        reason: String,
    },
}

impl Distrust {
    /// What it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Owner { path, .. } | Self::Writable { path, .. } | Self::Unknown { path, .. } => {
                path
            }
        }
    }
}

/// Whether only the user and root can change what is at a path, or put something there if there is
/// nothing.
pub(super) fn check(path: &Path) -> Result<(), Distrust> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut left: VecDeque<OsString> = parts(&path);
    // Without links and dots: what was found so far.
    let mut here = PathBuf::from("/");
    let mut links = 0;
    judge(&here, &look(&here)?, left.is_empty())?;
    while let Some(part) = left.pop_front() {
        if part == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&part);
        let metadata = match fs::symlink_metadata(&next) {
            Ok(metadata) => metadata,
            // Nobody else can make it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(unknown(&next, &error)),
        };
        if metadata.is_symlink() {
            // Everybody may write to a link by its mode, which says nothing.
            judge_owner(&next, &metadata)?;
            links += 1;
            if links > MOST_LINKS {
                return Err(unknown(
                    &next,
                    &io::Error::from_raw_os_error(nix::libc::ELOOP),
                ));
            }
            let target = fs::read_link(&next).map_err(|error| unknown(&next, &error))?;
            if target.is_absolute() {
                here = PathBuf::from("/");
            }
            for part in parts(&target).into_iter().rev() {
                left.push_front(part);
            }
            continue;
        }
        judge(&next, &metadata, left.is_empty())?;
        here = next;
    }
    Ok(())
}

/// Whether that is so of a program by the name of an interpreter, and of what it loads before it
/// does anything: the `pyvenv.cfg` and the folders of modules beside its `bin/`.
pub(super) fn check_program(program: &Path) -> Result<(), Distrust> {
    check(program)?;
    let real = fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
    let roots = [program, &real].map(|program| program.parent().and_then(Path::parent));
    roots.into_iter().flatten().try_for_each(check_modules)
}

/// Whether that is so of an environment that refcow has made. The interpreter that it is for is the
/// user's choice, and the program in it a link to that.
pub(super) fn check_environment(root: &Path) -> Result<(), Distrust> {
    check(&root.join("bin"))?;
    check_modules(root)
}

fn check_modules(root: &Path) -> Result<(), Distrust> {
    check(&root.join("pyvenv.cfg"))?;
    let folders = ["lib", "lib64"].map(|lib| fs::read_dir(root.join(lib)));
    for folder in folders.into_iter().flatten().flatten().flatten() {
        if folder
            .file_name()
            .as_encoded_bytes()
            .starts_with(b"python3")
        {
            check(&folder.path())?;
            for packages in ["site-packages", "dist-packages"] {
                check(&folder.path().join(packages))?;
            }
        }
    }
    Ok(())
}

fn parts(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    parts.collect()
}

fn look(path: &Path) -> Result<Metadata, Distrust> {
    fs::symlink_metadata(path).map_err(|error| unknown(path, &error))
}

fn unknown(path: &Path, error: &io::Error) -> Distrust {
    Distrust::Unknown {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

fn judge_owner(path: &Path, metadata: &Metadata) -> Result<(), Distrust> {
    let owner = metadata.uid();
    if owner == 0 || owner == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(Distrust::Owner {
        path: path.to_owned(),
        owner: match User::from_uid(Uid::from_raw(owner)) {
            Ok(Some(user)) => format!("user {}", user.name),
            _ => format!("user {owner}"),
        },
    })
}

fn judge(path: &Path, metadata: &Metadata, is_end: bool) -> Result<(), Distrust> {
    judge_owner(path, metadata)?;
    let mode = metadata.mode() & 0o7777;
    if metadata.is_dir() && mode & STICKY != 0 && !is_end {
        return Ok(());
    }
    let writable = |who: String| {
        Err(Distrust::Writable {
            path: path.to_owned(),
            mode,
            who,
        })
    };
    if mode & OTHERS_WRITE != 0 {
        return writable("everybody".into());
    }
    if mode & GROUP_WRITES == 0 {
        return Ok(());
    }
    if has_access_list(path) {
        return writable("whom its access control list names".into());
    }
    let group = Group::from_gid(Gid::from_raw(metadata.gid()))
        .ok()
        .flatten();
    match group {
        Some(group) if is_private(&group) => Ok(()),
        Some(group) => writable(format!("the group {}", group.name)),
        None => writable(format!("the group {}", metadata.gid())),
    }
}

/// Whether nobody but this user, or root, is in a group.
fn is_private(group: &Group) -> bool {
    let passwords = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = User::from_uid(Uid::effective()).ok().flatten();
    let user = user.as_ref().map(|user| &user.name[..]);
    is_only_for(group, &[Some("root"), user], &passwords)
}

fn is_only_for(group: &Group, users: &[Option<&str>], passwords: &str) -> bool {
    let known = |name: &str| users.contains(&Some(name));
    let mut primary = passwords.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let gid: u32 = fields.nth(2)?.parse().ok()?;
        (gid == group.gid.as_raw()).then_some(name)
    });
    known(&group.name) && group.mem.iter().all(|member| known(member)) && primary.all(known)
}

fn has_access_list(path: &Path) -> bool {
    // Whether there is one is all that is asked. A file system without such lists has none.
    let mut none: [u8; 0] = [];
    rustix::fs::lgetxattr(path, "system.posix_acl_access", &mut none).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// `a/b/program` in a folder of this user's.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("a/b/program");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, "").unwrap();
        for path in program.ancestors().take(3) {
            mode(path, 0o755);
        }
        (root, program)
    }

    fn said(path: &Path) -> String {
        check(path).map_or_else(|why| why.to_string(), |()| "trusted".into())
    }

    #[test]
    fn nobody_else_may_write_on_the_way() {
        let (root, program) = place();
        assert_eq!(said(&program), "trusted");
        for path in [&program, &root.path().join("a/b"), &root.path().join("a")] {
            let before = fs::metadata(path).unwrap().permissions();
            mode(path, 0o757);
            let why = format!("everybody can write to {} (mode 0757)", path.display());
            assert_eq!(said(&program), why);
            fs::set_permissions(path, before).unwrap();
        }
    }

    #[test]
    fn a_sticky_folder_is_passed_and_is_no_end() {
        let (root, program) = place();
        let folder = root.path().join("a");
        mode(&folder, 0o1777);
        assert_eq!(said(&program), "trusted");
        assert_eq!(said(&folder.join("absent/more")), "trusted");
        let why = format!("everybody can write to {} (mode 1777)", folder.display());
        assert_eq!(said(&folder), why);
    }

    #[test]
    fn links_are_followed_folder_by_folder() {
        let (root, program) = place();
        let elsewhere = root.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        fs::rename(&program, elsewhere.join("program")).unwrap();
        symlink("../../elsewhere/program", &program).unwrap();
        symlink("a", root.path().join("link")).unwrap();
        let by_links = root.path().join("link/b/../b/program");
        mode(&elsewhere, 0o755);
        assert_eq!(said(&by_links), "trusted");
        mode(&elsewhere, 0o777);
        assert!(said(&by_links).contains("elsewhere (mode 0777)"));
        mode(&elsewhere, 0o755);
        // The way of the link itself counts, too.
        mode(&root.path().join("a/b"), 0o777);
        assert!(said(&by_links).contains("a/b (mode 0777)"));
        symlink("round", root.path().join("round")).unwrap();
        assert!(said(&root.path().join("round")).contains("cannot be looked at"));
    }

    #[test]
    fn what_another_user_owns_is_not_trusted() {
        if !rustix::process::geteuid().is_root() {
            eprintln!(
                "SKIPPED what_another_user_owns_is_not_trusted: only root can give files away"
            );
            return;
        }
        let (root, program) = place();
        chown(root.path().join("a/b"), Some(4321), None).unwrap();
        let why = format!("{} belongs to user 4321", root.path().join("a/b").display());
        assert_eq!(said(&program), why);
        chown(root.path().join("a/b"), Some(0), None).unwrap();
        // A link can be replaced by its owner, also in a sticky folder.
        let link = root.path().join("link");
        symlink(&program, &link).unwrap();
        nix::unistd::fchownat(
            nix::fcntl::AT_FDCWD,
            &link,
            Some(Uid::from_raw(4321)),
            None,
            nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
        )
        .unwrap();
        assert_eq!(
            said(&link),
            format!("{} belongs to user 4321", link.display())
        );
        // A group that is nobody's own.
        chown(&program, None, Some(4321)).unwrap();
        mode(&program, 0o775);
        let why = format!(
            "the group 4321 can write to {} (mode 0775)",
            program.display()
        );
        assert_eq!(said(&program), why);
        // Root's own has nobody in it.
        chown(&program, None, Some(0)).unwrap();
        assert_eq!(said(&program), "trusted");
    }

    #[test]
    fn a_group_is_private_by_its_name_and_its_members() {
        let group = |name: &str, members: &[&str]| Group {
            name: name.into(),
            passwd: CString::default(),
            gid: Gid::from_raw(1000),
            mem: members.iter().map(|name| (*name).to_owned()).collect(),
        };
        let users = [Some("root"), Some("ann")];
        let only_ann = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        let with_bob = format!("{only_ann}bob:x:1001:1000::/home/bob:/bin/sh\n");
        for (group, passwords, private) in [
            (group("ann", &[]), only_ann, true),
            (group("ann", &["ann", "root"]), only_ann, true),
            (group("ann", &["bob"]), only_ann, false),
            (group("ann", &[]), &with_bob[..], false),
            // It may be the primary one of users whom only a directory knows.
            (group("users", &[]), only_ann, false),
        ] {
            let found = is_only_for(&group, &users, passwords);
            assert_eq!(found, private, "{group:?} {passwords}");
        }
        // A user without a name has no group of that name.
        assert!(!is_only_for(
            &group("ann", &[]),
            &[Some("root"), None],
            only_ann
        ));
    }

    #[test]
    fn a_list_of_others_who_may_write_is_seen() {
        let (_root, program) = place();
        mode(&program, 0o755);
        // user::rwx, user:4321:rwx, group::r-x, mask::rwx, other::r-x, as the kernel has it.
        let mut list = vec![2, 0, 0, 0];
        for (tag, permissions, id) in [
            (1u16, 7u16, u32::MAX),
            (2, 7, 4321),
            (4, 5, u32::MAX),
            (16, 7, u32::MAX),
            (32, 5, u32::MAX),
        ] {
            list.extend(tag.to_le_bytes());
            list.extend(permissions.to_le_bytes());
            list.extend(id.to_le_bytes());
        }
        let set = rustix::fs::setxattr(
            &program,
            "system.posix_acl_access",
            &list,
            rustix::fs::XattrFlags::empty(),
        );
        if let Err(error) = set {
            eprintln!("SKIPPED a_list_of_others_who_may_write_is_seen: {error}");
            return;
        }
        assert!(said(&program).starts_with("whom its access control list names can write to "));
    }

    #[test]
    fn what_a_program_loads_first_counts() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("bin")).unwrap();
        fs::create_dir_all(at("lib/python3.12/site-packages")).unwrap();
        for file in ["bin/python3", "pyvenv.cfg"] {
            fs::write(at(file), "").unwrap();
        }
        let program = at("bin/python3");
        for path in [
            "bin",
            "bin/python3",
            "pyvenv.cfg",
            "lib",
            "lib/python3.12",
            "lib/python3.12/site-packages",
        ] {
            mode(&at(path), 0o755);
        }
        assert_eq!(check_program(&program), Ok(()));
        for path in [
            "pyvenv.cfg",
            "lib/python3.12",
            "lib/python3.12/site-packages",
        ] {
            mode(&at(path), 0o777);
            let why = check_program(&program).unwrap_err();
            assert_eq!(why.path(), at(path));
            mode(&at(path), 0o755);
        }
    }
}
