//! Starts a `refcow-subject`, speaks the protocol with it and its children, and leaves no process behind.
//!
//! Every wait ends with the answer, the death of the process, the time limit or an interruption (Ctrl-C), whichever
//! comes first. Dropping a [`Subject`] has its keeper end everything that it has started, and waits for that.

use std::cell::RefCell;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::deadlock;
use crate::deferred;
use crate::fixed_paths::FixedPaths;
use crate::interrupt::{self, Wake};
use crate::keeper::{self, Kept};
use crate::leftovers;
use crate::model::RegionMap;
use crate::objects::ObjectMap;
use crate::observe::{self, AtFork, Disagreement};
use crate::process::{self, watch};
use crate::protocol::{
    ASKED_BYTES, Answer, Arguments, BuiltWith, CLOSED_DESCRIPTORS, FIRST_DESCRIPTOR, Footprint,
    Fork, GO, Job, Module, NOT_LOADED, Raised, Report, Request, Started, WITNESS,
};
use crate::python::LIBRARY_PATH;
use crate::raised::{self, Around};
use crate::run_name::RunName;
use crate::variables::HASH_SEED;

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
         glibc and export Python's functions; the loader's message is above. Choose another interpreter: --python"
    ))]
    NotLoaded {
        /// The interpreter's program.
        interpreter: PathBuf,
        /// The exit status.
        status: i32,
    },
    /// Too few descriptors.
    #[error("cannot open all that measuring takes: {0}")]
    #[diagnostic(help("{}", process::RAISE_OPEN_FILES))]
    Descriptors(io::Error),
    /// It ended by itself.
    #[error("the {who} {} while {doing}{}", how(*status), bus_note(*status))]
    #[diagnostic(help("its own messages are above; try the same in a plain Python script"))]
    Died {
        /// Parent or child.
        who: &'static str,
        /// What it was about.
        doing: String,
        /// How it ended, if that could be learned.
        status: Option<ExitStatus>,
    },
    /// It can be heard no longer.
    #[error("the measured code has closed refcow's file descriptors (seen while {doing})")]
    #[diagnostic(help(
        "close what your code has opened, and leave the numbers from {FIRST_DESCRIPTOR} on alone: \
         os.closerange(3, {FIRST_DESCRIPTOR}) does"
    ))]
    ClosedDescriptors {
        /// What was going on when that was seen. They may have been closed before.
        doing: String,
    },
    /// It took too long.
    #[error("the {who} did not finish {doing} within {} s", limit.as_secs_f64())]
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
    /// A child waits for a lock that nobody will release.
    #[error("the child did not finish {doing} within {} s: {why}", limit.as_secs_f64())]
    Locked {
        /// What it was about.
        doing: String,
        /// The limit.
        limit: Duration,
        /// What is known of the lock.
        why: String,
        /// What to do.
        #[help]
        help: String,
    },
    /// Python raised an exception.
    #[error("{doing} raised {}\n\n{}", raised.summary, raised.traceback.trim_end())]
    Raised {
        /// What it was about.
        doing: String,
        /// The exception.
        raised: Raised,
        /// What to do.
        #[help]
        help: String,
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

/// Why something was not opened.
fn opening(source: io::Error, otherwise: impl FnOnce(io::Error) -> Error) -> Error {
    match process::is_out_of_descriptors(&source) {
        true => Error::Descriptors(source),
        false => otherwise(source),
    }
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
    /// refcow's own program, which is the subject's keeper, too.
    pub keeper: PathBuf,
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
    /// Variables that the user gives it, in the place of others of these names.
    pub variables: Vec<(OsString, OsString)>,
    /// Whether it has transparent huge pages as the user's own program would have them, or none.
    pub keep_huge_pages: bool,
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
    Fixed(FixedPaths),
    /// The user's own home, working folder, temporary files and descriptors: what a program of the user's would have.
    Users,
}

/// A running subject: the parent of a measurement.
#[derive(Debug)]
pub struct Subject {
    kept: Kept,
    control: Line,
    channels: Vec<Line>,
    /// What the mapper writes to.
    map: File,
    name: RunName,
    launch: Launch,
    /// Forked processes that have not been waited for, by their numbers, which are nobody else's until then.
    alive: Vec<i32>,
    /// The threads that the parent had besides the one that forks, when it last did.
    threads_at_fork: Vec<(i32, String)>,
    /// The user's file, once it is loaded.
    file: Option<PathBuf>,
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
    /// All of `sys.version`, which the program had before it was started and has been compared with what runs.
    pub fn version(&self) -> &str {
        &self.launch.version
    }

    /// Starts the program. Python does not run in it yet.
    ///
    /// # Errors
    /// When there is no such program, or no socket.
    pub fn start(launch: &Launch) -> Result<Self, Error> {
        let fail = |source| {
            opening(source, |source| Error::Start {
                library: launch.library.clone(),
                source,
            })
        };
        let interpreter = open(&launch.interpreter).map_err(|source| {
            opening(source, |source| Error::NoInterpreter {
                interpreter: launch.interpreter.clone(),
                source,
            })
        })?;
        let library = open(&launch.library).map_err(fail)?;
        leftovers::sweep();
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
        let name = RunName::new().map_err(fail)?;
        let control = theirs.remove(0);
        let fixed = matches!(launch.surroundings, Surroundings::Fixed(_));
        let program = keeper::Program {
            argv0: "refcow-subject".into(),
            // For Python's own `main`, which only runs if refcow-subject does not run in its place.
            arguments: ["-I", "-S", "-c", &format!("raise SystemExit({NOT_LOADED})")]
                .map(OsString::from)
                .into(),
            variables: variables(launch),
            fixed,
            folder: fixed.then(|| NO_HOME.into()),
        };
        let handed = keeper::Handed {
            program: interpreter.as_fd(),
            preload: library.as_fd(),
            stdin: control.as_fd(),
        };
        let kept = match keeper::start(&launch.keeper, program, &name, handed) {
            Ok(kept) => kept,
            Err(_) if interrupt::requested() => return Err(Error::Interrupted),
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
                Answer::Kept => {}
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
    pub fn name(&self) -> &RunName {
        &self.name
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
        self.file = fixture.folder.as_ref().map(|_| fixture.file.clone().into());
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

    /// Looks at functions of a user's file, each of which will be called: whether a call runs them.
    ///
    /// # Errors
    /// [`Error::Refused`] where it does not; else as [`Error`] tells.
    pub fn look(&mut self, functions: Vec<String>) -> Result<(), Error> {
        let doing = "looking at the file's functions";
        match self.ask(&Request::Look { functions }, doing)? {
            Answer::Loaded => Ok(()),
            Answer::Deferred {
                function,
                kind,
                place: (file, line),
            } => {
                let reason = deferred::reason(&function, kind);
                Err(Error::Refused {
                    reason: format!("{reason} ({file}:{line})"),
                    help: deferred::help(&function, kind),
                })
            }
            other => Err(out_of_turn(doing, &other)),
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

    /// Has the parent prepare the data in one of the fixture's ways; where it has none of that name, by these functions of the
    /// module `gc`.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn prepare(&mut self, name: &str, steps: &[&str]) -> Result<(), Error> {
        let doing = format!("preparing the data ({name})");
        let request = Request::Prepare {
            name: name.into(),
            steps: steps.iter().map(|step| (*step).to_owned()).collect(),
        };
        match self.ask(&request, &doing)? {
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
        let doing = format!("running {function}()");
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
        self.threads_at_fork = observe::other_threads(self.pid());
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
            self.alive.push(pid);
            let ended = watch(pid).map_err(|source| {
                opening(source, |source| Error::Protocol {
                    who: "child",
                    doing: doing.into(),
                    source,
                })
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
        self.send(&[GO], doing)
    }

    fn send(&mut self, bytes: &[u8], doing: &str) -> Result<(), Error> {
        let deadline = Instant::now() + self.launch.timeout;
        let sent = self.control.send(bytes, self.kept.ended(), deadline);
        sent.map_err(|lost| self.lost(doing, lost))
    }

    /// Releases a waiting process.
    ///
    /// # Errors
    /// When it is gone.
    pub fn release(&mut self, forked: &Forked, doing: &str) -> Result<(), Error> {
        let deadline = Instant::now() + self.launch.timeout;
        let sent = self.channels[forked.channel].send(&[GO], &forked.ended, deadline);
        sent.map_err(|lost| self.child_lost(forked, doing, lost))
    }

    /// The next message of a forked process.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn hear(&mut self, forked: &Forked, doing: &str) -> Result<Report, Error> {
        let deadline = Instant::now() + self.launch.timeout;
        match self.channels[forked.channel].next(&forked.ended, deadline) {
            Ok(Report::Raised(raised)) => Err(self.raised(doing, raised)),
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
            let status = self.reap(forked.pid)?;
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

    /// Ends all forked processes, each of which waits to be released: one of them has told why it will not go on. Whether
    /// the subject is then as it was before it forked them; it is not where a process of theirs is left.
    pub fn end_forked(&mut self) -> bool {
        let alone = |pid: &i32| observe::children_of(*pid).is_ok_and(|all| all.is_empty());
        if !self.alive.iter().all(alone) {
            return false;
        }
        let kill = |pid: &i32| watch(*pid).and_then(|process| process::kill(&process));
        let killed = self.alive.iter().map(kill).all(|killed| killed.is_ok());
        killed
            && self
                .alive
                .clone()
                .into_iter()
                .all(|pid| self.reap(pid).is_ok())
    }

    /// Ends a forked process that waits, whatever for.
    ///
    /// # Errors
    /// As [`Error`] tells.
    pub fn kill(&mut self, forked: Forked) -> Result<(), Error> {
        let killed = process::kill(&forked.ended);
        killed.map_err(|source| Error::Protocol {
            who: "child",
            doing: "being ended".into(),
            source,
        })?;
        self.reap(forked.pid)?;
        Ok(())
    }

    /// How a child ended, after it did or while it does.
    fn reap(&mut self, pid: i32) -> Result<ExitStatus, Error> {
        let doing = "waiting for a child's end";
        match self.ask(&Request::Reap { pid }, doing)? {
            Answer::Reaped { status } => {
                self.alive.retain(|one| *one != pid);
                Ok(ExitStatus::from_raw(status))
            }
            other => Err(out_of_turn(doing, &other)),
        }
    }

    fn ask(&mut self, request: &Request, doing: &str) -> Result<Answer, Error> {
        let mut line = serde_json::to_vec(request).expect("a request is plain data");
        line.push(b'\n');
        self.send(&line, doing)?;
        self.answer(doing)
    }

    fn answer(&mut self, doing: &str) -> Result<Answer, Error> {
        let deadline = Instant::now() + self.launch.timeout;
        match self.control.next(self.kept.ended(), deadline) {
            Ok(Answer::Raised(raised)) => Err(self.raised(doing, raised)),
            Ok(Answer::Refused { reason, help }) => Err(Error::Refused { reason, help }),
            Ok(answer) => Ok(answer),
            Err(error) => Err(self.lost(doing, error)),
        }
    }

    /// Waits a moment; whether there is an answer to read now, or the parent has ended.
    fn has_spoken(&mut self, doing: &str, deadline: Instant) -> Result<bool, Error> {
        const MOMENT: Duration = Duration::from_micros(200);
        let now = Instant::now();
        let mut fds = [
            PollFd::new(&self.control.socket, PollFlags::IN),
            PollFd::new(self.kept.ended(), PollFlags::IN),
        ];
        let lost = match interrupt::wait(&mut fds, Some(deadline.min(now + MOMENT))) {
            Ok(Wake::Ready) => return Ok(true),
            Ok(Wake::TimedOut) if now < deadline => return Ok(false),
            Ok(Wake::TimedOut) => Lost::TimedOut,
            Ok(Wake::Interrupted) => Lost::Interrupted,
            Err(error) => Lost::Broken(error),
        };
        Err(self.lost(doing, lost))
    }

    /// Why the parent does not answer.
    fn lost(&mut self, doing: &str, lost: Lost) -> Error {
        let status = lost.is_end().then(|| self.kept.status()).flatten();
        match status.and_then(|status| status.code()) {
            // 127: the loader found a library, or a symbol, missing.
            Some(status @ (NOT_LOADED | 127)) => Error::NotLoaded {
                interpreter: self.launch.interpreter.clone(),
                status,
            },
            _ => lost.explain("parent", doing, status, self.launch.timeout),
        }
    }

    /// An exception, and what to do about it.
    fn raised(&self, doing: &str, raised: Raised) -> Error {
        let around = Around {
            file: self.file.as_deref(),
            prefix: &self.launch.prefix,
            executable: &self.launch.executable,
        };
        Error::Raised {
            doing: doing.into(),
            help: raised::help(&raised, around),
            raised,
        }
    }

    /// What is known of a lock that a child waits for at the time limit; `None` if it waits for something else.
    fn locked(&mut self, forked: &Forked, doing: &str) -> Option<Error> {
        let locked = observe::locked(forked.pid)?;
        let others = self.names_of_threads();
        let (why, help) = deadlock::told(locked, &others);
        Some(Error::Locked {
            doing: doing.into(),
            limit: self.launch.timeout,
            why,
            help,
        })
    }

    /// The names of the threads that the parent had at the fork: Python's, else the kernel's.
    fn names_of_threads(&mut self) -> Vec<String> {
        if self.threads_at_fork.is_empty() {
            return Vec::new();
        }
        // Whoever waits for this has waited long enough, and a thread may not let go of Python.
        const MOMENT: Duration = Duration::from_secs(2);
        let limit = std::mem::replace(&mut self.launch.timeout, MOMENT);
        let named = match self.ask(&Request::Threads, "naming its threads") {
            Ok(Answer::Threads(named)) => named,
            _ => Vec::new(),
        };
        self.launch.timeout = limit;
        let threads = self.threads_at_fork.iter();
        threads
            .map(|(number, comm)| {
                let mut named = named.iter();
                let python = named.find(|(known, _)| known == number);
                python.map_or_else(|| comm.clone(), |(_, name)| name.clone())
            })
            .collect()
    }

    /// Why a child does not answer. Its parent knows how it ended.
    fn child_lost(&mut self, forked: &Forked, doing: &str, lost: Lost) -> Error {
        if let Lost::TimedOut = lost
            && let Some(locked) = self.locked(forked, doing)
        {
            return locked;
        }
        let status = if lost.is_end() {
            match self.reap(forked.pid) {
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

/// The subject's whole environment: what makes runs alike, what the user gives it, and no more of the user's than Python needs.
fn variables(launch: &Launch) -> Vec<(OsString, OsString)> {
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
    ];
    if !launch.keep_huge_pages {
        // NumPy asks for huge pages by itself (numpy/numpy#15769).
        variables.push(("NUMPY_MADVISE_HUGEPAGE", "0".into()));
    }
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
            variables.push(("PATH", path));
            users.extend(["HOME", "TMPDIR", LIBRARY_PATH]);
        }
    }
    for name in users {
        variables.extend(std::env::var_os(name).map(|value| (name, value)));
    }
    let mut all: Vec<(OsString, OsString)> = variables
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect();
    for (name, value) in &launch.variables {
        all.retain(|(known, _)| known != name);
        all.push((name.clone(), value.clone()));
    }
    all
}

/// Variables by which OpenBLAS is told what the machine's processor can do.
fn of_libraries() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("OPENBLAS_") && name != "OPENBLAS_NUM_THREADS")
        .collect()
}

pub(crate) fn out_of_turn(doing: &str, answer: &impl Serialize) -> Error {
    Error::Protocol {
        who: "subject",
        doing: doing.into(),
        source: io::Error::other(serde_json::to_string(answer).unwrap_or_default()),
    }
}

/// Why a line did not come, or could not be sent.
#[derive(Debug)]
enum Lost {
    Ended,
    TimedOut,
    Interrupted,
    Broken(io::Error),
}

impl From<io::Error> for Lost {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
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
            Self::Ended => match status.and_then(|status| status.code()) {
                Some(code) if code == i32::from(CLOSED_DESCRIPTORS) => {
                    Error::ClosedDescriptors { doing }
                }
                _ => Error::Died { who, doing, status },
            },
            Self::TimedOut => Error::TimedOut { who, doing, limit },
            Self::Interrupted => Error::Interrupted,
            Self::Broken(source) => Error::Protocol { who, doing, source },
        }
    }
}

/// A log of a million lines is a tenth of this.
const LONGEST_MESSAGE: usize = 1 << 29;

/// How often something is read after the time limit.
const MOST_LATE: usize = 64;

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
        match sent {
            Ok(_) => Ok(()),
            Err(nix::errno::Errno::EPIPE) => Err(Lost::Ended),
            Err(errno) => Err(Lost::Broken(errno.into())),
        }
    }

    /// Sends to a process whose end makes `ended` readable, and which may read nothing.
    fn send(&mut self, mut bytes: &[u8], ended: &OwnedFd, deadline: Instant) -> Result<(), Lost> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        while !bytes.is_empty() {
            match rustix::net::send(&self.socket, bytes, flags) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.wait(PollFlags::OUT, ended, deadline)?;
                }
                Err(Errno::PIPE | Errno::CONNRESET) => return Err(closed(ended, deadline)),
                Err(errno) => return Err(Lost::Broken(errno.into())),
            }
        }
        Ok(())
    }

    /// The next message of a process whose end makes `ended` readable.
    ///
    /// The socket's own end says nothing: other processes hold the same end open, and a process that has closed its own
    /// may live on.
    fn next<T: DeserializeOwned>(&mut self, ended: &OwnedFd, deadline: Instant) -> Result<T, Lost> {
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
                return Err(Lost::Broken(io::Error::other(error)));
            }
            // What is there already counts, as after a Ctrl-Z. Who says something all the time has no end.
            late += usize::from(Instant::now() > deadline);
            if late > MOST_LATE {
                return Err(Lost::TimedOut);
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

    /// Waits until the socket can be read from or written to. What a process said before it ended still counts.
    fn wait(&self, event: PollFlags, ended: &OwnedFd, deadline: Instant) -> Result<(), Lost> {
        let mut fds = [
            PollFd::new(&self.socket, event),
            PollFd::new(ended, PollFlags::IN),
        ];
        match interrupt::wait(&mut fds, Some(deadline))? {
            Wake::Interrupted => Err(Lost::Interrupted),
            Wake::TimedOut => Err(Lost::TimedOut),
            Wake::Ready if fds[0].revents().is_empty() => Err(Lost::Ended),
            Wake::Ready => Ok(()),
        }
    }
}

/// A process has closed its end, as it does when it ends, or as a program may that closes all that it finds open.
fn closed(ended: &OwnedFd, deadline: Instant) -> Lost {
    let mut fds = [PollFd::new(ended, PollFlags::IN)];
    match interrupt::wait(&mut fds, Some(deadline)) {
        Ok(Wake::Ready) => Lost::Ended,
        Ok(Wake::TimedOut) => Lost::TimedOut,
        Ok(Wake::Interrupted) => Lost::Interrupted,
        Err(error) => Lost::Broken(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our end of a line, the other end, and something that has not ended.
    fn line() -> (Line, UnixStream, OwnedFd) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let lives = watch(std::process::id().cast_signed()).unwrap();
        (Line::new(ours), theirs, lives)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn sending_to_who_does_not_read_has_a_limit() {
        let (mut line, theirs, lives) = line();
        let sent = line.send(&[0; 1 << 22], &lives, soon());
        assert!(matches!(sent, Err(Lost::TimedOut)), "{sent:?}");
        drop(theirs);
    }

    #[test]
    fn an_end_that_is_closed_is_no_end_of_its_process() {
        let (mut line, theirs, lives) = line();
        drop(theirs);
        let sent = line.send(b"x", &lives, soon());
        assert!(matches!(sent, Err(Lost::TimedOut)), "{sent:?}");
        let heard = line.next::<Value>(&lives, soon());
        assert!(matches!(heard, Err(Lost::TimedOut)), "{heard:?}");
    }

    #[test]
    fn a_word_without_an_end_has_a_limit() {
        use std::io::Write as _;
        let (mut line, mut theirs, lives) = line();
        // There is always something to read, and never all.
        let flood = std::thread::spawn(move || while theirs.write_all(&[b'x'; 1 << 16]).is_ok() {});
        let heard = line.next::<Value>(&lives, Instant::now());
        assert!(matches!(heard, Err(Lost::TimedOut)), "{heard:?}");
        drop(line);
        flood.join().unwrap();
    }
}
