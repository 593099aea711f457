//! Trees of processes that were not started by refcow: which belong together, and which pages they share.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;
use refcow::live::document::{ProcessFigures, SeenBy, TreeFigures};
use rstest::rstest;

use crate::common::trees::{
    NOBODY, SYSTEM, attach, attach_with, document, known_tree, pids, process, total,
};
use crate::common::{Target, run, skipped};

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
