//! SIGINT, SIGTERM and SIGHUP as something a wait can wait for.
//!
//! A signal sets a flag and makes a descriptor readable for good, so that every later wait ends at
//! once too. Whoever sees it returns an error; what must not stay behind is removed by destructors
//! on the way out. A second signal ends the process where it is: its keepers end what it has
//! started, and the next run removes its files.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub use refcow_observe::inherited::hear_of_children;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::{exit, pipe, register};

/// Exit status when a run is ended by Ctrl-C or a signal like it: 128 + SIGINT, as shells have it.
pub const STATUS: u8 = 130;

/// What comes sooner after the first signal is that one once more: a shell and a terminal that go
/// away both say so, and programs that start others pass on what these have got, too.
const ONCE: Duration = Duration::from_millis(200);

static STATE: OnceLock<InterruptState> = OnceLock::new();

/// What is done before a second signal ends the process.
static BEFORE_EXIT: OnceLock<fn()> = OnceLock::new();

/// Has something done before a second signal ends this process: what a handler of a signal may do. A
/// second call changes nothing.
pub fn before_exit(action: fn()) {
    let _ = BEFORE_EXIT.set(action);
}

struct InterruptState {
    requested: Arc<AtomicBool>,
    /// Never read from: one byte in it says "interrupted" to every wait from then on.
    readable: UnixStream,
}

/// Why [`wait`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// At least one of the descriptors has an event.
    Ready,
    /// The user, or whoever started refcow, wants it to end.
    Interrupted,
    /// The deadline passed first.
    TimedOut,
}

/// Takes the three signals over from now on. A second call changes nothing.
///
/// A signal that was ignored when refcow started stays ignored: `nohup` and background jobs of
/// scripts mean it.
///
/// # Errors
///
/// When the kernel gives no socket pair or refuses a handler.
pub fn install() -> io::Result<()> {
    // Two first calls at once must not register the handlers twice.
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if STATE.get().is_some() {
        return Ok(());
    }
    hear_of_children()?;
    let requested = Arc::new(AtomicBool::new(false));
    let (readable, writable) = UnixStream::pair()?;
    let ignored = ignored_signals();
    let first = Arc::new(AtomicU64::new(0));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if ignored & (1 << (signal - 1)) == 0 {
            end_at_second(signal, Arc::clone(&first))?;
            // Actions run in the order of registration: whoever is woken finds the flag set.
            signal_hook::flag::register(signal, Arc::clone(&requested))?;
            pipe::register(signal, writable.try_clone()?)?;
        }
    }
    let _ = STATE.set(InterruptState {
        requested,
        readable,
    });
    Ok(())
}

/// The variable in which whoever starts refcow may name itself, by its process: refcow is to end
/// when that does, as if it had been sent SIGTERM.
const STARTED_BY: &str = "REFCOW_STARTED_BY";

/// Ends with whoever asks for it in [`STARTED_BY`], once [`install`] has been called.
///
/// # Errors
///
/// When the kernel refuses.
pub fn end_with_starter() -> io::Result<()> {
    let named = std::env::var(STARTED_BY).ok();
    let named = named.and_then(|name| Pid::from_raw(name.parse().ok()?));
    let Some(starter) = named else {
        return Ok(());
    };
    // It comes when the thread ends that has started this process. Whoever names itself waits in it.
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    // It may have ended before.
    let is_gone = rustix::process::test_kill_process(starter) == Err(Errno::SRCH);
    if is_gone {
        rustix::process::kill_process(rustix::process::getpid(), Signal::TERM)?;
    }
    Ok(())
}

/// Has a signal end this process if it is not the first, whatever is being done. `first`: when that
/// came, in milliseconds; 0 before it has.
fn end_at_second(signal: i32, first: Arc<AtomicU64>) -> io::Result<()> {
    let action = move || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = now.tv_sec.cast_unsigned() * 1000 + now.tv_nsec.cast_unsigned() / 1_000_000;
        // Never 0, which means that there was none.
        let now = now.max(1);
        let came = first.compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
        if came.is_err_and(|came| now >= came + ONCE.as_millis() as u64) {
            if let Some(action) = BEFORE_EXIT.get() {
                action();
            }
            exit(STATUS.into());
        }
    };
    #[expect(
        unsafe_code,
        reason = "what runs in a handler of a signal is unsafe to choose"
    )]
    // SAFETY: the action reads a clock, changes an atomic number, does what `before_exit` was given,
    // and may end the process by `_exit`; all of that is async-signal-safe, and none of it allocates,
    // takes a lock or can panic.
    unsafe {
        register(signal, action)?;
    }
    Ok(())
}

/// Signals this process ignores, as a mask whose bit N stands for signal N + 1. None where procfs
/// cannot say.
fn ignored_signals() -> u64 {
    procfs::process::Process::myself()
        .and_then(|process| process.status())
        .map_or(0, |status| status.sigign)
}

/// Whether one of the signals has arrived since [`install`].
pub fn requested() -> bool {
    STATE
        .get()
        .is_some_and(|state| state.requested.load(Ordering::SeqCst))
}

/// Readable (`POLLIN`) from the first signal on, for poll sets of one's own. Never read from it.
///
/// `None` before [`install`]: then signals have their default effect and no wait needs to know of
/// them.
pub fn fd() -> Option<BorrowedFd<'static>> {
    STATE.get().map(|state| state.readable.as_fd())
}

/// `poll(2)` on `fds` that also ends with an interruption or at the deadline, whichever comes
/// first.
///
/// An interruption wins over events that are there at the same time. Events are left in `fds` as
/// `poll` leaves them.
///
/// # Errors
///
/// What `poll(2)` answers, other than `EINTR`.
pub fn wait(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<Wake> {
    let mut all: Vec<PollFd<'_>> = Vec::with_capacity(fds.len() + 1);
    all.extend(fds.iter().cloned());
    if let Some(fd) = fd() {
        all.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
    }
    let ready = loop {
        let timeout = deadline.map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec {
                // A deadline further off than the clock can count is no deadline.
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        match rustix::event::poll(&mut all, timeout.as_ref()) {
            Err(Errno::INTR) => {}
            answer => break answer?,
        }
    };
    for (mine, theirs) in fds.iter_mut().zip(&all) {
        // The only way to set revents: they are what poll was told to write there.
        mine.clone_from(theirs);
    }
    Ok(if requested() {
        Wake::Interrupted
    } else if ready == 0 {
        Wake::TimedOut
    } else {
        Wake::Ready
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::time::Duration;

    // Handlers are process-wide: sending signals here would end the other tests' waits.
    // tests/python.rs does it in a process of its own.

    #[test]
    fn a_deadline_ends_a_wait_and_an_event_ends_it_earlier() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut fds = [PollFd::new(&ours, PollFlags::IN)];
        let soon = Instant::now() + Duration::from_millis(1);
        assert_eq!(wait(&mut fds, Some(soon)).unwrap(), Wake::TimedOut);
        assert!(fds[0].revents().is_empty());

        theirs.write_all(b"x").unwrap();
        assert_eq!(wait(&mut fds, None).unwrap(), Wake::Ready);
        assert!(fds[0].revents().contains(PollFlags::IN));
    }

    #[test]
    fn a_past_deadline_still_reports_what_is_ready() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"x").unwrap();
        let mut fds = [PollFd::new(&ours, PollFlags::IN)];
        assert_eq!(wait(&mut fds, Some(Instant::now())).unwrap(), Wake::Ready);
    }
}
