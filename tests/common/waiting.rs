//! Waits for what happens, never for a time to pass.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

/// What hangs is ended after this. No run in these tests takes a hundredth of it, where nothing else runs.
pub(super) const PATIENCE: Duration = Duration::from_secs(600);

/// Whether a process ends before the deadline.
pub(super) fn ends(ended: &OwnedFd, deadline: Instant) -> bool {
    wait_for(&mut [PollFd::new(ended, PollFlags::IN)], deadline)
}

/// Whether one of these has an event before the deadline.
pub(super) fn wait_for(fds: &mut [PollFd<'_>], deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap();
        match rustix::event::poll(fds, Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            ready => return ready.unwrap() > 0,
        }
    }
}
