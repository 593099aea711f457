//! The best remedy once more, and right before it the data as it is once more: what has changed on the machine in between is
//! no saving.

use std::collections::BTreeSet;

use super::planning::Planned;
use super::trial::{VisitSeconds, Which, attempt, build_with, is_passed_over, times};
use super::{Trials, saved};
use crate::advice::{rank, tree_noise_of};
use crate::experiment::dataset::{DatasetError, build};
use crate::experiment::measure::{Measured, visit_all};
use crate::experiment::plan::Dataset;
use crate::experiment::steps::Step;
use crate::model::{Advice, MeasuredAgain, Measurement, SecondTrial};
use crate::observe::page_size;
use crate::remedies::{Remedy, remedy};

/// A remedy that is the best of some visits, and was tried once.
struct Best {
    remedy: &'static Remedy,
    planned: Planned,
    visits: Vec<String>,
}

impl Trials<'_> {
    /// Measures the best remedy of each visit a second time, until it is still the best afterwards or there is none.
    pub(super) fn again(
        &self,
        all: &mut [Advice],
        step: &mut dyn FnMut(Step<'_>),
    ) -> Result<(), DatasetError> {
        let mut tried = BTreeSet::new();
        while let Some(best) = untried(all, &tried) {
            let dataset = &Dataset {
                visits: best.visits.clone(),
                ..self.dataset.clone()
            };
            let (plain, plain_seconds) = self.as_it_is_again(&best, dataset, step)?;
            // That it does the same is known by now.
            let which = Which {
                remedy: best.remedy,
                planned: &best.planned,
                compare: false,
            };
            let trial = attempt(self.plan, dataset, which, self.launch, &|_| true, step)?;
            for advice in all
                .iter_mut()
                .filter(|one| best.visits.contains(&one.visit))
            {
                let plain = plain.iter().find(|one| one.visit == advice.visit);
                let with = trial.as_ref().ok().and_then(|trial| {
                    let visited = trial.visits.get(&advice.visit)?.as_ref();
                    visited.ok().map(|(measurement, _)| measurement)
                });
                let seconds = trial.as_ref().ok().map(|trial| &trial.seconds);
                let seconds = [Some(&plain_seconds), seconds].map(|all| {
                    all.and_then(|all| all.get(&advice.visit))
                        .map_or(&[][..], Vec::as_slice)
                });
                note(advice, &best.remedy.name, plain, with);
                note_times(advice, &best.remedy.name, seconds);
                tried.insert((advice.visit.clone(), best.remedy.name.clone()));
            }
        }
        for advice in all {
            let best = advice
                .best()
                .and_then(|best| advice.prepared(Some(&best.remedy)));
            let is_best =
                |again: &MeasuredAgain| again.measurement.prepare == best && best.is_some();
            advice.measured_again = advice.measured_again.take().filter(|again| is_best(again));
        }
        Ok(())
    }

    /// The data as it is once more, and the times of each visit; nothing where it could not be measured.
    ///
    /// The code of a remedy that only calls something stands there, too, and is not called: a heap that begins elsewhere for it
    /// is no saving either.
    fn as_it_is_again(
        &self,
        best: &Best,
        dataset: &Dataset,
        step: &mut dyn FnMut(Step<'_>),
    ) -> Result<(Vec<Measurement>, VisitSeconds), DatasetError> {
        let (plan, launch) = (self.plan, self.launch);
        let mut seconds = VisitSeconds::new();
        step(Step::Building {
            fixture: &dataset.fixture.name,
        });
        let anew = || match best.remedy.only_calls() {
            true => {
                let codes = [&best.planned.code[..], ""];
                build_with(plan, dataset, &best.remedy.title, &codes, launch)
                    .map(|(built, _)| built)
            }
            false => build(plan, dataset, launch),
        };
        match anew().and_then(|built| visit_all(plan, dataset, built, anew, step)) {
            Ok(Measured {
                measurements,
                subject,
                ..
            }) => {
                if let Some(mut subject) = subject {
                    for Measurement { visit, .. } in &measurements {
                        let timed = times(&mut subject, visit, &dataset.fixture.name)?;
                        seconds.insert(visit.clone(), timed);
                    }
                }
                Ok((measurements, seconds))
            }
            Err(error) if is_passed_over(&error) => Ok((Vec::new(), seconds)),
            Err(error) => Err(error),
        }
    }
}

/// A remedy that is the best of visits with which it was not tried again.
fn untried(all: &[Advice], tried: &BTreeSet<(String, String)>) -> Option<Best> {
    let mut best = all.iter().filter_map(|advice| {
        let best = advice.best()?;
        let key = (advice.visit.clone(), best.remedy.clone());
        (!tried.contains(&key)).then_some((advice, best))
    });
    let (first, of_first) = best.next()?;
    let alike = |(_, one): &(&Advice, &crate::model::Tried)| {
        one.remedy == of_first.remedy && one.code == of_first.code
    };
    let others = best.filter(alike).map(|(advice, _)| advice.visit.clone());
    Some(Best {
        remedy: remedy(&of_first.remedy)?,
        planned: Planned {
            code: of_first.code.join("\n") + "\n",
            ..Planned::default()
        },
        visits: std::iter::once(first.visit.clone()).chain(others).collect(),
    })
}

/// Adds the times of the data as it is and of a remedy: a machine that was busier the first time made no visit faster.
fn note_times(advice: &mut Advice, name: &str, [plain, with]: [&[f64]; 2]) {
    // Of one alone, they would say more of the machine.
    if plain.is_empty() || with.is_empty() {
        return;
    }
    advice.visit_seconds.extend_from_slice(plain);
    let mut remedies = advice.remedies.iter_mut();
    if let Some(one) = remedies.find(|one| one.remedy == name) {
        one.visit_seconds.extend_from_slice(with);
    }
}

/// Takes down what the second time gave. By so much as the data as it is differed between both times, nothing is saved.
fn note(advice: &mut Advice, name: &str, plain: Option<&Measurement>, with: Option<&Measurement>) {
    let tree = |one: &Measurement| advice.tree.and(one.tree_bytes(page_size()));
    let (plain, with_tree) = (plain.and_then(tree), with.and_then(tree));
    let again = with.map(|measurement| {
        Box::new(MeasuredAgain {
            saved_bytes: saved(advice, measurement),
            tree: with_tree,
            measurement: measurement.clone(),
        })
    });
    let mut remedies = advice.remedies.iter_mut();
    if let Some(one) = remedies.find(|one| one.remedy == name) {
        let both = plain.zip(with_tree);
        one.second = both.map(|(as_it_is, tree)| SecondTrial { as_it_is, tree });
    }
    advice.tree_noise_bytes = advice
        .tree_noise_bytes
        .map(|noise| tree_noise_of(advice, noise));
    let mut remedies = std::mem::take(&mut advice.remedies);
    rank(advice, &mut remedies);
    advice.remedies = remedies;
    advice.measured_again = again;
}
