//! What objects have and refer to that their types do not tell the collector of, nor export.
//!
//! The collector needs to know only what can be in a cycle, and memory that is no object it does
//! not need to know at all. Structs of modules that come with CPython, and NumPy's (its ABI keeps
//! them), are known here by name; of other types' structs every word is looked at: one that is the
//! address of a live object leads to that object.

use std::ops::Range;

use pyo3::ffi;

use super::allocator::Heap;
use super::layouts::Layouts;
use super::type_object;
use super::words::{read, word_of};

const WORD: usize = size_of::<usize>();

#[expect(unsafe_code, reason = "not in the stable ABI")]
unsafe extern "C" {
    static mut PyODict_Type: ffi::PyTypeObject;
    static mut _PyWeakref_RefType: ffi::PyTypeObject;
    static mut _PyWeakref_ProxyType: ffi::PyTypeObject;
    static mut _PyWeakref_CallableProxyType: ffi::PyTypeObject;
}

/// What kind of things an object has besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untold {
    /// None.
    Nothing,
    /// `collections.deque`: blocks of pointers, each linked to the next.
    Deque,
    /// `collections.OrderedDict`: a node for each key, and a table of nodes.
    Ordered,
    /// `xml.etree.ElementTree.Element` in C: its children.
    Element,
    /// `numpy.ndarray`: its dimensions and strides, its type and the array that it is a view of.
    Array,
    /// `numpy.void`, a row of structs: what it stands in, and its type.
    Void,
    /// `numpy.dtypes.StringDType`: the arena with the texts of its array.
    StringArena,
    /// A weak reference or a proxy: the object, which it does not own.
    Weak,
    /// `datetime.datetime`: its time zone.
    DateTime,
    /// `datetime.time`: the same.
    Time,
    /// `decimal.Decimal`: its digits, if they are many.
    Decimal,
    /// A class: its names, and the keys that its objects share.
    Class,
    /// A function: that its globals are the program's.
    Function,
    /// A frame: the same.
    Frame,
    /// What other types' structs lead to.
    Struct,
}

/// What is known of a type in this respect.
#[derive(Clone, Copy)]
pub(super) struct Besides {
    pub untold: Untold,
    /// How many bytes of an object are the struct of C code's.
    pub struct_bytes: usize,
    /// Where in it is the list of weak references.
    weak_list: usize,
    /// Whether nothing is known of the struct but its size, so that it may have memory of its own.
    pub is_foreign: bool,
    /// Whether the objects that its buffer leads to are told of by its traverse: in `ctypes`,
    /// `_objects` has them.
    pub keeps_what_it_refers_to: bool,
}

/// Types of `builtins` and the like that have nothing but what they tell of, or are found
/// otherwise.
const TOLD: [&str; 16] = [
    "object",
    "dict",
    "list",
    "tuple",
    "set",
    "frozenset",
    "str",
    "bytes",
    "int",
    "bool",
    "float",
    "complex",
    "NoneType",
    "bytearray",
    "memoryview",
    "module",
];

/// Modules of C code that come with CPython whose objects have no memory of their own that is more
/// than a few words.
const SMALL: [&str; 14] = [
    "_thread.",
    "_random.",
    "_struct.",
    "_weakref",
    "builtins.",
    "collections.",
    "datetime.",
    "decimal.",
    "functools.",
    "itertools.",
    "operator.",
    "re.",
    "types.",
    "weakref",
];

impl Besides {
    /// What is known of this type.
    pub(super) fn of(kind: *mut ffi::PyTypeObject, layouts: &Layouts) -> Self {
        let made_by_c = layouts.made_by_c(kind);
        let name = layouts.type_name(made_by_c);
        let is = |other: *mut ffi::PyTypeObject| type_object::bases(kind).any(|base| base == other);
        let named = |name: &str| {
            let mut bases = type_object::bases(made_by_c);
            bases.any(|base| layouts.type_name(base) == name)
        };
        let weak = [
            &raw mut _PyWeakref_RefType,
            &raw mut _PyWeakref_ProxyType,
            &raw mut _PyWeakref_CallableProxyType,
        ];
        let untold = if is(&raw mut ffi::PyType_Type) {
            Untold::Class
        } else if is(&raw mut type_object::PyFunction_Type) {
            Untold::Function
        } else if is(&raw mut type_object::PyFrame_Type) {
            Untold::Frame
        } else if weak.into_iter().any(is) {
            Untold::Weak
        } else if is(&raw mut PyODict_Type) {
            Untold::Ordered
        } else if TOLD.contains(&&name[..]) {
            Untold::Nothing
        } else if named("collections.deque") {
            Untold::Deque
        } else if named("xml.etree.ElementTree.Element") {
            Untold::Element
        } else if named("datetime.datetime") {
            Untold::DateTime
        } else if named("datetime.time") {
            Untold::Time
        } else if named("decimal.Decimal") {
            Untold::Decimal
        } else if named("numpy.ndarray") {
            Untold::Array
        } else if named("numpy.void") {
            Untold::Void
        } else if named("numpy.dtypes.StringDType") {
            Untold::StringArena
        } else if named("numpy.generic") {
            Untold::Nothing
        } else {
            Untold::Struct
        };
        let is_small = |small: &&str| name.starts_with(small);
        Self {
            untold,
            struct_bytes: type_object::basic_bytes(made_by_c),
            weak_list: type_object::weak_list(made_by_c),
            is_foreign: untold == Untold::Struct
                && (name.contains('.') || name == "PyCapsule")
                && !SMALL.iter().any(is_small)
                && !named("numpy.dtype"),
            keeps_what_it_refers_to: named("_ctypes._CData"),
        }
    }

    /// The words of the struct behind the head, and not the list of weak references.
    pub(super) fn words(self, object: *mut ffi::PyObject) -> impl Iterator<Item = usize> {
        (2..self.struct_bytes / WORD)
            .filter(move |index| index * WORD != self.weak_list)
            .map(move |index| word_of(object, index))
    }
}

/// What memory out of line is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Pointers,
    Content,
}

/// Tells `found` of each block that the object has out of line. Nothing is taken for a block of
/// which an allocator does not say so.
pub(super) fn blocks(
    object: *mut ffi::PyObject,
    untold: Untold,
    heap: &Heap,
    mut found: impl FnMut(Range<usize>, Use),
) {
    let mut block = |start: usize, what: Use| {
        let bytes = heap.block_bytes(start);
        if let Some(bytes) = bytes {
            found(start..start + bytes, what);
        }
        bytes.unwrap_or(0)
    };
    match untold {
        Untold::Deque => {
            /// `dequeobject.leftblock` and `.rightblock`; `block.rightlink` behind `leftlink` and
            /// 64 pointers (`BLOCKLEN`).
            const FIRST: usize = 3;
            const LAST: usize = 4;
            const NEXT: usize = 65 * WORD;
            let (mut next, last) = (word_of(object, FIRST), word_of(object, LAST));
            while block(next, Use::Pointers) >= NEXT + WORD && next != last {
                next = read(next + NEXT);
            }
        }
        Untold::Ordered => {
            /// `PyODictObject.od_first`, `.od_fast_nodes`; `_ODictNode.next` behind key and hash.
            const FIRST: usize = 6;
            const TABLE: usize = 8;
            const NEXT: usize = 2 * WORD;
            block(word_of(object, TABLE), Use::Pointers);
            let mut next = word_of(object, FIRST);
            while block(next, Use::Pointers) >= NEXT + 2 * WORD {
                next = read(next + NEXT);
            }
        }
        Untold::Element => {
            /// `ElementObject.extra`; `ElementObjectExtra.children`, which may be the array behind
            /// it.
            const EXTRA: usize = 5;
            const CHILDREN: usize = 3 * WORD;
            let extra = word_of(object, EXTRA);
            let bytes = block(extra, Use::Pointers);
            if bytes >= CHILDREN + WORD {
                let children = read(extra + CHILDREN);
                if !(extra..extra + bytes).contains(&children) {
                    block(children, Use::Pointers);
                }
            }
        }
        Untold::Array => {
            /// `PyArrayObject_fields.dimensions`; strides stand behind them.
            const DIMENSIONS: usize = 4;
            block(word_of(object, DIMENSIONS), Use::Content);
        }
        Untold::Decimal => {
            /// `PyDecObject.dec.data`, which may be in the struct.
            const DIGITS: usize = 8;
            let digits = word_of(object, DIGITS);
            let own = object as usize;
            if !(own..own + 16 * WORD).contains(&digits) {
                block(digits, Use::Content);
            }
        }
        Untold::StringArena => {
            /// `PyArray_StringDTypeObject.allocator`; `npy_string_allocator.arena.buffer` (NumPy
            /// 2).
            const ALLOCATOR: usize = 17;
            const BUFFER: usize = 5 * WORD;
            let allocator = word_of(object, ALLOCATOR);
            if block(allocator, Use::Content) >= BUFFER + WORD {
                block(read(allocator + BUFFER), Use::Content);
            }
        }
        _ => {}
    }
}

/// Objects that stand at known places of the object's struct.
pub(super) fn references(object: *mut ffi::PyObject, untold: Untold) -> [*mut ffi::PyObject; 2] {
    let word = |index| word_of(object, index) as *mut ffi::PyObject;
    let none = std::ptr::null_mut();
    /// `_PyTZINFO_HEAD`: the hash, then whether there is a zone. Without one the struct ends before
    /// it.
    const HAS_ZONE: usize = 3;
    let has_zone = || word_of(object, HAS_ZONE) & 0xff != 0;
    match untold {
        // `.base` and `.descr`.
        Untold::Array => [word(6), word(7)],
        // The same of `PyVoidScalarObject`.
        Untold::Void => [word(6), word(4)],
        Untold::DateTime if has_zone() => [word(5), none],
        Untold::Time if has_zone() => [word(4), none],
        _ => [none, none],
    }
}

/// `PyWeakReference.wr_object`.
pub(super) fn referent(reference: *mut ffi::PyObject) -> *mut ffi::PyObject {
    word_of(reference, 2) as *mut ffi::PyObject
}

/// `PyFrameObject.f_builtins` and `.f_globals`, until 3.10; later frames leave them to their
/// functions.
pub(super) fn frames_program(frame: *mut ffi::PyObject) -> [usize; 2] {
    [word_of(frame, 5), word_of(frame, 6)]
}
