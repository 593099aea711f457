//! `refcow schema`: what is in the JSON.

use clap::{Args, ValueEnum};

use super::error::CommandError;
use crate::model;
use crate::output::Output;

/// The flags of `refcow schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of which document
    #[arg(value_enum, default_value_t)]
    of: Document,
}

/// The documents that refcow writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Document {
    /// What was measured
    #[default]
    Report,
    /// What `refcow compare --format json` writes
    Comparison,
    /// What `refcow reproduce --format json` writes
    Reproduction,
}

impl SchemaArgs {
    /// Prints it.
    pub fn run(&self) -> Result<(), CommandError> {
        let schema = match self.of {
            Document::Report => model::schema(),
            Document::Comparison => model::comparison_schema(),
            Document::Reproduction => model::reproduction_schema(),
        };
        let text = format!("{:#}\n", schema.to_value());
        Ok(Output::Standard.write(text.as_bytes())?)
    }
}
