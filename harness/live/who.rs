//! Of one page of an address space: which members of a tree share it, and who wrote to those that they do not share.
//!
//! With page frames (root), a page is shared where the same frame is at the same address; and the kernel's mark of a frame says whether
//! its process has written it since that process last forked. An ordinary user sees only whether a page is mapped once (bit 56).
//! Everything here is arithmetic: what it needs is read by `look`.

use super::tree::FamilyTree;

/// What one member has at an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Entry {
    /// Nothing, or the kernel's page of zeros.
    #[default]
    Nothing,
    /// A page of a file, or of memory that is shared to write to.
    File,
    /// An anonymous page in swap.
    Swapped,
    /// An anonymous page in memory.
    Anonymous {
        /// Mapped once, in this process.
        alone: bool,
        /// 0: hidden.
        frame: u64,
        /// A part of a huge page, which one entry maps.
        huge: bool,
    },
}

/// What became of a page of a member's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// An ancestor has the same one, or where no ancestor has any, another relative.
    Shared,
    /// The member wrote to it, its nearest ancestor that has one did not.
    Copied,
    /// The ancestor wrote to it, and the member still has what was there before.
    LeftBehind,
    /// Both wrote.
    Both,
    /// Part of a huge page of the member's alone, as the kernel makes them of many small ones (`khugepaged`) without a write.
    Huge,
    /// The member's alone, and nothing tells who wrote.
    Unknown,
    /// No ancestor has one at this address.
    New,
    /// Of a member without a living ancestor: no relative shares it.
    Own,
    /// In swap.
    Swapped,
    /// Of a file.
    File,
}

/// Says whether the process of a frame has written it since that process last forked; `None` where that is not known.
pub trait WrittenSinceFork {
    /// Of a frame, and whether that is part of a huge page.
    fn since_fork(&mut self, frame: u64, huge: bool) -> Option<bool>;
}

impl<F: FnMut(u64, bool) -> Option<bool>> WrittenSinceFork for F {
    fn since_fork(&mut self, frame: u64, huge: bool) -> Option<bool> {
        self(frame, huge)
    }
}

/// An address at which members have pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// For each member.
    pub classes: Vec<Option<Class>>,
    /// The members that have written the page anew while a descendant still has what was there before, or a copy of it.
    pub rewritten: Vec<usize>,
    /// How many different anonymous pages there are; at least so many where frames are hidden.
    pub distinct: u64,
    /// How many there would be if everything that was shared at a fork still were.
    pub if_shared: u64,
    /// How many different pages of files.
    pub files: u64,
    /// Room for the frames.
    frames: Vec<u64>,
}

impl FamilyTree {
    /// What became of the pages at one address, written over what became of those at the last. `with_frames`: frames are not hidden.
    pub fn classify(
        &self,
        entries: &[Entry],
        with_frames: bool,
        written: &mut impl WrittenSinceFork,
        address: &mut Address,
    ) {
        address.classes.clear();
        address.rewritten.clear();
        let (mut new, mut own, mut origin, mut files) = (0, 0, false, false);
        for member in 0..entries.len() {
            let class = self.class_of(member, entries, with_frames, written);
            address.classes.push(class);
            match class {
                None | Some(Class::Swapped) => {}
                Some(Class::File) => files = true,
                Some(Class::New) => new += 1,
                Some(Class::Own) => own += 1,
                Some(_) => origin = true,
            }
            if let Some(Class::LeftBehind | Class::Both) = class
                && let Some(ancestor) = self.holder(member, entries)
                && !address.rewritten.contains(&ancestor)
            {
                address.rewritten.push(ancestor);
            }
        }
        // What several have without an ancestor need not have been one page.
        address.if_shared = new + u64::from(origin).max(own);
        address.distinct = distinct(entries, with_frames, &mut address.frames);
        address.files = u64::from(files);
    }

    /// The nearest ancestor that has an anonymous page here.
    fn holder(&self, member: usize, entries: &[Entry]) -> Option<usize> {
        let mut ancestors = self.ancestors[member].iter().copied();
        ancestors.find(|place| matches!(entries[*place], Entry::Anonymous { .. } | Entry::Swapped))
    }

    fn class_of(
        &self,
        member: usize,
        entries: &[Entry],
        with_frames: bool,
        written: &mut impl WrittenSinceFork,
    ) -> Option<Class> {
        let (alone, frame, huge) = match entries[member] {
            Entry::Nothing => return None,
            Entry::File => return Some(Class::File),
            Entry::Swapped => return Some(Class::Swapped),
            Entry::Anonymous { alone, frame, huge } => (alone, frame, huge),
        };
        let holder = self.holder(member, entries);
        let same = |place: usize| match entries[place] {
            Entry::Anonymous { frame: other, .. } if with_frames => other == frame,
            Entry::Anonymous { alone: other, .. } => !alone && !other,
            _ => false,
        };
        if self.ancestors[member].iter().any(|place| same(*place)) {
            return Some(Class::Shared);
        }
        let relatives = || (0..entries.len()).filter(|place| *place != member && same(*place));
        let Some(holder) = holder else {
            let shared = if with_frames {
                relatives().next().is_some()
            } else {
                !alone
            };
            return Some(match (shared, self.ancestors[member].is_empty()) {
                (true, _) => Class::Shared,
                (false, false) => Class::New,
                // What others have here may be what this one had, too; of whom it was, nobody is left to tell.
                (false, true) => Class::Own,
            });
        };
        let Entry::Anonymous {
            alone: held_alone,
            frame: held,
            huge: held_huge,
        } = entries[holder]
        else {
            return Some(Class::Unknown);
        };
        if huge && !held_huge {
            return Some(Class::Huge);
        }
        if !with_frames {
            return Some(match (alone, held_alone) {
                // Somebody who was not forked from this member shares it, and the ancestor has one of its own.
                (false, _) if relatives().any(|place| !self.descends(place, member)) => {
                    Class::LeftBehind
                }
                (true, false) => Class::Copied,
                _ => Class::Unknown,
            });
        }
        if relatives().any(|place| !self.descends(place, member)) {
            // A relative that was not forked from this member has the same: it is as it was at the fork.
            return Some(Class::LeftBehind);
        }
        let has_heirs = relatives().next().is_some();
        let held_since = (0..entries.len()).any(|place| {
            let has = matches!(entries[place], Entry::Anonymous { frame, .. } if frame == held);
            let before = self.is_older(place, member) && !self.descends(place, member);
            place != holder && has && before
        });
        if held_since {
            // The ancestor's page is as it was before this member's fork.
            return Some(Class::Copied);
        }
        let both = (
            written.since_fork(frame, huge),
            written.since_fork(held, held_huge),
        );
        Some(match both {
            (Some(true), Some(false)) => Class::Copied,
            (Some(true), Some(true)) => Class::Both,
            // A member that has forked in turn may have written before: its mark is gone.
            (Some(false), Some(true)) if !has_heirs => Class::LeftBehind,
            _ => Class::Unknown,
        })
    }
}

fn distinct(entries: &[Entry], with_frames: bool, frames: &mut Vec<u64>) -> u64 {
    frames.clear();
    let (mut own, mut shared) = (0, 0);
    for entry in entries {
        if let Entry::Anonymous { alone, frame, .. } = entry {
            frames.push(*frame);
            if *alone {
                own += 1;
            } else {
                shared = 1;
            }
        }
    }
    if !with_frames {
        return own + shared;
    }
    frames.sort_unstable();
    frames.dedup();
    frames.len() as u64
}

#[cfg(test)]
mod tests {
    use super::super::tree::tests::tree;
    use super::*;
    use Class::{Both, Copied, Huge, LeftBehind, New, Own, Shared, Unknown};

    /// Frames of an address, one a member; 0: nothing. Bit 56 follows from them.
    fn entries(frames: &[u64]) -> Vec<Entry> {
        let alone = |frame: u64| frames.iter().filter(|other| **other == frame).count() == 1;
        let entry = |frame: &u64| match frame {
            0 => Entry::Nothing,
            frame => Entry::Anonymous {
                alone: alone(*frame),
                frame: *frame,
                huge: false,
            },
        };
        frames.iter().map(entry).collect()
    }

    fn classified(
        tree: &FamilyTree,
        entries: &[Entry],
        with_frames: bool,
        written: &mut impl WrittenSinceFork,
    ) -> Address {
        let mut address = Address::default();
        tree.classify(entries, with_frames, written, &mut address);
        address
    }

    fn classes(tree: &FamilyTree, frames: &[u64], written: &[u64]) -> Vec<Option<Class>> {
        let mut marks = |frame, _| Some(written.contains(&frame));
        classified(tree, &entries(frames), true, &mut marks).classes
    }

    /// The same without frames.
    fn as_user(tree: &FamilyTree, frames: &[u64]) -> Vec<Option<Class>> {
        let mut none = |_, _| panic!("no frame is asked for");
        classified(tree, &entries(frames), false, &mut none).classes
    }

    #[test]
    fn who_wrote_follows_from_the_marks_of_both_frames() {
        let tree = tree(&[(1, 0), (2, 1)]);
        let of = |frames: &[u64], written: &[u64]| classes(&tree, frames, written)[1];
        assert_eq!(of(&[7, 7], &[]), Some(Shared));
        assert_eq!(of(&[7, 8], &[8]), Some(Copied));
        assert_eq!(of(&[7, 8], &[7]), Some(LeftBehind));
        assert_eq!(of(&[7, 8], &[7, 8]), Some(Both));
        assert_eq!(of(&[7, 8], &[]), Some(Unknown));
        assert_eq!(of(&[0, 8], &[8]), Some(New));
        assert_eq!(of(&[7, 0], &[7]), None);
    }

    #[test]
    fn relatives_tell_where_no_mark_does() {
        // A parent with workers 2, 3 and 4.
        let tree = tree(&[(1, 0), (2, 1), (3, 1), (4, 1)]);
        // The parent wrote after 2 and 3 were forked, and before 4 was.
        let left = classes(&tree, &[8, 7, 7, 8], &[]);
        assert_eq!(left, [Shared, LeftBehind, LeftBehind, Shared].map(Some));
        // 3 wrote: what the parent has is what 2 has, which was forked before it.
        let copied = classes(&tree, &[7, 7, 9, 7], &[]);
        assert_eq!(copied, [Shared, Shared, Copied, Shared].map(Some));
        // All have written.
        let all = classes(&tree, &[7, 8, 9, 10], &[8, 9, 10]);
        assert_eq!(all, [Own, Copied, Copied, Copied].map(Some));
    }

    #[test]
    fn a_grandchild_shares_with_its_grandparent_what_its_parent_rewrote() {
        let tree = tree(&[(1, 0), (2, 1), (3, 2)]);
        let found = classes(&tree, &[7, 8, 7], &[8]);
        assert_eq!(found, [Shared, Copied, Shared].map(Some));
        assert_eq!(
            as_user(&tree, &[7, 8, 7]),
            [Shared, Copied, Shared].map(Some)
        );
        // What a worker wrote before it forked is its copy, and its child's share.
        let before = classes(&tree, &[7, 8, 8], &[]);
        assert_eq!(before, [Own, Unknown, Shared].map(Some));
    }

    #[test]
    fn an_ordinary_user_sees_the_same_but_who_of_two_wrote() {
        let tree = tree(&[(1, 0), (2, 1), (3, 1)]);
        let same = [
            [7, 7, 7],
            [7, 8, 7],
            [9, 7, 7],
            [7, 7, 0],
            [0, 8, 9],
            [0, 8, 8],
        ];
        for frames in same {
            let written = [8, 9];
            assert_eq!(
                as_user(&tree, &frames),
                classes(&tree, &frames, &written),
                "{frames:?}"
            );
        }
        assert_eq!(
            as_user(&tree, &[7, 8, 9])[1..],
            [Unknown, Unknown].map(Some)
        );
    }

    #[test]
    fn a_huge_page_is_nobodys_write() {
        let tree = tree(&[(1, 0), (2, 1)]);
        let mut pages = entries(&[7, 8]);
        if let Entry::Anonymous { huge, .. } = &mut pages[1] {
            *huge = true;
        }
        for with_frames in [false, true] {
            let found = classified(&tree, &pages, with_frames, &mut |_, _| Some(true));
            assert_eq!(found.classes[1], Some(Huge));
        }
    }

    #[test]
    fn what_a_tree_takes_lies_between_all_shared_and_nothing_shared() {
        let tree = tree(&[(1, 0), (2, 1), (3, 1)]);
        let sums = |frames: &[u64]| {
            let found = classified(&tree, &entries(frames), true, &mut |_, _| Some(true));
            (found.if_shared, found.distinct)
        };
        assert_eq!(sums(&[7, 7, 7]), (1, 1));
        assert_eq!(sums(&[7, 8, 9]), (1, 3));
        assert_eq!(sums(&[7, 7, 8]), (1, 2));
        // New in both, which never was one page.
        assert_eq!(sums(&[0, 8, 9]), (2, 2));
        assert_eq!(sums(&[7, 0, 0]), (1, 1));
    }

    #[test]
    fn a_parent_that_wrote_has_rewritten_it_once_for_all() {
        let tree = tree(&[(1, 0), (2, 1), (3, 1)]);
        let found = classified(&tree, &entries(&[8, 7, 7]), true, &mut |_, _| Some(true));
        assert_eq!(found.rewritten, [0]);
        assert_eq!((found.if_shared, found.distinct), (1, 2));
    }
}
