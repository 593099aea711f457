//! The `refcow` program: parse, run, print the error, exit status. Nothing else.

use std::io::{self, Write};
use std::process::ExitCode;

use miette::Diagnostic;
use refcow::cli;
use refcow::keeper;
use refcow::live::tracer;
use refcow::model::printable_lines;
use refcow::process;

fn main() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    if name == keeper::NAME {
        return ended(keeper::NAME, keeper::run());
    }
    if name == tracer::NAME {
        return ended(tracer::NAME, tracer::run());
    }
    process::raise_open_files();
    match cli::run(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(status) = error.of_the_program() {
                return ExitCode::from(status);
            }
            let mut text = format!("error: {error}\n");
            if let Some(help) = error.help() {
                text += &format!("help: {help}\n");
            }
            // What a user's code raises may hold characters that act on a terminal.
            let text = printable_lines(&text);
            // Not eprintln, which panics where nobody reads: the exit status still tells.
            let _ = io::stderr().write_all(text.as_bytes());
            ExitCode::from(error.exit_code())
        }
    }
}

/// The same program in another part.
fn ended(name: &str, outcome: io::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = format!("{name}: {error}; it is started by refcow\n");
            let _ = io::stderr().write_all(text.as_bytes());
            ExitCode::from(2)
        }
    }
}
