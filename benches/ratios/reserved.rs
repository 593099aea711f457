//! A run whose data lies beside 1 TiB of reserved addresses, as CUDA and sanitizers have them, against one without.

use std::time::Instant;

use criterion::Criterion;

use crate::BenchResult;
use crate::subject::{beside, report};
use crate::table::RatioTable;
use crate::turns;

const LIMIT: f64 = 1.05;

pub fn run(criterion: &mut Criterion, table: &mut RatioTable) -> BenchResult<()> {
    let what = "1 TiB reserved : the same without";
    let file = beside("reserved.py");
    let file = file
        .to_str()
        .ok_or("the path of reserved.py is not UTF-8")?;
    let timed = |bytes: u64| {
        let reserved = format!("reserved={bytes}");
        let start = Instant::now();
        report(&["measure", file, "--set", &reserved, "--visit", "iterate"])?;
        Ok(start.elapsed())
    };
    let turns = {
        let mut group = std::mem::take(criterion).sample_size(10);
        let turns = turns::take(&mut group, what, || timed(1 << 40), || timed(0));
        *criterion = group.sample_size(50);
        turns?
    };
    if let Some(turns) = turns {
        table.add(what, turns.ratio(), LIMIT, "x", turns.times());
    }
    Ok(())
}
