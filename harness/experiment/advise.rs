//! What could be done about the memory that a dataset's visits copy: each remedy in a subject of
//! its own, with the same visits, counted in the same way.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::dataset::{Built, DatasetError, build};
use super::launch::{LaunchError, launch as launch_with};
use super::measure::{FailedVisit, Measured, measure, visit_all};
use super::plan::{Dataset, Plan};
use super::steps::Step;
use crate::advice::{copied_bytes, finding, noise_bytes, rank, saved_bytes};
use crate::driver::{DriverError, Launch};
use crate::fixtures;
use crate::model::{self, Advice, Compared, MeasuredAgain, Measurement, Tried, Warning};
use crate::observe::{page_size, rss_bytes};
use crate::protocol::ModuleSource;
use crate::python::{self, Installed, PythonError, ReadyInterpreter};
use crate::remedies::{Remedy, remedies};

/// What came of one dataset.
pub struct Advised {
    /// Of the data as it is, then with each remedy.
    pub measurements: Vec<Measurement>,
    /// One a visit.
    pub advice: Vec<Advice>,
    /// What limits them.
    pub warnings: BTreeSet<Warning>,
    /// Visits of the data as it is that could not be measured, and so not be advised on.
    pub(super) failed: Vec<FailedVisit>,
    /// Modules that a remedy has imported.
    pub installed: Installed,
}

/// Why there is no advice.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum AdviseError {
    /// It could not be measured as it is, or the run must end.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Dataset(#[from] DatasetError),
    /// The run was ended while an environment was made for a remedy.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Python(#[from] PythonError),
    /// There is nothing to start subjects with.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Launch(#[from] LaunchError),
}

/// A visit with a remedy, and what says that it does the same; or why it was not measured.
type RemedyVisit = Result<(Measurement, Option<Compared>), String>;

/// How a subject is started, and what more it can import.
type Equipment = (Launch, Installed);

/// A remedy that was tried.
struct Trial {
    prepare_seconds: f64,
    parent_bytes: Option<u64>,
    /// By the visit's name.
    visits: BTreeMap<String, RemedyVisit>,
    warnings: BTreeSet<Warning>,
}

/// Measures a dataset as it is and with each remedy, and ranks them.
///
/// # Errors
/// When it cannot be measured as it is, or the run must end. A remedy that fails is one that does
/// not apply.
pub fn run(
    plan: &Plan,
    dataset: &Dataset,
    ready: &ReadyInterpreter,
    launch: &Launch,
    step: &mut dyn FnMut(Step<'_>),
) -> Result<Advised, AdviseError> {
    let each = plan.steps_of_visits(dataset);
    let fixture = &dataset.fixture.name;
    step(Step::Building { fixture });
    // Recording faults, one by one, would be most of the time that a visit takes; pages are the
    // same without. A report shows causes, and says that times are those of visits that were
    // recorded.
    let with_causes = plan;
    let plan = &Plan {
        causes: plan.causes_of_advice,
        lines: false,
        ..plan.clone()
    };
    // As `refcow measure` does, so that its figures are those.
    let built = build(plan, dataset, launch)?;
    let parent_bytes = rss_bytes(built.subject.pid());
    let anew = || build(plan, dataset, launch);
    let Measured {
        measurements: as_it_is,
        mut warnings,
        failed,
    } = visit_all(plan, dataset, built, anew, step)?;

    let mut all: Vec<Advice> = as_it_is
        .iter()
        .map(|measurement| advice_on(measurement, parent_bytes))
        .collect();
    let worth = all.iter().filter(|one| one.copied_bytes > one.noise_bytes);
    let worth: Vec<String> = worth.map(visit_of).collect();
    let mut measurements = as_it_is.clone();
    let mut installed = Installed::default();
    // Nothing can be saved of what is not copied.
    let remedies = if worth.is_empty() { &[] } else { remedies() };
    let dataset = &Dataset {
        visits: worth,
        ..dataset.clone()
    };
    // For the first of those that are tried again, too.
    let mut launches: BTreeMap<&str, Launch> = BTreeMap::new();
    let mut refused: BTreeMap<&str, String> = BTreeMap::new();
    for remedy in remedies {
        let name: &str = &remedy.name;
        let mut done = 0;
        let mut counted = |now: Step<'_>| {
            done += usize::from(matches!(now, Step::Done));
            step(now);
        };
        let earlier = remedy.after.as_deref().and_then(|after| refused.get(after));
        let series = ready.interpreter.series;
        let missing = remedy.missing_in((series.0.into(), series.1.into()));
        let trial = match missing.or_else(|| earlier.cloned()) {
            Some(reason) => Err(reason),
            None => match launch_for(remedy, plan, dataset, ready, launch, &mut counted)? {
                Err(reason) => Err(reason),
                Ok((launch, more)) => {
                    installed.extend(more);
                    let trial = attempt(plan, dataset, remedy, &launch, true, &mut counted)?;
                    launches.insert(name, launch);
                    trial
                }
            },
        };
        match trial {
            Ok(trial) => {
                warnings.extend(trial.warnings.iter().cloned());
                for advice in &mut all {
                    if let Some(visited) = trial.visits.get(&advice.visit) {
                        let tried = tried(remedy, advice, &trial, visited);
                        measurements.extend(visited.iter().map(|(one, _)| one.clone()));
                        advice.remedies.push(tried);
                    }
                }
            }
            Err(reason) => {
                let reason = model::one_line(&reason);
                for advice in &mut all {
                    if dataset.visits.contains(&advice.visit) {
                        advice.remedies.push(Tried {
                            remedy: remedy.name.clone(),
                            does_not_apply: Some(reason.clone()),
                            ..Tried::default()
                        });
                    }
                }
                refused.insert(name, reason);
            }
        }
        // What did not apply is done with, too.
        (done..each).for_each(|_| step(Step::Done));
    }
    for advice in &mut all {
        rank(&mut advice.remedies, advice.noise_bytes);
    }
    for (name, launch) in &launches {
        again(plan, dataset, name, launch, &mut all, step)?;
    }
    let dataset = Dataset {
        visits: all
            .iter()
            .filter(|one| is_helpless(one))
            .map(visit_of)
            .collect(),
        ..dataset.clone()
    };
    let mut explained = Vec::new();
    if !dataset.visits.is_empty() && !plan.causes {
        let measured = measure(with_causes, &dataset, launch, None, step)?;
        warnings.extend(measured.warnings);
        explained = measured.measurements;
    }
    for (advice, as_it_is) in all.iter_mut().zip(&as_it_is) {
        let mut explained = explained.iter();
        let why = explained.find(|one| one.visit == advice.visit);
        advice.finding = finding(advice, why.unwrap_or(as_it_is));
    }
    Ok(Advised {
        measurements,
        advice: all,
        warnings,
        failed,
        installed,
    })
}

/// Nothing yet, on this visit.
fn advice_on(measurement: &Measurement, parent_bytes: Option<u64>) -> Advice {
    let copied_bytes = copied_bytes(measurement, page_size());
    Advice {
        fixture: measurement.fixture.clone(),
        visit: measurement.visit.clone(),
        count: measurement.count,
        item_bytes: measurement.item_bytes,
        parameters: measurement.parameters.clone(),
        arguments: measurement.arguments.clone(),
        finding: String::new(),
        copied_bytes,
        noise_bytes: noise_bytes(copied_bytes, page_size()),
        parent_bytes,
        remedies: Vec::new(),
        measured_again: None,
    }
}

fn visit_of(advice: &Advice) -> String {
    advice.visit.clone()
}

/// Whether much is copied, and no remedy helps.
fn is_helpless(advice: &Advice) -> bool {
    advice.copied_bytes > advice.noise_bytes && advice.best().is_none()
}

fn tried(remedy: &Remedy, advice: &Advice, trial: &Trial, visited: &RemedyVisit) -> Tried {
    let remedy = remedy.name.clone();
    match visited {
        Ok((measurement, compared)) => Tried {
            remedy,
            saved_bytes: Some(saved(advice, measurement)),
            does_not_apply: None,
            prepare_seconds: Some(trial.prepare_seconds),
            parent_bytes: trial.parent_bytes,
            compared: *compared,
        },
        Err(reason) => Tried {
            remedy,
            does_not_apply: Some(model::one_line(reason)),
            ..Tried::default()
        },
    }
}

fn saved(advice: &Advice, measurement: &Measurement) -> i64 {
    saved_bytes(advice.copied_bytes, copied_bytes(measurement, page_size()))
}

/// Measures a remedy a second time, with the visits for which it is the best.
fn again(
    plan: &Plan,
    dataset: &Dataset,
    name: &str,
    launch: &Launch,
    all: &mut [Advice],
    step: &mut dyn FnMut(Step<'_>),
) -> Result<(), DatasetError> {
    let is_best = |advice: &Advice| advice.best().is_some_and(|best| best.remedy == name);
    let best = all.iter().filter(|advice| is_best(advice));
    let visits: Vec<_> = best.map(visit_of).collect();
    let (Some(remedy), false) = (crate::remedies::remedy(name), visits.is_empty()) else {
        return Ok(());
    };
    let dataset = Dataset {
        visits,
        ..dataset.clone()
    };
    // That it does the same is known by now.
    let Ok(trial) = attempt(plan, &dataset, remedy, launch, false, step)? else {
        return Ok(());
    };
    for advice in all.iter_mut() {
        if let Some(Ok((measurement, _))) = trial.visits.get(&advice.visit) {
            advice.measured_again = Some(Box::new(MeasuredAgain {
                saved_bytes: saved(advice, measurement),
                measurement: measurement.clone(),
            }));
        }
    }
    Ok(())
}

/// How the subject of a remedy is started: as for the data as it is, unless it takes modules that
/// are not there. Or why it cannot be.
fn launch_for(
    remedy: &Remedy,
    plan: &Plan,
    dataset: &Dataset,
    ready: &ReadyInterpreter,
    launch: &Launch,
    step: &mut dyn FnMut(Step<'_>),
) -> Result<Result<Equipment, String>, AdviseError> {
    let mut modules = plan.modules();
    let more = |module: &&String| !dataset.fixture.modules.contains(module);
    let lacking: Vec<_> = remedy.modules.iter().filter(more).cloned().collect();
    if lacking.is_empty() {
        return Ok(Ok((launch.clone(), Installed::default())));
    }
    modules.extend(lacking.iter().cloned());
    let step = RefCell::new(step);
    let progress = |line: &str| (step.borrow_mut())(Step::Installing(line));
    match python::prepare(ready.interpreter.clone(), &modules, &progress) {
        Ok(ready) => {
            let launch = Launch {
                keep_huge_pages: plan.keep_huge_pages,
                ..launch_with(&ready, plan.children, plan.timeout)?
            };
            Ok(Ok((launch, ready.installed)))
        }
        Err(PythonError::Interrupted) => Err(PythonError::Interrupted.into()),
        Err(error) => {
            let error = error.to_string();
            let line = error.lines().next().unwrap_or_default();
            Ok(Err(format!("it needs {}: {line}", lacking.join(", "))))
        }
    }
}

/// Tries one remedy: builds the data, does what the remedy does, finds out whether the visits do
/// the same, and measures those that do. Or why it does not apply to any.
fn attempt(
    plan: &Plan,
    dataset: &Dataset,
    remedy: &Remedy,
    launch: &Launch,
    compare: bool,
    step: &mut dyn FnMut(Step<'_>),
) -> Result<Result<Trial, String>, DatasetError> {
    let shown = format!("{}, {}", dataset.fixture.name, remedy.title);
    step(Step::Building { fixture: &shown });
    let mut built = match build(plan, dataset, launch) {
        Ok(built) => built,
        Err(error) => return not_applicable(error),
    };
    let at = DatasetError::of(&dataset.fixture.name);
    let Built { subject, .. } = &mut built;
    let done = subject.remedy(&remedy.name, modules(remedy), &remedy.function);
    let (prepare_seconds, replaced) = match done {
        Ok(Ok(done)) => done,
        Ok(Err(reason)) => return Ok(Err(reason)),
        Err(error) => return not_applicable(at(error.into())),
    };
    let mut visits = BTreeMap::new();
    let mut same = Vec::new();
    for visit in &dataset.visits {
        if !replaced || !compare {
            same.push((visit.clone(), None));
            continue;
        }
        match subject.compare(visit) {
            Ok((None, true)) => same.push((visit.clone(), Some(Compared::Returned))),
            Ok((None, false)) => same.push((visit.clone(), Some(Compared::NothingReturned))),
            Ok((Some(reason), _)) => drop(visits.insert(visit.clone(), Err(reason))),
            Err(
                error @ (DriverError::Died { .. }
                | DriverError::ClosedDescriptors { .. }
                | DriverError::Raised { .. }),
            ) => {
                let error = at(error.into());
                visits.insert(visit.clone(), Err(error.reason()));
            }
            Err(error) => return not_applicable(at(error.into())),
        }
    }
    if replaced && let Err(error) = subject.adopt() {
        return not_applicable(at(error.into()));
    }
    let mut trial = Trial {
        prepare_seconds,
        parent_bytes: rss_bytes(subject.pid()),
        visits,
        warnings: BTreeSet::new(),
    };
    if same.is_empty() {
        return Ok(Ok(trial));
    }
    let dataset_as_it_is = dataset;
    let dataset = Dataset {
        prepare: Some(remedy.name.clone()),
        visits: same.iter().map(|(visit, _)| visit.clone()).collect(),
        ..dataset.clone()
    };
    // What a visit's end made of no more use.
    let anew = || {
        let mut built = build(plan, dataset_as_it_is, launch)?;
        let Built { subject, .. } = &mut built;
        let done = subject.remedy(&remedy.name, modules(remedy), &remedy.function);
        match done.map_err(|error| at(error.into()))? {
            Ok((_, false)) => {}
            Ok((_, true)) => subject.adopt().map_err(|error| at(error.into()))?,
            Err(reason) => {
                let help = "a remedy does the same in each process".to_owned();
                return Err(at(DriverError::Refused { reason, help }.into()));
            }
        }
        Ok(built)
    };
    let Measured {
        measurements,
        mut warnings,
        failed,
    } = match visit_all(plan, &dataset, built, anew, step) {
        Ok(measured) => measured,
        Err(error) => return not_applicable(error),
    };
    // Of the data as it is that is news; of what a remedy made of it, no fault of the user's.
    warnings.retain(|warning| !matches!(warning, Warning::NotWalked { .. }));
    trial.warnings = warnings;
    for FailedVisit { visit, error } in failed {
        trial.visits.insert(visit, Err(error.reason()));
    }
    for measurement in measurements {
        let visit = measurement.visit.clone();
        let mut same = same.iter();
        let compared = same.find(|(known, _)| *known == visit);
        let compared = compared.and_then(|(_, compared)| *compared);
        trial.visits.insert(visit, Ok((measurement, compared)));
    }
    Ok(Ok(trial))
}

/// An error with one remedy: as a reason, unless the run must end for it.
fn not_applicable<T>(error: DatasetError) -> Result<Result<T, String>, DatasetError> {
    match error.spoils_the_run() {
        true => Err(error),
        false => Ok(Err(format!("it could not be measured: {}", error.reason()))),
    }
}

/// A remedy's sources, in the order they are to be executed.
fn modules(remedy: &Remedy) -> Vec<ModuleSource> {
    let names = remedy.helpers.iter().chain([&remedy.program]);
    names
        .map(|name| ModuleSource {
            name: format!("_refcow_{name}"),
            file: format!("python_fixtures/remedies/{name}.py"),
            folder: None,
            source: fixtures::program(&format!("remedies/{name}")).to_owned(),
        })
        .collect()
}
