//! The rows of measurements: what each visit cost, and what explains that.

use super::circumstances::{TOLERANCE, circumstances};
use super::pairs::Renamed;
use super::row::row;
use super::{cost, pairs};
use crate::{
    Measurement, Memory, RegionName, Row, RowKey, RowValue, Run, Source, Spread, Status, Summary,
    Tolerance, is_noise,
};

/// Whether all of a region was copied in one run and nothing in the other. A single page may hold
/// other things; that two or more are all copied, or none, is no matter of where memory begins.
pub(crate) fn all_or_nothing((base, of_base): (u64, u64), (new, of_new): (u64, u64)) -> bool {
    of_base.min(of_new) >= 2 && (base == of_base && new == 0 || base == 0 && new == of_new)
}

/// The rows of each measurement: its cost, and what explains that.
pub(super) fn measurement_rows(
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
            // Each child shares pages with the others; how many it copies is its own matter, but
            // not of which.
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

/// New memory and pages of files, where both know of them. What is new may differ by a few pages
/// from run to run on one machine, too: where a heap ends is no matter of the visit.
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
