//! Whether somebody at the terminal has pressed `q`.

use std::io::{self, IsTerminal as _};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

/// The terminal that standard input is, told to give each key at once and not to show it; as it was before when this is dropped.
#[derive(Debug)]
pub struct Keyboard {
    before: Termios,
}

impl Keyboard {
    /// Of the terminal that this process may read; `None` if standard input is none, or another's.
    pub fn of_terminal() -> Option<Self> {
        let input = io::stdin();
        // In the background, the kernel would stop whoever changes it.
        if !input.is_terminal() || tcgetpgrp(&input).ok()? != getpgrp() {
            return None;
        }
        let before = tcgetattr(&input).ok()?;
        let mut now = before.clone();
        // Ctrl-C stays a signal.
        now.local_modes
            .remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(&input, OptionalActions::Now, &now).ok()?;
        Some(Self { before })
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
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.before);
    }
}
