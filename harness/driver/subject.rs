//! A running subject: started, asked and answering.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Instant;

use rustix::fs::{MemfdFlags, memfd_create};

use super::channel::{Channel, Silence};
use super::error::{DriverError, out_of_turn};
use super::launch::{self, Launch, Surroundings};
use crate::interrupt;
use crate::keeper::{self, Kept};
use crate::leftovers;
use crate::protocol::{ASKED_BYTES, GO, NOT_LOADED, Raised, Reply, Request};
use crate::raised::{self, Around};
use crate::run_name::UniqueRunName;

/// A running subject: the parent of a measurement.
#[derive(Debug)]
pub struct Subject {
    pub(super) kept: Kept,
    pub(super) control: Channel,
    pub(super) channels: Vec<Channel>,
    /// What the mapper writes to.
    pub(super) map: File,
    pub(super) name: UniqueRunName,
    pub(super) launch: Launch,
    /// Forked processes that have not been waited for, by their numbers, which are nobody else's
    /// until then.
    pub(super) alive: Vec<i32>,
    /// The threads that the parent had besides the one that forks, when it last did.
    pub(super) threads_at_fork: Vec<(i32, String)>,
    /// The user's file, once it is loaded.
    pub(super) file: Option<PathBuf>,
}

impl Subject {
    /// All of `sys.version`, which the program had before it was started and has been compared with
    /// what runs.
    pub fn version(&self) -> &str {
        &self.launch.version
    }

    /// Starts the program. Python does not run in it yet.
    ///
    /// # Errors
    /// When there is no such program, or no socket.
    pub fn start(launch: &Launch) -> Result<Self, DriverError> {
        let fail = |source| {
            DriverError::opening(source, |source| DriverError::Start {
                library: launch.library.clone(),
                source,
            })
        };
        let interpreter = launch::open(&launch.interpreter).map_err(|source| {
            DriverError::opening(source, |source| DriverError::NoInterpreter {
                interpreter: launch.interpreter.clone(),
                source,
            })
        })?;
        let library = launch::open(&launch.library).map_err(fail)?;
        leftovers::sweep();
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        for _ in 0..=launch.channels {
            let (our_end, their_end) = UnixStream::pair().map_err(DriverError::Descriptors)?;
            ours.push(Channel::new(our_end));
            theirs.push(OwnedFd::from(their_end));
        }
        // Not by the C library, whose oldest have no such function.
        let map = memfd_create("refcow-map", MemfdFlags::CLOEXEC)
            .map(File::from)
            .map_err(|errno| DriverError::Descriptors(errno.into()))?;
        map.set_len(ASKED_BYTES).map_err(fail)?;
        let name = UniqueRunName::new().map_err(fail)?;
        let control = theirs.remove(0);
        let fixed = matches!(launch.surroundings, Surroundings::Fixed(_));
        let program = keeper::ProgramToStart {
            argv0: "refcow-subject".into(),
            // For Python's own `main`, which only runs if refcow-subject does not run in its place.
            arguments: ["-I", "-S", "-c", &format!("raise SystemExit({NOT_LOADED})")]
                .map(OsString::from)
                .into(),
            variables: launch::variables(launch),
            fixed,
            folder: fixed.then(|| launch::NO_HOME.into()),
        };
        let handed = keeper::Handed {
            program: interpreter.as_fd(),
            preload: library.as_fd(),
            stdin: control.as_fd(),
        };
        let kept = match keeper::start(&launch.keeper, program, &name, handed) {
            Ok(kept) => kept,
            Err(_) if interrupt::requested() => return Err(DriverError::Interrupted),
            Err(source) => return Err(fail(source)),
        };
        drop(control);
        let mut subject = Self {
            kept,
            control: ours.remove(0),
            channels: ours,
            map,
            name,
            launch: launch.clone(),
            alive: Vec::new(),
            threads_at_fork: Vec::new(),
            file: None,
        };
        let handed: Vec<_> = std::iter::once(subject.map.as_raw_fd())
            .chain(theirs.iter().map(AsRawFd::as_raw_fd))
            .collect();
        match subject.control.hand_over(&handed) {
            Ok(()) => {}
            Err(error) => return Err(subject.lost("starting", error)),
        }
        if launch.keep_huge_pages {
            let doing = "keeping huge pages";
            match subject.ask(&Request::KeepHugePages, doing)? {
                Reply::Kept => {}
                other => return Err(out_of_turn(doing, &other)),
            }
        }
        Ok(subject)
    }

    /// The parent's process.
    pub fn pid(&self) -> i32 {
        self.kept.pid()
    }

    /// With which the names of all begin that it makes outside of its own memory.
    pub fn name(&self) -> &UniqueRunName {
        &self.name
    }

    /// Releases the waiting parent.
    pub(super) fn go(&mut self, doing: &str) -> Result<(), DriverError> {
        self.send(&[GO], doing)
    }

    fn send(&mut self, bytes: &[u8], doing: &str) -> Result<(), DriverError> {
        let deadline = Instant::now() + self.launch.timeout;
        let sent = self.control.send(bytes, self.kept.ended(), deadline);
        sent.map_err(|silence| self.lost(doing, silence))
    }

    /// Asks the parent, and waits for its answer.
    pub(super) fn ask(&mut self, request: &Request, doing: &str) -> Result<Reply, DriverError> {
        let mut line = serde_json::to_vec(request).expect("a request is plain data");
        line.push(b'\n');
        self.send(&line, doing)?;
        self.answer(doing)
    }

    /// The next answer of the parent.
    pub(super) fn answer(&mut self, doing: &str) -> Result<Reply, DriverError> {
        let deadline = Instant::now() + self.launch.timeout;
        match self.control.next(self.kept.ended(), deadline) {
            Ok(Reply::Raised(raised)) => Err(self.raised(doing, raised)),
            Ok(Reply::Refused { reason, help }) => Err(DriverError::Refused { reason, help }),
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.lost(doing, error)),
        }
    }

    /// Waits a moment; whether there is an answer to read now, or the parent has ended.
    pub(super) fn has_spoken(
        &mut self,
        doing: &str,
        deadline: Instant,
    ) -> Result<bool, DriverError> {
        let spoken = self.control.has_spoken(self.kept.ended(), deadline);
        spoken.map_err(|silence| self.lost(doing, silence))
    }

    /// Why the parent does not answer.
    fn lost(&mut self, doing: &str, silence: Silence) -> DriverError {
        let status = silence.is_end().then(|| self.kept.status()).flatten();
        match status.and_then(|status| status.code()) {
            // 127: the loader found a library, or a symbol, missing.
            Some(status @ (NOT_LOADED | 127)) => DriverError::NotLoaded {
                interpreter: self.launch.interpreter.clone(),
                status,
            },
            _ => silence.explain("parent", doing, status, self.launch.timeout),
        }
    }

    /// An exception, and what to do about it.
    pub(super) fn raised(&self, doing: &str, raised: Raised) -> DriverError {
        let around = Around {
            file: self.file.as_deref(),
            prefix: &self.launch.prefix,
            executable: &self.launch.executable,
        };
        DriverError::Raised {
            doing: doing.into(),
            help: raised::help(&raised, around),
            raised,
        }
    }
}
