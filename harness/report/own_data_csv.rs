//! CSV of the user's own data with workers: one row a way and number of workers.

use serde::Serialize;

use super::csv::{Text, table};
use super::error::Error;
use refcow_model::{GivesBack, OwnDataFigures, OwnDataWay, Report};

#[derive(Serialize)]
struct WayRow<'a> {
    python: Text<'a>,
    fixture: Text<'a>,
    visit: Text<'a>,
    way: Text<'a>,
    start_method: &'static str,
    workers: u64,
    does_not_apply: Option<Text<'a>>,
    copied_bytes: Option<i64>,
    piped_bytes: Option<u64>,
    shared_bytes: Option<u64>,
    own_bytes: Option<u64>,
    new_bytes: Option<u64>,
    page_table_bytes: Option<u64>,
    mapped_bytes: Option<u64>,
    memory_bytes: Option<u64>,
    peak_bytes: Option<u64>,
    start_seconds: Option<f64>,
    prepare_seconds: Option<f64>,
    handover_seconds: Option<f64>,
    first_result_seconds: Option<f64>,
    visit_seconds: Option<f64>,
    gives_back: Option<&'static str>,
}

/// Each row with the words of the JSON; of figures of each worker the most.
///
/// # Errors
/// When a time is no number.
pub fn render(report: &Report) -> Result<Vec<u8>, Error> {
    table(report.runs.iter().flat_map(|run| {
        run.own_data.iter().flat_map(move |data| {
            data.ways.iter().map(move |one| WayRow {
                python: (&run.python.version).into(),
                fixture: (&data.fixture).into(),
                visit: (&data.visit).into(),
                ..WayRow::of(one, run.environment.page_size_bytes)
            })
        })
    }))
}

impl<'a> WayRow<'a> {
    fn of(one: &'a OwnDataWay, page_size_bytes: u64) -> Self {
        let figures = one.measured.as_ref();
        let summary = figures.and_then(|figures| figures.summary(page_size_bytes));
        let summary = summary.as_ref();
        let memory = figures.and_then(|figures| figures.memory);
        Self {
            python: "".into(),
            fixture: "".into(),
            visit: "".into(),
            way: (&one.way).into(),
            start_method: one.start_method.as_str(),
            workers: one.workers,
            does_not_apply: one.does_not_apply.as_ref().map(Into::into),
            copied_bytes: summary.map(|all| *all.copied_bytes.end()),
            piped_bytes: summary.and_then(|all| Some(*all.piped_bytes.as_ref()?.end())),
            shared_bytes: memory.map(|memory| memory.shared_bytes),
            own_bytes: memory.map(|memory| memory.own_bytes),
            new_bytes: memory.map(|memory| memory.new_bytes),
            page_table_bytes: memory.map(|memory| memory.page_table_bytes),
            mapped_bytes: memory.map(|memory| memory.mapped_bytes),
            memory_bytes: memory.map(|memory| memory.sum()),
            peak_bytes: figures.and_then(|figures| figures.peak_bytes),
            start_seconds: figures.map(|figures| figures.start_seconds),
            prepare_seconds: figures.and_then(|figures| figures.prepare_seconds),
            handover_seconds: figures.map(|figures| figures.handover_seconds),
            first_result_seconds: figures.map(|figures| figures.first_result_seconds),
            visit_seconds: summary.map(|all| *all.visit_seconds.end()),
            gives_back: figures.map(gives_back),
        }
    }
}

fn gives_back(figures: &OwnDataFigures) -> &'static str {
    match figures.gives_back {
        GivesBack::Same => "same",
        GivesBack::Equal => "equal",
        GivesBack::Differs { .. } => "differs",
        GivesBack::Unknown { .. } => "unknown",
    }
}
