//! The last look at a process, which stands still at its end.

use std::time::Duration;

use procfs::process::Process;

use super::{Machine, Watch};
use crate::live::recording::{EndLook, Recording};
use crate::observe::{mappings, page_states};

/// When processes end, looks at the memory of all of them take at most this part of the time.
const LOOKING: u32 = 4;

/// A process does not stand still for a look that is likely to take longer.
const LONGEST: Duration = Duration::from_millis(200);

impl Watch {
    /// Looks at these processes, all of whose records have been taken up.
    pub(super) fn look_at_ends(&mut self, ending: &[i32]) {
        if ending.is_empty() {
            return;
        }
        for pid in ending {
            if let Some(place) = self.recording.place_of(*pid) {
                let seconds = self.began.elapsed().as_secs_f64();
                let look = look(&self.recording, place, seconds);
                self.recording.members[place].last_look = look;
                self.causes.know_code_of(*pid);
            }
        }
        let (at, took) = self.looked;
        if took < LONGEST && at.elapsed() >= took * LOOKING {
            // What all have together is likely to be most before the first of them gives its part back.
            let moment = self.moment_with_memory();
            self.keep(moment);
        }
    }

    /// Lets them end.
    pub(super) fn let_go(&mut self, ending: &[i32]) {
        for pid in ending {
            if let Some(tracing) = &mut self.tracing {
                tracing.let_go(*pid);
            }
        }
    }
}

/// `None`: it has ended all the same, as by a second signal that kills.
fn look(recording: &Recording<Machine>, place: usize, seconds: f64) -> Option<EndLook> {
    let pid = recording.members[place].member.pid;
    let states = page_states(pid, &mappings(pid).ok()?.ranges).ok()?;
    let anonymous = states.anonymous();
    let swapped = states.swapped();
    let status = Process::new(pid).and_then(|process| process.status());
    let kilobytes = status.ok().and_then(|status| status.vmhwm);
    Some(EndLook {
        seconds,
        anonymous: anonymous.len(),
        shared: (&anonymous - &states.exclusive()).len(),
        swapped: swapped.len(),
        kept: recording.kept_of(place, |page| {
            anonymous.contains(page) || swapped.contains(page)
        }),
        peak_resident: kilobytes.map(|kilobytes| kilobytes * 1024),
    })
}
