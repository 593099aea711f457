//! What all members of a tree have done and have, from moment to moment.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::{Watch, living};
use crate::live::look::distinct;
use crate::live::recording::Deed;
use crate::live::tree::FamilyTree;
use crate::observe::page_size;

/// Looks at the memory of all members take at most this part of the time.
const LOOKING: u32 = 30;

/// As many moments are kept.
const MOST_MOMENTS: usize = 1_000;

/// Figures of all members together at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// Seconds since the recording began.
    pub seconds: f64,
    /// Members that live.
    pub processes: u64,
    /// Pages copied, made, and rewritten until then.
    pub pages: [u64; 3],
    /// What all have, each page once; absent where no look was due.
    pub memory_bytes: Option<u64>,
}

/// What a process that lives has copied and made until a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InProcess {
    /// Its place in the recording.
    pub place: usize,
    /// Pages copied and rewritten.
    pub copied: u64,
    /// Pages made.
    pub made: u64,
}

impl Watch {
    /// The present one. `last`: what all have is looked at, even if no look is due.
    pub(super) fn moment(&mut self, last: bool) -> Moment {
        let (at, took) = self.looked;
        match last || at.elapsed() >= took * LOOKING {
            true => self.moment_with_memory(),
            false => self.moment_of_pages(),
        }
    }

    /// The present one, with a look at what all have.
    pub(super) fn moment_with_memory(&mut self) -> Moment {
        let memory_bytes = self.memory();
        Moment {
            memory_bytes,
            ..self.moment_of_pages()
        }
    }

    fn moment_of_pages(&self) -> Moment {
        let mut pages = [0; 3];
        for member in self
            .recording
            .members
            .iter()
            .filter(|member| !member.executed)
        {
            for (sum, deed) in pages
                .iter_mut()
                .zip([Deed::Copied, Deed::Made, Deed::Rewrote])
            {
                *sum += member.number(deed);
            }
        }
        Moment {
            seconds: self.began.elapsed().as_secs_f64(),
            processes: self
                .recording
                .members
                .iter()
                .filter(|one| one.lives)
                .count() as u64,
            pages,
            memory_bytes: None,
        }
    }

    /// Keeps a moment for the end. Of many, each second one stays: a recording may take days.
    pub(super) fn keep(&mut self, moment: Moment) {
        if self.moments.len() >= MOST_MOMENTS {
            let mut place = 0;
            self.moments.retain(|_| {
                place += 1;
                place % 2 == 0
            });
        }
        let living = self.recording.members.iter().enumerate();
        let series = living
            .filter(|(_, one)| one.lives)
            .map(|(place, one)| InProcess {
                place,
                copied: one.number(Deed::Copied) + one.number(Deed::Rewrote),
                made: one.number(Deed::Made),
            });
        self.moments.push((moment, series.collect()));
    }

    /// What all that live have; `None` where one ends meanwhile.
    fn memory(&mut self) -> Option<u64> {
        let start = processor_time();
        let looks = living(&self.recording).into_iter().map(|(_, family)| {
            let pages = distinct(&FamilyTree::of(family)).ok()??;
            Some(pages * page_size())
        });
        let sum = looks.sum();
        self.looked = (Instant::now(), processor_time().saturating_sub(start));
        sum
    }
}

/// What this thread has used: a machine that is busy makes a look take longer, and no dearer.
pub(super) fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.cast_unsigned(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}
