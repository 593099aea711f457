//! Where the objects of a dataset are.
//!
//! Runs in a forked process of its own: taking buffers writes reference counts, and lists of pages take memory, but
//! neither is then the measured process's.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{c_char, c_int, c_void};
use std::ops::Range;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict, PyFrozenSet, PyInt, PyList, PySet, PyString, PyTuple, PyType};
use refcow::model::RegionMap;
use refcow::observe::{PageSet, page_size};

/// The pages of everything in `data`: lists and tuples to any depth, and what they hold.
pub fn map(data: &Bound<'_, PyAny>) -> PyResult<RegionMap> {
    let mut walk = Walk::default();
    let mut containers = vec![data.clone()];
    walk.object(data)?;
    let mut seen = HashSet::new();
    while let Some(container) = containers.pop() {
        if seen.insert(container.as_ptr()) {
            walk.contents(&container, &mut containers)?;
        }
    }
    Ok(RegionMap {
        header: walk.header.ranges(),
        spine: walk.spine.ranges(),
        payload: walk.payload.ranges(),
        not_walked: walk.not_walked.into_iter().collect(),
    })
}

#[derive(Default)]
struct Walk {
    /// `__sizeof__` of each base type, looked up once: there may be millions of objects.
    sizeof: HashMap<Base, Py<PyAny>>,
    header: Pages,
    spine: Pages,
    payload: Pages,
    layouts: HashMap<*mut ffi::PyTypeObject, Layout>,
    not_walked: BTreeSet<String>,
}

impl Walk {
    fn contents<'py>(
        &mut self,
        container: &Bound<'py, PyAny>,
        containers: &mut Vec<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        if let Ok(list) = container.cast::<PyList>() {
            let spine = spine(list)?;
            self.spine.add(spine.start, spine.len());
            for index in 0..list.len() {
                self.element(&list.get_item(index)?, containers)?;
            }
        } else if let Ok(tuple) = container.cast::<PyTuple>() {
            // A tuple's pointers stand in its own struct, so they are header.
            for index in 0..tuple.len() {
                self.element(&tuple.get_item(index)?, containers)?;
            }
        }
        Ok(())
    }

    fn element<'py>(
        &mut self,
        element: &Bound<'py, PyAny>,
        containers: &mut Vec<Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        self.object(element)?;
        if element.is_instance_of::<PyList>() || element.is_instance_of::<PyTuple>() {
            containers.push(element.clone());
        }
        Ok(())
    }

    /// Bytes of an object in one piece.
    fn sizeof(&mut self, object: &Bound<'_, PyAny>, base: Base) -> PyResult<usize> {
        let py = object.py();
        let function = match self.sizeof.entry(base) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let kind = match base {
                    Base::Text => py.get_type::<PyString>(),
                    Base::Integer => py.get_type::<PyInt>(),
                    Base::Items => py.get_type::<PyAny>(),
                };
                unknown.insert(kind.getattr("__sizeof__")?.unbind())
            }
        };
        function.bind(py).call1((object,))?.extract()
    }

    /// One object's header and, if it exports one, its buffer.
    fn object(&mut self, object: &Bound<'_, PyAny>) -> PyResult<()> {
        let kind = object.get_type();
        let layout = match self.layouts.get(&kind.as_type_ptr()) {
            Some(layout) => *layout,
            None => {
                let layout = Layout::of(&kind)?;
                self.layouts.insert(kind.as_type_ptr(), layout);
                layout
            }
        };
        let address = object.as_ptr() as usize;
        let size = match layout.size {
            Size::Fixed(size) => size,
            // Of the base type, not of the object: a class of the user's may answer what it likes.
            Size::Asked(base) => self.sizeof(object, base)?,
        };
        let start = address - layout.before;
        self.header.add(start, layout.before + size);
        if layout.has_more {
            self.not_walked.insert(kind.name()?.to_string());
        }
        if layout.may_export {
            match buffer(object) {
                // `bytes` exports what stands in its own struct; a header first, by the order of regions.
                Ok(buffer) => self.payload.add(buffer.start, buffer.len()),
                // No object of this type has one.
                Err(error) if error.is_instance_of::<PyTypeError>(object.py()) => {
                    self.layouts
                        .entry(kind.as_type_ptr())
                        .and_modify(|layout| layout.may_export = false);
                }
                // This one does not give it: a memoryview that was released, a mapping that was closed.
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// What all objects of one type have in common.
#[derive(Clone, Copy)]
struct Layout {
    /// Bytes in front of the object's address: the two words of a GC header (`PyGC_Head`, `_PyObject_GC_New`).
    before: usize,
    size: Size,
    /// Whether taking a buffer is worth the try.
    may_export: bool,
    /// Whether they lead to memory that is not looked for here: tables and attributes.
    has_more: bool,
}

#[derive(Clone, Copy)]
enum Size {
    /// The struct's size: `__sizeof__` would add what stands out of line.
    Fixed(usize),
    /// Objects of one type differ in size and stand in one piece: what `__sizeof__` of this base type says.
    Asked(Base),
}

/// Types whose `__sizeof__` tells the size of an object in one piece.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Base {
    /// Its characters follow its struct, without the type saying so.
    Text,
    /// Its digits do.
    Integer,
    /// A struct with so many items behind it.
    Items,
}

impl Layout {
    fn of(kind: &Bound<'_, PyType>) -> PyResult<Self> {
        let items: isize = kind.getattr("__itemsize__")?.extract()?;
        let attributes: isize = kind.getattr("__dictoffset__")?.extract()?;
        let size = if kind.is_subclass_of::<PyString>()? {
            Size::Asked(Base::Text)
        } else if kind.is_subclass_of::<PyInt>()? {
            Size::Asked(Base::Integer)
        } else if items != 0 && !kind.is_subclass_of::<PyType>()? {
            Size::Asked(Base::Items)
        } else {
            Size::Fixed(kind.getattr("__basicsize__")?.extract()?)
        };
        #[expect(unsafe_code, reason = "PyO3 wraps no type flags")]
        // SAFETY: `kind` is a live type object; the call reads its flags.
        let flags = unsafe { ffi::PyType_GetFlags(kind.as_type_ptr()) };
        Ok(Self {
            before: if flags & ffi::Py_TPFLAGS_HAVE_GC == 0 {
                0
            } else {
                2 * size_of::<usize>()
            },
            size,
            has_more: attributes != 0
                || kind.is_subclass_of::<PyDict>()?
                || kind.is_subclass_of::<PySet>()?
                || kind.is_subclass_of::<PyFrozenSet>()?,
            may_export: true,
        })
    }
}

/// The addresses of a list's array of pointers.
///
/// The stable ABI has no name for it. `PyListObject` has been a variable-size head (count, type, size: three words),
/// then `ob_item`, then `allocated`, from 3.8 to 3.15 in builds with the GIL; each list is checked against that.
fn spine(list: &Bound<'_, PyList>) -> PyResult<Range<usize>> {
    const ITEMS: usize = 3;
    const ALLOCATED: usize = 4;
    let words = list.as_ptr().cast::<usize>();
    #[expect(unsafe_code, reason = "the stable ABI hides the struct")]
    // SAFETY: a list object is at least five words on every supported build (its `__basicsize__` is 40 or, for a
    // subclass, more), and `list` keeps it alive while no other thread runs.
    let (items, allocated) = unsafe { (*words.add(ITEMS), *words.add(ALLOCATED)) };
    if list.is_empty() {
        return Ok(items..items);
    }
    let first = list.get_item(0)?.as_ptr() as usize;
    let unknown = || {
        PyRuntimeError::new_err(
            "this interpreter's lists are laid out in a way refcow does not know: its regions would be wrong",
        )
    };
    if items == 0 || allocated < list.len() {
        return Err(unknown());
    }
    #[expect(unsafe_code, reason = "the stable ABI hides the struct")]
    // SAFETY: a non-empty list's `ob_item` points to `allocated` pointers; were the layout another, this word would
    // be a size or a hash, and reading it could fault. It has been compared with the length above, and a wrong guess
    // ends this forked process alone, with a message of the observer's.
    let found = unsafe { *(items as *const usize) };
    if found != first {
        return Err(unknown());
    }
    Ok(items..items + allocated * size_of::<usize>())
}

/// `Py_buffer`, unchanged since 3.3 and part of the stable ABI since 3.11 (bpo-45459). PyO3
/// declares it for 3.11 and later only; the functions are in every libpython.
#[repr(C)]
struct PyBuffer {
    buf: *mut c_void,
    obj: *mut ffi::PyObject,
    len: isize,
    itemsize: isize,
    readonly: c_int,
    ndim: c_int,
    format: *mut c_char,
    shape: *mut isize,
    strides: *mut isize,
    suboffsets: *mut isize,
    internal: *mut c_void,
}

/// `PyBUF_STRIDES`: any layout in memory that has one start and one extent.
const STRIDES: c_int = 0x0010 | 0x0008;

#[expect(unsafe_code, reason = "see PyBuffer")]
unsafe extern "C" {
    fn PyObject_GetBuffer(object: *mut ffi::PyObject, view: *mut PyBuffer, flags: c_int) -> c_int;
    fn PyBuffer_Release(view: *mut PyBuffer);
}

/// The addresses from the first to the last byte that the object exports.
fn buffer(object: &Bound<'_, PyAny>) -> PyResult<Range<usize>> {
    let mut view = std::mem::MaybeUninit::<PyBuffer>::uninit();
    #[expect(unsafe_code, reason = "see PyBuffer")]
    // SAFETY: the object is alive and the thread attached (`Bound`); `view` has the size and alignment of the struct
    // that the call fills, and is read only if the call said that it has.
    let view = unsafe {
        if PyObject_GetBuffer(object.as_ptr(), view.as_mut_ptr(), STRIDES) != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        view.assume_init_mut()
    };
    let start = view.buf as usize;
    let itemsize = usize::try_from(view.itemsize).unwrap_or(0);
    let extent = if view.len == 0 {
        start..start
    } else if view.strides.is_null() || view.shape.is_null() {
        start..start + usize::try_from(view.len).unwrap_or(0)
    } else {
        let (mut low, mut high) = (start, start + itemsize);
        for dimension in 0..usize::try_from(view.ndim).unwrap_or(0) {
            #[expect(unsafe_code, reason = "see PyBuffer")]
            // SAFETY: with PyBUF_STRIDES an exporter gives `ndim` shapes and strides (PEP 3118).
            let (shape, stride) =
                unsafe { (*view.shape.add(dimension), *view.strides.add(dimension)) };
            let reach = (shape - 1).wrapping_mul(stride);
            if reach < 0 {
                low = low.wrapping_add_signed(reach);
            } else {
                high = high.wrapping_add_signed(reach);
            }
        }
        low..high
    };
    #[expect(unsafe_code, reason = "see PyBuffer")]
    // SAFETY: `view` was filled by a successful PyObject_GetBuffer and is released once.
    unsafe {
        PyBuffer_Release(view);
    }
    Ok(extent)
}

/// A set of pages that is cheap to fill with neighbours.
#[derive(Default)]
struct Pages {
    set: PageSet,
    last: Option<u64>,
}

impl Pages {
    fn add(&mut self, start: usize, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let page = |address: usize| address as u64 / page_size();
        let (first, last) = (page(start), page(start + bytes - 1));
        if first == last && self.last == Some(last) {
            return;
        }
        self.set.insert_range(first..=last);
        self.last = Some(last);
    }

    fn ranges(&self) -> Vec<Range<u64>> {
        refcow::observe::ranges(&self.set)
    }
}
