//! Who filled the pages that a child has and nobody had before: by their faults, and by what stands
//! on them in the end.
//!
//! Pure: everything it needs was read before.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::causes::{FirstWrite, line_of};
use super::lines::LineLog;
use crate::model::{Made, printable};
use crate::observe::PageSet;
use crate::protocol::PythonLine;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct NewPage {
    /// The fault that made it; none if the kernel filled or moved it, as `read(2)` and `mremap(2)`
    /// do, or the record was lost.
    fault: Option<FirstWrite>,
    of_type: Option<Arc<str>>,
}

/// The new pages of one child, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPages(HashMap<u64, NewPage>);

/// The line that was running, and the user's own that had called it.
type LinePair<'log> = (&'log PythonLine, Option<&'log PythonLine>);

/// What alike pages have in common.
type WriterKey = (Option<Arc<str>>, Option<Arc<str>>);

impl NewPages {
    /// These pages, with the faults that made them, as far as they are known.
    pub fn new(pages: &PageSet, mut faults: HashMap<u64, FirstWrite>) -> Self {
        let page = |page| {
            let made = NewPage {
                fault: faults.remove(&page),
                of_type: None,
            };
            (page, made)
        };
        Self(pages.iter().map(page).collect())
    }

    /// Takes over the lines of another child that made the same visit, of which it is known which
    /// line ran when.
    ///
    /// What is new need not be at the same place in both: tracing allocates, too. So a page has the
    /// line of the other's page with its number, if the same function made that, or it holds the
    /// same type; else that of all of the other's pages which the same function made for the same
    /// type, if they have one line.
    pub fn take_lines(&mut self, other: &Self, process: i32, log: &LineLog) {
        // The log speaks of the process's first thread.
        let place = |page: &NewPage| {
            let fault = page.fault.as_ref()?;
            (fault.thread == process).then(|| log.with_caller_at(fault.time))?
        };
        let mut of_alike: HashMap<WriterKey, HashSet<Option<LinePair<'_>>>> = HashMap::new();
        for page in other.0.values() {
            of_alike.entry(page.key()).or_default().insert(place(page));
        }
        let mut shown: HashMap<&PythonLine, Arc<str>> = HashMap::new();
        for (number, page) in &mut self.0 {
            let (function, of_type) = page.key();
            let same = other.0.get(number).filter(|same| {
                let (others_function, others_type) = same.key();
                others_function == function || of_type.is_some() && others_type == of_type
            });
            let found = same.and_then(place).or_else(|| {
                let mut places = of_alike.get(&page.key())?.iter();
                let only = places.next()?;
                only.filter(|_| places.next().is_none())
            });
            if let Some(fault) = &mut page.fault {
                let mut show = |place| {
                    let shown = shown
                        .entry(place)
                        .or_insert_with(|| line_of(place, log).into());
                    Arc::clone(shown)
                };
                fault.line = found.map(|(place, _)| show(place));
                fault.own_line = found.and_then(|(_, own)| own).map(show);
            }
        }
    }

    /// Says what stands on some of them.
    pub fn name_types(&mut self, types: HashMap<u64, Arc<str>>) {
        for (page, of_type) in types {
            if let Some(page) = self.0.get_mut(&page) {
                page.of_type = Some(of_type);
            }
        }
    }

    /// In groups of pages that were made alike, most pages first.
    pub fn groups(&self) -> Vec<Made> {
        let mut groups: HashMap<_, u64> = HashMap::new();
        for page in self.0.values() {
            let lines = page.fault.as_ref();
            let lines = lines.map(|fault| (fault.line.clone(), fault.own_line.clone()));
            *groups
                .entry((page.key(), lines.unwrap_or_default()))
                .or_default() += 1;
        }
        let shown = |text: Option<Arc<str>>| text.map(|text| printable(&text));
        let mut groups: Vec<_> = groups
            .into_iter()
            .map(|(((function, of_type), (line, own_line)), pages)| Made {
                of_type: shown(of_type),
                function: shown(function),
                line: shown(line),
                own_line: shown(own_line),
                pages,
            })
            .collect();
        // Most pages first; the rest of the order only makes it one.
        groups.sort_by(|one, other| {
            let key = |made: &Made| {
                let made = made.clone();
                (made.of_type, made.function, made.line, made.own_line)
            };
            let names = || key(one).cmp(&key(other));
            other.pages.cmp(&one.pages).then_with(names)
        });
        groups
    }
}

impl NewPage {
    fn key(&self) -> WriterKey {
        let function = self.fault.as_ref().map(|fault| Arc::clone(&fault.function));
        (function, self.of_type.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::page_size;
    use crate::protocol::LineIntervals;

    fn fault(page: u64, function: &str, time: u64) -> (u64, FirstWrite) {
        let fault = FirstWrite {
            address: page * page_size(),
            function: function.into(),
            time,
            thread: 7,
            line: None,
            own_line: None,
        };
        (page, fault)
    }

    fn pages<const N: usize>(all: [(u64, &str, u64, Option<&str>); N]) -> NewPages {
        let faults = all.map(|(page, function, time, _)| fault(page, function, time));
        let types = all
            .iter()
            .filter_map(|(page, _, _, of_type)| Some((*page, Arc::from((*of_type)?))))
            .collect();
        let set = all.iter().map(|one| one.0).collect();
        let mut pages = NewPages::new(&set, faults.into());
        pages.name_types(types);
        pages
    }

    #[test]
    fn pages_are_grouped_by_who_made_them_for_what() {
        let set = (1..6).collect();
        let faults = [fault(1, "a", 0), fault(2, "a", 0), fault(3, "b", 0)].into();
        let types = [(1, Arc::from("int")), (2, Arc::from("int"))].into();
        let mut pages = NewPages::new(&set, faults);
        pages.name_types(types);
        let groups = pages.groups();
        let groups: Vec<_> = groups
            .iter()
            .map(|made| {
                (
                    made.of_type.as_deref(),
                    made.function.as_deref(),
                    made.pages,
                )
            })
            .collect();
        // Two were filled by the kernel.
        let expected = [
            (None, None, 2),
            (Some("int"), Some("a"), 2),
            (None, Some("b"), 1),
        ];
        assert_eq!(groups, expected);
    }

    #[test]
    fn a_line_is_that_of_the_same_page_or_of_all_that_are_alike() {
        let place = |line| PythonLine {
            file: "/home/me/mine.py".into(),
            function: "fill".into(),
            line,
        };
        let log = LineLog::new(LineIntervals {
            places: vec![place(3), place(4)],
            intervals: vec![(0, 10, 0).into(), (10, 20, 1).into()],
            ..LineIntervals::default()
        });
        let log = log.unwrap();
        let other = pages([
            (1, "a", 5, Some("int")),
            (2, "a", 15, Some("int")),
            (3, "b", 15, None),
            (4, "b", 15, None),
        ]);
        let lines = |process| {
            let mut ours = pages([
                // The same page; one that is alike to pages of two lines; one that is alike to
                // pages of one line; the same page of something else.
                (2, "a", 1, Some("int")),
                (9, "a", 2, Some("int")),
                (8, "b", 3, None),
                (1, "c", 4, Some("str")),
            ]);
            ours.take_lines(&other, process, &log);
            let line = |page| ours.0[&page].fault.clone().unwrap().line;
            [2, 9, 8, 1].map(line)
        };
        let four = Some(Arc::<str>::from("fill (mine.py:4)"));
        assert_eq!(lines(7), [four.clone(), None, four, None]);
        // Another thread's faults.
        assert_eq!(lines(8), [const { None::<Arc<str>> }; 4]);
    }
}
