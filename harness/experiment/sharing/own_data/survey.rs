//! What the data is, as far as that decides which ways there are; found out once, before any way is measured.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::json;

use crate::driver::{DriverError, Launch, Subject};
use crate::experiment::dataset::{Built, DatasetError, Loaded, build_in, modules, start};
use crate::experiment::plan::{Plan, SharedDataset};
use crate::experiment::sharing::error::SharingError;
use crate::experiment::sharing::measure::{parsed, temporary_folder};
use crate::experiment::visit::VisitError;
use crate::fixtures::program_module;
use crate::machine;
use crate::model::ways::{Needs, data_ways};
use crate::model::{ForkCost, StartMethod, Warning};
use crate::observe::{anonymous_pss, rss_bytes, settle};
use crate::protocol::{BuiltWith, ModuleSource};
use crate::temporary::TemporaryFolder;

/// What Python says of the data.
#[derive(Debug, Deserialize)]
pub(super) struct Seen {
    pub pickled_bytes: Option<u64>,
    pub not_picklable: Option<String>,
    /// Why it cannot be an argument of a new process either, which takes more than can be pickled.
    pub not_passable: Option<String>,
    /// Why nothing could be found out of the data itself.
    pub not_looked_at: Option<String>,
    /// What unpickling raised.
    pub not_unpicklable: Option<String>,
    /// What differs when the data was pickled and unpickled.
    pub lost: Option<String>,
    /// Why that is not known.
    pub pickling_unknown: Option<String>,
    #[serde(default)]
    arrays: u64,
    /// Of what its other NumPy arrays are, in words.
    #[serde(default)]
    other_arrays: String,
    #[serde(default)]
    tables: u64,
    #[serde(default)]
    tensors: u64,
    #[serde(default)]
    cuttable: bool,
    #[serde(default)]
    flat: bool,
    /// A list or a dict, and nothing made of one.
    #[serde(default)]
    plain: bool,
    pub packages: Vec<String>,
    pub methods: Vec<String>,
    default: StartMethod,
}

impl Seen {
    pub(super) fn has(&self, method: StartMethod) -> bool {
        self.methods.iter().any(|name| name == method.as_str())
    }

    /// Why the data does not hold, or is not, what a way needs; `None` if it does.
    pub(super) fn lacks(&self, needs: Needs) -> Option<String> {
        let satisfies = match needs {
            Needs::Arrays => self.arrays > 0,
            Needs::Tables => self.tables > 0,
            Needs::Tensors => self.tensors > 0,
            Needs::Cuttable => self.cuttable,
            Needs::Flat => self.flat,
            Needs::ListOrDict => self.plain,
        };
        let missing = match needs {
            Needs::Arrays if !self.other_arrays.is_empty() => format!(
                "the NumPy arrays in the data are of {}, and only plain arrays of numbers or text can be shared so",
                self.other_arrays
            ),
            _ => needs.missing().to_owned(),
        };
        (!satisfies).then_some(missing)
    }
}

/// What is known of the data.
pub(super) struct Survey {
    pub seen: Seen,
    pub build_seconds: f64,
    pub with: BuiltWith,
    /// What the parent grew by as it built the data.
    pub size_bytes: Option<u64>,
    pub default: StartMethod,
    pub fork: ForkCost,
    pub warnings: BTreeSet<Warning>,
    /// Where the pickled data is, to be compared with what workers have.
    folder: TemporaryFolder,
}

impl Survey {
    /// The pickled data, if it could be pickled.
    pub(super) fn original(&self) -> PathBuf {
        self.folder.path().join("original")
    }
}

/// Builds the data in a subject of its own, and looks at it.
pub(super) fn survey(
    plan: &Plan,
    shared: &SharedDataset,
    launch: &Launch,
) -> Result<Survey, SharingError> {
    let folder = temporary_folder()?;
    let (built, size_bytes) = build(plan, shared, launch)?;
    let at = DatasetError::of(&shared.dataset.fixture.name);
    look(folder, built, size_bytes).map_err(|error| at(error).into())
}

/// A subject with the user's data, and what it grew by as it built it.
pub(super) fn build(
    plan: &Plan,
    shared: &SharedDataset,
    launch: &Launch,
) -> Result<(Built, Option<u64>), SharingError> {
    let Loaded { subject, warnings } = start(plan, &shared.dataset, launch)?;
    let anonymous = |pid| settle(pid).and_then(|()| anonymous_pss(pid));
    let at = DatasetError::of(&shared.dataset.fixture.name);
    let before = anonymous(subject.pid()).map_err(|error| at(error.into()))?;
    let built = build_in(plan, &shared.dataset, Loaded { subject, warnings })?;
    let after = anonymous(built.subject.pid()).map_err(|error| at(error.into()))?;
    let grown = before.zip(after);
    Ok((
        built,
        grown.map(|(before, after)| after.saturating_sub(before)),
    ))
}

/// Puts the program of the ways into a subject that has the data, and hands the data over to it.
pub(super) fn load(subject: &mut Subject) -> Result<(), DriverError> {
    subject.load(
        vec![
            program_module("_child", "ways/child"),
            program_module("_parent", "ways/parent"),
            program_module("_values", "ways/values"),
            program_module("_difference", "ways/difference"),
            program_module("_data_child", "ways/data_child"),
            program_module("_data_survey", "ways/data_survey"),
            program_module("_data_prepare", "ways/data_prepare"),
        ],
        program_module("_data_parent", "ways/data_parent"),
        Vec::new(),
    )?;
    let keeper = ModuleSource {
        name: "_data_keeper".into(),
        file: "python_fixtures/ways/data_parent.py".into(),
        folder: None,
        source: "from _data_parent import keep as before_fork\n".into(),
    };
    // Nobody else holds the data then, so that a way can let go of it.
    subject.remedy("keep", keeper)?;
    let (_, replaced) = subject.before_fork("keep")?;
    if replaced {
        subject.adopt()?;
    }
    Ok(())
}

/// What a worker that is no fork of the parent loads before anything else: name, file and source of each module.
pub(super) fn booted(shared: &SharedDataset) -> Vec<(String, String, String)> {
    let (helpers, module) = modules(&shared.dataset.fixture);
    let own = program_module("_data_child", "ways/data_child");
    let all = std::iter::once(own).chain(helpers);
    let all = all.chain(std::iter::once(module));
    all.map(|one| (one.name, one.file, one.source)).collect()
}

fn look(
    folder: TemporaryFolder,
    built: Built,
    size_bytes: Option<u64>,
) -> Result<Survey, VisitError> {
    let Built {
        mut subject,
        build_seconds,
        with,
        warnings,
    } = built;
    load(&mut subject)?;
    let original: &Path = &folder.path().join("original");
    let packages: BTreeSet<&String> = data_ways()
        .iter()
        .filter_map(|way| way.package.as_ref())
        .collect();
    // A copy, and the pickle that it is made of.
    let memory = machine::memory().ok();
    let room = memory.zip(size_bytes);
    let may_copy =
        room.is_none_or(|(memory, size)| size.saturating_mul(3) <= memory.available_bytes);
    let arguments = vec![json!(original), json!(packages), json!(may_copy)];
    let seen: Seen = parsed("survey", subject.call("survey", arguments)?)?;
    let seconds: Vec<f64> = parsed("forks", subject.call("forks", Vec::new())?)?;
    let resident_bytes = rss_bytes(subject.pid()).unwrap_or(0);
    Ok(Survey {
        build_seconds,
        with,
        size_bytes,
        default: seen.default,
        fork: ForkCost {
            seconds,
            resident_bytes,
        },
        seen,
        warnings,
        folder,
    })
}
