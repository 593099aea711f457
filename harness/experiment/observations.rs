//! What claims need to know besides the pages that a visit unshares.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::visit::VisitError;
use crate::driver::{self, DriverError, Forked, Launch, Subject};
use crate::fixtures;
use crate::model::Value;
use crate::observe::{self, AtFork, PageSet, PageStates, agree, mappings, page_states, settle};
use crate::protocol::{ChildMessage, ForkRequest, Job, WITNESS};
use crate::python::Older;

/// What was seen, by name.
pub type ObservedValues = BTreeMap<String, Value>;

/// Pages of which one gets a byte written.
const PLAIN_PAGES: u64 = 1024;
/// The one.
const WRITTEN: u64 = PLAIN_PAGES / 2;

/// Parent and child at the moment of a fork, before either has run an instruction. The parent is a
/// subject with its dataset built.
///
/// # Errors
/// When it cannot be forked, stopped or looked at.
pub fn at_fork(subject: &mut Subject) -> Result<ObservedValues, VisitError> {
    let fork = ForkRequest {
        channel: WITNESS,
        job: Job::Wait,
    };
    let (forked, compared) = subject.fork_and_compare::<VisitError>(fork)?;
    subject.dismiss(vec![forked])?;
    let AtFork {
        pages,
        shared,
        frames_compared,
    } = compared;
    Ok(figures([
        ("pages", count(pages)),
        ("shared", count(shared)),
        ("written_by_kernel", count(pages - shared)),
        ("frames_compared", Value::Truth(frames_compared)),
    ]))
}

/// One byte of one page that parent and child have in common, written by either, in a private and
/// in a shared mapping.
///
/// # Errors
/// When it cannot be done, or the two ways of counting disagree.
pub fn one_byte(launch: &Launch) -> Result<ObservedValues, VisitError> {
    let mut all = ObservedValues::new();
    for (mapping, shared) in [("private", false), ("shared", true)] {
        for (who, writer) in [("child", Writer::Child), ("parent", Writer::Parent)] {
            let found = write_one(launch, shared, writer)?;
            let named = found
                .into_iter()
                .map(|(name, value)| (format!("{mapping}_{who}_{name}"), value));
            all.extend(named);
        }
    }
    Ok(all)
}

#[derive(Clone, Copy)]
enum Writer {
    Child,
    Parent,
}

/// One side of a write: the page's bytes, and the states of all pages.
struct SideOfWrite {
    bytes: Vec<u8>,
    states: PageStates,
}

impl SideOfWrite {
    fn look(pid: i32, written: u64) -> Result<Self, VisitError> {
        settle(pid)?;
        Ok(Self {
            bytes: observe::read_page(pid, written)?,
            states: page_states(pid, &mappings(pid)?.ranges)?,
        })
    }

    /// Pages that this process alone has.
    fn own(&self) -> PageSet {
        self.states.anonymous() & self.states.exclusive()
    }

    fn changed_bytes(&self, before: &Self) -> Value {
        let pairs = self.bytes.iter().zip(&before.bytes);
        count(pairs.filter(|(now, then)| now != then).count() as u64)
    }
}

fn write_one(launch: &Launch, shared: bool, writer: Writer) -> Result<ObservedValues, VisitError> {
    let doing = "writing one byte";
    let mut subject = Subject::start(launch)?;
    let first = subject.fill(PLAIN_PAGES, shared)?;
    let plain: PageSet = (first..first + PLAIN_PAGES).collect();
    let job = match writer {
        Writer::Child => Job::Write {
            pages: vec![WRITTEN],
            unreported: 0,
        },
        Writer::Parent => Job::Idle,
    };
    let fork = |channel, job| ForkRequest { channel, job };
    let forks = vec![fork(WITNESS, Job::Wait), fork(WITNESS + 1, job)];
    let forked = subject.fork(forks, |_| Ok::<_, DriverError>(()))?;
    let child = &forked[1];
    release(&mut subject, child, doing)?;
    let (parent_pid, child_pid) = (subject.pid(), child.pid);
    let look = |pid| SideOfWrite::look(pid, first + WRITTEN);
    let (parent_before, child_before) = (look(parent_pid)?, look(child_pid)?);
    match writer {
        Writer::Child => release(&mut subject, child, doing)?,
        Writer::Parent => subject.write(WRITTEN)?,
    }
    let (parent_after, child_after) = (look(parent_pid)?, look(child_pid)?);
    if matches!(writer, Writer::Parent) {
        // The child still has its own turn before it, in which it does nothing.
        release(&mut subject, child, doing)?;
    }
    subject.dismiss(forked)?;

    let (ours, ours_before, theirs, theirs_before) = match writer {
        Writer::Child => (&child_after, &child_before, &parent_after, &parent_before),
        Writer::Parent => (&parent_after, &parent_before, &child_after, &child_before),
    };
    // The witness has every page too: what one process alone maps, it has copied.
    let copied = &(ours.own() - ours_before.own()) & &plain;
    let mut found = figures([
        ("copied_pages", count(copied.len())),
        ("writer_changed_bytes", ours.changed_bytes(ours_before)),
        ("other_changed_bytes", theirs.changed_bytes(theirs_before)),
    ]);
    let moved = |now: &SideOfWrite, before: &SideOfWrite| now.states.moved(&before.states);
    if let Some((ours, theirs)) = moved(ours, ours_before).zip(moved(theirs, theirs_before)) {
        agree("after one write", &copied, &(&ours & &plain))?;
        found.insert("other_moved_pages".into(), count((theirs & plain).len()));
    }
    Ok(found)
}

/// Lets a child go on and waits until it has.
fn release(subject: &mut Subject, child: &Forked, doing: &str) -> Result<(), VisitError> {
    subject.release(child, doing)?;
    match subject.hear(child, doing)? {
        ChildMessage::Done { .. } | ChildMessage::Wrote { .. } => Ok(()),
        other => Err(driver::out_of_turn(doing, &other).into()),
    }
}

/// What a program of `python_fixtures/facts/` says, in a subject of its own.
///
/// # Errors
/// When it cannot be run, or says no figures.
pub fn facts(
    launch: &Launch,
    name: &str,
    arguments: Vec<Json>,
) -> Result<ObservedValues, VisitError> {
    let mut subject = Subject::start(launch)?;
    subject.start_python()?;
    let module = fixtures::program_module(name, &format!("facts/{name}"));
    subject.load(Vec::new(), module, Vec::new())?;
    let answer = subject.call("observe", arguments)?;
    serde_json::from_value(answer).map_err(|error| {
        VisitError::Subject(DriverError::Protocol {
            who: "subject",
            doing: format!("observing {name}"),
            source: error.into(),
        })
    })
}

/// Whether an interpreter before 3.8, if there is one that can be asked, has shared memory blocks,
/// and other shared memory.
pub fn older_pythons(here: &Older, older: Option<&Older>) -> ObservedValues {
    let having =
        |which: fn(&Older) -> bool| count(older.iter().filter(|one| which(one)).count() as u64);
    let version = older.map_or("", |one| &one.version);
    figures([
        ("here", Value::Truth(here.shared_memory)),
        ("older", having(|_| true)),
        ("older_versions", Value::Text(version.to_owned())),
        ("older_with_blocks", having(|one| one.shared_memory)),
        ("older_with_raw_array", having(|one| one.raw_array)),
    ])
}

fn figures<const N: usize>(all: [(&str, Value); N]) -> ObservedValues {
    let owned = all.map(|(name, value)| (name.to_owned(), value));
    owned.into_iter().collect()
}

fn count(number: u64) -> Value {
    Value::Count(i64::try_from(number).unwrap_or(i64::MAX))
}
