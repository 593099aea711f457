//! The walk over all objects: from each to what it refers to, by its type's `tp_traverse` and by
//! what the collector is not told of.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{c_int, c_void};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyString, PyType};
use refcow_model::NotWalked;
use refcow_observe::objects::{Builder, RecordKind, RecordPart};
use refcow_protocol::ASKED_BYTES;

use super::allocator::Heap;
use super::asked::Asked;
use super::blocks::Blocks;
use super::keys;
use super::known::Known;
use super::layout::OutOfLine;
use super::layouts::Layouts;
use super::owners::{Owners, namespaces};
use super::pages::PagesFilled;
use super::seen::SeenAddresses;
use super::types::{static_type, type_of};
use super::untold::{self, Untold};
use super::words::word_of;
use crate::handed;

/// Addresses for each of the walk's lists.
const ROOM_BYTES: usize = 1 << 37;

#[derive(Default)]
pub(super) struct DataRegions {
    pub(super) header: PagesFilled,
    pub(super) spine: PagesFilled,
    pub(super) payload: PagesFilled,
}

pub(super) struct Walk<'py> {
    pub(super) py: Python<'py>,
    pub(super) layouts: Layouts,
    pub(super) heap: Heap,
    /// `__sizeof__` of the type whose objects do not tell their size themselves.
    pub(super) sizeof_text: Bound<'py, PyAny>,
    /// `type.__qualname__`, to be called with a type.
    pub(super) qualname: Bound<'py, PyAny>,
    /// `object.__sizeof__`, which knows of nothing out of line.
    pub(super) plain_sizeof: Bound<'py, PyAny>,
    /// What the dict of a type has for a function of C code.
    pub(super) of_c: [Bound<'py, PyType>; 2],
    /// The dicts of all modules, in ascending order: what they have is the program's.
    pub(super) namespaces: Vec<usize>,
    pub(super) types: HashMap<*mut ffi::PyTypeObject, Known>,
    pub(super) last: Option<(*mut ffi::PyTypeObject, Known)>,
    pub(super) seen: SeenAddresses,
    /// Whether it still walks the dataset.
    pub(super) of_dataset: bool,
    pub(super) regions: DataRegions,
    /// Whose object is being taken in, when it is not the dataset's.
    pub(super) packages: Owners,
    /// What the allocators had given out.
    pub(super) blocks: Option<Blocks>,
    /// Pages with objects of modules, and of the interpreter.
    pub(super) around: [PagesFilled; 2],
    /// Whether what is taken in is what C code keeps, and the pages of that.
    pub(super) is_held_by_c: bool,
    pub(super) held_by_c: PagesFilled,
    /// By the name of the type.
    pub(super) not_walked: BTreeMap<String, NotWalked>,
    /// Blocks that C code holds for objects of the dataset, each counted once.
    pub(super) led_to: HashSet<usize>,
    /// Those types of them whose objects say how much it is.
    pub(super) told: BTreeSet<String>,
    /// How many objects of each type are still to be compared with their `__sizeof__`.
    pub(super) to_compare: Vec<u32>,
    /// Whether what was asked about stands there as a type.
    pub(super) is_type: HashMap<usize, bool>,
    /// What the data leads to by weak references alone.
    pub(super) weakly: Vec<*mut ffi::PyObject>,
    /// What was met in the data, and belongs to the program.
    pub(super) held_back: Vec<*mut ffi::PyObject>,
    pub(super) objects: Builder,
    pub(super) records_wanted: bool,
    /// What was led to, and is still to be taken in; the next one last.
    pub(super) pending: Vec<*mut ffi::PyObject>,
    pub(super) asked: Asked,
}

impl<'py> Walk<'py> {
    pub(super) fn new(py: Python<'py>) -> PyResult<Self> {
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
            seen: SeenAddresses::within(roomy()),
            of_dataset: true,
            regions: DataRegions::default(),
            packages: Owners::default(),
            blocks: None,
            around: Default::default(),
            is_held_by_c: false,
            held_by_c: PagesFilled::default(),
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
    pub(super) fn follow_data(&mut self, data: *mut ffi::PyObject) -> PyResult<()> {
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
    pub(super) fn follow(&mut self, root: *mut ffi::PyObject) -> PyResult<()> {
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
        if known.layout.table == OutOfLine::Dict {
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

    /// Takes in the keys of a table, if all are `str`.
    pub(super) fn keys(&mut self, table: usize) -> PyResult<()> {
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

    /// Follows what the struct of a type of C code leads to. If the type has a traverse, that tells
    /// of all that can be in a cycle.
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

    pub(super) fn record(&mut self, range: Range<usize>, part: RecordPart, of_type: Option<u32>) {
        let mut package = None;
        if part != RecordPart::Allocator {
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
        let kind = RecordKind {
            part,
            of_type,
            package,
            bytes: range.len() as u64,
        };
        self.objects.add(range.start as u64, kind);
    }

    /// The table goes behind what the mapper is about.
    pub(super) fn write(self) -> io::Result<()> {
        let mut file = handed::map()?;
        file.seek(SeekFrom::Start(ASKED_BYTES))?;
        self.objects.write(&mut file)
    }
}

/// A list with room for more than there can be: addresses cost nothing (`apart`), and memory comes
/// as it is written to. So it is never moved, which would take twice its memory.
fn roomy<T>() -> Vec<T> {
    let mut list = Vec::new();
    // Where the system gives no more than it has, it grows as others do.
    let _ = list.try_reserve_exact(ROOM_BYTES / size_of::<T>());
    list
}
