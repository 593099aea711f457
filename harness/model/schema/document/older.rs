//! Documents of earlier shapes, in today's.

use serde_json::{Map, Value, json};

use super::error::DocumentError;
use crate::{Cause, SCHEMA_VERSION};

/// Lists of version 1 whose entries named the interpreter.
const NAMED_PYTHON: [&str; 4] = ["measurements", "claims", "observations", "alternatives"];

/// A document of version 1 in today's shape: one run, and its interpreter named once.
pub(super) fn from_first(mut run: Map<String, Value>) -> Result<Value, DocumentError> {
    run.remove("schema_version");
    let mut python: Option<Value> = None;
    for list in NAMED_PYTHON {
        let entries = run.get_mut(list).and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten() {
            let Some(named) = entry
                .as_object_mut()
                .and_then(|entry| entry.remove("python"))
            else {
                continue;
            };
            if python.as_ref().is_some_and(|known| *known != named) {
                return Err(DocumentError::Inconsistent {
                    place: list.to_owned(),
                    what: "a document of version 1 has one interpreter, but this one names two"
                        .into(),
                });
            }
            python = Some(named);
        }
    }
    let Some(python) = python else {
        return Err(DocumentError::Malformed(
            "a document of version 1 that names no interpreter".into(),
        ));
    };
    run.insert("python".into(), python);
    Ok(json!({"schema_version": SCHEMA_VERSION, "runs": [run]}))
}

/// A document of version 2 in today's shape: with other words for one cause.
pub(super) fn from_second(mut document: Value) -> Value {
    const THEN: &str = "payload";
    let now = Cause::Buffer.as_str();
    if let Some(version) = document.get_mut("schema_version") {
        *version = json!(SCHEMA_VERSION);
    }
    let runs = document.get_mut("runs").and_then(Value::as_array_mut);
    for run in runs.into_iter().flatten() {
        let again = list(run, "advice").filter_map(|advice| {
            let again = advice.get_mut("measured_again")?;
            again.get_mut("measurement")
        });
        let mut children: Vec<&mut Value> = again.flat_map(|one| list(one, "children")).collect();
        for child in &mut children {
            rename(child, THEN, now);
        }
        for measurement in list(run, "measurements") {
            list(measurement, "children").for_each(|child| rename(child, THEN, now));
        }
    }
    document
}

/// Gives a cause another name in all that is said of a child, and the letter of that in the maps of its pages.
fn rename(child: &mut Value, then: &str, now: &str) {
    for written in list(child, "written") {
        if let Some(cause) = written.get_mut("cause").filter(|cause| *cause == then) {
            *cause = json!(now);
        }
    }
    for region in list(child, "regions") {
        if let Some(causes) = region.get_mut("causes").and_then(Value::as_object_mut)
            && let Some(pages) = causes.remove(then)
        {
            causes.insert(now.to_owned(), pages);
        }
        if let Some(Value::String(map)) = region.get_mut("map") {
            *map = map.replace('p', "f");
        }
    }
}

/// The entries of a list, if that is one.
fn list<'a>(value: &'a mut Value, name: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    let list = value.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter().flatten()
}
