//! What is measured and reported: plain data with units in the field names, the same words in code, JSON and docs.
//!
//! Nothing here touches a process, a file, the clock or the environment. What could not be had is `None` and absent
//! from the JSON; it is never written as 0.

mod advice;
mod alternative;
mod cause;
mod child;
mod claim;
mod comparison;
mod cost;
mod counted;
mod document;
mod environment;
mod fact;
mod made;
mod measurement;
mod noise;
mod own_data;
mod pages;
mod processes;
mod python;
mod region;
mod report;
mod reproduction;
mod row_key;
mod series;
mod spread;
mod summary;
mod text;
mod tree_bytes;
mod verdicts;
mod version;
mod warning;

pub use advice::{Advice, Compared, MeasuredAgain, SecondTrial, Tried};
pub use alternative::{
    AfterKill, Alternative, AlternativeSummary, Contents, Leftover, Receiver, StartMethod,
};
pub use cause::{By, Cause, Causes, Written};
pub use child::{Child, CrossChecks, Peak, UssGrowth, VisitBytes};
pub use claim::{Claim, Figure, Observation, Unit, Value, Verdict};
pub use comparison::{ComparedRuns, Comparison, Paid, Row, RowValue, RunName, Status, Tolerance};
pub use cost::{CausedPages, Cost, Edge, NamedPages, Spent, Why};
pub use counted::{OnTheWay, Region, Totals};
pub use document::{DocumentError, MAX_DOCUMENT_BYTES, is_of_trees, read, read_trees};
pub use environment::{Environment, HugePages, Ksm, Privileges};
pub use fact::{Fact, Outcome};
pub use made::Made;
pub use measurement::{Calibration, Measurement, Tree};
pub use noise::{SMALLEST_WHOLE_BYTES, change_share, is_noise, share_of};
pub use own_data::{
    ForkCost, GivesBack, MemoryLimit, OwnData, OwnDataFigures, OwnDataSummary, OwnDataWay,
    TreeMemory, Visitor,
};
pub use pages::{Fate, PageMap, Squares, Stretch};
pub use processes::{Followed, Processes};
pub use python::Python;
pub use region::{NotWalked, RegionMap, RegionName};
pub use report::{Import, Report, Run, SCHEMA_VERSION, Source, sha256};
pub use reproduction::{Answer, Difference, NotCompared, Repeated, Reproduction, Weight};
pub use row_key::{Memory, RowKey};
pub use series::{CopiedByRun, datasets};
pub use spread::Spread;
pub use summary::{Group, RegionSummary, Summary};
pub use text::{one_line, printable, printable_lines};
pub use tree_bytes::{SavedOfTree, TreeBytes};
pub use verdicts::{CrossCheckSpread, FactTally, StatementInRuns, VerdictStatements, by_verdict};
pub use version::Version;
pub use warning::{Warning, named, not_measured};

/// The JSON Schema of [`Report`], as `refcow schema` prints it.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Report)
}

/// The JSON Schema of [`Comparison`], as `refcow schema comparison` prints it.
pub fn comparison_schema() -> schemars::Schema {
    schemars::schema_for!(Comparison)
}

/// The JSON Schema of [`Reproduction`], as `refcow schema reproduction` prints it.
pub fn reproduction_schema() -> schemars::Schema {
    schemars::schema_for!(Reproduction)
}
