//! Two things that take turns under criterion.

use std::time::Duration;

use criterion::Criterion;

use crate::BenchResult;

/// The times of each turn.
#[derive(Debug, Default)]
pub struct Turns {
    pub ours: Vec<Duration>,
    pub theirs: Vec<Duration>,
}

/// Lets both have their turn as often as criterion likes, which reports on ours. `None`: filtered out on the command
/// line. Each says itself how long it took: starting a process may not belong to it.
pub fn take(
    criterion: &mut Criterion,
    name: &str,
    mut ours: impl FnMut() -> BenchResult<Duration>,
    mut theirs: impl FnMut() -> BenchResult<Duration>,
) -> BenchResult<Option<Turns>> {
    let mut turns = Turns::default();
    let mut failed = None;
    criterion.bench_function(name, |bencher| {
        bencher.iter_custom(|iterations| {
            let mut sum = Duration::ZERO;
            for _ in 0..iterations {
                match ours().and_then(|ours| Ok((ours, theirs()?))) {
                    Ok((ours, theirs)) => {
                        turns.ours.push(ours);
                        turns.theirs.push(theirs);
                        sum += ours;
                    }
                    Err(error) => {
                        failed.get_or_insert(error);
                        // Criterion cannot be told to stop; it gives up soon on something that takes no time.
                        sum += Duration::from_secs(1);
                    }
                }
            }
            sum
        });
    });
    match failed {
        Some(error) => Err(error),
        None => Ok((!turns.ours.is_empty()).then_some(turns)),
    }
}

impl Turns {
    /// Ratio of the medians.
    pub fn ratio(&self) -> f64 {
        median(&self.ours).as_secs_f64() / median(&self.theirs).as_secs_f64()
    }

    /// Both medians, for a reader.
    pub fn times(&self) -> String {
        format!(
            "{:.3?} : {:.3?} (medians of {} turns; fastest {:.3?} : {:.3?})",
            median(&self.ours),
            median(&self.theirs),
            self.ours.len(),
            self.ours.iter().min().copied().unwrap_or_default(),
            self.theirs.iter().min().copied().unwrap_or_default(),
        )
    }
}

/// The middle one; of an even number, the upper of the two in the middle.
pub fn median<T: Copy + PartialOrd>(values: &[T]) -> T {
    let mut sorted = values.to_vec();
    sorted.sort_by(|one, other| one.partial_cmp(other).expect("times are numbers"));
    sorted[sorted.len() / 2]
}
