//! Flags in, a plan out.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint, value_parser};
use clap_complete::Shell;

use crate::experiment::calibration::{self, Pattern};
use crate::experiment::{Dataset, Plan};
use crate::fixtures;
use crate::protocol::{MOST_CHILDREN, Size};

/// What is measured without arguments: the article's example, and the same data in shared memory.
const DEFAULT_FIXTURES: [&str; 2] = ["three_lists", "shared_numpy"];
/// With these visits, in this order, as far as a fixture has them.
const DEFAULT_VISITS: [&str; 4] = ["idle", "reference", "iterate", "read"];
/// For a fixture whose `build` has no default of its own.
const DEFAULT_SIZE: Size = Size {
    count: 2_000,
    item_bytes: 64 << 10,
};

/// Counts, to the page, what fork() really shares between Python processes, and who unshared it.
///
/// Without a command: measures three large lists (one of bitarrays, two of integer arrays) that forked children visit,
/// and the same data in multiprocessing.shared_memory.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit status:\n  0    done\n  1    an expectation failed\n  2    bad input: nothing was measured\n  \
                  3    could not measure: the message says why\n  130  interrupted (Ctrl-C)"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    default_measure: MeasureOptions,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build datasets, let forked children visit them, and count the pages they unshared
    Measure(Measure),
    /// What there is to measure, each with its visits and expected effect
    Fixtures(Fixtures),
    /// What this machine allows, what is lost with each "no", and how to get it
    Doctor(Doctor),
    /// Have a child without Python write known pages, and count them
    Calibrate(Calibrate),
    /// Print the JSON Schema of the JSON format
    Schema,
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page of refcow, or of one of its commands, in roff
    Man {
        /// Which command's
        #[arg(value_name = "COMMAND")]
        command: Option<String>,
    },
}

/// `refcow measure`.
#[derive(Debug, Args)]
pub struct Measure {
    /// Names from `refcow fixtures`, or paths of Python files like them
    #[arg(required = true, value_name = "FIXTURE")]
    fixtures: Vec<String>,
    #[command(flatten)]
    options: MeasureOptions,
}

/// Options of everything that measures.
#[derive(Debug, Args)]
pub struct MeasureOptions {
    /// What each child does; repeat for several [default: idle, reference, iterate and read, or all of a file's]
    #[arg(long = "visit", value_name = "VISIT")]
    visits: Vec<String>,
    /// Elements in each list [default: the fixture's]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Bytes of content in each element [default: the fixture's]
    #[arg(long, value_name = "B", value_parser = value_parser!(u64).range(1..))]
    item_bytes: Option<u64>,
    /// Children that visit the data, one after the other, all alive to the end
    #[arg(long, value_name = "K", default_value_t = 2, value_parser = value_parser!(u64).range(1..=MOST_CHILDREN as u64))]
    children: u64,
    /// A version (3.12), the path of an interpreter, or the folder of an environment [default: the first usable one]
    #[arg(long, value_name = "PATH_OR_VERSION", value_hint = ValueHint::AnyPath)]
    python: Option<String>,
    /// How to write the report
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Where to write it, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Seconds that building a dataset, or one visit, may take
    #[arg(long, value_name = "S", default_value_t = 300.0, value_parser = seconds)]
    timeout: f64,
    /// Measure even if the data seems not to fit into memory
    #[arg(long)]
    force: bool,
}

/// Formats of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Table,
    /// For programs: one document, as `refcow schema` describes it
    Json,
    /// For a page or a pull request
    Markdown,
    /// One row a region of a child
    Csv,
}

/// `refcow fixtures`.
#[derive(Debug, Args)]
pub struct Fixtures {
    /// Only these [default: all]
    #[arg(value_name = "FIXTURE")]
    pub names: Vec<String>,
}

/// `refcow doctor`.
#[derive(Debug, Args)]
pub struct Doctor {}

/// `refcow calibrate`.
#[derive(Debug, Args)]
pub struct Calibrate {
    /// Pages to map
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = value_parser!(u64).range(1..=1 << 24))]
    pages: u64,
    /// Which of them the child writes: scattered, none, one, all or every:N
    #[arg(long, value_name = "WHICH", default_value = "scattered", value_parser = pattern)]
    write: Pattern,
    /// Write so many pages more without saying so, to see the calibration fail
    #[arg(long, value_name = "N", default_value_t = 0, hide = true)]
    unreported: u64,
    /// Whose shared library the subject is started with
    #[arg(long, value_name = "PATH_OR_VERSION", value_hint = ValueHint::AnyPath)]
    pub python: Option<String>,
}

impl Cli {
    /// The measuring options, whichever way they were given.
    pub fn options(&self) -> &MeasureOptions {
        match &self.command {
            Some(Command::Measure(measure)) => &measure.options,
            _ => &self.default_measure,
        }
    }

    /// What is to be measured.
    ///
    /// # Errors
    /// An unknown fixture or visit.
    pub fn plan(&self) -> Result<Plan, fixtures::Error> {
        match &self.command {
            Some(Command::Measure(measure)) => measure.options.plan(&measure.fixtures),
            _ => self
                .default_measure
                .plan(&DEFAULT_FIXTURES.map(str::to_owned)),
        }
    }
}

impl MeasureOptions {
    fn plan(&self, names: &[String]) -> Result<Plan, fixtures::Error> {
        let mut seen = HashSet::new();
        let once = names.iter().filter(|name| seen.insert(*name));
        let datasets: Result<Vec<_>, _> = once.map(|name| self.dataset(name)).collect();
        Ok(Plan {
            datasets: datasets?,
            children: usize::try_from(self.children).unwrap_or(MOST_CHILDREN),
            python: self.python.clone(),
            timeout: Duration::from_secs_f64(self.timeout),
            force: self.force,
        })
    }

    fn dataset(&self, name: &str) -> Result<Dataset, fixtures::Error> {
        let fixture = fixtures::find(name)?;
        let mut visits: Vec<String> = if self.visits.is_empty() && fixture.path.is_some() {
            fixture
                .visits
                .iter()
                .map(|visit| visit.name.clone())
                .collect()
        } else if self.visits.is_empty() {
            let has = |visit: &&str| fixture.visit(visit).is_ok();
            DEFAULT_VISITS
                .into_iter()
                .filter(has)
                .map(str::to_owned)
                .collect()
        } else {
            for visit in &self.visits {
                fixture.visit(visit)?;
            }
            self.visits.clone()
        };
        let mut seen = HashSet::new();
        visits.retain(|visit| seen.insert(visit.clone()));
        Ok(Dataset {
            size: Size {
                count: self
                    .count
                    .or(fixture.default_count)
                    .unwrap_or(DEFAULT_SIZE.count),
                item_bytes: self
                    .item_bytes
                    .or(fixture.default_item_bytes)
                    .unwrap_or(DEFAULT_SIZE.item_bytes),
            },
            visits,
            fixture,
        })
    }
}

impl Calibrate {
    /// What to calibrate with.
    pub fn options(&self) -> calibration::Options {
        calibration::Options {
            pages: self.pages,
            pattern: self.write,
            unreported: self.unreported,
        }
    }
}

/// A time limit: more than nothing, at most a year.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 31_536_000.0 => Ok(seconds),
        Ok(_) => Err("a time limit is more than 0 and at most 31536000 seconds".into()),
        Err(error) => Err(error.to_string()),
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    match text {
        "scattered" => Ok(Pattern::Scattered),
        "none" => Ok(Pattern::None),
        "one" => Ok(Pattern::One),
        "all" => Ok(Pattern::All),
        _ => match text.strip_prefix("every:").map(str::parse) {
            Some(Ok(step)) if step > 0 => Ok(Pattern::Every(step)),
            _ => Err("one of scattered, none, one, all, or every:N with N from 1".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }
}
