//! What a process has from whoever started it, and changes: the limit of open files, and signals
//! that are ignored.

use std::io;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};

/// What to do where a process may open no more files.
pub const RAISE_OPEN_FILES: &str = "raise the limit of open files: `ulimit -n 1024`";

/// How many files whoever started refcow lets a program open, where refcow itself may open more: as
/// [`raise_open_files`] found it.
static USERS_OPEN_FILES: OnceLock<u64> = OnceLock::new();

/// Lets this process open as many files as it may at all (the hard limit). Events, sockets and
/// files of /proc are a descriptor each, and the soft limit is there for programs that cannot deal
/// with high numbers.
pub fn raise_open_files() {
    // Where it cannot be raised, what opens too many files says so.
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok()
    {
        let _ = USERS_OPEN_FILES.set(soft);
    }
}

/// What a program of the user's has as its soft limit of open files, if that is less than this
/// process's own.
pub fn users_open_files() -> Option<u64> {
    USERS_OPEN_FILES.get().copied()
}

/// Gives this process the soft limit of open files that programs of the user's have. For a new
/// process, before it becomes another program: two system calls and nothing else.
///
/// # Errors
/// When the kernel refuses.
pub fn lower_open_files(users: Option<u64>) -> io::Result<()> {
    let Some(soft) = users else {
        return Ok(());
    };
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard)?)
}

/// Whether that is why something was not opened.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| [Errno::MFILE, Errno::NFILE].contains(&errno))
}

/// Lets children be waited for. Whoever ignores SIGCHLD, which programs inherit from what started
/// them, does not learn how its children end (`waitpid` fails with ECHILD).
///
/// # Errors
/// When the kernel refuses, which it never does.
pub fn hear_of_children() -> io::Result<()> {
    #[expect(unsafe_code, reason = "nix marks it unsafe for the sake of handlers")]
    // SAFETY: the default action is no handler, so none can run in a wrong place.
    let set = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
    Ok(set.map(drop)?)
}
