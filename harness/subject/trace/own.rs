//! Which code is the user's own.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;
use refcow_protocol::OwnFiles;

use super::frames::Reference;

/// Tells whether code is the user's own.
#[derive(Clone)]
pub(super) struct Own {
    files: OwnFiles,
    /// The name `co_filename`, which lives as long as the process.
    attribute: *mut ffi::PyObject,
}

impl Own {
    pub(super) fn new(py: Python<'_>, files: OwnFiles) -> Self {
        Self {
            files,
            attribute: PyString::intern(py, "co_filename").into_any().into_ptr(),
        }
    }

    /// Reads the name of the file letter by letter: asking for it in UTF-8 could have Python
    /// allocate.
    pub(super) fn holds(&self, code: *mut ffi::PyObject) -> bool {
        #[expect(unsafe_code, reason = "PyO3 wraps no code objects")]
        // SAFETY: the thread is attached, and the code alive, as a frame runs it. `co_filename` is
        // a member of the struct, so that no Python code runs. `PyUnicode_ReadChar` checks the type
        // and the index.
        unsafe {
            let Some(name) = Reference::new(ffi::PyObject_GetAttr(code, self.attribute)) else {
                ffi::PyErr_Clear();
                return false;
            };
            if ffi::PyUnicode_Check(name.0) == 0 {
                return false;
            }
            let length = ffi::PyUnicode_GetLength(name.0);
            let letters = (0..length).map(|index| ffi::PyUnicode_ReadChar(name.0, index));
            let letter = |letter| char::from_u32(letter).unwrap_or(char::REPLACEMENT_CHARACTER);
            let name: String = letters.map(letter).collect();
            self.files.contain(&name)
        }
    }
}
