//! One way with one number of workers: handed over, visited, looked at, and ended by force.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::applies::pickles;
use super::survey::{Survey, booted, build, load};
use super::tree::look;
use crate::driver::{Launch, Subject};
use crate::experiment::plan::{Plan, SharedDataset};
use crate::experiment::sharing::aftermath::left_after_kill;
use crate::experiment::sharing::error::SharingError;
use crate::experiment::sharing::measure::{
    Begun, ChildPages, ProcessPages, kill_one, parsed, temporary_folder,
};
use crate::experiment::sharing::variant::OwnDataVariant;
use crate::experiment::visit::VisitError;
use crate::model::{GivesBack, OwnDataFigures, StartMethod, Visitor, one_line};
use crate::observe::{bytes_read, forget_peak};

/// A visit that takes so many times as long as by the first way, and [`LEAST`], is not waited for.
const TIMES: f64 = 50.0;
/// See [`TIMES`].
const LEAST: f64 = 30.0;

#[derive(Deserialize)]
struct Visited {
    seconds: Vec<f64>,
    first_result_seconds: f64,
}

/// Measures it. `first_visit`: how long a visit took by the first way.
pub(super) fn measure(
    plan: &Plan,
    shared: &SharedDataset,
    variant: &OwnDataVariant,
    workers: usize,
    survey: &Survey,
    first_visit: Option<f64>,
    launch: &Launch,
) -> Result<OwnDataFigures, SharingError> {
    let folder = temporary_folder()?;
    let (built, _) = build(plan, shared, launch)?;
    let patience = first_visit.map(|seconds| (seconds * TIMES).max(LEAST));
    // Of two clocks that end at once, either could be first.
    let patience = patience.filter(|seconds| *seconds < plan.timeout.as_secs_f64());
    let all = Measuring {
        shared,
        variant,
        workers,
        survey,
        patience,
        folder: folder.path(),
    };
    all.measure(built.subject)
        .map_err(SharingError::of(&variant.name()))
}

/// What each worker has read by now beyond one that got nothing.
fn reads(begun: &Begun) -> Vec<Option<u64>> {
    let reference = bytes_read(begun.empty[1]);
    let children = begun.children.iter();
    let beyond = |pid: &i32| bytes_read(*pid)?.checked_sub(reference?);
    children.map(beyond).collect()
}

struct Measuring<'a> {
    shared: &'a SharedDataset,
    variant: &'a OwnDataVariant,
    workers: usize,
    survey: &'a Survey,
    /// Seconds of a visit, if it is given fewer than anything else.
    patience: Option<f64>,
    folder: &'a Path,
}

impl Measuring<'_> {
    fn measure(&self, mut subject: Subject) -> Result<OwnDataFigures, VisitError> {
        let subject = &mut subject;
        load(subject)?;
        // Of what building took at most, no way is the reason.
        let forgotten = forget_peak(subject.pid());
        let begun = self.begin(subject)?;
        // Before the visits: they may read files of their own.
        let handed = reads(&begun);
        let visit = &self.shared.dataset.visits[0];
        let visited = subject.call("visit", vec![json!(visit), json!(self.patience)])?;
        let visited: Visited = parsed("visit", visited)?;

        let parent = ProcessPages::at(subject.pid())?;
        let reference = ProcessPages::at(begun.empty[1])?;
        let children = self.children((&parent, &reference), &begun, &visited, &handed)?;
        // From now on the tree is what a program would have.
        subject.call("dismiss", Vec::new())?;
        let parent = ProcessPages::at(subject.pid())?;
        let forked = self.variant.start_method == StartMethod::Fork;
        let tree = look(subject, &parent, &begun.children, forked, self.folder)?;
        let given_back = self.given_back(subject)?;
        Ok(OwnDataFigures {
            start_seconds: begun.start_seconds,
            prepare_seconds: begun.prepare_seconds,
            handover_seconds: begun.handover_seconds,
            first_result_seconds: visited.first_result_seconds,
            memory: tree.memory,
            peak_bytes: tree.peak_bytes.filter(|_| forgotten),
            gives_back: given_back,
            after_worker_killed: kill_one(subject)?,
            left_after_kill: left_after_kill(subject, &begun.helpers, self.folder)?,
            reference_own_pages: reference.own.len(),
            children,
        })
    }

    fn begin(&self, subject: &mut Subject) -> Result<Begun, VisitError> {
        let OwnDataVariant { way, start_method } = self.variant;
        let booted = booted(self.shared);
        let module = booted.last().map(|(name, ..)| name.clone());
        let begun = subject.call(
            "begin",
            vec![
                json!({ "transport": way.transport, "preload": way.preload }),
                json!(start_method),
                json!(self.workers),
                json!(module),
                json!(booted),
                json!(self.folder),
            ],
        )?;
        Ok(parsed("begin", begun)?)
    }

    fn children(
        &self,
        (parent, reference): (&ProcessPages, &ProcessPages),
        begun: &Begun,
        visited: &Visited,
        handed: &[Option<u64>],
    ) -> Result<Vec<Visitor>, VisitError> {
        let mut children = Vec::new();
        let workers = begun.children.iter().zip(&visited.seconds).zip(handed);
        for ((pid, seconds), handed) in workers {
            let child = ChildPages::at(*pid, parent, reference, self.variant.start_method)?;
            children.push(Visitor {
                visit_seconds: *seconds,
                own_pages: child.own,
                copied_pages: child.copied,
                piped_bytes: child.piped_bytes,
                handed_bytes: *handed,
            });
        }
        Ok(children)
    }

    /// Whether a worker has what was put in, as far as pickling alone gives back that.
    fn given_back(&self, subject: &mut Subject) -> Result<GivesBack, VisitError> {
        let handed_on = self.handed_on(subject)?;
        let seen = &self.survey.seen;
        Ok(match handed_on {
            // What came was compared with what was pickled.
            GivesBack::Equal if pickles(self.variant) => match (&seen.lost, &seen.pickling_unknown)
            {
                (Some(at), _) => GivesBack::Differs { at: one_line(at) },
                (None, Some(reason)) => GivesBack::Unknown {
                    reason: one_line(reason),
                },
                (None, None) => GivesBack::Equal,
            },
            handed_on => handed_on,
        })
    }

    /// Whether a worker has what the way took. That it cannot be found out is no reason to lose the figures.
    fn handed_on(&self, subject: &mut Subject) -> Result<GivesBack, VisitError> {
        let path = self.folder.join("given-back");
        let arguments = vec![json!(path), json!(self.survey.original())];
        let said = match subject.call("given_back", arguments) {
            Ok(said) => said,
            Err(crate::driver::DriverError::Raised { raised, .. }) => {
                return Ok(GivesBack::Unknown {
                    reason: one_line(&raised.summary),
                });
            }
            Err(error) => return Err(error.into()),
        };
        let _ = std::fs::remove_file(path);
        let text = |name: &str| said.get(name).and_then(Value::as_str).map(one_line);
        Ok(
            match (text("differs"), text("unknown").or(text("raised"))) {
                (Some(at), _) => GivesBack::Differs { at },
                (None, Some(reason)) => GivesBack::Unknown {
                    reason: match &self.survey.seen.not_picklable {
                        Some(what) => one_line(&format!("not picklable: {what}")),
                        None => reason,
                    },
                },
                (None, None) if said.get("same").is_some() => GivesBack::Same,
                (None, None) => GivesBack::Equal,
            },
        )
    }
}
