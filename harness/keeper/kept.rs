//! refcow's side: a program in the hands of a keeper.

use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use super::messages::{HANDED, Handed, NAME, Notice, Order, ProgramToStart};
use crate::interrupt::{self, Wake};
use crate::process::{self, ends, watch};
use crate::run_name::UniqueRunName;

/// What the keeper gets to start its child, to say that it has ended, and for all of its work at the
/// end: longer only if the kernel does not let a process go.
const END_TIME: Duration = Duration::from_secs(15);

/// A program that was started by a keeper. Dropped, all that it has started ends with it.
#[derive(Debug)]
pub struct Kept {
    pid: i32,
    ended: OwnedFd,
    status: Option<ExitStatus>,
    keeper: Keeper,
}

#[derive(Debug)]
struct Keeper {
    process: Child,
    ended: OwnedFd,
    line: UnixStream,
}

/// Starts a program in the hands of a new keeper, whose own program is `keeper`. What it prints,
/// the keeper passes on to refcow's standard error: it must not get between the lines of the
/// report.
///
/// # Errors
/// When there is no such program, or no keeper.
pub fn start(
    keeper: &Path,
    program: ProgramToStart,
    name: &UniqueRunName,
    handed: Handed<'_>,
) -> io::Result<Kept> {
    let (line, theirs) = UnixStream::pair()?;
    let process = Command::new(keeper)
        .arg0(NAME)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()?;
    let mut keeper = Keeper {
        ended: watch(process.id().cast_signed())?,
        process,
        line,
    };
    let order = Order {
        program,
        name: name.as_str().into(),
        open_files: process::users_open_files(),
    };
    keeper.tell(&order, handed)?;
    match keeper.hear(Instant::now() + END_TIME)? {
        Some(Notice::Started { pid }) => Ok(Kept {
            pid,
            // The keeper waits for nobody yet, so that this is the process even if it has ended.
            ended: watch(pid)?,
            status: None,
            keeper,
        }),
        Some(Notice::Failed { errno }) => Err(io::Error::from_raw_os_error(errno)),
        Some(Notice::Ended { .. }) | None if interrupt::requested() => {
            Err(io::ErrorKind::Interrupted.into())
        }
        Some(Notice::Ended { .. }) | None => Err(io::Error::other("its keeper has ended")),
    }
}

impl Kept {
    /// Its process, which is the leader of a process group. The number is nobody else's until this
    /// is dropped.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Becomes readable when it has ended.
    pub fn ended(&self) -> &OwnedFd {
        &self.ended
    }

    /// How it ended, once it has. `None` if nobody is left to say so.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none()
            && let Ok(Some(Notice::Ended { status })) = self.keeper.hear(Instant::now() + END_TIME)
        {
            self.status = Some(ExitStatus::from_raw(status));
        }
        self.status
    }
}

impl Drop for Kept {
    /// The keeper ends it, and all below it. Where somebody has killed the keeper, a program that
    /// has become another user's was not told.
    fn drop(&mut self) {
        if ends(&self.keeper.ended, Instant::now()) {
            let _ = process::kill(&self.ended);
        }
    }
}

impl Keeper {
    fn tell(&mut self, order: &Order, handed: Handed<'_>) -> io::Result<()> {
        let handed = [handed.program, handed.preload, handed.stdin];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDED))];
        let mut along = SendAncillaryBuffer::new(&mut space);
        let fits = along.push(SendAncillaryMessage::ScmRights(&handed));
        debug_assert!(fits, "there is room for as many");
        rustix::net::sendmsg(
            &self.line,
            &[IoSlice::new(b"\n")],
            &mut along,
            SendFlags::NOSIGNAL,
        )?;
        let mut text = serde_json::to_vec(order)?;
        text.push(b'\n');
        self.line.write_all(&text)
    }

    /// What the keeper says next; `None` if it has ended.
    fn hear(&mut self, deadline: Instant) -> io::Result<Option<Notice>> {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut fds = [PollFd::new(&self.line, PollFlags::IN)];
            match interrupt::wait(&mut fds, Some(deadline))? {
                // What it said before still counts.
                Wake::Interrupted if fds[0].revents().is_empty() => {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                Wake::TimedOut => return Err(io::ErrorKind::TimedOut.into()),
                Wake::Ready | Wake::Interrupted => {}
            }
            let mut byte = [0];
            match self.line.read(&mut byte) {
                Ok(0) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                read => line.extend_from_slice(&byte[..read?]),
            }
        }
        Ok(Some(serde_json::from_slice(&line)?))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.line.shutdown(std::net::Shutdown::Write);
        // What a fixture could have done to it. One that is gone needs nothing.
        let _ = rustix::process::pidfd_send_signal(&self.ended, rustix::process::Signal::CONT);
        // If the kernel does not let a process go, the keeper waits for that alone.
        if ends(&self.ended, Instant::now() + END_TIME) {
            let _ = self.process.wait();
        }
    }
}
