//! `refcow advise`: what would reduce the copying of a dataset, tried.

use std::path::Path;

use clap::{Args, ValueHint};

use super::error::CommandError;
use super::measure::default_visits;
use super::options::{DataOptions, RunOptions, WordsFormat};
use super::session::{self, MeasureRequest};
use super::terminal;
use crate::compare::TOLERANCE;
use crate::documents::{self, AnyDocument};
use crate::experiment::{Dataset, Plan};
use crate::fixtures::{self, EXIT, FixtureError, IDLE};
use crate::output::Output;
use crate::report::{self, Style};

/// What its help says.
pub fn about() -> String {
    format!(
        "Try what could reduce the copying, and rank it by the memory saved\n\n\
         refcow measures each visit with the data as it is, and then with each remedy: gc.collect(), gc.freeze(), \
         gc.disable() before the fork; the imports of the visit, or the visit itself once, before the fork; immortal \
         objects, where this Python can make them; typed arrays in place of NumPy's arrays of objects, Arrow's text in columns \
         of pandas, stacked arrays, pickled rows or packed arrays in place of lists, sets and dicts; and these arrays in \
         shared memory. For workers that end (the visit `exit`), freezing and os._exit().\n\n\
         A remedy is ranked by what all processes together take less, at the end of the visits and at the peak. One that \
         replaces the data needs a visit that returns the same with it: let yours return what it found. The best remedy \
         is measured twice, and the code that was run is printed below the table. What saves less than {} pages a process, \
         or {} % of what the workers copy and make, does not help; where none helps, refcow says what is written.\n\n\
         With a document that `refcow run` or `refcow attach` wrote with --format json, refcow tells which remedies its \
         findings ask for.",
        TOLERANCE.pages,
        TOLERANCE.share * 100.0
    )
}

#[derive(Debug, Args)]
pub struct AdviseArgs {
    /// A Python file with a function `build`, or a name from `refcow fixtures`; after a colon, one of its visits. Or the
    /// document of a tree of processes (tree.json)
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
    /// What the parent does after building the data and before forking, in all that is measured: freeze, collect,
    /// collect+freeze or disable (functions of the module gc), or a function `prepare_NAME` of your file [default: nothing]
    #[arg(long, value_name = "NAME")]
    prepare: Option<String>,
    /// Also name the Python line behind each page that is copied of the data as it is: one more worker makes each visit
    #[arg(long)]
    lines: bool,
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
        if visits.iter().any(|visit| visit == IDLE) {
            let visit = IDLE.to_owned();
            return Err(FixtureError::NotOfTheData { visit }.into());
        }
        if visits.is_empty() {
            visits = default_visits(&fixture);
            visits.retain(|visit| ![IDLE, EXIT].contains(&&visit[..]));
        }
        if visits.is_empty() {
            let fixture = fixture.name;
            return Err(FixtureError::NoVisit { fixture }.into());
        }
        let is_file = fixture.path.is_some();
        let dataset = Dataset::new(fixture, &self.data.set, self.prepare.clone(), visits)?;
        Ok(MeasureRequest::from(Plan {
            advise: vec![dataset],
            // Why nothing helps, where nothing does.
            causes: true,
            causes_of_advice: self.run.report.is_some(),
            lines: self.lines,
            ..self.data.plan(&self.run, &self.arguments, is_file)?
        }))
    }

    pub fn run(&self, words: Vec<String>) -> Result<(), CommandError> {
        if self.fixture.ends_with(".json") {
            return self.on_document(&words);
        }
        let render = report::render_advice;
        session::run_in_words(&self.request()?, &self.run, words, self.format, render)?;
        Ok(())
    }

    /// What could be done about what a document of trees found. Whoever wants something measured has these words in mind.
    fn on_document(&self, words: &[String]) -> Result<(), CommandError> {
        let report = self.run.report.is_some().then_some("--report");
        // The command and the file stand first.
        let option = words.get(2).map(|word| &word[..]).or(report);
        if let Some(option) = option {
            let option = option.split_once('=').map_or(option, |(name, _)| name);
            return Err(CommandError::NothingTried(option.to_owned()));
        }
        let path = Path::new(&self.fixture);
        let trees = match documents::read_any(path)? {
            AnyDocument::Trees(trees) => trees,
            AnyDocument::Report(_) => return Err(CommandError::NoRecording(path.to_owned())),
        };
        let output = Output::open(self.run.output.as_deref())?;
        let style = match self.format {
            WordsFormat::Json => return Err(CommandError::NothingAnew),
            WordsFormat::Markdown => Style::Markdown,
            WordsFormat::Table => terminal::style(&output),
        };
        Ok(output.write(&report::render_advice_on_trees(&trees, style))?)
    }
}
