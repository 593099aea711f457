//! Tables: for a terminal, and in Markdown.

use super::escape::markdown as escaped;
use super::finding::finding;
use super::grid::grids;
use super::{Style, beginning, changes, warnings, why};
use crate::model::{By, Report};

/// For a terminal: visits that do not fit side by side go into a further table below.
pub fn render(report: &Report, width: Option<u16>) -> Vec<u8> {
    let style = plain(width);
    let mut text = beginning(report, style);
    for grid in grids(report) {
        text.push_str(&format!("{}\n{}\n\n", grid.title, grid.subtitle));
        text.push_str(&grid.columns.text(width));
    }
    for warning in warnings(report) {
        say(&mut text, width, &format!("warning: {warning}"));
    }
    if let [run] = &report.runs[..] {
        for sentence in why::sentences(run) {
            say(&mut text, width, &sentence);
        }
        say(&mut text, width, &finding(run));
    }
    changes::add_between_neighbours(&mut text, report, style);
    text.into_bytes()
}

/// The copied pages of all visits, cut another way, for a terminal.
pub fn render_by(report: &Report, by: By, width: Option<u16>) -> Vec<u8> {
    let mut text = beginning(report, plain(width));
    for cut in why::cuts(report, by) {
        text.push_str(&format!("{}\n{}\n\n", cut.title, cut.subtitle));
        text.push_str(&cut.columns.text(width));
    }
    for warning in warnings(report) {
        say(&mut text, width, &format!("warning: {warning}"));
    }
    text.into_bytes()
}

/// The same for a page.
pub fn render_markdown_by(report: &Report, by: By) -> Vec<u8> {
    let mut text = beginning(report, Style::Markdown);
    for cut in why::cuts(report, by) {
        text.push_str(&titled(&cut.title, &cut.subtitle));
        text.push_str(&cut.columns.markdown());
        text.push_str("\n\n");
    }
    for warning in warnings(report) {
        text.push_str(&format!("> Warning: {}\n\n", escaped(&warning)));
    }
    text.into_bytes()
}

fn plain(width: Option<u16>) -> Style {
    Style::Terminal {
        width,
        colours: false,
    }
}

/// Adds a sentence, in lines no longer than the terminal's.
pub(super) fn say(text: &mut String, width: Option<u16>, sentence: &str) {
    match width {
        Some(width) => text.push_str(&wrapped(sentence, width, "")),
        None => {
            text.push_str(sentence);
            text.push('\n');
        }
    }
}

/// Words in lines of at most so many columns, each with its end.
pub(super) fn wrapped(words: &str, width: u16, indent: &str) -> String {
    // Paths stay whole, for whoever copies them.
    let options = textwrap::Options::new(usize::from(width))
        .initial_indent(indent)
        .subsequent_indent(indent)
        .word_separator(textwrap::WordSeparator::AsciiSpace)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(false);
    let mut text = textwrap::fill(words, options).trim_end().to_owned();
    text.push('\n');
    text
}

/// What stands over a table on a page.
fn titled(title: &str, subtitle: &str) -> String {
    format!("**{}** ({})\n\n", escaped(title), escaped(subtitle))
}

/// For a page: one table a dataset.
pub fn render_markdown(report: &Report) -> Vec<u8> {
    let mut text = beginning(report, Style::Markdown);
    for grid in grids(report) {
        text.push_str(&titled(&grid.title, &grid.subtitle));
        text.push_str(&grid.columns.markdown());
        text.push_str("\n\n");
    }
    for warning in warnings(report) {
        text.push_str(&format!("> Warning: {}\n\n", escaped(&warning)));
    }
    if let [run] = &report.runs[..] {
        for sentence in why::sentences(run) {
            text += &format!("- {}\n", escaped(&sentence));
        }
        text += &format!("\n{}\n", escaped(&finding(run)));
    }
    changes::add_between_neighbours(&mut text, report, Style::Markdown);
    text.into_bytes()
}
