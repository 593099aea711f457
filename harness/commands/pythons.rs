//! `refcow pythons`: the interpreters of this machine, and what can be done with each.

use std::fmt::Write;

use miette::Diagnostic;

use crate::experiment::ExperimentError;
use crate::python::Packages;
use crate::{fixtures, python};

/// Every interpreter with what can be done with it, those first that refcow would choose.
pub fn run() -> Result<String, ExperimentError> {
    let modules = fixtures::PROVIDED.map(str::to_owned);
    let found = python::discover();
    let usable: Vec<_> = found
        .iter()
        .filter_map(|found| found.outcome.as_ref().ok())
        .collect();
    let mut packages = python::packages(&usable, &modules)?.into_iter();
    let mut text = String::new();
    for found in &found {
        let path = found.path.display();
        let _ = match &found.outcome {
            Ok(interpreter) => writeln!(text, "{:<8} {path}", interpreter.version),
            Err(reason) => writeln!(text, "no       {path}: {reason}"),
        };
        let mut line = |name: &str, words: &str| {
            let _ = writeln!(text, "         {name}: {words}");
        };
        match &found.outcome {
            Ok(interpreter) => {
                let packages = match packages.next() {
                    Some(Packages::Own) => "its own".to_owned(),
                    Some(Packages::Ready(path)) => format!("ready in {}", path.display()),
                    Some(Packages::Nowhere(why)) => format!("none: {why}"),
                    _ => "a private environment is made on first use".to_owned(),
                };
                line("program", &interpreter.program.display().to_string());
                line(&modules.join(", "), &packages);
            }
            Err(reason) => {
                if let Some(help) = reason.help() {
                    line("remedy", &help.to_string());
                }
            }
        }
    }
    Ok(text)
}
