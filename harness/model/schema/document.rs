//! The JSON document: its shape, and reading one that somebody else, or an older refcow, wrote.

mod bounds;
mod check;
mod consequences;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    Advice, Alternative, Calibration, Cause, Claim, Environment, Fact, Measurement, Observation,
    Python, Warning,
};

/// The version of the JSON document. It grows by one whenever a field changes its meaning or goes away.
///
/// 1 had one interpreter, named in every entry; 2 has a list of runs; in 3 the cause of a write to memory out of line is
/// `buffer`, where it was `payload`, and what was `rest` is divided.
pub const SCHEMA_VERSION: u32 = 3;

/// A larger file is no document of refcow's: all fixtures and visits of eight interpreters are some MiB.
pub const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

/// What one or several interpreters gave, on one or several machines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The version of this document's shape: [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The words behind `refcow` that measure all this again; where to write it is not among them. Empty of documents that were
    /// merged, and of older ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The files of the user's that the command names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// Whether the run was ended (Ctrl-C) before all was measured that the command asks for.
    #[serde(default, skip_serializing_if = "is_false")]
    pub interrupted: bool,
    /// Interpreters that were asked for and of which there is no run, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// One entry an interpreter and machine; the versions of one command in ascending order.
    pub runs: Vec<Run>,
}

/// A file that a run read: a dataset of the user's own, or claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// As the command names it.
    pub path: String,
    /// Of its bytes, in hexadecimal digits.
    pub sha256: String,
    /// The modules in its folder that it imports, and those that they do; of a package all that Python could load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imports: Vec<Import>,
    /// Why those are not known. Absent: they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imports_unknown: Option<String>,
}

/// A module that a file imports from beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// From the folder of the file that imports it.
    pub path: String,
    /// Of its bytes, in hexadecimal digits.
    pub sha256: String,
}

impl Source {
    /// A file by the name that a command has for it.
    pub fn of(path: &Path, bytes: &[u8]) -> Self {
        Self {
            path: printable(&path.to_string_lossy()),
            sha256: sha256(bytes),
            ..Self::default()
        }
    }
}

/// The SHA-256 of these bytes, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// What one interpreter gave on one machine: what it ran on, how the instrument proved itself, and what it measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// When it began, by the machine's clock, in UTC: `2026-11-28T16:22:01Z`. Absent in documents of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began: Option<String>,
    /// How long it took, all that it measured included. Absent in documents of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// The interpreter.
    pub python: Python,
    /// The machine and the programs that the figures depend on.
    pub environment: Environment,
    /// The instrument's own check, made before anything else in this run.
    pub calibration: Calibration,
    /// What limits the figures, each with its cause and its remedy.
    pub warnings: Vec<Warning>,
    /// Statements of the article, each with its verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
    /// What is known of versions of Python, each with what came of it here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
    /// One entry a fixture and visit, in the order they were measured.
    pub measurements: Vec<Measurement>,
    /// What was seen besides pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observations: Vec<Observation>,
    /// The same bytes, reaching children by each way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Alternative>,
    /// What could be done about what is copied, one entry a fixture and visit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Advice>,
}

/// Why a text is no document that this refcow can work with.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum DocumentError {
    /// Not JSON, cut off, or of another shape.
    #[error("this is not a refcow JSON file: {0}")]
    #[diagnostic(help("save a run with --format json --output FILE"))]
    Malformed(String),
    /// JSON of somebody else's.
    #[error("this is not a refcow JSON file: it has no schema_version")]
    #[diagnostic(help("save a run with --format json --output FILE"))]
    Foreign,
    /// Written by a later refcow.
    #[error("it has schema version {found}, and this refcow reads {SCHEMA_VERSION} and older")]
    #[diagnostic(help("{}", needed(written_by)))]
    Newer {
        /// Its version.
        found: u64,
        /// The refcow that wrote it, if it says so.
        written_by: Option<String>,
    },
    /// It has more of something than any run has.
    #[error("it is beyond what refcow measures: {place}: {what}")]
    #[diagnostic(help("refcow writes no such document: measure again"))]
    Excessive {
        /// A path in the document.
        place: String,
        /// What there is too much of.
        what: String,
    },
    /// It contradicts itself.
    #[error("it contradicts itself: {place}: {what}")]
    #[diagnostic(help("refcow writes no such document: measure again"))]
    Inconsistent {
        /// A path in the document.
        place: String,
        /// What cannot be.
        what: String,
    },
}

fn needed(written_by: &Option<String>) -> String {
    match written_by {
        Some(version) if version == env!("CARGO_PKG_VERSION") => {
            format!("it takes a newer build of refcow {version} than this one")
        }
        Some(version) => format!("it takes refcow {version} or newer"),
        None => "it takes a newer refcow".to_owned(),
    }
}

impl Report {
    /// A document of one run.
    pub fn of(run: Run) -> Self {
        Self::of_all(vec![run], Vec::new())
    }

    /// A document of several.
    pub fn of_all(runs: Vec<Run>, warnings: Vec<Warning>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            command: Vec::new(),
            sources: Vec::new(),
            interrupted: false,
            warnings,
            runs,
        }
    }
}

impl Run {
    /// `FIXTURE/VISIT`, `WAY/START_METHOD`, …: everything that is in it, by the name that tells it from all else in it.
    pub fn contents(&self) -> impl Iterator<Item = String> {
        let name = |measurement: &Measurement| {
            let made_of = measurement.made_of(u64::to_string, |bytes| format!("{bytes} bytes"));
            format!(
                "{}/{} ({}{}{})",
                measurement.data(),
                measurement.visit,
                made_of,
                if made_of.is_empty() { "" } else { ", " },
                measurement.sharing
            )
        };
        let measurements = self.measurements.iter().map(name);
        let advice = self.advice.iter().map(move |advice| {
            let as_it_is = advice.measurement(&self.measurements, None);
            let of = as_it_is.map_or_else(|| format!("{}/{}", advice.fixture, advice.visit), name);
            format!("advice on {of}")
        });
        let observations = self.observations.iter();
        let alternatives = self.alternatives.iter();
        measurements
            .chain(observations.map(|observation| format!("observed/{}", observation.name)))
            .chain(alternatives.map(|alternative| {
                let name = Alternative::name(&alternative.way, alternative.start_method);
                format!("alternatives/{name} ({} bytes)", alternative.size_bytes)
            }))
            .chain(
                self.claims
                    .iter()
                    .map(|claim| format!("claim {}", claim.id)),
            )
            .chain(self.facts.iter().map(|fact| format!("fact {}", fact.id)))
            .chain(advice)
    }
}

/// Reads a document of this version or an older one, and tells which. What an older one lacks is absent.
///
/// # Errors
/// When it is none, is newer than this refcow, is beyond what any run holds, or contradicts itself.
pub fn read(bytes: &[u8]) -> Result<(Report, u64), DocumentError> {
    let head: Head = serde_json::from_slice(bytes).map_err(|error| malformed("", &error))?;
    let version = match head.schema_version {
        None => return Err(DocumentError::Foreign),
        Some(0) => return Err(malformed("schema_version", &"it is 0")),
        Some(found) if found > u64::from(SCHEMA_VERSION) => {
            return Err(DocumentError::Newer {
                found,
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

/// What is in a document of today's shape, or the place at which it has another.
fn in_shape<'de, D>(document: D) -> Result<Report, DocumentError>
where
    D: serde::Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(document).map_err(|error| {
        let place = error.path().to_string();
        malformed(if place == "." { "" } else { &place }, error.inner())
    })
}

/// An error whose text may quote the document, which may be anybody's.
fn malformed(place: &str, error: &dyn std::fmt::Display) -> DocumentError {
    let said = match place {
        "" => error.to_string(),
        _ => format!("{place}: {error}"),
    };
    DocumentError::Malformed(printable(&said))
}

/// What is read of a document whose shape is not known yet.
#[derive(Deserialize)]
struct Head {
    schema_version: Option<u64>,
}

/// The refcow that wrote a document of a later shape, if that part of it is as it was.
fn written_by(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Later {
        runs: Vec<Run>,
    }
    #[derive(Deserialize)]
    struct Run {
        environment: Environment,
    }
    #[derive(Deserialize)]
    struct Environment {
        refcow_version: String,
    }
    let later: Later = serde_json::from_slice(bytes).ok()?;
    let version = &later.runs.first()?.environment.refcow_version;
    Some(version.chars().take(40).collect())
}

/// Lists of version 1 whose entries named the interpreter.
const NAMED_PYTHON: [&str; 4] = ["measurements", "claims", "observations", "alternatives"];

/// A document of version 1 in today's shape: one run, and its interpreter named once.
fn from_first(mut run: Map<String, Value>) -> Result<Value, DocumentError> {
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
                    what: "a document of version 1 has one interpreter, and two are named".into(),
                });
            }
            python = Some(named);
        }
    }
    let Some(python) = python else {
        return Err(DocumentError::Malformed(
            "a document of version 1 in which no interpreter is named".into(),
        ));
    };
    run.insert("python".into(), python);
    Ok(json!({"schema_version": SCHEMA_VERSION, "runs": [run]}))
}

/// A document of version 2 in today's shape: with other words for one cause.
fn from_second(mut document: Value) -> Value {
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

/// Whether a letter would do something else on a terminal, or in a log that commands are read from, than be shown:
/// controls, line ends among them, and what turns the direction of writing (Unicode's UAX #9).
fn is_no_letter(letter: char) -> bool {
    letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text of the user's as a document may hold it: what is no letter is written as an escape.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_no_letter(letter) {
            true => shown.extend(letter.escape_unicode()),
            false => shown.push(letter),
        }
    }
    shown
}

/// The first line of what an error says, which may be an exception of the user's with any text: it has to fit into a document.
pub fn one_line(text: &str) -> String {
    /// More than anybody reads of a warning.
    const MOST_LETTERS: usize = 2_000;
    let line = text.lines().next().unwrap_or_default();
    let mut letters = line.chars();
    let begin: String = letters.by_ref().take(MOST_LETTERS).collect();
    let end = if letters.next().is_some() { "…" } else { "" };
    printable(&begin) + end
}

/// A text as [`printable`], of several lines, which stay lines, as tabs stay tabs: a traceback.
pub fn printable_lines(text: &str) -> String {
    text.split_inclusive(['\n', '\t'])
        .map(|piece| match piece.strip_suffix(['\n', '\t']) {
            Some(shown) => printable(shown) + &piece[shown.len()..],
            None => printable(piece),
        })
        .collect()
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
    fn lines_stay_lines_and_controls_are_shown() {
        let shown = printable_lines("a\tb\n\u{1b}[31m c\r\n");
        assert_eq!(shown, "a\tb\n\\u{1b}[31m c\\u{d}\n");
    }

    #[test]
    fn what_an_error_says_fits_into_a_document() {
        assert_eq!(one_line("a\u{1b}[1m b\nc"), "a\\u{1b}[1m b");
        let long = one_line(&"\u{7}".repeat(1 << 20));
        assert!(long.ends_with("\\u{7}…") && long.len() < 20_000);
        assert_eq!(one_line(""), "");
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
