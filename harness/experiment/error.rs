//! All that can keep a run from its report. Nothing below knows it: each module has errors of its
//! own.

use std::path::PathBuf;

use super::calibration::CalibrationError;
use super::dataset::DatasetError;
use super::launch::LaunchError;
use super::sharing::SharingError;
use crate::failures::{Failed, Failure, Message, messages};
use crate::machine::MachineError;
use crate::model::{self, Warning};
use crate::python::{Interpreter, PythonError};

/// Why there is no report.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ExperimentError {
    /// No interpreter, or no environment for it.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Python(#[from] PythonError),
    /// The machine could not be described.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Machine(#[from] MachineError),
    /// The instrument failed its own check.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Calibration(#[from] CalibrationError),
    /// There is nothing to start subjects with.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Launch(#[from] LaunchError),
    /// A dataset could not be measured, or something else observed.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Dataset(#[from] DatasetError),
    /// Ways to share could not be compared.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Sharing(#[from] SharingError),
    /// One of several interpreters could not be measured, or not with everything.
    #[error("CPython {version} ({}): {error}", executable.display())]
    Interpreter {
        /// Its version.
        version: String,
        /// The program.
        executable: PathBuf,
        /// Why not.
        error: Box<ExperimentError>,
        /// What to do about it.
        #[help]
        help: Option<String>,
    },
    /// Nothing could be measured, for each of these.
    #[error("{}", listed(failures))]
    Several {
        /// Why not, in the order of what was to be measured.
        failures: Vec<ExperimentError>,
        /// What to do about the last that is told.
        #[help]
        help: Option<String>,
    },
}

impl ExperimentError {
    /// As one of several interpreters' errors.
    pub(super) fn of_interpreter(self, interpreter: &Interpreter) -> Self {
        Self::Interpreter {
            version: interpreter.version.clone(),
            executable: interpreter.executable.clone(),
            help: miette::Diagnostic::help(&self).map(|help| help.to_string()),
            error: Box::new(self),
        }
    }

    /// All of these, of which there is at least one.
    pub(super) fn of_all(mut failures: Vec<Self>) -> Self {
        match failures.len() {
            1 => failures.remove(0),
            _ => Self::Several {
                help: messages_of(&failures).pop().and_then(|last| last.help),
                failures,
            },
        }
    }

    /// What this tells of, one by one.
    fn failures(&self) -> Vec<Failure> {
        let failure = |interpreter, what: Option<&String>, reason: String| Failure {
            failed: Failed {
                interpreter,
                what: what.cloned(),
            },
            alone: self.to_string(),
            reason,
            help: miette::Diagnostic::help(self).map(|help| help.to_string()),
        };
        let one = match self {
            Self::Several { failures, .. } => {
                return failures.iter().flat_map(Self::failures).collect();
            }
            Self::Interpreter {
                version,
                executable,
                error,
                ..
            } => {
                let name = format!("CPython {version} ({})", executable.display());
                let named = |mut failure: Failure| {
                    failure.alone = format!("{name}: {}", failure.alone);
                    failure.failed.interpreter = Some(name.clone());
                    failure
                };
                return error.failures().into_iter().map(named).collect();
            }
            Self::Python(error) => {
                let (name, reason) = error.reason();
                failure(name, None, reason)
            }
            Self::Dataset(DatasetError::Failed { name, error, .. }) => {
                failure(None, Some(name), error.to_string())
            }
            Self::Sharing(SharingError::Failed { way, error, .. }) => {
                failure(None, Some(way), error.to_string())
            }
            Self::Sharing(
                SharingError::ChildDied { way, reason }
                | SharingError::NotPossible { way, reason }
                | SharingError::WorkerRaised { way, reason },
            ) => failure(None, Some(way), reason.clone()),
            error => failure(None, None, error.to_string()),
        };
        vec![one]
    }

    /// The first, which decides on the exit status.
    pub fn first(&self) -> &Self {
        match self {
            Self::Several { failures, .. } => failures[0].first(),
            error => error,
        }
    }

    /// In one line.
    pub(super) fn reason(&self) -> String {
        match self {
            // Its name is known.
            Self::Dataset(error) => error.reason(),
            error => model::one_line(&error.to_string()),
        }
    }

    /// The warning in a report that lacks an interpreter.
    pub(super) fn interpreter_not_measured(&self, python: &str) -> Warning {
        let (name, reason) = match self {
            Self::Python(error) => error.reason(),
            error => {
                let messages = messages(error.failures()).into_iter();
                let lines: Vec<_> = messages.map(|message| message.line).collect();
                (None, lines.join("; "))
            }
        };
        Warning::InterpreterNotMeasured {
            python: name.unwrap_or_else(|| python.to_owned()),
            reason: model::one_line(&reason),
        }
    }

    /// Whether there is no point in going on, or no trust in what came before.
    pub(super) fn spoils_the_run(&self) -> bool {
        match self {
            Self::Dataset(error) => error.spoils_the_run(),
            error => error.is_interruption(),
        }
    }

    /// Whether it is what the user gave that no data could be built with.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Dataset(error) => error.is_bad_input(),
            Self::Calibration(error) => matches!(error, CalibrationError::TooLarge { .. }),
            Self::Sharing(error) => error.is_bad_input(),
            Self::Several { .. } => self.first().is_bad_input(),
            _ => false,
        }
    }

    /// Whether the user ended the run.
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Python(PythonError::Interrupted) => true,
            Self::Sharing(error) => error.is_interruption(),
            Self::Calibration(CalibrationError::Visit(error)) => error.is_interruption(),
            Self::Dataset(error) => error.is_interruption(),
            Self::Interpreter { error, .. } => error.is_interruption(),
            _ => false,
        }
    }
}

fn messages_of(errors: &[ExperimentError]) -> Vec<Message> {
    messages(errors.iter().flat_map(ExperimentError::failures))
}

/// Errors in words, one for each reason, below each other, each with what to do about it.
pub fn told(errors: &[ExperimentError]) -> String {
    in_words(messages_of(errors))
}

/// The same, but what to do about the last.
fn listed(errors: &[ExperimentError]) -> String {
    let mut messages = messages_of(errors);
    if let Some(last) = messages.last_mut() {
        last.help = None;
    }
    in_words(messages)
}

fn in_words(messages: Vec<Message>) -> String {
    let words = |message: Message| match message.help {
        Some(help) => format!("{}\nhelp: {help}", message.text),
        None => message.text,
    };
    let words: Vec<_> = messages.into_iter().map(words).collect();
    words.join("\nerror: ")
}
