//! Recordings of processes that are made up.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::*;
use crate::observe::page_size;

mod former;
mod kernel;
mod orphans;

/// Frames by process and page.
type Frames = Rc<RefCell<HashMap<(i32, u64), u64>>>;

struct Fake(i32, Frames);

impl PageWords for Fake {
    fn word(&self, page: u64) -> Option<Word> {
        let frames = self.1.borrow();
        let frame = frames.get(&(self.0, page));
        Some(frame.map_or_else(Word::default, |frame| Word::new(1 << 63 | frame)))
    }
    fn read_anew(&self) {}
}

struct Machine(Frames);

/// Processes that have ended before anybody looks: nobody has waited for the first.
const ENDED: i32 = 98;
const REAPED: i32 = 99;

/// When what is told of only now may have happened.
const LATE: u64 = 1;

impl ProcessSource for Machine {
    type Memory = Fake;
    fn open(&mut self, pid: i32) -> Option<(Member, Option<Fake>)> {
        let fake = Fake(pid, Rc::clone(&self.0));
        match pid {
            ENDED => Some((member(pid, 0), None)),
            REAPED => None,
            _ => Some((member(pid, 0), Some(fake))),
        }
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
    made(recording, frames, process, page, frame).map(|made| made.deed)
}

fn made(
    recording: &mut Recording<Machine>,
    frames: &Frames,
    process: i32,
    page: u64,
    frame: u64,
) -> Option<MadePage> {
    frames.borrow_mut().insert((process, page), frame);
    let fault = Fault {
        address: page * page_size() + 24,
        instruction: 0,
        time: 0,
        thread: process,
        stack: None,
    };
    let what = Happened::Fault(fault);
    let incident = Incident {
        time: 0,
        process,
        what,
    };
    recording.take(&incident)
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
fn what_no_fault_told_of_is_copied_from_who_has_it() {
    let (mut recording, frames) = parent();
    // A page of a huge one that was made for another address.
    frames.borrow_mut().insert((1, 60), 60);
    fork(&mut recording, &frames, 1, 2);
    assert_eq!(
        touch(&mut recording, &frames, 2, 60, 160),
        Some(Deed::Copied)
    );
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
fn what_a_parent_made_before_a_fork_a_worker_copies_although_the_parent_has_written_since() {
    let (mut recording, frames) = parent();
    assert_eq!(touch(&mut recording, &frames, 1, 60, 160), Some(Deed::Made));
    for new in 2..5 {
        fork(&mut recording, &frames, 1, new);
    }
    assert_eq!(
        touch(&mut recording, &frames, 1, 60, 161),
        Some(Deed::Rewrote)
    );
    assert_eq!(
        touch(&mut recording, &frames, 2, 60, 162),
        Some(Deed::Copied)
    );
    // Of a parent that has ended, too.
    recording.take(&Incident {
        time: 0,
        process: 1,
        what: Happened::Ended,
    });
    assert_eq!(
        touch(&mut recording, &frames, 3, 60, 163),
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
fn who_still_has_what_was_there_before_is_told() {
    let (mut recording, frames) = parent();
    fork(&mut recording, &frames, 1, 2);
    let mut told = |process, page, frame| {
        let made = made(&mut recording, &frames, process, page, frame).unwrap();
        (made.deed, made.from)
    };
    assert_eq!(told(2, 3, 103), (Deed::Copied, Some(0)));
    // The worker has what the parent rewrites; then the parent has something else.
    assert_eq!(told(1, 5, 105), (Deed::Rewrote, Some(1)));
    fork(&mut recording, &frames, 1, 3);
    let mut told = |process, page, frame| {
        let made = made(&mut recording, &frames, process, page, frame).unwrap();
        (made.deed, made.from)
    };
    assert_eq!(told(1, 6, 106), (Deed::Rewrote, Some(1)));
    // The parent has something else there; the worker that was forked later has it.
    assert_eq!(told(2, 6, 206), (Deed::Copied, Some(2)));
    // Who was forked since has what the parent has.
    assert_eq!(told(3, 5, 305), (Deed::Copied, Some(0)));
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
fn what_a_parent_rewrote_before_the_recording_the_last_that_has_it_needs_no_copy_to_write() {
    let frames = Frames::default();
    let mut recording = Recording::new(Machine(Rc::clone(&frames)), false);
    let mut add = |pid, parent, frame: u64, alone: PageSet| {
        frames.borrow_mut().insert((pid, 3), frame);
        let all = PageSet::from_iter([3]);
        let memory = Fake(pid, Rc::clone(&frames));
        recording.add(member(pid, parent), memory, HeldPages { all, alone });
    };
    add(1, 0, 103, PageSet::from_iter([3]));
    add(2, 1, 3, PageSet::new());
    add(3, 1, 3, PageSet::new());
    assert_eq!(
        touch(&mut recording, &frames, 2, 3, 203),
        Some(Deed::Copied)
    );
    assert_eq!(touch(&mut recording, &frames, 3, 3, 3), None);
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
    // Nobody else has it any more.
    assert_eq!(touch(&mut recording, &frames, 3, 7, 7), None);
    assert_eq!(touch(&mut recording, &frames, 3, 70, 170), Some(Deed::Made));
}

#[test]
fn what_executes_a_program_may_go_on_as_a_tree_of_its_own() {
    let (mut recording, frames) = parent();
    recording.follows = true;
    let executed = Incident {
        time: 0,
        process: 1,
        what: Happened::Executed(TaskName::new(b"true\0")),
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

#[test]
fn of_what_has_ended_before_it_was_looked_at_copies_count_and_the_rest_is_unknown() {
    let (mut recording, frames) = parent();
    for pid in [ENDED, REAPED] {
        fork(&mut recording, &frames, 1, pid);
        assert!(recording.members.last().unwrap().unseen);
        assert_eq!(
            touch(&mut recording, &frames, pid, 3, 103),
            Some(Deed::Copied)
        );
        assert_eq!(
            touch(&mut recording, &frames, pid, 50, 150),
            Some(Deed::Unknown)
        );
    }
    fork(&mut recording, &frames, 1, 2);
    assert!(!recording.members.last().unwrap().unseen);
}

#[test]
fn a_program_that_has_ended_before_it_was_looked_at_is_in_a_tree_and_its_pages_are_unknown() {
    for (pid, name) in [(ENDED, "python3"), (REAPED, "true")] {
        let (mut recording, frames) = parent();
        recording.follows = true;
        fork(&mut recording, &frames, 1, pid);
        recording.take(&Incident {
            time: 0,
            process: pid,
            what: Happened::Executed(TaskName::new(b"true\0")),
        });
        let program = recording.members.last().unwrap();
        assert_eq!((program.unseen, program.parent), (true, None));
        assert_eq!(program.member.name, name);
        assert_eq!(
            touch(&mut recording, &frames, pid, 3, 103),
            Some(Deed::Unknown)
        );
    }
}
