//! Pages with something on them.

use std::ops::Range;

use refcow_observe::{PageSet, page_size};

/// A set of pages that is cheap to fill with neighbours.
#[derive(Default)]
pub(super) struct PagesFilled {
    pub(super) set: PageSet,
    last: Option<u64>,
}

impl PagesFilled {
    pub(super) fn add(&mut self, start: usize, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let page = |address: usize| address as u64 / page_size();
        let (first, last) = (page(start), page(start + bytes - 1));
        if first == last && self.last == Some(last) {
            return;
        }
        self.set.insert_range(first..=last);
        self.last = Some(last);
    }

    pub(super) fn ranges(&self) -> Vec<Range<u64>> {
        refcow_observe::ranges(&self.set)
    }
}
