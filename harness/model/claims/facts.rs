//! What is known of versions of Python: what was predicted for one of them, and what changes it explains between two.

use serde::{Deserialize, Serialize};

use super::data::{Claims, Evidence, FigureRule};
use super::judge::{self, Checked, Figures};
use super::{Error, anew, context};
use crate::{Fact, Outcome, RegionName, RowKey, Run, Version};

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
    /// Of which rows of a comparison with an earlier version it is the cause, where more pages are copied than there:
    /// `FIXTURE/VISIT REGION` or `FIXTURE+PREPARATION/VISIT REGION`, with `*` for any visit.
    #[serde(default)]
    more: Vec<String>,
    /// The same, where fewer are.
    #[serde(default)]
    fewer: Vec<String>,
    /// Ids of claims that have another verdict because of it.
    #[serde(default)]
    verdicts: Vec<String>,
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
    fn since(&self) -> Option<Version> {
        self.from.as_ref()?.parse().ok()
    }
}

impl FactStatement {
    /// Refuses what could not be judged, before anything is measured for it.
    ///
    /// # Errors
    /// When an expression or a template is none, or the predictions are not in their order.
    pub(super) fn check(&self) -> Result<(), Error> {
        let wrong = |reason: String| Err(Error::Data(format!("{}: {reason}", self.id)));
        let checked = Checked::figures(&self.id, &self.figures)?;
        for text in &self.evidence {
            Evidence::parse(text)?;
        }
        let mut last = None;
        for (number, prediction) in self.predictions.iter().enumerate() {
            checked.condition(&prediction.when)?;
            checked.sentence(&prediction.says)?;
            let rows = prediction.more.iter().chain(&prediction.fewer);
            for pattern in rows {
                let region = pattern.rsplit_once(' ').map(|(_, region)| region);
                let known = RegionName::ALL
                    .iter()
                    .any(|name| Some(name.as_str()) == region);
                if !known || !pattern.contains('/') {
                    return wrong(format!("{pattern:?} names no row: FIXTURE/VISIT REGION"));
                }
            }
            let since = prediction.since();
            if since.is_some() != (number > 0) || since < last {
                return wrong(
                    "of the predictions the first has no `from`, and the others have versions in ascending order".into(),
                );
            }
            last = since;
        }
        match self.predictions.is_empty() {
            true => wrong("there is no prediction".into()),
            false => Ok(()),
        }
    }

    /// The versions from which on something else is predicted.
    pub fn changes(&self) -> impl Iterator<Item = Version> {
        self.predictions.iter().filter_map(Prediction::since)
    }

    /// What is predicted for a version.
    pub(crate) fn prediction(&self, version: &Version) -> Option<&Prediction> {
        let applies = |one: &&Prediction| one.since().is_none_or(|since| since <= *version);
        self.predictions.iter().rfind(applies)
    }

    /// Whether the prediction for this version came true with these figures, and the sentence about it.
    ///
    /// # Errors
    /// When an expression or a template is none.
    pub fn judge(
        &self,
        figures: &Figures,
        version: &Version,
    ) -> Result<(Outcome, Option<String>), Error> {
        let Some(prediction) = self.prediction(version) else {
            return Ok((Outcome::NotTestableHere, None));
        };
        let values = judge::values(figures);
        let true_here = judge::evaluate(&self.id, &prediction.when, &values)?;
        let says = judge::sentence(&self.id, &prediction.says, &values)?;
        Ok(match (true_here, says) {
            (Some(true_here), Some(says)) if true_here.is_true() => {
                (Outcome::AsPredicted, Some(says))
            }
            (Some(_), Some(says)) => (Outcome::Otherwise, Some(says)),
            _ => (Outcome::NotTestableHere, None),
        })
    }

    /// What came of it with the evidence of a run.
    pub(super) fn fact(&self, context: &minijinja::Value, run: &Run) -> Result<Fact, Error> {
        let figures = judge::take_figures(&self.id, &self.figures, context)?;
        let (outcome, found) = match run.python.order() {
            Some(version) => self.judge(&figures, &version)?,
            None => (Outcome::NotTestableHere, None),
        };
        let why = (outcome == Outcome::NotTestableHere).then(|| {
            let lacking = judge::lacking(&self.figures, &figures);
            judge::why_lacking(&self.evidence, &lacking, run)
        });
        Ok(Fact {
            id: self.id.clone(),
            statement: self.statement.clone(),
            source: self.source.clone(),
            changes: self.changes().map(|since| since.to_string()).collect(),
            outcome,
            found,
            not_testable_because: why,
            figures,
            evidence: self.evidence.clone(),
            rules_sha256: Some(anew::rules_sha256(self)),
        })
    }

    /// Whether one of its steps between these versions tells of a change of this row.
    fn explains(&self, row: &RowKey, direction: Direction, between: (&Version, &Version)) -> bool {
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
            | (RowKey::Cost { .. } | RowKey::Memory { .. }, _) => false,
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

impl Claims {
    /// The facts with these ids, in their own order; all if none is given.
    ///
    /// # Errors
    /// When an id is unknown.
    pub(crate) fn choose_facts(&self, ids: &[String]) -> Result<Vec<&FactStatement>, Error> {
        for id in ids {
            if !self.facts.iter().any(|fact| fact.id == *id) {
                let known = self.facts.iter().map(|fact| &fact.id[..]);
                return Err(Error::UnknownFact {
                    id: id.clone(),
                    offer: crate::suggest::offer(id, known, "facts"),
                });
            }
        }
        let wanted = |fact: &&FactStatement| ids.is_empty() || ids.contains(&fact.id);
        Ok(self.facts.iter().filter(wanted).collect())
    }

    /// What came of each of these facts, from what the run holds.
    ///
    /// # Errors
    /// When an expression cannot be read, which a test of the data excludes.
    pub fn judge_facts(&self, ids: &[String], run: &Run) -> Result<Vec<Fact>, Error> {
        let context = context::of(run);
        let chosen = self.choose_facts(ids)?.into_iter();
        chosen.map(|fact| fact.fact(&context, run)).collect()
    }

    /// The facts that tell of a change of this row from one version to another, whichever is the older.
    pub fn explaining(
        &self,
        row: &RowKey,
        direction: Direction,
        from: &Version,
        to: &Version,
    ) -> Vec<&FactStatement> {
        let direction = match direction {
            Direction::More if from > to => Direction::Fewer,
            Direction::Fewer if from > to => Direction::More,
            direction => direction,
        };
        let between = (from.min(to), from.max(to));
        self.facts
            .iter()
            .filter(|fact| fact.explains(row, direction, between))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RegionName;
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
