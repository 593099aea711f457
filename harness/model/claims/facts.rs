//! What is known of versions of Python: what was predicted for one of them, and what changes it
//! explains between two.

use super::error::ClaimsError;
use super::judge::{self, Checked, Figures};
use super::statement::{Evidence, FactStatement};
use crate::{Fact, Outcome, Python, RegionName, Run, Version};

impl FactStatement {
    /// Refuses what could not be judged, before anything is measured for it.
    ///
    /// # Errors
    /// When an expression or a template is none, or the predictions are not in their order.
    pub(super) fn check(&self) -> Result<(), ClaimsError> {
        let wrong = |reason: String| Err(ClaimsError::Data(format!("{}: {reason}", self.id)));
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

    /// Whether the prediction for this version came true with these figures, and the sentence about
    /// it.
    ///
    /// # Errors
    /// When an expression or a template is none.
    pub fn judge(
        &self,
        figures: &Figures,
        version: &Version,
    ) -> Result<(Outcome, Option<String>), ClaimsError> {
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

    /// Whether it says something of such a build.
    pub(super) fn is_about(&self, python: &Python) -> bool {
        self.free_threaded == python.free_threaded
    }

    /// What came of it with the evidence of a run.
    pub(super) fn fact(&self, context: &minijinja::Value, run: &Run) -> Result<Fact, ClaimsError> {
        let figures = judge::take_figures(&self.id, &self.figures, context)?;
        let (outcome, found) = match run.python.order() {
            Some(version) => self.judge(&figures, &version)?,
            None => (Outcome::NotTestableHere, None),
        };
        let why = (outcome == Outcome::NotTestableHere).then(|| {
            let lacking = judge::lacking(&self.figures, &figures);
            match (self.is_about(&run.python), self.free_threaded) {
                (true, _) => judge::why_lacking(&self.evidence, &lacking, run),
                (false, true) => "it is about builds without the GIL".to_owned(),
                (false, false) => "it is about builds with the GIL".to_owned(),
            }
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
            rules_sha256: Some(judge::rules_sha256(self)),
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::claims::Claims;
    use crate::{Figure, Value};

    /// What the figures of a fact were, and one of them as it would be otherwise.
    #[rstest]
    #[case("local-counts", &[("pages", 236), ("counts", 235), ("names", 1000), ("local", 1000), ("shared", 0)], ("local", 0))]
    #[case("shared-counts", &[("pages", 236), ("counts", 236), ("names", 1000), ("local", 0), ("shared", 1000)], ("counts", 0))]
    #[case("mortal-values", &[("int_pages", 238), ("ints", 238), ("string_pages", 407), ("strings", 407), ("interned_pages", 407), ("interned", 0)], ("interned", 407))]
    #[case("collection-writes", &[("pages", 333), ("collected", 333), ("float_pages", 238), ("floats", 0)], ("floats", 238))]
    #[case("freeze-without-gil", &[("pages", 333), ("frozen", 0), ("read_pages", 333), ("read", 333)], ("frozen", 333))]
    #[case("functions-called", &[("pages", 100), ("called", 100), ("after_pages", 100), ("after", 0)], ("after", 100))]
    fn no_prediction_without_the_gil_is_foregone(
        #[case] id: &str,
        #[case] found: &[(&str, i64)],
        #[case] otherwise: (&str, i64),
    ) {
        let mut facts = Claims::versions().facts.iter();
        let fact = facts.find(|fact| fact.id == id).unwrap();
        assert!(fact.free_threaded);
        let mut figures = Figures::new();
        for rule in &fact.figures {
            let (_, value) = found.iter().find(|(name, _)| *name == rule.name).unwrap();
            let value = Value::Count(*value);
            let unit = rule.unit;
            figures.insert(rule.name.clone(), Figure { value, unit });
        }
        let version = "3.13.5".parse().unwrap();
        let outcome = |figures: &Figures| fact.judge(figures, &version).unwrap().0;
        assert_eq!(outcome(&figures), Outcome::AsPredicted);
        let (name, value) = otherwise;
        figures.get_mut(name).unwrap().value = Value::Count(value);
        assert_eq!(outcome(&figures), Outcome::Otherwise);
        figures.remove(name);
        assert_eq!(outcome(&figures), Outcome::NotTestableHere);
    }
}
