//! The `refcow` program: parse, run, print the error, exit status. Nothing else.

use std::process::ExitCode;

use clap::Parser;
use miette::Diagnostic;
use refcow::cli::Cli;
use refcow::commands;

fn main() -> ExitCode {
    // clap exits with 2 on a command line it does not understand, and with 0 after --help and --version.
    let cli = Cli::parse();
    match commands::run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(help) = error.help() {
                eprintln!("help: {help}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}
