//! Trees of which it is known what each process writes, and what refcow says of them.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use refcow::live::document::{
    ProcessFigures, RecordedFigures, RecordedProcess, Total, TreeFigures, Trees,
};

use super::{REFCOW, Target, run, signals};

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

pub fn attach_with(mut refcow: Command, pid: i32) -> TreeFigures {
    refcow.args(["attach", &pid.to_string(), "--for", "0", "--format", "json"]);
    let mut trees = document(&run::succeeded("refcow attach", run::output(&mut refcow)));
    assert_eq!(trees.trees.len(), 1);
    trees.trees.remove(0)
}

pub fn attach(pid: i32) -> TreeFigures {
    attach_with(Command::new(REFCOW), pid)
}

pub fn total(tree: &TreeFigures) -> &Total {
    tree.total.as_ref().expect("it lives")
}

pub fn pids(tree: &TreeFigures) -> BTreeSet<i32> {
    tree.processes.iter().map(|one| one.pid).collect()
}

pub fn process(tree: &TreeFigures, pid: i32) -> &ProcessFigures {
    let mut all = tree.processes.iter();
    all.find(|one| one.pid == pid).expect("a member")
}

/// More often than code is run before it is adapted, and before what was adapted is given up.
const PRACTICE: usize = 40;

/// The parent and two workers of a tree of which the pages that each writes are known.
pub fn known_tree(user: Option<u32>) -> (Target, i32, [i32; 2]) {
    let mut command = Command::new(SYSTEM);
    command.args(["-I", "-S", "-c", include_str!("../live/tree.py")]);
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

pub fn recorded(tree: &TreeFigures) -> &RecordedFigures {
    tree.recorded.as_ref().expect("it was recorded")
}

pub fn recorded_of(tree: &TreeFigures, pid: i32) -> &RecordedProcess {
    let mut all = recorded(tree).processes.iter();
    all.find(|one| one.pid == pid).expect("a member")
}
