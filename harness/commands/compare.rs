//! `refcow compare`: what workers pay in a run, and in an earlier one.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::error::CommandError;
use super::options::{ToleranceOptions, renamed};
use super::{terminal, trees_baseline};
use crate::claims::Claims;
use crate::compare::{self, Renamed};
use crate::documents::{self, AnyDocument};
use crate::model::trees::{self, Trees};
use crate::model::{Comparison, Status};
use crate::output::Output;
use crate::report::{self, Style};

/// What the status of a comparison means.
pub const STATUS: &str = "Exit status:
  0    nothing regressed: it improved, is unchanged or within noise, or cannot be compared (the reason is printed)
  1    regressed: more bytes are copied and made than in the base, or taken with a way to share, or a verdict or fact is no longer as
       expected
  2    bad input: a file that is no run, a name that a run does not have, or two runs with nothing in common";

#[derive(Debug, Args)]
pub struct CompareArgs {
    /// The earlier run, as --format json wrote it
    #[arg(value_name = "BASE.json", value_hint = ValueHint::FilePath)]
    base: PathBuf,
    /// The run to compare with it
    #[arg(value_name = "NEW.json", value_hint = ValueHint::FilePath)]
    new: PathBuf,
    /// Compare OLD of the base with NEW, where a file or a visit was renamed: `loader.py=fast.py`, or
    /// `loader.py:epoch=fast.py:read`; repeat for several
    #[arg(long = "match", value_name = "OLD=NEW", value_parser = renamed)]
    renamed: Vec<Renamed>,
    /// How to write the comparison
    #[arg(long, value_enum, default_value_t)]
    format: ComparisonFormat,
    #[command(flatten)]
    tolerance: ToleranceOptions,
    /// Write the comparison to this file, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

/// Formats of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ComparisonFormat {
    /// For people
    #[default]
    Table,
    /// For a page or a pull request
    Markdown,
    /// For programs: one document, as `refcow schema comparison` describes it
    Json,
    /// Annotations of a GitHub workflow; the Markdown table goes to $GITHUB_STEP_SUMMARY, if that is set
    Github,
}

impl CompareArgs {
    pub fn run(&self) -> Result<(), CommandError> {
        let base = match documents::read_any(&self.base)? {
            AnyDocument::Report(named) => named.report,
            AnyDocument::Trees(base) => {
                return self.trees(&base, &documents::read_trees(&self.new)?);
            }
        };
        let new = documents::read(&self.new)?.report;
        let (names, names_now) = (compare::all_names(&base), compare::all_names(&new));
        compare::check_names(&self.renamed, &names, &names_now)?;
        let output = Output::open(self.output.as_deref())?;
        let tolerance = self.tolerance.tolerance();
        let facts = Claims::versions();
        let comparison = compare::compare(&base, &new, tolerance, &self.renamed, facts);
        let bytes = match self.format {
            ComparisonFormat::Json => report::render_json(&comparison)?,
            ComparisonFormat::Markdown => report::render_comparison(&comparison, Style::Markdown),
            ComparisonFormat::Table => {
                report::render_comparison(&comparison, terminal::style(&output))
            }
            ComparisonFormat::Github => report::github(&comparison),
        };
        output.write(&bytes)?;
        if self.format == ComparisonFormat::Github {
            let summary = report::render_comparison(&comparison, Style::Markdown);
            append_to_summary(&summary)?;
        }
        regressions(&comparison, || other_names(&names, &names_now))
    }
}

impl CompareArgs {
    /// The same of trees of processes.
    fn trees(&self, base: &Trees, new: &Trees) -> Result<(), CommandError> {
        let output = Output::open(self.output.as_deref())?;
        let tolerance = self.tolerance.of_trees();
        let comparison = trees::compare::compare(base, new, tolerance);
        let render = report::trees_comparison::render;
        let bytes = match self.format {
            ComparisonFormat::Json => report::render_json(&comparison)?,
            ComparisonFormat::Markdown => render(&comparison, Style::Markdown),
            ComparisonFormat::Table => render(&comparison, terminal::style(&output)),
            ComparisonFormat::Github => report::trees_comparison::github(&comparison),
        };
        output.write(&bytes)?;
        if self.format == ComparisonFormat::Github {
            append_to_summary(&render(&comparison, Style::Markdown))?;
        }
        trees_baseline::regressions(&comparison)
    }
}

/// Adds a Markdown text to what GitHub shows of a job, where refcow runs in one.
///
/// # Errors
/// When the file that the runner names cannot be written.
fn append_to_summary(text: &[u8]) -> Result<(), CommandError> {
    let named = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|name| !name.is_empty());
    let Some(path) = named.map(PathBuf::from) else {
        return Ok(());
    };
    let mut options = OpenOptions::new();
    let file = options.append(true).create(true).open(&path);
    file.and_then(|mut file| file.write_all(text))
        .map_err(|source| CommandError::Summary { path, source })
}

/// An error if there are any, or if none could have been found.
pub fn regressions(
    comparison: &Comparison,
    remedy: impl Fn() -> String,
) -> Result<(), CommandError> {
    if comparison.common() == 0 {
        return Err(CommandError::NothingInCommon { remedy: remedy() });
    }
    let several = comparison.compared.len() > 1;
    let subjects: Vec<String> = comparison
        .compared
        .iter()
        .flat_map(|runs| runs.judged().map(move |(row, _)| (runs, row)))
        .filter(|(_, row)| row.status == Status::Regressed)
        .map(|(runs, row)| match several {
            true => format!("{} with CPython {}", row.key.subject(), runs.new.version),
            false => row.key.subject(),
        })
        .collect();
    let subjects = match &subjects[..] {
        [] => return Ok(()),
        [one] => one.clone(),
        [one, another] => format!("{one} and {another}"),
        [one, others @ ..] => format!("{one} and {} others", others.len()),
    };
    Err(CommandError::Regressed(subjects))
}

/// How to compare all the same what has one name in the base and another now, if it is clear which.
pub fn other_names(base: &[(String, String)], new: &[(String, String)]) -> String {
    let only = |names: &[(String, String)]| {
        let mut fixtures: Vec<String> = names.iter().map(|(fixture, _)| fixture.clone()).collect();
        fixtures.dedup();
        <[String; 1]>::try_from(fixtures).ok()
    };
    match (only(base), only(new)) {
        (Some([old]), Some([new])) if old != new => {
            format!("; if {new} is what {old} was: --match {old}={new}")
        }
        _ => String::new(),
    }
}
