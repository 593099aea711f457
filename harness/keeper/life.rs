//! The keeper's side: its life, from the program that it is to start to the end of all that this
//! has started.

use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::setsid;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::end::{children, end, hear};
use super::messages::{HANDED, Notice, Order};
use super::printed::Printed;
use super::spawn::spawn;
use crate::run_name::UniqueRunName;
use crate::{interrupt, leftovers, shm};

/// The keeper's whole life. Its standard input is the socket to refcow.
///
/// # Errors
/// When it was not started by refcow.
pub fn run() -> io::Result<()> {
    let line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Not with the terminal's other processes: no signal of its keys is meant for this one.
    let _ = setsid();
    prctl::set_name(c"refcow-keeper")?;
    prctl::set_child_subreaper(true)?;
    interrupt::hear_of_children()?;
    // Those that can be blocked do nothing: refcow alone says when to end.
    SigSet::all().thread_block()?;
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let Some((order, handed)) = receive(&line)? else {
        // It was killed before it could say what to start.
        return Ok(());
    };
    let name = UniqueRunName::read(&order.name).ok_or(io::ErrorKind::InvalidData)?;
    let lives = shm::live(&name);
    match spawn(&order, handed) {
        Ok((child, mut printed)) => {
            keep(&line, &signals, &mut printed, Pid::from_child(&child));
            end(&signals, &mut printed);
            printed.pass_on_the_rest();
        }
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            say(&line, &Notice::Failed { errno });
        }
    }
    leftovers::remove_all(&name);
    drop(lives);
    Ok(())
}

/// What refcow tells, and the descriptors that come along. `None` if it has gone.
fn receive(mut line: &UnixStream) -> io::Result<Option<(Order, [OwnedFd; HANDED])>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDED))];
    let mut along = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    rustix::net::recvmsg(line, &mut [IoSliceMut::new(&mut byte)], &mut along, flags)?;
    let handed: Vec<_> = along
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    while text.last() != Some(&b'\n') {
        match line.read(&mut chunk)? {
            0 => return Ok(None),
            bytes => text.extend_from_slice(&chunk[..bytes]),
        }
    }
    let handed = <[OwnedFd; HANDED]>::try_from(handed);
    let handed = handed.map_err(|_| io::Error::other("not all descriptors came over"))?;
    Ok(Some((serde_json::from_slice(&text)?, handed)))
}

/// Nobody may be left to hear it.
fn say(mut line: &UnixStream, said: &Notice) {
    if let Ok(mut text) = serde_json::to_vec(said) {
        text.push(b'\n');
        // Blocked with all others, SIGPIPE ends nothing.
        let _ = line.write_all(&text);
    }
}

/// Until refcow has no more use for the program, or is no more.
fn keep(line: &UnixStream, signals: &SignalFd, printed: &mut Printed, program: Pid) {
    let pid = program.as_raw_nonzero().get();
    say(line, &Notice::Started { pid });
    let mut has_ended = false;
    loop {
        if !has_ended {
            // Not waited for yet: refcow still knows it by its number.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if let Ok(Some(status)) = waitid(WaitId::Pid(program), options) {
                has_ended = true;
                let status = raw(&status);
                say(line, &Notice::Ended { status });
            }
        }
        for orphan in children() {
            if orphan != program {
                let _ = waitid(
                    WaitId::Pid(orphan),
                    WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
                );
            }
        }
        let error = io::stderr();
        let mut fds = vec![
            PollFd::new(line, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        fds.extend(printed.next(&error));
        let woken = rustix::event::poll(&mut fds, None);
        // refcow says nothing more, but closes its end.
        if !fds[0].revents().is_empty() || woken.is_err_and(|errno| errno != Errno::INTR) {
            return;
        }
        if fds.get(2).is_some_and(|ready| !ready.revents().is_empty()) {
            printed.pass_on();
        }
        hear(signals);
    }
}

/// The status as `waitpid` writes it.
fn raw(status: &WaitIdStatus) -> i32 {
    let killed = |signal: i32| signal | if status.dumped() { 0x80 } else { 0 };
    let exited = status.exit_status().map(|code| (code & 0xff) << 8);
    exited
        .or_else(|| status.terminating_signal().map(killed))
        .unwrap_or_default()
}
