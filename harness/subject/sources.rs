//! Source that is executed as modules, and exceptions as text, which shows lines of it.

use std::ffi::CString;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PySyntaxError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use refcow_protocol::{ModuleSource, Raised};

/// Every executed source, for tracebacks. Kept out of Python until one is asked for: it would be
/// heap to fork.
static SOURCES: Mutex<Vec<ModuleSource>> = Mutex::new(Vec::new());

fn sources() -> MutexGuard<'static, Vec<ModuleSource>> {
    SOURCES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a module's source under its name, as an import would.
pub(crate) fn execute<'py>(
    py: Python<'py>,
    module: &ModuleSource,
) -> PyResult<Bound<'py, PyModule>> {
    let text = |text: &str| {
        CString::new(text).map_err(|_| PyValueError::new_err("source holds a NUL byte"))
    };
    let (source, file, name) = (
        text(&module.source)?,
        text(&module.file)?,
        text(&module.name)?,
    );
    sources().push(module.clone());
    PyModule::from_code(py, &source, &file, &name)
}

/// Lets a traceback show the lines of modules that are in no file.
fn show_sources(py: Python<'_>) -> PyResult<()> {
    let cache = py.import("linecache")?.getattr("cache")?;
    for module in sources().iter() {
        let lines: Vec<_> = module.source.split_inclusive('\n').collect();
        let entry = (module.source.len(), py.None(), lines, &module.file);
        cache.set_item(&module.file, entry)?;
    }
    Ok(())
}

/// An exception as text, with its traceback as Python prints it.
pub(crate) fn raised(error: &PyErr) -> Raised {
    Python::attach(|py| {
        let lines = |function: &str, arguments: &Bound<'_, PyTuple>| -> PyResult<String> {
            let lines = py.import("traceback")?.call_method1(function, arguments)?;
            let mut text = String::new();
            for line in lines.try_iter()? {
                // A lone surrogate, as in the name of a file that is not UTF-8, must not cost the
                // whole text.
                let line = line?.call_method1("encode", ("utf-8", "backslashreplace"))?;
                text.push_str(&String::from_utf8_lossy(line.extract()?));
            }
            Ok(text)
        };
        let texts = || -> PyResult<(String, String)> {
            show_sources(py)?;
            let (kind, value) = (error.get_type(py), error.value(py));
            let short = (&kind, &value).into_pyobject(py)?;
            let long = (&kind, &value, error.traceback(py)).into_pyobject(py)?;
            let only = lines("format_exception_only", &short)?;
            // A syntax error begins with the place; all others with what they are, and may go on
            // with notes.
            let mut only = only.trim_end().lines();
            let line = if error.is_instance_of::<PySyntaxError>(py) {
                only.next_back()
            } else {
                only.next()
            };
            Ok((
                line.unwrap_or_default().to_owned(),
                lines("format_exception", &long)?,
            ))
        };
        let (summary, traceback) = texts().unwrap_or_else(|_| (error.to_string(), String::new()));
        Raised { summary, traceback }
    })
}
