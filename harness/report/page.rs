//! What a page says of a report, in its order: plain data, the same for every format.

mod about;
pub(crate) mod block;
mod claims;
mod environment;
pub(crate) mod figures;
pub(crate) mod table;
mod versions;

use serde::Serialize;

use super::beginning::incomplete;
use super::charts::{Chart, ChartKind};
use block::Block;
use refcow_model::{Report, Run};

#[derive(Clone, Debug, Serialize)]
pub(crate) struct Page {
    /// Of the document.
    pub title: String,
    /// What is wrong with it as a whole: it is not complete.
    pub incomplete: Option<&'static str>,
    /// What was found, in a sentence.
    pub finding: String,
    /// What else a reader should know before anything else.
    pub findings: Vec<String>,
    /// What was measured, where.
    pub about: String,
    /// The sections that have something to say.
    pub sections: Vec<Section>,
}

/// A part of a page.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Section {
    /// For links.
    pub id: &'static str,
    /// Above it.
    pub title: &'static str,
    /// What is in it.
    pub blocks: Vec<Block>,
}

impl Page {
    /// All that is said of a report.
    pub(crate) fn of(report: &Report, charts: &[Chart]) -> Self {
        let any = |has: fn(&Run) -> bool| report.runs.iter().any(has);
        let of_kind = |kind: ChartKind| {
            let of_kind = charts.iter().filter(|chart| chart.kind == kind);
            figures::pictures(&of_kind.collect::<Vec<_>>())
        };
        let advice = ("advice", "What could be done", figures::advice(report));
        // What was asked for comes first.
        let asked_for = !any(|run| !run.claims.is_empty());
        let (first, later) = match asked_for {
            true => (Some(advice), None),
            false => (None, Some(advice)),
        };
        let mut sections = vec![(
            "claims",
            "What holds of the article",
            claims::section(report),
        )];
        sections.extend(first);
        sections.extend([
            (
                "pages",
                "Page by page",
                figures::maps(of_kind(ChartKind::Pages)),
            ),
            (
                "copied",
                "Bytes copied, by way of sharing",
                figures::alternatives(report, of_kind(ChartKind::Copied)),
            ),
            (
                "workers",
                "Your data with workers, by way of sharing",
                figures::own_data(report, of_kind(ChartKind::Workers)),
            ),
            (
                "versions",
                "Versions side by side",
                versions::section(report, of_kind(ChartKind::Versions)),
            ),
            (
                "memory",
                "Memory of all processes",
                figures::tree(report, of_kind(ChartKind::Tree)),
            ),
            ("time", "Time", of_kind(ChartKind::Time)),
        ]);
        sections.extend(later);
        sections.extend([
            (
                "measurements",
                "All measurements",
                figures::measurements(report),
            ),
            ("method", "How it was measured", about::method(report)),
            (
                "environment",
                "What it was measured on",
                environment::section(report),
            ),
            ("repeat", "Measure it again", about::repeat(report)),
        ]);
        let (finding, findings) = about::findings(report);
        Self {
            title: about::title(report),
            incomplete: incomplete(report),
            finding,
            findings,
            about: about::measured_with(report),
            sections: sections
                .into_iter()
                .filter(|(.., blocks)| !blocks.is_empty())
                .map(|(id, title, blocks)| Section { id, title, blocks })
                .collect(),
        }
    }
}
