//! A base against a new document: which rows belong together, and what came of each.
//!
//! Judged are the bytes that a visit cost (`cost`), verdicts, and what facts say. Pages of regions
//! explain a cost.

mod circumstances;
mod cost;
mod pages;
mod pairs;
mod row;
mod verdicts;
mod ways;

use crate::claims::Claims;
use crate::{
    ComparedRuns, Comparison, EXIT, RegionName, Report, Run, SCHEMA_VERSION, Source, Status,
    Tolerance,
};
use circumstances::LEFT_AT_EXIT;
use pages::measurement_rows;
use verdicts::{explaining, fact_rows, verdict_rows};
use ways::way_rows;

pub use circumstances::{INTERPRETERS_OWN, TOLERANCE};
pub(crate) use circumstances::{circumstances, differences, made_of, name};
pub(crate) use pages::all_or_nothing;
pub(crate) use pairs::pairs;
pub(crate) use ways::PIPED;

pub use pairs::{FixtureOrVisit, MatchError, Renamed, all_names, any_common, check_names, names};

/// Compares two documents.
///
/// Runs of one series belong together, those that have the most in common first; where each
/// document has a single run, these do. Facts name what is known of a change between versions;
/// `renamed` has what each name of the base is now.
pub fn compare(
    base: &Report,
    new: &Report,
    tolerance: Tolerance,
    renamed: &[Renamed],
    facts: &Claims,
) -> Comparison {
    let single = base.runs.len() == 1 && new.runs.len() == 1;
    let series = |run: &Run| run.python.order().map(|version| version.series());
    let mut likely: Vec<_> = base
        .runs
        .iter()
        .enumerate()
        .flat_map(|one| new.runs.iter().enumerate().map(move |other| (one, other)))
        .filter(|((_, one), (_, other))| {
            single
                || one.python.version == other.python.version
                || series(one).is_some_and(|series_of_one| Some(series_of_one) == series(other))
        })
        .map(|((place, one), (other_place, other))| {
            let strange = (
                one.environment.architecture != other.environment.architecture,
                one.python.version != other.python.version,
                differences(one, other).len(),
            );
            (strange, place, other_place)
        })
        .collect();
    // Stable: of equals the first in their documents.
    likely.sort_by_key(|(strange, ..)| *strange);
    let mut counterpart: Vec<Option<usize>> = vec![None; base.runs.len()];
    for (_, place, other) in likely {
        if counterpart[place].is_none() && !counterpart.contains(&Some(other)) {
            counterpart[place] = Some(other);
        }
    }
    let left = (0..new.runs.len()).filter(|place| !counterpart.contains(&Some(*place)));
    let mut comparison = Comparison {
        schema_version: SCHEMA_VERSION,
        tolerance,
        compared: Vec::new(),
        only_in_base: Vec::new(),
        only_in_new: left.map(|place| name(&new.runs[place])).collect(),
    };
    for (run, counterpart) in base.runs.iter().zip(counterpart) {
        match counterpart {
            Some(place) => {
                let (one, other) = (
                    (run, &base.sources[..]),
                    (&new.runs[place], &new.sources[..]),
                );
                let mut runs = compare_runs(one, other, tolerance, renamed, facts);
                // Between versions of Python all of them differ by what these are themselves.
                let ways = way_rows(one, other, &runs.differs, tolerance, renamed);
                runs.rows.extend(ways);
                comparison.compared.push(runs);
            }
            None => comparison.only_in_base.push(name(run)),
        }
    }
    comparison
}

/// What changes from each run to the next: of one command's document, from each version of Python
/// to the next.
pub fn neighbours(report: &Report, facts: &Claims) -> Vec<ComparedRuns> {
    let sources = &report.sources[..];
    let pairs = report.runs.iter().zip(report.runs.iter().skip(1));
    pairs
        .map(|(one, other)| compare_runs((one, sources), (other, sources), TOLERANCE, &[], facts))
        .collect()
}

fn compare_runs(
    base: (&Run, &[Source]),
    new: (&Run, &[Source]),
    tolerance: Tolerance,
    renamed: &[Renamed],
    facts: &Claims,
) -> ComparedRuns {
    let differs = differences(base.0, new.0);
    let mut rows = measurement_rows(base, new, &differs, tolerance, renamed);
    let ((base, _), (new, _)) = (base, new);
    rows.extend(verdict_rows(base, new));
    rows.extend(fact_rows(base, new, facts));
    if let (Some(from), Some(to)) = (base.python.order(), new.python.order()) {
        for row in rows.iter_mut().filter(|row| row.status.is_change()) {
            row.facts = explaining(facts, row, &from, &to);
        }
    }
    if !differs.is_empty() {
        for row in &mut rows {
            let because = match row.key.region() {
                Some(RegionName::Rest) => INTERPRETERS_OWN,
                Some(_) if row.key.visit() == Some(EXIT) => LEFT_AT_EXIT,
                _ => continue,
            };
            if row.status.is_change() && row.facts.is_empty() {
                row.status = Status::NotComparable;
                row.because = Some(because.to_owned());
            }
        }
    }
    for group in rows.chunk_by_mut(|_, next| !next.key.is_judged()) {
        if let Some((judged, explaining)) = group.split_first_mut() {
            let way = match judged.status {
                Status::Regressed => Status::More,
                Status::Improved => Status::Fewer,
                _ => continue,
            };
            for row in explaining.iter().filter(|row| row.status == way) {
                for fact in &row.facts {
                    if !judged.facts.contains(fact) {
                        judged.facts.push(fact.clone());
                    }
                }
            }
        }
    }
    ComparedRuns {
        base: name(base),
        new: name(new),
        differs,
        rows,
    }
}
