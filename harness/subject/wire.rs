//! One end of a socket, read and written with as few writes to memory as can be.

use std::fs::File;
use std::io::{self, Read, Write};

use refcow_protocol::GO;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::handed::KeptFile;

/// The longest message of [`Wire::send_small`].
const SMALL: usize = 256;

/// One end of a socket that carries a line of JSON a message.
pub(crate) struct Wire {
    /// Never closed: the next child has it, too.
    socket: &'static KeptFile,
}

impl Wire {
    /// The socket that the observer has handed over.
    pub(crate) fn new(socket: &'static KeptFile) -> Self {
        Self { socket }
    }

    fn socket(&self) -> io::Result<&'static File> {
        self.socket.file()
    }

    /// The next message; `None` when the other end is closed.
    pub(crate) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut line = Vec::new();
        let mut chunk = [0; 4096];
        // Requests come one at a time, each answered before the next, so nothing follows the end of
        // a line.
        while line.last() != Some(&b'\n') {
            match self.socket()?.read(&mut chunk) {
                Ok(0) => return Ok(None),
                Ok(bytes) => line.extend_from_slice(&chunk[..bytes]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(serde_json::from_slice(&line)?))
    }

    /// The next byte; `None` when the other end is closed.
    pub(crate) fn receive_byte(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        loop {
            match self.socket()?.read(&mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) => return Ok(Some(byte[0])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends a message of any length.
    pub(crate) fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.socket()?.write_all(&line)
    }

    /// Sends a short message without a heap, so that sending writes to the stack alone.
    pub(crate) fn send_small(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut line = [0; SMALL];
        let mut rest = &mut line[..];
        serde_json::to_writer(&mut rest, message)?;
        rest.write_all(b"\n")?;
        let unused = rest.len();
        self.socket()?.write_all(&line[..SMALL - unused])
    }
}

/// Waits for the byte that releases this process; `false` when the observer has gone.
///
/// Never inlined: the code that waits after a visit is that which waited before it, so that its
/// page is there.
#[inline(never)]
pub(crate) fn released(wire: &mut Wire) -> std::io::Result<bool> {
    Ok(wire.receive_byte()? == Some(GO))
}
