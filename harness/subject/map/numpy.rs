//! What NumPy's own attributes say of the items of an array. They are asked through the descriptors
//! of NumPy's types, which are C code: a class of the user's may answer what it likes.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::types::lookup;

/// Where in an item of this type there are pointers to objects.
pub(super) fn object_offsets(descr: &Bound<'_, PyAny>) -> Vec<usize> {
    let mut offsets = Vec::new();
    collect(descr, 0, &mut offsets);
    offsets.sort_unstable();
    // A field may have two names.
    offsets.dedup();
    offsets
}

fn collect(descr: &Bound<'_, PyAny>, at: usize, offsets: &mut Vec<usize>) -> Option<()> {
    if !attribute(descr, "hasobject")?.is_truthy().ok()? {
        return None;
    }
    let fields = attribute(descr, "fields")?;
    if !fields.is_none() {
        for field in fields.call_method0("values").ok()?.try_iter().ok()? {
            let field = field.ok()?.cast_into::<PyTuple>().ok()?;
            let offset: usize = field.get_item(1).ok()?.extract().ok()?;
            collect(&field.get_item(0).ok()?, at + offset, offsets);
        }
        return Some(());
    }
    let part = attribute(descr, "subdtype")?;
    if part.is_none() {
        if is_of(descr, "O") {
            offsets.push(at);
        }
        return Some(());
    }
    let of = part.get_item(0).ok()?;
    let bytes = item_bytes(&of)?;
    let whole = item_bytes(descr)?;
    for offset in (0..whole).step_by(bytes.max(1)) {
        collect(&of, at + offset, offsets);
    }
    Some(())
}

/// How long an item of this type is.
pub(super) fn item_bytes(descr: &Bound<'_, PyAny>) -> Option<usize> {
    attribute(descr, "itemsize")?.extract().ok()
}

/// Whether an item of this type is a text of variable length (`StringDType`).
pub(super) fn is_text(descr: &Bound<'_, PyAny>) -> bool {
    is_of(descr, "T")
}

/// Whether the type has this character.
fn is_of(descr: &Bound<'_, PyAny>, wanted: &str) -> bool {
    let char = attribute(descr, "char");
    let char = char.and_then(|char| char.cast_into::<PyString>().ok());
    char.is_some_and(|char| char.to_string_lossy() == wanted)
}

/// An attribute that a type of C code has.
fn attribute<'py>(object: &Bound<'py, PyAny>, name: &str) -> Option<Bound<'py, PyAny>> {
    let descriptor = lookup(&object.get_type(), name)?;
    let kind = descriptor.get_type_ptr();
    let of_c = [
        &raw mut ffi::PyGetSetDescr_Type,
        &raw mut ffi::PyMemberDescr_Type,
    ];
    if !of_c.contains(&kind) {
        return None;
    }
    descriptor.call_method1("__get__", (object,)).ok()
}
