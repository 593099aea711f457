//! refcow counts, to the page, what `fork()` really shares between Python processes.
//!
//! What runs, which file holds what, and which rules hold: `docs/architecture.md`.

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
