//! Records the page faults of another process one by one, with the address that was touched and the
//! instruction.
//!
//! The kernel writes a record for every minor fault of user code (`PAGE_FAULTS_MIN` with a sample
//! period of 1) into rings of memory, one for each processor that the process may run on, out of
//! which a thread takes them while it runs. Faults that the kernel itself has on behalf of the
//! process, as in `read(2)` into a buffer, are not among them (`mm_account_fault` in mm/memory.c is
//! given no registers, or those of the kernel).
//!
//! Needs `perf_event_paranoid` of at most 2 or CAP_PERFMON, and ptrace read access to the process
//! (`perf_event_open(2)`).

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::thread::{Builder as ThreadBuilder, JoinHandle};

use perf_event::{Counter, Sampler};
use procfs::process::Process;
use rustix::event::{PollFd, PollFlags};

use super::unavailable::{Attempt, Unavailable};
use records::{PERF_RECORD_SAMPLE, bytes, decode};
use rings::{
    LEAST_BYTES, RingRefused, as_large_as_may_be, event, page_bytes, processors_of, ring, rings,
};

mod incident;
mod program;
mod records;
mod rings;
mod tree;

pub use incident::{Happened, Incident, TaskName};
pub use program::Stack;
pub use records::{Fault, StackNumber};
pub use tree::{RecordedBy, TreeRecorder};

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// In ascending time, those of all threads together.
    pub faults: Vec<Fault>,
    /// Faults that the kernel counted and left no record of: a ring was full, or the process has
    /// gone to a processor that it could not run on before. Those of a process that this one has
    /// forked meanwhile may be among them.
    pub lost: u64,
}

/// Records the faults of a process until it is stopped. Dropped before, it ends what it has started
/// and forgets the rest.
#[derive(Debug)]
pub struct Recorder {
    /// Its end is what the thread waits for; `None` once stopped.
    running: Option<(PipeWriter, JoinHandle<io::Result<Faults>>)>,
}

impl Recorder {
    /// Begins to record the minor faults of a process, which has one thread and waits meanwhile.
    /// Threads that it starts later are recorded too; processes that it forks are not.
    ///
    /// # Errors
    /// When the kernel or a limit does not allow it, or the process has several threads already.
    pub fn start(pid: i32) -> Result<Self, Unavailable> {
        as_large_as_may_be(pid, |processors, bytes| {
            Self::with_rings(pid, processors, bytes)
        })
    }

    /// [`Self::start`] with rings of so many pages each, a power of two.
    ///
    /// # Errors
    /// As there, or when there is no memory for such rings.
    pub fn with_ring(pid: i32, pages: usize) -> Result<Self, Unavailable> {
        let bytes = pages.saturating_mul(page_bytes());
        Ok(Self::with_rings(pid, &processors_of(pid)?, bytes)?)
    }

    fn with_rings(pid: i32, processors: &[usize], bytes: usize) -> Result<Self, RingRefused> {
        // An event is one thread's and those that this thread starts.
        let threads = Process::new(pid).and_then(|process| process.tasks());
        if threads.map_or(0, Iterator::count) > 1 {
            return Err(RingRefused::Other(Unavailable {
                reason: "the process has several threads before it is recorded".to_owned(),
                remedy: "let the fixture start its threads in the visit".to_owned(),
            }));
        }
        let mut rings = rings(pid, processors, bytes)?;
        let enabling = Attempt::Other("enabling an event").failed();
        let mut all = event(Some(pid)).build().map_err(Attempt::Open.failed())?;
        all.enable().map_err(&enabling)?;
        for ring in &mut rings {
            ring.enable().map_err(&enabling)?;
        }
        let thread = ThreadBuilder::new().name(format!("faults {pid}"));
        Ok(Self::take(thread, pid, rings, Some(all))?)
    }

    /// Has a thread take the records up.
    fn take(
        thread: ThreadBuilder,
        pid: i32,
        rings: Vec<Sampler>,
        all: Option<Counter>,
    ) -> Result<Self, Unavailable> {
        let (ending, running) = io::pipe().map_err(Attempt::Other("pipe").failed())?;
        let thread = thread
            .spawn(move || Taken::new(pid).take_all(rings, all, &ending))
            .map_err(Attempt::Thread.failed())?;
        Ok(Self {
            running: Some((running, thread)),
        })
    }

    /// Ends the recording and gives what was recorded. Records made by then are all taken up.
    ///
    /// # Errors
    /// When the kernel does not say how many faults there were, so that none could be called
    /// complete.
    pub fn stop(mut self) -> Result<Faults, Unavailable> {
        self.end()
            .expect("only here and in drop is it ended")
            .map_err(Attempt::Other("reading the records").failed())
    }

    fn end(&mut self) -> Option<io::Result<Faults>> {
        let (running, thread) = self.running.take()?;
        drop(running);
        let joined = thread.join();
        Some(joined.unwrap_or_else(|_| Err(io::Error::other("the thread panicked"))))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}

/// The rings of a [`Recorder`], which the kernel fills and nobody empties: what its records alone
/// cost a process.
pub struct Unread(Vec<Sampler>);

impl Unread {
    /// Has the kernel write records from now on, as [`Recorder::start`] does.
    ///
    /// # Errors
    /// As there.
    pub fn start(pid: i32) -> Result<Self, Unavailable> {
        as_large_as_may_be(pid, |processors, bytes| {
            let mut rings = rings(pid, processors, bytes)?;
            for ring in &mut rings {
                ring.enable()
                    .map_err(Attempt::Other("enabling an event").failed())?;
            }
            Ok(Self(rings))
        })
    }

    /// Ends it, and tells how many records were written.
    ///
    /// # Errors
    /// When the kernel does not switch an event off.
    pub fn stop(mut self) -> io::Result<u64> {
        let mut taken = Taken::new(0);
        for ring in &mut self.0 {
            ring.disable()?;
            taken.take(ring);
        }
        Ok(taken.records)
    }
}

/// Whether page faults can be recorded here: tries it on the calling thread. Needs no privilege to
/// ask.
///
/// # Errors
/// When they cannot, with the reason and what helps.
pub fn try_recording() -> Result<(), Unavailable> {
    for processor in processors_of(std::process::id().cast_signed())? {
        ring(None, processor, LEAST_BYTES)?;
    }
    Ok(())
}

/// What has been taken out of the rings.
struct Taken {
    /// Whose faults are wanted.
    process: u32,
    faults: Vec<Fault>,
    /// Records of faults, other processes' included.
    records: u64,
}

impl Taken {
    fn new(pid: i32) -> Self {
        Self {
            process: pid.cast_unsigned(),
            faults: Vec::new(),
            records: 0,
        }
    }

    /// Takes records out of the rings as they come, until the other end of `ending` is closed; then
    /// what is left.
    fn take_all(
        mut self,
        mut rings: Vec<Sampler>,
        all: Option<Counter>,
        ending: &PipeReader,
    ) -> io::Result<Faults> {
        // An event whose threads have all ended is ready for ever, and has no more to say.
        let mut ended = vec![false; rings.len()];
        while !wait(&rings, &mut ended, ending)? {
            for ring in &mut rings {
                self.take(ring);
            }
        }
        // All of them first: a thread may go from one processor to another.
        for ring in &mut rings {
            ring.disable()?;
        }
        for ring in &mut rings {
            self.take(ring);
        }
        let counted = match all {
            Some(mut all) => all.read()?,
            None => 0,
        };
        // What the kernel counts is counted before there is an attempt to write a record of it
        // (perf_swevent_event in kernel/events/core.c). So the difference is all that was lost, for
        // whatever reason: a full ring tells of its losses (PERF_RECORD_LOST) only with the next
        // record for which there is room again. Nothing is throttled at a period of 1:
        // perf_swevent_event then asks for one overflow, and perf_swevent_overflow lets only a
        // second one be throttled. If it were, it would count as lost.
        let lost = counted.saturating_sub(self.records);
        // Each processor's are in order already, which a stable sort makes use of.
        self.faults.sort_by_key(|fault| fault.time);
        Ok(Faults {
            faults: self.faults,
            lost,
        })
    }

    fn take(&mut self, ring: &mut Sampler) {
        while let Some(record) = ring.next_record() {
            if record.ty() != PERF_RECORD_SAMPLE {
                continue;
            }
            self.records += 1;
            let (process, fault) = decode(bytes(&record));
            if process == self.process {
                self.faults.push(fault);
            }
        }
    }
}

/// Waits until a ring is a quarter full, or for the end; whether it is the end.
fn wait(rings: &[Sampler], ended: &mut [bool], ending: &PipeReader) -> io::Result<bool> {
    let mut waiting = vec![PollFd::from_borrowed_fd(ending.as_fd(), PollFlags::IN)];
    let live = || (0..rings.len()).filter(|index| !ended[*index]);
    waiting.extend(live().map(|index| {
        #[expect(unsafe_code, reason = "Sampler gives its descriptor as a number only")]
        // SAFETY: the descriptor is the sampler's, which is borrowed for as long as the result is
        // used.
        let ring = unsafe { BorrowedFd::borrow_raw(rings[index].as_raw_fd()) };
        PollFd::from_borrowed_fd(ring, PollFlags::IN)
    }));
    while let Err(error) = rustix::event::poll(&mut waiting, None) {
        if error != rustix::io::Errno::INTR {
            return Err(error.into());
        }
    }
    let hung_up: Vec<_> = live()
        .zip(&waiting[1..])
        .filter(|(_, ring)| ring.revents().intersects(PollFlags::HUP | PollFlags::ERR))
        .map(|(index, _)| index)
        .collect();
    let end = !waiting[0].revents().is_empty();
    for index in hung_up {
        ended[index] = true;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_thread_there_is_no_recording() {
        // A stack of 64 TiB: more than the kernel has room for.
        let impossible = ThreadBuilder::new().stack_size(1 << 46);
        let refused = Recorder::take(impossible, 1, Vec::new(), None).unwrap_err();
        assert!(refused.reason.starts_with("no thread"), "{refused:?}");
        let none = Recorder::take(ThreadBuilder::new(), 1, Vec::new(), None);
        assert_eq!(none.unwrap().stop().unwrap(), Faults::default());
    }

    #[test]
    fn a_process_with_threads_is_refused() {
        // A test runs in a thread of its own, unless libtest was told otherwise: then this is the
        // second.
        let own = std::process::id().cast_signed();
        let refused = std::thread::scope(|scope| {
            let (mut ending, running) = io::pipe().unwrap();
            scope.spawn(move || io::copy(&mut ending, &mut io::sink()));
            let refused = Recorder::start(own).unwrap_err();
            drop(running);
            refused
        });
        assert!(refused.reason.contains("several threads"), "{refused:?}");
    }

    #[test]
    fn a_process_that_is_not_there_cannot_be_recorded() {
        // The highest number that a process may have is 4,194,304 (PID_MAX_LIMIT in
        // linux/threads.h).
        let refused = Recorder::start(4_194_305).unwrap_err();
        let expected = if try_recording().is_ok() {
            "the process has ended"
        } else {
            "perf_event"
        };
        assert!(refused.reason.contains(expected), "{refused:?}");
    }
}
