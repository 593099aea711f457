//! Whose the program's objects are: packages, and the dicts of modules.

use std::collections::{HashMap, HashSet};

use pyo3::ffi;

/// Top-level packages, and what is known to be theirs.
#[derive(Default)]
pub(super) struct Owners {
    /// By name: a place in `waiting`.
    pub(super) numbers: HashMap<String, usize>,
    /// Modules and their dicts.
    pub(super) owners: HashMap<usize, usize>,
    /// By class; `None`: whoever leads to it first.
    pub(super) classes: HashMap<usize, Option<usize>>,
    /// Of each package what is to be followed, and its place in the object map's list.
    pub(super) waiting: Vec<Vec<*mut ffi::PyObject>>,
    pub(super) in_map: Vec<Option<u32>>,
    /// What waits, or has waited.
    pub(super) put_off: HashSet<usize>,
    pub(super) current: usize,
}

impl Owners {
    /// The package whose object is being taken in, as the object map numbers it; `None`: the
    /// interpreter's.
    pub(super) fn package(&self) -> Option<u32> {
        self.in_map.get(self.current).copied().flatten()
    }

    pub(super) fn put_off(&mut self, object: *mut ffi::PyObject, package: usize) {
        if self.put_off.insert(object as usize) {
            self.waiting[package].push(object);
        }
    }
}

/// The dicts of all modules, and that of `sys.modules`, in ascending order.
pub(super) fn namespaces() -> Vec<usize> {
    let mut all = Vec::new();
    #[expect(unsafe_code, reason = "PyO3 imports `sys`, and asks that")]
    // SAFETY: the thread is attached. The dict is borrowed from the interpreter, keys and values
    // from the dict, which nobody changes meanwhile; a module's dict lives as long as the module.
    unsafe {
        let modules = ffi::PyImport_GetModuleDict();
        all.push(modules as usize);
        let (mut place, mut key, mut module) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        while ffi::PyDict_Next(modules, &raw mut place, &raw mut key, &raw mut module) != 0 {
            if ffi::PyModule_Check(module) != 0 {
                all.push(ffi::PyModule_GetDict(module) as usize);
            }
        }
    }
    all.sort_unstable();
    all
}
