//! What every command that measures does, from its plan to the last byte that it writes.

use std::path::Path;

use super::error::CommandError;
use super::options::{RunOptions, WordsFormat};
use super::{report_folder, terminal};
use crate::claims::{Claims, Expectations, keep_settled};
use crate::experiment::{self, MeasuredPlan, Plan};
use crate::fixtures;
use crate::model::{Report, Run, Source};
use crate::output::Output;
use crate::progress::Progress;
use crate::report::{self, Style};

/// What a command asks for.
pub struct MeasureRequest {
    /// What to measure.
    pub plan: Plan,
    /// How it is judged.
    pub judge: Judge,
    /// By which rules.
    pub rules: &'static Claims,
    /// The user's file that they were read from.
    pub rules_from: Option<Source>,
}

impl From<Plan> for MeasureRequest {
    /// Of what is not judged.
    fn from(plan: Plan) -> Self {
        Self {
            plan,
            judge: Judge::Nothing,
            rules: Claims::builtin(),
            rules_from: None,
        }
    }
}

/// How what was measured is judged.
pub enum Judge {
    /// Not at all.
    Nothing,
    /// By these claims, all if none is named, and what is expected in place of what they expect.
    Claims(Vec<String>, Expectations),
    /// By these facts, all if none is named.
    Facts(Vec<String>),
}

impl MeasureRequest {
    /// The files of the user's that it is made from, each by the word of the command line that names it, if one does.
    pub fn sources(&self, words: &[String]) -> Vec<Source> {
        let mut sources: Vec<_> = self.rules_from.iter().cloned().collect();
        for fixture in self.plan.fixtures() {
            let Some(path) = &fixture.path else {
                continue;
            };
            let named = words.iter().map(|word| fixtures::split_visit(word).0);
            let mut named = named.filter(|name| name.ends_with(".py"));
            let is_path =
                |name: &&str| fixtures::absolute(Path::new(name)).is_ok_and(|one| one == *path);
            let name = named.find(is_path).map_or(path.as_path(), Path::new);
            let mut source = Source::of(name, fixture.source.as_bytes());
            match fixtures::beside::imports(fixture) {
                Ok(imports) => source.imports = imports,
                Err(why) => source.imports_unknown = Some(why),
            }
            if !sources.contains(&source) {
                sources.push(source);
            }
        }
        sources
    }

    /// Measures and judges, and shows how far it is: of these lines, the first ones.
    pub fn measure(&self, first: &[String], quiet: bool) -> Result<MeasuredPlan, CommandError> {
        let mut progress = Progress::new(self.plan.steps(), quiet);
        for line in first {
            progress.say(line);
        }
        let mut measured = experiment::run(&self.plan, &mut |step| progress.show(&step))?;
        let interrupted = measured.report.interrupted;
        for run in &mut measured.report.runs {
            match &self.judge {
                Judge::Nothing => continue,
                Judge::Claims(ids, expected) => {
                    run.claims = self.rules.judge(ids, run, expected)?;
                }
                Judge::Facts(ids) => run.facts = self.rules.judge_facts(ids, run)?,
            }
            if interrupted {
                keep_settled(run);
            }
        }
        Ok(measured)
    }
}

/// Measures what is asked for by these words, and writes it as `render` does, and as a report. Where something could not be
/// measured, the rest is written all the same, before the error.
pub fn run(
    request: &MeasureRequest,
    options: &RunOptions,
    words: Vec<String>,
    is_document: bool,
    render: impl FnOnce(&Report, &Output) -> Result<Vec<u8>, report::Error>,
) -> Result<Report, CommandError> {
    let output = Output::open(options.output.as_deref())?;
    let folder = report_folder::open(options.report.as_deref())?;
    let sources = request.sources(&words);
    let MeasuredPlan {
        mut report,
        failures,
    } = request.measure(&[], options.quiet)?;
    (report.command, report.sources) = (words, sources);
    let bytes = render(&report, &output)?;
    let kept = where_kept(is_document, &output, options);
    // The report first: the other may be asked for in its folder. That one cannot be written does not keep the other from it.
    let written = report_folder::write(folder, &report);
    output.write(&bytes)?;
    written?;
    match (report.interrupted, failures.is_empty()) {
        (true, _) => Err(CommandError::Interrupted { failures, kept }),
        (false, true) => Ok(report),
        (false, false) => Err(CommandError::Partly(failures)),
    }
}

/// [`run`] for what is said in words.
pub fn run_in_words(
    request: &MeasureRequest,
    options: &RunOptions,
    words: Vec<String>,
    format: WordsFormat,
    render: impl FnOnce(&Report, Style) -> Vec<u8>,
) -> Result<Report, CommandError> {
    let is_document = format == WordsFormat::Json;
    run(
        request,
        options,
        words,
        is_document,
        |report, output| match format {
            WordsFormat::Json => report::render(report, report::Format::Json),
            WordsFormat::Markdown => Ok(render(report, Style::Markdown)),
            WordsFormat::Table => Ok(render(report, terminal::style(output))),
        },
    )
}

/// Where what is complete is, once it is written.
fn where_kept(is_document: bool, output: &Output, options: &RunOptions) -> String {
    let file = match (is_document, output, &options.output, &options.report) {
        (true, Output::File { .. }, Some(path), _) => Some(path.clone()),
        (.., Some(folder)) => Some(folder.join(report::DOCUMENT)),
        _ => None,
    };
    match file {
        Some(path) => format!("what is complete is in {}", path.display()),
        None => "what is complete has been written".to_owned(),
    }
}

/// All entries of a kind, each with the interpreter that it is of, if there are several.
pub fn of_all<'a, T: 'a>(
    runs: &'a [Run],
    entries: fn(&Run) -> &Vec<T>,
) -> impl Iterator<Item = (String, &'a T)> {
    let several = runs.len() > 1;
    runs.iter().flat_map(move |run| {
        let of = match several {
            true => format!("CPython {}: ", run.python.title()),
            false => String::new(),
        };
        entries(run).iter().map(move |entry| (of.clone(), entry))
    })
}
