//! `refcow sharing`: the ways by which data reaches worker processes.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint, value_parser};

use super::error::CommandError;
use super::options::{DataOptions, RunOptions, WordsFormat};
use super::session::{self, MeasureRequest};
use crate::claims::{HANDED_OVER_BYTES, LEAST_HANDED_OVER_BYTES};
use crate::experiment::sharing::variant::{OwnDataVariant, Selection as WantedWays};
use crate::experiment::{Dataset, Plan, SharedDataset};
use crate::fixtures::parameters::Setting;
use crate::fixtures::{self, EXIT, Fixture, FixtureError, IDLE};
use crate::mitigations::{Mitigation, mitigations};
use crate::model::{Report, StartMethod};
use crate::protocol::MOST_CHILDREN;
use crate::report::{self, Style};

/// What is shared where numbers of workers are named, and no file: the integers of all other ways, each an object.
const INTEGERS: (&str, &str) = ("ints", "iterate");

#[derive(Debug, Args)]
pub struct SharingArgs {
    /// A Python file with a function `build`, or a name from `refcow fixtures`; after a colon, the visit that each worker makes
    /// [default: integers and bitarrays, which each worker reads]
    #[arg(value_name = "FILE[:VISIT]", value_hint = ValueHint::FilePath)]
    fixture: Option<String>,
    /// Arguments for your own Python file (its sys.argv[1:])
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
    /// Bytes to hand over, eight for each integer
    #[arg(
        long, value_name = "BYTES", default_value_t = HANDED_OVER_BYTES,
        value_parser = value_parser!(u64).range(LEAST_HANDED_OVER_BYTES..), conflicts_with = "fixture"
    )]
    size: u64,
    /// Only this way to share; repeat for several [default: all]
    #[arg(long = "way", value_name = "WAY")]
    ways: Vec<String>,
    /// How multiprocessing starts the workers [default: fork; for some ways every method]
    #[arg(long, value_name = "METHOD", value_parser = start_methods())]
    start_method: Option<StartMethod>,
    /// Measure each of these numbers of workers, and say what the next ones would take: `--workers 1,2,4`
    #[arg(
        long, value_name = "K", value_delimiter = ',', conflicts_with = "children",
        value_parser = value_parser!(u64).range(1..=MOST_CHILDREN as u64)
    )]
    workers: Vec<u64>,
    /// Memory that there is for all workers, as 8GiB [default: the limit of the cgroup, or the machine's]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    #[command(flatten)]
    data: DataOptions,
    /// How to write the comparison
    #[arg(long, value_enum, default_value_t)]
    format: WordsFormat,
    #[command(flatten)]
    run: RunOptions,
}

impl SharingArgs {
    pub fn request(&self) -> Result<MeasureRequest, CommandError> {
        match &self.fixture {
            Some(name) => self.of_data(name, &self.data.set),
            None if !self.workers.is_empty() => {
                self.nothing_of_a_file()?;
                let (fixture, visit) = INTEGERS;
                let count = Setting::of_sizes(Some(self.size / 8), None);
                self.of_data(&format!("{fixture}:{visit}"), &count)
            }
            None => self.of_integers(),
        }
    }

    /// Refuses options that only data of the user's own has a use for.
    fn nothing_of_a_file(&self) -> Result<Plan, FixtureError> {
        let plan = self.data.plan(&self.run, &self.arguments, false)?;
        let given = [
            ("--set", !self.data.set.is_empty()),
            ("--env", !plan.asked.given.is_empty()),
            ("--env-all", plan.asked.all),
            ("--huge-pages", plan.keep_huge_pages),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => Err(FixtureError::NoFile { option }),
            None => Ok(plan),
        }
    }

    fn of_integers(&self) -> Result<MeasureRequest, CommandError> {
        let plan = self.nothing_of_a_file()?;
        if self.memory.is_some() {
            let option = "--memory";
            return Err(FixtureError::NoFile { option }.into());
        }
        let method = self.start_method;
        let (children, force) = (self.run.children(), self.run.force);
        let ways = WantedWays::new(&self.ways, method, self.size, children, force)?;
        // Whoever chooses among the ways wants those alone.
        let datasets = match self.ways.is_empty() && method.is_none() {
            true => mitigated(self.size)?,
            false => Vec::new(),
        };
        Ok(MeasureRequest::from(Plan {
            datasets,
            alternatives: Some(ways),
            ..plan
        }))
    }

    /// A file's data, with one of its visits.
    fn of_data(&self, name: &str, set: &[Setting]) -> Result<MeasureRequest, CommandError> {
        let (name, visit) = fixtures::split_visit(name);
        let fixture = fixtures::find(name)?;
        let visit = match visit {
            Some(visit) => visit.to_owned(),
            None => only_visit(&fixture, name)?,
        };
        if [IDLE, EXIT].contains(&&visit[..]) {
            return Err(FixtureError::NotOfTheData { visit }.into());
        }
        let is_file = fixture.path.is_some();
        let dataset = Dataset::new(fixture, set, None, vec![visit])?;
        let mut workers: Vec<usize> = match self.workers.is_empty() {
            true => vec![self.run.children()],
            false => {
                let all = self.workers.iter();
                all.filter_map(|one| usize::try_from(*one).ok()).collect()
            }
        };
        workers.sort_unstable();
        workers.dedup();
        if self.memory.is_some() && workers.len() < 2 {
            return Err(CommandError::NoEffect {
                option: "--memory",
                beside: "one number of workers",
                remedy: "name several, so that refcow knows what each one more takes: --workers 1,2,4",
            });
        }
        Ok(MeasureRequest::from(Plan {
            own_data: Some(SharedDataset {
                dataset,
                ways: OwnDataVariant::choose(&self.ways, self.start_method)?,
                required: self.start_method,
                workers,
                memory_bytes: self.memory,
            }),
            ..self.data.plan(&self.run, &self.arguments, is_file)?
        }))
    }

    pub fn run(&self, words: Vec<String>) -> Result<(), CommandError> {
        let render = |report: &Report, style| match style {
            _ if self.fixture.is_some() || !self.workers.is_empty() => {
                report::render_own_data(report, style)
            }
            Style::Markdown => report::render_alternatives_markdown(report),
            Style::Terminal { width, .. } => report::render_alternatives(report, width),
        };
        session::run_in_words(&self.request()?, &self.run, words, self.format, render)?;
        Ok(())
    }
}

/// The one visit that a file has.
fn only_visit(fixture: &Fixture, name: &str) -> Result<String, FixtureError> {
    let all = fixture.visits.iter().map(|visit| &visit.name[..]);
    let own: Vec<&str> = all.filter(|visit| ![IDLE, EXIT].contains(visit)).collect();
    match own[..] {
        [visit] => Ok(visit.to_owned()),
        [] => Err(FixtureError::NoVisit {
            fixture: fixture.name.clone(),
        }),
        _ => Err(FixtureError::SeveralVisits {
            fixture: name.to_owned(),
            visits: own.join(", "),
        }),
    }
}

/// The datasets of all mitigations, made of so many bytes.
pub fn mitigated(size_bytes: u64) -> Result<Vec<Dataset>, FixtureError> {
    let mitigations = mitigations();
    let dataset = |mitigation: &Mitigation| {
        let fixture = fixtures::find(&mitigation.fixture)?;
        let count = Some(mitigation.count(size_bytes));
        let set = Setting::of_sizes(count, mitigation.item_bytes);
        let visits = mitigations.visits.clone();
        Dataset::new(fixture, &set, mitigation.prepare.clone(), visits)
    };
    mitigations.all.iter().map(dataset).collect()
}

fn start_methods() -> impl TypedValueParser<Value = StartMethod> {
    PossibleValuesParser::new(StartMethod::NAMES).try_map(|name| name.parse::<StartMethod>())
}

/// `8GiB`, `512 MiB`, `1073741824`.
fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32); 9] = [
        ("KiB", 10),
        ("MiB", 20),
        ("GiB", 30),
        ("TiB", 40),
        ("K", 10),
        ("M", 20),
        ("G", 30),
        ("T", 40),
        ("B", 0),
    ];
    let unit = UNITS.iter().find_map(|(unit, shift)| {
        let number = text.strip_suffix(unit)?;
        Some((number, *shift))
    });
    let (number, shift) = unit.unwrap_or((text, 0));
    match number.trim().parse::<f64>() {
        Ok(number) if (1.0..2f64.powi(62)).contains(&(number * f64::from(shift).exp2())) => {
            Ok((number * f64::from(shift).exp2()) as u64)
        }
        _ => Err("write it as 8GiB, 512MiB, or a number of bytes".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_binary_units() {
        assert_eq!(size("8GiB"), Ok(8 << 30));
        assert_eq!(size("1.5 MiB"), Ok(3 << 19));
        assert_eq!(size("4096"), Ok(4096));
        assert_eq!(size("2G"), Ok(2 << 30));
        for nothing in [
            "",
            "0",
            "0.5",
            "-1GiB",
            "8GB",
            "many",
            "NaN",
            "infGiB",
            "9999999TiB",
        ] {
            assert!(size(nothing).is_err(), "{nothing}");
        }
    }
}
