//! Whether a library can be preloaded into a program, by what its file says.

use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use nix::unistd::{getegid, geteuid};
use object::elf::{ET_DYN, ET_EXEC, FileHeader64, PT_INTERP};
use object::read::ReadCache;
use object::read::elf::{FileHeader as _, ProgramHeader as _};
use object::{Endianness, ReadRef as _};

use crate::process;

/// Why it cannot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotPreloadable {
    /// It cannot be looked at.
    #[error("it cannot be read ({reason})")]
    Unreadable {
        /// The kernel's answer.
        reason: String,
    },
    /// It cannot be looked at for want of descriptors.
    #[error("it was not looked at ({reason})")]
    NoDescriptors {
        /// The kernel's answer.
        reason: String,
    },
    /// A script, or of 32 bits.
    #[error("it is no 64-bit ELF program")]
    NotElf,
    /// For another kind of processor.
    #[error("it is built for another architecture than refcow")]
    OtherArchitecture,
    /// Nothing is loaded into it when it starts.
    #[error("it is linked statically, so that nothing can be loaded into it")]
    Static,
    /// Not glibc's.
    #[error("its dynamic loader is {}, not glibc's", loader.display())]
    OtherLoader {
        /// `PT_INTERP`.
        loader: PathBuf,
    },
    /// The loader takes no preloaded library from an ordinary user for it (ld.so(8),
    /// secure-execution mode).
    #[error(
        "it gives whoever starts it more rights (set-user-ID, set-group-ID, or file capabilities)"
    )]
    Privileged,
}

impl NotPreloadable {
    /// What to do.
    pub(super) fn help(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => {
                "make it readable for this user, or choose another interpreter"
            }
            Self::NoDescriptors { .. } => process::RAISE_OPEN_FILES,
            Self::NotElf | Self::OtherArchitecture => {
                "choose an interpreter of refcow's own architecture"
            }
            Self::Static | Self::OtherLoader { .. } => {
                "choose an interpreter that is linked dynamically with glibc, as those of Debian, Ubuntu, Fedora, conda, pyenv \
                 and uv are"
            }
            Self::Privileged => {
                "choose a copy without these rights, or remove them: setcap -r, chmod ug-s"
            }
        }
    }
}

/// Looks at the program's file.
pub(super) fn preloadable(program: &Path) -> Result<(), NotPreloadable> {
    let file = File::open(program).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let loader = loader(file)?;
    let name = loader.file_name().unwrap_or_default().as_bytes();
    if !name.starts_with(b"ld-linux") && !name.starts_with(b"ld64.so") {
        return Err(NotPreloadable::OtherLoader { loader });
    }
    let mode = metadata.mode();
    let becomes_other = mode & 0o4000 != 0 && metadata.uid() != geteuid().as_raw()
        || mode & 0o2010 == 0o2010 && metadata.gid() != getegid().as_raw();
    if becomes_other || !geteuid().is_root() && has_capabilities(program) {
        return Err(NotPreloadable::Privileged);
    }
    Ok(())
}

fn unreadable(error: io::Error) -> NotPreloadable {
    let reason = error.to_string();
    match process::is_out_of_descriptors(&error) {
        true => NotPreloadable::NoDescriptors { reason },
        false => NotPreloadable::Unreadable { reason },
    }
}

/// `PT_INTERP` of a program of this architecture.
fn loader(file: File) -> Result<PathBuf, NotPreloadable> {
    let no_elf = |_| NotPreloadable::NotElf;
    let cache = ReadCache::new(file);
    let header = FileHeader64::<Endianness>::parse(&cache).map_err(no_elf)?;
    let endian = header.endian().map_err(no_elf)?;
    if ![ET_DYN, ET_EXEC].contains(&header.e_type(endian)) {
        return Err(NotPreloadable::NotElf);
    }
    if Some((header.e_machine(endian), endian)) != own_architecture().map_err(unreadable)? {
        return Err(NotPreloadable::OtherArchitecture);
    }
    let segments = header.program_headers(endian, &cache).map_err(no_elf)?;
    let interp = segments
        .iter()
        .find(|segment| segment.p_type(endian) == PT_INTERP)
        .ok_or(NotPreloadable::Static)?;
    let (offset, bytes) = interp.file_range(endian);
    let text = (&cache)
        .read_bytes_at(offset, bytes)
        .map_err(|()| NotPreloadable::NotElf)?;
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    Ok(std::ffi::OsStr::from_bytes(text).into())
}

/// `e_machine` and byte order of refcow's own program.
fn own_architecture() -> io::Result<Option<(u16, Endianness)>> {
    let cache = ReadCache::new(File::open("/proc/self/exe")?);
    let header = FileHeader64::<Endianness>::parse(&cache).ok();
    Ok(header.and_then(|header| {
        let endian = header.endian().ok()?;
        Some((header.e_machine(endian), endian))
    }))
}

/// Whether the file has capabilities (`security.capability`, capabilities(7)).
fn has_capabilities(program: &Path) -> bool {
    // Through links: rights are the file's.
    let file = fs::canonicalize(program).unwrap_or_else(|_| program.to_owned());
    let mut value = [0_u8; 64];
    rustix::fs::getxattr(&file, "security.capability", &mut value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn own() -> Vec<u8> {
        fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    fn of(bytes: &[u8]) -> Result<(), NotPreloadable> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        preloadable(file.path())
    }

    #[test]
    fn a_dynamic_program_of_this_machine_is() {
        assert_eq!(of(&own()), Ok(()));
    }

    #[test]
    fn a_script_or_a_stub_is_no_program() {
        for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", &own()[..40]] {
            assert_eq!(of(bytes), Err(NotPreloadable::NotElf), "{}", bytes.len());
        }
    }

    #[test]
    fn another_machine_another_loader_and_none_are_told_apart() {
        let mut foreign = own();
        // e_machine: S/390, which no machine of the tests is.
        foreign[18] = 22;
        assert_eq!(of(&foreign), Err(NotPreloadable::OtherArchitecture));

        let mut musl = own();
        let at = musl
            .windows(9)
            .position(|window| window == b"/ld-linux")
            .unwrap();
        musl[at..at + 9].copy_from_slice(b"/ld-musl-");
        assert!(matches!(of(&musl), Err(NotPreloadable::OtherLoader { .. })));

        let mut fixed = own();
        // Of each program header (56 bytes each behind the header's 64), the type.
        let count = usize::from(fixed[56]);
        for header in 0..count {
            let at = 64 + header * 56;
            if fixed[at] == 3 {
                fixed[at] = 4;
            }
        }
        assert_eq!(of(&fixed), Err(NotPreloadable::Static));
    }

    #[test]
    fn a_program_that_gives_rights_is_refused_to_others_than_its_owner() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), own()).unwrap();
        let set = |mode| {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        };
        set(0o4755);
        // One's own rights are no more rights.
        assert_eq!(preloadable(file.path()), Ok(()));
        if geteuid().is_root() {
            nix::unistd::chown(file.path(), Some(65534.into()), Some(65534.into())).unwrap();
            for mode in [0o4755, 0o2755] {
                set(mode);
                assert_eq!(preloadable(file.path()), Err(NotPreloadable::Privileged));
            }
        }
    }
}
