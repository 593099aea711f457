//! Python as a process starts and ends it.

use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::libc::wchar_t;
use nix::sys::personality::{self, Persona};
use pyo3::ffi;
use pyo3::prelude::*;

/// Tells Python which program it is. It would look for a `python3` on PATH.
pub(crate) fn name_program(executable: &Path) {
    let name: &'static [wchar_t] = Vec::leak(wide(executable));
    #[expect(unsafe_code, reason = "PyO3 wraps it not")]
    // SAFETY: it may be called before Python is initialised (C API, "Before Python
    // Initialization"), with a string that ends with NUL and is never freed.
    unsafe {
        ffi::Py_SetProgramName(name.as_ptr());
    }
}

/// A path as Python decodes it: from UTF-8, which is every subject's encoding (`LANG`), and what is
/// none by PEP 383. Not `Py_DecodeLocale`, which goes by the C locale as long as Python has not
/// been started.
fn wide(path: &Path) -> Vec<wchar_t> {
    let chunks = path.as_os_str().as_bytes().utf8_chunks();
    let mut wide: Vec<wchar_t> = Vec::new();
    for chunk in chunks {
        wide.extend(chunk.valid().chars().map(|char| char as wchar_t));
        let escaped = chunk
            .invalid()
            .iter()
            .map(|byte| 0xdc00 | wchar_t::from(*byte));
        wide.extend(escaped);
    }
    wide.push(0);
    wide
}

/// Adds to what getenv(3) finds. Not by setenv(3), whose copies are chunks of Python's heap.
pub(crate) fn add_variables(variables: &[(String, String)]) {
    #[expect(unsafe_code, reason = "the C library's environment")]
    unsafe extern "C" {
        static mut environ: *const *const c_char;
    }
    let added = variables.iter().filter_map(|(name, value)| {
        // As all that follows, it stays to the end.
        CString::new(format!("{name}={value}"))
            .ok()
            .map(CString::into_raw)
    });
    let mut all: Vec<*const c_char> = added.map(<*mut c_char>::cast_const).collect();
    #[expect(unsafe_code, reason = "the environment is shared by nature")]
    // SAFETY: no other thread runs before a fixture is loaded. `environ` is null or an array that
    // ends with null, and what takes its place is one, of strings that are never freed; the C
    // library copies it before it changes it (environ(7)).
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            all.push(*entry);
            entry = entry.add(1);
        }
        all.push(std::ptr::null());
        environ = Box::leak(all.into_boxed_slice()).as_ptr();
    }
}

/// Whether mappings are at the same addresses in each run.
pub(crate) fn addresses_fixed() -> bool {
    personality::get().is_ok_and(|persona| persona.contains(Persona::ADDR_NO_RANDOMIZE))
}

/// Ends Python in this process as the end of a program does that has the data in a global variable
/// of the module with its functions. `module` and `data` must be the only references that this
/// program holds.
///
/// The functions matter: they hold the module's dict, and it them, so that only the collector can
/// free it, and the data with it. Frozen (`gc.freeze`), they stay.
pub(crate) fn finalize(
    py: Python<'_>,
    module: Option<&Py<PyModule>>,
    data: Option<&Py<PyAny>>,
) -> PyResult<()> {
    if let Some((module, data)) = module.zip(data) {
        let module = module.bind(py);
        // What the file has under a name of its own stays there.
        let mut name = String::from("data");
        while module.dict().contains(&name)? {
            name.push('_');
        }
        module.setattr(name, data)?;
    }
    #[expect(
        unsafe_code,
        reason = "PyO3 never ends an interpreter, nor lets go through a borrow"
    )]
    // SAFETY: the thread is attached. Both are references that the `Interpreter` owns, and will not
    // give up itself: this forked process never goes back to where that is, and ends by `_exit`.
    // From here on nothing of Python is touched (`python_runs` below is asked first).
    unsafe {
        for held in [module.map(Py::as_ptr), data.map(Py::as_ptr)] {
            // Of nothing it is nothing.
            ffi::Py_DecRef(held.unwrap_or_default());
        }
        // What it answers is whether it could flush standard output and error: those of `flush` are
        // not asked either.
        ffi::Py_FinalizeEx();
    }
    Ok(())
}

/// Whether there is an interpreter, and it has not been finalised.
pub(crate) fn python_runs() -> bool {
    #[expect(unsafe_code, reason = "PyO3 wraps it not")]
    // SAFETY: it reads one flag, and may be called at any time.
    unsafe {
        ffi::Py_IsInitialized() != 0
    }
}

/// Empties Python's own output buffers, which a fork would double. A fixture that has closed or
/// replaced them has nothing to lose.
pub(crate) fn flush(py: Python<'_>) {
    if let Ok(sys) = py.import("sys") {
        for stream in ["stdout", "stderr"] {
            let _ = sys
                .getattr(stream)
                .and_then(|stream| stream.call_method0("flush"));
        }
    }
}
