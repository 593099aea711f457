//! A tree over time: its page faults as they come, and a look at its memory now and then.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::LiveError;
use super::cause::{Key, TreeCauses, Who};
use super::ending::{self, Ending, ending};
use super::family::{self, Family, Member};
use super::lines::{LineOf, Lines, Missing};
use super::look::look;
use super::python::{LivePython, python_of};
use super::recording::{Deed, HeldPages, MadePage, PageWords, ProcessSource, Recording};
use super::tree::FamilyTree;
use crate::interrupt;
use crate::observe::{
    self, Happened, Incident, PageSet, Pagemap, TreeRecorder, Word, anonymous_pages, mappings,
    page_size, page_states,
};

/// How often records are taken up at least: a page is judged so long after the write.
const TICK: Duration = Duration::from_millis(5);

/// So many nanoseconds after a fork a look at what the parent has tells no more what it had then.
const LATE: u64 = 20_000_000;

/// So many ticks long a new program is asked in each of them which Python it runs.
const OFTEN: u32 = 40;

/// Looks at the memory of all members take at most this part of the time.
const LOOKING: u32 = 30;

/// As many moments are kept.
const MOST_MOMENTS: usize = 1_000;

/// How often members are listed until a list shows no new one.
const LISTS: usize = 20;

/// When the recording ends.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// After so long; else when the tree has ended, or at Ctrl-C.
    pub duration: Option<Duration>,
    /// Between two moments.
    pub every: Duration,
    /// At Ctrl-C, too.
    pub until_interrupted: bool,
}

/// Figures of all members together at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// Seconds since the recording began.
    pub seconds: f64,
    /// Members that live.
    pub processes: u64,
    /// Pages copied, made, and rewritten until then.
    pub pages: [u64; 3],
    /// What all have, each page once; absent where no look was due.
    pub memory_bytes: Option<u64>,
}

/// What a process that lives has copied and made until a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InProcess {
    /// Its place in the recording.
    pub place: usize,
    /// Pages copied and rewritten.
    pub copied: u64,
    /// Pages made.
    pub made: u64,
}

/// The processes of this machine.
#[derive(Debug)]
pub struct Machine;

impl ProcessSource for Machine {
    type Memory = Pagemap;

    fn open(&mut self, pid: i32) -> Option<(Member, Pagemap)> {
        Some((Member::read(pid)?, Pagemap::open(pid).ok()?))
    }

    fn pages(&mut self, pid: i32, since: u64) -> Option<PageSet> {
        if now().saturating_sub(since) > LATE {
            return None;
        }
        anonymous_pages(pid, &mappings(pid).ok()?.ranges).ok()
    }
}

impl PageWords for Pagemap {
    fn word(&self, page: u64) -> Option<Word> {
        self.word_if_there(page)
    }
}

/// The first process of a tree, what that runs if it is known, in which tick, and so many later, it is asked for again, and since when.
type PythonAsked = (usize, Option<LivePython>, u32, u32, u32);

/// A tree that is recorded.
#[derive(Debug)]
pub struct Watch {
    recorder: TreeRecorder,
    /// What was recorded so far.
    pub recording: Recording<Machine>,
    causes: TreeCauses,
    /// Where threads were, if that is asked for.
    lines: Option<Lines>,
    /// The place of a process that is to become a program.
    own: Option<usize>,
    began: Instant,
    moments: Vec<(Moment, Vec<InProcess>)>,
    looked: (Instant, Duration),
    /// What the first process of each tree runs, once that is known, and in how many ticks it is asked for again.
    pythons: Vec<PythonAsked>,
    endings: Vec<Endings>,
    ticks: u32,
}

/// How the ends of the interpreters of a tree are seen.
#[derive(Debug)]
struct Endings {
    root: usize,
    /// Where `_PyRuntime` is.
    runtime: Option<u64>,
    is: Ending,
}

/// What was recorded.
#[derive(Debug)]
pub struct Watched {
    /// Of each process.
    pub recording: Recording<Machine>,
    /// Pages by what was written first, and what wrote.
    pub causes: HashMap<Key, u64>,
    /// How lines were looked at, and what is not known of them; `None`: they were not asked for.
    pub lines: Option<(u64, Missing)>,
    /// For how long.
    pub duration: Duration,
    /// Faults of which there is no record.
    pub lost: u64,
    /// Whether the kernel's own were recorded.
    pub with_kernel: bool,
    /// In the order in which they came.
    pub moments: Vec<(Moment, Vec<InProcess>)>,
    pythons: Vec<(usize, LivePython)>,
    endings: Vec<Endings>,
}

impl Watch {
    /// Makes what records. `follows`: what executes a program is recorded on. `lines`: with what tells them.
    ///
    /// # Errors
    /// When page faults cannot be recorded.
    pub fn new(follows: bool, lines: Option<Lines>) -> Result<Self, LiveError> {
        let began = Instant::now();
        Ok(Self {
            recorder: TreeRecorder::new()?,
            recording: Recording::new(Machine, follows),
            causes: TreeCauses::default(),
            lines,
            own: None,
            began,
            moments: Vec::new(),
            looked: (began, Duration::ZERO),
            pythons: Vec::new(),
            endings: Vec::new(),
            ticks: 0,
        })
    }

    /// Takes in all members of the family of a process.
    ///
    /// # Errors
    /// When one may not be read or recorded.
    pub fn add_family(&mut self, mut family: Family) -> Result<(), LiveError> {
        for _ in 0..LISTS {
            let new = |member: &Member| self.recording.place_of(member.pid).is_none();
            if !family.members.iter().any(new) {
                break;
            }
            for member in FamilyTree::of(family.clone()).members {
                if self.recording.place_of(member.pid).is_none() {
                    self.add(member)?;
                }
            }
            let Some(any) = family
                .members
                .iter()
                .find(|one| self.recording.place_of(one.pid).is_some())
            else {
                break;
            };
            match family::of_process(any.pid) {
                Ok(again) => family = again,
                Err(_) => break,
            }
        }
        if self.recording.members.is_empty() {
            return Err(LiveError::Gone);
        }
        Ok(())
    }

    /// Takes in a process that waits to become a program.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_waiting(&mut self, member: Member) -> Result<(), LiveError> {
        let pid = member.pid;
        self.add(member)?;
        self.own = self.recording.place_of(pid);
        Ok(())
    }

    /// Takes in one process. One that has ended is none.
    ///
    /// # Errors
    /// When it may not be read or recorded.
    pub fn add(&mut self, member: Member) -> Result<(), LiveError> {
        let pid = member.pid;
        let is_gone = || crate::process::watch(pid).is_err();
        match self.recorder.add(pid) {
            Err(_) if is_gone() => return Ok(()),
            added => added?,
        }
        let had = || {
            let states = page_states(pid, &mappings(pid)?.ranges)?;
            let all = states.anonymous() | states.swapped();
            let alone = &all & &states.exclusive();
            Ok::<_, observe::Error>((Pagemap::open(pid)?, HeldPages { all, alone }))
        };
        match had() {
            Ok((memory, had)) => self.recording.add(member, memory, had),
            Err(observe::Error::Gone { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Pages by what was written first, and what wrote, until now.
    pub fn causes(&self) -> &HashMap<Key, u64> {
        &self.causes.pages
    }

    /// What the first process runs, if that is known by now.
    pub fn title(&self) -> String {
        let command = self.recording.members.first().map(|one| one.member.title());
        let python = self
            .pythons
            .iter()
            .find_map(|(_, python, ..)| python.as_ref());
        let python = python.map_or_else(String::new, |python| format!(", {}", python.title()));
        format!(
            "{}{python}",
            crate::model::printable(&command.unwrap_or_default())
        )
    }

    /// The time starts now.
    pub fn begin(&mut self) {
        self.began = Instant::now();
        self.looked = (self.began, Duration::ZERO);
    }

    /// Records until the time is over, all have ended, Ctrl-C was pressed, or `ends` says so.
    ///
    /// # Errors
    /// When the kernel refuses to wait.
    pub fn until(
        &mut self,
        pace: Pace,
        mut ends: impl FnMut(&Recording<Machine>) -> bool,
        mut show: impl FnMut(&Self, &Moment),
    ) -> Result<(), LiveError> {
        let mut next = pace.every;
        loop {
            let elapsed = self.began.elapsed();
            let left = pace
                .duration
                .map(|duration| duration.saturating_sub(elapsed));
            let tick = left.map_or(TICK, |left| left.min(TICK));
            self.tick(tick)?;
            let elapsed = self.began.elapsed();
            let over = pace.duration.is_some_and(|duration| elapsed >= duration);
            let interrupted = pace.until_interrupted && interrupt::requested();
            let end = over || interrupted || ends(&self.recording);
            if end || elapsed >= next {
                let moment = self.moment(end);
                show(self, &moment);
                self.keep(moment);
                while next <= elapsed {
                    next += pace.every;
                }
            }
            if end {
                return Ok(());
            }
        }
    }

    fn tick(&mut self, at_most: Duration) -> Result<(), LiveError> {
        let failed = |error: std::io::Error| LiveError::Waiting(error.to_string());
        let incidents = self.recorder.take(at_most).map_err(failed)?;
        // All are judged before any cause is looked for, which takes longer: what a process had at a fork it may give back at any time.
        self.recording.begin_records();
        let written: Vec<_> = incidents.iter().map(|one| self.judge(one)).collect();
        for (incident, written) in incidents.iter().zip(written) {
            let (recording, causes) = (&self.recording, &mut self.causes);
            let lines = self.lines.as_mut();
            explain(recording, causes, lines, &self.pythons, incident, written);
        }
        if let Some(lines) = &mut self.lines {
            lines.hear(&mut self.causes);
        }
        self.ticks += 1;
        self.ask_for_pythons();
        self.watch_endings();
        Ok(())
    }

    /// Takes up what has happened; what has a cause that counts.
    fn judge(&mut self, incident: &Incident) -> Option<MadePage> {
        let written = self.recording.take(incident);
        if let Happened::Forked { new } = incident.what {
            self.watch_ending_of(new);
        }
        if incident.what == Happened::Executed {
            // At once: it may be over soon.
            self.ask_for_pythons();
        }
        // What the process does before it becomes the program is refcow's doing.
        written.filter(|written| Some(written.by) != self.own)
    }

    /// Of what the first process of each tree runs, as long as it is not known: a program maps its interpreter some time after it was started.
    fn ask_for_pythons(&mut self) {
        for place in 0..self.recording.members.len() {
            let member = &self.recording.members[place];
            let is_known = self.pythons.iter().any(|(root, ..)| *root == place);
            if member.parent.is_none() && !is_known {
                self.pythons.push((place, None, self.ticks, 1, self.ticks));
            }
        }
        for (place, python, due, pause, first) in &mut self.pythons {
            let member = &self.recording.members[*place];
            if python.is_none() && member.lives && *due <= self.ticks {
                *python = python_of(member.member.pid).ok().flatten();
                *due = self.ticks + *pause;
                // Often at first: a program may be over soon.
                *pause = if self.ticks < *first + OFTEN {
                    1
                } else {
                    pause.saturating_mul(2)
                };
            }
        }
        if let Some(lines) = &mut self.lines {
            for (place, python, ..) in &self.pythons {
                if let Some(python) = python
                    && !lines.traces(*place)
                {
                    lines.trace(*place, python, &members_of(&self.recording, *place));
                }
            }
        }
    }

    /// Has it recorded when the interpreter of a process ends, for all members of each tree that runs Python.
    fn watch_endings(&mut self) {
        for (root, python, ..) in &self.pythons {
            let Some(python) = python else { continue };
            let place = self.endings.iter().position(|one| one.root == *root);
            let place = place.unwrap_or_else(|| {
                self.endings.push(Endings {
                    root: *root,
                    runtime: None,
                    is: Ending::NotReady,
                });
                self.endings.len() - 1
            });
            let watched = &mut self.endings[place];
            if watched.is != Ending::NotReady {
                continue;
            }
            let members = 0..self.recording.members.len();
            let living = members.filter(|place| {
                self.recording.members[*place].lives && self::root(&self.recording, *place) == *root
            });
            let living: Vec<usize> = living.collect();
            let Some(first) = living.first() else {
                continue;
            };
            let first = self.recording.members[*first].member.pid;
            watched.runtime = watched.runtime.or_else(|| python.runtime(first));
            let Some(runtime) = watched.runtime else {
                continue;
            };
            watched.is = ending(first, python, runtime);
            let Ending::At(address) = watched.is else {
                continue;
            };
            for place in living {
                let member = &mut self.recording.members[place];
                let pid = member.member.pid;
                match self.recorder.watch_place(pid, address) {
                    Err(error) if error.raw_os_error() != Some(nix::libc::ESRCH) => {
                        watched.is = Ending::Unseen("the processor has no watchpoint free");
                        break;
                    }
                    _ => {
                        member.watched_since = Some(now());
                        member.watch_ending(ending::is_ending(pid, address));
                    }
                }
            }
        }
    }

    /// The same of a process that was forked before its parent was watched.
    fn watch_ending_of(&mut self, pid: i32) {
        let Some(place) = self.recording.place_of(pid) else {
            return;
        };
        let root = root(&self.recording, place);
        let watched = self.endings.iter().find(|one| one.root == root);
        let member = &mut self.recording.members[place];
        if let (Some(Ending::At(address)), None) =
            (watched.map(|one| &one.is), member.watched_since)
            && self.recorder.watch_place(pid, *address).is_ok()
        {
            member.watched_since = Some(now());
            member.watch_ending(ending::is_ending(pid, *address));
        }
    }

    fn moment(&mut self, last: bool) -> Moment {
        let mut pages = [0; 3];
        for member in self
            .recording
            .members
            .iter()
            .filter(|member| !member.executed)
        {
            for (sum, deed) in pages
                .iter_mut()
                .zip([Deed::Copied, Deed::Made, Deed::Rewrote])
            {
                *sum += member.number(deed);
            }
        }
        let (at, took) = self.looked;
        let memory_bytes = (last || at.elapsed() >= took * LOOKING)
            .then(|| self.memory())
            .flatten();
        Moment {
            seconds: self.began.elapsed().as_secs_f64(),
            processes: self
                .recording
                .members
                .iter()
                .filter(|one| one.lives)
                .count() as u64,
            pages,
            memory_bytes,
        }
    }

    /// Keeps a moment for the end. Of many, each second one stays: a recording may take days.
    fn keep(&mut self, moment: Moment) {
        if self.moments.len() >= MOST_MOMENTS {
            let mut place = 0;
            self.moments.retain(|_| {
                place += 1;
                place % 2 == 0
            });
        }
        let living = self.recording.members.iter().enumerate();
        let series = living
            .filter(|(_, one)| one.lives)
            .map(|(place, one)| InProcess {
                place,
                copied: one.number(Deed::Copied) + one.number(Deed::Rewrote),
                made: one.number(Deed::Made),
            });
        self.moments.push((moment, series.collect()));
    }

    /// What all that live have; `None` where one ends meanwhile.
    fn memory(&mut self) -> Option<u64> {
        let start = Instant::now();
        let looks = living(&self.recording).into_iter().map(|(_, family)| {
            let look = look(&FamilyTree::of(family), false).ok()?;
            Some(look.distinct? * page_size())
        });
        let sum = looks.sum();
        self.looked = (Instant::now(), start.elapsed());
        sum
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// When the kernel does not say how many faults there were.
    pub fn finish(mut self) -> Result<Watched, LiveError> {
        let duration = self.began.elapsed();
        let with_kernel = self.recorder.is_with_kernel();
        // First: what it still says is of faults that are still to be taken up.
        let missing = self.lines.as_mut().map(|lines| {
            let one_in = lines.one_in();
            (one_in, lines.leave(&mut self.causes))
        });
        let finished = self.recorder.finish();
        let (last, lost) = finished.map_err(|error| LiveError::Waiting(error.to_string()))?;
        self.recording.begin_records();
        let written: Vec<_> = last.iter().map(|one| self.recording.take(one)).collect();
        for (incident, written) in last.iter().zip(written) {
            let (recording, causes) = (&self.recording, &mut self.causes);
            let lines = self.lines.as_mut();
            explain(recording, causes, lines, &self.pythons, incident, written);
        }
        let pythons = self.pythons.into_iter();
        Ok(Watched {
            recording: self.recording,
            causes: self.causes.pages,
            lines: missing,
            duration,
            lost,
            with_kernel,
            moments: self.moments,
            pythons: pythons
                .filter_map(|(root, python, ..)| Some((root, python?)))
                .collect(),
            endings: self.endings,
        })
    }
}

impl Watched {
    /// What the first process of a tree runs; `None`: no CPython.
    pub fn python(&self, root: usize) -> Option<&LivePython> {
        let mut all = self.pythons.iter();
        all.find(|(place, _)| *place == root)
            .map(|(_, python)| python)
    }

    /// Why it is not known of a tree when its interpreters ended; `None`: it is known.
    pub fn ends_unseen(&self, root: usize) -> Option<&'static str> {
        let found = self.endings.iter().find(|one| one.root == root);
        match found.map(|one| &one.is) {
            Some(Ending::At(_)) => None,
            Some(Ending::Unseen(why)) => Some(why),
            Some(Ending::NotReady) => Some("no interpreter was seen ready"),
            None => Some("it is not CPython"),
        }
    }

    /// Whether any tree ran a CPython.
    pub fn any_python(&self) -> bool {
        !self.pythons.is_empty()
    }

    /// The first process of the tree that one belongs to.
    pub fn root(&self, place: usize) -> usize {
        root(&self.recording, place)
    }

    /// The members of each tree that live, by the tree's first process.
    pub fn living(&self) -> Vec<(usize, Family)> {
        living(&self.recording)
    }
}

/// Finds the cause of what has happened, and counts it.
fn explain(
    recording: &Recording<Machine>,
    causes: &mut TreeCauses,
    lines: Option<&mut Lines>,
    pythons: &[PythonAsked],
    incident: &Incident,
    written: Option<MadePage>,
) {
    if matches!(incident.what, Happened::Executed | Happened::Ended) {
        causes.forget(incident.process);
    }
    let Some(written) = written else {
        return;
    };
    let root = root(recording, written.by);
    // What stands there by now is what was there before: a count or a header keeps its object.
    let holder = written.from.unwrap_or(written.by);
    let who = Who {
        root,
        writer: incident.process,
        holder: recording.members[holder].member.pid,
        phase: written.phase,
        relatives: [recording.members[written.by].parent.unwrap_or(root), root]
            .map(|relative| recording.members[relative].member.pid),
    };
    let python = pythons.iter().find(|(of, ..)| *of == root);
    let python = python.and_then(|(_, python, ..)| python.as_ref());
    match lines {
        None => drop(causes.add(&written, who, python, LineOf::NotLooked)),
        Some(lines) => {
            let line = lines.of(&written.fault);
            let is_looked_at = line != LineOf::NotLooked;
            let key = causes.add(&written, who, python, line);
            if !is_looked_at {
                lines.expect(&written.fault, key);
            }
        }
    }
}

/// The processes of a tree that live, by their numbers.
fn members_of(recording: &Recording<Machine>, of: usize) -> Vec<i32> {
    let all = recording.members.iter().enumerate();
    let all = all.filter(|(place, one)| one.lives && root(recording, *place) == of);
    all.map(|(_, one)| one.member.pid).collect()
}

/// Nanoseconds of the clock that records have.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

fn root(recording: &Recording<Machine>, place: usize) -> usize {
    let mut root = place;
    while let Some(parent) = recording.members[root].parent {
        root = parent;
    }
    root
}

/// The members of each tree that live, by the tree's first process.
pub fn living(recording: &Recording<Machine>) -> Vec<(usize, Family)> {
    let mut families: Vec<(usize, Family)> = Vec::new();
    for (place, member) in recording
        .members
        .iter()
        .enumerate()
        .filter(|(_, one)| one.lives)
    {
        let root = root(recording, place);
        // As it is called by now.
        let member = Member::read(member.member.pid).unwrap_or_else(|| member.member.clone());
        match families.iter_mut().find(|(known, _)| *known == root) {
            Some((_, family)) => family.members.push(member),
            None => families.push((
                root,
                Family {
                    members: vec![member],
                },
            )),
        }
    }
    families
}
