//! Whether a page costs the same in a large process as in a small one.

use std::time::{Duration, Instant};

use criterion::Criterion;
use refcow::observe::{mappings, page_size, page_states};
use refcow::python::Interpreter;

use crate::Outcome;
use crate::subject::Plain;
use crate::table::Table;

const GIB: u64 = 1 << 30;
/// What is called flat: the dearest page costs so much more than the cheapest.
const FLAT: f64 = 1.15;
/// Beside the pages themselves: their page tables in three processes, and everybody else.
const RESERVE: u64 = 2 * GIB;

pub fn run(criterion: &mut Criterion, interpreter: &Interpreter, table: &mut Table) -> Outcome<()> {
    let what = "cost per page from 1 to 8 GiB: dearest : cheapest";
    let mut costs = Vec::new();
    let mut ten = std::mem::take(criterion).sample_size(10);
    for size in [1, 2, 4, 8] {
        let available = refcow::machine::memory()?.available_bytes;
        if available < size * GIB + RESERVE {
            let reason = format!("{size} GiB do not fit: {} MiB are free", available >> 20);
            table.absent(what, FLAT, "x", reason);
            *criterion = ten.sample_size(50);
            return Ok(());
        }
        let pages = size * GIB / page_size();
        let mut times: Vec<Duration> = Vec::new();
        let mut plain = None;
        let mut failed = None;
        ten.bench_function(&format!("cost per page at {size} GiB"), |bencher| {
            bencher.iter_custom(|iterations| {
                let mut sum = Duration::ZERO;
                for _ in 0..iterations {
                    match read(&mut plain, interpreter, pages) {
                        Ok(time) => times.push(time),
                        Err(error) => {
                            failed.get_or_insert(error);
                            times.push(Duration::from_secs(1));
                        }
                    }
                    sum += times[times.len() - 1];
                }
                sum
            });
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if times.is_empty() {
            *criterion = ten.sample_size(50);
            return Ok(());
        }
        // The fastest: the sizes come one after the other, so that nothing else evens out what other programs took.
        let fastest = times.iter().min().copied().unwrap_or_default();
        costs.push((size, fastest.as_secs_f64() * 1e9 / pages as f64));
    }
    *criterion = ten.sample_size(50);
    let cost = |(_, cost): &(u64, f64)| *cost;
    let dearest = costs.iter().map(cost).fold(f64::MIN, f64::max);
    let cheapest = costs.iter().map(cost).fold(f64::MAX, f64::min);
    let figures: Vec<_> = costs
        .iter()
        .map(|(size, cost)| format!("{size} GiB {cost:.1} ns"))
        .collect();
    table.add(what, dearest / cheapest, FLAT, "x", figures.join(", "));
    Ok(())
}

/// Starts the process on the first call: not at all if this size is filtered out.
fn read(plain: &mut Option<Plain>, interpreter: &Interpreter, pages: u64) -> Outcome<Duration> {
    let plain = match plain {
        Some(plain) => plain,
        None => plain.insert(Plain::start(interpreter, pages)?),
    };
    let start = Instant::now();
    let ranges = mappings(plain.child())?.ranges;
    std::hint::black_box(page_states(plain.child(), &ranges)?);
    Ok(start.elapsed())
}
