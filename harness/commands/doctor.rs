//! `refcow doctor`: what this machine allows.

use std::fmt::Write;

use clap::Args;
use miette::Diagnostic;

use super::calibrate;
use super::error::CommandError;
use crate::experiment::calibration::Options;
use crate::machine::{self, State};
use crate::output::Output;
use crate::python;

/// The flags of `refcow doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {}

impl DoctorArgs {
    /// Says what it allows.
    pub fn run(&self) -> Result<(), CommandError> {
        Ok(Output::Standard.write(doctor().as_bytes())?)
    }
}

fn doctor() -> String {
    let mut text = String::new();
    let mut say =
        |state: State, name: &str, found: &str, lost: Option<&str>, help: Option<&str>| {
            let mark = match state {
                State::Good => "ok",
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
                    interpreter.program.display()
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
        calibrate::calibration(None, Options::default())
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
