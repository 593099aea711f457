//! What the kernel says of a thread that is traced.

use nix::libc;
use nix::sys::ptrace;
use nix::unistd::Pid;
use procfs::ProcError;
use procfs::process::Process;

/// The bit of SIGTRAP in a mask of signals.
const TRAP: u64 = 1 << (libc::SIGTRAP - 1);

/// Signals of a thread.
pub(super) struct Signals {
    blocked: u64,
    ignored: u64,
    pending: u64,
}

impl Signals {
    /// As they are now.
    pub(super) fn of(process: i32, thread: i32) -> Option<Self> {
        let process = Process::new(process).ok()?;
        let status = process.task_from_tid(thread).ok()?.status().ok()?;
        Some(Self {
            blocked: status.sigblk,
            ignored: status.sigign,
            pending: status.sigpnd,
        })
    }

    /// Whether a stop comes at once, or does no harm if it does not.
    pub(super) fn may_trap(&self) -> bool {
        self.blocked & TRAP == 0 || self.ignored & TRAP != 0
    }

    /// Whether one is on its way that would end the process.
    pub(super) fn is_trap_pending(&self) -> bool {
        self.pending & !self.ignored & TRAP != 0
    }
}

/// How long a thread has run, in nanoseconds, if it runs or is to run; `None`: it waits, or has ended.
pub(super) fn has_run(process: i32, thread: i32) -> Option<u64> {
    let process = Process::new(process).ok()?;
    let task = process.task_from_tid(thread).ok()?;
    let runs = task.stat().ok()?.state == 'R';
    runs.then(|| task.schedstat().ok().map(|times| times.sum_exec_runtime))?
}

/// Whether a thread is traced by this process already.
pub(super) fn is_own(process: i32, thread: i32) -> bool {
    tracer_of(process, thread) == Some(std::process::id().cast_signed())
}

/// Who traces a thread.
fn tracer_of(process: i32, thread: i32) -> Option<i32> {
    let process = Process::new(process).ok()?;
    let status = process.task_from_tid(thread).ok()?.status().ok()?;
    Some(status.tracerpid).filter(|pid| *pid != 0)
}

/// Whether a thread has ended, even if nobody has waited for it: of such a one the kernel says that
/// tracing it is not allowed (EPERM).
pub(super) fn has_ended(process: i32, thread: i32) -> bool {
    let task = Process::new(process).and_then(|process| process.task_from_tid(thread));
    match task.and_then(|task| task.stat()) {
        Ok(stat) => matches!(stat.state, 'Z' | 'X'),
        Err(error) => matches!(error, ProcError::NotFound(_)),
    }
}

/// Who traces a process, if somebody does.
pub fn tracer(pid: i32) -> Option<i32> {
    tracer_of(pid, pid)
}

/// The address that was touched, and whether the signal came later than the fault, as it was
/// blocked.
pub(super) fn of_event(info: &libc::siginfo_t) -> (u64, bool) {
    /// Where `si_perf_flags` is, and `TRAP_PERF_FLAG_ASYNC` in it.
    const FLAGS: usize = 36;
    const LATE: u32 = 1;
    #[expect(unsafe_code, reason = "libc does not know this kind of signal")]
    // SAFETY: the struct has 128 bytes, all of which are plain numbers that the kernel has written;
    // `si_addr` is one of them for signals of this code.
    unsafe {
        let bytes = std::ptr::from_ref(info).cast::<u8>();
        let flags = bytes.add(FLAGS).cast::<u32>().read_unaligned();
        (info.si_addr().addr() as u64, flags & LATE != 0)
    }
}

/// What pthread_self(3) is in a thread that stands still.
#[cfg(target_arch = "x86_64")]
pub(super) fn identity(thread: i32) -> Option<u64> {
    let registers = ptrace::getregs(Pid::from_raw(thread)).ok()?;
    Some(registers.fs_base)
}

/// Not read on other processors yet.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn identity(_: i32) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_has_ended_is_known_before_and_after_somebody_has_waited_for_it() {
        let mut child = Command::new("cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id().cast_signed();
        assert!(!has_ended(pid, pid));
        drop(child.stdin.take());
        while !has_ended(pid, pid) {
            std::thread::yield_now();
        }
        // It is there still.
        assert!(Process::new(pid).is_ok());
        child.wait().unwrap();
        assert!(has_ended(pid, pid));
    }
}
