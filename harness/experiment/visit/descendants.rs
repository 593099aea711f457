//! Processes that a visit forks and ends again: one further child makes the visit under ptrace, and
//! each that it forks is looked at when it ends. The children that are counted are not traced.

use super::children::{fork_all, imported, rehearse};
use super::error::VisitError;
use crate::driver::{DriverError, Subject};
use crate::model::{Child, Followed, OnTheWay, Processes, RegionMap};
use crate::observe::{Descendants, Ended, Follower, Grown, Regions, Relatives, page_size, settle};
use crate::process;
use crate::protocol::{ChildMessage, Job};

/// How many names of programs are told.
const MOST_NAMES: usize = 5;

/// Tells of each child what its visit forked, if it forked anything. `grown` is in the order of the
/// children.
///
/// # Errors
/// When the further child cannot be forked, or its visit does not end.
pub(super) fn tell(
    subject: &mut Subject,
    map: &RegionMap,
    job: &Job,
    doing: &str,
    grown: &[Grown],
    children: &mut [Child],
) -> Result<(), VisitError> {
    if grown.iter().all(|grown| *grown == Grown::No) {
        return Ok(());
    }
    let (descendants, refused) = follow(subject, job, doing)?;
    let told = processes(map, descendants, refused);
    for (child, grown) in children.iter_mut().zip(grown) {
        child.processes = match grown {
            Grown::No => None,
            Grown::Yes if told.number == 0 => Some(Processes {
                // It has waited for one.
                number: 1,
                not_followed: told
                    .not_followed
                    .clone()
                    .or_else(|| Some("another child that made the same visit started none".into())),
                ..told.clone()
            }),
            Grown::Yes => Some(told.clone()),
            Grown::Perhaps => (told.number > 0).then(|| told.clone()),
        };
    }
    Ok(())
}

/// What a further child forks, and why that could not be seen, if so.
fn follow(
    subject: &mut Subject,
    job: &Job,
    doing: &str,
) -> Result<(Descendants, Option<String>), VisitError> {
    let (witness, mut waiting) = fork_all(subject, job, 1)?;
    rehearse(subject, &waiting, doing)?;
    let child = waiting.remove(0).forked;
    settle(child.pid)?;
    let follower = match Follower::start(child.pid) {
        Ok(follower) => follower,
        Err(error) => {
            // What waits for its visit would make it.
            subject.kill(child)?;
            subject.dismiss(vec![witness])?;
            return Ok((Descendants::default(), Some(error.to_string())));
        }
    };
    let family = Relatives::of(child.pid)?;
    subject.release(&child, doing)?;
    let refused = match subject.hear(&child, doing) {
        Ok(ChildMessage::Done { .. } | ChildMessage::Wrote { .. }) => None,
        // It waits for its end, as after any visit.
        Err(DriverError::Raised { raised, .. }) => {
            Some(format!("the visit raised {} under ptrace", raised.summary))
        }
        // What was counted stands. It, and what it has forked, ends here.
        Err(error @ DriverError::TimedOut { .. }) => {
            subject.kill(child)?;
            for left in family.copies()? {
                // One that has ended meanwhile needs no ending.
                let _ = process::watch(left).and_then(|left| process::kill(&left));
            }
            subject.dismiss(vec![witness])?;
            return Ok((follower.finish(), Some(format!("under ptrace {error}"))));
        }
        Ok(other) => return Err(VisitError::waiting_for(doing, &other)),
        Err(error) => return Err(error.into()),
    };
    if matches!(job, Job::Visit { .. }) {
        // It says that before it ends.
        imported(subject, &child)?;
    }
    subject.dismiss(vec![child, witness])?;
    Ok((follower.finish(), refused))
}

/// The figures of what was seen.
fn processes(map: &RegionMap, seen: Descendants, refused: Option<String>) -> Processes {
    let not_followed = not_followed(&seen, refused);
    let followed: Vec<_> = seen
        .ended
        .iter()
        .map(|ended| followed(map, ended))
        .collect();
    Processes {
        number: seen.number,
        peak_bytes: (!followed.is_empty()).then(|| seen.most_pages.saturating_mul(page_size())),
        followed,
        not_followed,
    }
}

fn followed(map: &RegionMap, ended: &Ended) -> Followed {
    let regions = Regions::new(map, &ended.fork);
    let copied = regions.iter().map(|(region, pages)| OnTheWay {
        region,
        pages: pages.intersection_len(&ended.copied),
    });
    Followed {
        regions: copied.filter(|copied| copied.pages > 0).collect(),
        new_pages: ended.new,
    }
}

/// Why some are not among those that were followed, in words; `None` if all are.
fn not_followed(seen: &Descendants, refused: Option<String>) -> Option<String> {
    let mut reasons: Vec<String> = refused.into_iter().collect();
    if !seen.programs.is_empty() {
        let mut names: Vec<String> = seen.programs.clone();
        names.sort();
        names.dedup();
        if names.len() > MOST_NAMES {
            names.truncate(MOST_NAMES);
            names.push("…".to_owned());
        }
        reasons.push(format!(
            "{} ran another program ({}), whose memory is its own",
            seen.programs.len(),
            crate::model::printable(&names.join(", "))
        ));
    }
    if seen.in_parents_memory > 0 {
        reasons.push(format!(
            "{} ended in the memory of its parent (vfork)",
            seen.in_parents_memory
        ));
    }
    if seen.unfinished > 0 {
        reasons.push(format!("{} had not ended with the visit", seen.unfinished));
    }
    if let Some(first) = seen.unseen.first() {
        reasons.push(format!(
            "{} could not be looked at ({})",
            seen.unseen.len(),
            crate::model::one_line(first)
        ));
    }
    if seen.outlived > 0 {
        reasons.push(format!(
            "{} ended before what it had forked in turn, and what both had counts for that",
            seen.outlived
        ));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_followed_is_said_with_its_number() {
        let all = Descendants::default();
        assert_eq!(not_followed(&all, None), None);
        let some = Descendants {
            number: 4,
            programs: vec!["sleep".into(), "sh".into(), "sleep".into()],
            unfinished: 1,
            ..Descendants::default()
        };
        let said = not_followed(&some, None).unwrap();
        assert_eq!(
            said,
            "3 ran another program (sh, sleep), whose memory is its own; 1 had not ended with the visit"
        );
        let refused = not_followed(&all, Some("EPERM".into()));
        assert_eq!(refused.as_deref(), Some("EPERM"));
    }
}
