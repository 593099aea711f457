//! How objects of one type lie in memory, as far as the stable ABI does not say it.

use std::ffi::{c_int, c_void};

use pyo3::ffi;

use super::words::word_of;

/// Words of `PyVarObject`: reference count, type, size.
pub(super) const SIZE: usize = 2;

/// `visitproc` and `traverseproc`.
pub(super) type VisitProc = extern "C" fn(*mut ffi::PyObject, *mut c_void) -> c_int;

pub(super) type TraverseProc =
    unsafe extern "C" fn(*mut ffi::PyObject, VisitProc, *mut c_void) -> c_int;

pub(super) type InquiryProc = unsafe extern "C" fn(*mut ffi::PyObject) -> c_int;

/// What all objects of one type have in common.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Bytes in front of the object's address.
    pub before: usize,
    /// Whether the last of these are a GC header.
    pub collected: bool,
    /// How long it is from there on.
    pub size: ObjectSize,
    /// What it has out of line.
    pub table: OutOfLine,
    /// How it tells what it refers to, if it does.
    pub traverse: Option<TraverseProc>,
    pub is_gc: Option<InquiryProc>,
    /// Whether taking a buffer is worth the try.
    pub may_export: bool,
}

/// How an object's own size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectSize {
    /// The struct's, and so many bytes for each item of those that its head counts. `__sizeof__`
    /// would add what stands out of line.
    Struct {
        /// `tp_basicsize`.
        basic: usize,
        /// `tp_itemsize`.
        item: usize,
    },
    /// What `str.__sizeof__` says, within its block: its characters follow its struct, without the
    /// type saying so, and what it says includes a UTF-8 form elsewhere.
    Text,
    /// As many digits as its head says, in its own way
    /// ([`Layouts::integer_bytes`](super::layouts::Layouts::integer_bytes)).
    Integer,
    /// The whole block, as nothing else tells: attributes stand behind the struct (3.13), or a
    /// frame does, whose size is not where other objects have it.
    Block {
        /// `tp_basicsize`, for an object that is in no block.
        basic: usize,
    },
}

/// Memory out of line that the buffer protocol does not lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OutOfLine {
    /// None that is known of.
    None,
    /// A list's array of pointers.
    List,
    /// A dict's table of keys, and its values if they are apart.
    Dict,
    /// A set's table.
    Set,
    /// The UTF-8 form of a text, or the characters of one of a class derived from `str`.
    Text,
    /// The values of attributes of an object that has no dict yet (3.11 and 3.12).
    Values,
}

impl Layout {
    /// Whether this very object has what objects of its type have in front of them. A type that
    /// Python code did not make has no GC header, though types have one.
    pub(super) fn is_collected(&self, object: *mut ffi::PyObject) -> bool {
        self.collected
            && match self.is_gc {
                None => true,
                #[expect(unsafe_code, reason = "a slot is a function")]
                // SAFETY: the object is alive, and of the type that the slot is of.
                Some(ask) => unsafe { ask(object) != 0 },
            }
    }

    /// Whether the collector would ask this object what it refers to (`PyObject_IS_GC`): a type
    /// that Python code did not make is not asked, and would abort the process.
    pub(super) fn refers(&self, object: *mut ffi::PyObject) -> bool {
        self.traverse.is_some() && self.is_collected(object)
    }

    /// Has `visit` called with each object that this one refers to.
    pub(super) fn traverse(
        &self,
        object: *mut ffi::PyObject,
        visit: VisitProc,
        argument: *mut c_void,
    ) {
        let Some(traverse) = self.traverse else {
            return;
        };
        #[expect(unsafe_code, reason = "a slot is a function")]
        // SAFETY: the object is alive and of the slot's type, and `visit` takes what its `argument`
        // is. A type whose traverse is broken ends this forked process alone; which one it was, the
        // observer reads (`map::Asked`).
        unsafe {
            traverse(object, visit, argument);
        }
    }

    /// The struct's bytes, as far as the type says.
    pub(super) fn basic_bytes(&self) -> usize {
        match self.size {
            ObjectSize::Struct { basic, .. } | ObjectSize::Block { basic } => basic,
            ObjectSize::Text | ObjectSize::Integer => 0,
        }
    }

    /// So many bytes from the object's address on; `None`: Python has to be asked, or the heap.
    pub(super) fn bytes(&self, object: *mut ffi::PyObject) -> Option<usize> {
        match self.size {
            ObjectSize::Struct { basic, item: 0 } => Some(basic),
            // `object.__sizeof__`.
            ObjectSize::Struct { basic, item } => {
                Some(basic + item * word_of(object, SIZE).cast_signed().unsigned_abs())
            }
            ObjectSize::Text | ObjectSize::Integer | ObjectSize::Block { .. } => None,
        }
    }
}

/// The two words of a function that stand behind its reference count and its type.
pub(super) fn words_behind_head(function: *mut ffi::PyObject) -> [usize; 2] {
    [SIZE, SIZE + 1].map(|index| word_of(function, index))
}
