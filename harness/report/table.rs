//! Tables: for a terminal, and in Markdown.

use super::beginning::beginning;
use super::escape::markdown as escaped;
use super::finding::findings;
use super::grid::grids;
use super::style::{READABLE, Style, plain, say};
use super::warnings::warnings;
use super::{changes, why};
use refcow_model::{By, Report};

/// For a terminal: visits that do not fit side by side go into a further table below.
pub(crate) fn render(report: &Report, width: Option<u16>) -> Vec<u8> {
    let width = Some(width.unwrap_or(READABLE));
    let style = plain(width);
    let mut text = beginning(report, style);
    for grid in grids(report) {
        say(&mut text, width, &grid.title);
        say(&mut text, width, &grid.subtitle);
        text.push('\n');
        text.push_str(&grid.columns.text(width));
    }
    say_all(&mut text, report, width);
    changes::add_between_neighbours(&mut text, report, style);
    text.into_bytes()
}

/// The copied pages of all visits, cut another way, for a terminal.
pub(crate) fn render_by(report: &Report, by: &[By], width: Option<u16>) -> Vec<u8> {
    let width = Some(width.unwrap_or(READABLE));
    let mut text = beginning(report, plain(width));
    for cut in why::cuts(report, by) {
        say(&mut text, width, &cut.title);
        say(&mut text, width, &cut.subtitle);
        text.push('\n');
        text.push_str(&cut.columns.text_by_part(width, why::is_nothing));
    }
    say_all(&mut text, report, width);
    text.into_bytes()
}

/// Warnings, who wrote, and what was found.
fn say_all(text: &mut String, report: &Report, width: Option<u16>) {
    for warning in warnings(report) {
        say(text, width, &format!("warning: {warning}"));
    }
    // Of several interpreters the tables say it side by side.
    if let [run] = &report.runs[..] {
        for sentence in why::sentences(run) {
            say(text, width, &sentence);
        }
    }
    for sentence in findings(report) {
        say(text, width, &sentence);
    }
}

/// The same for a page.
fn say_all_markdown(text: &mut String, report: &Report) {
    for warning in warnings(report) {
        *text += &format!("> Warning: {}\n\n", escaped(&warning));
    }
    if let [run] = &report.runs[..] {
        for sentence in why::sentences(run) {
            *text += &format!("- {}\n", escaped(&sentence));
        }
    }
    for sentence in findings(report) {
        *text += &format!("\n{}\n", escaped(&sentence));
    }
}

/// The same for a page.
pub(crate) fn render_markdown_by(report: &Report, by: &[By]) -> Vec<u8> {
    let mut text = beginning(report, Style::Markdown);
    for cut in why::cuts(report, by) {
        text.push_str(&titled(&cut.title, &cut.subtitle));
        text.push_str(&cut.columns.markdown());
        text.push_str("\n\n");
    }
    say_all_markdown(&mut text, report);
    text.into_bytes()
}

/// What stands over a table on a page.
fn titled(title: &str, subtitle: &str) -> String {
    format!("**{}** ({})\n\n", escaped(title), escaped(subtitle))
}

/// For a page: one table a dataset.
pub(crate) fn render_markdown(report: &Report) -> Vec<u8> {
    let mut text = beginning(report, Style::Markdown);
    for grid in grids(report) {
        text.push_str(&titled(&grid.title, &grid.subtitle));
        text.push_str(&grid.columns.markdown());
        text.push_str("\n\n");
    }
    say_all_markdown(&mut text, report);
    changes::add_between_neighbours(&mut text, report, Style::Markdown);
    text.into_bytes()
}
