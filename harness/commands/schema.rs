//! `refcow schema`: what is in the JSON.

use clap::{Args, ValueEnum};

use crate::{live, model};

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
    /// What `refcow trees`, `attach` and `run` write with --format json
    Trees,
}

impl SchemaArgs {
    pub fn run(&self) -> String {
        let schema = match self.of {
            Document::Report => model::schema(),
            Document::Comparison => model::comparison_schema(),
            Document::Reproduction => model::reproduction_schema(),
            Document::Trees => live::document::schema(),
        };
        format!("{:#}\n", schema.to_value())
    }
}
