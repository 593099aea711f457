//! Whether a thread had page faults, as it finds out itself.

use nix::sys::resource::{UsageWho, getrusage};
use perf_event::events::Software;
use perf_event::{Builder, Sampler};

/// Tells whether this thread had page faults.
pub(super) enum FaultProbe {
    /// The kernel writes a record of each: there is one, or there is none. No system call.
    Recorded(Sampler),
    /// Where perf events are not to be had: how many there had been when last asked for.
    Counted(i64),
}

impl FaultProbe {
    pub(super) fn new() -> Self {
        // The size of the smallest ring. That it overflows does no harm: one record is as good as
        // many.
        const RING_BYTES: usize = 1;
        let recorded = || {
            let mut sampler = Builder::new(Software::PAGE_FAULTS_MIN)
                .sample_period(1)
                .exclude_kernel(true)
                .observe_self()
                .build()?
                .sampled(RING_BYTES)?;
            sampler.enable()?;
            Ok::<_, std::io::Error>(sampler)
        };
        match recorded() {
            Ok(sampler) => Self::Recorded(sampler),
            Err(_) => Self::Counted(count()),
        }
    }

    /// Whether there were any since the last call.
    pub(super) fn any(&mut self) -> bool {
        match self {
            Self::Recorded(sampler) => {
                let mut any = false;
                while sampler.next_record().is_some() {
                    any = true;
                }
                any
            }
            Self::Counted(before) => {
                let now = count();
                now != std::mem::replace(before, now)
            }
        }
    }
}

/// Minor page faults of this thread: the kernel counts each where it lets perf know of it
/// (`mm_account_fault` in mm/memory.c), before the thread goes on.
fn count() -> i64 {
    // It only fails for an unknown `who`, or a bad address.
    getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.minor_page_faults())
}
