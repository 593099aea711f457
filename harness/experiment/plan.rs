//! What to measure.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::sharing::variant::{OwnDataVariant, Selection};
use crate::fixtures::parameters::{BuildArguments, Setting};
use crate::fixtures::{self, EXIT, Fixture, FixtureError, IDLE};
use crate::model::StartMethod;
use crate::remedies::remedies;
use crate::variables::Variables;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The datasets, in order.
    pub datasets: Vec<Dataset>,
    /// Those whose visits are measured with each remedy, too.
    pub advise: Vec<Dataset>,
    /// What is to be observed besides pages, in order.
    pub observations: Vec<Observable>,
    /// `sys.argv[1:]` of users' own files.
    pub arguments: Vec<String>,
    /// Variables that the measured processes of datasets get.
    pub variables: Vec<(OsString, OsString)>,
    /// How the command line asked for them.
    pub asked: Variables,
    /// Which ways to share data are to be compared.
    pub alternatives: Option<Selection>,
    /// Data of the user's own that is to be shared with workers by each way.
    pub own_data: Option<SharedDataset>,
    /// Children of each visit, from 1 to [`MOST_CHILDREN`](crate::protocol::MOST_CHILDREN).
    pub children: usize,
    /// Which interpreters, as [`choose_all`](crate::python::choose_all) takes them; none for the
    /// machine's first usable one.
    pub pythons: Vec<String>,
    /// The time that building, or one visit, may take.
    pub timeout: Duration,
    /// Go on although memory seems too small.
    pub force: bool,
    /// Record who wrote first to each page that is copied.
    pub causes: bool,
    /// The same of what advice compares: a report shows it. Else it is compared without, as
    /// recording takes time of the visits'.
    pub causes_of_advice: bool,
    /// Sum up the memory that only the measured processes can have, and look for what each child has
    /// at most.
    pub memory: bool,
    /// Have one more child make each visit, and log which line ran when it had page faults. It
    /// takes several times as long for that.
    pub lines: bool,
    /// Let the measured processes have transparent huge pages as the user's own program would have
    /// them.
    pub keep_huge_pages: bool,
}

/// What is to be shared, with whom, and how.
#[derive(Clone, Debug)]
pub struct SharedDataset {
    /// What builds the data, and its one visit.
    pub dataset: Dataset,
    /// The ways, in order.
    pub ways: Vec<OwnDataVariant>,
    /// The start method that the user asked for.
    pub required: Option<StartMethod>,
    /// Numbers of workers, in ascending order.
    pub workers: Vec<usize>,
    /// How much memory there is, if the user says so.
    pub memory_bytes: Option<u64>,
}

impl SharedDataset {
    /// How often [`Step::Done`](super::steps::Step::Done) will come.
    pub fn steps(&self) -> usize {
        1 + self.ways.len() * self.workers.len()
    }
}

/// One dataset and its visits.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// What builds it.
    pub fixture: Fixture,
    /// What `build` is given.
    pub given: BuildArguments,
    /// A preparation that the fixture has: what the parent does before the first fork.
    pub prepare: Option<String>,
    /// Names of visits that the fixture has.
    pub visits: Vec<String>,
}

impl Dataset {
    /// These visits of a fixture that is built from this, each once.
    ///
    /// # Errors
    /// What the fixture does not have, does not take, or needs; a function that would run nothing.
    pub fn new(
        fixture: Fixture,
        set: &[Setting],
        prepare: Option<String>,
        mut visits: Vec<String>,
    ) -> Result<Self, FixtureError> {
        for visit in &visits {
            fixture.visit(visit)?;
        }
        if let Some(name) = &prepare {
            fixture.preparation(name)?;
        }
        let mut seen = HashSet::new();
        visits.retain(|visit| seen.insert(visit.clone()));
        let dataset = Self {
            given: fixture.give(set)?,
            prepare,
            visits,
            fixture,
        };
        dataset.fixture.runs(&dataset.calls())?;
        Ok(dataset)
    }

    /// The functions of the fixture's that will be called.
    pub(super) fn calls(&self) -> Vec<String> {
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
pub enum Observable {
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
    /// What a program of `python_fixtures/recorded/` says, and what `refcow run` records of it: of
    /// builds without the GIL, which can have no subject.
    Recorded {
        /// Its name.
        program: String,
    },
}

impl Observable {
    /// The name of the observation.
    pub fn name(&self) -> &str {
        match self {
            Self::AtFork(_) => "at_fork",
            Self::OneByte => "one_byte",
            Self::OlderPythons => "older_pythons",
            Self::Facts { program, .. } | Self::Recorded { program } => program,
        }
    }
}

impl Plan {
    /// What builds the datasets; what builds several is there several times.
    pub fn fixtures(&self) -> impl Iterator<Item = &Fixture> {
        let observed = self.observations.iter().filter_map(|wanted| match wanted {
            Observable::AtFork(dataset) => Some(&**dataset),
            _ => None,
        });
        let shared = self.own_data.iter().map(|shared| &shared.dataset);
        let all = self.datasets.iter().chain(&self.advise).chain(observed);
        let all = all.chain(shared);
        all.map(|dataset| &dataset.fixture)
    }

    /// Whether builds without the GIL can serve for a part of it.
    pub(super) fn takes_free_threaded(&self) -> bool {
        let mut all = self.observations.iter();
        all.any(|one| matches!(one, Observable::Recorded { .. }))
    }

    /// What of it is for builds with the GIL, or for those without.
    pub(super) fn for_build(&self, free_threaded: bool) -> Self {
        let mut part = self.clone();
        part.observations
            .retain(|one| matches!(one, Observable::Recorded { .. }) == free_threaded);
        if free_threaded {
            part.datasets.clear();
            part.advise.clear();
            (part.alternatives, part.own_data) = (None, None);
        }
        part
    }

    /// What the interpreters must be able to import.
    pub(super) fn modules(&self) -> Vec<String> {
        let ways = self.alternatives.iter();
        let all: BTreeSet<String> = self
            .fixtures()
            .flat_map(|fixture| fixture.modules.iter().cloned())
            .chain(ways.flat_map(Selection::modules))
            .collect();
        all.into_iter().collect()
    }

    /// Whether a log of lines is wanted of a visit, and it runs any.
    pub(super) fn traces(&self, visit: &str) -> bool {
        self.lines && visit != IDLE && visit != EXIT
    }

    /// How often [`Step::Done`](super::Step::Done) will come for a dataset.
    pub(super) fn steps_of(&self, dataset: &Dataset) -> usize {
        let traced = dataset.visits.iter().filter(|visit| self.traces(visit));
        self.steps_of_visits(dataset) + traced.count()
    }

    /// The same for a dataset of which visits are not traced.
    pub(super) fn steps_of_visits(&self, dataset: &Dataset) -> usize {
        1 + dataset.visits.len() * self.children
    }

    /// How often [`Step::Done`](super::Step::Done) will come for a dataset that is to be advised
    /// on: for it as it is, for each remedy, for the best a second time, and for why none helps.
    pub(super) fn steps_of_advice(&self, dataset: &Dataset) -> usize {
        self.steps_of_visits(dataset) * (remedies().len() + 4)
    }

    /// How often [`Step::Done`](super::Step::Done) will come for each interpreter.
    pub fn steps(&self) -> u64 {
        let steps = self.datasets.iter().map(|dataset| self.steps_of(dataset));
        let ways = self.alternatives.as_ref();
        let ways = ways.map_or(0, |wanted| wanted.chosen.len());
        let advise = self.advise.iter();
        let advise = advise.map(|dataset| self.steps_of_advice(dataset));
        let shared = self.own_data.as_ref().map_or(0, |shared| shared.steps());
        let steps = steps.sum::<usize>() + advise.sum::<usize>() + shared;
        (steps + self.observations.len() + ways) as u64
    }
}
