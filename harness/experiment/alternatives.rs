//! The same bytes, reaching children by each way that Python has. Real `multiprocessing` starts the children, by its own
//! start methods; a program in the subject (`python_fixtures/ways/`) tells their pids.
//!
//! All that tells one way from another stands in `python_fixtures/ways/ways.toml`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use serde::Deserialize;
use serde_json::{Value, json};

use super::steps::Step;
use super::visit;
use super::warnings::not_measured;
use crate::driver::{self, Launch, Subject};
use crate::fixtures;
use crate::interrupt::{self, Wake};
use crate::machine::MemoryLimits;
use crate::model::{AfterKill, Alternative, Contents, Leftover, Receiver, StartMethod, Warning};
use crate::observe::{
    self, PageSet, PageStates, agree, bytes_read, counters, family_bytes, mappings, page_size,
    page_states, settle,
};
use crate::process;
use crate::protocol::{Module, Started};
use crate::shm;
use crate::suggest::offer;
use crate::temporary::Folder;

/// How long a result is waited for that a killed process owes.
const PATIENCE: Duration = Duration::from_millis(500);
/// What a helper gets to notice that those it served are dead. One that does takes some milliseconds.
const HELPER_TIME: Duration = Duration::from_secs(5);
/// What a manager gets. It looks for the end that it was told of once a second.
const MANAGER_TIME: Duration = Duration::from_millis(1100);
/// A socket's path has at most 107 bytes; multiprocessing adds less than 60 to that of the temporary folder.
const LONGEST_FOLDER: usize = 48;

/// A way to share data with child processes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Its name.
    pub id: String,
    /// In words.
    pub title: String,
    /// What it hands over.
    pub contents: Contents,
    source: String,
    transport: String,
    read: String,
    /// The start methods under which it exists.
    pub start_methods: Vec<StartMethod>,
    /// Those under which it is measured if nobody names one; none for the first.
    #[serde(default)]
    by_default: Vec<StartMethod>,
    /// What its processes import besides the standard library.
    #[serde(default)]
    pub modules: Vec<String>,
    memory: Memory,
}

/// Bytes at most for each byte handed over.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    parent: f64,
    #[serde(default)]
    child: f64,
    #[serde(default)]
    shared: f64,
    #[serde(default)]
    in_shm: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ways {
    way: Vec<Way>,
}

/// All ways, in the order of the table.
pub fn ways() -> &'static [Way] {
    static WAYS: LazyLock<Vec<Way>> = LazyLock::new(|| {
        let text = include_str!("../../python_fixtures/ways/ways.toml");
        let ways: Ways = toml::from_str(text).expect("a test reads the ways");
        ways.way
    });
    &WAYS
}

/// A way under one start method.
#[derive(Clone, Copy, Debug)]
pub struct Chosen {
    /// The way.
    pub way: &'static Way,
    /// Under which its children are started.
    pub start_method: StartMethod,
}

impl Chosen {
    /// How messages name it.
    pub fn name(&self) -> String {
        Alternative::name(&self.way.id, self.start_method)
    }
}

/// What to compare.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The ways, in order.
    pub chosen: Vec<Chosen>,
    /// The start method that the user asked for: where this Python lacks it, nothing is measured.
    pub required: Option<StartMethod>,
    /// Bytes to hand over, eight for each integer.
    pub size_bytes: u64,
    /// Children of each way.
    pub children: usize,
    /// Go on although memory seems too small.
    pub force: bool,
}

impl Wanted {
    /// The ways of these names, or all, under the given start method, or under each way's own.
    ///
    /// # Errors
    /// An unknown way, or one that does not exist under the start method.
    pub fn new(
        names: &[String],
        method: Option<StartMethod>,
        size_bytes: u64,
        children: usize,
        force: bool,
    ) -> Result<Self, Error> {
        let mut chosen: Vec<Chosen> = Vec::new();
        for way in ways() {
            if !names.is_empty() && !names.contains(&way.id) {
                continue;
            }
            let start_methods = match method {
                None if way.by_default.is_empty() => vec![way.start_methods[0]],
                None => way.by_default.clone(),
                Some(method) if way.start_methods.contains(&method) => vec![method],
                Some(_) if names.is_empty() => continue,
                Some(method) => return Err(Error::WayWithout { way, method }),
            };
            chosen.extend(
                start_methods
                    .into_iter()
                    .map(|start_method| Chosen { way, start_method }),
            );
        }
        for name in names {
            if !ways().iter().any(|way| way.id == *name) {
                let known = ways().iter().map(|way| way.id.as_str());
                return Err(Error::UnknownWay {
                    name: name.clone(),
                    help: offer(name, known, "ways"),
                });
            }
        }
        Ok(Self {
            chosen,
            required: method,
            size_bytes,
            children,
            force,
        })
    }

    /// No way yet.
    pub fn none(size_bytes: u64, children: usize, force: bool) -> Self {
        Self {
            chosen: Vec::new(),
            required: None,
            size_bytes,
            children,
            force,
        }
    }

    /// One way more, under one start method, unless it is there already.
    ///
    /// # Errors
    /// An unknown way, or one that does not exist under the start method.
    pub fn add(&mut self, name: &str, method: StartMethod) -> Result<(), Error> {
        let one = Self::new(&[name.to_owned()], Some(method), 0, 0, false)?;
        for chosen in one.chosen {
            if !self
                .chosen
                .iter()
                .any(|known| known.name() == chosen.name())
            {
                self.chosen.push(chosen);
            }
        }
        Ok(())
    }

    /// What is handed over: whole integers.
    pub fn bytes(&self) -> u64 {
        self.size_bytes / 8 * 8
    }

    /// What the chosen ways import.
    pub fn modules(&self) -> Vec<String> {
        let modules: BTreeSet<&String> = self
            .chosen
            .iter()
            .flat_map(|chosen| &chosen.way.modules)
            .collect();
        modules.into_iter().cloned().collect()
    }

    /// Refuses what the machine has no room for. All ways are looked at before the first is measured.
    ///
    /// # Errors
    /// The first way that does not fit.
    pub fn fits(&self, memory: &MemoryLimits) -> Result<(), Error> {
        for Chosen { way, .. } in &self.chosen {
            let bytes = |factor: f64| (self.size_bytes as f64 * factor) as u64;
            let Memory {
                parent,
                child,
                shared,
                in_shm,
            } = way.memory;
            if let Some(free_bytes) = memory.shm_free_bytes
                && in_shm
                && bytes(shared) > free_bytes
            {
                return Err(Error::ShmTooSmall {
                    way,
                    needed_bytes: bytes(shared),
                    free_bytes,
                });
            }
            let needed_bytes = bytes(parent + shared + child * self.children as f64);
            if needed_bytes > memory.available_bytes {
                return Err(Error::TooLarge {
                    way,
                    needed_bytes,
                    available_bytes: memory.available_bytes,
                    available_from: memory.available_from.clone(),
                    children: self.children,
                });
            }
        }
        Ok(())
    }
}

/// Why ways cannot be compared.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// No way of this name.
    #[error("there is no way `{name}`")]
    UnknownWay {
        /// What was asked for.
        name: String,
        /// The nearest and the list.
        #[help]
        help: String,
    },
    /// The way is one of other start methods.
    #[error("the way `{}` does not exist under {method}", way.id)]
    #[diagnostic(help("it exists under {}", listed(&way.start_methods)))]
    WayWithout {
        /// The way.
        way: &'static Way,
        /// What was asked for.
        method: StartMethod,
    },
    /// This Python cannot start children in this manner.
    #[error("Python {version} has no start method {method}")]
    #[diagnostic(help(
        "it has {}; choose one of these, or another interpreter with --python",
        known.join(", ")
    ))]
    NoStartMethod {
        /// The interpreter.
        version: String,
        /// What was asked for.
        method: StartMethod,
        /// What there is.
        known: Vec<String>,
    },
    /// The data would not fit.
    #[error(
        "`{}` needs about {} with {children} children, and {} is free ({available_from})",
        way.id,
        crate::numbers::bytes(*needed_bytes),
        crate::numbers::bytes(*available_bytes)
    )]
    #[diagnostic(help(
        "choose a smaller --size, fewer --children or other ways (--way), or try all the same with --force"
    ))]
    TooLarge {
        /// The way.
        way: &'static Way,
        /// With a copy in each child.
        needed_bytes: u64,
        /// What there is.
        available_bytes: u64,
        /// What says so.
        available_from: String,
        /// How many copies were reckoned with.
        children: usize,
    },
    /// /dev/shm is too small.
    #[error(
        "`{}` needs {} in /dev/shm, and {} is free there",
        way.id,
        crate::numbers::bytes(*needed_bytes),
        crate::numbers::bytes(*free_bytes)
    )]
    #[diagnostic(help(
        "choose a smaller --size, enlarge it (mount -o remount,size=… /dev/shm; docker run --shm-size), or try all the \
         same with --force"
    ))]
    ShmTooSmall {
        /// The way.
        way: &'static Way,
        /// For its segment.
        needed_bytes: u64,
        /// There.
        free_bytes: u64,
    },
    /// No temporary folder.
    #[error("cannot make a temporary folder in {}: {source}", place.display())]
    #[diagnostic(help("name a folder that this user may write to in TMPDIR"))]
    Temporary {
        /// Where.
        place: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A child ended too early.
    #[error("{way}: {reason}")]
    #[diagnostic(help(
        "something outside killed it, or memory ran out: the kernel's log says the latter (dmesg)"
    ))]
    ChildDied {
        /// The way.
        way: String,
        /// Which child, how, when.
        reason: String,
    },
    /// This Python cannot do it in bearable time.
    #[error("{way}: {reason}")]
    #[diagnostic(help("choose a smaller --size, or other ways with --way"))]
    NotPossible {
        /// The way.
        way: String,
        /// Why not.
        reason: String,
    },
    /// A way could not be measured.
    #[error("{way}: {error}")]
    Failed {
        /// Which.
        way: String,
        /// Why.
        error: Box<visit::Error>,
        /// What to do about it.
        #[help]
        help: Option<String>,
    },
}

fn listed(methods: &[StartMethod]) -> String {
    let names: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
    names.join(", ")
}

impl Error {
    /// Whether the user asked for something that cannot be.
    pub fn is_bad_input(&self) -> bool {
        matches!(
            self,
            Self::UnknownWay { .. }
                | Self::WayWithout { .. }
                | Self::NoStartMethod { .. }
                | Self::TooLarge { .. }
                | Self::ShmTooSmall { .. }
                | Self::NotPossible { .. }
        )
    }

    /// Whether the user ended the run.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Failed { error, .. } if error.is_interruption())
    }

    /// The warning in a report that lacks this way.
    fn warning(&self, chosen: &Chosen) -> Warning {
        let text = self.to_string();
        let name = chosen.name();
        let line = text.lines().next().unwrap_or_default();
        let line = line.strip_prefix(&format!("{name}: ")).unwrap_or(line);
        not_measured(&name, None, line.to_owned())
    }

    /// What went wrong with a way, in words of its own where it is the ways' own exception.
    fn of(chosen: &Chosen) -> impl Fn(visit::Error) -> Self + Copy {
        let chosen = *chosen;
        move |error| {
            let way = chosen.name();
            if let visit::Error::Subject(driver::Error::Raised { raised, .. }) = &error {
                let words = |kind: &str| {
                    let (_, words) = raised.summary.split_once(kind)?;
                    Some(words.to_owned())
                };
                if let Some(reason) = words("ChildDied: ") {
                    return Self::ChildDied { way, reason };
                }
                if let Some(reason) = words("NotPossible: ") {
                    return Self::NotPossible { way, reason };
                }
            }
            Self::Failed {
                way,
                help: miette::Diagnostic::help(&error).map(|help| help.to_string()),
                error: Box::new(error),
            }
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Compared {
    /// The ways that were measured, in order.
    pub alternatives: Vec<Alternative>,
    /// Which were not, and what limits the figures.
    pub warnings: BTreeSet<Warning>,
    /// Why ways were not measured that should have been.
    pub failures: Vec<Error>,
    /// What ended it before all were.
    pub interrupted: Option<Error>,
}

/// Measures each way, all of which [fit](Wanted::fits), in a subject of its own. One that fails does not keep the others from it.
/// `Step::Done` comes once a way that is measured.
///
/// # Errors
/// Before anything is measured: a start method that was asked for and is not there. After it: that the interpreter can do
/// nothing of what was asked. Nothing is left behind.
pub fn run(
    wanted: &Wanted,
    version: &str,
    launch: &Launch,
    step: &mut dyn FnMut(Step<'_>),
) -> Result<Compared, Error> {
    let mut compared = Compared::default();
    let Some(first) = wanted.chosen.first() else {
        return Ok(compared);
    };
    let known = match start_methods(launch).map_err(Error::of(first)) {
        Ok(known) => known,
        Err(error) if error.is_interruption() => {
            compared.interrupted = Some(error);
            return Ok(compared);
        }
        Err(error) => return Err(error),
    };
    let has = |method: StartMethod| known.iter().any(|name| name == method.as_str());
    if let Some(method) = wanted.required
        && !known.is_empty()
        && !has(method)
    {
        return Err(Error::NoStartMethod {
            version: version.to_owned(),
            method,
            known,
        });
    }
    let mut not_possible = None;
    for chosen in &wanted.chosen {
        let name = chosen.name();
        step(Step::Observing { name: &name });
        if has(chosen.start_method) {
            match measure(wanted, chosen, launch) {
                Ok((alternative, warning)) => {
                    compared.alternatives.push(alternative);
                    compared.warnings.extend(warning);
                }
                Err(error) if error.is_interruption() => {
                    compared.interrupted = Some(error);
                    break;
                }
                Err(error) => {
                    compared.warnings.insert(error.warning(chosen));
                    // Nothing failed where the interpreter is not able to.
                    match error {
                        Error::NotPossible { .. } => not_possible = Some(error),
                        _ => compared.failures.push(error),
                    }
                }
            }
        } else {
            let reason = format!(
                "Python {version} has no start method {}",
                chosen.start_method
            );
            compared.warnings.insert(not_measured(&name, None, reason));
        }
        step(Step::Done);
    }
    let nothing = compared.alternatives.is_empty() && compared.failures.is_empty();
    match not_possible {
        Some(error) if nothing && compared.interrupted.is_none() => Err(error),
        _ => Ok(compared),
    }
}

/// A subject with the ways' program in it.
fn start(launch: &Launch) -> Result<(Subject, Started), driver::Error> {
    let launch = Launch {
        // It forks nothing by itself.
        channels: 0,
        ..launch.clone()
    };
    let mut subject = Subject::start(&launch)?;
    let started = subject.start_python()?;
    let module = |name: &str, program: &str| Module {
        name: name.into(),
        file: format!("python_fixtures/{program}.py"),
        folder: None,
        source: fixtures::program(program).into(),
    };
    subject.load(
        vec![module("_child", "ways/child")],
        module("_parent", "ways/parent"),
        Vec::new(),
    )?;
    Ok((subject, started))
}

/// The start methods that the interpreter has.
fn start_methods(launch: &Launch) -> Result<Vec<String>, visit::Error> {
    let (mut subject, _) = start(launch)?;
    let known = subject.call("methods", Vec::new())?;
    Ok(parsed("methods", known)?)
}

/// What the parent says of itself and the others when all children have the data.
#[derive(Deserialize)]
struct Begun {
    start_seconds: f64,
    #[serde(default)]
    prepare_seconds: Option<f64>,
    handover_seconds: f64,
    /// Witness and reference.
    empty: [i32; 2],
    children: Vec<i32>,
    helpers: BTreeMap<String, i32>,
}

#[derive(Deserialize)]
struct Read {
    first_read_seconds: f64,
    read_all_seconds: f64,
}

#[derive(Deserialize)]
struct Properties {
    container_survives: bool,
    elements_survive: bool,
    seen_by_parent: bool,
    #[serde(default)]
    seen_by_sibling: Option<bool>,
}

fn parsed<T: serde::de::DeserializeOwned>(doing: &str, value: Value) -> Result<T, driver::Error> {
    serde_json::from_value(value).map_err(|error| driver::Error::Protocol {
        who: "parent",
        doing: doing.into(),
        source: error.into(),
    })
}

fn measure(
    wanted: &Wanted,
    chosen: &Chosen,
    launch: &Launch,
) -> Result<(Alternative, Option<Warning>), Error> {
    let at = Error::of(chosen);
    let folder = temporary_folder()?;
    measure_in(folder.path(), wanted, chosen, launch).map_err(at)
}

fn measure_in(
    folder: &Path,
    wanted: &Wanted,
    chosen: &Chosen,
    launch: &Launch,
) -> Result<(Alternative, Option<Warning>), visit::Error> {
    let way = chosen.way;
    let (mut subject, started) = start(launch)?;
    let begun = subject.call(
        "begin",
        vec![
            json!({ "source": way.source, "transport": way.transport, "read": way.read }),
            json!(chosen.start_method),
            json!(wanted.bytes()),
            json!(wanted.children),
            json!(fixtures::program("ways/child")),
            json!(folder),
        ],
    )?;
    let begun: Begun = parsed("begin", begun)?;
    let held = together(subject.pid(), &begun.empty)?;

    let read: Vec<Read> = parsed("read", subject.call("read", Vec::new())?)?;
    let parent = Looked::at(subject.pid())?;
    let reference = Looked::at(begun.empty[1])?;
    let mut children = Vec::new();
    for (pid, read) in begun.children.iter().zip(read) {
        let child = Looked::at(*pid)?;
        if chosen.start_method == StartMethod::Fork
            && let Some(same) = parent.states.same_frames(&child.states)
        {
            // What is a child's alone cannot be in the parent.
            let shared = &child.own & &same;
            agree("after reading all", &shared, &PageSet::new())?;
        }
        let piped = child.bytes_read.zip(reference.bytes_read);
        children.push(Receiver {
            first_read_seconds: read.first_read_seconds,
            read_all_seconds: read.read_all_seconds,
            own_pages: child.own.len(),
            copied_pages: child.copied(&reference, chosen.start_method),
            piped_bytes: piped.and_then(|(child, reference)| child.checked_sub(reference)),
        });
    }
    let all_read = together(subject.pid(), &begun.empty)?;

    let properties: Properties = parsed("properties", subject.call("properties", Vec::new())?)?;
    let patience = PATIENCE.as_secs_f64();
    let killed: String = parsed("kill_one", subject.call("kill_one", vec![json!(patience)])?)?;
    let after_child_killed = match killed.as_str() {
        "usable" => AfterKill::Usable,
        "unusable" => AfterKill::Unusable,
        _ => AfterKill::Hangs {
            after_seconds: patience,
        },
    };
    let left_after_kill = left_after_kill(&subject, &begun.helpers, folder)?;
    let alternative = Alternative {
        way: way.id.clone(),
        title: way.title.clone(),
        contents: way.contents,
        start_method: chosen.start_method,
        size_bytes: wanted.bytes(),
        start_seconds: begun.start_seconds,
        prepare_seconds: begun.prepare_seconds,
        handover_seconds: begun.handover_seconds,
        pss_bytes_held: held.pss_bytes,
        pss_bytes_read: all_read.pss_bytes,
        memory_bytes_held: held.memory_bytes,
        memory_bytes_read: all_read.memory_bytes,
        writes_seen_by_parent: properties.seen_by_parent,
        writes_seen_by_sibling: properties.seen_by_sibling,
        container_survives: properties.container_survives,
        elements_survive: properties.elements_survive,
        after_child_killed,
        left_after_kill,
        reference_own_pages: reference.own.len(),
        children,
    };
    let warning = (!started.addresses_fixed).then_some(Warning::AddressesRandom);
    Ok((alternative, warning))
}

/// A folder for what a way puts into files, sockets among them.
fn temporary_folder() -> Result<Folder, Error> {
    let mut place = std::env::temp_dir();
    // Python is told of it in JSON.
    if place.as_os_str().len() > LONGEST_FOLDER || place.to_str().is_none() {
        place = "/tmp".into();
    }
    Folder::new(&place).map_err(|source| Error::Temporary { place, source })
}

/// A process that waits.
struct Looked {
    states: PageStates,
    /// Anonymous pages that are its alone.
    own: PageSet,
    bytes_read: Option<u64>,
}

impl Looked {
    fn at(pid: i32) -> Result<Self, observe::Error> {
        settle(pid)?;
        let states = page_states(pid, &mappings(pid)?.ranges)?;
        Ok(Self {
            own: states.anonymous() & states.exclusive(),
            states,
            bytes_read: bytes_read(pid),
        })
    }

    /// What this child has beyond the reference child.
    ///
    /// Forked from one process, both have their own copies of what any child writes at the same addresses. Other start
    /// methods give each child addresses of its own, and only numbers can be compared.
    fn copied(&self, reference: &Self, method: StartMethod) -> i64 {
        match method {
            StartMethod::Fork => (&self.own - &reference.own).len().cast_signed(),
            StartMethod::Spawn | StartMethod::Forkserver => {
                self.own.len().cast_signed() - reference.own.len().cast_signed()
            }
        }
    }
}

/// What a whole group has, as if some of it were not there.
struct Together {
    pss_bytes: Option<u64>,
    memory_bytes: Option<u64>,
}

/// The sums over the whole group, less what each of `without` alone has: as if they were not there, but for their part in
/// what processes outside the group use as well, and for what they share with each other alone. `None` where the kernel
/// does not tell.
fn together(group: i32, without: &[i32]) -> Result<Together, observe::Error> {
    let mut sums = Together {
        pss_bytes: Some(0),
        memory_bytes: Some(0),
    };
    let sum = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_add(other?));
    let difference = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_sub(other?));
    for pid in process::members(group) {
        settle(pid)?;
        let of_one = counters(pid)?;
        sums.pss_bytes = sum(sums.pss_bytes, of_one.pss_bytes);
        sums.memory_bytes = sum(sums.memory_bytes, family_bytes(pid)?);
        if without.contains(&pid) {
            sums.pss_bytes = difference(sums.pss_bytes, of_one.uss_bytes);
            let own = Looked::at(pid)?.own.len() * page_size();
            sums.memory_bytes = difference(sums.memory_bytes, Some(own));
        }
    }
    Ok(sums)
}

/// Kills parent and children at once, as what ends a job does, gives helpers the time to notice, and looks at what is
/// left. It is not removed here: that is for the ends of `subject` and `folder`.
fn left_after_kill(
    subject: &Subject,
    helpers: &BTreeMap<String, i32>,
    folder: &Path,
) -> Result<Vec<Leftover>, visit::Error> {
    let group = subject.pid();
    let all = process::watched_members(group);
    let mut segments = shm::segments(subject.name());
    segments.extend(segments_mapped(all.iter().map(|(pid, _)| *pid)));
    let (helping, killed): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|(pid, _)| helpers.values().any(|helper| helper == pid));
    // What a manager holds open keeps the others alive.
    let time = if helpers.contains_key("manager") {
        MANAGER_TIME
    } else {
        HELPER_TIME
    };
    for (_, process) in &killed {
        // Refused for another user's, and none of these is.
        let _ = process::kill(process);
    }
    let deadline = Instant::now() + time;
    for (_, process) in killed.iter().chain(&helping) {
        let mut fds = [PollFd::new(process, PollFlags::IN)];
        // Out of time, it is looked at all the same.
        if let Ok(Wake::Interrupted) = interrupt::wait(&mut fds, Some(deadline)) {
            return Err(driver::Error::Interrupted.into());
        }
    }
    let mut left: Vec<Leftover> = process::members(group)
        .into_iter()
        .map(|pid| {
            let helper = helpers.iter().find(|(_, helper)| **helper == pid);
            match helper.map(|(name, _)| name.as_str()) {
                Some("manager") => Leftover::Manager,
                Some("forkserver") => Leftover::Forkserver,
                Some("resource_tracker") => Leftover::ResourceTracker,
                _ => Leftover::Process,
            }
        })
        .collect();
    segments.extend(shm::segments(subject.name()));
    segments.retain(|path| path.exists());
    left.extend(segments.iter().map(|_| Leftover::Segment));
    files(folder, &mut left);
    left.sort_unstable();
    left.dedup();
    Ok(left)
}

/// Segments that processes have mapped, whatever their names.
fn segments_mapped(pids: impl Iterator<Item = i32>) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for pid in pids {
        let maps = observe::memory_maps(pid);
        for map in maps.into_iter().flatten() {
            if let procfs::process::MMapPath::Path(path) = map.pathname
                && path.starts_with(shm::FOLDER)
                && path.exists()
            {
                found.insert(path);
            }
        }
    }
    found
}

/// What is in a folder and those below it.
fn files(folder: &Path, left: &mut Vec<Leftover>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            let before = left.len();
            files(&entry.path(), left);
            if left.len() == before {
                left.push(Leftover::Folder);
            }
        } else if kind.is_socket() {
            left.push(Leftover::Socket);
        } else {
            left.push(Leftover::File);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_is_whole() {
        let mut seen = BTreeSet::new();
        for way in ways() {
            assert!(seen.insert(&way.id), "{} stands twice", way.id);
            assert!(!way.start_methods.is_empty(), "{}", way.id);
            for method in &way.by_default {
                assert!(way.start_methods.contains(method), "{}", way.id);
            }
            for module in &way.modules {
                assert!(fixtures::PROVIDED.contains(&module.as_str()), "{}", way.id);
            }
        }
        for program in ["ways/parent", "ways/child"] {
            assert!(!fixtures::program(program).is_empty());
        }
    }

    #[test]
    fn ways_are_chosen_by_name_and_start_method() {
        let names = |names: &[&str], method| -> Result<Vec<String>, Error> {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            let wanted = Wanted::new(&names, method, 64, 1, false)?;
            Ok(wanted.chosen.iter().map(Chosen::name).collect())
        };
        assert_eq!(
            names(&["args"], None).unwrap(),
            ["args/fork", "args/spawn", "args/forkserver"]
        );
        assert_eq!(
            names(&["args"], Some(StartMethod::Spawn)).unwrap(),
            ["args/spawn"]
        );
        let spawned = names(&[], Some(StartMethod::Spawn)).unwrap();
        assert!(spawned.iter().all(|name| name.ends_with("/spawn")));
        assert!(!spawned.contains(&"list/spawn".to_owned()));
        assert!(matches!(
            names(&["list"], Some(StartMethod::Spawn)),
            Err(Error::WayWithout { .. })
        ));
        assert!(matches!(
            names(&["lists"], None),
            Err(Error::UnknownWay { .. })
        ));
    }
}
