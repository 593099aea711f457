//! Lines of Python at which all workers of a tree made pages: what such a line keeps could be there once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::line_of::LineOf;
use super::recording::{Deed, InterpreterPhase};
use super::watch::Watched;
use crate::model::trees::MadeAtLine;

/// Of the processes of a tree that were forked, have forked none, and were looked at. Nothing of a single one.
pub fn made_by_all(watched: &Watched, root: usize) -> Vec<MadeAtLine> {
    let Some(traced) = watched.traced.as_ref() else {
        return Vec::new();
    };
    let members = &watched.recording.members;
    let parents: BTreeSet<usize> = members.iter().filter_map(|one| one.parent).collect();
    let is_worker = |place: &usize| {
        let one = &members[*place];
        let is_looked_at = !one.executed && traced.processes.contains(&one.member.pid);
        is_looked_at && one.parent.is_some() && !parents.contains(place)
    };
    let workers = (0..members.len()).filter(|place| watched.root(*place) == root);
    let workers: BTreeSet<usize> = workers.filter(is_worker).collect();
    let made = watched.causes.iter().filter_map(|(key, pages)| {
        let LineOf::Known(running) = &key.line else {
            return None;
        };
        let is_work = key.deed == Deed::Made && key.phase != InterpreterPhase::Ending;
        let line = running.own.as_deref().unwrap_or(&running.line);
        is_work.then_some((line, key.by, *pages))
    });
    of_all(&workers, made)
}

/// `made`: pages by line and worker.
fn of_all<'a>(
    workers: &BTreeSet<usize>,
    made: impl Iterator<Item = (&'a str, usize, u64)>,
) -> Vec<MadeAtLine> {
    let mut lines: BTreeMap<&str, BTreeMap<usize, u64>> = BTreeMap::new();
    for (line, by, pages) in made {
        if pages > 0 && workers.contains(&by) {
            *lines.entry(line).or_default().entry(by).or_default() += pages;
        }
    }
    let by_all = lines.into_iter();
    let by_all = by_all.filter(|(_, by)| by.len() == workers.len() && by.len() > 1);
    let mut all: Vec<MadeAtLine> = by_all
        .map(|(line, by)| MadeAtLine {
            line: crate::model::printable(line),
            workers: by.len() as u64,
            pages: by.values().sum(),
            least_pages: by.values().min().copied().unwrap_or(0),
        })
        .collect();
    // As many stand in the order of their names.
    all.sort_by_key(|one| Reverse(one.pages));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_at_which_each_of_several_workers_made_pages() {
        let made = [
            ("cache (app.py:7)", 2, 30),
            ("cache (app.py:7)", 3, 5),
            ("cache (app.py:7)", 3, 15),
            // The parent's, one worker's, and none at all.
            ("main (app.py:1)", 1, 99),
            ("handle (app.py:9)", 2, 50),
            ("handle (app.py:9)", 3, 0),
            ("load (app.py:3)", 2, 40),
            ("load (app.py:3)", 3, 41),
        ];
        let of = |workers: &[usize]| {
            let workers = workers.iter().copied().collect();
            let all = of_all(&workers, made.into_iter());
            let figures = all.into_iter();
            let figures = figures.map(|one| (one.line, one.workers, one.pages, one.least_pages));
            figures.collect::<Vec<_>>()
        };
        let expected = [
            ("load (app.py:3)", 2, 81, 40),
            ("cache (app.py:7)", 2, 50, 20),
        ];
        assert_eq!(
            of(&[2, 3]),
            expected.map(|(line, workers, pages, least)| (line.to_owned(), workers, pages, least))
        );
        // Of one, everything would be by all; and one more has made none.
        assert_eq!(of(&[2]), []);
        assert_eq!(of(&[2, 3, 4]), []);
    }
}
