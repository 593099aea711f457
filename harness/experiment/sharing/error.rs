//! Why ways to share cannot be compared.

use std::io;
use std::path::PathBuf;

use super::variant::Variant;
use crate::driver::DriverError;
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
    #[error("the way `{}` does not exist under {method}", way.id)]
    #[diagnostic(help("it exists under {}", listed(&way.start_methods)))]
    WayWithout {
        /// The way.
        way: &'static Way,
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
        "choose a smaller --size, fewer --children or other ways (--way), or try all the same with --force"
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
        "choose a smaller --size, enlarge it (mount -o remount,size=… /dev/shm; docker run --shm-size), or try all the \
         same with --force"
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
    #[diagnostic(help(
        "something outside killed it, or memory ran out: the kernel's log says the latter (dmesg)"
    ))]
    ChildDied {
        /// The way.
        way: String,
        /// Which child, how, when.
        reason: String,
    },
    /// This Python cannot do it in bearable time.
    #[error("{way}: {reason}")]
    #[diagnostic(help("choose a smaller --size, or other ways with --way"))]
    NotPossible {
        /// The way.
        way: String,
        /// Why not.
        reason: String,
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

fn listed(methods: &[StartMethod]) -> String {
    let names: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
    names.join(", ")
}

impl SharingError {
    /// Whether the user asked for something that cannot be.
    pub fn is_bad_input(&self) -> bool {
        matches!(
            self,
            Self::UnknownWay { .. }
                | Self::WayWithout { .. }
                | Self::NoStartMethod { .. }
                | Self::TooLarge { .. }
                | Self::ShmTooSmall { .. }
                | Self::NotPossible { .. }
        )
    }

    /// Whether the user ended the run.
    pub fn is_interruption(&self) -> bool {
        matches!(self, Self::Failed { error, .. } if error.is_interruption())
    }

    /// The warning in a report that lacks this way.
    pub(super) fn warning(&self, chosen: &Variant) -> Warning {
        let text = self.to_string();
        let name = chosen.name();
        let line = text.lines().next().unwrap_or_default();
        let line = line.strip_prefix(&format!("{name}: ")).unwrap_or(line);
        not_measured(&name, None, line.to_owned())
    }

    /// What went wrong with a way, in words of its own where it is the ways' own exception.
    pub(super) fn of(chosen: &Variant) -> impl Fn(VisitError) -> Self + Copy {
        let chosen = *chosen;
        move |error| {
            let way = chosen.name();
            if let VisitError::Subject(DriverError::Raised { raised, .. }) = &error {
                let words = |kind: &str| {
                    let (_, words) = raised.summary.split_once(kind)?;
                    Some(words.to_owned())
                };
                if let Some(reason) = words("ChildDied: ") {
                    return Self::ChildDied { way, reason };
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
