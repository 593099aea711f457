//! `refcow sharing`: the ways by which data reaches worker processes.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, value_parser};

use super::error::CommandError;
use super::options::{RunOptions, WordsFormat};
use super::session::{self, MeasureRequest};
use crate::claims::{HANDED_OVER_BYTES, LEAST_HANDED_OVER_BYTES};
use crate::experiment::sharing::Selection as WantedWays;
use crate::experiment::{Dataset, Plan};
use crate::fixtures::parameters::Setting;
use crate::fixtures::{self, FixtureError};
use crate::mitigations::{Mitigation, mitigations};
use crate::model::{Report, StartMethod};
use crate::report::{self, Style};

#[derive(Debug, Args)]
pub struct SharingArgs {
    /// Bytes to hand over, eight for each integer
    #[arg(long, value_name = "BYTES", default_value_t = HANDED_OVER_BYTES, value_parser = value_parser!(u64).range(LEAST_HANDED_OVER_BYTES..))]
    size: u64,
    /// Only this way to share; repeat for several [default: all]
    #[arg(long = "way", value_name = "WAY")]
    ways: Vec<String>,
    /// How multiprocessing starts the workers [default: fork; for some ways every method]
    #[arg(long, value_name = "METHOD", value_parser = start_methods())]
    start_method: Option<StartMethod>,
    /// How to write the comparison
    #[arg(long, value_enum, default_value_t)]
    format: WordsFormat,
    #[command(flatten)]
    run: RunOptions,
}

impl SharingArgs {
    pub fn request(&self) -> Result<MeasureRequest, CommandError> {
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
            ..self.run.plan()
        }))
    }

    pub fn run(&self, words: Vec<String>) -> Result<(), CommandError> {
        let render = |report: &Report, style| match style {
            Style::Markdown => report::render_alternatives_markdown(report),
            Style::Terminal { width, .. } => report::render_alternatives(report, width),
        };
        session::run_in_words(&self.request()?, &self.run, words, self.format, render)?;
        Ok(())
    }
}

/// The datasets of all mitigations, made of so many bytes.
pub fn mitigated(size_bytes: u64) -> Result<Vec<Dataset>, FixtureError> {
    let mitigations = mitigations();
    let dataset = |mitigation: &Mitigation| {
        let fixture = fixtures::find(&mitigation.fixture)?;
        Ok(Dataset {
            given: fixture.give(&Setting::of_sizes(
                Some(mitigation.count(size_bytes)),
                mitigation.item_bytes,
            ))?,
            prepare: mitigation.prepare.clone(),
            visits: mitigations.visits.clone(),
            fixture,
        })
    };
    mitigations.all.iter().map(dataset).collect()
}

fn start_methods() -> impl TypedValueParser<Value = StartMethod> {
    PossibleValuesParser::new(StartMethod::NAMES).try_map(|name| name.parse::<StartMethod>())
}
