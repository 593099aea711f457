//! What is asked of a type: without its metaclass, which may answer what it likes.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

#[expect(unsafe_code, reason = "not in the stable ABI")]
unsafe extern "C" {
    /// Private, and exported by every CPython from 3.8 to 3.15.
    fn _PyType_Lookup(kind: *mut ffi::PyTypeObject, name: *mut ffi::PyObject)
    -> *mut ffi::PyObject;
}

/// What a type, or one of its bases, has in its dict under a name. `getattr` would ask its
/// metaclass, and call what it finds.
pub(super) fn lookup<'py>(class: &Bound<'py, PyType>, name: &str) -> Option<Bound<'py, PyAny>> {
    let py = class.py();
    // Not interned: the interpreter's table of those might grow, which frees the one that the heap
    // was read with.
    let name = PyString::new(py, name);
    #[expect(unsafe_code, reason = "the stable ABI has no lookup without a call")]
    // SAFETY: both are alive and of these types; the answer is borrowed from a dict, or null
    // without an exception.
    unsafe {
        Bound::from_borrowed_ptr_or_opt(py, _PyType_Lookup(class.as_type_ptr(), name.as_ptr()))
    }
}

/// A type of C code's own, which is never freed.
pub(super) fn static_type(py: Python<'_>, kind: *mut ffi::PyTypeObject) -> Bound<'_, PyType> {
    #[expect(unsafe_code, reason = "PyO3 has no name for it")]
    // SAFETY: a static of the interpreter's, and a type.
    unsafe {
        Bound::from_borrowed_ptr(py, kind.cast()).cast_into_unchecked()
    }
}

pub(super) fn type_of(object: *mut ffi::PyObject) -> *mut ffi::PyTypeObject {
    #[expect(unsafe_code, reason = "PyO3 binds objects first")]
    // SAFETY: the object is alive, and reading its type changes nothing.
    unsafe {
        ffi::Py_TYPE(object)
    }
}

pub(super) fn is_integer(kind: *mut ffi::PyTypeObject) -> bool {
    is_subtype(kind, &raw mut ffi::PyLong_Type)
}

pub(super) fn is_subtype(kind: *mut ffi::PyTypeObject, other: *mut ffi::PyTypeObject) -> bool {
    #[expect(unsafe_code, reason = "`issubclass` would ask a metaclass")]
    // SAFETY: both are types, and alive.
    unsafe {
        ffi::PyType_IsSubtype(kind, other) != 0
    }
}
