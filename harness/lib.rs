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
//! Imports point one way: `main → cli, experiment, claims, report`; `experiment → driver, observe, python`; everything →
//! `model`. `docs/architecture.md` holds the rules and their reasons.

pub mod advice;
pub mod claims;
pub mod cli;
pub mod command_line;
pub mod commands;
pub mod compare;
pub mod consistency;
pub mod deadlock;
pub mod deferred;
pub mod documents;
pub mod driver;
pub mod experiment;
pub mod failures;
pub mod fixed_paths;
pub mod fixtures;
pub mod interrupt;
pub mod keeper;
pub mod leftovers;
pub mod machine;
pub mod merge;
pub mod mitigations;
pub mod model;
pub mod numbers;
pub mod objects;
pub mod observe;
pub mod output;
pub mod process;
pub mod progress;
pub mod protocol;
pub mod python;
pub mod raised;
pub mod remedies;
pub mod report;
pub mod reproduce;
pub mod run_name;
pub mod shell;
pub mod shm;
pub mod side_by_side;
pub mod suggest;
pub mod symbols;
pub mod temporary;
pub mod variables;
