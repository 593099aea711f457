//! Trees over time: what their processes write is counted to the page, with its cause.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;
use refcow::live::document::{PagesAre, RecordedProcess, TreeFigures};
use refcow::model::Cause;
use rstest::rstest;

use crate::common::trees::{
    Attached, NOBODY, SYSTEM, attach, document, known_tree, process, recorded, recorded_of, total,
};
use crate::common::{REFCOW, Target, by_python, cannot_record, recording_to, run, skipped};

/// Copied, made and rewritten.
fn pages(one: &RecordedProcess) -> [u64; 3] {
    [one.copied_pages, one.new_pages, one.rewritten_pages]
}

#[rstest]
#[case::root(false)]
#[case::an_ordinary_user(true)]
fn what_a_tree_writes_while_it_is_recorded_is_counted_to_the_page(#[case] as_user: bool) {
    let test = "recording a tree";
    if cannot_record(test) {
        return;
    }
    if !Path::new(SYSTEM).exists() {
        return skipped(test, "there is no Python of the system's");
    }
    let is_root = geteuid().is_root();
    let (_folder, public) = run::public_copies();
    let (mut target, parent, [first, second]) = known_tree(is_root.then_some(NOBODY));
    let refcow = || {
        let mut refcow = Command::new(&public);
        if is_root && as_user {
            refcow.uid(NOBODY).gid(NOBODY).current_dir("/");
        }
        refcow
    };
    let mut record = |lines: &[&str]| {
        let before = attach(parent);
        let attached = Attached::to(refcow(), parent);
        for line in lines {
            target.say(line);
        }
        let tree = attached.end();
        assert_eq!(recorded(&tree).lost_faults, 0);
        // Frames, or else bits, say the same.
        for pid in [first, second] {
            let copied = |tree: &TreeFigures| process(tree, pid).copied_pages;
            let after = attach(parent);
            assert_eq!(
                recorded_of(&tree, pid).copied_pages,
                copied(&after) - copied(&before)
            );
            assert_eq!(recorded_of(&tree, pid).given_back_pages, Some(0));
        }
        [parent, first, second].map(|pid| pages(recorded_of(&tree, pid)))
    };
    let nothing = [0; 3];
    assert_eq!(record(&["1 write 0"]), [nothing; 3]);
    assert_eq!(record(&["1 write 1"]), [nothing, [1, 0, 0], nothing]);
    assert_eq!(
        record(&["1 write 1000", "2 make 300", "0 write 500"]),
        [[0, 0, 500], [1000, 0, 0], [0, 300, 0]]
    );
}

#[test]
fn a_worker_that_is_forked_while_its_tree_is_recorded_is_recorded_from_its_fork_on() {
    if cannot_record("recording a new worker") {
        return;
    }
    let (mut target, parent, _) = known_tree(None);
    let before = attach(parent);
    let attached = Attached::to(Command::new(REFCOW), parent);
    let new: i32 = target.say("fork").parse().unwrap();
    target.waiting.push(new);
    target.say("3 write 1000");
    let tree = attached.end();
    let now = process(&tree, new);
    let of_new = recorded_of(&tree, new);
    assert!(of_new.copied_pages >= 1000, "{of_new:?}");
    assert!(
        of_new.copied_pages <= now.copied_pages + now.written_by_both_pages,
        "{now:#?}"
    );
    if geteuid().is_root() {
        // What was copied and made is what there is more by page frames.
        let all = recorded(&tree).processes.iter();
        let made = all.map(|one| pages(one).iter().sum::<u64>() - one.given_back_pages.unwrap());
        let frames = |tree: &TreeFigures| total(tree).anonymous_bytes.unwrap() / 4096;
        assert_eq!(
            made.sum::<u64>(),
            frames(&tree) - frames(&before),
            "{tree:#?}"
        );
    }
    assert_eq!(of_new.depth, 1);
}

/// Objects of a class, each on a page with others of its kind, that a worker takes references to, and another has collected.
const CAUSES: &str = "
import gc, os, sys
gc.disable()
class Row:
    __slots__ = ('one', 'two')
rows = [Row() for _ in range(60000)]
for row in rows: row.one = row.two = None
def worker(act):
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        act()
        os.write(w, b'x'); os._exit(0)
    os.read(r, 1); os.waitpid(pid, 0)
    return pid
def use():
    for row in rows: pass
print(worker(use), worker(gc.collect), flush=True)
sys.stdin.read()
";

#[test]
fn what_was_written_first_is_told_with_its_type_and_what_wrote() {
    if cannot_record("causes of a tree's copies") {
        return;
    }
    for interpreter in by_python::builds() {
        let python = &interpreter.program;
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("run.json");
        let mut refcow = recording_to(&place);
        refcow.arg("--").arg(python).args(["-c", CAUSES]);
        let mut target = Target::start_and_hear(refcow);
        target.line();
        // The parent ends when its workers' pages have been looked at: the rows of both are 5.2 MiB at least.
        target.until_seen("copied", 5.2);
        assert!(target.end().1.success());
        let trees = document(&std::fs::read_to_string(place).unwrap()).trees;
        let recorded = recorded(&trees[0]);
        assert_eq!(recorded.lost_faults, 0);
        let sum = |kind: PagesAre| -> u64 {
            let all = recorded.causes.iter().filter(|one| one.pages_are == kind);
            all.map(|one| one.pages).sum()
        };
        let of_all =
            |pages: fn(&RecordedProcess) -> u64| recorded.processes.iter().map(pages).sum::<u64>();
        assert_eq!(sum(PagesAre::Copied), of_all(|one| one.copied_pages));
        assert_eq!(sum(PagesAre::New), of_all(|one| one.new_pages));
        assert_eq!(sum(PagesAre::Rewritten), of_all(|one| one.rewritten_pages));
        let of_rows = |cause: Cause| -> u64 {
            let all = recorded.causes.iter().filter(|one| {
                one.cause == Some(cause) && one.type_name.as_deref() == Some("__main__.Row")
            });
            all.map(|one| one.pages).sum()
        };
        // At least 48 bytes each: the collector's words, count, type and two fields. Their pages hold little else.
        let least = 60_000 * 48 / 4096 * 95 / 100;
        assert!(
            of_rows(Cause::Refcount) > least,
            "{python:?} {:#?}",
            recorded.causes
        );
        assert!(
            of_rows(Cause::Gc) > least,
            "{python:?} {:#?}",
            recorded.causes
        );
        let copied = sum(PagesAre::Copied);
        let all = recorded
            .causes
            .iter()
            .filter(|one| one.pages_are == PagesAre::Copied);
        let unattributed = all.filter(|one| one.cause == Some(Cause::Unattributed));
        let unattributed: u64 = unattributed.map(|one| one.pages).sum();
        assert!(
            unattributed * 10 < copied,
            "{python:?} {:#?}",
            recorded.causes
        );
    }
}
