//! What a page fault did: whether it copied a page, made one, or neither.
//!
//! A write takes a frame more where somebody else still has what the process had: a [`Version`] of the page.

use super::{Deed, HeldPages, MadePage, Origin, PageWords as _, ProcessSource, Recording, Seen};
use crate::observe::{Fault, Word, page_size};

/// What a fault did, and who has what was there before: another process that shared the page.
type Judged = (Deed, Option<usize>);

/// What stands in a page: who wrote it last, and how often that process had forked by then. Who has the same shares it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    /// Two have shared it since before the recording; nobody sees which two.
    FromBefore,
    WrittenBy {
        place: usize,
        forks: u32,
    },
}

impl<P: ProcessSource> Recording<P> {
    /// A page's word; nowhere if the process has gone.
    fn word(&self, place: usize, page: u64) -> Word {
        let memory = self.members[place].memory.as_ref();
        memory
            .and_then(|memory| memory.word(page))
            .unwrap_or_default()
    }

    /// Whether a process has an anonymous page, or had it before it had forked so often if it has gone already, as what is recorded of it says.
    fn holds(&self, place: usize, page: u64, forks: u32) -> bool {
        let member = &self.members[place];
        match member.memory.as_ref().and_then(|memory| memory.word(page)) {
            Some(word) => word.is_anonymous() || word.is_swapped(),
            None => {
                let seen = member
                    .seen
                    .get(page)
                    .is_some_and(|seen| seen.was_there(forks));
                seen || member
                    .had
                    .as_ref()
                    .is_some_and(|had| had.all.contains(page))
            }
        }
    }

    pub(super) fn fault(&mut self, place: usize, fault: Fault) -> Option<MadePage> {
        let page = fault.address / page_size();
        let word = self.word(place, page);
        if word.is_of_file() {
            return None;
        }
        let member = &self.members[place];
        let (forks, before) = (member.forks, member.seen.get(page));
        let is_gone = || {
            let memory = member.memory.as_ref();
            memory.is_none_or(|memory| memory.word(page).is_none())
        };
        let judged = match before {
            Some(seen) => self.again(place, page, seen),
            None => self.first(place, page),
        };
        let judged = match judged {
            // New memory, or a page of a file: it has ended, and nothing tells which.
            Some((Deed::Made, from)) if word.is_nowhere() && is_gone() => {
                Some((Deed::Unknown, from))
            }
            judged => judged,
        };
        // Nothing was written, as far as is known. Or it was: then nobody else has what is there.
        if judged.is_none() && (before.is_some() || self.shared_with(place, page).is_some()) {
            return None;
        }
        let origin = match (before, judged) {
            (Some(seen), _) => seen.origin,
            (None, Some((Deed::Copied, _))) => Origin::Copied,
            (None, Some((Deed::Made, _))) => Origin::Made(forks),
            (None, _) => Origin::Had,
        };
        let seen = Seen { forks, origin };
        let member = &mut self.members[place];
        member.seen.insert(page, seen);
        if let Some(before) = before.filter(|before| before.forks != forks) {
            member.rewrite(page, before.forks);
        }
        let (deed, from) = judged?;
        Some(MadePage {
            by: place,
            from,
            deed,
            phase: self.members[place].phase,
            fault,
        })
    }

    /// The first fault of a process at a page.
    fn first(&self, place: usize, page: u64) -> Option<Judged> {
        let member = &self.members[place];
        if let Some(had) = &member.had {
            if !had.all.contains(page) {
                return Some((Deed::Made, None));
            }
            if had.alone.contains(page) {
                return self.rewrote(place, page);
            }
        }
        // From the process to its ancestors, with when each was forked.
        let mut born = member.born;
        let mut next = member.parent;
        let mut all_gone = member.parent.is_some();
        let inherited = member.inherited.as_ref();
        let is_told = self.version(place, page).is_some();
        if !is_told && inherited.is_some_and(|pages| !pages.contains(page)) {
            return Some((Deed::Made, None));
        }
        let mut given_back = inherited.is_some_and(|pages| pages.contains(page));
        while let Some(ancestor) = next {
            let of = &self.members[ancestor];
            let held = self.word(ancestor, page);
            all_gone &= of.memory.is_none() && of.seen.is_empty() && of.had.is_none();
            // What the ancestor made after the fork is at this address by chance.
            let since = of.seen.get(page).is_some_and(|seen| !seen.was_there(born));
            if held.is_of_file() {
                return None;
            }
            let once = of.seen.get(page).is_some_and(|seen| seen.was_there(born))
                || of.had.as_ref().is_some_and(|had| had.all.contains(page));
            // When it was given back, nobody saw.
            given_back = (given_back || inherited.is_none() && once) && !since;
            if !since && self.holds(ancestor, page, born) {
                let other = match is_told {
                    true => self.copied_from(place, page),
                    // No fault told of it, as of all but one of a huge page.
                    false => self.differs(place, ancestor, page).then_some(ancestor),
                };
                return Some((Deed::Copied, Some(other?)));
            }
            // What it did not have when the recording began, those that were forked from it since have not from those before it.
            let had = of.had.as_ref().filter(|_| member.had.is_none());
            if had.is_some_and(|had| !had.all.contains(page)) {
                break;
            }
            born = of.born;
            next = of.parent;
        }
        if all_gone || given_back {
            return Some((Deed::Unknown, None));
        }
        // Nobody before has it. What it had when the recording began it has written anew, if it has forked somebody who has it.
        match member.had {
            // Unless somebody has it still, it had the page alone: nothing was made.
            Some(_) => {
                let other = self.copied_from(place, page)?;
                // Of those that one has forked which is not recorded, none has forked another.
                let deed = match self.is_forked_from(other, place) {
                    true => Deed::Rewrote,
                    false => Deed::Copied,
                };
                Some((deed, Some(other)))
            }
            None => Some((Deed::Made, None)),
        }
    }

    /// Whether one was forked from another, directly or in turn.
    fn is_forked_from(&self, place: usize, other: usize) -> bool {
        let mut ancestor = self.members[place].parent;
        while let Some(one) = ancestor.filter(|one| *one != other) {
            ancestor = self.members[one].parent;
        }
        ancestor.is_some()
    }

    /// A further one. Only a fork makes a page that was written before one that may not be written.
    fn again(&self, place: usize, page: u64, seen: Seen) -> Option<Judged> {
        if seen.forks == self.members[place].forks {
            return None;
        }
        self.rewrote(place, page)
    }

    fn rewrote(&self, place: usize, page: u64) -> Option<Judged> {
        let other = self.copied_from(place, page)?;
        Some((Deed::Rewrote, Some(other)))
    }

    /// Who has what was in a page before a process copied it. Where they have one frame still, it was not a write: with NUMA balancing
    /// what may be read faults, too. Where nobody has it any more, it needed no copy.
    fn copied_from(&self, place: usize, page: u64) -> Option<usize> {
        let other = self.shared_with(place, page)?;
        self.differs(place, other, page).then_some(other)
    }

    /// Whether two do not share a page now, as far as frames are seen.
    fn differs(&self, one: usize, other: usize, page: u64) -> bool {
        let frame = self.word(one, page).frame();
        frame.is_none() || frame != self.word(other, page).frame()
    }

    /// What a process has in a page, as far as faults have told; `None`: it had no such page.
    fn version(&self, mut place: usize, page: u64) -> Option<Version> {
        let mut forks = self.members[place].forks;
        loop {
            let member = &self.members[place];
            let last = member.seen.get(page).map(|seen| seen.forks);
            let earlier = member.earlier.get(&page).into_iter().flatten().copied();
            let was_alone = |had: &HeldPages| had.alone.contains(page);
            let from_before = member.had.as_ref().is_some_and(was_alone).then_some(1);
            let writes = earlier.chain(last).chain(from_before);
            if let Some(forks) = writes.filter(|write| *write <= forks).max() {
                return Some(Version::WrittenBy { place, forks });
            }
            match member.parent {
                Some(parent) if member.had.is_none() => (place, forks) = (parent, member.born),
                _ => {
                    let had = member.had.as_ref();
                    let is_there = had.is_none_or(|had| had.all.contains(page));
                    return is_there.then_some(Version::FromBefore);
                }
            }
        }
    }

    /// Whether a process may have this, by when it was forked: of many it is told soon that they have not.
    fn may_have(&self, version: Version, page: u64) -> impl Fn(usize) -> bool {
        let between = match version {
            Version::FromBefore => None,
            Version::WrittenBy { place, forks } => {
                let writer = &self.members[place];
                let earlier = writer.earlier.get(&page).into_iter().flatten().copied();
                let writes = earlier.chain(writer.seen.get(page).map(|seen| seen.forks));
                let next = writes.filter(|write| *write > forks).min();
                Some((place, forks..next.unwrap_or(u32::MAX)))
            }
        };
        move |other| match &between {
            Some((place, between)) => {
                let other = &self.members[other];
                let is_child = other.parent == Some(*place) && other.had.is_none();
                !is_child || between.contains(&other.born)
            }
            None => true,
        }
    }

    /// Another process that still has what a process has in a page: its parent, if that has.
    fn shared_with(&self, place: usize, page: u64) -> Option<usize> {
        let version = self.version(place, page)?;
        let may_have = self.may_have(version, page);
        let version = Some(version);
        let has = |other: usize| {
            let member = &self.members[other];
            let memory = member.memory.as_ref();
            // Where it has ended, and its end is told of later, it had what it had from its fork.
            let had = member.had.is_none() || self.holds(other, page, member.forks);
            memory
                .and_then(|memory| memory.word(page))
                .map_or(had, |word| word.is_anonymous() || word.is_swapped())
        };
        let parent = self.members[place].parent.into_iter();
        let others = parent.chain(self.by_pid.values().copied());
        others
            .filter(|other| *other != place && self.members[*other].lives && may_have(*other))
            .find(|other| self.version(*other, page) == version && has(*other))
    }

    /// Of the pages that a process copied, how many it still has for its own, or had when it ended; `None` of one that has ended without
    /// a last look.
    pub fn kept(&self, place: usize) -> Option<u64> {
        let member = &self.members[place];
        match &member.memory {
            Some(memory) => {
                memory.read_anew();
                Some(self.kept_of(place, |page| {
                    let word = self.word(place, page);
                    word.is_anonymous() || word.is_swapped()
                }))
            }
            None => member.last_look.map(|look| look.kept),
        }
    }

    /// The same where it is known which pages it has.
    pub fn kept_of(&self, place: usize, is_there: impl Fn(u64) -> bool) -> u64 {
        let seen = self.members[place].seen.iter();
        let copied = seen.filter(|(_, seen)| seen.origin == Origin::Copied);
        copied.filter(|(page, _)| is_there(*page)).count() as u64
    }
}
