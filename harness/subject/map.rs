//! Where the objects of a dataset are, and all others of the process.
//!
//! Runs in a forked process of its own, the mapper: taking buffers writes reference counts, and lists take memory, but
//! neither is then the measured process's. References are followed as the collector follows them, by each type's
//! `tp_traverse`. No code of the user's runs: no bytecode, no import, no collection, no call that is audited.

mod allocator;
mod asked;
mod buffer;
mod collector;
mod layout;

use std::collections::{BTreeSet, HashMap};
use std::ffi::{c_int, c_void};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;

use pyo3::Borrowed;
use pyo3::exceptions::{PyOSError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyString, PyType};
use refcow::model::RegionMap;
use refcow::objects::{Builder, Kind, Part};
use refcow::observe::{PageSet, page_size};
use refcow::protocol::ASKED_BYTES;

use allocator::Heap;
use asked::Asked;
use buffer::Buffer;
use collector::Collector;
use layout::{Layout, Layouts, Size, Table};

use crate::handed;

/// Objects of a type whose size is compared with what was found of them.
const COMPARED: u32 = 8;

/// Addresses for each of the walk's lists.
const ROOM_BYTES: usize = 1 << 37;

/// The pages of everything in `data`, to any depth. With `objects`, the table of all objects, those of the rest of the
/// process too, goes to the map's file.
pub fn map(data: &Bound<'_, PyAny>, objects: bool) -> PyResult<RegionMap> {
    let py = data.py();
    let collector = Collector::stopped(py);
    // Before anything else: what is free now is free in the parent, and all objects are the parent's.
    let own = match objects {
        true => allocators_own(&Heap::of_this_process(py)?),
        false => Vec::new(),
    };
    let mut walk = Walk::new(py)?;
    walk.records_wanted = objects;
    for range in own {
        walk.record(range, Part::Allocator, None);
    }
    walk.follow(data.as_ptr())?;
    let map = RegionMap {
        header: walk.regions.header.ranges(),
        spine: walk.regions.spine.ranges(),
        payload: walk.regions.payload.ranges(),
        native: Vec::new(),
        modules: Vec::new(),
        interpreter: Vec::new(),
        not_walked: walk.not_walked.iter().cloned().collect(),
    };
    if objects {
        walk.of_dataset = false;
        #[expect(unsafe_code, reason = "PyO3 imports `sys`, and asks that")]
        // SAFETY: the thread is attached; the dict is borrowed from the interpreter.
        walk.follow(unsafe { ffi::PyImport_GetModuleDict() })?;
        // What the walk does between two of them, it does while the collector goes through its lists; so afterwards.
        let mut others = Vec::new();
        collector.each(|object| {
            if !walk.seen.has(object as usize) {
                others.push(object);
            }
        });
        for object in others {
            walk.follow(object)?;
        }
        walk.write()
            .map_err(|error| PyOSError::new_err(format!("the table of objects: {error}")))?;
    }
    Ok(map)
}

/// What the allocators have for themselves, neighbours joined.
fn allocators_own(heap: &Heap) -> Vec<Range<usize>> {
    let mut own: Vec<Range<usize>> = Vec::new();
    heap.own_memory(|range| match own.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => own.push(range),
    });
    own
}

#[derive(Default)]
struct Regions {
    header: Pages,
    spine: Pages,
    payload: Pages,
}

/// A type, and what was learned of it.
#[derive(Clone, Copy)]
struct Known {
    layout: Layout,
    /// Its place in the table's list of types.
    of_type: u32,
    /// Whether what an object of the dataset refers to is data, too.
    is_data: bool,
    /// How many of its objects are still to be compared with their `__sizeof__`.
    to_compare: u32,
}

struct Walk<'py> {
    py: Python<'py>,
    layouts: Layouts,
    heap: Heap,
    /// `__sizeof__` of the type whose objects do not tell their size themselves.
    sizeof_text: Bound<'py, PyAny>,
    /// `type.__qualname__`, to be called with a type.
    qualname: Bound<'py, PyAny>,
    /// What the dict of a type has for a function of C code.
    of_c: [Bound<'py, PyType>; 2],
    /// Objects of these types lead out of the data, into the program.
    program: [Bound<'py, PyType>; 6],
    types: HashMap<*mut ffi::PyTypeObject, Known>,
    last: Option<(*mut ffi::PyTypeObject, Known)>,
    seen: Seen,
    /// Whether it still walks the dataset.
    of_dataset: bool,
    regions: Regions,
    not_walked: BTreeSet<String>,
    objects: Builder,
    records_wanted: bool,
    /// What was led to, and is still to be taken in; the next one last.
    pending: Vec<*mut ffi::PyObject>,
    asked: Asked,
}

impl<'py> Walk<'py> {
    fn new(py: Python<'py>) -> PyResult<Self> {
        let (layouts, heap) = Layouts::new(py)?;
        Ok(Self {
            py,
            heap,
            sizeof_text: py.get_type::<PyString>().getattr("__sizeof__")?,
            qualname: py
                .get_type::<PyType>()
                .getattr("__dict__")?
                .get_item("__qualname__")?
                .getattr("__get__")?,
            of_c: [
                static_type(py, &raw mut ffi::PyMethodDescr_Type),
                static_type(py, &raw mut ffi::PyWrapperDescr_Type),
            ],
            program: [
                // By their names, as PyO3 imports `types` for some of them.
                static_type(py, &raw mut ffi::PyType_Type),
                static_type(py, &raw mut ffi::PyModule_Type),
                static_type(py, &raw mut ffi::PyCFunction_Type),
                static_type(py, &raw mut layout::PyFunction_Type),
                static_type(py, &raw mut layout::PyCode_Type),
                static_type(py, &raw mut layout::PyFrame_Type),
            ],
            types: HashMap::new(),
            last: None,
            seen: Seen {
                bits: roomy(),
                ..Seen::default()
            },
            of_dataset: true,
            regions: Regions::default(),
            not_walked: BTreeSet::new(),
            objects: Builder::within(roomy()),
            records_wanted: false,
            pending: roomy(),
            asked: Asked::new()?,
            layouts,
        })
    }

    /// Takes in this object and all that it leads to.
    fn follow(&mut self, root: *mut ffi::PyObject) -> PyResult<()> {
        /// Called by each type's traverse with what an object refers to.
        extern "C" fn visit(object: *mut ffi::PyObject, found: *mut c_void) -> c_int {
            #[expect(unsafe_code, reason = "a visitproc's argument has no type")]
            // SAFETY: `Walk::follow` passes its vector, which nothing else uses meanwhile.
            let found = unsafe { &mut *found.cast::<Vec<*mut ffi::PyObject>>() };
            found.push(object);
            0
        }
        self.pending.push(root);
        while let Some(object) = self.pending.pop() {
            // A type may visit what it does not have.
            if object.is_null() || !self.seen.insert(object as usize) {
                continue;
            }
            let known = self.object(object)?;
            if !known.layout.refers(object) || (self.of_dataset && !known.is_data) {
                continue;
            }
            let found = self.pending.len();
            self.asked.at(known.of_type);
            known
                .layout
                .traverse(object, visit, (&raw mut self.pending).cast());
            self.asked.end();
            // In the order in which the object has them, which is mostly that of their addresses.
            self.pending[found..].reverse();
            if self.of_dataset {
                // An object leads to its type (since 3.9), and that to the program.
                let kind = type_of(object).cast::<ffi::PyObject>();
                let mut kept = found;
                for next in found..self.pending.len() {
                    if self.pending[next] != kind {
                        self.pending.swap(kept, next);
                        kept += 1;
                    }
                }
                self.pending.truncate(kept);
            }
        }
        Ok(())
    }

    fn known(&mut self, kind: *mut ffi::PyTypeObject) -> PyResult<Known> {
        if let Some((last, known)) = self.last
            && last == kind
        {
            return Ok(known);
        }
        let known = match self.types.get(&kind) {
            Some(known) => *known,
            None => {
                let known = self.learn(kind)?;
                self.types.insert(kind, known);
                known
            }
        };
        self.last = Some((kind, known));
        Ok(known)
    }

    fn learn(&mut self, kind: *mut ffi::PyTypeObject) -> PyResult<Known> {
        #[expect(unsafe_code, reason = "a type comes as a pointer")]
        // SAFETY: the type of an object that is alive is alive, and is a type.
        let class = unsafe { Bound::from_borrowed_ptr(self.py, kind.cast()) };
        let class = class.cast_into::<PyType>()?;
        let name = self.name_of(&class);
        self.asked.add_type(&name);
        let mut layout = self.layouts.of(kind);
        // A buffer that Python code would make (PEP 688) is not looked for: that code may do anything.
        let makes = lookup(&class, "__buffer__");
        if self.py.version_info() >= (3, 12) && makes.is_some_and(|makes| !self.is_of_c(&makes)) {
            layout.may_export = false;
        }
        let leads_out = |out: &Bound<'_, PyType>| is_subtype(kind, out.as_type_ptr());
        // What Python code says of a size may be anything, too.
        let says = lookup(&class, "__sizeof__").filter(|says| self.is_of_c(says));
        Ok(Known {
            is_data: !self.program.iter().any(leads_out),
            to_compare: if says.is_some() { COMPARED } else { 0 },
            of_type: self.objects.add_type(name),
            layout,
        })
    }

    /// Whether this is a function of C code, which a type has in its dict.
    fn is_of_c(&self, function: &Bound<'py, PyAny>) -> bool {
        let kind = function.get_type_ptr();
        self.of_c.iter().any(|of_c| of_c.as_type_ptr() == kind)
    }

    /// `array.array`, `bitarray.bitarray`, `mine.Record`: with the module, but for Python's own and the main one. Asked of
    /// `type` itself: a metaclass may answer what it likes.
    fn name_of(&self, class: &Bound<'py, PyType>) -> String {
        let text = |name: Bound<'py, PyAny>| {
            let name = name.cast_into_exact::<PyString>().ok()?;
            Some(name.to_string_lossy().into_owned())
        };
        let qualified = self.qualname.call1((class,)).ok().and_then(text);
        let Some(qualified) = qualified else {
            return "a type without a name".to_owned();
        };
        let own_name = self.full_name(class);
        let module = lookup(class, "__module__").and_then(text).or(own_name);
        match module {
            Some(module) if module != "builtins" && module != "__main__" => {
                format!("{module}.{qualified}")
            }
            _ => qualified,
        }
    }

    /// The module in the name of a type of C code, whose `__module__` is made of it: `collections` of `collections.deque`.
    fn full_name(&self, class: &Bound<'py, PyType>) -> Option<String> {
        let name = self.layouts.type_name(class.as_type_ptr());
        let (module, _) = name.rsplit_once('.')?;
        Some(module.to_owned())
    }

    /// One object: itself, and what it has out of line.
    fn object(&mut self, object: *mut ffi::PyObject) -> PyResult<Known> {
        let kind = type_of(object);
        let known = self.known(kind)?;
        let collected = known.layout.is_collected(object);
        let before = match collected == known.layout.collected {
            true => known.layout.before,
            false => 0,
        };
        #[expect(unsafe_code, reason = "an object comes as a pointer")]
        // SAFETY: what a container refers to lives as long as the container, and nothing ends here: the walk runs no code but
        // traverse, `__sizeof__` and the buffers of types that are written in C, none of which lets go of anything else's. Not
        // counted: writing the count would copy the object's page.
        let bound = unsafe { Borrowed::from_ptr(self.py, object) };
        let address = object as usize;
        let start = address - before;
        let block = self
            .heap
            .block_bytes(start)
            .map(|bytes| bytes - before.min(bytes));
        let bytes = match (known.layout.bytes(object), known.layout.size) {
            (Some(bytes), Size::Struct { item: 0, .. }) => bytes,
            (Some(bytes), _) => block.map_or(bytes, |block| bytes.min(block)),
            // Of the base type, not of the object: a class of the user's may answer what it likes.
            (None, Size::Text) => {
                let says: usize = self.sizeof_text.call1((&bound,))?.extract()?;
                block.map_or(says, |block| says.min(block))
            }
            (None, Size::Integer) => self.layouts.integer_bytes(object),
            (None, Size::Block { basic }) => block.unwrap_or(basic),
            (None, Size::Struct { basic, .. }) => basic,
        };
        let bytes = match known.layout.collected && !collected {
            // A type of C code's own: not the struct of those that Python makes.
            true => bytes.min(layout::STATIC_TYPE_BYTES),
            false => bytes,
        };
        let part = Part::Object {
            before: before as u32,
            collected,
        };
        let of_type = Some(known.of_type);
        if self.of_dataset {
            self.regions.header.add(start, before + bytes);
        }
        self.record(start..address + bytes, part, of_type);
        let mut out_of_line = 0;
        if known.layout.table != Table::None {
            let mut tables = Vec::new();
            self.layouts
                .tables(&bound, known.layout.table, &self.heap, |table| {
                    tables.push(table);
                });
            for table in tables {
                // A table of keys is often that of many dicts.
                if table.is_empty() || !self.seen.insert(table.start) {
                    continue;
                }
                out_of_line += table.len();
                if self.of_dataset {
                    let region = match known.layout.table {
                        Table::Text => &mut self.regions.payload,
                        _ => &mut self.regions.spine,
                    };
                    region.add(table.start, table.len());
                }
                self.record(table, Part::Buffer, of_type);
            }
        }
        if !self.of_dataset {
            return Ok(known);
        }
        let exports = known.layout.may_export && self.buffer(&bound, kind, of_type)?;
        if known.to_compare > 0 && !exports {
            self.compare(&bound, kind, bytes + out_of_line)?;
        }
        Ok(known)
    }

    /// The buffer of an object, if it exports one.
    fn buffer(
        &mut self,
        object: &Bound<'py, PyAny>,
        kind: *mut ffi::PyTypeObject,
        of_type: Option<u32>,
    ) -> PyResult<bool> {
        match Buffer::of(object) {
            Ok(Buffer {
                extent,
                pointers,
                holds_more,
            }) => {
                // `bytes` exports what stands in its own struct; a header first, by the order of regions.
                self.regions.payload.add(extent.start, extent.len());
                if !extent.is_empty() {
                    self.record(extent, Part::Buffer, of_type);
                }
                if holds_more {
                    let name = self.name_of(&object.get_type());
                    self.not_walked
                        .insert(format!("{name} of structs with objects"));
                }
                // NumPy's arrays are not the collector's, and tell nobody else what they refer to.
                for item in pointers {
                    #[expect(unsafe_code, reason = "a buffer is bare memory")]
                    // SAFETY: the exporter's shape and strides led here, its format says that this is a pointer to an object,
                    // and it is aligned.
                    let item = unsafe { *(item as *const *mut ffi::PyObject) };
                    self.pending.push(item);
                }
                Ok(true)
            }
            // No object of this type has one.
            Err(error) if error.is_instance_of::<PyTypeError>(self.py) => {
                let known = self.types.get_mut(&kind);
                if let Some(known) = known {
                    known.layout.may_export = false;
                }
                self.last = None;
                Ok(false)
            }
            // This one does not give it: a memoryview that was released, a mapping that was closed.
            Err(_) => Ok(true),
        }
    }

    /// Notes a type whose objects say that they are larger than what was found of them: a deque's blocks, a C
    /// extension's own memory.
    fn compare(
        &mut self,
        object: &Bound<'py, PyAny>,
        kind: *mut ffi::PyTypeObject,
        found: usize,
    ) -> PyResult<()> {
        if let Some(known) = self.types.get_mut(&kind) {
            known.to_compare -= 1;
        }
        self.last = None;
        let class = object.get_type();
        let says = lookup(&class, "__sizeof__").filter(|says| self.is_of_c(says));
        let says = says.and_then(|says| says.call1((object,)).ok());
        // A type's own answer may be an error.
        let says = says.and_then(|bytes| bytes.extract::<usize>().ok());
        if says.unwrap_or(0) > found {
            self.not_walked.insert(self.name_of(&class));
        }
        Ok(())
    }

    fn record(&mut self, range: Range<usize>, part: Part, of_type: Option<u32>) {
        if !self.records_wanted {
            return;
        }
        let kind = Kind {
            part,
            of_type,
            bytes: range.len() as u64,
        };
        self.objects.add(range.start as u64, kind);
    }

    /// The table goes behind what the mapper is about.
    fn write(self) -> io::Result<()> {
        let mut file = handed::map()?;
        file.seek(SeekFrom::Start(ASKED_BYTES))?;
        self.objects.write(&mut file)
    }
}

/// A list with room for more than there can be: addresses cost nothing (`apart`), and memory comes as it is written to. So it is
/// never moved, which would take twice its memory.
fn roomy<T>() -> Vec<T> {
    let mut list = Vec::new();
    // Where the system gives no more than it has, it grows as others do.
    let _ = list.try_reserve_exact(ROOM_BYTES / size_of::<T>());
    list
}

/// A type of C code's own, which is never freed.
fn static_type(py: Python<'_>, kind: *mut ffi::PyTypeObject) -> Bound<'_, PyType> {
    #[expect(unsafe_code, reason = "PyO3 has no name for it")]
    // SAFETY: a static of the interpreter's, and a type.
    unsafe {
        Bound::from_borrowed_ptr(py, kind.cast()).cast_into_unchecked()
    }
}

fn type_of(object: *mut ffi::PyObject) -> *mut ffi::PyTypeObject {
    #[expect(unsafe_code, reason = "PyO3 binds objects first")]
    // SAFETY: the object is alive, and reading its type changes nothing.
    unsafe {
        ffi::Py_TYPE(object)
    }
}

#[expect(unsafe_code, reason = "see `lookup`")]
unsafe extern "C" {
    /// Private, and exported by every CPython from 3.8 to 3.15.
    fn _PyType_Lookup(kind: *mut ffi::PyTypeObject, name: *mut ffi::PyObject)
    -> *mut ffi::PyObject;
}

/// What a type, or one of its bases, has in its dict under a name. `getattr` would ask its metaclass, and call what it finds.
fn lookup<'py>(class: &Bound<'py, PyType>, name: &str) -> Option<Bound<'py, PyAny>> {
    let py = class.py();
    let name = PyString::intern(py, name);
    #[expect(unsafe_code, reason = "the stable ABI has no lookup without a call")]
    // SAFETY: both are alive and of these types; the answer is borrowed from a dict, or null without an exception.
    unsafe {
        Bound::from_borrowed_ptr_or_opt(py, _PyType_Lookup(class.as_type_ptr(), name.as_ptr()))
    }
}

fn is_subtype(kind: *mut ffi::PyTypeObject, other: *mut ffi::PyTypeObject) -> bool {
    #[expect(unsafe_code, reason = "`issubclass` would ask a metaclass")]
    // SAFETY: both are types, and alive.
    unsafe {
        ffi::PyType_IsSubtype(kind, other) != 0
    }
}

/// Addresses that have been seen, one bit for eight bytes.
#[derive(Default)]
struct Seen {
    /// Which of `bits` is a page's: of pages of 4 KiB, 32 bits count 16 TiB.
    pages: HashMap<usize, u32>,
    bits: Vec<[u64; 8]>,
    last: Option<(usize, u32)>,
}

impl Seen {
    /// Whether the address has been seen.
    fn has(&self, address: usize) -> bool {
        let (page, word, bit) = Self::place(address);
        self.pages
            .get(&page)
            .is_some_and(|place| self.bits[*place as usize][word] & bit != 0)
    }

    /// Whether the address is new.
    fn insert(&mut self, address: usize) -> bool {
        let (page, word, bit) = Self::place(address);
        let place = match self.last {
            Some((last, place)) if last == page => place,
            _ => *self.pages.entry(page).or_insert_with(|| {
                self.bits.push([0; 8]);
                (self.bits.len() - 1) as u32
            }),
        };
        self.last = Some((page, place));
        let word = &mut self.bits[place as usize][word];
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Its page of 4 KiB, and where in that page's bits.
    fn place(address: usize) -> (usize, usize, u64) {
        let grain = address % 4096 / 8;
        (address >> 12, grain / 64, 1 << (grain % 64))
    }
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
