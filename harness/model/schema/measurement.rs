//! A visit of a dataset, with all that its children cost.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::child::Child;
use super::tree_bytes::TreeBytes;

/// The known set of pages that a child without Python wrote, against the pages the observer counted.
///
/// They are equal in every report: a run in which they differ reports nothing and exits with 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Distinct pages the child wrote, as it says itself.
    pub pages_written: u64,
    /// Pages the observer saw unshared, from outside.
    pub pages_counted: u64,
}

/// One fixture, one visit, one sharing, one interpreter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Measurement {
    /// The Python module that built the dataset.
    pub fixture: String,
    /// What each child did with the data.
    pub visit: String,
    /// What the parent did after it had built the data and before the first fork. Absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare: Option<String>,
    /// How the data reached the children: `fork` (inherited) or `shared_memory`, as the fixture states it.
    pub sharing: String,
    /// Elements in each list (or rows in each array) of the dataset. Absent: `build` of the user's file takes no count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Bytes of content in each element. Absent: `build` of the user's file takes no such size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_bytes: Option<u64>,
    /// What else was set for `build` of the user's file: in JSON if it has that value, else as it was written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Value>,
    /// `sys.argv[1:]` of the user's file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// How long the parent took to build the dataset.
    pub build_seconds: f64,
    /// All processes of the measurement together: parent, witness and children.
    pub tree: Tree,
    /// The children in the order of their forks.
    pub children: Vec<Child>,
}

/// Proportional set size: each page's bytes divided among its users, so that a sum over processes counts it once.
///
/// Pages of libraries are divided among all processes of the machine that map them, so this figure moves a little when
/// others start or end. Page counts do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    /// Sum of the PSS of parent, witness and children while all children wait for their visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pss_bytes_before: Option<u64>,
    /// The same sum when the last child has ended its visit and none has exited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pss_bytes_after: Option<u64>,
    /// The same sum whenever a child had ended its visit, in their order: the first with one child that has visited the
    /// data, the last, which is `pss_bytes_after`, with all. Absent where one of them could not be had, and with more than 16
    /// children.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pss_bytes_after_each: Vec<u64>,
    /// Memory of parent and children together while all children wait for their visit, each page counted once: anonymous pages,
    /// and pages of mappings that they share to write to. Pages of other files, which any program may have mapped, are not in it,
    /// so that it does not depend on what else runs; nor is what the witness alone has. Absent where nobody asked for it, where
    /// the kernel does not tell, and in documents of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes_before: Option<u64>,
    /// The same when the last child has ended its visit and none has exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes_after: Option<u64>,
}

impl Measurement {
    /// Memory of parent and children, at the end of the visits and with what each child had at most; `None` where it was not
    /// summed up.
    pub fn tree_bytes(&self, page_size_bytes: u64) -> Option<TreeBytes> {
        let end = self.tree.memory_bytes_after?;
        let peaks: Option<Vec<u64>> = {
            let children = self.children.iter();
            children
                .map(|child| child.most_bytes(page_size_bytes))
                .collect()
        };
        let at_once = |peaks: Vec<u64>| {
            let before = self.tree.memory_bytes_before?;
            Some(peaks.into_iter().fold(before, u64::saturating_add))
        };
        Some(TreeBytes {
            end,
            peak: peaks.and_then(at_once).unwrap_or(end).max(end),
        })
    }

    /// The fixture and, if there was one, its preparation, as tables name them.
    pub fn data(&self) -> String {
        match &self.prepare {
            Some(name) => format!("{}, prepared by {name}", self.fixture),
            None => self.fixture.clone(),
        }
    }

    /// What the dataset was made with: two of the same are of the same data.
    pub(crate) fn made_with(&self) -> impl PartialEq + use<'_> {
        (
            self.count,
            self.item_bytes,
            &self.parameters,
            &self.arguments,
        )
    }

    /// The same in words: `2000 × 65536 bytes a list, kind=dict; arguments: -v`. Empty if nothing is known of it.
    pub fn made_of(
        &self,
        count: impl Fn(&u64) -> String,
        bytes: impl Fn(&u64) -> String,
    ) -> String {
        let mut parts = Vec::new();
        match (&self.count, &self.item_bytes) {
            (Some(number), Some(size)) => {
                parts.push(format!("{} × {}", count(number), bytes(size)))
            }
            (Some(number), None) => parts.push(format!("count={}", count(number))),
            (None, Some(size)) => parts.push(format!("item_bytes={}", bytes(size))),
            (None, None) => {}
        }
        parts.extend(self.parameters.iter().map(|(name, value)| match value {
            Value::String(text) => format!("{name}={text}"),
            // As it was written: the document has JSON's words for them.
            Value::Null => format!("{name}=None"),
            Value::Bool(true) => format!("{name}=True"),
            Value::Bool(false) => format!("{name}=False"),
            value => format!("{name}={value}"),
        }));
        if !self.arguments.is_empty() {
            parts.push(format!("arguments {}", self.arguments.join(" ")));
        }
        parts.join(", ")
    }
}
