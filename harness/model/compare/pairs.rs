//! Which measurements of two runs belong together.

use std::fmt;

use crate::suggest::offer;
use crate::{Measurement, Report, Run};

/// A fixture by its name, or one visit of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixtureOrVisit {
    /// As documents have it: of a file its name without `.py`.
    pub fixture: String,
    /// `None`: every visit.
    pub visit: Option<String>,
}

impl FixtureOrVisit {
    fn is_of(&self, fixture: &str, visit: &str) -> bool {
        self.fixture == fixture && self.visit.as_deref().is_none_or(|named| named == visit)
    }
}

impl fmt::Display for FixtureOrVisit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fixture)?;
        match &self.visit {
            Some(visit) => write!(f, ":{visit}"),
            None => Ok(()),
        }
    }
}

/// What has another name in the new run than in the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renamed {
    /// Its name in the base.
    pub old: FixtureOrVisit,
    /// Its name in the new run.
    pub new: FixtureOrVisit,
}

/// Why names do not match.
#[derive(Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
pub enum MatchError {
    /// A run has nothing of this name.
    #[error("--match names `{name}`, which {of} does not have")]
    #[diagnostic(help("{offer}"))]
    Unknown {
        /// As the user wrote it.
        name: FixtureOrVisit,
        /// Which run.
        of: &'static str,
        /// The names that it has.
        offer: String,
    },
    /// One name is to match two.
    #[error("--match names `{0}` twice")]
    #[diagnostic(help("each name of the base matches one of the new run"))]
    Twice(FixtureOrVisit),
}

/// What the base is called in errors.
const BASE: &str = "the base";
/// And what is compared with it.
const NEW: &str = "the new run";

/// Refuses names that neither run has, or that are there twice.
///
/// `base` and `new` are the fixtures and visits of both, those of the new run measured or still to
/// be.
///
/// # Errors
/// The first such name.
pub fn check_names(
    renamed: &[Renamed],
    base: &[(String, String)],
    new: &[(String, String)],
) -> Result<(), MatchError> {
    for (place, one) in renamed.iter().enumerate() {
        for (name, of, known) in [(&one.old, BASE, base), (&one.new, NEW, new)] {
            let is_known = |(fixture, visit): &(String, String)| name.is_of(fixture, visit);
            if !known.iter().any(is_known) {
                return Err(unknown(name, of, known));
            }
        }
        for earlier in &renamed[..place] {
            for (name, other) in [(&one.old, &earlier.old), (&one.new, &earlier.new)] {
                if name == other {
                    return Err(MatchError::Twice(name.clone()));
                }
            }
        }
    }
    Ok(())
}

/// Whether any of these names of the base has a counterpart among those of the new run.
pub fn any_common(
    renamed: &[Renamed],
    base: &[(String, String)],
    new: &[(String, String)],
) -> bool {
    base.iter().any(|(fixture, visit)| {
        let (fixture, visit) = names_now(fixture, visit, renamed);
        let mut new = new.iter();
        new.any(|(other, other_visit)| (fixture, visit) == (&other[..], &other_visit[..]))
    })
}

/// Fixtures and visits of a document.
pub fn names(report: &Report) -> Vec<(String, String)> {
    let all = report.runs.iter().flat_map(|run| &run.measurements);
    all.map(|one| (one.fixture.clone(), one.visit.clone()))
        .collect()
}

/// The same with those that are shared with workers.
pub fn all_names(report: &Report) -> Vec<(String, String)> {
    let mut all = names(report);
    let shared = report.runs.iter().flat_map(|run| &run.own_data);
    all.extend(shared.map(|one| (one.fixture.clone(), one.visit.clone())));
    all
}

fn unknown(name: &FixtureOrVisit, of: &'static str, known: &[(String, String)]) -> MatchError {
    let mut there: Vec<String> = Vec::new();
    for (fixture, visit) in known {
        let one = match name.visit {
            Some(_) => format!("{fixture}:{visit}"),
            None => fixture.clone(),
        };
        if !there.contains(&one) {
            there.push(one);
        }
    }
    MatchError::Unknown {
        offer: offer(
            &name.to_string(),
            there.iter().map(|one| &one[..]),
            "it has",
        ),
        name: name.clone(),
        of,
    }
}

/// A measurement of the base, its counterpart, or both.
pub(super) type Pair<'a> = (Option<&'a Measurement>, Option<&'a Measurement>);

/// Measurements of one key in two runs: those of one size belong together, else those that come
/// first.
pub(crate) fn pairs<'a>(base: &'a Run, new: &'a Run) -> Vec<Pair<'a>> {
    let mut pairing = Pairing::new(base, new);
    pairing.same_key(&[]);
    pairing.finish()
}

/// The same, where what people do to have less copied changes more than sizes: what has another
/// name in the new run, is prepared otherwise, or reaches its children by another way.
pub(super) fn likely_pairs<'a>(base: &'a Run, new: &'a Run, renamed: &[Renamed]) -> Vec<Pair<'a>> {
    let mut pairing = Pairing::new(base, new);
    pairing.same_key(renamed);
    pairing.same_visit(renamed);
    pairing.finish()
}

struct Pairing<'a> {
    base: Vec<(&'a Measurement, Option<&'a Measurement>)>,
    left: Vec<&'a Measurement>,
}

impl<'a> Pairing<'a> {
    fn new(base: &'a Run, new: &'a Run) -> Self {
        Self {
            base: base.measurements.iter().map(|one| (one, None)).collect(),
            left: new.measurements.iter().collect(),
        }
    }

    fn same_key(&mut self, renamed: &[Renamed]) {
        for same_size in [true, false] {
            for (one, pair) in &mut self.base {
                let belongs = |other: &&Measurement| {
                    is_same_visit(one, other, renamed)
                        && (&one.prepare, &one.sharing) == (&other.prepare, &other.sharing)
                        && (!same_size || one.made_with() == other.made_with())
                };
                if pair.is_none()
                    && let Some(place) = self.left.iter().position(belongs)
                {
                    *pair = Some(self.left.remove(place));
                }
            }
        }
    }

    /// What is left of a visit belongs together if nothing else can be meant.
    fn same_visit(&mut self, renamed: &[Renamed]) {
        let alone: Vec<&Measurement> = self
            .base
            .iter()
            .filter(|(_, pair)| pair.is_none())
            .map(|(one, _)| *one)
            .collect();
        for (one, pair) in self.base.iter_mut().filter(|(_, pair)| pair.is_none()) {
            let belongs = |other: &&&Measurement| is_same_visit(one, other, renamed);
            let [other] = self.left.iter().filter(belongs).collect::<Vec<_>>()[..] else {
                continue;
            };
            let mut claimants = alone
                .iter()
                .filter(|other_one| is_same_visit(other_one, other, renamed));
            if claimants.next().is_some() && claimants.next().is_none() {
                *pair = Some(other);
                let other = *other;
                self.left.retain(|left| !std::ptr::eq(*left, other));
            }
        }
    }

    fn finish(self) -> Vec<Pair<'a>> {
        let matched = self.base.into_iter().map(|(one, pair)| (Some(one), pair));
        let rest = self.left.into_iter().map(|one| (None, Some(one)));
        matched.chain(rest).collect()
    }
}

/// Whether a measurement of the base and one of the new run are of one visit of one fixture, by the
/// names that each has there.
fn is_same_visit(base: &Measurement, new: &Measurement, renamed: &[Renamed]) -> bool {
    names_now(&base.fixture, &base.visit, renamed) == (&new.fixture[..], &new.visit[..])
}

/// The names in the new run of what has these in the base. A visit that is named itself goes before
/// its fixture.
pub(super) fn names_now<'a>(
    fixture: &'a str,
    visit: &'a str,
    renamed: &'a [Renamed],
) -> (&'a str, &'a str) {
    let named = |visits: bool| {
        let mut all = renamed.iter();
        all.find(|one| one.old.visit.is_some() == visits && one.old.is_of(fixture, visit))
    };
    match named(true).or_else(|| named(false)) {
        Some(Renamed { new, .. }) => (&new.fixture, new.visit.as_deref().unwrap_or(visit)),
        None => (fixture, visit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(text: &str) -> FixtureOrVisit {
        let (fixture, visit) = match text.split_once(':') {
            Some((fixture, visit)) => (fixture, Some(visit.to_owned())),
            None => (text, None),
        };
        FixtureOrVisit {
            fixture: fixture.to_owned(),
            visit,
        }
    }

    fn renamed(old: &str, new: &str) -> Renamed {
        Renamed {
            old: subject(old),
            new: subject(new),
        }
    }

    #[test]
    fn a_visit_that_is_named_goes_before_its_fixture() {
        let all = [
            renamed("loader", "fast"),
            renamed("loader:epoch", "cured:read"),
        ];
        assert_eq!(names_now("loader", "epoch", &all), ("cured", "read"));
        assert_eq!(names_now("loader", "paths", &all), ("fast", "paths"));
        assert_eq!(names_now("other", "epoch", &all), ("other", "epoch"));
    }
}
