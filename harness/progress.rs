//! How far a run is, on standard error: a bar on a terminal, and in a pipe only what takes long and happens once.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::experiment::Step;

/// The bar of one run. Gone when dropped.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    steps: u64,
    on_terminal: bool,
}

impl Progress {
    /// A bar that is full after so many steps of each interpreter. Indicatif hides it where standard error is no terminal.
    pub fn new(steps: u64) -> Self {
        let bar = ProgressBar::new(steps);
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} [{bar:24}] {pos}/{len} {prefix}{wide_msg}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self {
            bar,
            steps,
            on_terminal: io::stderr().is_terminal(),
        }
    }

    /// Shows a step.
    pub fn show(&self, step: &Step<'_>) {
        match step {
            Step::Done => self.bar.inc(1),
            Step::Preparing(what) => self.bar.set_message((*what).to_owned()),
            Step::Installing(line) if self.on_terminal => self.bar.set_message((*line).to_owned()),
            // Whoever reads a log wants to know why it stands still. If nobody reads it, nothing is lost.
            Step::Installing(line) => drop(writeln!(io::stderr(), "refcow: {line}")),
            Step::Interpreter {
                version,
                of,
                number,
            } => {
                // What an interpreter could not do is done with, too.
                self.bar.set_position(self.steps * (*number as u64 - 1));
                self.bar.set_length(self.steps * *of as u64);
                if *of > 1 {
                    self.bar.set_prefix(format!("Python {version}: "));
                }
            }
            Step::Building { fixture } => self.bar.set_message(format!("building {fixture}")),
            Step::Observing { name } => self.bar.set_message(format!("observing {name}")),
            Step::Visiting { fixture, visit } => {
                self.bar.set_message(format!("{fixture}: {visit}"));
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
