//! The instrument's own check: a child without Python writes known pages, and the count must be
//! theirs, exactly.

use crate::driver::{Launch, Subject};
use crate::machine::{self, MemoryLimits};
use crate::model::{Calibration, RegionMap};
use crate::observe::page_size;
use crate::protocol::Job;

use super::visit::{Data, VisitError, visit};

/// Which of the plain pages the child writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// About a third of them, in no order.
    Scattered,
    /// None.
    None,
    /// The middle one.
    One,
    /// Every n-th, from the first.
    Every(u64),
    /// All.
    All,
}

impl Pattern {
    /// No fewer than are written, of `pages` in all.
    fn most(self, pages: u64) -> u64 {
        match self {
            Self::None => 0,
            Self::One => 1,
            Self::Every(step) => pages / step.max(1) + 1,
            Self::Scattered | Self::All => pages,
        }
    }

    /// The numbers of the pages to write, of `pages` in all.
    pub fn pages(self, pages: u64) -> Vec<u64> {
        match self {
            // Multiplication by an odd number permutes the numbers below a power of two: a
            // different page each time, far from the last. Those at or above `pages` are left out.
            Self::Scattered => {
                let span = pages.next_power_of_two();
                (0..span / 3)
                    .map(|index| index.wrapping_mul(0x9E37_79B9) % span)
                    .filter(|page| *page < pages)
                    .collect()
            }
            Self::None => Vec::new(),
            Self::One => vec![pages / 2],
            Self::Every(step) => (0..pages)
                .step_by(usize::try_from(step.max(1)).unwrap_or(usize::MAX))
                .collect(),
            Self::All => (0..pages).collect(),
        }
    }
}

/// What to calibrate with.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Plain pages to map.
    pub pages: u64,
    /// Those to write.
    pub pattern: Pattern,
    /// Pages the child writes besides and keeps to itself: a fault to be found.
    pub unreported: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pages: 4096,
            pattern: Pattern::Scattered,
            unreported: 0,
        }
    }
}

/// Why the instrument may not be used.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum CalibrationError {
    /// It could not be tried.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Visit(#[from] VisitError),
    /// The pages would not fit.
    #[error(
        "{pages} plain pages and what a child copies of them need about {}, and {} is free ({available_from})",
        crate::numbers::bytes(*needed_bytes),
        crate::numbers::bytes(*available_bytes)
    )]
    #[diagnostic(help("free memory, or with `refcow calibrate` choose fewer --pages"))]
    TooLarge {
        /// How many were asked for.
        pages: u64,
        /// With the copies.
        needed_bytes: u64,
        /// What there is.
        available_bytes: u64,
        /// What says so.
        available_from: String,
    },
    /// It counts wrong here.
    #[error(
        "calibration failed: a child wrote {} pages and refcow counted {}",
        .0.pages_written,
        .0.pages_counted
    )]
    #[diagnostic(help(
        "no figure from this machine could be trusted, so none is given; `refcow doctor` may show why (page sharing by KSM, a kernel without map counts)"
    ))]
    Mismatch(Calibration),
}

/// Starts a subject without Python and counts what its child writes.
///
/// # Errors
/// When it cannot be done, or the counts differ.
pub fn calibrate(launch: &Launch, options: Options) -> Result<Calibration, CalibrationError> {
    // A machine that does not say how much it has refuses nothing.
    if let Ok(memory) = machine::memory() {
        fits(&options, &memory)?;
    }
    let launch = Launch {
        // The witness, and the child that writes.
        channels: 2,
        ..launch.clone()
    };
    let mut subject = Subject::start(&launch).map_err(VisitError::from)?;
    let first = subject
        .fill(options.pages, false)
        .map_err(VisitError::from)?;
    let map = RegionMap {
        payload: vec![first..first + options.pages],
        ..RegionMap::default()
    };
    let job = Job::Write {
        pages: options.pattern.pages(options.pages),
        unreported: options.unreported,
    };
    let data = Data {
        map: &map,
        objects: None,
        memory: false,
    };
    let outcome = visit(&mut subject, data, &job, "calibrating", 1, || {})?;
    check(Calibration {
        pages_written: outcome.written.iter().sum(),
        pages_counted: outcome
            .children
            .iter()
            .map(|child| child.totals().unshared)
            .sum(),
    })
}

/// Bytes for a page's number, as it is kept, sent and read, and for its state in parent and child.
const NUMBER_BYTES: u64 = 96;

/// Refuses pages that the machine has no room for, before there is any.
fn fits(options: &Options, memory: &MemoryLimits) -> Result<(), CalibrationError> {
    let pages = options.pages;
    let written = options
        .pattern
        .most(pages)
        .saturating_add(options.unreported);
    let needed_bytes = pages
        .saturating_add(written)
        .saturating_mul(page_size())
        .saturating_add(pages.saturating_mul(NUMBER_BYTES));
    if needed_bytes > memory.available_bytes {
        return Err(CalibrationError::TooLarge {
            pages,
            needed_bytes,
            available_bytes: memory.available_bytes,
            available_from: memory.available_from.clone(),
        });
    }
    Ok(())
}

fn check(calibration: Calibration) -> Result<Calibration, CalibrationError> {
    if calibration.pages_counted == calibration.pages_written {
        Ok(calibration)
    } else {
        Err(CalibrationError::Mismatch(calibration))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_page_too_many_or_too_few_is_a_failure() {
        for (pages_written, pages_counted) in [(10, 11), (10, 9), (0, 1)] {
            let calibration = Calibration {
                pages_written,
                pages_counted,
            };
            assert!(matches!(
                check(calibration),
                Err(CalibrationError::Mismatch(_))
            ));
        }
    }

    proptest! {
        #[test]
        fn scattered_pages_are_distinct_some_and_inside(pages in 8u64..5000) {
            let written = Pattern::Scattered.pages(pages);
            let distinct: BTreeSet<_> = written.iter().collect();
            prop_assert_eq!(distinct.len(), written.len());
            prop_assert!(!written.is_empty());
            prop_assert!(written.iter().all(|page| *page < pages));
        }
    }
}
