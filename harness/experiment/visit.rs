//! One visit: fork a witness and children, look before, let each child do its work, look after.

mod children;
mod descendants;
mod error;
mod figures;
mod looks;
mod on_the_way;
mod pages;
mod writers;

use self::children::{fork_all, imported, line_log, rehearse};
pub use self::error::VisitError;
pub use self::figures::Details;
use self::looks::{look_after, look_before};
use self::pages::{own, states};
use self::writers::{explain, name_types};
use super::lines::LineLog;
use crate::driver::Subject;
use crate::model::{Child, RegionMap, Tree};
use crate::objects::ObjectMap;
use crate::observe::{
    self, Counters, Recorder, Regions, Relatives, Unavailable, Watcher, counters, family_bytes,
    forget_peak, identical_pages, page_size, settle, sizes,
};
use crate::protocol::{ChildMessage, Job};
use crate::threads::{self, both};

/// With more children, their memory is summed up after the last alone: the kernel walks every
/// process's page tables for a sum, and each child's visit changes the sum of all.
const MOST_LOOKED_AT: usize = 16;

/// What one visit showed.
#[derive(Debug)]
pub struct VisitRecord {
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
    /// Pages that were in swap: of the parent at the fork, and of a child that had shared them
    /// after its visit.
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

/// What is known of the dataset.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// Where its pages are.
    pub map: &'a RegionMap,
    /// Where all objects are, if causes are wanted.
    pub objects: Option<&'a ObjectMap>,
    /// Whether the memory of all processes is wanted that depends on no other program, and what each
    /// child has at most.
    pub memory: bool,
}

/// Forks `children` processes, lets each do `job`, one after the other, and counts.
///
/// # Errors
/// As [`VisitError`] tells; the subject is then of no more use.
pub fn visit(
    subject: &mut Subject,
    data: Data<'_>,
    job: &Job,
    doing: &str,
    children: usize,
    mut visited_one: impl FnMut(),
) -> Result<VisitRecord, VisitError> {
    let parent = subject.pid();
    let (witness, waiting) = fork_all(subject, job, children)?;
    rehearse(subject, &waiting, doing)?;

    // First of all: a fault on its way to where it waits would later look like one during a visit.
    settle(parent)?;
    // Sums make the kernel look at every page, as pagemap does, in the system call and so on one
    // processor each.
    let (sums, looked) = both(
        || counters_of([parent, witness.pid]),
        || {
            let parent_before = states(parent)?;
            let look = |child| look_before(data.map, parent, &parent_before, child);
            // All of them wait, so that nothing changes meanwhile.
            let ready: Result<Vec<_>, _> = threads::each(waiting, threads::processors(), look)
                .into_iter()
                .collect();
            Ok::<_, VisitError>((ready?, parent_before))
        },
    );
    let ((ready, parent_before), [parent_counters, witness_counters]) = (looked?, sums?);
    let before = ready.iter().map(|(_, child)| child.before.counters);
    let pss_before = pss(before.chain([parent_counters, witness_counters]));

    let pids = ready.iter().map(|(_, child)| child.pid);
    let everybody: Vec<i32> = pids.chain([parent, witness.pid]).collect();
    let (witness_pid, mut memory_before, mut memory_after) = (witness.pid, None, None);
    if data.memory {
        memory_before = memory_of(&everybody, witness_pid)?;
    }
    let mut visited = Vec::new();
    let mut pss_after_each = Vec::new();
    let mut written = Vec::new();
    let mut causes_unknown = None;
    let mut lazy = None;
    let mut all = vec![witness];
    for (forked, child) in ready {
        let family = Relatives::of(child.pid)?;
        // One child at a time, so that each has all of the memory that the kernel lends for this.
        let recorder = match data.objects {
            Some(_) if causes_unknown.is_none() => Recorder::start(child.pid)
                .map_err(|unavailable| causes_unknown = Some(unavailable))
                .ok(),
            _ => None,
        };
        // Not where it is the time that matters.
        let watch = (data.objects.is_some() || data.memory)
            .then(|| Watcher::start(child.pid, child.had.own.clone()))
            .flatten();
        let resident = (data.memory && forget_peak(child.pid))
            .then(|| most_resident(child.pid))
            .flatten();
        subject.release(&forked, doing)?;
        let mut seconds = 0.0;
        match subject.hear(&forked, doing)? {
            ChildMessage::Done {
                seconds: taken,
                lazy: returned,
            } => {
                seconds = taken;
                lazy = lazy.or(returned);
            }
            ChildMessage::Wrote { pages } => written.push(pages),
            other => return Err(VisitError::waiting_for(doing, &other)),
        }
        settle(child.pid)?;
        let seen = watch.map(Watcher::stop);
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
        let most = resident.and_then(|_| most_resident(child.ready.pid));
        child.resident_peak_growth = resident
            .zip(most)
            .map(|(before, most)| most.saturating_sub(before));
        if let Some(faults) = recorded {
            explain(&faults, &mut child)?;
        }
        if let Some(others) = others? {
            pss_after_each.push(pss(others.into_iter().chain([child.after.counters])));
        }
        visited.push(child);
        all.push(forked);
        visited_one();
    }

    if data.memory {
        memory_after = memory_of(&everybody, witness_pid)?;
    }

    let mut identical_unknown = None;
    for child in &mut visited {
        child.identical = identical_pages(parent, child.ready.pid, &child.unshared)
            .map_err(|error| identical_unknown = Some(error.to_string()))
            .ok();
    }
    // When nothing more is asked of anyone's pages: to read a type's name may map one in, and the
    // child writes to make texts of names.
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
    Ok(VisitRecord {
        tree: Tree {
            pss_bytes_before: pss_before,
            pss_bytes_after: pss_after_each.last().copied().flatten(),
            pss_bytes_after_each: pss_after_each
                .into_iter()
                .collect::<Option<Vec<u64>>>()
                .filter(|each| each.len() == children)
                .unwrap_or_default(),
            memory_bytes_before: memory_before,
            memory_bytes_after: memory_after,
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

fn pss(all: impl Iterator<Item = Counters>) -> Option<u64> {
    all.map(|one| one.pss_bytes).sum()
}

/// Memory that only these processes can have, each page counted once, as if the witness were not
/// there. `None` where the kernel does not tell.
fn memory_of(everybody: &[i32], witness: i32) -> Result<Option<u64>, VisitError> {
    let sums = threads::each(everybody.to_vec(), threads::processors(), family_bytes);
    let sums: Result<Vec<_>, _> = sums.into_iter().collect();
    let sum: Option<u64> = sums?.into_iter().sum();
    let of_witness = own(&states(witness)?).len() * page_size();
    Ok(sum.map(|sum| sum.saturating_sub(of_witness)))
}

/// The most that was resident of a process, if the kernel tells.
fn most_resident(pid: i32) -> Option<u64> {
    sizes(pid).ok()?.peak_bytes
}

/// Everybody but this child, when it has made its visit. A copy gives those who share its original
/// a larger part of that, so that all of them are asked again.
fn beside(everybody: &[i32], child: i32) -> Vec<i32> {
    let others = everybody.iter().copied();
    others.filter(|pid| *pid != child).collect()
}

/// The counters of processes that wait.
fn counters_of_all(all: Vec<i32>) -> Result<Vec<Counters>, observe::Error> {
    threads::each(all, threads::processors(), counters)
        .into_iter()
        .collect()
}

/// The counters of two processes that wait.
fn counters_of([one, other]: [i32; 2]) -> Result<[Counters; 2], observe::Error> {
    let (first, second) = both(|| counters(one), || counters(other));
    Ok([first?, second?])
}
