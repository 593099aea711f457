//! The witness and the children of a visit: forked, rehearsed, asked.

use super::error::VisitError;
use super::pages::{own, states};
use crate::driver::{Forked, Subject};
use crate::experiment::lines::LineLog;
use crate::model;
use crate::observe::PageSet;
use crate::protocol::{self, ChildMessage, Job, WITNESS};

/// A child between its fork and its visit.
pub(super) struct WaitingChild {
    pub(super) forked: Forked,
    /// What the parent has written since it forked this child.
    pub(super) written_since: PageSet,
}

/// Forks the witness and all children, noting before each fork what the parent has written since
/// the one before.
pub(super) fn fork_all(
    subject: &mut Subject,
    job: &Job,
    children: usize,
) -> Result<(Forked, Vec<WaitingChild>), VisitError> {
    let parent = subject.pid();
    let fork = |channel, job| protocol::ForkRequest { channel, job };
    let mut forks = vec![fork(WITNESS, Job::Wait)];
    forks.extend((1..=children).map(|channel| fork(channel, job.clone())));
    // For each process forked so far, the witness included.
    let mut written_since: Vec<PageSet> = Vec::new();
    let forked = subject.fork(forks, |so_far| {
        // Nobody asks what the parent wrote between the witness's fork and the first child's.
        if so_far > 1 {
            let written = own(&states(parent)?);
            for earlier in &mut written_since {
                *earlier |= &written;
            }
        }
        written_since.push(PageSet::new());
        Ok::<_, VisitError>(())
    })?;
    let mut waiting = forked.into_iter().zip(written_since);
    let (witness, _) = waiting.next().expect("the witness was forked first");
    let waiting = waiting.map(|(forked, written_since)| WaitingChild {
        forked,
        written_since,
    });
    Ok((witness, waiting.collect()))
}

/// Lets every child go through the steps of the visit without the visit.
pub(super) fn rehearse(
    subject: &mut Subject,
    waiting: &[WaitingChild],
    doing: &str,
) -> Result<(), VisitError> {
    for child in waiting {
        subject.release(&child.forked, doing)?;
        match subject.hear(&child.forked, doing)? {
            ChildMessage::Done { .. } => {}
            other => return Err(VisitError::waiting_for(doing, &other)),
        }
    }
    Ok(())
}

/// What a child has imported that has been looked at.
pub(super) fn imported(subject: &mut Subject, forked: &Forked) -> Result<Vec<String>, VisitError> {
    let doing = "naming the modules that it imported";
    subject.release(forked, doing)?;
    match subject.hear(forked, doing)? {
        ChildMessage::Imported { modules } => {
            Ok(modules.iter().map(|name| model::printable(name)).collect())
        }
        other => Err(VisitError::waiting_for(doing, &other)),
    }
}

/// Which line ran when in a child that has been looked at.
pub(super) fn line_log(subject: &mut Subject, forked: &Forked) -> Result<LineLog, VisitError> {
    let doing = "naming the lines that ran";
    subject.release(forked, doing)?;
    match subject.hear(forked, doing)? {
        ChildMessage::Lines(lines) => Ok(LineLog::new(lines)?),
        other => Err(VisitError::waiting_for(doing, &other)),
    }
}
