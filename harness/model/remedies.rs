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
    /// The Python file, below python_fixtures/remedies/.
    pub program: String,
    /// The function of it that gets the data.
    pub function: String,
    /// Files that it imports.
    #[serde(default)]
    pub helpers: Vec<String>,
    /// Whether other objects take the data's place.
    #[serde(default)]
    pub replaces: bool,
    /// What it imports that Python has not.
    #[serde(default)]
    pub modules: Vec<String>,
    /// A remedy without which this one has no use either.
    pub after: Option<String>,
    /// The first series that has it.
    since: Option<String>,
    /// What older ones lack.
    lacks: Option<String>,
    /// What is done.
    pub does: String,
    /// What that means for the code.
    pub changes: String,
    /// When it can help.
    pub applies: String,
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
    /// Why a series of CPython does not have it, if it does not.
    pub fn missing_in(&self, series: (u32, u32)) -> Option<String> {
        let since = self.since.as_deref()?;
        let (major, minor) = since.split_once('.')?;
        let first = (major.parse().ok()?, minor.parse().ok()?);
        let lacks = self.lacks.as_deref().unwrap_or("such thing");
        (series < first).then(|| format!("CPython before {since} has no {lacks}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_has_a_remedy_from_its_first_one_on() {
        let immortal = remedy("immortal-objects").unwrap();
        assert!(
            immortal
                .missing_in((3, 14))
                .unwrap()
                .contains("before 3.15")
        );
        assert_eq!(immortal.missing_in((3, 15)), None);
        assert_eq!(remedy("gc.freeze").unwrap().missing_in((3, 8)), None);
    }
}
