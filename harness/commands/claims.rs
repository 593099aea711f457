//! `refcow claims`: what holds of the article.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::error::CommandError;
use super::options::{RunOptions, WordsFormat};
use super::rules;
use super::session::{self, Judge, MeasureRequest};
use super::sharing;
use crate::claims::{Claims, Effort, Expectations};
use crate::experiment::sharing::variant::Selection as WantedWays;
use crate::report;

#[derive(Debug, Args)]
pub struct ClaimsArgs {
    /// Only these claims, each explained in full [default: all, and the ways to share]
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Small data, in a few seconds
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Large data, in minutes
    #[arg(long)]
    full: bool,
    /// A file of lines `id = "verdict"` that replaces refcow's own expectations [status 1 if a verdict differs]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    expect: Option<PathBuf>,
    /// Other claims than refcow's own, in the form of harness/model/claims/claims.toml
    #[arg(long, value_name = "FILE", hide = true)]
    claims: Option<PathBuf>,
    /// How to write the verdicts
    #[arg(long, value_enum, default_value_t)]
    format: WordsFormat,
    #[command(flatten)]
    run: RunOptions,
}

impl ClaimsArgs {
    /// All that has to be measured to judge these claims, and how they are judged.
    pub fn request(&self) -> Result<MeasureRequest, CommandError> {
        let (rules, rules_from) = rules::read(self.claims.as_deref(), Claims::builtin())?;
        let effort = match (self.quick, self.full) {
            (true, _) => Effort::Quick,
            (_, true) => Effort::Full,
            _ => Effort::Default,
        };
        let (children, force) = (self.run.children(), self.run.force);
        let size_bytes = rules.alternatives.with(effort);
        // The table shows all of them below refcow's own claims; they are not quick.
        let all = self.ids.is_empty() && rules_from.is_none() && effort != Effort::Quick;
        let mut ways = match all {
            true => WantedWays::new(&[], None, size_bytes, children, force)?,
            false => WantedWays::none(size_bytes, children, force),
        };
        let mut plan = self.run.plan();
        let evidence = rules.evidence(&self.ids)?;
        rules::add_evidence(&mut plan, &mut ways, rules, effort, evidence)?;
        if all {
            plan.datasets.extend(sharing::mitigated(size_bytes)?);
        }
        // No claim is about the time of a visit, which recording makes longer.
        plan.causes = true;
        plan.alternatives = (!ways.chosen.is_empty()).then_some(ways);
        let expected = match &self.expect {
            Some(path) => rules::expectations(rules, path)?,
            None => Expectations::new(),
        };
        Ok(MeasureRequest {
            plan,
            judge: Judge::Claims(self.ids.clone(), expected),
            rules,
            rules_from,
        })
    }

    pub fn run(&self, words: Vec<String>) -> Result<(), CommandError> {
        let request = self.request()?;
        let explained = match self.ids.is_empty() {
            true => Vec::new(),
            false => request.rules.choose(&self.ids)?,
        };
        let render = |report: &_, style| report::render_claims(report, &explained, style);
        let report = session::run_in_words(&request, &self.run, words, self.format, render)?;
        let unexpected: Vec<_> = session::of_all(&report.runs, |run| &run.claims)
            .filter(|(_, claim)| claim.verdict != claim.expected)
            .map(|(of, claim)| {
                format!(
                    "{of}{}: {}, expected: {}",
                    claim.id, claim.verdict, claim.expected
                )
            })
            .collect();
        match unexpected.is_empty() {
            true => Ok(()),
            false => Err(CommandError::Unexpected(unexpected)),
        }
    }
}
