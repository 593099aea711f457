//! Whether somebody at the terminal has pressed `q`.
//!
//! For that the terminal gives each key at once and does not show it. Whoever ends or stops this process would leave it so: a signal has it put
//! back first.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetpgrp, tcsetattr,
};
use signal_hook::consts::{SIGALRM, SIGQUIT, SIGTSTP, SIGUSR1, SIGUSR2};
use signal_hook::low_level::{emulate_default_handler, register};

use crate::interrupt;

/// The terminal that standard input is, told to give each key at once and not to show it; as it was before when this is dropped.
#[derive(Debug)]
pub struct Keyboard(());

/// How the terminal was before, and how it is meanwhile.
static MODES: OnceLock<[Termios; 2]> = OnceLock::new();
/// Whether it is so now.
static IS_CHANGED: AtomicBool = AtomicBool::new(false);

impl Keyboard {
    /// Of the terminal that this process may read; `None` if standard input is none, or another's.
    pub fn of_terminal() -> Option<Self> {
        let input = io::stdin();
        // In the background, the kernel would stop whoever changes it.
        if !input.is_terminal() || !is_in_foreground() {
            return None;
        }
        let before = tcgetattr(&input).ok()?;
        let mut now = before.clone();
        // Ctrl-C stays a signal.
        now.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO);
        MODES.set([before, now]).ok()?;
        put_back_at_signals().ok()?;
        change();
        Some(Self(()))
    }

    /// Whether it was pressed.
    pub fn is_quit(&self) -> bool {
        let input = io::stdin();
        let mut waiting = [PollFd::new(&input, PollFlags::IN)];
        let mut keys = [0; 64];
        match poll(&mut waiting, Some(&Timespec::default())) {
            Ok(1..) => rustix::io::read(&input, &mut keys)
                .is_ok_and(|read| keys[..read].iter().any(|key| matches!(key, b'q' | b'Q'))),
            _ => false,
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        put_back();
        // Keys that were meant for this process are not the shell's.
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
    }
}

fn is_in_foreground() -> bool {
    tcgetpgrp(rustix::stdio::stdin()).is_ok_and(|group| group == getpgrp())
}

fn change() {
    if let Some([_, now]) = MODES.get() {
        let done = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, now);
        IS_CHANGED.store(done.is_ok(), Ordering::SeqCst);
    }
}

/// At once, even if the terminal takes no output.
fn put_back() {
    if IS_CHANGED.swap(false, Ordering::SeqCst)
        && let Some([before, _]) = MODES.get()
    {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, before);
    }
}

/// Has the terminal put back before a signal ends or stops this process, and changed again when it goes on.
fn put_back_at_signals() -> io::Result<()> {
    interrupt::before_exit(put_back);
    for signal in [SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGTSTP] {
        let action = move || {
            let was_changed = IS_CHANGED.load(Ordering::SeqCst);
            put_back();
            let _ = emulate_default_handler(signal);
            if was_changed && is_in_foreground() {
                change();
            }
        };
        #[expect(
            unsafe_code,
            reason = "what runs in a handler of a signal is unsafe to choose"
        )]
        // SAFETY: the action reads and changes atomic values, makes ioctls and raises the signal anew; all of that is async-signal-safe, and
        // none of it allocates, takes a lock or can panic: the modes have been set before.
        unsafe {
            register(signal, action)?;
        }
    }
    Ok(())
}
