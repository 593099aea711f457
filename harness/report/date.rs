//! When a report's runs were made, and how long they took.

use jiff::Timestamp;

use refcow_model::Report;
use refcow_model::numbers::duration;

/// `Measured 2026-11-28 16:22 UTC, in 41 s.` `None` of documents that do not say.
pub(crate) fn measured(report: &Report) -> Option<String> {
    let began = report.runs.iter().filter_map(|run| run.began.as_deref());
    // Whatever else a document has there says no time.
    let mut began: Vec<Timestamp> = began.filter_map(|text| text.parse().ok()).collect();
    began.sort_unstable();
    let first = began.first()?;
    let minute = |time: &Timestamp| time.strftime("%Y-%m-%d %H:%M").to_string();
    let mut text = format!("Measured {}", minute(first));
    let last = began
        .last()
        .map(minute)
        .filter(|last| *last != minute(first));
    match last {
        Some(last) => text += &format!(" UTC, the last run from {last} UTC on"),
        None => text += " UTC",
    }
    let seconds: Option<Vec<f64>> = report.runs.iter().map(|run| run.seconds).collect();
    if let Some(seconds) = seconds {
        let in_all = if seconds.len() > 1 { " in all" } else { "" };
        text += &format!(", in {}{in_all}", duration(seconds.iter().sum()));
    }
    Some(text + ".")
}
