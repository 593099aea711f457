//! What a page says of a report, in its order: plain data, the same for every format.

pub(super) mod about;
mod claims;
mod environment;
mod figures;
mod table;
mod versions;

use serde::Serialize;

use super::charts::{self, Chart, Kind};
use super::columns::Columns;
pub(crate) use claims::Verdicts;
use refcow_model::{Report, Run};
pub(crate) use table::Table;

/// A page.
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

/// A piece of a section.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub(crate) enum Block {
    /// A title below a section's.
    Heading {
        /// Its words.
        text: String,
    },
    /// A paragraph.
    Text {
        /// Its words.
        text: String,
    },
    /// A paragraph in small print: what the words of a table mean.
    Note {
        /// Its words.
        text: String,
    },
    /// Something that limits the figures.
    Warning {
        /// Its words.
        text: String,
    },
    /// Sentences.
    List {
        /// In their order.
        items: Vec<Item>,
    },
    /// Words, each with what it means.
    Terms {
        /// In their order.
        terms: Vec<(String, String)>,
    },
    /// Rows and columns.
    Table(Table),
    /// A picture.
    Chart {
        /// Of its file, without the ending.
        name: String,
        /// In words.
        title: String,
        /// What is to be seen.
        alt: String,
        /// The picture, as it stands within HTML: the one text here that is markup.
        svg: String,
    },
    /// Pictures, beside each other where there is room.
    Pictures {
        /// They.
        blocks: Vec<Block>,
    },
    /// What is shown when it is asked for.
    Fold {
        /// What it is.
        summary: String,
        /// Whether it is shown at first.
        open: bool,
        /// What it holds.
        blocks: Vec<Block>,
    },
    /// Lines for a terminal.
    Code {
        /// They.
        text: String,
    },
    /// Statements with their verdicts.
    Verdicts(Verdicts),
}

/// An entry of a list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Item {
    /// A sentence.
    pub text: String,
    /// Behind it, in the language of a program.
    pub code: Option<String>,
    /// Sentences that belong under it.
    pub under: Vec<String>,
}

impl Item {
    fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: None,
            under: Vec::new(),
        }
    }
}

impl Block {
    fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    fn note(text: impl Into<String>) -> Self {
        Self::Note { text: text.into() }
    }

    fn heading(text: impl Into<String>) -> Self {
        Self::Heading { text: text.into() }
    }

    fn fold(summary: impl Into<String>, open: bool, blocks: Vec<Block>) -> Self {
        Self::Fold {
            summary: summary.into(),
            open,
            blocks,
        }
    }

    fn folded_table(title: String, columns: Columns) -> Self {
        let table = Table::of(&title, columns).under_its_name();
        Self::fold(title, false, vec![Self::Table(table)])
    }

    fn chart(chart: &Chart) -> Self {
        Self::Chart {
            name: chart.name.clone(),
            title: chart.title.clone(),
            alt: chart.alt.clone(),
            svg: charts::inline(chart),
        }
    }
}

impl Page {
    /// All that is said of a report.
    pub(crate) fn of(report: &Report, charts: &[Chart]) -> Self {
        let any = |has: fn(&Run) -> bool| report.runs.iter().any(has);
        let of_kind = |kind: Kind| {
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
            ("pages", "Page by page", figures::maps(of_kind(Kind::Pages))),
            (
                "copied",
                "Bytes copied, by way of sharing",
                figures::alternatives(report, of_kind(Kind::Copied)),
            ),
            (
                "versions",
                "Versions side by side",
                versions::section(report, of_kind(Kind::Versions)),
            ),
            (
                "memory",
                "Memory of all processes",
                figures::tree(report, of_kind(Kind::Tree)),
            ),
            ("time", "Time", of_kind(Kind::Time)),
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
            incomplete: super::incomplete(report),
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
