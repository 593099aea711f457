//! What a forked process does, and what it sends over its channel.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lines::LineIntervals;
use crate::module_source::ModuleSource;
use crate::raised::Raised;
use refcow_model::RegionMap;

/// What a forked process does between its first wait and its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Only wait: the witness.
    Wait,
    /// Go through every step of a visit but the visit: `idle`.
    Idle,
    /// Make the data a global variable of the fixture's module, let go of both, and finalise the
    /// interpreter: `exit`.
    Exit,
    /// Call `visit_NAME(data)`, and when released after that say what it imported
    /// ([`ChildMessage::Imported`]).
    Visit {
        /// NAME.
        name: String,
        /// Keep a log of the lines that run, and send it ([`ChildMessage::Lines`]) when released
        /// once more after the visit and after [`ChildMessage::Imported`], before waiting for the
        /// end.
        #[serde(default)]
        lines: bool,
    },
    /// Go through every step up to this job but the job, with the collector stopped, and wait for
    /// the end.
    OnlyTheWay {
        /// To what.
        job: Box<Job>,
    },
    /// Write one byte into each of these pages of [`Request::Fill`](crate::Request::Fill).
    Write {
        /// Numbers from 0; one that stands twice is one page.
        pages: Vec<u64>,
        /// So many further pages the child writes and keeps from its answer: a lie, for the test
        /// that refcow does not report when its calibration fails.
        unreported: u64,
    },
    /// Call `visit_NAME` with the data and with what a remedy returned, and compare
    /// ([`ChildMessage::Compared`]).
    Compare {
        /// NAME.
        name: String,
    },
    /// Execute these modules, each of which finds its own text in `SOURCE`, and call this function of
    /// the last with the data and these arguments ([`ChildMessage::Planned`] or
    /// [`ChildMessage::DoesNotApply`]).
    Plan {
        /// In the order they are to be executed.
        modules: Vec<ModuleSource>,
        /// The function.
        function: String,
        /// Behind the data, as `json.loads` has them.
        arguments: Vec<Value>,
    },
    /// Find the pages of the dataset. A process of its own does this, so that it costs the measured
    /// ones nothing.
    Map {
        /// Write a table of all objects to the map's file, too.
        objects: bool,
    },
}

/// What a forked process sends over its channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildMessage {
    /// It waits.
    Ready,
    /// It has done its job, in this time, and waits.
    Done {
        /// From entry to return.
        seconds: f64,
        /// The type of what the visit returned, where that does something only when it is asked to:
        /// an iterator, a coroutine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lazy: Option<String>,
    },
    /// It has written so many distinct pages, and waits.
    Wrote {
        /// How many.
        pages: u64,
    },
    /// The pages of the dataset.
    Mapped(RegionMap),
    /// What a visit does with other objects in the place of the data.
    Compared {
        /// Why that is not the same. Absent: it is, as far as what it returned tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        differs: Option<String>,
        /// Whether it returned anything to tell by.
        returned: bool,
        /// Parts of the data that cannot be pickled: whether the visit changes them is not known.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unseen: Vec<String>,
    },
    /// What a remedy would do with the data, as `json.dumps` writes what the function returned.
    Planned(Value),
    /// A remedy can do nothing with the data.
    DoesNotApply {
        /// Why. Empty: nobody would ask.
        reason: String,
    },
    /// Modules that the visit has imported, as `sys.modules` names them. Asked of the child after
    /// it was looked at.
    Imported {
        /// In the order of `sys.modules`.
        modules: Vec<String>,
    },
    /// Which line ran when. Finding their names writes to memory, so it is sent after the child was
    /// looked at.
    Lines(LineIntervals),
    /// Python raised.
    Raised(Raised),
}
