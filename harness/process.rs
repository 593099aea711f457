//! Processes by descriptor. A number may be another process's by the time it is used; a pidfd never
//! is.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use procfs::process::Process;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

pub use refcow_observe::inherited::{
    RAISE_OPEN_FILES, is_out_of_descriptors, lower_open_files, raise_open_files, users_open_files,
};

/// A descriptor that becomes readable when the process ends (Linux 5.3). Works for other processes
/// than one's own children, which `waitpid` does not.
///
/// # Errors
/// When there is no such process.
pub fn watch(pid: i32) -> io::Result<OwnedFd> {
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
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

/// Waits until the process has ended; whether it did before the deadline. Not for interruptions:
/// this is the tidying up that follows one.
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
