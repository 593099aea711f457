//! One line of `refcow doctor`.

use serde::Serialize;

/// How far something is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// Nothing is lost.
    Good,
    /// Figures can be had, but less than everything.
    Limited,
    /// What it is for cannot be had.
    Unavailable,
    /// The machine does not say.
    Unknown,
}

/// One line of `refcow doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How far it is available.
    pub state: Availability,
    /// What was found, in words and figures.
    pub found: String,
    /// What a user goes without. Absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
    /// How to get it. Absent: nothing to do, or nothing known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    pub(super) fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            state: Availability::Good,
            found: found.into(),
            lost: None,
            remedy: None,
        }
    }

    pub(super) fn less(
        name: &'static str,
        state: Availability,
        found: impl Into<String>,
        lost: &str,
        remedy: &str,
    ) -> Self {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            name,
            state,
            found: found.into(),
            lost: some(lost),
            remedy: some(remedy),
        }
    }
}
