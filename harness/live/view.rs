//! A tree that is watched, on standard error: a picture that is redrawn in place on a terminal, else a line for each moment.

mod picture;

use std::collections::HashMap;
use std::hash::Hash;
use std::io::{self, IsTerminal as _, Write as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::cause::Key;
use super::keys::Keyboard;
use super::line_of::LineOf;
use super::recording::{Deed, RecordedMember};
use super::table;
use super::watch::{Moment, Watch};
use crate::model::Cause;
use crate::numbers::bytes;
use crate::observe::page_size;
use crate::report::wrapped;

use picture::{LEAST, Picture, Ranked, USUAL};

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
        // No terminal, no size.
        let size = rustix::termios::tcgetwinsize(io::stderr()).ok();
        match &self.shown {
            Shown::Nothing => {}
            Shown::Lines => {
                let width = size.map_or(u16::MAX, |size| size.ws_col.max(LEAST));
                // If nobody reads it, nothing is lost.
                drop(write!(io::stderr(), "{}", wrapped(&line, width, "")));
            }
            Shown::InPlace(bar, keys) => {
                let size = size.map(|size| (size.ws_col, size.ws_row));
                // A terminal that nobody has told its size says 0.
                let size = size.filter(|(columns, rows)| *columns > 0 && *rows > 0);
                let picture = Picture {
                    title: watch.title(),
                    moment: line,
                    causes: causes(watch),
                    lines: lines(watch),
                    processes: processes(watch, &mut self.pages, seconds),
                    end: match keys {
                        Some(_) => "q or Ctrl-C ends it",
                        None => "Ctrl-C ends it",
                    },
                };
                bar.set_message(picture.text(size.unwrap_or(USUAL)));
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

/// Pages that were copied until now by what `words` says of them.
fn copied<W: Eq + Hash>(watch: &Watch, words: impl Fn(&Key) -> Option<W>) -> HashMap<W, u64> {
    let mut sums = HashMap::new();
    for (key, pages) in watch.causes() {
        if matches!(key.deed, Deed::Copied | Deed::Rewrote)
            && let Some(words) = words(key)
        {
            *sums.entry(words).or_default() += pages;
        }
    }
    sums
}

/// What unshares most until now.
fn causes(watch: &Watch) -> Ranked {
    let of = |key: &Key| Some((key.cause, key.type_name.clone(), key.function.clone()));
    let sums = copied(watch, of).into_iter();
    let rows = sums.map(|((cause, of_type, function), pages)| {
        let cause = cause.map_or("–", Cause::as_str);
        let words = [cause, of_type.as_deref().unwrap_or("–"), &function];
        (pages, words.map(str::to_owned).to_vec())
    });
    Ranked::of(rows.collect())
}

/// Lines of Python that do, of the pages at which a thread stood still; of code that is not the user's own, where that was called.
fn lines(watch: &Watch) -> Ranked {
    let of = |key: &Key| match &key.line {
        LineOf::Known(at) => Some(at.own.as_ref().unwrap_or(&at.line).clone()),
        LineOf::NotLooked | LineOf::Unknown(_) => None,
    };
    let sums = copied(watch, of).into_iter();
    Ranked::of(
        sums.map(|(line, pages)| (pages, vec![line.to_string()]))
            .collect(),
    )
}

/// A row for each process that lives, those first that have copied and made most.
fn processes(watch: &Watch, before: &mut HashMap<usize, u64>, seconds: f64) -> Vec<Vec<String>> {
    let pages = |one: &RecordedMember<_>| one.pages.iter().sum::<u64>();
    let all = watch.recording.members.iter().enumerate();
    let mut all: Vec<_> = all.filter(|(_, one)| one.lives).collect();
    all.sort_by_key(|(place, one)| (std::cmp::Reverse(pages(one)), *place));
    let amount = |pages: u64| bytes(pages * page_size());
    let rows = all.iter().map(|(place, one)| {
        let more = pages(one).saturating_sub(before.get(place).copied().unwrap_or(0));
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
    let rows = rows.collect();
    *before = all
        .iter()
        .map(|(place, one)| (*place, pages(one)))
        .collect();
    rows
}
