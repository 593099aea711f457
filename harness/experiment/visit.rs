//! One visit: fork a witness and children, look before, let each child do its work, look after.

use std::collections::HashMap;
use std::sync::Arc;

use super::causes::{self, Attributed, FirstWrite, Huge, Recorded};
use super::lines::{self, LineLog};
use super::made::NewPages;
use super::{descendants, on_the_way};
use crate::driver::{self, Forked, Subject};
use crate::model::{
    self, Child, CrossChecks, Fate, Made, OnTheWay, PageMap, Peak, Region, RegionMap, Tree,
    UssGrowth, Written,
};
use crate::objects::ObjectMap;
use crate::observe::{
    self, Counters, Disagreement, Family, Fault, Faults, Fork, Grown, Growth, Had, Memory, PageSet,
    PageStates, Recorder, Regions, Seen, Unavailable, Watch, code_mappings, counters,
    headers::Headers, huge_pages, identical_pages, mappings, minor_faults, page_size, page_states,
    settle,
};
use crate::protocol::{self, Job, Report, WITNESS};
use crate::side_by_side::{self, both};
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
    /// The type of what a child's visit returned and did nothing yet, as an iterator does.
    pub lazy: Option<String>,
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
    Subject(#[from] driver::Error),
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
    pub(super) fn waiting_for(doing: &str, report: &Report) -> Self {
        driver::Error::Protocol {
            who: "child",
            doing: doing.into(),
            source: std::io::Error::other(format!("{report:?}")),
        }
        .into()
    }
}

/// A child between its fork and its visit.
pub(super) struct Waiting {
    pub(super) forked: Forked,
    /// What the parent has written since it forked this child.
    written_since: PageSet,
}

/// A child before its visit, with all that is known of it.
pub(super) struct Ready {
    pid: i32,
    pub(super) fork: Fork,
    regions: Regions,
    before: Counters,
    /// What it had.
    had: Had,
}

/// A child after its visit.
struct Visited {
    ready: Ready,
    unshared: PageSet,
    /// What it has besides its copies.
    growth: Growth,
    /// All that is in memory.
    states: PageStates,
    /// What was seen of it while it ran, if anybody looked.
    seen: Option<Seen>,
    /// Pages that were copied at any time, if faults were recorded.
    copied_at_any_time: Option<u64>,
    /// What it has made, if faults were recorded.
    made: NewPages,
    /// The modules that it has imported.
    imported: Vec<String>,
    /// Pages that had been shared and are now in swap, or perhaps were: whether they were copied cannot be told.
    swapped: u64,
    /// Whether the visit started processes.
    grown: Grown,
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
    made: NewPages,
}

impl Details {
    /// Takes over the lines of another child that made the same visit, of which it is known which line ran when.
    pub fn take_lines(&mut self, other: &Self, log: &LineLog, objects: &ObjectMap) {
        self.recorded
            .take_lines(&other.recorded, other.pid, log, objects);
        self.made.take_lines(&other.made, other.pid, log);
    }

    /// The new pages in groups, again.
    pub fn made(&self) -> Vec<Made> {
        self.made.groups()
    }

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
    let before = ready.iter().map(|(_, child)| child.before);
    let pss_before = pss(before.chain([parent_counters, witness_counters]));

    let pids = ready.iter().map(|(_, child)| child.pid);
    let everybody: Vec<i32> = pids.chain([parent, witness.pid]).collect();
    let mut visited = Vec::new();
    let mut pss_after_each = Vec::new();
    let mut written = Vec::new();
    let mut causes_unknown = None;
    let mut lazy = None;
    let mut all = vec![witness];
    for (forked, child) in ready {
        let family = Family::of(child.pid)?;
        // One child at a time, so that each has all of the memory that the kernel lends for this.
        let recorder = match data.objects {
            Some(_) if causes_unknown.is_none() => Recorder::start(child.pid)
                .map_err(|unavailable| causes_unknown = Some(unavailable))
                .ok(),
            _ => None,
        };
        // Not where it is the time that matters.
        let watch = (data.objects.is_some())
            .then(|| Watch::start(child.pid, child.had.own.clone()))
            .flatten();
        subject.release(&forked, doing)?;
        let mut seconds = 0.0;
        match subject.hear(&forked, doing)? {
            Report::Done {
                seconds: taken,
                lazy: returned,
            } => {
                seconds = taken;
                lazy = lazy.or(returned);
            }
            Report::Wrote { pages } => written.push(pages),
            other => return Err(Error::waiting_for(doing, &other)),
        }
        settle(child.pid)?;
        let seen = watch.map(Watch::stop);
        let recorded = match recorder.map(Recorder::stop) {
            Some(Ok(faults)) => Some(faults),
            Some(Err(unavailable)) => {
                causes_unknown = Some(unavailable);
                None
            }
            None => None,
        };
        let is_last = visited.len() + 1 == children;
        let others = (is_last || children <= MOST_LOOKED_AT).then(|| beside(&everybody, child.pid));
        // All of them wait.
        let (others, looked) = both(
            || others.map(counters_of_all).transpose(),
            || {
                look_after(
                    parent,
                    &parent_before,
                    parent_counters.minor_faults,
                    child,
                    &family,
                    seconds,
                )
            },
        );
        let mut child = looked?;
        child.seen = seen;
        if let Some(faults) = recorded {
            explain(&faults, &mut child)?;
        }
        if let Some(others) = others? {
            pss_after_each.push(pss(others.into_iter().chain([child.after])));
        }
        visited.push(child);
        all.push(forked);
        visited_one();
    }

    let mut identical_unknown = None;
    for child in &mut visited {
        child.identical = identical_pages(parent, child.ready.pid, &child.unshared)
            .map_err(|error| identical_unknown = Some(error.to_string()))
            .ok();
    }
    // When nothing more is asked of anyone's pages: to read a type's name may map one in, and the child writes to make texts of
    // names.
    for (child, forked) in visited.iter_mut().zip(&all[1..]) {
        if child.recorded.is_some() && !child.growth.new.is_empty() {
            name_types(subject.version(), child);
        }
        if matches!(job, Job::Visit { .. }) {
            child.imported = imported(subject, forked)?;
        }
    }
    let is_traced = matches!(job, Job::Visit { lines: true, .. });
    let mut logs = Vec::new();
    if is_traced {
        for forked in &all[1..] {
            logs.push(line_log(subject, forked)?);
        }
    }
    subject.dismiss(all)?;
    let forks = visited.iter_mut().map(|child| &mut child.ready.fork);
    on_the_way::tell_apart(subject, data.map, job, doing, forks)?;
    for child in &mut visited {
        if !child.ready.fork.on_the_way().is_empty() {
            child.ready.regions = Regions::new(data.map, &child.ready.fork);
        }
    }
    let counted = visited.iter().map(|child| child.count(data.objects));
    let mut result: Vec<_> = counted.collect();
    if !is_traced {
        let grown: Vec<_> = visited.iter().map(|child| child.grown).collect();
        descendants::tell(subject, data.map, job, doing, &grown, &mut result)?;
    }
    let swapped_after = visited.iter().map(|child| child.swapped).max();
    let mut details = Vec::new();
    for child in visited {
        let pid = child.ready.pid;
        details.extend(child.recorded.map(|recorded| Details {
            pid,
            regions: child.ready.regions,
            unshared: child.unshared,
            identical: child.identical,
            recorded,
            made: child.made,
        }));
    }
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
        lazy,
        parent: parent_counters,
        lines: logs,
        details,
    })
}

/// What a child has imported that has been looked at.
pub(super) fn imported(subject: &mut Subject, forked: &Forked) -> Result<Vec<String>, Error> {
    let doing = "naming the modules that it imported";
    subject.release(forked, doing)?;
    match subject.hear(forked, doing)? {
        Report::Imported { modules } => {
            Ok(modules.iter().map(|name| model::printable(name)).collect())
        }
        other => Err(Error::waiting_for(doing, &other)),
    }
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
pub(super) fn fork_all(
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
pub(super) fn rehearse(
    subject: &mut Subject,
    waiting: &[Waiting],
    doing: &str,
) -> Result<(), Error> {
    for child in waiting {
        subject.release(&child.forked, doing)?;
        match subject.hear(&child.forked, doing)? {
            Report::Done { .. } => {}
            other => return Err(Error::waiting_for(doing, &other)),
        }
    }
    Ok(())
}

pub(super) fn look_before(
    map: &RegionMap,
    parent: i32,
    parent_before: &PageStates,
    waiting: Waiting,
) -> Result<(Forked, Ready), Error> {
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
    let ready = Ready {
        pid: forked.pid,
        regions: Regions::new(map, &fork),
        before: counters(forked.pid)?,
        had: Had::new(&child),
        fork,
    };
    Ok((forked, ready))
}

fn look_after(
    parent: i32,
    parent_before: &PageStates,
    parent_faults: u64,
    ready: Ready,
    family: &Family,
    seconds: f64,
) -> Result<Visited, Error> {
    let pid = ready.pid;
    if !family.copies()?.is_empty() {
        return Err(Error::ChildForked);
    }
    let grown = family.has_grown()?;
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
    let mapped = mappings(pid)?;
    let unshared = observe::compare([parent_before, &child], look, |[parent, child]| {
        ready.fork.unshared(&mapped, parent, child)
    })?;
    let back = match observe::is_in_swap(parent)? {
        true => (ready.fork).perhaps_back_from_swap(&states(parent)?, &child),
        false => PageSet::new(),
    };
    // What was in swap at the fork, and is the child's alone now, is as little new.
    let known = &unshared | &parent_before.swapped();
    Ok(Visited {
        swapped: ready.fork.swapped(&child) + back.len(),
        growth: ready.had.until(&child, &known),
        unshared: unshared - back,
        grown,
        states: child,
        seen: None,
        copied_at_any_time: None,
        made: NewPages::default(),
        imported: Vec::new(),
        ready,
        after,
        seconds,
        recorded: None,
        identical: None,
    })
}

/// What the recorded faults say of a child: the first on each page that it has copied, which made the copy; the last on each page
/// that is new, which made what is there now; and those on pages that it had copied and has given back.
fn explain(faults: &Faults, child: &mut Visited) -> Result<(), Error> {
    let mut symbols = Symbols::of(code_mappings(child.ready.pid)?);
    // Most pages are written to by a handful of instructions.
    let mut names: HashMap<u64, Arc<str>> = HashMap::new();
    let mut write = |fault: &Fault| FirstWrite {
        address: fault.address,
        function: names
            .entry(fault.instruction)
            .or_insert_with(|| symbols.locate(fault.instruction).name().into())
            .clone(),
        time: fault.time,
        thread: fault.thread,
        line: None,
        own_line: None,
    };
    // A page that both still share was not copied, whatever the fault was for: where the kernel moves pages between nodes, it
    // has processes fault at them.
    let shared = child.ready.fork.shared();
    let still = shared & &(child.states.present() - child.states.exclusive());
    let (mut first, mut made) = (HashMap::new(), HashMap::new());
    let mut copied = child.unshared.clone();
    for fault in &faults.faults {
        let page = fault.address / page_size();
        if child.unshared.contains(page) {
            first.entry(page).or_insert_with(|| write(fault));
        } else if shared.contains(page) {
            if !still.contains(page) {
                copied.insert(page);
            }
        } else if child.growth.new.contains(page) {
            made.insert(page, *fault);
        }
    }
    let made = made
        .into_iter()
        .map(|(page, fault)| (page, write(&fault)))
        .collect();
    child.made = NewPages::new(&child.growth.new, made);
    child.copied_at_any_time = Some(copied.len());
    child.recorded = Some(Recorded {
        first,
        lost: faults.lost,
        huge: huge(child)?,
    });
    Ok(())
}

/// Where a child has huge pages.
fn huge(child: &Visited) -> Result<Huge, Error> {
    // The kernel need not be asked where they are if there are none.
    if child.after.huge_bytes == Some(0) {
        return Ok(Huge::default());
    }
    let pid = child.ready.pid;
    let pages = huge_pages(pid, &mappings(pid)?.ranges)?;
    Ok(pages.map_or(Huge::Somewhere, Huge::Pages))
}

/// Finds what stands on a child's new pages; what has buffers there may itself have
/// found room on any page of the child's own. Where its memory cannot be read, nothing is known of them.
fn name_types(version: &str, child: &mut Visited) {
    let pid = child.ready.pid;
    let minor = version
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse().ok());
    let memory = mappings(pid).and_then(|mappings| Memory::new(pid, &mappings, &child.states));
    if let (Some(minor), Ok(memory)) = (minor, memory) {
        let mut headers = Headers::new(minor, |address, bytes: &mut [u8]| {
            memory.read(address, bytes)
        });
        child
            .made
            .name_types(headers.types_on(&child.growth.new, &own(&child.states)));
    }
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
        let on_the_way = self.ready.fork.on_the_way();
        let fate = |page| match self.unshared.contains(page) {
            false if on_the_way.contains(page) => Fate::OnTheWay,
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
        let growth = &self.growth;
        let new = growth.new.len();
        let peak = self.seen.map(|Seen { most, looks }| Peak {
            bytes: most.max(unshared + new) * page_size(),
            // With that at the end.
            looks: looks + 1,
            copied_pages: self.copied_at_any_time,
        });
        let uss = before.uss_bytes.zip(after.uss_bytes);
        let uss_growth = uss.map(|(before, after)| {
            UssGrowth::new(
                difference(after / page_size(), before / page_size()),
                unshared,
                new,
                growth.others,
                growth.own_of_files,
                growth.given_back,
            )
        });
        Child {
            visit_seconds: self.seconds,
            minor_faults,
            uss_bytes_before: before.uss_bytes,
            uss_bytes_after: after.uss_bytes,
            pages_copied_by_fork: self.ready.fork.copied_by_fork,
            new_pages: Some(new),
            file_pages: Some(growth.of_files),
            bytes: None,
            peak,
            made: self.made.groups(),
            imported: self.imported.clone(),
            processes: None,
            copied_on_the_way: self
                .ready
                .regions
                .iter()
                .map(|(region, pages)| OnTheWay {
                    region,
                    pages: pages.intersection_len(on_the_way),
                })
                .filter(|of_region| of_region.pages > 0)
                .collect(),
            cross_checks: CrossChecks {
                faults_minus_unshared: difference(minor_faults, unshared),
                uss_pages_minus_unshared: before.uss_bytes.zip(after.uss_bytes).map(
                    |(before, after)| {
                        difference(after / page_size(), before / page_size() + unshared)
                    },
                ),
                uss_growth,
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
pub(super) fn states(pid: i32) -> Result<PageStates, Error> {
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
