//! Options that several commands have, and what their values may be.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint, value_parser};

use super::terminal;
use crate::compare::{FixtureOrVisit, Renamed, TOLERANCE};
use crate::experiment::Plan;
use crate::fixtures::parameters::Setting;
use crate::fixtures::{self, FixtureError};
use crate::model::Tolerance;
use crate::model::trees;
use crate::output::Output;
use crate::protocol::MOST_CHILDREN;
use crate::report;
use crate::variables::{Variable, Variables};

/// How long a step may take by default.
pub const TIMEOUT_SECONDS: f64 = 300.0;

/// Options of everything that measures.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// Worker processes that get the data; all stay alive until the end
    #[arg(long, value_name = "K", default_value_t = 2, value_parser = value_parser!(u64).range(1..=MOST_CHILDREN as u64))]
    children: u64,
    /// A version (3.12), the path of an interpreter, the directory of an environment, or `all` on this machine; repeat for
    /// several, side by side [default: the first usable one]
    #[arg(long = "python", value_name = "PYTHON", value_hint = ValueHint::AnyPath)]
    pythons: Vec<String>,
    /// Write the output to this file, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Also write a report to this directory: a page, its charts, tables, and the run itself. Your own files in it are left
    /// alone
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub report: Option<PathBuf>,
    /// Show no progress: only errors go to standard error
    #[arg(long, short)]
    pub quiet: bool,
    /// Time limit in seconds for each step, such as building the data or one visit
    #[arg(long, value_name = "S", default_value_t = TIMEOUT_SECONDS, value_parser = seconds)]
    timeout: f64,
    /// Measure even if the data does not seem to fit into memory
    #[arg(long)]
    pub force: bool,
}

impl RunOptions {
    /// Children of each visit.
    pub fn children(&self) -> usize {
        usize::try_from(self.children).unwrap_or(MOST_CHILDREN)
    }

    /// A plan in which nothing is measured yet.
    pub fn plan(&self) -> Plan {
        Plan {
            datasets: Vec::new(),
            advise: Vec::new(),
            observations: Vec::new(),
            arguments: Vec::new(),
            variables: Vec::new(),
            asked: Variables::default(),
            alternatives: None,
            own_data: None,
            children: self.children(),
            pythons: self.pythons.clone(),
            timeout: Duration::from_secs_f64(self.timeout),
            force: self.force,
            causes: false,
            causes_of_advice: false,
            memory: false,
            lines: false,
            keep_huge_pages: false,
        }
    }
}

/// How the data is built, and what the processes find that use it.
#[derive(Debug, Args)]
pub struct DataOptions {
    /// An argument of `build`, written as in Python; repeat for several (`FILE.py --help` lists those of a file)
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub set: Vec<Setting>,
    /// Set a variable in the environment of the measured processes, before Python starts, or pass yours on; repeat for
    /// several [default: of yours, only HOME, TMPDIR and LD_LIBRARY_PATH are passed on, to your own files]
    #[arg(long = "env", value_name = "NAME[=VALUE]", value_parser = Variable::parse)]
    env: Vec<Variable>,
    /// Pass on all of your variables except those that would break the measurement, such as LD_PRELOAD, LD_AUDIT, PYTHONHOME
    /// and PYTHONHASHSEED
    #[arg(long)]
    env_all: bool,
    /// Transparent huge pages in the measured processes; `keep` leaves them as your own program would have them
    #[arg(long, value_enum, default_value_t)]
    huge_pages: HugePagesOption,
}

impl DataOptions {
    /// The plan, with these processes, and arguments for the user's own files, if there are any.
    ///
    /// # Errors
    /// A variable that cannot be passed on; arguments that no file gets.
    pub fn plan(
        &self,
        run: &RunOptions,
        arguments: &[String],
        has_files: bool,
    ) -> Result<Plan, FixtureError> {
        if let (false, Some(first)) = (has_files, arguments.first()) {
            let first = first.clone();
            return Err(FixtureError::NoArguments { first });
        }
        let asked = Variables {
            given: self.env.clone(),
            all: self.env_all,
        };
        Ok(Plan {
            variables: asked.resolve()?,
            asked,
            keep_huge_pages: self.huge_pages == HugePagesOption::Keep,
            arguments: arguments.to_vec(),
            ..run.plan()
        })
    }
}

/// What becomes of transparent huge pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum HugePagesOption {
    /// None, so that each copy is one page of 4 KiB
    #[default]
    Off,
    /// As in your own program; the kernel may copy pages to make one (the cause `khugepaged`)
    Keep,
}

/// Formats of page counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PagesFormat {
    /// For people
    #[default]
    Table,
    /// For programs: one document, as `refcow schema` describes it
    Json,
    /// For a page or a pull request
    Markdown,
    /// One row for each region of each worker
    Csv,
}

impl PagesFormat {
    /// This one, for what is written to.
    pub fn of(self, output: &Output) -> report::Format {
        match self {
            Self::Json => report::Format::Json,
            Self::Markdown => report::Format::Markdown,
            Self::Csv => report::Format::Csv,
            Self::Table => report::Format::Table {
                width: terminal::width_of(output),
            },
        }
    }
}

/// Formats of what is said in sentences: verdicts, facts, advice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum WordsFormat {
    /// For people
    #[default]
    Table,
    /// For programs: one document, as `refcow schema` describes it
    Json,
    /// For a page or a pull request
    Markdown,
}

/// Formats of trees of processes that run already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LiveFormat {
    /// For people
    #[default]
    Table,
    /// For programs: one document, as `refcow schema trees` describes it
    Json,
    /// For pandas, R or a spreadsheet: a row for each cause of the pages that were recorded, or for each process of a look
    Csv,
}

/// How far page counts may be apart.
#[derive(Debug, Args)]
pub struct ToleranceOptions {
    /// Differences of up to so many pages a worker are noise between two machines or builds, or where code or data changed
    /// [default: 16, of trees 64]
    #[arg(long, value_name = "N")]
    tolerance_pages: Option<u64>,
    /// The same as per cent of the earlier pages, if that is more [default: 2, of trees 10]
    #[arg(long, value_name = "P", value_parser = per_cent)]
    tolerance_percent: Option<f64>,
}

impl ToleranceOptions {
    /// What is noise between machines or builds.
    pub fn tolerance(&self) -> Tolerance {
        self.or(TOLERANCE)
    }

    /// What is noise between two recordings of a program.
    pub fn of_trees(&self) -> Tolerance {
        self.or(trees::compare::TOLERANCE)
    }

    fn or(&self, default: Tolerance) -> Tolerance {
        let share = self.tolerance_percent.map(|percent| percent / 100.0);
        Tolerance {
            pages: self.tolerance_pages.unwrap_or(default.pages),
            share: share.unwrap_or(default.share),
        }
    }
}

/// An argument of `build`.
fn setting(text: &str) -> Result<Setting, String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err("write it as NAME=VALUE".into());
    };
    let of_names = |character: char| character == '_' || character.is_alphanumeric();
    match name.chars().all(of_names)
        && !name.starts_with(|first: char| first.is_numeric())
        && !name.is_empty()
    {
        true => Ok(Setting {
            name: name.to_owned(),
            value: value.to_owned(),
        }),
        false => Err("the name of an argument has letters, digits and _".into()),
    }
}

/// What has another name now.
pub fn renamed(text: &str) -> Result<Renamed, String> {
    let Some((old, new)) = text.split_once('=') else {
        return Err("write it as OLD=NEW: a name in the base, and its name now".into());
    };
    let (old, new) = (subject(old)?, subject(new)?);
    match old.visit.is_some() == new.visit.is_some() {
        true => Ok(Renamed { old, new }),
        false => Err("name a visit on both sides of `=`, or on neither".into()),
    }
}

/// A fixture as documents name it: of a path the file's name without `.py`; behind a colon one of its visits.
fn subject(text: &str) -> Result<FixtureOrVisit, String> {
    let (name, visit) = fixtures::split_visit(text);
    let stem = name.rsplit('/').next().unwrap_or(name);
    let stem = stem.strip_suffix(".py").unwrap_or(stem);
    match stem.is_empty() || visit.is_some_and(str::is_empty) {
        true => Err(format!("`{text}` names no file or fixture")),
        false => Ok(FixtureOrVisit {
            fixture: stem.to_owned(),
            visit: visit.map(str::to_owned),
        }),
    }
}

/// The name of a baseline, which becomes that of a file in one folder.
pub fn baseline_name(text: &str) -> Result<String, String> {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if text.ends_with(".json") {
        return Err("give the name without .json".into());
    }
    match !text.is_empty() && !text.starts_with('.') && text.chars().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("a name has letters and digits, and -, _ or . after the first".into()),
    }
}

/// A time limit: more than nothing, at most a year.
pub fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 31_536_000.0 => Ok(seconds),
        Ok(_) => Err("a time limit is more than 0 and at most 31536000 seconds".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// A part in per cent.
fn per_cent(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=100.0).contains(&number) => Ok(number),
        Ok(_) => Err("a tolerance is from 0 to 100 per cent".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renamed_file_is_named_by_its_path_or_as_documents_name_it() {
        let one = |text| renamed(text).map(|one| (one.old.to_string(), one.new.to_string()));
        let names = |old: &str, new: &str| Ok((old.to_owned(), new.to_owned()));
        assert_eq!(one("loader=fast"), names("loader", "fast"));
        assert_eq!(one("a/loader.py=./b/fast.py"), names("loader", "fast"));
        assert_eq!(
            one("loader.py:epoch=loader:read"),
            names("loader:epoch", "loader:read")
        );
        assert!(one("loader").unwrap_err().contains("OLD=NEW"));
        assert!(
            one("loader:epoch=fast")
                .unwrap_err()
                .contains("on both sides")
        );
        for nothing in ["=fast", "loader=", "=", "a/.py=fast"] {
            assert!(
                one(nothing).unwrap_err().contains("names no file"),
                "{nothing}"
            );
        }
    }
}
