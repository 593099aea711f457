//! Pages of a tree by why they were copied, and by what wrote.

use super::{NOTHING, cut};
use crate::live::document::{CauseFigures, PagesAre, Phase, RecordedFigures, ThreadIs};
use crate::model::Cause;
use crate::numbers::{bytes, counted, share};
use crate::observe::page_size;
use crate::report::Columns;

/// What pages are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TreeBy {
    /// What was written first
    Cause,
    /// The type of the object that was written
    Type,
    /// The function that wrote
    Function,
    /// The Python line that was running, and the line of your own code that had called it
    Line,
    /// Whether the first thread of the process wrote, or another one
    Thread,
}

impl TreeBy {
    fn name(self) -> &'static str {
        match self {
            Self::Cause => "first write to",
            Self::Type => "type",
            Self::Function => "by",
            Self::Line => "line",
            Self::Thread => "thread",
        }
    }

    fn words(self, one: &CauseFigures) -> String {
        match self {
            Self::Cause => one.cause.map_or(NOTHING, Cause::as_str).to_owned(),
            Self::Type => one.type_name.clone().unwrap_or(NOTHING.to_owned()),
            Self::Function => one.function.clone(),
            Self::Line => line_of(one).unwrap_or(NOTHING.to_owned()),
            Self::Thread => match one.thread {
                ThreadIs::Main => "first",
                ThreadIs::Other => "other",
            }
            .to_owned(),
        }
    }
}

/// The innermost line, and the innermost one of the user's own code.
fn line_of(one: &CauseFigures) -> Option<String> {
    let line = one.line.as_ref()?;
    Some(match &one.own_line {
        Some(own) => format!("{line}, from {own}"),
        None => line.clone(),
    })
}

/// Copied pages and new ones, each by what the user has chosen. By line, only those of which it is known.
pub(super) fn grouped(recorded: &RecordedFigures, by: &[TreeBy], width: u16) -> String {
    most_grouped(recorded, by, MOST_CAUSES, width)
}

fn most_grouped(recorded: &RecordedFigures, by: &[TreeBy], most: usize, width: u16) -> String {
    let is_by_line = by.contains(&TreeBy::Line);
    let kinds: [(&str, &[PagesAre]); 2] = [
        ("copied", &[PagesAre::Copied, PagesAre::Rewritten]),
        ("new", &[PagesAre::New]),
    ];
    let headers: Vec<&str> = by.iter().map(|by| by.name()).collect();
    let tables = kinds.map(|(name, kinds)| {
        let all = recorded.causes.iter();
        let all = all.filter(|one| kinds.contains(&one.pages_are));
        let all = all.filter(|one| !is_by_line || one.line.is_some());
        let name = match is_by_line {
            true => looked_at(recorded, name),
            false => name.to_owned(),
        };
        let words = |one: &CauseFigures| by.iter().map(|by| by.words(one)).collect();
        ranked(
            all,
            [&[&name, "part"], &headers[..]].concat(),
            most,
            words,
            width,
        )
    });
    tables.concat()
}

/// The lines that copied and made most.
pub(super) fn lines(recorded: &RecordedFigures, width: u16) -> String {
    match &recorded.lines {
        Some(_) => most_grouped(recorded, &[TreeBy::Line], MOST_LINES, width),
        None => String::new(),
    }
}

/// `copied, 1 in 7`.
fn looked_at(recorded: &RecordedFigures, name: &str) -> String {
    match &recorded.lines {
        Some(lines) if lines.one_in > 1 => format!("{name}, 1 in {}", lines.one_in),
        _ => name.to_owned(),
    }
}

/// As many rows of lines, which are long, where nobody asks for more of them.
const MOST_LINES: usize = 6;

/// As many rows of causes; the rest is one more.
const MOST_CAUSES: usize = 12;

/// What was written first on copied pages, and who made the new ones.
pub(super) fn of_all(recorded: &RecordedFigures, width: u16) -> String {
    let mut text = String::new();
    let ending = |one: &&CauseFigures| one.phase == Some(Phase::Shutdown);
    let copied =
        |one: &&CauseFigures| matches!(one.pages_are, PagesAre::Copied | PagesAre::Rewritten);
    let made = |one: &&CauseFigures| one.pages_are == PagesAre::New;
    let of_copied = |one: &CauseFigures| {
        let cause = one.cause.map_or(NOTHING, Cause::as_str);
        let of_type = one.type_name.as_deref().unwrap_or(NOTHING);
        vec![cause.to_owned(), cut(of_type, 40), function(one)]
    };
    let working = || recorded.causes.iter().filter(|one| !ending(one));
    let all = working().filter(copied);
    text += &ranked(
        all,
        vec!["copied", "part", "first write to", "type", "by"],
        MOST_CAUSES,
        of_copied,
        width,
    );
    let header = vec!["new", "part", "made by"];
    let all = working().filter(made);
    text += &ranked(all, header, MOST_CAUSES, |one| vec![function(one)], width);
    let all = recorded.causes.iter().filter(ending);
    text += &ranked(
        all.filter(copied),
        vec!["copied at shutdown", "part", "first write to", "type", "by"],
        MOST_CAUSES,
        of_copied,
        width,
    );
    text
}

fn function(one: &CauseFigures) -> String {
    let thread = match one.thread {
        ThreadIs::Main => "",
        ThreadIs::Other => " (other thread)",
    };
    format!("{}{thread}", cut(&one.function, 48))
}

/// Pages by what their rows say, most first.
fn ranked<'a>(
    causes: impl Iterator<Item = &'a CauseFigures>,
    header: Vec<&str>,
    most: usize,
    words: impl Fn(&CauseFigures) -> Vec<String>,
    width: u16,
) -> String {
    let mut sums: Vec<(Vec<String>, u64)> = Vec::new();
    for one in causes {
        let words = words(one);
        match sums.iter_mut().find(|(known, _)| *known == words) {
            Some((_, pages)) => *pages += one.pages,
            None => sums.push((words, one.pages)),
        }
    }
    let all: u64 = sums.iter().map(|(_, pages)| pages).sum();
    if all == 0 {
        return String::new();
    }
    sums.sort_by_key(|(_, pages)| std::cmp::Reverse(*pages));
    let rest: u64 = sums.iter().skip(most).map(|(_, pages)| pages).sum();
    let figures = |pages: u64| vec![bytes(pages * page_size()), share(pages as f64 / all as f64)];
    let mut rows: Vec<Vec<String>> = sums
        .iter()
        .take(most)
        .map(|(words, pages)| [figures(*pages), words.clone()].concat())
        .collect();
    if rest > 0 {
        let others = counted((sums.len() - most) as u64, "other", "others");
        let mut words = vec![String::new(); header.len() - 2];
        words[0] = others;
        rows.push([figures(rest), words].concat());
    }
    let columns = Columns {
        header: header.into_iter().map(str::to_owned).collect(),
        rows,
        leading: 2,
        numbers: 0..2,
    };
    columns.text(Some(width))
}
