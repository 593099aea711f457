//! The user's own data, reaching workers by each way that applies to it: each way, with each number of workers, in a subject of
//! its own.

mod applies;
mod measure;
mod survey;
mod tree;

use std::collections::BTreeSet;

use self::applies::does_not_apply;
use self::measure::measure;
use self::survey::{Survey, survey};
use super::error::SharingError;
use super::variant::OwnDataVariant;
use crate::driver::{Launch, Surroundings};
use crate::experiment::dataset::DatasetError;
use crate::experiment::plan::{Plan, SharedDataset};
use crate::experiment::steps::Step;
use crate::machine;
use crate::model::{MemoryLimit, OwnData, OwnDataWay, StartMethod, Warning, one_line, printable};

/// What came of it.
#[derive(Debug, Default)]
pub struct MeasuredOwnData {
    /// The ways, unless none was measured.
    pub data: Option<OwnData>,
    /// What limits the figures.
    pub warnings: BTreeSet<Warning>,
    /// Why ways were not measured that should have been.
    pub failures: Vec<SharingError>,
    /// What ended it before all were.
    pub interrupted: Option<SharingError>,
}

/// Measures each way with each number of workers. One that fails does not keep the others from it.
///
/// # Errors
/// When the data cannot be built, or not be looked at, or no way can be measured with it. Nothing is left behind.
pub fn run(
    plan: &Plan,
    shared: &SharedDataset,
    version: &str,
    launch: &Launch,
    step: &mut dyn FnMut(Step<'_>),
) -> Result<MeasuredOwnData, SharingError> {
    let fixture = &shared.dataset.fixture;
    let mut launch = launch.clone();
    if fixture.path.is_some() {
        launch.surroundings = Surroundings::Users;
    }
    launch.variables.clone_from(&plan.variables);
    let most = shared.workers.last().copied().unwrap_or(1);
    let plan = &Plan {
        children: most,
        causes: false,
        ..plan.clone()
    };
    step(Step::Building {
        fixture: &fixture.name,
    });
    let mut all = MeasuredOwnData::default();
    let survey = match survey(plan, shared, &launch) {
        Ok(survey) => survey,
        Err(error) if error.is_interruption() => {
            all.interrupted = Some(error);
            return Ok(all);
        }
        Err(error) => return Err(error),
    };
    all.warnings.extend(survey.warnings.iter().cloned());
    if let Some(method) = shared.required
        && !survey.seen.has(method)
    {
        return Err(SharingError::NoStartMethod {
            version: version.to_owned(),
            method,
            known: survey.seen.methods.clone(),
        });
    }
    step(Step::Done);
    let mut ways = Vec::new();
    let mut first_visit = None;
    let mut not_possible = None;
    'all: for variant in &shared.ways {
        for workers in &shared.workers {
            let name = variant.name();
            step(Step::Observing { name: &name });
            let memory = match plan.force {
                true => None,
                false => Some(machine::memory().map_err(DatasetError::from)?),
            };
            let data = (&survey.seen, survey.size_bytes);
            let mut entry = OwnDataWay {
                way: variant.way.id.clone(),
                title: variant.way.title.clone(),
                start_method: variant.start_method,
                workers: *workers as u64,
                does_not_apply: does_not_apply(variant, *workers, data, version, memory.as_ref()),
                measured: None,
            };
            if entry.does_not_apply.is_none() {
                match measure(
                    plan,
                    shared,
                    variant,
                    *workers,
                    &survey,
                    first_visit,
                    &launch,
                ) {
                    Ok(figures) => {
                        let visits = figures.children.iter().map(|child| child.visit_seconds);
                        first_visit = first_visit.or(visits.reduce(f64::max));
                        entry.measured = Some(figures);
                    }
                    Err(error) if error.is_interruption() => {
                        all.interrupted = Some(error);
                        break 'all;
                    }
                    Err(error @ SharingError::NotPossible { .. }) => {
                        entry.does_not_apply = Some(one_line(&error.reason()));
                        not_possible.get_or_insert(error);
                    }
                    Err(error @ SharingError::WorkerRaised { .. }) => {
                        let forked = variant.start_method == StartMethod::Fork;
                        let works = first_visit.is_some() && !forked;
                        let hint = if works { NOT_INHERITED } else { "" };
                        let reason = one_line(&error.reason());
                        entry.does_not_apply = Some(format!("{reason}{hint}"));
                        not_possible.get_or_insert(error);
                    }
                    Err(error) => {
                        all.warnings.insert(error.warning(&name));
                        all.failures.push(error);
                        step(Step::Done);
                        continue;
                    }
                }
            }
            ways.push(entry);
            step(Step::Done);
        }
    }
    if ways.iter().any(|one| one.measured.is_some()) {
        all.data = Some(document(plan, shared, survey, ways)?);
    } else if all.failures.is_empty() && all.interrupted.is_none() {
        return Err(not_possible.unwrap_or_else(|| nothing_applies(&shared.ways, &ways)));
    }
    Ok(all)
}

fn nothing_applies(asked: &[OwnDataVariant], ways: &[OwnDataWay]) -> SharingError {
    let reason = ways.iter().find_map(|one| one.does_not_apply.clone());
    SharingError::NotPossible {
        way: asked.first().map(OwnDataVariant::name).unwrap_or_default(),
        reason: reason.unwrap_or_else(|| "there is nothing to measure".to_owned()),
    }
}

/// Behind what a worker raised that is no fork, where one that is did not.
const NOT_INHERITED: &str = "; a worker that is no fork of the parent has only what it is given, and no global that `build` has set";

fn document(
    plan: &Plan,
    shared: &SharedDataset,
    survey: Survey,
    ways: Vec<OwnDataWay>,
) -> Result<OwnData, SharingError> {
    let dataset = &shared.dataset;
    let is_users = dataset.fixture.path.is_some();
    let mut parameters = dataset.given.parameters.clone();
    if !is_users {
        let sizes = [
            ("count", survey.with.count),
            ("item_bytes", survey.with.item_bytes),
        ];
        let known = sizes.into_iter();
        parameters.extend(known.filter_map(|(name, size)| Some((name.to_owned(), size?.into()))));
    }
    let limit = match shared.memory_bytes {
        Some(bytes) => MemoryLimit {
            bytes,
            from: "--memory".to_owned(),
        },
        None => {
            let (bytes, from) = machine::memory_limit().map_err(DatasetError::from)?;
            MemoryLimit { bytes, from }
        }
    };
    Ok(OwnData {
        fixture: dataset.fixture.name.clone(),
        visit: dataset.visits[0].clone(),
        parameters,
        arguments: match is_users {
            true => plan.arguments.iter().map(|word| printable(word)).collect(),
            false => Vec::new(),
        },
        build_seconds: survey.build_seconds,
        size_bytes: survey.size_bytes,
        pickled_bytes: survey.seen.pickled_bytes,
        not_picklable: survey.seen.not_picklable.clone(),
        default_start_method: survey.default,
        fork: survey.fork,
        memory_limit: limit,
        ways,
    })
}
