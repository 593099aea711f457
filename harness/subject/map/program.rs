//! What belongs to the program, and is no data although the data leads to it.

use pyo3::ffi;

use super::known::Known;
use super::type_object;
use super::types::type_of;
use super::untold::{self, Untold};
use super::walk::Walk;

#[expect(unsafe_code, reason = "not in the stable ABI")]
unsafe extern "C" {
    fn PyFunction_GetGlobals(function: *mut ffi::PyObject) -> *mut ffi::PyObject;
}

impl<'py> Walk<'py> {
    /// Whether what this dict has is the program's, and no data.
    pub(super) fn is_namespace(&self, object: *mut ffi::PyObject) -> bool {
        self.of_dataset
            && std::ptr::eq(type_of(object), &raw mut ffi::PyDict_Type)
            && self.namespaces.binary_search(&(object as usize)).is_ok()
    }

    /// Takes from the end of the list, from `found` on, what this object leads to and is no data:
    /// its type, which is the program, and where functions have their globals.
    pub(super) fn leave_out_the_program(
        &mut self,
        object: *mut ffi::PyObject,
        known: Known,
        found: usize,
    ) {
        let mut out = [0; 3];
        let kind = type_of(object);
        if type_object::is_heap_type(kind) {
            out[0] = kind as usize;
        }
        match known.besides.untold {
            Untold::Function => {
                #[expect(unsafe_code, reason = "PyO3 wraps no functions")]
                // SAFETY: the object is a function; its globals are borrowed from it.
                let globals = unsafe { PyFunction_GetGlobals(object) };
                out[1] = globals as usize;
            }
            Untold::Frame if self.py.version_info() < (3, 11) => {
                [out[1], out[2]] = untold::frames_program(object);
            }
            _ => {}
        }
        let mut kept = found;
        for next in found..self.pending.len() {
            let address = self.pending[next] as usize;
            match out.iter_mut().find(|out| **out == address && address != 0) {
                // Once: a class that is an attribute as well is data.
                Some(out) => *out = 0,
                None => {
                    self.pending.swap(kept, next);
                    kept += 1;
                }
            }
        }
        self.pending.truncate(kept);
    }
}
