//! The measured side: runs inside a CPython's own program, builds a dataset, forks, and never
//! measures itself.
//!
//! It is a shared library that `refcow` preloads into that program (`LD_PRELOAD`, ld.so(8)), so
//! that it needs nothing of an interpreter but what starts it, and is linked to none.

// What is `pub` is what another crate uses, so that rustc sees what nobody does.
#![warn(unreachable_pub)]

mod apart;
mod child;
mod embedded;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod entry;
mod handed;
mod huge;
mod interpreter;
mod lazy;
mod map;
mod modules;
mod plain;
mod preload;
mod runtime;
mod sources;
mod trace;
mod wire;
mod work;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use pyo3::prelude::*;
use refcow_protocol::{ForkRequest, Raised, Reply, Request};

use interpreter::RunningInterpreter;
use plain::PlainPages;
use sources::raised;
use wire::Wire;

// Where PyO3 finds a Python without the GIL first on PATH, and no `PYO3_NO_PYTHON` as in
// `.cargo/config.toml`, it builds for that one alone.
const _: () = assert!(
    size_of::<pyo3::ffi::PyObject>() == 16,
    "PyO3 is being built for a free-threaded Python: build with PYO3_NO_PYTHON=1 in the environment"
);

/// Answers the observer's requests until it closes the socket.
fn serve() -> std::io::Result<()> {
    // Whoever kills the observer kills this too. If it died before this call, the read below ends.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    huge::turn_off()?;
    // The kernel names it by the descriptor that it was started by.
    prctl::set_name(c"refcow-subject")?;
    let control = handed::receive()?;
    let mut subject = ServedSubject {
        control: Wire::new(control),
        dataset: ToFork::None,
    };
    while let Some(request) = subject.control.receive::<Request>()? {
        let Some(answer) = subject.answer(request)? else {
            return Ok(());
        };
        subject.control.send(&answer)?;
    }
    Ok(())
}

/// What there is to fork.
enum ToFork {
    None,
    Plain(PlainPages),
    Python(RunningInterpreter),
}

struct ServedSubject {
    control: Wire,
    dataset: ToFork,
}

impl ServedSubject {
    /// `None` when the observer has gone.
    fn answer(&mut self, request: Request) -> std::io::Result<Option<Reply>> {
        Ok(Some(match request {
            Request::KeepHugePages => {
                huge::keep()?;
                Reply::Kept
            }
            Request::Fill { pages, shared } => {
                let plain = PlainPages::new(pages, shared)?;
                let first_page = plain.first_page();
                self.dataset = ToFork::Plain(plain);
                Reply::Filled { first_page }
            }
            Request::Write { page } => match &self.dataset {
                ToFork::Plain(plain) => {
                    plain.write(std::iter::once(page));
                    Reply::Wrote
                }
                _ => misuse("there are no plain pages"),
            },
            Request::Start {
                executable,
                variables,
            } => {
                let (interpreter, started) =
                    match RunningInterpreter::start(&executable, &variables) {
                        Ok(both) => both,
                        Err(error) => return Ok(Some(Reply::Raised(raised(&error)))),
                    };
                self.dataset = ToFork::Python(interpreter);
                Reply::Started(started)
            }
            Request::Load {
                helpers,
                fixture,
                arguments,
            } => self.python(|python| python.load(&helpers, &fixture, &arguments)),
            Request::Look { functions } => self.python(|python| python.look(&functions)),
            Request::Footprint(size) => self.python(|python| python.footprint(size)),
            Request::FootprintBy(named) => self.python(|python| python.footprint_by(&named)),
            Request::Build(size) => self.python(|python| python.build(size)),
            Request::BuildBy(named) => self.python(|python| python.build_by(&named)),
            Request::Prepare { name, steps } => self.python(|python| {
                python.prepare(&name, &steps)?;
                Ok(Reply::Prepared)
            }),
            Request::Threads => self.python(|python| Ok(Reply::Threads(python.threads()?))),
            Request::Remedy { code } => self.python(|python| python.remedy(&code)),
            Request::BeforeFork => self.python(RunningInterpreter::before_fork),
            Request::Adopt => self.python(|python| Ok(python.adopt())),
            Request::Call {
                function,
                arguments,
            } => self.python(|python| Ok(Reply::Returned(python.call(&function, &arguments)?))),
            Request::Fork(forks) => return self.fork(forks),
            Request::Reap { pid } => Reply::Reaped {
                status: child::wait_status(Pid::from_raw(pid))?,
            },
        }))
    }

    fn python(&mut self, ask: impl FnOnce(&mut RunningInterpreter) -> PyResult<Reply>) -> Reply {
        match &mut self.dataset {
            ToFork::Python(interpreter) => {
                ask(interpreter).unwrap_or_else(|error| Reply::Raised(raised(&error)))
            }
            _ => misuse("Python has not been started"),
        }
    }

    fn fork(&mut self, forks: Vec<ForkRequest>) -> std::io::Result<Option<Reply>> {
        // A fixture may have chosen not to.
        refcow_observe::inherited::hear_of_children()?;
        huge::make_no_more()?;
        match &self.dataset {
            ToFork::Python(interpreter) => Python::attach(|py| {
                let work = match interpreter.work(py, forks) {
                    Ok(work) => work,
                    Err(error) => return Ok(Some(Reply::Raised(raised(&error)))),
                };
                runtime::flush(py);
                child::fork_python(py, &mut self.control, work)
            }),
            ToFork::Plain(plain) => {
                child::fork_plain(&mut self.control, work::of_plain_pages(plain, forks))
            }
            ToFork::None => Ok(Some(misuse("there is nothing to fork"))),
        }
    }
}

/// An answer to an observer that does not follow the protocol.
fn misuse(what: &str) -> Reply {
    Reply::Raised(Raised {
        summary: format!("refcow-subject: {what}"),
        traceback: String::new(),
    })
}
