//! What a row of a comparison is about.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RegionName, StartMethod};

/// What a row is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RowKey {
    /// What a visit cost, in bytes: this is what is judged.
    Cost {
        /// The fixture.
        fixture: String,
        /// What the parent did before it forked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prepare: Option<String>,
        /// The visit.
        visit: String,
        /// How the data reached the children.
        sharing: String,
    },
    /// The pages of one region that the child with the most unshared.
    Pages {
        /// The fixture.
        fixture: String,
        /// What the parent did before it forked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prepare: Option<String>,
        /// The visit.
        visit: String,
        /// How the data reached the children.
        sharing: String,
        /// The region.
        region: RegionName,
    },
    /// Bytes that the child with the most made or mapped.
    Memory {
        /// The fixture.
        fixture: String,
        /// What the parent did before it forked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prepare: Option<String>,
        /// The visit.
        visit: String,
        /// How the data reached the children.
        sharing: String,
        /// Of which kind.
        memory: Memory,
    },
    /// What all processes take together when each worker has used the data that it got by a way to share.
    Way {
        /// The data: the file, its visit and what it was made of, or refcow's own integers.
        data: String,
        /// The way, as `--way` names it.
        way: String,
        /// How the workers are started.
        start_method: StartMethod,
        /// How many there are.
        workers: u64,
    },
    /// What the worker with the most copied of data that it got by a way to share, where the numbers of workers differ.
    WayWorker {
        /// The data: the file, its visit and what it was made of, or refcow's own integers.
        data: String,
        /// The way, as `--way` names it.
        way: String,
        /// How the workers are started.
        start_method: StartMethod,
    },
    /// The verdict on a claim.
    Claim {
        /// Its id.
        id: String,
    },
    /// The outcome of a fact.
    Fact {
        /// Its id.
        id: String,
    },
}

/// Memory of a child that is no copy.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// Anonymous pages that it has filled anew.
    New,
    /// Pages of files that it has mapped in.
    File,
}

impl Memory {
    /// The name as JSON and tables spell it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::File => "file",
        }
    }
}

impl RowKey {
    /// Of a measurement: fixture, preparation, visit, sharing.
    fn measurement(&self) -> Option<(&str, Option<&str>, &str, &str)> {
        match self {
            Self::Cost {
                fixture,
                prepare,
                visit,
                sharing,
            }
            | Self::Pages {
                fixture,
                prepare,
                visit,
                sharing,
                ..
            }
            | Self::Memory {
                fixture,
                prepare,
                visit,
                sharing,
                ..
            } => Some((fixture, prepare.as_deref(), visit, sharing)),
            Self::Way { .. } | Self::WayWorker { .. } | Self::Claim { .. } | Self::Fact { .. } => {
                None
            }
        }
    }

    /// `fixture/visit` or `fixture+prepare/visit`: a measurement as evidence names it; `DATA by way/method with K workers`, `a worker of DATA by way/method`, `claim ID`, `fact ID`.
    pub fn subject(&self) -> String {
        match self {
            Self::Cost {
                fixture,
                prepare,
                visit,
                ..
            }
            | Self::Pages {
                fixture,
                prepare,
                visit,
                ..
            }
            | Self::Memory {
                fixture,
                prepare,
                visit,
                ..
            } => match prepare {
                None => format!("{fixture}/{visit}"),
                Some(prepare) => format!("{fixture}+{prepare}/{visit}"),
            },
            Self::Way {
                data,
                way,
                start_method,
                workers,
            } => {
                let plural = if *workers == 1 { "" } else { "s" };
                format!("{data} by {way}/{start_method} with {workers} worker{plural}")
            }
            Self::WayWorker {
                data,
                way,
                start_method,
            } => format!("a worker of {data} by {way}/{start_method}"),
            Self::Claim { id } => format!("claim {id}"),
            Self::Fact { id } => format!("fact {id}"),
        }
    }

    /// Of a measurement: what the data is, how it was prepared and shared.
    pub fn data(&self) -> Option<(&str, Option<&str>, &str)> {
        let (fixture, prepare, _, sharing) = self.measurement()?;
        Some((fixture, prepare, sharing))
    }

    /// Of a measurement: the visit.
    pub fn visit(&self) -> Option<&str> {
        self.measurement().map(|(_, _, visit, _)| visit)
    }

    /// Which of its subject's figures it is: a region, or a kind of memory. A cost, a way, a claim and a fact have one alone.
    pub fn part(&self) -> Option<&'static str> {
        match self {
            Self::Pages { region, .. } => Some(region.as_str()),
            Self::Memory { memory, .. } => Some(memory.as_str()),
            Self::Cost { .. }
            | Self::Way { .. }
            | Self::WayWorker { .. }
            | Self::Claim { .. }
            | Self::Fact { .. } => None,
        }
    }

    /// The region, if there is one.
    pub fn region(&self) -> Option<RegionName> {
        match self {
            Self::Pages { region, .. } => Some(*region),
            _ => None,
        }
    }

    /// Whether it can regress. What cannot explains the cost that stands before it.
    pub(crate) fn is_judged(&self) -> bool {
        self.part().is_none()
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.subject())?;
        match self.part() {
            Some(part) => write!(f, " {part}"),
            None => Ok(()),
        }
    }
}
