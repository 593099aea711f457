//! A tree over time: its page faults as they come, and a look at its memory now and then.

mod ends;
mod interpreters;
mod machine;
mod moments;
mod unexplained;
mod watched;

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::LiveError;
use super::cause::{Key, TreeCauses};
use super::family::{self, Family, Member};
use super::line_of::LineOf;
use super::lines::{Lines, Missing};
use super::means::Means;
use super::recording::{HeldPages, MadePage, Recording};
use super::stacks::Stacks;
use super::tracing::Tracing;
use super::tree::FamilyTree;
use crate::interrupt;
use crate::observe::{
    self, Happened, Incident, Pagemap, ReadWords, TreeRecorder, mappings, page_states,
};

use interpreters::{Endings, PythonAsked};
pub use machine::Machine;
pub use moments::{InProcess, Moment};
use unexplained::{Known, Unexplained};
pub use watched::Watched;

/// How often records are taken up at least: a page is judged so long after the write.
const TICK: Duration = Duration::from_millis(5);

/// What stood where was written is read for so long in a tick, and what wrote is looked for for so long, so that forks and ends do not
/// wait: the first of each library reads all of its symbols.
const EXPLAINING: Duration = Duration::from_millis(20);
/// Who ends waits at most so long for what it did to be read.
const READING_ENDS: Duration = Duration::from_millis(500);
/// What is shown is what causes can be told of, unless that takes so long.
const LATEST: Duration = Duration::from_secs(1);
/// If more is to be explained than this, all else waits.
const MOST_UNEXPLAINED: usize = 100_000;

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

/// A tree that is recorded.
#[derive(Debug)]
pub struct Watch {
    recorder: TreeRecorder,
    /// What was recorded so far.
    pub recording: Recording<Machine>,
    causes: TreeCauses,
    unexplained: Unexplained,
    /// What traces the processes, if that is asked for.
    tracing: Option<Tracing>,
    /// The lines of stacks that come with records, if lines are asked for and they do.
    stacks: Option<Stacks>,
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

impl Watch {
    /// Of no process. `follows`: what executes a program is recorded on.
    pub fn new(means: Means, follows: bool) -> Self {
        let Means {
            recorder,
            tracing,
            stacks,
        } = means;
        let began = Instant::now();
        Self {
            recorder,
            recording: Recording::new(Machine, follows),
            causes: TreeCauses::default(),
            unexplained: Unexplained::default(),
            tracing,
            stacks,
            own: None,
            began,
            moments: Vec::new(),
            looked: (began, Duration::ZERO),
            pythons: Vec::new(),
            endings: Vec::new(),
            ticks: 0,
        }
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
            let memory = ReadWords::new(Pagemap::open(pid)?);
            Ok::<_, observe::Error>((memory, HeldPages { all, alone }))
        };
        match had() {
            Ok((memory, had)) => self.recording.add(member, memory, had),
            Err(observe::Error::Gone { .. }) => self.recording.leave(pid),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Pages by what was written first, and what wrote, until now.
    pub fn causes(&self) -> &FxHashMap<Key, u64> {
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
            let is_due = elapsed >= next && self.unexplained.is_read();
            if end || is_due || elapsed >= next + LATEST {
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
        let urgent = self.tracing.as_ref().map(Tracing::urgent);
        let at_most = match self.unexplained.is_read() {
            true => at_most,
            false => Duration::ZERO,
        };
        self.recorder.forget_stacks();
        let mut incidents = self.recorder.take(at_most, urgent).map_err(failed)?;
        let ending = self.tracing.as_mut().map(Tracing::hear);
        let ending = ending.unwrap_or_default();
        if !ending.is_empty() {
            // They stand still: all that they have done is there by now.
            let rest = self.recorder.take(Duration::ZERO, None).map_err(failed)?;
            incidents.extend(rest);
        }
        // All are judged before any cause is looked for, which takes longer: what a process had at a fork it may give back at any time.
        self.recording.begin_records();
        if let Some(stacks) = &mut self.stacks {
            stacks.read_anew();
        }
        for incident in incidents {
            let written = self.judge(&incident);
            let line = self.line(&incident, written.as_ref());
            self.unexplained.push(incident, written, line);
        }
        self.look_at_ends(&ending);
        self.ticks += 1;
        self.ask_for_pythons();
        self.watch_endings();
        // While who ends stands still, so does who waits for it, and has what was there at the fork.
        self.read(match ending.is_empty() {
            true => EXPLAINING,
            false => READING_ENDS,
        });
        self.let_go(&ending);
        let began = Instant::now();
        let is_read = self.unexplained.is_read();
        while (is_read && began.elapsed() < EXPLAINING || self.unexplained.len() > MOST_UNEXPLAINED)
            && self.explain(Unexplained::next)
        {}
        if let Some(tracing) = &mut self.tracing {
            tracing.hear_lines(&mut self.causes);
        }
        Ok(())
    }

    fn read(&mut self, at_most: Duration) {
        let mut known = Known {
            recording: &self.recording,
            causes: &mut self.causes,
            pythons: &self.pythons,
        };
        self.unexplained.read(&mut known, at_most);
    }

    /// Whether there was anything to explain.
    fn explain(&mut self, next: fn(&mut Unexplained) -> Option<unexplained::Read>) -> bool {
        let Some((incident, written, line, stood)) = next(&mut self.unexplained) else {
            return false;
        };
        let mut known = Known {
            recording: &self.recording,
            causes: &mut self.causes,
            pythons: &self.pythons,
        };
        let lines = self.tracing.as_mut();
        let lines = lines.and_then(|tracing| tracing.lines.as_mut());
        known.explain(lines, &incident, written, line, stood);
        true
    }

    /// Takes up what has happened; what has a cause that counts.
    fn judge(&mut self, incident: &Incident) -> Option<MadePage> {
        let written = self.take(incident);
        if let Happened::Forked { new } = incident.what {
            self.causes.fork_code(incident.process, new);
            self.watch_ending_of(new);
        }
        if let Happened::Executed(_) = incident.what {
            // At once: it may be over soon.
            self.ask_for_pythons();
        }
        written
    }

    /// The line that wrote a page, if its record says what ran.
    fn line(&mut self, incident: &Incident, written: Option<&MadePage>) -> LineOf {
        let (Some(stacks), Happened::Fault(fault), Some(written)) =
            (&mut self.stacks, incident.what, written)
        else {
            return LineOf::NotLooked;
        };
        let stack = fault
            .stack
            .and_then(|number| Some((number, self.recorder.stack(number)?)));
        let Some(stack) = stack else {
            return LineOf::NotLooked;
        };
        let members = &self.recording.members;
        let root = root(&self.recording, written.by);
        let relatives = [written.by, members[written.by].parent.unwrap_or(root), root];
        stacks.line(
            stack,
            root,
            relatives.map(|place| members[place].member.pid),
        )
    }

    fn take(&mut self, incident: &Incident) -> Option<MadePage> {
        if let Happened::InterpreterEnds { of } = incident.what {
            let place = self.recording.place_of(incident.process)?;
            let root = root(&self.recording, place);
            // That of another tree: this one has something else there.
            let own = self.endings.iter().find(|one| one.root == root);
            own.filter(|own| own.of == Some(of))?;
        }
        let written = self.recording.take(incident);
        // What the process does before it becomes the program is refcow's doing.
        written.filter(|written| Some(written.by) != self.own)
    }

    /// Ends the recording.
    ///
    /// # Errors
    /// When the kernel does not say how many faults there were.
    pub fn finish(mut self) -> Result<Watched, LiveError> {
        let duration = self.began.elapsed();
        let with_kernel = self.recorder.is_with_kernel();
        // First: what it still says is of faults that are still to be taken up.
        let left = self.tracing.as_mut().map(|tracing| {
            let one_in = tracing.lines.as_ref().map(Lines::one_in);
            let (mut traced, missing) = tracing.leave(&mut self.causes);
            let members = self.recording.members.iter();
            let living = members.filter(|one| one.lives);
            traced.left = living.map(|one| one.member.pid).collect();
            (traced, one_in.zip(missing))
        });
        let (traced, by_stops) = left.unzip();
        let finished = self.recorder.finish();
        let (last, lost) = finished.map_err(|error| LiveError::Waiting(error.to_string()))?;
        self.recording.begin_records();
        if let Some(stacks) = &mut self.stacks {
            stacks.read_anew();
        }
        for incident in last {
            let written = self.take(&incident);
            let line = self.line(&incident, written.as_ref());
            self.unexplained.push(incident, written, line);
        }
        self.read(Duration::MAX);
        while self.explain(Unexplained::last) {}
        let lost = lost + self.recording.lost;
        let by_program = self.stacks.map(|stacks| {
            let missing = Missing {
                frames: stacks.missing,
                ..Missing::default()
            };
            (stacks.one_in, missing)
        });
        let pythons = self.pythons.into_iter();
        Ok(Watched {
            recording: self.recording,
            causes: self.causes.pages,
            unread: self.causes.unread,
            traced,
            with_stops: by_stops.as_ref().is_some_and(Option::is_some),
            lines: by_stops.flatten().or(by_program),
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
    if !recording.follows {
        // One family, of which whoever forked several may have ended.
        return 0;
    }
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
