//! The words of a command line that say what to measure.

use std::ffi::OsString;
use std::iter;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, CommandFactory};

use crate::cli::Cli;
use crate::model::{By, printable};

/// The words of a command line, the program's name first: `refcow` alone is `refcow claims`.
pub fn with_command(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.into_iter().collect();
    if words.len() == 1 {
        words.push("claims".into());
    }
    words
}

/// The words of a document's command, with the name that it has now if it was written by an older one.
pub fn with_new_name(mut words: Vec<String>) -> Vec<String> {
    if let Some(name) = words.first_mut() {
        let program = Cli::command();
        if let Some(command) = program.find_subcommand(&name) {
            command.get_name().clone_into(name);
        }
    }
    words
}

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
/// Empty if there is one that a document has no place for: no UTF-8, or with a letter that acts on a terminal.
pub fn command_words(arguments: &[OsString]) -> Vec<String> {
    words_that_measure(arguments).unwrap_or_default()
}

fn words_that_measure(arguments: &[OsString]) -> Option<Vec<String>> {
    let program = Cli::command();
    let all = iter::once("refcow".into()).chain(arguments.iter().cloned());
    let matches = program.clone().try_get_matches_from(all).ok()?;
    // By its own name, whatever other one it was called by.
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
    let by = matches.try_get_one::<By>("by").ok().flatten();
    let lines = "--lines".to_owned();
    if by == Some(&By::Line) && !words.contains(&lines) {
        words.push(lines);
    }
    if !last.is_empty() {
        words.push("--".into());
        words.append(&mut last);
    }
    let mut all = words.iter();
    all.all(|word| printable(word) == **word).then_some(words)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;
    use crate::experiment::Plan;
    use clap::Parser;
    use rstest::rstest;

    fn arguments(text: &str) -> Vec<OsString> {
        text.split(' ')
            .filter(|word| !word.is_empty())
            .map(Into::into)
            .collect()
    }

    #[rstest]
    #[case::without_what_does_not_count(
        "claims --quick --format=json --output F --python 3.12",
        "claims --quick --python 3.12"
    )]
    #[case::an_older_name("versions a", "facts a")]
    #[case::another("alternatives --way list", "sharing --way list")]
    #[case::a_claim("claims shm-new --expect E --claims C -q", "claims shm-new --claims C")]
    #[case::in_the_order_of_the_command(
        "measure --children=4 ints --visit read lists --visit idle",
        "measure ints lists --visit read --visit idle --children 4"
    )]
    #[case::with_a_baseline(
        "measure ints --save-baseline B --prepare freeze",
        "measure ints --prepare freeze"
    )]
    #[case::matched_with_a_baseline("measure ints --baseline B --match lists=ints", "measure ints")]
    #[case::cut_by_type("measure ints --by type", "measure ints")]
    #[case::cut_by_line("measure ints --by line", "measure ints --lines")]
    #[case::cut_by_line_with_lines("measure ints --by=line --lines", "measure ints --lines")]
    #[case::with_huge_pages(
        "measure ints --huge-pages=keep --report D",
        "measure ints --huge-pages keep"
    )]
    #[case::told_to_be_quiet("facts a b --report D --quiet --timeout 5", "facts a b --timeout 5")]
    #[case::words_of_the_files_own(
        "advise x.py:go --set n=-1 --format json -- --output F",
        "advise x.py:go --set n=-1 -- --output F"
    )]
    #[case::a_value_like_an_option("measure ints --python=-x", "measure ints --python=-x")]
    #[case::a_default_that_was_given("sharing --size 4194304", "sharing --size 4194304")]
    fn what_says_what_to_measure_stays(#[case] given: &str, #[case] words: &str) {
        assert_eq!(command_words(&arguments(given)).join(" "), words);
    }

    fn plan(words: impl IntoIterator<Item = OsString>) -> Plan {
        let words = iter::once("refcow".into()).chain(words);
        let cli = Cli::try_parse_from(words).unwrap();
        match &cli.command {
            Command::Claims(claims) => claims
                .options
                .plan(crate::claims::Claims::builtin(), &claims.ids)
                .unwrap(),
            Command::Measure(measure) => measure.plan().unwrap(),
            Command::Advise(advise) => advise.plan().unwrap(),
            Command::Sharing(options) => options.plan().unwrap(),
            Command::Facts(options) => options.plan(crate::claims::Claims::versions()).unwrap(),
            other => panic!("{other:?} measures nothing"),
        }
    }

    #[rstest]
    #[case("claims")]
    #[case("claims --full --children 3 --format markdown")]
    #[case("claims entire-list shm-new --quick --force --output F")]
    #[case("measure ints small_ints:idle --visit=iterate --count 7 --python all --python 3.9")]
    #[case("measure ints --by line --format csv")]
    #[case("measure lists --no-causes --prepare freeze --save-baseline B")]
    #[case("measure tests/fixtures/acts.py:act --set count=3 --timeout 0.5 -- --format json -q")]
    #[case("advise lists --visit iterate --set count=3 --format json")]
    #[case("sharing --way args --start-method spawn --size 8192 --quiet")]
    #[case("facts --format json --report R")]
    fn the_words_make_the_same_plan(#[case] given: &str) {
        let given = arguments(given);
        let words = command_words(&given);
        let again: Vec<OsString> = words.iter().map(Into::into).collect();
        assert_eq!(
            format!("{:?}", plan(again.clone())),
            format!("{:?}", plan(given))
        );
        // And are words that stay.
        assert_eq!(command_words(&again), words);
    }

    #[test]
    fn what_a_document_has_no_place_for_is_no_command() {
        use std::os::unix::ffi::OsStringExt;
        let no_text = OsString::from_vec(vec![b'a', 0xff]);
        let of = |path: OsString| command_words(&["claims".into(), "--claims".into(), path]);
        assert_eq!(of("a".into()).len(), 3);
        assert!(of(no_text).is_empty());
        assert!(of("a\u{1b}[31m".into()).is_empty());
    }
}
