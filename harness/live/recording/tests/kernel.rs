//! What is recorded of processes that fork, write and end as chance has it, beside what a small copy of the kernel's rules does.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// Pages that there are.
const PAGES: u64 = 2;
/// Whether frames can be seen: an ordinary user sees none.
const SEEN: [bool; 2] = [true, false];

/// What happens next, to one of the processes that live.
#[derive(Clone, Debug)]
enum Step {
    Writes(Index, u64),
    Forks(Index),
    Ends(Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<Index>(), 1..=PAGES).prop_map(|(who, page)| Step::Writes(who, page)),
        3 => any::<Index>().prop_map(Step::Forks),
        1 => any::<Index>().prop_map(Step::Ends),
    ]
}

/// An entry of a page table.
#[derive(Clone, Copy, Debug)]
struct Entry {
    frame: u64,
    writable: bool,
    /// It has been so since the process was forked; `None`: that was before the recording, and others have it, too.
    inherited: Option<bool>,
}

/// The kernel's side: page tables of the processes that live, with each one's parent.
#[derive(Debug)]
struct Kernel {
    tables: BTreeMap<i32, (i32, BTreeMap<u64, Entry>)>,
    last_pid: i32,
    last_frame: u64,
}

impl Kernel {
    /// A process that has the first page.
    fn new() -> Self {
        let entry = Entry {
            frame: 1,
            writable: true,
            inherited: Some(false),
        };
        let table = BTreeMap::from([(1, entry)]);
        Self {
            tables: BTreeMap::from([(1, (0, table))]),
            last_pid: 1,
            last_frame: 1,
        }
    }

    fn pid(&self, who: &Index) -> i32 {
        *who.get(&self.tables.keys().copied().collect::<Vec<_>>())
    }

    fn holders(&self, page: u64, frame: u64) -> usize {
        let all = self.tables.values();
        all.filter(|(_, table)| table.get(&page).is_some_and(|entry| entry.frame == frame))
            .count()
    }

    fn fork(&mut self, pid: i32) -> i32 {
        self.last_pid += 1;
        let table = &mut self.tables.get_mut(&pid).unwrap().1;
        table.values_mut().for_each(|entry| entry.writable = false);
        let mut table = table.clone();
        table
            .values_mut()
            .for_each(|entry| entry.inherited = Some(true));
        self.tables.insert(self.last_pid, (pid, table));
        self.last_pid
    }

    /// `None`: no fault. Else whether there is a frame more than before.
    fn write(&mut self, pid: i32, page: u64) -> Option<bool> {
        let before = self.tables[&pid].1.get(&page).copied();
        if before.is_some_and(|entry| entry.writable) {
            return None;
        }
        let needs_one = before.is_none_or(|entry| self.holders(page, entry.frame) > 1);
        self.last_frame += u64::from(needs_one);
        let frame = before
            .filter(|_| !needs_one)
            .map_or(self.last_frame, |entry| entry.frame);
        let entry = Entry {
            frame,
            writable: true,
            inherited: Some(false),
        };
        self.tables.get_mut(&pid).unwrap().1.insert(page, entry);
        Some(needs_one)
    }

    /// What is seen of it.
    fn frames(&self, seen: bool) -> HashMap<(i32, u64), u64> {
        let all = self.tables.iter();
        all.flat_map(|(pid, (_, table))| {
            table
                .iter()
                .map(move |(page, entry)| ((*pid, *page), if seen { entry.frame } else { 0 }))
        })
        .collect()
    }

    /// What was before the recording nobody sees: what a process alone has is its own, and of the rest it is not known.
    fn forget_before(&mut self) {
        let shared: HashSet<(u64, u64)> = (1..=PAGES)
            .flat_map(|page| (1..=self.last_frame).map(move |frame| (page, frame)))
            .filter(|(page, frame)| self.holders(*page, *frame) > 1)
            .collect();
        for (_, table) in self.tables.values_mut() {
            for (page, entry) in table {
                let is_shared = shared.contains(&(*page, entry.frame));
                entry.inherited = (!is_shared).then_some(false);
            }
        }
    }

    /// Whether two processes share one page with others, and not with each other: who shares with whom nobody sees then.
    fn is_ambiguous(&self) -> bool {
        (1..=PAGES).any(|page| {
            let all = self
                .tables
                .values()
                .filter_map(|(_, table)| table.get(&page));
            let shared = all.filter(|entry| self.holders(page, entry.frame) > 1);
            shared
                .map(|entry| entry.frame)
                .collect::<HashSet<_>>()
                .len()
                > 1
        })
    }
}

/// Processes at the beginning of a recording, their parents before them.
fn begun(kernel: &Kernel, frames: &Frames) -> Recording<Machine> {
    let mut recording = Recording::new(Machine(Rc::clone(frames)), false);
    for (pid, (parent, table)) in &kernel.tables {
        let alone = table.iter();
        let alone = alone.filter(|(page, entry)| kernel.holders(**page, entry.frame) == 1);
        let held = HeldPages {
            alone: alone.map(|(page, _)| *page).collect(),
            all: table.keys().copied().collect(),
        };
        recording.add(member(*pid, *parent), Fake(*pid, Rc::clone(frames)), held);
    }
    recording
}

/// Records are taken when so many have come.
fn follow(
    before: &[Step],
    steps: &[Step],
    seen: bool,
    at_once: usize,
) -> Result<(), TestCaseError> {
    let mut kernel = Kernel::new();
    for step in before {
        match step {
            Step::Writes(who, page) => drop(kernel.write(kernel.pid(who), *page)),
            Step::Forks(who) => drop(kernel.fork(kernel.pid(who))),
            Step::Ends(_) => {}
        }
    }
    prop_assume!(!kernel.is_ambiguous());
    kernel.forget_before();
    let frames = Frames::default();
    *frames.borrow_mut() = kernel.frames(seen);
    let mut recording = begun(&kernel, &frames);
    let mut has_ended = false;
    let mut batch: Vec<(i32, What)> = Vec::new();
    let take = |recording: &mut _, kernel: &Kernel, batch: &mut Vec<_>, has_ended| {
        *frames.borrow_mut() = kernel.frames(seen);
        let mut batch = batch.drain(..);
        batch.try_for_each(|(pid, what)| judge(recording, &frames, pid, what, has_ended))
    };
    for step in steps {
        match step {
            Step::Forks(who) => {
                let pid = kernel.pid(who);
                batch.push((pid, What::Forked(kernel.fork(pid))));
            }
            Step::Ends(who) => {
                let pid = kernel.pid(who);
                if kernel.tables.len() > 1 {
                    take(&mut recording, &kernel, &mut batch, has_ended)?;
                    has_ended = true;
                    kernel.tables.remove(&pid);
                    batch.push((pid, What::Ended));
                }
            }
            Step::Writes(who, page) => {
                let pid = kernel.pid(who);
                let truth = match kernel.tables[&pid].1.get(page) {
                    None => Some(Deed::Made),
                    Some(entry) => entry.inherited.map(|inherited| match inherited {
                        true => Deed::Copied,
                        false => Deed::Rewrote,
                    }),
                };
                if let Some(more) = kernel.write(pid, *page) {
                    batch.push((pid, What::Wrote(*page, truth, more)));
                }
            }
        }
        // What both make at one address right after a fork, before that is told of, nobody tells apart.
        if batch.len() >= at_once || matches!(step, Step::Forks(_)) {
            take(&mut recording, &kernel, &mut batch, has_ended)?;
        }
    }
    take(&mut recording, &kernel, &mut batch, has_ended)
}

/// What has happened to a process.
enum What {
    Forked(i32),
    Ended,
    /// To this page; what that was, if it is known from outside, and whether it took a frame.
    Wrote(u64, Option<Deed>, bool),
}

fn judge(
    recording: &mut Recording<Machine>,
    frames: &Frames,
    process: i32,
    what: What,
    has_ended: bool,
) -> Result<(), TestCaseError> {
    let what = match what {
        What::Forked(new) => Happened::Forked { new },
        What::Ended => Happened::Ended,
        What::Wrote(page, truth, more) => {
            let frame = frames.borrow()[&(process, page)];
            let deed = touch(recording, frames, process, page, frame);
            if deed == Some(Deed::Unknown) && has_ended {
                return Ok(());
            }
            let is_copy = matches!(deed, Some(Deed::Copied | Deed::Rewrote));
            let truth = truth.or(deed.filter(|_| is_copy));
            prop_assert_eq!(deed, truth.filter(|_| more));
            return Ok(());
        }
    };
    recording.begin_records();
    recording.take(&Incident {
        time: 0,
        process,
        what,
    });
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn each_frame_that_a_fault_takes_is_counted_and_no_other(
        before in proptest::collection::vec(step(), 0..12),
        steps in proptest::collection::vec(step(), 1..16),
        seen in proptest::sample::select(&SEEN),
        at_once in 1..4_usize,
    ) {
        follow(&before, &steps, seen, at_once)?;
    }
}
