//! What is told below the table of a tree that was recorded, and whether doing what it says helps.

use std::path::Path;
use std::process::Command;

use refcow::live::document::{Phase, TreeFigures, TreeFinding, Trees};

use crate::common::{Target, by_python, cannot_record, python, recording_to, run};

/// A parent with data that its worker collects and uses. It ends when its input does: what has ended cannot be read.
const COLLECTS: &str = "
import gc, os, sys
gc.disable()
rows = [[] for _ in range(60000)]
filler = bytearray(b'x') * (48 << 20)
sys.stdin.readline()
PRELOADED
if os.fork() == 0:
    gc.collect()
    for row in rows: pass
    os.close(1)
sys.stdin.read()
os._exit(0)
";

/// MiB that a program makes when all else is there: when they are seen, so is all of its interpreter.
const FILLER: f64 = 48.0;

/// What refcow tells of a program that is let go once its processes have copied so many MiB.
fn recorded(python: &Path, program: &str, least: f64) -> (TreeFigures, String) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("tree.json");
    let mut refcow = recording_to(&place);
    refcow.arg("--").arg(python).args(["-c", program]);
    let mut target = Target::start_and_hear(refcow);
    target.until_seen("new", FILLER);
    target.tell("");
    target.until_seen("copied", least);
    assert!(target.end().1.success());
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
    let python = Path::new(python());
    // Each list is no smaller than 56 bytes, with the two words of the collector's in front of it.
    let bytes: u32 = 60_000 * 56;
    let mebibytes = f64::from(bytes) / f64::from(1 << 20) * 0.9;
    let least = u64::from(bytes) * 8 / 10;
    let (tree, document) = recorded(python, &COLLECTS.replace("PRELOADED", ""), mebibytes);
    let found = finding(&tree, "collections").expect(&document);
    assert!(found.bytes > least, "{found:?}");
    assert!(found.says.starts_with("Workers copied "), "{found:?}");
    assert!(found.remedy.contains("gc.freeze()"), "{found:?}");

    let (tree, document) = recorded(
        python,
        &COLLECTS.replace("PRELOADED", "gc.freeze()"),
        mebibytes,
    );
    assert_eq!(finding(&tree, "collections"), None, "{document}");
    let found = finding(&tree, "reference-counts").expect(&document);
    assert!(
        found.bytes > least && found.says.contains("Types: list "),
        "{found:?}"
    );
}

/// A worker that counts references to some objects, and ends. Its end writes to the others.
const ENDS: &str = "
import gc, os, sys
gc.disable()
class Row:
    __slots__ = ('one', 'two', 'three')
used = [Row() for _ in range(60000)]
unused = [Row() for _ in range(60000)]
filler = bytearray(b'x') * (48 << 20)
sys.stdin.readline()
if (pid := os.fork()) == 0:
    for row in used: pass
    END
else:
    os.waitpid(pid, 0)
    sys.stdin.read()
    os._exit(0)
";

#[test]
fn what_a_worker_writes_while_its_interpreter_ends_is_told_apart() {
    if cannot_record("the shutdown of a tree") {
        return;
    }
    // Each row is an object's two words and three fields, at least.
    let each: u32 = 60_000 * 40;
    let least = u64::from(each) / 4096 * 9 / 10;
    let mebibytes = f64::from(each) / f64::from(1 << 20);
    for interpreter in by_python::builds() {
        let ends = |end: &str, least: f64| {
            let (tree, document) = recorded(&interpreter.program, &ENDS.replace("END", end), least);
            let recorded = tree.recorded.clone().expect("it was recorded");
            assert_eq!(recorded.shutdown_unseen, None, "{document}");
            let worker = recorded.processes.iter().find(|one| one.depth == 1);
            let shutdown = worker.expect("a worker").shutdown_pages;
            let ending = recorded
                .causes
                .iter()
                .filter(|one| one.phase == Some(Phase::Shutdown));
            assert_eq!(
                shutdown,
                Some(ending.map(|one| one.pages).sum()),
                "{document}"
            );
            let counted = recorded.causes.iter().filter(|one| {
                one.phase == Some(Phase::Work) && one.type_name.as_deref() == Some("__main__.Row")
            });
            (tree, shutdown, counted.map(|one| one.pages).sum::<u64>())
        };
        let (tree, shutdown, counted) = ends("pass", mebibytes * 2.0);
        assert!(shutdown > Some(least), "{shutdown:?}");
        // Those that are used alone: the others are freed at the end.
        assert!((least..2 * least).contains(&counted), "{counted}");
        let found = finding(&tree, "shutdown").expect("a finding");
        assert!(found.remedy.contains("os._exit()"), "{found:?}");

        let (tree, shutdown, _) = ends("os._exit(0)", mebibytes * 0.9);
        assert_eq!(shutdown, Some(0));
        assert_eq!(finding(&tree, "shutdown"), None);
    }
}

/// Two workers that make the same, load the same library, and each make something of their own.
const ALIKE: &str = "
import ctypes, os, sys
r, w = os.pipe()
for _ in range(2):
    if os.fork() == 0:
        cache = [str(number) for number in range(100000, 160000)]
        ctypes.CDLL('libresolv.so.2')
        own = os.urandom(4 << 20)
        zeros = b'\\0' * (2 << 20)
        os.write(w, b'x')
        sys.stdin.read()
        os._exit(0)
os.read(r, 1), os.read(r, 1)
print(os.getpid(), flush=True)
sys.stdin.read()
";

#[test]
fn what_workers_made_alike_is_counted_page_for_page() {
    if cannot_record("what workers have alike") {
        return;
    }
    let mut target = Target::of_text(ALIKE);
    let pid = target.line();
    let document = run::stdout(&["attach", &pid, "--for", "10ms", "--format", "json"]);
    let table = run::stdout(&["attach", &pid, "--for", "10ms"]);
    target.end();
    let trees: Trees = serde_json::from_str(&document).unwrap();
    let tree = &trees.trees[0];
    assert_eq!(tree.alike.len(), 1, "{document}");
    let alike = &tree.alike[0];
    assert_eq!(alike.workers, 2);
    // Texts of six letters are 55 bytes at least.
    let least = 60_000 * 55 / 4096 * 9 / 10;
    assert!(alike.alike_pages > least, "{alike:?}");
    assert!(alike.alike_pages < least + 600, "{alike:?}");
    // Ends of blocks of zeros are on pages with something else.
    assert!((510..560).contains(&alike.zero_pages), "{alike:?}");
    let different = alike.new_pages - alike.alike_pages - alike.zero_pages;
    assert!((1020..1200).contains(&different), "{alike:?}");
    assert_eq!(alike.libraries, ["libresolv.so.2"]);
    let found = finding(tree, "alike-in-workers").expect("a finding");
    assert_eq!(found.bytes, alike.alike_pages * 4096);
    assert!(
        table.contains("all have loaded libresolv.so.2 since"),
        "{table}"
    );
    assert_eq!(finding(tree, "new-in-each-worker"), None);
}

/// Two workers that import the same, and each something that the other does not.
const IMPORTS: &str = "
import os, sys
sys.path.insert(0, sys.argv[1])
import shop
r, w = os.pipe()
for worker in range(2):
    if os.fork() == 0:
        import shop.stock.shelves, colorsys
        __import__('alone%d' % worker)
        cache = [str(number) for number in range(100000, 160000)]
        os.write(w, b'x')
        sys.stdin.read()
        os._exit(0)
os.read(r, 1), os.read(r, 1)
print(os.getpid(), flush=True)
sys.stdin.read()
";

#[test]
fn modules_that_all_workers_imported_since_the_fork_are_named_in_every_version() {
    if cannot_record("what workers have alike") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("shop/stock")).unwrap();
    for file in [
        "shop/__init__.py",
        "shop/stock/__init__.py",
        "shop/stock/shelves.py",
        "alone0.py",
        "alone1.py",
    ] {
        std::fs::write(folder.path().join(file), "").unwrap();
    }
    for interpreter in by_python::builds() {
        let mut command = Command::new(&interpreter.program);
        command.args(["-B", "-c", IMPORTS]).arg(folder.path());
        let mut target = Target::start(command);
        let pid = target.line();
        let document = run::stdout(&["attach", &pid, "--for", "10ms", "--format", "json"]);
        target.end();
        let trees: Trees = serde_json::from_str(&document).unwrap();
        let alike = &trees.trees[0].alike[0];
        let expected = ["shop.stock", "shop.stock.shelves", "colorsys"].map(str::to_owned);
        let program = &interpreter.program;
        assert_eq!(
            alike.modules,
            Some(expected.to_vec()),
            "{program:?} {alike:?}"
        );
        let found = finding(&trees.trees[0], "alike-in-workers").expect(&document);
        let named = "; all have imported shop.stock and colorsys since the fork";
        assert!(found.says.contains(named), "{found:?}");
    }
}

/// Two workers that each fill a cache at its first use.
const CACHES: &str = "
import functools, os
@functools.lru_cache(None)
def prices(kind):
    return [str(number) for number in range(100000, 140000)]
while True:
    with open('/proc/self/status') as status:
        if 'TracerPid:\\t0\\n' not in status.read(): break
PRELOADED
for _ in range(2):
    if os.fork() == 0:
        prices('all')
        os._exit(0)
for _ in range(2): os.wait()
";

#[test]
fn a_cache_that_all_workers_fill_is_told_with_its_line_and_not_one_that_is_filled_before_the_fork()
{
    if cannot_record("lines of a tree") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (script, place) = (
        folder.path().join("app.py"),
        folder.path().join("tree.json"),
    );
    let made = |preloaded: &str| {
        std::fs::write(&script, CACHES.replace("PRELOADED", preloaded)).unwrap();
        let mut refcow = recording_to(&place);
        refcow
            .args(["-q", "--lines=1", "--", python()])
            .arg(&script);
        run::succeeded("refcow run", run::output(&mut refcow));
        let document = std::fs::read_to_string(&place).unwrap();
        let trees: Trees = serde_json::from_str(&document).unwrap();
        (trees.trees[0].clone(), document)
    };
    let (tree, document) = made("pass");
    let line = CACHES
        .lines()
        .position(|line| line.contains("return ["))
        .unwrap()
        + 1;
    let all = &tree.recorded.as_ref().unwrap().made_by_all;
    let is_it = |line_of: &str| line_of.ends_with(&format!("({}:{line})", script.display()));
    let cache = all.iter().find(|one| is_it(&one.line)).expect(&document);
    // Texts of six letters are 55 bytes at least.
    let least = 40_000 * 55 / 4096 * 9 / 10;
    assert!(cache.workers == 2 && cache.least_pages > least, "{all:?}");
    let found = finding(&tree, "made-by-all-workers").expect(&document);
    assert!(
        found.says.contains(&cache.line) && found.bytes >= cache.pages * 4096,
        "{found:?}"
    );

    let (tree, document) = made("prices('all')");
    assert_eq!(finding(&tree, "made-by-all-workers"), None, "{document}");
}
