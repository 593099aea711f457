//! Several documents made one: the runs of different machines and interpreters.

use std::collections::{BTreeMap, HashMap};

use crate::claims;
use crate::{Report, Run};

/// A document with the name it is known by.
#[derive(Debug)]
pub struct NamedDocument {
    /// The path of its file.
    pub name: String,
    /// Which version its file was written in.
    pub schema_version: u64,
    /// What it says.
    pub report: Report,
}

/// Why documents make no one document.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum MergeError {
    /// The same thing, measured on one machine with one interpreter, in two documents.
    #[error("{first} and {second} both hold {what} of CPython {python}, on the same machine")]
    #[diagnostic(help("leave one of them out"))]
    Duplicate {
        /// The file that came first.
        first: String,
        /// The other. The same, if one file holds it twice.
        second: String,
        /// What both have.
        what: String,
        /// The interpreter.
        python: String,
    },
    /// Documents of different shape.
    #[error("{first} has schema version {first_version}, {second} {second_version}")]
    #[diagnostic(help(
        "refcow does not mix figures of two schema versions: measure again, or convert the older document first \
         (`refcow merge {older} --output NEW`)"
    ))]
    MixedVersions {
        /// A file.
        first: String,
        /// Its version.
        first_version: u64,
        /// Another.
        second: String,
        /// Its version.
        second_version: u64,
        /// The one with the older version.
        older: String,
    },
}

/// Puts all runs into one document, in ascending order of their versions; of one version in the
/// given order. Runs of one interpreter on one machine become one run, unless claims of one would
/// no longer follow from what the other measured.
///
/// # Errors
/// When something is there twice, or the documents were written in different versions.
pub fn merge(documents: Vec<NamedDocument>) -> Result<Report, MergeError> {
    let mixed = documents.iter().zip(documents.iter().skip(1));
    for (first, second) in mixed {
        if first.schema_version != second.schema_version {
            let older = if first.schema_version < second.schema_version {
                first
            } else {
                second
            };
            return Err(MergeError::MixedVersions {
                first: first.name.clone(),
                first_version: first.schema_version,
                second: second.name.clone(),
                second_version: second.schema_version,
                older: older.name.clone(),
            });
        }
    }
    let mut seen: HashMap<String, String> = HashMap::new();
    for document in &documents {
        for run in &document.report.runs {
            for what in run.contents() {
                let key = format!("{}\n{what}", origin(run));
                if let Some(first) = seen.insert(key, document.name.clone()) {
                    return Err(MergeError::Duplicate {
                        first,
                        second: document.name.clone(),
                        what,
                        python: run.python.version.clone(),
                    });
                }
            }
        }
    }
    let mut warnings = Vec::new();
    let interrupted = documents.iter().any(|document| document.report.interrupted);
    let mut runs: Vec<Run> = Vec::new();
    for document in documents {
        for warning in document.report.warnings {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        for run in document.report.runs {
            let joined = runs.iter().enumerate().find_map(|(place, known)| {
                let joined = is_of_one(known, &run).then(|| join(known.clone(), run.clone()))?;
                // A claim of one must not come to rest on data of another size from the other.
                (!claims::agrees(known) || !claims::agrees(&run) || claims::agrees(&joined))
                    .then_some((place, joined))
            });
            match joined {
                Some((place, joined)) => runs[place] = joined,
                None => runs.push(run),
            }
        }
    }
    // Stable: of one version, and of versions that are none, as they were given.
    runs.sort_by_key(|run: &Run| run.python.order());
    let mut report = Report::of_all(runs, warnings);
    report.interrupted = interrupted;
    Ok(report)
}

/// The machine and the interpreter that a run is of. What changes from run to run, as free memory,
/// is left out.
fn origin(run: &Run) -> String {
    let environment = &run.environment;
    format!(
        "{} {:?} {:?} {:?} {:?} {} {} {} {:?} {} {} {} {:?}",
        environment.refcow_version,
        environment.refcow_commit,
        environment.kernel_settings,
        environment.seeds,
        environment.variables,
        environment.all_variables,
        environment.kernel,
        environment.architecture,
        environment.cpu,
        environment.cpus,
        environment.memory_total_bytes,
        run.python.executable.display(),
        run.python.build.as_ref().unwrap_or(&run.python.version),
    )
}

/// Whether two runs are of one interpreter on one machine, with no package in two versions.
fn is_of_one(one: &Run, other: &Run) -> bool {
    let agree = |of: fn(&Run) -> &BTreeMap<String, String>| {
        let known = of(one);
        let mut others = of(other).iter();
        others.all(|(name, value)| known.get(name).is_none_or(|known| known == value))
    };
    origin(one) == origin(other)
        && agree(|run| &run.environment.packages)
        && agree(|run| &run.environment.package_sha256)
        && one.environment.privileges == other.environment.privileges
        && one.environment.transparent_huge_pages == other.environment.transparent_huge_pages
}

/// Adds what another run of the same interpreter has measured.
fn join(mut run: Run, other: Run) -> Run {
    run.environment.packages.extend(other.environment.packages);
    run.environment
        .package_sha256
        .extend(other.environment.package_sha256);
    for warning in other.warnings {
        if !run.warnings.contains(&warning) {
            run.warnings.push(warning);
        }
    }
    run.claims.extend(other.claims);
    run.facts.extend(other.facts);
    run.measurements.extend(other.measurements);
    run.observations.extend(other.observations);
    run.alternatives.extend(other.alternatives);
    run.own_data.extend(other.own_data);
    run.advice.extend(other.advice);
    run
}
