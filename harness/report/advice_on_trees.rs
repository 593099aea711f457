//! What could be done about what a tree of processes copied and made: its findings, with the remedies
//! that are for them.

use super::escape::{block, markdown as escaped};
use super::style::{Style, wrapped};
use refcow_model::remedies::{Remedy, remedies};
use refcow_model::trees::{TreeFigures, Trees};

/// Columns of prose where nothing else is said.
const WIDTH: u16 = 80;

/// What is said of a remedy that has other code for other data.
const WRITTEN: &str =
    "`refcow advise FILE.py` writes the code for your data, runs it, and measures what it saves.";

/// Tells of each tree.
pub fn render(trees: &Trees, style: Style) -> Vec<u8> {
    let mut text = String::new();
    for tree in &trees.trees {
        add_tree(&mut text, tree, style);
    }
    if trees.trees.is_empty() {
        add(&mut text, "There are no trees in this document.", "", style);
    }
    while text.ends_with("\n\n") {
        text.pop();
    }
    text.into_bytes()
}

fn add_tree(text: &mut String, tree: &TreeFigures, style: Style) {
    let python = tree.python.as_deref();
    let python = python.map_or_else(String::new, |python| format!(" ({python})"));
    let head = format!("{}{python}", tree.command());
    match style {
        Style::Terminal { .. } => add(text, &head, "", style),
        Style::Markdown => text.push_str(&format!("**{}**\n\n", escaped(&head))),
    }
    text.push_str(match style {
        Style::Terminal { .. } => "\n",
        Style::Markdown => "",
    });
    if tree.findings.is_empty() {
        let what = match tree.recorded {
            Some(_) => {
                "Nothing that its processes copied or made while they were recorded is worth a remedy."
            }
            None => {
                "The document is of one look: what the processes copied, and why, is known of a recording (`refcow run`, `refcow attach --for`)."
            }
        };
        add(text, what, "", style);
        text.push('\n');
    }
    for (number, finding) in (1..).zip(&tree.findings) {
        add(
            text,
            &format!("{number}. {} {}", finding.says, finding.remedy),
            "",
            style,
        );
        let mut written = false;
        let answers = |one: &&Remedy| one.answers.contains(&finding.id) && is_in(one, tree);
        for remedy in remedies().iter().filter(answers) {
            add_remedy(text, remedy, style);
            written |= remedy.code_for("NAME").is_none();
        }
        if written {
            add(text, WRITTEN, "   ", style);
        }
        if let Style::Terminal { .. } = style
            && !text.ends_with("\n\n")
        {
            text.push('\n');
        }
    }
}

/// Whether the Python of a tree has a remedy; of one that nobody knows, whether all have.
fn is_in(remedy: &Remedy, tree: &TreeFigures) -> bool {
    let series = tree.python.as_deref().and_then(|python| {
        let (major, minor) = python.strip_prefix("CPython ")?.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    remedy.is_in(series.unwrap_or_default())
}

fn add_remedy(text: &mut String, remedy: &Remedy, style: Style) {
    let words = format!(
        "{}: {}. For the code: {}.",
        remedy.title, remedy.does, remedy.changes
    );
    match style {
        Style::Terminal { .. } => {
            add(text, &words, "   ", style);
            if let Some(code) = remedy.code_for("NAME") {
                text.push('\n');
                for line in code.lines() {
                    text.push_str(format!("      {line}").trim_end());
                    text.push('\n');
                }
                text.push('\n');
            }
        }
        Style::Markdown => {
            text.push_str(&format!("{words}\n\n"));
            if let Some(code) = remedy.code_for("NAME") {
                text.push_str(&format!("{}\n\n", block(code.trim_end())));
            }
        }
    }
}

fn add(text: &mut String, words: &str, indent: &str, style: Style) {
    match style {
        Style::Terminal { width, .. } => {
            text.push_str(&wrapped(words, width.unwrap_or(WIDTH), indent));
        }
        Style::Markdown => text.push_str(&format!("{}\n\n", escaped(words))),
    }
}
