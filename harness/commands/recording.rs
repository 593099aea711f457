//! Flags of the commands that record a tree: `refcow attach` and `run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::lines::LinesOptions;
use super::options::LiveFormat;
use super::trees_baseline::TreesBaseline;
use crate::live::pace;

/// What is shown while a tree is recorded, and how it is written then.
#[derive(Debug, Args)]
pub struct RecordingOptions {
    /// Time between two lines on standard error, or two pictures on a terminal
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = pace::some_time)]
    pub every: Duration,
    #[command(flatten)]
    pub lines: LinesOptions,
    /// How to write what is found
    #[arg(long, value_enum, default_value_t)]
    pub format: LiveFormat,
    /// Where to write, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Write a page with charts and tables, too, to this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub report: Option<PathBuf>,
    #[command(flatten)]
    pub baseline: TreesBaseline,
    /// Show nothing while it records
    #[arg(long, short)]
    pub quiet: bool,
}
