//! A tree that is watched, on standard error: a picture that is redrawn in place on a terminal, else a line for each moment.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::keys::Keyboard;
use super::recording::{Deed, RecordedMember};
use super::table::{self, cut};
use super::watch::{Moment, Watch};
use crate::model::Cause;
use crate::numbers::{bytes, counted, share};
use crate::observe::page_size;
use crate::report::{Columns, wrapped};

/// As many processes, and as many causes, as are shown while they run.
const MOST: usize = 8;

/// Columns of a terminal that does not say how many it has.
const WIDTH: u16 = 80;

/// On a narrower one the picture is broken.
const LEAST: u16 = 20;

/// What is shown.
#[derive(Debug)]
pub struct View {
    shown: Shown,
    before: Option<Moment>,
    /// Pages of each process by its place, a moment ago.
    pages: HashMap<usize, u64>,
}

#[derive(Debug)]
enum Shown {
    /// Gone when this is dropped.
    InPlace(ProgressBar, Option<Keyboard>),
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
                Shown::InPlace(bar, Keyboard::of_terminal())
            }
            false => Shown::Lines,
        };
        Self {
            shown,
            before: None,
            pages: HashMap::new(),
        }
    }

    /// Whether somebody who looks at it wants it to end.
    pub fn is_quit(&self) -> bool {
        matches!(&self.shown, Shown::InPlace(_, Some(keys)) if keys.is_quit())
    }

    /// Shows a moment.
    pub fn show(&mut self, watch: &Watch, moment: &Moment) {
        let line = table::line(moment, self.before.as_ref());
        let seconds = moment.seconds - self.before.map_or(0.0, |before| before.seconds);
        self.before = Some(*moment);
        // No terminal, no width.
        let size = rustix::termios::tcgetwinsize(io::stderr());
        let width = size.map(|size| size.ws_col.max(LEAST));
        match &self.shown {
            Shown::Nothing => {}
            Shown::Lines => {
                let width = width.unwrap_or(u16::MAX);
                // If nobody reads it, nothing is lost.
                drop(write!(io::stderr(), "{}", wrapped(&line, width, "")));
            }
            Shown::InPlace(bar, keys) => {
                let width = width.unwrap_or(WIDTH);
                let line = wrapped(&line, width - 1, "");
                let processes = processes(watch, &mut self.pages, seconds);
                let end = match keys {
                    Some(_) => "q or Ctrl-C ends it",
                    None => "Ctrl-C ends it",
                };
                let text = format!(
                    "{}\n{line}\n{}{processes}{end}",
                    watch.title(),
                    causes(watch)
                );
                // A line that the terminal breaks would not be redrawn in its place.
                let lines = text.lines().map(|line| cut(line, usize::from(width) - 1));
                bar.set_message(lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Shown::InPlace(bar, _) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

/// What unshares most until now.
fn causes(watch: &Watch) -> String {
    let mut sums: HashMap<[&str; 3], u64> = HashMap::new();
    for (key, pages) in watch.causes() {
        if matches!(key.deed, Deed::Copied | Deed::Rewrote) {
            let cause = key.cause.map_or("–", Cause::as_str);
            let of_type = key.type_name.as_deref().unwrap_or("–");
            *sums.entry([cause, of_type, &key.function]).or_default() += pages;
        }
    }
    if sums.is_empty() {
        return String::new();
    }
    let all: u64 = sums.values().sum();
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(words, pages)| (std::cmp::Reverse(*pages), *words));
    let rows = sums
        .iter()
        .take(MOST)
        .map(|([cause, of_type, function], pages)| {
            vec![
                bytes(pages * page_size()),
                share(*pages as f64 / all as f64),
                (*cause).to_owned(),
                cut(of_type, 28),
                cut(function, 28),
            ]
        });
    let columns = Columns {
        header: ["copied", "part", "first write to", "type", "by"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.collect(),
        leading: 2,
        numbers: 0..2,
    };
    columns.text(None)
}

/// A line for each process that lives, those first that have copied and made most.
fn processes(watch: &Watch, before: &mut HashMap<usize, u64>, seconds: f64) -> String {
    let pages = |one: &RecordedMember<_>| one.pages.iter().sum::<u64>();
    let all = watch.recording.members.iter().enumerate();
    let mut all: Vec<_> = all.filter(|(_, one)| one.lives).collect();
    all.sort_by_key(|(place, one)| (std::cmp::Reverse(pages(one)), *place));
    let amount = |pages: u64| bytes(pages * page_size());
    let rows = all.iter().take(MOST).map(|(place, one)| {
        let more = pages(one) - before.get(place).copied().unwrap_or(0);
        let a_second = if seconds > 0.0 {
            more as f64 / seconds
        } else {
            0.0
        };
        vec![
            one.member.pid.to_string(),
            amount(one.number(Deed::Copied) + one.number(Deed::Rewrote)),
            amount(one.number(Deed::Made)),
            amount(a_second as u64),
        ]
    });
    let columns = Columns {
        header: ["process", "copied", "new", "a second"]
            .map(str::to_owned)
            .to_vec(),
        rows: rows.collect(),
        leading: 1,
        numbers: 1..4,
    };
    let mut text = columns.text(None);
    *before = all
        .iter()
        .map(|(place, one)| (*place, pages(one)))
        .collect();
    if let Some(others @ 1..) = all.len().checked_sub(MOST) {
        text += &format!("{}\n", counted(others as u64, "other", "others"));
    }
    text
}
