//! Tables: for a terminal, and in Markdown.

use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{CellAlignment, ContentArrangement, Table, TableStyle};

use super::finding::finding;
use super::grid::{Grid, grids};
use crate::model::Report;

/// For a terminal: visits that do not fit side by side go into a further table below.
pub fn render(report: &Report, width: Option<u16>) -> Vec<u8> {
    let mut text = String::new();
    for grid in grids(report) {
        text.push_str(&format!("{}\n{}\n\n", grid.title, grid.subtitle));
        for part in fitting(&grid, width) {
            for line in table(&grid, &part, NOTHING).lines() {
                text.push_str(line.trim_end());
                text.push('\n');
            }
            text.push('\n');
        }
    }
    for warning in &report.warnings {
        say(&mut text, width, &format!("warning: {warning}"));
    }
    say(&mut text, width, &finding(report));
    text.into_bytes()
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

/// For a page: one table a dataset.
pub fn render_markdown(report: &Report) -> Vec<u8> {
    let mut text = String::new();
    for grid in grids(report) {
        let visits: Vec<_> = (Grid::LEADING..grid.header.len()).collect();
        text.push_str(&format!("**{}** ({})\n\n", grid.title, grid.subtitle));
        text.push_str(&table(&grid, &visits, ASCII_MARKDOWN).to_string());
        text.push_str("\n\n");
    }
    for warning in &report.warnings {
        text.push_str(&format!("> Warning: {warning}\n\n"));
    }
    text.push_str(&finding(report));
    text.push('\n');
    text.into_bytes()
}

/// The columns of visits in groups, each of which fits the width beside the leading columns.
fn fitting(grid: &Grid, width: Option<u16>) -> Vec<Vec<usize>> {
    let visits: Vec<usize> = (Grid::LEADING..grid.header.len()).collect();
    let Some(width) = width.map(usize::from) else {
        return vec![visits];
    };
    let wide = |columns: &[usize]| {
        let lines = table(grid, columns, NOTHING).to_string();
        lines
            .lines()
            .map(|line| line.trim_end().chars().count())
            .max()
    };
    let mut parts: Vec<Vec<usize>> = Vec::new();
    for visit in visits {
        match parts.last_mut() {
            Some(part) => {
                part.push(visit);
                if wide(part).is_some_and(|wide| wide > width) && part.len() > 1 {
                    part.pop();
                    parts.push(vec![visit]);
                }
            }
            None => parts.push(vec![visit]),
        }
    }
    parts
}

fn table(grid: &Grid, visits: &[usize], style: TableStyle) -> Table {
    let columns: Vec<usize> = (0..Grid::LEADING).chain(visits.iter().copied()).collect();
    let pick = |row: &[String]| -> Vec<String> {
        columns.iter().map(|column| row[*column].clone()).collect()
    };
    let mut table = Table::new();
    table
        .load_style(style)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(pick(&grid.header));
    for row in &grid.rows {
        table.add_row(pick(row));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        if index > 0 {
            column.set_cell_alignment(CellAlignment::Right);
        }
        if style == NOTHING {
            column.set_padding(if index > 0 { (2, 0) } else { (0, 0) });
        }
    }
    table
}
