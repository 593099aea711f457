//! A process whose environment a test chooses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::signals::with_default_signals;

pub fn made_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".lock"))
        .collect()
}

/// What has this program do what is no test.
pub const IN_ITS_OWN: [&str; 4] = [
    "--ignored",
    "--exact",
    "--nocapture",
    "in_a_process_of_its_own",
];

/// A process of its own, whose environment a test chooses: PATH and the folders of a user cannot be
/// changed in one that has other threads.
pub struct Elsewhere {
    pub root: tempfile::TempDir,
    pub variables: Vec<(&'static str, PathBuf)>,
}

/// What [`in_a_process_of_its_own`] said, a line each.
#[derive(Debug)]
pub struct Said {
    pub lines: Vec<String>,
    pub progress: Vec<String>,
}

impl Elsewhere {
    /// With nothing on PATH but what every system has.
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["home", "cache", "work"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        Self {
            root,
            variables: Vec::new(),
        }
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub fn set(&mut self, name: &'static str, value: impl Into<PathBuf>) {
        self.variables.retain(|(known, _)| *known != name);
        self.variables.push((name, value.into()));
    }

    /// PATH, with these folders of the test's before it.
    pub fn path(&mut self, folders: &[&str]) {
        let folders = folders.iter().map(|folder| self.at(folder));
        let all = folders.chain(["/usr/bin".into(), "/bin".into()]);
        self.set("PATH", std::env::join_paths(all).unwrap());
    }

    pub fn start(&self, task: &str, selectors: &[&str]) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(IN_ITS_OWN)
            .env_clear()
            .env("TASK", task)
            .env("SELECTORS", selectors.join("\n"))
            .env("HOME", self.at("home"))
            .env("XDG_CACHE_HOME", self.at("cache"))
            .env("PATH", "/usr/bin:/bin")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.at("work"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        with_default_signals(&mut command);
        command.spawn().unwrap()
    }

    pub fn run(&self, task: &str, selectors: &[&str]) -> Said {
        self.finish(self.start(task, selectors), Vec::new())
    }

    pub fn finish(&self, child: Child, before: Vec<String>) -> Said {
        let output = child.wait_with_output().unwrap();
        let root = self.root.path().to_str().unwrap();
        // What a machine has in /usr/bin is no matter of these tests.
        let ours = |text: Vec<u8>, mark: &str| -> Vec<String> {
            String::from_utf8(text)
                .unwrap()
                .lines()
                .filter_map(|line| line.strip_prefix(mark))
                .filter(|line| line.contains(root) || mark == "progress: ")
                .map(|line| line.replace(&format!("{root}/"), ""))
                .collect()
        };
        assert!(output.status.success(), "{output:?}");
        let mut progress = before;
        progress.extend(ours(output.stderr, "progress: "));
        Said {
            lines: ours(output.stdout, "said: "),
            progress,
        }
    }

    pub fn choose(&self, selectors: &[&str]) -> Vec<String> {
        self.run("choose", selectors).lines
    }

    pub fn cache(&self) -> PathBuf {
        self.at("cache/refcow/interpreters.json")
    }
}

/// Names in the folder of environments, lock files apart.
pub fn environments(place: &Elsewhere) -> Vec<String> {
    made_in(&place.at("cache/refcow/environments"))
}
