//! `refcow reproduce`: the command of a document, run again.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Args, Command, ValueEnum, ValueHint};

use super::error::CommandError;
use super::options::{TIMEOUT_SECONDS, ToleranceOptions, seconds};
use super::session::MeasureRequest;
use super::{report_folder, terminal, words};
use crate::claims;
use crate::experiment::{ExperimentError, Plan};
use crate::model::{Answer, Report, Reproduction, Run, Source, Warning, printable};
use crate::output::Output;
use crate::python::{self, Interpreter, PythonError};
use crate::reproduce::{Again, impossible, reproduction, same_sources};
use crate::variables::Variables;
use crate::{documents, report, shell};

#[derive(Debug, Args)]
pub struct ReproduceArgs {
    /// The run, as --format json wrote it, or the run.json of a report
    #[arg(value_name = "RUN.json", value_hint = ValueHint::FilePath)]
    run: PathBuf,
    /// An interpreter that is not on PATH, to measure runs of its series with; repeat for several
    #[arg(long = "python", value_name = "PYTHON", value_hint = ValueHint::AnyPath)]
    pythons: Vec<String>,
    /// Run the code of the Python files that the document names; without this, refcow refuses to run it
    #[arg(long)]
    run_code: bool,
    /// Time limit in seconds for each step, whatever the document's command says
    #[arg(long, value_name = "S", default_value_t = TIMEOUT_SECONDS, value_parser = seconds)]
    timeout: f64,
    /// How to write the answer
    #[arg(long, value_enum, default_value_t)]
    format: AnswerFormat,
    /// Write the answer to this file, whole or not at all [default: standard output]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Write what was measured now to this directory, as `refcow report` would
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    report: Option<PathBuf>,
    /// Show no progress: only errors go to standard error
    #[arg(long, short)]
    quiet: bool,
    #[command(flatten)]
    tolerance: ToleranceOptions,
}

/// Formats of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum AnswerFormat {
    /// For people
    #[default]
    Table,
    /// For programs: one document, as `refcow schema reproduction` describes it
    Json,
}

/// How the words of a command line are understood.
#[derive(Clone, Copy, Debug)]
pub struct Language {
    /// The commands and their flags.
    pub program: fn() -> Command,
    /// What a command asks to be measured; nothing of one that does not measure.
    pub request: fn(&ArgMatches) -> Result<Option<MeasureRequest>, CommandError>,
}

impl ReproduceArgs {
    /// Measures a document again, and says what came of it.
    pub fn run(&self, language: Language) -> Result<(), CommandError> {
        let recorded = documents::read(&self.run)?.report;
        let output = Output::open(self.output.as_deref())?;
        let folder = report_folder::open(self.report.as_deref())?;
        let reproduction = match self.again(&recorded, language)? {
            Ok((now, reproduction)) => {
                // A report of nothing would take the place of an older one.
                report_folder::write(folder.filter(|_| !now.runs.is_empty()), &now)?;
                reproduction
            }
            Err(why) => impossible(&recorded, why, self.tolerance.tolerance()),
        };
        let bytes = match self.format {
            AnswerFormat::Json => report::render_json(&reproduction)?,
            AnswerFormat::Table => {
                report::render_reproduction(&reproduction, terminal::width_of(&output))
            }
        };
        output.write(&bytes)?;
        match reproduction.answer {
            Answer::Reproduced | Answer::WithinTolerance => Ok(()),
            answer => Err(CommandError::NotReproduced {
                path: self.run.clone(),
                answer,
            }),
        }
    }

    fn again(&self, recorded: &Report, language: Language) -> Result<Repetition, CommandError> {
        let (command, matches) = match command(recorded, language) {
            Ok(understood) => understood,
            Err(why) => return Ok(Err(why)),
        };
        let mut request = match (language.request)(&matches) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(Err("the document's command measures nothing".into())),
            Err(error) => return Ok(Err(error.to_string())),
        };
        let sources = request.sources(&command);
        if let Err(why) = same_sources(&recorded.sources, &sources) {
            return Ok(Err(why));
        }
        if let Some(what) = contradiction(&request, recorded) {
            return Ok(Err(format!("the document contradicts itself: {what}")));
        }
        let code = code_of(&sources);
        let variables = variables_of(&request.plan);
        let harmless = code.is_empty() && variables.is_empty();
        if !harmless && !self.run_code {
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
            return Err(CommandError::RunsCode {
                path: self.run.clone(),
                measures: shell::line("refcow", &recorded.command),
                does: told.collect::<Vec<_>>().join("\nand "),
                command: with_run_code(),
            });
        }
        let chosen = interpreters(&recorded.runs, &named(&self.pythons)?, &usable());
        let mut pythons: Vec<String> = Vec::new();
        for interpreter in chosen.iter().flatten() {
            let path = interpreter.executable.display().to_string();
            if !pythons.contains(&path) {
                pythons.push(path);
            }
        }
        let mut now = Report::of_all(Vec::new(), Vec::new());
        if !pythons.is_empty() {
            for_this_machine(&mut request.plan, pythons, self.timeout);
            let code = code.iter().map(|line| format!("runs the code of {line}"));
            match request.measure(&code.collect::<Vec<_>>(), self.quiet) {
                Ok(measured) => now = measured.report,
                Err(CommandError::Experiment(error)) if error.is_interruption() => {
                    return Err(error.into());
                }
                // What cannot be found here, or data that does not fit.
                Err(error) => return Ok(Err(error.to_string())),
            }
            if now.interrupted {
                // Half of a document says nothing of the other half.
                return Err(ExperimentError::from(PythonError::Interrupted).into());
            }
        }
        (now.command, now.sources) = (command, recorded.sources.clone());
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
        let reproduction = reproduction(recorded, &all, self.tolerance.tolerance());
        Ok(Ok((now, reproduction)))
    }
}

/// What was measured again, and what came of it; or why nothing was.
type Repetition = Result<(Report, Reproduction), String>;

/// The command that a document was made by, as this refcow calls and understands it; or why there is none.
///
/// Somebody else may have written it: only what measures is run, and nothing that writes.
fn command(recorded: &Report, language: Language) -> Result<(Vec<String>, ArgMatches), String> {
    let Some(name) = recorded.command.first() else {
        return Err(
            "the document does not say by which command it was measured: it is of several that were merged, or of an \
             older refcow"
                .into(),
        );
    };
    let program = (language.program)();
    let shown = shell::line("refcow", &recorded.command);
    let all = std::iter::once("refcow").chain(recorded.command.iter().map(String::as_str));
    let matches = program.clone().try_get_matches_from(all).map_err(|said| {
        let said = said.to_string();
        let line = said.lines().next().unwrap_or_default();
        format!("this refcow does not understand the document's command, `{shown}`: {line}")
    })?;
    let words = words::that_measure(&program, &matches);
    // The command may have had another name when the document was written.
    let known = program.find_subcommand(name).map(Command::get_name);
    match (&words[..], known) {
        ([first, rest @ ..], Some(known)) if first == known && rest == &recorded.command[1..] => {
            Ok((words, matches))
        }
        _ => Err(format!(
            "the document's command, `{shown}`, does more than measure"
        )),
    }
}

/// Has a document's command run with these interpreters, within this time, and only where the data fits: that is for whoever runs
/// it to say, and not for a document of somebody else's.
fn for_this_machine(plan: &mut Plan, pythons: Vec<String>, timeout: f64) {
    plan.pythons = pythons;
    plan.timeout = Duration::from_secs_f64(timeout);
    plan.force = false;
    if let Some(ways) = &mut plan.alternatives {
        ways.force = false;
    }
}

/// Where a document does not say what follows by rules of the user's, which no other reader of it has, and what is there.
fn contradiction(request: &MeasureRequest, recorded: &Report) -> Option<String> {
    request.rules_from.as_ref()?;
    let mut runs = recorded.runs.iter().enumerate();
    runs.find_map(|(number, run)| {
        let what = claims::contradiction(run, request.rules)?;
        Some(format!("runs[{number}].{what}"))
    })
}

/// The files whose code a plan runs, each with its SHA-256, as a line.
fn code_of(sources: &[Source]) -> Vec<String> {
    let mut lines = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".py")) {
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

/// The interpreters that the user names.
fn named(words: &[String]) -> Result<Vec<Interpreter>, CommandError> {
    match words {
        // None would mean the machine's first.
        [] => Ok(Vec::new()),
        words => {
            let chosen = python::choose_all_builds(words).map_err(ExperimentError::from)?;
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
                    one.free_threaded == python.free_threaded
                        && (u32::from(one.series.0), u32::from(one.series.1)) == series
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
            free_threaded: false,
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
