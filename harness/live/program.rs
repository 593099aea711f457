//! A program of the user's, started so that it is recorded from its first instruction on.

use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::thread::JoinHandle;

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithRawSiginfo;

use crate::{interrupt, process};

/// Who traces a program.
#[derive(Clone, Copy, Debug)]
pub struct TracedBy {
    /// The number of that process.
    pub tracer: u32,
    /// Whether the program ignores the signal by which threads are stopped.
    pub ignores_trap: bool,
}

/// A new process that waits before it becomes the program.
#[derive(Debug)]
pub struct Waiting {
    /// Its number.
    pub pid: i32,
    go: io::PipeWriter,
    starting: JoinHandle<io::Result<Child>>,
}

/// The program, which runs.
#[derive(Debug)]
pub struct Program {
    child: Child,
    signals: SignalsInfo<WithRawSiginfo>,
    ended: Option<ExitStatus>,
}

impl Waiting {
    /// Starts a process with this one's own terminal, input, output and environment. `traced`: who may trace it.
    ///
    /// # Errors
    /// When the kernel has no process for it.
    pub fn start(words: &[OsString], traced: Option<TracedBy>) -> io::Result<Self> {
        let (mut told, tell) = io::pipe()?;
        let (wait, go) = io::pipe()?;
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        let open_files = process::users_open_files();
        let other_end = go.as_raw_fd();
        let hold = move || {
            process::lower_open_files(open_files)?;
            if let Some(by) = traced {
                be_traced(by);
            }
            let pid = nix::unistd::getpid().as_raw();
            nix::unistd::write(tell.as_fd(), &pid.to_ne_bytes())?;
            close(other_end);
            let mut byte = [0];
            match nix::unistd::read(wait.as_fd(), &mut byte)? {
                // Whoever was to let it go is no more.
                0 => Err(io::ErrorKind::BrokenPipe.into()),
                _ => Ok(()),
            }
        };
        #[expect(
            unsafe_code,
            reason = "what runs between fork and exec is unsafe to choose"
        )]
        // SAFETY: it makes system calls alone, and neither allocates nor takes a lock.
        unsafe {
            command.pre_exec(hold);
        }
        // `spawn` comes back when the program runs, and it shall not yet.
        let starting = std::thread::Builder::new().spawn(move || command.spawn())?;
        let mut pid = [0; 4];
        match told.read_exact(&mut pid) {
            Ok(()) => Ok(Self {
                pid: i32::from_ne_bytes(pid),
                go,
                starting,
            }),
            // There is none: the thread knows why.
            Err(error) => Err(match starting.join() {
                Ok(Err(why)) => why,
                _ => error,
            }),
        }
    }

    /// Lets it become the program. Signals that this process gets are passed on to it from now on; the second one that is to end this process kills
    /// it.
    ///
    /// # Errors
    /// When there is no such program, or it cannot be executed.
    pub fn go(mut self) -> io::Result<Program> {
        let passed_on = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];
        let signals = SignalsInfo::<WithRawSiginfo>::new(passed_on)?;
        self.go.write_all(&[1])?;
        let child = match self.starting.join() {
            Ok(started) => started?,
            Err(_) => return Err(io::Error::other("the thread panicked")),
        };
        // Where there is no descriptor for it, it is left to itself then.
        if let Ok(watched) = process::watch(child.id().cast_signed())
            && STARTED.set(watched).is_ok()
        {
            interrupt::before_exit(kill_started);
        }
        Ok(Program {
            child,
            signals,
            ended: None,
        })
    }
}

/// The program, for a handler of a signal.
static STARTED: OnceLock<OwnedFd> = OnceLock::new();

/// Ends the program where it is, if it has not ended.
fn kill_started() {
    if let Some(program) = STARTED.get() {
        let _ = process::kill(program);
    }
}

/// Closes a descriptor of a process that is about to become a program, which does not know of it.
fn close(descriptor: i32) {
    #[expect(
        unsafe_code,
        reason = "the descriptor belongs to the process that forked this one"
    )]
    // SAFETY: of this process's copy nobody makes use.
    unsafe {
        libc::close(descriptor);
    }
}

/// Has the program, and what it forks, go on if its tracer ends while a signal to stop is under way; and lets the tracer trace it where
/// only those may that started it (Yama).
fn be_traced(by: TracedBy) {
    #[expect(unsafe_code, reason = "std and nix have no safe way to do it")]
    // SAFETY: neither call reads or writes memory of this process; where there is no Yama, the second is refused.
    unsafe {
        if by.ignores_trap {
            libc::signal(libc::SIGTRAP, libc::SIG_IGN);
        }
        libc::prctl(libc::PR_SET_PTRACER, libc::c_ulong::from(by.tracer));
    }
}

impl Program {
    /// Passes on signals that have come, and says whether the program has ended.
    pub fn has_ended(&mut self) -> bool {
        for info in self.signals.pending() {
            // What a terminal sends, it sends to the program, too.
            if info.si_code != libc::SI_KERNEL
                && let Ok(signal) = Signal::try_from(info.si_signo)
            {
                self.send(signal);
            }
        }
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended.is_some()
    }

    /// Sends it a signal, unless it has ended.
    pub fn send(&mut self, signal: Signal) {
        if self.ended.is_none() {
            let _ = kill(Pid::from_raw(self.child.id().cast_signed()), signal);
        }
    }

    /// Waits for its end, passing on signals: its exit status, or 128 and the number of the signal that ended it, as shells have it.
    ///
    /// # Errors
    /// When somebody else has waited for it.
    pub fn wait(mut self) -> io::Result<u8> {
        let watched = process::watch(self.child.id().cast_signed());
        while !self.has_ended() {
            // A signal ends the wait.
            let fd: Option<BorrowedFd<'_>> = watched.as_ref().ok().map(std::os::fd::AsFd::as_fd);
            let Some(fd) = fd else {
                self.ended = Some(self.child.wait()?);
                break;
            };
            let mut waiting = [rustix::event::PollFd::from_borrowed_fd(
                fd,
                rustix::event::PollFlags::IN,
            )];
            let soon = rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 100_000_000,
            };
            let _ = rustix::event::poll(&mut waiting, Some(&soon));
        }
        let ended = self
            .ended
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let status = ended
            .code()
            .or_else(|| ended.signal().map(|signal| 128 + signal));
        Ok(status
            .and_then(|status| u8::try_from(status).ok())
            .unwrap_or(u8::MAX))
    }
}
