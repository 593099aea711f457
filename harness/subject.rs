//! Starts a `refcow-subject`, speaks the protocol with it and its children, and leaves no process behind.
//!
//! Every wait ends with the answer, the death of the process, the time limit or an interruption (Ctrl-C), whichever
//! comes first. Dropping a [`Subject`] kills its process group, lets a resource tracker of Python's in it remove shared
//! memory first, and waits for it.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::personality::{self, Persona};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
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
use crate::places::Places;
use crate::protocol::{
    ASKED_BYTES, Answer, Arguments, BuiltWith, Footprint, Fork, GO, Job, Module, NOT_LOADED,
    Raised, Report, Request, Started, WITNESS,
};
use crate::python::LIBRARY_PATH;

/// Why there is no answer.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// The interpreter could not be started with refcow-subject in it.
    #[error("cannot start an interpreter with {}: {source}", library.display())]
    #[diagnostic(help("refcow-subject belongs beside refcow: install or build both"))]
    Start {
        /// refcow-subject.
        library: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The interpreter has gone since it was found.
    #[error("{}: {source}", interpreter.display())]
    #[diagnostic(help(
        "the interpreter was removed, or replaced by another version, while refcow ran: run it again"
    ))]
    NoInterpreter {
        /// Its program.
        interpreter: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The dynamic loader did not load refcow-subject into the interpreter, or could not.
    #[error("refcow-subject does not run inside {} (status {status})", interpreter.display())]
    #[diagnostic(help(
        "refcow preloads a library into the interpreter's own program (LD_PRELOAD), which must be linked dynamically with \
         glibc and export Python's functions; what the loader said stands above. Choose another interpreter: --python"
    ))]
    NotLoaded {
        /// The interpreter's program.
        interpreter: PathBuf,
        /// The exit status.
        status: i32,
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
    #[error("{} is CPython {found} now, and was {wanted} when it was asked", interpreter.display())]
    #[diagnostic(help(
        "the interpreter was replaced while refcow ran: run it again, or choose another"
    ))]
    OtherInterpreter {
        /// Its program.
        interpreter: PathBuf,
        /// What it says now.
        found: String,
        /// What it said.
        wanted: String,
    },
    /// Python found itself in another environment than the one that was chosen.
    #[error("Python started in {}, not in {}", found.display(), wanted.display())]
    #[diagnostic(help(
        "the environment was removed or damaged while refcow ran: make it anew, or choose another interpreter"
    ))]
    OtherEnvironment {
        /// `sys.prefix` of the running one.
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
    /// refcow-subject, a library that is preloaded into the interpreter.
    pub library: PathBuf,
    /// The interpreter's own program, no link to it.
    pub interpreter: PathBuf,
    /// What its `sys.executable` is to be: by it Python finds its environment.
    pub executable: PathBuf,
    /// Whether it only starts with the user's `LD_LIBRARY_PATH`.
    pub needs_library_path: bool,
    /// `sys.version` as the interpreter says it: what the running one must say too.
    pub version: String,
    /// `sys.prefix` of the environment that it must find itself in.
    pub prefix: PathBuf,
    /// What it finds around itself.
    pub surroundings: Surroundings,
    /// How many channels it needs: the witness and all children.
    pub channels: usize,
    /// The time that one request or one visit may take.
    pub timeout: Duration,
}

/// What a subject finds around itself: all of it can reach the heap that is measured.
#[derive(Clone, Debug)]
pub enum Surroundings {
    /// The same everywhere, for code that needs nothing of the user's: paths of one length, a home and a working folder
    /// that every machine has, no variable and no descriptor of whoever started refcow.
    Fixed(Places),
    /// The user's own home, working folder, temporary files and descriptors: what a program of the user's would have.
    Users,
}

/// A running subject: the parent of a measurement.
#[derive(Debug)]
pub struct Subject {
    process: std::process::Child,
    control: Line,
    channels: Vec<Line>,
    /// What the mapper writes to.
    map: File,
    mark: String,
    launch: Launch,
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
            library: launch.library.clone(),
            source,
        };
        let interpreter = open(&launch.interpreter).map_err(|source| Error::NoInterpreter {
            interpreter: launch.interpreter.clone(),
            source,
        })?;
        let library = open(&launch.library).map_err(fail)?;
        let mut ours = Vec::new();
        let mut theirs = Vec::new();
        for _ in 0..=launch.channels {
            let (our_end, their_end) = UnixStream::pair().map_err(Error::Descriptors)?;
            ours.push(Line::new(our_end));
            theirs.push(OwnedFd::from(their_end));
        }
        let map = memfd_create("refcow-map", MFdFlags::MFD_CLOEXEC)
            .map(File::from)
            .map_err(|errno| Error::Descriptors(errno.into()))?;
        map.set_len(ASKED_BYTES).map_err(fail)?;
        let mark = leftovers::mark().map_err(fail)?;
        // Of what this process was given itself, a program of the user's own gets all.
        let closed = match &launch.surroundings {
            Surroundings::Fixed(_) => inherited().map_err(Error::Descriptors)?,
            Surroundings::Users => Vec::new(),
        };
        let kept = library.as_raw_fd();
        let control = theirs.remove(0);
        // By their descriptors, whose names have one length, and no space or colon, at which the loader would split.
        let mut command = Command::new(by_descriptor(&interpreter));
        command
            .arg0("refcow-subject")
            // For Python's own `main`, which only runs if refcow-subject does not run in its place.
            .args(["-I", "-S", "-c", &format!("raise SystemExit({NOT_LOADED})")])
            .env_clear()
            .envs(variables(launch))
            .env("LD_PRELOAD", by_descriptor(&library))
            .env(leftovers::MARK, &mark)
            .stdin(control)
            // What a fixture prints must not get between the lines of the report.
            .stdout(Stdio::from(io::stderr()))
            .process_group(0);
        if let Surroundings::Fixed(_) = &launch.surroundings {
            command.current_dir(NO_HOME);
        }
        let fixed = matches!(launch.surroundings, Surroundings::Fixed(_));
        #[expect(unsafe_code, reason = "std has no safe way to do any of this")]
        // SAFETY: the closure runs between fork and exec and only makes system calls, none of which allocates or
        // takes a lock: fcntl, prctl, personality, getrlimit, setrlimit. `closed` was allocated before.
        unsafe {
            command.pre_exec(move || prepare(kept, &closed, fixed));
        }
        let process = command.spawn().map_err(fail)?;
        drop(command);
        let mut subject = Self {
            process,
            control: ours.remove(0),
            channels: ours,
            map,
            mark,
            launch: launch.clone(),
        };
        let handed: Vec<_> = std::iter::once(subject.map.as_raw_fd())
            .chain(theirs.iter().map(AsRawFd::as_raw_fd))
            .collect();
        match subject.control.hand_over(&handed) {
            Ok(()) => Ok(subject),
            Err(error) => Err(subject.lost("starting", error)),
        }
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
        let start = Request::Start {
            executable: match &self.launch.surroundings {
                Surroundings::Fixed(places) => places.standing_for(&self.launch.executable),
                Surroundings::Users => self.launch.executable.clone(),
            },
            variables: of_libraries(),
        };
        match self.ask(&start, "starting Python")? {
            Answer::Started(started) if started.full_version != self.launch.version => {
                Err(Error::OtherInterpreter {
                    interpreter: self.launch.interpreter.clone(),
                    found: started.full_version,
                    wanted: self.launch.version.clone(),
                })
            }
            Answer::Started(started) if !same(&started.prefix, &self.launch.prefix) => {
                Err(Error::OtherEnvironment {
                    found: started.prefix,
                    wanted: self.launch.prefix.clone(),
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
        let deadline = Instant::now() + self.launch.timeout;
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
        let deadline = Instant::now() + self.launch.timeout;
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
        let deadline = Instant::now() + self.launch.timeout;
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
        match status.and_then(|status| status.code()) {
            // 127: the loader found a library, or a symbol, missing.
            Some(status @ (NOT_LOADED | 127)) => Error::NotLoaded {
                interpreter: self.launch.interpreter.clone(),
                status,
            },
            _ => lost.explain("parent", doing, status, self.launch.timeout),
        }
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
        lost.explain("child", doing, status, self.launch.timeout)
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        leftovers::end(&mut self.process, &self.mark);
    }
}

/// A home and a working folder for code that needs none: every machine has it, and every user may enter it.
const NO_HOME: &str = "/";

/// Opens a file to be found by its descriptor.
fn open(path: &Path) -> io::Result<File> {
    let file = File::options()
        .read(true)
        .custom_flags(nix::libc::O_PATH)
        .open(path)?;
    // A folder can be opened so, too.
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::from(io::ErrorKind::PermissionDenied)),
    }
}

/// A path of one length for any file: what stands in the environment, and the path of the program, are on the stack.
fn by_descriptor(file: &File) -> String {
    format!("/proc/self/fd/{:/>8}", file.as_raw_fd())
}

/// Descriptors that programs which this process starts would have, besides the first three: those of whoever started it.
fn inherited() -> io::Result<Vec<RawFd>> {
    let own = procfs::process::Process::myself().map_err(io::Error::other)?;
    let all = own.fd().map_err(io::Error::other)?.flatten();
    let numbers = all.map(|entry| entry.fd).filter(|number| *number > 2);
    Ok(numbers
        .filter(|number| {
            let flags = nix::libc::FD_CLOEXEC;
            get_flags(*number).is_ok_and(|set| set & flags == 0)
        })
        .collect())
}

fn get_flags(number: RawFd) -> io::Result<i32> {
    #[expect(unsafe_code, reason = "the descriptor has no owner in this program")]
    // SAFETY: F_GETFD reads a flag of a descriptor, and fails with EBADF where there is none.
    let flags = unsafe { nix::libc::fcntl(number, nix::libc::F_GETFD) };
    Ok(nix::errno::Errno::result(flags)?)
}

fn set_flags(number: RawFd, flags: i32) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the descriptor has no owner in this program")]
    // SAFETY: F_SETFD writes a flag of a descriptor of this process alone, which is about to become another program; it
    // fails with EBADF where there is none.
    let set = unsafe { nix::libc::fcntl(number, nix::libc::F_SETFD, flags) };
    nix::errno::Errno::result(set)?;
    Ok(())
}

/// Runs in the new process between fork and exec: async-signal-safe calls only.
fn prepare(kept: RawFd, closed: &[RawFd], fixed: bool) -> io::Result<()> {
    for number in closed {
        // One that has gone meanwhile needs no flag.
        let _ = set_flags(*number, nix::libc::FD_CLOEXEC);
    }
    set_flags(kept, 0)?;
    if fixed {
        // Where the kernel begins with mappings depends on it.
        const STACK_BYTES: u64 = 8 << 20;
        let (_, most) = getrlimit(Resource::RLIMIT_STACK)?;
        setrlimit(Resource::RLIMIT_STACK, STACK_BYTES.min(most), most)?;
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
    const SYSTEMS: &str = "/usr/local/bin:/usr/bin:/bin";
    let mut variables: Vec<(&str, OsString)> = vec![
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
    let mut users = Vec::new();
    match &launch.surroundings {
        Surroundings::Fixed(places) => {
            if launch.needs_library_path {
                users.push(LIBRARY_PATH);
            }
            variables.extend([
                ("PATH", SYSTEMS.into()),
                // Where it is not set, Python looks the user up.
                ("HOME", NO_HOME.into()),
                ("TMPDIR", places.temporary().into()),
            ]);
        }
        Surroundings::Users => {
            let bin = launch.executable.parent().unwrap_or(Path::new("/"));
            let mut path = bin.as_os_str().to_owned();
            path.push(":");
            path.push(SYSTEMS);
            variables.push(("PATH", path.into()));
            users.extend(["HOME", "TMPDIR", LIBRARY_PATH]);
        }
    }
    for name in users {
        variables.extend(std::env::var_os(name).map(|value| (name, value)));
    }
    variables
}

/// Variables by which OpenBLAS is told what the machine's processor can do.
fn of_libraries() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("OPENBLAS_") && name != "OPENBLAS_NUM_THREADS")
        .collect()
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

    /// Sends descriptors, with the first byte that the subject reads.
    fn hand_over(&mut self, descriptors: &[RawFd]) -> Result<(), Lost> {
        let sent = sendmsg::<()>(
            self.socket.as_raw_fd(),
            &[IoSlice::new(&[GO])],
            &[ControlMessage::ScmRights(descriptors)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        );
        sent.map(drop)
            .map_err(|errno| io::Error::from(errno).into())
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
