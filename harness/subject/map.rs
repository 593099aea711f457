//! Where the objects of a dataset are, and all others of the process.
//!
//! Runs in a forked process of its own, the mapper: taking buffers writes reference counts, and lists take memory, but
//! neither is then the measured process's. References are followed as the collector follows them, by each type's
//! `tp_traverse`. No code of the user's runs: no bytecode, no import, no collection, no call that is audited.

mod allocator;
mod asked;
mod blocks;
mod buffer;
mod collector;
mod keys;
mod layout;
mod numpy;
mod packages;
mod unreached;
mod untold;
mod variables;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{c_int, c_void};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;

use pyo3::Borrowed;
use pyo3::exceptions::{PyOSError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyString, PyType};
use refcow_model::{NotWalked, RegionMap};
use refcow_observe::objects::{Builder, Kind, Part};
use refcow_observe::{PageSet, page_size};
use refcow_protocol::ASKED_BYTES;

use allocator::Heap;
use asked::Asked;
use blocks::Before;
use buffer::Buffer;
use collector::Collector;
use layout::{Layout, Layouts, Size, Table, word_of};
use packages::Packages;
use unreached::Blocks;
use untold::{Besides, Untold, Use};

use crate::handed;

/// Objects of a type whose size is compared with what was found of them.
const COMPARED: u32 = 8;

/// Addresses for each of the walk's lists.
const ROOM_BYTES: usize = 1 << 37;

/// Keeps the collector of this process from running, for good.
pub(crate) fn stop_collector(py: Python<'_>) {
    Collector::stopped(py);
}

/// Notes what the heap holds, before the dataset is built: what is there later and was not then was allocated meanwhile.
pub(crate) fn keep_what_is_there(py: Python<'_>) -> PyResult<()> {
    // For the first random number glibc 2.41 maps pages, and whoever reads the maps needs one: it would look as if the build had.
    let _ = std::hash::RandomState::new();
    blocks::keep(&Heap::of_this_process(py)?)
        .map_err(|error| PyOSError::new_err(format!("what was there before the dataset: {error}")))
}

/// The pages of everything in `data`, to any depth, and those of the program around it. With `objects`, the table of all
/// objects goes to the map's file.
pub(crate) fn map(data: &Bound<'_, PyAny>, objects: bool) -> PyResult<RegionMap> {
    let py = data.py();
    let collector = Collector::stopped(py);
    // Before anything else: what is free now is free in the parent, and all objects are the parent's.
    let heap = Heap::of_this_process(py)?;
    let own = match objects {
        true => allocators_own(&heap),
        false => Vec::new(),
    };
    let variables = variables::find(&heap);
    let blocks = Blocks::of(heap);
    let mut walk = Walk::new(py)?;
    walk.records_wanted = objects;
    walk.blocks = Some(blocks);
    for range in own {
        walk.record(range, Part::Allocator, None);
    }
    walk.follow_data(data.as_ptr())?;
    walk.of_dataset = false;
    let before = Before::kept().map_err(|error| {
        PyOSError::new_err(format!("what was there before the dataset: {error}"))
    })?;
    walk.follow_program(&collector, before.as_ref())?;
    let native = walk.unreached(before.as_ref(), &variables)? | &walk.held_by_c.set;
    let [modules, interpreter] = walk.around.each_ref().map(Pages::ranges);
    let map = RegionMap {
        header: walk.regions.header.ranges(),
        spine: walk.regions.spine.ranges(),
        payload: walk.regions.payload.ranges(),
        native: refcow_observe::ranges(&native),
        modules,
        interpreter: [interpreter, variables.interpreter].concat(),
        libraries: variables.libraries,
        stack: variables.stacks,
        not_walked: walk.not_walked(),
    };
    if objects {
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
    /// Bytes of its struct, and whether there is nothing in it but what is looked for.
    basic_bytes: usize,
    is_plain: bool,
    /// Whether it is the program: what an object of the dataset refers to is then no data.
    is_program: bool,
    /// What it has that the collector is not told of.
    besides: Besides,
    /// Whether to look for memory that it has, and the walk has not found.
    may_hold: bool,
}

struct Walk<'py> {
    py: Python<'py>,
    layouts: Layouts,
    heap: Heap,
    /// `__sizeof__` of the type whose objects do not tell their size themselves.
    sizeof_text: Bound<'py, PyAny>,
    /// `type.__qualname__`, to be called with a type.
    qualname: Bound<'py, PyAny>,
    /// `object.__sizeof__`, which knows of nothing out of line.
    plain_sizeof: Bound<'py, PyAny>,
    /// What the dict of a type has for a function of C code.
    of_c: [Bound<'py, PyType>; 2],
    /// The dicts of all modules, in ascending order: what they have is the program's.
    namespaces: Vec<usize>,
    types: HashMap<*mut ffi::PyTypeObject, Known>,
    last: Option<(*mut ffi::PyTypeObject, Known)>,
    seen: Seen,
    /// Whether it still walks the dataset.
    of_dataset: bool,
    regions: Regions,
    /// Whose object is being taken in, when it is not the dataset's.
    packages: Packages,
    /// What the allocators had given out.
    blocks: Option<Blocks>,
    /// Pages with objects of modules, and of the interpreter.
    around: [Pages; 2],
    /// Whether what is taken in is what C code keeps, and the pages of that.
    is_held_by_c: bool,
    held_by_c: Pages,
    /// By the name of the type.
    not_walked: BTreeMap<String, NotWalked>,
    /// Blocks that C code holds for objects of the dataset, each counted once.
    led_to: HashSet<usize>,
    /// Those types of them whose objects say how much it is.
    told: BTreeSet<String>,
    /// How many objects of each type are still to be compared with their `__sizeof__`.
    to_compare: Vec<u32>,
    /// Whether what was asked about stands there as a type.
    is_type: HashMap<usize, bool>,
    /// What the data leads to by weak references alone.
    weakly: Vec<*mut ffi::PyObject>,
    /// What was met in the data, and belongs to the program.
    held_back: Vec<*mut ffi::PyObject>,
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
            plain_sizeof: py.get_type::<PyAny>().getattr("__sizeof__")?,
            namespaces: namespaces(),
            types: HashMap::new(),
            last: None,
            seen: Seen {
                bits: roomy(),
                ..Seen::default()
            },
            of_dataset: true,
            regions: Regions::default(),
            packages: Packages::default(),
            blocks: None,
            around: Default::default(),
            is_held_by_c: false,
            held_by_c: Pages::default(),
            not_walked: BTreeMap::new(),
            led_to: HashSet::new(),
            told: BTreeSet::new(),
            to_compare: Vec::new(),
            is_type: HashMap::new(),
            weakly: Vec::new(),
            held_back: Vec::new(),
            objects: Builder::within(roomy()),
            records_wanted: false,
            pending: roomy(),
            asked: Asked::new()?,
            layouts,
        })
    }

    /// Takes in the data: first what it owns, then what it has weak references to.
    fn follow_data(&mut self, data: *mut ffi::PyObject) -> PyResult<()> {
        if let Ok(place) = self.namespaces.binary_search(&(data as usize)) {
            // Whoever gives it as the data means it.
            self.namespaces.remove(place);
        }
        self.follow(data)?;
        while let Some(object) = self.weakly.pop() {
            let kind = type_of(object);
            if !self.known(kind)?.is_program && self.known(kind)?.besides.untold != Untold::Class {
                self.follow(object)?;
            }
        }
        Ok(())
    }

    /// Takes in this object and all that it leads to.
    fn follow(&mut self, root: *mut ffi::PyObject) -> PyResult<()> {
        self.pending.push(root);
        self.drain()
    }

    /// Takes in what is pending and all that it leads to.
    fn drain(&mut self) -> PyResult<()> {
        while let Some(object) = self.pending.pop() {
            // A type may visit what it does not have.
            if object.is_null()
                || self.is_namespace(object)
                || self.is_elsewhere(object)
                || !self.seen.insert(object as usize)
            {
                continue;
            }
            let known = self.object(object)?;
            self.words_of(object, &known)?;
            if self.of_dataset && known.is_program {
                self.held_back.push(object);
            } else {
                self.expand(object, known)?;
            }
        }
        Ok(())
    }

    /// Whether what this dict has is the program's, and no data.
    fn is_namespace(&self, object: *mut ffi::PyObject) -> bool {
        self.of_dataset
            && std::ptr::eq(type_of(object), &raw mut ffi::PyDict_Type)
            && self.namespaces.binary_search(&(object as usize)).is_ok()
    }

    /// Puts what this object refers to on the list of what is pending.
    fn expand(&mut self, object: *mut ffi::PyObject, known: Known) -> PyResult<()> {
        /// Called by each type's traverse with what an object refers to.
        extern "C" fn visit(object: *mut ffi::PyObject, found: *mut c_void) -> c_int {
            #[expect(unsafe_code, reason = "a visitproc's argument has no type")]
            // SAFETY: `Walk::expand` passes its vector, which nothing else uses meanwhile.
            let found = unsafe { &mut *found.cast::<Vec<*mut ffi::PyObject>>() };
            found.push(object);
            0
        }
        let found = self.pending.len();
        let collected = known.layout.refers(object);
        if collected {
            self.asked.at(known.of_type);
            known
                .layout
                .traverse(object, visit, (&raw mut self.pending).cast());
            self.asked.end();
            // In the order in which the object has them, which is mostly that of their addresses.
            self.pending[found..].reverse();
            if self.of_dataset {
                self.leave_out_the_program(object, known, found);
            }
        }
        if known.layout.table == Table::Dict {
            self.keys(word_of(object, keys::KEYS))?;
        }
        match known.besides.untold {
            Untold::Nothing => {}
            Untold::Weak => {
                let referent = untold::referent(object);
                if self.of_dataset {
                    self.weakly.push(referent);
                } else {
                    self.pending.push(referent);
                }
            }
            // Of a type of C code's own the dict is the interpreter's.
            Untold::Class => {
                self.pending.extend(self.layouts.names_of_class(object));
                if let Some(table) = self.layouts.shared_keys(object.cast()) {
                    self.keys(table)?;
                }
            }
            Untold::Struct => self.of_struct(object, known)?,
            untold => {
                let references = untold::references(object, untold);
                self.pending.extend(references);
            }
        }
        Ok(())
    }

    /// Takes from the end of the list, from `found` on, what this object leads to and is no data: its type, which is the
    /// program, and where functions have their globals.
    fn leave_out_the_program(&mut self, object: *mut ffi::PyObject, known: Known, found: usize) {
        let mut out = [0; 3];
        let kind = type_of(object);
        if layout::is_heap_type(kind) {
            out[0] = kind as usize;
        }
        match known.besides.untold {
            Untold::Function => {
                #[expect(unsafe_code, reason = "PyO3 wraps no functions")]
                // SAFETY: the object is a function; its globals are borrowed from it.
                let globals = unsafe { PyFunction_GetGlobals(object) };
                out[1] = globals as usize;
            }
            Untold::Frame if self.py.version_info() < (3, 11) => {
                [out[1], out[2]] = untold::frames_program(object);
            }
            _ => {}
        }
        let mut kept = found;
        for next in found..self.pending.len() {
            let address = self.pending[next] as usize;
            match out.iter_mut().find(|out| **out == address && address != 0) {
                // Once: a class that is an attribute as well is data.
                Some(out) => *out = 0,
                None => {
                    self.pending.swap(kept, next);
                    kept += 1;
                }
            }
        }
        self.pending.truncate(kept);
    }

    /// Takes in the keys of a table, if all are `str`.
    fn keys(&mut self, table: usize) -> PyResult<()> {
        let keys = self.layouts.keys;
        let mut error = None;
        keys.each(table, |key| {
            // A text leads nowhere, so it need not wait.
            if error.is_none() && self.seen.insert(key as usize) {
                error = self.object(key).err();
            }
        });
        error.map_or(Ok(()), Err)
    }

    /// Follows what the struct of a type of C code leads to. If the type has a traverse, that tells of all that can be in a cycle.
    fn of_struct(&mut self, object: *mut ffi::PyObject, known: Known) -> PyResult<()> {
        let tells = known.layout.traverse.is_some();
        for word in known.besides.words(object) {
            if !self.is_object(word) {
                continue;
            }
            let target = word as *mut ffi::PyObject;
            let of_target = self.known(type_of(target))?;
            let is_out = of_target.is_program
                || matches!(of_target.besides.untold, Untold::Class | Untold::Weak);
            if !(is_out || tells && of_target.layout.collected) {
                self.pending.push(target);
            }
        }
        Ok(())
    }

    /// Whether a live object of the heap is at this address: a word of a struct may also be anything, of memory that is no more.
    fn is_object(&mut self, address: usize) -> bool {
        /// Seven of `PYMEM_FORBIDDENBYTE`.
        const FORBIDDEN: usize = 0xfd_fdfd_fdfd_fdfd;
        const WORD: usize = size_of::<usize>();
        let (Some(count), Some(kind)) = (
            self.heap.word_if_there(address),
            self.heap.word_if_there(address.wrapping_add(WORD)),
        ) else {
            return false;
        };
        // What is free has an address there, or nothing, and so have blocks of pointers.
        if !self.layouts.is_count(&self.heap, count) {
            return false;
        }
        if !unreached::has_type(&mut self.is_type, &self.heap, kind) {
            return false;
        }
        let Ok(known) = self.known(kind as *mut ffi::PyTypeObject) else {
            return false;
        };
        let layout = known.layout;
        let start = address.wrapping_sub(layout.before);
        match self.heap.block_bytes(start) {
            Some(bytes) => {
                let room = bytes.saturating_sub(layout.before);
                self.fits(address as *mut ffi::PyObject, layout, room)
            }
            // In front of what Python's debug hooks give out (PYTHONMALLOC=debug).
            None => {
                let in_front = self.heap.word_if_there(start.wrapping_sub(WORD));
                in_front.is_some_and(|word| word >> 8 == FORBIDDEN)
            }
        }
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
                // The names of attributes, which objects without a dict have in common.
                if let Some(table) = self.layouts.shared_keys(kind) {
                    self.table(table, known.of_type, Use::Pointers);
                    self.keys(table)?;
                }
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
        let besides = Besides::of(kind, &self.layouts);
        let is_kind_of = |other| is_subtype(kind, other);
        let is_program =
            is_kind_of(&raw mut ffi::PyModule_Type) || is_kind_of(&raw mut layout::PyCode_Type);
        // What Python code says of a size may be anything, too. Of code and classes the walk knows better.
        let says = lookup(&class, "__sizeof__").filter(|says| self.is_of_c(says));
        let says_more = says.is_some_and(|says| !says.is(&self.plain_sizeof))
            && !is_program
            && besides.untold != Untold::Class;
        self.to_compare.push(match (besides.is_foreign, says_more) {
            (true, _) => u32::MAX,
            (false, true) => COMPARED,
            (false, false) => 0,
        });
        Ok(Known {
            basic_bytes: layout.basic_bytes(),
            is_plain: unreached::is_plain(kind),
            is_program,
            besides,
            may_hold: besides.is_foreign || says_more,
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
            (None, Size::Block { basic }) => block.unwrap_or_else(|| match is_integer(kind) {
                // `True` and `False` are in no block.
                true => self.layouts.integer_bytes(object),
                false => basic,
            }),
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
            let what = match known.layout.table {
                Table::Text => Use::Content,
                _ => Use::Pointers,
            };
            let mut tables = Vec::new();
            self.layouts
                .tables(&bound, known.layout.table, &self.heap, |table| {
                    tables.push(table);
                });
            for table in tables {
                out_of_line += self.out_of_line(table, known.of_type, what);
            }
        }
        if known.besides.untold != Untold::Nothing {
            let mut blocks = Vec::new();
            untold::blocks(object, known.besides.untold, &self.heap, |block, what| {
                blocks.push((block, what));
            });
            for (block, what) in blocks {
                out_of_line += self.out_of_line(block, known.of_type, what);
            }
        }
        let exports = known.layout.may_export && self.buffer(&bound, kind, known)?;
        if self.of_dataset && known.may_hold && !exports {
            let own = start..(address + bytes).max(start + block.unwrap_or(0));
            self.compare(&bound, known, bytes + out_of_line, &own);
        }
        Ok(known)
    }

    /// A block that an object has out of line: how long it is, if it is new. A table of keys is often that of many dicts.
    fn out_of_line(&mut self, block: Range<usize>, of_type: u32, what: Use) -> usize {
        if block.is_empty() || !self.seen.insert(block.start) {
            return 0;
        }
        let bytes = block.len();
        if self.of_dataset {
            let region = match what {
                Use::Content => &mut self.regions.payload,
                Use::Pointers => &mut self.regions.spine,
            };
            region.add(block.start, bytes);
        }
        self.record(block, Part::Buffer, Some(of_type));
        bytes
    }

    /// The same of a table of which only the address is known.
    fn table(&mut self, start: usize, of_type: u32, what: Use) {
        if let Some(bytes) = self.heap.block_bytes(start) {
            self.out_of_line(start..start + bytes, of_type, what);
        }
    }

    /// The buffer of an object, if it exports one.
    fn buffer(
        &mut self,
        object: &Bound<'py, PyAny>,
        kind: *mut ffi::PyTypeObject,
        known: Known,
    ) -> PyResult<bool> {
        match Buffer::of(object) {
            Ok(buffer) => {
                // `bytes` exports what stands in its own struct; a header first, by the order of regions.
                let extent = buffer.extent.clone();
                if self.of_dataset {
                    self.regions.payload.add(extent.start, extent.len());
                }
                if !extent.is_empty() {
                    self.record(extent, Part::Buffer, Some(known.of_type));
                }
                // NumPy's arrays are not the collector's, and tell nobody else what they refer to.
                let offsets = if buffer.is_pointers {
                    vec![0]
                } else if let Some(descr) = self.descr(object, known) {
                    self.long_texts(&buffer, &descr, known);
                    numpy::object_offsets(&descr)
                } else {
                    // A view leads to what it is one of.
                    let is_view = std::ptr::eq(kind, &raw mut ffi::PyMemoryView_Type);
                    if self.of_dataset
                        && buffer.holds_more
                        && !known.besides.keeps_what_it_refers_to
                        && !is_view
                    {
                        self.note(object, 0);
                    }
                    Vec::new()
                };
                if !offsets.is_empty() {
                    for item in buffer.items() {
                        for offset in &offsets {
                            self.pending.push(pointer_at(item + offset));
                        }
                    }
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
            // This one does not give it: a memoryview that was released, a mapping that was closed. Or NumPy has no format for what is
            // in an array.
            Err(_) => {
                self.unformatted(object, known);
                Ok(true)
            }
        }
    }

    /// The type of an array's items.
    fn descr(&self, object: &Bound<'py, PyAny>, known: Known) -> Option<Bound<'py, PyAny>> {
        let untold = known.besides.untold;
        if !matches!(untold, Untold::Array | Untold::Void) {
            return None;
        }
        let [_, descr] = untold::references(object.as_ptr(), untold);
        #[expect(unsafe_code, reason = "an object comes as a pointer")]
        // SAFETY: a NumPy array and a row of one have that at this place, and it lives as long as they do.
        unsafe {
            Bound::from_borrowed_ptr_or_opt(self.py, descr)
        }
    }

    /// An array that NumPy does not export.
    fn unformatted(&mut self, object: &Bound<'py, PyAny>, known: Known) {
        let Some(descr) = self
            .descr(object, known)
            .filter(|_| known.besides.untold == Untold::Array)
        else {
            return;
        };
        let bytes = numpy::item_bytes(&descr).unwrap_or(0);
        let buffer = Buffer::of_array(object.as_ptr(), bytes);
        let extent = buffer.extent.clone();
        if self.of_dataset {
            self.regions.payload.add(extent.start, extent.len());
        }
        if extent.is_empty() {
            return;
        }
        self.record(extent, Part::Buffer, Some(known.of_type));
        self.long_texts(&buffer, &descr, known);
    }

    /// What of an array of texts is too long for its items, and for the arena that they share, has a block of its own: the first
    /// word of the item is its address.
    fn long_texts(&mut self, buffer: &Buffer, descr: &Bound<'py, PyAny>, known: Known) {
        if numpy::is_text(descr) {
            for item in buffer.items() {
                self.table(pointer_at(item) as usize, known.of_type, Use::Content);
            }
        }
    }

    /// Looks whether an object holds more than was found of it: whether it says that it is larger, as C extensions' own
    /// containers do, or its struct leads to memory that is no object's and not its own.
    fn compare(
        &mut self,
        object: &Bound<'py, PyAny>,
        known: Known,
        found: usize,
        own: &Range<usize>,
    ) {
        let left = &mut self.to_compare[known.of_type as usize];
        if *left == 0 {
            return;
        }
        let before = *left;
        *left -= 1;
        let class = object.get_type();
        let says = lookup(&class, "__sizeof__")
            .filter(|says| self.is_of_c(says) && !says.is(&self.plain_sizeof));
        let says = says.and_then(|says| says.call1((object,)).ok());
        // A type's own answer may be an error.
        let says = says.and_then(|bytes| bytes.extract::<usize>().ok());
        let mut found = found;
        let mut led_to = 0;
        let mut holds = false;
        if known.besides.is_foreign {
            for word in known.besides.words(object.as_ptr()) {
                let is_memory = self.heap.word_if_there(word & !7).is_some();
                if !is_memory || own.contains(&word) {
                    continue;
                }
                if self.is_object(word) {
                    // It may count this among its own, as `io.BytesIO` does.
                    found += self.heap.block_bytes(word).unwrap_or(0);
                    continue;
                }
                holds = true;
                // Several may share one.
                if let Some(bytes) = self.heap.block_bytes(word)
                    && self.led_to.insert(word)
                {
                    led_to += bytes;
                }
            }
        }
        let more = says.unwrap_or(0).saturating_sub(found);
        if holds || more > 0 {
            let more = more.max(led_to);
            if !holds {
                let name = self.name_of(&class);
                self.told.insert(name);
            }
            self.to_compare[known.of_type as usize] = before;
            self.note(object, more);
        }
    }

    /// What objects hold and the walk has not found. What a type tells in full, and is less than a page, is not worth a word.
    fn not_walked(&self) -> Vec<NotWalked> {
        let all = self.not_walked.values();
        let much =
            all.filter(|held| held.bytes >= page_size() || !self.told.contains(&held.of_type));
        much.cloned().collect()
    }

    /// Notes that an object holds so many bytes that are not looked at.
    fn note(&mut self, object: &Bound<'py, PyAny>, bytes: usize) {
        let name = self.name_of(&object.get_type());
        let held = self.not_walked.entry(name);
        let held = held.or_insert_with_key(|name| NotWalked {
            of_type: name.clone(),
            objects: 0,
            bytes: 0,
        });
        held.objects += 1;
        held.bytes += bytes as u64;
    }

    fn record(&mut self, range: Range<usize>, part: Part, of_type: Option<u32>) {
        let mut package = None;
        if part != Part::Allocator {
            // Its block is somebody's.
            self.seen.insert(range.start);
            if self.is_held_by_c {
                self.held_by_c.add(range.start, range.len());
            } else if !self.of_dataset {
                package = self.packages.package();
                self.around[usize::from(package.is_none())].add(range.start, range.len());
            }
        }
        if !self.records_wanted {
            return;
        }
        let kind = Kind {
            part,
            of_type,
            package,
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

#[expect(unsafe_code, reason = "not in the stable ABI")]
unsafe extern "C" {
    fn PyFunction_GetGlobals(function: *mut ffi::PyObject) -> *mut ffi::PyObject;
    /// Private, and exported by every CPython from 3.8 to 3.15.
    fn _PyType_Lookup(kind: *mut ffi::PyTypeObject, name: *mut ffi::PyObject)
    -> *mut ffi::PyObject;
}

/// What a type, or one of its bases, has in its dict under a name. `getattr` would ask its metaclass, and call what it finds.
fn lookup<'py>(class: &Bound<'py, PyType>, name: &str) -> Option<Bound<'py, PyAny>> {
    let py = class.py();
    // Not interned: the interpreter's table of those might grow, which frees the one that the heap was read with.
    let name = PyString::new(py, name);
    #[expect(unsafe_code, reason = "the stable ABI has no lookup without a call")]
    // SAFETY: both are alive and of these types; the answer is borrowed from a dict, or null without an exception.
    unsafe {
        Bound::from_borrowed_ptr_or_opt(py, _PyType_Lookup(class.as_type_ptr(), name.as_ptr()))
    }
}

/// The dicts of all modules, and that of `sys.modules`, in ascending order.
fn namespaces() -> Vec<usize> {
    let mut all = Vec::new();
    #[expect(unsafe_code, reason = "PyO3 imports `sys`, and asks that")]
    // SAFETY: the thread is attached. The dict is borrowed from the interpreter, keys and values from the dict, which nobody
    // changes meanwhile; a module's dict lives as long as the module.
    unsafe {
        let modules = ffi::PyImport_GetModuleDict();
        all.push(modules as usize);
        let (mut place, mut key, mut module) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        while ffi::PyDict_Next(modules, &raw mut place, &raw mut key, &raw mut module) != 0 {
            if ffi::PyModule_Check(module) != 0 {
                all.push(ffi::PyModule_GetDict(module) as usize);
            }
        }
    }
    all.sort_unstable();
    all
}

/// The pointer at this address, which may be any within an item.
fn pointer_at(address: usize) -> *mut ffi::PyObject {
    #[expect(unsafe_code, reason = "a buffer is bare memory")]
    // SAFETY: the exporter's shape and strides led here, and its format or its type says that this is a pointer. Nobody promises
    // that a field of a packed struct is aligned.
    unsafe {
        (address as *const *mut ffi::PyObject).read_unaligned()
    }
}

fn is_integer(kind: *mut ffi::PyTypeObject) -> bool {
    is_subtype(kind, &raw mut ffi::PyLong_Type)
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

    /// Has the address be new again.
    fn remove(&mut self, address: usize) {
        let (page, word, bit) = Self::place(address);
        if let Some(place) = self.pages.get(&page) {
            self.bits[*place as usize][word] &= !bit;
        }
    }

    /// Whether any address in this range has been seen.
    fn has_any(&self, range: Range<usize>) -> bool {
        let mut address = range.start;
        while address < range.end {
            let next = (address / 4096 + 1) * 4096;
            if let Some(place) = self.pages.get(&(address >> 12)) {
                let bits = &self.bits[*place as usize];
                let mut grains = (address..next.min(range.end)).step_by(8);
                if grains.any(|grain| {
                    let (_, word, bit) = Self::place(grain);
                    bits[word] & bit != 0
                }) {
                    return true;
                }
            }
            address = next;
        }
        false
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
        refcow_observe::ranges(&self.set)
    }
}
