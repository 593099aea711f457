//! Statements of the article and facts about versions: what each says, what it is tested by, and
//! what follows from which figures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::ClaimsError;
use crate::{RowKey, StartMethod, Unit, Verdict, Version};

/// One statement of the article.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Its short name.
    pub id: String,
    /// What is said, in refcow's words.
    pub statement: String,
    /// What the article leaves out, in a few sentences.
    pub leaves_out: String,
    /// The verdict that refcow expects.
    expected: Verdict,
    /// From an interpreter of this series on, another one.
    #[serde(default)]
    expected_from: BTreeMap<String, Verdict>,
    /// What is measured: `FIXTURE/VISIT`, `FIXTURE+PREPARATION/VISIT`, `observed/NAME` or
    /// `alternatives/WAY/START_METHOD`.
    pub evidence: Vec<String>,
    /// What is taken from it.
    pub figures: Vec<FigureRule>,
    /// How the verdict follows: the first rule that applies. The last applies always.
    pub rules: Vec<Rule>,
}

/// How a figure is taken from the evidence.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FigureRule {
    /// Its name in rules.
    pub name: String,
    /// What it counts.
    pub unit: Unit,
    /// An expression over the evidence: `ints.iterate.share`, `observed.at_fork.pages`.
    pub is: String,
    /// What it is, for people.
    pub means: String,
}

/// A step from figures to a verdict.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// An expression over the figures.
    pub when: String,
    /// What then follows.
    pub verdict: Verdict,
    /// The figure that decides: a template over the figures.
    pub decided_by: String,
    /// Of `holds with limits`: the limit, a template too.
    pub limit: Option<String>,
}

/// Something that is measured for a claim.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// A visit to a dataset.
    Visit {
        /// The fixture: a name, or the path of a file.
        fixture: String,
        /// What the parent does before it forks.
        prepare: Option<String>,
        /// The visit.
        visit: String,
    },
    /// Something besides pages.
    Observed(String),
    /// A way of sharing, among the alternatives.
    Alternative {
        /// The way.
        way: String,
        /// How its children are started.
        start_method: StartMethod,
    },
}

impl Evidence {
    pub(super) fn parse(text: &str) -> Result<Self, ClaimsError> {
        let none = || ClaimsError::Data(format!("{text:?} names no evidence"));
        let (what, name) = text.rsplit_once('/').ok_or_else(none)?;
        if let Some(way) = what.strip_prefix("alternatives/") {
            let start_method = name.parse().map_err(ClaimsError::Data)?;
            let way = way.into();
            return Ok(Self::Alternative { way, start_method });
        }
        Ok(match what {
            "observed" => Self::Observed(name.into()),
            data => {
                let (fixture, prepare) = match data.rsplit_once('+') {
                    Some((fixture, prepare)) => (fixture, Some(prepare.into())),
                    None => (data, None),
                };
                Self::Visit {
                    fixture: fixture.into(),
                    prepare,
                    visit: name.into(),
                }
            }
        })
    }
}

impl Statement {
    /// What is expected with an interpreter of this version.
    pub(crate) fn expected_with(&self, version: &str) -> Verdict {
        let here: Option<Version> = version.parse().ok();
        let later = self
            .expected_from
            .iter()
            .map(|(from, verdict)| (from.parse().ok(), *verdict))
            .filter(|(from, _): &(Option<Version>, _)| from.is_some() && *from <= here)
            .max_by(|(one, _), (other, _)| one.cmp(other));
        later.map_or(self.expected, |(_, verdict)| verdict)
    }
}

/// One fact of `versions.toml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactStatement {
    /// Its short name.
    pub id: String,
    /// What is known, in a sentence.
    pub statement: String,
    /// Where it can be read: PEP, issue or pull request number of CPython's.
    pub source: String,
    /// Whether it is about builds without the GIL, and not about those with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub free_threaded: bool,
    /// What is measured, as claims have it.
    pub evidence: Vec<String>,
    /// What is taken from it.
    pub figures: Vec<FigureRule>,
    /// What the figures will be, from the oldest version on.
    pub predictions: Vec<Prediction>,
}

/// What is predicted from one version on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// From this version on; of the first: from the oldest on.
    pub from: Option<String>,
    /// An expression over the figures.
    pub when: String,
    /// The same in words, with the figures: a template.
    pub says: String,
    /// Of which rows of a comparison with an earlier version it is the cause, where more pages are
    /// copied than there: `FIXTURE/VISIT REGION` or `FIXTURE+PREPARATION/VISIT REGION`, with `*`
    /// for any visit.
    #[serde(default)]
    pub(super) more: Vec<String>,
    /// The same, where fewer are.
    #[serde(default)]
    pub(super) fewer: Vec<String>,
    /// Ids of claims that have another verdict because of it.
    #[serde(default)]
    pub(super) verdicts: Vec<String>,
}

/// Which way a row went, from the older version to the newer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More pages are copied.
    More,
    /// Fewer are.
    Fewer,
    /// A verdict is another.
    Other,
}

impl Prediction {
    pub(super) fn since(&self) -> Option<Version> {
        self.from.as_ref()?.parse().ok()
    }
}

impl FactStatement {
    /// The versions from which on something else is predicted.
    pub fn changes(&self) -> impl Iterator<Item = Version> {
        self.predictions.iter().filter_map(Prediction::since)
    }

    /// What is predicted for a version.
    pub(crate) fn prediction(&self, version: &Version) -> Option<&Prediction> {
        let applies = |one: &&Prediction| one.since().is_none_or(|since| since <= *version);
        self.predictions.iter().rfind(applies)
    }

    /// Whether one of its steps between these versions tells of a change of this row.
    pub(super) fn explains(
        &self,
        row: &RowKey,
        direction: Direction,
        between: (&Version, &Version),
    ) -> bool {
        let (first, last) = between;
        let mut steps = self.predictions.iter().filter(|step| {
            let since = step.since();
            since.is_some_and(|since| *first < since && since <= *last)
        });
        steps.any(|step| match (row, direction) {
            (RowKey::Pages { .. }, Direction::More) => step.more.iter().any(|one| fits(one, row)),
            (RowKey::Pages { .. }, Direction::Fewer) => step.fewer.iter().any(|one| fits(one, row)),
            (RowKey::Claim { id }, _) => step.verdicts.contains(id),
            (RowKey::Fact { id }, _) => *id == self.id,
            (RowKey::Pages { .. }, Direction::Other)
            | (
                RowKey::Cost { .. }
                | RowKey::Memory { .. }
                | RowKey::Way { .. }
                | RowKey::WayWorker { .. },
                _,
            ) => false,
        })
    }
}

/// Whether a row is one of those that a pattern means.
fn fits(pattern: &str, row: &RowKey) -> bool {
    let Some((subject, region)) = pattern.rsplit_once(' ') else {
        return false;
    };
    let named = row.subject();
    let parts = named.rsplit_once('/').zip(subject.rsplit_once('/'));
    row.region().is_some_and(|here| here.as_str() == region)
        && parts.is_some_and(|((data, visit), (wanted_data, wanted_visit))| {
            data == wanted_data && (wanted_visit == "*" || visit == wanted_visit)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RegionName;
    use crate::claims::Claims;
    use rstest::rstest;

    fn row(fixture: &str, prepare: Option<&str>, visit: &str) -> RowKey {
        RowKey::Pages {
            fixture: fixture.into(),
            prepare: prepare.map(Into::into),
            visit: visit.into(),
            sharing: "fork".into(),
            region: RegionName::Header,
        }
    }

    #[rstest]
    #[case("ints/iterate header", true)]
    #[case("ints/* header", true)]
    #[case("ints/iterate spine", false)]
    #[case("ints/read header", false)]
    #[case("ints/iterate", false)]
    #[case("ints+freeze/iterate header", false)]
    #[case("*/iterate header", false)]
    fn patterns_mean_rows(#[case] pattern: &str, #[case] means: bool) {
        assert_eq!(fits(pattern, &row("ints", None, "iterate")), means);
    }

    #[test]
    fn a_prepared_dataset_is_another_than_the_plain_one() {
        let prepared = row("ints", Some("freeze"), "iterate");
        assert!(fits("ints+freeze/iterate header", &prepared));
        assert!(!fits("ints/iterate header", &prepared));
    }

    const TWO_STEPS: &str = r#"
        [[fact]]
        id = "f"
        statement = "s"
        source = "PEP 0"
        evidence = ["ints/iterate"]
        figures = [{ name = "n", unit = "pages", is = "ints.iterate.unshared", means = "m" }]
        predictions = [
          { when = "n == 1", says = "one: {{ n }}" },
          { from = "3.10.6", when = "n == 2", says = "two: {{ n }}", more = ["ints/* header"], verdicts = ["c"] },
          { from = "3.12", when = "n == 3", says = "three: {{ n }}", fewer = ["ints/* header"] },
        ]
    "#;

    #[test]
    fn the_last_prediction_that_a_version_has_reached_applies() {
        let facts = Claims::parse(TWO_STEPS).unwrap();
        let says = |version: &str| {
            let version = version.parse().unwrap();
            &facts.facts[0].prediction(&version).unwrap().when[..]
        };
        assert_eq!(says("3.8.18"), "n == 1");
        assert_eq!(says("3.10.5"), "n == 1");
        assert_eq!(says("3.10.6"), "n == 2");
        assert_eq!(says("3.11.0"), "n == 2");
        assert_eq!(says("3.12.0rc1"), "n == 3");
        assert_eq!(says("3.15.0"), "n == 3");
    }

    #[test]
    fn a_change_is_explained_by_a_step_between_that_goes_the_same_way() {
        use Direction::{Fewer, More, Other};
        let facts = Claims::parse(TWO_STEPS).unwrap();
        let told = |row: &RowKey, direction, from: &str, to: &str| {
            let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
            !facts.explaining(row, direction, &from, &to).is_empty()
        };
        let row = row("ints", None, "read");
        assert!(told(&row, Fewer, "3.11.7", "3.12.1"));
        assert!(!told(&row, More, "3.11.7", "3.12.1"));
        assert!(told(&row, More, "3.12.1", "3.11.7"));
        assert!(told(&row, More, "3.10.5", "3.10.6"));
        assert!(!told(&row, Fewer, "3.10.5", "3.10.6"));
        assert!(!told(&row, More, "3.10.6", "3.11.7"));
        assert!(!told(&row, Fewer, "3.12.1", "3.12.2"));
        let claim = |id: &str| RowKey::Claim { id: id.into() };
        assert!(told(&claim("c"), Other, "3.10.5", "3.10.6"));
        assert!(!told(&claim("c"), Other, "3.11.7", "3.12.0"));
        assert!(!told(&claim("d"), Other, "3.10.5", "3.10.6"));
        let fact = |id: &str| RowKey::Fact { id: id.into() };
        assert!(told(&fact("f"), Other, "3.11.7", "3.12.0"));
        assert!(!told(&fact("g"), Other, "3.11.7", "3.12.0"));
        assert!(!told(&fact("f"), Other, "3.12.0", "3.12.1"));
    }

    #[rstest]
    #[case::unordered(&TWO_STEPS.replace("3.10.6", "3.14"), "ascending order")]
    #[case::without_from(&TWO_STEPS.replace("from = \"3.12\", ", ""), "ascending order")]
    #[case::no_version(&TWO_STEPS.replace("3.10.6", "three"), "ascending order")]
    #[case::unknown_figure(&TWO_STEPS.replace("n == 2", "m == 2"), "there is no figure `m`")]
    #[case::no_row(&TWO_STEPS.replace("ints/* header", "ints/*"), "names no row")]
    #[case::no_evidence(&TWO_STEPS.replace("ints/iterate\"]", "ints\"]"), "names no evidence")]
    fn what_is_no_fact_is_refused(#[case] text: &str, #[case] reason: &str) {
        let error = Claims::parse(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
