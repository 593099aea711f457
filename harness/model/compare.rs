//! A base against a new document: which rows belong together, and what came of each.
//!
//! Judged are the bytes that a visit cost (`cost`), verdicts, and what facts say. Pages of regions explain a cost.

mod cost;
mod pairs;

use std::collections::HashSet;

use crate::EXIT;
use crate::claims::{Claims, Direction};
use crate::{
    ComparedRuns, Comparison, Environment, Measurement, Memory, Outcome, RegionName, Report, Row,
    RowKey, RowValue, Run, RunName, SCHEMA_VERSION, Source, Spread, Status, Summary, Tolerance,
    Verdict, Version, Warning, is_noise,
};
pub(crate) use pairs::pairs;
pub use pairs::{MatchError, Renamed, Subject, any_common, check_names, names};

/// Why pages of the region `rest`, and a heap's new ones, do not compare between builds.
pub const INTERPRETERS_OWN: &str =
    "the interpreter's own memory, which another build or other packages make another";

/// Why the copies that are left when Python has ended do not compare between builds.
const LEFT_AT_EXIT: &str =
    "Python gives back nearly all that it copies as it ends, and each build leaves other pages";

/// Between machines or builds, and where other data or other code was measured. Where regions begin, and so what else lies on
/// their first and last pages, differs there; and what a child writes of the interpreter's own memory depends on what was
/// imported.
pub const TOLERANCE: Tolerance = Tolerance {
    pages: 16,
    share: 0.02,
};

/// Compares two documents.
///
/// Runs of one series belong together, those that have the most in common first; where each document has a single run,
/// these do. Facts name what is known of a change between versions; `renamed` has what each name of the base is now.
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
            Some(place) => comparison.compared.push(compare_runs(
                (run, &base.sources),
                (&new.runs[place], &new.sources),
                tolerance,
                renamed,
                facts,
            )),
            None => comparison.only_in_base.push(name(run)),
        }
    }
    comparison
}

/// What changes from each run to the next: of one command's document, from each version of Python to the next.
pub fn neighbours(report: &Report, facts: &Claims) -> Vec<ComparedRuns> {
    let sources = &report.sources[..];
    let pairs = report.runs.iter().zip(report.runs.iter().skip(1));
    pairs
        .map(|(one, other)| compare_runs((one, sources), (other, sources), TOLERANCE, &[], facts))
        .collect()
}

/// What tells a run from others.
pub(crate) fn name(run: &Run) -> RunName {
    RunName {
        version: run.python.version.clone(),
        executable: run.python.executable.display().to_string(),
        architecture: run.environment.architecture.clone(),
        kernel: run.environment.kernel.clone(),
    }
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

/// The ids of the facts that tell of such a change.
fn explaining(facts: &Claims, row: &Row, from: &Version, to: &Version) -> Vec<String> {
    let direction = match row.status {
        Status::More => Direction::More,
        Status::Fewer => Direction::Fewer,
        _ => Direction::Other,
    };
    let all = facts.explaining(&row.key, direction, from, to);
    all.iter().map(|fact| fact.id.clone()).collect()
}

/// What differs between two runs besides the figures: whether they are of one machine and one build.
pub(crate) fn differences(base: &Run, new: &Run) -> Vec<String> {
    let (one, other) = (&base.environment, &new.environment);
    let mut all = Vec::new();
    let mut differ = |what: &str, differs: bool| {
        if differs {
            all.push(what.to_owned());
        }
    };
    differ("Python", base.python.version != new.python.version);
    differ(
        "build of Python",
        // Of an older document it is not known.
        base.python.version == new.python.version
            && (base.python.build.is_none()
                || base.python.build != new.python.build
                || [&base.python.libpython, &new.python.libpython]
                    .iter()
                    .all(|one| one.is_some())
                    && base.python.libpython != new.python.libpython),
    );
    differ(
        "environment of Python",
        base.python.version == new.python.version
            && base.python.executable != new.python.executable,
    );
    differ("packages", one.packages != other.packages);
    differ("refcow", one.refcow_version != other.refcow_version);
    differ("architecture", one.architecture != other.architecture);
    differ("kernel", one.kernel != other.kernel);
    differ(
        "machine",
        (&one.cpu, one.cpus, one.memory_total_bytes)
            != (&other.cpu, other.cpus, other.memory_total_bytes),
    );
    differ("page size", one.page_size_bytes != other.page_size_bytes);
    differ(
        "huge pages",
        one.transparent_huge_pages != other.transparent_huge_pages,
    );
    differ(
        "variables of the environment (--env)",
        (&one.variables, one.all_variables) != (&other.variables, other.all_variables),
    );
    let random = |run: &Run| run.warnings.contains(&Warning::AddressesRandom);
    differ(
        "addresses (random in each run)",
        random(base) || random(new),
    );
    all
}

/// Why page counts of two machines do not compare; `None` if they do.
pub(crate) fn circumstances(base: &Environment, new: &Environment) -> Option<String> {
    if base.page_size_bytes != new.page_size_bytes {
        return Some(format!(
            "pages of {} and of {} bytes",
            base.page_size_bytes, new.page_size_bytes
        ));
    }
    let huge = |environment: &Environment| {
        let pages = &environment.transparent_huge_pages;
        match pages.disabled_in_subject {
            true => None,
            false => pages.enabled.clone(),
        }
    };
    let (one, other) = (huge(base), huge(new));
    (one != other).then(|| {
        let words = |setting: Option<String>| setting.unwrap_or_else(|| "off".into());
        format!("huge pages: {} and {}", words(one), words(other))
    })
}

/// What a dataset was made with, in words.
pub(crate) fn made_of(measurement: &Measurement) -> String {
    match measurement.made_of(u64::to_string, |bytes| format!("{bytes} bytes")) {
        words if words.is_empty() => "nothing set".to_owned(),
        words => words,
    }
}

/// Whether all of a region was copied in one run and nothing in the other. A single page may hold other things; that two or
/// more are all copied, or none, is no matter of where memory begins.
pub(crate) fn all_or_nothing((base, of_base): (u64, u64), (new, of_new): (u64, u64)) -> bool {
    of_base.min(of_new) >= 2 && (base == of_base && new == 0 || base == 0 && new == of_new)
}

/// The rows of each measurement: its cost, and what explains that.
fn measurement_rows(
    (base, sources): (&Run, &[Source]),
    (new, sources_now): (&Run, &[Source]),
    differs: &[String],
    tolerance: Tolerance,
    renamed: &[Renamed],
) -> Vec<Row> {
    let other_circumstances = circumstances(&base.environment, &new.environment);
    let same_python = base.python.version == new.python.version;
    let page_size = base.environment.page_size_bytes;
    let mut rows = Vec::new();
    for pair in pairs::likely_pairs(base, new, renamed) {
        let (one, other) = match pair {
            (Some(one), Some(other)) => (one, other),
            (Some(one), None) => {
                let value = cost::alone(one, page_size);
                rows.push(row(cost_key(one), Some(value), None, Status::OnlyInBase));
                continue;
            }
            (None, Some(other)) => {
                let value = cost::alone(other, new.environment.page_size_bytes);
                rows.push(row(cost_key(other), None, Some(value), Status::OnlyInNew));
                continue;
            }
            (None, None) => continue,
        };
        let other_data = cost::other_data(
            (one, sources),
            (other, sources_now),
            same_python,
            tolerance,
            page_size,
        );
        // On one machine and one build, page counts of the same code and data have no noise.
        let pages = match differs.is_empty() && other_data.is_empty() {
            true => Tolerance::EXACT,
            false => tolerance,
        };
        let allowed = cost::Allowed {
            pages,
            builds: !differs.is_empty(),
            page_size,
        };
        let mut cost = match &other_circumstances {
            Some(because) => Row {
                because: Some(because.clone()),
                ..row(
                    cost_key(one),
                    Some(cost::alone(one, page_size)),
                    Some(cost::alone(other, new.environment.page_size_bytes)),
                    Status::NotComparable,
                )
            },
            None => {
                let (base, new, status, because) = cost::compared(one, other, allowed);
                Row {
                    because: because.map(str::to_owned),
                    ..row(cost_key(one), Some(base), Some(new), status)
                }
            }
        };
        cost.other_data = other_data;
        rows.push(cost);
        let not_comparable = other_circumstances.clone().or_else(|| {
            let (then, now) = (one.children.len(), other.children.len());
            // Each child shares pages with the others; how many it copies is its own matter, but not of which.
            (then != now).then(|| format!("{then} and {now} children"))
        });
        let not_comparable = not_comparable.as_deref();
        rows.extend(page_rows((base, one), (new, other), not_comparable, pages));
        rows.extend(memory_rows(
            (base, one),
            (new, other),
            not_comparable,
            allowed,
        ));
    }
    rows
}

fn cost_key(measurement: &Measurement) -> RowKey {
    RowKey::Cost {
        fixture: measurement.fixture.clone(),
        prepare: measurement.prepare.clone(),
        visit: measurement.visit.clone(),
        sharing: measurement.sharing.clone(),
    }
}

fn row(key: RowKey, base: Option<RowValue>, new: Option<RowValue>, status: Status) -> Row {
    Row {
        key,
        base,
        new,
        status,
        because: None,
        other_data: Vec::new(),
        facts: Vec::new(),
    }
}

/// The pages of each region.
fn page_rows(
    (base, one): (&Run, &Measurement),
    (new, other): (&Run, &Measurement),
    not_comparable: Option<&str>,
    allowed: Tolerance,
) -> Vec<Row> {
    let summaries = [(base, one), (new, other)]
        .map(|(run, measurement)| measurement.summary(run.environment.page_size_bytes));
    let [Some(base), Some(new)] = &summaries else {
        return Vec::new();
    };
    let pages = |summary: &Summary, region: RegionName| {
        if region == RegionName::Rest {
            let (of, unshared) = &summary.around;
            return (*unshared.end(), *of.end());
        }
        let found = summary.regions.iter().find(|one| one.name == region);
        // A region without pages is one of 0 pages.
        found.map_or((0, 0), |found| (*found.unshared.end(), *found.pages.end()))
    };
    let mut rows = Vec::new();
    // All of the process around the dataset in one row: older documents divide it no further.
    for region in RegionName::ALL
        .into_iter()
        .filter(|region| region.is_data() || *region == RegionName::Rest)
    {
        let (base, new) = (pages(base, region), pages(new, region));
        if base.1 == 0 && new.1 == 0 {
            continue;
        }
        let status = match not_comparable {
            Some(_) => Status::NotComparable,
            None => pages_status(base, new, allowed),
        };
        let value = |(unshared, of): (u64, u64)| RowValue::Pages { unshared, of };
        let key = RowKey::Pages {
            fixture: one.fixture.clone(),
            prepare: one.prepare.clone(),
            visit: one.visit.clone(),
            sharing: one.sharing.clone(),
            region,
        };
        rows.push(Row {
            because: not_comparable.map(str::to_owned),
            ..row(key, Some(value(base)), Some(value(new)), status)
        });
    }
    rows
}

/// Why pages of files are told, and count for nothing.
const PAGE_CACHE: &str =
    "how many pages of files a process maps depends on what is in the page cache";

/// New memory and pages of files, where both know of them. What is new may differ by a few pages from run to run on one
/// machine, too: where a heap ends is no matter of the visit.
fn memory_rows(
    (base, one): (&Run, &Measurement),
    (new, other): (&Run, &Measurement),
    not_comparable: Option<&str>,
    allowed: cost::Allowed,
) -> Vec<Row> {
    let summaries = [(base, one), (new, other)]
        .map(|(run, measurement)| measurement.summary(run.environment.page_size_bytes));
    let [Some(base), Some(new)] = &summaries else {
        return Vec::new();
    };
    let most = |one: &Option<Spread<u64>>| one.as_ref().map(|one| *one.end());
    let figures = [
        (Memory::New, most(&base.new_bytes), most(&new.new_bytes)),
        (Memory::File, most(&base.file_bytes), most(&new.file_bytes)),
    ];
    let heaps = match allowed.builds {
        true => cost::between_heaps(allowed.page_size),
        false => TOLERANCE,
    };
    let rows = figures.into_iter().filter_map(|(memory, base, new)| {
        let (base, new) = (base?, new?);
        let pages = |bytes: u64| bytes / allowed.page_size.max(1);
        if is_noise(pages(base)) && is_noise(pages(new)) {
            return None;
        }
        let difference = pages(base.abs_diff(new));
        let (status, because) = match (not_comparable, memory) {
            (Some(because), _) => (Status::NotComparable, Some(because)),
            _ if difference == 0 => (Status::Unchanged, None),
            _ if difference <= heaps.of(pages(base)) => (Status::WithinNoise, None),
            (None, Memory::File) => (Status::NotComparable, Some(PAGE_CACHE)),
            (None, Memory::New) if new < base => (Status::Fewer, None),
            (None, Memory::New) => (Status::More, None),
        };
        let key = RowKey::Memory {
            fixture: one.fixture.clone(),
            prepare: one.prepare.clone(),
            visit: one.visit.clone(),
            sharing: one.sharing.clone(),
            memory,
        };
        let value = |bytes| Some(RowValue::Memory { bytes });
        Some(Row {
            because: because.map(str::to_owned),
            ..row(key, value(base), value(new), status)
        })
    });
    rows.collect()
}

/// What came of copied pages, each with all that there are.
fn pages_status(base: (u64, u64), new: (u64, u64), allowed: Tolerance) -> Status {
    let all_or_nothing = all_or_nothing(base, new);
    let (base, new) = (base.0, new.0);
    match base.abs_diff(new) {
        0 => Status::Unchanged,
        difference if difference <= allowed.of(base) && !all_or_nothing => Status::WithinNoise,
        _ if new < base => Status::Fewer,
        _ => Status::More,
    }
}

/// Rows of what is told by its id: those of the base, then those that only the new run has.
fn rows_by_id<T: Clone>(
    base: &[(String, T)],
    new: &[(String, T)],
    key: impl Fn(&str) -> RowKey,
    value: impl Fn(T) -> RowValue,
    compare: impl Fn(T, T) -> Status,
) -> Vec<Row> {
    let find = |all: &[(String, T)], id: &str| {
        let mut all = all.iter();
        all.find(|(known, _)| known == id)
            .map(|(_, value)| value.clone())
    };
    let mut seen = HashSet::new();
    let ids = base.iter().chain(new).map(|(id, _)| &id[..]);
    ids.filter(|id| seen.insert(*id))
        .map(|id| {
            let (one, other) = (find(base, id), find(new, id));
            let status = match (&one, &other) {
                (Some(one), Some(other)) => compare(one.clone(), other.clone()),
                (Some(_), None) => Status::OnlyInBase,
                (None, _) => Status::OnlyInNew,
            };
            Row {
                because: (status == Status::NotComparable)
                    .then(|| "it could not be tested in one of them".to_owned()),
                ..row(key(id), one.map(&value), other.map(&value), status)
            }
        })
        .collect()
}

fn verdict_rows(base: &Run, new: &Run) -> Vec<Row> {
    let all = |run: &Run| -> Vec<(String, (Verdict, Verdict))> {
        let claims = run.claims.iter();
        claims
            .map(|claim| (claim.id.clone(), (claim.verdict, claim.expected)))
            .collect()
    };
    rows_by_id(
        &all(base),
        &all(new),
        |id| RowKey::Claim { id: id.to_owned() },
        |(verdict, expected)| RowValue::Claim { verdict, expected },
        |(one, expected), (other, expected_then)| {
            if one == other {
                return Status::Unchanged;
            }
            if [one, other].contains(&Verdict::NotTestableHere) {
                return Status::NotComparable;
            }
            match (one == expected, other == expected_then) {
                (true, true) => Status::ChangedAsExpected,
                (false, true) => Status::Improved,
                _ => Status::Regressed,
            }
        },
    )
}

/// What the facts say of each. Of two versions that are on two sides of a change that was predicted, each says something
/// else, as it should.
fn fact_rows(base: &Run, new: &Run, facts: &Claims) -> Vec<Row> {
    let all = |run: &Run| -> Vec<(String, (Outcome, Option<String>))> {
        let facts = run.facts.iter();
        facts
            .map(|fact| (fact.id.clone(), (fact.outcome, fact.found.clone())))
            .collect()
    };
    let mut rows = rows_by_id(
        &all(base),
        &all(new),
        |id| RowKey::Fact { id: id.to_owned() },
        |(outcome, found)| RowValue::Fact { outcome, found },
        |(one, _), (other, _)| match (one, other) {
            _ if one == other => Status::Unchanged,
            (Outcome::NotTestableHere, _) | (_, Outcome::NotTestableHere) => Status::NotComparable,
            (_, Outcome::AsPredicted) => Status::Improved,
            _ => Status::Regressed,
        },
    );
    if let (Some(from), Some(to)) = (base.python.order(), new.python.order()) {
        for row in rows
            .iter_mut()
            .filter(|row| row.status == Status::Unchanged)
        {
            let predicted = matches!(
                row.new,
                Some(RowValue::Fact {
                    outcome: Outcome::AsPredicted,
                    ..
                })
            );
            if predicted && !explaining(facts, row, &from, &to).is_empty() {
                row.status = Status::ChangedAsExpected;
            }
        }
    }
    rows
}
