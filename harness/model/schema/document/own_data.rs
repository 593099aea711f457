//! What a document says of the user's own data with workers: within bounds, and without contradiction.

use std::collections::HashSet;

use super::bounds::{MOST, MOST_CHILDREN, MOST_PAGES};
use crate::{OwnDataFigures, OwnDataWay, Run, StartMethod};

/// A place in a run, and what is wrong there; `None` where nothing is.
pub(super) fn wrong(run: &Run) -> Option<(String, String)> {
    let page = run.environment.page_size_bytes;
    for (index, data) in run.own_data.iter().enumerate() {
        let mut seen = HashSet::new();
        for (number, one) in data.ways.iter().enumerate() {
            let place = format!("own_data[{index}].ways[{number}]");
            if !seen.insert((&one.way, one.start_method.as_str(), one.workers)) {
                return Some((place, format!("{} is there twice", one.way)));
            }
            if let Some((field, what)) = way_wrong(one, page) {
                return Some((format!("{place}{field}"), what));
            }
        }
        if data.pickled_bytes.is_some() && data.not_picklable.is_some() {
            let what = "the data was pickled, and cannot be".to_owned();
            return Some((format!("own_data[{index}].not_picklable"), what));
        }
    }
    None
}

fn way_wrong(one: &OwnDataWay, page: u64) -> Option<(String, String)> {
    let whole = || String::new();
    match (&one.does_not_apply, &one.measured) {
        (Some(_), Some(_)) => Some((whole(), "it was measured, and does not apply".to_owned())),
        (None, None) => Some((whole(), "neither figures nor why there are none".to_owned())),
        (Some(_), None) => None,
        (None, Some(figures)) => {
            let number = figures.children.len();
            if number as u64 != one.workers || number == 0 || number > MOST_CHILDREN {
                let what = format!("{number} workers, where {} are counted", one.workers);
                return Some((".measured.children".to_owned(), what));
            }
            figures_wrong(figures, one.start_method, page)
                .map(|(field, what)| (format!(".measured{field}"), what))
        }
    }
}

fn figures_wrong(
    figures: &OwnDataFigures,
    method: StartMethod,
    page: u64,
) -> Option<(String, String)> {
    let most = MOST_PAGES.min(MOST / page);
    let reference = figures.reference_own_pages;
    for (index, child) in figures.children.iter().enumerate() {
        let place = || format!(".children[{index}]");
        let (own, copied) = (child.own_pages, child.copied_pages);
        if copied.unsigned_abs() > most || own > most {
            let what = format!("{copied} pages copied, {own} pages of its own");
            return Some((place(), what));
        }
        let more = i128::from(own) - i128::from(reference);
        let copied = i128::from(copied);
        let right = match method {
            StartMethod::Fork => (more.max(0)..=i128::from(own)).contains(&copied),
            StartMethod::Spawn | StartMethod::Forkserver => copied == more,
        };
        if !right {
            let what = format!(
                "{copied}, but it has {own} pages of its own, and a worker that got nothing has {reference}"
            );
            return Some((format!("{}.copied_pages", place()), what));
        }
    }
    let sum = figures.memory?.sum();
    let peak = figures.peak_bytes?;
    (peak < sum).then(|| {
        let what = format!("{peak} bytes at most, and {sum} at the end");
        (".peak_bytes".to_owned(), what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AfterKill, GivesBack, Visitor};

    fn way() -> OwnDataWay {
        let child = Visitor {
            visit_seconds: 1.0,
            own_pages: 12,
            copied_pages: 2,
            piped_bytes: None,
            handed_bytes: None,
        };
        OwnDataWay {
            way: "args".into(),
            title: "args".into(),
            start_method: StartMethod::Spawn,
            workers: 1,
            does_not_apply: None,
            measured: Some(OwnDataFigures {
                start_seconds: 1.0,
                prepare_seconds: None,
                handover_seconds: 1.0,
                first_result_seconds: 1.0,
                memory: None,
                peak_bytes: None,
                gives_back: GivesBack::Equal,
                after_worker_killed: AfterKill::Usable,
                left_after_kill: Vec::new(),
                reference_own_pages: 10,
                children: vec![child],
            }),
        }
    }

    fn field(change: impl FnOnce(&mut OwnDataWay)) -> Option<String> {
        let mut way = way();
        change(&mut way);
        way_wrong(&way, 4096).map(|(field, _)| field)
    }

    #[test]
    fn a_way_is_measured_or_does_not_apply() {
        assert_eq!(field(|_| ()), None);
        assert!(field(|way| way.does_not_apply = Some("so".into())).is_some());
        assert!(field(|way| way.measured = None).is_some());
    }

    #[test]
    fn its_workers_are_as_many_as_it_says_and_copied_what_their_pages_say() {
        assert_eq!(field(|way| way.workers = 2).unwrap(), ".measured.children");
        let copied = |way: &mut OwnDataWay| {
            way.measured.as_mut().unwrap().children[0].copied_pages = 3;
        };
        assert_eq!(field(copied).unwrap(), ".measured.children[0].copied_pages");
        let endless = |way: &mut OwnDataWay| {
            way.measured.as_mut().unwrap().children[0].own_pages = u64::MAX;
        };
        assert_eq!(field(endless).unwrap(), ".measured.children[0]");
    }
}
