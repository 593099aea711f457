//! What is seen of a child before its visit and after it.

use super::children::WaitingChild;
use super::error::VisitError;
use super::pages::{own, states};
use crate::driver::Forked;
use crate::experiment::causes::RecordedVisit;
use crate::experiment::new_pages::NewPages;
use crate::model::RegionMap;
use crate::observe::{
    self, Counters, Grown, Growth, Had, Mappings, PageSet, PageStates, PeakSeen, Regions,
    Relatives, SharedAtFork, counters, mappings, minor_faults, page_states, settle,
};
use crate::threads::both;

/// A child before its visit, with all that is known of it.
pub(super) struct ReadyChild {
    pub(super) pid: i32,
    pub(super) fork: SharedAtFork,
    pub(super) regions: Regions,
    pub(super) before: Sums,
    pub(super) had: Had,
}

/// A child after its visit.
pub(super) struct VisitedChild {
    pub(super) ready: ReadyChild,
    pub(super) unshared: PageSet,
    /// What it has besides its copies.
    pub(super) growth: Growth,
    /// All that is in memory.
    pub(super) states: PageStates,
    /// What was seen of it while it ran, if anybody looked.
    pub(super) seen: Option<PeakSeen>,
    /// By how much its resident memory grew at most, if that was wanted.
    pub(super) resident_peak_growth: Option<u64>,
    /// Pages that were copied at any time, if faults were recorded.
    pub(super) copied_at_any_time: Option<u64>,
    /// What it has made, if faults were recorded.
    pub(super) made: NewPages,
    /// The modules that it has imported.
    pub(super) imported: Vec<String>,
    /// Pages that had been shared and are now in swap, or perhaps were: whether they were copied
    /// cannot be told.
    pub(super) swapped: u64,
    /// Whether the visit started processes.
    pub(super) grown: Grown,
    pub(super) after: Sums,
    pub(super) seconds: f64,
    /// The first writes, if they were recorded.
    pub(super) recorded: Option<RecordedVisit>,
    /// Copies that equal their original, if the bytes could be read.
    pub(super) identical: Option<PageSet>,
}

/// The kernel's sums of a child, and what of them is not its own doing.
pub(super) struct Sums {
    pub(super) counters: Counters,
    /// Pages of files that no other process had mapped at that moment. Processes that have nothing to do with the child start and end.
    pub(super) own_of_files: u64,
}

/// So often the sums are taken anew if a process has mapped the same files, or let go of them, meanwhile.
const MOST_SUMS: u32 = 10;

impl Sums {
    fn of(pid: i32, mappings: &Mappings) -> Result<Self, VisitError> {
        let is_of_file = |page| mappings.of_files.contains(page) || mappings.shared.contains(page);
        let ranges = mappings.ranges.iter();
        let ranges: Vec<_> = ranges
            .filter(|range| is_of_file(range.start))
            .cloned()
            .collect();
        let own = || {
            let states = page_states(pid, &ranges)?;
            Ok::<_, VisitError>(states.exclusive() - states.anonymous())
        };
        let mut before = own()?;
        let mut sums = 0;
        loop {
            let counters = counters(pid)?;
            let after = own()?;
            sums += 1;
            if before == after || sums == MOST_SUMS {
                return Ok(Self {
                    counters,
                    own_of_files: after.len(),
                });
            }
            before = after;
        }
    }
}

/// Looks at a child before its visit.
pub(super) fn look_before(
    map: &RegionMap,
    parent: i32,
    parent_before: &PageStates,
    waiting: WaitingChild,
) -> Result<(Forked, ReadyChild), VisitError> {
    let WaitingChild {
        forked,
        mut written_since,
    } = waiting;
    written_since |= own(parent_before);
    settle(forked.pid)?;
    let mappings = mappings(forked.pid)?;
    let child = page_states(forked.pid, &mappings.ranges)?;
    let look =
        || Ok::<_, VisitError>([states(parent)?, page_states(forked.pid, &mappings.ranges)?]);
    let fork = observe::compare([parent_before, &child], look, |[parent, child]| {
        SharedAtFork::new(&mappings, parent, child, &written_since)
    })?;
    let ready = ReadyChild {
        pid: forked.pid,
        regions: Regions::new(map, &fork),
        before: Sums::of(forked.pid, &mappings)?,
        had: Had::new(&child),
        fork,
    };
    Ok((forked, ready))
}

/// Looks at a child after its visit, while everybody waits.
pub(super) fn look_after(
    parent: i32,
    parent_before: &PageStates,
    parent_faults: u64,
    ready: ReadyChild,
    family: &Relatives,
    seconds: f64,
) -> Result<VisitedChild, VisitError> {
    let pid = ready.pid;
    if !family.copies()?.is_empty() {
        return Err(VisitError::ChildForked);
    }
    let grown = family.has_grown()?;
    let mapped = mappings(pid)?;
    let (after, child) = both(|| Sums::of(pid, &mapped), || states(pid));
    let (child, after) = (child?, after?);
    if after.counters.threads > ready.before.counters.threads {
        return Err(VisitError::ChildThreads);
    }
    // A page that becomes the parent's alone need not have been written: its last other user may
    // have copied it. But a write to a shared page is a fault, always.
    let faults = minor_faults(parent)? - parent_faults;
    if faults > 0 {
        return Err(VisitError::ParentFaulted { faults });
    }
    // The parent has not written, so its frames are those of before: unless the kernel has moved
    // pages meanwhile.
    let look = || Ok::<_, VisitError>([states(parent)?, states(pid)?]);
    let unshared = observe::compare([parent_before, &child], look, |[parent, child]| {
        ready.fork.unshared(&mapped, parent, child)
    })?;
    let back = match observe::is_in_swap(parent)? {
        true => (ready.fork).perhaps_back_from_swap(&states(parent)?, &child),
        false => PageSet::new(),
    };
    // What was in swap at the fork, and is the child's alone now, is as little new.
    let known = &unshared | &parent_before.swapped();
    Ok(VisitedChild {
        swapped: ready.fork.swapped(&child) + back.len(),
        growth: ready.had.until(&child, &known),
        unshared: unshared - back,
        grown,
        states: child,
        seen: None,
        resident_peak_growth: None,
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
