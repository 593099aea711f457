//! What a tree is recorded with, as far as it is allowed here.

use super::LiveError;
use super::lines::Wanted;
use super::stacks::Stacks;
use super::tracing::Tracing;
use crate::observe::{RecordedBy, TreeRecorder};

/// Which processes stand still at their end for a last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// All.
    All,
    /// None.
    None,
    /// All if they are traced in any case.
    IfTraced,
}

/// What records page faults, and what says which lines had them.
#[derive(Debug)]
pub struct Means {
    pub(super) recorder: TreeRecorder,
    /// Has processes stand still.
    pub tracing: Option<Tracing>,
    pub(super) stacks: Option<Stacks>,
}

impl Means {
    /// Where a BPF program may be used, nobody stands still for a line.
    ///
    /// # Errors
    /// When page faults cannot be recorded, or lines are wanted and the kernel does not stop threads at page faults either.
    pub fn new(
        wanted: Option<&Wanted>,
        with_bpf: bool,
        standing: Standing,
    ) -> Result<Self, LiveError> {
        let by = match with_bpf {
            true => RecordedBy::Program {
                one_in: wanted.map(|wanted| wanted.one_in(true)),
            },
            false => RecordedBy::Kernel,
        };
        let recorder = TreeRecorder::new(by)?;
        let (by_stops, by_program) = match recorder.without_program() {
            Some(_) => (wanted, None),
            None => (None, wanted),
        };
        let is_traced = match standing {
            Standing::All => true,
            Standing::None | Standing::IfTraced => by_stops.is_some(),
        };
        let at_end = standing != Standing::None;
        let tracing = is_traced.then(|| Tracing::start(by_stops, at_end));
        Ok(Self {
            tracing: tracing.transpose()?,
            stacks: by_program.map(|wanted| Stacks::new(wanted.one_in(true), wanted.own.clone())),
            recorder,
        })
    }

    /// Whether threads stand still for lines.
    pub fn stops_for_lines(&self) -> bool {
        self.tracing
            .as_ref()
            .is_some_and(|tracing| tracing.lines.is_some())
    }
}
