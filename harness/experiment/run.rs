//! The loop over interpreters, and over a plan with each of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::dataset::{DatasetError, build, start};
use super::error::ExperimentError;
use super::launch::launch;
use super::measure::{FailedVisit, measure};
use super::plan::{Dataset, Observable, Plan};
use super::recorded::Recorded;
use super::steps::{Step, of_steps};
use super::warnings::{self, not_measured};
use super::{advise, calibration, observations, sharing};
use crate::driver::{DriverError, Launch};
use crate::interrupt;
use crate::machine::{self, MachineError};
use crate::model::{self, Environment, Observation, Report, Run, Warning};
use crate::python::{self, Interpreter, ReadyInterpreter};
use crate::threads::both;
use crate::variables::HASH_SEED;

/// What came of a plan.
#[derive(Debug)]
pub struct MeasuredPlan {
    /// What was measured or observed: at least one thing. It says whether the run was ended before
    /// all was.
    pub report: Report,
    /// Why others were not, in their order.
    pub failures: Vec<ExperimentError>,
}

/// Measures everything in the plan, with one interpreter after the other. What cannot be measured,
/// with an interpreter or at all, does not keep the rest from it. Where the run is ended before all
/// is measured, its report has what is complete: whole datasets, observations, ways.
///
/// # Errors
/// When nothing could be measured, all reasons; when the run was interrupted and nothing is
/// complete, or of a single interpreter the instrument contradicted itself, that. Nothing is left
/// behind.
pub fn run(plan: &Plan, step: &mut dyn FnMut(Step<'_>)) -> Result<MeasuredPlan, ExperimentError> {
    if let Some(wanted) = plan.alternatives.as_ref().filter(|wanted| !wanted.force) {
        // Before an environment is made for nothing.
        wanted.fits(&machine::memory()?)?;
    }
    step(Step::Preparing("finding interpreters"));
    let python::Chosen {
        interpreters,
        refused,
    } = match plan.takes_free_threaded() {
        true => python::choose_all_builds(&plan.pythons)?,
        false => python::choose_all(&plan.pythons)?,
    };
    let several = interpreters.len() + refused.len() > 1;
    let mut failures: Vec<ExperimentError> = Vec::new();
    let mut warnings: Vec<Warning> = Vec::new();
    for error in refused {
        let error = ExperimentError::from(error);
        warnings.push(error.interpreter_not_measured("an interpreter"));
        failures.push(error);
    }
    let modules = plan.modules();
    let all = python::prepare_all(interpreters.clone(), &modules, &mut |line| {
        step(Step::Installing(line));
    });
    let mut runs = Vec::new();
    let mut interrupted: Option<ExperimentError> = None;
    let of = interpreters.len();
    for (number, (interpreter, ready)) in (1..).zip(interpreters.iter().zip(all)) {
        if interrupted.is_some() {
            break;
        }
        let version = &interpreter.version;
        step(Step::Interpreter {
            version,
            number,
            of,
        });
        let measured = ready
            .map_err(ExperimentError::from)
            .and_then(|ready| run_one(plan, &ready, step));
        let named = |error: ExperimentError| match several {
            true => error.of_interpreter(interpreter),
            false => error,
        };
        match measured {
            Ok(measured) => {
                runs.push(measured.run);
                failures.extend(measured.failures.into_iter().map(named));
                interrupted = measured.interrupted;
            }
            Err(error) if error.is_interruption() => interrupted = Some(error),
            Err(error) => {
                warnings.push(error.interpreter_not_measured(&format!("CPython {version}")));
                failures.push(named(error));
            }
        }
    }
    if runs.is_empty() {
        return Err(interrupted.unwrap_or_else(|| ExperimentError::of_all(failures)));
    }
    let mut report = Report::of_all(runs, warnings);
    report.interrupted = interrupted.is_some();
    Ok(MeasuredPlan { report, failures })
}

/// What the figures of an interpreter depend on.
fn environment_of(ready: &ReadyInterpreter) -> Result<Environment, MachineError> {
    let seeds = BTreeMap::from([("PYTHONHASHSEED".to_owned(), HASH_SEED)]);
    let python::Installed { versions, sha256 } = ready.installed.clone();
    machine::environment(versions, sha256, seeds)
}

/// What came of a plan with one interpreter.
struct InterpreterRun {
    /// At least one thing.
    run: Run,
    /// Why others were not measured.
    failures: Vec<ExperimentError>,
    /// What ended it before all were.
    interrupted: Option<ExperimentError>,
}

/// What goes wrong with parts of a run.
#[derive(Default)]
struct Problems {
    warnings: BTreeSet<Warning>,
    failures: Vec<ExperimentError>,
    interrupted: Option<ExperimentError>,
}

impl Problems {
    /// Notes why something is not in the run.
    ///
    /// # Errors
    /// When nothing of the run can be trusted.
    fn note(
        &mut self,
        what: &str,
        error: impl Into<ExperimentError>,
    ) -> Result<(), ExperimentError> {
        let error = error.into();
        if error.is_interruption() {
            self.interrupted = Some(error);
        } else if error.spoils_the_run() {
            return Err(error);
        } else {
            self.warnings
                .insert(not_measured(what, None, error.reason()));
            self.failures.push(error);
        }
        Ok(())
    }

    /// Notes why visits are not in the run: none of these spoils it.
    fn note_visits(&mut self, dataset: &Dataset, failed: Vec<FailedVisit>) {
        for FailedVisit { visit, error } in failed {
            let name = &dataset.fixture.name;
            self.warnings
                .insert(not_measured(name, Some(&visit), error.reason()));
            self.failures.push(error.into());
        }
    }
}

/// Everything in the plan, with one interpreter.
fn run_one(
    plan: &Plan,
    ready: &ReadyInterpreter,
    step: &mut dyn FnMut(Step<'_>),
) -> Result<InterpreterRun, ExperimentError> {
    let (began, clock) = (Timestamp::now(), Instant::now());
    let interpreter = &ready.interpreter;
    let all_steps = plan.steps();
    let plan = &plan.for_build(interpreter.free_threaded);
    let left_out = all_steps.saturating_sub(plan.steps());
    step(Step::Passed {
        steps: usize::try_from(left_out).unwrap_or(usize::MAX),
    });
    let launch = Launch {
        keep_huge_pages: plan.keep_huge_pages,
        ..launch(ready, plan.children, plan.timeout)?
    };
    let mut environment = environment_of(ready)?;
    environment.transparent_huge_pages.disabled_in_subject = !plan.keep_huge_pages;
    environment.variables = plan.asked.given();
    environment.all_variables = plan.asked.all;
    step(Step::Preparing("calibrating"));
    // Both wait for new processes most of the time. Code of the user's waits until the instrument
    // has been checked.
    let first = plan.datasets.first();
    let first = first.filter(|dataset| dataset.fixture.path.is_none());
    let (calibration, started) = both(
        || calibration::calibrate(&launch, calibration::Options::default()),
        || first.map(|dataset| start(plan, dataset, &launch)),
    );
    let (calibration, mut started) = (calibration?, started);

    let mut problems = Problems {
        warnings: warnings::of_machine(&environment),
        ..Problems::default()
    };
    let mut measurements = Vec::new();
    for dataset in &plan.datasets {
        if problems.interrupted.is_some() {
            break;
        }
        let steps = plan.steps_of(dataset);
        let started = started.take();
        match of_steps(steps, step, |step| {
            measure(plan, dataset, &launch, started, step)
        }) {
            Ok(measured) => {
                measurements.extend(measured.measurements);
                problems.warnings.extend(measured.warnings);
                problems.note_visits(dataset, measured.failed);
            }
            Err(error) => problems.note(&dataset.fixture.name, error)?,
        }
    }
    let mut advice = Vec::new();
    for dataset in &plan.advise {
        if problems.interrupted.is_some() {
            break;
        }
        let steps = plan.steps_of_advice(dataset);
        let advised = of_steps(steps, step, |step| {
            advise::run(plan, dataset, ready, &launch, step)
        });
        match advised {
            Ok(outcome) => {
                measurements.extend(outcome.measurements);
                problems.warnings.extend(outcome.warnings);
                problems.note_visits(dataset, outcome.failed);
                advice.extend(outcome.advice);
            }
            Err(error) => problems.note(&dataset.fixture.name, error)?,
        }
    }
    let mut observations = Vec::new();
    for wanted in &plan.observations {
        if problems.interrupted.is_some() {
            break;
        }
        let name = wanted.name();
        step(Step::Observing { name });
        match observe(plan, wanted, interpreter, &launch) {
            Ok(observation) => observations.push(observation),
            Err(error) => problems.note(name, error)?,
        }
        step(Step::Done);
    }
    let mut compared = Vec::new();
    if let (None, Some(wanted)) = (&problems.interrupted, &plan.alternatives) {
        match sharing::run(wanted, &interpreter.version, &launch, step) {
            Ok(outcome) => {
                let failures = outcome.failures.into_iter().map(ExperimentError::from);
                problems.failures.extend(failures);
                problems.warnings.extend(outcome.warnings);
                problems.interrupted = outcome.interrupted.map(ExperimentError::from);
                compared = outcome.alternatives;
            }
            // All else stands.
            Err(error) => problems.note("alternatives", error)?,
        }
    }
    let mut own_data = Vec::new();
    if let (None, Some(shared)) = (&problems.interrupted, &plan.own_data) {
        let version = &interpreter.version;
        let shared = of_steps(shared.steps(), step, |step| {
            sharing::own_data::run(plan, shared, version, &launch, step)
        });
        match shared {
            Ok(outcome) => {
                let failures = outcome.failures.into_iter().map(ExperimentError::from);
                problems.failures.extend(failures);
                problems.warnings.extend(outcome.warnings);
                problems.interrupted = outcome.interrupted.map(ExperimentError::from);
                own_data.extend(outcome.data);
            }
            Err(error) => problems.note("ways to share", error)?,
        }
    }
    let Problems {
        warnings,
        failures,
        interrupted,
    } = problems;
    let nothing = measurements.is_empty() && observations.is_empty() && compared.is_empty();
    if nothing && own_data.is_empty() {
        match interrupted {
            Some(error) => return Err(error),
            None if !failures.is_empty() => return Err(ExperimentError::of_all(failures)),
            None => {}
        }
    }
    let run = Run {
        began: Some(began.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        seconds: Some(clock.elapsed().as_secs_f64()),
        python: model_of(interpreter),
        environment,
        calibration,
        claims: Vec::new(),
        facts: Vec::new(),
        warnings: warnings.into_iter().collect(),
        measurements,
        observations,
        alternatives: compared,
        own_data,
        advice,
    };
    Ok(InterpreterRun {
        run,
        failures,
        interrupted,
    })
}

/// Calibrates alone, in any usable interpreter's program: Python itself is not started.
///
/// # Errors
/// When there is no interpreter, or the counts differ.
pub fn calibrate(
    python: Option<&str>,
    options: calibration::Options,
    timeout: Duration,
) -> Result<model::Calibration, ExperimentError> {
    let ready = python::prepare(python::choose(python)?, &[], &|_| {})?;
    let launch = launch(&ready, 1, timeout)?;
    Ok(calibration::calibrate(&launch, options)?)
}

/// Observes one thing, in subjects of its own.
fn observe(
    plan: &Plan,
    wanted: &Observable,
    interpreter: &Interpreter,
    launch: &Launch,
) -> Result<Observation, ExperimentError> {
    let name = wanted.name();
    let at = DatasetError::of(name);
    let figures = match wanted {
        Observable::AtFork(dataset) => {
            let mut built = build(plan, dataset, launch)?;
            observations::at_fork(&mut built.subject).map_err(at)?
        }
        Observable::OneByte => observations::one_byte(launch).map_err(at)?,
        Observable::OlderPythons => {
            let here = python::ask(&interpreter.executable)?;
            let here = here.ok_or_else(|| {
                let error = std::io::Error::other("it no longer answers");
                at(DriverError::Protocol {
                    who: "interpreter",
                    doing: "being asked for shared memory".into(),
                    source: error,
                }
                .into())
            })?;
            observations::older_pythons(&here, python::older()?)
        }
        Observable::Facts { program, arguments } => {
            observations::facts(launch, program, arguments.clone()).map_err(at)?
        }
        Observable::Recorded { program } => {
            let recorded = Recorded {
                executable: &interpreter.executable,
                program,
                timeout: plan.timeout,
            };
            recorded.observe().map_err(|source| {
                let program = program.clone();
                at(match interrupt::requested() {
                    true => DriverError::Interrupted,
                    false => DriverError::Recording { program, source },
                }
                .into())
            })?
        }
    };
    Ok(Observation {
        name: name.to_owned(),
        figures,
    })
}

/// The interpreter as reports name it.
fn model_of(interpreter: &Interpreter) -> model::Python {
    model::Python {
        version: interpreter.version.clone(),
        build: Some(interpreter.full_version.clone()),
        executable: interpreter.executable.clone(),
        libpython: None,
        free_threaded: interpreter.free_threaded,
    }
}
