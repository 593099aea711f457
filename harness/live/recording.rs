//! What the page faults of a tree's members were: copies, new memory, or a parent's writes after a fork.
//!
//! The page-table entry of a page that a process shares forbids writing. So a fault at an address at which the process has had a page from its
//! fork on is a write, and the first one is what made the copy. It is judged by both entries when the record is taken, some milliseconds
//! after the write; what has been given back by then still counts, as what was there at the fork does not change by that.

use std::collections::HashMap;
use std::rc::Rc;

use super::family::Member;
use crate::observe::{Fault, Happened, Incident, PageSet, Word, page_size};

/// What a process has, read while it runs.
pub trait PageWords {
    /// A page's word; `None` if the process has gone.
    fn word(&self, page: u64) -> Option<Word>;
}

/// How to get at a process.
pub trait ProcessSource {
    /// Its memory.
    type Memory: PageWords;
    /// A process that has just been forked; `None` if it has gone.
    fn open(&mut self, pid: i32) -> Option<(Member, Self::Memory)>;
    /// The anonymous pages that a process has; `None` if it has gone, or if it has had a long time since this moment to give some back.
    fn pages(&mut self, pid: i32, since: u64) -> Option<PageSet>;
}

/// What a fault did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deed {
    /// It copied a page that the process had from its fork.
    Copied,
    /// It made a page where the process had none.
    Made,
    /// It copied a page that a process which this one has forked still has.
    Rewrote,
    /// It made or copied a page, or wrote to one that nobody else had any more: the process from which it was forked is gone, or has given
    /// back what it had there at the fork.
    Unknown,
}

/// What an interpreter does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InterpreterPhase {
    /// It is not watched yet.
    Unwatched,
    /// It runs the program.
    Working,
    /// It ends.
    Ending,
}

/// A fault that made a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadePage {
    /// The place of the process in [`Recording::members`].
    pub by: usize,
    /// Whose page was copied: the place of an ancestor.
    pub from: Option<usize>,
    /// What it did.
    pub deed: Deed,
    /// What the process's interpreter did then, as far as it was watched.
    pub phase: InterpreterPhase,
    /// The fault.
    pub fault: Fault,
}

/// A page that a process has made or copied.
#[derive(Clone, Copy, Debug)]
struct Seen {
    frame: Option<u64>,
    /// How often the process had forked by then.
    forks: u32,
    made: bool,
}

/// The anonymous pages of a process at one moment.
#[derive(Clone, Debug, Default)]
pub struct HeldPages {
    /// All of them.
    pub all: PageSet,
    /// Those that it shared with nobody.
    pub alone: PageSet,
}

/// A process of the tree, from when it was first seen to its end.
#[derive(Debug)]
pub struct RecordedMember<M> {
    /// Which.
    pub member: Member,
    /// The place of the one that it was forked from.
    pub parent: Option<usize>,
    /// Pages copied, made, rewritten, and of which nobody knows.
    pub pages: [u64; 4],
    /// Whether it lives.
    pub lives: bool,
    /// Whether it has gone on to execute a program: it is no member any more.
    pub executed: bool,
    /// What its interpreter does, as far as that is known by now.
    pub phase: InterpreterPhase,
    /// Since when it is recorded of it, and of what it forks, when its interpreter ends; in nanoseconds of CLOCK_MONOTONIC.
    pub watched_since: Option<u64>,
    /// Whether it worked until it was watched, so that what it wrote before is work.
    pub has_worked: bool,
    /// Pages of all kinds since it ends.
    pub ending_pages: u64,
    memory: Option<M>,
    /// What its parent had when its fork was told of; absent where that was late, or the parent had gone.
    inherited: Option<Rc<PageSet>>,
    /// What it had when the recording began; `None` of one that was forked since.
    had: Option<HeldPages>,
    /// How often its parent had forked before it.
    born: u32,
    forks: u32,
    seen: HashMap<u64, Seen>,
}

impl<M> RecordedMember<M> {
    /// From now on it is seen when its interpreter ends; whether that has begun, if it is known.
    pub fn watch_ending(&mut self, is_ending: Option<bool>) {
        (self.phase, self.has_worked) = match is_ending {
            Some(true) => (InterpreterPhase::Ending, false),
            // What has been recorded since says more.
            Some(false) if self.phase == InterpreterPhase::Ending => {
                (InterpreterPhase::Ending, true)
            }
            Some(false) => (InterpreterPhase::Working, true),
            None => (InterpreterPhase::Unwatched, false),
        };
    }

    /// Pages of one kind.
    pub fn number(&self, deed: Deed) -> u64 {
        self.pages[deed as usize]
    }
}

/// A tree while it is recorded.
#[derive(Debug)]
pub struct Recording<P: ProcessSource> {
    processes: P,
    /// Whether what executes a program goes on as a tree of its own.
    follows: bool,
    /// In the order in which they were seen first.
    pub members: Vec<RecordedMember<P::Memory>>,
    /// Those that live.
    by_pid: HashMap<i32, usize>,
    /// Incidents of processes that are not known.
    pub strange: u64,
    /// What a process was seen to have since records were taken last: several may be forked in a row.
    looked: HashMap<i32, Option<Rc<PageSet>>>,
}

impl<P: ProcessSource> Recording<P> {
    /// Of no process. `follows`: what executes a program is recorded on, as a tree of its own.
    pub fn new(processes: P, follows: bool) -> Self {
        Self {
            processes,
            follows,
            members: Vec::new(),
            by_pid: HashMap::new(),
            strange: 0,
            looked: HashMap::new(),
        }
    }

    /// Takes a process in that was there before the recording, its parent before it. It had these pages.
    pub fn add(&mut self, member: Member, memory: P::Memory, had: HeldPages) {
        let parent = self.by_pid.get(&member.parent).copied();
        self.begin(member, parent, Some(memory), Some(had));
    }

    /// Before records are taken up that have come since: processes are looked at anew.
    pub fn begin_records(&mut self) {
        self.looked.clear();
    }

    fn begin(
        &mut self,
        member: Member,
        parent: Option<usize>,
        memory: Option<P::Memory>,
        had: Option<HeldPages>,
    ) {
        let born = match (parent, &had) {
            (Some(parent), None) => self.members[parent].forks,
            _ => 0,
        };
        self.by_pid.insert(member.pid, self.members.len());
        self.members.push(RecordedMember {
            member,
            parent,
            pages: [0; 4],
            lives: true,
            executed: false,
            phase: InterpreterPhase::Unwatched,
            watched_since: None,
            has_worked: false,
            ending_pages: 0,
            memory,
            inherited: None,
            had,
            born,
            forks: 1,
            seen: HashMap::new(),
        });
    }

    /// The place of a living process.
    pub fn place_of(&self, pid: i32) -> Option<usize> {
        self.by_pid.get(&pid).copied()
    }

    /// Takes up what has happened; a page that was made or copied is told of.
    pub fn take(&mut self, incident: &Incident) -> Option<MadePage> {
        let Some(place) = self.place_of(incident.process) else {
            self.strange += 1;
            return None;
        };
        match incident.what {
            Happened::Fault(fault) => {
                let written = self.fault(place, fault)?;
                let member = &mut self.members[place];
                member.pages[written.deed as usize] += 1;
                member.ending_pages += u64::from(member.phase == InterpreterPhase::Ending);
                return Some(written);
            }
            Happened::Forked { new } => self.forked(place, new, incident.time),
            Happened::Executed => {
                self.by_pid.remove(&incident.process);
                let member = &mut self.members[place];
                (member.lives, member.executed, member.memory) = (false, true, None);
                if self.follows
                    && let Some((member, memory)) = self.processes.open(incident.process)
                {
                    // A new program has nothing of before.
                    self.begin(member, None, Some(memory), Some(HeldPages::default()));
                }
            }
            Happened::WrotePlace => self.members[place].phase = InterpreterPhase::Ending,
            Happened::Ended => {
                self.by_pid.remove(&incident.process);
                let member = &mut self.members[place];
                (member.lives, member.memory, member.inherited) = (false, None, None);
            }
        }
        None
    }

    fn forked(&mut self, parent: usize, new: i32, time: u64) {
        // One that was there when the recording began is known, and its fork may be told of all the same.
        if self.by_pid.contains_key(&new) {
            return;
        }
        let (member, memory) = match self.processes.open(new) {
            Some((member, memory)) => (member, Some(memory)),
            None => {
                // It has ended already. It was what its parent was.
                let of_parent = &self.members[parent].member;
                let member = Member {
                    pid: new,
                    parent: of_parent.pid,
                    ..of_parent.clone()
                };
                (member, None)
            }
        };
        let pid = self.members[parent].member.pid;
        let processes = &mut self.processes;
        let look = || processes.pages(pid, time).map(Rc::new);
        let inherited = self.looked.entry(pid).or_insert_with(look).clone();
        self.begin(member, Some(parent), memory, None);
        let since = self.members[parent].watched_since;
        if let (Some(since), Some(child)) = (
            since.filter(|since| time >= *since),
            self.members.last_mut(),
        ) {
            child.watched_since = Some(since);
            child.watch_ending(Some(false));
        }
        let last = self.members.len() - 1;
        self.members[last].inherited = inherited;
        self.members[parent].forks += 1;
    }

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
                    .is_some_and(|seen| seen.forks <= forks);
                seen || member
                    .had
                    .as_ref()
                    .is_some_and(|had| had.all.contains(page))
            }
        }
    }

    fn fault(&mut self, place: usize, fault: Fault) -> Option<MadePage> {
        let page = fault.address / page_size();
        let word = self.word(place, page);
        if word.is_of_file() {
            return None;
        }
        let member = &self.members[place];
        let (forks, before) = (member.forks, member.seen.get(&page).copied());
        let (deed, from) = match before {
            Some(seen) => (self.again(place, page, word, seen)?, None),
            None => self.first(place, page, word)?,
        };
        let seen = Seen {
            frame: word.frame(),
            forks,
            made: before.map_or(deed == Deed::Made, |seen| seen.made),
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
            let since = of
                .seen
                .get(&page)
                .is_some_and(|seen| seen.made && seen.forks > born);
            if held.is_of_file() {
                return None;
            }
            let once = of.seen.get(&page).is_some_and(|seen| seen.forks <= born)
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
                let last = rewritten
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

    /// Of the pages that a process copied, how many it still has for its own; `None` of one that has ended.
    pub fn kept(&self, place: usize) -> Option<u64> {
        let member = &self.members[place];
        member.memory.as_ref()?;
        let copied = member.seen.iter().filter(|(_, seen)| !seen.made);
        let kept = copied.filter(|(page, _)| self.word(place, **page).is_anonymous());
        Some(kept.count() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// Frames by process and page.
    type Frames = Rc<RefCell<HashMap<(i32, u64), u64>>>;

    struct Fake(i32, Frames);

    impl PageWords for Fake {
        fn word(&self, page: u64) -> Option<Word> {
            let frames = self.1.borrow();
            let frame = frames.get(&(self.0, page));
            Some(frame.map_or_else(Word::default, |frame| Word::new(1 << 63 | frame)))
        }
    }

    struct Machine(Frames);

    /// When what is told of only now may have happened.
    const LATE: u64 = 1;

    impl ProcessSource for Machine {
        type Memory = Fake;
        fn open(&mut self, pid: i32) -> Option<(Member, Fake)> {
            Some((member(pid, 0), Fake(pid, Rc::clone(&self.0))))
        }
        fn pages(&mut self, pid: i32, since: u64) -> Option<PageSet> {
            if since == LATE {
                return None;
            }
            let frames = self.0.borrow();
            let own = frames.keys().filter(|(owner, _)| *owner == pid);
            Some(own.map(|(_, page)| *page).collect())
        }
    }

    fn member(pid: i32, parent: i32) -> Member {
        Member {
            pid,
            parent,
            started: 1,
            name: "python3".into(),
            command: Vec::new(),
        }
    }

    fn had(all: PageSet) -> HeldPages {
        HeldPages {
            all,
            alone: PageSet::new(),
        }
    }

    /// A parent (1) that had pages 1 to 9 and is recorded.
    fn parent() -> (Recording<Machine>, Frames) {
        let frames = Frames::default();
        frames
            .borrow_mut()
            .extend((1..10).map(|page| ((1, page), page)));
        let mut recording = Recording::new(Machine(Rc::clone(&frames)), false);
        recording.add(
            member(1, 0),
            Fake(1, Rc::clone(&frames)),
            had((1..10).collect()),
        );
        (recording, frames)
    }

    /// What a process touches, which has this frame then.
    fn touch(
        recording: &mut Recording<Machine>,
        frames: &Frames,
        process: i32,
        page: u64,
        frame: u64,
    ) -> Option<Deed> {
        frames.borrow_mut().insert((process, page), frame);
        let fault = Fault {
            address: page * page_size() + 24,
            instruction: 0,
            time: 0,
            thread: process,
        };
        let what = Happened::Fault(fault);
        let incident = Incident {
            time: 0,
            process,
            what,
        };
        recording.take(&incident).map(|written| written.deed)
    }

    fn fork(recording: &mut Recording<Machine>, frames: &Frames, process: i32, new: i32) {
        let inherited: Vec<(u64, u64)> = frames
            .borrow()
            .iter()
            .filter(|((pid, _), _)| *pid == process)
            .map(|((_, page), frame)| (*page, *frame))
            .collect();
        let inherited = inherited
            .into_iter()
            .map(|(page, frame)| ((new, page), frame));
        frames.borrow_mut().extend(inherited);
        let what = Happened::Forked { new };
        recording.begin_records();
        recording.take(&Incident {
            time: 0,
            process,
            what,
        });
    }

    #[test]
    fn what_is_forked_while_its_parent_is_watched_is_watched_from_its_fork_on() {
        let (mut recording, frames) = parent();
        recording.members[0].watched_since = Some(1);
        // Before that.
        fork(&mut recording, &frames, 1, 2);
        recording.members[0].watched_since = Some(0);
        fork(&mut recording, &frames, 1, 3);
        let phases = |recording: &Recording<Machine>| {
            let all = recording.members[1..].iter();
            all.map(|one| (one.phase, one.has_worked))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            phases(&recording),
            [
                (InterpreterPhase::Unwatched, false),
                (InterpreterPhase::Working, true)
            ]
        );
        touch(&mut recording, &frames, 3, 3, 103);
        let what = Happened::WrotePlace;
        let (time, process) = (1, 3);
        recording.take(&Incident {
            time,
            process,
            what,
        });
        touch(&mut recording, &frames, 3, 4, 104);
        assert_eq!(recording.members[2].ending_pages, 1);
        // What was recorded of its end is not undone by who asks later.
        recording.members[2].watch_ending(Some(false));
        assert_eq!(phases(&recording)[1], (InterpreterPhase::Ending, true));
    }

    #[test]
    fn the_first_write_of_a_worker_to_what_it_had_at_its_fork_is_a_copy_and_the_rest_is_new() {
        let (mut recording, frames) = parent();
        fork(&mut recording, &frames, 1, 2);
        assert_eq!(
            touch(&mut recording, &frames, 2, 3, 103),
            Some(Deed::Copied)
        );
        assert_eq!(touch(&mut recording, &frames, 2, 3, 103), None);
        assert_eq!(touch(&mut recording, &frames, 2, 50, 150), Some(Deed::Made));
        assert_eq!(touch(&mut recording, &frames, 2, 50, 151), None);
        assert_eq!(recording.members[1].pages, [1, 1, 0, 0]);
        assert_eq!(recording.kept(1), Some(1));
        frames.borrow_mut().remove(&(2, 3));
        assert_eq!(recording.kept(1), Some(0));
    }

    #[test]
    fn who_writes_to_what_its_parent_has_given_back_since_the_fork_may_have_copied_it() {
        let (mut recording, frames) = parent();
        fork(&mut recording, &frames, 1, 2);
        frames.borrow_mut().remove(&(1, 3));
        assert_eq!(
            touch(&mut recording, &frames, 2, 3, 103),
            Some(Deed::Unknown)
        );
        // What it gave back before, a worker that is forked later makes.
        fork(&mut recording, &frames, 1, 3);
        assert_eq!(touch(&mut recording, &frames, 3, 3, 203), Some(Deed::Made));
        // Of one that was told of too late, nobody knows.
        recording.begin_records();
        recording.take(&Incident {
            time: LATE,
            process: 1,
            what: Happened::Forked { new: 4 },
        });
        assert_eq!(
            touch(&mut recording, &frames, 4, 3, 303),
            Some(Deed::Unknown)
        );
        assert_eq!(touch(&mut recording, &frames, 4, 70, 170), Some(Deed::Made));
    }

    #[test]
    fn what_both_made_at_one_address_after_the_fork_is_no_copy() {
        let (mut recording, frames) = parent();
        fork(&mut recording, &frames, 1, 2);
        assert_eq!(touch(&mut recording, &frames, 1, 60, 160), Some(Deed::Made));
        assert_eq!(touch(&mut recording, &frames, 2, 60, 161), Some(Deed::Made));
        // One that is forked later has it.
        fork(&mut recording, &frames, 1, 3);
        assert_eq!(
            touch(&mut recording, &frames, 3, 60, 162),
            Some(Deed::Copied)
        );
    }

    #[test]
    fn a_parent_that_writes_copies_again_after_each_fork() {
        let (mut recording, frames) = parent();
        fork(&mut recording, &frames, 1, 2);
        assert_eq!(
            touch(&mut recording, &frames, 1, 5, 105),
            Some(Deed::Rewrote)
        );
        assert_eq!(touch(&mut recording, &frames, 1, 5, 105), None);
        fork(&mut recording, &frames, 1, 3);
        assert_eq!(
            touch(&mut recording, &frames, 1, 5, 205),
            Some(Deed::Rewrote)
        );
        // Reused: nobody else had it any more.
        fork(&mut recording, &frames, 1, 4);
        assert_eq!(touch(&mut recording, &frames, 1, 5, 205), None);
        // And the worker that has what was before has copied nothing until it writes.
        assert_eq!(recording.members[1].pages, [0; 4]);
    }

    #[test]
    fn who_alone_still_has_what_was_there_at_the_fork_needs_no_copy_to_write() {
        let (mut recording, frames) = parent();
        fork(&mut recording, &frames, 1, 2);
        fork(&mut recording, &frames, 1, 3);
        assert_eq!(
            touch(&mut recording, &frames, 1, 5, 105),
            Some(Deed::Rewrote)
        );
        assert_eq!(
            touch(&mut recording, &frames, 2, 5, 205),
            Some(Deed::Copied)
        );
        assert_eq!(touch(&mut recording, &frames, 3, 5, 5), None);
        // Nobody has the parent's next page but the parent.
        assert_eq!(
            touch(&mut recording, &frames, 2, 6, 206),
            Some(Deed::Copied)
        );
        assert_eq!(
            touch(&mut recording, &frames, 3, 6, 306),
            Some(Deed::Copied)
        );
        assert_eq!(touch(&mut recording, &frames, 1, 6, 6), None);
    }

    #[test]
    fn what_a_process_did_not_have_when_the_recording_began_it_has_made() {
        let (mut recording, frames) = parent();
        let had = had(PageSet::from_iter([1, 2]));
        frames.borrow_mut().extend([((2, 1), 1), ((2, 2), 2)]);
        recording.add(member(2, 1), Fake(2, Rc::clone(&frames)), had);
        assert_eq!(
            touch(&mut recording, &frames, 2, 2, 102),
            Some(Deed::Copied)
        );
        assert_eq!(touch(&mut recording, &frames, 2, 7, 107), Some(Deed::Made));
    }

    #[test]
    fn a_grandchild_copies_from_the_nearest_ancestor_that_has_the_page() {
        let (mut recording, frames) = parent();
        fork(&mut recording, &frames, 1, 2);
        fork(&mut recording, &frames, 2, 3);
        frames.borrow_mut().remove(&(2, 4));
        assert_eq!(
            touch(&mut recording, &frames, 3, 4, 104),
            Some(Deed::Copied)
        );
        let ended = Incident {
            time: 0,
            process: 1,
            what: Happened::Ended,
        };
        recording.take(&ended);
        assert_eq!(
            touch(&mut recording, &frames, 3, 6, 106),
            Some(Deed::Copied)
        );
        recording.take(&Incident {
            process: 2,
            ..ended
        });
        // What is known of those that have ended tells on.
        assert_eq!(
            touch(&mut recording, &frames, 3, 7, 107),
            Some(Deed::Copied)
        );
        assert_eq!(touch(&mut recording, &frames, 3, 70, 170), Some(Deed::Made));
    }

    #[test]
    fn what_executes_a_program_and_what_is_strange_counts_no_more() {
        let (mut recording, frames) = parent();
        fork(&mut recording, &frames, 1, 2);
        let executed = Incident {
            time: 0,
            process: 2,
            what: Happened::Executed,
        };
        recording.take(&executed);
        assert_eq!(touch(&mut recording, &frames, 2, 3, 103), None);
        assert!(recording.members[1].executed);
        assert_eq!(recording.strange, 1);
    }

    #[test]
    fn what_executes_a_program_may_go_on_as_a_tree_of_its_own() {
        let (mut recording, frames) = parent();
        recording.follows = true;
        let executed = Incident {
            time: 0,
            process: 1,
            what: Happened::Executed,
        };
        recording.take(&executed);
        assert_eq!(touch(&mut recording, &frames, 1, 3, 103), Some(Deed::Made));
        fork(&mut recording, &frames, 1, 2);
        assert_eq!(
            touch(&mut recording, &frames, 2, 3, 203),
            Some(Deed::Copied)
        );
        assert_eq!(recording.members.len(), 3);
        assert_eq!(recording.members[2].parent, Some(1));
    }

    #[test]
    fn a_fault_that_leaves_the_frame_as_it_was_is_no_write() {
        let (mut recording, frames) = parent();
        fork(&mut recording, &frames, 1, 2);
        assert_eq!(touch(&mut recording, &frames, 2, 3, 3), None);
        assert_eq!(
            touch(&mut recording, &frames, 2, 3, 103),
            Some(Deed::Copied)
        );
    }
}
