//! Lines of Python for the stacks that the program in the kernel has written down: codes and places in them, which are looked up in the memory
//! of whoever ran them.
//!
//! That is some milliseconds later. A code that was freed meanwhile is told by its table of lines, which is another one's then; what was there
//! when the process was forked, its relatives have, too.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::line_of::LineOf;
use super::lines::begun;
use super::own::is_own_among;
use super::python::LivePython;
use crate::observe::frames::{Interpreter, NoLine, RemoteFrames, Way};
use crate::observe::{LiveMemory, Stack, StackNumber};

/// What is known of the code of each tree.
#[derive(Debug)]
pub struct Stacks {
    /// Every so many-th page fault is looked at.
    pub one_in: u64,
    own: Arc<Vec<PathBuf>>,
    /// By the first process of each tree.
    frames: FxHashMap<usize, (Interpreter, RemoteFrames)>,
    /// Why the frames of a tree cannot be read.
    pub missing: BTreeMap<usize, String>,
    /// Of the records that were taken up last.
    lines: FxHashMap<(StackNumber, i32), LineOf>,
    memories: FxHashMap<i32, Option<LiveMemory>>,
}

impl Stacks {
    /// Of no tree. `own`: folders whose files are the user's own.
    pub fn new(one_in: u64, own: Vec<PathBuf>) -> Self {
        Self {
            one_in,
            own: Arc::new(own),
            frames: FxHashMap::default(),
            missing: BTreeMap::new(),
            lines: FxHashMap::default(),
            memories: FxHashMap::default(),
        }
    }

    /// Whether it is known where a tree has its frames. Else it is asked again: while a library is being mapped, something else stands where
    /// it will have its variables.
    pub fn knows(&self, root: usize) -> bool {
        self.frames.contains_key(&root)
    }

    /// What leads to the frames of a tree, once one of its processes has an interpreter that has begun; `None`: not yet.
    pub fn way(
        &mut self,
        root: usize,
        python: &LivePython,
        pid: i32,
    ) -> Option<(Interpreter, Way)> {
        let made = begun(python, pid).map(|begun| {
            let (minor, runtime) = begun?;
            let mut memory = LiveMemory::open(pid).ok()?;
            let mut read = |address: u64, buffer: &mut [u8]| memory.read(address, buffer);
            let is_own = is_own_among(Arc::clone(&self.own));
            let frames = RemoteFrames::new(minor, runtime, is_own, &mut read).ok()?;
            Some((Interpreter { minor, runtime }, frames))
        });
        match made {
            Ok(frames) => {
                let (of, frames) = frames?;
                self.missing.remove(&root);
                let way = frames.way();
                self.frames.insert(root, (of, frames));
                Some((of, way))
            }
            Err(why) => {
                self.missing.insert(root, why);
                None
            }
        }
    }

    /// Records are taken up: what was read before may be something else by now.
    pub fn read_anew(&mut self) {
        self.lines.clear();
        self.memories.clear();
    }

    /// The line of a stack of a tree's process; `pids`: that process, and relatives, which have what it had from its fork.
    pub fn line(&mut self, stack: (StackNumber, &Stack), root: usize, pids: [i32; 3]) -> LineOf {
        let (number, stack) = stack;
        // Of another tree's interpreter it has no frames: what was found is not that.
        let known = self.frames.get_mut(&root);
        let Some((_, frames)) = known.filter(|(of, _)| stack.of.is_none_or(|one| one == *of))
        else {
            return LineOf::NotLooked;
        };
        if let Some(line) = self.lines.get(&(number, pids[0])) {
            return line.clone();
        }
        let mut found = stack.frames.as_ref().map(|_| ()).map_err(|why| *why);
        let mut line = LineOf::NotLooked;
        if let Ok(stack) = &stack.frames {
            found = Err(NoLine::Gone);
            for pid in pids {
                let memory = self.memories.entry(pid);
                let memory = memory.or_insert_with(|| LiveMemory::open(pid).ok());
                let Some(memory) = memory else { continue };
                let mut read = |address: u64, buffer: &mut [u8]| memory.read(address, buffer);
                if let Ok(running) = frames.of_frames(stack, &mut read) {
                    line = LineOf::Known(Arc::new(running));
                    found = Ok(());
                    break;
                }
            }
        }
        if let Err(why) = found {
            line = LineOf::Unknown(why);
        }
        self.lines.insert((number, pids[0]), line.clone());
        line
    }
}
