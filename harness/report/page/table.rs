//! Rows and columns of a page, with what says which cells belong together.

use serde::Serialize;

use crate::columns::Columns;

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Table {
    /// What it shows.
    pub caption: String,
    /// Whether that stands right above it anyway.
    pub named: bool,
    /// The names of the columns.
    pub head: Vec<Cell>,
    /// Rows that belong together.
    pub bodies: Vec<Body>,
}

/// Rows that belong together.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Body {
    /// Above them.
    pub title: Option<String>,
    /// They.
    pub rows: Vec<TableRow>,
}

#[derive(Clone, Debug, Serialize)]
pub(crate) struct TableRow {
    /// What it is of.
    pub heads: Vec<RowHead>,
    /// Its figures.
    pub cells: Vec<Cell>,
}

/// A cell that says what rows are.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RowHead {
    /// Its words.
    pub text: String,
    /// How many rows it is of; 0 in a row of which the one above says it.
    pub rows: usize,
    /// Whether it is a part of the row above.
    pub under: bool,
}

/// Any other cell.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Cell {
    /// Its words or its figure.
    pub text: String,
    /// How it looks: `number`, `code`, or a colour of a class that the page knows.
    pub classes: Vec<&'static str>,
    /// Whether it is no sentence but a path or digits.
    pub code: bool,
}

impl Table {
    /// Of columns: rows without anything part bodies, rows with nothing but their name are titles
    /// of bodies, and what is blank in a first column of two is as above.
    pub(crate) fn of(caption: impl Into<String>, columns: Columns) -> Self {
        let number = |column: usize| -> Vec<&'static str> {
            match columns.numbers.contains(&column) {
                true => vec!["number"],
                false => Vec::new(),
            }
        };
        let heads = match columns.numbers.is_empty() {
            true => columns.leading,
            false => columns.leading.min(columns.numbers.start),
        };
        let head = columns
            .header
            .iter()
            .enumerate()
            .map(|(column, text)| Cell {
                text: text.clone(),
                classes: number(column),
                code: false,
            });
        let mut bodies = vec![Body::default()];
        for row in &columns.rows {
            let blank = row[heads..].iter().all(String::is_empty);
            let name = row[..heads].iter().find(|text| !text.is_empty());
            if blank && (heads == 1 || name.is_none()) {
                bodies.push(Body {
                    title: name.cloned(),
                    rows: Vec::new(),
                });
                continue;
            }
            let heads_of_row = row[..heads]
                .iter()
                .enumerate()
                .map(|(column, text)| RowHead {
                    text: text.trim_start().to_owned(),
                    rows: usize::from(column + 1 == heads || !text.is_empty()),
                    under: text.starts_with("  "),
                });
            let cells = row.iter().enumerate().skip(heads);
            let row = TableRow {
                heads: heads_of_row.collect(),
                cells: cells
                    .map(|(column, text)| Cell {
                        text: text.clone(),
                        classes: number(column),
                        code: false,
                    })
                    .collect(),
            };
            if let Some(body) = bodies.last_mut() {
                body.rows.push(row);
            }
        }
        bodies.retain(|body| !body.rows.is_empty());
        for body in &mut bodies {
            span(&mut body.rows);
        }
        Self {
            caption: caption.into(),
            named: false,
            head: head.collect(),
            bodies,
        }
    }

    /// The same for a place in which its caption stands above it anyway: only those who do not see
    /// that are told again.
    pub(crate) fn under_its_name(mut self) -> Self {
        self.named = true;
        self
    }

    /// All cells, row by row.
    pub(crate) fn rows_mut(&mut self) -> impl Iterator<Item = &mut TableRow> {
        self.bodies.iter_mut().flat_map(|body| &mut body.rows)
    }
}

/// Lets each first head reach down to the next.
fn span(rows: &mut [TableRow]) {
    let mut below = 0;
    for (place, row) in rows.iter_mut().enumerate().rev() {
        let Some(first) = row.heads.first_mut() else {
            continue;
        };
        match first.rows {
            0 if place > 0 => below += 1,
            _ => {
                first.rows = 1 + below;
                below = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_heads_are_the_one_above_and_blank_rows_part_bodies() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let table = Table::of(
            "",
            Columns {
                header: row(["a", "", "3.12"]),
                rows: vec![
                    row(["x", "header", "1"]),
                    row(["", "spine", ""]),
                    row(["", "", ""]),
                    row(["y", "header", "3"]),
                ],
                leading: 2,
                numbers: 2..3,
            },
        );
        let spans: Vec<Vec<usize>> = table
            .bodies
            .iter()
            .map(|body| body.rows.iter().map(|row| row.heads[0].rows).collect())
            .collect();
        assert_eq!(spans, [vec![2, 0], vec![1]]);
    }

    #[test]
    fn a_row_with_nothing_but_a_name_is_a_title() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        let table = Table::of(
            "",
            Columns {
                header: row(["", "copied"]),
                rows: vec![
                    row(["integers:", ""]),
                    row(["list", "1 B"]),
                    row(["  gc", "1 B"]),
                ],
                leading: 1,
                numbers: 1..2,
            },
        );
        assert_eq!(table.bodies.len(), 1);
        assert_eq!(table.bodies[0].title.as_deref(), Some("integers:"));
        let [list, gc] = &table.bodies[0].rows[..] else {
            panic!("{table:?}")
        };
        assert!(!list.heads[0].under && gc.heads[0].under);
        assert_eq!((list.heads[0].rows, gc.heads[0].rows), (1, 1));
    }
}
