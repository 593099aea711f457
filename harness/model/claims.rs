//! The statements of the article, put to the test: which measurements each needs, and the verdict that follows.
//!
//! Statements, rules and limits are data (`claims.toml`); what is here reads them. Nothing here measures, and no figure
//! of a measurement stands in the data: a rule compares figures with each other and with thresholds that it states.

mod anew;
mod context;
mod data;
mod facts;
mod judge;

use std::collections::BTreeMap;
use std::mem;

pub(crate) use anew::agrees;
pub use anew::{check, contradiction};
pub use data::{
    Claims, Effort, Elements, Evidence, FigureRule, HANDED_OVER_BYTES, LEAST_HANDED_OVER_BYTES,
    Rule, Statement,
};
pub use facts::{Direction, FactStatement, Prediction};
pub use judge::{Figures, Judged};

use crate::{Run, Verdict};

/// Why claims cannot be chosen or read.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// No claim of that id.
    #[error("refcow knows no claim `{id}`")]
    #[diagnostic(help("{offer}"))]
    UnknownClaim {
        /// As the user wrote it.
        id: String,
        /// The nearest, and all.
        offer: String,
    },
    /// No fact of that id.
    #[error("refcow knows no fact `{id}`")]
    #[diagnostic(help("{offer}"))]
    UnknownFact {
        /// As the user wrote it.
        id: String,
        /// The nearest, and all.
        offer: String,
    },
    /// What is said about claims cannot be understood.
    #[error("in the claims: {0}")]
    #[diagnostic(help("claims are written as in refcow's own harness/model/claims/claims.toml"))]
    Data(String),
    /// A file of claims cannot be read.
    #[error("{path}: {reason}")]
    #[diagnostic(help(
        "--claims takes a file in the form of refcow's own harness/model/claims/claims.toml"
    ))]
    File {
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// A file of expectations.
    #[error("{path}: {reason}")]
    #[diagnostic(help(
        "a file of expectations has a line for each claim that it speaks of: id = \"holds\", \"holds with limits\", \
         \"does not hold\" or \"not testable here\""
    ))]
    Expectations {
        /// The file.
        path: String,
        /// What is wrong with it, and where.
        reason: String,
    },
}

/// What is expected of some claims, in place of what refcow expects itself.
pub type Expectations = BTreeMap<String, Verdict>;

/// Takes from a run that was ended the verdicts and facts whose evidence it came not to: from a part of that another may
/// follow than from all.
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
    pub fn expectations(&self, path: &str, text: &str) -> Result<Expectations, Error> {
        let wrong = |reason: String| Error::Expectations {
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
    ) -> Result<Vec<crate::Claim>, Error> {
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
}

impl Statement {
    /// What follows for it from the evidence of a run.
    fn claim(&self, context: &minijinja::Value, run: &Run) -> Result<crate::Claim, Error> {
        let figures = judge::take_figures(&self.id, &self.figures, context)?;
        let judged = self.judge(&figures)?;
        let why = judged
            .lacking
            .as_deref()
            .map(|lacking| judge::why_lacking(&self.evidence, lacking, run));
        Ok(crate::Claim {
            id: self.id.clone(),
            statement: self.statement.clone(),
            verdict: judged.verdict,
            expected: self.expected_with(&run.python.version),
            decided_by: judged.decided_by,
            limit: judged.limit,
            not_testable_because: why,
            figures,
            evidence: self.evidence.clone(),
            rules_sha256: Some(anew::rules_sha256(self)),
        })
    }
}
