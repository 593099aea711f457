//! `refcow schema`: what is in the JSON.

use clap::{Args, ValueEnum};

use crate::model;

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Of which document
    #[arg(value_enum, default_value_t)]
    of: DocumentKind,
}

/// The documents that refcow writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum DocumentKind {
    /// What was measured
    #[default]
    Report,
    /// What `refcow compare --format json` writes
    Comparison,
    /// What `refcow reproduce --format json` writes
    Reproduction,
    /// What `refcow trees`, `attach` and `run` write with --format json
    Trees,
    /// What `refcow compare --format json` writes of two of them
    TreesComparison,
}

impl SchemaArgs {
    pub fn run(&self) -> String {
        let schema = match self.of {
            DocumentKind::Report => model::schema(),
            DocumentKind::Comparison => model::comparison_schema(),
            DocumentKind::Reproduction => model::reproduction_schema(),
            DocumentKind::Trees => model::trees::schema(),
            DocumentKind::TreesComparison => model::trees::compare::comparison_schema(),
        };
        format!("{:#}\n", schema.to_value())
    }
}
