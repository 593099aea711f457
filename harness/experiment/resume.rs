//! Goes on with a run that was ended: whether a document may be gone on with here, and what of a plan it holds already.

use std::collections::BTreeSet;

use super::{Dataset, Plan, alternatives, model_of};
use crate::merge::Named;
use crate::model::{
    Advice, Alternative, Environment, Measurement, Observation, Run, Source, Warning,
};
use crate::protocol::Arguments;
use crate::python::Interpreter;

/// Why a document cannot be gone on with. Nothing was measured.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Refusal {
    /// It does not say what would have to be measured.
    #[error("{file} cannot be gone on with: it does not say which command measured it")]
    #[diagnostic(help(
        "documents that were merged, or that an older refcow wrote, do not: measure again, without --resume"
    ))]
    NoCommand {
        /// The document.
        file: String,
    },
    /// It is another run's.
    #[error(
        "{file} is of another command:\n    refcow {theirs}\nand not of this one:\n    refcow {ours}"
    )]
    #[diagnostic(help(
        "give the options that it was measured with, or measure again, without --resume"
    ))]
    OtherCommand {
        /// The document.
        file: String,
        /// What it says.
        theirs: String,
        /// What was asked for.
        ours: String,
    },
    /// A file of the user's is another than it was.
    #[error("{file} was measured with another {path}: that has changed since")]
    #[diagnostic(help("measure again, without --resume"))]
    OtherSource {
        /// The document.
        file: String,
        /// The user's file.
        path: String,
    },
    /// The command chooses other interpreters now.
    #[error(
        "{file} holds CPython {version} ({executable}), which is none of the interpreters that this command finds now"
    )]
    #[diagnostic(help("bring it back, or measure again, without --resume"))]
    NoInterpreter {
        /// The document.
        file: String,
        /// Of the interpreter that is missing.
        version: String,
        /// Its program.
        executable: String,
    },
    /// The figures would not belong together.
    #[error(
        "{file} cannot be gone on with here: {what} of CPython {version} was {then}, and is {now}"
    )]
    #[diagnostic(help("measure again, without --resume"))]
    Differs {
        /// The document.
        file: String,
        /// Of the interpreter.
        version: String,
        /// What differs.
        what: String,
        /// In the document.
        then: String,
        /// Here.
        now: String,
    },
}

/// A document that may be gone on with, as far as it tells by itself.
#[derive(Debug)]
pub struct Earlier {
    name: String,
    runs: Vec<Run>,
}

impl Earlier {
    /// Of a document of the same command and the same files.
    ///
    /// # Errors
    /// When it is not, or does not say.
    pub fn new(document: Named, command: &[String], sources: &[Source]) -> Result<Self, Refusal> {
        let Named { name, report, .. } = document;
        let file = name.clone();
        if report.command.is_empty() {
            return Err(Refusal::NoCommand { file });
        }
        if report.command != command {
            return Err(Refusal::OtherCommand {
                file,
                theirs: report.command.join(" "),
                ours: command.join(" "),
            });
        }
        // By one command the files are the same, and so is their order.
        let mut pairs = report.sources.iter().zip(sources);
        let other = pairs.find(|(then, now)| then != now).map(|(_, now)| now);
        let further = sources.get(report.sources.len());
        if let Some(source) = other.or(further) {
            let path = source.path.clone();
            return Err(Refusal::OtherSource { file, path });
        }
        Ok(Self {
            name,
            runs: report.runs,
        })
    }

    /// The run of an interpreter, if there is one.
    pub(super) fn run_of(&self, interpreter: &Interpreter) -> Option<&Run> {
        let mut runs = self.runs.iter();
        runs.find(|run| run.python.executable == interpreter.executable)
    }

    /// Refuses a document with an interpreter that is none of these.
    pub(super) fn has_only(&self, interpreters: &[Interpreter]) -> Result<(), Refusal> {
        let chosen = |run: &&Run| {
            let mut all = interpreters.iter();
            all.any(|one| one.executable == run.python.executable)
        };
        match self.runs.iter().find(|run| !chosen(run)) {
            None => Ok(()),
            Some(run) => Err(Refusal::NoInterpreter {
                file: self.name.clone(),
                version: run.python.version.clone(),
                executable: run.python.executable.display().to_string(),
            }),
        }
    }

    /// Refuses a run that was made by another build of its interpreter, or under other circumstances than there are here.
    pub(super) fn is_of(
        &self,
        run: &Run,
        interpreter: &Interpreter,
        environment: &Environment,
    ) -> Result<(), Refusal> {
        let (then, now) = (&run.python, &model_of(interpreter));
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "not known".into());
        let build = ("build", text(&then.build), text(&now.build));
        let library = |python: &crate::model::Python| python.executable.display().to_string();
        let library = ("library", library(then), library(now));
        let before = facts(&run.environment);
        let here = facts(environment);
        let all = before.into_iter().zip(here);
        let all = all.map(|((what, then), (_, now))| (what, then, now));
        let differs = [build, library].into_iter().chain(all);
        let differs = differs
            .map(|(what, then, now)| (what.to_owned(), then, now))
            .chain(packages(&run.environment, environment))
            .find(|(_, then, now)| then != now);
        match differs {
            None => Ok(()),
            Some((what, then, now)) => Err(Refusal::Differs {
                file: self.name.clone(),
                version: run.python.version.clone(),
                what,
                then,
                now,
            }),
        }
    }
}

/// What figures depend on besides the interpreter and its packages. What changes from run to run, as free memory, is left out.
fn facts(environment: &Environment) -> [(&'static str, String); 11] {
    let Environment {
        refcow_version,
        refcow_commit,
        kernel,
        architecture,
        page_size_bytes,
        transparent_huge_pages: huge,
        ksm: _,
        privileges,
        cpu,
        cpus,
        memory_total_bytes,
        memory_available_bytes: _,
        packages: _,
        package_sha256: _,
        kernel_settings,
        seeds,
    } = environment;
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "not known".into());
    let settings: Vec<_> = kernel_settings
        .iter()
        .map(|(path, value)| format!("{path} {value}"))
        .collect();
    let yes_or_no = |yes: bool| if yes { "yes" } else { "no" };
    [
        (
            "refcow",
            match refcow_commit {
                Some(commit) => format!("{refcow_version} ({commit})"),
                None => refcow_version.clone(),
            },
        ),
        ("the kernel", kernel.clone()),
        ("the architecture", architecture.clone()),
        ("the size of a page", page_size_bytes.to_string()),
        (
            "the setting of huge pages",
            format!(
                "{}, off in what is measured: {}",
                text(&huge.enabled),
                yes_or_no(huge.disabled_in_subject)
            ),
        ),
        (
            "privileges (page frame numbers, root)",
            format!(
                "{}, {}",
                yes_or_no(privileges.page_frame_numbers),
                yes_or_no(privileges.root)
            ),
        ),
        ("the processor", text(cpu)),
        ("the number of processors", cpus.to_string()),
        ("memory in bytes", memory_total_bytes.to_string()),
        ("the kernel's settings", settings.join(", ")),
        ("the seeds", format!("{seeds:?}")),
    ]
}

/// Packages that the whole run needs, and those that both have. Remedies may have needed more.
fn packages(
    then: &Environment,
    now: &Environment,
) -> impl Iterator<Item = (String, String, String)> {
    let shown = |environment: &Environment, name: &String| {
        let version = environment.packages.get(name).map_or("absent", |text| text);
        match environment.package_sha256.get(name) {
            Some(sha256) => format!("{version} (SHA-256 {sha256})"),
            None => version.to_owned(),
        }
    };
    let all = now.packages.keys().map(move |name| {
        let what = format!("the package {name}");
        (what, shown(then, name), shown(now, name))
    });
    all.collect::<Vec<_>>().into_iter()
}

/// What there is of a dataset with its remedies.
pub(super) type Advised = (Vec<Measurement>, Vec<Advice>);

/// What of a plan an earlier run holds: an entry for each of the plan's. A dataset is there if all of its visits are.
pub(super) struct There<'a> {
    pub run: Option<&'a Run>,
    pub datasets: Vec<Option<Vec<Measurement>>>,
    pub advise: Vec<Option<Advised>>,
    pub observations: Vec<Option<Observation>>,
    pub alternatives: Vec<Option<Alternative>>,
}

impl<'a> There<'a> {
    pub(super) fn of(plan: &Plan, run: Option<&'a Run>) -> Self {
        let measurements = run.map_or(&[][..], |run| &run.measurements);
        let mut left: Vec<Option<&Measurement>> = measurements.iter().map(Some).collect();
        let datasets = plan.datasets.iter();
        let datasets = datasets
            .map(|dataset| take_dataset(plan, dataset, &mut left))
            .collect();
        let advice = run.map_or(&[][..], |run| &run.advice);
        let advise = plan.advise.iter();
        let observations = plan.observations.iter();
        let ways = plan.alternatives.iter();
        Self {
            run,
            datasets,
            advise: advise
                .map(|dataset| take_advice(dataset, advice, &left))
                .collect(),
            observations: observations
                .map(|wanted| {
                    let mut all = run?.observations.iter();
                    all.find(|one| one.name == wanted.name()).cloned()
                })
                .collect(),
            alternatives: ways
                .flat_map(|wanted| wanted.chosen.iter().map(move |chosen| (wanted, chosen)))
                .map(|(wanted, chosen)| {
                    let mut all = run?.alternatives.iter();
                    all.find(|one| is_way(one, wanted, chosen)).cloned()
                })
                .collect(),
        }
    }

    /// Whether nothing is left to be measured.
    pub(super) fn is_all(&self) -> bool {
        self.datasets.iter().all(Option::is_some)
            && self.advise.iter().all(Option::is_some)
            && self.observations.iter().all(Option::is_some)
            && self.alternatives.iter().all(Option::is_some)
    }

    /// What limits the figures that are there. What was not measured will be told anew.
    pub(super) fn warnings(&self) -> BTreeSet<Warning> {
        let all = self.run.iter().flat_map(|run| &run.warnings);
        all.filter(|warning| !matches!(warning, Warning::NotMeasured { .. }))
            .cloned()
            .collect()
    }
}

/// The measurements of a dataset, if all are there. They stand one behind the other.
fn take_dataset(
    plan: &Plan,
    dataset: &Dataset,
    left: &mut [Option<&Measurement>],
) -> Option<Vec<Measurement>> {
    // A report names a file of the user's by its name alone.
    let alike = |other: &&Dataset| {
        (&other.fixture.name, &other.prepare) == (&dataset.fixture.name, &dataset.prepare)
    };
    if dataset.fixture.path.is_some() && plan.datasets.iter().filter(alike).count() > 1 {
        return None;
    }
    let visits = &dataset.visits;
    let is_it = |measurements: &[Option<&Measurement>]| {
        let mut pairs = measurements.iter().zip(visits);
        pairs.all(|(one, visit)| {
            one.is_some_and(|one| one.visit == *visit && is_of(plan, dataset, one))
        })
    };
    let last = left.len().checked_sub(visits.len())?;
    let first = (0..=last).find(|&first| is_it(&left[first..first + visits.len()]))?;
    let taken = &mut left[first..first + visits.len()];
    Some(
        taken
            .iter_mut()
            .filter_map(|one| one.take().cloned())
            .collect(),
    )
}

/// Whether a measurement is of this dataset, as far as it tells.
fn is_of(plan: &Plan, dataset: &Dataset, measurement: &Measurement) -> bool {
    let same_size = match &dataset.given.arguments {
        Arguments::Size(size) => {
            (measurement.count, measurement.item_bytes) == (Some(size.count), Some(size.item_bytes))
        }
        // The same command has set the same.
        Arguments::Named(_) => true,
    };
    same_size
        && measurement.fixture == dataset.fixture.name
        && measurement.sharing == dataset.fixture.sharing
        && measurement.prepare == dataset.prepare
        && measurement.children.len() == plan.children
}

/// The advice on all visits of a dataset, if it is there, and the measurements that it rests on.
fn take_advice(
    dataset: &Dataset,
    advice: &[Advice],
    left: &[Option<&Measurement>],
) -> Option<Advised> {
    let of: Vec<_> = advice
        .iter()
        .filter(|one| one.fixture == dataset.fixture.name)
        .cloned()
        .collect();
    if !of.iter().map(|one| &one.visit).eq(&dataset.visits) {
        return None;
    }
    let measurements = left.iter().flatten().copied();
    let measurements = measurements.filter(|one| of.iter().any(|advice| advice.is_of(one)));
    Some((measurements.cloned().collect(), of))
}

fn is_way(
    alternative: &Alternative,
    wanted: &alternatives::Wanted,
    chosen: &alternatives::Chosen,
) -> bool {
    alternative.way == chosen.way.id
        && alternative.start_method == chosen.start_method
        && alternative.size_bytes == wanted.bytes()
        && alternative.children.len() == wanted.children
}
