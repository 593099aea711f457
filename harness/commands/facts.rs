//! `refcow facts`: what is known of versions of Python, put to the test.

use std::path::PathBuf;

use clap::Args;

use super::error::CommandError;
use super::options::{RunOptions, WordsFormat};
use super::rules;
use super::session::{self, Judge, MeasureRequest};
use crate::claims::{Claims, Effort};
use crate::experiment::sharing::variant::Selection as WantedWays;
use crate::model;
use crate::report;

#[derive(Debug, Args)]
pub struct FactsArgs {
    /// Only these facts [default: all]
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Other facts than refcow's own, in the form of harness/model/claims/versions.toml
    #[arg(long, value_name = "FILE", hide = true)]
    facts: Option<PathBuf>,
    /// How to write the facts
    #[arg(long, value_enum, default_value_t)]
    format: WordsFormat,
    #[command(flatten)]
    run: RunOptions,
}

impl FactsArgs {
    /// All that has to be measured to test these facts, and how they are judged.
    pub fn request(&self) -> Result<MeasureRequest, CommandError> {
        let (rules, rules_from) = rules::read(self.facts.as_deref(), Claims::versions())?;
        let effort = Effort::Default;
        let size_bytes = rules.alternatives.with(effort);
        let mut ways = WantedWays::none(size_bytes, self.run.children(), self.run.force);
        let mut plan = self.run.plan();
        let evidence = rules.evidence_of_facts(&self.ids)?;
        rules::add_evidence(&mut plan, &mut ways, rules, effort, evidence)?;
        plan.alternatives = (!ways.chosen.is_empty()).then_some(ways);
        Ok(MeasureRequest {
            plan,
            judge: Judge::Facts(self.ids.clone()),
            rules,
            rules_from,
        })
    }

    pub fn run(&self, words: Vec<String>) -> Result<(), CommandError> {
        let request = self.request()?;
        let render = |report: &_, style| report::render_facts(report, request.rules, style);
        let report = session::run_in_words(&request, &self.run, words, self.format, render)?;
        let otherwise: Vec<_> = session::of_all(&report.runs, |run| &run.facts)
            .filter(|(_, fact)| fact.outcome == model::Outcome::Otherwise)
            .map(|(of, fact)| {
                let found = fact.found.as_deref().unwrap_or_default();
                format!("{of}{}: not as predicted: {found}", fact.id)
            })
            .collect();
        match otherwise.is_empty() {
            true => Ok(()),
            false => Err(CommandError::NotAsPredicted(otherwise)),
        }
    }
}
