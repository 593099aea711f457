//! A base against a new document: which rows belong together, and what came of each.

use std::collections::HashSet;

use crate::claims::{Claims, Direction};
use crate::model::{
    ComparedRuns, Comparison, Environment, Measurement, Memory, Outcome, RegionName, Report, Row,
    RowKey, RowValue, Run, RunName, SCHEMA_VERSION, Spread, Status, Summary, Tolerance, Verdict,
    Version, Warning, is_noise,
};

/// Why pages of the region `rest` do not compare between builds.
pub const INTERPRETERS_OWN: &str =
    "the interpreter's own memory, which another build or other packages make another";

/// Between machines or builds. Where regions begin, and so what else lies on their first and last pages, differs there;
/// and what a child writes of the interpreter's own memory depends on what its site-packages import.
pub const TOLERANCE: Tolerance = Tolerance {
    pages: 16,
    share: 0.02,
};

/// Compares two documents.
///
/// Runs of one series belong together, those that have the most in common first; where each document has a single run,
/// these do. Facts name what is known of a change between versions.
pub fn compare(base: &Report, new: &Report, tolerance: Tolerance, facts: &Claims) -> Comparison {
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
                comparison
                    .compared
                    .push(compare_runs(run, &new.runs[place], tolerance, facts))
            }
            None => comparison.only_in_base.push(name(run)),
        }
    }
    comparison
}

/// What changes from each run to the next: of one command's document, from each version of Python to the next.
pub fn neighbours(report: &Report, facts: &Claims) -> Vec<ComparedRuns> {
    let pairs = report.runs.iter().zip(report.runs.iter().skip(1));
    pairs
        .map(|(one, other)| compare_runs(one, other, TOLERANCE, facts))
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

fn compare_runs(base: &Run, new: &Run, tolerance: Tolerance, facts: &Claims) -> ComparedRuns {
    let differs = differences(base, new);
    // On one machine and one build page counts have no noise.
    let allowed = if differs.is_empty() {
        Tolerance {
            pages: 0,
            share: 0.0,
        }
    } else {
        tolerance
    };
    let other_circumstances = circumstances(&base.environment, &new.environment);
    let mut rows = page_rows(base, new, other_circumstances.as_deref(), allowed);
    rows.extend(verdict_rows(base, new));
    rows.extend(fact_rows(base, new, facts));
    if let (Some(from), Some(to)) = (base.python.order(), new.python.order()) {
        for row in rows.iter_mut().filter(|row| row.status.is_change()) {
            row.facts = explaining(facts, row, &from, &to);
        }
    }
    if !differs.is_empty() {
        for row in &mut rows {
            let rest = row.key.region() == Some(RegionName::Rest);
            if rest && row.status.is_change() && row.facts.is_empty() {
                row.status = Status::NotComparable;
                row.because = Some(INTERPRETERS_OWN.to_owned());
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
        Status::Regressed => Direction::More,
        Status::Improved => Direction::Fewer,
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

/// What of a measurement stays the same from run to run.
fn key_of(measurement: &Measurement) -> (&str, Option<&str>, &str, &str) {
    (
        &measurement.fixture,
        measurement.prepare.as_deref(),
        &measurement.visit,
        &measurement.sharing,
    )
}

/// Measurements of one key in two runs: those of one size belong together, else those that come first.
pub(crate) fn pairs<'a>(
    base: &'a Run,
    new: &'a Run,
) -> Vec<(Option<&'a Measurement>, Option<&'a Measurement>)> {
    let mut left: Vec<&Measurement> = new.measurements.iter().collect();
    let mut found: Vec<Option<&Measurement>> = vec![None; base.measurements.len()];
    for same_size in [true, false] {
        for (one, pair) in base.measurements.iter().zip(&mut found) {
            let belongs = |other: &&Measurement| {
                key_of(one) == key_of(other) && (!same_size || one.made_with() == other.made_with())
            };
            if pair.is_none()
                && let Some(place) = left.iter().position(belongs)
            {
                *pair = Some(left.remove(place));
            }
        }
    }
    let matched = base.measurements.iter().map(Some).zip(found);
    let rest = left.into_iter().map(|one| (None, Some(one)));
    matched.chain(rest).collect()
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

/// In which way two datasets of one fixture are not the same.
fn other_data(one: &Measurement, other: &Measurement) -> &'static str {
    match (&one.parameters, &one.arguments) == (&other.parameters, &other.arguments) {
        true => "data of another size",
        false => "data made otherwise",
    }
}

fn page_rows(
    base: &Run,
    new: &Run,
    other_circumstances: Option<&str>,
    allowed: Tolerance,
) -> Vec<Row> {
    let mut rows = Vec::new();
    for (one, other) in pairs(base, new) {
        let summaries = [(base, one), (new, other)].map(|(run, measurement)| {
            measurement.and_then(|it| it.summary(run.environment.page_size_bytes))
        });
        let Some(measurement) = one.or(other) else {
            continue;
        };
        let not_comparable = match (one, other) {
            (Some(one), Some(other)) if one.made_with() != other.made_with() => Some(format!(
                "{}: {} and {}",
                other_data(one, other),
                made_of(one),
                made_of(other)
            )),
            (Some(one), Some(other)) if one.children.len() != other.children.len() => Some(
                // Each child shares pages with the others; what it copies is its own matter, but not of which.
                format!(
                    "{} and {} children",
                    one.children.len(),
                    other.children.len()
                ),
            ),
            _ => other_circumstances.map(str::to_owned),
        };
        // All of the process around the dataset in one row: older documents divide it no further.
        let compared = RegionName::ALL
            .into_iter()
            .filter(|region| region.is_data() || *region == RegionName::Rest);
        for region in compared {
            let [base, new] = summaries.each_ref().map(|summary| {
                let summary = summary.as_ref()?;
                if region == RegionName::Rest {
                    return Some(RowValue::Pages {
                        unshared: *summary.around.1.end(),
                        of: *summary.around.0.end(),
                    });
                }
                let found = summary.regions.iter().find(|one| one.name == region);
                // A region without pages is one of 0 pages, if the measurement was made.
                Some(
                    found.map_or(RowValue::Pages { unshared: 0, of: 0 }, |found| {
                        RowValue::Pages {
                            unshared: *found.unshared.end(),
                            of: *found.pages.end(),
                        }
                    }),
                )
            });
            let none = |value: &Option<RowValue>| {
                matches!(value, None | Some(RowValue::Pages { of: 0, .. }))
            };
            if none(&base) && none(&new) {
                continue;
            }
            let status = match (&base, &new) {
                (Some(_), None) => Status::OnlyInBase,
                (None, _) => Status::OnlyInNew,
                _ if not_comparable.is_some() => Status::NotComparable,
                (Some(base), Some(new)) => pages_status(base, new, allowed),
            };
            rows.push(Row {
                key: RowKey::Pages {
                    fixture: measurement.fixture.clone(),
                    prepare: measurement.prepare.clone(),
                    visit: measurement.visit.clone(),
                    sharing: measurement.sharing.clone(),
                    region,
                },
                because: not_comparable
                    .clone()
                    .filter(|_| status == Status::NotComparable),
                base,
                new,
                status,
                facts: Vec::new(),
            });
        }
        rows.extend(memory_rows(
            measurement,
            &summaries,
            not_comparable.as_deref(),
            base.environment.page_size_bytes,
        ));
    }
    rows
}

/// Why pages of files are told, and count for nothing.
const PAGE_CACHE: &str =
    "how many pages of files a process maps depends on what is in the page cache";

/// New memory and pages of files, where both know of them. What is new differs by a few pages from run to run on one machine,
/// too: where a heap ends is no matter of the visit.
fn memory_rows(
    measurement: &Measurement,
    summaries: &[Option<Summary>; 2],
    not_comparable: Option<&str>,
    page_size: u64,
) -> Vec<Row> {
    let [Some(base), Some(new)] = summaries else {
        return Vec::new();
    };
    let most = |one: &Option<Spread<u64>>| one.as_ref().map(|one| *one.end());
    let figures = [
        (Memory::New, most(&base.new_bytes), most(&new.new_bytes)),
        (Memory::File, most(&base.file_bytes), most(&new.file_bytes)),
    ];
    let rows = figures.into_iter().filter_map(|(memory, base, new)| {
        let (base, new) = (base?, new?);
        let pages = |bytes: u64| bytes / page_size.max(1);
        if is_noise(pages(base)) && is_noise(pages(new)) {
            return None;
        }
        let difference = pages(base.abs_diff(new));
        let (status, because) = match (not_comparable, memory) {
            (Some(because), _) => (Status::NotComparable, Some(because)),
            _ if difference == 0 => (Status::Unchanged, None),
            _ if difference <= TOLERANCE.of(pages(base)) => (Status::WithinNoise, None),
            (None, Memory::File) => (Status::NotComparable, Some(PAGE_CACHE)),
            (None, Memory::New) if new < base => (Status::Improved, None),
            (None, Memory::New) => (Status::Regressed, None),
        };
        Some(Row {
            key: RowKey::Memory {
                fixture: measurement.fixture.clone(),
                prepare: measurement.prepare.clone(),
                visit: measurement.visit.clone(),
                sharing: measurement.sharing.clone(),
                memory,
            },
            base: Some(RowValue::Memory { bytes: base }),
            new: Some(RowValue::Memory { bytes: new }),
            status,
            because: because.map(str::to_owned),
            facts: Vec::new(),
        })
    });
    rows.collect()
}

fn pages_status(base: &RowValue, new: &RowValue, allowed: Tolerance) -> Status {
    let (
        RowValue::Pages {
            unshared: base,
            of: of_base,
        },
        RowValue::Pages {
            unshared: new,
            of: of_new,
        },
    ) = (base, new)
    else {
        return Status::NotComparable;
    };
    let all_or_nothing = all_or_nothing((*base, *of_base), (*new, *of_new));
    let (base, new) = (*base, *new);
    let noise = allowed.of(base);
    match base.abs_diff(new) {
        0 => Status::Unchanged,
        difference if difference <= noise && !all_or_nothing => Status::WithinNoise,
        _ if new < base => Status::Improved,
        _ => Status::Regressed,
    }
}

/// Rows of what is told by its id: those of the base, then those that only the new run has.
fn rows_by_id<T: Clone>(
    base: &[(String, T)],
    new: &[(String, T)],
    row: impl Fn(&str) -> RowKey,
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
                key: row(id),
                base: one.map(&value),
                new: other.map(&value),
                status,
                because: (status == Status::NotComparable)
                    .then(|| "it could not be tested in one of them".to_owned()),
                facts: Vec::new(),
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
