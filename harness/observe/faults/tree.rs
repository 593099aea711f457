//! The page faults of a tree of processes, with their forks and ends: of every thread that is
//! there, and of all that they start.
//!
//! An event is one thread's and those that it starts (`inherit`); it goes on in processes that they
//! fork. One on each processor can have a ring, and the events of all threads write to the ring of
//! their processor (`PERF_EVENT_IOC_SET_OUTPUT`). That belongs to an event of this process, which
//! counts nothing: an event whose threads have all ended would never be silent again.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use perf_event::events::{Breakpoint, Software};
use perf_event::{Builder, Clock, Counter, ReadFormat, SampleFlag, Sampler};
use procfs::process::Process;
use rustix::event::{PollFd, PollFlags, Timespec};

use super::super::unavailable::{Attempt, Unavailable};
use super::incident::{Happened, Incident, incident};
use super::program::{FaultProgram, Stack};
use super::records::StackNumber;
use super::rings::{LEAST_BYTES, online_processors, page_bytes, ring_bytes};
use crate::frames::{Interpreter, Way};

/// What writes records of page faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordedBy {
    /// The kernel.
    Kernel,
    /// A program of refcow's in the kernel, which looks at the frames of the thread at one fault in so many; where that is not allowed, the
    /// kernel.
    Program {
        /// `None`: at none.
        one_in: Option<u64>,
    },
}

/// Records a tree of processes until it is dropped.
pub struct TreeRecorder {
    /// One for each processor, in the order of `processors`.
    rings: Vec<Sampler>,
    processors: Vec<usize>,
    /// Whether faults that the kernel has on a process's behalf are recorded, too.
    with_kernel: bool,
    /// What writes records of faults in place of the kernel; else why it does not.
    program: Result<FaultProgram, String>,
    /// Of each thread: what writes to the rings.
    writing: Vec<Counter>,
    /// And what counts all of it.
    counting: Vec<Counter>,
    records: u64,
    /// What happened while the rings were read: one of them may hold what came before it.
    held_back: Vec<Incident>,
}

/// Memory for the records of the program, in bytes.
const PROGRAM_BYTES: usize = 8 << 20;

/// And for the rest on each processor, then: forks and ends.
const TASKS_BYTES: usize = 256 << 10;

/// How often threads of a process are listed: while it starts some all the time, no two lists are
/// alike.
const LISTS: usize = 20;

impl TreeRecorder {
    /// Makes the rings. Nothing is recorded yet.
    ///
    /// # Errors
    /// When the kernel or a limit does not allow it.
    pub fn new(by: RecordedBy) -> Result<Self, Unavailable> {
        let processors = online_processors()?;
        let program = match by {
            RecordedBy::Kernel => Err("it was not asked for".to_owned()),
            RecordedBy::Program { one_in } => {
                // With frames, a record takes ten times as much.
                let bytes = PROGRAM_BYTES << u32::from(one_in.is_some());
                FaultProgram::load(bytes, one_in).map_err(|error| error.to_string())
            }
        };
        let mut bytes = match program {
            Err(_) => ring_bytes(processors.len(), page_bytes()),
            Ok(_) => TASKS_BYTES,
        };
        let rings = loop {
            let each = processors.iter();
            let rings: io::Result<Vec<Sampler>> =
                each.map(|processor| leader(*processor, bytes)).collect();
            match rings {
                Ok(rings) => break rings,
                Err(error) if is_for_want_of_memory(&error) && bytes > LEAST_BYTES => {
                    bytes /= 2;
                }
                Err(error) => return Err(Attempt::Map.failed()(error)),
            }
        };
        Ok(Self {
            rings,
            processors,
            with_kernel: true,
            program,
            writing: Vec::new(),
            counting: Vec::new(),
            records: 0,
            held_back: Vec::new(),
        })
    }

    /// Whether faults that the kernel has on behalf of a process are recorded; where that takes a
    /// privilege, they are not.
    pub fn is_with_kernel(&self) -> bool {
        self.with_kernel
    }

    /// Why no program writes the records; `None`: one does.
    pub fn without_program(&self) -> Option<&str> {
        self.program.as_ref().err().map(String::as_str)
    }

    /// From here on stacks may have other numbers.
    pub fn forget_stacks(&mut self) {
        if let Ok(program) = &mut self.program {
            program.forget(&mut self.held_back);
        }
    }

    /// What a thread ran at a fault that was taken up since [`Self::forget_stacks`].
    pub fn stack(&self, number: StackNumber) -> Option<&Stack> {
        self.program.as_ref().ok()?.stack(number)
    }

    /// Has the program look at the frames of an interpreter's threads.
    ///
    /// # Errors
    /// When there is no program, or it looks into too many.
    pub fn look_at_frames(&mut self, of: Interpreter, way: &Way) -> io::Result<()> {
        let program = self.program.as_mut();
        let program = program.map_err(|why| io::Error::other(why.clone()));
        program?.tell_frames(of, way)
    }

    /// How many interpreters the program looks into.
    pub fn interpreters(&self) -> usize {
        self.program.as_ref().map_or(0, FaultProgram::interpreters)
    }

    /// Has the program look into no others any more.
    ///
    /// # Errors
    /// When the kernel does not take it.
    pub fn keep_interpreters(&mut self, living: &[Interpreter]) -> io::Result<()> {
        match &mut self.program {
            Ok(program) => program.keep(living),
            Err(_) => Ok(()),
        }
    }

    /// Begins to record a process, with all of its threads.
    ///
    /// # Errors
    /// When the kernel or a limit does not allow it, or the process has ended.
    pub fn add(&mut self, pid: i32) -> Result<(), Unavailable> {
        let added = self.each_thread(pid, Self::add_thread);
        added.map_err(Attempt::Open.failed())
    }

    /// Has it recorded when a process with this interpreter, or one that is forked from it from now
    /// on, writes other than 0 to the eight bytes at this address: by the next fault, or with a
    /// watchpoint by the write.
    ///
    /// # Errors
    /// When the process has ended, or the processor has no watchpoint left.
    pub fn watch_place(&mut self, of: Interpreter, pid: i32, address: u64) -> io::Result<()> {
        if let Ok(program) = &mut self.program
            && program.tell_ending(of, address).is_ok()
        {
            return Ok(());
        }
        self.each_thread(pid, |recorder, thread| {
            for index in 0..recorder.processors.len() {
                let mut event = Builder::new(Breakpoint::write(address, 8))
                    .read_format(ReadFormat::empty())
                    .exclude_kernel(true)
                    .exclude_hv(true)
                    .inherit(true)
                    .observe_pid(thread)
                    .sample_period(1)
                    .sample(SampleFlag::TID | SampleFlag::TIME)
                    .clockid(Clock::MONOTONIC)
                    .one_cpu(recorder.processors[index])
                    .build()?;
                redirect(event.as_raw_fd(), recorder.rings[index].as_raw_fd())?;
                event.enable()?;
                recorder.writing.push(event);
            }
            Ok(())
        })
    }

    /// Does something with each thread of a process, those among them that it starts meanwhile.
    fn each_thread(
        &mut self,
        pid: i32,
        mut act: impl FnMut(&mut Self, i32) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut known: Vec<i32> = Vec::new();
        for _ in 0..LISTS {
            let tasks = Process::new(pid).and_then(|process| process.tasks());
            let gone = |_| io::Error::from(Errno::ESRCH);
            let threads = tasks.map_err(gone)?.filter_map(|task| Some(task.ok()?.tid));
            let new: Vec<i32> = threads.filter(|thread| !known.contains(thread)).collect();
            if new.is_empty() {
                break;
            }
            for thread in new {
                known.push(thread);
                match act(self, thread) {
                    // One that has ended meanwhile; the process may have, too, which the next list
                    // tells.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    done => done?,
                }
            }
        }
        Ok(())
    }

    fn add_thread(&mut self, thread: i32) -> io::Result<()> {
        let mut new = Vec::new();
        for index in 0..self.processors.len() {
            let event = self.open(thread, Some(self.processors[index]))?;
            redirect(event.as_raw_fd(), self.rings[index].as_raw_fd())?;
            if let Ok(program) = &self.program {
                program.attach(event.as_raw_fd())?;
            }
            new.push(event);
        }
        // The thread goes on meanwhile, and starts others, which have the events that it has then. What is counted while nothing is recorded
        // would pass for lost; so what counts is last, and what is lost in these moments is not told.
        let mut all = self.open(thread, None)?;
        for event in &mut new {
            event.enable()?;
        }
        all.enable()?;
        self.counting.push(all);
        self.writing.extend(new);
        Ok(())
    }

    /// The event of a thread, switched off: on one processor, what writes records; else what counts
    /// them.
    fn open(&mut self, thread: i32, processor: Option<usize>) -> io::Result<Counter> {
        let event = |with_kernel: bool| {
            let mut event = Builder::new(Software::PAGE_FAULTS_MIN);
            event
                .read_format(ReadFormat::empty())
                .exclude_kernel(!with_kernel)
                .exclude_hv(true)
                .inherit(true)
                .observe_pid(thread);
            if let Some(processor) = processor {
                event
                    .sample_period(1)
                    .sample(SampleFlag::IP | SampleFlag::TID | SampleFlag::TIME | SampleFlag::ADDR)
                    .sample_id_all(true)
                    .task(true)
                    .comm(true)
                    .comm_exec(true)
                    .clockid(Clock::MONOTONIC)
                    .one_cpu(processor);
            }
            event.build()
        };
        match event(self.with_kernel) {
            Err(error)
                if self.with_kernel
                    && matches!(error.raw_os_error(), Some(libc::EACCES | libc::EPERM)) =>
            {
                self.with_kernel = false;
                event(false)
            }
            opened => opened,
        }
    }

    /// Waits until a ring is a quarter full or this descriptor can be read, at most for so long;
    /// then takes what has happened out of the rings, in the order in which it did.
    ///
    /// # Errors
    /// When the kernel refuses to wait.
    pub fn take(
        &mut self,
        at_most: Duration,
        also: Option<BorrowedFd<'_>>,
    ) -> io::Result<Vec<Incident>> {
        let also = also.map(|also| PollFd::from_borrowed_fd(also, PollFlags::IN));
        let mut waiting: Vec<PollFd<'_>> = also.into_iter().collect();
        for ring in &self.rings {
            #[expect(unsafe_code, reason = "Sampler gives its descriptor as a number only")]
            // SAFETY: the descriptor is the sampler's, which is borrowed for as long as the result
            // is used.
            let ring = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
            waiting.push(PollFd::from_borrowed_fd(ring, PollFlags::IN));
        }
        let limit = Timespec {
            tv_sec: at_most.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: at_most.subsec_nanos().into(),
        };
        match rustix::event::poll(&mut waiting, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let mut incidents = self.taken();
        let later = incidents.partition_point(|one| one.time <= nanoseconds(now));
        self.held_back = incidents.split_off(later);
        Ok(incidents)
    }

    fn taken(&mut self) -> Vec<Incident> {
        let mut incidents = std::mem::take(&mut self.held_back);
        for ring in &mut self.rings {
            while let Some(record) = ring.next_record() {
                let mut incident = incident(&record);
                if let Some(Happened::Fault(fault)) = incident.as_mut().map(|one| &mut one.what) {
                    self.records += 1;
                    let program = self.program.as_mut().ok();
                    fault.stack = program.and_then(FaultProgram::missed);
                }
                incidents.extend(incident);
            }
        }
        if let Ok(program) = &mut self.program {
            self.records += program.take(&mut incidents);
            for incident in &incidents {
                if let Happened::Ended | Happened::Executed(_) = incident.what {
                    program.ended(incident.process);
                }
            }
        }
        incidents.sort_by_key(|incident| incident.time);
        incidents
    }

    /// Ends it: what has happened since, and how many faults the kernel counted and left no record
    /// of.
    ///
    /// # Errors
    /// When the kernel does not say how many there were.
    pub fn finish(&mut self) -> io::Result<(Vec<Incident>, u64)> {
        let mut counted = 0;
        for event in &mut self.counting {
            event.disable()?;
            counted += event.read()?;
        }
        for event in &mut self.writing {
            event.disable()?;
        }
        let last = self.taken();
        Ok((last, counted.saturating_sub(self.records)))
    }
}

impl std::fmt::Debug for TreeRecorder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("TreeRecorder")
            .field("processors", &self.processors)
            .field("events", &self.writing.len())
            .finish_non_exhaustive()
    }
}

fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// An event that counts nothing, with the ring of a processor.
fn leader(processor: usize, bytes: usize) -> io::Result<Sampler> {
    let event = Builder::new(Software::DUMMY)
        .read_format(ReadFormat::empty())
        .observe_self()
        .clockid(Clock::MONOTONIC)
        .one_cpu(processor)
        .wakeup_watermark(bytes / 4)
        .build()?;
    event.sampled(bytes)
}

fn is_for_want_of_memory(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOMEM))
}

/// Has an event write to the ring of another.
fn redirect(event: RawFd, leader: RawFd) -> io::Result<()> {
    /// `PERF_EVENT_IOC_SET_OUTPUT` of linux/perf_event.h.
    const SET_OUTPUT: libc::c_ulong = 0x2405;
    #[expect(unsafe_code, reason = "perf-event2 has no such request")]
    // SAFETY: both are open events of this process; the request takes numbers alone.
    let done = unsafe { libc::ioctl(event, SET_OUTPUT as _, libc::c_long::from(leader)) };
    Errno::result(done)?;
    Ok(())
}

#[cfg(test)]
mod tests;
