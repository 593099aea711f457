//! What the page faults of a tree's members were: copies, new memory, or a parent's writes after a fork.
//!
//! The page-table entry of a page that a process shares forbids writing. So a fault at an address at which the process has had a page from its
//! fork on is a write, and the first one is what made the copy. It is judged by both entries when the record is taken, some milliseconds
//! after the write; what has been given back by then still counts, as what was there at the fork does not change by that.

mod faults;
mod pages;

use std::collections::BTreeMap;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::family::Member;
use crate::observe::{Fault, Happened, Incident, PageSet, TaskName, Word};

use pages::PageTable;

/// What a process has, read while it runs.
pub trait PageWords {
    /// A page's word, at a moment since [`Self::read_anew`]; `None` if the process has gone.
    fn word(&self, page: u64) -> Option<Word>;
    /// What was read may have changed.
    fn read_anew(&self);
}

/// How to get at a process.
pub trait ProcessSource {
    /// Its memory.
    type Memory: PageWords;
    /// A process that has just been forked, without its memory if it has ended; `None` if it has gone.
    fn open(&mut self, pid: i32) -> Option<(Member, Option<Self::Memory>)>;
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
    /// back what it had there at the fork. Or it made a page or touched one of a file, and had ended before that was looked at.
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
    /// Who has what was there before: the place of another process that shared the page.
    pub from: Option<usize>,
    /// What it did.
    pub deed: Deed,
    /// What the process's interpreter did then, as far as it was watched.
    pub phase: InterpreterPhase,
    /// The fault.
    pub fault: Fault,
}

/// How a page that a process has written to came to be its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// It copied what it had from its fork.
    Copied,
    /// It made the page, having forked so often.
    Made(u32),
    /// It had the page: nobody else did, or one that it has forked. Or it is not known.
    Had,
}

/// A page that a process has written to.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// How often the process had forked when it wrote last.
    forks: u32,
    origin: Origin,
}

impl Seen {
    /// Whether the process had the page when it had forked so often.
    fn was_there(&self, forks: u32) -> bool {
        match self.origin {
            Origin::Made(made) => made <= forks,
            Origin::Copied | Origin::Had => true,
        }
    }
}

/// The anonymous pages of a process at one moment.
#[derive(Clone, Debug, Default)]
pub struct HeldPages {
    /// All of them.
    pub all: PageSet,
    /// Those that it shared with nobody.
    pub alone: PageSet,
}

/// The pages of a process that stands still at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EndLook {
    /// Since the recording began.
    pub seconds: f64,
    /// Anonymous pages in memory.
    pub anonymous: u64,
    /// Those that another process has, too.
    pub shared: u64,
    /// Anonymous pages in swap.
    pub swapped: u64,
    /// Of the pages that it copied while it was recorded, those that it still has.
    pub kept: u64,
    /// The most bytes that it ever had in memory, files included; `None` where the kernel does not say.
    pub peak_resident: Option<u64>,
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
    /// Whether it had ended before its memory could be opened.
    pub unseen: bool,
    /// What it had when it ended.
    pub last_look: Option<EndLook>,
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
    seen: PageTable<Seen>,
    /// Of pages that it wrote more than once, how often it had forked at each time before the last that its heirs have something of.
    earlier: FxHashMap<u64, Vec<u32>>,
    /// Who has what it had at a fork: how often it had forked before each process that lives, or of whose heirs one lives.
    heirs: Vec<u32>,
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

    /// Takes up that a page is written once more: those that were forked between two writes have what the first of the two left.
    fn rewrite(&mut self, page: u64, before: u32) {
        let mut writes = self.earlier.remove(&page).unwrap_or_default();
        writes.push(before);
        let mut next = self.forks;
        let mut has_heirs = |write: &u32| {
            let between = *write..std::mem::replace(&mut next, *write);
            self.heirs.iter().any(|born| between.contains(born))
        };
        let mut kept: Vec<u32> = writes
            .into_iter()
            .rev()
            .filter(|write| has_heirs(write))
            .collect();
        kept.reverse();
        if !kept.is_empty() {
            self.earlier.insert(page, kept);
        }
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
    pub follows: bool,
    /// In the order in which they were seen first.
    pub members: Vec<RecordedMember<P::Memory>>,
    /// Those that live.
    by_pid: BTreeMap<i32, usize>,
    /// Those that lived: the place of one that has ended; `None`: what it executes, and all that it starts, is no part of the tree.
    former: FxHashMap<i32, Option<usize>>,
    /// Faults of processes whose fork left no record.
    pub lost: u64,
    /// What a process was seen to have since records were taken last: several may be forked in a row.
    looked: FxHashMap<i32, Option<Rc<PageSet>>>,
}

impl<P: ProcessSource> Recording<P> {
    /// Of no process. `follows`: what executes a program is recorded on, as a tree of its own.
    pub fn new(processes: P, follows: bool) -> Self {
        Self {
            processes,
            follows,
            members: Vec::new(),
            by_pid: BTreeMap::new(),
            former: FxHashMap::default(),
            lost: 0,
            looked: FxHashMap::default(),
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
        let memories = self.members.iter().filter_map(|one| one.memory.as_ref());
        memories.for_each(PageWords::read_anew);
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
        if let Some(parent) = parent {
            self.members[parent].heirs.push(born);
        }
        self.former.remove(&member.pid);
        self.by_pid.insert(member.pid, self.members.len());
        self.members.push(RecordedMember {
            member,
            parent,
            pages: [0; 4],
            lives: true,
            executed: false,
            unseen: memory.is_none(),
            last_look: None,
            phase: InterpreterPhase::Unwatched,
            watched_since: None,
            has_worked: false,
            ending_pages: 0,
            memory,
            inherited: None,
            had,
            born,
            forks: 1,
            seen: PageTable::default(),
            earlier: FxHashMap::default(),
            heirs: Vec::new(),
        });
    }

    /// The place of a living process.
    pub fn place_of(&self, pid: i32) -> Option<usize> {
        self.by_pid.get(&pid).copied()
    }

    /// What a process does from now on is no part of the tree.
    pub fn leave(&mut self, pid: i32) {
        self.former.insert(pid, None);
    }

    /// Takes up what has happened; a page that was made or copied is told of.
    pub fn take(&mut self, incident: &Incident) -> Option<MadePage> {
        let Some(place) = self.place_of(incident.process) else {
            return self.take_of_former(incident);
        };
        match incident.what {
            Happened::Fault(fault) => {
                let written = self.fault(place, fault)?;
                return Some(self.count(written));
            }
            Happened::Forked { new } => self.forked(place, new, incident.time),
            Happened::Executed(name) => {
                self.members[place].executed = true;
                self.end(place);
                match self.follows {
                    true => self.begins_anew(place, name),
                    false => self.leave(incident.process),
                }
            }
            Happened::WrotePlace | Happened::InterpreterEnds { .. } => {
                self.members[place].phase = InterpreterPhase::Ending;
            }
            Happened::Ended => {
                self.end(place);
                self.former.insert(incident.process, Some(place));
            }
        }
        None
    }

    fn count(&mut self, written: MadePage) -> MadePage {
        let member = &mut self.members[written.by];
        member.pages[written.deed as usize] += 1;
        member.ending_pages += u64::from(member.phase == InterpreterPhase::Ending);
        written
    }

    /// What happens to a process that is no member any more, or that nobody was told of.
    fn take_of_former(&mut self, incident: &Incident) -> Option<MadePage> {
        let former = self.former.get(&incident.process).copied();
        match (former, incident.what) {
            // Of another thread: the first one has ended, and nobody looks at what it had.
            (Some(Some(place)), Happened::Fault(fault)) => {
                return Some(self.count(MadePage {
                    by: place,
                    from: None,
                    deed: Deed::Unknown,
                    phase: self.members[place].phase,
                    fault,
                }));
            }
            (Some(None), Happened::Forked { new }) => self.leave(new),
            (None, Happened::Fault(_)) => self.lost += 1,
            _ => {}
        }
        None
    }

    /// A member has ended, or executes a program.
    fn end(&mut self, place: usize) {
        let member = &mut self.members[place];
        self.by_pid.remove(&member.member.pid);
        (member.lives, member.memory, member.inherited) = (false, None, None);
        self.forget(place);
    }

    /// What a member had tells of its heirs, and of nobody else when it has ended.
    fn forget(&mut self, mut place: usize) {
        loop {
            let member = &mut self.members[place];
            if member.lives || !member.heirs.is_empty() {
                return;
            }
            (member.seen, member.earlier) = (PageTable::default(), FxHashMap::default());
            member.had = None;
            let (born, Some(parent)) = (member.born, member.parent) else {
                return;
            };
            let of_parent = &mut self.members[parent];
            let heir = of_parent.heirs.iter().position(|one| *one == born);
            heir.map(|heir| of_parent.heirs.swap_remove(heir));
            if of_parent.heirs.is_empty() {
                of_parent.earlier = FxHashMap::default();
            }
            place = parent;
        }
    }

    /// What executes a program goes on as a tree of its own, which has nothing of before.
    fn begins_anew(&mut self, place: usize, name: TaskName) {
        let before = &self.members[place].member;
        let (member, memory) = self.processes.open(before.pid).unwrap_or_else(|| {
            // It has ended already, and somebody has waited for it.
            let (name, command) = (name.to_string(), Vec::new());
            let member = Member {
                name,
                command,
                ..before.clone()
            };
            (member, None)
        });
        self.begin(member, None, memory, Some(HeldPages::default()));
    }

    fn forked(&mut self, parent: usize, new: i32, time: u64) {
        // One that was there when the recording began is known, and its fork may be told of all the same.
        if self.by_pid.contains_key(&new) {
            return;
        }
        // Of one that has ended already the kernel tells no command line. It was what its parent was.
        let (member, memory) = match self.processes.open(new) {
            Some((member, Some(memory))) => (member, Some(memory)),
            _ => {
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
}

#[cfg(test)]
mod tests;
