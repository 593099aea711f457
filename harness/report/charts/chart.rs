//! A picture with the same in words, and what charts have in common.

use std::collections::HashSet;

use super::sketch::{Anchor, MARGIN, Sketch, WIDTH};
use super::text::{TEXT, TITLE, clean, shortened, wrap};
use super::theme;
use crate::error::Error;
use refcow_model::numbers::count;

/// What a chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChartKind {
    /// What became of a dataset's pages, one by one.
    Pages,
    /// Bytes that a child copied, by the way to share them.
    Copied,
    /// Copied pages with each interpreter.
    Versions,
    /// Memory of all processes, by how many workers there are.
    Workers,
    /// Memory of all processes, by how many children have visited the data.
    Tree,
    /// How long visits took.
    Time,
}

/// A picture, with the same in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// Tells it from the others of the report, and can be the stem of a file's name: `a-z`, `0-9`,
    /// `-` and `_`.
    pub name: String,
    /// What it shows.
    pub kind: ChartKind,
    /// What it shows, in a few words.
    pub title: String,
    /// What it shows, with the figures.
    pub alt: String,
    /// An SVG document, in light colours on a background of its own.
    pub svg: String,
}

/// Charts that were drawn, no two of one name.
#[derive(Default)]
pub(crate) struct Charts {
    pub charts: Vec<Chart>,
    names: HashSet<String>,
}

/// Letters of a name; files' names have an end.
const LONGEST_NAME: usize = 100;
/// Letters of a text alternative; somebody has to listen to it.
const LONGEST_ALT: usize = 4_000;

impl Charts {
    /// Adds a chart; what it is of becomes its name.
    pub(crate) fn add(
        &mut self,
        kind: ChartKind,
        of: &str,
        title: String,
        alt: String,
        draw: impl FnOnce(&str, &str) -> Result<String, Error>,
    ) -> Result<(), Error> {
        let (title, alt) = (clean(&title), shortened(&alt, LONGEST_ALT));
        let svg = draw(&title, &alt)?;
        let name = self.name(of);
        self.charts.push(Chart {
            name,
            kind,
            title,
            alt,
            svg,
        });
        Ok(())
    }

    fn name(&mut self, of: &str) -> String {
        let mut stem = String::new();
        for letter in of.chars().take(LONGEST_NAME) {
            match letter.to_ascii_lowercase() {
                letter @ ('a'..='z' | '0'..='9' | '_') => stem.push(letter),
                _ if stem.ends_with('-') => {}
                _ => stem.push('-'),
            }
        }
        let stem = stem.trim_end_matches('-');
        let numbered = (2u64..).map(|number| format!("{stem}-{number}"));
        let mut names = std::iter::once(stem.to_owned()).chain(numbered);
        let name = names.find(|name| !self.names.contains(name));
        let name = name.unwrap_or_default();
        self.names.insert(name.clone());
        name
    }
}

/// The first of many, and how many there are more: what a text alternative says.
pub(crate) fn listed(mut all: Vec<String>) -> String {
    const LISTED: usize = 16;
    let more = all.len().saturating_sub(LISTED);
    all.truncate(LISTED);
    if more > 0 {
        all.push(format!("and {} more", count(more as u64)));
    }
    all.join("; ")
}

/// The title of a chart and what follows it in lines of less weight; gives where the chart itself
/// begins.
pub(crate) fn head(sketch: &mut Sketch, title: &str, lines: &[String]) -> i32 {
    let room = WIDTH - 2 * MARGIN;
    let mut top = 15;
    for line in wrap(title, room, TITLE) {
        sketch.text((MARGIN, top + 9), line, TITLE, Anchor::Start, theme::INK);
        top += 20;
    }
    for line in lines.iter().flat_map(|line| wrap(line, room, TEXT)) {
        sketch.text((MARGIN, top + 8), line, TEXT, Anchor::Start, theme::MUTED);
        top += 17;
    }
    top + 8
}
