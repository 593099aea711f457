//! What a process has that it had not before, and what it has given back: set algebra, no system
//! call.

use super::{PageSet, PageStates};

/// What a process had at one moment, as far as its growth since is told by it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Had {
    /// Anonymous pages that were its alone.
    pub own: PageSet,
    /// Anonymous pages, shared or not, and what was in swap.
    anonymous: PageSet,
    /// Pages in memory.
    present: PageSet,
}

/// How a process differs from what it had.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Growth {
    /// Anonymous pages that are its alone, and that it had in no form before.
    pub new: PageSet,
    /// Pages of files that it has mapped in since, whether others have them or not.
    pub of_files: u64,
    /// Anonymous pages that have become its alone, and that are neither copies of what it shared
    /// with its parent nor new: it had them in common with others, or they were in swap.
    pub others: u64,
    /// Anonymous pages that were its alone, and that it has no longer.
    pub given_back: u64,
}

impl Had {
    /// From the states of all its pages.
    pub fn new(states: &PageStates) -> Self {
        let (present, anonymous) = (states.present(), states.anonymous());
        Self {
            own: &anonymous & &states.exclusive(),
            anonymous: anonymous | states.swapped(),
            present,
        }
    }

    /// Against what it has now, of which some pages are known to be copies.
    pub fn until(&self, now: &PageStates, copies: &PageSet) -> Growth {
        let after = Self::new(now);
        let came = &(&after.own - &self.own) - copies;
        let new = &came - &self.anonymous;
        let of_files = &after.present - &now.anonymous();
        Growth {
            of_files: (of_files - &self.present).len(),
            others: came.len() - new.len(),
            new,
            given_back: self.own.len() - self.own.intersection_len(&after.own),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pagemap::tests::{EXCLUSIVE, FILE, PRESENT, SWAP, states};
    use super::*;
    use proptest::prelude::*;

    const OURS: u64 = PRESENT;
    const ALONE: u64 = PRESENT | EXCLUSIVE;
    const LIBRARY: u64 = PRESENT | FILE;

    fn set(pages: impl IntoIterator<Item = u64>) -> PageSet {
        pages.into_iter().collect()
    }

    #[test]
    fn what_came_is_told_by_what_was_there_before() {
        // Shared and copied, shared with others alone and copied, in swap, nothing, its own,
        // nothing, a library's.
        let before = states(0, &[OURS, OURS, SWAP, 0, ALONE, 0, LIBRARY]);
        let after = states(
            0,
            &[ALONE, ALONE, ALONE, ALONE, 0, LIBRARY, LIBRARY | EXCLUSIVE],
        );
        let growth = Had::new(&before).until(&after, &set([0]));
        let expected = Growth {
            new: set([3]),
            of_files: 1,
            others: 2,
            given_back: 1,
        };
        assert_eq!(growth, expected);
    }

    fn word() -> impl Strategy<Value = u64> {
        prop_oneof![
            Just(0),
            Just(SWAP),
            Just(OURS),
            Just(ALONE),
            Just(LIBRARY),
            Just(LIBRARY | EXCLUSIVE),
        ]
    }

    proptest! {
        #[test]
        fn all_terms_together_are_what_the_unshared_set_grew_by(
            words in proptest::collection::vec((word(), word()), 64),
            copied in proptest::collection::vec(any::<bool>(), 64),
        ) {
            let of = |index: usize| {
                let words = words.iter().map(|pair| if index == 0 { pair.0 } else { pair.1 });
                states(0, &words.collect::<Vec<_>>())
            };
            let (before, after) = (of(0), of(1));
            let had = Had::new(&before);
            let copies = after.anonymous() & after.exclusive();
            let copies = &(&copies & &before.present()) - &before.exclusive();
            let copies = set(copies.iter().filter(|page| copied[usize::try_from(*page).unwrap()]));
            let growth = had.until(&after, &copies);
            let sum = (copies.len() + growth.new.len() + growth.others).cast_signed()
                - growth.given_back.cast_signed();
            let own = |states: &PageStates| (states.anonymous() & states.exclusive()).len();
            let grown = own(&after).cast_signed() - own(&before).cast_signed();
            prop_assert_eq!(sum, grown);
        }
    }
}
