//! What refcow costs, as ratios against something plain that ran in the same minute: `cargo bench`.
//!
//! Ours and theirs take turns, so that what else the machine does hits both. The table at the end gives each ratio
//! beside its limit; criterion keeps our own times from run to run. `cargo bench -- NAME` runs some of them:
//! `causes`, `object map`, `page state`, `visit`, `whole run`, `observer memory`, `cost per page`, `discovery`, `claims`,
//! `1 TiB reserved`, `rendering`; of trees of running processes `attach`, `classifying`, `run`, `refcow's`, `400 requests`.

mod causes;
mod cost_per_page;
mod discovery;
mod kernels_record;
mod live;
mod object_map;
mod observer_memory;
#[path = "../../tests/common/packages.rs"]
mod packages;
mod page_state;
mod rendering;
mod reserved;
mod several;
mod subject;
mod table;
mod turns;
mod visit;
mod whole_run;

use std::error::Error;
use std::time::Duration;

use criterion::Criterion;

type BenchResult<T> = Result<T, Box<dyn Error>>;

fn main() -> BenchResult<()> {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .sample_size(50)
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();
    let interpreter = refcow::python::choose(None)?;
    let mut table = table::RatioTable::default();
    discovery::run(&mut criterion, &interpreter, &mut table)?;
    page_state::run(&mut criterion, &interpreter, &mut table)?;
    cost_per_page::run(&mut criterion, &interpreter, &mut table)?;
    visit::run(&mut criterion, &interpreter, &mut table)?;
    causes::run(&mut criterion, &interpreter, &mut table)?;
    kernels_record::run(&mut criterion, &interpreter, &mut table)?;
    object_map::run(&mut criterion, &interpreter, &mut table)?;
    observer_memory::run(&mut criterion, &interpreter, &mut table)?;
    whole_run::run(&mut criterion, &interpreter, &mut table)?;
    several::run(&mut criterion, &mut table)?;
    live::run(&mut criterion, &interpreter, &mut table)?;
    reserved::run(&mut criterion, &mut table)?;
    rendering::run(&mut criterion, &mut table)?;
    criterion.final_summary();
    println!("\n{table}");
    Ok(())
}
