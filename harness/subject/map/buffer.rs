//! The memory that an object exports by the buffer protocol (PEP 3118).

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ops::Range;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;

use super::words::{read, word_of};

/// `Py_buffer`, unchanged since 3.3 and part of the stable ABI since 3.11 (bpo-45459). PyO3
/// declares it for 3.11 and later only; the functions are in every CPython.
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
/// `PyBUF_FORMAT`: what the items are.
const FORMAT: c_int = 0x0004;

#[expect(unsafe_code, reason = "see PyBuffer")]
unsafe extern "C" {
    fn PyObject_GetBuffer(object: *mut ffi::PyObject, view: *mut PyBuffer, flags: c_int) -> c_int;
    fn PyBuffer_Release(view: *mut PyBuffer);
}

/// What an object exports.
pub(super) struct Buffer {
    /// The addresses from the first to the last byte.
    pub extent: Range<usize>,
    /// The first item, and how many items at what distance each dimension has.
    start: usize,
    dimensions: Vec<(isize, isize)>,
    /// Whether each item is a pointer to an object (NumPy's `dtype=object`).
    pub is_pointers: bool,
    /// Whether there are such pointers among other things.
    pub holds_more: bool,
}

impl Buffer {
    /// Where each item begins.
    pub(super) fn items(&self) -> Vec<usize> {
        // From the first item, along one dimension after the other.
        let mut items = Vec::new();
        if !self.extent.is_empty() {
            items.push(self.start);
        }
        for (number, distance) in &self.dimensions {
            if *distance == 0 {
                continue;
            }
            let before = std::mem::take(&mut items);
            for item in before {
                items.extend((0..*number).map(|index| item.wrapping_add_signed(index * distance)));
            }
        }
        items
    }

    /// The buffer of an object.
    ///
    /// # Errors
    /// `TypeError`: no object of this type has one. Another: this one does not give it.
    pub(super) fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        take(object, STRIDES | FORMAT).or_else(|error| {
            match error.is_instance_of::<PyTypeError>(object.py()) {
                true => Err(error),
                // NumPy has no format for some of its own types.
                false => take(object, STRIDES),
            }
        })
    }

    /// The items of a NumPy array, by its struct (`PyArrayObject_fields`, part of NumPy's ABI).
    pub(super) fn of_array(array: *mut ffi::PyObject, item_bytes: usize) -> Self {
        const WORD: usize = size_of::<usize>();
        let [start, number, lengths, distances] = [2, 3, 4, 5].map(|index| word_of(array, index));
        let dimensions: Vec<_> = (0..number & 0xff)
            .map(|index| {
                let word = |array: usize| read(array + index * WORD).cast_signed();
                (word(lengths), word(distances))
            })
            .collect();
        Self {
            extent: extent(start, item_bytes, &dimensions),
            start,
            dimensions,
            is_pointers: false,
            holds_more: false,
        }
    }
}

/// From the first to the last byte.
fn extent(start: usize, item_bytes: usize, dimensions: &[(isize, isize)]) -> Range<usize> {
    if dimensions.iter().any(|(length, _)| *length == 0) {
        return start..start;
    }
    let (mut low, mut high) = (start, start + item_bytes);
    for (length, distance) in dimensions {
        let reach = (length - 1).wrapping_mul(*distance);
        if reach < 0 {
            low = low.wrapping_add_signed(reach);
        } else {
            high = high.wrapping_add_signed(reach);
        }
    }
    low..high
}

fn take(object: &Bound<'_, PyAny>, flags: c_int) -> PyResult<Buffer> {
    let mut view = std::mem::MaybeUninit::<PyBuffer>::uninit();
    #[expect(unsafe_code, reason = "see PyBuffer")]
    // SAFETY: the object is alive and the thread attached (`Bound`); `view` has the size and
    // alignment of the struct that the call fills, and is read only if the call said that it has.
    let view = unsafe {
        if PyObject_GetBuffer(object.as_ptr(), view.as_mut_ptr(), flags) != 0 {
            return Err(PyErr::fetch(object.py()));
        }
        view.assume_init_mut()
    };
    let start = view.buf as usize;
    let itemsize = usize::try_from(view.itemsize).unwrap_or(0);
    let format = match view.format.is_null() {
        true => c"",
        #[expect(unsafe_code, reason = "see PyBuffer")]
        // SAFETY: a format that is there is a C string that lives until the release (PEP 3118).
        false => unsafe { CStr::from_ptr(view.format) },
    };
    let has_strides = !view.strides.is_null() && !view.shape.is_null();
    let is_object = format == c"O" && itemsize == size_of::<usize>() && has_strides;
    // Names of fields stand between colons (PEP 3118).
    let mut codes = format.to_bytes().split(|byte| *byte == b':').step_by(2);
    let holds_more = !is_object && codes.any(|codes| codes.contains(&b'O'));
    let mut dimensions = Vec::new();
    if has_strides {
        for dimension in 0..usize::try_from(view.ndim).unwrap_or(0) {
            #[expect(unsafe_code, reason = "see PyBuffer")]
            // SAFETY: with PyBUF_STRIDES an exporter gives `ndim` shapes and strides (PEP 3118).
            dimensions.push(unsafe { (*view.shape.add(dimension), *view.strides.add(dimension)) });
        }
    }
    let extent = match view.len {
        0 => start..start,
        bytes if dimensions.is_empty() => start..start + usize::try_from(bytes).unwrap_or(0),
        _ => extent(start, itemsize, &dimensions),
    };
    #[expect(unsafe_code, reason = "see PyBuffer")]
    // SAFETY: `view` was filled by a successful PyObject_GetBuffer and is released once.
    unsafe {
        PyBuffer_Release(view);
    }
    Ok(Buffer {
        extent,
        start,
        dimensions,
        is_pointers: is_object,
        holds_more,
    })
}
