//! The `refcow` program: parse, run, print the error, exit status. Nothing else.

use std::io::{self, Write};
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
            let mut text = format!("error: {error}\n");
            if let Some(help) = error.help() {
                text += &format!("help: {help}\n");
            }
            // Not eprintln, which panics where nobody reads: the exit status still tells.
            let _ = io::stderr().write_all(text.as_bytes());
            ExitCode::from(error.exit_code())
        }
    }
}
