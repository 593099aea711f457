//! What is to be learned of the running interpreter: how its types lay out their objects.
//!
//! Each of the facts here, and in `type_object` and `layout`, holds from 3.8 to 3.15 in builds with
//! the GIL, unless a version is named, and [`Layouts::new`] compares those that it can with the
//! running interpreter: a wrong one is an error, not a figure.

use std::ffi::c_ulong;
use std::ops::Range;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySet, PyString, PyType};

use super::allocator::Heap;
use super::keys::Keys;
use super::layout::{InquiryProc, Layout, ObjectSize, OutOfLine, SIZE, TraverseProc};
use super::type_object::{
    BASE, BASIC_SIZE, DEALLOC, IS_GC, ITEM_SIZE, NAME, PyAsyncGen_Type, PyCoro_Type, PyFrame_Type,
    PyGen_Type, STATIC_TYPE_BYTES, TRAVERSE, is_exactly, is_heap_type, is_set,
};
use super::words::{read, word_of};

const WORD: usize = size_of::<usize>();

/// `PyGC_Head`.
const GC_HEADER: usize = 2 * WORD;

/// `Py_TPFLAGS_INLINE_VALUES`, since 3.13: attributes stand behind the object.
const INLINE_VALUES: c_ulong = 1 << 2;

/// `Py_TPFLAGS_MANAGED_WEAKREF`, since 3.12, and `Py_TPFLAGS_MANAGED_DICT`, since 3.11: two words
/// more in front of it.
const MANAGED_WEAKREF: c_ulong = 1 << 3;
const MANAGED_DICT: c_ulong = 1 << 4;

/// The word of `PyASCIIObject` that has its `state` (and, in the upper half, nothing).
const TEXT_STATE: usize = 4;

/// `ht_name`, `ht_slots` and `ht_qualname` stand in front of `ht_cached_keys`.
const NAMES: usize = 3;

/// What has been learned of the running interpreter.
pub(super) struct Layouts {
    minor: u8,
    /// Types that have an item size and no head that counts items, since 3.11: they hold a frame.
    with_frame: [usize; 4],
    /// The bit of `PyASCIIObject.state` that ASCII texts have and others have not. Where it is
    /// differs between versions.
    ascii: usize,
    /// How tables of keys are laid out.
    pub keys: Keys,
    /// `ht_cached_keys`, the table of keys that the objects of a class share, if the probe has one.
    cached_keys: Option<usize>,
    /// `subtype_dealloc`: what has it was made by Python code.
    of_python: usize,
}

impl Layouts {
    /// Checks the layouts against objects of which everything is known; the heap as it is when
    /// these are there.
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
            // Two that differ in nothing else but their length, and in the bits behind the last
            // field, which nobody sets: there is what was in this memory before. So the lowest.
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
        // SAFETY: the words are those slots (`new` has compared), which are null or functions of
        // these types.
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
        /// `PyListObject.ob_item` and `.allocated`; `PyDictObject.ma_keys` and `.ma_values`;
        /// `PySetObject.mask` and `.table`.
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
                // `PyASCIIObject` is five words, and until 3.11 six; then come length and address
                // of the UTF-8 form, and until 3.11 another length. A text that is not exactly a
                // `str` has the address of its characters behind that.
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
                    // `PyDictOrValues`: one less than the address of the values, or that of a dict
                    // (which is even).
                    let either = before(3);
                    if either % 2 == 1 {
                        self.values(either + 1, &mut block);
                    }
                }
            }
        }
    }

    /// The block of a table of values, which 3.11 and 3.12 address behind its prefix. The last byte
    /// of the prefix is its length (`_PyDictValues_…`, `free_values` in Objects/dictobject.c).
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

/// Where classes of Python's own have their table of shared keys: a dict of an object's has the
/// same one.
fn shared_keys(class: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    let object = class.call0()?;
    // Attributes' names are interned: one that is interned already, so that the table of those does
    // not grow.
    object.setattr("name", 1)?;
    let dict = object.getattr("__dict__")?;
    let table = word_of(dict.as_ptr(), super::keys::KEYS);
    let words = word_of(class.get_type_ptr().cast(), BASIC_SIZE) / WORD;
    Ok((STATIC_TYPE_BYTES / WORD..words).find(|index| word_of(class.as_ptr(), *index) == table))
}
