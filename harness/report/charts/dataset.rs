//! Data of which there are pictures.

use super::chart::listed;
use super::text::clean;
use crate::grid::made_of;
use refcow_model::{Measurement, Report, Run, datasets};

/// Data of which there is a picture: its visits, and the run that they are of.
pub(crate) struct ChartedDataset<'a> {
    pub run: &'a Run,
    pub visits: Vec<&'a Measurement>,
}

/// The datasets of a report that have something to show, each as the newest interpreter has it that
/// has it.
pub(crate) fn newest_datasets<'a>(
    report: &'a Report,
    shows: impl Fn(&Measurement) -> bool,
) -> Vec<ChartedDataset<'a>> {
    let mut runs: Vec<&Run> = report.runs.iter().collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.python.order()));
    let mut all: Vec<ChartedDataset<'a>> = Vec::new();
    for run in runs {
        let of_newer = all.len();
        for visits in datasets(run.measurements.iter().filter(|one| shows(one))) {
            let newer = &all[..of_newer];
            if !newer.iter().any(|one| one.visits[0].has_data_of(visits[0])) {
                all.push(ChartedDataset { run, visits });
            }
        }
    }
    all
}

/// What one chart shows: some visits of a dataset.
pub(crate) struct DatasetPart<'all, 'a> {
    pub dataset: &'all ChartedDataset<'a>,
    pub visits: &'all [&'a Measurement],
    /// The end of a file's name.
    pub stem: String,
    /// What is not drawn.
    pub notes: Vec<String>,
}

/// Datasets in parts of at most so many visits. At most so many parts are drawn: the last of them
/// says what is not.
pub(crate) fn in_parts<'all, 'a>(
    all: &'all mut [ChartedDataset<'a>],
    visits: usize,
    most: usize,
) -> Vec<DatasetPart<'all, 'a>> {
    let idle: Vec<bool> = all.iter_mut().map(ChartedDataset::without_idle).collect();
    let all: &'all [ChartedDataset<'a>] = all;
    let parts: Vec<(usize, &[&Measurement])> = all
        .iter()
        .enumerate()
        .flat_map(|(place, dataset)| {
            let parts = dataset.visits.chunks(visits);
            parts.map(move |part| (place, part))
        })
        .collect();
    let (shown, left_out) = parts.split_at(parts.len().min(most));
    let mut shown: Vec<DatasetPart> = shown
        .iter()
        .map(|&(place, visits)| DatasetPart {
            dataset: &all[place],
            visits,
            stem: all[place].stem(all),
            notes: idle_left_out(idle[place]).into_iter().collect(),
        })
        .collect();
    if let Some(last) = shown.last_mut().filter(|_| !left_out.is_empty()) {
        let names = left_out.iter().map(|(place, visits)| {
            let visits: Vec<String> = visits.iter().map(|one| clean(&one.visit)).collect();
            format!("{}: {}", clean(&all[*place].title()), visits.join(", "))
        });
        last.notes
            .push(format!("not drawn: {}", listed(names.collect())));
    }
    shown
}

impl<'a> ChartedDataset<'a> {
    /// Takes out the visit that does nothing, unless it is the only one. Whether it was there.
    pub(crate) fn without_idle(&mut self) -> bool {
        let before = self.visits.len();
        if self.visits.iter().any(|one| one.visit != "idle") {
            self.visits.retain(|one| one.visit != "idle");
        }
        self.visits.len() < before
    }

    /// What the data is, with its size, and how it was shared: two that differ have two names.
    pub(crate) fn title(&self) -> String {
        let first = self.visits[0];
        let made_of = made_of(first).map_or_else(String::new, |words| format!(" ({words})"));
        format!("{}{made_of}, shared by {}", first.data(), first.sharing)
    }

    /// The end of a file's name: with the size where others of these have the same name.
    fn stem(&self, all: &[Self]) -> String {
        let name = |one: &Self| (one.visits[0].fixture.clone(), one.visits[0].prepare.clone());
        let first = self.visits[0];
        let mut parts = vec![first.fixture.clone()];
        parts.extend(first.prepare.clone());
        if all.iter().filter(|one| name(one) == name(self)).count() > 1 {
            parts.extend(made_of(first));
            parts.push(first.sharing.clone());
        }
        parts.join("-")
    }

    /// With which interpreter it was measured.
    pub(crate) fn python(&self, report: &Report) -> String {
        python(self.run, report)
    }
}

/// With which interpreter what a chart shows was measured.
pub(crate) fn python(run: &Run, report: &Report) -> String {
    let version = clean(&run.python.version);
    match report.runs.len() {
        1 => format!("CPython {version}"),
        several => format!("CPython {version} ({several} interpreters were measured)"),
    }
}

/// A note of what a chart does not show.
pub(crate) fn idle_left_out(is: bool) -> Option<String> {
    is.then(|| "not shown: idle, which does nothing".to_owned())
}
