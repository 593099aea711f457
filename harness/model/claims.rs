//! The statements of the article, put to the test: which measurements each needs, and the verdict
//! that follows.
//!
//! Statements, rules and limits are data (`claims.toml`); what is here reads them. Nothing here
//! measures, and no figure of a measurement stands in the data: a rule compares figures with each
//! other and with thresholds that it states.

mod anew;
mod context;
mod data;
mod error;
mod facts;
mod judge;
mod statement;

use std::collections::BTreeMap;
use std::mem;

pub(crate) use anew::agrees;
pub use anew::{check, contradiction};
pub use data::{Claims, Effort, Elements, HANDED_OVER_BYTES, LEAST_HANDED_OVER_BYTES};
pub use error::ClaimsError;
pub use judge::{Figures, Judged};
pub use statement::{Direction, Evidence, FactStatement, FigureRule, Prediction, Rule, Statement};

use crate::{Run, Verdict};

/// What is expected of some claims, in place of what refcow expects itself.
pub type Expectations = BTreeMap<String, Verdict>;

/// Takes from a run that was ended the verdicts and facts whose evidence it came not to: from a
/// part of that another may follow than from all.
pub fn keep_settled(run: &mut Run) {
    let (claims, facts) = (mem::take(&mut run.claims), mem::take(&mut run.facts));
    let claims = claims.into_iter();
    let claims = claims.filter(|claim| judge::is_settled(&claim.evidence, run));
    let claims = claims.collect();
    let facts = facts.into_iter();
    let facts = facts.filter(|fact| judge::is_settled(&fact.evidence, run));
    run.facts = facts.collect();
    run.claims = claims;
}

impl Claims {
    /// Reads what `--expect` names: TOML, `id = "verdict"`.
    ///
    /// # Errors
    /// When it is no such text.
    pub fn expectations(&self, path: &str, text: &str) -> Result<Expectations, ClaimsError> {
        let wrong = |reason: String| ClaimsError::Expectations {
            path: path.to_owned(),
            reason,
        };
        let all: Expectations =
            toml::from_str(text).map_err(|error| wrong(error.to_string().trim_end().to_owned()))?;
        for id in all.keys() {
            self.find(id).map_err(|error| wrong(error.to_string()))?;
        }
        Ok(all)
    }

    /// A verdict on each of these claims, from what the run holds.
    ///
    /// # Errors
    /// When a rule cannot be read, which a test of the data excludes.
    pub fn judge(
        &self,
        ids: &[String],
        run: &Run,
        expectations: &Expectations,
    ) -> Result<Vec<crate::Claim>, ClaimsError> {
        let context = context::of(run);
        let chosen = self.choose(ids)?;
        let verdicts = chosen.into_iter().map(|statement| {
            let mut claim = statement.claim(&context, run)?;
            if let Some(expected) = expectations.get(&statement.id) {
                claim.expected = *expected;
            }
            Ok(claim)
        });
        verdicts.collect()
    }

    /// What came of each of these facts, from what the run holds.
    ///
    /// # Errors
    /// When an expression cannot be read, which a test of the data excludes.
    pub fn judge_facts(&self, ids: &[String], run: &Run) -> Result<Vec<crate::Fact>, ClaimsError> {
        let context = context::of(run);
        let chosen = self.choose_facts(ids)?.into_iter();
        // Unless it is named, what is about other builds is not worth a row.
        let is_wanted = |fact: &&FactStatement| !ids.is_empty() || fact.is_about(&run.python);
        let chosen = chosen.filter(is_wanted);
        chosen.map(|fact| fact.fact(&context, run)).collect()
    }
}
