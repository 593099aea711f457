//! `refcow advise`: what would reduce the copying of a dataset, tried.

use std::collections::HashSet;

use clap::{Args, ValueHint};

use super::error::CommandError;
use super::measure::default_visits;
use super::options::{DataOptions, RunOptions, WordsFormat};
use super::session::{self, MeasureRequest};
use crate::compare::TOLERANCE;
use crate::experiment::{Dataset, Plan};
use crate::fixtures::{self, EXIT, FixtureError, IDLE, parameters};
use crate::report;

/// What its help says.
pub fn about() -> String {
    format!(
        "Try what could reduce the copying, and rank it by the bytes saved\n\n\
         refcow measures each visit with the data as it is, and then with each remedy: gc.collect(), gc.disable() or \
         gc.freeze() before the fork; immortal objects, where this Python can make them; lists as a few packed arrays; \
         and these arrays in shared memory, by NumPy.\n\n\
         Remedies that replace the data need lists whose elements are all alike, and a visit that returns the same with \
         them: let yours return what it found. The best remedy is measured twice. One that saves less than {} pages, or \
         {} % of what is copied, does not help; where none helps, one line says why.",
        TOLERANCE.pages,
        TOLERANCE.share * 100.0
    )
}

#[derive(Debug, Args)]
pub struct AdviseArgs {
    /// A Python file with a function `build`, or a name from `refcow fixtures`; after a colon, one of its visits
    #[arg(value_name = "FIXTURE[:VISIT]", value_hint = ValueHint::FilePath)]
    fixture: String,
    /// Arguments for your own Python file (its sys.argv[1:])
    #[arg(last = true, value_name = "ARGS")]
    arguments: Vec<String>,
    /// What each worker does with the data; repeat for several [default: all visits of a file; of a built-in dataset
    /// reference, iterate and read]
    #[arg(long = "visit", value_name = "VISIT")]
    visits: Vec<String>,
    #[command(flatten)]
    data: DataOptions,
    /// How to write the advice
    #[arg(long, value_enum, default_value_t)]
    format: WordsFormat,
    #[command(flatten)]
    run: RunOptions,
}

impl AdviseArgs {
    pub fn request(&self) -> Result<MeasureRequest, CommandError> {
        let (name, visit) = fixtures::split_visit(&self.fixture);
        let fixture = fixtures::find(name)?;
        let named = visit.into_iter().map(str::to_owned);
        let mut visits: Vec<String> = named.chain(self.visits.iter().cloned()).collect();
        for visit in &visits {
            fixture.visit(visit)?;
            if [IDLE, EXIT].contains(&&visit[..]) {
                let visit = visit.clone();
                return Err(FixtureError::NotOfTheData { visit }.into());
            }
        }
        if visits.is_empty() {
            visits = default_visits(&fixture);
            visits.retain(|visit| visit != IDLE);
        }
        if visits.is_empty() {
            let fixture = fixture.name;
            return Err(FixtureError::NoVisit { fixture }.into());
        }
        let mut seen = HashSet::new();
        visits.retain(|visit| seen.insert(visit.clone()));
        let set = &self.data.set;
        if let Some(unknown) = set.iter().find(|one| !fixture.takes(&one.name)) {
            return Err(parameters::unknown(&[&fixture], &unknown.name).into());
        }
        if let (None, Some(first)) = (&fixture.path, self.arguments.first()) {
            let first = first.clone();
            return Err(FixtureError::NoArguments { first }.into());
        }
        let dataset = Dataset {
            given: fixture.give(set)?,
            prepare: None,
            visits,
            fixture,
        };
        dataset.fixture.runs(&dataset.calls())?;
        Ok(MeasureRequest::from(Plan {
            advise: vec![dataset],
            arguments: self.arguments.clone(),
            // Why nothing helps, where nothing does.
            causes: true,
            causes_of_advice: self.run.report.is_some(),
            ..self.data.plan(&self.run)?
        }))
    }

    pub fn run(&self, words: Vec<String>) -> Result<(), CommandError> {
        let render = report::render_advice;
        session::run_in_words(&self.request()?, &self.run, words, self.format, render)?;
        Ok(())
    }
}
