//! One remedy, tried: the data is built, the code is run, the visits are compared, measured, timed.

use std::collections::{BTreeMap, BTreeSet};

use super::planning::Planned;
use crate::driver::{Comparison, DriverError, Launch, Subject};
use crate::experiment::dataset::{Built, DatasetError, build_in, start};
use crate::experiment::measure::{FailedVisit, Measured, visit_all};
use crate::experiment::plan::{Dataset, Plan};
use crate::experiment::steps::Step;
use crate::fixtures::EXIT;
use crate::model::{Advice, Compared, Measurement, Warning};
use crate::observe::{self, family_bytes, forget_peak, rss_bytes, settle, sizes};
use crate::protocol::{Job, ModuleSource};
use crate::remedies::Remedy;

/// A visit is timed so often at least, and at most.
const LEAST_TIMES: usize = 3;
const MOST_TIMES: usize = 7;
/// No more often once it has taken so long together.
const ENOUGH_SECONDS: f64 = 1.0;

/// What a parent does that goes on forking after it has frozen its objects.
const REFREEZE: &str = "import gc\ngc.unfreeze()\ngc.collect()\ngc.freeze()\n";

/// A visit with a remedy, and what says that it does the same; or why it was not measured.
pub(super) type RemedyVisit = Result<(Measurement, Option<Compared>), String>;

/// How long each visit took, each time, by its name.
pub(super) type VisitSeconds = BTreeMap<String, Vec<f64>>;

/// What is to be tried.
#[derive(Clone, Copy)]
pub(super) struct Which<'a> {
    pub(super) remedy: &'a Remedy,
    pub(super) planned: &'a Planned,
    /// Whether it is to be found out if the visits do the same with it.
    pub(super) compare: bool,
}

/// A remedy that was tried.
pub(super) struct Trial {
    pub(super) planned: Planned,
    pub(super) prepare_seconds: f64,
    pub(super) prepare_peak_bytes: Option<u64>,
    pub(super) parent_bytes: Option<u64>,
    /// By the visit's name.
    pub(super) visits: BTreeMap<String, RemedyVisit>,
    /// Of those that it helps with.
    pub(super) seconds: VisitSeconds,
    pub(super) refreeze_bytes: Option<u64>,
    /// Parts of the data of which nobody knows whether a visit changes them, by the visit's name.
    pub(super) unseen: BTreeMap<String, Vec<String>>,
    pub(super) warnings: BTreeSet<Warning>,
}

/// Tries one remedy, as it is planned: builds the data, does what the remedy does, and measures those that do; where a visit
/// is worth it, its time, too. Or why it does not apply to any.
pub(super) fn attempt(
    plan: &Plan,
    dataset: &Dataset,
    which: Which<'_>,
    launch: &Launch,
    is_worth_it: &dyn Fn(&Measurement) -> bool,
    step: &mut dyn FnMut(Step<'_>),
) -> Result<Result<Trial, String>, DatasetError> {
    let Which {
        remedy,
        planned,
        compare,
    } = which;
    let shown = format!("{}, {}", dataset.fixture.name, remedy.title);
    step(Step::Building { fixture: &shown });
    let keep_huge_pages = plan.keep_huge_pages && !remedy.huge;
    let (plan, launch) = (
        &Plan {
            keep_huge_pages,
            ..plan.clone()
        },
        &Launch {
            keep_huge_pages,
            ..launch.clone()
        },
    );
    let at = DatasetError::of(&dataset.fixture.name);
    let with_code = || build_with(plan, dataset, &remedy.title, &[&planned.code], launch);
    let built = with_code();
    let (mut built, code_seconds) = match built {
        Ok(built) => built,
        Err(error) => return not_applicable(error),
    };
    let Built { subject, .. } = &mut built;
    let mut visits = BTreeMap::new();
    let mut same = Vec::new();
    let mut unseen = BTreeMap::new();
    let mut compare_all = |subject: &mut Subject| -> Result<(), DatasetError> {
        for visit in &dataset.visits {
            match compared(subject, visit, &at)? {
                Ok((compared, parts)) => {
                    same.push((visit.clone(), Some(compared)));
                    unseen.insert(visit.clone(), parts);
                }
                Err(reason) => drop(visits.insert(visit.clone(), Err(reason))),
            }
        }
        Ok(())
    };
    // The same objects a second time.
    if remedy.repeats
        && compare
        && let Err(error) = compare_all(subject)
    {
        return not_applicable(error);
    }
    let knows_peak = forget_peak(subject.pid());
    let (prepare_seconds, replaced) = match subject.before_fork(&remedy.title) {
        Ok((seconds, replaced)) => (code_seconds + seconds, replaced),
        Err(error) => return not_applicable(at(error.into())),
    };
    let sizes = knows_peak.then(|| sizes(subject.pid()).ok()).flatten();
    let prepare_peak_bytes = sizes.and_then(|sizes| sizes.peak_bytes);
    if replaced
        && compare
        && let Err(error) = compare_all(subject)
    {
        return not_applicable(error);
    }
    if !compare || !replaced && !remedy.repeats {
        same.extend(dataset.visits.iter().map(|visit| (visit.clone(), None)));
    }
    if replaced && let Err(error) = subject.adopt() {
        return not_applicable(at(error.into()));
    }
    let mut trial = Trial {
        planned: planned.clone(),
        prepare_seconds,
        prepare_peak_bytes,
        parent_bytes: rss_bytes(subject.pid()),
        visits,
        seconds: VisitSeconds::new(),
        refreeze_bytes: None,
        unseen,
        warnings: BTreeSet::new(),
    };
    if same.is_empty() {
        return Ok(Ok(trial));
    }
    let dataset = Dataset {
        prepare: Advice::label(dataset.prepare.as_deref(), &remedy.name),
        visits: same.iter().map(|(visit, _)| visit.clone()).collect(),
        ..dataset.clone()
    };
    // What a visit's end made of no more use.
    let anew = || {
        let (mut built, _) = with_code()?;
        let Built { subject, .. } = &mut built;
        let done = subject.before_fork(&remedy.title);
        if let (_, true) = done.map_err(|error| at(error.into()))? {
            subject.adopt().map_err(|error| at(error.into()))?;
        }
        Ok(built)
    };
    let Measured {
        measurements,
        mut warnings,
        failed,
        subject,
    } = match visit_all(plan, &dataset, built, anew, step) {
        Ok(measured) => measured,
        Err(error) => return not_applicable(error),
    };
    // Of the data as it is that is news; of what a remedy made of it, no fault of the user's.
    warnings.retain(|warning| !matches!(warning, Warning::NotWalked { .. }));
    trial.warnings = warnings;
    if let Some(mut subject) = subject {
        let worth = measurements.iter().filter(|one| is_worth_it(one));
        let worth: Vec<_> = worth.map(|one| &one.visit).collect();
        for visit in &worth {
            let seconds = times(&mut subject, visit, &dataset.fixture.name)?;
            trial.seconds.insert((*visit).clone(), seconds);
        }
        if compare && remedy.refreezes && !worth.is_empty() {
            trial.refreeze_bytes = refreeze(&mut subject).ok().flatten();
        }
    }
    for FailedVisit { visit, error } in failed {
        // The objects are others than the visit was written for.
        let with = if replaced { "with it, " } else { "" };
        trial
            .visits
            .insert(visit, Err(format!("{with}{}", reason(&error))));
    }
    for measurement in measurements {
        let visit = measurement.visit.clone();
        let mut same = same.iter();
        let compared = same.find(|(known, _)| *known == visit);
        let compared = compared.and_then(|(_, compared)| *compared);
        // Of the same objects there is nothing to tell.
        let compared = compared.filter(|_| replaced);
        trial.visits.insert(visit, Ok((measurement, compared)));
    }
    Ok(Ok(trial))
}

/// Builds the data where the code of a remedy has been executed, as it is in the program that it is
/// pasted into; and how long the code took. What is called is the code that comes last.
pub(super) fn build_with(
    plan: &Plan,
    dataset: &Dataset,
    title: &str,
    codes: &[&str],
    launch: &Launch,
) -> Result<(Built, f64), DatasetError> {
    let mut loaded = start(plan, dataset, launch)?;
    let at = DatasetError::of(&dataset.fixture.name);
    let mut seconds = 0.0;
    for (place, source) in codes.iter().enumerate() {
        let name = if place == 0 { "remedy" } else { "nothing" };
        let executed = loaded.subject.remedy(title, code(name, source));
        seconds += executed.map_err(|error| at(error.into()))?;
    }
    Ok((build_in(plan, dataset, loaded)?, seconds))
}

/// Whether a visit does the same with what the remedy made of the data, or why it does not.
fn compared(
    subject: &mut Subject,
    visit: &str,
    at: &dyn Fn(crate::experiment::visit::VisitError) -> DatasetError,
) -> Result<Result<(Compared, Vec<String>), String>, DatasetError> {
    match subject.compare(visit) {
        Ok(Comparison {
            differs: Some(reason),
            ..
        }) => Ok(Err(reason)),
        Ok(Comparison {
            returned, unseen, ..
        }) => Ok(Ok(match returned {
            true => (Compared::Returned, unseen),
            false => (Compared::NothingReturned, unseen),
        })),
        Err(
            error @ (DriverError::Died { .. }
            | DriverError::ClosedDescriptors { .. }
            | DriverError::Raised { .. }),
        ) => Ok(Err(reason(&at(error.into())))),
        Err(error) => Err(at(error.into())),
    }
}

/// How long a visit takes in a child that nobody looks at, several times. Empty if it fails.
///
/// # Errors
/// When the run must end.
pub(super) fn times(
    subject: &mut Subject,
    visit: &str,
    fixture: &str,
) -> Result<Vec<f64>, DatasetError> {
    let doing = format!("timing the visit ({visit})");
    let job = match visit {
        EXIT => Job::Exit,
        _ => Job::Visit {
            name: visit.to_owned(),
            lines: false,
        },
    };
    let mut all: Vec<f64> = Vec::new();
    while all.len() < MOST_TIMES
        && (all.len() < LEAST_TIMES || all.iter().sum::<f64>() < ENOUGH_SECONDS)
    {
        match subject.time(&job, &doing) {
            Ok(seconds) => all.push(seconds),
            Err(error) => {
                let error = DatasetError::of(fixture)(error.into());
                return match error.spoils_the_run() {
                    true => Err(error),
                    false => Ok(Vec::new()),
                };
            }
        }
    }
    Ok(all)
}

/// By how much parent and child grow together when the parent lets go of its frozen objects, collects
/// and freezes them again, while a child lives that was forked before.
fn refreeze(subject: &mut Subject) -> Result<Option<u64>, DriverError> {
    let child = subject.fork_waiting()?;
    let pids = [subject.pid(), child.pid];
    let before = together(pids);
    subject.remedy("freeze again", code("refreeze", REFREEZE))?;
    let after = together(pids);
    subject.kill(child)?;
    Ok(before
        .zip(after)
        .map(|(before, after)| after.saturating_sub(before)))
}

/// Memory of two processes that wait.
fn together(pids: [i32; 2]) -> Option<u64> {
    let of_one = |pid: i32| -> Result<Option<u64>, observe::Error> {
        settle(pid)?;
        family_bytes(pid)
    };
    let [one, other] = pids.map(|pid| of_one(pid).ok().flatten());
    Some(one?.saturating_add(other?))
}

/// An error with one remedy: as a reason, unless the run must end for it.
fn not_applicable<T>(error: DatasetError) -> Result<Result<T, String>, DatasetError> {
    match is_passed_over(&error) {
        true => Ok(Err(format!("it could not be measured: {}", reason(&error)))),
        false => Err(error),
    }
}

/// Whether a run goes on without what failed.
pub(super) fn is_passed_over(error: &DatasetError) -> bool {
    !error.spoils_the_run()
}

/// Why something failed, and whose fault that is.
pub(super) fn reason(error: &DatasetError) -> String {
    match error.raised_by_refcow() {
        Some(raised) => format!("refcow's own code raised {raised}; your file is not at fault"),
        None => error.reason(),
    }
}

fn code(name: &str, source: &str) -> ModuleSource {
    ModuleSource {
        name: format!("_refcow_{name}"),
        file: format!("<{name}>"),
        folder: None,
        source: source.to_owned(),
    }
}
