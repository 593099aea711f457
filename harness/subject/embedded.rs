//! Python that refcow brings, called in namespaces that are emptied at once: what stayed would be
//! heap to fork.

use std::ffi::CStr;

use pyo3::call::PyCallArgs;
use pyo3::exceptions::PyValueError;
use pyo3::ffi::c_str;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use refcow_protocol::{ChildMessage, ModuleSource};
use serde_json::Value;

use crate::sources::execute;

/// What a visit does with other objects in the place of the data. Writes wherever it likes: for a
/// process that ends with this.
pub(crate) fn compare(
    visit: &Bound<'_, PyAny>,
    data: &Bound<'_, PyAny>,
    replacement: &Bound<'_, PyAny>,
) -> PyResult<ChildMessage> {
    let names = PyDict::new(visit.py());
    let source = c_str!(include_str!("compare.py"));
    visit.py().run(source, Some(&names), None)?;
    let compare = names.get_item("compare")?;
    let compare = compare.ok_or_else(|| PyValueError::new_err("compare.py does not compare"))?;
    let (differs, returned, unseen) = compare.call1((visit, data, replacement))?.extract()?;
    Ok(ChildMessage::Compared {
        differs,
        returned,
        unseen,
    })
}

/// What a remedy would do with the data. For a process that ends with this, too.
pub(crate) fn plan(
    data: &Bound<'_, PyAny>,
    modules: &[ModuleSource],
    function: &str,
    arguments: &[Value],
) -> PyResult<ChildMessage> {
    let py = data.py();
    let mut last = None;
    for module in modules {
        let executed = execute(py, module)?;
        executed.setattr("SOURCE", &module.source)?;
        last = Some(executed);
    }
    let last = last.ok_or_else(|| PyValueError::new_err("a remedy without a module"))?;
    let json = py.import("json")?;
    let text = |value| serde_json::to_string(value).map_err(not_json);
    let more = json.call_method1("loads", (text(arguments)?,))?;
    let mut all = vec![data.clone()];
    for argument in more.try_iter()? {
        all.push(argument?);
    }
    match last.getattr(function)?.call1(PyTuple::new(py, all)?) {
        Ok(told) => {
            let text: String = json.call_method1("dumps", (told,))?.extract()?;
            Ok(ChildMessage::Planned(
                serde_json::from_str(&text).map_err(not_json)?,
            ))
        }
        Err(error) if error.get_type(py).name()? == "DoesNotApply" => {
            let reason = error.value(py).str()?.to_string_lossy().into_owned();
            Ok(ChildMessage::DoesNotApply { reason })
        }
        Err(error) => Err(error),
    }
}

fn not_json(error: serde_json::Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Calls a function of user_file.py, and leaves nothing of it behind; `None` for None.
pub(crate) fn user_file<'py>(
    py: Python<'py>,
    function: &str,
    arguments: impl PyCallArgs<'py>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    once(
        py,
        c_str!(include_str!("user_file.py")),
        function,
        arguments,
    )
}

/// Calls a function of a source that refcow brings, and leaves nothing of it behind; `None` for
/// None.
pub(crate) fn once<'py>(
    py: Python<'py>,
    source: &CStr,
    function: &str,
    arguments: impl PyCallArgs<'py>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let names = PyDict::new(py);
    py.run(source, Some(&names), None)?;
    let function = names.get_item(function)?;
    let function = function.ok_or_else(|| PyValueError::new_err("there is no such function"))?;
    let returned = function.call1(arguments);
    // Functions and the names that they see hold each other.
    names.clear();
    Ok(Some(returned?).filter(|value| !value.is_none()))
}
