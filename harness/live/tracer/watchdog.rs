//! A thread that looks how long stops take: while one is served, all that stop wait.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::now;
use crate::observe::stops::Events;

/// A stop during which the tracer waits for something for longer than this ends all further ones until it is over.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// One during which it runs, or waits for a processor, as all others do on a busy machine.
const LONGEST_STOP: Duration = Duration::from_secs(2);
/// How often it is looked how long one takes.
const WATCHING: Duration = Duration::from_millis(25);

pub(super) struct Watchdog {
    /// When the one that is being served began; 0: none is.
    since: Arc<AtomicU64>,
    /// Whether the events have been switched off.
    paused: Arc<AtomicBool>,
    /// Its end is the thread's.
    _running: mpsc::Sender<()>,
}

impl Watchdog {
    /// Of the calling thread, which serves stops.
    pub(super) fn start(events: Events) -> io::Result<Self> {
        let (running, ended) = mpsc::channel();
        let since = Arc::new(AtomicU64::new(0));
        let paused = Arc::new(AtomicBool::new(false));
        let (began, pauses) = (Arc::clone(&since), Arc::clone(&paused));
        let serving = nix::unistd::gettid().as_raw();
        let watch = move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(WATCHING) {
                let first = began.load(Ordering::Acquire);
                let lasts = Duration::from_nanos(now().saturating_sub(first));
                let takes_long = || first != 0 && lasts > LONGEST_WAIT && lasts > longest(serving);
                if takes_long() && !pauses.swap(true, Ordering::AcqRel) {
                    events.switch(false);
                    // Over in the meantime: nobody else would switch them on, as no stop comes.
                    if began.load(Ordering::Acquire) != first {
                        events.switch(true);
                    }
                }
            }
        };
        std::thread::Builder::new().spawn(watch)?;
        Ok(Self {
            since,
            paused,
            _running: running,
        })
    }

    /// A stop is served from this time on.
    pub(super) fn begins(&self, time: u64) {
        self.since.store(time, Ordering::Release);
    }

    /// It has been served.
    pub(super) fn ends(&self) {
        self.since.store(0, Ordering::Release);
    }

    /// Whether the events were switched off since this was asked last.
    pub(super) fn has_paused(&self) -> bool {
        self.paused.swap(false, Ordering::AcqRel)
    }
}

/// For how long a thread of this process may serve a stop, by what it does now.
fn longest(thread: i32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat"));
    match stat.is_ok_and(|stat| is_runnable(&stat)) {
        true => LONGEST_STOP,
        false => LONGEST_WAIT,
    }
}

/// Whether a thread runs or could run (proc(5): its state stands behind its name, which may hold anything).
fn is_runnable(stat: &str) -> bool {
    stat.rsplit_once(')')
        .is_some_and(|(_, behind)| behind.trim_start().starts_with('R'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_a_processor_is_told_from_who_waits_for_something_else() {
        assert!(is_runnable("7 (a) S) R 1 7"));
        assert!(!is_runnable("7 (R) S 1 7"));
        assert!(!is_runnable(""));
        assert_eq!(longest(nix::unistd::gettid().as_raw()), LONGEST_STOP);
        // No thread of this process.
        assert_eq!(longest(1), LONGEST_WAIT);
    }
}
