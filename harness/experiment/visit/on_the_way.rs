//! What a child copies between its fork and its visit, beyond what the fork itself costs: a
//! collection that falls due then, say.
//!
//! What a fork costs is seen in a further child that takes the same way with the collector stopped.
//! A page that both write is the fork's, as in every other visit.

use super::children::{fork_all, rehearse};
use super::error::VisitError;
use super::looks::look_before;
use super::pages::states;
use crate::driver::Subject;
use crate::model::RegionMap;
use crate::observe::{PageSet, Regions, SharedAtFork, settle};
use crate::protocol::Job;

/// With fewer of the data's pages copied on the way nobody asks why: any object that the fork's own
/// steps use may share a page with one of the data's.
const NOISE: u64 = 4;

/// Tells apart, in each child's fork, what it copied on the way.
///
/// # Errors
/// When the further child cannot be forked or looked at.
pub(super) fn tell_apart<'a>(
    subject: &mut Subject,
    map: &RegionMap,
    job: &Job,
    doing: &str,
    forks: impl Iterator<Item = &'a mut SharedAtFork>,
) -> Result<(), VisitError> {
    let data = Regions::data(map);
    let mut odd: Vec<_> = forks
        .filter(|fork| fork.copied_early().intersection_len(&data) >= NOISE)
        .collect();
    if odd.is_empty() {
        return Ok(());
    }
    let own = of_the_fork(subject, map, job, doing)?;
    for fork in &mut odd {
        let more = fork.copied_early() - &own;
        if more.intersection_len(&data) >= NOISE {
            fork.tell_apart(&own);
        }
    }
    Ok(())
}

/// The pages that a fork and the steps up to a visit copy when no collection falls due.
fn of_the_fork(
    subject: &mut Subject,
    map: &RegionMap,
    job: &Job,
    doing: &str,
) -> Result<PageSet, VisitError> {
    let parent = subject.pid();
    let job = Job::OnlyTheWay {
        job: Box::new(job.clone()),
    };
    let (witness, mut waiting) = fork_all(subject, &job, 1)?;
    rehearse(subject, &waiting, doing)?;
    settle(parent)?;
    let (forked, ready) = look_before(map, parent, &states(parent)?, waiting.remove(0))?;
    subject.dismiss(vec![witness, forked])?;
    Ok(ready.fork.copied_early().clone())
}
