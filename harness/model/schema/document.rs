//! Reading a document that somebody else, or an older refcow, wrote.

mod advice;
mod bounds;
mod check;
mod child;
mod consequences;
mod error;
mod measurement;
mod of_trees;
mod older;
mod own_data;
mod region;

use serde::Deserialize;

use super::report::{Report, SCHEMA_VERSION};
use crate::trees::{self, Trees};
use error::malformed;
use older::{from_first, from_second};

pub use error::DocumentError;

/// A larger file is no document of refcow's: all fixtures and visits of eight interpreters are some MiB.
pub const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// Reads a document of this version or an older one, and tells which. What an older one lacks is absent.
///
/// # Errors
/// When it is none, is newer than this refcow, is beyond what any run holds, or contradicts itself.
pub fn read(bytes: &[u8]) -> Result<(Report, u64), DocumentError> {
    let head: VersionHead = serde_json::from_slice(bytes).map_err(|error| malformed("", &error))?;
    let version = match head.schema_version {
        None => return Err(DocumentError::Foreign),
        Some(0) => return Err(malformed("schema_version", &"it is 0")),
        Some(found) if found > u64::from(SCHEMA_VERSION) => {
            return Err(DocumentError::Newer {
                found,
                reads: SCHEMA_VERSION,
                written_by: written_by(bytes),
            });
        }
        Some(version) => version,
    };
    bounds::check(bytes)?;
    let report = match version {
        1 => {
            let first = serde_json::from_slice(bytes).map_err(|error| malformed("", &error))?;
            in_shape(from_second(from_first(first)?))?
        }
        2 => {
            let second = serde_json::from_slice(bytes).map_err(|error| malformed("", &error))?;
            in_shape(from_second(second))?
        }
        _ => in_shape(&mut serde_json::Deserializer::from_slice(bytes))?,
    };
    check::check(&report)?;
    consequences::check(&report)?;
    Ok((report, version))
}

/// Reads a document of trees (`refcow trees`, `attach`, `run`). Its findings follow from its figures, and are made anew.
///
/// # Errors
/// As [`read`].
pub fn read_trees(bytes: &[u8]) -> Result<Trees, DocumentError> {
    let head: VersionHead = serde_json::from_slice(bytes).map_err(|error| malformed("", &error))?;
    match head.schema_version {
        None => return Err(DocumentError::Foreign),
        Some(found) if found > u64::from(trees::SCHEMA_VERSION) => {
            return Err(DocumentError::Newer {
                found,
                reads: trees::SCHEMA_VERSION,
                written_by: written_by(bytes),
            });
        }
        Some(_) => {}
    }
    bounds::check(bytes)?;
    let json = &mut serde_json::Deserializer::from_slice(bytes);
    let mut document: Trees = in_shape(json)?;
    of_trees::check(&document)?;
    for tree in &mut document.trees {
        tree.findings = trees::findings(tree, document.page_bytes);
    }
    Ok(document)
}

/// Whether a document is one of trees.
pub fn is_of_trees(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Head {
        #[expect(dead_code, reason = "that it is there is what is asked")]
        trees: serde::de::IgnoredAny,
    }
    serde_json::from_slice::<Head>(bytes).is_ok()
}

/// What is in a document of today's shape, or the place at which it has another.
fn in_shape<'de, T, D>(document: D) -> Result<T, DocumentError>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(document).map_err(|error| {
        let place = error.path().to_string();
        malformed(if place == "." { "" } else { &place }, error.inner())
    })
}

/// What is read of a document whose shape is not known yet.
#[derive(Deserialize)]
struct VersionHead {
    schema_version: Option<u64>,
}

/// The refcow that wrote a document of a later shape, if that part of it is as it was.
fn written_by(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Later {
        runs: Vec<LaterRun>,
    }
    #[derive(Deserialize)]
    struct LaterRun {
        environment: LaterEnvironment,
    }
    #[derive(Deserialize)]
    struct LaterEnvironment {
        refcow_version: String,
    }
    let later: Later = serde_json::from_slice(bytes).ok()?;
    let version = &later.runs.first()?.environment.refcow_version;
    Some(version.chars().take(40).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_a_report_or_an_error(text in "[\\[\\]{}\":,a-z_0-9 ]{0,200}") {
            let _ = read(text.as_bytes());
        }
    }

    #[test]
    fn a_newer_document_names_the_refcow_that_it_takes() {
        let text = r#"{"schema_version": 4, "runs": [{"environment": {"refcow_version": "9.1.0"}}], "more": 1}"#;
        let error = read(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("schema version 4"), "{error}");
        let help = miette::Diagnostic::help(&error).unwrap().to_string();
        assert!(help.contains("refcow 9.1.0"), "{help}");
    }

    #[test]
    fn what_is_no_document_is_told_apart() {
        let said = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
        assert!(said("{").contains("line 1"), "{}", said("{"));
        assert!(said("{}").contains("no schema_version"));
        assert!(said("[]").contains("not a refcow JSON file"));
        assert!(said(r#"{"schema_version": 2}"#).contains("runs"));
        assert!(said(r#"{"schema_version": 1}"#).contains("no interpreter"));
        assert!(said(r#"{"schema_version": 0}"#).contains("schema_version: it is 0"));
    }
}
