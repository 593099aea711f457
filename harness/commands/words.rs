//! The words of a command line that say what to measure.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::model::{By, printable};

/// Options, by their names in the parser, that change nothing of what is measured: where it is written and in which form, what
/// it is compared with, and what is expected of it.
const BESIDE: [&str; 9] = [
    "output",
    "report",
    "format",
    "by",
    "quiet",
    "save_baseline",
    "baseline",
    "renamed",
    "expect",
];

/// The words of a command line, without the program's name, that measure the same again: its command, and every option that
/// says what is measured, in the order in which the command declares them. They parse to the same plan.
///
/// Empty if there is one that a document has no place for: no UTF-8, or with a character that acts on a terminal.
pub fn that_measure(program: &Command, matches: &ArgMatches) -> Vec<String> {
    all(program, matches).unwrap_or_default()
}

fn all(program: &Command, matches: &ArgMatches) -> Option<Vec<String>> {
    // By its own name, whatever older one it was called by.
    let (name, matches) = matches.subcommand()?;
    let command = program.find_subcommand(name)?;
    let mut words = vec![name.to_owned()];
    // What stands behind `--`.
    let mut last = Vec::new();
    let given = |argument: &&Arg| {
        let id = argument.get_id().as_str();
        !BESIDE.contains(&id) && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    let (named, options): (Vec<_>, Vec<_>) = command
        .get_arguments()
        .filter(given)
        .partition(|argument| argument.is_positional());
    for argument in named {
        let values = values(matches, argument.get_id().as_str())?;
        match argument.is_last_set() {
            true => last.extend(values),
            false => words.extend(values),
        }
    }
    for argument in options {
        let id = argument.get_id().as_str();
        let name = argument.get_long()?;
        match argument.get_action() {
            ArgAction::SetTrue => words.push(format!("--{name}")),
            _ => {
                for value in values(matches, id)? {
                    words.extend(option(name, &value));
                }
            }
        }
    }
    // A cut by line has lines logged, which is more than a form.
    let by = matches.try_get_many::<By>("by").ok().flatten();
    let by_line = by.is_some_and(|mut all| all.any(|by| *by == By::Line));
    let lines = "--lines".to_owned();
    if by_line && !words.contains(&lines) {
        words.push(lines);
    }
    if !last.is_empty() {
        words.push("--".into());
        words.append(&mut last);
    }
    let is_printable = |word: &String| printable(word) == **word;
    words.iter().all(is_printable).then_some(words)
}

/// What an argument was given, as it was written.
fn values(matches: &ArgMatches, id: &str) -> Option<Vec<String>> {
    let values = matches.get_raw(id)?;
    values
        .map(|value| value.to_str().map(str::to_owned))
        .collect()
}

/// An option with its value, which may begin as an option does.
fn option(name: &str, value: &str) -> Vec<String> {
    match value.starts_with('-') {
        true => vec![format!("--{name}={value}")],
        false => vec![format!("--{name}"), value.to_owned()],
    }
}
