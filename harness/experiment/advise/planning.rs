//! The code of a remedy for this data: found out in a process of its own, so that the one that runs
//! it has nothing in it but the code.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::trial::reason;
use crate::driver::{DriverError, Subject};
use crate::experiment::dataset::DatasetError;
use crate::experiment::plan::Dataset;
use crate::fixtures;
use crate::model::Measurement;
use crate::observe::{page_size, rss_bytes};
use crate::protocol::ModuleSource;
use crate::remedies::{Given, Remedy};

/// What a remedy does with the data.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Planned {
    /// To be run.
    pub(super) code: String,
    /// What it replaces, in words.
    #[serde(default)]
    pub(super) replaced: Vec<String>,
    /// What stays, and why.
    #[serde(default)]
    pub(super) kept: Vec<String>,
}

/// What a remedy would do for these visits of a dataset, which do `as_it_is` without it; or why it
/// can do nothing: that is empty where nobody would ask.
///
/// # Errors
/// When the run must end.
pub(super) fn plan_for(
    remedy: &Remedy,
    visits: &[String],
    dataset: &Dataset,
    as_it_is: &[Measurement],
    subject: &mut Subject,
) -> Result<Result<Planned, String>, DatasetError> {
    let first = visits.first().map_or("", |visit| visit);
    if let Some(code) = remedy.code_for(first) {
        return Ok(Ok(Planned {
            code,
            ..Planned::default()
        }));
    }
    let mut arguments = Vec::new();
    if remedy.given == Some(Given::Imported) {
        let of_visits = as_it_is.iter().filter(|one| visits.contains(&one.visit));
        let children = of_visits.flat_map(|one| one.children.first());
        let mut seen = BTreeSet::new();
        let mut names = children
            .flat_map(|child| &child.imported)
            .collect::<Vec<_>>();
        names.retain(|name| seen.insert(*name));
        if names.is_empty() {
            return Ok(Err(String::new()));
        }
        arguments.push(json!(names));
    }
    if remedy.given == Some(Given::Room) {
        let of_visits = as_it_is.iter().filter(|one| visits.contains(&one.visit));
        arguments.push(json!(room(of_visits, subject)));
    }
    let planned = subject.plan(&remedy.title, modules(remedy), &remedy.function, arguments);
    let told: Value = match planned {
        Ok(Ok(told)) => told,
        Ok(Err(reason)) => return Ok(Err(reason)),
        Err(error) => return unplanned(error, dataset),
    };
    Ok(serde_json::from_value(told).map_err(|error| error.to_string()))
}

/// What takes more than so many bytes helps with none of these visits: all processes take no more as it is. Where the kernel does
/// not tell that, no more than if each had what the parent has.
fn room<'a>(visits: impl Iterator<Item = &'a Measurement>, subject: &Subject) -> u64 {
    let of_parent = rss_bytes(subject.pid()).unwrap_or(u64::MAX);
    let all = visits.map(|one| match one.tree_bytes(page_size()) {
        Some(tree) => tree.peak,
        None => of_parent.saturating_mul(one.children.len() as u64 + 1),
    });
    all.max().unwrap_or(of_parent)
}

/// Why a remedy could not even be planned.
fn unplanned(
    error: DriverError,
    dataset: &Dataset,
) -> Result<Result<Planned, String>, DatasetError> {
    let error = DatasetError::of(&dataset.fixture.name)(error.into());
    match error.spoils_the_run() || !error.is_exception() {
        true => Err(error),
        false => Ok(Err(format!("it could not be planned: {}", reason(&error)))),
    }
}

/// A remedy's sources, in the order they are to be executed.
fn modules(remedy: &Remedy) -> Vec<ModuleSource> {
    let names = remedy.helpers.iter().chain(&remedy.program);
    names
        .map(|name| {
            fixtures::program_module(&format!("_refcow_{name}"), &format!("remedies/{name}"))
        })
        .collect()
}
