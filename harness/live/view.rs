//! A tree that is watched, on standard error: lines that are redrawn in place on a terminal, else a line for each moment.

use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::recording::Deed;
use super::table;
use super::watch::{Moment, Watch};
use crate::numbers::bytes;
use crate::observe::page_size;

/// As many processes as are shown while they run.
const MOST: usize = 12;

/// What is shown.
#[derive(Debug)]
pub struct View {
    shown: Shown,
    before: Option<Moment>,
}

#[derive(Debug)]
enum Shown {
    /// Gone when this is dropped.
    InPlace(ProgressBar),
    Lines,
    Nothing,
}

impl View {
    /// `in_place`: where standard error is a terminal that belongs to refcow alone.
    pub fn new(in_place: bool, quiet: bool) -> Self {
        let shown = match quiet {
            true => Shown::Nothing,
            false if in_place && io::stderr().is_terminal() => {
                let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
                let style = ProgressStyle::with_template("{msg}");
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
                Shown::InPlace(bar)
            }
            false => Shown::Lines,
        };
        Self {
            shown,
            before: None,
        }
    }

    /// Shows a moment.
    pub fn show(&mut self, watch: &Watch, moment: &Moment) {
        let line = table::line(moment, self.before.as_ref());
        self.before = Some(*moment);
        match &self.shown {
            Shown::Nothing => {}
            // If nobody reads it, nothing is lost.
            Shown::Lines => drop(writeln!(io::stderr(), "{line}")),
            Shown::InPlace(bar) => {
                bar.set_message(format!("{line}\n{}Ctrl-C ends it", processes(watch)))
            }
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Shown::InPlace(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

/// A line for each process that lives, those first that have copied and made most.
fn processes(watch: &Watch) -> String {
    let mut all: Vec<_> = watch
        .recording
        .members
        .iter()
        .filter(|one| one.lives)
        .collect();
    let pages = |one: &super::recording::Recorded<_>| one.pages.iter().sum::<u64>();
    all.sort_by_key(|one| std::cmp::Reverse(pages(one)));
    let mut text = String::new();
    for one in all.iter().take(MOST) {
        let amount = |pages: u64| bytes(pages * page_size());
        text += &format!(
            "{:>9}  copied {:>9}  new {:>9}\n",
            one.member.pid,
            amount(one.number(Deed::Copied) + one.number(Deed::Rewrote)),
            amount(one.number(Deed::Made)),
        );
    }
    if all.len() > MOST {
        text += &format!("          and {} more\n", all.len() - MOST);
    }
    text
}
