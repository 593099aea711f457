//! A way to share, as it is measured.

use crate::model::ways::Way;
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
