//! Compares figures and words of one run with those of now, and keeps what is not the same.

use std::collections::BTreeSet;

use crate::compare::INTERPRETERS_OWN;
use crate::{Difference, Tolerance, Weight};

/// By which part of the larger one figures of the memory of processes may be apart. Pages of
/// libraries are divided among all processes of the machine that map them, which is most of what a
/// small process has.
pub(super) const MEMORY: f64 = 0.5;

pub(super) const ONLY_NOW: &str = "the command measures it, but the document does not have it";
pub(super) const ONLY_RECORDED: &str =
    "the document has it, but its command did not measure it again";

/// Why a few pages of `rest` more or fewer say nothing.
const MOVES: &str = "pages outside the dataset vary a little from run to run";

/// Why pages of `libraries` that are shared say little: a fault maps what of the file is in memory
/// around it (`fault_around_bytes`), which every other program changes. What a child copies of them
/// does not depend on it.
const CACHED: &str =
    "how much of a library is mapped depends on how much of its file is in the page cache";

/// Compares, and keeps what is not the same.
pub(super) struct Comparing {
    pub compared: u64,
    pub differences: Vec<Difference>,
    pub tolerance: Tolerance,
    /// Whether both runs are of one build on one machine.
    pub one_build: bool,
    /// Claims and facts that were judged by other rules.
    pub other_rules: BTreeSet<String>,
}

impl Comparing {
    pub(super) fn new(tolerance: Tolerance, one_build: bool) -> Self {
        Self {
            compared: 0,
            differences: Vec::new(),
            tolerance,
            one_build,
            other_rules: BTreeSet::new(),
        }
    }

    /// A figure of pages. With `whole`, a difference is no matter of a tolerance.
    pub(super) fn pages(
        &mut self,
        of: impl FnOnce() -> String,
        recorded: u64,
        now: u64,
        whole: bool,
    ) {
        self.compared += 1;
        if recorded == now {
            return;
        }
        let within = recorded.abs_diff(now) <= self.tolerance.of(recorded) && !whole;
        self.note(Difference {
            of: of(),
            recorded: Some(recorded.to_string()),
            now: Some(now.to_string()),
            weight: match within {
                true => Weight::WithinTolerance,
                false => Weight::Differs,
            },
            because: None,
        });
    }

    /// A map of pages, in which so many of now are not as they were, of a region with so many
    /// copies.
    pub(super) fn map(&mut self, of: impl FnOnce() -> String, apart: u64, copies: u64) {
        self.compared += 1;
        if apart == 0 {
            return;
        }
        // A copy that was one page further on is two.
        let within = apart <= self.tolerance.of(copies).saturating_mul(2);
        self.note(Difference {
            of: of(),
            recorded: None,
            now: Some(format!("{apart} pages with another outcome")),
            weight: match within {
                true => Weight::WithinTolerance,
                false => Weight::Differs,
            },
            because: None,
        });
    }

    /// Pages of the process that are not the dataset's.
    pub(super) fn around(&mut self, of: impl FnOnce() -> String, recorded: u64, now: u64) {
        self.compared += 1;
        if recorded == now {
            return;
        }
        let within = recorded.abs_diff(now) <= self.tolerance.of(recorded);
        let because = match (self.one_build, within) {
            (true, true) => Some(MOVES),
            (true, false) => None,
            (false, _) => Some(INTERPRETERS_OWN),
        };
        self.weighed(of(), recorded.to_string(), now.to_string(), because);
    }

    /// Pages of files that a process has mapped.
    pub(super) fn of_files(&mut self, of: impl FnOnce() -> String, recorded: u64, now: u64) {
        let apart = recorded.abs_diff(now) as f64;
        if self.one_build
            && recorded.abs_diff(now) > self.tolerance.of(recorded)
            && apart <= recorded.max(now) as f64 * MEMORY
        {
            self.compared += 1;
            return self.weighed(of(), recorded.to_string(), now.to_string(), Some(CACHED));
        }
        self.around(of, recorded, now);
    }

    /// Bytes of whole processes.
    pub(super) fn memory(
        &mut self,
        of: impl FnOnce() -> String,
        recorded: Option<u64>,
        now: Option<u64>,
    ) {
        let (Some(recorded), Some(now)) = (recorded, now) else {
            // That this kernel does not tell is no matter of the document's.
            return;
        };
        self.compared += 1;
        let apart = recorded.abs_diff(now) as f64;
        if apart > recorded.max(now) as f64 * MEMORY {
            self.weighed(of(), recorded.to_string(), now.to_string(), None);
        }
    }

    /// Something that is the same or is not.
    pub(super) fn word(&mut self, of: impl FnOnce() -> String, recorded: &str, now: &str) {
        self.compared += 1;
        if recorded != now {
            self.weighed(of(), recorded.to_owned(), now.to_owned(), None);
        }
    }

    /// Something that another build or machine may have otherwise.
    pub(super) fn own(
        &mut self,
        of: impl FnOnce() -> String,
        recorded: &str,
        now: &str,
        because: &str,
    ) {
        self.compared += 1;
        if recorded != now {
            let because = (!self.one_build).then_some(because);
            self.weighed(of(), recorded.to_owned(), now.to_owned(), because);
        }
    }

    /// A difference, which does not count if there is a reason for it.
    pub(super) fn weighed(
        &mut self,
        of: String,
        recorded: String,
        now: String,
        because: Option<&str>,
    ) {
        self.note(Difference {
            of,
            recorded: Some(recorded),
            now: Some(now),
            weight: match because {
                Some(_) => Weight::DoesNotCount,
                None => Weight::Differs,
            },
            because: because.map(str::to_owned),
        });
    }

    /// Something that only one of them has, or that is of other data.
    pub(super) fn apart(
        &mut self,
        of: String,
        recorded: Option<&str>,
        now: Option<&str>,
        because: &str,
    ) {
        self.note(Difference {
            of,
            recorded: recorded.map(str::to_owned),
            now: now.map(str::to_owned),
            weight: Weight::NotComparable,
            because: Some(because.to_owned()),
        });
    }

    pub(super) fn note(&mut self, difference: Difference) {
        self.differences.push(difference);
    }
}
