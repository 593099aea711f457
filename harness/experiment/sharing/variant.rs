//! Ways to share, as they are measured, and which of them are wanted.

use std::collections::BTreeSet;

use crate::model::ways::{OwnDataWayKind, Way};
use crate::model::{Alternative, StartMethod};

/// A way under one start method.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// The way.
    pub way: &'static Way,
    /// Under which its children are started.
    pub start_method: StartMethod,
}

impl Variant {
    /// How messages name it.
    pub fn name(&self) -> String {
        Alternative::name(&self.way.id, self.start_method)
    }
}

/// A way for the user's own data, under one start method.
#[derive(Clone, Copy, Debug)]
pub struct OwnDataVariant {
    /// The way.
    pub way: &'static OwnDataWayKind,
    /// Under which its workers are started.
    pub start_method: StartMethod,
}

impl OwnDataVariant {
    /// How messages name it.
    pub fn name(&self) -> String {
        format!("{}/{}", self.way.id, self.start_method)
    }
}

/// What to compare.
#[derive(Clone, Debug)]
pub struct Selection {
    /// The ways, in order.
    pub chosen: Vec<Variant>,
    /// The start method that the user asked for: where this Python lacks it, nothing is measured.
    pub required: Option<StartMethod>,
    /// Bytes to hand over, eight for each integer.
    pub size_bytes: u64,
    /// Children of each way.
    pub children: usize,
    /// Go on although memory seems too small.
    pub force: bool,
}

impl Selection {
    /// No way yet.
    pub fn none(size_bytes: u64, children: usize, force: bool) -> Self {
        Self {
            chosen: Vec::new(),
            required: None,
            size_bytes,
            children,
            force,
        }
    }

    /// What is handed over: whole integers.
    pub fn bytes(&self) -> u64 {
        self.size_bytes / 8 * 8
    }

    /// What the chosen ways import.
    pub fn modules(&self) -> Vec<String> {
        let modules: BTreeSet<&String> = self
            .chosen
            .iter()
            .flat_map(|chosen| &chosen.way.modules)
            .collect();
        modules.into_iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::fixtures;
    use crate::model::ways::ways;

    #[test]
    fn every_way_is_whole() {
        let mut seen = BTreeSet::new();
        for way in ways() {
            assert!(seen.insert(&way.id), "{} stands twice", way.id);
            assert!(!way.start_methods.is_empty(), "{}", way.id);
            for method in &way.by_default {
                assert!(way.start_methods.contains(method), "{}", way.id);
            }
            for module in &way.modules {
                assert!(fixtures::PROVIDED.contains(&module.as_str()), "{}", way.id);
            }
        }
        for program in ["ways/parent", "ways/child"] {
            assert!(!fixtures::program(program).is_empty());
        }
    }
}
