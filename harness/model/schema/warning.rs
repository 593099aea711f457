//! What limits the figures of a run.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What limits a run's figures. Its text names the cause, then the remedy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Warning {
    /// A dataset of the plan is not in the report, or one visit of it.
    NotMeasured {
        /// Its fixture.
        fixture: String,
        /// The visit. Absent: none of the fixture is in the report.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        visit: Option<String>,
        /// The error.
        reason: String,
    },
    /// An interpreter that was asked for gave nothing.
    InterpreterNotMeasured {
        /// Its version, or its path where the version is not known.
        python: String,
        /// The error.
        reason: String,
    },
    /// The bytes of parent and child could not be compared.
    IdenticalUnknown {
        /// What the kernel answered.
        reason: String,
    },
    /// Page faults could not be recorded, so that no page's cause is known.
    CausesUnknown {
        /// What refused, with the level of `perf_event_paranoid`.
        reason: String,
        /// The ways to get them.
        remedy: String,
    },
    /// Some page faults have no record: the kernel's buffer was full.
    FaultsLost {
        /// The fixture.
        fixture: String,
        /// The visit.
        visit: String,
        /// The most that one child lost.
        faults: u64,
    },
    /// Some pages of the parent were in swap at the fork, or of a child after its visit, and are not counted.
    PagesInSwap {
        /// The fixture they belong to.
        fixture: String,
        /// How many.
        pages: u64,
    },
    /// Pages were copied between the fork and the visit that the fork alone would not have copied.
    CopiedOnTheWay {
        /// The fixture.
        fixture: String,
        /// The visit.
        visit: String,
        /// The most that one child copied.
        pages: u64,
    },
    /// The parent had huge pages although they were turned off.
    HugePagesInSubject {
        /// The fixture.
        fixture: String,
        /// `AnonHugePages` of the parent.
        bytes: u64,
    },
    /// Huge pages were to be kept, and no process on this machine has any.
    NoHugePagesToKeep {
        /// Why.
        reason: String,
    },
    /// C code holds memory for objects of the dataset, and the walk does not lead into it.
    NotWalked {
        /// The fixture.
        fixture: String,
        /// Their types.
        types: String,
        /// How many objects. Absent in older documents.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        objects: Option<u64>,
        /// Pages of this memory that are known of; what lies behind them may be more. Absent in older documents.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pages: Option<u64>,
    },
    /// Modules of the standard library or of packages have no byte code, so Python compiled them in the process that was measured.
    NoByteCode {
        /// The fixture.
        fixture: String,
        /// How many.
        modules: u64,
        /// The first of their names.
        examples: String,
    },
    /// The map of objects had no room for some of them: a copy that begins with a write to one has no cause.
    ObjectsLeftOut {
        /// The fixture.
        fixture: String,
        /// How many objects and buffers.
        objects: u64,
    },
    /// `build` returned None: there was no data to visit.
    BuiltNothing {
        /// The fixture.
        fixture: String,
    },
    /// A visit returned something that does nothing until it is asked to, and nobody asked.
    NothingConsumed {
        /// The fixture.
        fixture: String,
        /// The visit.
        visit: String,
        /// The type of what it returned.
        returned: String,
    },
    /// The kernel (or a container's profile) keeps mappings at random addresses.
    AddressesRandom,
    /// Kernel samepage merging is on.
    KsmRunning,
    /// The kernel keeps no count of each page's users (`CONFIG_NO_PAGE_MAPCOUNT`).
    NoPageMapcount,
    /// A child ran with other threads alive, which fork does not copy.
    ThreadsAtFork {
        /// The fixture.
        fixture: String,
        /// Threads of the parent at the fork, the forking one included.
        threads: u64,
    },
    /// The document has claims or facts that this refcow cannot judge anew: by rules of the user's (`--claims`), or of another
    /// version of refcow.
    OtherRules {
        /// Their ids.
        of: Vec<String>,
    },
    /// Some page faults of a visit have no line although lines were asked for.
    LinesIncomplete {
        /// The fixture.
        fixture: String,
        /// The visit.
        visit: String,
        /// Stretches of time with page faults for which a child's log had no room: the most of any child's.
        dropped: u64,
        /// Whether a child ended its log before its visit, by a trace function of its own.
        cut_short: bool,
    },
}

/// What a fixture, or a visit of it, is called, as on the command line.
pub fn named(fixture: &str, visit: Option<&str>) -> String {
    match visit {
        Some(visit) => format!("{fixture}:{visit}"),
        None => fixture.to_owned(),
    }
}

/// What is said of so many things by these names.
pub fn not_measured(names: &str, number: usize, reason: &str) -> String {
    let were = if number == 1 { "was" } else { "were" };
    format!("{names} {were} not measured: {reason}")
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMeasured {
                fixture,
                visit,
                reason,
            } => {
                let name = named(fixture, visit.as_deref());
                f.write_str(&not_measured(&name, 1, reason))
            }
            Self::InterpreterNotMeasured {
                python: name,
                reason,
            } => f.write_str(&not_measured(name, 1, reason)),
            Self::IdenticalUnknown { reason } => write!(
                f,
                "refcow cannot tell which copies are identical, because it could not read the processes' memory \
                 ({reason}); allow it to attach to its own children by ptrace, or run as root"
            ),
            Self::CausesUnknown { reason, remedy } => {
                write!(
                    f,
                    "refcow cannot tell what caused the copies: {reason}; {remedy}"
                )
            }
            Self::FaultsLost {
                fixture,
                visit,
                faults,
            } => write!(
                f,
                "{fixture}, {visit}: {faults} page faults were not recorded, and their pages count as \
                 unattributed; enlarge the buffer (sysctl kernel.perf_event_mlock_kb), or choose smaller data"
            ),
            Self::PagesInSwap { fixture, pages } => write!(
                f,
                "{fixture}: {pages} pages were in swap at the fork or later, and are not counted; free memory, or \
                 choose smaller data"
            ),
            Self::CopiedOnTheWay {
                fixture,
                visit,
                pages,
            } => write!(
                f,
                "{fixture}, {visit}: a child copied {pages} pages between the fork and the visit, because a \
                 garbage collection fell due there; they count as copied on the way, not as the visit's; call \
                 gc.collect() at the end of build() to avoid this"
            ),
            Self::HugePagesInSubject { fixture, bytes } => write!(
                f,
                "{fixture}: {bytes} bytes of the parent were in huge pages, which are copied as a whole; set \
                 /sys/kernel/mm/transparent_hugepage/enabled to never"
            ),
            Self::NoHugePagesToKeep { reason } => {
                write!(f, "--huge-pages keep changed nothing: {reason}")
            }
            Self::NotWalked {
                fixture,
                types,
                objects,
                pages,
            } => {
                let objects = match objects {
                    Some(1) => "1 object of ".to_owned(),
                    Some(objects) => format!("{objects} objects of "),
                    None => String::new(),
                };
                write!(
                    f,
                    "{fixture}: C code holds memory for {objects}{types} that no type reveals"
                )?;
                match pages {
                    Some(pages) if *pages > 0 => {
                        let s = if *pages == 1 { "" } else { "s" };
                        write!(f, ", at least {pages} page{s}")?;
                    }
                    Some(_) => f.write_str(", of unknown size")?,
                    None => {}
                }
                f.write_str(
                    "; what was allocated during build() counts as `native`, the rest as other pages of the process",
                )
            }
            Self::NoByteCode {
                fixture,
                modules,
                examples,
            } => {
                let (s, have) = if *modules == 1 {
                    ("", "has")
                } else {
                    ("s", "have")
                };
                write!(
                    f,
                    "{fixture}: {modules} installed module{s} {have} no byte code that fits ({examples}), so Python \
                     had to compile source before the fork; pages outside the data count differently once they have some, \
                     which `python3 -m compileall` makes"
                )
            }
            Self::ObjectsLeftOut { fixture, objects } => write!(
                f,
                "{fixture}: the object map had no room for {objects} objects and buffers, so copies that began \
                 with a write to one count as unattributed; choose data of fewer kinds (a type and a size each), \
                 or smaller data"
            ),
            Self::BuiltNothing { fixture } => write!(
                f,
                "{fixture}: build() returned None, so that is what the visits were given; if a `return` is \
                 missing, add it"
            ),
            Self::NothingConsumed {
                fixture,
                visit,
                returned,
            } => write!(
                f,
                "{fixture}, {visit}: the visit returned a lazy object ({returned}) that nobody consumed, so its \
                 work was not measured; let the visit do the work: loop over it, call list(…), or asyncio.run(…) \
                 for a coroutine"
            ),
            Self::AddressesRandom => write!(
                f,
                "addresses are random, so counts can differ by some pages from run to run; allow \
                 personality(ADDR_NO_RANDOMIZE), which this container's seccomp profile forbids"
            ),
            Self::KsmRunning => write!(
                f,
                "kernel samepage merging is on, and can merge pages again that a child has copied; write 0 to \
                 /sys/kernel/mm/ksm/run"
            ),
            Self::NoPageMapcount => write!(
                f,
                "this kernel does not count the users of each page (CONFIG_NO_PAGE_MAPCOUNT): USS and PSS are \
                 approximate, and so is everything without page frame numbers; run as root, or on another kernel"
            ),
            Self::ThreadsAtFork { fixture, threads } => write!(
                f,
                "{fixture}: the parent had {threads} threads at the fork, which may have written while children \
                 ran; end the threads in build()"
            ),
            Self::OtherRules { of } => write!(
                f,
                "this refcow does not have the rules that judged {}: their statements, figures and verdicts are \
                 taken from the document, unchecked; `refcow reproduce` measures them again",
                of.join(", ")
            ),
            Self::LinesIncomplete {
                fixture,
                visit,
                dropped,
                cut_short,
            } => {
                write!(
                    f,
                    "{fixture}: not every page fault of {visit} has its line: "
                )?;
                if *cut_short {
                    write!(
                        f,
                        "it called sys.settrace, and a thread has only one trace function; remove that call"
                    )
                } else {
                    write!(
                        f,
                        "the log had no room for {dropped} entries; choose smaller data"
                    )
                }
            }
        }
    }
}
