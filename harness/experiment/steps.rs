//! What a run tells while it goes on.

use std::collections::BTreeSet;

/// What a run is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Something short that has no place in the count of steps.
    Preparing(&'a str),
    /// A private environment is being made, which takes a while and happens once.
    Installing(&'a str),
    /// All that follows is of this interpreter.
    Interpreter {
        /// Its version.
        version: &'a str,
        /// Which it is, from 1.
        number: usize,
        /// Of how many.
        of: usize,
    },
    /// A dataset is about to be built.
    Building {
        /// Its fixture.
        fixture: &'a str,
    },
    /// A visit is about to begin.
    Visiting {
        /// The fixture.
        fixture: &'a str,
        /// The visit.
        visit: &'a str,
    },
    /// Something besides pages is about to be observed.
    Observing {
        /// Its name.
        name: &'a str,
    },
    /// A dataset stands, one child has ended its visit, or something was observed.
    Done,
    /// What would have been done so often will not be: something before it failed.
    Passed {
        /// How often.
        steps: usize,
    },
}

/// Does something of so many steps; those that never come are passed by.
pub(super) fn of_steps<T>(
    steps: usize,
    step: &mut dyn FnMut(Step<'_>),
    work: impl FnOnce(&mut dyn FnMut(Step<'_>)) -> T,
) -> T {
    let mut left = steps;
    let done = work(&mut |now| {
        if now == Step::Done {
            left = left.saturating_sub(1);
        }
        step(now);
    });
    if left > 0 {
        step(Step::Passed { steps: left });
    }
    done
}

/// What is told of the steps of a dataset, each of which counts once, however often it is done.
pub(super) struct Steps<'a> {
    step: &'a mut dyn FnMut(Step<'_>),
    /// Whether the data has stood.
    stands: bool,
    /// Visits that were made.
    pub(super) counted: BTreeSet<String>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(step: &'a mut dyn FnMut(Step<'_>)) -> Self {
        Self {
            step,
            stands: false,
            counted: BTreeSet::new(),
        }
    }

    pub(super) fn tell(&mut self, step: Step<'_>) {
        (self.step)(step);
    }

    pub(super) fn built(&mut self) {
        if !std::mem::replace(&mut self.stands, true) {
            self.tell(Step::Done);
        }
    }

    /// One child has ended this visit.
    pub(super) fn visited(&mut self, visit: &str) {
        if !self.counted.contains(visit) {
            self.tell(Step::Done);
        }
    }
}
