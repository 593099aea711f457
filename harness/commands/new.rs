//! `refcow new`: a file to begin with.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::error::CommandError;
use crate::fixtures;
use crate::output;
use crate::shell;

#[derive(Debug, Args)]
pub struct NewArgs {
    /// The file to create; its name ends in .py
    #[arg(value_name = "FILE.py", value_hint = ValueHint::FilePath)]
    path: PathBuf,
}

impl NewArgs {
    /// Writes it, and says how to go on.
    pub fn run(&self) -> Result<String, CommandError> {
        let path = &self.path;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_none_or(|extension| extension != "py") || stem.is_empty() {
            return Err(CommandError::NotPython(path.clone()));
        }
        output::create(path, fixtures::TEMPLATE.as_bytes())?;
        let word = shell::word(&match path.to_string_lossy() {
            // It would be taken for an option.
            name if name.starts_with('-') => format!("./{name}"),
            name => name.into_owned(),
        });
        let called = std::env::args_os().next();
        let program = called.map_or("refcow".into(), |called| {
            called.to_string_lossy().into_owned()
        });
        let program = shell::word(&program);
        Ok(format!(
            "Created {word}. It can be measured as it is:\n\n    {program} measure {word}\n\n\
             To see what it offers: {program} measure {word} --help\n"
        ))
    }
}
