//! Which line of Python runs when.
//!
//! A trace function in C is told of each line before it runs. When the line that has been running
//! until then had page faults, the time in which it ran is logged. Of what could be the parent's
//! pages this writes nothing while the visit runs but reference counts of frames, of code objects
//! and of their files' names: the log is a file in memory (`memfd_create`), written by the kernel,
//! and so in none of the process's mappings; all else stands in one static struct, which the
//! rehearsal writes, and in memory that no figure counts (`apart.rs`). But the interpreter itself
//! allocates when it is traced.

mod faults;
mod frames;
mod own;

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::c_int;
use std::fs::File;
use std::mem::ManuallyDrop;
use std::os::unix::fs::FileExt;
use std::ptr::null_mut;

use nix::time::{ClockId, clock_gettime};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyString;
use refcow_protocol::{Interval, LineIntervals, OwnFiles, PythonLine};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::handed;
use faults::FaultProbe;
use frames::Frames;
use own::Own;

/// The most entries of a log: 24 MiB of kernel memory. One takes a page fault at least, so that 4
/// GiB can be copied.
const CAPACITY: u64 = 1 << 20;

/// An entry as the log holds it: start, end, number of the spot.
type Logged = [[u8; 8]; 3];

/// `Py_tracefunc` of cpython/pystate.h, 3.8 to 3.15.
type TraceFunction = unsafe extern "C" fn(
    *mut ffi::PyObject,
    *mut ffi::PyFrameObject,
    c_int,
    *mut ffi::PyObject,
) -> c_int;

/// `PyTrace_CALL`: of a frame that begins, or goes on after it has yielded.
const CALL: c_int = 0;
/// `PyTrace_RETURN`: of a frame that returns, yields, or is left by an exception.
const RETURN: c_int = 3;

// Not in the stable ABI, because other Pythons than CPython may have no such thing; in every
// CPython from 3.8 to 3.15. The subject is bound to Python's functions at its start as a whole
// (BIND_NOW, rustc's default): a function that some version does not have cannot be declared like
// this, see `Frames`.
#[expect(unsafe_code, reason = "see the comment")]
unsafe extern "C" {
    fn PyEval_SetTrace(function: Option<TraceFunction>, object: *mut ffi::PyObject);
}

/// What runs: a code object, of which nothing is owned, and a line in it, or 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct RunningLine {
    code: *mut ffi::PyObject,
    line: c_int,
}

/// No Python, or none that is known.
const NOTHING: RunningLine = RunningLine {
    code: null_mut(),
    line: 0,
};

/// What ran, and the innermost line of the user's own that had called it; [`NOTHING`] if it is the
/// user's own itself, or none had.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    running: RunningLine,
    own: RunningLine,
}

/// The state of the trace, in the one thread that has it.
struct TraceState {
    /// `None` before the rehearsal, and in what the visit forks, which is traced, too, but is not
    /// the visit.
    frames: Cell<Option<Frames>>,
    log: OnceCell<ManuallyDrop<File>>,
    faults: RefCell<Option<ManuallyDrop<FaultProbe>>>,
    running: Cell<RunningLine>,
    since: Cell<u64>,
    entries: Cell<u64>,
    dropped: Cell<u64>,
    /// Each spot that the log has, with its number. Of each code object here a reference is held,
    /// so that no other one comes to its address. A map by order: one by hash would ask the system
    /// for random numbers during the visit.
    spots: RefCell<BTreeMap<Spot, u64>>,
    own: RefCell<Option<ManuallyDrop<Own>>>,
    /// Code objects of which it is known whether they are the user's own, each with a reference.
    known: RefCell<BTreeMap<*mut ffi::PyObject, bool>>,
}

/// Plain memory, there from the start. Not a thread's own: rustc takes what a program has of that
/// for part of the program's image, and this one is a library.
static STATE: Traced = Traced(TraceState {
    frames: Cell::new(None),
    log: OnceCell::new(),
    faults: RefCell::new(None),
    running: Cell::new(NOTHING),
    since: Cell::new(0),
    entries: Cell::new(0),
    dropped: Cell::new(0),
    spots: RefCell::new(BTreeMap::new()),
    own: RefCell::new(None),
    known: RefCell::new(BTreeMap::new()),
});

/// What only the traced thread touches.
struct Traced(TraceState);

#[expect(unsafe_code, reason = "a static must be shareable")]
// SAFETY: `Trace` is used by the one thread that makes the visit, which the trace function is set
// for alone (`PyEval_SetTrace` is of the calling thread), and `forked` runs in a new process before
// any second thread is there. So no two threads of a process ever use it at once.
unsafe impl Sync for Traced {}

impl Traced {
    fn with<T>(&self, act: impl FnOnce(&TraceState) -> T) -> T {
        act(&self.0)
    }
}

/// What a child needs to keep a log of lines.
pub(crate) struct Trace {
    frames: Frames,
    own: Own,
}

impl Trace {
    /// In the parent, so that what this allocates is no child's.
    pub(crate) fn new(py: Python<'_>, files: OwnFiles) -> Self {
        let trace = Self {
            frames: Frames::new(py),
            own: Own::new(py, files),
        };
        // Since 3.12 the first trace function of an interpreter has it make what hands events on
        // (sys.monitoring).
        trace.install(py);
        trace.remove(py);
        trace
    }

    /// In the child, all that a visit does of this but the visit.
    pub(crate) fn rehearse(&self, py: Python<'_>) -> PyResult<()> {
        let log =
            memfd_create("refcow-lines", MemfdFlags::CLOEXEC).map_err(std::io::Error::from)?;
        let log = handed::above(log)?;
        STATE.with(|state| {
            // There is one rehearsal in a process.
            let _ = state.log.set(ManuallyDrop::new(File::from(log)));
            state
                .faults
                .replace(Some(ManuallyDrop::new(FaultProbe::new())));
            state.own.replace(Some(ManuallyDrop::new(self.own.clone())));
            state.frames.set(Some(self.frames));
        });
        #[expect(unsafe_code, reason = "neither std nor nix wraps it")]
        // SAFETY: `forked` may be called in a forked process: it writes one word. The kernel does
        // not give a perf event's ring to a forked process (`VM_DONTCOPY`, perf_mmap in
        // kernel/events/core.c), so that no trace may go on in one. CPython forks by fork(3), which
        // calls it.
        let failed = unsafe { nix::libc::pthread_atfork(None, None, Some(forked)) };
        if failed != 0 {
            return Err(std::io::Error::from_raw_os_error(failed).into());
        }
        self.while_running(py, || Ok(()))
    }

    /// Runs something under the trace function.
    pub(crate) fn while_running<T>(
        &self,
        py: Python<'_>,
        run: impl FnOnce() -> PyResult<T>,
    ) -> PyResult<T> {
        STATE.with(TraceState::begin);
        self.install(py);
        let outcome = run();
        self.remove(py);
        outcome
    }

    fn install(&self, _: Python<'_>) {
        #[expect(unsafe_code, reason = "PyO3 wraps it not")]
        // SAFETY: the thread is attached. The function may be called with any frame at any time
        // until it is removed, by `remove` or by another that takes its place; it does nothing
        // before a rehearsal. No object goes with it, so that `sys.gettrace()` is None, as it is
        // without it.
        unsafe {
            PyEval_SetTrace(Some(event), null_mut());
        }
    }

    fn remove(&self, _: Python<'_>) {
        #[expect(unsafe_code, reason = "PyO3 wraps it not")]
        // SAFETY: the thread is attached; there need not be a trace function.
        unsafe {
            PyEval_SetTrace(None, null_mut());
        }
    }

    /// The log, once the visit has ended.
    pub(crate) fn lines(&self, py: Python<'_>) -> PyResult<LineIntervals> {
        STATE.with(|state| {
            let mut lines = LineIntervals {
                dropped: state.dropped.get(),
                // The last event of a whole visit is that its outermost frame returns.
                cut_short: state.running.get() != NOTHING,
                ..LineIntervals::default()
            };
            let spots = state.spots.borrow();
            // Which spot has which number, and where each place of the user's own stands.
            let mut by_number: Vec<Spot> = spots.keys().copied().collect();
            by_number.sort_by_key(|spot| spots[spot]);
            let mut own_places = BTreeMap::new();
            for spot in &by_number {
                if spot.own == NOTHING {
                    own_places.insert(spot.running, lines.places.len());
                }
                lines.places.push(place(py, spot.running)?);
            }
            for spot in by_number.iter().filter(|spot| spot.own != NOTHING) {
                if let Entry::Vacant(entry) = own_places.entry(spot.own) {
                    entry.insert(lines.places.len());
                    lines.places.push(place(py, spot.own)?);
                }
            }
            lines.own = by_number
                .iter()
                .map(|spot| own_places.get(&spot.own).copied())
                .collect();
            lines.own.resize(lines.places.len(), None);
            for index in 0..state.entries.get() {
                let [start, end, spot] = state.read(index)?;
                let place = usize::try_from(spot).map_err(std::io::Error::other)?;
                lines.intervals.push(Interval { start, end, place });
            }
            Ok(lines)
        })
    }
}

/// The line's names.
fn place(py: Python<'_>, running: RunningLine) -> PyResult<PythonLine> {
    #[expect(unsafe_code, reason = "an address that was kept")]
    // SAFETY: the thread is attached. `TraceState::spot` took a reference to this object, and
    // nobody has given it up.
    let code = unsafe { Bound::from_borrowed_ptr(py, running.code) };
    let text = |name: &str| -> PyResult<String> {
        let text = code.getattr(name)?.cast_into::<PyString>()?;
        // A name of a file need not be UTF-8.
        Ok(text.to_string_lossy().into_owned())
    };
    let line = match u32::try_from(running.line) {
        Ok(0) | Err(_) => code.getattr("co_firstlineno")?.extract()?,
        Ok(line) => line,
    };
    Ok(PythonLine {
        file: text("co_filename")?,
        function: text("co_qualname").or_else(|_| text("co_name"))?,
        line,
    })
}

/// The trace function: never fails, so that the interpreter never takes it away.
#[expect(unsafe_code, reason = "its type")]
unsafe extern "C" fn event(
    _: *mut ffi::PyObject,
    frame: *mut ffi::PyFrameObject,
    what: c_int,
    _: *mut ffi::PyObject,
) -> c_int {
    STATE.with(|state| {
        if let Some(frames) = state.frames.get() {
            state.event(frames, frame, what);
        }
    });
    0
}

/// Ends the trace in a process that a visit has forked.
#[expect(unsafe_code, reason = "its type")]
unsafe extern "C" fn forked() {
    STATE.with(|state| state.frames.set(None));
}

impl TraceState {
    fn begin(&self) {
        self.running.set(NOTHING);
        self.had_faults();
        self.since.set(now());
    }

    /// Whether this thread had page faults since the last call.
    fn had_faults(&self) -> bool {
        let mut faults = self.faults.borrow_mut();
        faults.as_mut().is_some_and(|faults| faults.any())
    }

    fn event(&self, frames: Frames, frame: *mut ffi::PyFrameObject, what: c_int) {
        let next = if what == RETURN {
            match frames.back(frame) {
                Some(caller) => self.running_in(frames, caller.0.cast()),
                None => NOTHING,
            }
        } else {
            self.running_in(frames, frame)
        };
        // It goes on running: there is nothing to log before it ends.
        if next != self.running.get() {
            // In which frame that was: of all events but a call it is that of the event.
            match what {
                CALL => {
                    let caller = frames.back(frame);
                    self.end_interval(frames, caller.map(|caller| caller.0.cast()));
                }
                _ => self.end_interval(frames, Some(frame)),
            }
            self.running.set(next);
        }
    }

    /// The innermost line of the user's own that had called what was running in this frame.
    fn own_caller(&self, frames: Frames, frame: *mut ffi::PyFrameObject) -> RunningLine {
        let running = self.running.get();
        let is_running = frames
            .code(frame)
            .is_some_and(|code| code.0 == running.code);
        if !is_running || self.is_own(running.code) {
            return NOTHING;
        }
        let mut caller = frames.back(frame);
        while let Some(frame) = caller {
            let frame_of_caller = frame.0.cast();
            let Some(code) = frames.code(frame_of_caller) else {
                return NOTHING;
            };
            if self.is_own(code.0) {
                return self.running_in(frames, frame_of_caller);
            }
            caller = frames.back(frame_of_caller);
        }
        NOTHING
    }

    fn is_own(&self, code: *mut ffi::PyObject) -> bool {
        let mut known = self.known.borrow_mut();
        if let Some(is_own) = known.get(&code) {
            return *is_own;
        }
        let own = self.own.borrow();
        let is_own = own.as_ref().is_some_and(|own| own.holds(code));
        keep(code);
        known.insert(code, is_own);
        is_own
    }

    /// What runs in the frame.
    fn running_in(&self, frames: Frames, frame: *mut ffi::PyFrameObject) -> RunningLine {
        let Some(code) = frames.code(frame) else {
            return NOTHING;
        };
        #[expect(unsafe_code, reason = "PyO3 wraps no frames")]
        // SAFETY: the frame is alive, see `of`; the call reads it.
        let line = unsafe { ffi::PyFrame_GetLineNumber(frame) };
        let before = self.running.get();
        match line {
            1.. => RunningLine { code: code.0, line },
            // Instructions that the compiler has added belong to no line: to the one before them,
            // then.
            _ if before.code == code.0 => before,
            _ => RunningLine {
                code: code.0,
                line: 0,
            },
        }
    }

    /// Ends the time of what has run until now, in this frame, and logs it if it had page faults.
    fn end_interval(&self, frames: Frames, frame: Option<*mut ffi::PyFrameObject>) {
        let had_faults = self.had_faults();
        let mut end = now();
        if had_faults {
            if self.running.get() != NOTHING {
                let own = frame.map_or(NOTHING, |frame| self.own_caller(frames, frame));
                self.append(end, own);
            }
            // What logging took is no line's.
            self.had_faults();
            end = now();
        }
        self.since.set(end);
    }

    fn append(&self, end: u64, own: RunningLine) {
        let Some(log) = self.log.get() else {
            return;
        };
        let entries = self.entries.get();
        let running = self.running.get();
        let entry = || -> Logged {
            [
                self.since.get().to_ne_bytes(),
                end.to_ne_bytes(),
                self.spot(Spot { running, own }).to_ne_bytes(),
            ]
        };
        let written = entries < CAPACITY
            && log
                .write_all_at(entry().as_flattened(), entries * size_of::<Logged>() as u64)
                .is_ok();
        match written {
            true => self.entries.set(entries + 1),
            false => self.dropped.set(self.dropped.get() + 1),
        }
    }

    /// The number of a spot.
    fn spot(&self, spot: Spot) -> u64 {
        let mut spots = self.spots.borrow_mut();
        let next = spots.len() as u64;
        *spots.entry(spot).or_insert_with(|| {
            for code in [spot.running.code, spot.own.code] {
                if !code.is_null() {
                    keep(code);
                }
            }
            next
        })
    }

    fn read(&self, index: u64) -> std::io::Result<[u64; 3]> {
        let mut entry: Logged = Default::default();
        let log = self
            .log
            .get()
            .ok_or_else(|| std::io::Error::other("there was no rehearsal"))?;
        log.read_exact_at(entry.as_flattened_mut(), index * size_of::<Logged>() as u64)?;
        Ok(entry.map(u64::from_ne_bytes))
    }
}

/// Takes a reference that is never given up.
fn keep(code: *mut ffi::PyObject) {
    #[expect(unsafe_code, reason = "addresses are kept")]
    // SAFETY: the thread is attached, as the interpreter calls the trace function. The code is
    // alive: it has been running since the last event, or has called what was, and its frame, which
    // holds it, has not ended, for that would have been an event.
    unsafe {
        ffi::Py_IncRef(code);
    }
}

/// CLOCK_MONOTONIC in nanoseconds; no system call where there is a vDSO.
fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(std::time::Duration::from);
    time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}
