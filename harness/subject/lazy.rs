//! What a visit returned, if that does nothing until it is asked to: an iterator, a coroutine.
//!
//! Read from the type's own struct, which writes nothing: what the child has copied is counted
//! after this.

use std::ffi::CStr;

use pyo3::ffi;
use pyo3::prelude::*;

/// Words of `PyTypeObject` (Include/cpython/object.h, 3.8 to 3.15, builds with the GIL).
const NAME: usize = 3;
const AS_ASYNC: usize = 10;
const AS_SEQUENCE: usize = 13;
const AS_MAPPING: usize = 14;
const BASE: usize = 32;
/// Words of `PyAsyncMethods`.
const AWAIT: usize = 0;
const ASYNC_NEXT: usize = 2;
/// The word of `PySequenceMethods`, and of `PyMappingMethods`, that tells a length.
const LENGTH: usize = 0;

/// The type of all files of `io`. They iterate over lines, but are no work that waits to be done.
const FILE: &CStr = c"_io._IOBase";

/// So much of a type's name goes into a short message.
const LONGEST_NAME: usize = 100;

/// The name of its type, if it is an iterator that is no container and no file, or something to be
/// awaited, and has not come to its end.
pub(crate) fn unconsumed(returned: &Bound<'_, PyAny>) -> Option<String> {
    let kind = returned.get_type_ptr().cast::<usize>();
    let word = |of: *const usize, number: usize| -> usize {
        if of.is_null() {
            return 0;
        }
        #[expect(unsafe_code, reason = "not in the stable ABI before 3.10")]
        // SAFETY: `of` is a live object's type, or a table of methods that this type points to;
        // both have that many words.
        unsafe {
            of.add(number).read()
        }
    };
    let table = |number| word(kind, number) as *const usize;
    let has_length =
        [AS_SEQUENCE, AS_MAPPING].map(|number| word(table(number), LENGTH) != 0) != [false, false];
    let methods = table(AS_ASYNC);
    let waits = word(methods, AWAIT) != 0 || word(methods, ASYNC_NEXT) != 0;
    #[expect(unsafe_code, reason = "not in PyO3 for any object")]
    // SAFETY: the object is live and the thread attached. It compares the type's own word, which a
    // class without `__next__` has, too: there it is a function that refuses.
    let has_next = unsafe { ffi::PyIter_Check(returned.as_ptr()) } != 0;
    let name = |of: *const usize| {
        #[expect(unsafe_code, reason = "the name is the type's own")]
        // SAFETY: `tp_name` is a C string that lives as long as the type.
        unsafe {
            CStr::from_ptr(word(of, NAME) as *const _)
        }
    };
    let bases = std::iter::successors(Some(kind as *const usize), |of| {
        let base = word(*of, BASE) as *const usize;
        (!base.is_null()).then_some(base)
    });
    let is_file = || bases.clone().any(|of| name(of) == FILE);
    let iterates = has_next && !has_length && !is_file();
    if !(waits || iterates) || has_ended(returned) {
        return None;
    }
    Some(
        name(kind)
            .to_string_lossy()
            .chars()
            .take(LONGEST_NAME)
            .collect(),
    )
}

/// Whether it is a generator, or one of its kin, that has run to its end: it has no frame any more.
fn has_ended(returned: &Bound<'_, PyAny>) -> bool {
    let names = [c"gi_frame", c"cr_frame", c"ag_frame"];
    names.into_iter().any(|name| {
        #[expect(unsafe_code, reason = "PyO3 would make a str first")]
        // SAFETY: the object is live and the thread attached; the name is a C string. What is no
        // such attribute is an exception, which is none of the visit's.
        unsafe {
            let frame = ffi::PyObject_GetAttrString(returned.as_ptr(), name.as_ptr());
            if frame.is_null() {
                ffi::PyErr_Clear();
                return false;
            }
            let ended = frame == ffi::Py_None();
            ffi::Py_DecRef(frame);
            ended
        }
    })
}
