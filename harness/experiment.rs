//! The one meeting point: plan → subject + observer → report.

pub mod advise;
pub mod calibration;
pub mod causes;
mod dataset;
mod error;
mod launch;
pub mod lines;
mod measure;
mod new_pages;
pub mod observations;
mod plan;
mod recorded;
mod run;
pub mod sharing;
mod steps;
pub mod visit;
mod warnings;

pub use error::{ExperimentError, told};
pub use launch::launch;
pub use plan::{Dataset, Observable, Plan, SharedDataset};
pub use run::{MeasuredPlan, calibrate, run};
pub use steps::Step;
