//! The pieces that a page is made of: plain data.

use serde::Serialize;

use super::table::Table;
use crate::charts::{self, Chart};
use crate::columns::Columns;
use refcow_model::Verdict;

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
    pub(crate) fn of(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: None,
            under: Vec::new(),
        }
    }
}

impl Block {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    pub(crate) fn note(text: impl Into<String>) -> Self {
        Self::Note { text: text.into() }
    }

    pub(crate) fn heading(text: impl Into<String>) -> Self {
        Self::Heading { text: text.into() }
    }

    pub(crate) fn fold(summary: impl Into<String>, open: bool, blocks: Vec<Block>) -> Self {
        Self::Fold {
            summary: summary.into(),
            open,
            blocks,
        }
    }

    pub(crate) fn folded_table(title: String, columns: Columns) -> Self {
        let table = Table::of(&title, columns).under_its_name();
        Self::fold(title, false, vec![Self::Table(table)])
    }

    /// Sentences.
    pub(crate) fn list(sentences: impl IntoIterator<Item = String>) -> Self {
        Self::List {
            items: sentences.into_iter().map(Item::of).collect(),
        }
    }

    pub(crate) fn chart(chart: &Chart) -> Self {
        Self::Chart {
            name: chart.name.clone(),
            title: chart.title.clone(),
            alt: chart.alt.clone(),
            svg: charts::inline(chart),
        }
    }
}

/// Statements with their verdicts.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdicts {
    /// Those of one verdict together.
    pub groups: Vec<VerdictGroup>,
}

/// Statements of one verdict.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct VerdictGroup {
    /// The verdict.
    pub title: String,
    /// How many there are.
    pub number: String,
    /// They.
    pub claims: Vec<ClaimEntry>,
}

/// A statement.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ClaimEntry {
    /// Its short name.
    pub id: String,
    /// What the article says.
    pub statement: String,
    /// Of all; `None` where interpreters gave several.
    pub verdict: Option<VerdictMark>,
    /// What came of it: one, or one for each verdict that interpreters gave.
    pub found: Vec<StatementFinding>,
    /// What that follows from.
    pub evidence: Vec<Block>,
}

/// What came of a statement.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StatementFinding {
    /// With which interpreters; `None` with all.
    pub with: Option<String>,
    /// The verdict, as a class, a sign and a word.
    pub verdict: VerdictMark,
    /// What was expected, if it was another.
    pub expected: Option<String>,
    /// The figure that decides, or why there is none; of several interpreters the last one's.
    pub because: Option<String>,
    pub limit: Option<String>,
}

/// A verdict, for those who see colours and for those who do not.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct VerdictMark {
    /// Of a style sheet.
    pub class: &'static str,
    pub sign: &'static str,
    pub word: &'static str,
}

impl VerdictMark {
    pub(crate) fn of(verdict: Verdict) -> Self {
        let (class, sign, word) = match verdict {
            Verdict::Holds => ("holds", "✓", "holds"),
            Verdict::HoldsWithLimits => ("limits", "◐", "holds with limits"),
            Verdict::DoesNotHold => ("not", "✗", "does not hold"),
            Verdict::NotTestableHere => ("untested", "–", "not testable here"),
        };
        Self { class, sign, word }
    }
}
