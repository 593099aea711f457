//! What could be done about the memory that a dataset's visits copy and make: each remedy in a subject
//! of its own, with the same visits, counted in the same way.

mod again;
mod planning;
mod trial;

use std::collections::{BTreeMap, BTreeSet};

use self::planning::{Planned, plan_for};
use self::trial::{RemedyVisit, Trial, Which, attempt, times};
use super::dataset::{DatasetError, build};
use super::measure::{FailedVisit, Measured, visit_all};
use super::plan::{Dataset, Plan};
use super::steps::Step;
use crate::advice::{
    copied_bytes, finding, is_worth_a_try, more_of_workers, noise_bytes, rank, saved_bytes,
    tree_noise_bytes,
};
use crate::driver::{Launch, Subject};
use crate::fixtures::EXIT;
use crate::model::{self, Advice, Cause, Measurement, Tried, Warning};
use crate::observe::{page_size, rss_bytes};
use crate::python::ReadyInterpreter;
use crate::remedies::{Remedy, remedies};

/// What came of one dataset.
pub struct Advised {
    /// Of the data as it is, then with each remedy.
    pub measurements: Vec<Measurement>,
    /// One a visit.
    pub advice: Vec<Advice>,
    /// What limits them.
    pub warnings: BTreeSet<Warning>,
    /// Visits of the data as it is that could not be measured, and so not be advised on.
    pub(super) failed: Vec<FailedVisit>,
}

/// What all remedies are tried with.
struct Trials<'a> {
    plan: &'a Plan,
    dataset: &'a Dataset,
    launch: &'a Launch,
    /// What each visit does as it is.
    as_it_is: &'a [Measurement],
}

/// Measures a dataset as it is and with each remedy, and ranks them.
///
/// # Errors
/// When it cannot be measured as it is, or the run must end. A remedy that fails is one that does
/// not apply.
pub fn run(
    plan: &Plan,
    dataset: &Dataset,
    ready: &ReadyInterpreter,
    launch: &Launch,
    step: &mut dyn FnMut(Step<'_>),
) -> Result<Advised, DatasetError> {
    let each = plan.steps_of_visits(dataset);
    let fixture = &dataset.fixture.name;
    step(Step::Building { fixture });
    // As `refcow measure` does, so that its figures are those.
    let plan = &Plan {
        memory: true,
        ..plan.clone()
    };
    let built = build(plan, dataset, launch)?;
    let parent_bytes = rss_bytes(built.subject.pid());
    let anew = || build(plan, dataset, launch);
    let Measured {
        measurements: as_it_is,
        mut warnings,
        failed,
        subject,
    } = visit_all(plan, dataset, built, anew, step)?;
    let mut all: Vec<Advice> = as_it_is
        .iter()
        .map(|measurement| advice_on(measurement, parent_bytes))
        .collect();
    let worth: Vec<String> = all
        .iter()
        .zip(&as_it_is)
        .filter(|(advice, measurement)| is_worth_a_try(advice, measurement, page_size()))
        .map(|(advice, _)| advice.visit.clone())
        .collect();
    let mut measurements = as_it_is.clone();
    if !worth.is_empty() {
        // Causes of what a remedy leaves are for a report alone.
        let plan = &Plan {
            causes: plan.causes_of_advice,
            lines: false,
            ..plan.clone()
        };
        let trials = Trials {
            plan,
            dataset: &Dataset {
                visits: worth,
                ..dataset.clone()
            },
            launch,
            as_it_is: &as_it_is,
        };
        let series = ready.interpreter.series;
        let series = (series.0.into(), series.1.into());
        let (with, more) = trials.all(series, subject, &mut all, each, step)?;
        measurements.extend(with);
        warnings.extend(more);
    }
    for (advice, as_it_is) in all.iter_mut().zip(&as_it_is) {
        advice.finding = finding(advice, as_it_is, page_size());
    }
    Ok(Advised {
        measurements,
        advice: all,
        warnings,
        failed,
    })
}

impl Trials<'_> {
    /// Tries everything that there is in this series; what was measured, and what limits it.
    fn all(
        &self,
        series: (u32, u32),
        subject: Option<Subject>,
        all: &mut [Advice],
        each: usize,
        step: &mut dyn FnMut(Step<'_>),
    ) -> Result<(Vec<Measurement>, BTreeSet<Warning>), DatasetError> {
        let (mut measurements, mut warnings) = (Vec::new(), BTreeSet::new());
        let (plan, dataset, launch) = (self.plan, self.dataset, self.launch);
        let planned = {
            let mut subject = match subject {
                Some(subject) => subject,
                None => build(plan, dataset, launch)?.subject,
            };
            // Before code of remedies has run in any process.
            for advice in all
                .iter_mut()
                .filter(|one| dataset.visits.contains(&one.visit))
            {
                advice.visit_seconds = times(&mut subject, &advice.visit, &dataset.fixture.name)?;
            }
            self.plan_all(series, subject)?
        };
        for (remedy, planned) in planned {
            let mut done = 0;
            let mut counted = |now: Step<'_>| {
                done += usize::from(matches!(now, Step::Done));
                step(now);
            };
            for (visits, planned) in &planned {
                let dataset = &Dataset {
                    visits: visits.clone(),
                    ..dataset.clone()
                };
                let trial = match planned {
                    Err(reason) => Err(reason.clone()),
                    Ok(planned) => {
                        let saves = |measurement: &Measurement| {
                            let advice = all.iter().find(|one| one.visit == measurement.visit);
                            advice.is_some_and(|advice| {
                                advice.helps(&self.figures(remedy, advice, measurement))
                            })
                        };
                        let which = Which {
                            remedy,
                            planned,
                            compare: true,
                        };
                        attempt(plan, dataset, which, launch, &saves, &mut counted)?
                    }
                };
                match trial {
                    Ok(trial) => {
                        warnings.extend(trial.warnings.iter().cloned());
                        for advice in all.iter_mut() {
                            if let Some(visited) = trial.visits.get(&advice.visit) {
                                let tried = self.tried(remedy, advice, &trial, visited);
                                measurements.extend(visited.iter().map(|(one, _)| one.clone()));
                                advice.remedies.push(tried);
                            }
                        }
                    }
                    Err(reason) => {
                        let of = all.iter_mut().filter(|one| visits.contains(&one.visit));
                        of.for_each(|advice| advice.remedies.push(does_not_apply(remedy, &reason)));
                    }
                }
            }
            // What did not apply is done with, too.
            (done..each).for_each(|_| step(Step::Done));
        }
        for advice in all.iter_mut() {
            let mut remedies = std::mem::take(&mut advice.remedies);
            rank(advice, &mut remedies);
            advice.remedies = remedies;
        }
        self.again(all, step)?;
        Ok((measurements, warnings))
    }

    /// What each remedy would do, for which visits; of those that nobody would ask for, nothing.
    #[expect(
        clippy::type_complexity,
        reason = "it is what the caller goes through, once"
    )]
    fn plan_all(
        &self,
        series: (u32, u32),
        mut subject: Subject,
    ) -> Result<Vec<(&'static Remedy, Vec<(Vec<String>, Result<Planned, String>)>)>, DatasetError>
    {
        let mut all = Vec::new();
        let mut refused: BTreeMap<&str, String> = BTreeMap::new();
        for remedy in remedies().iter().filter(|one| one.is_in(series)) {
            let is_for =
                |visit: &&String| remedy.is_for(*visit == EXIT) && self.asks(remedy, visit);
            let visits: Vec<String> = self.dataset.visits.iter().filter(is_for).cloned().collect();
            let groups: Vec<Vec<String>> = match remedy.each {
                true => visits.into_iter().map(|visit| vec![visit]).collect(),
                false => vec![visits],
            };
            let mut planned = Vec::new();
            for visits in groups.into_iter().filter(|visits| !visits.is_empty()) {
                let earlier = remedy.after.as_deref().and_then(|after| refused.get(after));
                let one = match earlier {
                    Some(reason) => Err(reason.clone()),
                    None => plan_for(remedy, &visits, self.dataset, self.as_it_is, &mut subject)?,
                };
                if let Err(reason) = &one {
                    refused.insert(&remedy.name, reason.clone());
                    // Who has no such data asks for no such remedy.
                    if reason.is_empty() {
                        continue;
                    }
                }
                planned.push((visits, one));
            }
            all.push((remedy, planned));
        }
        Ok(all)
    }

    /// What was measured of a remedy: what it saves.
    fn figures(&self, remedy: &Remedy, advice: &Advice, measurement: &Measurement) -> Tried {
        let mut as_it_is = self.as_it_is.iter();
        let as_it_is = as_it_is.find(|one| one.visit == measurement.visit);
        Tried {
            remedy: remedy.name.clone(),
            saved_bytes: Some(saved(advice, measurement)),
            tree: advice.tree.and(measurement.tree_bytes(page_size())),
            workers_more_bytes: as_it_is
                .and_then(|as_it_is| more_of_workers(as_it_is, measurement, page_size())),
            ..Tried::default()
        }
    }

    fn tried(
        &self,
        remedy: &Remedy,
        advice: &Advice,
        trial: &Trial,
        visited: &RemedyVisit,
    ) -> Tried {
        match visited {
            Ok((measurement, compared)) => Tried {
                prepare_seconds: Some(trial.prepare_seconds),
                prepare_peak_bytes: trial.prepare_peak_bytes,
                parent_bytes: trial.parent_bytes,
                visit_seconds: trial
                    .seconds
                    .get(&advice.visit)
                    .cloned()
                    .unwrap_or_default(),
                refreeze_bytes: trial.refreeze_bytes,
                replaced: lines(&trial.planned.replaced),
                kept: lines(&kept(trial, &advice.visit)),
                code: trial.planned.code.lines().map(model::printable).collect(),
                compared: *compared,
                ..self.figures(remedy, advice, measurement)
            },
            Err(reason) => does_not_apply(remedy, reason),
        }
    }

    /// Whether a remedy can be for what a visit did.
    fn asks(&self, remedy: &Remedy, visit: &str) -> bool {
        let as_it_is = self.as_it_is.iter().find(|one| one.visit == visit);
        let is_huge = |measurement: &Measurement| {
            let children = measurement.children.iter();
            let causes =
                children.flat_map(|child| child.regions.iter().filter_map(|region| region.causes));
            causes
                .map(|causes| causes.of(Cause::Khugepaged))
                .sum::<u64>()
                > 0
        };
        !remedy.huge || as_it_is.is_some_and(is_huge)
    }
}

/// Nothing yet, on this visit.
fn advice_on(measurement: &Measurement, parent_bytes: Option<u64>) -> Advice {
    let copied_bytes = copied_bytes(measurement, page_size());
    let tree = measurement.tree_bytes(page_size());
    Advice {
        fixture: measurement.fixture.clone(),
        visit: measurement.visit.clone(),
        count: measurement.count,
        item_bytes: measurement.item_bytes,
        parameters: measurement.parameters.clone(),
        arguments: measurement.arguments.clone(),
        prepare: measurement.prepare.clone(),
        finding: String::new(),
        copied_bytes,
        noise_bytes: noise_bytes(copied_bytes, page_size()),
        parent_bytes,
        tree,
        tree_noise_bytes: tree.map(|_| tree_noise_bytes(measurement, page_size())),
        visit_seconds: Vec::new(),
        remedies: Vec::new(),
        measured_again: None,
    }
}

/// What stays as it is, and what is not known of it.
fn kept(trial: &Trial, visit: &str) -> Vec<String> {
    let unseen = trial.unseen.get(visit).into_iter().flatten();
    let unseen = unseen.map(|part| {
        format!("{part} cannot be pickled, so refcow does not know whether {visit} changes it")
    });
    trial.planned.kept.iter().cloned().chain(unseen).collect()
}

/// What refcow says and what the user has named, as a document may hold them.
fn lines(words: &[String]) -> Vec<String> {
    words.iter().map(|words| model::one_line(words)).collect()
}

fn does_not_apply(remedy: &Remedy, reason: &str) -> Tried {
    Tried {
        remedy: remedy.name.clone(),
        does_not_apply: Some(model::one_line(reason)),
        ..Tried::default()
    }
}

fn saved(advice: &Advice, measurement: &Measurement) -> i64 {
    saved_bytes(advice.copied_bytes, copied_bytes(measurement, page_size()))
}
