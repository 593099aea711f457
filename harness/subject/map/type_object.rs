//! What a type says of itself: the words of `PyTypeObject`, which hold from 3.8 to 3.15.

use pyo3::ffi;

use super::words::word_of;

const WORD: usize = size_of::<usize>();

/// Words of `PyTypeObject` (Include/cpython/object.h).
pub(super) const NAME: usize = 3;
pub(super) const BASIC_SIZE: usize = 4;
pub(super) const ITEM_SIZE: usize = 5;
pub(super) const DEALLOC: usize = 6;
pub(super) const FLAGS: usize = 21;
pub(super) const TRAVERSE: usize = 23;
const WEAK_LIST: usize = 26;
pub(super) const BASE: usize = 32;
pub(super) const IS_GC: usize = 41;

/// `Py_TPFLAGS_HEAPTYPE`, `Py_TPFLAGS_READY`, and that of metaclasses, `Py_TPFLAGS_TYPE_SUBCLASS`.
const HEAP_TYPE: usize = 1 << 9;
const READY: usize = 1 << 12;
const TYPE_SUBCLASS: usize = 1 << 31;

/// `PyTypeObject`, which a type of C code's own is (3.9; other versions have a word more).
pub(super) const STATIC_TYPE_BYTES: usize = 51 * WORD;

#[expect(unsafe_code, reason = "not in the stable ABI")]
unsafe extern "C" {
    pub(super) static mut PyGen_Type: ffi::PyTypeObject;
    pub(super) static mut PyCoro_Type: ffi::PyTypeObject;
    pub(super) static mut PyAsyncGen_Type: ffi::PyTypeObject;
    pub(super) static mut PyFrame_Type: ffi::PyTypeObject;
    pub(super) static mut PyFunction_Type: ffi::PyTypeObject;
    pub(super) static mut PyCode_Type: ffi::PyTypeObject;
}

/// Whether a type was made at run time.
pub(super) fn is_heap_type(kind: *mut ffi::PyTypeObject) -> bool {
    word_of(kind.cast(), FLAGS) & HEAP_TYPE != 0
}

/// `tp_basicsize`.
pub(super) fn basic_bytes(kind: *mut ffi::PyTypeObject) -> usize {
    word_of(kind.cast(), BASIC_SIZE)
}

/// Where an object has the list of weak references to it (`tp_weaklistoffset`), none of which it
/// holds; 0: nowhere in its struct.
pub(super) fn weak_list(kind: *mut ffi::PyTypeObject) -> usize {
    usize::try_from(word_of(kind.cast(), WEAK_LIST).cast_signed()).unwrap_or(0)
}

/// The type itself and all that it is derived from, one from the other.
pub(super) fn bases(kind: *mut ffi::PyTypeObject) -> impl Iterator<Item = *mut ffi::PyTypeObject> {
    std::iter::successors(Some(kind), |kind| {
        let base = word_of(kind.cast(), BASE) as *mut ffi::PyTypeObject;
        (!base.is_null()).then_some(base)
    })
}

/// Whether a type is at this address, by all that types have in common. `word` reads a word, if it
/// is there.
pub(super) fn is_type(address: usize, word: impl Fn(usize) -> Option<usize>) -> bool {
    const MOST_BASIC_BYTES: usize = 1 << 20;
    let looks_like_one = |kind: usize, flags: usize, least: usize| {
        let has = |index: usize, is: &dyn Fn(usize) -> bool| {
            word(kind.wrapping_add(index * WORD)).is_some_and(is)
        };
        // Memory of a class that is no more looks like a class to which nobody refers.
        kind.is_multiple_of(WORD)
            && has(0, &|count| count as u32 > 0)
            && has(FLAGS, &|all| all & flags == flags)
            && has(NAME, &|name| name != 0)
            && has(BASIC_SIZE, &|bytes| {
                (least..MOST_BASIC_BYTES).contains(&bytes)
            })
    };
    if !looks_like_one(address, READY, 2 * WORD) {
        return false;
    }
    let mut kind = address;
    // A type's type is a metaclass, and the last of these is its own.
    for _ in 0..4 {
        if kind == &raw mut ffi::PyType_Type as usize {
            return true;
        }
        let above = word(kind.wrapping_add(WORD)).unwrap_or(0);
        if !looks_like_one(above, READY | TYPE_SUBCLASS, STATIC_TYPE_BYTES) {
            return false;
        }
        kind = above;
    }
    false
}

/// Whether objects of this type are types.
pub(super) fn is_metatype(kind: *mut ffi::PyTypeObject) -> bool {
    #[expect(unsafe_code, reason = "PyO3 wraps no type flags")]
    // SAFETY: `kind` is the type of an object that is alive; the call reads its flags.
    unsafe {
        ffi::PyType_GetFlags(kind) & ffi::Py_TPFLAGS_TYPE_SUBCLASS != 0
    }
}

pub(super) fn is_exactly(kind: *mut ffi::PyTypeObject, other: *mut ffi::PyTypeObject) -> bool {
    std::ptr::eq(kind, other)
}

pub(super) fn is_set(kind: *mut ffi::PyTypeObject) -> bool {
    #[expect(unsafe_code, reason = "no flag tells sets")]
    // SAFETY: `kind` is the type of an object that is alive; the two others are static.
    unsafe {
        ffi::PyType_IsSubtype(kind, &raw mut ffi::PySet_Type) != 0
            || ffi::PyType_IsSubtype(kind, &raw mut ffi::PyFrozenSet_Type) != 0
    }
}
