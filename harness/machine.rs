//! What this machine allows: for the `environment` of each report, and for `refcow doctor`.
//!
//! Nothing here needs a privilege. What a user may not see is told as such, never as 0.

mod cgroup;
mod environment;
mod error;
mod finding;
mod findings;
mod kernel;
mod live;
mod memory;
mod perf;
mod sample;
mod text;

pub use environment::environment;
pub use error::MachineError;
pub use finding::{Availability, Finding};
pub use findings::{findings, no_huge_pages, page_mapcount_missing};
pub use memory::{MemoryLimits, memory, memory_limit};
