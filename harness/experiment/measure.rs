//! The visits of a dataset: one after the other, then those of which lines are wanted once more.

use std::collections::BTreeSet;

use super::dataset::{Built, DatasetError, Loaded, build, build_in, start};
use super::plan::{Dataset, Plan};
use super::steps::{Step, Steps};
use super::{visit, warnings};
use crate::driver::{Launch, Subject};
use crate::fixtures::parameters::{COUNT, ITEM_BYTES};
use crate::fixtures::{EXIT, IDLE};
use crate::model::{self, Measurement, Warning};
use crate::observe::page_size;
use crate::protocol::Job;

/// What came of the visits of a dataset.
pub(super) struct Measured {
    /// In the order of the visits.
    pub(super) measurements: Vec<Measurement>,
    pub(super) warnings: BTreeSet<Warning>,
    /// Visits that could not be measured.
    pub(super) failed: Vec<FailedVisit>,
    /// The last subject, if it is as it was before the visits.
    pub(super) subject: Option<Subject>,
}

/// A visit that could not be measured. That says nothing of the dataset's others.
pub(super) struct FailedVisit {
    pub(super) visit: String,
    pub(super) error: DatasetError,
}

/// One dataset in a subject of its own, which may have been started.
pub(super) fn measure(
    plan: &Plan,
    dataset: &Dataset,
    launch: &Launch,
    started: Option<Result<Loaded, DatasetError>>,
    step: &mut dyn FnMut(Step<'_>),
) -> Result<Measured, DatasetError> {
    step(Step::Building {
        fixture: &dataset.fixture.name,
    });
    let loaded = started.unwrap_or_else(|| start(plan, dataset, launch))?;
    let built = build_in(plan, dataset, loaded)?;
    let anew = || build(plan, dataset, launch);
    let measured = visit_all(plan, dataset, built, anew, step)?;
    Ok(Measured {
        subject: None,
        ..measured
    })
}

/// A dataset that stands, with all of its visits. Where one leaves a subject that is of no more
/// use, `anew` gives another with the same data.
///
/// # Errors
/// When the data cannot be built, or found, or the run must end.
pub(super) fn visit_all(
    plan: &Plan,
    dataset: &Dataset,
    built: Built,
    mut anew: impl FnMut() -> Result<Built, DatasetError>,
    step: &mut dyn FnMut(Step<'_>),
) -> Result<Measured, DatasetError> {
    let mut all = Measured {
        measurements: Vec::new(),
        warnings: BTreeSet::new(),
        failed: Vec::new(),
        subject: None,
    };
    let mut steps = Steps::new(step);
    let mut left = Some((built, dataset.visits.clone()));
    while let Some((built, visits)) = left.take() {
        let dataset = Dataset {
            visits,
            ..dataset.clone()
        };
        let (measured, not_visited) = visit_in(plan, &dataset, built, &mut steps)?;
        all.measurements.extend(measured.measurements);
        all.warnings.extend(measured.warnings);
        all.failed.extend(measured.failed);
        all.subject = measured.subject;
        if !not_visited.is_empty() {
            steps.tell(Step::Building {
                fixture: &dataset.fixture.name,
            });
            left = Some((anew()?, not_visited));
        }
    }
    Ok(all)
}

/// Visits a dataset in one subject, until a visit leaves it of no more use; those that are then
/// still to be made, in another one.
fn visit_in(
    plan: &Plan,
    dataset: &Dataset,
    built: Built,
    steps: &mut Steps<'_>,
) -> Result<(Measured, Vec<String>), DatasetError> {
    let fixture = &dataset.fixture;
    let at = DatasetError::of(&fixture.name);
    let Built {
        mut subject,
        build_seconds,
        with,
        mut warnings,
    } = built;
    let (map, objects) = subject.map(plan.causes).map_err(|error| at(error.into()))?;
    warnings.extend(warnings::of_map(fixture, &map, &objects));
    steps.built();

    // A size is told as one, whoever set it.
    let mut parameters = dataset.given.parameters.clone();
    for (name, size) in [(COUNT, with.count), (ITEM_BYTES, with.item_bytes)] {
        if size.is_some() {
            parameters.remove(name);
        }
    }
    let arguments = match fixture.path {
        Some(_) => plan
            .arguments
            .iter()
            .map(|word| model::printable(word))
            .collect(),
        None => Vec::new(),
    };
    let mut measured = Measured {
        measurements: Vec::new(),
        warnings,
        failed: Vec::new(),
        subject: None,
    };
    let mut details = Vec::new();
    for (place, visit) in dataset.visits.iter().enumerate() {
        steps.tell(Step::Visiting {
            fixture: &fixture.name,
            visit,
        });
        let job = match visit.as_str() {
            IDLE => Job::Idle,
            EXIT => Job::Exit,
            _ => Job::Visit {
                name: visit.clone(),
                lines: false,
            },
        };
        let doing = format!("visiting the data ({visit})");
        let data = visit::Data {
            map: &map,
            objects: plan.causes.then_some(&objects),
            memory: plan.memory,
        };
        let outcome = visit::visit(&mut subject, data, &job, &doing, plan.children, || {
            steps.visited(visit);
        })
        .map_err(&at);
        steps.counted.insert(visit.clone());
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => {
                if measured.fail(visit, error, &mut subject)? {
                    continue;
                }
                let left = match details.is_empty() {
                    true => dataset.visits[place + 1..].to_vec(),
                    // Lines are those of the same subject, in which no other child can be forked
                    // now.
                    false => measured.start_over(dataset),
                };
                return Ok((measured, left));
            }
        };
        measured.warnings.extend(warnings::of_visit(
            fixture,
            visit,
            &outcome,
            plan.keep_huge_pages,
        ));
        let mut children = outcome.children;
        for child in &mut children {
            child.bytes = Some(child.visit_bytes(page_size()));
        }
        measured.measurements.push(Measurement {
            fixture: fixture.name.clone(),
            visit: visit.clone(),
            prepare: dataset.prepare.clone(),
            sharing: fixture.sharing.clone(),
            count: with.count,
            item_bytes: with.item_bytes,
            parameters: parameters.clone(),
            arguments: arguments.clone(),
            build_seconds,
            tree: outcome.tree,
            children,
        });
        if plan.traces(visit) {
            details.push((visit.clone(), outcome.details));
        }
    }
    // After all that is counted: a trace function has Python allocate (frame objects, since 3.12
    // tables for each code object), and small objects have pages in common with the dataset's.
    // Addresses are the same in this child.
    for (visit, mut details) in details {
        steps.tell(Step::Visiting {
            fixture: &fixture.name,
            visit: &visit,
        });
        let job = Job::Visit {
            name: visit.clone(),
            lines: true,
        };
        let doing = format!("visiting the data ({visit}, with --lines)");
        let data = visit::Data {
            map: &map,
            objects: Some(&objects),
            memory: false,
        };
        let traced = visit::visit(&mut subject, data, &job, &doing, 1, || {
            steps.tell(Step::Done);
        });
        let traced = match traced.map_err(&at) {
            Ok(traced) => traced,
            Err(error) => {
                let goes_on = measured.fail(&visit, error, &mut subject)?;
                measured.measurements.retain(|one| one.visit != visit);
                if goes_on {
                    continue;
                }
                let left = measured.start_over(dataset);
                return Ok((measured, left));
            }
        };
        let mut measurements = measured.measurements.iter_mut();
        let Some(measurement) = measurements.find(|one| one.visit == visit) else {
            continue;
        };
        for (log, other) in traced.lines.iter().zip(&traced.details) {
            measured
                .warnings
                .extend(warnings::of_lines(fixture, &visit, log));
            for (child, details) in measurement.children.iter_mut().zip(&mut details) {
                details.take_lines(other, log, &objects);
                child.written = details.written(&objects);
                child.made = details.made();
            }
        }
    }
    measured.subject = Some(subject);
    Ok((measured, Vec::new()))
}

impl Measured {
    /// Notes why a visit was not measured; whether the subject can make the next one.
    ///
    /// # Errors
    /// When the run must end for it.
    fn fail(
        &mut self,
        visit: &str,
        error: DatasetError,
        subject: &mut Subject,
    ) -> Result<bool, DatasetError> {
        if error.spoils_the_run() {
            return Err(error);
        }
        // Who raises has ended orderly, and waits as the others do. Of what was killed at the time
        // limit, or has died, shared memory may be half written, and locks in it held.
        let orderly = error.is_exception();
        self.failed.push(FailedVisit {
            visit: visit.to_owned(),
            error: error.of_visit(visit),
        });
        Ok(orderly && subject.end_forked())
    }

    /// Forgets what was measured; the visits that have not failed.
    fn start_over(&mut self, dataset: &Dataset) -> Vec<String> {
        self.measurements.clear();
        let has_failed = |visit: &&String| self.failed.iter().any(|one| one.visit == **visit);
        let visits = dataset.visits.iter();
        visits.filter(|visit| !has_failed(visit)).cloned().collect()
    }
}
