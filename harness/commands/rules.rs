//! Claims and facts: the files that they may be read from, and what has to be measured for them.

use std::io;
use std::path::Path;

use super::error::CommandError;
use crate::claims::{Claims, ClaimsError, Effort, Evidence, Expectations};
use crate::experiment::sharing::variant::Selection as WantedWays;
use crate::experiment::{Dataset, Observable, Plan};
use crate::fixtures::parameters::Setting;
use crate::fixtures::{self, FixtureError};
use crate::model::Source;

/// The rules of a file, and what was read; refcow's own, if there is none.
pub fn read(
    path: Option<&Path>,
    own: &'static Claims,
) -> Result<(&'static Claims, Option<Source>), ClaimsError> {
    let Some(path) = path else {
        return Ok((own, None));
    };
    let fail = |reason: String| ClaimsError::File {
        path: path.display().to_string(),
        reason,
    };
    let text = text_of(path).map_err(|error| fail(error.to_string()))?;
    let rules = Claims::parse(&text).map_err(|error| fail(error.to_string()))?;
    // Read once, and needed to the end.
    let rules = Box::leak(Box::new(rules));
    Ok((rules, Some(Source::of(path, text.as_bytes()))))
}

/// What a file says is to be expected of claims.
pub fn expectations(rules: &Claims, path: &Path) -> Result<Expectations, ClaimsError> {
    let shown = path.display().to_string();
    match text_of(path) {
        Ok(text) => rules.expectations(&shown, &text),
        Err(error) => Err(ClaimsError::Expectations {
            path: shown,
            reason: error.to_string(),
        }),
    }
}

/// A text that the user named. A pipe or a device could be waited for without end.
fn text_of(path: &Path) -> io::Result<String> {
    match path.metadata() {
        Ok(there) if !there.is_file() => Err(io::Error::other("not a regular file")),
        _ => std::fs::read_to_string(path),
    }
}

/// Adds to a plan what this evidence takes.
pub fn add_evidence(
    plan: &mut Plan,
    ways: &mut WantedWays,
    rules: &Claims,
    effort: Effort,
    evidence: Vec<Evidence>,
) -> Result<(), CommandError> {
    let dataset = |name: &str, prepare: Option<String>| -> Result<Dataset, FixtureError> {
        let fixture = fixtures::find(name)?;
        let elements = rules.elements(&fixture.name, effort);
        let mut set = Setting::of_sizes(elements.count, elements.item_bytes);
        set.retain(|one| fixture.takes(&one.name));
        Dataset::new(fixture, &set, prepare, Vec::new())
    };
    for evidence in evidence {
        match evidence {
            Evidence::Visit {
                fixture,
                prepare,
                visit,
            } => {
                let mut there = plan.datasets.iter();
                let place = there.position(|one| one.is(&fixture) && one.prepare == prepare);
                let place = match place {
                    Some(place) => place,
                    None => {
                        plan.datasets.push(dataset(&fixture, prepare)?);
                        plan.datasets.len() - 1
                    }
                };
                let dataset = &mut plan.datasets[place];
                dataset.fixture.visit(&visit)?;
                dataset.visits.push(visit);
            }
            Evidence::Observed(name) => {
                let (fixture, bytes) = rules.for_observation(&name, effort);
                plan.observations.push(match (&name[..], fixture) {
                    ("at_fork", Some(fixture)) => {
                        Observable::AtFork(dataset(fixture, None)?.into())
                    }
                    ("one_byte", _) => Observable::OneByte,
                    ("older_pythons", _) => Observable::OlderPythons,
                    _ if fixtures::has_program(&format!("recorded/{name}")) => {
                        Observable::Recorded { program: name }
                    }
                    _ if !fixtures::has_program(&format!("facts/{name}")) => {
                        let reason = format!("\"observed/{name}\" names no evidence");
                        return Err(ClaimsError::Data(reason).into());
                    }
                    _ => Observable::Facts {
                        program: name,
                        arguments: bytes.into_iter().map(Into::into).collect(),
                    },
                });
            }
            Evidence::Alternative { way, start_method } => ways.add(&way, start_method)?,
        }
    }
    Ok(())
}
