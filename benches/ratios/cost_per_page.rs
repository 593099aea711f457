//! Whether a page costs the same in a large process as in a small one, beside what reading its pagemap costs there.

use std::time::Instant;

use criterion::Criterion;
use refcow::observe::{mappings, page_size, page_states};
use refcow::python::Interpreter;

use crate::BenchResult;
use crate::page_state::bare;
use crate::subject::Plain;
use crate::table::RatioTable;
use crate::turns;

const GIB: u64 = 1 << 30;
const LIMIT: f64 = 1.15;
/// Beside the pages themselves: their page tables in three processes, and everybody else.
const RESERVE: u64 = 2 * GIB;

pub fn run(
    criterion: &mut Criterion,
    interpreter: &Interpreter,
    table: &mut RatioTable,
) -> BenchResult<()> {
    for size in [1, 2, 4, 8] {
        let what = format!("cost per page at {size} GiB : bare pread of its pagemap");
        let available = refcow::machine::memory()?.available_bytes;
        if available < size * GIB + RESERVE {
            let reason = format!("{size} GiB do not fit: {} MiB are free", available >> 20);
            table.absent(&what, LIMIT, "x", reason);
            continue;
        }
        let pages = size * GIB / page_size();
        // Started on the first turn: not at all if this size is filtered out.
        let plain = std::cell::OnceCell::new();
        let child = || -> BenchResult<i32> {
            if plain.get().is_none() {
                let _ = plain.set(Plain::start(interpreter, pages)?);
            }
            Ok(plain.get().map_or(0, Plain::child))
        };
        let ours = || {
            let child = child()?;
            let start = Instant::now();
            let ranges = mappings(child)?.ranges;
            std::hint::black_box(page_states(child, &ranges)?);
            Ok(start.elapsed())
        };
        let theirs = || {
            let child = child()?;
            bare(child, &mappings(child)?)
        };
        let turns = {
            let mut ten = std::mem::take(criterion).sample_size(10);
            let turns = turns::take(&mut ten, &what, ours, theirs);
            *criterion = ten.sample_size(50);
            turns?
        };
        if let Some(turns) = turns {
            let nanoseconds = |times| {
                turns::median::<std::time::Duration>(times).as_secs_f64() * 1e9 / pages as f64
            };
            let (ours, theirs) = (nanoseconds(&turns.ours), nanoseconds(&turns.theirs));
            let figures = format!("{ours:.1} ns : {theirs:.1} ns a page; {}", turns.times());
            table.add(&what, turns.ratio(), LIMIT, "x", figures);
        }
    }
    Ok(())
}
