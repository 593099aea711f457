//! What all workers of a tree have made for themselves, name by name: what their parent could have imported, loaded or built before the fork.

use refcow_model::numbers::{bytes, count, counted};
use refcow_model::trees::{AlikeFigures, RecordedFigures, TreeFigures, Trees, packages};

use crate::columns::Columns;
use crate::csv::{Text, table};
use crate::error::Error;
use crate::page::block::Block;
use crate::page::table::Table;

#[derive(serde::Serialize)]
struct Row<'a> {
    tree: Text<'a>,
    /// `module`, `library` or `line`.
    what: &'static str,
    name: Text<'a>,
    workers: u64,
    /// That of the workers. Lines are of the workers of all parents.
    parent_pid: Option<i32>,
    /// New ones that they made at the line.
    pages: Option<u64>,
}

/// A row for each module, library and line.
pub(super) fn csv(trees: &Trees) -> Result<Vec<u8>, Error> {
    let mut rows = Vec::new();
    for tree in &trees.trees {
        for alike in &tree.alike {
            let modules = alike.modules.iter().flatten().map(|name| ("module", name));
            let libraries = alike.libraries.iter().map(|name| ("library", name));
            rows.extend(modules.chain(libraries).map(|(what, name)| Row {
                tree: tree.command().into(),
                what,
                name: name[..].into(),
                workers: alike.workers,
                parent_pid: Some(alike.parent_pid),
                pages: None,
            }));
        }
        let lines = tree.recorded.iter().flat_map(|one| &one.made_by_all);
        rows.extend(lines.map(|one| Row {
            tree: tree.command().into(),
            what: "line",
            name: one.line[..].into(),
            workers: one.workers,
            parent_pid: None,
            pages: Some(one.pages),
        }));
    }
    table(rows.into_iter())
}

/// The same for a page.
pub(super) fn blocks(tree: &TreeFigures, page_bytes: u64) -> Vec<Block> {
    let alike = tree
        .alike
        .iter()
        .flat_map(|one| of_workers(one, page_bytes));
    let lines = tree
        .recorded
        .iter()
        .filter_map(|one| lines(one, page_bytes));
    alike.chain(lines).collect()
}

fn of_workers(alike: &AlikeFigures, page_bytes: u64) -> Vec<Block> {
    let workers = counted(alike.workers, "worker", "workers");
    let amount = bytes(alike.alike_pages.saturating_mul(page_bytes));
    let mut blocks = vec![Block::text(format!(
        "{workers} of process {}: {amount} of new memory is the same in all of them.",
        alike.parent_pid
    ))];
    let packages = packages(alike.modules.as_deref().unwrap_or_default());
    for (what, names) in [
        ("Imported by all since the fork", &packages),
        ("Loaded by all since the fork", &alike.libraries),
    ] {
        if !names.is_empty() {
            blocks.push(Block::text(format!("{what}: {}.", names.join(", "))));
        }
    }
    if let Some(why) = &alike.modules_unseen {
        blocks.push(Block::text(format!(
            "Which modules all imported is not known: {why}."
        )));
    }
    blocks
}

fn lines(recorded: &RecordedFigures, page_bytes: u64) -> Option<Block> {
    let rows = recorded.made_by_all.iter().map(|one| {
        let amount = |pages: u64| bytes(pages.saturating_mul(page_bytes));
        vec![
            one.line.clone(),
            count(one.workers),
            amount(one.pages),
            amount(one.least_pages),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let header = ["line", "workers", "new memory", "least of a worker"];
    (!rows.is_empty()).then(|| {
        let columns = Columns {
            header: header.map(str::to_owned).to_vec(),
            rows,
            leading: 1,
            numbers: 1..4,
        };
        Block::Table(Table::of(
            "Lines at which all workers made new memory",
            columns,
        ))
    })
}
