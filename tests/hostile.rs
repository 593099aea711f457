//! Documents that somebody else made: what is read of them is refused with a reason, or shown in
//! every format without harm.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use refcow::consistency;
use refcow::model::{self, Report};
use refcow::report::{Format, render};
use rstest::rstest;
use serde_json::{Value, json};

use crate::common::{forms, full};
use forms::{For, harm, harmless};
use full::{TEXTS, full, places};

fn read(document: &Value) -> Result<Report, String> {
    let read = model::read(document.to_string().as_bytes());
    let report = read.map(|(report, _)| report);
    if let Ok(report) = &report {
        // What follows from its figures is made anew: refused or not, from any figures at all.
        let _ = consistency::check(&mut report.clone(), refcow::COMMIT);
    }
    report.map_err(|error| error.to_string())
}

#[test]
fn a_document_of_everything_does_no_harm() {
    let document = serde_json::to_value(full()).unwrap();
    let report = read(&document).unwrap();
    assert_eq!(report, full());
    harmless(&report);
    let mut one = report.clone();
    one.runs.remove(0);
    harmless(&one);
    one.runs.clear();
    harmless(&one);
}

/// A document in which texts are others, wherever they are there.
fn replaced(document: &Value, others: &BTreeMap<String, String>) -> Value {
    match document {
        Value::String(text) => json!(others.get(text).unwrap_or(text)),
        Value::Array(entries) => entries.iter().map(|one| replaced(one, others)).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(name, field)| (name.clone(), replaced(field, others)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

/// In place of all texts that a document may have others for, at once; each has every hostile one
/// in its turn.
#[rstest]
fn a_hostile_text_does_no_harm_anywhere(#[values(1, 2)] runs: usize) {
    let mut report = full();
    report.runs.drain(..2 - runs);
    let document = serde_json::to_value(report).unwrap();
    let mut all = Vec::new();
    places(&document, "", &mut all);
    let texts = all
        .iter()
        .filter_map(|place| document.pointer(place)?.as_str());
    let mut texts: Vec<String> = texts.map(str::to_owned).collect();
    texts.sort_unstable();
    texts.dedup();
    // Where only some words are right, any other is refused.
    texts.retain(|text| {
        let other = BTreeMap::from([(text.clone(), "any other".to_owned())]);
        read(&replaced(&document, &other)).is_ok()
    });
    assert!(texts.len() > 40, "{texts:?}");
    for turn in 0..TEXTS.len() {
        // What is told apart by its name stays apart.
        let numbered = texts.iter().enumerate().map(|(number, text)| {
            let hostile = TEXTS[(number + turn) % TEXTS.len()];
            (text.clone(), format!("{hostile}{number}"))
        });
        harmless(&read(&replaced(&document, &numbered.collect())).unwrap());
    }
}

fn hostile() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => select(TEXTS.to_vec()).prop_map(|text| json!(text)),
        1 => "\\PC{0,30}".prop_map(Value::from),
        1 => select(vec!["\u{1b}[31m", "a\tb", "a\r\nb", "\u{202e}a", "\u{0}"]).prop_map(Value::from),
        1 => Just(json!("a".repeat(200_000))),
        3 => select(vec![
            json!(0), json!(1), json!(-1), json!(u64::MAX), json!(i64::MIN), json!(1u64 << 48), json!(-(1i64 << 48)),
            json!(1u64 << 36), json!(1e308), json!(-1e308), json!(5e-324), json!(-0.0), json!(0.5),
        ]),
        1 => any::<u32>().prop_map(Value::from),
        2 => select(vec![Value::Null, json!([]), json!({}), json!(true), json!([[]]), json!({"a": 1}), json!([1, 2, 3])]),
    ]
}

proptest! {
    // The document is large, and shown in some forty forms.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_document_is_refused_or_does_no_harm(
        changes in proptest::collection::vec((any::<Index>(), hostile()), 1..4),
    ) {
        let mut document = serde_json::to_value(full()).unwrap();
        for (place, value) in changes {
            let mut all = Vec::new();
            places(&document, "", &mut all);
            *document.pointer_mut(&all[place.index(all.len())]).unwrap() = value;
        }
        match read(&document) {
            Ok(report) => harmless(&report),
            Err(error) => assert!(!error.is_empty() && !error.contains('\u{1b}')),
        }
    }

    #[test]
    fn a_document_that_is_cut_off_is_refused(end in any::<Index>()) {
        let bytes = render(&full(), Format::Json).unwrap();
        // Behind the last brace is a line's end.
        let end = end.index(bytes.len() - 1);
        let error = model::read(&bytes[..end]).unwrap_err().to_string();
        // Within a number, that is what is wrong: `1.` is none.
        let told = ["EOF", "invalid number"].iter().any(|words| error.contains(words));
        prop_assert!(told, "{}", error);
    }

    #[test]
    fn any_byte_may_be_another(place in any::<Index>(), byte in any::<u8>()) {
        let mut bytes = render(&full(), Format::Json).unwrap();
        *place.get_mut(&mut bytes) = byte;
        if let Ok((report, _)) = model::read(&bytes) {
            harmless(&report);
        }
    }
}

/// A document in which one value is another.
fn changed(place: &str, value: Value) -> Value {
    let mut document = serde_json::to_value(full()).unwrap();
    let (parent, name) = place.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(fields) => drop(fields.insert(name.to_owned(), value)),
        other => other[name.parse::<usize>().unwrap()] = value,
    }
    document
}

#[rstest]
#[case::no_sum("/sources/0/sha256", json!("0123"), "sources[0].sha256: \"0123\" is not a SHA-256")]
#[case::capitals("/sources/0/sha256", json!("A".repeat(64)), "is not a SHA-256")]
#[case::no_sum_of_an_import("/sources/0/imports/0/sha256", json!("x"), "sources[0].imports[0].sha256: \"x\" is not a SHA-256")]
#[case::no_sum_of_a_package("/runs/0/environment/package_sha256/numpy", json!("x"), "runs[0].environment.package_sha256.numpy: ")]
#[case::page_of_no_bytes("/runs/1/environment/page_size_bytes", json!(0), "runs[1].environment: a page of 0 bytes")]
#[case::instrument_that_counts_wrong("/runs/0/calibration/pages_counted", json!(3), "runs[0].calibration: 1365 pages written, 3 counted")]
#[case::no_children("/runs/0/measurements/1/children", json!([]), "runs[0].measurements[1]: no child")]
#[case::memory_of_fewer_children("/runs/0/measurements/1/tree/pss_bytes_after_each", json!([2097152]), "measurements[1].tree: 1 figures of memory for 2 children")]
#[case::another_memory_at_the_end("/runs/0/measurements/1/tree/pss_bytes_after", json!(7), "measurements[1].tree: memory after the last child")]
#[case::more_memory_than_there_is("/runs/0/measurements/1/tree/pss_bytes_after_each", json!([1, u64::MAX]), "tree.pss_bytes_after_each[1]: the number")]
#[case::writes_to_a_region_that_is_not("/runs/0/measurements/2/children/0/written/0/region", json!("segment"), "children[0].written[0]: no pages of the region segment")]
#[case::writes_to_no_page("/runs/0/measurements/2/children/0/written/0/pages", json!(0), "children[0].written[0]: written to no page")]
#[case::map_of_another_region("/runs/0/measurements/2/children/0/regions/0/map", json!("121."), "regions[0]: the map of its pages")]
#[case::no_map("/runs/0/measurements/2/children/0/regions/0/map", json!("121x"), "runs[0].measurements[2].children[0].regions[0].map: \"121x\" is not a stretch")]
#[case::more_bytes_than_addresses("/runs/0/measurements/2/children/0/regions/3/pages", json!((1u64 << 36) + 1), "children[0].regions[3]: 68719476737 pages")]
#[case::lost_faults("/runs/0/measurements/2/children/0/lost_faults", json!(u64::MAX), "children[0].lost_faults: the number")]
#[case::pages_copied("/runs/1/alternatives/0/children/1/copied_pages", json!(-(1i64 << 40)), "runs[1].alternatives[0].children[1]: -1099511627776 pages copied")]
#[case::bytes_of_a_way("/runs/1/alternatives/0/size_bytes", json!(u64::MAX), "runs[1].alternatives[0].size_bytes: the number")]
#[case::time_of_a_way("/runs/1/alternatives/0/start_seconds", json!(-1.0), "runs[1].alternatives[0].start_seconds: -1e0 seconds")]
#[case::time_of_a_wait("/runs/1/alternatives/0/after_child_killed/hangs/after_seconds", json!(1e308), "after_child_killed.hangs.after_seconds: 1e308 seconds")]
#[case::a_figure("/runs/1/claims/0/figures/deleted/value", json!(1e308), "runs[1].claims[0].figures.deleted.value: the number 1e308")]
#[case::a_unit("/runs/1/claims/0/figures/deleted/unit", json!("miles"), "runs[1].claims[0].figures.deleted.unit: unknown variant `miles`")]
#[case::an_observation("/runs/1/observations/0/figures/deleted", json!(u64::MAX), "observations[0].figures.deleted: the number")]
#[case::a_fact("/runs/1/facts/0/outcome", json!(3), "runs[1].facts[0].outcome: ")]
#[case::a_whole_number_with_a_point("/runs/0/environment/cpus", json!(2.0), "runs[0].environment.cpus: invalid type: floating point")]
#[case::saved("/runs/1/advice/0/remedies/0/saved_bytes", json!(1), "runs[1].advice[0]: what it says of packed-arrays")]
#[case::noise("/runs/1/advice/0/noise_bytes", json!(u64::MAX), "runs[1].advice[0].noise_bytes: the number")]
#[case::a_field_of_another_name("/runs/0/measurements/1/vist", json!("a"), "runs[0].measurements[1].vist: unknown field `vist`")]
#[case::many_runs("/runs", json!(vec![0; 50_001]), "runs: more than 50000 entries")]
fn what_cannot_be_is_refused_with_its_place(
    #[case] place: &str,
    #[case] value: Value,
    #[case] said: &str,
) {
    let error = read(&changed(place, value)).unwrap_err();
    assert!(error.contains(said), "{error}");
}

#[test]
fn a_field_that_is_missing_is_named_with_its_place() {
    let mut document = serde_json::to_value(full()).unwrap();
    let child = document.pointer_mut("/runs/0/measurements/1/children/1");
    child.unwrap().as_object_mut().unwrap().remove("regions");
    let error = read(&document).unwrap_err();
    let said = "runs[0].measurements[1].children[1]: missing field `regions`";
    assert!(error.contains(said), "{error}");
}

#[test]
fn more_of_a_kind_than_any_run_has_is_refused() {
    let mut document = serde_json::to_value(full()).unwrap();
    let run = document["runs"][0].clone();
    document["runs"] = json!(vec![run.clone(); 300]);
    let error = read(&document).unwrap_err();
    assert!(error.contains(": runs: 300 runs"), "{error}");
    document["runs"] = json!([run]);
    document["runs"][0]["measurements"]
        .as_array_mut()
        .unwrap()
        .truncate(1);
    for (kind, place, number) in [
        ("claims", "/runs/0/claims", 10_001),
        ("warnings", "/runs/0/warnings", 10_001),
        ("children", "/runs/0/measurements/0/children", 65),
    ] {
        let mut document = document.clone();
        let list = document.pointer_mut(place).unwrap();
        *list = json!(vec![list[0].clone(); number]);
        document["warnings"] = json!([]);
        let error = read(&document).unwrap_err();
        assert!(error.contains(&format!("{number} {kind}")), "{error}");
    }
}

/// A check that finds no harm anywhere would find none in a report either.
#[rstest]
#[case(For::Terminal, "a\u{1b}[31mb", "a\n b")]
#[case(For::Markdown, "a <script>", "a \\<script>")]
#[case(For::Markdown, "[a](javascript:x)", "\\[a\\](javascript:x)")]
#[case(For::Markdown, "https://evil", "https:\\//evil")]
#[case(For::Markdown, "| a |\n| b | c |", "| a |\n| b \\| c |")]
#[case(For::Markdown, "`a`", "\\`a\\`")]
#[case(For::Spreadsheet, "a,=1", "a,'=1")]
#[case(For::Spreadsheet, "-1+1,a", "-1.5,a")]
#[case(For::Spreadsheet, "a;=1", "a;'=1")]
#[case(For::Program, "{", "{}")]
#[case(
    For::Browser,
    "<b><script>alert(1)</script></b>",
    "<b>&lt;script&gt;alert(1)</b>"
)]
#[case(
    For::Browser,
    "<a href=\"javascript:x\">",
    "<a href=\"#javascript:x\">"
)]
#[case(
    For::Browser,
    "<a title=\"\" onload=\"\">",
    "<a title=\"&quot; onload=&quot;\">"
)]
fn harm_is_found(#[case] reader: For, #[case] bad: &str, #[case] good: &str) {
    assert!(harm(reader, bad.as_bytes()).is_some());
    assert_eq!(harm(reader, good.as_bytes()), None);
}
