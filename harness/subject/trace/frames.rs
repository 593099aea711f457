//! Frames of running Python code, by what each version has for them.

use std::ffi::CStr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// A function of a frame that gives a new reference, or null.
type OfFrame = unsafe extern "C" fn(*mut ffi::PyFrameObject) -> *mut ffi::PyObject;

/// How this interpreter tells a frame's code, and its caller.
#[derive(Clone, Copy)]
pub(super) enum Frames {
    /// `PyFrame_GetCode` and `PyFrame_GetBack`, since 3.9.
    Functions { code: OfFrame, back: OfFrame },
    /// The attributes of these names, which live as long as the process.
    Attributes {
        code: *mut ffi::PyObject,
        back: *mut ffi::PyObject,
    },
}

impl Frames {
    pub(super) fn new(py: Python<'_>) -> Self {
        match (of_frame(c"PyFrame_GetCode"), of_frame(c"PyFrame_GetBack")) {
            (Some(code), Some(back)) => Self::Functions { code, back },
            _ => {
                let name = |name| PyString::intern(py, name).into_any().into_ptr();
                Self::Attributes {
                    code: name("f_code"),
                    back: name("f_back"),
                }
            }
        }
    }

    /// The frame's code; a new reference.
    pub(super) fn code(self, frame: *mut ffi::PyFrameObject) -> Option<Reference> {
        match self {
            Self::Functions { code, .. } => of(frame, code),
            Self::Attributes { code, .. } => attribute(frame, code),
        }
    }

    /// The frame that called it.
    pub(super) fn back(self, frame: *mut ffi::PyFrameObject) -> Option<Reference> {
        match self {
            Self::Functions { back, .. } => of(frame, back),
            Self::Attributes { back, .. } => attribute(frame, back),
        }
    }
}

/// The function of this name, if this interpreter has it.
fn of_frame(name: &CStr) -> Option<OfFrame> {
    #[expect(unsafe_code, reason = "only some versions have it")]
    // SAFETY: the name is a C string. If libpython has such a symbol, it is a function of this
    // type: both have been `T *f(PyFrameObject *)` with a struct that begins with a PyObject since
    // they came (3.9, cpython/pyframe.h).
    unsafe {
        let found = nix::libc::dlsym(nix::libc::RTLD_DEFAULT, name.as_ptr());
        (!found.is_null()).then(|| std::mem::transmute::<*mut nix::libc::c_void, OfFrame>(found))
    }
}

fn of(frame: *mut ffi::PyFrameObject, function: OfFrame) -> Option<Reference> {
    #[expect(unsafe_code, reason = "PyO3 wraps no frames")]
    // SAFETY: the interpreter that calls the trace function has given the frame, or the frame has
    // given its caller, of which a reference is held; the thread is attached.
    Reference::new(unsafe { function(frame) })
}

fn attribute(frame: *mut ffi::PyFrameObject, name: *mut ffi::PyObject) -> Option<Reference> {
    #[expect(unsafe_code, reason = "PyO3 wraps no frames")]
    // SAFETY: as in `of`; the name is a string that is never freed. `f_code` and `f_back` are
    // members of the struct, so that no Python code runs. An exception is none of the visit's.
    unsafe {
        let found = ffi::PyObject_GetAttr(frame.cast(), name);
        if found.is_null() {
            ffi::PyErr_Clear();
        }
        Reference::new(found).filter(|found| found.0 != ffi::Py_None())
    }
}

/// A reference that is given up when dropped, as `Bound` is, but without asking for a token on the
/// way.
pub(super) struct Reference(pub(super) *mut ffi::PyObject);

impl Reference {
    pub(super) fn new(object: *mut ffi::PyObject) -> Option<Self> {
        (!object.is_null()).then_some(Self(object))
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "as ffi's references are counted")]
        // SAFETY: made by `new` of a new reference, in the trace function, whose thread is
        // attached. It is never the last one: a frame that runs, or is being left, holds its code
        // and its caller.
        unsafe {
            ffi::Py_DecRef(self.0);
        }
    }
}
