//! Fixtures that do something at a given time.

use std::process::Command;

use super::place::Place;

/// When a fixture of [`Place::fixture_that`] acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// While its module is executed.
    Import,
    /// While it builds the data.
    Build,
    /// While the parent prepares the data (`--prepare act`).
    Prepare,
    /// While a child visits the data (`--visit act`).
    Visit,
    /// While a child ends Python (`--visit exit`).
    Exit,
}

impl When {
    /// Which process acts, and what it does at that time, in the words of refcow's errors.
    pub fn of_whom(self) -> (&'static str, &'static str) {
        match self {
            Self::Import => ("parent", "loading "),
            Self::Build => ("parent", "building the dataset"),
            Self::Prepare => ("parent", "preparing the data (act)"),
            Self::Visit => ("child", "visiting the data (act)"),
            Self::Exit => ("child", "visiting the data (exit)"),
        }
    }
}

impl Place {
    /// A fixture that builds a little list, and once, at the given time, does what `action` says in
    /// Python.
    pub fn fixture_that(&self, when: When, action: &str) -> String {
        let text = include_str!("../fixtures/acts.py");
        let action = action.replace('\n', "\n    ");
        let text = text
            .replace("WHEN_TO_ACT", &format!("{when:?}").to_lowercase())
            .replace("ACTION", &action);
        self.file("acts.py", &text)
    }

    /// Has a fixture of [`Place::fixture_that`] act.
    pub fn measure_fixture_that(&self, when: When, action: &str) -> Command {
        let fixture = self.fixture_that(when, action);
        let mut measure = self.measure([fixture.as_str(), "--count", "10"]);
        if when == When::Prepare {
            measure.args(["--prepare", "act"]);
        }
        let visit = if when == When::Exit { "exit" } else { "act" };
        measure.args(["--visit", visit]);
        measure
    }
}
