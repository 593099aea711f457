//! Forks, and what a forked process does.
//!
//! A child goes through all steps of its visit but the visit once before the observer takes "before": afterwards the
//! very same steps write to no page that is still shared, and `idle` shows 0.

use std::hint::black_box;
use std::io;
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};
use pyo3::ffi;
use pyo3::prelude::*;
use refcow_protocol::{ChildMessage, Raised, Reply};

use crate::embedded::{compare, plan};
use crate::runtime::{finalize, flush, python_runs};
use crate::sources::raised;
use crate::wire::{Wire, released};
use crate::work::{Planned, Work};
use crate::{apart, handed, huge, lazy, map};

/// Forks with the calls that CPython's own `os.fork` makes around it.
///
/// `None` when the observer has gone.
pub(crate) fn fork_python(
    py: Python<'_>,
    control: &mut Wire,
    planned: Vec<Planned<'_, '_>>,
) -> io::Result<Option<Reply>> {
    #[expect(unsafe_code, reason = "PyO3 wraps no fork")]
    // SAFETY: both need an attached thread state, which `py` proves, and come in the order that the C API demands:
    // before, then one of the two "after" in each process, also if fork fails (as os.fork does). Several forks may
    // stand between: what "before" takes (the import lock and the runtime's own) each child finds taken and releases.
    let (before, after) = (
        || unsafe { ffi::PyOS_BeforeFork() },
        || unsafe { ffi::PyOS_AfterFork_Parent() },
    );
    // For processes that only look no hook of the user's (os.register_at_fork) runs, there or here. What they call of Python takes
    // none of the locks that "after" would make new: it runs no bytecode and makes no thread state.
    if planned.iter().all(|(_, work)| work.only_looks()) {
        return fork_all(control, planned, None);
    }
    before();
    let answer = fork_all(control, planned, Some(py));
    after();
    answer
}

/// Forks processes in which no Python runs.
///
/// `None` when the observer has gone.
pub(crate) fn fork_plain(
    control: &mut Wire,
    planned: Vec<Planned<'_, '_>>,
) -> io::Result<Option<Reply>> {
    fork_all(control, planned, None)
}

/// Forks one process after the other, each when the observer says so.
///
/// Between [`Reply::Armed`] and the fork the observer notes what the parent has written since its last fork. Nothing
/// may be written in that time but the stack, whose page is in that note: so no heap, no lock, no Python.
fn fork_all(
    control: &mut Wire,
    planned: Vec<Planned<'_, '_>>,
    python: Option<Python<'_>>,
) -> io::Result<Option<Reply>> {
    let parent = getpid();
    for (channel, work) in &planned {
        control.send_small(&Reply::Armed)?;
        if !released(control)? {
            return Ok(None);
        }
        #[expect(unsafe_code, reason = "forking is what this program is for")]
        // SAFETY: this process has one thread, so the child starts with no lock held by a thread that is not there
        // (a fixture that starts threads takes that risk itself, as it would with os.fork). The child never returns
        // from here into the request loop: it ends in `run`, by `_exit`.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => run(parent, *channel, work, python),
            Ok(ForkResult::Parent { child }) => control.send_small(&Reply::Forked {
                pid: child.as_raw(),
            })?,
            Err(errno) => {
                return Ok(Some(Reply::ForkFailed {
                    errno: errno as i32,
                }));
            }
        }
    }
    Ok(Some(Reply::AllForked))
}

/// The status of one ended child as `waitpid` writes it.
pub(crate) fn wait_status(pid: Pid) -> io::Result<i32> {
    let mut status = 0;
    #[expect(unsafe_code, reason = "the raw status crosses the protocol")]
    // SAFETY: `status` outlives the call and is all it writes. nix's own waitpid decodes the status, which then could
    // not be sent on.
    let waited = unsafe { nix::libc::waitpid(pid.as_raw(), &raw mut status, 0) };
    Errno::result(waited)?;
    Ok(status)
}

/// The whole life of a forked process.
fn run(parent: Pid, channel: usize, work: &Work<'_, '_>, python: Option<Python<'_>>) -> ! {
    apart::forked();
    let python = python.filter(|_| !work.only_looks());
    if let (Some(py), Work::OnlyTheWay(_)) = (python, work) {
        map::stop_collector(py);
    }
    if python.is_some() {
        #[expect(unsafe_code, reason = "PyO3 wraps no fork")]
        // SAFETY: see `fork_python`, whose "before" this answers in the child; the thread is attached.
        unsafe {
            ffi::PyOS_AfterFork_Child();
        }
    }
    let mut wire = Wire::new(handed::channel(channel));
    // A panic must not unwind into the parent's request loop, of which this process has a copy.
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        live(parent, &mut wire, work)
    }))
    .unwrap_or_else(|_| Err(io::Error::other("panicked")));
    if let Some(py) = python.filter(|_| python_runs()) {
        // What the visit printed would be lost otherwise. After the last snapshot, so it counts for nothing.
        flush(py);
    }
    let status = match ended {
        Ok(()) => 0,
        Err(error) => handed::status(&error).unwrap_or(1),
    };
    #[expect(unsafe_code, reason = "std's exit would run the parent's handlers")]
    // SAFETY: `_exit` ends the process without running any handler of the parent's, which is what a forked copy of a
    // process must do.
    unsafe {
        nix::libc::_exit(status.into())
    }
}

/// Whether the parent lives; if it ends later, so does this process.
fn ends_with(parent: Pid) -> io::Result<bool> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // If it died before that call, nobody would send the signal: the process is an orphan already.
    Ok(getppid() == parent)
}

fn live(parent: Pid, wire: &mut Wire, work: &Work<'_, '_>) -> io::Result<()> {
    let is_orphan = !ends_with(parent)?;
    // A process that the visit forks, and whose parent then ends, comes back here, where the observer looks for it.
    prctl::set_child_subreaper(true)?;
    if is_orphan {
        return Ok(());
    }
    wire.send_small(&ChildMessage::Ready)?;
    if matches!(work, Work::Wait) {
        released(wire)?;
        return Ok(());
    }
    let answer = match work {
        Work::Map { data, objects } => Some(map::map(data, *objects).map(ChildMessage::Mapped)),
        Work::Compare {
            visit,
            data,
            replacement,
        } => Some(compare(visit, data, replacement)),
        Work::Plan {
            data,
            modules,
            function,
            arguments,
        } => Some(plan(data, modules, function, arguments)),
        _ => None,
    };
    // Neither is measured, so that neither is rehearsed.
    if let Some(answer) = answer {
        wire.send(&answer.unwrap_or_else(|error| ChildMessage::Raised(told(work, &error))))?;
        released(wire)?;
        return Ok(());
    }
    let (work, only_the_way) = match work {
        Work::OnlyTheWay(work) => (&**work, true),
        work => (work, false),
    };
    // The rehearsal, then the visit: the same steps twice, of which the first lacks only the work.
    for rehearsal in [true, false] {
        if !released(wire)? || only_the_way && !rehearsal {
            return Ok(());
        }
        let start = Instant::now();
        let step = || match rehearsal {
            true => rehearse(work),
            false => perform(work),
        };
        let outcome = match work {
            // Known pages are written, and no others may be copied.
            Work::Write(..) => step(),
            _ => huge::during(step)?,
        };
        let seconds = start.elapsed().as_secs_f64();
        // The kernel forgets it of a process that becomes another user's.
        if !ends_with(parent)? {
            return Ok(());
        }
        match outcome {
            Ok(Done::Work(lazy)) => wire.send_small(&ChildMessage::Done { seconds, lazy })?,
            Ok(Done::Pages(pages)) => wire.send_small(&ChildMessage::Wrote { pages })?,
            Err(error) => wire.send(&ChildMessage::Raised(raised(&error)))?,
        }
    }
    if let Work::Call {
        function, modules, ..
    } = work
    {
        // The observer has looked: to make texts of names may write.
        if !released(wire)? {
            return Ok(());
        }
        let modules = modules.imported_since(function.py());
        wire.send(&ChildMessage::Imported { modules })?;
    }
    if let Work::Call {
        function,
        trace: Some(trace),
        ..
    } = work
    {
        // So may naming places.
        if !released(wire)? {
            return Ok(());
        }
        match trace.lines(function.py()) {
            Ok(lines) => wire.send(&ChildMessage::Lines(lines))?,
            Err(error) => wire.send(&ChildMessage::Raised(raised(&error)))?,
        }
    }
    released(wire)?;
    Ok(())
}

/// An error of a process without a visit. As Python prints it only where Python may run.
fn told(work: &Work<'_, '_>, error: &PyErr) -> Raised {
    match work.only_looks() {
        true => Raised {
            summary: error.to_string(),
            traceback: String::new(),
        },
        false => raised(error),
    }
}

/// All of the work's preparations.
fn rehearse(work: &Work<'_, '_>) -> PyResult<Done> {
    if let Work::Call {
        function,
        trace: Some(trace),
        ..
    } = work
    {
        trace.rehearse(function.py())?;
    }
    // Code is not mapped by a fork: its page, too, is taken in before the visit, wherever a build has put it.
    perform(black_box(&Work::Idle))
}

/// What came of work.
enum Done {
    /// It is done. The type of what it returned, if that does nothing until it is asked to.
    Work(Option<String>),
    /// The distinct pages that [`Work::Write`] says it wrote.
    Pages(u64),
}

/// The work itself.
#[inline(never)]
fn perform(work: &Work<'_, '_>) -> PyResult<Done> {
    match work {
        Work::Call {
            function,
            arguments,
            trace,
            ..
        } => {
            let call = || function.call1(arguments);
            let returned = match trace {
                Some(trace) => trace.while_running(function.py(), call)?,
                None => call()?,
            };
            Ok(Done::Work(lazy::unconsumed(&returned)))
        }
        Work::Exit { module, data } => {
            Python::attach(|py| finalize(py, *module, *data))?;
            Ok(Done::Work(None))
        }
        Work::Write(plain, pages, unreported) => {
            let reported = plain.write(pages.iter().copied());
            plain.write_further(*unreported);
            Ok(Done::Pages(reported))
        }
        Work::Leave {
            function,
            arguments,
        } => {
            function.call1(arguments)?;
            Ok(Done::Work(None))
        }
        Work::Idle
        | Work::Wait
        | Work::Compare { .. }
        | Work::Plan { .. }
        | Work::Map { .. }
        | Work::OnlyTheWay(_) => Ok(Done::Work(None)),
    }
}
