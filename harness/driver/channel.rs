//! One socket, and one deadline for each message.
//!
//! Every wait ends with the message, the death of the process, the time limit or an interruption
//! (Ctrl-C), whichever comes first.

use std::io::{self, IoSlice, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use serde::de::DeserializeOwned;

use super::error::DriverError;
use crate::interrupt::{self, Wake};
use crate::protocol::{CLOSED_DESCRIPTORS, GO};

/// Why a message did not come, or could not be sent.
#[derive(Debug)]
pub(super) enum Silence {
    Ended,
    TimedOut,
    Interrupted,
    Failed(io::Error),
}

impl From<io::Error> for Silence {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Silence {
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Ended)
    }

    pub(super) fn explain(
        self,
        who: &'static str,
        doing: &str,
        status: Option<ExitStatus>,
        limit: Duration,
    ) -> DriverError {
        let doing = doing.to_owned();
        match self {
            Self::Ended => match status.and_then(|status| status.code()) {
                Some(code) if code == i32::from(CLOSED_DESCRIPTORS) => {
                    DriverError::ClosedDescriptors { doing }
                }
                _ => DriverError::Died { who, doing, status },
            },
            Self::TimedOut => DriverError::TimedOut { who, doing, limit },
            Self::Interrupted => DriverError::Interrupted,
            Self::Failed(source) => DriverError::Protocol { who, doing, source },
        }
    }
}

/// A log of a million lines is a tenth of this.
const LONGEST_MESSAGE: usize = 1 << 29;

/// How often something is read after the time limit.
const MOST_LATE: usize = 64;

/// The observer's end of a socket.
#[derive(Debug)]
pub(super) struct Channel {
    socket: UnixStream,
    received: Vec<u8>,
}

impl Channel {
    pub(super) fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            received: Vec::new(),
        }
    }

    /// Sends descriptors, with the first byte that the subject reads.
    pub(super) fn hand_over(&mut self, descriptors: &[RawFd]) -> Result<(), Silence> {
        let sent = sendmsg::<()>(
            self.socket.as_raw_fd(),
            &[IoSlice::new(&[GO])],
            &[ControlMessage::ScmRights(descriptors)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        match sent {
            Ok(_) => Ok(()),
            Err(nix::errno::Errno::EPIPE) => Err(Silence::Ended),
            Err(errno) => Err(Silence::Failed(errno.into())),
        }
    }

    /// Sends to a process whose end makes `ended` readable, and which may read nothing.
    pub(super) fn send(
        &mut self,
        mut bytes: &[u8],
        ended: &OwnedFd,
        deadline: Instant,
    ) -> Result<(), Silence> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        while !bytes.is_empty() {
            match rustix::net::send(&self.socket, bytes, flags) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.wait(PollFlags::OUT, ended, deadline)?;
                }
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(closed(ended, deadline)),
                Err(errno) => return Err(Silence::Failed(errno.into())),
            }
        }
        Ok(())
    }

    /// The next message of a process whose end makes `ended` readable.
    ///
    /// The socket's own end says nothing: other processes hold the same end open, and a process
    /// that has closed its own may live on.
    pub(super) fn next<T: DeserializeOwned>(
        &mut self,
        ended: &OwnedFd,
        deadline: Instant,
    ) -> Result<T, Silence> {
        let mut chunk = [0; 1 << 16];
        let mut searched = 0;
        let mut late = 0;
        let end = loop {
            // Parent and observer may be a message apart: what follows the line is the next one.
            let line = self.received[searched..]
                .iter()
                .position(|byte| *byte == b'\n');
            if let Some(line) = line {
                break searched + line;
            }
            searched = self.received.len();
            if searched > LONGEST_MESSAGE {
                let error = format!("more than {} MiB without an end", LONGEST_MESSAGE >> 20);
                return Err(Silence::Failed(io::Error::other(error)));
            }
            // What is there already counts, as after a Ctrl-Z. Who says something all the time has
            // no end.
            late += usize::from(Instant::now() > deadline);
            if late > MOST_LATE {
                return Err(Silence::TimedOut);
            }
            self.wait(PollFlags::IN, ended, deadline)?;
            match self.socket.read(&mut chunk) {
                Ok(bytes) if bytes > 0 => self.received.extend_from_slice(&chunk[..bytes]),
                Err(error) if error.kind() != io::ErrorKind::ConnectionReset => {
                    return Err(error.into());
                }
                _ => return Err(closed(ended, deadline)),
            }
        };
        let message = serde_json::from_slice(&self.received[..end]).map_err(io::Error::from)?;
        self.received.drain(..=end);
        Ok(message)
    }

    /// Waits a moment; whether there is a message to read now, or the process has ended.
    pub(super) fn has_spoken(&self, ended: &OwnedFd, deadline: Instant) -> Result<bool, Silence> {
        const MOMENT: Duration = Duration::from_micros(200);
        let now = Instant::now();
        let mut fds = [
            PollFd::new(&self.socket, PollFlags::IN),
            PollFd::new(ended, PollFlags::IN),
        ];
        match interrupt::wait(&mut fds, Some(deadline.min(now + MOMENT)))? {
            Wake::Ready => Ok(true),
            Wake::TimedOut if now < deadline => Ok(false),
            Wake::TimedOut => Err(Silence::TimedOut),
            Wake::Interrupted => Err(Silence::Interrupted),
        }
    }

    /// Waits until the socket can be read from or written to. What a process said before it ended
    /// still counts.
    fn wait(&self, event: PollFlags, ended: &OwnedFd, deadline: Instant) -> Result<(), Silence> {
        let mut fds = [
            PollFd::new(&self.socket, event),
            PollFd::new(ended, PollFlags::IN),
        ];
        match interrupt::wait(&mut fds, Some(deadline))? {
            Wake::Interrupted => Err(Silence::Interrupted),
            Wake::TimedOut => Err(Silence::TimedOut),
            Wake::Ready if fds[0].revents().is_empty() => Err(Silence::Ended),
            Wake::Ready => Ok(()),
        }
    }
}

/// A process has closed its end, as it does when it ends, or as a program may that closes all that
/// it finds open.
fn closed(ended: &OwnedFd, deadline: Instant) -> Silence {
    let mut fds = [PollFd::new(ended, PollFlags::IN)];
    match interrupt::wait(&mut fds, Some(deadline)) {
        Ok(Wake::Ready) => Silence::Ended,
        Ok(Wake::TimedOut) => Silence::TimedOut,
        Ok(Wake::Interrupted) => Silence::Interrupted,
        Err(error) => Silence::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::watch;
    use serde_json::Value;

    /// Our end of a channel, the other end, and something that has not ended.
    fn channel() -> (Channel, UnixStream, OwnedFd) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let lives = watch(std::process::id().cast_signed()).unwrap();
        (Channel::new(ours), theirs, lives)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn sending_to_who_does_not_read_has_a_limit() {
        let (mut channel, theirs, lives) = channel();
        let sent = channel.send(&[0; 1 << 22], &lives, soon());
        assert!(matches!(sent, Err(Silence::TimedOut)), "{sent:?}");
        drop(theirs);
    }

    #[test]
    fn an_end_that_is_closed_is_no_end_of_its_process() {
        let (mut channel, theirs, lives) = channel();
        drop(theirs);
        let sent = channel.send(b"x", &lives, soon());
        assert!(matches!(sent, Err(Silence::TimedOut)), "{sent:?}");
        let heard = channel.next::<Value>(&lives, soon());
        assert!(matches!(heard, Err(Silence::TimedOut)), "{heard:?}");
    }

    #[test]
    fn a_word_without_an_end_has_a_limit() {
        use std::io::Write as _;
        let (mut channel, mut theirs, lives) = channel();
        // There is always something to read, and never all.
        let flood = std::thread::spawn(move || while theirs.write_all(&[b'x'; 1 << 16]).is_ok() {});
        let heard = channel.next::<Value>(&lives, Instant::now());
        assert!(matches!(heard, Err(Silence::TimedOut)), "{heard:?}");
        drop(channel);
        flood.join().unwrap();
    }
}
