//! A dataset in a subject of its own: started, and built if it fits.

use std::collections::BTreeSet;
use std::path::Path;

use super::plan::{Dataset, Plan};
use super::visit::VisitError;
use crate::driver::{DriverError, Launch, Subject, Surroundings};
use crate::fixtures::{self, Fixture};
use crate::machine::{self, MachineError, MemoryLimits};
use crate::model::{self, Warning};
use crate::protocol::{self, Arguments, BuiltWith, Footprint, ModuleSource, Size};
use crate::raised;

/// Why a dataset was not measured.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum DatasetError {
    /// The machine could not be described.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Machine(#[from] MachineError),
    /// It, or one of its visits, could not be measured.
    #[error("{name}: {error}")]
    Failed {
        /// The dataset, or the visit.
        name: String,
        /// Why.
        error: Box<VisitError>,
        /// What to do about it.
        #[help]
        help: Option<String>,
    },
    /// The fixture does not take these sizes: it raised ValueError over them.
    #[error("{fixture} cannot be built with count={} and item_bytes={}: {}\n\n{}", size.count, size.item_bytes, raised.summary, raised.traceback.trim_end())]
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
        "choose smaller data or fewer --children, or try all the same with --force"
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
        "choose smaller data, enlarge it (mount -o remount,size=… /dev/shm; docker run --shm-size), \
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
}

impl DatasetError {
    /// Of the dataset, or of what else is observed by this name.
    pub(super) fn of(name: &str) -> impl Fn(VisitError) -> Self {
        let name = name.to_owned();
        move |error| Self::Failed {
            name: name.clone(),
            help: miette::Diagnostic::help(&error).map(|help| help.to_string()),
            error: Box::new(error),
        }
    }

    /// With the visit beside the dataset's name, where its text has none.
    pub(super) fn of_visit(mut self, visit: &str) -> Self {
        if let Self::Failed { name, error, .. } = &mut self
            && !matches!(**error, VisitError::Subject(_))
        {
            *name = model::named(name, Some(visit));
        }
        self
    }

    /// In one line, without the name. A traceback is for whoever ran this, on standard error.
    pub(super) fn reason(&self) -> String {
        model::one_line(&match self {
            Self::Failed { error, .. } => error.to_string(),
            error => error.to_string(),
        })
    }

    fn subject(&self) -> Option<&DriverError> {
        match self {
            Self::Failed { error, .. } => error.subject(),
            _ => None,
        }
    }

    /// Whether what was measured raised an exception, and has ended orderly.
    pub(super) fn is_exception(&self) -> bool {
        matches!(self.subject(), Some(DriverError::Raised { .. }))
    }

    /// What code that refcow wrote raised, if it was that.
    pub(super) fn raised_by_refcow(&self) -> Option<String> {
        match self.subject()? {
            DriverError::Raised { raised, .. } if raised::is_ours(raised) => {
                Some(model::one_line(&raised.summary))
            }
            _ => None,
        }
    }

    /// Whether the user ended the run.
    pub fn is_interruption(&self) -> bool {
        matches!(self.subject(), Some(DriverError::Interrupted))
    }

    /// Whether it is what the user gave that no data could be built with.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::TooLarge { .. } | Self::ShmTooSmall { .. } => true,
            _ => matches!(self.subject(), Some(DriverError::Refused { .. })),
        }
    }

    /// Whether there is no point in going on, or no trust in what came before.
    pub(super) fn spoils_the_run(&self) -> bool {
        let contradicts = |error: &VisitError| matches!(error, VisitError::Disagreement(_));
        match self.subject() {
            Some(error) => matches!(
                error,
                DriverError::OtherInterpreter { .. }
                    | DriverError::OtherEnvironment { .. }
                    | DriverError::NoInterpreter { .. }
                    | DriverError::NotLoaded { .. }
                    | DriverError::Interrupted
            ),
            None => matches!(self, Self::Failed { error, .. } if contradicts(error)),
        }
    }
}

/// A subject with its dataset.
pub(super) struct Built {
    pub(super) subject: Subject,
    pub(super) build_seconds: f64,
    pub(super) with: BuiltWith,
    pub(super) warnings: BTreeSet<Warning>,
}

/// A subject that has loaded what builds a dataset.
pub(super) struct Loaded {
    pub(super) subject: Subject,
    pub(super) warnings: BTreeSet<Warning>,
}

/// Starts a subject for a dataset.
pub(super) fn start(
    plan: &Plan,
    dataset: &Dataset,
    launch: &Launch,
) -> Result<Loaded, DatasetError> {
    let fixture = &dataset.fixture;
    let failed = |error: DriverError| DatasetError::of(&fixture.name)(error.into());
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
pub(super) fn build(
    plan: &Plan,
    dataset: &Dataset,
    launch: &Launch,
) -> Result<Built, DatasetError> {
    build_in(plan, dataset, start(plan, dataset, launch)?)
}

/// Builds a dataset in the subject that was started for it.
pub(super) fn build_in(
    plan: &Plan,
    dataset: &Dataset,
    loaded: Loaded,
) -> Result<Built, DatasetError> {
    let fixture = &dataset.fixture;
    let at = DatasetError::of(&fixture.name);
    let failed = |error: DriverError| at(error.into());
    let refused = |error: DriverError| match (error, &dataset.given.arguments) {
        // Of a user's own code it may mean anything.
        (DriverError::Raised { raised, .. }, Arguments::Size(size))
            if raised.summary.starts_with("ValueError") =>
        {
            DatasetError::Refused {
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

/// The sources to execute: the helpers that the fixture needs, and the fixture.
pub(super) fn modules(fixture: &Fixture) -> (Vec<ModuleSource>, ModuleSource) {
    let helpers = fixture.helpers.iter().map(|(name, source)| ModuleSource {
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
    let module = ModuleSource {
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
/// What the mapper needs for an object besides a copy of it: its place in the list of what is to be
/// looked at, and the bit that says that it was.
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
) -> Result<(), DatasetError> {
    let Some(footprint) = footprint else {
        return Ok(());
    };
    if let Some(free_bytes) = memory.shm_free_bytes
        && footprint.segment > free_bytes
    {
        return Err(DatasetError::ShmTooSmall {
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
        return Err(DatasetError::TooLarge {
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
