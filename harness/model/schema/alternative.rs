//! Ways to share refcow's integers, and what each cost.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spread::{Spread, spread};

/// The same bytes, reaching child processes by one way. `multiprocessing` itself makes the children.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// The way, as `--way` names it.
    pub way: String,
    /// The way in words.
    pub title: String,
    /// What the parent has.
    pub contents: Contents,
    /// How the children are started.
    pub start_method: StartMethod,
    /// The bytes handed over, eight for each integer. A list of ints takes five times as many.
    pub size_bytes: u64,
    /// What a child costs that gets nothing: from its start until it says that it runs. Of a pool: all workers.
    pub start_seconds: f64,
    /// How long the parent took to put the data where children can get it (a copy into a block, a file, a manager).
    /// Absent where there is nothing to prepare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare_seconds: Option<f64>,
    /// From the source in the parent until the last child has the data in its own form. Holds `prepare_seconds` and the
    /// start of the children.
    pub handover_seconds: f64,
    /// Sum of the PSS of all processes, helpers too, when every child has the data and none has read it. Without the
    /// pages that only the reference child has. Pages of libraries are divided among all programs of the machine that map
    /// them, so this moves when others start or end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pss_bytes_held: Option<u64>,
    /// The same sum when all have read all and still have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pss_bytes_read: Option<u64>,
    /// Memory of all processes together, helpers too, at the same moment as `pss_bytes_held`, each page counted once: anonymous
    /// pages, and pages of mappings that they share to write to. Pages of other files, which any program may have mapped, are not
    /// in it, so that it does not depend on what else runs. Nor are the pages that only the reference child has. Absent in
    /// documents of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes_held: Option<u64>,
    /// The same when all have read all and still have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes_read: Option<u64>,
    /// Whether the parent sees what a child writes.
    pub writes_seen_by_parent: bool,
    /// Whether another child sees it. Absent with one child, and where each child has other data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes_seen_by_sibling: Option<bool>,
    /// Whether the container is in the child the object that it is in the parent: the same address.
    pub container_survives: bool,
    /// Whether its elements are objects that it holds, and are in the child those that they are in the parent.
    pub elements_survive: bool,
    /// What the others can do with the data when one child has been killed.
    pub after_child_killed: AfterKill,
    /// What is left of the job some moments after the parent and all children were killed at once.
    pub left_after_kill: Vec<Leftover>,
    /// Pages that are the reference child's alone: what a child has that got nothing.
    pub reference_own_pages: u64,
    /// The children in the order of their starts.
    pub children: Vec<Receiver>,
}

/// A child that got the data, and still has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// How long the first element took.
    pub first_read_seconds: f64,
    /// How long all elements took, after that.
    pub read_all_seconds: f64,
    /// Anonymous pages that are the child's alone when it has read all.
    pub own_pages: u64,
    /// What having and reading the data has cost. Under fork: those of its own pages that the reference child, which
    /// has the same addresses, has not of its own. Under other start methods: `own_pages` less `reference_own_pages`.
    pub copied_pages: i64,
    /// Bytes that the child read from pipes and files, less those of the reference child. Absent where the kernel does
    /// not tell, or where it read less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub piped_bytes: Option<u64>,
}

/// What is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Contents {
    /// Distinct integers of 64 bits.
    Ints,
    /// The same bytes, as bits.
    Bitarrays,
}

/// How `multiprocessing` starts a process.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum StartMethod {
    /// `fork(2)` of the parent.
    Fork,
    /// A new interpreter.
    Spawn,
    /// `fork(2)` of a new interpreter that serves nothing else.
    Forkserver,
}

impl StartMethod {
    /// As Python spells them.
    pub const NAMES: [&str; 3] = ["fork", "spawn", "forkserver"];

    /// As Python spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fork => "fork",
            Self::Spawn => "spawn",
            Self::Forkserver => "forkserver",
        }
    }
}

impl fmt::Display for StartMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StartMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fork" => Ok(Self::Fork),
            "spawn" => Ok(Self::Spawn),
            "forkserver" => Ok(Self::Forkserver),
            _ => Err(format!("no start method {text:?}")),
        }
    }
}

/// Parent and first child, when the last child has been killed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AfterKill {
    /// They read the same as before.
    Usable,
    /// They do not.
    Unusable,
    /// The parent had neither a result nor an error after this time.
    Hangs {
        /// The time.
        after_seconds: f64,
        /// Whether a task that was given to the pool after that of the killed child was done by then. Not known of documents of
        /// earlier versions.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        later_done: bool,
    },
}

impl AfterKill {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Usable => "usable",
            Self::Unusable => "unusable",
            Self::Hangs { .. } => "hangs",
        }
    }
}

/// Something that outlives a job.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Leftover {
    /// The process of a `Manager()`.
    Manager,
    /// The process that forks children.
    Forkserver,
    /// The process that removes segments.
    ResourceTracker,
    /// Another process.
    Process,
    /// A segment in /dev/shm.
    Segment,
    /// A file in the temporary folder.
    File,
    /// A socket in the temporary folder.
    Socket,
    /// An empty folder in the temporary folder.
    Folder,
}

impl Leftover {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manager => "manager",
            Self::Forkserver => "forkserver",
            Self::ResourceTracker => "resource tracker",
            Self::Process => "process",
            Self::Segment => "segment",
            Self::File => "file",
            Self::Socket => "socket",
            Self::Folder => "folder",
        }
    }
}

/// One way over all its children.
#[derive(Clone, Debug, PartialEq)]
pub struct AlternativeSummary {
    /// Bytes that one child copied. Negative where it has fewer own pages than the reference child.
    pub copied_bytes: Spread<i64>,
    /// Bytes that one child read from pipes and files; `None` if that is not known of all.
    pub piped_bytes: Option<Spread<u64>>,
    /// Time to the first element.
    pub first_read_seconds: Spread<f64>,
    /// Time to all elements.
    pub read_all_seconds: Spread<f64>,
}

impl Alternative {
    /// The way and, if several were measured of it, the start method: what tells it from all others.
    pub fn name(way: &str, method: StartMethod) -> String {
        format!("{way}/{method}")
    }

    /// Whether most of the data reached a child through a pipe. What it then has of its own is not the same in each run: how
    /// much the allocator keeps of what it read depends on the pieces in which that arrived.
    pub fn came_through_pipe(&self) -> bool {
        let piped = self.children.iter().filter_map(|child| child.piped_bytes);
        piped.max().is_some_and(|most| most > self.size_bytes / 8)
    }

    /// The figures over all children; `None` without children.
    pub fn summary(&self, page_size_bytes: u64) -> Option<AlternativeSummary> {
        let page = i64::try_from(page_size_bytes).ok()?;
        let all = || self.children.iter();
        let piped: Option<Vec<_>> = all().map(|child| child.piped_bytes).collect();
        Some(AlternativeSummary {
            copied_bytes: spread(all().map(|child| child.copied_pages * page))?,
            piped_bytes: piped.and_then(|piped| spread(piped.into_iter())),
            first_read_seconds: spread(all().map(|child| child.first_read_seconds))?,
            read_all_seconds: spread(all().map(|child| child.read_all_seconds))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_methods_are_spelled_as_in_python() {
        for name in StartMethod::NAMES {
            let method: StartMethod = name.parse().unwrap();
            assert_eq!(method.as_str(), name);
            assert_eq!(serde_json::to_value(method).unwrap(), name);
        }
    }
}
