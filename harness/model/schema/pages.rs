//! The pages of a region, one by one.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Cause, Causes};

/// A region's pages in the order of their addresses, each with what became of it.
///
/// In JSON a text of stretches: a number of pages, then `.` if they are still shared; `w` if they were copied on the way from the
/// fork to the visit; else the letter of the cause of
/// the first write (`r`efcount, `g`c, bu`f`fer, `b`ody, `a`llocator, `k`ernel, k`h`ugepaged, `u`nattributed), or `c` (copied) where it is not known, and behind that `=` if the
/// copies are identical to their originals and `!` if they are not. `3. 117r= 1g!`: three shared pages, 117 identical copies
/// that a reference count has caused, and one copy with other bytes, caused by the collector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PageMap(Vec<Stretch>);

/// Pages that follow each other and met the same fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// How many.
    pub pages: u64,
    /// What became of each.
    pub fate: Fate,
}

/// What became of a page that parent and child shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    /// They still share it.
    Shared,
    /// The child had copied it before its visit began: between the fork and the visit.
    OnTheWay,
    /// The child has a copy.
    Copied {
        /// Of the first write. `None`: not known.
        cause: Option<Cause>,
        /// Whether the copy equals the original. `None`: not known.
        identical: Option<bool>,
    },
}

/// A page map, or several pages of it in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Squares {
    /// How many pages a square stands for; the last one may stand for fewer.
    pub pages_per_square: u64,
    /// The pages of each square by their fate, in the order of fates.
    pub squares: Vec<BTreeMap<Fate, u64>>,
}

impl PageMap {
    /// Of pages one by one.
    pub fn of(fates: impl Iterator<Item = Fate>) -> Self {
        let mut map = Self::default();
        for fate in fates {
            map.push(Stretch { pages: 1, fate });
        }
        map
    }

    fn push(&mut self, next: Stretch) {
        match self.0.last_mut() {
            Some(last) if last.fate == next.fate => {
                last.pages = last.pages.saturating_add(next.pages)
            }
            _ => self.0.push(next),
        }
    }

    /// As many pages of which none was copied.
    pub fn all_shared(&self) -> Self {
        let pages = self.pages();
        let shared = Stretch {
            pages,
            fate: Fate::Shared,
        };
        Self(if pages > 0 { vec![shared] } else { Vec::new() })
    }

    /// All pages.
    pub fn pages(&self) -> u64 {
        self.sum(|_| true)
    }

    /// Those of such a fate.
    pub fn sum(&self, wanted: impl Fn(Fate) -> bool) -> u64 {
        let all = self.0.iter().filter(|stretch| wanted(stretch.fate));
        all.fold(0, |sum, stretch| sum.saturating_add(stretch.pages))
    }

    /// How many pages have another fate in a map of as many pages; `None` if there are not as many.
    pub(crate) fn apart(&self, other: &Self) -> Option<u64> {
        if self.pages() != other.pages() {
            return None;
        }
        let (mut apart, mut others) = (0_u64, other.0.iter());
        // Of the stretch of the other map that is being passed.
        let (mut left, mut fate) = (0, Fate::Shared);
        for stretch in &self.0 {
            let mut pages = stretch.pages;
            while pages > 0 {
                while left == 0 {
                    let next = others.next()?;
                    (left, fate) = (next.pages, next.fate);
                }
                let part = pages.min(left);
                if fate != stretch.fate {
                    apart = apart.saturating_add(part);
                }
                (pages, left) = (pages - part, left - part);
            }
        }
        Some(apart)
    }

    /// The copied pages by cause; `None` if it is not known of each.
    pub fn causes(&self) -> Option<Causes> {
        let mut causes = Causes::default();
        for stretch in &self.0 {
            if let Fate::Copied { cause, .. } = stretch.fate {
                let sum = causes.of_mut(cause?);
                *sum = sum.saturating_add(stretch.pages);
            }
        }
        Some(causes)
    }

    /// The map as at most so many squares, all of as many pages.
    pub fn squares(&self, most: u64) -> Squares {
        let pages_per_square = self.pages().div_ceil(most.max(1)).max(1);
        let mut squares: Vec<BTreeMap<Fate, u64>> = Vec::new();
        // How many pages the last square has room for.
        let mut room = 0;
        for stretch in &self.0 {
            let mut left = stretch.pages;
            while left > 0 {
                if room == 0 {
                    squares.push(BTreeMap::new());
                    room = pages_per_square;
                }
                let part = left.min(room);
                if let Some(square) = squares.last_mut() {
                    *square.entry(stretch.fate).or_default() += part;
                }
                left -= part;
                room -= part;
            }
        }
        Squares {
            pages_per_square,
            squares,
        }
    }

    /// All pages by their fate.
    pub fn fates(&self) -> BTreeMap<Fate, u64> {
        let mut fates = BTreeMap::new();
        for stretch in &self.0 {
            let pages: &mut u64 = fates.entry(stretch.fate).or_default();
            *pages = pages.saturating_add(stretch.pages);
        }
        fates
    }
}

impl fmt::Display for PageMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Stretch { pages, fate }) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            match fate {
                Fate::Shared => write!(f, "{space}{pages}.")?,
                Fate::OnTheWay => write!(f, "{space}{pages}w")?,
                Fate::Copied { cause, identical } => {
                    let letter = cause.map_or('c', letter);
                    let bytes = match identical {
                        Some(true) => "=",
                        Some(false) => "!",
                        None => "",
                    };
                    write!(f, "{space}{pages}{letter}{bytes}")?;
                }
            }
        }
        Ok(())
    }
}

/// The letter of a cause: its first, but of the later of two that have it.
fn letter(cause: Cause) -> char {
    match cause {
        Cause::Buffer => 'f',
        Cause::Khugepaged => 'h',
        _ => cause.as_str().chars().next().unwrap_or('?'),
    }
}

impl FromStr for PageMap {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut map = Self::default();
        for word in text.split(' ').filter(|_| !text.is_empty()) {
            let wrong = || format!("{word:?} is not a stretch of pages");
            let end = word.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let (number, fate) = word.split_at(end);
            let pages: u64 = number.parse().map_err(|_| wrong())?;
            let mut letters = fate.chars();
            let first = letters.next().ok_or_else(wrong)?;
            let cause = Cause::ALL.into_iter().find(|cause| letter(*cause) == first);
            let fate = match (first, cause, letters.as_str()) {
                ('.', _, "") => Fate::Shared,
                ('w', _, "") => Fate::OnTheWay,
                ('c', ..) | (_, Some(_), _) => Fate::Copied {
                    cause,
                    identical: match letters.as_str() {
                        "=" => Some(true),
                        "!" => Some(false),
                        "" => None,
                        _ => return Err(wrong()),
                    },
                },
                _ => return Err(wrong()),
            };
            if pages == 0 || map.0.last().is_some_and(|last| last.fate == fate) {
                return Err(wrong());
            }
            map.0.push(Stretch { pages, fate });
        }
        Ok(map)
    }
}

impl TryFrom<String> for PageMap {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<PageMap> for String {
    fn from(map: PageMap) -> Self {
        map.to_string()
    }
}

impl JsonSchema for PageMap {
    fn schema_name() -> Cow<'static, str> {
        "PageMap".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^([1-9][0-9]*([.w]|[rgfbakhuc][=!]?)( [1-9][0-9]*([.w]|[rgfbakhuc][=!]?))*)?$",
            "description": "The region's pages in the order of their addresses, as stretches: a number of pages, then `.` if \
                they are still shared; `w` if they were copied on the way from the fork to the visit; else the letter of the cause of the first write (`f` of `buffer`, `h` of `khugepaged`, of others their first), or \
                `c` where it is not known, and behind that `=` if the copies are identical to their originals and `!` if they are not.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COUNT: Fate = Fate::Copied {
        cause: Some(Cause::Refcount),
        identical: Some(true),
    };
    const COLLECTED: Fate = Fate::Copied {
        cause: Some(Cause::Gc),
        identical: Some(false),
    };

    fn map(text: &str) -> PageMap {
        text.parse().unwrap()
    }

    #[test]
    fn a_map_is_written_as_stretches() {
        let fates = [Fate::Shared, COUNT, COUNT, COLLECTED];
        let of = PageMap::of(fates.into_iter());
        assert_eq!(of.to_string(), "1. 2r= 1g!");
        assert_eq!(map("1. 2r= 1g!"), of);
        assert_eq!(of.pages(), 4);
        assert_eq!(of.causes().unwrap().of(Cause::Refcount), 2);
        assert_eq!(map("2c").causes(), None);
        assert_eq!(map(""), PageMap::default());
    }

    #[test]
    fn each_cause_has_a_letter_of_its_own() {
        let letters: std::collections::BTreeSet<char> = Cause::ALL.map(letter).into();
        assert_eq!(letters.len(), Cause::ALL.len());
        assert!(['c', '.', 'w'].iter().all(|other| !letters.contains(other)));
    }

    #[test]
    fn maps_are_apart_by_pages_of_another_fate() {
        let apart = |one: &str, other: &str| map(one).apart(&map(other));
        assert_eq!(apart("3. 2r= 1g!", "3. 2r= 1g!"), Some(0));
        assert_eq!(apart("3. 2r= 1g!", "2. 2r= 2."), Some(3));
        assert_eq!(apart("2r= 4.", "4. 2r="), Some(4));
        assert_eq!(apart("3.", "4."), None);
        assert_eq!(apart("", ""), Some(0));
    }

    #[test]
    fn what_no_map_says_is_refused() {
        for text in [
            "0.",
            "1",
            "1x",
            "1.=",
            "1. 2.",
            " 1.",
            "1.  2r",
            "1r==",
            "1w=",
            "-1.",
            "99999999999999999999.",
        ] {
            assert!(text.parse::<PageMap>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_square_tells_what_became_of_each_of_its_pages() {
        let squares = map("5. 1r= 4. 2g! 1r=").squares(5);
        assert_eq!(squares.pages_per_square, 3);
        let expected = [
            vec![(Fate::Shared, 3)],
            vec![(Fate::Shared, 2), (COUNT, 1)],
            vec![(Fate::Shared, 3)],
            vec![(Fate::Shared, 1), (COLLECTED, 2)],
            vec![(COUNT, 1)],
        ];
        assert_eq!(
            squares.squares,
            expected.map(|square| square.into_iter().collect())
        );
        let one = BTreeMap::from([(Fate::Shared, 3)]);
        assert_eq!(map("3.").squares(0).squares, [one]);
        assert!(map("").squares(9).squares.is_empty());
    }

    fn fate() -> impl Strategy<Value = Fate> {
        let cause = proptest::option::of(proptest::sample::select(Cause::ALL.to_vec()));
        prop_oneof![
            Just(Fate::Shared),
            Just(Fate::OnTheWay),
            (cause, any::<Option<bool>>())
                .prop_map(|(cause, identical)| Fate::Copied { cause, identical }),
        ]
    }

    proptest! {
        #[test]
        fn every_map_can_be_read_again(fates in proptest::collection::vec(fate(), 0..40)) {
            let of = PageMap::of(fates.iter().copied());
            prop_assert_eq!(of.pages(), fates.len() as u64);
            prop_assert_eq!(map(&of.to_string()), of);
        }

        #[test]
        fn squares_hold_all_pages_in_their_order(
            fates in proptest::collection::vec(fate(), 1..200), most in 1u64..50,
        ) {
            let of = PageMap::of(fates.iter().copied());
            let squares = of.squares(most);
            prop_assert!(squares.squares.len() as u64 <= most);
            let size = usize::try_from(squares.pages_per_square).unwrap();
            prop_assert_eq!(squares.squares.len(), fates.len().div_ceil(size));
            for (square, pages) in squares.squares.iter().zip(fates.chunks(size)) {
                prop_assert_eq!(square, &PageMap::of(pages.iter().copied()).fates());
            }
        }
    }
}
