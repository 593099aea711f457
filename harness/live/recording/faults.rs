//! What a page fault did: whether it copied a page, made one, or neither.

use super::{Deed, HeldPages, MadePage, PageWords as _, ProcessSource, Recording, Seen};
use crate::observe::{Fault, Word, page_size};

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
                    .get(&page)
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
        let (forks, before) = (member.forks, member.seen.get(&page).copied());
        let is_gone = || {
            let memory = member.memory.as_ref();
            memory.is_none_or(|memory| memory.word(page).is_none())
        };
        let (deed, from) = match before {
            Some(seen) => (self.again(place, page, word, seen)?, None),
            None => match self.first(place, page, word)? {
                // New memory, or a page of a file: it has ended, and nothing tells which.
                (Deed::Made, from) if word.is_nowhere() && is_gone() => (Deed::Unknown, from),
                judged => judged,
            },
        };
        let seen = Seen {
            frame: word.frame(),
            forks,
            made: before.map_or((deed == Deed::Made).then_some(forks), |seen| seen.made),
        };
        self.members[place].seen.insert(page, seen);
        Some(MadePage {
            by: place,
            from,
            deed,
            phase: self.members[place].phase,
            fault,
        })
    }

    /// The first fault of a process at a page.
    fn first(&self, place: usize, page: u64, word: Word) -> Option<(Deed, Option<usize>)> {
        let member = &self.members[place];
        if let Some(had) = &member.had {
            if !had.all.contains(page) {
                return Some((Deed::Made, None));
            }
            if had.alone.contains(page) && member.forks == 1 {
                return None;
            }
        }
        // From the process to its ancestors, with when each was forked.
        let mut born = member.born;
        let mut next = member.parent;
        let mut all_gone = member.parent.is_some();
        let inherited = member.inherited.as_ref();
        let mut given_back = inherited.is_some_and(|pages| pages.contains(page));
        while let Some(ancestor) = next {
            let of = &self.members[ancestor];
            let held = self.word(ancestor, page);
            all_gone &= of.memory.is_none() && of.seen.is_empty() && of.had.is_none();
            // What the ancestor made after the fork is at this address by chance.
            let since = of.seen.get(&page).is_some_and(|seen| !seen.was_there(born));
            if held.is_of_file() {
                return None;
            }
            let once = of.seen.get(&page).is_some_and(|seen| seen.was_there(born))
                || of.had.as_ref().is_some_and(|had| had.all.contains(page));
            // When it was given back, nobody saw.
            given_back = (given_back || inherited.is_none() && once) && !since;
            if !since && self.holds(ancestor, page, born) {
                let same =
                    word.is_anonymous() && word.frame().is_some() && word.frame() == held.frame();
                // It was not a write: with NUMA balancing what may be read faults, too. Or nobody else had any more what was there at
                // the fork, so that it needed no copy.
                let rewritten = of.seen.get(&page).map(|seen| seen.forks);
                let rewritten = rewritten.filter(|forks| *forks > born);
                // Before the recording, too: the ancestor had a page of its own where this one had another.
                let was_alone = |had: &HeldPages| had.alone.contains(page);
                let before = member.had.is_some() && of.had.as_ref().is_some_and(was_alone);
                let last = rewritten
                    .or(before.then_some(1))
                    .is_some_and(|forks| !self.is_held_below(ancestor, page, forks, place));
                return (!same && !last).then_some((Deed::Copied, Some(ancestor)));
            }
            born = of.born;
            next = of.parent;
        }
        if all_gone || given_back {
            return Some((Deed::Unknown, None));
        }
        // Nobody before has it. What it had when the recording began it has written anew, if it has forked somebody who has it.
        let rewrites = member.had.is_some() && self.is_held_below(place, page, member.forks, place);
        match (member.had.is_some(), rewrites) {
            (true, true) => Some((Deed::Rewrote, None)),
            // It had the page, alone: nothing was made.
            (true, false) => None,
            (false, _) => Some((Deed::Made, None)),
        }
    }

    /// A further one. Only a fork makes a page that was written before one that may not be written.
    fn again(&self, place: usize, page: u64, word: Word, seen: Seen) -> Option<Deed> {
        if seen.forks == self.members[place].forks {
            return None;
        }
        let moved = match (word.frame(), seen.frame) {
            (Some(now), Some(then)) => now != then,
            _ => true,
        };
        let forks = self.members[place].forks;
        (moved && self.is_held_below(place, page, forks, place)).then_some(Deed::Rewrote)
    }

    /// Whether a process that was forked from this one, before that had forked so often, still has what it had at its fork; this `other` one
    /// aside.
    fn is_held_below(&self, place: usize, page: u64, forks: u32, other: usize) -> bool {
        let is_below = |mut one: usize| {
            while let Some(parent) = self.members[one].parent {
                if parent == place {
                    return self.members[one].born < forks;
                }
                one = parent;
            }
            false
        };
        self.by_pid.values().any(|one| {
            let member = &self.members[*one];
            let was_alone = member
                .had
                .as_ref()
                .is_some_and(|had| had.alone.contains(page));
            *one != other
                && is_below(*one)
                && !was_alone
                && !member.seen.contains_key(&page)
                && self.word(*one, page).is_anonymous()
        })
    }

    /// Of the pages that a process copied, how many it still has for its own, or had when it ended; `None` of one that has ended without
    /// a last look.
    pub fn kept(&self, place: usize) -> Option<u64> {
        let member = &self.members[place];
        match &member.memory {
            Some(_) => Some(self.kept_of(place, |page| self.word(place, page).is_anonymous())),
            None => member.last_look.map(|look| look.kept),
        }
    }

    /// The same where it is known which pages it has.
    pub fn kept_of(&self, place: usize, is_there: impl Fn(u64) -> bool) -> u64 {
        let seen = self.members[place].seen.iter();
        let copied = seen.filter(|(_, seen)| seen.made.is_none());
        copied.filter(|(page, _)| is_there(**page)).count() as u64
    }
}
