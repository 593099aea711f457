//! refcow counts, to the page, what `fork()` really shares between Python processes.
#![doc = "\n```text"]
#![doc = r"refcow (observer, CLI; no Python in it)
  │  starts a keeper, which starts the subject; speaks with that over socket pairs: one line of JSON a message
  ▼
a CPython's own program, with refcow-subject preloaded (PyO3)
  │  builds the fixture, sends the region map, then forks:
  ├── witness   sleeps to the end
  ├── child 1   waits · visits · waits
  └── child N
refcow reads /proc/PID/{pagemap,smaps_rollup,stat,mem} of parent and children from outside"]
#![doc = "```"]
//!
//! Imports point one way: `main → cli, experiment, claims, report`; `experiment → driver, observe,
//! python`; everything → `model`. `docs/architecture.md` holds the rules and their reasons.

mod baselines;
pub mod cli;
mod commands;
mod deadlock;
mod deferred;
mod documents;
pub mod driver;
pub mod experiment;
mod fixed_paths;
pub mod fixtures;
pub mod interrupt;
pub mod keeper;
mod leftovers;
pub mod live;
pub mod machine;
mod output;
pub mod process;
mod progress;
pub mod python;
mod raised;
mod run_name;
mod shm;
mod temporary;
mod threads;
mod variables;

pub use refcow_model as model;
pub use refcow_model::{
    advice, claims, compare, consistency, failures, merge, mitigations, numbers, remedies,
    reproduce, shell, suggest,
};
pub use refcow_observe as observe;
pub use refcow_observe::{objects, symbols};
pub use refcow_protocol as protocol;
pub use refcow_report as report;

/// The commit that this is built from, with `-dirty` behind it if that is not all. `None`: nobody
/// knows (build.rs).
pub const COMMIT: Option<&str> = option_env!("REFCOW_COMMIT");
