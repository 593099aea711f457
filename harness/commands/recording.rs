//! Flags of the commands that record a tree: `refcow attach` and `run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::error::CommandError;
use super::lines::LinesOptions;
use super::options::LiveFormat;
use super::trees_baseline::TreesBaseline;
use crate::live::pace;

/// What is shown while a tree is recorded, and how it is written then.
#[derive(Debug, Args)]
pub struct RecordingOptions {
    /// Time between two lines on standard error, or two pictures on a terminal [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = pace::some_time, allow_hyphen_values = true)]
    every: Option<Duration>,
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
    /// Load no BPF program into the kernel, as where that is not allowed: for --lines, threads then stand still at page faults
    #[arg(long)]
    pub no_bpf: bool,
    #[command(flatten)]
    pub baseline: TreesBaseline,
    /// Show nothing while it records
    #[arg(long, short)]
    pub quiet: bool,
}

impl RecordingOptions {
    /// Between two moments.
    pub fn every(&self) -> Duration {
        self.every.unwrap_or(Duration::from_secs(1))
    }

    /// Refuses what would have no effect.
    pub fn check(&self) -> Result<(), CommandError> {
        match self.format {
            LiveFormat::Json | LiveFormat::Csv if !self.lines.by.is_empty() => {
                Err(CommandError::NoEffect {
                    option: "--by",
                    beside: "--format json and csv, which have every cause, type, function, line and thread",
                    remedy: "leave it out; for lines, add --lines",
                })
            }
            _ => Ok(()),
        }
    }

    /// The same where nothing is recorded.
    pub fn check_one_look(&self) -> Result<(), CommandError> {
        let given = [
            self.every.map(|_| "--every"),
            (!self.lines.by.is_empty()).then_some("--by"),
            self.lines.wanted().map(|_| "--lines"),
            self.no_bpf.then_some("--no-bpf"),
            self.baseline.given(),
        ];
        match given.into_iter().flatten().next() {
            None => Ok(()),
            Some(option) => Err(CommandError::NoEffect {
                option,
                beside: "--for 0, which looks once and records nothing",
                remedy: "leave it out, or record for some time: --for 30s",
            }),
        }
    }
}
