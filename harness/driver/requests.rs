//! What a subject can be asked for.

use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::error::{DriverError, out_of_turn};
use super::fork::Forked;
use super::launch::{Surroundings, of_libraries};
use super::subject::Subject;
use crate::deferred;
use crate::model::RegionMap;
use crate::objects::ObjectMap;
use crate::protocol::{
    ASKED_BYTES, Arguments, BuiltWith, ChildMessage, Footprint, ForkRequest, Job, ModuleSource,
    Reply, Request, Started, WITNESS,
};

/// What a visit does with other objects in the place of the data.
pub struct Comparison {
    /// Why that is not the same, if it is not.
    pub differs: Option<String>,
    /// Whether the visit returned anything to tell by.
    pub returned: bool,
    /// Parts of the data of which nobody knows whether the visit changes them.
    pub unseen: Vec<String>,
}

impl Subject {
    /// Starts Python.
    ///
    /// # Errors
    /// As [`DriverError`] tells; when it is not the Python that was chosen, too.
    pub fn start_python(&mut self) -> Result<Started, DriverError> {
        let start = Request::Start {
            executable: match &self.launch.surroundings {
                Surroundings::Fixed(places) => places.standing_for(&self.launch.executable),
                Surroundings::Users => self.launch.executable.clone(),
            },
            variables: of_libraries(),
        };
        match self.ask(&start, "starting Python")? {
            Reply::Started(started) if started.full_version != self.launch.version => {
                Err(DriverError::OtherInterpreter {
                    interpreter: self.launch.interpreter.clone(),
                    found: started.full_version,
                    wanted: self.launch.version.clone(),
                })
            }
            Reply::Started(started) if !same(&started.prefix, &self.launch.prefix) => {
                Err(DriverError::OtherEnvironment {
                    found: started.prefix,
                    wanted: self.launch.prefix.clone(),
                })
            }
            Reply::Started(started) => Ok(started),
            other => Err(out_of_turn("starting Python", &other)),
        }
    }

    /// Executes a fixture's module; a user's own finds these arguments in `sys.argv`.
    pub fn load(
        &mut self,
        helpers: Vec<ModuleSource>,
        fixture: ModuleSource,
        arguments: Vec<String>,
    ) -> Result<(), DriverError> {
        let doing = format!("loading {}", fixture.file);
        self.file = fixture.folder.as_ref().map(|_| fixture.file.clone().into());
        let request = Request::Load {
            helpers,
            fixture,
            arguments,
        };
        match self.ask(&request, &doing)? {
            Reply::Loaded => Ok(()),
            other => Err(out_of_turn(&doing, &other)),
        }
    }

    /// Looks at functions of a user's file, each of which will be called: whether a call runs them.
    ///
    /// # Errors
    /// [`DriverError::Refused`] where it does not; else as [`DriverError`] tells.
    pub fn look(&mut self, functions: Vec<String>) -> Result<(), DriverError> {
        let doing = "looking at the file's functions";
        match self.ask(&Request::Look { functions }, doing)? {
            Reply::Loaded => Ok(()),
            Reply::Deferred {
                function,
                kind,
                place: (file, line),
            } => {
                let reason = deferred::reason(&function, kind);
                Err(DriverError::Refused {
                    reason: format!("{reason} ({file}:{line})"),
                    help: deferred::help(&function, kind),
                })
            }
            other => Err(out_of_turn(doing, &other)),
        }
    }

    /// Asks the fixture what its `build` would allocate.
    pub fn footprint(&mut self, arguments: &Arguments) -> Result<Option<Footprint>, DriverError> {
        let doing = "estimating its size";
        let request = match arguments {
            Arguments::Size(size) => Request::Footprint(*size),
            Arguments::Named(named) => Request::FootprintBy(named.clone()),
        };
        match self.ask(&request, doing)? {
            Reply::Footprint(footprint) => Ok(footprint),
            other => Err(out_of_turn(doing, &other)),
        }
    }

    /// Builds the dataset; the seconds it took, and what it was made with.
    pub fn build(&mut self, arguments: &Arguments) -> Result<(f64, BuiltWith), DriverError> {
        let doing = "building the dataset";
        let (request, size) = match arguments {
            Arguments::Size(size) => (Request::Build(*size), Some(*size)),
            Arguments::Named(named) => (Request::BuildBy(named.clone()), None),
        };
        match self.ask(&request, doing)? {
            Reply::Built { seconds, with } => {
                let of_size = BuiltWith {
                    count: size.map(|size| size.count),
                    item_bytes: size.map(|size| size.item_bytes),
                    nothing: false,
                };
                Ok((seconds, with.unwrap_or(of_size)))
            }
            other => Err(out_of_turn(doing, &other)),
        }
    }

    /// Has the parent prepare the data in one of the fixture's ways; where it has none of that
    /// name, by these functions of the module `gc`.
    pub fn prepare(&mut self, name: &str, steps: &[&str]) -> Result<(), DriverError> {
        let doing = format!("preparing the data ({name})");
        let request = Request::Prepare {
            name: name.into(),
            steps: steps.iter().map(|step| (*step).to_owned()).collect(),
        };
        match self.ask(&request, &doing)? {
            Reply::Prepared => Ok(()),
            other => Err(out_of_turn(&doing, &other)),
        }
    }

    /// Has a forked process find out what a remedy would do with the data, which stays as it is. Or
    /// why there is nothing to do; that is empty where nobody would ask.
    ///
    /// # Errors
    /// As [`DriverError`] tells. After what it raises the subject is as before.
    pub fn plan(
        &mut self,
        title: &str,
        modules: Vec<ModuleSource>,
        function: &str,
        arguments: Vec<Value>,
    ) -> Result<Result<Value, String>, DriverError> {
        let doing = format!("planning what to do about the data ({title})");
        let job = Job::Plan {
            modules,
            function: function.to_owned(),
            arguments,
        };
        let forked = self.fork_one(job)?;
        let planned = match self.hear(&forked[0], &doing) {
            Ok(ChildMessage::Planned(told)) => Ok(Ok(told)),
            Ok(ChildMessage::DoesNotApply { reason }) => Ok(Err(reason)),
            Ok(other) => return Err(out_of_turn(&doing, &other)),
            // It waits to be dismissed.
            Err(error @ DriverError::Raised { .. }) => Err(error),
            Err(error) => return Err(error),
        };
        self.dismiss(forked)?;
        planned
    }

    /// Forks a process that waits until it is [killed](Self::kill).
    pub fn fork_waiting(&mut self) -> Result<Forked, DriverError> {
        let mut forked = self.fork_one(Job::Wait)?;
        Ok(forked.remove(0))
    }

    fn fork_one(&mut self, job: Job) -> Result<Vec<Forked>, DriverError> {
        let channel = WITNESS;
        self.fork(vec![ForkRequest { channel, job }], |_| {
            Ok::<_, DriverError>(())
        })
    }

    /// Has the parent execute the code of a remedy; how many seconds that took.
    pub fn remedy(&mut self, name: &str, code: ModuleSource) -> Result<f64, DriverError> {
        let doing = format!("running the code of {name}");
        self.remedied(&Request::Remedy { code }, &doing)
            .map(|(seconds, _)| seconds)
    }

    /// Has it do with the data what a remedy does; how many seconds it took and whether it made
    /// another object in its place, which [`adopt`](Self::adopt) puts there.
    pub fn before_fork(&mut self, title: &str) -> Result<(f64, bool), DriverError> {
        let doing = format!("running before_fork() ({title})");
        self.remedied(&Request::BeforeFork, &doing)
    }

    fn remedied(&mut self, request: &Request, doing: &str) -> Result<(f64, bool), DriverError> {
        match self.ask(request, doing)? {
            Reply::Remedied { seconds, replaced } => Ok((seconds, replaced)),
            other => Err(out_of_turn(doing, &other)),
        }
    }

    /// Makes a visit in a forked process of its own that nobody looks at: how long it took.
    ///
    /// # Errors
    /// As [`DriverError`] tells.
    pub fn time(&mut self, job: &Job, doing: &str) -> Result<f64, DriverError> {
        let forked = self.fork_one(job.clone())?;
        let mut seconds = 0.0;
        // Its rehearsal, then the visit.
        for _ in 0..2 {
            self.release(&forked[0], doing)?;
            match self.hear(&forked[0], doing)? {
                ChildMessage::Done { seconds: taken, .. } => seconds = taken,
                other => return Err(out_of_turn(doing, &other)),
            }
        }
        if let Job::Visit { .. } = job {
            self.release(&forked[0], doing)?;
            match self.hear(&forked[0], doing)? {
                ChildMessage::Imported { .. } => {}
                other => return Err(out_of_turn(doing, &other)),
            }
        }
        self.dismiss(forked)?;
        Ok(seconds)
    }

    /// Has a forked process make a visit with the data and with what a remedy made of it.
    ///
    /// # Errors
    /// As [`DriverError`] tells. After all but a time limit the subject is as before.
    pub fn compare(&mut self, visit: &str) -> Result<Comparison, DriverError> {
        let doing = format!("visiting other objects in the place of the data ({visit})");
        let forked = self.fork_one(Job::Compare { name: visit.into() })?;
        let compared = match self.hear(&forked[0], &doing) {
            Ok(ChildMessage::Compared {
                differs,
                returned,
                unseen,
            }) => Ok(Comparison {
                differs,
                returned,
                unseen,
            }),
            Ok(other) => return Err(out_of_turn(&doing, &other)),
            // It waits to be dismissed.
            Err(error @ DriverError::Raised { .. }) => Err(error),
            Err(error) => return Err(error),
        };
        self.dismiss(forked)?;
        compared
    }

    /// Lets go of the data, and puts in its place what the remedy made of it.
    pub fn adopt(&mut self) -> Result<(), DriverError> {
        let doing = "putting other objects in the place of the data";
        match self.ask(&Request::Adopt, doing)? {
            Reply::Prepared => Ok(()),
            other => Err(out_of_turn(doing, &other)),
        }
    }

    /// Calls a function of the fixture's module; what it returned.
    pub fn call(&mut self, function: &str, arguments: Vec<Value>) -> Result<Value, DriverError> {
        let doing = format!("running {function}()");
        let request = Request::Call {
            function: function.into(),
            arguments,
        };
        match self.ask(&request, &doing)? {
            Reply::Returned(value) => Ok(value),
            other => Err(out_of_turn(&doing, &other)),
        }
    }

    /// Maps plain pages instead of a dataset, private or shared; the number of the first.
    pub fn fill(&mut self, pages: u64, shared: bool) -> Result<u64, DriverError> {
        let doing = "filling plain pages";
        match self.ask(&Request::Fill { pages, shared }, doing)? {
            Reply::Filled { first_page } => Ok(first_page),
            other => Err(out_of_turn(doing, &other)),
        }
    }

    /// Has the parent write one byte into one of the plain pages, counted from 0.
    pub fn write(&mut self, page: u64) -> Result<(), DriverError> {
        let doing = "writing a plain page";
        match self.ask(&Request::Write { page }, doing)? {
            Reply::Wrote => Ok(()),
            other => Err(out_of_turn(doing, &other)),
        }
    }

    /// Has a forked process find the pages of the dataset, and with `objects` all objects.
    pub fn map(&mut self, objects: bool) -> Result<(RegionMap, ObjectMap), DriverError> {
        let doing = "finding the pages of the dataset";
        let mapper = self.fork_one(Job::Map { objects })?;
        // The limit is there for code that hangs; this is refcow's own, and a busy machine's matter.
        const LEAST: Duration = Duration::from_secs(60);
        let limit = self.launch.timeout;
        self.launch.timeout = limit.max(LEAST);
        let heard = self.hear(&mapper[0], doing);
        self.launch.timeout = limit;
        let map = match heard {
            Ok(ChildMessage::Mapped(map)) => map,
            Ok(other) => return Err(out_of_turn(doing, &other)),
            Err(DriverError::Died { who, doing, status }) => {
                let doing = match self.asked_last() {
                    Some(of_type) => {
                        format!("{doing}, in what the type `{of_type}` has as its tp_traverse")
                    }
                    None => doing,
                };
                return Err(DriverError::Died { who, doing, status });
            }
            Err(error) => return Err(error),
        };
        let mut read = || {
            self.map.seek(SeekFrom::Start(ASKED_BYTES))?;
            let objects = match objects {
                true => ObjectMap::read(&self.map)?,
                false => ObjectMap::default(),
            };
            // It is memory, which the children would otherwise be short of.
            self.map.set_len(ASKED_BYTES)?;
            Ok(objects)
        };
        let objects = read().map_err(|source| DriverError::Protocol {
            who: "subject",
            doing: doing.into(),
            source,
        })?;
        self.dismiss(mapper)?;
        Ok((map, objects))
    }

    /// The type whose object the mapper, now dead, was asking what it refers to.
    fn asked_last(&self) -> Option<String> {
        let number = |place| {
            let mut word = [0; 8];
            self.map.read_exact_at(&mut word, place).ok()?;
            Some(u64::from_ne_bytes(word))
        };
        let place = number(0).filter(|place| *place != 0)?;
        let length = number(place).filter(|length| *length < ASKED_BYTES)?;
        let mut name = vec![0; usize::try_from(length).ok()?];
        self.map.read_exact_at(&mut name, place + 8).ok()?;
        Some(String::from_utf8_lossy(&name).into_owned())
    }
}

/// Whether two paths lead to one folder.
fn same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}
