//! Ends all that a keeper has below it.

use std::io;
use std::time::{Duration, Instant};

use nix::sys::signalfd::SignalFd;
use procfs::process::Process;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::printed::Printed;
use crate::process::{self, watch};

/// What a resource tracker gets to remove what it keeps track of, once those who used it are dead.
/// It takes no hundredth of that, but for many segments.
const TRACKER_TIME: Duration = Duration::from_secs(5);

/// What a process gets to become another program.
const EXEC_TIME: Duration = Duration::from_secs(1);

/// Takes the signals that have come: the next one is heard again.
pub(super) fn hear(signals: &SignalFd) {
    while let Ok(Some(_)) = signals.read_signal() {}
}

/// This process's children, dead ones too.
pub(super) fn children() -> Vec<Pid> {
    let me = Process::myself();
    let listed = me
        .as_ref()
        .ok()
        .and_then(|me| me.task_main_thread().ok()?.children().ok());
    let numbers: Vec<i32> = match (listed, me) {
        (Some(listed), _) => listed.into_iter().map(u32::cast_signed).collect(),
        // A kernel without CONFIG_PROC_CHILDREN.
        (None, Ok(me)) => procfs::process::all_processes()
            .into_iter()
            .flatten()
            .filter_map(|process| process.ok()?.stat().ok())
            .filter(|stat| stat.ppid == me.pid)
            .map(|stat| stat.pid)
            .collect(),
        (None, Err(_)) => Vec::new(),
    };
    numbers.into_iter().filter_map(Pid::from_raw).collect()
}

/// Kills all children, and those that they leave behind, until there is none.
///
/// Resource trackers of Python's are killed last: they remove shared memory when the last of its
/// users is gone.
pub(super) fn end(signals: &SignalFd, printed: &mut Printed) {
    let trackers_until = Instant::now() + TRACKER_TIME;
    loop {
        hear(signals);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        loop {
            match waitid(WaitId::All, options) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(Errno::INTR) => {}
                // No child at all: the one answer that is sure.
                Err(_) => return,
            }
        }
        // What has become another user's (sudo) nobody but that user may end.
        let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        let all = children();
        let refused = all.iter().filter(|child| {
            let may_stay = Instant::now() < trackers_until;
            if may_stay && is_resource_tracker(**child) {
                return false;
            }
            let killed =
                watch(child.as_raw_nonzero().get()).and_then(|child| process::kill(&child));
            killed.is_err_and(|error| is_refused(&error))
        });
        if refused.count() == all.len() && !all.is_empty() {
            return;
        }
        // Each that ends says so; what the list of children left out is looked for again.
        const MOMENT: Duration = Duration::from_millis(20);
        let again = Instant::now() + MOMENT;
        let error = io::stderr();
        let mut fds = vec![PollFd::new(signals, PollFlags::IN)];
        fds.extend(printed.next(&error));
        process::wait(&mut fds, again);
        if fds.get(1).is_some_and(|ready| !ready.revents().is_empty()) {
            printed.pass_on();
        }
    }
}

/// Whether this is the process that `multiprocessing` starts to remove the shared memory that its
/// users leave behind. It does so when the last of them is gone, so killing it together with them
/// would leave the segments in /dev/shm.
///
/// One that has just been started is waited for until it has words: the kernel lets whoever started
/// it go on (vfork) when the old program has gone, and sets the words of the new one last (Linux
/// `fs/exec.c`, `fs/binfmt_elf.c`).
fn is_resource_tracker(pid: Pid) -> bool {
    let until = Instant::now() + EXEC_TIME;
    let Ok(process) = Process::new(pid.as_raw_nonzero().get()) else {
        return false;
    };
    loop {
        let Ok(words) = process.cmdline() else {
            return false;
        };
        let lives = || process.stat().is_ok_and(|stat| !"ZX".contains(stat.state));
        if words.is_empty() && lives() && Instant::now() < until {
            std::thread::yield_now();
            continue;
        }
        return words
            .iter()
            .any(|word| word.contains("multiprocessing.resource_tracker"));
    }
}
