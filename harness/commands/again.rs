//! `refcow reproduce`: the command of a document, run again.

use std::ffi::OsString;

use clap::Parser;

use super::{Error, other_claims, published, sources};
use crate::claims::{self, Claims, Expectations};
use crate::cli::{AnswerFormat, Cli, Command, Reproduce};
use crate::command_line::{command_words, with_new_name};
use crate::experiment::{self, Plan};
use crate::model::{Answer, Report, Reproduction, Run, Source, Warning, printable};
use crate::output::Output;
use crate::progress::Progress;
use crate::python::{self, Interpreter};
use crate::reproduce::{Again, impossible, reproduction, same_sources};
use crate::variables::Variables;
use crate::{documents, report, shell};

/// Measures a document again, and says what came of it.
pub(super) fn reproduce(options: &Reproduce) -> Result<(), Error> {
    let recorded = documents::read(&options.run)?.report;
    let output = Output::open(options.output.as_deref())?;
    let folder = published::place(options.report.as_deref())?;
    let reproduction = match again(&recorded, options)? {
        Ok((now, reproduction)) => {
            // A report of nothing would take the place of an older one.
            published::write(folder.filter(|_| !now.runs.is_empty()), &now)?;
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
    let cli = match command(recorded) {
        Ok(cli) => cli.of_a_document(options.timeout),
        Err(why) => return Ok(Err(why)),
    };
    let asked = match asked(&cli, &recorded.command) {
        Ok(Some(asked)) => asked,
        Ok(None) => return Ok(Err("the document's command measures nothing".into())),
        Err(error) => return Ok(Err(error.to_string())),
    };
    if let Err(why) = same_sources(&recorded.sources, &asked.sources) {
        return Ok(Err(why));
    }
    if let Some(what) = asked.judge.contradiction(recorded) {
        return Ok(Err(format!("the document contradicts itself: {what}")));
    }
    let code = code_of(&asked);
    let variables = variables_of(&asked.plan);
    let harmless = code.is_empty() && variables.is_empty();
    if !harmless && !options.run_code {
        let told = [
            ("runs the code of these files:", &code),
            // PYTHONPATH and the like lead to other code.
            ("sets these variables of the environment:", &variables),
        ];
        let told = told.into_iter().filter(|(_, lines)| !lines.is_empty());
        let told = told.map(|(words, lines)| {
            let lines = lines.iter().map(|line| format!("\n  {line}"));
            words.to_owned() + &lines.collect::<String>()
        });
        return Err(Error::RunsCode {
            path: options.run.clone(),
            measures: shell::line("refcow", &recorded.command),
            does: told.collect::<Vec<_>>().join("\nand "),
            command: with_run_code(),
        });
    }
    let chosen = interpreters(&recorded.runs, &named(&options.pythons)?, &usable());
    let mut pythons: Vec<String> = Vec::new();
    for interpreter in chosen.iter().flatten() {
        let path = interpreter.executable.display().to_string();
        if !pythons.contains(&path) {
            pythons.push(path);
        }
    }
    let mut now = Report::of_all(Vec::new(), Vec::new());
    if !pythons.is_empty() {
        match measure(asked, pythons, &code, options.quiet) {
            Ok(report) => now = report,
            Err(Error::Experiment(error)) if error.is_interruption() => return Err(error.into()),
            // What cannot be found here, or data that does not fit.
            Err(error) => return Ok(Err(error.to_string())),
        }
    }
    now.command = with_new_name(recorded.command.clone());
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
    match command_words(&words) == with_new_name(recorded.command.clone()) {
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
    Claims(Vec<String>, Option<Box<Claims>>),
    Facts(Vec<String>, Option<Box<Claims>>),
    Nothing,
}

impl Judge {
    /// Where a document does not say what follows by rules of the user's, which no other reader of it has, and what is there.
    fn contradiction(&self, recorded: &Report) -> Option<String> {
        let (Self::Claims(_, Some(rules)) | Self::Facts(_, Some(rules))) = self else {
            return None;
        };
        let mut runs = recorded.runs.iter().enumerate();
        runs.find_map(|(number, run)| {
            let what = claims::contradiction(run, rules)?;
            Some(format!("runs[{number}].{what}"))
        })
    }
}

/// What a command asks for; nothing of one that does not measure.
fn asked(cli: &Cli, words: &[String]) -> Result<Option<Asked>, Error> {
    let (plan, read, judge) = match &cli.command {
        Command::Claims(claims) => {
            let (ids, options) = (&claims.ids, &claims.options);
            let others = options.claims.as_deref().map(other_claims).transpose()?;
            let (others, read) = others.unzip();
            let plan = options.plan(others.as_ref().unwrap_or(Claims::builtin()), ids)?;
            (
                plan,
                read,
                Judge::Claims(ids.to_vec(), others.map(Box::new)),
            )
        }
        Command::Facts(options) => {
            let others = options.facts.as_deref().map(other_claims).transpose()?;
            let (others, read) = others.unzip();
            let plan = options.plan(others.as_ref().unwrap_or(Claims::versions()))?;
            let judge = Judge::Facts(options.ids.clone(), others.map(Box::new));
            (plan, read, judge)
        }
        Command::Measure(options) => (options.plan()?, None, Judge::Nothing),
        Command::Advise(options) => (options.plan()?, None, Judge::Nothing),
        Command::Sharing(options) => (options.plan()?, None, Judge::Nothing),
        _ => return Ok(None),
    };
    Ok(Some(Asked {
        sources: sources(&plan, read, words),
        plan,
        judge,
    }))
}

/// The files whose code a plan runs, each with its SHA-256, as a line.
fn code_of(asked: &Asked) -> Vec<String> {
    let mut lines = Vec::new();
    for source in asked
        .sources
        .iter()
        .filter(|source| source.path.ends_with(".py"))
    {
        lines.push(format!("{} (SHA-256 {})", source.path, source.sha256));
        for import in &source.imports {
            let (of, path) = (&source.path, &import.path);
            lines.push(format!(
                "{path}, which {of} imports (SHA-256 {})",
                import.sha256
            ));
        }
    }
    lines
}

/// The variables that a plan gives its processes, a line each.
fn variables_of(plan: &Plan) -> Vec<String> {
    let Variables { given, all } = &plan.asked;
    let given = given.iter().map(|one| match &one.value {
        Some(value) => format!("{}={value}", one.name),
        None => format!("{}, as you have it", one.name),
    });
    let all = all.then(|| "all that you have".to_owned());
    given.chain(all).collect()
}

/// This command, and that it may run code.
fn with_run_code() -> String {
    let mut words = std::env::args_os().map(|word| printable(&word.to_string_lossy()));
    let program = words.next().unwrap_or_else(|| "refcow".into());
    shell::line(&program, words.chain(["--run-code".to_owned()]))
}

/// Measures with these interpreters.
fn measure(
    asked: Asked,
    pythons: Vec<String>,
    code: &[String],
    quiet: bool,
) -> Result<Report, Error> {
    let plan = Plan {
        pythons,
        ..asked.plan
    };
    let mut progress = Progress::new(plan.steps(), quiet);
    for line in code {
        progress.say(&format!("runs the code of {line}"));
    }
    let mut report = experiment::run(&plan, &mut |step| progress.show(&step))?.report;
    if report.interrupted {
        // Half of a document says nothing of the other half.
        return Err(experiment::Error::from(python::Error::Interrupted).into());
    }
    for run in &mut report.runs {
        match &asked.judge {
            Judge::Claims(ids, others) => {
                let claims = others.as_deref().unwrap_or(Claims::builtin());
                run.claims = claims.judge(ids, run, &Expectations::new())?;
            }
            Judge::Facts(ids, others) => {
                let facts = others.as_deref().unwrap_or(Claims::versions());
                run.facts = facts.judge_facts(ids, run)?;
            }
            Judge::Nothing => {}
        }
    }
    Ok(report)
}

/// The interpreters that the user names.
fn named(words: &[String]) -> Result<Vec<Interpreter>, Error> {
    match words {
        // None would mean the machine's first.
        [] => Ok(Vec::new()),
        words => {
            let chosen = python::choose_all(words).map_err(experiment::Error::from)?;
            Ok(chosen.interpreters)
        }
    }
}

/// The interpreters of this machine.
fn usable() -> Vec<Interpreter> {
    let found = python::discover().into_iter();
    found.filter_map(|found| found.outcome.ok()).collect()
}

/// For each run the interpreter of its series that is most like the recorded one, of those that the user names if one of them
/// is; or that there is none.
fn interpreters(
    recorded: &[Run],
    named: &[Interpreter],
    usable: &[Interpreter],
) -> Vec<Result<Interpreter, String>> {
    recorded
        .iter()
        .map(|run| {
            let python = &run.python;
            let Some(version) = python.order() else {
                return Err(format!("{} is no version of Python", python.version));
            };
            let series = version.series();
            let most_like = |all: &[Interpreter]| {
                let of_series = all.iter().filter(|one| {
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
                most.cloned()
            };
            most_like(named).or_else(|| most_like(usable)).ok_or_else(|| {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreter(path: &str, version: &str) -> Interpreter {
        let mut numbers = version.split('.').map(|number| number.parse().unwrap());
        Interpreter {
            executable: path.into(),
            version: version.into(),
            full_version: format!("{version} (main)"),
            series: (numbers.next().unwrap(), numbers.next().unwrap()),
            prefix: "/usr".into(),
            base_prefix: "/usr".into(),
            program: "/usr/bin/python3.11".into(),
            needs_library_path: false,
        }
    }

    /// The programs that a run of `/old/python`, a 3.11.7 built as `main`, would be measured with.
    fn chosen(named: &[Interpreter], usable: &[Interpreter]) -> Option<String> {
        let run: Run = serde_json::from_value(serde_json::json!({
            "python": {"version": "3.11.7", "build": "3.11.7 (main)", "executable": "/old/python", "libpython": "/l", "free_threaded": false},
            "environment": {
                "refcow_version": "0.1.0", "kernel": "6", "architecture": "x86_64", "page_size_bytes": 4096,
                "transparent_huge_pages": {"disabled_in_subject": true}, "ksm": {},
                "privileges": {"page_frame_numbers": false, "root": false},
                "cpus": 1, "memory_total_bytes": 1, "memory_available_bytes": 1, "packages": {},
            },
            "calibration": {"pages_written": 1, "pages_counted": 1},
            "warnings": [], "measurements": [],
        }))
        .unwrap();
        let mut all = interpreters(&[run], named, usable);
        let found = all.remove(0).ok()?;
        Some(found.executable.display().to_string())
    }

    #[test]
    fn an_interpreter_is_chosen_by_its_series_and_the_more_alike_the_better() {
        let other = interpreter("/a", "3.12.1");
        let patch = interpreter("/b", "3.11.2");
        let same = interpreter("/c", "3.11.7");
        let very_same = interpreter("/old/python", "3.11.7");
        assert_eq!(chosen(&[], std::slice::from_ref(&other)), None);
        let mut usable = vec![other, patch.clone()];
        assert_eq!(chosen(&[], &usable).unwrap(), "/b");
        usable.push(same);
        assert_eq!(chosen(&[], &usable).unwrap(), "/c");
        usable.push(very_same);
        assert_eq!(chosen(&[], &usable).unwrap(), "/old/python");
        // Whom the user names is meant.
        assert_eq!(chosen(&[patch], &usable).unwrap(), "/b");
    }
}
