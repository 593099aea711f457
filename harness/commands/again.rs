//! `refcow reproduce`: the command of a document, run again.

use std::ffi::OsString;

use clap::Parser;

use super::{Error, other_claims, published, sources};
use crate::cli::{AnswerFormat, Cli, Command, Reproduce};
use crate::command_line::command_words;
use crate::experiment::{self, Plan};
use crate::model::{Answer, Report, Reproduction, Run, Source, Warning};
use crate::output::Output;
use crate::progress::Progress;
use crate::python::{self, Interpreter};
use crate::reproduce::{Again, impossible, reproduction};
use crate::{claims, documents, report, shell};

/// Measures a document again, and says what came of it.
pub(super) fn reproduce(options: &Reproduce) -> Result<(), Error> {
    let recorded = documents::read(&options.run)?.report;
    let output = Output::open(options.output.as_deref())?;
    let folder = published::place(options.report.as_deref())?;
    let reproduction = match again(&recorded, options)? {
        Ok((now, reproduction)) => {
            published::write(folder, &now)?;
            reproduction
        }
        Err(why) => impossible(&recorded, why, options.tolerance.tolerance()),
    };
    let bytes = match options.format {
        AnswerFormat::Json => report::render_json(&reproduction)?,
        AnswerFormat::Table => report::render_reproduction(&reproduction, super::width_of(&output)),
    };
    output.write(&bytes)?;
    match reproduction.answer {
        Answer::Reproduced | Answer::WithinTolerance => Ok(()),
        answer => Err(Error::NotReproduced {
            path: options.run.clone(),
            answer,
        }),
    }
}

/// What was measured again, and what came of it; or why nothing was.
type Repeated = Result<(Report, Reproduction), String>;

fn again(recorded: &Report, options: &Reproduce) -> Result<Repeated, Error> {
    let asked = match command(recorded).and_then(|cli| asked(&cli, &recorded.command)) {
        Ok(asked) => asked,
        Err(why) => return Ok(Err(why)),
    };
    if let Err(why) = same_sources(recorded, &asked) {
        return Ok(Err(why));
    }
    let chosen = interpreters(&recorded.runs, &here(&options.pythons)?);
    let mut pythons: Vec<String> = Vec::new();
    for interpreter in chosen.iter().flatten() {
        let path = interpreter.executable.display().to_string();
        if !pythons.contains(&path) {
            pythons.push(path);
        }
    }
    let mut now = Report::of_all(Vec::new(), Vec::new());
    if !pythons.is_empty() {
        match measure(asked, pythons, options.quiet) {
            Ok(report) => now = report,
            Err(Error::Experiment(error)) if error.is_interruption() => return Err(error.into()),
            // What cannot be found here, or data that does not fit.
            Err(error) => return Ok(Err(error.to_string())),
        }
    }
    now.command.clone_from(&recorded.command);
    now.sources.clone_from(&recorded.sources);
    let runs: Vec<Result<&Run, String>> = chosen
        .iter()
        .map(|chosen| {
            let interpreter = chosen.as_ref().map_err(Clone::clone)?;
            let mut runs = now.runs.iter();
            let run = runs.find(|run| run.python.executable == interpreter.executable);
            run.ok_or_else(|| not_measured(&now, interpreter))
        })
        .collect();
    let all: Vec<Again<'_>> = runs
        .iter()
        .map(|one| match one {
            Ok(run) => Again::Run(run),
            Err(why) => Again::Not(why),
        })
        .collect();
    let reproduction = reproduction(recorded, &all, options.tolerance.tolerance());
    Ok(Ok((now, reproduction)))
}

/// The command that a document was made by, as this refcow understands it; or why there is none.
///
/// Somebody else may have written it: only what measures is run, and nothing that writes.
fn command(recorded: &Report) -> Result<Cli, String> {
    if recorded.command.is_empty() {
        return Err(
            "the document does not say by which command it was measured: it is of several that were merged, or of an \
             older refcow"
                .into(),
        );
    }
    let shown = shell::line("refcow", &recorded.command);
    let words: Vec<OsString> = recorded.command.iter().map(Into::into).collect();
    let all = std::iter::once("refcow".into()).chain(words.iter().cloned());
    let cli = Cli::try_parse_from(all).map_err(|said| {
        let said = said.to_string();
        let line = said.lines().next().unwrap_or_default();
        format!("this refcow does not understand the document's command, `{shown}`: {line}")
    })?;
    match command_words(&words) == recorded.command {
        true => Ok(cli),
        false => Err(format!(
            "the document's command, `{shown}`, does more than measure"
        )),
    }
}

/// What a command asks for.
struct Asked {
    plan: Plan,
    sources: Vec<Source>,
    judge: Judge,
}

/// How what was measured is judged.
enum Judge {
    Claims(Vec<String>, Option<Box<claims::Claims>>),
    Facts(Vec<String>, Option<Box<claims::Claims>>),
    Nothing,
}

/// What a command asks for; or why this refcow cannot do it.
fn asked(cli: &Cli, words: &[String]) -> Result<Asked, String> {
    let parsed = || -> Result<_, Error> {
        Ok(match &cli.command {
            None | Some(Command::Claims(_)) => {
                let (ids, options) = cli.claims();
                let others = options.claims.as_deref().map(other_claims).transpose()?;
                let (others, read) = others.unzip();
                let claims = others.as_ref().unwrap_or(claims::Claims::builtin());
                let plan = options.plan(claims, ids)?;
                (
                    plan,
                    read,
                    Judge::Claims(ids.to_vec(), others.map(Box::new)),
                )
            }
            Some(Command::Versions(options)) => {
                let others = options.facts.as_deref().map(other_claims).transpose()?;
                let (others, read) = others.unzip();
                let facts = others.as_ref().unwrap_or(claims::Claims::versions());
                let plan = options.plan(facts)?;
                (
                    plan,
                    read,
                    Judge::Facts(options.ids.clone(), others.map(Box::new)),
                )
            }
            Some(Command::Measure(options)) => (options.plan()?, None, Judge::Nothing),
            Some(Command::Advise(options)) => (options.plan()?, None, Judge::Nothing),
            Some(Command::Alternatives(options)) => (options.plan()?, None, Judge::Nothing),
            Some(_) => return Err(Error::MeasuresNothing),
        })
    };
    let (plan, read, judge) = parsed().map_err(|error| error.to_string())?;
    Ok(Asked {
        sources: sources(&plan, read, words),
        plan,
        judge,
    })
}

/// Refuses to measure other files than those that were measured.
fn same_sources(recorded: &Report, asked: &Asked) -> Result<(), String> {
    for source in &asked.sources {
        let path = &source.path;
        let mut known = recorded.sources.iter();
        match known.find(|known| known.path == *path) {
            Some(known) if known.sha256 == source.sha256 => {}
            Some(_) => {
                return Err(format!(
                    "{path} is not what was measured: it has another SHA-256"
                ));
            }
            None => return Err(format!("the document does not say what was in {path}")),
        }
    }
    Ok(())
}

/// Measures with these interpreters.
fn measure(asked: Asked, pythons: Vec<String>, quiet: bool) -> Result<Report, Error> {
    let plan = Plan {
        pythons,
        ..asked.plan
    };
    let mut progress = Progress::new(plan.steps(), quiet);
    let mut report = experiment::run(&plan, None, &mut |step| progress.show(&step))?.report;
    if report.interrupted {
        // Half of a document says nothing of the other half.
        return Err(experiment::Error::from(python::Error::Interrupted).into());
    }
    for run in &mut report.runs {
        match &asked.judge {
            Judge::Claims(ids, others) => {
                let claims = others.as_deref().unwrap_or(claims::Claims::builtin());
                run.claims = claims.judge(ids, run, &claims::Expectations::new())?;
            }
            Judge::Facts(ids, others) => {
                let facts = others.as_deref().unwrap_or(claims::Claims::versions());
                run.facts = facts.judge_facts(ids, run)?;
            }
            Judge::Nothing => {}
        }
    }
    Ok(report)
}

/// The interpreters of this machine, those that the user names first.
fn here(named: &[String]) -> Result<Vec<Interpreter>, Error> {
    let mut all = Vec::new();
    if !named.is_empty() {
        let chosen = python::choose_all(named).map_err(experiment::Error::from)?;
        all.extend(chosen.interpreters);
    }
    let found = python::discover();
    all.extend(found.into_iter().filter_map(|found| found.outcome.ok()));
    Ok(all)
}

/// For each run the interpreter of its series that is most like the recorded one; or that there is none.
fn interpreters(recorded: &[Run], here: &[Interpreter]) -> Vec<Result<Interpreter, String>> {
    recorded
        .iter()
        .map(|run| {
            let python = &run.python;
            let Some(version) = python.order() else {
                return Err(format!("{} is no version of Python", python.version));
            };
            let series = version.series();
            let of_series = here.iter().filter(|one| {
                (u32::from(one.series.0), u32::from(one.series.1)) == series
            });
            // The first of those that have the most in common.
            let most = of_series.rev().max_by_key(|one| {
                (
                    python.build.as_ref() == Some(&one.full_version),
                    one.version == python.version,
                    one.executable == python.executable,
                )
            });
            most.cloned().ok_or_else(|| {
                format!(
                    "there is no CPython {}.{} here that can be measured; `refcow pythons` lists those that there are, and \
                     --python PATH names another",
                    series.0, series.1
                )
            })
        })
        .collect()
}

/// Why an interpreter gave no run.
fn not_measured(now: &Report, interpreter: &Interpreter) -> String {
    let named = format!("CPython {}", interpreter.version);
    let reason = now.warnings.iter().find_map(|warning| match warning {
        Warning::InterpreterNotMeasured { python, reason } if *python == named => Some(reason),
        _ => None,
    });
    reason
        .cloned()
        .unwrap_or_else(|| "it was not measured".into())
}
