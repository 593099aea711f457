//! Rows and columns: on a terminal, columns that do not fit side by side stand below, with the
//! leading ones again.

use std::borrow::Cow;
use std::ops::Range;

use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{CellAlignment, ContentArrangement, Table, TableStyle};

use super::escape::markdown as escaped;

/// More than any name or sentence has. Every row of a table is as wide as its widest.
const MOST_LETTERS: usize = 2_000;

/// As much of a text as a cell has room for.
pub(crate) fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MOST_LETTERS) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// Columns of a table's widest line.
fn widest(table: &Table) -> usize {
    let lines = table.lines().map(|line| line.trim_end().chars().count());
    lines.max().unwrap_or(0)
}

/// Breaks words of cells that are wider than all there is: names of functions and lines have no
/// limit.
fn fit(table: &mut Table, width: u16) {
    if widest(table) <= usize::from(width) {
        return;
    }
    table
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width);
}

/// A table.
#[derive(Clone, Debug)]
pub struct Columns {
    /// The names of the columns.
    pub header: Vec<String>,
    /// The rows, as long as the header.
    pub rows: Vec<Vec<String>>,
    /// How many columns say what a row is: they stand in every part.
    pub leading: usize,
    /// The columns of numbers, which are aligned to the right.
    pub numbers: Range<usize>,
}

impl Columns {
    /// For a terminal, at most so many columns of text wide; `None` for as wide as it needs. An
    /// empty line behind each part.
    pub fn text(&self, width: Option<u16>) -> String {
        let mut text = String::new();
        for part in self.fitting(width) {
            let mut table = self.table(&part, NOTHING);
            if let Some(width) = width {
                fit(&mut table, width);
            }
            for line in table.lines() {
                text.push_str(line.trim_end());
                text.push('\n');
            }
            text.push('\n');
        }
        text
    }

    /// The same of columns of which many cells are `empty`: where they do not fit side by side,
    /// each part has only the rows that say something there.
    pub(crate) fn text_by_part(&self, width: Option<u16>, empty: fn(&str) -> bool) -> String {
        let parts = self.fitting(width);
        if parts.len() < 2 {
            return self.text(width);
        }
        let texts = parts.iter().map(|part| {
            let leading = 0..self.leading;
            let chosen: Vec<usize> = leading.chain(part.iter().copied()).collect();
            let pick = |row: &Vec<String>| chosen.iter().map(|cell| row[*cell].clone()).collect();
            let says = |row: &&Vec<String>| part.iter().any(|cell| !empty(&row[*cell]));
            let mut rows: Vec<Vec<String>> = self.rows.iter().filter(says).map(pick).collect();
            if let (true, Some(first)) = (rows.is_empty(), self.rows.first()) {
                let mut nothing = pick(first);
                nothing[..self.leading].fill(String::new());
                nothing[0] = "(nothing)".into();
                rows.push(nothing);
            }
            let columns = Self {
                header: pick(&self.header),
                rows,
                leading: self.leading,
                numbers: self.leading..chosen.len(),
            };
            columns.text(width)
        });
        texts.collect()
    }

    /// For a page.
    pub(crate) fn markdown(&self) -> String {
        let all: Vec<usize> = (self.leading..self.header.len()).collect();
        self.table(&all, ASCII_MARKDOWN).to_string()
    }

    /// The columns behind the leading ones in groups, each of which fits the width beside them.
    fn fitting(&self, width: Option<u16>) -> Vec<Vec<usize>> {
        let all = self.leading..self.header.len();
        let Some(width) = width.map(usize::from) else {
            return vec![all.collect()];
        };
        let wide = |part: &[usize]| {
            let table = self.table(part, NOTHING);
            widest(&table)
        };
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for column in all {
            if let Some(part) = parts.last_mut() {
                part.push(column);
                if wide(part) <= width {
                    continue;
                }
                part.pop();
            }
            parts.push(vec![column]);
        }
        parts
    }

    fn table(&self, part: &[usize], style: TableStyle) -> Table {
        let chosen: Vec<usize> = (0..self.leading).chain(part.iter().copied()).collect();
        let pick = |row: &[String]| -> Vec<String> {
            let cells = chosen.iter().map(|column| cut(&row[*column]));
            match style == ASCII_MARKDOWN {
                true => cells.map(|cell| escaped(&cell)).collect(),
                false => cells.map(Cow::into_owned).collect(),
            }
        };
        let mut table = Table::new();
        table
            .load_style(style)
            .set_content_arrangement(ContentArrangement::Disabled)
            .set_header(pick(&self.header));
        for row in &self.rows {
            table.add_row(pick(row));
        }
        for (place, (column, index)) in table.column_iter_mut().zip(&chosen).enumerate() {
            if self.numbers.contains(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
            if style == NOTHING {
                column.set_padding(if place > 0 { (2, 0) } else { (0, 0) });
            }
        }
        table
    }
}
