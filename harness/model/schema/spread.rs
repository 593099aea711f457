//! A figure over several children.

use std::ops::RangeInclusive;

/// A figure over all children: the least and the most.
pub type Spread<T> = RangeInclusive<T>;

/// From the least to the most; `None` of nothing.
pub(super) fn spread<T: PartialOrd + Copy>(
    mut figures: impl Iterator<Item = T>,
) -> Option<Spread<T>> {
    let first = figures.next()?;
    let (least, most) = figures.fold((first, first), |(least, most), figure| {
        (
            if figure < least { figure } else { least },
            if figure > most { figure } else { most },
        )
    });
    Some(least..=most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_runs_from_the_least_to_the_most() {
        assert_eq!(spread([3, 1, 2].into_iter()), Some(1..=3));
        assert_eq!(spread([0.5].into_iter()), Some(0.5..=0.5));
        assert_eq!(spread(std::iter::empty::<u64>()), None);
    }
}
