//! A region's pages as squares of a page, or of several, which are filled by what became of theirs.

use std::collections::BTreeMap;

use super::sketch::Sketch;
use super::theme::{self, Colour};
use refcow_model::{Fate, RegionName, Squares};

/// The levels of each square, from its bottom up: so many of a fate as it has a part of the
/// square's pages. What is too little for a level here adds up until it is one further on, so that
/// all levels of a fate are right together; and no fate is without any.
fn levels(squares: &Squares, high: usize) -> Vec<Vec<Fate>> {
    let whole = squares.pages_per_square as f64;
    let mut owed: BTreeMap<Fate, f64> = BTreeMap::new();
    let mut all: Vec<Vec<Fate>> = Vec::new();
    for square in &squares.squares {
        let pages = square
            .values()
            .fold(0u64, |sum, pages| sum.saturating_add(*pages)) as f64;
        let height = ((high as f64 * pages / whole).round() as usize).clamp(1, high);
        for (fate, of_fate) in square {
            *owed.entry(*fate).or_default() += *of_fate as f64 / pages * height as f64;
        }
        let mut levels: Vec<Fate> = (0..height)
            .filter_map(|_| {
                let most = square
                    .keys()
                    .max_by(|one, other| owed[one].total_cmp(&owed[other]));
                let fate = *most?;
                *owed.entry(fate).or_default() -= 1.0;
                Some(fate)
            })
            .collect();
        levels.sort_by_key(|fate| (*fate == Fate::Shared, *fate));
        all.push(levels);
    }
    for fate in owed.into_keys() {
        if all.iter().flatten().any(|level| *level == fate) {
            continue;
        }
        let of_square = |place: &usize| squares.squares[*place].get(&fate).copied();
        let Some(place) = (0..all.len()).max_by_key(of_square) else {
            continue;
        };
        // At the cost of what has most there.
        let levels = &mut all[place];
        let most = levels
            .iter()
            .copied()
            .max_by_key(|one| levels.iter().filter(|level| *level == one).count());
        if let Some(level) = levels.iter_mut().find(|level| Some(**level) == most) {
            *level = fate;
        }
        levels.sort_by_key(|fate| (*fate == Fate::Shared, *fate));
    }
    all
}

/// Squares in rows, in as few boxes as it takes to draw those levels of one colour that lie
/// together.
pub(super) fn block(
    sketch: &mut Sketch,
    (left, top): (i32, i32),
    edge: i32,
    across: usize,
    name: RegionName,
    squares: &Squares,
) {
    let high = usize::try_from(edge - 1).unwrap_or(1);
    let lines = squares.squares.len().div_ceil(across);
    // From the top down, all rows of levels one after the other.
    let mut cells: Vec<Option<Colour>> = vec![None; lines * high * across];
    for (place, levels) in levels(squares, high).into_iter().enumerate() {
        let (line, column) = (place / across, place % across);
        for (level, fate) in levels.into_iter().enumerate() {
            let row = line * high + high - 1 - level;
            cells[row * across + column] = Some(theme::fate(name, fate));
        }
    }
    let pixels = |number: usize| i32::try_from(number).unwrap_or(0);
    let down = |row: usize| pixels(row / high) * edge + pixels(row % high);
    let mut boxes = Vec::new();
    for first in 0..cells.len() {
        let Some(colour) = cells[first] else { continue };
        let (row, column) = (first / across, first % across);
        let alike = |place: usize| cells.get(place) == Some(&Some(colour));
        let beside = (first..(row + 1) * across).take_while(|place| alike(*place));
        let wide = beside.count();
        let below =
            (row..).take_while(|row| (0..wide).all(|beside| alike(row * across + column + beside)));
        let last = row + below.count() - 1;
        for row in row..=last {
            let begin = row * across + column;
            cells[begin..begin + wide].fill(None);
        }
        let place = (left + pixels(column) * edge, top + down(row));
        let size = (pixels(wide) * edge - 1, down(last) + 1 - down(row));
        boxes.push((colour, place, size));
    }
    // Boxes of one colour that follow each other become one shape.
    boxes.sort_by_key(|(colour, ..)| colour.light);
    for (colour, (left, top), (wide, high)) in boxes {
        sketch.area(left, top, wide, high, colour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use refcow_model::{Cause, PageMap};

    fn map(fates: &[u8]) -> PageMap {
        let all = [
            Fate::Shared,
            Fate::OnTheWay,
            Fate::Copied {
                cause: Some(Cause::Gc),
                identical: Some(false),
            },
        ];
        PageMap::of(fates.iter().map(|fate| all[usize::from(*fate)]))
    }

    proptest! {
        #[test]
        fn levels_are_the_parts_of_all_pages_and_of_no_square_another_fate(
            fates in proptest::collection::vec(0u8..3, 1..3_000), most in 1u64..600, high in 4usize..9,
        ) {
            let map = map(&fates);
            let squares = map.squares(most);
            let levels = levels(&squares, high);
            prop_assert_eq!(levels.len(), squares.squares.len());
            for (levels, square) in levels.iter().zip(&squares.squares) {
                prop_assert!(levels.iter().all(|fate| square.contains_key(fate)));
                prop_assert!((1..=high).contains(&levels.len()));
                prop_assert!(levels.is_sorted_by_key(|fate| *fate == Fate::Shared));
            }
            let all = levels.iter().flatten().count() as f64;
            for (fate, pages) in map.fates() {
                let drawn = levels.iter().flatten().filter(|level| **level == fate).count();
                prop_assert!(drawn > 0 || all <= 3.0);
                let part = pages as f64 / fates.len() as f64;
                // A square has so many levels.
                prop_assert!((drawn as f64 - part * all).abs() <= high as f64, "{drawn} of {all}: {part}");
            }
        }
    }
}
