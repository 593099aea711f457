//! What a worker of a tree copies and makes, before and now.

use refcow_model::numbers::{bytes, counted, share, signed_bytes};
use refcow_model::trees::PagesAre;
use refcow_model::trees::compare::{ComparedTree, TreeCost, TreePart, TreesComparison};

use super::columns::Columns;
use super::escape::markdown as escaped;
use super::style::{READABLE, Style, wrapped};

/// Parts of a cost that are told.
const MOST: usize = 8;

/// For a terminal or a page.
pub fn render(comparison: &TreesComparison, style: Style) -> Vec<u8> {
    let mut text = String::new();
    let sentence = |words: &str| match style {
        Style::Terminal { width, .. } => wrapped(words, width.unwrap_or(READABLE), ""),
        Style::Markdown => format!("{}\n\n", escaped(words)),
    };
    for tree in &comparison.trees {
        text += &sentence(&title(tree));
        let columns = columns(tree);
        text += &match style {
            Style::Terminal { width, .. } => {
                format!("\n{}", columns.text(Some(width.unwrap_or(READABLE))))
            }
            Style::Markdown => format!("{}\n\n", columns.markdown()),
        };
    }
    let tolerance = comparison.tolerance;
    text += &sentence(&format!(
        "Differences of up to {} a worker, or {}, count as the same.",
        counted(tolerance.pages, "page", "pages"),
        share(tolerance.share),
    ));
    if comparison.unpaired > 0 {
        let trees = counted(comparison.unpaired, "tree is", "trees are");
        text += &sentence(&format!("{trees} in one document alone."));
    }
    text.into_bytes()
}

/// Annotations of a GitHub workflow: what has regressed.
pub fn github(comparison: &TreesComparison) -> Vec<u8> {
    let mut text = String::new();
    for (command, cost) in comparison.regressed() {
        let words = format!(
            "{command}: a worker {}: {}",
            did(cost.pages_are),
            change(cost.bytes)
        );
        text += &super::annotations::annotation("error", "refcow: regressed", &words);
    }
    text.into_bytes()
}

fn title(tree: &ComparedTree) -> String {
    let [before, now] = &tree.commands;
    let command = match before == now {
        true => before.clone(),
        false => format!("{before} → {now}"),
    };
    let workers = tree
        .workers
        .map(|number| counted(number, "worker", "workers"));
    match workers[0] == workers[1] {
        true => format!("{command}, {}", workers[0]),
        false => format!("{command}, {} → {}", workers[0], workers[1]),
    }
}

/// What was done with pages, as in `a worker copied`.
pub fn did(pages_are: PagesAre) -> &'static str {
    match pages_are {
        PagesAre::Copied => "copied",
        PagesAre::New => "made",
        PagesAre::Rewritten => "had its parent rewrite",
        PagesAre::Unknown => "copied or made",
    }
}

/// `7.3 MiB → 9.1 MiB`.
pub fn change(both: [u64; 2]) -> String {
    format!("{} → {}", bytes(both[0]), bytes(both[1]))
}

fn columns(tree: &ComparedTree) -> Columns {
    let mut rows = Vec::new();
    for cost in &tree.costs {
        rows.push(row(name(cost).to_owned(), cost.bytes, cost.status.as_str()));
        rows.extend(
            cost.parts
                .iter()
                .take(MOST)
                .map(|part| row(part_name(part), part.bytes, "")),
        );
        if let Some(more @ 1..) = cost.parts.len().checked_sub(MOST) {
            let mut more = vec![format!("  and {}", counted(more as u64, "other", "others"))];
            more.resize(6, String::new());
            rows.push(more);
        }
    }
    let header = ["a worker's", "before", "now", "change", "", ""];
    Columns {
        header: header.map(str::to_owned).to_vec(),
        rows,
        leading: 1,
        numbers: 1..5,
    }
}

fn name(cost: &TreeCost) -> &'static str {
    match cost.pages_are {
        PagesAre::Copied => "copies",
        PagesAre::New => "new memory",
        PagesAre::Rewritten => "part of what parents rewrote",
        PagesAre::Unknown => "unknown",
    }
}

fn part_name(part: &TreePart) -> String {
    let cause = part
        .cause
        .map_or("without a cause", refcow_model::Cause::as_str);
    match &part.type_name {
        Some(of_type) => format!("  {cause} {of_type}"),
        None => format!("  {cause}"),
    }
}

fn row(name: String, both: [u64; 2], status: &str) -> Vec<String> {
    let more = i64::try_from(both[1])
        .unwrap_or(i64::MAX)
        .saturating_sub(i64::try_from(both[0]).unwrap_or(i64::MAX));
    let sign = if more > 0 { "+" } else { "" };
    let part = match (more, both[0]) {
        (0, _) | (_, 0) => String::new(),
        (more, before) => {
            let sign = if more > 0 { "+" } else { "−" };
            format!(
                "{sign}{}",
                share(more.unsigned_abs() as f64 / before as f64)
            )
        }
    };
    vec![
        name,
        bytes(both[0]),
        bytes(both[1]),
        format!("{sign}{}", signed_bytes(more)),
        part,
        status.to_owned(),
    ]
}
