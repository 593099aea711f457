//! Starts a `refcow-subject`, speaks the protocol with it and its children, and leaves no process behind.
//!
//! Every wait ends with the answer, the death of the process, the time limit or an interruption (Ctrl-C), whichever
//! comes first. Dropping a [`Subject`] kills its process group, lets a resource tracker of Python's in it remove shared
//! memory first, and waits for it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::personality::{self, Persona};
use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use rustix::event::{PollFd, PollFlags};
use rustix::process::{PidfdFlags, pidfd_open};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::interrupt::{self, Wake};
use crate::leftovers;
use crate::model::RegionMap;
use crate::objects::ObjectMap;
use crate::observe::{self, AtFork, Disagreement};
use crate::protocol::{
    ASKED_BYTES, Answer, Arguments, BuiltWith, CONTROL_FD, Footprint, Fork, GO, Job, MAP_FD,
    Module, Raised, Report, Request, Started, WITNESS, channel_fd,
};

/// Why there is no answer.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// The program could not be started.
    #[error("cannot start {}: {source}", program.display())]
    #[diagnostic(help("refcow-subject belongs beside refcow: install or build both"))]
    Start {
        /// refcow-subject.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The interpreter has gone since it was found.
    #[error("there is no {} any more", libpython.display())]
    #[diagnostic(help(
        "the interpreter was removed, or replaced by another version, while refcow ran: run it again"
    ))]
    NoLibrary {
        /// Its library.
        libpython: PathBuf,
    },
    /// Too few descriptors.
    #[error("cannot open the sockets of a subject: {0}")]
    #[diagnostic(help("raise the limit of open files: `ulimit -n 1024`"))]
    Descriptors(io::Error),
    /// It ended by itself.
    #[error("the {who} {} while {doing}{}", how(*status), bus_note(*status))]
    #[diagnostic(help(
        "what it printed before stands above; try the same in a plain Python script"
    ))]
    Died {
        /// Parent or child.
        who: &'static str,
        /// What it was about.
        doing: String,
        /// How it ended, if that could be learned.
        status: Option<ExitStatus>,
    },
    /// It took too long.
    #[error("the {who} had not ended {doing} after {} s", limit.as_secs_f64())]
    #[diagnostic(help(
        "give it longer with --timeout, or smaller data with --count, --item-bytes or --set"
    ))]
    TimedOut {
        /// Parent or child.
        who: &'static str,
        /// What it was about.
        doing: String,
        /// The limit.
        limit: Duration,
    },
    /// Python raised an exception.
    #[error("{} while {doing}\n\n{}", raised.summary, raised.traceback.trim_end())]
    #[diagnostic(help(
        "the fixture's own code, or what it calls, has to be mended, or given other sizes"
    ))]
    Raised {
        /// What it was about.
        doing: String,
        /// The exception.
        raised: Raised,
    },
    /// A user's file, or what was set for its `build`, is not what this Python takes.
    #[error("{reason}")]
    Refused {
        /// Why.
        reason: String,
        /// What to do.
        #[help]
        help: String,
    },
    /// Another Python answered than the one that was chosen.
    #[error("{} is CPython {found}, not {wanted} as its program says", libpython.display())]
    #[diagnostic(help(
        "the interpreter and its libpython are not of one build: reinstall it, or choose another"
    ))]
    OtherInterpreter {
        /// The library that was embedded.
        libpython: PathBuf,
        /// What the embedded one says.
        found: String,
        /// What the program said.
        wanted: String,
    },
    /// Python found itself in another environment than the one that was chosen.
    #[error("Python started in {}, not in {}", found.display(), wanted.display())]
    #[diagnostic(help(
        "the environment was removed or damaged while refcow ran: make it anew, or choose another interpreter"
    ))]
    OtherEnvironment {
        /// `sys.prefix` of the embedded one.
        found: PathBuf,
        /// What it was to be.
        wanted: PathBuf,
    },
    /// The kernel gave no process.
    #[error("fork failed: {}", io::Error::from_raw_os_error(*errno))]
    #[diagnostic(help(
        "EAGAIN: raise `ulimit -u` or the cgroup's pids.max; ENOMEM: free memory, or choose smaller data"
    ))]
    Fork {
        /// Its errno.
        errno: i32,
    },
    /// The user ended it.
    #[error("interrupted")]
    Interrupted,
    /// A socket failed, or what came out of it is no message.
    #[error("the {who} does not speak refcow's protocol while {doing}: {source}")]
    #[diagnostic(help("are refcow and refcow-subject of one build?"))]
    Protocol {
        /// Parent or child.
        who: &'static str,
        /// What it was about.
        doing: String,
        /// What was wrong.
        source: io::Error,
    },
}

/// Whether two paths lead to one folder.
fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn how(status: Option<ExitStatus>) -> String {
    match status {
        Some(status) => match (status.code(), status.signal().map(Signal::try_from)) {
            (Some(code), _) => format!("exited with status {code}"),
            (None, Some(Ok(signal))) => format!("was killed by {signal}"),
            (None, _) => format!("ended ({status})"),
        },
        None => "ended".into(),
    }
}

fn bus_note(status: Option<ExitStatus>) -> &'static str {
    match status.and_then(|status| status.signal()) {
        Some(signal) if signal == Signal::SIGBUS as i32 => {
            " (a shared mapping without memory behind it: /dev/shm or a disk was full)"
        }
        _ => "",
    }
}

/// How a subject is to be started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The `refcow-subject` program.
    pub program: PathBuf,
    /// The interpreter's shared library.
    pub libpython: PathBuf,
    /// `sys.version` as the interpreter's program says it: what the embedded one must say too.
    pub version: String,
    /// `sys.prefix` of the environment that it must find itself in.
    pub prefix: PathBuf,
    /// The folder of the environment's `python3`, by which the embedded interpreter finds its packages.
    pub bin: PathBuf,
    /// Its HOME. Where it is not set, Python looks the user up, and the heap of one user is not that of another.
    pub home: OsString,
    /// Its working folder; `None` for refcow's own. Python keeps its path, and the heap of one that starts elsewhere is
    /// another by some bytes.
    pub folder: Option<PathBuf>,
    /// How many channels it needs: the witness and all children.
    pub channels: usize,
    /// The time that one request or one visit may take.
    pub timeout: Duration,
}

/// A running subject: the parent of a measurement.
#[derive(Debug)]
pub struct Subject {
    process: std::process::Child,
    control: Line,
    channels: Vec<Line>,
    /// What the mapper writes to.
    map: File,
    timeout: Duration,
    mark: String,
    libpython: PathBuf,
    version: String,
    prefix: PathBuf,
}

/// A forked process of a subject: the witness or a child.
#[derive(Debug)]
pub struct Forked {
    /// Its process.
    pub pid: i32,
    channel: usize,
    ended: OwnedFd,
}

impl Subject {
    /// Starts the program. Python does not run in it yet.
    ///
    /// # Errors
    /// When there is no such program, or no socket.
    pub fn start(launch: &Launch) -> Result<Self, Error> {
        let fail = |source| Error::Start {
            program: launch.program.clone(),
            source,
        };
        // The dynamic loader only warns of a library that is not there, and goes on without.
        if !launch.libpython.is_file() {
            let libpython = launch.libpython.clone();
            return Err(Error::NoLibrary { libpython });
        }
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        for _ in 0..=launch.channels {
            let (our_end, their_end) = UnixStream::pair().map_err(fail)?;
            ours.push(our_end);
            // Far above the numbers that the subject will know them by, so that placing one overwrites no other.
            theirs.push(
                rustix::io::fcntl_dupfd_cloexec(&their_end, CONTROL_FD * 3)
                    .map_err(|errno| Error::Descriptors(errno.into()))?,
            );
        }
        let map = memfd_create("refcow-map", MFdFlags::MFD_CLOEXEC)
            .map(File::from)
            .map_err(|errno| Error::Descriptors(errno.into()))?;
        map.set_len(ASKED_BYTES).map_err(fail)?;
        let mut places: Vec<_> = theirs
            .iter()
            .map(AsRawFd::as_raw_fd)
            .zip(numbers())
            .collect();
        places.push((map.as_raw_fd(), MAP_FD));
        let mark = leftovers::mark().map_err(fail)?;
        let mut command = Command::new(&launch.program);
        command
            .arg0("refcow-subject")
            .env_clear()
            .envs(variables(launch))
            .env(leftovers::MARK, &mark)
            .stdin(Stdio::null())
            // What a fixture prints must not get between the lines of the report.
            .stdout(Stdio::from(io::stderr()))
            .process_group(0);
        if let Some(folder) = &launch.folder {
            command.current_dir(folder);
        }
        #[expect(
            unsafe_code,
            reason = "std has no safe way to pass descriptors on, nor a personality"
        )]
        // SAFETY: the closure runs between fork and exec and only makes system calls, none of which allocates or
        // takes a lock: dup2, prctl, personality, setrlimit. `places` was allocated before.
        unsafe {
            command.pre_exec(move || prepare(&places));
        }
        let process = command.spawn().map_err(fail)?;
        let mut lines = ours.into_iter().map(Line::new);
        let control = lines.next().expect("there is a pair for control");
        Ok(Self {
            process,
            control,
            channels: lines.collect(),
            map,
            timeout: launch.timeout,
            mark,
            libpython: launch.libpython.clone(),
            version: launch.version.clone(),
            prefix: launch.prefix.clone(),
        })
    }

    /// The parent's process.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.process.id()).expect("Linux counts processes in 31 bits")
    }

    /// Starts Python.
    ///
    /// # Errors
    /// As [`Error`] tells; when it is not the Python that was chosen, too.
    pub fn start_python(&mut self) -> Result<Started, Error> {
        match self.ask(&Request::Start, "starting Python")? {
            Answer::Started(started) if started.full_version != self.version => {
                Err(Error::OtherInterpreter {
                    libpython: self.libpython.clone(),
                    found: started.full_version,
                    wanted: self.version.clone(),
                })
            }
            Answer::Started(started) if !same(&started.prefix, &self.prefix) => {
                Err(Error::OtherEnvironment {
                    found: started.prefix,
                    wanted: self.prefix.clone(),
                })
            }
            Answer::Started(started) => Ok(started),
            other => Err(out_of_turn("starting Python", &other)),
        }
    }

    /// Executes a fixture's module; a user's own finds these arguments in `sys.argv`.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn load(
        &mut self,
        helpers: Vec<Module>,
        fixture: Module,
        arguments: Vec<String>,
    ) -> Result<(), Error> {
        let doing = format!("loading {}", fixture.file);
        let request = Request::Load {
            helpers,
            fixture,
            arguments,
        };
        match self.ask(&request, &doing)? {
            Answer::Loaded => Ok(()),
            other => Err(out_of_turn(&doing, &other)),
        }
    }

    /// Asks the fixture what its `build` would allocate.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn footprint(&mut self, arguments: &Arguments) -> Result<Option<Footprint>, Error> {
        let doing = "estimating its size";
        let request = match arguments {
            Arguments::Size(size) => Request::Footprint(*size),
            Arguments::Named(named) => Request::FootprintBy(named.clone()),
        };
        match self.ask(&request, doing)? {
            Answer::Footprint(footprint) => Ok(footprint),
            other => Err(out_of_turn(doing, &other)),
        }
    }

    /// Builds the dataset; the seconds it took, and what it was made with.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn build(&mut self, arguments: &Arguments) -> Result<(f64, BuiltWith), Error> {
        let doing = "building the dataset";
        let (request, size) = match arguments {
            Arguments::Size(size) => (Request::Build(*size), Some(*size)),
            Arguments::Named(named) => (Request::BuildBy(named.clone()), None),
        };
        match self.ask(&request, doing)? {
            Answer::Built { seconds, with } => {
                let of_size = BuiltWith {
                    count: size.map(|size| size.count),
                    item_bytes: size.map(|size| size.item_bytes),
                    nothing: false,
                };
                Ok((seconds, with.unwrap_or(of_size)))
            }
            other => Err(out_of_turn(doing, &other)),
        }
    }

    /// Has the parent prepare the data in one of the fixture's ways.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn prepare(&mut self, name: &str) -> Result<(), Error> {
        let doing = format!("preparing the data ({name})");
        match self.ask(&Request::Prepare { name: name.into() }, &doing)? {
            Answer::Prepared => Ok(()),
            other => Err(out_of_turn(&doing, &other)),
        }
    }

    /// Has the parent do something about the data; how many seconds it took and whether it made another object in its
    /// place, which [`adopt`](Self::adopt) puts there. Or why there is nothing to do.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn remedy(
        &mut self,
        name: &str,
        modules: Vec<Module>,
        function: &str,
    ) -> Result<Result<(f64, bool), String>, Error> {
        let doing = format!("preparing the data ({name})");
        let function = function.to_owned();
        match self.ask(&Request::Remedy { modules, function }, &doing)? {
            Answer::Remedied { seconds, replaced } => Ok(Ok((seconds, replaced))),
            Answer::DoesNotApply { reason } => Ok(Err(reason)),
            other => Err(out_of_turn(&doing, &other)),
        }
    }

    /// Has a forked process make a visit with the data and with what a remedy made of it: why that is not the same, if
    /// it is not, and whether the visit returned anything to tell by.
    ///
    /// # Errors
    /// As [`Error`] tells. After all but a time limit the subject is as before.
    pub fn compare(&mut self, visit: &str) -> Result<(Option<String>, bool), Error> {
        let doing = format!("visiting other objects in the place of the data ({visit})");
        let fork = Fork {
            channel: WITNESS,
            job: Job::Compare { name: visit.into() },
        };
        let forked = self.fork(vec![fork], |_| Ok::<_, Error>(()))?;
        let compared = match self.hear(&forked[0], &doing) {
            Ok(Report::Compared { differs, returned }) => Ok((differs, returned)),
            Ok(other) => return Err(out_of_turn(&doing, &other)),
            // It waits to be dismissed.
            Err(error @ Error::Raised { .. }) => Err(error),
            Err(error) => return Err(error),
        };
        self.dismiss(forked)?;
        compared
    }

    /// Lets go of the data, and puts in its place what the remedy made of it.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn adopt(&mut self) -> Result<(), Error> {
        let doing = "putting other objects in the place of the data";
        match self.ask(&Request::Adopt, doing)? {
            Answer::Prepared => Ok(()),
            other => Err(out_of_turn(doing, &other)),
        }
    }

    /// Calls a function of the fixture's module; what it returned.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn call(&mut self, function: &str, arguments: Vec<Value>) -> Result<Value, Error> {
        let doing = format!("in {function}()");
        let request = Request::Call {
            function: function.into(),
            arguments,
        };
        match self.ask(&request, &doing)? {
            Answer::Returned(value) => Ok(value),
            other => Err(out_of_turn(&doing, &other)),
        }
    }

    /// Maps plain pages instead of a dataset, private or shared; the number of the first.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn fill(&mut self, pages: u64, shared: bool) -> Result<u64, Error> {
        let doing = "filling plain pages";
        match self.ask(&Request::Fill { pages, shared }, doing)? {
            Answer::Filled { first_page } => Ok(first_page),
            other => Err(out_of_turn(doing, &other)),
        }
    }

    /// Has the parent write one byte into one of the plain pages, counted from 0.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn write(&mut self, page: u64) -> Result<(), Error> {
        let doing = "writing a plain page";
        match self.ask(&Request::Write { page }, doing)? {
            Answer::Wrote => Ok(()),
            other => Err(out_of_turn(doing, &other)),
        }
    }

    /// Forks processes, which then wait. `armed` runs before each fork, while the parent waits with all else done; it
    /// is told how many have been forked.
    ///
    /// # Errors
    /// As [`Error`] tells, or what `armed` returns.
    pub fn fork<E: From<Error>>(
        &mut self,
        forks: Vec<Fork>,
        mut armed: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<Vec<Forked>, E> {
        self.fork_by(forks, |subject, so_far| {
            armed(so_far)?;
            Ok(subject.go("forking")?)
        })
    }

    /// Forks one process and compares it with the parent at the very moment, before either goes on.
    ///
    /// # Errors
    /// As [`Error`] tells, or why they cannot be compared.
    pub fn fork_and_compare<E>(&mut self, fork: Fork) -> Result<(Forked, AtFork), E>
    where
        E: From<Error> + From<observe::Error> + From<Disagreement>,
    {
        let mut compared = None;
        let pid = self.pid();
        let doing = "forking";
        let deadline = Instant::now() + self.timeout;
        let forked = self.fork_by(vec![fork], |subject, _| {
            // Both use it, one after the other.
            let subject = RefCell::new(subject);
            let go = || Ok::<_, E>(subject.borrow_mut().go(doing)?);
            let spoke = || Ok::<_, E>(subject.borrow_mut().has_spoken(doing, deadline)?);
            compared = observe::at_next_fork(pid, go, spoke)?;
            Ok::<_, E>(())
        })?;
        let forked = forked.into_iter().next();
        Ok(forked
            .zip(compared)
            .expect("one process was forked, and compared"))
    }

    /// Forks processes; `release` lets the parent, which waits before each fork, go on.
    fn fork_by<E: From<Error>>(
        &mut self,
        forks: Vec<Fork>,
        mut release: impl FnMut(&mut Self, usize) -> Result<(), E>,
    ) -> Result<Vec<Forked>, E> {
        let doing = "forking";
        let channels: Vec<_> = forks.iter().map(|fork| fork.channel).collect();
        let mut answer = self.ask(&Request::Fork(forks), doing)?;
        let mut forked = Vec::new();
        for channel in channels {
            if !matches!(answer, Answer::Armed) {
                return Err(out_of_turn(doing, &answer).into());
            }
            release(self, forked.len())?;
            let pid = match self.answer(doing)? {
                Answer::Forked { pid } => pid,
                Answer::ForkFailed { errno } => return Err(Error::Fork { errno }.into()),
                other => return Err(out_of_turn(doing, &other).into()),
            };
            let ended = watch(pid).map_err(|source| Error::Protocol {
                who: "child",
                doing: doing.into(),
                source,
            })?;
            forked.push(Forked {
                pid,
                channel,
                ended,
            });
            answer = self.answer(doing)?;
        }
        if !matches!(answer, Answer::AllForked) {
            return Err(out_of_turn(doing, &answer).into());
        }
        for child in &forked {
            match self.hear(child, doing)? {
                Report::Ready => {}
                other => return Err(out_of_turn(doing, &other).into()),
            }
        }
        Ok(forked)
    }

    /// Releases the waiting parent.
    fn go(&mut self, doing: &str) -> Result<(), Error> {
        match self.control.send(&[GO]) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.lost(doing, error)),
        }
    }

    /// Releases a waiting process.
    ///
    /// # Errors
    /// When it is gone.
    pub fn release(&mut self, forked: &Forked, doing: &str) -> Result<(), Error> {
        match self.channels[forked.channel].send(&[GO]) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.child_lost(forked, doing, error)),
        }
    }

    /// The next message of a forked process.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn hear(&mut self, forked: &Forked, doing: &str) -> Result<Report, Error> {
        let deadline = Instant::now() + self.timeout;
        match self.channels[forked.channel].next(&forked.ended, deadline) {
            Ok(Report::Raised(raised)) => Err(Error::Raised {
                doing: doing.into(),
                raised,
            }),
            Ok(report) => Ok(report),
            Err(error) => Err(self.child_lost(forked, doing, error)),
        }
    }

    /// Has a forked process find the pages of the dataset, and with `objects` all objects.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn map(&mut self, objects: bool) -> Result<(RegionMap, ObjectMap), Error> {
        let doing = "finding the pages of the dataset";
        let job = Job::Map { objects };
        let fork = Fork {
            channel: WITNESS,
            job,
        };
        let mapper = self.fork(vec![fork], |_| Ok::<_, Error>(()))?;
        let map = match self.hear(&mapper[0], doing) {
            Ok(Report::Mapped(map)) => map,
            Ok(other) => return Err(out_of_turn(doing, &other)),
            Err(Error::Died { who, doing, status }) => {
                let doing = match self.asked_last() {
                    Some(of_type) => {
                        format!("{doing}, in what the type `{of_type}` has as its tp_traverse")
                    }
                    None => doing,
                };
                return Err(Error::Died { who, doing, status });
            }
            Err(error) => return Err(error),
        };
        let mut read = || {
            self.map.seek(SeekFrom::Start(ASKED_BYTES))?;
            let objects = match objects {
                true => ObjectMap::read(&self.map)?,
                false => ObjectMap::default(),
            };
            // It is memory, which the children would otherwise be short of.
            self.map.set_len(ASKED_BYTES)?;
            Ok(objects)
        };
        let objects = read().map_err(|source| Error::Protocol {
            who: "subject",
            doing: doing.into(),
            source,
        })?;
        self.dismiss(mapper)?;
        Ok((map, objects))
    }

    /// The type whose object the mapper, now dead, was asking what it refers to.
    fn asked_last(&self) -> Option<String> {
        let number = |place| {
            let mut word = [0; 8];
            self.map.read_exact_at(&mut word, place).ok()?;
            Some(u64::from_ne_bytes(word))
        };
        let place = number(0).filter(|place| *place != 0)?;
        let length = number(place).filter(|length| *length < ASKED_BYTES)?;
        let mut name = vec![0; usize::try_from(length).ok()?];
        self.map.read_exact_at(&mut name, place + 8).ok()?;
        Some(String::from_utf8_lossy(&name).into_owned())
    }

    /// Lets processes end and waits until each has.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn dismiss(&mut self, all: Vec<Forked>) -> Result<(), Error> {
        for forked in &all {
            self.release(forked, "ending")?;
        }
        for forked in all {
            let status = self.reap(&forked)?;
            if !status.success() {
                return Err(Error::Died {
                    who: "child",
                    doing: "ending".into(),
                    status: Some(status),
                });
            }
        }
        Ok(())
    }

    /// How a child ended, after it did or while it does.
    fn reap(&mut self, forked: &Forked) -> Result<ExitStatus, Error> {
        let doing = "waiting for a child's end";
        match self.ask(&Request::Reap { pid: forked.pid }, doing)? {
            Answer::Reaped { status } => Ok(ExitStatus::from_raw(status)),
            other => Err(out_of_turn(doing, &other)),
        }
    }

    fn ask(&mut self, request: &Request, doing: &str) -> Result<Answer, Error> {
        let mut line = serde_json::to_vec(request).expect("a request is plain data");
        line.push(b'\n');
        match self.control.send(&line) {
            Ok(()) => self.answer(doing),
            Err(error) => Err(self.lost(doing, error)),
        }
    }

    fn answer(&mut self, doing: &str) -> Result<Answer, Error> {
        let deadline = Instant::now() + self.timeout;
        let answer = watch(self.pid())
            .map_err(Lost::Broken)
            .and_then(|ended| self.control.next(&ended, deadline));
        match answer {
            Ok(Answer::Raised(raised)) => Err(Error::Raised {
                doing: doing.into(),
                raised,
            }),
            Ok(Answer::Refused { reason, help }) => Err(Error::Refused { reason, help }),
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.lost(doing, error)),
        }
    }

    /// Waits a moment; whether there is an answer to read now, or the parent has ended.
    fn has_spoken(&mut self, doing: &str, deadline: Instant) -> Result<bool, Error> {
        const MOMENT: Duration = Duration::from_micros(200);
        let now = Instant::now();
        let woken = watch(self.pid()).and_then(|ended| {
            let mut fds = [
                PollFd::new(&self.control.socket, PollFlags::IN),
                PollFd::new(&ended, PollFlags::IN),
            ];
            interrupt::wait(&mut fds, Some(deadline.min(now + MOMENT)))
        });
        let lost = match woken {
            Ok(Wake::Ready) => return Ok(true),
            Ok(Wake::TimedOut) if now < deadline => return Ok(false),
            Ok(Wake::TimedOut) => Lost::TimedOut,
            Ok(Wake::Interrupted) => Lost::Interrupted,
            Err(error) => Lost::Broken(error),
        };
        Err(self.lost(doing, lost))
    }

    /// Why the parent does not answer.
    fn lost(&mut self, doing: &str, lost: impl Into<Lost>) -> Error {
        let lost = lost.into();
        let status = lost.is_end().then(|| self.process.wait().ok()).flatten();
        lost.explain("parent", doing, status, self.timeout)
    }

    /// Why a child does not answer. Its parent knows how it ended.
    fn child_lost(&mut self, forked: &Forked, doing: &str, lost: impl Into<Lost>) -> Error {
        let lost = lost.into();
        let status = if lost.is_end() {
            match self.reap(forked) {
                Ok(status) => Some(status),
                // The parent went first, and its children with it: that is the story to tell.
                Err(error) => return error,
            }
        } else {
            None
        };
        lost.explain("child", doing, status, self.timeout)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        leftovers::end(&mut self.process, &self.mark);
    }
}

/// The subject's numbers of its sockets: control, then the channels.
fn numbers() -> impl Iterator<Item = RawFd> {
    std::iter::once(CONTROL_FD).chain((0..).map(channel_fd))
}

/// Runs in the new process between fork and exec: async-signal-safe calls only.
fn prepare(places: &[(RawFd, RawFd)]) -> io::Result<()> {
    for (source, target) in places {
        #[expect(
            unsafe_code,
            reason = "placing a descriptor at a number of one's own choice"
        )]
        // SAFETY: `source` is open here (a copy of the observer's), and nothing in this process owns `target`, whose
        // number is above all that were open; what exec then keeps is this copy alone.
        let placed = unsafe { nix::libc::dup2(*source, *target) };
        nix::errno::Errno::result(placed)?;
    }
    // Killed with the observer, however that ends. (prctl(2): of the thread that started it, which is the main one.)
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // A fixture that crashes leaves no core file behind.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // Same addresses in each run: without it counts vary by a page or two. Containers may forbid it (a warning).
    if let Ok(persona) = personality::get() {
        let _ = personality::set(persona | Persona::ADDR_NO_RANDOMIZE);
    }
    Ok(())
}

/// Strings and bytes have the same hashes in each run, and sets the same order.
pub const HASH_SEED: u64 = 0;

/// The subject's whole environment: what makes runs alike, and no more of the user's than Python needs.
fn variables(launch: &Launch) -> Vec<(&'static str, OsString)> {
    let mut path = launch.bin.clone().into_os_string();
    path.push(":/usr/local/bin:/usr/bin:/bin");
    let mut variables: Vec<(&str, OsString)> = vec![
        ("PATH", path),
        ("LD_PRELOAD", launch.libpython.clone().into()),
        ("HOME", launch.home.clone()),
        ("LANG", "C.UTF-8".into()),
        ("PYTHONHASHSEED", HASH_SEED.to_string().into()),
        ("PYTHONNOUSERSITE", "1".into()),
        // A run that writes byte code and the next, which finds it, would not have the same heap.
        ("PYTHONDONTWRITEBYTECODE", "1".into()),
        // Threads would write while children run, and fork copies none of them.
        ("OPENBLAS_NUM_THREADS", "1".into()),
        ("OMP_NUM_THREADS", "1".into()),
        ("MKL_NUM_THREADS", "1".into()),
        // NumPy asks for huge pages by itself (numpy/numpy#15769).
        ("NUMPY_MADVISE_HUGEPAGE", "0".into()),
    ];
    // OpenBLAS and where temporary files go are the machine's matter.
    for name in ["OPENBLAS_CORETYPE", "TMPDIR"] {
        variables.extend(std::env::var_os(name).map(|value| (name, value)));
    }
    variables
}

/// A descriptor that becomes readable when the process ends (Linux 5.3). Works for other processes than one's own
/// children, which `waitpid` does not.
pub(crate) fn watch(pid: i32) -> io::Result<OwnedFd> {
    let pid = rustix::process::Pid::from_raw(pid)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

pub(crate) fn out_of_turn(doing: &str, answer: &impl Serialize) -> Error {
    Error::Protocol {
        who: "subject",
        doing: doing.into(),
        source: io::Error::other(serde_json::to_string(answer).unwrap_or_default()),
    }
}

/// Why a line did not come.
enum Lost {
    Ended,
    TimedOut,
    Interrupted,
    Broken(io::Error),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Ended,
            _ => Self::Broken(error),
        }
    }
}

impl Lost {
    fn is_end(&self) -> bool {
        matches!(self, Self::Ended)
    }

    fn explain(
        self,
        who: &'static str,
        doing: &str,
        status: Option<ExitStatus>,
        limit: Duration,
    ) -> Error {
        let doing = doing.to_owned();
        match self {
            Self::Ended => Error::Died { who, doing, status },
            Self::TimedOut => Error::TimedOut { who, doing, limit },
            Self::Interrupted => Error::Interrupted,
            Self::Broken(source) => Error::Protocol { who, doing, source },
        }
    }
}

/// The observer's end of a socket.
#[derive(Debug)]
struct Line {
    socket: UnixStream,
    received: Vec<u8>,
}

impl Line {
    fn new(socket: UnixStream) -> Self {
        Self {
            socket,
            received: Vec::new(),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        Ok(self.socket.write_all(bytes)?)
    }

    /// The next message of a process whose end makes `ended` readable.
    ///
    /// The socket's own end says nothing: other processes hold the same end open.
    fn next<T: DeserializeOwned>(&mut self, ended: &OwnedFd, deadline: Instant) -> Result<T, Lost> {
        let mut chunk = [0; 1 << 16];
        let mut searched = 0;
        let end = loop {
            // Parent and observer may be a message apart: what follows the line is the next one.
            let line = self.received[searched..]
                .iter()
                .position(|byte| *byte == b'\n');
            if let Some(line) = line {
                break searched + line;
            }
            searched = self.received.len();
            let mut fds = [
                PollFd::new(&self.socket, PollFlags::IN),
                PollFd::new(ended, PollFlags::IN),
            ];
            match interrupt::wait(&mut fds, Some(deadline))? {
                Wake::Interrupted => return Err(Lost::Interrupted),
                Wake::TimedOut => return Err(Lost::TimedOut),
                Wake::Ready => {}
            }
            // What it said before it ended still counts.
            if fds[0].revents().is_empty() {
                return Err(Lost::Ended);
            }
            match self.socket.read(&mut chunk)? {
                0 => return Err(Lost::Ended),
                bytes => self.received.extend_from_slice(&chunk[..bytes]),
            }
        };
        let message = serde_json::from_slice(&self.received[..end]).map_err(io::Error::from)?;
        self.received.drain(..=end);
        Ok(message)
    }
}
