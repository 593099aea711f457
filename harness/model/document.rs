//! The JSON document: its shape, and reading one that somebody else, or an older refcow, wrote.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Advice, Alternative, Calibration, Claim, Environment, Fact, Fate, Measurement, Observation,
    Python, Warning,
};

/// The version of the JSON document. It grows by one whenever a field changes its meaning or goes away.
///
/// 1 had one interpreter, named in every entry; 2 has a list of runs.
pub const SCHEMA_VERSION: u32 = 2;

/// A larger file is no document of refcow's: all fixtures and visits of eight interpreters are some MiB.
pub const MAX_DOCUMENT_BYTES: u64 = 256 << 20;

/// 256 TiB of the smallest pages, as many as an address space of 48 bits has: sums of them fit into 64 bits.
const MOST_PAGES: u64 = 1 << 36;
/// More than any kernel's base page.
const MOST_PAGE_BYTES: u64 = 1 << 20;

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// As the command names it.
    pub path: String,
    /// Of its bytes, in hexadecimal digits.
    pub sha256: String,
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
    #[error("it is no document of refcow's: {0}")]
    #[diagnostic(help("a run is kept with --format json --output FILE"))]
    Malformed(String),
    /// JSON of somebody else's.
    #[error("it is no document of refcow's: it has no schema_version")]
    #[diagnostic(help("a run is kept with --format json --output FILE"))]
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
/// When it is none, is newer than this refcow, or contradicts itself.
pub fn read(bytes: &[u8]) -> Result<(Report, u64), DocumentError> {
    let malformed = |error: serde_json::Error| DocumentError::Malformed(error.to_string());
    let head: Head = serde_json::from_slice(bytes).map_err(malformed)?;
    let Some(version) = head.schema_version else {
        return Err(DocumentError::Foreign);
    };
    let report: Report = match version {
        1 => {
            let first: Map<String, Value> = serde_json::from_slice(bytes).map_err(malformed)?;
            serde_json::from_value(from_first(first)?).map_err(malformed)?
        }
        known if known == u64::from(SCHEMA_VERSION) => {
            serde_json::from_slice(bytes).map_err(malformed)?
        }
        0 => return Err(DocumentError::Malformed("schema_version is 0".into())),
        found => {
            return Err(DocumentError::Newer {
                found,
                written_by: head.written_by(),
            });
        }
    };
    let text: Value = serde_json::from_slice(bytes).map_err(malformed)?;
    check_text(&text, "")?;
    check(&report)?;
    Ok((report, version))
}

/// What is read of a document whose shape is not known yet.
#[derive(Deserialize)]
struct Head {
    schema_version: Option<u64>,
    #[serde(default)]
    runs: Value,
}

impl Head {
    fn written_by(&self) -> Option<String> {
        let version = self
            .runs
            .get(0)?
            .get("environment")?
            .get("refcow_version")?;
        version.as_str().map(str::to_owned)
    }
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

/// The same of a text of several lines, which stay lines, as tabs stay tabs: a traceback.
pub fn printable_lines(text: &str) -> String {
    text.split_inclusive(['\n', '\t'])
        .map(|piece| match piece.strip_suffix(['\n', '\t']) {
            Some(shown) => printable(shown) + &piece[shown.len()..],
            None => printable(piece),
        })
        .collect()
}

/// Refuses texts with letters in them that are none. Of those that refcow writes, `sys.version` has a line's end.
fn check_text(value: &Value, place: &str) -> Result<(), DocumentError> {
    let wrong = |place: &str| {
        Err(DocumentError::Inconsistent {
            place: place.to_owned(),
            what: "a text with a control character".into(),
        })
    };
    match value {
        Value::String(text) => {
            let allowed = |letter: char| letter == '\n' && place.ends_with(".python.build");
            match text
                .chars()
                .any(|letter| is_no_letter(letter) && !allowed(letter))
            {
                true => wrong(place),
                false => Ok(()),
            }
        }
        Value::Array(entries) => {
            let mut entries = entries.iter().enumerate();
            entries.try_for_each(|(index, entry)| check_text(entry, &format!("{place}[{index}]")))
        }
        Value::Object(fields) => fields.iter().try_for_each(|(name, field)| {
            if name.chars().any(is_no_letter) {
                return wrong(place);
            }
            check_text(field, &format!("{place}.{name}"))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// Refuses what no refcow writes, before a figure is made of it.
fn check(report: &Report) -> Result<(), DocumentError> {
    let wrong = |place: String, what: String| Err(DocumentError::Inconsistent { place, what });
    for (number, run) in report.runs.iter().enumerate() {
        let page = run.environment.page_size_bytes;
        if !page.is_power_of_two() || page > MOST_PAGE_BYTES {
            return wrong(
                format!("runs[{number}].environment"),
                format!("a page of {page} bytes"),
            );
        }
        let mut seen = HashSet::new();
        if let Some(twice) = run.contents().find(|what| !seen.insert(what.clone())) {
            return wrong(format!("runs[{number}]"), format!("{twice} is there twice"));
        }
        let measurements = run.measurements.iter().enumerate();
        let measurements = measurements.map(|(index, one)| (format!("measurements[{index}]"), one));
        let again = run.advice.iter().enumerate().filter_map(|(index, one)| {
            let again = &one.measured_again.as_ref()?.measurement;
            Some((format!("advice[{index}].measured_again.measurement"), again))
        });
        for (place, measurement) in measurements.chain(again) {
            check_measurement(measurement, &format!("runs[{number}].{place}"))?;
        }
        for (index, advice) in run.advice.iter().enumerate() {
            if let Some(what) = advice_wrong(advice, run) {
                return wrong(format!("runs[{number}].advice[{index}]"), what);
            }
        }
        for (index, alternative) in run.alternatives.iter().enumerate() {
            for (child, one) in alternative.children.iter().enumerate() {
                if one.copied_pages.unsigned_abs() > MOST_PAGES || one.own_pages > MOST_PAGES {
                    return wrong(
                        format!("runs[{number}].alternatives[{index}].children[{child}]"),
                        format!("{} pages copied", one.copied_pages),
                    );
                }
            }
        }
    }
    Ok(())
}

/// Refuses children, regions and causes that cannot be.
fn check_measurement(measurement: &Measurement, place: &str) -> Result<(), DocumentError> {
    let wrong = |place: String, what: String| Err(DocumentError::Inconsistent { place, what });
    if measurement.children.is_empty() {
        return wrong(place.to_owned(), "no child".into());
    }
    for (child, one) in measurement.children.iter().enumerate() {
        for (index, region) in one.regions.iter().enumerate() {
            let place = || format!("{place}.children[{child}].regions[{index}]");
            if region.pages > MOST_PAGES {
                return wrong(place(), format!("{} pages", region.pages));
            }
            if region.unshared > region.pages {
                let what = format!("{} of {} pages unshared", region.unshared, region.pages);
                return wrong(place(), what);
            }
            if let Some(identical) = region.identical
                && identical > region.unshared
            {
                let what = format!("{identical} of {} copies identical", region.unshared);
                return wrong(place(), what);
            }
            if let Some(what) = causes_wrong(one, region).or_else(|| map_wrong(region)) {
                return wrong(place(), what);
            }
            let same = |other: &&super::Region| other.name == region.name;
            if one.regions.iter().filter(same).count() > 1 {
                let what = format!("the region {} twice", region.name.as_str());
                return wrong(place(), what);
            }
        }
    }
    Ok(())
}

/// What is wrong with an advice, if anything is: what it says must be what was measured.
fn advice_wrong(advice: &Advice, run: &Run) -> Option<String> {
    let page = run.environment.page_size_bytes;
    let copied = |measurement: &Measurement| {
        let pages = measurement.children.iter().map(|one| {
            let regions = one.regions.iter();
            regions.fold(0, |sum: u64, region| sum.saturating_add(region.unshared))
        });
        pages.max().unwrap_or(0).saturating_mul(page)
    };
    let saved = |measurement| i128::from(advice.copied_bytes) - i128::from(copied(measurement));
    let Some(as_it_is) = advice.measurement(&run.measurements, None) else {
        return Some("what it is about was not measured as it is".into());
    };
    if copied(as_it_is) != advice.copied_bytes {
        return Some(format!("{} bytes copied", advice.copied_bytes));
    }
    let mut seen = HashSet::new();
    let mut others = false;
    for tried in &advice.remedies {
        let name = &tried.remedy;
        if !seen.insert(name) {
            return Some(format!("{name} twice"));
        }
        let measured = advice.measurement(&run.measurements, Some(name));
        let right = match (measured, tried.saved_bytes, &tried.does_not_apply) {
            (Some(measured), Some(bytes), None) => saved(measured) == i128::from(bytes) && !others,
            (None, None, Some(_)) => {
                others = true;
                true
            }
            _ => false,
        };
        if !right {
            return Some(format!("what is said of {name} is not what was measured"));
        }
    }
    let again = advice.measured_again.as_ref();
    again.and_then(|again| {
        let first = advice.remedies.first().map(|first| &first.remedy);
        let right = again.measurement.prepare.as_ref() == first
            && advice.is_of(&again.measurement)
            && saved(&again.measurement) == i128::from(again.saved_bytes);
        (!right).then(|| "what was measured again is not the best".into())
    })
}

/// What is wrong with a region's map, if anything is: it must say what the region's figures say.
fn map_wrong(region: &super::Region) -> Option<String> {
    let map = region.map.as_ref()?;
    let unshared = map.sum(|fate| fate != Fate::Shared);
    let sum_of = |wanted| {
        map.sum(|fate| matches!(fate, Fate::Copied { identical, .. } if identical == wanted))
    };
    // Of a copy it is known whether it is identical if it is known of all.
    let identical = match region.identical {
        Some(identical) => sum_of(Some(true)) == identical && sum_of(None) == 0,
        None => sum_of(None) == unshared,
    };
    let causes = match &region.causes {
        Some(causes) => map.causes().as_ref() == Some(causes),
        None => map.sum(|fate| matches!(fate, Fate::Copied { cause: Some(_), .. })) == 0,
    };
    let right = map.pages() == region.pages && unshared == region.unshared && identical && causes;
    (!right).then(|| "the map of its pages is another region's".into())
}

/// What is wrong with the causes of a region, if anything is.
fn causes_wrong(child: &super::Child, region: &super::Region) -> Option<String> {
    let of_region = || {
        let all = child.written.iter();
        all.filter(|written| written.region == region.name)
    };
    let Some(causes) = &region.causes else {
        let there = of_region().next().is_some();
        return there.then(|| "writes are listed, and no causes".to_owned());
    };
    let too_many = super::Cause::ALL
        .iter()
        .any(|cause| causes.of(*cause) > MOST_PAGES);
    if too_many || causes.sum() != region.unshared {
        return Some("causes do not add up to the unshared pages".into());
    }
    let mut listed = super::Causes::default();
    let mut identical = 0;
    for written in of_region() {
        if written.pages > MOST_PAGES || written.identical > Some(written.pages) {
            return Some("more identical copies than pages of a cause".into());
        }
        let sum = listed.of_mut(written.cause);
        *sum = sum.saturating_add(written.pages);
        identical += written.identical.unwrap_or(0);
    }
    if listed != *causes {
        return Some("what is listed as written is not what the causes say".into());
    }
    let known = of_region().all(|written| written.identical.is_some());
    match region.identical {
        Some(of_all) if known && of_all != identical => {
            Some("identical copies do not add up".into())
        }
        _ => None,
    }
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
    fn controls_are_no_text() {
        for text in ["a\nb", "\u{1b}[31m", "\u{202e}", "\u{0}"] {
            let text = json!([{"name": text}]);
            let error = check_text(&text, "runs").unwrap_err().to_string();
            assert!(error.contains("runs[0].name"), "{error}");
        }
        assert!(check_text(&json!({"a": ["é → |`<", 1, null]}), "").is_ok());
        let build = json!({"python": {"build": "3.8.18 (default) \n[GCC]"}});
        assert!(check_text(&build, "").is_ok());
    }

    #[test]
    fn a_newer_document_names_the_refcow_that_it_takes() {
        let text = r#"{"schema_version": 3, "runs": [{"environment": {"refcow_version": "9.1.0"}}], "more": 1}"#;
        let error = read(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("schema version 3"), "{error}");
        let help = miette::Diagnostic::help(&error).unwrap().to_string();
        assert!(help.contains("refcow 9.1.0"), "{help}");
    }

    #[test]
    fn what_is_no_document_is_told_apart() {
        let said = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
        assert!(said("{").contains("line 1"), "{}", said("{"));
        assert!(said("{}").contains("no schema_version"));
        assert!(said("[]").contains("no document"));
        assert!(said(r#"{"schema_version": 2}"#).contains("runs"));
        assert!(said(r#"{"schema_version": 1}"#).contains("no interpreter"));
        assert!(said(r#"{"schema_version": 0}"#).contains("schema_version is 0"));
    }
}
