//! Processes by descriptor. A number may be another process's by the time it is used; a pidfd never is.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Instant;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use procfs::process::Process;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A descriptor that becomes readable when the process ends (Linux 5.3). Works for other processes than one's own
/// children, which `waitpid` does not.
///
/// # Errors
/// When there is no such process.
pub fn watch(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// What to do where a process may open no more files.
pub const RAISE_OPEN_FILES: &str = "raise the limit of open files: `ulimit -n 1024`";

/// How many files whoever started refcow lets a program open, where refcow itself may open more: as [`raise_open_files`] found it.
static USERS_OPEN_FILES: OnceLock<u64> = OnceLock::new();

/// Lets this process open as many files as it may at all (the hard limit). Events, sockets and files of /proc are a descriptor each,
/// and the soft limit is there for programs that cannot deal with high numbers.
pub fn raise_open_files() {
    // Where it cannot be raised, what opens too many files says so.
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok()
    {
        let _ = USERS_OPEN_FILES.set(soft);
    }
}

/// What a program of the user's has as its soft limit of open files, if that is less than this process's own.
pub fn users_open_files() -> Option<u64> {
    USERS_OPEN_FILES.get().copied()
}

/// Gives this process the soft limit of open files that programs of the user's have. For a new process, before it becomes another
/// program: two system calls and nothing else.
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

/// Ends the process of this descriptor, if it has not ended yet.
///
/// # Errors
/// When it is another user's.
pub fn kill(process: &OwnedFd) -> io::Result<()> {
    match pidfd_send_signal(process, Signal::KILL) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        sent => Ok(sent?),
    }
}

/// Waits until the process has ended; whether it did before the deadline. Not for interruptions: this is the tidying
/// up that follows one.
pub fn ends(process: &OwnedFd, deadline: Instant) -> bool {
    wait(&mut [PollFd::new(process, PollFlags::IN)], deadline)
}

/// `poll(2)` until the deadline; whether there was an event. Not for interruptions.
pub fn wait(fds: &mut [PollFd<'_>], deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        match rustix::event::poll(fds, Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return ready.is_ok_and(|ready| ready > 0),
        }
    }
}

/// The living processes of a group.
pub fn members(group: i32) -> Vec<i32> {
    let all = procfs::process::all_processes().into_iter().flatten();
    all.filter_map(|process| process.ok()?.stat().ok())
        .filter(|stat| stat.pgrp == group && stat.state != 'Z')
        .map(|stat| stat.pid)
        .collect()
}

/// The same with a descriptor of each, by which it can be ended and its end be waited for.
pub fn watched_members(group: i32) -> Vec<(i32, OwnedFd)> {
    let is_member = |pid: i32| {
        let stat = Process::new(pid).and_then(|process| process.stat());
        stat.is_ok_and(|stat| stat.pgrp == group && stat.state != 'Z')
    };
    let all = members(group).into_iter();
    // Asked again once there is a descriptor: the number may have come to be another's before.
    all.filter_map(|pid| Some((pid, watch(pid).ok()?)))
        .filter(|(pid, _)| is_member(*pid))
        .collect()
}
