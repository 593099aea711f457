//! Charts of a report: each an SVG document, which is also an image and a part of a page.

mod bars;
mod chart;
mod dataset;
mod memory;
mod page_legend;
mod page_maps;
mod sketch;
mod squares;
mod text;
mod theme;
mod trees;
mod versions;
mod visits;
mod ways;
mod workers;

use super::error::Error;
use chart::Charts;
use refcow_model::Report;

pub use chart::{Chart, ChartKind};
pub use sketch::png;
pub(super) use theme::heat;
pub use trees::of_trees;

/// All charts that a report has the figures for, in the order of [`ChartKind`].
///
/// # Errors
/// None that is known of.
pub fn charts(report: &Report) -> Result<Vec<Chart>, Error> {
    let mut all = Charts::default();
    page_maps::draw(report, &mut all)?;
    ways::copied(report, &mut all)?;
    visits::copied(report, &mut all)?;
    versions::draw(report, &mut all)?;
    workers::draw(report, &mut all)?;
    memory::draw(report, &mut all)?;
    visits::time(report, &mut all)?;
    Ok(all.charts)
}

/// What names of charts begin with.
const BEGINNINGS: [&str; 8] = [
    "pages", "copied", "versions", "memory", "time", "shared", "growth", "workers",
];

/// Whether a chart may have this name.
pub fn is_name(name: &str) -> bool {
    let is_letter = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_' | '-');
    let beginning = name.split('-').next().unwrap_or_default();
    name.chars().all(is_letter) && BEGINNINGS.contains(&beginning)
}

/// A chart as an element of an HTML page: its colours are CSS variables ([`css_variables`]), so
/// that the page can have a dark scheme. It has the class `refcow-chart`, and ids of its own that
/// begin with `refcow-`.
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
