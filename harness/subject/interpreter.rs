//! The interpreter and the fixture in it.

use std::path::Path;
use std::time::Instant;

use pyo3::exceptions::{PyOverflowError, PyValueError};
use pyo3::ffi::c_str;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyTuple};
use refcow_protocol::{
    BuiltWith, Footprint, ForkRequest, Job, ModuleSource, NamedArguments, OwnFiles, Reading, Reply,
    Size, Started,
};
use serde_json::Value;

use crate::embedded::{once, user_file};
use crate::modules::Modules;
use crate::runtime::{add_variables, addresses_fixed, name_program};
use crate::sources::execute;
use crate::trace::Trace;
use crate::work::Work;

/// Arguments by place, arguments by name, and all that is known of them.
type Call<'py> = (Bound<'py, PyTuple>, Bound<'py, PyDict>, Bound<'py, PyDict>);

/// A running interpreter and, once loaded and built, a fixture.
#[derive(Default)]
pub(crate) struct RunningInterpreter {
    fixture: Option<Py<PyModule>>,
    data: Option<Py<PyAny>>,
    /// Which code is the user's own.
    own: OwnFiles,
    /// What a remedy returned, until it takes the data's place.
    replacement: Option<Py<PyAny>>,
    /// What a remedy does with the data.
    before_fork: Option<Py<PyAny>>,
    /// How a remedy has workers end.
    end_worker: Option<Py<PyAny>>,
}

impl RunningInterpreter {
    /// Starts Python as its environment variables say, without signal handlers: Ctrl-C is the
    /// observer's.
    pub(crate) fn start(
        executable: &Path,
        variables: &[(String, String)],
    ) -> PyResult<(Self, Started)> {
        name_program(executable);
        Python::initialize();
        // `os.environ` stands by now.
        add_variables(variables);
        let started = Python::attach(|py| -> PyResult<Started> {
            let sys = py.import("sys")?;
            Ok(Started {
                full_version: sys.getattr("version")?.extract()?,
                prefix: sys.getattr("prefix")?.extract()?,
                addresses_fixed: addresses_fixed(),
            })
        })?;
        Ok((Self::default(), started))
    }

    /// Executes the helpers' and the fixture's source. A user's file finds what a script would, but
    /// for its name.
    pub(crate) fn load(
        &mut self,
        helpers: &[ModuleSource],
        fixture: &ModuleSource,
        arguments: &[String],
    ) -> PyResult<Reply> {
        self.own = OwnFiles::of(fixture);
        Python::attach(|py| {
            for helper in helpers {
                execute(py, helper)?;
            }
            if let Some(folder) = &fixture.folder {
                if let Some(by) = user_file(py, "taken", (&fixture.name, &fixture.file))? {
                    return Ok(Reply::Refused {
                        reason: format!(
                            "{} has the name of a module that this Python has already ({})",
                            fixture.file,
                            by.extract::<String>()?
                        ),
                        help: "give the file another name: whatever imports that module would get this one instead"
                            .to_owned(),
                    });
                }
                let sys = py.import("sys")?;
                let path = sys.getattr("path")?.cast_into::<PyList>()?;
                path.insert(0, folder)?;
                let argv = PyList::new(py, [&fixture.file])?;
                for argument in arguments {
                    argv.append(argument)?;
                }
                sys.setattr("argv", argv)?;
            }
            self.fixture = Some(execute(py, fixture)?.unbind());
            Ok(Reply::Loaded)
        })
    }

    /// Whether calls of these functions run them. What the text of a file does not tell, as of a
    /// function that is decorated or imported, Python knows.
    pub(crate) fn look(&self, functions: &[String]) -> PyResult<Reply> {
        Python::attach(|py| {
            let source = c_str!(include_str!("deferred.py"));
            let found = once(py, source, "deferred", (self.module(py)?, functions))?;
            let Some(found) = found else {
                return Ok(Reply::Loaded);
            };
            let (function, kind, file, line) = found.extract::<(_, String, _, _)>()?;
            let kind = serde_json::from_value(Value::String(kind))
                .map_err(|error| PyValueError::new_err(error.to_string()))?;
            Ok(Reply::Deferred {
                function,
                kind,
                place: (file, line),
            })
        })
    }

    /// `footprint(count, item_bytes)`, if the fixture has it.
    pub(crate) fn footprint(&self, size: Size) -> PyResult<Reply> {
        Python::attach(|py| {
            let module = self.module(py)?;
            if !module.hasattr("footprint")? {
                return Ok(Reply::Footprint(None));
            }
            let estimate = module.call_method1("footprint", (size.count, size.item_bytes))?;
            Ok(Reply::Footprint(Some(estimated(&estimate)?)))
        })
    }

    /// A user's `footprint` with those of `build`'s arguments that it takes.
    pub(crate) fn footprint_by(&self, named: &NamedArguments) -> PyResult<Reply> {
        Python::attach(|py| {
            let (_, _, known) = match self.bind(py, named)? {
                Ok(call) => call,
                Err(refused) => return Ok(refused),
            };
            let estimate = user_file(py, "footprint", (self.module(py)?, known))?;
            let estimate = estimate.map(|estimate| estimated(&estimate)).transpose()?;
            Ok(Reply::Footprint(estimate))
        })
    }

    /// `build(count, item_bytes)`, and how many seconds it took.
    pub(crate) fn build(&mut self, size: Size) -> PyResult<Reply> {
        Python::attach(|py| {
            let build = self.module(py)?.getattr("build")?;
            crate::map::keep_what_is_there(py)?;
            let start = Instant::now();
            let data = build.call1((size.count, size.item_bytes))?;
            let seconds = start.elapsed().as_secs_f64();
            self.data = Some(data.unbind());
            let with = None;
            Ok(Reply::Built { seconds, with })
        })
    }

    /// A user's `build` with what was set.
    pub(crate) fn build_by(&mut self, named: &NamedArguments) -> PyResult<Reply> {
        Python::attach(|py| {
            let (places, names, known) = match self.bind(py, named)? {
                Ok(call) => call,
                Err(refused) => return Ok(refused),
            };
            let size = |name: &str| -> PyResult<Option<u64>> {
                // What is no size is an argument like any other.
                let value = known.get_item(name)?;
                Ok(value.and_then(|value| value.extract().ok()))
            };
            let (count, item_bytes) = (size("count")?, size("item_bytes")?);
            drop(known);
            let build = self.module(py)?.getattr("build")?;
            crate::map::keep_what_is_there(py)?;
            let start = Instant::now();
            let data = build.call(places, Some(&names))?;
            let seconds = start.elapsed().as_secs_f64();
            let with = Some(BuiltWith {
                count,
                item_bytes,
                nothing: data.is_none(),
            });
            self.data = Some(data.unbind());
            Ok(Reply::Built { seconds, with })
        })
    }

    /// What a user's `build` is to be called with, and all that is known of its arguments; or why
    /// it cannot be.
    fn bind<'py>(
        &self,
        py: Python<'py>,
        named: &NamedArguments,
    ) -> PyResult<Result<Call<'py>, Reply>> {
        let build = self.module(py)?.getattr("build")?;
        let set: Vec<_> = named
            .set
            .iter()
            .map(|argument| {
                let reading = match argument.reading {
                    Reading::Literal => "certain",
                    Reading::AsDefault { literal: true } => "literal",
                    Reading::Text | Reading::AsDefault { literal: false } => "text",
                };
                (&argument.name, &argument.text, reading)
            })
            .collect();
        let sizes = PyDict::new(py);
        sizes.set_item("count", named.otherwise.count)?;
        sizes.set_item("item_bytes", named.otherwise.item_bytes)?;
        let bound = user_file(py, "bind", (build, set, sizes))?;
        let bound = bound.unwrap_or_else(|| py.None().into_bound(py));
        let bound = bound.cast_into::<PyTuple>()?;
        Ok(match bound.len() {
            2 => {
                let (reason, help) = bound.extract()?;
                Err(Reply::Refused { reason, help })
            }
            _ => Ok((
                bound.get_item(0)?.cast_into()?,
                bound.get_item(1)?.cast_into()?,
                bound.get_item(2)?.cast_into()?,
            )),
        })
    }

    /// `prepare_NAME(data)`; where the fixture has none, these functions of `gc`.
    pub(crate) fn prepare(&self, name: &str, steps: &[String]) -> PyResult<()> {
        Python::attach(|py| {
            let function = format!("prepare_{name}");
            let module = self.module(py)?;
            if steps.is_empty() || module.hasattr(&function)? {
                module.getattr(&function)?.call1((self.data(py),))?;
                return Ok(());
            }
            let gc = py.import("gc")?;
            for step in steps {
                gc.call_method0(step)?;
            }
            Ok(())
        })
    }

    /// The threads that Python knows.
    pub(crate) fn threads(&self) -> PyResult<Vec<(i32, String)>> {
        Python::attach(|py| {
            let modules = py.import("sys")?.getattr("modules")?;
            let Ok(threading) = modules.get_item("threading") else {
                return Ok(Vec::new());
            };
            // A copy: threads come and go. Not `enumerate()`, which takes a lock.
            let all = threading.getattr("_active")?.call_method0("copy")?;
            let mut threads = Vec::new();
            for thread in all.call_method0("values")?.try_iter()? {
                let thread = thread?;
                let number: Option<i32> = thread.getattr("native_id")?.extract()?;
                let name = thread
                    .getattr("name")?
                    .str()?
                    .to_string_lossy()
                    .into_owned();
                threads.extend(number.map(|number| (number, name)));
            }
            Ok(threads)
        })
    }

    /// Executes the code of a remedy.
    pub(crate) fn remedy(&mut self, code: &ModuleSource) -> PyResult<Reply> {
        Python::attach(|py| {
            let start = Instant::now();
            let remedy = execute(py, code)?;
            for (name, visit) in self.module(py)?.dict() {
                let name: String = name.extract()?;
                // As in the file that the code is meant for.
                if name.starts_with("visit_") && code.source.contains(&format!("{name}(")) {
                    remedy.setattr(name, visit)?;
                }
            }
            let function = |name: &str| match remedy.hasattr(name)? {
                true => remedy.getattr(name).map(|function| Some(function.unbind())),
                false => Ok(None),
            };
            self.before_fork = function("before_fork")?;
            self.end_worker = function("end_worker")?;
            Ok(Reply::Remedied {
                seconds: start.elapsed().as_secs_f64(),
                replaced: false,
            })
        })
    }

    /// `before_fork(data)` of it; what that returns is kept beside the data.
    pub(crate) fn before_fork(&mut self) -> PyResult<Reply> {
        Python::attach(|py| {
            let data = self.data(py);
            let start = Instant::now();
            let returned = match &self.before_fork {
                Some(function) => function.bind(py).call1((&data,))?,
                None => data.clone(),
            };
            let seconds = start.elapsed().as_secs_f64();
            let replaced = !returned.is(&data);
            self.replacement = replaced.then(|| returned.unbind());
            Ok(Reply::Remedied { seconds, replaced })
        })
    }

    /// Puts what the remedy returned in the place of the data, which dies if the fixture holds it
    /// no longer.
    pub(crate) fn adopt(&mut self) -> Reply {
        // Attached, as what has no other reference is freed now.
        Python::attach(|_| {
            if let Some(replacement) = self.replacement.take() {
                self.data = Some(replacement);
            }
        });
        Reply::Prepared
    }

    /// `function(*arguments)`; both ways through Python's own `json`.
    pub(crate) fn call(&self, function: &str, arguments: &[Value]) -> PyResult<Value> {
        let json = |error: serde_json::Error| PyValueError::new_err(error.to_string());
        Python::attach(|py| {
            let module = py.import("json")?;
            let text = serde_json::to_string(arguments).map_err(json)?;
            let arguments = module
                .call_method1("loads", (text,))?
                .cast_into::<PyList>()?;
            let function = self.module(py)?.getattr(function)?;
            let returned = function.call1(arguments.to_tuple())?;
            let text: String = module.call_method1("dumps", (returned,))?.extract()?;
            serde_json::from_str(&text).map_err(json)
        })
    }

    /// What each process is to do, with all that it needs.
    pub(crate) fn work<'a, 'py>(
        &'a self,
        py: Python<'py>,
        forks: Vec<ForkRequest>,
    ) -> PyResult<Vec<(usize, Work<'a, 'py>)>> {
        let work = forks
            .into_iter()
            .map(|fork| Ok((fork.channel, self.work_of(py, fork.job)?)));
        work.collect()
    }

    fn work_of<'a, 'py>(&'a self, py: Python<'py>, job: Job) -> PyResult<Work<'a, 'py>> {
        Ok(match job {
            Job::Wait => Work::Wait,
            Job::Idle => Work::Idle,
            Job::Exit => match &self.end_worker {
                // All but the system call: `int` takes its place, and does nothing.
                Some(function) => Work::Leave {
                    function: function.bind(py).clone(),
                    arguments: (0, py.get_type::<PyInt>()).into_pyobject(py)?,
                },
                None => Work::Exit {
                    module: self.fixture.as_ref(),
                    data: self.data.as_ref(),
                },
            },
            Job::Map { objects } => Work::Map {
                data: self.data(py),
                objects,
            },
            Job::Compare { name } => Work::Compare {
                visit: self.module(py)?.getattr(format!("visit_{name}"))?,
                data: self.data(py),
                replacement: match &self.replacement {
                    Some(replacement) => replacement.bind(py).clone(),
                    None => self.data(py),
                },
            },
            Job::Plan {
                modules,
                function,
                arguments,
            } => Work::Plan {
                data: self.data(py),
                modules,
                function,
                arguments,
            },
            Job::Visit { name, lines } => Work::Call {
                function: self.module(py)?.getattr(format!("visit_{name}"))?,
                arguments: PyTuple::new(py, [self.data(py)])?,
                modules: Modules::now(py),
                trace: lines.then(|| Trace::new(py, self.own.clone())),
            },
            Job::OnlyTheWay { job } => Work::OnlyTheWay(Box::new(self.work_of(py, *job)?)),
            Job::Write { .. } => return Err(PyValueError::new_err("there are no plain pages")),
        })
    }

    /// What `build` returned, or None.
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        match &self.data {
            Some(data) => data.bind(py).clone(),
            None => py.None().into_bound(py),
        }
    }

    fn module<'py>(&self, py: Python<'py>) -> PyResult<&Bound<'py, PyModule>> {
        match &self.fixture {
            Some(fixture) => Ok(fixture.bind(py)),
            None => Err(PyValueError::new_err("no fixture is loaded")),
        }
    }
}

/// What `footprint` returned.
fn estimated(answer: &Bound<'_, PyAny>) -> PyResult<Footprint> {
    let answer = answer.cast::<PyDict>()?;
    let bytes = |name: &str| -> PyResult<u64> {
        let value = answer.get_item(name)?;
        let value = value.map_or(Ok(0), |value| value.extract::<u64>());
        value.or_else(
            |error| match error.is_instance_of::<PyOverflowError>(answer.py()) {
                // More than 64 bits can count does not fit anywhere either, which is all that is
                // asked. (Less than nothing overflows as well: then the fixture's figures are
                // wrong, and 0 would not be truer.)
                true => Ok(u64::MAX),
                false => Err(error),
            },
        )
    };
    Ok(Footprint {
        objects: bytes("objects")?,
        payload: bytes("payload")?,
        segment: bytes("segment")?,
        number: match answer.contains("number")? {
            true => Some(bytes("number")?),
            false => None,
        },
    })
}
