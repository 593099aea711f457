//! A document against the same command, run again: whether it says the same.
//!
//! What a document states is compared, one by one: page counts, verdicts and all that follows from
//! nothing else in it. What moves from run to run (times) is in it, too, and is not: the answer
//! lists that.

mod besides;
mod comparing;
mod measurement;
mod not_compared;
mod own_data;

use std::collections::{BTreeMap, BTreeSet};

use self::comparing::{Comparing, MEMORY, ONLY_NOW, ONLY_RECORDED};
use self::measurement::short;
use crate::compare;
use crate::{
    Answer, Measurement, Repeated, Report, Reproduction, Run, SCHEMA_VERSION, Source, Tolerance,
    Weight,
};

/// What became of one run of a document.
#[derive(Clone, Copy, Debug)]
pub enum Again<'a> {
    /// It was measured again.
    Run(&'a Run),
    /// It was not: why.
    Not(&'a str),
}

/// Compares each run of a document with what it gave now.
///
/// `again` has as many entries as the document has runs.
pub fn reproduction(recorded: &Report, again: &[Again<'_>], tolerance: Tolerance) -> Reproduction {
    let incomplete = recorded.interrupted;
    let mut other_rules = BTreeSet::new();
    let runs: Vec<Repeated> = recorded
        .runs
        .iter()
        .zip(again)
        .map(|(run, again)| match again {
            Again::Run(now) => repeated(run, now, incomplete, tolerance, &mut other_rules),
            Again::Not(why) => Repeated {
                recorded: compare::name(run),
                now: None,
                not_comparable: Some((*why).to_owned()),
                differs: Vec::new(),
                compared: 0,
                differences: Vec::new(),
            },
        })
        .collect();
    let has = |weight| {
        let mut all = runs.iter().flat_map(|run| &run.differences);
        all.any(|difference| difference.weight == weight)
    };
    let unrepeated = runs.iter().any(|run| run.not_comparable.is_some());
    let answer = if unrepeated || has(Weight::NotComparable) {
        Answer::NotComparable
    } else if has(Weight::Differs) {
        Answer::Differs
    } else if has(Weight::WithinTolerance) {
        Answer::WithinTolerance
    } else {
        Answer::Reproduced
    };
    Reproduction {
        schema_version: SCHEMA_VERSION,
        answer,
        tolerance,
        memory_tolerance: Some(MEMORY),
        not_comparable: None,
        not_compared: match runs.is_empty() {
            true => Vec::new(),
            false => not_compared::of(recorded, &other_rules),
        },
        runs,
    }
}

/// The answer on a document that could not be measured again at all.
pub fn impossible(recorded: &Report, why: String, tolerance: Tolerance) -> Reproduction {
    Reproduction {
        answer: Answer::NotComparable,
        not_comparable: Some(why),
        runs: Vec::new(),
        ..reproduction(recorded, &[], tolerance)
    }
}

fn repeated(
    run: &Run,
    now: &Run,
    incomplete: bool,
    tolerance: Tolerance,
    other_rules: &mut BTreeSet<String>,
) -> Repeated {
    let mut differs = compare::differences(run, now);
    let mut comparing = Comparing::new(tolerance, differs.is_empty());
    differs.extend(besides::circumstances(run, now));
    match compare::circumstances(&run.environment, &now.environment) {
        Some(why) => comparing.apart("all pages".into(), None, None, &why),
        None => measurements(run, now, incomplete, &mut comparing),
    }
    besides::verdicts(run, now, incomplete, &mut comparing);
    besides::advice(run, now, incomplete, &mut comparing);
    besides::alternatives(run, now, incomplete, &mut comparing);
    own_data::own_data(run, now, incomplete, &mut comparing);
    besides::observations(run, now, incomplete, &mut comparing);
    besides::warnings(run, now, &mut comparing);
    other_rules.append(&mut comparing.other_rules);
    let mut differences = comparing.differences;
    // Stable: the rest of the order is the document's.
    differences.sort_by_key(|difference| difference.weight);
    Repeated {
        recorded: compare::name(run),
        now: Some(compare::name(now)),
        not_comparable: None,
        differs,
        compared: comparing.compared,
        differences,
    }
}

fn measurements(run: &Run, now: &Run, incomplete: bool, comparing: &mut Comparing) {
    for (recorded, now) in compare::pairs(run, now) {
        match (recorded, now) {
            (Some(recorded), Some(now)) if recorded.made_with() != now.made_with() => comparing
                .apart(
                    short(recorded),
                    Some(&compare::made_of(recorded)),
                    Some(&compare::made_of(now)),
                    "the document describes other data than its command builds",
                ),
            (Some(recorded), Some(now)) if recorded.children.len() != now.children.len() => {
                let children = |one: &Measurement| format!("{} children", one.children.len());
                comparing.apart(
                    short(recorded),
                    Some(&children(recorded)),
                    Some(&children(now)),
                    "the document has another number of children than its command forks",
                );
            }
            (Some(recorded), Some(now)) => measurement::compare(recorded, now, comparing),
            (Some(recorded), None) => {
                comparing.apart(short(recorded), Some("measured"), None, ONLY_RECORDED);
            }
            (None, Some(_)) if incomplete => {}
            (None, Some(now)) => comparing.apart(short(now), None, Some("measured"), ONLY_NOW),
            (None, None) => {}
        }
    }
}

/// Refuses to measure other files than those that were measured, or to say of more files that they
/// were.
///
/// # Errors
/// With all that are others, in words.
pub fn same_sources(recorded: &[Source], now: &[Source]) -> Result<(), String> {
    let mut others = Vec::new();
    for source in now {
        let path = &source.path;
        match recorded.iter().find(|known| known.path == *path) {
            Some(known) => {
                if known.sha256 != source.sha256 {
                    others.push(format!(
                        "{path} has changed since it was measured: its SHA-256 differs"
                    ));
                }
                others.extend(other_imports(known, source));
            }
            None => others.push(format!("the document does not say what was in {path}")),
        }
    }
    let unread = recorded.iter().map(|known| &known.path);
    let unread = unread.filter(|path| !now.iter().any(|source| source.path == **path));
    others.extend(unread.map(|path| {
        format!("the document says what was in {path}, which its command does not read")
    }));
    match others.is_empty() {
        true => Ok(()),
        false => Err(others.join("; ")),
    }
}

/// What a file imports from beside it, where that is not what was measured.
fn other_imports(recorded: &Source, now: &Source) -> Vec<String> {
    let path = &now.path;
    let why = [&recorded.imports_unknown, &now.imports_unknown];
    if let Some(why) = why.into_iter().flatten().next() {
        return vec![format!(
            "refcow cannot tell what {path} imports from its own directory: {why}"
        )];
    }
    let sums = |source: &Source| -> BTreeMap<String, String> {
        let imports = source.imports.iter().cloned();
        imports.map(|one| (one.path, one.sha256)).collect()
    };
    let (recorded, now) = (sums(recorded), sums(now));
    let names: BTreeSet<&String> = recorded.keys().chain(now.keys()).collect();
    let differs = names
        .into_iter()
        .filter_map(|name| match (recorded.get(name), now.get(name)) {
            (Some(one), Some(other)) if one == other => None,
            (Some(_), Some(_)) => Some(format!(
                "{path} imports {name}, which has changed since it was measured: its SHA-256 differs"
            )),
            (Some(_), None) => Some(format!(
                "{path} imported {name}, which is missing or no longer imported"
            )),
            (None, _) => Some(format!(
                "{path} imports {name}, and the document does not say what was in it"
            )),
        });
    differs.collect()
}
