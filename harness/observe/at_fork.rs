//! Parent and child at the very moment of a fork, before either has run an instruction of its own.
//!
//! Only ptrace(2) can stop both there: whatever a forked process does first, returning from `fork`
//! included, writes to its stack. With `PTRACE_O_TRACEFORK` the parent stops inside the system call
//! and the child before it first returns to user space. One page of the child's has been written
//! even so: the C library has the kernel store the child's thread id in it (`CLONE_CHILD_SETTID`,
//! clone(2)).

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::sharing::agree;
use super::{Disagreement, Error, mappings, page_states};

/// How many pages a fork gave to both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtFork {
    /// Anonymous pages in private mappings that the parent had in memory.
    pub pages: u64,
    /// Those that are the child's too, in the same page frame: mapped more than once, and, where
    /// the kernel shows frame numbers, under the same number.
    pub shared: u64,
    /// Whether frame numbers were compared.
    pub frames_compared: bool,
}

/// Stops process `pid` at its next fork, which `release` brings about, and compares it with the new
/// child. Both go on afterwards. `None` if it does not come to a fork: no wait for a tracee has a
/// limit, nor does one see an interruption, so `pause` is asked in between. It waits a moment and
/// says whether the process has gone on, or ended, without a fork.
///
/// Needs ptrace attach access: the same user, and under Yama's default an ancestor; a container's
/// seccomp profile may forbid it. The process must be no child of this one, which would learn of
/// its end in the place of whoever waits for it.
///
/// # Errors
/// When it cannot be traced or looked at, when the two ways of counting disagree, or what `release`
/// and `pause` return.
pub fn at_next_fork<E>(
    pid: i32,
    release: impl FnOnce() -> Result<(), E>,
    mut pause: impl FnMut() -> Result<bool, E>,
) -> Result<Option<AtFork>, E>
where
    E: From<Error> + From<Disagreement>,
{
    let parent = Pid::from_raw(pid);
    let tracing = |source| Error::Trace { pid, source };
    ptrace::seize(parent, Options::PTRACE_O_TRACEFORK).map_err(tracing)?;
    release()?;
    let Some(stopped) = Stopped::wait(parent, libc::PTRACE_EVENT_FORK, &mut pause)? else {
        return Ok(None);
    };
    let child = ptrace::getevent(parent).map_err(tracing)?;
    let child = i32::try_from(child).map_err(|_| tracing(Errno::ESRCH))?;
    let child = Pid::from_raw(child);
    let Some(stopped_child) = Stopped::wait(child, libc::PTRACE_EVENT_STOP, &mut pause)? else {
        return Ok(None);
    };
    let compared = compare(pid, child.as_raw());
    drop((stopped_child, stopped));
    compared.map(Some)
}

fn compare<E>(parent: i32, child: i32) -> Result<AtFork, E>
where
    E: From<Error> + From<Disagreement>,
{
    let (ours, theirs) = (mappings(parent)?, mappings(child)?);
    let look = || {
        let parent = page_states(parent, &ours.ranges)?;
        Ok::<_, E>([parent, page_states(child, &theirs.ranges)?])
    };
    let [parent_seen, child_seen] = look()?;
    super::compare([&parent_seen, &child_seen], look, |[parent, child]| {
        let pages = &parent.anonymous() & &ours.private;
        let shared = &(&pages & &child.present()) - &child.exclusive();
        let frames = parent.same_frames(child);
        if let Some(frames) = &frames {
            agree("at the fork", &shared, &(frames & &pages))?;
        }
        Ok(AtFork {
            pages: pages.len(),
            shared: shared.len(),
            frames_compared: frames.is_some(),
        })
    })
}

/// A traced process that stands still. Let go when dropped.
struct Stopped(Pid);

impl Stopped {
    /// When the process stands still at this event; `None` if `pause` says that it will not.
    fn wait<E: From<Error>>(
        pid: Pid,
        event: i32,
        pause: &mut impl FnMut() -> Result<bool, E>,
    ) -> Result<Option<Self>, E> {
        let tracing = |source| Error::Trace {
            pid: pid.as_raw(),
            source,
        };
        // For its end, too: whoever started it learns of that when its tracer has (ptrace(2),
        // "Death under ptrace").
        let flags = WaitPidFlag::WSTOPPED
            | WaitPidFlag::WEXITED
            | WaitPidFlag::WNOHANG
            | WaitPidFlag::__WALL;
        loop {
            match waitid(Id::Pid(pid), flags) {
                Ok(WaitStatus::PtraceEvent(_, _, found)) if found == event => {
                    return Ok(Some(Self(pid)));
                }
                // A signal that was on its way is passed on. Another event, as when it is told to
                // stop, ends here.
                Ok(WaitStatus::PtraceEvent(_, signal, found)) => {
                    let signal = (found == 0).then_some(signal).and_then(deliver);
                    ptrace::cont(pid, signal).map_err(tracing)?;
                }
                Ok(_) | Err(Errno::EINTR) => {
                    if pause()? {
                        let_go(pid);
                        return Ok(None);
                    }
                }
                Err(error) => return Err(tracing(error).into()),
            }
        }
    }
}

/// Traces a process no longer that has gone on, or is about to end: then whoever started it learns
/// of that only from here.
fn let_go(pid: Pid) {
    // It stops, or ends: the wait is for what comes first. Either is near.
    let _ = ptrace::interrupt(pid);
    let flags = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::__WALL;
    while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
    // One that has ended needs no letting go.
    let _ = ptrace::detach(pid, None);
}

fn deliver(signal: Signal) -> Option<Signal> {
    (signal != Signal::SIGTRAP).then_some(signal)
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // One that has been killed meanwhile needs no letting go.
        let _ = ptrace::detach(self.0, None);
    }
}
