//! The program that the kernel runs at each page fault in place of writing a record of its own: it writes what that would, and what the
//! interpreter was doing.
//!
//! It goes the way that [`crate::frames`] goes from outside, but at the moment of the fault, so that nobody stands still. Of memory that is
//! not there at that moment it reads nothing. It spares the watchpoint that else tells when an
//! interpreter ends.

use std::io;
use std::os::fd::RawFd;

use procfs::process::Process;
use rustc_hash::FxHashMap;

use super::incident::{Happened, Incident};
use super::records::{Fault, StackNumber};
use crate::bpf::{Kind, Map, MapKind, Program, Ring, thread_pointer_place};
use crate::frames::{Interpreter, NoLine, Ran, Way};

use instructions::{MOST_TREES, Parts, SCRATCH, TOLD, TREE, TREES, of_tree};
use record::Record;

mod instructions;
mod record;
#[cfg(test)]
mod tests;

/// What a thread ran.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stack {
    /// Whose frames these are; `None`: nobody looked.
    pub of: Option<Interpreter>,
    /// The innermost first.
    pub frames: Result<Vec<Ran>, NoLine>,
}

impl Stack {
    /// It should have been looked at.
    const MISSED: Self = Self {
        of: None,
        frames: Err(NoLine::Missed),
    };
}

/// The program, with what it has written.
pub(super) struct FaultProgram {
    program: Program,
    told: Map,
    ring: Ring,
    words: Vec<u64>,
    /// The interpreters that it looks into, each at its place. Several trees may have one at the same addresses.
    interpreters: Vec<Option<Interpreter>>,
    /// Places that records may still mean which have not been taken up.
    resting: Vec<usize>,
    /// Which interpreters were seen to end, by process.
    ending: FxHashMap<i32, u64>,
    stacks: Vec<Stack>,
    numbers: FxHashMap<Stack, StackNumber>,
    _scratch: Map,
}

impl FaultProgram {
    /// Loads it, with a ring of so many bytes. Of so many faults it looks at one's frames.
    ///
    /// # Errors
    /// When the kernel does not allow it, or refcow's numbers of processes are not the kernel's.
    pub(super) fn load(bytes: usize, one_in: Option<u64>) -> io::Result<Self> {
        if !cfg!(target_arch = "x86_64") {
            return Err(io::Error::other("it is written for x86-64"));
        }
        if !sees_all_numbers() {
            return Err(io::Error::other("refcow is in a PID namespace"));
        }
        let thread_pointer = thread_pointer_place()?;
        let told = Map::new(MapKind::Array, TOLD * 8, 1)?;
        let scratch = Map::new(MapKind::PerProcessor, SCRATCH, 1)?;
        let ring = Ring::new(bytes)?;
        let parts = Parts {
            told: &told,
            scratch: &scratch,
            ring: ring.map(),
            enough: i32::try_from(bytes / 2).map_err(io::Error::other)?,
            thread_pointer,
        };
        let program = Program::load(Kind::Event, parts.program())?;
        let mut words = vec![0; TOLD];
        words[0] = one_in.unwrap_or(0);
        told.write(&words)?;
        Ok(Self {
            program,
            told,
            ring,
            words,
            interpreters: Vec::new(),
            resting: Vec::new(),
            ending: FxHashMap::default(),
            stacks: Vec::new(),
            numbers: FxHashMap::default(),
            _scratch: scratch,
        })
    }

    /// Has it run where an event, which is switched off, would write a record.
    pub(super) fn attach(&self, event: RawFd) -> io::Result<()> {
        self.program.attach(event)
    }

    /// What a thread ran; until [`Self::forget`].
    pub(super) fn stack(&self, number: StackNumber) -> Option<&Stack> {
        self.stacks.get(number.0 as usize)
    }

    /// Of a fault that the kernel has written down in its place: there was no room, or the process was forked before it was attached. `None`:
    /// that would not be looked at, or nobody knows.
    pub(super) fn missed(&mut self) -> Option<StackNumber> {
        let is_looked_at = self.words[0] == 1;
        is_looked_at.then(|| number(&mut self.stacks, &mut self.numbers, Stack::MISSED))
    }

    /// No stack has a number any more, but for those of these incidents, which get others.
    pub(super) fn forget(&mut self, but: &mut [Incident]) {
        let before = std::mem::take(&mut self.stacks);
        self.numbers.clear();
        for incident in but {
            if let Happened::Fault(fault) = &mut incident.what {
                let stack = fault.stack.and_then(|number| before.get(number.0 as usize));
                fault.stack =
                    stack.map(|stack| number(&mut self.stacks, &mut self.numbers, stack.clone()));
            }
        }
    }

    /// Has it seen when an interpreter ends.
    pub(super) fn tell_ending(&mut self, of: Interpreter, address: u64) -> io::Result<()> {
        self.tell(of, &[(of_tree::ENDING, address)])
    }

    /// Looks into no other interpreters any more.
    pub(super) fn keep(&mut self, living: &[Interpreter]) -> io::Result<()> {
        for (place, of) in self.interpreters.iter_mut().enumerate() {
            if of.take_if(|of| !living.contains(of)).is_some() {
                self.words[TREES + place * TREE..][..TREE].fill(0);
                self.resting.push(place);
            }
        }
        self.told.write(&self.words)
    }

    /// How many it looks into.
    pub(super) fn interpreters(&self) -> usize {
        self.interpreters.iter().flatten().count()
    }

    /// Has it look at the frames of an interpreter's threads.
    pub(super) fn tell_frames(&mut self, of: Interpreter, way: &Way) -> io::Result<()> {
        let frame = [way.previous, way.code, way.place]
            .into_iter()
            .chain(way.owner);
        let perhaps = |offset: Option<u64>| offset.map_or(0, |offset| offset + 1);
        self.tell(
            of,
            &[
                (of_tree::THREADS, way.threads),
                (of_tree::NEXT_INTERPRETER, way.next_interpreter),
                (of_tree::NEXT_THREAD, way.next_thread),
                (of_tree::IDENTITY, way.thread_id),
                (of_tree::CURRENT, way.current),
                (of_tree::CURRENT_IN, perhaps(way.current_in)),
                (of_tree::OWNER, perhaps(way.owner)),
                (of_tree::PREVIOUS, way.previous),
                (of_tree::CODE, way.code),
                (of_tree::PLACE, way.place),
                (of_tree::MASK, way.code_mask),
                (of_tree::TABLE, way.line_table),
                (of_tree::LENGTH, frame.max().unwrap_or(0) + 8),
            ],
        )?;
        // From here on it looks there, while the kernel is still copying what it is told.
        self.tell(of, &[(of_tree::FIRST, way.first_interpreter)])
    }

    fn tell(&mut self, of: Interpreter, fields: &[(i16, u64)]) -> io::Result<()> {
        let mut all = self.interpreters.iter();
        let known = all.position(|one| *one == Some(of));
        let free = || {
            let mut all = 0..MOST_TREES;
            all.find(|place| {
                let is_taken = self.interpreters.get(*place).is_some_and(Option::is_some);
                !is_taken && !self.resting.contains(place)
            })
        };
        let place = known.or_else(free);
        let place = place.ok_or_else(|| io::Error::other("refcow looks into 16 at a time"))?;
        if known.is_none() {
            if place == self.interpreters.len() {
                self.interpreters.push(None);
            }
            self.interpreters[place] = Some(of);
            self.words[1] = self.interpreters.len() as u64;
            for ending in self.ending.values_mut() {
                *ending &= !(1 << place);
            }
        }
        for (at, value) in fields {
            self.words[TREES + place * TREE + *at as usize / 8] = *value;
        }
        self.told.write(&self.words)
    }

    /// What has happened since; how many faults there were.
    pub(super) fn take(&mut self, incidents: &mut Vec<Incident>) -> u64 {
        let mut records = 0;
        let Self {
            ring,
            interpreters,
            ending,
            stacks,
            numbers,
            ..
        } = self;
        ring.take(|bytes| {
            let Some(record) = Record::decode(bytes) else {
                return;
            };
            records += 1;
            let before = ending.entry(record.process).or_default();
            let new = record.ending & !*before;
            *before |= new;
            for (place, of) in interpreters.iter().enumerate() {
                if let Some(of) = *of
                    && new >> place & 1 == 1
                {
                    incidents.push(Incident {
                        time: record.time,
                        process: record.process,
                        what: Happened::InterpreterEnds { of },
                    });
                }
            }
            let stack = record.stack(interpreters);
            let stack = stack.map(|stack| number(stacks, numbers, stack));
            let fault = Fault {
                address: record.address,
                instruction: record.instruction,
                time: record.time,
                thread: record.thread,
                stack,
            };
            incidents.push(Incident {
                time: record.time,
                process: record.process,
                what: Happened::Fault(fault),
            });
        });
        self.resting.clear();
        records
    }

    /// As if it had been seen that an interpreter of a process ends.
    #[cfg(test)]
    pub(super) fn has_seen_end(&mut self, process: i32) {
        self.ending.insert(process, 1);
    }

    #[cfg(test)]
    pub(super) fn knows_end_of(&self, process: i32) -> bool {
        self.ending.contains_key(&process)
    }

    /// A process has ended, or executes another program.
    pub(super) fn ended(&mut self, process: i32) {
        self.ending.remove(&process);
    }
}

/// The number of a stack.
fn number(
    stacks: &mut Vec<Stack>,
    numbers: &mut FxHashMap<Stack, StackNumber>,
    stack: Stack,
) -> StackNumber {
    *numbers.entry(stack).or_insert_with_key(|stack| {
        stacks.push(stack.clone());
        StackNumber(stacks.len() as u32 - 1)
    })
}

/// Whether the numbers of processes that the kernel has are those that this process knows.
fn sees_all_numbers() -> bool {
    /// `PROC_PID_INIT_INO` of linux/proc_ns.h.
    const FIRST_NAMESPACE: u64 = 0xeffffffc;
    let namespaces = Process::myself().and_then(|process| process.namespaces());
    let own = namespaces
        .ok()
        .and_then(|all| Some(all.0.get(std::ffi::OsStr::new("pid"))?.identifier));
    own == Some(FIRST_NAMESPACE)
}
