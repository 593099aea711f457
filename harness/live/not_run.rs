//! Why a program does not run, and what to do about it.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::libc;

/// As the user is to type it.
const USUAL: &str = "give the program and its arguments behind `--`, as you would type them: refcow run -- python3 app.py";

/// What to do, of a program that the kernel would not execute.
pub(super) fn remedy(program: &OsStr, error: &io::Error) -> String {
    let path = Path::new(program);
    let name = program.to_string_lossy();
    let is_path = program.as_bytes().contains(&b'/');
    match error.raw_os_error() {
        Some(libc::ENOENT) if program.is_empty() => {
            "the name of the program is empty: if it comes from a variable, that has no value".to_owned()
        }
        Some(libc::ENOENT) if !is_path && path.is_file() => format!(
            "no directory in PATH has it; if you mean the file in this one: refcow run -- ./{name}"
        ),
        Some(libc::ENOENT) if !is_path => {
            "no directory in PATH has it: install it, or give its path".to_owned()
        }
        Some(libc::ENOENT) => match interpreter(path) {
            Some(interpreter) => format!(
                "it begins with `#!`, and the program that is to read it is not there: {interpreter}"
            ),
            None if path.exists() => "it is there, but not what is to load it: it is built for another system, or is a script without its interpreter".to_owned(),
            None if path.is_symlink() => "it is a link to what is not there".to_owned(),
            None => "there is no file of that name: check the path".to_owned(),
        },
        Some(libc::EACCES) if path.is_dir() => {
            format!("it is a directory; to have Python run it: refcow run -- python3 {name}")
        }
        Some(libc::EACCES) if path.metadata().is_ok_and(|file| file.permissions().mode() & 0o111 == 0) => format!(
            "it is not marked as executable: chmod +x {name}, or give the program that reads it: refcow run -- python3 {name}"
        ),
        Some(libc::EACCES) => {
            "you may not execute it: look at its permissions, at those of the directories that it is in, and whether it is mounted noexec".to_owned()
        }
        Some(libc::ENOEXEC) => format!(
            "it is no program of this machine's, and does not begin with `#!`; give the program that reads it: refcow run -- sh {name}"
        ),
        _ => USUAL.to_owned(),
    }
}

/// What a script says that it is to be read by.
fn interpreter(path: &Path) -> Option<String> {
    // As much as the kernel reads (BINPRM_BUF_SIZE).
    let mut first = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(256).read_to_end(&mut first).ok()?;
    let line = first
        .strip_prefix(b"#!")?
        .split(|byte| *byte == b'\n')
        .next()?;
    let line = String::from_utf8_lossy(line);
    Some(line.split_ascii_whitespace().next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rstest::rstest;

    use super::*;

    /// What is said of a file in a folder of its own, which has this in it.
    fn said(name: &str, text: Option<&[u8]>, mode: u32) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let error = Command::new(&path).spawn().unwrap_err();
        remedy(path.as_os_str(), &error)
    }

    #[rstest]
    #[case::nothing(None, 0, "there is no file of that name")]
    #[case::not_executable(Some(&b"print()"[..]), 0o644, "it is not marked as executable: chmod +x /")]
    #[case::no_interpreter(Some(&b"#! /no/such/python -u\nprint()"[..]), 0o755, "is not there: /no/such/python")]
    #[case::no_first_line(Some(&b"echo"[..]), 0o755, "refcow run -- sh /")]
    fn of_a_file_that_does_not_run_what_to_do_is_told(
        #[case] text: Option<&[u8]>,
        #[case] mode: u32,
        #[case] expected: &str,
    ) {
        let said = said("app", text, mode);
        assert!(said.contains(expected), "{said}");
    }

    #[rstest]
    #[case::empty("", "the name of the program is empty")]
    #[case::nowhere("no-such-program", "no directory in PATH has it: install it")]
    #[case::here("Cargo.toml", "refcow run -- ./Cargo.toml")]
    #[case::folder("/", "it is a directory; to have Python run it")]
    fn of_a_name_that_does_not_run_what_to_do_is_told(#[case] name: &str, #[case] expected: &str) {
        let error = Command::new(name).spawn().unwrap_err();
        let said = remedy(OsStr::new(name), &error);
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn a_link_to_nothing_is_told_to_be_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("link");
        std::os::unix::fs::symlink("/no/such/program", &path).unwrap();
        let error = Command::new(&path).spawn().unwrap_err();
        let said = remedy(path.as_os_str(), &error);
        assert!(said.contains("a link to what is not there"), "{said}");
    }
}
