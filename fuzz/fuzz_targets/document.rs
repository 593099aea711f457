//! Any bytes: refused, or a document that is harmless in every form.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/common/forms.rs"]
mod forms;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((report, _)) = refcow::model::read(bytes) {
        forms::harmless(&report);
    }
});
