//! What is told below the table of a tree that was recorded, and whether doing what it says helps.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use refcow::live::document::{TreeFigures, TreeFinding, Trees};

use crate::common::{REFCOW, cannot_record, python};

/// A parent with data that its worker collects and uses. It ends when its input does: what has ended cannot be read.
const COLLECTS: &str = "
import gc, os, sys
gc.disable()
rows = [[] for _ in range(60000)]
PRELOADED
if os.fork() == 0:
    gc.collect()
    for row in rows: pass
    os.close(1)
sys.stdin.read()
os._exit(0)
";

/// What refcow tells of a program that is let go once its processes have copied so many MiB.
fn recorded(program: &str, least: f64) -> (TreeFigures, String) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("tree.json");
    let mut refcow = Command::new(REFCOW);
    refcow.args(["run", "--every", "20ms", "--format", "json", "--output"]);
    refcow.arg(&place).args(["--", python(), "-c", program]);
    let piped = refcow.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let copied = |line: String| -> Option<f64> {
        let (_, amount) = line.split_once("copied ")?;
        amount.split_once(" MiB,")?.0.parse().ok()
    };
    while copied(said.next().expect("a line").unwrap()).is_none_or(|copied| copied < least) {}
    said.next().expect("a line").unwrap();
    drop(child.stdin.take());
    std::thread::spawn(move || said.for_each(drop));
    assert!(child.wait().unwrap().success());
    let document = std::fs::read_to_string(place).unwrap();
    let mut trees: Trees = serde_json::from_str(&document).unwrap();
    assert_eq!(trees.trees.len(), 1, "{document}");
    (trees.trees.remove(0), document)
}

fn finding<'a>(tree: &'a TreeFigures, id: &str) -> Option<&'a TreeFinding> {
    tree.findings.iter().find(|one| one.id == id)
}

#[test]
fn what_is_frozen_before_the_fork_no_collection_copies() {
    if cannot_record("findings of a tree") {
        return;
    }
    // Each list is no smaller than 56 bytes, with the two words of the collector's in front of it.
    let bytes: u32 = 60_000 * 56;
    let mebibytes = f64::from(bytes) / f64::from(1 << 20) * 0.9;
    let least = u64::from(bytes) * 8 / 10;
    let (tree, document) = recorded(&COLLECTS.replace("PRELOADED", ""), mebibytes);
    let found = finding(&tree, "collections").expect(&document);
    assert!(found.bytes > least, "{found:?}");
    assert!(found.says.starts_with("Workers copied "), "{found:?}");
    assert!(found.remedy.contains("gc.freeze()"), "{found:?}");

    let (tree, document) = recorded(&COLLECTS.replace("PRELOADED", "gc.freeze()"), mebibytes);
    assert_eq!(finding(&tree, "collections"), None, "{document}");
    let found = finding(&tree, "reference-counts").expect(&document);
    assert!(
        found.bytes > least && found.says.contains("Types: list "),
        "{found:?}"
    );
}
