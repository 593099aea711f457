//! One way to share, measured: before and after its children read all that they were given.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::aftermath::left_after_kill;
use super::error::SharingError;
use super::variant::{Selection, Variant};
use crate::driver::{DriverError, Launch, Subject};
use crate::experiment::visit::VisitError;
use crate::fixtures::{program, program_module};
use crate::model::{AfterKill, Alternative, Receiver, StartMethod, Warning};
use crate::observe::{
    self, PageSet, PageStates, agree, bytes_read, counters, family_bytes, mappings, page_size,
    page_states, settle,
};
use crate::process;
use crate::protocol::Started;
use crate::temporary::TemporaryFolder;

/// A socket's path has at most 107 bytes; multiprocessing adds less than 60 to that of the
/// temporary folder.
const LONGEST_FOLDER: usize = 48;

/// A subject with the ways' program in it.
fn start(launch: &Launch) -> Result<(Subject, Started), DriverError> {
    let launch = Launch {
        // It forks nothing by itself.
        channels: 0,
        ..launch.clone()
    };
    let mut subject = Subject::start(&launch)?;
    let started = subject.start_python()?;
    subject.load(
        vec![program_module("_child", "ways/child")],
        program_module("_parent", "ways/parent"),
        Vec::new(),
    )?;
    Ok((subject, started))
}

/// The start methods that the interpreter has.
pub(super) fn start_methods(launch: &Launch) -> Result<Vec<String>, VisitError> {
    let (mut subject, _) = start(launch)?;
    let known = subject.call("methods", Vec::new())?;
    Ok(parsed("methods", known)?)
}

/// What the parent says of itself and the others when all children have the data.
#[derive(Deserialize)]
pub(super) struct Begun {
    pub(super) start_seconds: f64,
    #[serde(default)]
    pub(super) prepare_seconds: Option<f64>,
    pub(super) handover_seconds: f64,
    /// Witness and reference.
    pub(super) empty: [i32; 2],
    pub(super) children: Vec<i32>,
    pub(super) helpers: BTreeMap<String, i32>,
}

#[derive(Deserialize)]
struct ReadTimes {
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

pub(super) fn parsed<T: serde::de::DeserializeOwned>(
    doing: &str,
    value: Value,
) -> Result<T, DriverError> {
    serde_json::from_value(value).map_err(|error| DriverError::Protocol {
        who: "parent",
        doing: doing.into(),
        source: error.into(),
    })
}

/// Measures one way.
pub(super) fn measure(
    wanted: &Selection,
    chosen: &Variant,
    launch: &Launch,
) -> Result<(Alternative, Option<Warning>), SharingError> {
    let folder = temporary_folder()?;
    measure_in(folder.path(), wanted, chosen, launch).map_err(SharingError::of(&chosen.name()))
}

fn measure_in(
    folder: &Path,
    wanted: &Selection,
    chosen: &Variant,
    launch: &Launch,
) -> Result<(Alternative, Option<Warning>), VisitError> {
    let way = chosen.way;
    let (mut subject, started) = start(launch)?;
    let begun = subject.call(
        "begin",
        vec![
            json!({ "source": way.source, "transport": way.transport, "read": way.read }),
            json!(chosen.start_method),
            json!(wanted.bytes()),
            json!(wanted.children),
            json!(program("ways/child")),
            json!(folder),
        ],
    )?;
    let begun: Begun = parsed("begin", begun)?;
    let held = together(subject.pid(), &begun.empty)?;

    let read: Vec<ReadTimes> = parsed("read", subject.call("read", Vec::new())?)?;
    let parent = ProcessPages::at(subject.pid())?;
    let reference = ProcessPages::at(begun.empty[1])?;
    let mut children = Vec::new();
    for (pid, read) in begun.children.iter().zip(read) {
        let child = ChildPages::at(*pid, &parent, &reference, chosen.start_method)?;
        children.push(Receiver {
            first_read_seconds: read.first_read_seconds,
            read_all_seconds: read.read_all_seconds,
            own_pages: child.own,
            copied_pages: child.copied,
            piped_bytes: child.piped_bytes,
        });
    }
    let all_read = together(subject.pid(), &begun.empty)?;

    let properties: Properties = parsed("properties", subject.call("properties", Vec::new())?)?;
    let after_child_killed = kill_one(&mut subject)?;
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

/// Kills one, and has the parent say what it and the others can do then.
pub(super) fn kill_one(subject: &mut Subject) -> Result<AfterKill, DriverError> {
    #[derive(Deserialize)]
    struct Killed {
        state: KilledState,
        seconds: f64,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum KilledState {
        Usable,
        Unusable,
        Hangs,
    }
    let killed: Killed = parsed("kill_one", subject.call("kill_one", Vec::new())?)?;
    Ok(match killed.state {
        KilledState::Usable => AfterKill::Usable,
        KilledState::Unusable => AfterKill::Unusable,
        KilledState::Hangs => AfterKill::Hangs {
            after_seconds: killed.seconds,
            later_done: true,
        },
    })
}

/// A folder for what a way puts into files, sockets among them.
pub(super) fn temporary_folder() -> Result<TemporaryFolder, SharingError> {
    let mut place = std::env::temp_dir();
    // Python is told of it in JSON.
    if place.as_os_str().len() > LONGEST_FOLDER || place.to_str().is_none() {
        place = "/tmp".into();
    }
    TemporaryFolder::new(&place).map_err(|source| SharingError::Temporary { place, source })
}

/// A process that waits.
pub(super) struct ProcessPages {
    pub(super) states: PageStates,
    /// Anonymous pages that are its alone.
    pub(super) own: PageSet,
    bytes_read: Option<u64>,
}

impl ProcessPages {
    pub(super) fn at(pid: i32) -> Result<Self, observe::Error> {
        settle(pid)?;
        let states = page_states(pid, &mappings(pid)?.ranges)?;
        Ok(Self {
            own: states.anonymous() & states.exclusive(),
            states,
            bytes_read: bytes_read(pid),
        })
    }
}

/// What a child has when it has used what it was given.
pub(super) struct ChildPages {
    pub(super) own: u64,
    /// Beyond the reference child.
    ///
    /// Forked from one process, both have their own copies of what any child writes at the same
    /// addresses. Other start methods give each child addresses of its own, and only numbers can be
    /// compared.
    pub(super) copied: i64,
    /// That came through pipes or files, beyond the reference child's.
    pub(super) piped_bytes: Option<u64>,
}

impl ChildPages {
    pub(super) fn at(
        pid: i32,
        parent: &ProcessPages,
        reference: &ProcessPages,
        method: StartMethod,
    ) -> Result<Self, VisitError> {
        let child = ProcessPages::at(pid)?;
        if method == StartMethod::Fork
            && let Some(same) = parent.states.same_frames(&child.states)
        {
            // What is a child's alone cannot be in the parent.
            agree("after the visits", &(&child.own & &same), &PageSet::new())?;
        }
        let piped = child.bytes_read.zip(reference.bytes_read);
        Ok(Self {
            own: child.own.len(),
            copied: match method {
                StartMethod::Fork => (&child.own - &reference.own).len().cast_signed(),
                StartMethod::Spawn | StartMethod::Forkserver => {
                    child.own.len().cast_signed() - reference.own.len().cast_signed()
                }
            },
            piped_bytes: piped.and_then(|(child, reference)| child.checked_sub(reference)),
        })
    }
}

/// What a whole group has, as if some of it were not there.
struct GroupMemory {
    pss_bytes: Option<u64>,
    memory_bytes: Option<u64>,
}

/// The sums over the whole group, less what each of `without` alone has: as if they were not there,
/// but for their part in what processes outside the group use as well, and for what they share with
/// each other alone. `None` where the kernel does not tell.
fn together(group: i32, without: &[i32]) -> Result<GroupMemory, observe::Error> {
    let mut sums = GroupMemory {
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
            let own = ProcessPages::at(pid)?.own.len() * page_size();
            sums.memory_bytes = difference(sums.memory_bytes, Some(own));
        }
    }
    Ok(sums)
}
