//! Why ways to share cannot be compared.

use std::io;
use std::path::PathBuf;

use crate::driver::DriverError;
use crate::experiment::dataset::DatasetError;
use crate::experiment::visit::VisitError;
use crate::experiment::warnings::not_measured;
use crate::model::ways::Way;
use crate::model::{StartMethod, Warning};

/// Why ways cannot be compared.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum SharingError {
    /// No way of this name.
    #[error("there is no way `{name}`")]
    UnknownWay {
        /// What was asked for.
        name: String,
        /// The nearest and the list.
        #[help]
        help: String,
    },
    /// The way is one of other start methods.
    #[error("the way `{way}` does not exist under {method}")]
    #[diagnostic(help("it exists under {}", listed(methods)))]
    WayWithout {
        /// The way.
        way: &'static str,
        /// Those that it has.
        methods: &'static [StartMethod],
        /// What was asked for.
        method: StartMethod,
    },
    /// This Python cannot start children in this manner.
    #[error("Python {version} has no start method {method}")]
    #[diagnostic(help(
        "it has {}; choose one of these, or another interpreter with --python",
        known.join(", ")
    ))]
    NoStartMethod {
        /// The interpreter.
        version: String,
        /// What was asked for.
        method: StartMethod,
        /// What there is.
        known: Vec<String>,
    },
    /// The data would not fit.
    #[error(
        "`{}` needs about {} with {children} children, and {} is free ({available_from})",
        way.id,
        crate::numbers::bytes(*needed_bytes),
        crate::numbers::bytes(*available_bytes)
    )]
    #[diagnostic(help(
        "with `refcow sharing`, choose a smaller --size, fewer --children or other ways (--way); --force tries all the same"
    ))]
    TooLarge {
        /// The way.
        way: &'static Way,
        /// With a copy in each child.
        needed_bytes: u64,
        /// What there is.
        available_bytes: u64,
        /// What says so.
        available_from: String,
        /// How many copies were reckoned with.
        children: usize,
    },
    /// /dev/shm is too small.
    #[error(
        "`{}` needs {} in /dev/shm, and {} is free there",
        way.id,
        crate::numbers::bytes(*needed_bytes),
        crate::numbers::bytes(*free_bytes)
    )]
    #[diagnostic(help(
        "enlarge it (mount -o remount,size=… /dev/shm; docker run --shm-size), or with `refcow sharing` choose a smaller --size; \
         --force tries all the same"
    ))]
    ShmTooSmall {
        /// The way.
        way: &'static Way,
        /// For its segment.
        needed_bytes: u64,
        /// There.
        free_bytes: u64,
    },
    /// No temporary folder.
    #[error("cannot make a temporary folder in {}: {source}", place.display())]
    #[diagnostic(help("name a folder that this user may write to in TMPDIR"))]
    Temporary {
        /// Where.
        place: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A child ended too early.
    #[error("{way}: {reason}")]
    #[diagnostic(help("{}", died(reason)))]
    ChildDied {
        /// The way.
        way: String,
        /// Which child, how, when.
        reason: String,
    },
    /// This Python cannot do it in bearable time.
    #[error("{way}: {reason}")]
    #[diagnostic(help("with `refcow sharing`, choose a smaller --size, or other ways with --way"))]
    NotPossible {
        /// The way.
        way: String,
        /// Why not.
        reason: String,
    },
    /// The user's own code raised an exception in a worker.
    #[error("{way}: {reason}")]
    #[diagnostic(help(
        "fix the error in the file, or with `refcow sharing` choose other ways with --way"
    ))]
    WorkerRaised {
        /// The way.
        way: String,
        /// Which worker, what, and when.
        reason: String,
    },
    /// The user's data could not be built.
    #[error("{error}")]
    Dataset {
        /// Why not.
        error: Box<DatasetError>,
        /// What to do about it.
        #[help]
        help: Option<String>,
    },
    /// A way could not be measured.
    #[error("{way}: {error}")]
    Failed {
        /// Which.
        way: String,
        /// Why.
        error: Box<VisitError>,
        /// What to do about it.
        #[help]
        help: Option<String>,
    },
}

impl From<DatasetError> for SharingError {
    fn from(error: DatasetError) -> Self {
        Self::Dataset {
            help: miette::Diagnostic::help(&error).map(|help| help.to_string()),
            error: Box::new(error),
        }
    }
}

/// What to do about a child that ended so.
fn died(reason: &str) -> &'static str {
    match reason.contains(" exited with status ") {
        true => {
            "its own code ended it: what it printed stands above, and os._exit() prints nothing"
        }
        false => {
            "something outside killed it, or memory ran out: the kernel's log says the latter (dmesg)"
        }
    }
}

fn listed(methods: &[StartMethod]) -> String {
    let names: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
    names.join(", ")
}

impl SharingError {
    /// Whether the user asked for something that cannot be.
    pub fn is_bad_input(&self) -> bool {
        match self {
            Self::Dataset { error, .. } => error.is_bad_input(),
            _ => matches!(
                self,
                Self::UnknownWay { .. }
                    | Self::WayWithout { .. }
                    | Self::NoStartMethod { .. }
                    | Self::TooLarge { .. }
                    | Self::ShmTooSmall { .. }
                    | Self::NotPossible { .. }
            ),
        }
    }

    /// Why not, without the name of the way.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::ChildDied { reason, .. }
            | Self::NotPossible { reason, .. }
            | Self::WorkerRaised { reason, .. } => reason.clone(),
            error => error.to_string(),
        }
    }

    /// Whether the user ended the run.
    pub fn is_interruption(&self) -> bool {
        match self {
            Self::Dataset { error, .. } => error.is_interruption(),
            Self::Failed { error, .. } => error.is_interruption(),
            _ => false,
        }
    }

    /// The warning in a report that lacks this way.
    pub(super) fn warning(&self, name: &str) -> Warning {
        let text = self.to_string();
        let line = text.lines().next().unwrap_or_default();
        let line = line.strip_prefix(&format!("{name}: ")).unwrap_or(line);
        not_measured(name, None, line.to_owned())
    }

    /// What went wrong with a way, in words of its own where it is the ways' own exception.
    pub(super) fn of(way: &str) -> impl Fn(VisitError) -> Self + use<> {
        let way = way.to_owned();
        move |error| {
            let way = way.clone();
            if let VisitError::Subject(DriverError::Raised { raised, .. }) = &error {
                let words = |kind: &str| {
                    let (_, words) = raised.summary.split_once(kind)?;
                    Some(words.to_owned())
                };
                if let Some(reason) = words("ChildDied: ") {
                    return Self::ChildDied { way, reason };
                }
                if let Some(reason) = words("WorkerRaised: ") {
                    return Self::WorkerRaised { way, reason };
                }
                if let Some(reason) = words("NotPossible: ") {
                    return Self::NotPossible { way, reason };
                }
            }
            Self::Failed {
                way,
                help: miette::Diagnostic::help(&error).map(|help| help.to_string()),
                error: Box::new(error),
            }
        }
    }
}
