//! The one meeting point: plan → subject + observer → report.

pub mod advise;
pub mod alternatives;
pub mod calibration;
pub mod causes;
pub mod lines;
mod made;
pub mod observations;
pub mod visit;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::driver::{self, Launch, Subject, Surroundings};
use crate::experiment::lines::LineLog;
use crate::failures::{Failed, Failure, Message, messages};
use crate::fixed_paths::FixedPaths;
use crate::fixtures::parameters::{COUNT, Given, ITEM_BYTES};
use crate::fixtures::{self, EXIT, Fixture, IDLE};
use crate::machine::{self, MemoryLimits};
use crate::model::{self, Environment, Measurement, Observation, Report, Run, Warning};
use crate::observe::page_size;
use crate::protocol::{self, Arguments, BuiltWith, Footprint, Job, Module, Size};
use crate::python::{self, Interpreter, Ready};
use crate::side_by_side::both;
use crate::variables::{HASH_SEED, Variables};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The datasets, in order.
    pub datasets: Vec<Dataset>,
    /// Those whose visits are measured with each remedy, too.
    pub advise: Vec<Dataset>,
    /// What is to be observed besides pages, in order.
    pub observations: Vec<Wanted>,
    /// `sys.argv[1:]` of users' own files.
    pub arguments: Vec<String>,
    /// Variables that the measured processes of datasets get.
    pub variables: Vec<(OsString, OsString)>,
    /// How the command line asked for them.
    pub asked: Variables,
    /// Which ways to share data are to be compared.
    pub alternatives: Option<alternatives::Wanted>,
    /// Children of each visit, from 1 to [`protocol::MOST_CHILDREN`].
    pub children: usize,
    /// Which interpreters, as [`python::choose_all`] takes them; none for the machine's first usable one.
    pub pythons: Vec<String>,
    /// The time that building, or one visit, may take.
    pub timeout: Duration,
    /// Go on although memory seems too small.
    pub force: bool,
    /// Record who wrote first to each page that is copied.
    pub causes: bool,
    /// The same of what advice compares: a report shows it. Else it is compared without, as recording takes time of the visits'.
    pub causes_of_advice: bool,
    /// Have one more child make each visit, and log which line ran when it had page faults. It takes several times as
    /// long for that.
    pub lines: bool,
    /// Let the measured processes have transparent huge pages as the user's own program would have them.
    pub keep_huge_pages: bool,
}

/// One dataset and its visits.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// What builds it.
    pub fixture: Fixture,
    /// What `build` is given.
    pub given: Given,
    /// A preparation that the fixture has: what the parent does before the first fork.
    pub prepare: Option<String>,
    /// Names of visits that the fixture has.
    pub visits: Vec<String>,
}

impl Dataset {
    /// The functions of the fixture's that will be called.
    pub fn calls(&self) -> Vec<String> {
        let own = |visit: &&String| ![IDLE, EXIT].contains(&&visit[..]);
        let visits = self.visits.iter().filter(own);
        let prepare = self.prepare.iter();
        std::iter::once("build".to_owned())
            .chain(prepare.map(|name| format!("prepare_{name}")))
            .chain(visits.map(|name| format!("visit_{name}")))
            .collect()
    }

    /// Whether this is the fixture of that name, or path.
    pub fn is(&self, name: &str) -> bool {
        match &self.fixture.path {
            None => self.fixture.name == name,
            Some(path) => fixtures::absolute(Path::new(name)).is_ok_and(|named| named == *path),
        }
    }
}

/// Something to be observed besides pages.
#[derive(Clone, Debug)]
pub enum Wanted {
    /// Parent and child at the moment of a fork, with this dataset.
    AtFork(Box<Dataset>),
    /// One byte, written by either side of a fork.
    OneByte,
    /// An interpreter of this machine that is older than shared memory blocks.
    OlderPythons,
    /// What a program of `python_fixtures/facts/` says.
    Facts {
        /// Its name.
        program: String,
        /// For its `observe`.
        arguments: Vec<serde_json::Value>,
    },
}

impl Wanted {
    /// The name of the observation.
    pub fn name(&self) -> &str {
        match self {
            Self::AtFork(_) => "at_fork",
            Self::OneByte => "one_byte",
            Self::OlderPythons => "older_pythons",
            Self::Facts { program, .. } => program,
        }
    }
}

/// What a run is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Something short that has no place in the count of steps.
    Preparing(&'a str),
    /// A private environment is being made, which takes a while and happens once.
    Installing(&'a str),
    /// All that follows is of this interpreter.
    Interpreter {
        /// Its version.
        version: &'a str,
        /// Which it is, from 1.
        number: usize,
        /// Of how many.
        of: usize,
    },
    /// A dataset is about to be built.
    Building {
        /// Its fixture.
        fixture: &'a str,
    },
    /// A visit is about to begin.
    Visiting {
        /// The fixture.
        fixture: &'a str,
        /// The visit.
        visit: &'a str,
    },
    /// Something besides pages is about to be observed.
    Observing {
        /// Its name.
        name: &'a str,
    },
    /// A dataset stands, one child has ended its visit, or something was observed.
    Done,
    /// What would have been done so often will not be: something before it failed.
    Passed {
        /// How often.
        steps: usize,
    },
}

impl Plan {
    /// What builds the datasets; what builds several is there several times.
    pub fn fixtures(&self) -> impl Iterator<Item = &Fixture> {
        let observed = self.observations.iter().filter_map(|wanted| match wanted {
            Wanted::AtFork(dataset) => Some(&**dataset),
            _ => None,
        });
        let all = self.datasets.iter().chain(&self.advise).chain(observed);
        all.map(|dataset| &dataset.fixture)
    }

    /// What the interpreters must be able to import.
    fn modules(&self) -> Vec<String> {
        let ways = self.alternatives.iter();
        let all: BTreeSet<String> = self
            .fixtures()
            .flat_map(|fixture| fixture.modules.iter().cloned())
            .chain(ways.flat_map(alternatives::Wanted::modules))
            .collect();
        all.into_iter().collect()
    }

    /// Whether a log of lines is wanted of a visit, and it runs any.
    fn traces(&self, visit: &str) -> bool {
        self.lines && visit != IDLE && visit != EXIT
    }

    /// How often [`Step::Done`] will come for a dataset.
    fn steps_of(&self, dataset: &Dataset) -> usize {
        let traced = dataset.visits.iter().filter(|visit| self.traces(visit));
        1 + dataset.visits.len() * self.children + traced.count()
    }

    /// How often [`Step::Done`] will come for each interpreter.
    pub fn steps(&self) -> u64 {
        let steps = self.datasets.iter().map(|dataset| self.steps_of(dataset));
        let ways = self.alternatives.as_ref();
        let ways = ways.map_or(0, |wanted| wanted.chosen.len());
        let advise = self.advise.iter();
        let advise = advise.map(|dataset| advise::steps(dataset, self.children));
        let steps = steps.sum::<usize>() + advise.sum::<usize>();
        (steps + self.observations.len() + ways) as u64
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// No interpreter, or no environment for it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Python(#[from] python::Error),
    /// The machine could not be described.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Machine(#[from] machine::Error),
    /// The instrument failed its own check.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Calibration(#[from] calibration::Error),
    /// Ways to share could not be compared.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Alternatives(#[from] alternatives::Error),
    /// A fixture could not be measured.
    #[error("{fixture}: {error}")]
    Fixture {
        /// Which.
        fixture: String,
        /// Why.
        error: Box<visit::Error>,
        /// What to do about it.
        #[help]
        help: Option<String>,
    },
    /// The fixture does not take these sizes: it raised ValueError over them.
    #[error("{fixture} cannot be built with --count {} --item-bytes {}: {}\n\n{}", size.count, size.item_bytes, raised.summary, raised.traceback.trim_end())]
    #[diagnostic(help("choose sizes that it can have; `refcow fixtures` tells its defaults"))]
    Refused {
        /// Which.
        fixture: String,
        /// What it was asked for.
        size: Size,
        /// What it raised.
        raised: protocol::Raised,
    },
    /// The data would not fit.
    #[error(
        "{fixture} needs about {} ({} of objects, each of which {} may copy, {} of buffers, {} of \
         shared memory, {} to find their pages), and {} is free ({available_from})",
        crate::numbers::bytes(*needed_bytes),
        crate::numbers::bytes(footprint.objects),
        crate::numbers::counted(*children as u64, "child", "children"),
        crate::numbers::bytes(footprint.payload),
        crate::numbers::bytes(footprint.segment),
        crate::numbers::bytes(*mapper_bytes),
        crate::numbers::bytes(*available_bytes)
    )]
    #[diagnostic(help(
        "choose a smaller --count, --item-bytes or --children, or try all the same with --force"
    ))]
    TooLarge {
        /// Which.
        fixture: String,
        /// What it would allocate.
        footprint: Footprint,
        /// With what the children may copy, and the mapper needs.
        needed_bytes: u64,
        /// What of that the children do not need, too.
        mapper_bytes: u64,
        /// What there is.
        available_bytes: u64,
        /// What says so.
        available_from: String,
        /// How many copies were reckoned with.
        children: usize,
    },
    /// /dev/shm is too small.
    #[error(
        "{fixture} needs {} in /dev/shm, and {} is free there",
        crate::numbers::bytes(*needed_bytes),
        crate::numbers::bytes(*free_bytes)
    )]
    #[diagnostic(help(
        "choose a smaller --count or --item-bytes, enlarge it (mount -o remount,size=… /dev/shm; docker run --shm-size), \
         or try all the same with --force"
    ))]
    ShmTooSmall {
        /// Which.
        fixture: String,
        /// For its segments.
        needed_bytes: u64,
        /// There.
        free_bytes: u64,
    },
    /// One of several interpreters could not be measured, or not with everything.
    #[error("CPython {version} ({}): {error}", executable.display())]
    Interpreter {
        /// Its version.
        version: String,
        /// The program.
        executable: PathBuf,
        /// Why not.
        error: Box<Error>,
        /// What to do about it.
        #[help]
        help: Option<String>,
    },
    /// Nothing could be measured, for each of these.
    #[error("{}", listed(failures))]
    Several {
        /// Why not, in the order of what was to be measured.
        failures: Vec<Error>,
        /// What to do about the last that is told.
        #[help]
        help: Option<String>,
    },
    /// There is nowhere to write.
    #[error("cannot make a folder for the measured processes: {0}")]
    #[diagnostic(help("name a folder that you may write to in TMPDIR"))]
    Places(std::io::Error),
    /// The program beside refcow is not where it should be.
    #[error("there is no refcow-subject beside {}", beside.display())]
    #[diagnostic(help("refcow needs both of its programs in one folder: build or install both"))]
    NoSubject {
        /// refcow's own program.
        beside: PathBuf,
    },
}

impl Error {
    fn of(fixture: &str) -> impl Fn(visit::Error) -> Self {
        let fixture = fixture.to_owned();
        move |error| Self::Fixture {
            fixture: fixture.clone(),
            help: miette::Diagnostic::help(&error).map(|help| help.to_string()),
            error: Box::new(error),
        }
    }

    /// With the visit in the fixture's place, where its text has none.
    fn of_visit(self, visit: &str) -> Self {
        match self {
            Self::Fixture {
                fixture,
                error,
                help,
            } if !matches!(*error, visit::Error::Subject(_)) => Self::Fixture {
                fixture: model::named(&fixture, Some(visit)),
                error,
                help,
            },
            other => other,
        }
    }

    /// As one of several interpreters' errors.
    fn of_interpreter(self, interpreter: &Interpreter) -> Self {
        Self::Interpreter {
            version: interpreter.version.clone(),
            executable: interpreter.executable.clone(),
            help: miette::Diagnostic::help(&self).map(|help| help.to_string()),
            error: Box::new(self),
        }
    }

    /// All of these, of which there is at least one.
    fn of_all(mut failures: Vec<Self>) -> Self {
        match failures.len() {
            1 => failures.remove(0),
            _ => Self::Several {
                help: messages_of(&failures).pop().and_then(|last| last.help),
                failures,
            },
        }
    }

    /// What this tells of, one by one.
    fn failures(&self) -> Vec<Failure> {
        let failure = |interpreter, what: Option<&String>, reason: String| Failure {
            failed: Failed {
                interpreter,
                what: what.cloned(),
            },
            alone: self.to_string(),
            reason,
            help: miette::Diagnostic::help(self).map(|help| help.to_string()),
        };
        let one = match self {
            Self::Several { failures, .. } => {
                return failures.iter().flat_map(Self::failures).collect();
            }
            Self::Interpreter {
                version,
                executable,
                error,
                ..
            } => {
                let name = format!("CPython {version} ({})", executable.display());
                let named = |mut failure: Failure| {
                    failure.alone = format!("{name}: {}", failure.alone);
                    failure.failed.interpreter = Some(name.clone());
                    failure
                };
                return error.failures().into_iter().map(named).collect();
            }
            Self::Python(error) => {
                let (name, reason) = error.reason();
                failure(name, None, reason)
            }
            Self::Fixture { fixture, error, .. } => failure(None, Some(fixture), error.to_string()),
            Self::Alternatives(alternatives::Error::Failed { way, error, .. }) => {
                failure(None, Some(way), error.to_string())
            }
            Self::Alternatives(
                alternatives::Error::ChildDied { way, reason }
                | alternatives::Error::NotPossible { way, reason },
            ) => failure(None, Some(way), reason.clone()),
            error => failure(None, None, error.to_string()),
        };
        vec![one]
    }

    /// The first, which decides on the exit status.
    pub fn first(&self) -> &Self {
        match self {
            Self::Several { failures, .. } => failures[0].first(),
            error => error,
        }
    }

    /// The warning in a report that lacks this, or one visit of it.
    fn not_measured(&self, what: &str, visit: Option<&str>) -> Warning {
        Warning::NotMeasured {
            fixture: what.to_owned(),
            visit: visit.map(str::to_owned),
            reason: self.reason(),
        }
    }

    /// In one line.
    fn reason(&self) -> String {
        let reason = match self {
            // Its name is known.
            Self::Fixture { error, .. } => error.to_string(),
            error => error.to_string(),
        };
        // A traceback is for whoever ran this, on standard error.
        model::one_line(&reason)
    }

    /// The warning in a report that lacks an interpreter.
    fn interpreter_not_measured(&self, python: &str) -> Warning {
        let (name, reason) = match self {
            Self::Python(error) => error.reason(),
            error => {
                let messages = messages(error.failures()).into_iter();
                let lines: Vec<_> = messages.map(|message| message.line).collect();
                (None, lines.join("; "))
            }
        };
        Warning::InterpreterNotMeasured {
            python: name.unwrap_or_else(|| python.to_owned()),
            reason: model::one_line(&reason),
        }
    }

    /// Whether there is no point in going on, or no trust in what came before.
    fn spoils_the_run(&self) -> bool {
        let untrustworthy = match self {
            Self::Fixture { error, .. } => matches!(
                **error,
                visit::Error::Disagreement(_)
                    | visit::Error::Subject(
                        driver::Error::OtherInterpreter { .. }
                            | driver::Error::OtherEnvironment { .. }
                            | driver::Error::NoInterpreter { .. }
                            | driver::Error::NotLoaded { .. }
                    )
            ),
            _ => false,
        };
        untrustworthy || self.is_interruption()
    }

    /// Whether it is what the user gave that no data could be built with.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::TooLarge { .. } | Self::ShmTooSmall { .. } => true,
            Self::Calibration(error) => matches!(error, calibration::Error::TooLarge { .. }),
            Self::Alternatives(error) => error.is_bad_input(),
            Self::Several { .. } => self.first().is_bad_input(),
            Self::Fixture { error, .. } => matches!(
                **error,
                visit::Error::Subject(driver::Error::Refused { .. })
            ),
            _ => false,
        }
    }

    /// Whether the user ended the run.
    pub fn is_interruption(&self) -> bool {
        let visit = match self {
            Self::Python(python::Error::Interrupted) => return true,
            Self::Alternatives(error) => return error.is_interruption(),
            Self::Calibration(calibration::Error::Visit(error)) => error,
            Self::Fixture { error, .. } => &**error,
            Self::Interpreter { error, .. } => return error.is_interruption(),
            _ => return false,
        };
        matches!(visit, visit::Error::Subject(driver::Error::Interrupted))
    }
}

fn messages_of(errors: &[Error]) -> Vec<Message> {
    messages(errors.iter().flat_map(Error::failures))
}

/// Errors in words, one for each reason, below each other, each with what to do about it.
pub fn told(errors: &[Error]) -> String {
    in_words(messages_of(errors))
}

/// The same, but what to do about the last.
fn listed(errors: &[Error]) -> String {
    let mut messages = messages_of(errors);
    if let Some(last) = messages.last_mut() {
        last.help = None;
    }
    in_words(messages)
}

fn in_words(messages: Vec<Message>) -> String {
    let words = |message: Message| match message.help {
        Some(help) => format!("{}\nhelp: {help}", message.text),
        None => message.text,
    };
    let words: Vec<_> = messages.into_iter().map(words).collect();
    words.join("\nerror: ")
}

/// What came of a plan.
#[derive(Debug)]
pub struct Outcome {
    /// What was measured or observed: at least one thing. It says whether the run was ended before all was.
    pub report: Report,
    /// Why others were not, in their order.
    pub failures: Vec<Error>,
}

/// Measures everything in the plan, with one interpreter after the other. What cannot be measured,
/// with an interpreter or at all, does not keep the rest from it. Where the run is ended before all is measured, its report
/// has what is complete: whole datasets, observations, ways.
///
/// # Errors
/// When nothing could be measured, all reasons; when the run was interrupted and nothing is complete, or of a single
/// interpreter the instrument contradicted itself, that. Nothing is left behind.
pub fn run(plan: &Plan, step: &mut dyn FnMut(Step<'_>)) -> Result<Outcome, Error> {
    if let Some(wanted) = plan.alternatives.as_ref().filter(|wanted| !wanted.force) {
        // Before an environment is made for nothing.
        wanted.fits(&machine::memory()?)?;
    }
    step(Step::Preparing("finding interpreters"));
    let python::Chosen {
        interpreters,
        refused,
    } = python::choose_all(&plan.pythons)?;
    let several = interpreters.len() + refused.len() > 1;
    let mut failures: Vec<Error> = Vec::new();
    let mut warnings: Vec<Warning> = Vec::new();
    for error in refused {
        let error = Error::from(error);
        warnings.push(error.interpreter_not_measured("an interpreter"));
        failures.push(error);
    }
    let modules = plan.modules();
    let all = python::prepare_all(interpreters.clone(), &modules, &mut |line| {
        step(Step::Installing(line));
    });
    let mut runs = Vec::new();
    let mut interrupted: Option<Error> = None;
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
            .map_err(Error::from)
            .and_then(|ready| run_one(plan, &ready, step));
        let named = |error: Error| match several {
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
        return Err(interrupted.unwrap_or_else(|| Error::of_all(failures)));
    }
    let mut report = Report::of_all(runs, warnings);
    report.interrupted = interrupted.is_some();
    Ok(Outcome { report, failures })
}

/// What the figures of an interpreter depend on.
fn environment_of(ready: &Ready) -> Result<Environment, machine::Error> {
    let seeds = BTreeMap::from([("PYTHONHASHSEED".to_owned(), HASH_SEED)]);
    let python::Installed { versions, sha256 } = ready.installed.clone();
    machine::environment(versions, sha256, seeds)
}

/// What came of a plan with one interpreter.
struct OfOne {
    /// At least one thing.
    run: Run,
    /// Why others were not measured.
    failures: Vec<Error>,
    /// What ended it before all were.
    interrupted: Option<Error>,
}

/// What goes wrong with parts of a run.
#[derive(Default)]
struct Trouble {
    warnings: BTreeSet<Warning>,
    failures: Vec<Error>,
    interrupted: Option<Error>,
}

impl Trouble {
    /// Notes why something is not in the run.
    ///
    /// # Errors
    /// When nothing of the run can be trusted.
    fn note(&mut self, what: &str, error: Error) -> Result<(), Error> {
        if error.is_interruption() {
            self.interrupted = Some(error);
        } else if error.spoils_the_run() {
            return Err(error);
        } else {
            self.warnings.insert(error.not_measured(what, None));
            self.failures.push(error);
        }
        Ok(())
    }

    /// Notes why visits are not in the run: none of these spoils it.
    fn note_visits(&mut self, dataset: &Dataset, failed: Vec<FailedVisit>) {
        for FailedVisit { visit, error } in failed {
            let name = &dataset.fixture.name;
            self.warnings.insert(error.not_measured(name, Some(&visit)));
            self.failures.push(error);
        }
    }
}

/// Does something of so many steps; those that never come are passed by.
fn of_steps<T>(
    steps: usize,
    step: &mut dyn FnMut(Step<'_>),
    work: impl FnOnce(&mut dyn FnMut(Step<'_>)) -> T,
) -> T {
    let mut left = steps;
    let done = work(&mut |now| {
        if now == Step::Done {
            left = left.saturating_sub(1);
        }
        step(now);
    });
    if left > 0 {
        step(Step::Passed { steps: left });
    }
    done
}

/// Everything in the plan, with one interpreter.
fn run_one(plan: &Plan, ready: &Ready, step: &mut dyn FnMut(Step<'_>)) -> Result<OfOne, Error> {
    let (began, clock) = (Timestamp::now(), Instant::now());
    let interpreter = &ready.interpreter;
    let launch = Launch {
        keep_huge_pages: plan.keep_huge_pages,
        ..launch(ready, plan.children, plan.timeout)?
    };
    let mut environment = environment_of(ready)?;
    environment.transparent_huge_pages.disabled_in_subject = !plan.keep_huge_pages;
    environment.variables = plan.asked.given();
    environment.all_variables = plan.asked.all;
    step(Step::Preparing("calibrating"));
    // Both wait for new processes most of the time. Code of the user's waits until the instrument has been checked.
    let first = plan.datasets.first();
    let first = first.filter(|dataset| dataset.fixture.path.is_none());
    let (calibration, started) = both(
        || calibration::calibrate(&launch, calibration::Options::default()),
        || first.map(|dataset| start(plan, dataset, &launch)),
    );
    let (calibration, mut started) = (calibration?, started);

    let mut trouble = Trouble {
        warnings: machine_warnings(&environment),
        ..Trouble::default()
    };
    let mut measurements = Vec::new();
    for dataset in &plan.datasets {
        if trouble.interrupted.is_some() {
            break;
        }
        let steps = plan.steps_of(dataset);
        let started = started.take();
        match of_steps(steps, step, |step| {
            measure(plan, dataset, &launch, started, step)
        }) {
            Ok(measured) => {
                measurements.extend(measured.measurements);
                trouble.warnings.extend(measured.warnings);
                trouble.note_visits(dataset, measured.failed);
            }
            Err(error) => trouble.note(&dataset.fixture.name, error)?,
        }
    }
    let mut advice = Vec::new();
    for dataset in &plan.advise {
        if trouble.interrupted.is_some() {
            break;
        }
        let steps = advise::steps(dataset, plan.children);
        let advised = of_steps(steps, step, |step| {
            advise::run(plan, dataset, ready, &launch, step)
        });
        match advised {
            Ok(outcome) => {
                measurements.extend(outcome.measurements);
                trouble.warnings.extend(outcome.warnings);
                trouble.note_visits(dataset, outcome.failed);
                environment.packages.extend(outcome.installed.versions);
                environment.package_sha256.extend(outcome.installed.sha256);
                advice.extend(outcome.advice);
            }
            Err(error) => trouble.note(&dataset.fixture.name, error)?,
        }
    }
    let mut observations = Vec::new();
    for wanted in &plan.observations {
        if trouble.interrupted.is_some() {
            break;
        }
        let name = wanted.name();
        step(Step::Observing { name });
        match observe(plan, wanted, interpreter, &launch) {
            Ok(observation) => observations.push(observation),
            Err(error) => trouble.note(name, error)?,
        }
        step(Step::Done);
    }
    let mut compared = Vec::new();
    if let (None, Some(wanted)) = (&trouble.interrupted, &plan.alternatives) {
        match alternatives::run(wanted, &interpreter.version, &launch, step) {
            Ok(outcome) => {
                let failures = outcome.failures.into_iter().map(Error::from);
                trouble.failures.extend(failures);
                trouble.warnings.extend(outcome.warnings);
                trouble.interrupted = outcome.interrupted.map(Error::from);
                compared = outcome.alternatives;
            }
            // All else stands.
            Err(error) => trouble.note("alternatives", error.into())?,
        }
    }
    let Trouble {
        warnings,
        failures,
        interrupted,
    } = trouble;
    if measurements.is_empty() && observations.is_empty() && compared.is_empty() {
        match interrupted {
            Some(error) => return Err(error),
            None if !failures.is_empty() => return Err(Error::of_all(failures)),
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
        advice,
    };
    Ok(OfOne {
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
) -> Result<model::Calibration, Error> {
    let ready = python::prepare(python::choose(python)?, &[], &|_| {})?;
    let launch = launch(&ready, 1, timeout)?;
    Ok(calibration::calibrate(&launch, options)?)
}

/// How subjects of an interpreter are started that run refcow's own code.
///
/// # Errors
/// When refcow-subject is not there, or there is nowhere to write.
pub fn launch(ready: &Ready, children: usize, timeout: Duration) -> Result<Launch, Error> {
    let interpreter = &ready.interpreter;
    let is_environment = ready.prefix != interpreter.base_prefix;
    let places =
        FixedPaths::new(is_environment.then_some(&*ready.prefix)).map_err(Error::Places)?;
    Ok(Launch {
        // The very program that runs, even if another has its name by now.
        keeper: "/proc/self/exe".into(),
        library: subject_library()?,
        interpreter: ready.program.clone(),
        // Outside of environments Python follows links; so it has one name, whichever it was chosen by.
        executable: match is_environment {
            true => ready.executable.clone(),
            false => ready.program.clone(),
        },
        needs_library_path: interpreter.needs_library_path,
        version: interpreter.full_version.clone(),
        prefix: ready.prefix.clone(),
        surroundings: Surroundings::Fixed(places),
        variables: Vec::new(),
        keep_huge_pages: false,
        channels: children + 1,
        timeout,
    })
}

/// refcow-subject, beside this program (or a folder up, for cargo's tests and benches).
fn subject_library() -> Result<PathBuf, Error> {
    let beside = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("refcow"));
    let own = beside.parent();
    // Only from cargo's folder: what is above another one may be anybody's, as /tmp is.
    let above = own
        .filter(|own| own.ends_with("deps"))
        .and_then(Path::parent);
    let folders = own.into_iter().chain(above);
    let mut candidates = folders.map(|folder| folder.join("refcow-subject"));
    match candidates.find(|candidate| candidate.is_file()) {
        Some(program) => Ok(program),
        None => Err(Error::NoSubject { beside }),
    }
}

/// Warnings that do not depend on a fixture.
fn machine_warnings(environment: &Environment) -> BTreeSet<Warning> {
    let mut warnings = BTreeSet::new();
    if environment.ksm.running == Some(true) {
        warnings.insert(Warning::KsmRunning);
    }
    let huge_pages = &environment.transparent_huge_pages;
    if !huge_pages.disabled_in_subject
        && let Some(reason) = machine::no_huge_pages(huge_pages.enabled.as_deref())
    {
        warnings.insert(Warning::NoHugePagesToKeep {
            reason: reason.into(),
        });
    }
    if machine::page_mapcount_missing() {
        warnings.insert(Warning::NoPageMapcount);
    }
    warnings
}

/// Observes one thing, in subjects of its own.
fn observe(
    plan: &Plan,
    wanted: &Wanted,
    interpreter: &Interpreter,
    launch: &Launch,
) -> Result<Observation, Error> {
    let name = wanted.name();
    let at = Error::of(name);
    let figures = match wanted {
        Wanted::AtFork(dataset) => {
            let mut built = build(plan, dataset, launch)?;
            observations::at_fork(&mut built.subject).map_err(at)?
        }
        Wanted::OneByte => observations::one_byte(launch).map_err(at)?,
        Wanted::OlderPythons => {
            let here = python::ask(&interpreter.executable)?;
            let here = here.ok_or_else(|| {
                let error = std::io::Error::other("it no longer answers");
                at(driver::Error::Protocol {
                    who: "interpreter",
                    doing: "being asked for shared memory".into(),
                    source: error,
                }
                .into())
            })?;
            observations::older_pythons(&here, python::older()?)
        }
        Wanted::Facts { program, arguments } => {
            observations::facts(launch, program, arguments.clone()).map_err(at)?
        }
    };
    Ok(Observation {
        name: name.to_owned(),
        figures,
    })
}

/// A subject with its dataset.
struct Built {
    subject: Subject,
    build_seconds: f64,
    with: BuiltWith,
    warnings: BTreeSet<Warning>,
}

/// A subject that has loaded what builds a dataset.
struct Loaded {
    subject: Subject,
    warnings: BTreeSet<Warning>,
}

/// Starts a subject for a dataset.
fn start(plan: &Plan, dataset: &Dataset, launch: &Launch) -> Result<Loaded, Error> {
    let fixture = &dataset.fixture;
    let failed = |error: driver::Error| Error::of(&fixture.name)(error.into());
    let mut warnings = BTreeSet::new();
    let mut launch = launch.clone();
    if fixture.path.is_some() {
        launch.surroundings = Surroundings::Users;
    }
    launch.variables.clone_from(&plan.variables);
    let mut subject = Subject::start(&launch).map_err(failed)?;
    let started = subject.start_python().map_err(failed)?;
    if !started.addresses_fixed {
        warnings.insert(Warning::AddressesRandom);
    }
    let (helpers, module) = modules(fixture);
    let arguments = match fixture.path {
        Some(_) => plan.arguments.clone(),
        None => Vec::new(),
    };
    subject.load(helpers, module, arguments).map_err(failed)?;
    if fixture.path.is_some() {
        subject.look(dataset.calls()).map_err(failed)?;
    }
    Ok(Loaded { subject, warnings })
}

/// Builds a dataset in a subject of its own.
fn build(plan: &Plan, dataset: &Dataset, launch: &Launch) -> Result<Built, Error> {
    build_in(plan, dataset, start(plan, dataset, launch)?)
}

/// Builds a dataset in the subject that was started for it.
fn build_in(plan: &Plan, dataset: &Dataset, loaded: Loaded) -> Result<Built, Error> {
    let fixture = &dataset.fixture;
    let at = Error::of(&fixture.name);
    let failed = |error: driver::Error| at(error.into());
    let refused = |error: driver::Error| match (error, &dataset.given.arguments) {
        // Of a user's own code it may mean anything.
        (driver::Error::Raised { raised, .. }, Arguments::Size(size))
            if raised.summary.starts_with("ValueError") =>
        {
            Error::Refused {
                fixture: fixture.name.clone(),
                size: *size,
                raised,
            }
        }
        (error, _) => failed(error),
    };
    let Loaded {
        mut subject,
        mut warnings,
    } = loaded;
    if !plan.force {
        let footprint = subject
            .footprint(&dataset.given.arguments)
            .map_err(refused)?;
        fits(plan, dataset, footprint, &machine::memory()?)?;
    }
    let (build_seconds, with) = subject.build(&dataset.given.arguments).map_err(refused)?;
    if with.nothing {
        warnings.insert(Warning::BuiltNothing {
            fixture: fixture.name.clone(),
        });
    }
    if let Some(name) = &dataset.prepare {
        subject
            .prepare(name, fixtures::steps_of(name))
            .map_err(failed)?;
    }
    Ok(Built {
        subject,
        build_seconds,
        with,
        warnings,
    })
}

/// What came of the visits of a dataset.
struct Measured {
    /// In the order of the visits.
    measurements: Vec<Measurement>,
    warnings: BTreeSet<Warning>,
    /// Visits that could not be measured.
    failed: Vec<FailedVisit>,
}

/// A visit that could not be measured. That says nothing of the dataset's others.
struct FailedVisit {
    visit: String,
    error: Error,
}

/// One dataset in a subject of its own, which may have been started.
fn measure(
    plan: &Plan,
    dataset: &Dataset,
    launch: &Launch,
    started: Option<Result<Loaded, Error>>,
    step: &mut dyn FnMut(Step<'_>),
) -> Result<Measured, Error> {
    step(Step::Building {
        fixture: &dataset.fixture.name,
    });
    let loaded = started.unwrap_or_else(|| start(plan, dataset, launch))?;
    let built = build_in(plan, dataset, loaded)?;
    let anew = || build(plan, dataset, launch);
    visit_all(plan, dataset, built, anew, step)
}

/// A dataset that stands, with all of its visits. Where one leaves a subject that is of no more use, `anew` gives another
/// with the same data.
///
/// # Errors
/// When the data cannot be built, or found, or the run must end.
fn visit_all(
    plan: &Plan,
    dataset: &Dataset,
    built: Built,
    mut anew: impl FnMut() -> Result<Built, Error>,
    step: &mut dyn FnMut(Step<'_>),
) -> Result<Measured, Error> {
    let mut all = Measured {
        measurements: Vec::new(),
        warnings: BTreeSet::new(),
        failed: Vec::new(),
    };
    let mut steps = Steps {
        step,
        stands: false,
        counted: BTreeSet::new(),
    };
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
        if !not_visited.is_empty() {
            steps.tell(Step::Building {
                fixture: &dataset.fixture.name,
            });
            left = Some((anew()?, not_visited));
        }
    }
    Ok(all)
}

/// What is told of the steps of a dataset, each of which counts once, however often it is done.
struct Steps<'a> {
    step: &'a mut dyn FnMut(Step<'_>),
    /// Whether the data has stood.
    stands: bool,
    /// Visits that were made.
    counted: BTreeSet<String>,
}

impl Steps<'_> {
    fn tell(&mut self, step: Step<'_>) {
        (self.step)(step);
    }

    fn built(&mut self) {
        if !std::mem::replace(&mut self.stands, true) {
            self.tell(Step::Done);
        }
    }

    /// One child has ended this visit.
    fn visited(&mut self, visit: &str) {
        if !self.counted.contains(visit) {
            self.tell(Step::Done);
        }
    }
}

/// Visits a dataset in one subject, until a visit leaves it of no more use; those that are then still to be made, in
/// another one.
fn visit_in(
    plan: &Plan,
    dataset: &Dataset,
    built: Built,
    steps: &mut Steps<'_>,
) -> Result<(Measured, Vec<String>), Error> {
    let fixture = &dataset.fixture;
    let at = Error::of(&fixture.name);
    let Built {
        mut subject,
        build_seconds,
        with,
        mut warnings,
    } = built;
    let (map, objects) = subject.map(plan.causes).map_err(|error| at(error.into()))?;
    if !map.not_walked.is_empty() {
        warnings.insert(Warning::NotWalked {
            fixture: fixture.name.clone(),
            types: map
                .not_walked
                .iter()
                .map(|held| held.of_type.as_str())
                .collect::<Vec<_>>()
                .join(", "),
            objects: Some(map.not_walked.iter().map(|held| held.objects).sum()),
            pages: Some(
                map.not_walked
                    .iter()
                    .map(|held| held.bytes)
                    .sum::<u64>()
                    .div_ceil(crate::observe::page_size()),
            ),
        });
    }
    if objects.left_out() > 0 {
        warnings.insert(Warning::ObjectsLeftOut {
            fixture: fixture.name.clone(),
            objects: objects.left_out(),
        });
    }
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
                    // Lines are those of the same subject, in which no other child can be forked now.
                    false => measured.start_over(dataset),
                };
                return Ok((measured, left));
            }
        };
        measured.warnings.extend(visit_warnings(
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
    // After all that is counted: a trace function has Python allocate (frame objects, since 3.12 tables for each code
    // object), and small objects have pages in common with the dataset's. Addresses are the same in this child.
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
                .extend(lines_warning(fixture, &visit, log));
            for (child, details) in measurement.children.iter_mut().zip(&mut details) {
                details.take_lines(other, log, &objects);
                child.written = details.written(&objects);
                child.made = details.made();
            }
        }
    }
    Ok((measured, Vec::new()))
}

impl Measured {
    /// Notes why a visit was not measured; whether the subject can be gone on with.
    ///
    /// # Errors
    /// When the run must end for it.
    fn fail(&mut self, visit: &str, error: Error, subject: &mut Subject) -> Result<bool, Error> {
        if error.spoils_the_run() {
            return Err(error);
        }
        // Who raises has ended orderly, and waits as the others do. Of what was killed at the time limit, or has died, shared
        // memory may be half written, and locks in it held.
        let orderly = match &error {
            Error::Fixture { error, .. } => {
                matches!(**error, visit::Error::Subject(driver::Error::Raised { .. }))
            }
            _ => false,
        };
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

/// The interpreter as reports name it.
fn model_of(interpreter: &Interpreter) -> model::Python {
    model::Python {
        version: interpreter.version.clone(),
        build: Some(interpreter.full_version.clone()),
        executable: interpreter.executable.clone(),
        libpython: None,
        free_threaded: false,
    }
}

/// The sources to execute: the helpers that the fixture needs, and the fixture.
fn modules(fixture: &Fixture) -> (Vec<Module>, Module) {
    let helpers = fixture.helpers.iter().map(|(name, source)| Module {
        name: name.clone(),
        file: format!("python_fixtures/{name}.py"),
        folder: None,
        source: source.clone(),
    });
    let (file, folder) = match &fixture.path {
        None => (format!("python_fixtures/{}.py", fixture.name), None),
        Some(path) => {
            // As of a script: a link to it may be elsewhere than what it imports.
            let real = path.canonicalize().unwrap_or_else(|_| path.clone());
            let folder = real.parent().unwrap_or(Path::new("/"));
            (
                path.display().to_string(),
                Some(folder.display().to_string()),
            )
        }
    };
    let module = Module {
        // A dot would make it a part of a package.
        name: fixture.name.replace('.', "_"),
        file,
        folder,
        source: fixture.source.clone(),
    };
    (helpers.collect(), module)
}

/// The smallest object, with its place in a list.
const LEAST_OBJECT_BYTES: u64 = 32;
/// What the mapper needs for an object besides a copy of it: its place in the list of what is to be looked at, and the bit that says
/// that it was.
const MAPPER_BYTES: u64 = 10;
/// With causes: its record, and its place in the map of objects, once written and once read.
const RECORD_BYTES: u64 = 8 + 2 * MAP_BYTES;
/// What the map of objects keeps of it.
const MAP_BYTES: u64 = 5;

/// Refuses data that the machine has no room for.
fn fits(
    plan: &Plan,
    dataset: &Dataset,
    footprint: Option<Footprint>,
    memory: &MemoryLimits,
) -> Result<(), Error> {
    let Some(footprint) = footprint else {
        return Ok(());
    };
    if let Some(free_bytes) = memory.shm_free_bytes
        && footprint.segment > free_bytes
    {
        return Err(Error::ShmTooSmall {
            fixture: dataset.fixture.name.clone(),
            needed_bytes: footprint.segment,
            free_bytes,
        });
    }
    // The mapper has ended before there is a child.
    let (meanwhile, afterwards) = match plan.causes {
        true => (MAPPER_BYTES + RECORD_BYTES, MAP_BYTES),
        false => (MAPPER_BYTES, 0),
    };
    let most = footprint.objects / LEAST_OBJECT_BYTES;
    let number = footprint.number.map_or(most, |number| number.min(most));
    let each = |bytes: u64| number.saturating_mul(bytes);
    let mapper = footprint.objects.saturating_add(each(meanwhile));
    let children = footprint.objects.saturating_mul(plan.children as u64);
    let most = mapper.max(children.saturating_add(each(afterwards)));
    let needed_bytes = footprint
        .objects
        .saturating_add(footprint.payload)
        .saturating_add(footprint.segment)
        .saturating_add(most);
    if needed_bytes > memory.available_bytes {
        return Err(Error::TooLarge {
            fixture: dataset.fixture.name.clone(),
            footprint,
            needed_bytes,
            mapper_bytes: most.saturating_sub(children),
            available_bytes: memory.available_bytes,
            available_from: memory.available_from.clone(),
            children: plan.children,
        });
    }
    Ok(())
}

fn visit_warnings(
    fixture: &Fixture,
    visit: &str,
    outcome: &visit::Outcome,
    keep_huge_pages: bool,
) -> Vec<Warning> {
    let fixture = &fixture.name;
    let mut warnings = Vec::new();
    if let Some(unavailable) = &outcome.causes_unknown {
        warnings.push(Warning::CausesUnknown {
            reason: unavailable.reason.clone(),
            remedy: unavailable.remedy.clone(),
        });
    }
    let lost = outcome.children.iter().map(|child| child.lost_faults).max();
    if let Some(faults) = lost.filter(|lost| *lost > 0) {
        warnings.push(Warning::FaultsLost {
            fixture: fixture.clone(),
            visit: visit.to_owned(),
            faults,
        });
    }
    if let Some(reason) = &outcome.identical_unknown {
        warnings.push(Warning::IdenticalUnknown {
            reason: reason.clone(),
        });
    }
    if let Some(returned) = &outcome.lazy {
        warnings.push(Warning::NothingConsumed {
            fixture: fixture.clone(),
            visit: visit.to_owned(),
            returned: model::printable(returned),
        });
    }
    if outcome.swapped_pages > 0 {
        warnings.push(Warning::PagesInSwap {
            fixture: fixture.clone(),
            pages: outcome.swapped_pages,
        });
    }
    let on_the_way =
        |child: &model::Child| -> u64 { child.copied_on_the_way.iter().map(|one| one.pages).sum() };
    let most = outcome.children.iter().map(on_the_way).max();
    if let Some(pages) = most.filter(|pages| *pages > 0) {
        warnings.push(Warning::CopiedOnTheWay {
            fixture: fixture.clone(),
            visit: visit.to_owned(),
            pages,
        });
    }
    let huge = (outcome.parent.huge_bytes).filter(|bytes| *bytes > 0 && !keep_huge_pages);
    if let Some(bytes) = huge {
        warnings.push(Warning::HugePagesInSubject {
            fixture: fixture.clone(),
            bytes,
        });
    }
    if outcome.parent.threads > 1 {
        warnings.push(Warning::ThreadsAtFork {
            fixture: fixture.clone(),
            threads: outcome.parent.threads,
        });
    }
    warnings
}

/// What keeps page faults of a visit from having a line.
fn lines_warning(fixture: &Fixture, visit: &str, log: &LineLog) -> Option<Warning> {
    (log.cut_short() || log.dropped() > 0).then(|| Warning::LinesIncomplete {
        fixture: fixture.name.clone(),
        visit: visit.to_owned(),
        dropped: log.dropped(),
        cut_short: log.cut_short(),
    })
}
