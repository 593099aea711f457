//! What a repetition does not look at, and why: a reader of its answer has to know.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{NotCompared, Report};

/// How the names of fields and figures end that are times.
pub(super) const TIMES: &str = "_seconds";

/// Ends of paths, each with what is in it, and why that is not compared. `/` stands for the
/// document, `*` before an end of a name for any beginning.
const FIELDS: [(&[&str], &str); 9] = [
    (
        &["*_seconds", "runs[].began", "runs[].seconds"],
        "times differ from run to run",
    ),
    (&["/command"], "it is what was run again"),
    (
        &["/interrupted", "/warnings"],
        "what a run that was ended, or an interpreter that failed, did not measure is not measured now",
    ),
    (
        &["claims[].expected"],
        "--expect sets it, and a document does not hold that file",
    ),
    (
        &["environment.memory_available_bytes"],
        "it changes all the time",
    ),
    (
        &[
            "fork.seconds",
            "fork.resident_bytes",
            "memory_limit.bytes",
            "memory_limit.from",
        ],
        "how long a fork takes, and how much memory there is, is the machine's",
    ),
    (
        &[
            "memory.shared_bytes",
            "memory.own_bytes",
            "memory.new_bytes",
            "memory.page_table_bytes",
            "memory.mapped_bytes",
        ],
        "they are compared as one sum",
    ),
    (
        &[
            "children[].minor_faults",
            "children[].uss_bytes_before",
            "children[].uss_bytes_after",
            "children[].file_pages",
            "children[].bytes",
            "children[].cross_checks",
        ],
        "they follow from the page counts, or count pages of files, which depend on the page cache and on other processes",
    ),
    (
        &[
            "peak.bytes",
            "peak.looks",
            "processes.peak_bytes",
            "children[].lost_faults",
        ],
        "what is seen while a visit runs depends on when refcow looks",
    ),
];

/// What a document has of these fields. Of claims that were judged by other rules words and figures
/// are not compared either.
pub(super) fn of(report: &Report, other_rules: &BTreeSet<String>) -> Vec<NotCompared> {
    let mut paths = BTreeSet::new();
    if let Ok(document) = serde_json::to_value(report) {
        collect(&document, "", &mut paths);
    }
    let mut all: Vec<NotCompared> = FIELDS
        .iter()
        .map(|(patterns, because)| {
            let of_it = paths
                .iter()
                .filter(|path| patterns.iter().any(|pattern| ends_with(path, pattern)));
            NotCompared {
                fields: of_it.cloned().collect(),
                because: (*because).to_owned(),
            }
        })
        .filter(|one| !one.fields.is_empty())
        .collect();
    if !other_rules.is_empty() {
        let ids: Vec<_> = other_rules.iter().map(String::as_str).collect();
        let words = ["claims", "facts"].iter().flat_map(|list| {
            [
                "figures",
                "evidence",
                "decided_by",
                "limit",
                "found",
                "source",
                "changes",
            ]
            .iter()
            .chain(&["not_testable_because", "rules_sha256"])
            .map(move |field| format!("runs[].{list}[].{field}"))
        });
        all.push(NotCompared {
            fields: words.filter(|field| paths.contains(field)).collect(),
            because: format!(
                "this refcow does not have the rules that judged {}",
                ids.join(", ")
            ),
        });
    }
    all
}

/// The paths of all fields, without places in lists.
fn collect(value: &Value, place: &str, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let place = match place {
                    "" => name.clone(),
                    _ => format!("{place}.{name}"),
                };
                collect(field, &place, paths);
                paths.insert(place);
            }
        }
        Value::Array(entries) => {
            let place = format!("{place}[]");
            for entry in entries {
                collect(entry, &place, paths);
            }
        }
        _ => {}
    }
}

fn ends_with(path: &str, pattern: &str) -> bool {
    if let Some(whole) = pattern.strip_prefix('/') {
        return path == whole;
    }
    if let Some(end) = pattern.strip_prefix('*') {
        // Parameters of the user's are what was built; and figures of claims follow from others,
        // which is checked.
        let others = ["parameters.", "claims[].", "facts[]."];
        return path.ends_with(end) && !others.iter().any(|other| path.contains(other));
    }
    let before = path.strip_suffix(pattern);
    before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_paths_are_whole_names() {
        assert!(ends_with(
            "runs[].measurements[].build_seconds",
            "*_seconds"
        ));
        assert!(!ends_with(
            "runs[].measurements[].parameters.a_seconds",
            "*_seconds"
        ));
        assert!(!ends_with("runs[].claims[].figures.a_seconds", "*_seconds"));
        assert!(ends_with("warnings", "/warnings"));
        assert!(!ends_with("runs[].warnings", "/warnings"));
        assert!(ends_with(
            "runs[].measurements[].children[].peak.bytes",
            "peak.bytes"
        ));
        assert!(!ends_with("runs[].x.offpeak.bytes", "peak.bytes"));
    }
}
