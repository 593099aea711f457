//! `refcow merge`: one document of several.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::error::CommandError;
use super::options::PagesFormat;
use super::terminal;
use crate::output::Output;
use crate::report::{self, Style};
use crate::{documents, merge};

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Saved runs, as --format json wrote them
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Vec<PathBuf>,
    /// How to write the document
    #[arg(long, value_enum, default_value_t = PagesFormat::Json)]
    format: PagesFormat,
    /// Write the document to this file, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

impl MergeArgs {
    pub fn run(&self) -> Result<(), CommandError> {
        let documents = self.files.iter().map(|path| documents::read(path));
        let documents = documents.collect::<Result<Vec<_>, _>>()?;
        let output = Output::open(self.output.as_deref())?;
        let report = merge::merge(documents)?;
        let bytes = match self.format {
            PagesFormat::Json | PagesFormat::Csv => {
                report::render(&report, self.format.of(&output))?
            }
            PagesFormat::Markdown => report::render_document(&report, Style::Markdown),
            PagesFormat::Table => report::render_document(&report, terminal::style(&output)),
        };
        Ok(output.write(&bytes)?)
    }
}
