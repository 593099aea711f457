//! How CPython lays out types and objects in memory, as far as the stable ABI does not say it.
//!
//! Each of these facts holds from 3.8 to 3.15 in builds with the GIL, unless a version is named, and [`Layouts::new`]
//! compares those that it can with the running interpreter: a wrong one is an error, not a figure.

use std::ffi::{c_int, c_ulong, c_void};
use std::ops::Range;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySet, PyString, PyType};

use super::allocator::Heap;
use super::keys::Keys;
use super::words::{read, word_of};

const WORD: usize = size_of::<usize>();
/// `PyGC_Head`.
const GC_HEADER: usize = 2 * WORD;

/// Words of `PyVarObject`: reference count, type, size.
const SIZE: usize = 2;
/// Words of `PyTypeObject` (Include/cpython/object.h).
const NAME: usize = 3;
const BASIC_SIZE: usize = 4;
const ITEM_SIZE: usize = 5;
const DEALLOC: usize = 6;
const FLAGS: usize = 21;
const TRAVERSE: usize = 23;
const WEAK_LIST: usize = 26;
const BASE: usize = 32;
const IS_GC: usize = 41;

/// `Py_TPFLAGS_HEAPTYPE`, `Py_TPFLAGS_READY`, and that of metaclasses, `Py_TPFLAGS_TYPE_SUBCLASS`.
const HEAP_TYPE: usize = 1 << 9;
const READY: usize = 1 << 12;
const TYPE_SUBCLASS: usize = 1 << 31;

/// `Py_TPFLAGS_INLINE_VALUES`, since 3.13: attributes stand behind the object.
const INLINE_VALUES: c_ulong = 1 << 2;
/// `Py_TPFLAGS_MANAGED_WEAKREF`, since 3.12, and `Py_TPFLAGS_MANAGED_DICT`, since 3.11: two words more in front of it.
const MANAGED_WEAKREF: c_ulong = 1 << 3;
const MANAGED_DICT: c_ulong = 1 << 4;

/// The word of `PyASCIIObject` that has its `state` (and, in the upper half, nothing).
const TEXT_STATE: usize = 4;

/// `PyTypeObject`, which a type of C code's own is (3.9; other versions have a word more).
pub(super) const STATIC_TYPE_BYTES: usize = 51 * WORD;

/// `ht_name`, `ht_slots` and `ht_qualname` stand in front of `ht_cached_keys`.
const NAMES: usize = 3;

#[expect(unsafe_code, reason = "not in the stable ABI")]
unsafe extern "C" {
    static mut PyGen_Type: ffi::PyTypeObject;
    static mut PyCoro_Type: ffi::PyTypeObject;
    static mut PyAsyncGen_Type: ffi::PyTypeObject;
    pub(super) static mut PyFrame_Type: ffi::PyTypeObject;
    pub(super) static mut PyFunction_Type: ffi::PyTypeObject;
    pub(super) static mut PyCode_Type: ffi::PyTypeObject;
}

/// `visitproc` and `traverseproc`.
pub(super) type VisitProc = extern "C" fn(*mut ffi::PyObject, *mut c_void) -> c_int;
pub(super) type TraverseProc =
    unsafe extern "C" fn(*mut ffi::PyObject, VisitProc, *mut c_void) -> c_int;
type InquiryProc = unsafe extern "C" fn(*mut ffi::PyObject) -> c_int;

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
    is_gc: Option<InquiryProc>,
    /// Whether taking a buffer is worth the try.
    pub may_export: bool,
}

/// How an object's own size is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectSize {
    /// The struct's, and so many bytes for each item of those that its head counts. `__sizeof__` would add what stands out
    /// of line.
    Struct {
        /// `tp_basicsize`.
        basic: usize,
        /// `tp_itemsize`.
        item: usize,
    },
    /// What `str.__sizeof__` says, within its block: its characters follow its struct, without the type saying so, and what it
    /// says includes a UTF-8 form elsewhere.
    Text,
    /// As many digits as its head says, in its own way ([`Layouts::integer_bytes`]).
    Integer,
    /// The whole block, as nothing else tells: attributes stand behind the struct (3.13), or a frame does, whose size is not
    /// where other objects have it.
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

/// What has been learned of the running interpreter.
pub(super) struct Layouts {
    minor: u8,
    /// Types that have an item size and no head that counts items, since 3.11: they hold a frame.
    with_frame: [usize; 4],
    /// The bit of `PyASCIIObject.state` that ASCII texts have and others have not. Where it is differs between versions.
    ascii: usize,
    /// How tables of keys are laid out.
    pub keys: Keys,
    /// `ht_cached_keys`, the table of keys that the objects of a class share, if the probe has one.
    cached_keys: Option<usize>,
    /// `subtype_dealloc`: what has it was made by Python code.
    of_python: usize,
}

impl Layouts {
    /// Checks the layouts against objects of which everything is known; the heap as it is when these are there.
    pub(super) fn new(py: Python<'_>) -> PyResult<(Self, Heap)> {
        let minor = py.version_info().minor;
        let key = py.get_type::<PyAny>().call0()?;
        let dict = PyDict::new(py);
        dict.set_item(&key, 1)?;
        let plain =
            py.get_type::<PyType>()
                .call1(("Probe", (py.get_type::<PyAny>(),), PyDict::new(py)))?;
        let layouts = Self {
            minor,
            keys: Keys::new(minor, dict.as_ptr()),
            cached_keys: shared_keys(&plain)?,
            of_python: word_of(plain.as_ptr(), DEALLOC),
            with_frame: [
                &raw mut PyGen_Type,
                &raw mut PyCoro_Type,
                &raw mut PyAsyncGen_Type,
                &raw mut PyFrame_Type,
            ]
            .map(|kind| kind as usize),
            // Two that differ in nothing else but their length, and in the bits behind the last field, which nobody sets: there
            // is what was in this memory before. So the lowest.
            ascii: {
                let state = |text: &str| word_of(PyString::new(py, text).as_ptr(), TEXT_STATE);
                let differ = state("a text") & !state("ein Fuß") & 0xffff_ffff;
                differ & differ.wrapping_neg()
            },
        };
        let unknown = |what: &str| {
            PyRuntimeError::new_err(format!(
                "this interpreter's {what} are laid out in a way refcow does not know: its regions would be wrong"
            ))
        };
        // A class of Python's own, whose slots the stable ABI shows also before 3.10.
        let class = py.get_type::<PyType>().call1((
            "Probe",
            (py.get_type::<PyDict>(),),
            PyDict::new(py),
        ))?;
        let class = class.cast_into::<PyType>()?;
        for (name, word) in [("__basicsize__", BASIC_SIZE), ("__itemsize__", ITEM_SIZE)] {
            let said: isize = class.getattr(name)?.extract()?;
            let there = word_of(class.as_ptr(), word);
            if said != there.cast_signed() {
                return Err(unknown("types"));
            }
        }
        for (slot, word) in [(ffi::Py_tp_traverse, TRAVERSE), (ffi::Py_tp_is_gc, IS_GC)] {
            #[expect(unsafe_code, reason = "PyO3 wraps no slots")]
            // SAFETY: the type is alive, and a heap type, of which every version shows its slots.
            let said = unsafe { ffi::PyType_GetSlot(class.as_type_ptr(), slot) };
            if said as usize != word_of(class.as_ptr(), word) {
                return Err(unknown("types"));
            }
        }
        for integer in [1_i128, -1, 1 << 30, -(1 << 60), 1 << 100] {
            let integer = integer.into_pyobject(py)?;
            let said: usize = integer.call_method0("__sizeof__")?.extract()?;
            if layouts.integer_bytes(integer.as_ptr()) != said {
                return Err(unknown("integers"));
            }
        }
        let pointer = key.as_ptr() as usize;
        let texts = PyDict::new(py);
        let names = ["a key", "another", "eine größere"].map(|name| PyString::new(py, name));
        for name in &names {
            texts.set_item(name, 1)?;
        }
        for (dict, expected) in [(&dict, &[][..]), (&texts, &names[..])] {
            let mut found = Vec::new();
            let table = word_of(dict.as_ptr(), super::keys::KEYS);
            layouts.keys.each(table, |key| found.push(key));
            if !found
                .iter()
                .copied()
                .eq(expected.iter().map(|name| name.as_ptr()))
            {
                return Err(unknown("dicts"));
            }
        }
        let set = PySet::new(py, [&key])?;
        for other in 0..100 {
            set.add(other)?;
        }
        let list = PyList::new(py, [&key])?;
        let heap = Heap::of_this_process(py)?;
        for (object, table, what) in [
            (dict.as_any(), OutOfLine::Dict, "dicts"),
            (set.as_any(), OutOfLine::Set, "sets"),
            (list.as_any(), OutOfLine::List, "lists"),
        ] {
            let mut found = false;
            layouts.tables(object, table, &heap, |block| {
                found |= block.step_by(WORD).any(|address| read(address) == pointer);
            });
            if !found {
                return Err(unknown(what));
            }
        }
        Ok((layouts, heap))
    }

    /// The layout of a type.
    pub(super) fn of(&self, kind: *mut ffi::PyTypeObject) -> Layout {
        let word = |index| word_of(kind.cast(), index);
        #[expect(unsafe_code, reason = "PyO3 wraps no type flags")]
        // SAFETY: `kind` is the type of an object that is alive; the call reads its flags.
        let flags = unsafe { ffi::PyType_GetFlags(kind) };
        let has = |flag: c_ulong| flags & flag != 0;
        let collected = has(ffi::Py_TPFLAGS_HAVE_GC);
        // `_PyType_PreHeaderSize`.
        let managed =
            (self.minor >= 11 && has(MANAGED_DICT)) || (self.minor >= 12 && has(MANAGED_WEAKREF));
        let table = if has(ffi::Py_TPFLAGS_LIST_SUBCLASS) {
            OutOfLine::List
        } else if has(ffi::Py_TPFLAGS_DICT_SUBCLASS) {
            OutOfLine::Dict
        } else if is_set(kind) {
            OutOfLine::Set
        } else if has(ffi::Py_TPFLAGS_UNICODE_SUBCLASS) {
            OutOfLine::Text
        } else if matches!(self.minor, 11 | 12) && has(MANAGED_DICT) {
            OutOfLine::Values
        } else {
            OutOfLine::None
        };
        let basic = word(BASIC_SIZE);
        let size = if is_exactly(kind, &raw mut ffi::PyUnicode_Type) {
            ObjectSize::Text
        } else if is_exactly(kind, &raw mut ffi::PyLong_Type) {
            ObjectSize::Integer
        } else if has(ffi::Py_TPFLAGS_LONG_SUBCLASS)
            || self.minor >= 13 && has(INLINE_VALUES)
            || self.with_frame.contains(&(kind as usize))
        {
            ObjectSize::Block { basic }
        } else {
            ObjectSize::Struct {
                basic,
                item: word(ITEM_SIZE),
            }
        };
        #[expect(unsafe_code, reason = "slots are functions")]
        // SAFETY: the words are those slots (`new` has compared), which are null or functions of these types.
        let (traverse, is_gc) = unsafe {
            (
                std::mem::transmute::<usize, Option<TraverseProc>>(word(TRAVERSE)),
                std::mem::transmute::<usize, Option<InquiryProc>>(word(IS_GC)),
            )
        };
        Layout {
            before: if collected { GC_HEADER } else { 0 } + if managed { 2 * WORD } else { 0 },
            collected,
            size,
            table,
            traverse: traverse.filter(|_| collected),
            is_gc,
            may_export: true,
        }
    }

    /// The table of keys that the objects of a class share.
    pub(super) fn shared_keys(&self, kind: *mut ffi::PyTypeObject) -> Option<usize> {
        let table = word_of(
            kind.cast(),
            self.cached_keys.filter(|_| is_heap_type(kind))?,
        );
        (table != 0).then_some(table)
    }

    /// The texts and the tuple that a class has, and does not tell the collector of.
    pub(super) fn names_of_class(&self, class: *mut ffi::PyObject) -> [*mut ffi::PyObject; NAMES] {
        let first = self.cached_keys.filter(|_| is_heap_type(class.cast()));
        std::array::from_fn(|index| match first {
            Some(cached) => word_of(class, cached - NAMES + index) as *mut ffi::PyObject,
            None => std::ptr::null_mut(),
        })
    }

    /// The type, or the nearest one that it is derived from, that C code has made.
    pub(super) fn made_by_c(&self, kind: *mut ffi::PyTypeObject) -> *mut ffi::PyTypeObject {
        let mut kind = kind;
        while is_heap_type(kind) && word_of(kind.cast(), DEALLOC) == self.of_python {
            kind = word_of(kind.cast(), BASE) as *mut ffi::PyTypeObject;
        }
        kind
    }

    /// Whether an object's first word can be its reference count, and no pointer.
    pub(super) fn is_count(&self, heap: &Heap, word: usize) -> bool {
        /// No larger one is not an immortal's (PEP 683).
        const MOST: usize = 1 << 29;
        // 3.14 has flags in the upper sixteen bits (`ob_flags`).
        let count = match self.minor {
            14.. => word & ((1 << 48) - 1),
            _ => word,
        };
        let is_immortal = || self.minor >= 12 && u32::try_from(count).is_ok();
        count > 0 && (count < MOST || is_immortal()) && !heap.is_address(count)
    }

    /// How long an `int` is.
    pub(super) fn integer_bytes(&self, integer: *mut ffi::PyObject) -> usize {
        /// `digit`, of 30 bits.
        const DIGIT: usize = 4;
        let head = word_of(integer, SIZE);
        let digits = match self.minor {
            // `lv_tag`: sign and flags, then how many.
            12.. => head >> 3,
            _ => head.cast_signed().unsigned_abs(),
        };
        // 0 has none, and room for one.
        (SIZE + 1) * WORD + digits.max(1) * DIGIT
    }

    /// `tp_name`.
    pub(super) fn type_name(&self, kind: *mut ffi::PyTypeObject) -> String {
        let name = word_of(kind.cast(), NAME) as *const std::ffi::c_char;
        #[expect(unsafe_code, reason = "the stable ABI shows it of heap types alone")]
        // SAFETY: the name of a type is a C string that lives as long as the type.
        let name = unsafe { std::ffi::CStr::from_ptr(name) };
        name.to_string_lossy().into_owned()
    }

    /// Tells `found` of each block that the object has out of line.
    pub(super) fn tables(
        &self,
        object: &Bound<'_, PyAny>,
        table: OutOfLine,
        heap: &Heap,
        mut found: impl FnMut(Range<usize>),
    ) {
        /// `PyListObject.ob_item` and `.allocated`; `PyDictObject.ma_keys` and `.ma_values`; `PySetObject.mask` and `.table`.
        const ITEMS: usize = 3;
        const ALLOCATED: usize = 4;
        const KEYS: usize = 4;
        const VALUES: usize = 5;
        const MASK: usize = 4;
        const ENTRIES: usize = 5;
        /// `setentry`: a pointer and a hash.
        const ENTRY: usize = 2 * WORD;
        let address = object.as_ptr() as usize;
        let word = |index| word_of(object.as_ptr(), index);
        // A table of a static object, such as that of an empty dict, is no block.
        let mut block = |start: usize| {
            if let Some(bytes) = heap.block_bytes(start) {
                found(start..start + bytes);
            }
        };
        match table {
            OutOfLine::None => {}
            OutOfLine::List => {
                let (items, allocated) = (word(ITEMS), word(ALLOCATED));
                if items != 0 {
                    found(items..items + allocated * WORD);
                }
            }
            OutOfLine::Set => {
                let (mask, entries) = (word(MASK), word(ENTRIES));
                // A small one's table stands in the object itself.
                if !(address..address + 256).contains(&entries) {
                    found(entries..entries + (mask + 1) * ENTRY);
                }
            }
            OutOfLine::Dict => {
                block(word(KEYS));
                self.values(word(VALUES), &mut block);
            }
            OutOfLine::Text => {
                // `PyASCIIObject` is five words, and until 3.11 six; then come length and address of the UTF-8 form, and until
                // 3.11 another length. A text that is not exactly a `str` has the address of its characters behind that.
                let (utf8, characters) = if self.minor >= 12 { (6, 7) } else { (7, 9) };
                let exact = is_exactly(object.get_type_ptr(), &raw mut ffi::PyUnicode_Type);
                match exact {
                    // The struct of an ASCII text ends before that.
                    true if word(TEXT_STATE) & self.ascii != 0 => {}
                    true => block(word(utf8)),
                    false => block(word(characters)),
                }
            }
            OutOfLine::Values => {
                let before = |words: usize| read(address - words * WORD);
                if self.minor == 11 {
                    // `_PyObject_ValuesPointer`.
                    self.values(before(4), &mut block);
                } else {
                    // `PyDictOrValues`: one less than the address of the values, or that of a dict (which is even).
                    let either = before(3);
                    if either % 2 == 1 {
                        self.values(either + 1, &mut block);
                    }
                }
            }
        }
    }

    /// The block of a table of values, which 3.11 and 3.12 address behind its prefix. The last byte of the prefix is its
    /// length (`_PyDictValues_…`, `free_values` in Objects/dictobject.c).
    fn values(&self, values: usize, block: &mut impl FnMut(usize)) {
        if values == 0 {
            return;
        }
        let prefix = match self.minor {
            11 | 12 => read(values - WORD) >> (8 * (WORD - 1)),
            _ => 0,
        };
        block(values - prefix);
    }
}

/// Where classes of Python's own have their table of shared keys: a dict of an object's has the same one.
fn shared_keys(class: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    let object = class.call0()?;
    // Attributes' names are interned: one that is interned already, so that the table of those does not grow.
    object.setattr("name", 1)?;
    let dict = object.getattr("__dict__")?;
    let table = word_of(dict.as_ptr(), super::keys::KEYS);
    let words = word_of(class.get_type_ptr().cast(), BASIC_SIZE) / WORD;
    Ok((STATIC_TYPE_BYTES / WORD..words).find(|index| word_of(class.as_ptr(), *index) == table))
}

/// Whether a type was made at run time.
pub(super) fn is_heap_type(kind: *mut ffi::PyTypeObject) -> bool {
    word_of(kind.cast(), FLAGS) & HEAP_TYPE != 0
}

/// `tp_basicsize`.
pub(super) fn basic_bytes(kind: *mut ffi::PyTypeObject) -> usize {
    word_of(kind.cast(), BASIC_SIZE)
}

/// Where an object has the list of weak references to it (`tp_weaklistoffset`), none of which it holds; 0: nowhere in its struct.
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

/// Whether a type is at this address, by all that types have in common. `word` reads a word, if it is there.
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

impl Layout {
    /// Whether this very object has what objects of its type have in front of them. A type that Python code did not make has no
    /// GC header, though types have one.
    pub(super) fn is_collected(&self, object: *mut ffi::PyObject) -> bool {
        self.collected
            && match self.is_gc {
                None => true,
                #[expect(unsafe_code, reason = "a slot is a function")]
                // SAFETY: the object is alive, and of the type that the slot is of.
                Some(ask) => unsafe { ask(object) != 0 },
            }
    }

    /// Whether the collector would ask this object what it refers to (`PyObject_IS_GC`): a type that Python code did not
    /// make is not asked, and would abort the process.
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
        // SAFETY: the object is alive and of the slot's type, and `visit` takes what its `argument` is. A type whose
        // traverse is broken ends this forked process alone; which one it was, the observer reads (`map::Asked`).
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

/// Whether objects of this type are types.
pub(super) fn is_metatype(kind: *mut ffi::PyTypeObject) -> bool {
    #[expect(unsafe_code, reason = "PyO3 wraps no type flags")]
    // SAFETY: `kind` is the type of an object that is alive; the call reads its flags.
    unsafe {
        ffi::PyType_GetFlags(kind) & ffi::Py_TPFLAGS_TYPE_SUBCLASS != 0
    }
}

/// The two words of a function that stand behind its reference count and its type.
pub(super) fn words_behind_head(function: *mut ffi::PyObject) -> [usize; 2] {
    [SIZE, SIZE + 1].map(|index| word_of(function, index))
}

fn is_exactly(kind: *mut ffi::PyTypeObject, other: *mut ffi::PyTypeObject) -> bool {
    std::ptr::eq(kind, other)
}

fn is_set(kind: *mut ffi::PyTypeObject) -> bool {
    #[expect(unsafe_code, reason = "no flag tells sets")]
    // SAFETY: `kind` is the type of an object that is alive; the two others are static.
    unsafe {
        ffi::PyType_IsSubtype(kind, &raw mut ffi::PySet_Type) != 0
            || ffi::PyType_IsSubtype(kind, &raw mut ffi::PyFrozenSet_Type) != 0
    }
}
