//! Trees that are kept by name, and what was recorded against them: for `refcow attach` and `run`.

use clap::Args;

use super::error::CommandError;
use super::options::{LiveFormat, baseline_name};
use crate::baselines::{Baseline, BaselinePlace};
use crate::live;
use crate::model::trees::Trees;
use crate::model::trees::compare::{self, TreesComparison};
use crate::report::Style;
use crate::report::trees_comparison::{change, did, render};

#[derive(Debug, Args)]
pub struct TreesBaseline {
    /// Save what was recorded as baselines/NAME.json, to compare later recordings with it
    #[arg(long, value_name = "NAME", value_parser = baseline_name, conflicts_with = "baseline")]
    save_baseline: Option<String>,
    /// Compare what each worker copied and made with baselines/NAME.json [status 1 if it is more]
    #[arg(long, value_name = "NAME", value_parser = baseline_name)]
    baseline: Option<String>,
}

/// A baseline that was read, or found writable, before anything is recorded.
#[derive(Debug)]
pub struct OpenBaseline {
    base: Option<Trees>,
    place: Option<(String, BaselinePlace)>,
}

impl TreesBaseline {
    /// The option that was given.
    pub fn given(&self) -> Option<&'static str> {
        let save = self.save_baseline.as_ref().map(|_| "--save-baseline");
        save.or(self.baseline.as_ref().map(|_| "--baseline"))
    }

    /// Reads it, or makes a place for it.
    pub fn open(&self, format: LiveFormat) -> Result<OpenBaseline, CommandError> {
        let base = self
            .baseline
            .as_deref()
            .map(|name| Baseline::named(name).read_trees());
        if base.is_some() && format != LiveFormat::Table {
            return Err(CommandError::NoPlaceForComparison);
        }
        let place = self.save_baseline.as_ref().map(|name| {
            let place = Baseline::named(name).open()?;
            Ok::<_, CommandError>((name.clone(), place))
        });
        Ok(OpenBaseline {
            base: base.transpose()?,
            place: place.transpose()?,
        })
    }
}

impl OpenBaseline {
    /// Adds the comparison to what is printed; what has regressed is an error that comes behind it.
    pub fn compare(
        &self,
        trees: &Trees,
        style: Style,
        text: &mut Vec<u8>,
    ) -> Result<(), CommandError> {
        let Some(base) = &self.base else {
            return Ok(());
        };
        let comparison = compare::compare(base, trees, compare::TOLERANCE);
        text.push(b'\n');
        text.extend(render(&comparison, style));
        regressions(&comparison)
    }

    /// Keeps what was recorded, if it was to be.
    pub fn keep(self, trees: &Trees) -> Result<(), CommandError> {
        if let Some((name, place)) = self.place {
            check_workers(&name, trees)?;
            place.keep(&live::json(trees)?)?;
        }
        Ok(())
    }
}

/// An error if nothing could ever be compared with it.
fn check_workers(name: &str, trees: &Trees) -> Result<(), CommandError> {
    match compare::has_workers(trees) {
        true => Ok(()),
        false => Err(CommandError::NoWorkersToSave {
            name: name.to_owned(),
        }),
    }
}

/// An error if there are any, or if none could have been found.
pub fn regressions(comparison: &TreesComparison) -> Result<(), CommandError> {
    if comparison.trees.is_empty() {
        return Err(CommandError::NoWorkersInCommon);
    }
    let regressed = comparison.regressed();
    let mut all = String::new();
    let mut before = None;
    for (command, cost) in regressed {
        all += &match before {
            None => format!("{command}: "),
            Some(before) if before == command => ", ".to_owned(),
            Some(_) => format!("; {command}: "),
        };
        let did = did(cost.pages_are);
        all += &format!("what a worker {did} ({})", change(cost.bytes));
        before = Some(command);
    }
    match all.is_empty() {
        true => Ok(()),
        false => Err(CommandError::Regressed(all)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A parent with a worker that copied so many pages.
    fn trees(copied: u64) -> Trees {
        let process = |pid: i32, depth: u64, copied: u64| {
            json!({"pid": pid, "parent_pid": pid - 1, "depth": depth, "command": "app.py", "ended": true,
                   "copied_pages": copied, "new_pages": 0, "rewritten_pages": 0, "unknown_pages": 0})
        };
        let cause = json!({"pages_are": "copied", "cause": "gc", "function": "f", "thread": "main", "pages": copied});
        let recorded = json!({
            "seconds": 1.0, "lost_faults": 0, "with_kernel_writes": true, "executed": 0, "moments": [],
            "processes": [process(10, 0, 0), process(11, 1, copied)], "causes": [cause],
        });
        serde_json::from_value(json!({
            "schema_version": 1, "refcow_version": "0.1.0", "page_bytes": 4096,
            "trees": [{"processes": [], "recorded": recorded}],
        }))
        .unwrap()
    }

    fn compared(base: Option<Trees>, now: &Trees) -> (String, Result<(), CommandError>) {
        let style = Style::Terminal {
            width: None,
            colours: false,
        };
        let mut text = b"table\n".to_vec();
        let compared = OpenBaseline { base, place: None }.compare(now, style, &mut text);
        (String::from_utf8(text).unwrap(), compared)
    }

    #[test]
    fn a_recording_that_costs_more_than_its_baseline_is_an_error_behind_the_table() {
        let (text, more) = compared(Some(trees(1000)), &trees(1200));
        assert!(
            text.starts_with("table\n\n") && text.contains("regressed"),
            "{text}"
        );
        assert!(
            matches!(more, Err(CommandError::Regressed(what)) if what.starts_with("app.py: what a worker copied"))
        );
        for now in [1000, 1099, 500] {
            let (text, same) = compared(Some(trees(1000)), &trees(now));
            assert!(same.is_ok() && text.contains("copies "), "{text}");
        }
        let (text, nothing) = compared(None, &trees(9000));
        assert!(nothing.is_ok());
        assert_eq!(text, "table\n");
    }

    #[test]
    fn what_has_no_workers_is_no_baseline() {
        let mut alone = trees(1);
        assert!(check_workers("main", &alone).is_ok());
        let recorded = alone.trees[0].recorded.as_mut().unwrap();
        recorded.processes.truncate(1);
        let error = check_workers("main", &alone).unwrap_err().to_string();
        assert!(
            error.starts_with("the baseline main is not saved"),
            "{error}"
        );
    }

    #[test]
    fn what_has_no_workers_in_common_with_its_baseline_is_an_error() {
        let none = Trees {
            trees: Vec::new(),
            ..trees(1)
        };
        let (_, compared) = compared(Some(none), &trees(1));
        assert!(matches!(compared, Err(CommandError::NoWorkersInCommon)));
    }
}
