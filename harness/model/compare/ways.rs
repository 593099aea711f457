//! The rows of ways to share data: what all processes take together when each worker has used it, and where that does not compare,
//! as there are more workers now or fewer, what a worker copied.

use super::cost::other_code;
use super::pairs::{Renamed, names_now};
use super::row::row;
use crate::ways::{Needs, came_through_pipe, data_ways, ways as integers_ways};
use crate::{OwnData, Row, RowKey, RowValue, Run, Source, StartMethod, Status, Tolerance};

/// Why what came through a pipe takes now more and now less.
pub(crate) const PIPED: &str =
    "the data came through a pipe, and what the allocator keeps of that depends on how it arrived";

/// Why sums over processes do not compare where the machine or the build is another.
const BESIDES: &str =
    "what processes take besides the data, which differs between machines and builds";

/// The transport of ways of the integers that give each worker a part of them.
const POOL: &str = "pool";

/// Data that is shared.
struct Shared {
    /// As a row names it.
    name: String,
    /// The user's file and its visit; `None`: the integers are refcow's own.
    visit: Option<(String, String)>,
    made_of: String,
}

/// A way with so many workers.
struct Way {
    data: Shared,
    way: String,
    start_method: StartMethod,
    workers: u64,
    memory_bytes: u64,
    /// Of the worker with the most; `None` where each has another part of the data.
    copied_bytes: Option<u64>,
    through_pipe: bool,
}

impl Way {
    fn key(&self) -> RowKey {
        RowKey::Way {
            data: self.data.name.clone(),
            way: self.way.clone(),
            start_method: self.start_method,
            workers: self.workers,
        }
    }

    fn is_of(&self, other: &Self, renamed: &[Renamed]) -> bool {
        let same_data = match (&self.data.visit, &other.data.visit) {
            (None, None) => true,
            (Some((fixture, visit)), Some((now, visit_now))) => {
                names_now(fixture, visit, renamed) == (&now[..], &visit_now[..])
            }
            _ => false,
        };
        same_data && (&self.way, self.start_method) == (&other.way, other.start_method)
    }
}

/// Rows of all ways of the base, then those that only the new run has.
pub(super) fn way_rows(
    (base, sources): (&Run, &[Source]),
    (new, sources_now): (&Run, &[Source]),
    differs: &[String],
    tolerance: Tolerance,
    renamed: &[Renamed],
) -> Vec<Row> {
    let (all, all_now) = (ways(base), ways(new));
    let (pairs, left) = paired(&all, &all_now, renamed);
    let judging = Judging {
        builds: !differs.is_empty(),
        tolerance,
        page_size: base.environment.page_size_bytes,
    };
    let mut rows: Vec<Row> = Vec::new();
    for (one, other) in pairs {
        let Some(other) = other else {
            rows.push(Row {
                because: why_not(new, one),
                ..row(one.key(), Some(value(one)), None, Status::OnlyInBase)
            });
            continue;
        };
        let other_data = other_data((one, sources), (other, sources_now));
        let both = (Some(value(one)), Some(value(other)));
        if one.workers != other.workers {
            rows.push(Row {
                because: Some(format!("{} and {} workers", one.workers, other.workers)),
                other_data: other_data.clone(),
                ..row(one.key(), both.0, both.1, Status::NotComparable)
            });
            rows.extend(judging.of_a_worker(one, other, other_data));
            continue;
        }
        let sums = (one.memory_bytes, other.memory_bytes);
        let (status, because) = judging.judged((one, other), sums, one.workers + 1);
        rows.push(Row {
            because,
            other_data,
            ..row(one.key(), both.0, both.1, status)
        });
    }
    rows.extend(left.into_iter().map(|one| Row {
        because: why_not(base, one),
        ..row(one.key(), None, Some(value(one)), Status::OnlyInNew)
    }));
    rows
}

/// A way of the base, and its counterpart.
type Pair<'a> = (&'a Way, Option<&'a Way>);

/// Ways that belong together, and those that only the new run has. The same data and as many workers go first, then other data,
/// and then other numbers of workers, where a way has no number in common.
fn paired<'a>(
    base: &'a [Way],
    new: &'a [Way],
    renamed: &[Renamed],
) -> (Vec<Pair<'a>>, Vec<&'a Way>) {
    let mut pairs: Vec<Pair<'a>> = base.iter().map(|one| (one, None)).collect();
    let mut left: Vec<&Way> = new.iter().collect();
    for (same_data, same_workers) in [(true, true), (false, true), (false, false)] {
        for place in 0..pairs.len() {
            let (one, counterpart) = pairs[place];
            let is_paired =
                |(other, counterpart): &Pair<'_>| counterpart.is_some() && other.is_of(one, &[]);
            if counterpart.is_some() || !same_workers && pairs.iter().any(is_paired) {
                continue;
            }
            let belongs = |other: &&Way| {
                one.is_of(other, renamed)
                    && (!same_data || one.data.made_of == other.data.made_of)
                    && (!same_workers || one.workers == other.workers)
            };
            if let Some(found) = left.iter().position(belongs) {
                pairs[place].1 = Some(left.remove(found));
            }
        }
    }
    (pairs, left)
}

/// Why a run has no figures of a way that it tried.
fn why_not(run: &Run, of: &Way) -> Option<String> {
    let data = run.own_data.iter();
    let mut all = data
        .filter(|data| data.name() == of.data.name)
        .flat_map(|data| &data.ways);
    let tried = all.find(|one| {
        (&one.way, one.start_method, one.workers) == (&of.way, of.start_method, of.workers)
    });
    tried?.does_not_apply.clone()
}

/// In which way the data is another.
fn other_data((one, sources): (&Way, &[Source]), (other, now): (&Way, &[Source])) -> Vec<String> {
    let mut all = Vec::new();
    if let (Some((fixture, visit)), Some((fixture_now, visit_now))) =
        (&one.data.visit, &other.data.visit)
    {
        all.extend(other_code((fixture, sources), (fixture_now, now)));
        if visit != visit_now {
            all.push(format!("visit {visit_now} instead of {visit}"));
        }
    }
    if one.data.made_of != other.data.made_of {
        let [then, now] = [one, other].map(|way| match &way.data.made_of[..] {
            "" => "nothing set",
            words => words,
        });
        all.push(format!("made with {then} → {now}"));
    }
    all
}

fn value(way: &Way) -> RowValue {
    RowValue::Memory {
        bytes: way.memory_bytes,
    }
}

struct Judging {
    /// Whether the runs are of two builds or machines.
    builds: bool,
    tolerance: Tolerance,
    page_size: u64,
}

impl Judging {
    /// What came of a figure of so many processes, and why it does not compare.
    fn judged(
        &self,
        (one, other): (&Way, &Way),
        (then, now): (u64, u64),
        processes: u64,
    ) -> (Status, Option<String>) {
        let status = self.status(then, now, processes);
        let because = match status.is_change() {
            true if one.through_pipe || other.through_pipe => Some(PIPED),
            true if self.builds => Some(BESIDES),
            _ => None,
        };
        let status = because.map_or(status, |_| Status::NotComparable);
        (status, because.map(str::to_owned))
    }

    /// Each process may have so many pages more, or all of them so much of what they had.
    fn status(&self, then: u64, now: u64, processes: u64) -> Status {
        let pages = self.tolerance.pages.saturating_mul(processes);
        let part = (then as f64 * self.tolerance.share) as u64;
        let noise = part.max(pages.saturating_mul(self.page_size));
        match then.abs_diff(now) {
            0 => Status::Unchanged,
            apart if apart <= noise => Status::WithinNoise,
            _ if now < then => Status::Improved,
            _ => Status::Regressed,
        }
    }

    /// What a worker copied, which the number of the others does not change.
    fn of_a_worker(&self, one: &Way, other: &Way, other_data: Vec<String>) -> Option<Row> {
        let (then, now) = one.copied_bytes.zip(other.copied_bytes)?;
        let (status, because) = self.judged((one, other), (then, now), 1);
        let key = RowKey::WayWorker {
            data: one.data.name.clone(),
            way: one.way.clone(),
            start_method: one.start_method,
        };
        let value = |bytes| Some(RowValue::Memory { bytes });
        Some(Row {
            because,
            other_data,
            ..row(key, value(then), value(now), status)
        })
    }
}

/// What was measured, as far as the kernel told the sum: of the built-in data and of a user's file.
fn ways(run: &Run) -> Vec<Way> {
    let page_size = run.environment.page_size_bytes;
    let integers = run.alternatives.iter().filter_map(|one| {
        let mut known = integers_ways().iter();
        let in_parts = known.any(|way| way.id == one.way && way.transport == POOL);
        let copied = one.children.iter().map(|child| child.copied_pages);
        let size = format!("{} bytes", one.size_bytes);
        Some(Way {
            data: Shared {
                name: format!("{size} of integers"),
                visit: None,
                made_of: size,
            },
            way: one.way.clone(),
            start_method: one.start_method,
            workers: one.children.len() as u64,
            memory_bytes: one.memory_bytes_read?,
            copied_bytes: most(copied, page_size).filter(|_| !in_parts),
            through_pipe: one.came_through_pipe(),
        })
    });
    let of_users = run
        .own_data
        .iter()
        .flat_map(|data| of_data(data, page_size));
    integers.chain(of_users).collect()
}

fn of_data(data: &OwnData, page_size: u64) -> impl Iterator<Item = Way> + '_ {
    data.ways.iter().filter_map(move |one| {
        let figures = one.measured.as_ref()?;
        let mut known = data_ways().iter();
        let in_parts = known.any(|way| way.id == one.way && way.needs == Some(Needs::Cuttable));
        let copied = figures.children.iter().map(|child| child.copied_pages);
        Some(Way {
            data: Shared {
                name: data.name(),
                visit: Some((data.fixture.clone(), data.visit.clone())),
                made_of: data.made_of(),
            },
            way: one.way.clone(),
            start_method: one.start_method,
            workers: one.workers,
            memory_bytes: figures.memory?.sum(),
            copied_bytes: most(copied, page_size).filter(|_| !in_parts),
            through_pipe: came_through_pipe(one, data.pickled_bytes),
        })
    })
}

/// Bytes of the worker that copied most. One can have fewer pages of its own than one that got nothing.
fn most(copied_pages: impl Iterator<Item = i64>, page_size: u64) -> Option<u64> {
    let pages = copied_pages.max()?.max(0).cast_unsigned();
    Some(pages.saturating_mul(page_size))
}
