//! `refcow measure`: what the workers copy of a dataset, and why.

use std::io::{self, Write};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueHint, value_parser};

use super::error::CommandError;
use super::options::{DataOptions, PagesFormat, RunOptions, baseline_name, renamed};
use super::session::{self, MeasureRequest};
use super::{compare as comparing, terminal};
use crate::baselines::Baseline;
use crate::claims::Claims;
use crate::compare::{self, Renamed};
use crate::experiment::{Dataset, Plan};
use crate::fixtures::parameters::{self, Setting};
use crate::fixtures::{self, EXIT, Fixture, FixtureError};
use crate::model::{By, Measurement};
use crate::report::{self, Style};

/// The visits of refcow's own fixtures that are made when none is named, in this order, as far as a fixture has them.
const DEFAULT_VISITS: [&str; 4] = ["idle", "reference", "iterate", "read"];

#[derive(Debug, Args)]
pub struct MeasureArgs {
    /// Python files with a function `build`, or names from `refcow fixtures`; after a colon, one of their visits
    #[arg(required = true, value_name = "FIXTURE[:VISIT]", value_hint = ValueHint::FilePath)]
    fixtures: Vec<String>,
    /// Arguments for your own Python files (their sys.argv[1:])
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
    /// What each worker does with the data; repeat for several [default: all visits of a file except `exit`; of a built-in
    /// dataset idle, reference, iterate and read]
    #[arg(long = "visit", value_name = "VISIT")]
    visits: Vec<String>,
    /// What the parent does after building the data and before forking: freeze, collect, collect+freeze or disable (functions
    /// of the module gc), or a function `prepare_NAME` of your file [default: nothing]
    #[arg(long, value_name = "NAME")]
    prepare: Option<String>,
    /// Elements in each list [default: the fixture's]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Bytes of content in each element [default: the fixture's]
    #[arg(long, value_name = "B", value_parser = value_parser!(u64).range(1..))]
    item_bytes: Option<u64>,
    /// Count pages only; do not record what caused the copies
    #[arg(long)]
    no_causes: bool,
    /// Group copied pages by type, region, cause, function, line or package; several with commas (`--by type,line`)
    #[arg(
        long, value_name = "WHAT", value_parser = by(), value_delimiter = ',',
        conflicts_with_all = ["no_causes", "baseline"]
    )]
    by: Vec<By>,
    #[command(flatten)]
    data: DataOptions,
    /// Also name the Python line behind each copied page: one more worker makes each visit, several times slower
    #[arg(long, conflicts_with = "no_causes")]
    lines: bool,
    /// How to write the page counts
    #[arg(long, value_enum, default_value_t)]
    format: PagesFormat,
    /// Save the run as baselines/NAME.json, to compare later runs with it
    #[arg(long, value_name = "NAME", value_parser = baseline_name, conflicts_with = "baseline")]
    save_baseline: Option<String>,
    /// Compare the run with baselines/NAME.json [status 1 if something regressed]
    #[arg(long, value_name = "NAME", value_parser = baseline_name)]
    baseline: Option<String>,
    /// Compare OLD of the baseline with NEW, where a file or a visit was renamed: `loader.py=fast.py`, or
    /// `loader.py:epoch=fast.py:read`; repeat for several
    #[arg(long = "match", value_name = "OLD=NEW", value_parser = renamed, requires = "baseline")]
    renamed: Vec<Renamed>,
    #[command(flatten)]
    run: RunOptions,
}

/// A fixture of the command line, and the visits that it was named with.
struct NamedFixture {
    fixture: Fixture,
    visits: Vec<String>,
    /// Whether it was also named without one.
    whole: bool,
}

impl MeasureArgs {
    pub fn request(&self) -> Result<MeasureRequest, CommandError> {
        let named = self.named()?;
        let mut set = Setting::of_sizes(self.count, self.item_bytes);
        set.extend(self.data.set.iter().cloned());
        for one in &set {
            if !named.iter().any(|named| named.fixture.takes(&one.name)) {
                let fixtures: Vec<_> = named.iter().map(|named| &named.fixture).collect();
                return Err(parameters::unknown(&fixtures, &one.name).into());
            }
        }
        let datasets: Result<Vec<_>, _> = named
            .into_iter()
            .map(|named| self.dataset(named, &set))
            .collect();
        let datasets = datasets?;
        let own = datasets.iter().any(|one| one.fixture.path.is_some());
        Ok(MeasureRequest::from(Plan {
            datasets,
            causes: !self.no_causes,
            // Nothing else is asked for by it.
            lines: self.lines || self.by.contains(&By::Line),
            ..self.data.plan(&self.run, &self.arguments, own)?
        }))
    }

    fn named(&self) -> Result<Vec<NamedFixture>, FixtureError> {
        let mut all: Vec<NamedFixture> = Vec::new();
        for word in &self.fixtures {
            let (name, visit) = fixtures::split_visit(word);
            let fixture = fixtures::find(name)?;
            let place = match all.iter().position(|one| one.fixture.name == fixture.name) {
                Some(place) if all[place].fixture.path == fixture.path => place,
                // A report tells measurements apart by it.
                Some(_) => return Err(FixtureError::TwoOfOneName { name: fixture.name }),
                None => {
                    all.push(NamedFixture {
                        fixture,
                        visits: Vec::new(),
                        whole: false,
                    });
                    all.len() - 1
                }
            };
            all[place].visits.extend(visit.map(str::to_owned));
            all[place].whole |= visit.is_none();
        }
        Ok(all)
    }

    fn dataset(&self, named: NamedFixture, set: &[Setting]) -> Result<Dataset, FixtureError> {
        let NamedFixture {
            fixture,
            mut visits,
            whole,
        } = named;
        if whole && self.visits.is_empty() {
            visits.extend(default_visits(&fixture));
        }
        visits.extend(self.visits.iter().cloned());
        // What one of several does not take is meant for another.
        let set = set.iter().filter(|one| fixture.takes(&one.name));
        let set: Vec<_> = set.cloned().collect();
        Dataset::new(fixture, &set, self.prepare.clone(), visits)
    }

    /// Measures, and compares with a baseline, or keeps one.
    pub fn run(&self, words: Vec<String>) -> Result<(), CommandError> {
        let request = self.request()?;
        let base = match &self.baseline {
            Some(name) => Some(Baseline::named(name).read()?),
            None => None,
        };
        if let Some(base) = &base {
            if matches!(self.format, PagesFormat::Json | PagesFormat::Csv) {
                return Err(CommandError::NoPlaceForComparison);
            }
            let (names, planned) = (compare::names(base), names_of(&request.plan));
            compare::check_names(&self.renamed, &names, &planned)?;
            if !compare::any_common(&self.renamed, &names, &planned) {
                return Err(CommandError::NothingInCommon {
                    remedy: comparing::other_names(&names, &planned),
                });
            }
        }
        let kept = match &self.save_baseline {
            Some(name) => Some(Baseline::named(name).open()?),
            None => None,
        };
        let mut comparison = None;
        let is_document = self.format == PagesFormat::Json;
        let measured = session::run(&request, &self.run, words, is_document, |report, output| {
            let format = self.format.of(output);
            let mut bytes = match self.by.is_empty() {
                false => report::render_by(report, &self.by, format)?,
                true => report::render(report, format)?,
            };
            if let Some(base) = &base {
                let facts = Claims::versions();
                let compared =
                    compare::compare(base, report, compare::TOLERANCE, &self.renamed, facts);
                let style = match self.format {
                    PagesFormat::Markdown => Style::Markdown,
                    _ => terminal::style(output),
                };
                bytes.push(b'\n');
                bytes.extend(report::render_comparison(&compared, style));
                comparison = Some(compared);
            }
            Ok(bytes)
        });
        let report = measured.map_err(|error| match error {
            CommandError::Partly(failures) if kept.is_some() => CommandError::NotKept(failures),
            error => error,
        })?;
        let mut all = report.runs.iter().flat_map(|run| &run.measurements);
        if !self.by.is_empty() && !all.all(Measurement::has_causes) {
            return Err(CommandError::NoCauses);
        }
        if let (Some(kept), Some(name)) = (kept, &self.save_baseline) {
            let path = kept.keep(&report::render(&report, report::Format::Json)?)?;
            if !self.run.quiet {
                // If nobody reads it, nothing is lost.
                let _ = writeln!(
                    io::stderr(),
                    "refcow: the run is saved in {}: compare with it by --baseline {name}",
                    path.display(),
                );
            }
        }
        comparison.map_or(Ok(()), |comparison| {
            comparing::regressions(&comparison, String::new)
        })
    }
}

/// The measurements of a plan, as documents name them.
fn names_of(plan: &Plan) -> Vec<(String, String)> {
    let of_one = |dataset: &Dataset| {
        let fixture = dataset.fixture.name.clone();
        let visits = dataset.visits.clone().into_iter();
        visits.map(move |visit| (fixture.clone(), visit))
    };
    plan.datasets.iter().flat_map(of_one).collect()
}

/// The visits that are made when none is named.
pub fn default_visits(fixture: &Fixture) -> Vec<String> {
    match fixture.path {
        // Ending Python runs whatever the file, or what it imports, does at exit: not unless asked for.
        Some(_) => {
            let all = fixture.visits.iter().map(|visit| visit.name.clone());
            all.filter(|name| name != EXIT).collect()
        }
        None => {
            let has = |visit: &&str| fixture.visit(visit).is_ok();
            let all = DEFAULT_VISITS.into_iter().filter(has);
            all.map(str::to_owned).collect()
        }
    }
}

fn by() -> impl TypedValueParser<Value = By> {
    PossibleValuesParser::new(By::ALL.map(By::as_str)).try_map(|name| name.parse::<By>())
}
