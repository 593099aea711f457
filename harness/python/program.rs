//! What the path of a program tells, before it is run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

/// 11 for `…/python3.11`.
pub(super) fn minor_in_name(path: &Path) -> Option<u8> {
    let minor = path.file_name()?.to_str()?.strip_prefix("python3.")?;
    minor
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| minor.parse().ok())?
}

/// The minor version that a program's path tells: by its own name, that of the file behind it, or
/// that of its installation (`…/versions/3.7.16/bin/python3`).
pub(super) fn minor_told(path: &Path) -> Option<u8> {
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let of_installation = |path: &Path| {
        let name = path.parent()?.parent()?.file_name()?.to_str()?;
        let number = name.split(|c: char| !c.is_ascii_digit() && c != '.');
        let mut numbers = number.filter_map(|number| number.strip_prefix("3."));
        numbers.next()?.split('.').next()?.parse().ok()
    };
    minor_in_name(&file)
        .or_else(|| minor_in_name(path))
        .or_else(|| of_installation(&file))
        .or_else(|| of_installation(path))
}

/// What makes two paths the same interpreter before either is run: the file, and the environment it
/// stands in, since the program of an environment is a link to that of its base.
pub(super) fn identity(path: &Path) -> (PathBuf, Option<PathBuf>) {
    let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let environment = path
        .parent()
        .and_then(Path::parent)
        .filter(|root| root.join("pyvenv.cfg").is_file())
        .and_then(|root| fs::canonicalize(root).ok());
    (file, environment)
}

/// Whether this is the `python3` of a virtual environment whose base has gone: there to be named,
/// not to be run.
pub(super) fn is_broken_environment(path: &Path) -> bool {
    let root = path.parent().and_then(Path::parent);
    root.is_some_and(|root| root.join("pyvenv.cfg").is_file())
        && path.file_name() == Some("python3".as_ref())
        && missing_behind(path).is_some()
}

/// Whether `path` is a file that this user may execute.
pub(super) fn is_program(path: &Path) -> io::Result<()> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(access(path, AccessFlags::X_OK)?)
}

/// Whether it is one of a version manager's shims.
pub(super) fn is_shim(path: &Path) -> bool {
    path.parent().and_then(Path::file_name) == Some("shims".as_ref())
}

/// Where a link leads to that leads nowhere.
pub(super) fn missing_behind(link: &Path) -> Option<PathBuf> {
    // Any other failure is for the kernel to tell.
    if fs::metadata(link).err()?.kind() != io::ErrorKind::NotFound {
        return None;
    }
    let mut path = link.to_owned();
    while let Ok(next) = fs::read_link(&path) {
        path = path.parent().unwrap_or(Path::new("/")).join(next);
    }
    (path != link).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_broken_link_names_what_is_missing() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        symlink("gone", at("second")).unwrap();
        symlink(at("second"), at("first")).unwrap();
        assert_eq!(missing_behind(&at("first")), Some(at("gone")));
        assert_eq!(missing_behind(&at("gone")), None);
        fs::write(at("gone"), "").unwrap();
        assert_eq!(missing_behind(&at("first")), None);
        symlink("round", at("round")).unwrap();
        assert_eq!(missing_behind(&at("round")), None);
    }
}
