//! Pages that the kernel moves to other frames while their processes wait: compaction, NUMA
//! balancing (Linux `Documentation/mm/page_migration.rst`). The processes notice nothing; two
//! readings of pagemap, one of the parent and one of the child, are then of two times, and must be
//! taken again.

use super::{Disagreement, PageSet, PageStates};

/// How often the same is looked at before it is given up: where pages move all the time, no two
/// readings are of one time.
const LOOKS: usize = 20;

impl PageStates {
    /// Pages that are in memory, as they were `before`, but in another frame: in a process that
    /// waits, the kernel has moved them. `None` if the kernel hides frames.
    pub fn moved(&self, before: &Self) -> Option<PageSet> {
        let same = self.same_frames(before)?;
        Some(&(&self.present() & &before.present()) - &same)
    }
}

/// Compares parent and child, both of which wait, by what was `seen` of them. If the two ways of
/// counting disagree, they are looked at again and compared anew, as long as it is seen that pages
/// have moved in between.
///
/// # Errors
/// When the two ways of counting disagree and nothing has moved, or time and again; or what `look`
/// returns.
pub fn compare<T, E: From<Disagreement>>(
    seen: [&PageStates; 2],
    mut look: impl FnMut() -> Result<[PageStates; 2], E>,
    compare: impl Fn([&PageStates; 2]) -> Result<T, Disagreement>,
) -> Result<T, E> {
    let mut disagreement = match compare(seen) {
        Ok(found) => return Ok(found),
        Err(disagreement) => disagreement,
    };
    let mut seen = seen.map(Clone::clone);
    for _ in 1..LOOKS {
        let now = look()?;
        let moved = |one: usize| {
            let moved = now[one].moved(&seen[one]);
            moved.is_some_and(|pages| !pages.is_empty())
        };
        if !moved(0) && !moved(1) {
            break;
        }
        match compare([&now[0], &now[1]]) {
            Ok(found) => return Ok(found),
            Err(again) => disagreement = again,
        }
        seen = now;
    }
    Err(disagreement.into())
}

#[cfg(test)]
mod tests {
    use super::super::pagemap::tests::{PRESENT, SWAP, states};
    use super::super::sharing::agree;
    use super::*;

    /// One page in these frames.
    fn one_page(frame: u64) -> PageStates {
        states(0, &[PRESENT | frame])
    }

    /// That the page is shared, as bit 56 would say, by what is seen at first and at each further
    /// look.
    fn shared(looks: &[[u64; 2]]) -> (Result<(), Disagreement>, usize) {
        let mut looks = looks.iter().map(|both| both.map(one_page));
        let first = looks.next().unwrap();
        let mut taken = 0;
        let look = || {
            taken += 1;
            Ok(looks.next().expect("not asked more often than it moves"))
        };
        let outcome = compare([&first[0], &first[1]], look, |[parent, child]| {
            let frames = parent.same_frames(child).unwrap();
            agree("now", &PageSet::from_iter([0]), &frames)
        });
        (outcome, taken)
    }

    #[test]
    fn what_agrees_is_looked_at_once() {
        assert_eq!(shared(&[[7, 7]]), (Ok(()), 0));
    }

    #[test]
    fn pages_that_moved_between_two_readings_are_read_again() {
        assert_eq!(shared(&[[7, 8], [8, 8]]), (Ok(()), 1));
        // Twice in a row.
        assert_eq!(shared(&[[7, 8], [8, 9], [9, 9]]), (Ok(()), 2));
    }

    #[test]
    fn where_nothing_moved_a_disagreement_stands() {
        let (outcome, looks) = shared(&[[7, 8], [7, 8]]);
        assert_eq!((outcome.unwrap_err().pages, looks), (1, 1));
    }

    #[test]
    fn what_moves_without_end_is_given_up() {
        let always: Vec<_> = (1..100).map(|look| [look, look + 1]).collect();
        let (outcome, looks) = shared(&always);
        assert_eq!((outcome.unwrap_err().pages, looks), (1, LOOKS - 1));
    }

    #[test]
    fn only_what_is_in_memory_both_times_can_have_moved() {
        let before = states(0, &[PRESENT | 1, PRESENT | 2, SWAP | 5, 0, PRESENT | 6]);
        let after = states(0, &[PRESENT | 1, PRESENT | 3, PRESENT | 5, PRESENT | 9, 0]);
        assert_eq!(after.moved(&before).unwrap(), PageSet::from_iter([1]));
    }
}
