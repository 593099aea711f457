//! The `refcow` program: parse, run, print the error, exit status. Nothing else.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use clap::error::ErrorKind;
use miette::Diagnostic;
use refcow::cli::Cli;
use refcow::command_line::with_command;
use refcow::commands;
use refcow::keeper;
use refcow::model::printable_lines;
use refcow::process;

fn main() -> ExitCode {
    if std::env::args_os()
        .next()
        .is_some_and(|name| name == keeper::NAME)
    {
        return keep();
    }
    process::raise_open_files();
    let words = with_command(std::env::args_os());
    let done = match Cli::of(&words) {
        Ok(cli) => commands::run(&cli),
        Err(said) if said.kind() == ErrorKind::DisplayHelp => {
            commands::show_help(&said, words.into_iter())
        }
        Err(said) if said.kind() == ErrorKind::UnknownArgument && is_option(&words[1]) => {
            let option = words[1].to_string_lossy().into_owned();
            Err(commands::Error::NoCommand(option))
        }
        // With 2 where it does not understand the command line, with 0 after --version.
        Err(said) => said.exit(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = format!("error: {error}\n");
            if let Some(help) = error.help() {
                text += &format!("help: {help}\n");
            }
            // What a user's code raises may hold letters that act on a terminal.
            let text = printable_lines(&text);
            // Not eprintln, which panics where nobody reads: the exit status still tells.
            let _ = io::stderr().write_all(text.as_bytes());
            ExitCode::from(error.exit_code())
        }
    }
}

fn is_option(word: &OsStr) -> bool {
    word.as_bytes().starts_with(b"-") && word != "--"
}

/// The same program in its other part.
fn keep() -> ExitCode {
    match keeper::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("{}: {error}; it is started by refcow\n", keeper::NAME);
            let _ = io::stderr().write_all(text.as_bytes());
            ExitCode::from(2)
        }
    }
}
