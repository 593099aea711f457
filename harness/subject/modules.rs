//! Which modules a visit imports.

use std::ptr::null_mut;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// What is in `sys.modules`: the addresses of the names, in ascending order. Neither texts nor
/// references are taken, so that the process that is to be forked, and then measured, is left as it
/// is.
pub(crate) struct Modules(Vec<usize>);

impl Modules {
    /// As they are now.
    pub(crate) fn now(py: Python<'_>) -> Self {
        let mut names = Vec::new();
        each(py, |name| names.push(name as usize));
        names.sort_unstable();
        Self(names)
    }

    /// The names of those that have come since, in their order there. Allocates.
    pub(crate) fn imported_since(&self, py: Python<'_>) -> Vec<String> {
        let mut new = Vec::new();
        each(py, |name| {
            if self.0.binary_search(&(name as usize)).is_err() {
                new.push(name);
            }
        });
        let text = |name: *mut ffi::PyObject| {
            #[expect(
                unsafe_code,
                reason = "PyO3 wraps no walk over a dict without references"
            )]
            // SAFETY: the thread is attached, and has run nothing that could have taken the name
            // out of `sys.modules` since.
            let name = unsafe { Bound::from_borrowed_ptr(py, name) };
            // Whatever somebody has put there for a name.
            let name = name.cast_into::<PyString>().ok()?;
            Some(name.to_string_lossy().into_owned())
        };
        new.into_iter().filter_map(text).collect()
    }
}

/// Tells `found` of each key of `sys.modules`, in their order.
fn each(_: Python<'_>, mut found: impl FnMut(*mut ffi::PyObject)) {
    let (mut place, mut name) = (0, null_mut());
    #[expect(unsafe_code, reason = "PyO3 takes references to what it walks over")]
    // SAFETY: the thread is attached; the interpreter's dict of modules lives as long as it does,
    // and `found` does not run Python, so that nothing changes it meanwhile.
    unsafe {
        let modules = ffi::PyImport_GetModuleDict();
        while ffi::PyDict_Next(modules, &raw mut place, &raw mut name, null_mut()) != 0 {
            found(name);
        }
    }
}
