//! A document with something in every field, of which some values are others: what random bytes
//! never come to.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

#[path = "../../tests/common/canned.rs"]
mod canned;
#[path = "../../tests/common/forms.rs"]
mod forms;
#[path = "../../tests/common/full.rs"]
mod full;

/// What a value becomes.
#[derive(Arbitrary, Debug)]
enum Other {
    Hostile(u8),
    Text(String),
    Count(i64),
    Large(u64),
    Number(f64),
    Truth(bool),
    Null,
    NoList,
    NoObject,
    /// Another value of the same document.
    Moved(u16),
    /// A list with its first entries again.
    Again(u8),
}

/// The document, and the place of each of its values.
static DOCUMENT: LazyLock<(Value, Vec<String>)> = LazyLock::new(|| {
    let document = serde_json::to_value(full::full()).unwrap();
    let mut places = Vec::new();
    full::places(&document, "", &mut places);
    (document, places)
});

fuzz_target!(|changes: Vec<(u16, Other)>| {
    let (whole, places) = &*DOCUMENT;
    let mut document = whole.clone();
    let place = |number: u16| &places[usize::from(number) % places.len()][..];
    for (number, other) in changes {
        // What was changed before may have taken the place away.
        let Some(value) = document.pointer_mut(place(number)) else {
            continue;
        };
        *value = match other {
            Other::Hostile(number) => json!(full::TEXTS[usize::from(number) % full::TEXTS.len()]),
            Other::Text(text) => json!(text),
            Other::Count(number) => json!(number),
            Other::Large(number) => json!(number),
            Other::Number(number) => json!(number),
            Other::Truth(truth) => json!(truth),
            Other::Null => Value::Null,
            Other::NoList => json!([]),
            Other::NoObject => json!({}),
            Other::Moved(from) => whole.pointer(place(from)).cloned().unwrap_or_default(),
            Other::Again(number) => {
                let again = value.as_array().and_then(|list| list.first()).cloned();
                let mut list = value.as_array().cloned().unwrap_or_default();
                list.extend(again.into_iter().cycle().take(number.into()));
                Value::Array(list)
            }
        };
    }
    if let Ok((report, _)) = refcow::model::read(document.to_string().as_bytes()) {
        forms::harmless(&report);
    }
});
