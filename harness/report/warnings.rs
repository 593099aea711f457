//! The warnings of a report's runs.

use std::collections::BTreeSet;

use refcow_model::failures::{Failed, names, together};
use refcow_model::{Report, Warning};

use super::labels::labels;

/// All warnings, each with the interpreter that it is of, if there are several. What is missing for
/// one reason is one warning.
pub(crate) fn warnings(report: &Report) -> Vec<String> {
    let interpreters = report.warnings.iter().map(|warning| match warning {
        Warning::InterpreterNotMeasured { python, reason } => {
            let failed = Failed {
                interpreter: Some(python.clone()),
                what: None,
            };
            (Ok(&**reason), failed)
        }
        other => (Err(other.to_string()), Failed::default()),
    });
    let runs = report.runs.iter().zip(labels(report));
    let of_runs = together(runs.flat_map(|(run, label)| {
        let warnings = run.warnings.iter();
        warnings.map(move |warning| (warning, label.clone()))
    }));
    let of_runs = of_runs.into_iter().flat_map(|(warning, labels)| {
        let of_some = labels.len() < report.runs.len();
        match warning {
            Warning::NotMeasured {
                fixture,
                visit,
                reason,
            } => {
                let failed = |interpreter| Failed {
                    interpreter,
                    what: Some(refcow_model::named(fixture, visit.as_deref())),
                };
                let failed: Vec<_> = match of_some {
                    true => labels.into_iter().map(Some).map(failed).collect(),
                    false => vec![failed(None)],
                };
                let failed = failed.into_iter();
                failed.map(|failed| (Ok(&**reason), failed)).collect()
            }
            other => {
                let said = match of_some {
                    true => format!("{}: {other}", labels.join(", ")),
                    false => other.to_string(),
                };
                vec![(Err(said), Failed::default())]
            }
        }
    });
    let said = |(reason, failed): (Result<&str, String>, Vec<Failed>)| match reason {
        Ok(reason) => {
            let whats = failed.iter().filter_map(|one| one.what.as_ref());
            let number = match whats.collect::<BTreeSet<_>>().len() {
                0 => failed.len(),
                number => number,
            };
            refcow_model::not_measured(&names(&failed), number, reason)
        }
        Err(said) => said,
    };
    let all = [together(interpreters), together(of_runs)];
    all.into_iter().flatten().map(said).collect()
}
