//! What a process that was forked shares, when it is forked and later.

use procfs::process::Process;

use super::super::{
    Disagreement, Error, PageSet, PageStates, SharedAtFork, compare, mappings, page_states, reading,
};

/// One that was forked, and is compared with what it was then.
#[derive(Debug)]
pub(super) struct ForkedProcess {
    pub(super) parent: i32,
    pub(super) fork: SharedAtFork,
    /// All that it had then.
    at_fork: PageSet,
    /// Pages that it had for itself when it was last looked at.
    pub(super) seen: u64,
}

/// The process of a thread.
pub(super) fn group_of(thread: i32) -> Option<i32> {
    let status = Process::new(thread).and_then(|process| process.status());
    status
        .map_err(reading(thread, "status"))
        .ok()
        .map(|status| status.tgid)
}

/// What a process shares with the one that it is being forked from.
pub(super) fn at_fork(parent: i32, new: i32) -> Result<ForkedProcess, String> {
    let look = || {
        let mappings = mappings(new)?;
        let parent = page_states(parent, &mappings.ranges)?;
        let new = page_states(new, &mappings.ranges)?;
        Ok::<_, FollowRefused>([parent, new])
    };
    let forked = || {
        let mappings = mappings(new)?;
        let [of_parent, of_new] = look()?;
        let fork = compare([&of_parent, &of_new], look, |[parent, new]| {
            SharedAtFork::new(&mappings, parent, new, &PageSet::new())
        })?;
        Ok::<_, FollowRefused>(ForkedProcess {
            parent: group_of(parent).unwrap_or(parent),
            fork,
            at_fork: of_new.present() | of_new.swapped(),
            seen: 0,
        })
    };
    forked().map_err(|error| error.to_string())
}

#[derive(Debug, thiserror::Error)]
enum FollowRefused {
    #[error(transparent)]
    Observe(#[from] Error),
    #[error(transparent)]
    Disagreement(#[from] Disagreement),
}

/// The pages that a process shared at its fork and has for itself now, and how many others it has
/// for itself.
pub(super) fn look(forked: &ForkedProcess, pid: i32) -> Result<(PageSet, u64), Error> {
    let mappings = mappings(pid)?;
    let now = page_states(pid, &mappings.ranges)?;
    let copied = copied(&forked.fork, &now);
    Ok((copied, new(&forked.at_fork, &now)))
}

/// What was shared and is the process's alone: each such page is one that there would not be had it
/// not been forked, whichever of those that shared it wrote to it. Frames would tell who did, and
/// an ordinary user sees none.
fn copied(fork: &SharedAtFork, now: &PageStates) -> PageSet {
    &(fork.shared() & &now.anonymous()) & &now.exclusive()
}

/// Pages of the process's alone where nothing was when it was forked.
fn new(at_fork: &PageSet, now: &PageStates) -> u64 {
    (&(&now.anonymous() & &now.exclusive()) - at_fork).len()
}
#[cfg(test)]
mod tests {
    use super::super::super::Mappings;
    use super::super::super::pagemap::tests::{EXCLUSIVE, PRESENT, SWAP, states};
    use super::*;

    const ALONE: u64 = PRESENT | EXCLUSIVE;

    #[test]
    fn what_a_process_shared_and_has_alone_is_copied_and_the_rest_is_new() {
        let pages: PageSet = (0..6).collect();
        let mappings = Mappings {
            private: pages.clone(),
            writable: pages,
            shared: PageSet::new(),
            ranges: vec![0..6],
            ..Mappings::default()
        };
        // The kernel wrote to page 0 for the fork; 1 and 2 were shared; 3 was in swap; nothing else
        // was there.
        let at_fork = states(0, &[ALONE, PRESENT, PRESENT, SWAP, 0, 0]);
        let fork = SharedAtFork::new(&mappings, &at_fork, &at_fork, &PageSet::new()).unwrap();
        let now = states(0, &[ALONE, ALONE, PRESENT, ALONE, ALONE, PRESENT]);
        assert_eq!(copied(&fork, &now), PageSet::from_iter([1]));
        let had = at_fork.present() | at_fork.swapped();
        assert_eq!(new(&had, &now), 1);
    }
}
