//! What a program that a test starts does about signals, whatever whoever started the tests does: a
//! script's background job ignores SIGINT, and `nohup` SIGHUP.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};

const ALL: [Signal; 3] = [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM];

/// Has the program end by the signals that tests send.
pub fn with_default_signals(command: &mut Command) {
    set(command, SigHandler::SigDfl, &ALL);
}

/// Has it ignore one, as a script's background job does.
pub fn ignoring(command: &mut Command, ignored: &'static [Signal]) {
    set(command, SigHandler::SigIgn, ignored);
}

fn set(command: &mut Command, action: SigHandler, signals: &'static [Signal]) {
    let set = move || -> io::Result<()> {
        for one in signals {
            #[expect(unsafe_code, reason = "nix marks it unsafe for the sake of handlers")]
            // SAFETY: neither action is a handler, so none can run in a wrong place.
            unsafe {
                signal(*one, action)?;
            }
        }
        Ok(SigSet::empty().thread_set_mask()?)
    };
    #[expect(unsafe_code, reason = "signals are set in the new process")]
    // SAFETY: between fork and exec `set` makes system calls, and allocates nothing.
    unsafe {
        command.pre_exec(set);
    }
}
