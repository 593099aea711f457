//! What a subject could leave behind when it ends: children, helpers that a fixture has started, shared memory.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use procfs::process::Process;
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::subject::watch;

/// The variable by which processes of a subject are known, wherever they went.
pub const MARK: &str = "REFCOW_SUBJECT";

/// A value for [`MARK`] that no other living subject has, always of one length: what stands in the environment moves
/// the stack.
///
/// Also makes this process the parent of orphans below it (`PR_SET_CHILD_SUBREAPER`), so that [`end`] finds those that
/// went into a session of their own.
///
/// # Errors
/// When the kernel refuses, which it does not since Linux 3.4.
pub fn mark() -> io::Result<String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    prctl::set_child_subreaper(true)?;
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    Ok(format!("{:010}-{number:010}", std::process::id()))
}

/// Kills a subject and all processes that it or its fixture has started, and waits until they are gone.
pub fn end(subject: &mut Child, mark: &str) {
    let group = i32::try_from(subject.id()).expect("Linux counts processes in 31 bits");
    // Before anyone of them is reaped: until then the group's number is nobody else's.
    let (trackers, others): (Vec<_>, Vec<_>) = members(group)
        .into_iter()
        .partition(|member| is_resource_tracker(*member));
    if !trackers.is_empty() {
        let trackers: Vec<_> = trackers.into_iter().flat_map(watch).collect();
        for other in others {
            let _ = kill(Pid::from_raw(other), Signal::SIGKILL);
        }
        wait_for_all(&trackers, Instant::now() + TRACKER_TIME);
    }
    // The whole group. Gone already is fine.
    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    let _ = subject.kill();
    let _ = subject.wait();
    // Each that dies may hand its own children on. One that is not ours to wait for would be found again for ever.
    let reap = |orphan: Pid| {
        let _ = kill(orphan, Signal::SIGKILL);
        waitpid(orphan, None).is_ok()
    };
    loop {
        let orphans = orphans(group, mark);
        if orphans.is_empty() || !orphans.into_iter().all(reap) {
            break;
        }
    }
    remove_segments(Path::new("/dev/shm"), group);
}

/// Processes of a subject that have become this one's children, dead ones too.
fn orphans(group: i32, mark: &str) -> Vec<Pid> {
    let tasks = Process::myself().and_then(|process| process.tasks());
    let children = tasks.into_iter().flatten().flatten();
    children
        .flat_map(|task| task.children().unwrap_or_default())
        .filter_map(|child| i32::try_from(child).ok())
        .filter(|child| {
            let Ok(process) = Process::new(*child) else {
                return false;
            };
            // The dead have no environment any more, but still a group.
            process.stat().is_ok_and(|stat| stat.pgrp == group)
                || process
                    .environ()
                    .is_ok_and(|all| all.get(OsStr::new(MARK)).is_some_and(|value| value == mark))
        })
        .map(Pid::from_raw)
        .collect()
}

/// What a resource tracker gets to remove what it keeps track of, once those who used it are dead. It takes no
/// hundredth of that, but for many segments.
const TRACKER_TIME: Duration = Duration::from_secs(5);

/// The living processes of a group.
pub(crate) fn members(group: i32) -> Vec<i32> {
    let all = procfs::process::all_processes().into_iter().flatten();
    all.filter_map(|process| process.ok()?.stat().ok())
        .filter(|stat| stat.pgrp == group && stat.state != 'Z')
        .map(|stat| stat.pid)
        .collect()
}

/// Whether this is the process that `multiprocessing` starts to remove the shared memory that its users leave behind.
/// It does so when the last of them is gone, so killing it together with them would leave the segments in /dev/shm.
///
/// One that has just been started is waited for until it has words: the kernel lets whoever started it go on (vfork) when the
/// old program has gone, and sets the words of the new one last (Linux `fs/exec.c`, `fs/binfmt_elf.c`).
fn is_resource_tracker(pid: i32) -> bool {
    let until = Instant::now() + EXEC_TIME;
    let Ok(process) = procfs::process::Process::new(pid) else {
        return false;
    };
    loop {
        let Ok(words) = process.cmdline() else {
            return false;
        };
        let lives = || process.stat().is_ok_and(|stat| stat.state != 'Z');
        if words.is_empty() && lives() && Instant::now() < until {
            std::thread::yield_now();
            continue;
        }
        return words
            .iter()
            .any(|word| word.contains("multiprocessing.resource_tracker"));
    }
}

/// What a process gets to become another program.
const EXEC_TIME: Duration = Duration::from_secs(1);

/// Waits until every one of these processes has ended, or the deadline has passed. Not for interruptions: this is the
/// tidying up that follows one.
fn wait_for_all(all: &[OwnedFd], deadline: Instant) {
    for ended in all {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut fds = [PollFd::new(ended, PollFlags::IN)];
            // A second Ctrl-C changes nothing here.
            if rustix::event::poll(&mut fds, Some(&left)) != Err(rustix::io::Errno::INTR) {
                break;
            }
        }
    }
}

/// Removes the segments that refcow's own fixtures had not unlinked yet when they were killed: `refcow-PID-…`.
fn remove_segments(folder: &Path, pid: i32) {
    let prefix = format!("refcow-{pid}-");
    // No such folder: no segments.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(prefix.as_bytes())
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}
