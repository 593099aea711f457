//! Charts of a report: each an SVG document, which is also an image and a part of a page.

mod bars;
mod memory;
mod page_maps;
mod sketch;
mod theme;
mod versions;

use std::collections::HashSet;

use self::sketch::{clean, shortened};
use super::Error;
use super::grid::{made_of, same_data};
use refcow_model::numbers::count;
use refcow_model::{Measurement, Report, Run, datasets};

pub use sketch::png;
pub(super) use theme::heat;

/// What a chart shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What became of a dataset's pages, one by one.
    Pages,
    /// Bytes that a child copied, by the way to share them.
    Copied,
    /// Copied pages with each interpreter.
    Versions,
    /// Memory of all processes, by how many children have visited the data.
    Tree,
    /// How long visits took.
    Time,
}

/// A picture, with the same in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// Tells it from the others of the report, and can be the stem of a file's name: `a-z`, `0-9`, `-` and `_`.
    pub name: String,
    /// What it shows.
    pub kind: Kind,
    /// What it shows, in a few words.
    pub title: String,
    /// What it shows, with the figures.
    pub alt: String,
    /// An SVG document, in light colours on a background of its own.
    pub svg: String,
}

/// All charts that a report has the figures for, in the order of [`Kind`].
///
/// # Errors
/// None that is known of.
pub fn charts(report: &Report) -> Result<Vec<Chart>, Error> {
    let mut all = Charts::default();
    page_maps::draw(report, &mut all)?;
    bars::copied(report, &mut all)?;
    versions::draw(report, &mut all)?;
    memory::draw(report, &mut all)?;
    bars::time(report, &mut all)?;
    Ok(all.charts)
}

/// What names of charts begin with.
const BEGINNINGS: [&str; 5] = ["pages", "copied", "versions", "memory", "time"];

/// Whether a chart may have this name.
pub fn is_name(name: &str) -> bool {
    let is_letter = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_' | '-');
    let beginning = name.split('-').next().unwrap_or_default();
    name.chars().all(is_letter) && BEGINNINGS.contains(&beginning)
}

/// A chart as an element of an HTML page: its colours are CSS variables ([`css_variables`]), so that the page can have a
/// dark scheme. It has the class `refcow-chart`, and ids of its own that begin with `refcow-`.
pub fn inline(chart: &Chart) -> String {
    let Chart { name, svg, .. } = chart;
    let (title, alt) = (format!("refcow-{name}-title"), format!("refcow-{name}-alt"));
    let role = format!("role=\"img\" class=\"refcow-chart\" aria-labelledby=\"{title} {alt}\"");
    let mut svg = svg
        .replacen("role=\"img\"", &role, 1)
        .replacen("<title>", &format!("<title id=\"{title}\">"), 1)
        .replacen("<desc>", &format!("<desc id=\"{alt}\">"), 1);
    for colour in theme::all() {
        let drawn = format!("\"#{:06X}\"", colour.light);
        let variable = format!("\"var(--refcow-{}, #{:06X})\"", colour.name, colour.light);
        svg = svg.replace(&drawn, &variable);
    }
    svg
}

/// The declarations of all variables of [`inline`], on a light page and on a dark one.
pub fn css_variables() -> (String, String) {
    let declare = |shade: fn(&theme::Colour) -> u32| {
        let all = theme::all();
        all.map(|colour| format!("--refcow-{}: #{:06X};\n", colour.name, shade(&colour)))
            .collect()
    };
    (
        declare(|colour| colour.light),
        declare(|colour| colour.dark),
    )
}

/// Charts that were drawn, no two of one name.
#[derive(Default)]
struct Charts {
    charts: Vec<Chart>,
    names: HashSet<String>,
}

/// Letters of a name; files' names have an end.
const LONGEST_NAME: usize = 100;
/// Letters of a text alternative; somebody has to listen to it.
const LONGEST_ALT: usize = 4_000;

impl Charts {
    /// Adds a chart; what it is of becomes its name.
    fn add(
        &mut self,
        kind: Kind,
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
fn listed(mut all: Vec<String>) -> String {
    const LISTED: usize = 16;
    let more = all.len().saturating_sub(LISTED);
    all.truncate(LISTED);
    if more > 0 {
        all.push(format!("and {} more", count(more as u64)));
    }
    all.join("; ")
}

/// Data of which there is a picture: its visits, and the run that they are of.
struct Dataset<'a> {
    run: &'a Run,
    visits: Vec<&'a Measurement>,
}

/// The datasets of a report that have something to show, each as the newest interpreter has it that has it.
fn newest_datasets<'a>(
    report: &'a Report,
    shows: impl Fn(&Measurement) -> bool,
) -> Vec<Dataset<'a>> {
    let mut runs: Vec<&Run> = report.runs.iter().collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.python.order()));
    let mut all: Vec<Dataset<'a>> = Vec::new();
    for run in runs {
        let of_newer = all.len();
        for visits in datasets(run.measurements.iter().filter(|one| shows(one))) {
            let newer = &all[..of_newer];
            if !newer.iter().any(|one| same_data(one.visits[0], visits[0])) {
                all.push(Dataset { run, visits });
            }
        }
    }
    all
}

impl<'a> Dataset<'a> {
    /// Takes out the visit that does nothing, unless it is the only one. Whether it was there.
    fn without_idle(&mut self) -> bool {
        let before = self.visits.len();
        if self.visits.iter().any(|one| one.visit != "idle") {
            self.visits.retain(|one| one.visit != "idle");
        }
        self.visits.len() < before
    }

    /// What the data is, with its size, and how it was shared: two that differ have two names.
    fn title(&self) -> String {
        let first = self.visits[0];
        let made_of = made_of(first).map_or_else(String::new, |words| format!(" ({words})"));
        format!("{}{made_of}, shared by {}", first.data(), first.sharing)
    }

    /// The end of a file's name: with the size where others of these have the same name.
    fn stem(&self, all: &[Self]) -> String {
        let name = |one: &Self| (one.visits[0].fixture.clone(), one.visits[0].prepare.clone());
        let first = self.visits[0];
        let mut parts = vec![first.fixture.clone()];
        parts.extend(first.prepare.clone());
        if all.iter().filter(|one| name(one) == name(self)).count() > 1 {
            parts.extend(made_of(first));
            parts.push(first.sharing.clone());
        }
        parts.join("-")
    }

    /// With which interpreter it was measured.
    fn python(&self, report: &Report) -> String {
        python(self.run, report)
    }
}

/// With which interpreter what a chart shows was measured.
fn python(run: &Run, report: &Report) -> String {
    let version = clean(&run.python.version);
    match report.runs.len() {
        1 => format!("CPython {version}"),
        several => format!("CPython {version} ({several} interpreters were measured)"),
    }
}

/// A note of what a chart does not show.
fn idle_left_out(is: bool) -> Option<String> {
    is.then(|| "not shown: idle, which does nothing".to_owned())
}

/// The title of a chart and what follows it in lines of less weight; gives where the chart itself begins.
fn head(sketch: &mut sketch::Sketch, title: &str, lines: &[String]) -> i32 {
    use sketch::{Anchor, MARGIN, TEXT, TITLE, WIDTH, wrap};
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
