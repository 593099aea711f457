//! What could be done about data that children copy: data of `remedies.toml`.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::embedded::embedded;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remedies {
    #[serde(rename = "remedy")]
    all: Vec<Remedy>,
}

/// One thing that could be done.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// Its name, which no preparation of a user's own can have.
    pub name: String,
    /// In tables.
    pub title: String,
    /// The code, if it is the same for all data.
    code: Option<String>,
    /// The Python file that writes it, below python_fixtures/remedies/.
    pub program: Option<String>,
    /// The function of it that gets the data.
    #[serde(default)]
    pub function: String,
    /// Files that it imports.
    #[serde(default)]
    pub helpers: Vec<String>,
    /// What else the function gets.
    pub given: Option<Given>,
    /// The visits that it is for.
    #[serde(default)]
    pub of: Visits,
    /// Whether it is another one for each visit.
    #[serde(default)]
    pub each: bool,
    /// Whether other objects take the data's place.
    #[serde(default)]
    pub replaces: bool,
    /// Whether the parent makes the visit, too.
    #[serde(default)]
    pub repeats: bool,
    /// Whether it turns huge pages off.
    #[serde(default)]
    pub huge: bool,
    /// Whether a parent that goes on forking must do it again.
    #[serde(default)]
    pub refreezes: bool,
    /// A remedy without which this one has no use either.
    pub after: Option<String>,
    /// The first series that has it.
    since: Option<String>,
    /// Findings of trees that it is for.
    #[serde(default)]
    pub answers: Vec<String>,
    /// What is done.
    pub does: String,
    /// What that means for the code.
    pub changes: String,
    /// When it can help.
    pub applies: String,
    /// What it does not help with.
    pub leaves: String,
}

/// What a remedy's function gets besides the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Given {
    /// The modules that the visit imported.
    Imported,
    /// How many bytes it may take: more helps nobody.
    Room,
}

/// Visits that a remedy is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visits {
    /// Those that use the data.
    #[default]
    Data,
    /// The end of Python.
    Exit,
    /// Both.
    All,
}

/// Those of the data, the simplest first.
pub fn remedies() -> &'static [Remedy] {
    static ALL: LazyLock<Remedies> = LazyLock::new(|| embedded(include_str!("remedies.toml")));
    &ALL.all
}

/// The one of this name, unless a newer refcow knows it alone.
pub fn remedy(name: &str) -> Option<&'static Remedy> {
    remedies().iter().find(|remedy| remedy.name == name)
}

/// A remedy's name in tables.
pub fn title(name: &str) -> &str {
    remedy(name).map_or(name, |remedy| &remedy.title)
}

impl Remedy {
    /// The code that is the same for all data, for a visit.
    pub fn code_for(&self, visit: &str) -> Option<String> {
        let code = self.code.as_deref()?.trim_start();
        Some(code.replace("{visit}", visit))
    }

    /// Whether its code does nothing until it is called.
    pub fn only_calls(&self) -> bool {
        self.code.is_some() && !self.huge
    }

    /// Whether a series of CPython has it.
    pub fn is_in(&self, series: (u32, u32)) -> bool {
        let first = self.since.as_deref().and_then(|since| {
            let (major, minor) = since.split_once('.')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        });
        first.is_none_or(|first| series >= first)
    }

    /// Whether it is for a visit, or for the end of Python.
    pub fn is_for(&self, is_exit: bool) -> bool {
        match self.of {
            Visits::All => true,
            Visits::Data => !is_exit,
            Visits::Exit => is_exit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_has_a_remedy_from_its_first_one_on() {
        let immortal = remedy("immortal-objects").unwrap();
        assert!(!immortal.is_in((3, 14)) && immortal.is_in((3, 15)));
        assert!(remedy("gc.freeze").unwrap().is_in((3, 8)));
    }

    #[test]
    fn each_has_code_or_a_program_that_writes_it() {
        for remedy in remedies() {
            assert_ne!(
                remedy.code.is_some(),
                remedy.program.is_some(),
                "{}",
                remedy.name
            );
            assert_eq!(
                remedy.program.is_some(),
                !remedy.function.is_empty(),
                "{}",
                remedy.name
            );
            assert!(remedy.title.len() <= 18, "{}", remedy.title);
        }
        let before = remedy("visit-before").unwrap();
        assert!(
            before
                .code_for("epoch")
                .unwrap()
                .contains("visit_epoch(data)")
        );
    }

    #[test]
    fn the_end_of_python_has_remedies_of_its_own() {
        let of_exit = |name: &str| remedy(name).unwrap().is_for(true);
        assert!(of_exit("os._exit") && of_exit("gc.freeze") && !of_exit("pickled-rows"));
        assert!(!remedy("os._exit").unwrap().is_for(false));
    }
}
