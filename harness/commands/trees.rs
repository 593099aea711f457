//! `refcow trees`: the trees of Python processes on this machine.

use std::path::PathBuf;

use clap::ValueHint;

use super::error::CommandError;
use super::options::LiveFormat;
use super::terminal::width_of;
use crate::live::document::{self, Trees};
use crate::live::family::families;
use crate::live::python::python_of;
use crate::live::{self, LiveError, table};
use crate::output::Output;
use crate::report;

/// `refcow trees`.
#[derive(Debug, clap::Args)]
pub struct TreesArgs {
    /// How to write them
    #[arg(long, value_enum, default_value_t)]
    format: LiveFormat,
    /// Where to write, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

impl TreesArgs {
    pub fn run(&self) -> Result<(), CommandError> {
        run(self)
    }
}

/// Lists them.
fn run(args: &TreesArgs) -> Result<(), CommandError> {
    let output = Output::open(args.output.as_deref())?;
    let found = families();
    let mut trees = Vec::new();
    let mut alone = 0;
    for family in found.families {
        // One that has ended meanwhile, or is closed after all, is no tree.
        if !matches!(python_of(family.oldest().pid), Ok(Some(_))) {
            continue;
        }
        if family.members.len() == 1 {
            alone += 1;
            continue;
        }
        match document::now(family, false).map_err(LiveError::from)? {
            Some(tree) if tree.processes.len() > 1 => trees.push(tree),
            Some(_) => alone += 1,
            None => {}
        }
    }
    let trees = Trees {
        alone: Some(alone),
        closed: Some(found.closed.len() as u64),
        ..document::trees(trees)
    };
    let text = match args.format {
        LiveFormat::Table => table::of_all(&trees, width_of(&output)).into_bytes(),
        LiveFormat::Json => live::json(&trees)?,
        LiveFormat::Csv => report::trees::processes_now_csv(&trees)?,
    };
    Ok(output.write(&text)?)
}
