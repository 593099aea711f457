//! What has been judged and not been explained. What stood where was written first is read at once, as whoever has it may change it or give it
//! back; what wrote is looked for when there is time.
//!
//! What is read was there at the write as long as whoever has it has not written to the page since, which a fault of its own would tell.
//! Where one does, the writer must have the same there by now, or nothing is said.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::interpreters::PythonAsked;
use super::moments::processor_time;
use super::{Machine, now, root};
use crate::live::cause::{Stood, TreeCauses, Who};
use crate::live::line_of::LineOf;
use crate::live::lines::Lines;
use crate::live::python::LivePython;
use crate::live::recording::{Deed, MadePage, Recording};
use crate::observe::{Happened, Incident, page_size};

/// Processes whose memory is read.
pub(super) trait Processes {
    /// The number of the one at a place in the recording.
    fn pid(&self, place: usize) -> i32;
    /// By the clock of records.
    fn now(&self) -> u64;
    /// What was read before is not what is there.
    fn read_anew(&mut self);
    /// What one has where another wrote.
    fn stands(&mut self, pid: i32, written: &MadePage) -> Stood;
    /// One has ended, or executes another program.
    fn forget(&mut self, pid: i32);
}

/// What is there to explain with.
pub(super) struct Known<'a> {
    pub(super) recording: &'a Recording<Machine>,
    pub(super) causes: &'a mut TreeCauses,
    pub(super) pythons: &'a [PythonAsked],
}

/// After so many the time is looked at.
const EVENTS_A_LOOK: usize = 16;

/// What has happened, with what stood where was written.
pub(super) type Read = (Incident, Option<MadePage>, LineOf, Option<Stood>);

/// What has happened, in its order.
#[derive(Debug, Default)]
pub(super) struct Unexplained {
    queue: VecDeque<Event>,
    /// So many at the front have been read, and of these so many before that records were taken last.
    read: usize,
    confirmed: usize,
    touched: Touched,
}

/// Processes, pages and times: of what has come since all was read.
type Touched = BTreeSet<(i32, u64, u64)>;

#[derive(Debug)]
struct Event {
    incident: Incident,
    written: Option<MadePage>,
    /// The line that wrote, if that came with the record.
    line: LineOf,
    stood: Option<Stood>,
    /// When that was read.
    read: u64,
    /// Whether it may have come to be there after the write.
    is_doubted: bool,
}

impl Unexplained {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether all that has come has been read.
    pub(super) fn is_read(&self) -> bool {
        self.read == self.queue.len()
    }

    pub(super) fn push(&mut self, incident: Incident, written: Option<MadePage>, line: LineOf) {
        if let Happened::Fault(fault) = incident.what {
            let page = fault.address / page_size();
            self.touched.insert((incident.process, page, incident.time));
        }
        self.queue.push_back(Event {
            incident,
            written,
            line,
            stood: None,
            read: 0,
            is_doubted: false,
        });
    }

    /// Doubts what was read before the records of now were taken, where these tell of a write; and reads what has come since, for so long of
    /// this thread's time.
    pub(super) fn read(&mut self, known: &mut impl Processes, at_most: Duration) {
        let began = processor_time();
        // All that has come was written before now.
        known.read_anew();
        for event in self.queue.range_mut(self.confirmed..self.read) {
            event.doubt(&self.touched, known);
        }
        self.confirmed = self.read;
        for event in self.queue.range_mut(self.read..) {
            // To ask for the time costs as much as to read what stands there.
            if self.read.is_multiple_of(EVENTS_A_LOOK)
                && processor_time().saturating_sub(began) >= at_most
            {
                return;
            }
            event.read(known);
            event.doubt(&self.touched, known);
            self.read += 1;
        }
        self.touched.clear();
    }

    /// The first one, if all that there is to know of what stood there is known.
    pub(super) fn next(&mut self) -> Option<Read> {
        self.confirmed = self.confirmed.checked_sub(1)?;
        self.read -= 1;
        let event = self.queue.pop_front()?;
        Some((event.incident, event.written, event.line, event.stood))
    }

    /// The first one, when no records are to come any more.
    pub(super) fn last(&mut self) -> Option<Read> {
        self.confirmed = self.read;
        self.next()
    }
}

impl Event {
    fn read(&mut self, known: &mut impl Processes) {
        if matches!(self.incident.what, Happened::Executed(_) | Happened::Ended) {
            known.forget(self.incident.process);
        }
        let Some(written) = &self.written else {
            return;
        };
        if let Deed::Copied | Deed::Rewrote = written.deed {
            let holder = known.pid(written.from.unwrap_or(written.by));
            self.read = known.now();
            self.stood = Some(known.stands(holder, written));
        }
    }

    fn doubt(&mut self, touched: &Touched, known: &mut impl Processes) {
        let (Some(written), Some(stood), false) = (&self.written, &self.stood, self.is_doubted)
        else {
            return;
        };
        let Some(holder) = written.from.map(|from| known.pid(from)) else {
            return;
        };
        let page = written.fault.address / page_size();
        let between = (holder, page, self.incident.time + 1)..=(holder, page, self.read);
        let is_unchanged =
            self.read <= self.incident.time || touched.range(between).next().is_none();
        if is_unchanged {
            return;
        }
        self.is_doubted = true;
        if known.stands(self.incident.process, written) != *stood {
            self.stood = Some(Stood::NOTHING_KNOWN);
        }
    }
}

impl Processes for Known<'_> {
    fn pid(&self, place: usize) -> i32 {
        self.recording.members[place].member.pid
    }

    fn now(&self) -> u64 {
        now()
    }

    fn read_anew(&mut self) {
        self.causes.read_anew();
    }

    fn stands(&mut self, pid: i32, written: &MadePage) -> Stood {
        let python = python_of(self.pythons, root(self.recording, written.by));
        self.causes.stands(pid, written.fault.address, python)
    }

    fn forget(&mut self, pid: i32) {
        self.causes.forget_memory_of(pid);
    }
}

impl Known<'_> {
    /// Finds what wrote, and counts it.
    pub(super) fn explain(
        &mut self,
        lines: Option<&mut Lines>,
        incident: &Incident,
        written: Option<MadePage>,
        line: LineOf,
        stood: Option<Stood>,
    ) {
        if matches!(incident.what, Happened::Executed(_) | Happened::Ended) {
            self.causes.forget_code_of(incident.process);
        }
        let Some(written) = written else {
            return;
        };
        let root = root(self.recording, written.by);
        let parent = self.recording.members[written.by].parent;
        let who = Who {
            root,
            writer: incident.process,
            phase: written.phase,
            relatives: [parent.unwrap_or(root), root].map(|relative| self.pid(relative)),
        };
        let Some(lines) = lines else {
            self.causes.add(&written, stood, who, line);
            return;
        };
        let line = lines.of(&written.fault);
        let is_looked_at = line != LineOf::NotLooked;
        let key = self.causes.add(&written, stood, who, line);
        if !is_looked_at {
            lines.expect(&written.fault, key);
        }
    }
}

fn python_of(pythons: &[PythonAsked], root: usize) -> Option<&LivePython> {
    let mut all = pythons.iter();
    let (_, python, ..) = all.find(|(of, ..)| *of == root)?;
    python.as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::recording::InterpreterPhase;
    use crate::model::Cause;
    use crate::observe::Fault;
    use std::collections::HashMap;

    /// What stands at one address, by process; those at place N of the recording have the number N.
    struct Fake(HashMap<i32, Stood>);

    /// When that is read.
    const READ: u64 = 10;

    impl Processes for Fake {
        fn pid(&self, place: usize) -> i32 {
            i32::try_from(place).unwrap()
        }
        fn now(&self) -> u64 {
            READ
        }
        fn read_anew(&mut self) {}
        fn stands(&mut self, pid: i32, _: &MadePage) -> Stood {
            self.0.get(&pid).cloned().unwrap_or(Stood::UNREAD)
        }
        fn forget(&mut self, pid: i32) {
            self.0.remove(&pid);
        }
    }

    const PARENT: i32 = 1;
    const WORKER: i32 = 2;

    fn row() -> Stood {
        Stood {
            cause: Cause::Gc,
            type_name: Some("app.Row".into()),
            is_read: true,
        }
    }

    fn freed() -> Stood {
        Stood {
            cause: Cause::Allocator,
            type_name: None,
            is_read: true,
        }
    }

    /// Both have a row.
    fn rows() -> Fake {
        Fake(HashMap::from([(PARENT, row()), (WORKER, row())]))
    }

    fn touches(unexplained: &mut Unexplained, process: i32, time: u64, from: Option<usize>) {
        let fault = Fault {
            address: 10 * page_size(),
            instruction: 0,
            time,
            thread: process,
            stack: None,
        };
        let written = from.map(|from| MadePage {
            by: WORKER as usize,
            from: Some(from),
            deed: Deed::Copied,
            phase: InterpreterPhase::Working,
            fault,
        });
        let what = Happened::Fault(fault);
        let incident = Incident {
            time,
            process,
            what,
        };
        unexplained.push(incident, written, LineOf::NotLooked);
    }

    fn copies(unexplained: &mut Unexplained, time: u64) {
        touches(unexplained, WORKER, time, Some(PARENT as usize));
    }

    fn stood(unexplained: &mut Unexplained) -> Option<Stood> {
        unexplained.last().unwrap().3
    }

    #[test]
    fn what_the_parent_had_at_the_write_is_known_although_it_frees_it_before_it_is_explained() {
        let (mut unexplained, mut both) = (Unexplained::default(), rows());
        copies(&mut unexplained, 1);
        unexplained.read(&mut both, Duration::MAX);
        // Nothing is known of writes since then.
        assert!(unexplained.next().is_none());
        both.0 = HashMap::from([(PARENT, freed())]);
        touches(&mut unexplained, PARENT, READ + 1, None);
        unexplained.read(&mut both, Duration::MAX);
        assert_eq!(unexplained.next().unwrap().3, Some(row()));
    }

    #[test]
    fn what_the_parent_may_have_changed_before_it_was_read_is_what_both_have_or_unknown() {
        for (parent, worker, expected) in [
            (row(), row(), row()),
            (freed(), row(), Stood::NOTHING_KNOWN),
            (row(), freed(), Stood::NOTHING_KNOWN),
        ] {
            // It wrote before that was read, and nobody saw until then; or that was seen at once.
            for is_seen in [false, true] {
                let (mut unexplained, mut both) = (Unexplained::default(), rows());
                copies(&mut unexplained, 1);
                both.0 = HashMap::from([(PARENT, parent.clone()), (WORKER, worker.clone())]);
                if !is_seen {
                    unexplained.read(&mut both, Duration::MAX);
                }
                touches(&mut unexplained, PARENT, 2, None);
                unexplained.read(&mut both, Duration::MAX);
                assert_eq!(stood(&mut unexplained), Some(expected.clone()), "{is_seen}");
            }
        }
        // What it wrote before the worker did was there then.
        let (mut unexplained, mut both) = (Unexplained::default(), rows());
        both.0.remove(&WORKER);
        touches(&mut unexplained, PARENT, 1, None);
        copies(&mut unexplained, 2);
        unexplained.read(&mut both, Duration::MAX);
        unexplained.last();
        assert_eq!(stood(&mut unexplained), Some(row()));
    }

    #[test]
    fn who_has_ended_is_not_read_and_what_there_is_no_time_for_is_read_later() {
        let (mut unexplained, mut both) = (Unexplained::default(), rows());
        let ends = Incident {
            time: 1,
            process: PARENT,
            what: Happened::Ended,
        };
        unexplained.push(ends, None, LineOf::NotLooked);
        copies(&mut unexplained, 2);
        unexplained.read(&mut both, Duration::ZERO);
        assert!(!unexplained.is_read() && unexplained.len() == 2);
        assert!(both.0.contains_key(&PARENT));
        unexplained.read(&mut both, Duration::MAX);
        unexplained.last();
        assert_eq!(stood(&mut unexplained), Some(Stood::UNREAD));
    }
}
