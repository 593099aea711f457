//! One visit: fork a witness and children, look before, let each child do its work, look after.

use std::collections::HashMap;
use std::sync::Arc;

use super::causes::{self, Attributed, FirstWrite, Recorded};
use super::lines::{self, LineLog};
use crate::model::{Child, CrossChecks, Fate, PageMap, Region, RegionMap, Tree, Written};
use crate::objects::ObjectMap;
use crate::observe::{
    self, Counters, Disagreement, Faults, Fork, PageSet, PageStates, Recorder, Regions,
    Unavailable, code_mappings, copies_of, counters, identical_pages, mappings, minor_faults,
    page_size, page_states, settle,
};
use crate::protocol::{self, Job, Report, WITNESS};
use crate::side_by_side::{self, both};
use crate::subject::{self, Forked, Subject};
use crate::symbols::Symbols;

/// With more children, their memory is summed up after the last alone: the kernel walks every process's page tables for a sum,
/// and each child's visit changes the sum of all.
const MOST_LOOKED_AT: usize = 16;

/// What one visit showed.
#[derive(Debug)]
pub struct Outcome {
    /// Memory of all processes together.
    pub tree: Tree,
    /// Each child.
    pub children: Vec<Child>,
    /// Distinct pages that each child says it wrote, if its job was to write.
    pub written: Vec<u64>,
    /// Why copies could not be compared with their originals, if they could not.
    pub identical_unknown: Option<String>,
    /// Why no page's cause is known, if they were to be.
    pub causes_unknown: Option<Unavailable>,
    /// Pages that were in swap: of the parent at the fork, and of a child that had shared them after its visit.
    pub swapped_pages: u64,
    /// The parent at the fork.
    pub parent: Counters,
    /// Of each child which line ran when, if its job was to log that.
    pub lines: Vec<LineLog>,
    /// Each child whose first writes were recorded, page by page.
    pub details: Vec<Details>,
}

/// Why a visit could not be measured.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// The subject failed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Subject(#[from] subject::Error),
    /// A process could not be observed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Observe(#[from] observe::Error),
    /// The two ways of counting disagree.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Disagreement(#[from] Disagreement),
    /// A log of lines makes no sense.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lines(#[from] lines::Error),
    /// The child's copies have other users.
    #[error("a process that the child forked during its visit is still alive")]
    #[diagnostic(help(
        "it shares the child's copies, which then cannot be told from pages of the parent's: let the visit wait for it"
    ))]
    ChildForked,
    /// The child may write after it was looked at.
    #[error("a thread that the child started during its visit is still running")]
    #[diagnostic(help(
        "what it writes after the visit's end would be nobody's: let the visit join it"
    ))]
    ChildThreads,
    /// The parent did not hold still.
    #[error(
        "the parent did not hold still: it had {faults} page faults while a child visited the data"
    )]
    #[diagnostic(help(
        "a thread of the fixture's is still running: end it in build(), before the fork"
    ))]
    ParentFaulted {
        /// Its minor page faults.
        faults: u64,
    },
}

impl Error {
    fn waiting_for(doing: &str, report: &Report) -> Self {
        subject::Error::Protocol {
            who: "child",
            doing: doing.into(),
            source: std::io::Error::other(format!("{report:?}")),
        }
        .into()
    }
}

/// A child between its fork and its visit.
struct Waiting {
    forked: Forked,
    /// What the parent has written since it forked this child.
    written_since: PageSet,
}

/// A child before its visit, with all that is known of it.
struct Ready {
    forked: Forked,
    fork: Fork,
    regions: Regions,
    before: Counters,
    /// Pages that were the child's alone.
    own: PageSet,
}

/// A child after its visit.
struct Visited {
    ready: Ready,
    unshared: PageSet,
    /// Pages that are the child's alone, that it has not copied, and that were not its own before.
    new: u64,
    /// Pages that had been shared and are now in swap: whether they were copied before cannot be told.
    swapped: u64,
    after: Counters,
    seconds: f64,
    /// The first writes, if they were recorded.
    recorded: Option<Recorded>,
    /// Copies that equal their original, if the bytes could be read.
    identical: Option<PageSet>,
}

/// All that is known page by page of a child whose first writes were recorded.
#[derive(Debug)]
pub struct Details {
    /// Its process, which has ended.
    pub pid: i32,
    regions: Regions,
    unshared: PageSet,
    identical: Option<PageSet>,
    /// The first writes.
    pub recorded: Recorded,
}

impl Details {
    /// The copied pages in groups, again: when more is known of their first writes than when they were counted.
    pub fn written(&self, objects: &ObjectMap) -> Vec<Written> {
        let Self {
            regions,
            unshared,
            identical,
            recorded,
            ..
        } = self;
        causes::attribute(regions, unshared, identical.as_ref(), recorded, objects).written
    }
}

/// What is known of the dataset.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// Where its pages are.
    pub map: &'a RegionMap,
    /// Where all objects are, if causes are wanted.
    pub objects: Option<&'a ObjectMap>,
}

/// Forks `children` processes, lets each do `job`, one after the other, and counts.
///
/// # Errors
/// As [`Error`] tells; the subject is then of no more use.
pub fn visit(
    subject: &mut Subject,
    data: Data<'_>,
    job: &Job,
    doing: &str,
    children: usize,
    mut visited_one: impl FnMut(),
) -> Result<Outcome, Error> {
    let parent = subject.pid();
    let (witness, waiting) = fork_all(subject, job, children)?;
    rehearse(subject, &waiting, doing)?;

    // First of all: a fault on its way to where it waits would later look like one during a visit.
    settle(parent)?;
    // Sums make the kernel look at every page, as pagemap does, in the system call and so on one processor each.
    let (sums, looked) = both(
        || counters_of([parent, witness.pid]),
        || {
            let parent_before = states(parent)?;
            let look = |child| look_before(data.map, parent, &parent_before, child);
            // All of them wait, so that nothing changes meanwhile.
            let ready: Result<Vec<_>, _> =
                side_by_side::each(waiting, side_by_side::processors(), look)
                    .into_iter()
                    .collect();
            Ok::<_, Error>((ready?, parent_before))
        },
    );
    let ((ready, parent_before), [parent_counters, witness_counters]) = (looked?, sums?);
    let before = ready.iter().map(|child| child.before);
    let pss_before = pss(before.chain([parent_counters, witness_counters]));

    let pids = ready.iter().map(|child| child.forked.pid);
    let everybody: Vec<i32> = pids.chain([parent, witness.pid]).collect();
    let mut visited = Vec::new();
    let mut pss_after_each = Vec::new();
    let mut written = Vec::new();
    let mut causes_unknown = None;
    for child in ready {
        // One child at a time, so that each has all of the memory that the kernel lends for this.
        let recorder = match data.objects {
            Some(_) if causes_unknown.is_none() => Recorder::start(child.forked.pid)
                .map_err(|unavailable| causes_unknown = Some(unavailable))
                .ok(),
            _ => None,
        };
        subject.release(&child.forked, doing)?;
        let mut seconds = 0.0;
        match subject.hear(&child.forked, doing)? {
            Report::Done { seconds: taken } => seconds = taken,
            Report::Wrote { pages } => written.push(pages),
            other => return Err(Error::waiting_for(doing, &other)),
        }
        settle(child.forked.pid)?;
        let recorded = match recorder.map(Recorder::stop) {
            Some(Ok(faults)) => Some(faults),
            Some(Err(unavailable)) => {
                causes_unknown = Some(unavailable);
                None
            }
            None => None,
        };
        let is_last = visited.len() + 1 == children;
        let others =
            (is_last || children <= MOST_LOOKED_AT).then(|| beside(&everybody, child.forked.pid));
        // All of them wait.
        let (others, looked) = both(
            || others.map(counters_of_all).transpose(),
            || {
                look_after(
                    parent,
                    &parent_before,
                    parent_counters.minor_faults,
                    child,
                    seconds,
                )
            },
        );
        let mut child = looked?;
        if let Some(faults) = recorded {
            child.recorded = Some(first_writes(faults, &child)?);
        }
        if let Some(others) = others? {
            pss_after_each.push(pss(others.into_iter().chain([child.after])));
        }
        visited.push(child);
        visited_one();
    }

    let mut identical_unknown = None;
    let mut result = Vec::new();
    for child in &mut visited {
        child.identical = identical_pages(parent, child.ready.forked.pid, &child.unshared)
            .map_err(|error| identical_unknown = Some(error.to_string()))
            .ok();
        result.push(child.count(data.objects));
    }
    let mut logs = Vec::new();
    if matches!(job, Job::Visit { lines: true, .. }) {
        // When nothing more is asked of anyone's memory: the child writes to find the names of places.
        for child in &visited {
            logs.push(line_log(subject, &child.ready.forked)?);
        }
    }
    let swapped_after = visited.iter().map(|child| child.swapped).max();
    let mut all = vec![witness];
    let mut details = Vec::new();
    for child in visited {
        let pid = child.ready.forked.pid;
        all.push(child.ready.forked);
        details.extend(child.recorded.map(|recorded| Details {
            pid,
            regions: child.ready.regions,
            unshared: child.unshared,
            identical: child.identical,
            recorded,
        }));
    }
    subject.dismiss(all)?;
    Ok(Outcome {
        tree: Tree {
            pss_bytes_before: pss_before,
            pss_bytes_after: pss_after_each.last().copied().flatten(),
            pss_bytes_after_each: pss_after_each
                .into_iter()
                .collect::<Option<Vec<u64>>>()
                .filter(|each| each.len() == children)
                .unwrap_or_default(),
        },
        children: result,
        written,
        identical_unknown,
        causes_unknown,
        swapped_pages: parent_before.swapped().len() + swapped_after.unwrap_or(0),
        parent: parent_counters,
        lines: logs,
        details,
    })
}

/// Which line ran when in a child that has been looked at.
fn line_log(subject: &mut Subject, forked: &Forked) -> Result<LineLog, Error> {
    let doing = "naming the lines that ran";
    subject.release(forked, doing)?;
    match subject.hear(forked, doing)? {
        Report::Lines(lines) => Ok(LineLog::new(lines)?),
        other => Err(Error::waiting_for(doing, &other)),
    }
}

/// Forks the witness and all children, noting before each fork what the parent has written since the one before.
fn fork_all(
    subject: &mut Subject,
    job: &Job,
    children: usize,
) -> Result<(Forked, Vec<Waiting>), Error> {
    let parent = subject.pid();
    let fork = |channel, job| protocol::Fork { channel, job };
    let mut forks = vec![fork(WITNESS, Job::Wait)];
    forks.extend((1..=children).map(|channel| fork(channel, job.clone())));
    // For each process forked so far, the witness included.
    let mut written_since: Vec<PageSet> = Vec::new();
    let forked = subject.fork(forks, |so_far| {
        // Nobody asks what the parent wrote between the witness's fork and the first child's.
        if so_far > 1 {
            let written = own(&states(parent)?);
            for earlier in &mut written_since {
                *earlier |= &written;
            }
        }
        written_since.push(PageSet::new());
        Ok::<_, Error>(())
    })?;
    let mut waiting = forked.into_iter().zip(written_since);
    let (witness, _) = waiting.next().expect("the witness was forked first");
    let waiting = waiting.map(|(forked, written_since)| Waiting {
        forked,
        written_since,
    });
    Ok((witness, waiting.collect()))
}

/// Lets every child go through the steps of the visit without the visit.
fn rehearse(subject: &mut Subject, waiting: &[Waiting], doing: &str) -> Result<(), Error> {
    for child in waiting {
        subject.release(&child.forked, doing)?;
        match subject.hear(&child.forked, doing)? {
            Report::Done { .. } => {}
            other => return Err(Error::waiting_for(doing, &other)),
        }
    }
    Ok(())
}

fn look_before(
    map: &RegionMap,
    parent: i32,
    parent_before: &PageStates,
    waiting: Waiting,
) -> Result<Ready, Error> {
    let Waiting {
        forked,
        mut written_since,
    } = waiting;
    written_since |= own(parent_before);
    settle(forked.pid)?;
    let mappings = mappings(forked.pid)?;
    let child = page_states(forked.pid, &mappings.ranges)?;
    let look = || Ok::<_, Error>([states(parent)?, page_states(forked.pid, &mappings.ranges)?]);
    let fork = observe::compare([parent_before, &child], look, |[parent, child]| {
        Fork::new(&mappings, parent, child, &written_since)
    })?;
    Ok(Ready {
        regions: Regions::new(map, &fork),
        before: counters(forked.pid)?,
        own: own(&child),
        fork,
        forked,
    })
}

fn look_after(
    parent: i32,
    parent_before: &PageStates,
    parent_faults: u64,
    ready: Ready,
    seconds: f64,
) -> Result<Visited, Error> {
    let pid = ready.forked.pid;
    if !copies_of(pid)?.is_empty() {
        return Err(Error::ChildForked);
    }
    let (after, child) = both(|| counters(pid), || states(pid));
    let (child, after) = (child?, after?);
    if after.threads > ready.before.threads {
        return Err(Error::ChildThreads);
    }
    // A page that becomes the parent's alone need not have been written: its last other user may have copied it.
    // But a write to a shared page is a fault, always.
    let faults = minor_faults(parent)? - parent_faults;
    if faults > 0 {
        return Err(Error::ParentFaulted { faults });
    }
    // The parent has not written, so its frames are those of before: unless the kernel has moved pages meanwhile.
    let look = || Ok::<_, Error>([states(parent)?, states(pid)?]);
    let unshared = observe::compare([parent_before, &child], look, |[parent, child]| {
        ready.fork.unshared(parent, child)
    })?;
    Ok(Visited {
        swapped: ready.fork.swapped(&child),
        new: (&(&own(&child) - &ready.own) - &unshared).len(),
        unshared,
        ready,
        after,
        seconds,
        recorded: None,
        identical: None,
    })
}

/// The first fault on each page that a child has copied.
fn first_writes(faults: Faults, child: &Visited) -> Result<Recorded, Error> {
    let mut symbols = Symbols::of(code_mappings(child.ready.forked.pid)?);
    // Most pages are written to by a handful of instructions.
    let mut names: HashMap<u64, Arc<str>> = HashMap::new();
    let mut first = HashMap::new();
    for fault in faults.faults {
        let page = fault.address / page_size();
        if child.unshared.contains(page) {
            first.entry(page).or_insert_with(|| FirstWrite {
                address: fault.address,
                function: names
                    .entry(fault.instruction)
                    .or_insert_with(|| symbols.locate(fault.instruction).name().into())
                    .clone(),
                time: fault.time,
                thread: fault.thread,
                line: None,
            });
        }
    }
    Ok(Recorded {
        first,
        lost: faults.lost,
    })
}

impl Visited {
    /// The figures of this child.
    fn count(&self, objects: Option<&ObjectMap>) -> Child {
        let identical = self.identical.as_ref();
        let recorded = self.recorded.as_ref().zip(objects);
        let Attributed {
            causes,
            by_page,
            written,
        } = match recorded {
            Some((recorded, objects)) => {
                let regions = &self.ready.regions;
                causes::attribute(regions, &self.unshared, identical, recorded, objects)
            }
            None => Attributed::default(),
        };
        let fate = |page| match self.unshared.contains(page) {
            false => Fate::Shared,
            true => Fate::Copied {
                cause: by_page.get(&page).copied(),
                identical: identical.map(|identical| identical.contains(page)),
            },
        };
        let regions: Vec<_> = self
            .ready
            .regions
            .iter()
            .filter(|(_, pages)| !pages.is_empty())
            .map(|(name, pages)| Region {
                name,
                pages: pages.len(),
                unshared: pages.intersection_len(&self.unshared),
                identical: identical.map(|identical| pages.intersection_len(identical)),
                causes: causes.get(&name).copied(),
                map: name.is_data().then(|| PageMap::of(pages.iter().map(fate))),
            })
            .collect();
        let (before, after) = (&self.ready.before, &self.after);
        let minor_faults = after.minor_faults - before.minor_faults;
        let unshared = self.unshared.len();
        Child {
            visit_seconds: self.seconds,
            minor_faults,
            uss_bytes_before: before.uss_bytes,
            uss_bytes_after: after.uss_bytes,
            pages_copied_by_fork: self.ready.fork.copied_by_fork,
            new_pages: Some(self.new),
            file_pages: None,
            peak: None,
            made: Vec::new(),
            imported: Vec::new(),
            processes: None,
            copied_on_the_way: Vec::new(),
            cross_checks: CrossChecks {
                faults_minus_unshared: difference(minor_faults, unshared),
                uss_pages_minus_unshared: before.uss_bytes.zip(after.uss_bytes).map(
                    |(before, after)| {
                        difference(after / page_size(), before / page_size() + unshared)
                    },
                ),
            },
            regions,
            written,
            lost_faults: self.recorded.as_ref().map_or(0, |recorded| recorded.lost),
        }
    }
}

fn difference(one: u64, other: u64) -> i64 {
    i64::try_from(i128::from(one) - i128::from(other)).expect("counts of pages are small")
}

/// All pages of a process that waits.
fn states(pid: i32) -> Result<PageStates, Error> {
    settle(pid)?;
    Ok(page_states(pid, &mappings(pid)?.ranges)?)
}

/// Pages that are this process's alone: written since its last fork, as a later child or the witness shares all others.
fn own(states: &PageStates) -> PageSet {
    states.anonymous() & states.exclusive()
}

fn pss(all: impl Iterator<Item = Counters>) -> Option<u64> {
    all.map(|one| one.pss_bytes).sum()
}

/// Everybody but this child, when it has made its visit. A copy gives those who share its original a larger part of that, so that
/// all of them are asked again.
fn beside(everybody: &[i32], child: i32) -> Vec<i32> {
    let others = everybody.iter().copied();
    others.filter(|pid| *pid != child).collect()
}

/// The counters of processes that wait.
fn counters_of_all(all: Vec<i32>) -> Result<Vec<Counters>, observe::Error> {
    side_by_side::each(all, side_by_side::processors(), counters)
        .into_iter()
        .collect()
}

/// The counters of two processes that wait.
fn counters_of([one, other]: [i32; 2]) -> Result<[Counters; 2], observe::Error> {
    let (first, second) = both(|| counters(one), || counters(other));
    Ok([first?, second?])
}
