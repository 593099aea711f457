//! What each worker of a tree copies and makes, against an earlier recording of the same program.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, schema_for};
use serde::{Deserialize, Serialize};

use super::{CauseFigures, PagesAre, RecordedFigures, TreeFigures, Trees};
use crate::{Cause, Tolerance};

/// What counts as the same: a server does not do the very same twice.
pub const TOLERANCE: Tolerance = Tolerance {
    pages: 64,
    share: 0.1,
};

/// Trees of two documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TreesComparison {
    /// What counts as the same, of each worker.
    pub tolerance: Tolerance,
    /// Those of one have their place in the other: recorded trees with workers, in their order.
    pub trees: Vec<ComparedTree>,
    /// How many there are in one document alone.
    pub unpaired: u64,
}

/// A tree, before and now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComparedTree {
    /// Command lines.
    pub commands: [String; 2],
    /// Processes that were forked and recorded.
    pub workers: [u64; 2],
    /// What is judged.
    pub costs: Vec<TreeCost>,
}

/// What a worker costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TreeCost {
    /// Which pages. What parents rewrite is divided by the workers, too.
    pub pages_are: PagesAre,
    /// Bytes a worker, before and now.
    pub bytes: [u64; 2],
    /// What has come of it.
    pub status: TreeStatus,
    /// What it consists of, but for new memory, where that differs by more than the tolerance: most first.
    pub parts: Vec<TreePart>,
}

/// A part of a cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TreePart {
    /// What was written first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    /// On what.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_name: Option<String>,
    /// Bytes a worker, before and now.
    pub bytes: [u64; 2],
}

/// What has come of a cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TreeStatus {
    /// More, by more than the tolerance.
    Regressed,
    /// Less, by more than that.
    Improved,
    /// Neither.
    Same,
}

impl TreeStatus {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Improved => "improved",
            Self::Same => "same",
        }
    }
}

/// The JSON Schema of [`TreesComparison`].
pub fn comparison_schema() -> Schema {
    schema_for!(TreesComparison)
}

/// Compares what was recorded of trees with workers.
pub fn compare(base: &Trees, new: &Trees, tolerance: Tolerance) -> TreesComparison {
    let (before, now) = (with_workers(base), with_workers(new));
    let pairs = before.iter().zip(&now);
    let page_bytes = [base.page_bytes, new.page_bytes];
    TreesComparison {
        tolerance,
        trees: pairs
            .map(|(before, now)| pair([before, now], page_bytes, tolerance))
            .collect(),
        unpaired: before.len().abs_diff(now.len()) as u64,
    }
}

impl TreesComparison {
    /// Costs that are more than before, with the command now.
    pub fn regressed(&self) -> Vec<(&str, &TreeCost)> {
        let all = self.trees.iter().flat_map(|tree| {
            let costs = tree.costs.iter();
            costs.map(|cost| (&tree.commands[1][..], cost))
        });
        all.filter(|(_, cost)| cost.status == TreeStatus::Regressed)
            .collect()
    }
}

/// Whether there is what can be compared: a recorded tree with workers.
pub fn has_workers(trees: &Trees) -> bool {
    !with_workers(trees).is_empty()
}

/// A tree that was recorded, and how many workers it had.
type RecordedTree<'a> = (&'a TreeFigures, &'a RecordedFigures, u64);

fn with_workers(trees: &Trees) -> Vec<RecordedTree<'_>> {
    let all = trees.trees.iter().filter_map(|tree| {
        let recorded = tree.recorded.as_ref()?;
        let workers = recorded.processes.iter().filter(|one| one.depth > 0);
        Some((tree, recorded, workers.count() as u64))
    });
    all.filter(|(.., workers)| *workers > 0).collect()
}

fn pair(trees: [&RecordedTree<'_>; 2], page_bytes: [u64; 2], tolerance: Tolerance) -> ComparedTree {
    let costs = [PagesAre::Copied, PagesAre::New, PagesAre::Rewritten].into_iter();
    let cost = |pages_are: PagesAre| {
        let bytes = |place: usize, is_part: &dyn Fn(&CauseFigures) -> bool| {
            let (_, recorded, workers) = trees[place];
            let all = recorded
                .causes
                .iter()
                .filter(|one| one.pages_are == pages_are);
            let pages = all.filter(|one| is_part(one)).map(|one| one.pages);
            let pages = pages.fold(0, u64::saturating_add);
            pages.saturating_mul(page_bytes[place]) / workers
        };
        // Causes of new memory are those of all processes together, with what is not forked.
        let all = [0, 1].map(|place| {
            let (_, recorded, workers) = trees[place];
            let pages = recorded.processes.iter().map(|one| match pages_are {
                PagesAre::Copied => one.copied_pages,
                PagesAre::New if one.depth > 0 => one.new_pages,
                PagesAre::Rewritten => one.rewritten_pages,
                PagesAre::New | PagesAre::Unknown => 0,
            });
            let pages = pages.fold(0, u64::saturating_add);
            pages.saturating_mul(page_bytes[place]) / workers
        });
        let limit = tolerance
            .pages
            .saturating_mul(page_bytes[1])
            .max((all[0] as f64 * tolerance.share) as u64);
        let mut parts: BTreeMap<(Option<Cause>, Option<&str>), [u64; 2]> = BTreeMap::new();
        for (_, recorded, _) in trees {
            let told = recorded
                .causes
                .iter()
                .filter(|one| one.pages_are == pages_are && pages_are != PagesAre::New);
            for one in told {
                let key = (one.cause, one.type_name.as_deref());
                parts.entry(key).or_insert_with(|| {
                    let is_part =
                        |other: &CauseFigures| (other.cause, other.type_name.as_deref()) == key;
                    [0, 1].map(|place| bytes(place, &is_part))
                });
            }
        }
        let mut parts: Vec<TreePart> = parts
            .into_iter()
            .filter(|(_, bytes)| bytes[0].abs_diff(bytes[1]) > limit)
            .map(|((cause, type_name), bytes)| TreePart {
                cause,
                type_name: type_name.map(str::to_owned),
                bytes,
            })
            .collect();
        parts.sort_by_key(|one| std::cmp::Reverse(one.bytes[0].abs_diff(one.bytes[1])));
        TreeCost {
            pages_are,
            bytes: all,
            status: match all[0].abs_diff(all[1]) > limit {
                false => TreeStatus::Same,
                true if all[1] > all[0] => TreeStatus::Regressed,
                true => TreeStatus::Improved,
            },
            parts,
        }
    };
    ComparedTree {
        commands: trees.map(|(tree, ..)| tree.command().to_owned()),
        workers: trees.map(|(.., workers)| *workers),
        costs: costs.map(cost).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::RecordedProcess;
    use super::super::findings::tests::{cause, process, tree};
    use super::*;

    fn document(workers: i32, causes: Vec<CauseFigures>) -> Trees {
        let copied = causes.iter().map(|one| one.pages).sum::<u64>();
        let forked = (2..2 + workers).map(|pid| RecordedProcess {
            copied_pages: if pid == 2 { copied } else { 0 },
            ..process(1, pid, 1, 50)
        });
        let processes = std::iter::once(process(0, 1, 0, 9_000)).chain(forked);
        Trees {
            schema_version: super::super::SCHEMA_VERSION,
            refcow_version: String::new(),
            page_bytes: 4096,
            trees: vec![tree(processes.collect(), causes)],
            alone: None,
            closed: None,
            unseen_programs: Vec::new(),
        }
    }

    fn rows(pages: u64) -> CauseFigures {
        cause(
            PagesAre::Copied,
            Cause::Refcount,
            "app.Row",
            "list_slice",
            pages,
        )
    }

    #[test]
    fn a_worker_is_compared_with_a_worker_however_many_there_are() {
        let few = document(2, vec![rows(2_000)]);
        let many = document(4, vec![rows(4_000)]);
        let compared = compare(&few, &many, TOLERANCE);
        let cost = &compared.trees[0].costs[0];
        assert_eq!(cost.bytes, [1_000 * 4096; 2]);
        assert_eq!(cost.status, TreeStatus::Same);
        // What the parent made is no worker's.
        assert_eq!(compared.trees[0].costs[1].bytes, [50 * 4096; 2]);
        assert_eq!(compared.trees[0].workers, [2, 4]);
        assert!(compared.regressed().is_empty());
    }

    #[test]
    fn what_differs_by_more_than_the_tolerance_is_told_with_its_type() {
        let base = document(1, vec![rows(1_000)]);
        let status = |pages| {
            compare(&base, &document(1, vec![rows(pages)]), TOLERANCE).trees[0].costs[0].status
        };
        assert_eq!(status(1_100), TreeStatus::Same);
        assert_eq!(status(1_101), TreeStatus::Regressed);
        assert_eq!(status(899), TreeStatus::Improved);
        // Of little, 64 pages are no difference.
        let few = document(1, vec![rows(10)]);
        let grown = compare(&few, &document(1, vec![rows(74)]), TOLERANCE);
        assert_eq!(grown.trees[0].costs[0].status, TreeStatus::Same);

        let gc = cause(PagesAre::Copied, Cause::Gc, "list", "collect", 500);
        let compared = compare(&base, &document(1, vec![rows(1_010), gc]), TOLERANCE);
        let cost = &compared.trees[0].costs[0];
        assert_eq!(cost.status, TreeStatus::Regressed);
        let parts: Vec<_> = cost
            .parts
            .iter()
            .map(|one| (one.cause, one.type_name.as_deref(), one.bytes))
            .collect();
        assert_eq!(parts, [(Some(Cause::Gc), Some("list"), [0, 500 * 4096])]);
        assert_eq!(compared.regressed().len(), 1);
    }

    #[test]
    fn what_has_no_workers_is_not_compared() {
        let compared = compare(
            &document(0, vec![rows(1)]),
            &document(1, vec![rows(1)]),
            TOLERANCE,
        );
        assert_eq!((compared.trees.len(), compared.unpaired), (0, 1));
    }
}
