//! Trees of processes that were not started by refcow: which belong together, and which pages they share.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use refcow::live::document::{
    PagesAre, ProcessFigures, RecordedFigures, RecordedProcess, SeenBy, Total, TreeFigures, Trees,
};
use refcow::model::Cause;
use rstest::rstest;

use crate::common::{
    REFCOW, Target, by_python, cannot_record, python, recording_to, run, signals, skipped,
};

pub const NOBODY: u32 = 65_534;
/// One that any user may start.
pub const SYSTEM: &str = "/usr/bin/python3";

pub fn document(printed: &str) -> Trees {
    let document: serde_json::Value = serde_json::from_str(printed).unwrap();
    let schema: serde_json::Value =
        serde_json::from_str(&run::stdout(&["schema", "trees"])).unwrap();
    let errors: Vec<String> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(&document)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    serde_json::from_value(document).unwrap()
}

fn attach_with(mut refcow: Command, pid: i32) -> TreeFigures {
    refcow.args(["attach", &pid.to_string(), "--for", "0", "--format", "json"]);
    let mut trees = document(&run::succeeded("refcow attach", run::output(&mut refcow)));
    assert_eq!(trees.trees.len(), 1);
    trees.trees.remove(0)
}

fn attach(pid: i32) -> TreeFigures {
    attach_with(Command::new(REFCOW), pid)
}

fn total(tree: &TreeFigures) -> &Total {
    tree.total.as_ref().expect("it lives")
}

fn pids(tree: &TreeFigures) -> BTreeSet<i32> {
    tree.processes.iter().map(|one| one.pid).collect()
}

fn process(tree: &TreeFigures, pid: i32) -> &ProcessFigures {
    let mut all = tree.processes.iter();
    all.find(|one| one.pid == pid).expect("a member")
}

/// More often than code is run before it is adapted, and before what was adapted is given up.
const PRACTICE: usize = 40;

/// The parent and two workers of a tree of which the pages that each writes are known.
fn known_tree(user: Option<u32>) -> (Target, i32, [i32; 2]) {
    let mut command = Command::new(SYSTEM);
    command.args(["-I", "-S", "-c", include_str!("live/tree.py")]);
    if let Some(user) = user {
        command.uid(user).gid(user).current_dir("/");
    }
    let mut target = Target::start(command);
    let parent = target.numbers()[0];
    let workers = [(); 2].map(|()| target.say("fork").parse().unwrap());
    target.waiting.extend([parent, workers[0], workers[1]]);
    // Each has done the same before, often enough for Python to have adapted its code (PEP 659) and to have taken the memory
    // that it needs, so that nothing but the pages is written.
    let often = ["write 0", "write 1", "make 1"].repeat(PRACTICE);
    for what in often.into_iter().chain(["write 300", "make 300"]) {
        for who in 0..=2 {
            target.say(&format!("{who} {what}"));
        }
    }
    (target, parent, workers)
}

#[test]
fn each_page_counts_for_who_wrote_it_and_an_ordinary_user_gets_the_same() {
    if !Path::new(SYSTEM).exists() {
        return skipped("trees", "there is no Python of the system's");
    }
    let is_root = geteuid().is_root();
    let (_folder, public) = run::public_copies();
    let as_user = |pid| {
        let mut refcow = Command::new(&public);
        if is_root {
            refcow.uid(NOBODY).gid(NOBODY).current_dir("/");
        }
        attach_with(refcow, pid)
    };
    let (mut target, parent, [first, second]) = known_tree(is_root.then_some(NOBODY));
    let mut looks = vec![(attach(parent), as_user(parent))];
    for line in [
        "1 write 0",
        "1 write 1",
        "1 write 1000",
        "0 write 500",
        "2 make 300",
        "0 make 7",
    ] {
        target.say(line);
        looks.push((attach(parent), as_user(parent)));
    }
    // What a step added to each figure: copied, parent wrote, rewritten, new, both wrote and unknown.
    let figures = |one: &ProcessFigures| {
        [
            one.copied_pages,
            one.left_behind_pages,
            one.rewritten_pages,
            one.new_pages,
            one.written_by_both_pages + one.unknown_pages,
        ]
        .map(u64::cast_signed)
    };
    let added = |step: usize, pid: i32, user: bool| {
        let of = |look: &(TreeFigures, TreeFigures)| {
            figures(process(if user { &look.1 } else { &look.0 }, pid))
        };
        let (before, after) = (of(&looks[step]), of(&looks[step + 1]));
        [0, 1, 2, 3, 4].map(|field| after[field] - before[field])
    };
    for user in [false, true] {
        let steps: [(i32, [i64; 5]); 6] = [
            (first, [0, 0, 0, 0, 0]),
            (first, [1, 0, 0, 0, 0]),
            (first, [1000, 0, 0, 0, 0]),
            (first, [0, 500, 0, 0, 0]),
            (second, [0, 0, 0, 300, 0]),
            (second, [0, 0, 0, 0, 0]),
        ];
        for (step, (pid, expected)) in steps.into_iter().enumerate() {
            assert_eq!(
                added(step, pid, user),
                expected,
                "step {step}, as user: {user}"
            );
        }
        assert_eq!(added(3, parent, user)[2], 500);
        assert_eq!(added(3, second, user), [0, 500, 0, 0, 0]);
    }
    for (root, user) in &looks {
        assert_eq!(user.seen_by, Some(SeenBy::MappedOnce));
        if is_root {
            assert_eq!(root.seen_by, Some(SeenBy::FramesAndMarks));
        }
        for one in &root.processes {
            let other = process(user, one.pid);
            let sum = |one: &ProcessFigures| {
                one.copied_pages
                    + one.written_by_both_pages
                    + one.left_behind_pages
                    + one.unknown_pages
            };
            assert_eq!(
                (one.shared_pages, sum(one)),
                (other.shared_pages, sum(other))
            );
            assert_eq!(one.new_pages, other.new_pages);
            assert_eq!(
                one.anonymous_pages,
                one.shared_pages + sum(one) + one.new_pages + one.own_pages + one.huge_pages
            );
        }
        // PSS is in whole KiB, rounded down for each process.
        let taken = |tree: &TreeFigures| total(tree).anonymous_bytes.unwrap();
        assert!(
            taken(root).abs_diff(taken(user)) <= 3 * 4096,
            "{root:#?}\n{user:#?}"
        );
    }
    // 1,000 pages more were copied by one, 500 left behind by both, and 307 are new.
    let taken = |place: usize| total(&looks[place].0).anonymous_bytes.unwrap() / 4096;
    assert_eq!(taken(6) - taken(1), 1 + 1000 + 500 + 300 + 7);
    let if_shared = |place: usize| total(&looks[place].0).if_all_shared_bytes / 4096;
    assert_eq!(if_shared(6) - if_shared(1), 300 + 7);
}

/// Programs that print the numbers of the processes that have one start, the parent first, and wait until their input ends.
#[rstest]
#[case::pool(
    "import multiprocessing as m, os, sys
c = m.get_context('fork')
def pid(_): b.wait(); return os.getpid()
b = c.Barrier(3)
p = c.Pool(3)
print(os.getpid(), *p.map(pid, range(3), chunksize=1), flush=True)
sys.stdin.read(); p.terminate()"
)]
#[case::executor(
    "import multiprocessing as m, os, sys
from concurrent.futures import ProcessPoolExecutor
c = m.get_context('fork')
b = c.Barrier(2)
def pid(_): b.wait(); return os.getpid()
with ProcessPoolExecutor(2, mp_context=c) as p:
    print(os.getpid(), *p.map(pid, range(2)), flush=True)
    sys.stdin.read()"
)]
#[case::generations_and_a_daemon_whose_parent_has_ended(
    "import os, sys, signal
r, w = os.pipe(); out, back = os.pipe()
def leaf():
    os.write(back, f'{os.getpid()} '.encode()); os.close(w); os.read(r, 1); os._exit(0)
if os.fork() == 0:
    if os.fork() == 0: leaf()
    leaf()
middle = os.fork()
if middle == 0:
    os.setsid()
    if os.fork() == 0: leaf()
    os._exit(0)
os.waitpid(middle, 0)
told = ''
while told.count(' ') < 3: told += os.read(out, 100).decode()
print(os.getpid(), told, flush=True)
sys.stdin.read()"
)]
#[case::what_executes_a_program_leaves(
    "import os, sys, subprocess
r, w = os.pipe()
a, b = os.pipe()
other = subprocess.Popen([sys.executable, '-c', 'print(1, flush=True); input()'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
other.stdout.readline()
pid = os.fork()
if pid == 0:
    os.close(w); os.write(b, b'x'); os.read(r, 1); os._exit(0)
os.read(a, 1)
print(os.getpid(), pid, flush=True)
sys.stdin.read(); other.kill(); other.wait()"
)]
fn a_tree_is_what_was_forked_from_one_start(#[case] program: &str) {
    let mut target = Target::of_text(program);
    let members = target.numbers();
    let expected: BTreeSet<i32> = members.iter().copied().collect();
    for pid in &members {
        assert_eq!(pids(&attach(*pid)), expected);
    }
    let tree = attach(members[0]);
    assert_eq!(tree.processes[0].pid, members[0]);
    assert_eq!(tree.processes[0].depth, 0);
    let listed = document(&run::stdout(&["trees", "--format", "json"]));
    assert!(listed.trees.iter().any(|tree| pids(tree) == expected));
}

#[test]
fn the_server_of_forkserver_is_the_parent_and_spawned_processes_share_nothing() {
    let program = |method: &str| {
        format!(
            "import multiprocessing as m, os, sys, time
if __name__ == '__main__':
    c = m.get_context('{method}')
    p = c.Pool(2)
    sorted(p.map(abs, range(2)))
    print(os.getpid(), *(q.pid for q in p._pool), flush=True)
    sys.stdin.read(); p.terminate()"
        )
    };
    let mut target = Target::of_text(&program("forkserver"));
    let numbers = target.numbers();
    let tree = attach(numbers[1]);
    let workers: BTreeSet<i32> = numbers[1..].iter().copied().collect();
    assert!(pids(&tree).is_superset(&workers) && !pids(&tree).contains(&numbers[0]));
    assert_eq!(tree.processes.len(), 3, "{tree:#?}");
    assert!(workers.iter().all(|pid| process(&tree, *pid).depth == 1));
    drop(target);

    let mut target = Target::of_text(&program("spawn"));
    let numbers = target.numbers();
    for pid in &numbers {
        assert_eq!(pids(&attach(*pid)), BTreeSet::from([*pid]));
    }
}

#[test]
fn looking_leaves_a_tree_as_it_was() {
    let (_target, parent, workers) = known_tree(None);
    let all = [parent, workers[0], workers[1]];
    let state = || {
        all.map(|pid| {
            let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
            let status: Vec<String> = read("status")
                .lines()
                .filter(|line| {
                    [
                        "SigP", "SigB", "SigI", "SigC", "Shd", "Tracer", "Threads", "Cap",
                        "Seccomp",
                    ]
                    .iter()
                    .any(|kept| line.starts_with(kept))
                })
                .map(str::to_owned)
                .collect();
            let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"))
                .unwrap()
                .count();
            (status, descriptors, read("maps"))
        })
    };
    let before = state();
    let first = attach(parent);
    assert_eq!(attach(parent), first);
    assert_eq!(state(), before);
}

#[rstest]
#[case::no_process("4194305", "error: there is no process 4194305\n", 2)]
#[case::no_name("a-name-that-no-process-has", "error: no process is called", 2)]
#[case::of_the_kernel("2", "error: process 2 (kthreadd) has no program", 2)]
fn what_is_no_tree_is_an_error_that_says_so(
    #[case] named: &str,
    #[case] said: &str,
    #[case] status: i32,
) {
    if named == "2"
        && !std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name == "kthreadd\n")
    {
        return skipped("a thread of the kernel's", "none is seen here");
    }
    let output = run::run(&["attach", named]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.starts_with(said) && error.contains("\nhelp: "),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(status));
}

#[test]
fn another_users_tree_is_refused_by_its_users_name() {
    if !geteuid().is_root() || !Path::new(SYSTEM).exists() {
        return skipped("another user's tree", "only root can be two users");
    }
    let (_folder, public) = run::public_copies();
    let (_target, parent, _) = known_tree(None);
    let mut refcow = Command::new(&public);
    refcow
        .args(["attach", &parent.to_string()])
        .uid(NOBODY)
        .gid(NOBODY)
        .current_dir("/");
    let output = run::output(&mut refcow);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("belongs to user root (0), and you are user"),
        "{error}"
    );
    assert!(error.contains("sudo refcow attach"), "{error}");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn of_what_is_no_python_pages_are_counted() {
    let mut command = Command::new("sh");
    command.args(["-c", "exec 3<&0; (read line <&3) & echo $$ $!; wait"]);
    let mut target = Target::start(command);
    let numbers = target.numbers();
    let tree = attach(numbers[0]);
    assert_eq!(pids(&tree), numbers.iter().copied().collect());
    assert_eq!(tree.python, None);
    assert!(process(&tree, numbers[1]).shared_pages > 0);
    let table = run::stdout(&["attach", &numbers[0].to_string(), "--for", "0"]);
    assert!(table.contains("not CPython"), "{table}");
}

/// refcow while it records, from its first line on.
pub struct Attached(Option<Child>);

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Attached {
    pub fn to(mut refcow: Command, pid: i32) -> Self {
        refcow.args([
            "attach",
            &pid.to_string(),
            "--every",
            "20ms",
            "--format",
            "json",
        ]);
        signals::with_default_signals(&mut refcow);
        let mut child = refcow
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = said.next().expect("a line").unwrap();
        assert!(first.contains("copied"), "{first}");
        // Else it would wait for a reader some time.
        std::thread::spawn(move || said.for_each(drop));
        Self(Some(child))
    }

    /// What it recorded until Ctrl-C.
    pub fn end(mut self) -> TreeFigures {
        let child = self.0.take().unwrap();
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{}", output.status);
        let mut trees = document(&printed);
        assert_eq!(trees.trees.len(), 1, "{printed}");
        trees.trees.remove(0)
    }
}

fn recorded(tree: &TreeFigures) -> &RecordedFigures {
    tree.recorded.as_ref().expect("it was recorded")
}

fn recorded_of(tree: &TreeFigures, pid: i32) -> &RecordedProcess {
    let mut all = recorded(tree).processes.iter();
    all.find(|one| one.pid == pid).expect("a member")
}

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

fn run_with(arguments: &[&str], program: &str) -> std::process::Output {
    let mut refcow = Command::new(REFCOW);
    refcow
        .arg("run")
        .args(arguments)
        .args(["--", python(), "-c", program]);
    signals::with_default_signals(&mut refcow);
    run::output(refcow.stdin(Stdio::null()))
}

#[rstest]
#[case::success("print('out'); import sys; print('err', file=sys.stderr)", 0)]
#[case::failure(
    "print('out'); import sys; print('err', file=sys.stderr); sys.exit(3)",
    3
)]
#[case::a_signal(
    "print('out', flush=True); import os, sys; print('err', file=sys.stderr); os.kill(os.getpid(), 15)",
    143
)]
fn a_program_runs_as_ever_and_its_status_is_passed_on(#[case] program: &str, #[case] status: i32) {
    if cannot_record("refcow run") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("run.json");
    let output = run_with(
        &[
            "--output",
            place.to_str().unwrap(),
            "--format",
            "json",
            "-q",
        ],
        program,
    );
    assert_eq!(output.status.code(), Some(status));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "out\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");
    let trees = document(&std::fs::read_to_string(place).unwrap());
    assert_eq!(trees.trees.len(), 1, "{trees:#?}");
    let tree = &trees.trees[0];
    assert!(tree.processes.is_empty() && tree.total.is_none());
    let of_program = &recorded(tree).processes[0];
    assert!(
        of_program.ended && of_program.new_pages > 500,
        "{of_program:?}"
    );
}

#[test]
fn a_signal_that_refcow_gets_is_the_programs() {
    if cannot_record("refcow run") {
        return;
    }
    let program = "import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print('ready', flush=True)
while True: signal.pause()";
    let mut refcow = Command::new(REFCOW);
    refcow.args(["run", "-q", "--", python(), "-c", program]);
    signals::with_default_signals(&mut refcow);
    refcow.stderr(Stdio::null());
    let mut target = Target::start(refcow);
    assert_eq!(target.line(), "ready");
    kill(Pid::from_raw(target.pid()), Signal::SIGTERM).unwrap();
    assert_eq!(target.end().1.code(), Some(7));
}

#[test]
fn what_is_no_program_is_not_run() {
    if cannot_record("refcow run") {
        return;
    }
    let output = run::run(&["run", "--", "/no/such/program"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.starts_with("error: cannot run /no/such/program: No such file"),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn of_a_program_that_is_no_python_and_forks_nobody_pages_are_counted_all_the_same() {
    if cannot_record("refcow run") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("run.json");
    let mut refcow = recording_to(&place);
    refcow.args(["--", "sh", "-c", "echo ready; read line"]);
    let mut target = Target::start_and_hear(refcow);
    assert_eq!(target.line(), "ready");
    // It is recorded by the second line after that.
    for _ in 0..2 {
        target.error_line();
    }
    target.end();
    let trees = document(&std::fs::read_to_string(place).unwrap()).trees;
    assert_eq!(trees.len(), 1, "{trees:#?}");
    assert_eq!(trees[0].python, None);
    let of_program = &recorded(&trees[0]).processes[0];
    assert!(of_program.new_pages > 0, "{of_program:?}");
}

#[test]
fn workers_that_come_and_go_and_programs_that_they_start_are_recorded_with_their_ends() {
    if cannot_record("refcow run") {
        return;
    }
    let program = "import multiprocessing as m, os, subprocess, sys
data = [object() for _ in range(500000)]
def use(_):
    for one in data: pass
    if _ == 0: subprocess.run([sys.executable, '-c', ''])
    return os.getpid()
c = m.get_context('fork')
with c.Pool(2, maxtasksperchild=1) as p:
    pids = p.map(use, range(4), chunksize=1)
    print(*pids)";
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("run.json");
    let output = run_with(
        &["--output", place.to_str().unwrap(), "--format", "json"],
        program,
    );
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let workers = printed.split_whitespace().map(|pid| pid.parse().unwrap());
    let workers: BTreeSet<i32> = workers.collect();
    let trees = document(&std::fs::read_to_string(place).unwrap()).trees;
    let pool = trees
        .iter()
        .find(|tree| recorded(tree).processes.len() > 1)
        .expect("a pool");
    let recorded = recorded(pool);
    assert!(recorded.processes.len() > workers.len(), "{recorded:#?}");
    assert!(recorded.processes.iter().all(|one| one.ended));
    assert_eq!(recorded.executed, 1);
    // Objects of 16 bytes, all of which each of these has taken a reference to.
    let least = 500_000 * 16 / 4096;
    for pid in workers {
        let worker = recorded_of(pool, pid);
        // The pool's process may have given back what a worker copied before that is judged.
        let copied = worker.copied_pages + worker.unknown_pages;
        assert!(copied > least, "{copied} of {least}: {recorded:#?}");
    }
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
