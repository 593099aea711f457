//! Why a command fails, and with which exit status.

use std::io;
use std::path::PathBuf;

use miette::Diagnostic;

use crate::baselines::BaselineError;
use crate::claims::ClaimsError;
use crate::experiment::sharing::SharingError;
use crate::experiment::{self, ExperimentError};
use crate::fixtures::FixtureError;
use crate::live::LiveError;
use crate::merge::MergeError;
use crate::output::{CreateError, OutputError};
use crate::python::PythonError;
use crate::{compare, documents, interrupt, model, report};

/// Why a command failed.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum CommandError {
    /// Neither of two trees has any.
    #[error("the two documents have no recorded tree with workers in common")]
    #[diagnostic(help(
        "record both with `refcow run` or `attach --for TIME`, while workers are at work"
    ))]
    NoWorkersInCommon,
    /// A baseline that nothing could be compared with.
    #[error(
        "the baseline {name} is not saved: no workers were recorded, which is what a comparison is about"
    )]
    #[diagnostic(help(
        "record a program that forks workers, or `attach` to it, while they are at work"
    ))]
    NoWorkersToSave {
        /// As the user gave it.
        name: String,
    },
    /// Advice on a tree in JSON.
    #[error("there is no JSON of advice on a tree: nothing is measured for it")]
    #[diagnostic(help(
        "the document has each finding with what to do; print the rest with --format markdown"
    ))]
    NothingAnew,
    /// An option of what is measured, beside a tree.
    #[error("with the document of a tree nothing is measured, and {0} means nothing")]
    #[diagnostic(help(
        "leave it out; to try remedies, name the file with your data: `refcow advise FILE.py`"
    ))]
    NothingTried(String),
    /// Advice on a document of the other kind.
    #[error(
        "{} is a run of a command that measures, such as `refcow measure`, and no recording of `refcow run` or `attach`", .0.display()
    )]
    #[diagnostic(help(
        "`refcow report` makes a page of it, with its advice if it has any; to try remedies, name the file with your data: \
         `refcow advise FILE.py`"
    ))]
    NoRecording(PathBuf),
    /// An option that another one makes idle.
    #[error("{option} has no effect with {beside}")]
    #[diagnostic(help("{remedy}"))]
    NoEffect {
        option: &'static str,
        beside: &'static str,
        remedy: &'static str,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Fixtures(#[from] FixtureError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Output(#[from] OutputError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Experiment(#[from] ExperimentError),
    /// The report lacks datasets.
    #[error("{}", experiment::told(.0))]
    #[diagnostic(help("the report has everything else; you can measure these again alone"))]
    Partly(Vec<ExperimentError>),
    /// So does what was to be a baseline.
    #[error("{}", experiment::told(.0))]
    #[diagnostic(help(
        "the report has everything else; it was not saved as a baseline, which would be incomplete"
    ))]
    NotKept(Vec<ExperimentError>),
    /// The run was ended, and something of it is complete.
    #[error("{}interrupted: {kept}", above(failures))]
    #[diagnostic(help("run the same command again to measure everything"))]
    Interrupted {
        failures: Vec<ExperimentError>,
        /// Where what is complete is.
        kept: String,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Claims(#[from] ClaimsError),
    /// Claims have other verdicts than expected.
    #[error("{}", .0.join("\nerror: "))]
    #[diagnostic(help(
        "`refcow claims ID` shows what a verdict rests on; if it is right, expect it: --expect FILE, with lines id = \"verdict\""
    ))]
    Unexpected(Vec<String>),
    /// Facts about versions came out otherwise than predicted.
    #[error("{}", .0.join("\nerror: "))]
    #[diagnostic(help(
        "either refcow is wrong about these versions, or they have changed: see harness/model/claims/versions.toml"
    ))]
    NotAsPredicted(Vec<String>),
    /// More bytes are copied and made than in the base, or a verdict is no longer as expected.
    #[error("{0} regressed")]
    #[diagnostic(help("if this change is intended, save the new run as the new base"))]
    Regressed(String),
    /// A comparison without a row.
    #[error("the two runs have nothing in common to compare")]
    #[diagnostic(help(
        "refcow compares visits of the same fixture, the same ways to share, verdicts and facts{remedy}"
    ))]
    NothingInCommon {
        /// What to do if it has another name.
        remedy: String,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Match(#[from] compare::MatchError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Documents(#[from] documents::DocumentFileError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Baseline(#[from] BaselineError),
    /// The summary cannot be written.
    #[error("cannot write to {}, which GITHUB_STEP_SUMMARY names: {source}", path.display())]
    #[diagnostic(help("set GITHUB_STEP_SUMMARY to a file that you may write to, or unset it"))]
    Summary { path: PathBuf, source: io::Error },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Merge(#[from] MergeError),
    /// A tree of processes cannot be looked at.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Live(#[from] LiveError),
    /// The user's program ended so: that is refcow's exit status, too, and nothing is said of it.
    #[error("the program ended with status {0}")]
    Passed(u8),
    /// Pages were to be told apart by what wrote to them, which is not known.
    #[error("cannot tell what caused the copies: page faults could not be recorded")]
    #[diagnostic(help(
        "the warning in the report says why and what helps, and so does `refcow doctor`"
    ))]
    NoCauses,
    #[error(transparent)]
    #[diagnostic(transparent)]
    Report(#[from] report::Error),
    /// A comparison is no part of these formats.
    #[error(
        "--baseline prints a comparison below the table, and JSON and CSV have no place for it"
    )]
    #[diagnostic(help(
        "write the report with --format json --output NEW.json, then: refcow compare baselines/NAME.json NEW.json --format json"
    ))]
    NoPlaceForComparison,
    /// An option that belongs to no command.
    #[error("`{0}` stands before any command, and refcow alone takes no options")]
    #[diagnostic(help(
        "put it behind its command, as in `refcow claims --quick`; `refcow COMMAND --help` lists a command's options"
    ))]
    NoCommand(String),
    /// Nothing to print a page of.
    #[error("refcow has no command `{0}`")]
    #[diagnostic(help("`refcow --help` lists them"))]
    NoSuchCommand(String),
    /// What is to be written would be no fixture.
    #[error("{} is not the name of a Python file", .0.display())]
    #[diagnostic(help("give it a name that ends in .py"))]
    NotPython(PathBuf),
    #[error(transparent)]
    #[diagnostic(transparent)]
    NotCreated(#[from] CreateError),
    /// Several files, and no folder for them.
    #[error("{what} are several files, and --output names no directory for them")]
    #[diagnostic(help("{remedy}"))]
    NoFolder {
        what: &'static str,
        remedy: &'static str,
    },
    /// A chart that this report does not have.
    #[error("this run has no chart `{name}`")]
    #[diagnostic(help("{offer}"))]
    NoSuchChart {
        name: String,
        /// Those that there are.
        offer: String,
    },
    /// Of other formats than charts.
    #[error("--chart needs --format svg or --format png")]
    #[diagnostic(help("add one of them, or leave --chart out"))]
    NoChart,
    /// A document could not be repeated.
    #[error("{}: {answer}", path.display())]
    #[diagnostic(help("the answer above says where; --report DIR keeps what was measured now"))]
    NotReproduced {
        path: PathBuf,
        answer: model::Answer,
    },
    /// A document names files, and their code was not asked to be run.
    #[error("{}: its command, `{measures}`, {does}", path.display())]
    #[diagnostic(help("if you trust it and want to run it as you: {command}"))]
    RunsCode {
        path: PathBuf,
        /// The document's command.
        measures: String,
        /// Whose code it runs, and what that finds in its environment.
        does: String,
        /// The command with --run-code.
        command: String,
    },
    /// Ctrl-C would go unheard.
    #[error("cannot listen for signals: {0}")]
    #[diagnostic(help("raise the limit of open files (ulimit -n)"))]
    Signals(io::Error),
}

/// Errors above another one.
fn above(errors: &[ExperimentError]) -> String {
    match errors {
        [] => String::new(),
        errors => format!("{}\nerror: ", experiment::told(errors)),
    }
}

impl From<SharingError> for CommandError {
    fn from(error: SharingError) -> Self {
        Self::Experiment(error.into())
    }
}

impl CommandError {
    /// That of the user's own program, of which nothing is to be said.
    pub fn of_the_program(&self) -> Option<u8> {
        match self {
            Self::Passed(status) => Some(*status),
            _ => None,
        }
    }

    /// The documented exit status.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unexpected(_)
            | Self::NotAsPredicted(_)
            | Self::Regressed(_)
            | Self::NotReproduced { .. } => 1,
            Self::Interrupted { .. } => interrupt::STATUS,
            Self::Experiment(error) => exit_code_of(error.first()),
            Self::Passed(status) => *status,
            Self::Live(error) if error.is_bad_input() => 2,
            Self::Live(_)
            | Self::Partly(_)
            | Self::NotKept(_)
            | Self::NoCauses
            | Self::Output(OutputError::NotWritten { .. })
            | Self::Report(_)
            | Self::Signals(_) => 3,
            // What the user gave is wrong.
            _ => 2,
        }
    }
}

/// That of what keeps everything from being measured.
fn exit_code_of(error: &ExperimentError) -> u8 {
    use ExperimentError as E;
    use PythonError as P;
    match error {
        error if error.is_interruption() => interrupt::STATUS,
        E::Interpreter { .. } => 3,
        error if error.is_bad_input() => 2,
        E::Python(
            P::NoSuchVersion { .. }
            | P::NotFound { .. }
            | P::NotAnEnvironment { .. }
            | P::NotExecutable { .. }
            | P::Unreadable { .. }
            | P::Unusable { .. },
        ) => 2,
        _ => 3,
    }
}
