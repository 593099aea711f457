//! The ways to share, as `harness/model/ways.toml` has them: all that tells one from another stands
//! there.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::model::{Alternative, Contents, StartMethod};

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
    pub(super) source: String,
    pub(super) transport: String,
    pub(super) read: String,
    /// The start methods under which it exists.
    pub start_methods: Vec<StartMethod>,
    /// Those under which it is measured if nobody names one; none for the first.
    #[serde(default)]
    pub(super) by_default: Vec<StartMethod>,
    /// What its processes import besides the standard library.
    #[serde(default)]
    pub modules: Vec<String>,
    pub(super) memory: Memory,
}

/// Bytes at most for each byte handed over.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    pub(super) parent: f64,
    #[serde(default)]
    pub(super) child: f64,
    #[serde(default)]
    pub(super) shared: f64,
    #[serde(default)]
    pub(super) in_shm: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ways {
    way: Vec<Way>,
}

/// All ways, in the order of the table.
pub fn ways() -> &'static [Way] {
    static WAYS: LazyLock<Vec<Way>> = LazyLock::new(|| {
        let ways: Ways = toml::from_str(crate::model::ways::TEXT).expect("a test reads the ways");
        ways.way
    });
    &WAYS
}

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fixtures;

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
