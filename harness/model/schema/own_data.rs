//! The user's own data, and what each way to share it cost.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::alternative::{AfterKill, Leftover, StartMethod};
use super::spread::{Spread, spread};

/// Your own data, reaching workers by each way that applies to it, each of which makes one visit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnData {
    /// The Python module that built the data.
    pub fixture: String,
    /// What each worker did with it.
    pub visit: String,
    /// What was set for `build`: in JSON if it has that value, else as it was written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Value>,
    /// `sys.argv[1:]` of the user's file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// How long the parent took to build the data.
    pub build_seconds: f64,
    /// What the parent grew by as it built the data: anonymous pages. Absent where the kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The size of the pickled data. Absent: it cannot be pickled, or that was not found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pickled_bytes: Option<u64>,
    /// What of the data cannot be pickled, by its path, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_picklable: Option<String>,
    /// What `multiprocessing` uses in this Python when a program names no start method.
    pub default_start_method: StartMethod,
    /// What a fork of the parent costs when it has the data.
    pub fork: ForkCost,
    /// How much memory there is for all processes.
    pub memory_limit: MemoryLimit,
    /// The ways in order, each with each number of workers.
    pub ways: Vec<OwnDataWay>,
}

/// What a fork of a parent costs. The kernel copies its page tables, and marks its pages as shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkCost {
    /// How long `fork(2)` took in the parent, each time that it was tried.
    pub seconds: Vec<f64>,
    /// Memory of the parent that was resident then.
    pub resident_bytes: u64,
}

/// A limit, and what sets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemoryLimit {
    /// Bytes.
    pub bytes: u64,
    /// `--memory`, the file of a cgroup, or `MemTotal`.
    pub from: String,
}

/// One way with one number of workers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnDataWay {
    /// The way, as `--way` names it.
    pub way: String,
    /// The way in words.
    pub title: String,
    /// How the workers are started.
    pub start_method: StartMethod,
    /// How many.
    pub workers: u64,
    /// Why the way cannot be used with this data. Absent: it can, and `measured` says how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub does_not_apply: Option<String>,
    /// The figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<OwnDataFigures>,
}

/// What a way costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnDataFigures {
    /// How long a worker that gets nothing takes to start: until it says that it runs.
    pub start_seconds: f64,
    /// How long the parent took to put the data where workers can get it (a copy into a block, a file, a manager).
    /// Absent where there is nothing to prepare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare_seconds: Option<f64>,
    /// From when the parent has the data until the last worker has it in its own form. Holds `prepare_seconds` and the start
    /// of the workers.
    pub handover_seconds: f64,
    /// From when the parent has the data until the first worker has made its visit, had it begun as soon as it could.
    pub first_result_seconds: f64,
    /// Memory of all processes together when all workers have visited the data, and still have it. Absent where the kernel does
    /// not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<TreeMemory>,
    /// The same with what each process had in memory at its own peak, and no longer has: what all need together if their peaks
    /// come at one moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Whether a worker has what was put in.
    pub gives_back: GivesBack,
    /// What the others can do with the data when one worker has been killed.
    pub after_worker_killed: AfterKill,
    /// What is left some moments after the parent and all workers were killed at once.
    pub left_after_kill: Vec<Leftover>,
    /// Pages that are a worker's alone which got nothing.
    pub reference_own_pages: u64,
    /// The workers in the order of their starts.
    pub children: Vec<Visitor>,
}

/// Memory of the parent, the workers and their helpers, each page counted once. Pages of libraries and of other files that any
/// program may have mapped are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TreeMemory {
    /// Anonymous pages that several of them have.
    pub shared_bytes: u64,
    /// Anonymous pages that one of them has alone: those of the parent and of helpers, and of a forked worker those where
    /// the parent has a page, too: its copies.
    pub own_bytes: u64,
    /// Anonymous pages that a worker has alone, and where the parent has none; all of a worker that is no fork of the parent.
    pub new_bytes: u64,
    /// Page tables.
    pub page_table_bytes: u64,
    /// Shared memory, in /dev/shm or elsewhere, and mapped pages of the way's own files.
    pub mapped_bytes: u64,
}

impl TreeMemory {
    /// All of it.
    pub fn sum(&self) -> u64 {
        let parts = [
            self.shared_bytes,
            self.own_bytes,
            self.new_bytes,
            self.page_table_bytes,
            self.mapped_bytes,
        ];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

/// Whether what a worker has is what the parent put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GivesBack {
    /// The same objects, at the same addresses.
    Same,
    /// Others that are equal, with all that they hold.
    Equal,
    /// Something else.
    Differs {
        /// What differs, by its path in the data.
        at: String,
    },
    /// It was not compared.
    Unknown {
        /// Why not.
        reason: String,
    },
}

/// A worker that got the data, and has made its visit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Visitor {
    /// How long its visit took.
    pub visit_seconds: f64,
    /// Anonymous pages that are its alone when it has made its visit.
    pub own_pages: u64,
    /// What having and visiting the data has cost. Under fork: those of its own pages that a worker which got nothing, and has
    /// the same addresses, has not of its own. Under other start methods: `own_pages` less `reference_own_pages`.
    pub copied_pages: i64,
    /// Bytes that the worker read from pipes and files, as it got the data and as it visited it, less those of one that got
    /// nothing. Absent where the kernel does
    /// not tell, or where it read less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub piped_bytes: Option<u64>,
    /// Those of them that it had read when it had the data, before its visit. Absent in documents of earlier versions, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_bytes: Option<u64>,
}

/// One way over all its workers.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnDataSummary {
    /// Bytes that one worker copied, or made for itself.
    pub copied_bytes: Spread<i64>,
    /// Bytes that one worker read from pipes and files; `None` if that is not known of all.
    pub piped_bytes: Option<Spread<u64>>,
    /// Time of a visit.
    pub visit_seconds: Spread<f64>,
}

impl OwnDataFigures {
    /// The figures over all workers; `None` without workers.
    pub fn summary(&self, page_size_bytes: u64) -> Option<OwnDataSummary> {
        let page = i64::try_from(page_size_bytes).ok()?;
        let all = || self.children.iter();
        let piped: Option<Vec<_>> = all().map(|child| child.piped_bytes).collect();
        Some(OwnDataSummary {
            copied_bytes: spread(all().map(|child| child.copied_pages.saturating_mul(page)))?,
            piped_bytes: piped.and_then(|piped| spread(piped.into_iter())),
            visit_seconds: spread(all().map(|child| child.visit_seconds))?,
        })
    }
}

impl ForkCost {
    /// The middle one of all times.
    pub fn middle_seconds(&self) -> Option<f64> {
        let mut all = self.seconds.clone();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    }

    /// What a GiB of resident memory takes.
    pub fn seconds_per_gib(&self) -> Option<f64> {
        let gib = self.resident_bytes as f64 / f64::from(1 << 30);
        (gib > 0.0).then_some(self.middle_seconds()? / gib)
    }
}

impl OwnData {
    /// The data in words: what `build` was given, if anything was.
    pub fn made_of(&self) -> String {
        let mut parts: Vec<String> = self
            .parameters
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) => format!("{name}={text}"),
                Value::Null => format!("{name}=None"),
                Value::Bool(true) => format!("{name}=True"),
                Value::Bool(false) => format!("{name}=False"),
                value => format!("{name}={value}"),
            })
            .collect();
        if !self.arguments.is_empty() {
            parts.push(format!("arguments {}", self.arguments.join(" ")));
        }
        parts.join(", ")
    }

    /// What tells it from others: the file, its visit, and what the data was made of.
    pub fn name(&self) -> String {
        let made_of = self.made_of();
        let name = format!("{}/{}", self.fixture, self.visit);
        match made_of.is_empty() {
            true => name,
            false => format!("{name} ({made_of})"),
        }
    }

    /// The numbers of workers that there are figures for, in ascending order.
    pub fn numbers(&self) -> Vec<u64> {
        let measured = self.ways.iter().filter(|one| one.measured.is_some());
        let mut numbers: Vec<u64> = measured.map(|one| one.workers).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The ways that were measured, each by its numbers of workers, in order.
    pub fn by_way(&self) -> Vec<Vec<&OwnDataWay>> {
        let mut all: Vec<Vec<&OwnDataWay>> = Vec::new();
        for one in self.ways.iter().filter(|one| one.measured.is_some()) {
            let same = |known: &&mut Vec<&OwnDataWay>| {
                known[0].way == one.way && known[0].start_method == one.start_method
            };
            match all.iter_mut().find(same) {
                Some(known) => known.push(one),
                None => all.push(vec![one]),
            }
        }
        for way in &mut all {
            way.sort_by_key(|one| one.workers);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forks_time_is_the_middle_of_all_and_of_a_gib_in_proportion() {
        let cost = ForkCost {
            seconds: vec![0.5, 0.002, 0.001],
            resident_bytes: 1 << 29,
        };
        assert_eq!(cost.middle_seconds(), Some(0.002));
        assert_eq!(cost.seconds_per_gib(), Some(0.004));
        let nothing = ForkCost {
            seconds: Vec::new(),
            resident_bytes: 0,
        };
        assert_eq!(nothing.middle_seconds(), None);
        assert_eq!(nothing.seconds_per_gib(), None);
    }
}
