//! Modules that Python had to compile, since there was no byte code for them that it could use.
//!
//! The process is another one then: the compiler leaves objects and memory behind, and what it
//! makes is laid out otherwise. The next run may find byte code that another program has written.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyModule, PyString};

/// Bytes in front of the code (PEP 552): the magic number, flags, then when the source was written
/// and its size, if the flags are 0.
const HEAD_BYTES: usize = 16;

/// Folders that packages are installed into.
const PACKAGES: [&str; 2] = ["site-packages", "dist-packages"];

/// Names of modules of the standard library and of installed packages that have no byte code which
/// fits their source, in ascending order. Runs nobody's code: no import, no attribute of a module.
pub(super) fn compiled(py: Python<'_>) -> Vec<String> {
    #[expect(unsafe_code, reason = "PyO3 has sys.modules by an import alone")]
    // SAFETY: the thread is attached, and the interpreter's dict of modules lives as long as it.
    let modules = unsafe { Bound::from_borrowed_ptr(py, ffi::PyImport_GetModuleDict()) };
    let Ok(modules) = modules.cast_into_exact::<PyDict>() else {
        return Vec::new();
    };
    missing(&modules).unwrap_or_default()
}

/// `None` where Python does not say where its byte code would be.
fn missing(modules: &Bound<'_, PyDict>) -> Option<Vec<String>> {
    // Elsewhere, in a folder that may be anybody's.
    if !value(modules, "sys", "pycache_prefix")?.is_none() {
        return None;
    }
    let library = text(&value(modules, "os", "__file__")?)?;
    let library = Path::new(&library).parent()?;
    let is_frozen = value(modules, "_imp", "is_frozen")?;
    let magic = value(modules, "_frozen_importlib_external", "MAGIC_NUMBER")?;
    let magic = magic.cast_into_exact::<PyBytes>().ok()?;
    let of_sys = |object: &str, name: &str| value(modules, "sys", object)?.getattr(name).ok();
    let tag = text(&of_sys("implementation", "cache_tag")?)?;
    let ending = match of_sys("flags", "optimize")?.extract().ok()? {
        0 => format!("{tag}.pyc"),
        level => format!("{tag}.opt-{level}.pyc"),
    };
    let has_none = |name: &str| {
        let source = text(&value(modules, name, "__file__")?)?;
        let source = Path::new(&source);
        // What is the user's own is compiled at each start: nothing here writes byte code. What is
        // part of Python's program has its source beside the others' (since 3.11).
        let mut folders = source.components();
        let is_installed = source.starts_with(library)
            || folders.any(|one| PACKAGES.contains(&one.as_os_str().to_str().unwrap_or_default()));
        if !is_installed
            || source.extension()? != "py"
            || is_frozen.call1((name,)).ok()?.is_truthy().ok()?
        {
            return None;
        }
        let file = format!("{}.{ending}", source.file_stem()?.to_str()?);
        let byte_code = source.parent()?.join("__pycache__").join(file);
        (!fits(&byte_code, source, magic.as_bytes())).then_some(())
    };
    let names = modules.keys().into_iter().filter_map(|name| text(&name));
    let mut names: Vec<String> = names.filter(|name| has_none(name).is_some()).collect();
    names.sort_unstable();
    Some(names)
}

/// What a module's namespace has by this name: the module itself may have a `__getattr__`.
fn value<'py>(modules: &Bound<'py, PyDict>, module: &str, name: &str) -> Option<Bound<'py, PyAny>> {
    let module = modules.get_item(module).ok()??;
    let module = module.cast_into_exact::<PyModule>().ok()?;
    module.dict().get_item(name).ok()?
}

fn text(value: &Bound<'_, PyAny>) -> Option<String> {
    let text = value.cast_exact::<PyString>().ok()?;
    Some(text.to_string_lossy().into_owned())
}

/// Whether Python takes this byte code for this source. A source that is told by its hash is taken
/// for the same.
fn fits(byte_code: &Path, source: &Path, magic: &[u8]) -> bool {
    let mut head = [0; HEAD_BYTES];
    let read = File::open(byte_code).and_then(|mut file| file.read_exact(&mut head));
    let Ok(source) = fs::metadata(source) else {
        // Nobody can compile it.
        return true;
    };
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    read.is_ok()
        && head.starts_with(magic)
        && (word(4) != 0 || (word(8) == source.mtime() as u32 && word(12) == source.size() as u32))
}
