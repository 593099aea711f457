//! What was recorded of trees.

use std::time::Duration;

use rustc_hash::FxHashMap;

use super::interpreters::Endings;
use super::{InProcess, Machine, Moment, living, root};
use crate::live::cause::Key;
use crate::live::ending::Ending;
use crate::live::family::Family;
use crate::live::lines::Missing;
use crate::live::python::LivePython;
use crate::live::recording::Recording;
use crate::live::tracing::Traced;

/// What was recorded.
#[derive(Debug)]
pub struct Watched {
    /// Of each process.
    pub recording: Recording<Machine>,
    /// Pages by what was written first, and what wrote.
    pub causes: FxHashMap<Key, u64>,
    /// Those of each tree of which it could not be read what was written first.
    pub unread: FxHashMap<usize, u64>,
    /// What was traced; `None`: nothing was to be.
    pub traced: Option<Traced>,
    /// Whether threads stood still for lines.
    pub with_stops: bool,
    /// How lines were looked at, and what is not known of them; `None`: they were not asked for.
    pub lines: Option<(u64, Missing)>,
    /// For how long.
    pub duration: Duration,
    /// Faults of which there is no record.
    pub lost: u64,
    /// Whether the kernel's own were recorded.
    pub with_kernel: bool,
    /// In the order in which they came.
    pub moments: Vec<(Moment, Vec<InProcess>)>,
    pub(super) pythons: Vec<(usize, LivePython)>,
    pub(super) endings: Vec<Endings>,
}

impl Watched {
    /// What the first process of a tree runs; `None`: no CPython.
    pub fn python(&self, root: usize) -> Option<&LivePython> {
        let mut all = self.pythons.iter();
        all.find(|(place, _)| *place == root)
            .map(|(_, python)| python)
    }

    /// Why it is not known of a tree when its interpreters ended; `None`: it is known.
    pub fn ends_unseen(&self, root: usize) -> Option<&'static str> {
        let found = self.endings.iter().find(|one| one.root == root);
        match found.map(|one| &one.is) {
            Some(Ending::At(_)) => None,
            Some(Ending::Unseen(why)) => Some(why),
            Some(Ending::NotReady) => Some("no interpreter was seen ready"),
            None => Some("it is not CPython"),
        }
    }

    /// Whether any tree ran a CPython.
    pub fn any_python(&self) -> bool {
        !self.pythons.is_empty()
    }

    /// The first process of the tree that one belongs to.
    pub fn root(&self, place: usize) -> usize {
        root(&self.recording, place)
    }

    /// The members of each tree that live, by the tree's first process.
    pub fn living(&self) -> Vec<(usize, Family)> {
        living(&self.recording)
    }
}
