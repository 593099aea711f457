//! The garbage collector: kept from running, and asked what it tracks.
//!
//! Through the C API where that has it. `gc.disable` and `gc.get_objects` are no way: whoever
//! imports may run an import hook of the user's, `gc.get_objects` runs audit hooks, and what has to
//! be allocated on the way may begin a collection.

use std::ffi::{CStr, c_int, c_void};

use nix::libc;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use pyo3::ffi;
use pyo3::prelude::*;
use refcow_observe::page_size;

const WORD: usize = size_of::<usize>();
/// `struct gc_generation` (until 3.13): the head of its list, its threshold and its count.
const GENERATION: usize = 3 * WORD;
/// From `generations[0]` to `generation0`, which has its address, and to `permanent_generation`
/// (3.8 to 3.13).
const TO_POINTER: usize = 3 * GENERATION;
const TO_PERMANENT: usize = TO_POINTER + WORD;
/// Each generation's place behind the first.
const GENERATIONS: [usize; 4] = [0, GENERATION, 2 * GENERATION, TO_PERMANENT];
/// `_PyGC_PREV_MASK`.
const PREVIOUS: usize = !3;
/// `PyGC_Head`.
const HEADER: usize = 2 * WORD;

/// Since 3.12.
type VisitObjects = unsafe extern "C" fn(GcVisit, *mut c_void);
type GcVisit = extern "C" fn(*mut ffi::PyObject, *mut c_void) -> c_int;
/// Since 3.10.
type Disable = unsafe extern "C" fn() -> c_int;

/// The collector of this process.
pub(super) struct Collector {
    /// `generations[0]` of versions whose C API cannot ask for all objects, those that are set
    /// aside included.
    first: Option<usize>,
}

impl Collector {
    /// Keeps it from running, for good. Allocates nothing.
    pub(super) fn stopped(py: Python<'_>) -> Self {
        // 3.12 and 3.13 can ask, and are not told of what `gc.freeze` has set aside.
        let first = match py.version_info() < (3, 14) {
            true => first_generation(),
            false => None,
        };
        let disable = symbol(c"PyGC_Disable");
        #[expect(unsafe_code, reason = "only some versions have it")]
        // SAFETY: a symbol of this name is that function of the stable ABI; the thread is attached.
        // A threshold of 0 stops it too (gc.set_threshold), and that this is the threshold's place,
        // `first_generation` has made sure of.
        unsafe {
            if let Some(disable) = disable {
                std::mem::transmute::<*mut c_void, Disable>(disable)();
            } else if let Some(first) = first {
                *((first + HEADER) as *mut c_int) = 0;
            }
        }
        Self { first }
    }

    /// Tells `found` of each object that the collector tracks.
    pub(super) fn each(&self, mut found: impl FnMut(*mut ffi::PyObject)) {
        extern "C" fn visit<F: FnMut(*mut ffi::PyObject)>(
            object: *mut ffi::PyObject,
            found: *mut c_void,
        ) -> c_int {
            #[expect(unsafe_code, reason = "a callback's argument has no type")]
            // SAFETY: `visitor` passes its closure, which nothing else uses meanwhile.
            let found = unsafe { &mut *found.cast::<F>() };
            found(object);
            1
        }
        fn visitor<F: FnMut(*mut ffi::PyObject)>(_: &F) -> GcVisit {
            visit::<F>
        }
        if let Some(first) = self.first {
            for place in GENERATIONS {
                let head = first + place;
                let mut node = word(head);
                while node != head {
                    found((node + HEADER) as *mut ffi::PyObject);
                    node = word(node);
                }
            }
        } else if let Some(all) = symbol(c"PyUnstable_GC_VisitObjects") {
            let visit = visitor(&found);
            #[expect(unsafe_code, reason = "only some versions have it")]
            // SAFETY: a symbol of this name is that function (PEP 689 keeps its signature); the
            // thread is attached.
            unsafe {
                std::mem::transmute::<*mut c_void, VisitObjects>(all)(
                    visit,
                    (&raw mut found).cast(),
                );
            }
        }
    }
}

/// `generations[0]`, from 3.8 to 3.13. The lists are rings, and the head of one is in the ring of
/// `sys.modules`. Nothing but a head has those of all others around it, each in a ring, and a
/// pointer to the first of them.
fn first_generation() -> Option<usize> {
    #[expect(unsafe_code, reason = "PyO3 wraps no dict of modules")]
    // SAFETY: the thread is attached; the dict is borrowed from the interpreter.
    let modules = unsafe { ffi::PyImport_GetModuleDict() };
    let start = modules as usize - HEADER;
    if word(start) == 0 {
        return None;
    }
    let is_first = |node: usize, first: &usize| {
        let has_ring = |place: &usize| {
            let head = first.wrapping_add(*place);
            let next = word_if_there(head)?;
            Some(word_if_there(next.wrapping_add(WORD))? & PREVIOUS == head)
        };
        let pointer = first.wrapping_add(TO_POINTER);
        // The kernel is asked for what is on another page than the node.
        let there = match pointer as u64 / page_size() == node as u64 / page_size() {
            true => Some(word(pointer)),
            false => word_if_there(pointer),
        };
        there == Some(*first)
            && GENERATIONS
                .iter()
                .all(|place| has_ring(place) == Some(true))
    };
    let mut node = start;
    loop {
        let mut firsts = GENERATIONS.iter().map(|place| node.wrapping_sub(*place));
        if let Some(first) = firsts.find(|first| is_first(node, first)) {
            return Some(first);
        }
        // Backwards: modules are older than most.
        let before = previous(node);
        if before == start || word(before) != node {
            return None;
        }
        node = before;
    }
}

fn previous(node: usize) -> usize {
    word(node + WORD) & PREVIOUS
}

/// The function of this name, if this interpreter has it.
fn symbol(name: &CStr) -> Option<*mut c_void> {
    #[expect(unsafe_code, reason = "only some versions have it")]
    // SAFETY: the name is a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!found.is_null()).then_some(found)
}

fn word(address: usize) -> usize {
    #[expect(unsafe_code, reason = "the stable ABI hides the lists")]
    // SAFETY: callers follow the collector's lists, whose every node is in memory, or stay on a
    // node's page; no other thread runs that could change them.
    unsafe {
        *(address as *const usize)
    }
}

/// A word at an address where no memory may be.
pub(super) fn word_if_there(address: usize) -> Option<usize> {
    let mut bytes = [0; WORD];
    let from = RemoteIoVec {
        base: address,
        len: WORD,
    };
    let read = process_vm_readv(
        Pid::this(),
        &mut [std::io::IoSliceMut::new(&mut bytes)],
        &[from],
    );
    (read == Ok(WORD)).then(|| usize::from_ne_bytes(bytes))
}
