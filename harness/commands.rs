//! What each command does: a parsed command line in, bytes out.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::CommandFactory;
use miette::Diagnostic;

use crate::cli::{Calibrate, Cli, Command, Format};
use crate::experiment::{self, calibration};
use crate::machine::{self, State};
use crate::output::{self, Output};
use crate::progress::Progress;
use crate::{fixtures, interrupt, model, python, report};

/// Exit status when a run is ended by Ctrl-C or a signal like it: 128 + SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// A calibration takes milliseconds; one that does not end in this time never will.
const CALIBRATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a command failed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum Error {
    /// An unknown fixture or visit.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Fixtures(#[from] fixtures::Error),
    /// The output cannot be written.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Output(#[from] output::Error),
    /// Nothing could be measured.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Experiment(#[from] experiment::Error),
    /// The report lacks datasets.
    #[error("{}", listed(.0))]
    #[diagnostic(help("the report holds all else; measure these alone to go on"))]
    Partly(Vec<experiment::Error>),
    /// The report has no form.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Report(#[from] report::Error),
    /// Nothing to print a page of.
    #[error("refcow has no command `{0}`")]
    #[diagnostic(help("`refcow --help` lists them"))]
    NoSuchCommand(String),
    /// Ctrl-C would go unheard.
    #[error("cannot listen for signals: {0}")]
    #[diagnostic(help("raise the limit of open files (ulimit -n)"))]
    Signals(io::Error),
}

/// One error below the other.
fn listed(errors: &[experiment::Error]) -> String {
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    errors.join("\nerror: ")
}

impl Error {
    /// The documented exit status.
    pub fn exit_code(&self) -> u8 {
        use experiment::Error as E;
        use python::Error as P;
        match self {
            Self::Fixtures(_)
            | Self::NoSuchCommand(_)
            | Self::Output(output::Error::NotWritable { .. }) => 2,
            Self::Experiment(error) if error.is_interruption() => INTERRUPTED,
            Self::Experiment(E::Refused { .. } | E::TooLarge { .. } | E::ShmTooSmall { .. }) => 2,
            Self::Experiment(E::Python(
                P::NoSuchVersion { .. }
                | P::NotFound { .. }
                | P::NotAnEnvironment { .. }
                | P::NotExecutable { .. }
                | P::Unreadable { .. }
                | P::Unusable { .. },
            )) => 2,
            Self::Experiment(_)
            | Self::Partly(_)
            | Self::Output(_)
            | Self::Report(_)
            | Self::Signals(_) => 3,
        }
    }
}

/// Does what the command line says.
///
/// # Errors
/// As [`Error`] tells; nothing is left behind.
pub fn run(cli: &Cli) -> Result<(), Error> {
    interrupt::install().map_err(Error::Signals)?;
    let text = match &cli.command {
        None | Some(Command::Measure(_)) => return measure(cli),
        Some(Command::Fixtures(which)) => fixtures_text(&which.names)?.into_bytes(),
        Some(Command::Doctor(_)) => doctor().into_bytes(),
        Some(Command::Calibrate(options)) => calibrate(options)?.into_bytes(),
        Some(Command::Schema) => {
            let mut text = format!("{:#}", model::schema().to_value());
            text.push('\n');
            text.into_bytes()
        }
        Some(Command::Completions { shell }) => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "refcow", &mut text);
            text
        }
        Some(Command::Man { command }) => man(command.as_deref())?,
    };
    Ok(Output::Standard.write(&text)?)
}

fn measure(cli: &Cli) -> Result<(), Error> {
    let options = cli.options();
    let plan = cli.plan()?;
    let output = Output::open(options.output.as_deref())?;
    let progress = Progress::new(plan.steps());
    let run = experiment::run(&plan, &mut |step| progress.show(&step))?;
    drop(progress);
    let bytes = report::render(&run.report, format(options.format, &output))?;
    output.write(&bytes)?;
    match run.failures {
        none if none.is_empty() => Ok(()),
        failures => Err(Error::Partly(failures)),
    }
}

fn format(format: Format, output: &Output) -> report::Format {
    match format {
        Format::Json => report::Format::Json,
        Format::Markdown => report::Format::Markdown,
        Format::Csv => report::Format::Csv,
        Format::Table => report::Format::Table {
            width: match output {
                Output::Standard if io::stdout().is_terminal() => width(),
                _ => None,
            },
        },
    }
}

/// Columns of the terminal, as clap's help and the tables' library find them.
fn width() -> Option<u16> {
    let mut table = comfy_table::Table::new();
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table.width()
}

fn fixtures_text(names: &[String]) -> Result<String, fixtures::Error> {
    let chosen: Vec<fixtures::Fixture> = if names.is_empty() {
        fixtures::builtin().to_vec()
    } else {
        let chosen: Result<_, _> = names.iter().map(|name| fixtures::find(name)).collect();
        chosen?
    };
    let mut text = String::new();
    for (index, fixture) in chosen.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let _ = writeln!(text, "{} (by {})", fixture.name, fixture.sharing);
        let default = |value: Option<u64>| value.map_or_else(|| "–".into(), report::count);
        let needs = if fixture.modules.is_empty() {
            "nothing".into()
        } else {
            fixture.modules.join(", ")
        };
        indent(&mut text, &fixture.doc);
        let _ = writeln!(
            text,
            "\n  Default: --count {} --item-bytes {}. Needs: {needs}.\n  Visits:",
            default(fixture.default_count),
            default(fixture.default_item_bytes),
        );
        for visit in &fixture.visits {
            let summary = visit.doc.lines().next().unwrap_or_default();
            let _ = writeln!(text, "    {:<10} {summary}", visit.name);
        }
    }
    Ok(text)
}

fn indent(text: &mut String, lines: &str) {
    for line in lines.lines() {
        let line = format!("  {line}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn doctor() -> String {
    let mut text = String::new();
    let mut say =
        |state: State, name: &str, found: &str, lost: Option<&str>, help: Option<&str>| {
            let mark = match state {
                State::Good => "yes",
                State::Limited => "part",
                State::Unavailable => "no",
                State::Unknown => "?",
            };
            let _ = writeln!(text, "{mark:<5}{name}: {found}");
            for (label, words) in [("lost", lost), ("remedy", help)] {
                if let Some(words) = words {
                    let _ = writeln!(text, "       {label}: {words}");
                }
            }
        };
    for finding in machine::findings() {
        let (lost, remedy) = (finding.lost.as_deref(), finding.remedy.as_deref());
        say(finding.state, finding.name, &finding.found, lost, remedy);
    }
    let mut usable = false;
    for found in python::discover() {
        let path = found.path.display().to_string();
        match found.outcome {
            Ok(interpreter) => {
                usable = true;
                let words = format!(
                    "CPython {}, {}",
                    interpreter.version,
                    interpreter.libpython.display()
                );
                say(State::Good, &path, &words, None, None);
            }
            Err(reason) => {
                let help = reason.help().map(|help| help.to_string());
                let lost = "this interpreter";
                say(
                    State::Unavailable,
                    &path,
                    &reason.to_string(),
                    Some(lost),
                    help.as_deref(),
                );
            }
        }
    }
    let calibrated = if usable {
        experiment::calibrate(None, calibration::Options::default(), CALIBRATION_TIMEOUT)
            .map_err(|error| (error.to_string(), error.help().map(|help| help.to_string())))
    } else {
        Err(("no usable CPython".into(), None))
    };
    match calibrated {
        Ok(calibration) => say(
            State::Good,
            "calibration",
            &format!(
                "{} pages written, {} counted",
                calibration.pages_written, calibration.pages_counted
            ),
            None,
            None,
        ),
        Err((reason, help)) => say(
            State::Unavailable,
            "calibration",
            &reason,
            Some("every measurement"),
            help.as_deref(),
        ),
    }
    text
}

fn calibrate(options: &Calibrate) -> Result<String, experiment::Error> {
    let python = options.python.as_deref();
    let calibration = experiment::calibrate(python, options.options(), CALIBRATION_TIMEOUT)?;
    Ok(format!(
        "pages written {}, pages counted {}\n",
        calibration.pages_written, calibration.pages_counted
    ))
}

/// A page for the program, or for one command.
fn man(name: Option<&str>) -> Result<Vec<u8>, Error> {
    let mut program = Cli::command();
    program.build();
    let command = match name {
        None => program,
        Some(name) => match program.find_subcommand(name) {
            Some(command) => command.clone(),
            None => return Err(Error::NoSuchCommand(name.to_owned())),
        },
    };
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = clap_mangen::Man::new(command).render(&mut text);
    Ok(text)
}
