//! Looks at a process again and again while it runs, for the most that it has at any time.
//!
//! What a process has given back before it is looked at in the end, nobody sees any more: an
//! interpreter that ends, a batch that is freed. The kernel keeps no watermark of it: `VmHWM`
//! counts what is in memory, in which a copy of a shared page takes the place of the original and
//! changes nothing. Faults tell when pages came, and nothing tells when they went.
//!
//! Looking disturbs nobody: to read a pagemap takes the lock of an address space for as long as two
//! megabytes of it last, for reading, which page faults do not wait for (Linux 6.4; before, for the
//! moment alone).

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle, available_parallelism};
use std::time::{Duration, Instant};

use super::PageSet;
use super::pagemap::own_pages;

/// The last of all that run.
const LEAST_PRIORITY: i32 = 19;
/// As short as waits are worth being.
const LEAST_PAUSE: Duration = Duration::from_micros(500);
/// A look takes a processor time for each page of the process: of so many parts of its time one,
/// and no more.
const PARTS: u32 = 3;
/// The same where the process has no other processor.
const PARTS_OF_ONE: u32 = 20;

/// What was seen of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeakSeen {
    /// Anonymous pages that were its alone and not before, when it had most of them.
    pub most: u64,
    /// How often it was looked.
    pub looks: u64,
}

/// A thread that looks until it is stopped.
#[derive(Debug)]
pub struct Watcher {
    running: Option<(Sender<()>, JoinHandle<PeakSeen>)>,
}

impl Watcher {
    /// Begins to look at a process, which had these pages for its own. `None` where no thread can
    /// be had.
    pub fn start(pid: i32, had: PageSet) -> Option<Self> {
        let (sender, ending) = channel();
        let thread = Builder::new().name(format!("watch {pid}"));
        let had: Vec<u64> = had.iter().collect();
        let thread = thread.spawn(move || {
            // Who has no right to more has one to less, which is this thread's alone
            // (setpriority(2), NOTES): where there are others for the processors, the process that
            // is looked at comes first.
            let _ = rustix::process::setpriority_process(None, LEAST_PRIORITY);
            let mut seen = PeakSeen::default();
            let alone = available_parallelism().is_ok_and(|processors| processors.get() == 1);
            let parts = if alone { PARTS_OF_ONE } else { PARTS };
            let mut pause = LEAST_PAUSE;
            // Whoever drops the other end ends this.
            while ending.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let start = Instant::now();
                // One that has ended, as a visit may end a process, will be missed by others.
                let Ok(own) = own_pages(pid, &had) else {
                    break;
                };
                seen.most = seen.most.max(own);
                seen.looks += 1;
                pause = LEAST_PAUSE.max(start.elapsed() * (parts - 1));
            }
            seen
        });
        Some(Self {
            running: Some((sender, thread.ok()?)),
        })
    }

    /// Ends the looking, and says what was seen.
    pub fn stop(mut self) -> PeakSeen {
        self.end().unwrap_or_default()
    }

    fn end(&mut self) -> Option<PeakSeen> {
        let (sender, thread) = self.running.take()?;
        drop(sender);
        thread.join().ok()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.end();
    }
}
