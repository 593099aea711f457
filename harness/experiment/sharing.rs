//! The same bytes, reaching children by each way that Python has. Real `multiprocessing` starts the
//! children, by its own start methods; a program in the subject (`python_fixtures/ways/`) tells
//! their pids.

mod aftermath;
mod error;
mod measure;
pub mod own_data;
mod selection;
pub mod variant;

use std::collections::BTreeSet;

pub use self::error::SharingError;
use self::measure::{measure, start_methods};
use self::variant::Selection;
use super::steps::Step;
use super::warnings::not_measured;
use crate::driver::Launch;
use crate::model::{Alternative, StartMethod, Warning};

/// What came of it.
#[derive(Debug, Default)]
pub struct MeasuredWays {
    /// The ways that were measured, in order.
    pub alternatives: Vec<Alternative>,
    /// Which were not, and what limits the figures.
    pub warnings: BTreeSet<Warning>,
    /// Why ways were not measured that should have been.
    pub failures: Vec<SharingError>,
    /// What ended it before all were.
    pub interrupted: Option<SharingError>,
}

/// Measures each way, all of which [fit](Selection::fits), in a subject of its own. One that fails
/// does not keep the others from it. `Step::Done` comes once a way that is measured.
///
/// # Errors
/// Before anything is measured: a start method that was asked for and is not there. After it: that
/// the interpreter can do nothing of what was asked. Nothing is left behind.
pub fn run(
    wanted: &Selection,
    version: &str,
    launch: &Launch,
    step: &mut dyn FnMut(Step<'_>),
) -> Result<MeasuredWays, SharingError> {
    let mut compared = MeasuredWays::default();
    let Some(first) = wanted.chosen.first() else {
        return Ok(compared);
    };
    let known = match start_methods(launch).map_err(SharingError::of(&first.name())) {
        Ok(known) => known,
        Err(error) if error.is_interruption() => {
            compared.interrupted = Some(error);
            return Ok(compared);
        }
        Err(error) => return Err(error),
    };
    let has = |method: StartMethod| known.iter().any(|name| name == method.as_str());
    if let Some(method) = wanted.required
        && !known.is_empty()
        && !has(method)
    {
        return Err(SharingError::NoStartMethod {
            version: version.to_owned(),
            method,
            known,
        });
    }
    let mut not_possible = None;
    for chosen in &wanted.chosen {
        let name = chosen.name();
        step(Step::Observing { name: &name });
        if has(chosen.start_method) {
            match measure(wanted, chosen, launch) {
                Ok((alternative, warning)) => {
                    compared.alternatives.push(alternative);
                    compared.warnings.extend(warning);
                }
                Err(error) if error.is_interruption() => {
                    compared.interrupted = Some(error);
                    break;
                }
                Err(error) => {
                    compared.warnings.insert(error.warning(&name));
                    // Nothing failed where the interpreter is not able to.
                    match error {
                        SharingError::NotPossible { .. } => not_possible = Some(error),
                        _ => compared.failures.push(error),
                    }
                }
            }
        } else {
            let reason = format!(
                "Python {version} has no start method {}",
                chosen.start_method
            );
            compared.warnings.insert(not_measured(&name, None, reason));
        }
        step(Step::Done);
    }
    let nothing = compared.alternatives.is_empty() && compared.failures.is_empty();
    match not_possible {
        Some(error) if nothing && compared.interrupted.is_none() => Err(error),
        _ => Ok(compared),
    }
}
