//! What the tracer says, until refcow has taken it up.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use super::TracerSaid;

/// Bytes that are kept for refcow to take up.
const MOST_KEPT: usize = 16 << 20;
/// Each write wakes refcow, which takes a processor from the program; so of stops many are told at once: so many bytes,
const MANY: usize = 32 << 10;
/// or what has come in so long.
const SOON: Duration = Duration::from_millis(10);

/// What refcow has not taken up yet.
#[derive(Default)]
pub(super) struct Telling {
    bytes: VecDeque<u8>,
    /// Since when, if there is anything.
    since: Option<Instant>,
    /// Whether any of it cannot wait.
    is_urgent: bool,
    dropped: u64,
}

impl Telling {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Says something. Of stops too many to keep, how many they were is told at the end.
    pub(super) fn say(&mut self, said: &TracerSaid) {
        let is_of_lines = matches!(said, TracerSaid::Stopped { .. } | TracerSaid::Lines { .. });
        if matches!(said, TracerSaid::Stopped { .. }) && self.bytes.len() > MOST_KEPT {
            self.dropped += 1;
            return;
        }
        if serde_json::to_writer(&mut self.bytes, said).is_ok() {
            self.bytes.push_back(b'\n');
        }
        self.since.get_or_insert_with(Instant::now);
        self.is_urgent |= !is_of_lines;
    }

    /// Says how many stops nobody was told of.
    pub(super) fn say_dropped(&mut self) {
        if self.dropped > 0 {
            self.say(&TracerSaid::Dropped {
                stops: self.dropped,
            });
        }
    }

    /// How long what there is may still wait; `None` if there is nothing.
    pub(super) fn may_wait(&self) -> Option<Duration> {
        let since = self.since?;
        let is_due = self.is_urgent || self.bytes.len() >= MANY;
        Some(match is_due {
            true => Duration::ZERO,
            false => SOON.saturating_sub(since.elapsed()),
        })
    }

    /// As much as refcow takes up now, if it is time for it.
    pub(super) fn flush_due(&mut self) -> io::Result<()> {
        match self.may_wait() {
            Some(Duration::ZERO) => self.flush(),
            _ => Ok(()),
        }
    }

    /// As much as refcow takes up now.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let output = io::stdout().lock();
        while !self.bytes.is_empty() {
            match rustix::io::write(output.as_fd(), self.bytes.as_slices().0) {
                Ok(written) => drop(self.bytes.drain(..written)),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        (self.since, self.is_urgent) = (None, false);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop() -> TracerSaid {
        TracerSaid::Stopped {
            thread: 1,
            address: 2,
            time: 3,
            at: Ok(4),
        }
    }

    #[test]
    fn stops_are_told_together_and_an_end_at_once() {
        let mut telling = Telling::default();
        assert_eq!(telling.may_wait(), None);
        telling.say(&stop());
        assert!(telling.may_wait().is_some_and(|left| left <= SOON));
        telling.since = Some(Instant::now() - SOON);
        assert_eq!(telling.may_wait(), Some(Duration::ZERO));

        let mut telling = Telling::default();
        telling.say(&TracerSaid::Ends { process: 1 });
        telling.say(&stop());
        assert_eq!(telling.may_wait(), Some(Duration::ZERO));

        let mut telling = Telling::default();
        while telling.bytes.len() < MANY {
            telling.say(&stop());
        }
        assert_eq!(telling.may_wait(), Some(Duration::ZERO));
    }

    #[test]
    fn what_is_too_much_to_keep_is_counted() {
        let mut telling = Telling::default();
        telling.bytes.resize(MOST_KEPT + 1, b' ');
        telling.say(&stop());
        telling.say(&TracerSaid::Paused);
        telling.say_dropped();
        let said = telling.bytes.split_off(MOST_KEPT + 1);
        let said = String::from_utf8(said.into()).unwrap();
        assert_eq!(said, "\"Paused\"\n{\"Dropped\":{\"stops\":1}}\n");
    }
}
