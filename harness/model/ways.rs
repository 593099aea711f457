//! The ways to share data with child processes: data of `ways.toml`, which holds all that tells one
//! from another.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::embedded::embedded;
use crate::{Contents, OwnDataWay, StartMethod, Visitor};

/// A way to share data with child processes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Its name.
    pub id: String,
    /// In words.
    pub title: String,
    /// What it hands over.
    pub contents: Contents,
    /// What the parent has before it hands anything over.
    pub source: String,
    /// How it hands it over.
    pub transport: String,
    /// How a child reads all of it.
    pub read: String,
    /// The start methods under which it exists.
    pub start_methods: Vec<StartMethod>,
    /// Those under which it is measured if nobody names one; none for the first.
    #[serde(default)]
    pub by_default: Vec<StartMethod>,
    /// What its processes import besides the standard library.
    #[serde(default)]
    pub modules: Vec<String>,
    /// What it takes.
    pub memory: WayMemory,
}

/// Bytes at most for each byte handed over.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WayMemory {
    /// In the parent or its helper.
    pub parent: f64,
    /// In each child.
    #[serde(default)]
    pub child: f64,
    /// In shared memory.
    #[serde(default)]
    pub shared: f64,
    /// Whether that is in /dev/shm.
    #[serde(default)]
    pub in_shm: bool,
}

/// A way to share data of the user's own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnDataWayKind {
    /// Its name.
    pub id: String,
    /// In words.
    pub title: String,
    /// How the parent hands the data over.
    pub transport: String,
    /// The start methods under which it exists.
    pub start_methods: Vec<StartMethod>,
    /// Those under which it is measured if nobody names one; none for the first.
    #[serde(default)]
    pub by_default: Vec<StartMethod>,
    /// Whether the server that forks workers has imported what the user's file imports.
    #[serde(default)]
    pub preload: bool,
    /// When the data is pickled.
    #[serde(default)]
    pub pickled: When,
    /// Whether what is pickled is an argument of a process that is being started.
    #[serde(default)]
    pub as_argument: bool,
    /// When what a worker has of it came to it through a pipe.
    #[serde(default)]
    pub piped: When,
    /// What the data must hold, or be.
    #[serde(default)]
    pub needs: Option<Needs>,
    /// A package that it takes.
    #[serde(default)]
    pub package: Option<String>,
}

/// When something becomes of the data on a way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Forked workers inherit it.
    #[default]
    Never,
    /// Where workers are no forks of the parent.
    UnlessForked,
    /// However they are started.
    Always,
}

/// What data must hold, or be, for a way to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Needs {
    /// NumPy arrays, anywhere in it.
    Arrays,
    /// Arrow tables, anywhere in it.
    Tables,
    /// Tensors, anywhere in it.
    Tensors,
    /// A sequence of which a part is of the same kind.
    Cuttable,
    /// A list of numbers, strings, bytes and None alone.
    Flat,
    /// A list or a dict.
    ListOrDict,
}

impl Needs {
    /// Why the way does not apply to data without it.
    pub fn missing(self) -> &'static str {
        match self {
            Self::Arrays => "the data holds no NumPy array",
            Self::Tables => "the data holds no Arrow table",
            Self::Tensors => "the data holds no tensor",
            Self::Cuttable => "the data is no sequence that can be cut into parts of its kind",
            Self::Flat => "the data is no list of numbers, strings, bytes and None alone",
            Self::ListOrDict => "the data is neither a list nor a dict, or of a class made of one",
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ways {
    way: Vec<Way>,
    data: Vec<OwnDataWayKind>,
}

fn all() -> &'static Ways {
    static ALL: LazyLock<Ways> = LazyLock::new(|| embedded(include_str!("ways.toml")));
    &ALL
}

/// All ways to share refcow's own integers, in the order of the table.
pub fn ways() -> &'static [Way] {
    &all().way
}

/// All ways to share data of the user's own, in the order of the table.
pub fn data_ways() -> &'static [OwnDataWayKind] {
    &all().data
}

/// Whether most of the pickled data that a worker got reached it through a pipe. What it then has of its own is not the same in
/// each run: how much the allocator keeps of what it read depends on the pieces in which that arrived.
pub fn came_through_pipe(one: &OwnDataWay, pickled_bytes: Option<u64>) -> bool {
    let known = data_ways().iter().find(|way| way.id == one.way);
    let (Some(figures), Some(way), Some(size)) = (&one.measured, known, pickled_bytes) else {
        return false;
    };
    match way.piped {
        When::Never => return false,
        When::UnlessForked if one.start_method == StartMethod::Fork => return false,
        When::UnlessForked | When::Always => {}
    }
    let got = match way.needs {
        Some(Needs::Cuttable) => size / one.workers.max(1),
        _ => size,
    };
    // What it read as it visited the data may have come from files.
    let read = |child: &Visitor| child.handed_bytes.or(child.piped_bytes);
    let most = figures.children.iter().filter_map(read).max();
    most.is_some_and(|most| most > got / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_visit_or_a_worker_reads_from_files_came_through_no_pipe() {
        let came = |way: &str, method: &str, workers: u64, handed: Option<u64>, piped: u64| {
            let child = serde_json::json!({
                "visit_seconds": 0.1, "own_pages": 20, "copied_pages": 10, "piped_bytes": piped
            });
            let mut one: OwnDataWay = serde_json::from_value(serde_json::json!({
                "way": way, "title": way, "start_method": method, "workers": workers,
                "measured": {
                    "start_seconds": 0.1, "handover_seconds": 0.1, "first_result_seconds": 0.2,
                    "gives_back": "equal", "after_worker_killed": "usable", "left_after_kill": [],
                    "reference_own_pages": 10, "children": vec![child; workers as usize]
                }
            }))
            .unwrap();
            for child in &mut one.measured.as_mut().unwrap().children {
                child.handed_bytes = handed;
            }
            came_through_pipe(&one, Some(1000))
        };
        assert!(came("args", "spawn", 2, Some(900), 900));
        assert!(came("args", "spawn", 2, None, 900));
        assert!(!came("args", "fork", 2, Some(20), 900));
        assert!(!came("file", "spawn", 2, Some(900), 900));
        assert!(!came("shared_memory", "spawn", 2, Some(100), 900));
        assert!(came("shared_memory", "spawn", 2, Some(900), 900));
        // Of parts, a worker gets its own.
        assert!(came("pool_map", "fork", 4, Some(250), 250));
        assert!(!came("executor", "fork", 4, Some(250), 250));
    }

    #[test]
    fn each_way_to_share_own_data_is_there_once_and_under_its_own_start_methods() {
        let mut seen = std::collections::BTreeSet::new();
        for way in data_ways() {
            assert!(seen.insert(&way.id), "{} stands twice", way.id);
            assert!(!way.start_methods.is_empty(), "{}", way.id);
            for method in &way.by_default {
                assert!(way.start_methods.contains(method), "{}", way.id);
            }
        }
    }
}
