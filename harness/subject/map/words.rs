//! Words of structs, read where they stand.

use pyo3::ffi;

const WORD: usize = size_of::<usize>();

/// One word of an object's struct.
pub(super) fn word_of(object: *mut ffi::PyObject, index: usize) -> usize {
    read(object as usize + index * WORD)
}

pub(super) fn read(address: usize) -> usize {
    #[expect(unsafe_code, reason = "the stable ABI hides the structs")]
    // SAFETY: callers ask for words of structs that the object or type they hold has on every
    // supported build; were one laid out otherwise, `Layouts::new` would have said so, or a fault
    // ends this forked process alone, with a message of the observer's.
    unsafe {
        *(address as *const usize)
    }
}
