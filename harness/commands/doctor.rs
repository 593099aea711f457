//! `refcow doctor`: what this machine allows.

use std::fmt::Write;

use miette::Diagnostic;

use super::calibrate;
use crate::experiment::calibration::Options;
use crate::machine::{self, Availability};
use crate::python;

/// What was looked at, what was found, and what is lost where it is not ok.
pub fn run() -> String {
    let mut text = String::new();
    for one in machine::findings() {
        add(
            &mut text, one.state, one.name, &one.found, one.lost, one.remedy,
        );
    }
    let mut usable = false;
    for found in python::discover() {
        let path = found.path.display().to_string();
        match found.outcome {
            Ok(one) => {
                usable = true;
                let words = format!("CPython {}, {}", one.version, one.program.display());
                add(&mut text, Availability::Good, &path, &words, None, None);
            }
            Err(why) => add_failure(&mut text, &path, &why, "this interpreter"),
        }
    }
    match usable.then(|| calibrate::calibration(None, Options::default())) {
        Some(Ok(one)) => {
            let (written, counted) = (one.pages_written, one.pages_counted);
            let words = format!("{written} pages written, {counted} counted");
            add(
                &mut text,
                Availability::Good,
                "calibration",
                &words,
                None,
                None,
            );
        }
        Some(Err(why)) => add_failure(&mut text, "calibration", &why, "every measurement"),
        None => {
            let lost = Some("every measurement".into());
            let why = "no usable CPython";
            add(
                &mut text,
                Availability::Unavailable,
                "calibration",
                why,
                lost,
                None,
            );
        }
    }
    text
}

fn add_failure(text: &mut String, name: &str, why: &impl Diagnostic, lost: &str) {
    let help = why.help().map(|help| help.to_string());
    let lost = Some(lost.to_owned());
    add(
        text,
        Availability::Unavailable,
        name,
        &why.to_string(),
        lost,
        help,
    );
}

fn add(
    text: &mut String,
    state: Availability,
    name: &str,
    found: &str,
    lost: Option<String>,
    remedy: Option<String>,
) {
    let mark = match state {
        Availability::Good => "ok",
        Availability::Limited => "part",
        Availability::Unavailable => "no",
        Availability::Unknown => "?",
    };
    let _ = writeln!(text, "{mark:<5}{name}: {found}");
    for (label, words) in [("lost", lost), ("remedy", remedy)] {
        if let Some(words) = words {
            let _ = writeln!(text, "       {label}: {words}");
        }
    }
}
