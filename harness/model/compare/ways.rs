//! The rows of ways to share data: what all processes take together when each worker has used it.

use super::cost::other_code;
use super::row::row;
use crate::{OwnData, Row, RowKey, RowValue, Run, Source, Status, Tolerance};

/// Why what came through a pipe takes now more and now less.
pub(crate) const PIPED: &str =
    "the data came through a pipe, and what the allocator keeps of that depends on how it arrived";

/// Why sums over processes do not compare where the machine or the build is another.
const BESIDES: &str =
    "what processes take besides the data, which differs between machines and builds";

/// A way with so many workers.
struct Way {
    key: RowKey,
    /// The file of the user's whose data it is.
    fixture: Option<String>,
    memory_bytes: u64,
    processes: u64,
    through_pipe: bool,
}

/// Rows of all ways of the base, then those that only the new run has.
pub(super) fn way_rows(
    (base, sources): (&Run, &[Source]),
    (new, sources_now): (&Run, &[Source]),
    differs: &[String],
    tolerance: Tolerance,
) -> Vec<Row> {
    let (all, all_now) = (ways(base), ways(new));
    let counterpart = |one: &Way| all_now.iter().find(|other| other.key == one.key);
    let mut rows: Vec<Row> = Vec::new();
    for one in &all {
        let Some(other) = counterpart(one) else {
            rows.push(row(
                one.key.clone(),
                Some(value(one)),
                None,
                Status::OnlyInBase,
            ));
            continue;
        };
        let page = base.environment.page_size_bytes;
        let status = status(one, other, tolerance, page);
        let because = match status.is_change() {
            true if one.through_pipe || other.through_pipe => Some(PIPED),
            true if !differs.is_empty() => Some(BESIDES),
            _ => None,
        };
        let status = because.map_or(status, |_| Status::NotComparable);
        let code = one.fixture.as_deref().zip(other.fixture.as_deref());
        rows.push(Row {
            because: because.map(str::to_owned),
            other_data: code.map_or_else(Vec::new, |(then, now)| {
                other_code((then, sources), (now, sources_now))
            }),
            ..row(
                one.key.clone(),
                Some(value(one)),
                Some(value(other)),
                status,
            )
        });
    }
    let alone = all_now
        .iter()
        .filter(|other| all.iter().all(|one| one.key != other.key));
    rows.extend(alone.map(|one| row(one.key.clone(), None, Some(value(one)), Status::OnlyInNew)));
    rows
}

fn value(way: &Way) -> RowValue {
    RowValue::Memory {
        bytes: way.memory_bytes,
    }
}

/// Each process may have so many pages more, or all of them so much of what they had.
fn status(base: &Way, new: &Way, tolerance: Tolerance, page_size: u64) -> Status {
    let pages = tolerance.pages.saturating_mul(base.processes);
    let part = (base.memory_bytes as f64 * tolerance.share) as u64;
    let noise = part.max(pages.saturating_mul(page_size));
    match (base.memory_bytes, new.memory_bytes) {
        (then, now) if then == now => Status::Unchanged,
        (then, now) if then.abs_diff(now) <= noise => Status::WithinNoise,
        (then, now) if now < then => Status::Improved,
        _ => Status::Regressed,
    }
}

/// What was measured, as far as the kernel told the sum: of the built-in data and of a user's file.
fn ways(run: &Run) -> Vec<Way> {
    let integers = run.alternatives.iter().filter_map(|one| {
        let workers = one.children.len() as u64;
        Some(Way {
            key: RowKey::Way {
                data: format!("{} bytes of integers", one.size_bytes),
                way: one.way.clone(),
                start_method: one.start_method,
                workers,
            },
            fixture: None,
            memory_bytes: one.memory_bytes_read?,
            processes: workers + 1,
            through_pipe: one.came_through_pipe(),
        })
    });
    let of_users = run.own_data.iter().flat_map(of_data);
    integers.chain(of_users).collect()
}

fn of_data(data: &OwnData) -> impl Iterator<Item = Way> + '_ {
    data.ways.iter().filter_map(|one| {
        let figures = one.measured.as_ref()?;
        Some(Way {
            key: RowKey::Way {
                data: data.name(),
                way: one.way.clone(),
                start_method: one.start_method,
                workers: one.workers,
            },
            fixture: Some(data.fixture.clone()),
            memory_bytes: figures.memory?.sum(),
            processes: one.workers + 1,
            through_pipe: figures.came_through_pipe(data.pickled_bytes),
        })
    })
}
