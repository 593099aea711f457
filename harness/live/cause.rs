//! Why pages were copied or made: what stood where was written first, and what wrote.

use std::collections::HashMap;
use std::sync::Arc;

use procfs::process::Process;

use super::line_of::LineOf;
use super::python::LivePython;
use super::recording::{Deed, InterpreterPhase, MadePage};
use crate::model::Cause;
use crate::observe::headers::{Headers, Part};
use crate::observe::{LiveMemory, code_mappings};
use crate::symbols::Symbols;

/// What pages that belong together have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The first process of the tree.
    pub root: usize,
    /// The process that wrote: its place in the recording.
    pub by: usize,
    /// Copied, made or rewritten.
    pub deed: Deed,
    /// What was changed; of a new page nothing was.
    pub cause: Option<Cause>,
    /// The type of the object that was changed.
    pub type_name: Option<Arc<str>>,
    /// The function that wrote, or where that is not known, its file and place there.
    pub function: Arc<str>,
    /// Whether the first thread of the process did.
    pub main_thread: bool,
    /// What the interpreter of the process did.
    pub phase: InterpreterPhase,
    /// The line of Python that was running.
    pub line: LineOf,
}

/// Pages by what was written first, and what wrote.
#[derive(Default)]
pub struct TreeCauses {
    /// How many of each.
    pub pages: HashMap<Key, u64>,
    /// For each process whose memory is read: by its number.
    memories: HashMap<i32, Option<Objects>>,
    codes: HashMap<i32, ProcessCode>,
    looked: u64,
}

impl std::fmt::Debug for TreeCauses {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Causes")
            .field("pages", &self.pages)
            .finish_non_exhaustive()
    }
}

/// How objects are read.
type Objects = Headers<Read>;

/// Fills a buffer from an address on, and says whether it could.
type Read = Box<dyn FnMut(u64, &mut [u8]) -> bool>;

struct ProcessCode {
    symbols: Symbols,
    names: HashMap<u64, Arc<str>>,
    /// How often the mappings were read anew for code that is not in them.
    anew: u32,
}

impl ProcessCode {
    fn new(symbols: Symbols) -> Self {
        Self {
            symbols,
            names: HashMap::new(),
            anew: 0,
        }
    }
}

/// After so many pages what is known of types is learned anew: classes come to be where nothing was.
const RENEWED: u64 = 20_000;

/// Code that is written at run time, or loaded later, is looked for so often.
const MOST_ANEW: u32 = 100;

/// Addresses from here on are the kernel's.
const KERNEL: u64 = 1 << 63;

/// Who wrote, and in whose memory it is seen what was there.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    /// The first process of the tree.
    pub root: usize,
    /// The process that wrote.
    pub writer: i32,
    /// The process that has what was there before; the writer itself where nobody has.
    pub holder: i32,
    /// What its interpreter does.
    pub phase: InterpreterPhase,
    /// Processes with the same code: what it was forked from.
    pub relatives: [i32; 2],
}

impl TreeCauses {
    /// Takes a page up, and says for what it counts. Of one that is new, only who made it is known.
    pub fn add(
        &mut self,
        written: &MadePage,
        who: Who,
        python: Option<&LivePython>,
        line: LineOf,
    ) -> Key {
        self.looked += 1;
        if self.looked.is_multiple_of(RENEWED) {
            self.memories
                .values_mut()
                .flatten()
                .for_each(Headers::forget);
        }
        let fault = &written.fault;
        let by_kernel = fault.instruction >= KERNEL;
        let (cause, type_name) = match written.deed {
            Deed::Made | Deed::Unknown => (None, None),
            Deed::Copied | Deed::Rewrote => {
                let found = self
                    .objects(who.holder, python)
                    .and_then(|one| one.at(fault.address));
                let cause = match found.as_ref().map(|found| found.part) {
                    _ if by_kernel => Cause::Kernel,
                    Some(Part::Count) => Cause::Refcount,
                    Some(Part::Collector) => Cause::Gc,
                    Some(Part::Body) => Cause::Body,
                    Some(Part::Block) => Cause::Buffer,
                    Some(Part::Allocator) => Cause::Allocator,
                    None => Cause::Unattributed,
                };
                (Some(cause), found.and_then(|found| found.type_name))
            }
        };
        let function = match by_kernel {
            true => Arc::from("[kernel]"),
            false => self.function(who, fault.instruction),
        };
        let key = Key {
            root: who.root,
            by: written.by,
            deed: written.deed,
            cause,
            type_name,
            function,
            main_thread: fault.thread == who.writer,
            phase: who.phase,
            line,
        };
        *self.pages.entry(key.clone()).or_default() += 1;
        key
    }

    /// The line of a page that was taken up without one.
    pub fn set_line(&mut self, key: &Key, line: LineOf) {
        if let Some(pages @ 1..) = self.pages.get_mut(key) {
            *pages -= 1;
            let key = Key {
                line,
                ..key.clone()
            };
            *self.pages.entry(key).or_default() += 1;
        }
    }

    /// Reads which code a process has, which is about to end: what it has loaded itself nobody else tells.
    pub fn know_code_of(&mut self, pid: i32) {
        if let Ok(maps) = code_mappings(pid)
            && !maps.is_empty()
        {
            let symbols = Symbols::of(maps);
            match self.codes.get_mut(&pid) {
                Some(code) => code.symbols = symbols,
                None => drop(self.codes.insert(pid, ProcessCode::new(symbols))),
            }
        }
    }

    /// A process has ended, or executes another program: its number may be another's.
    pub fn forget(&mut self, pid: i32) {
        self.memories.remove(&pid);
        self.codes.remove(&pid);
    }

    fn objects(&mut self, pid: i32, python: Option<&LivePython>) -> Option<&mut Objects> {
        let minor = python.filter(|python| !python.free_threaded)?.minor?;
        let opened = self.memories.entry(pid).or_insert_with(|| {
            let mut memory = LiveMemory::open(pid).ok()?;
            let read: Read = Box::new(move |address, buffer| memory.read(address, buffer));
            Some(Headers::new(minor, read))
        });
        opened.as_mut()
    }

    fn function(&mut self, who: Who, instruction: u64) -> Arc<str> {
        let pid = who.writer;
        // One that has ended already had the code of those that it was forked from.
        let read = |pid| {
            let all = std::iter::once(pid).chain(who.relatives);
            let mut maps = all.filter_map(|pid| code_mappings(pid).ok());
            Symbols::of(maps.find(|maps| !maps.is_empty()).unwrap_or_default())
        };
        let code = self.codes.entry(pid);
        let code = code.or_insert_with(|| ProcessCode::new(read(pid)));
        if let Some(known) = code.names.get(&instruction) {
            return Arc::clone(known);
        }
        let mut found = code.symbols.locate(instruction);
        if found.module == UNMAPPED && code.anew < MOST_ANEW && Process::new(pid).is_ok() {
            code.anew += 1;
            code.symbols = read(pid);
            found = code.symbols.locate(instruction);
        }
        let name: Arc<str> = match found.module == UNMAPPED {
            // Its address would be another one each time.
            true => found.module.into(),
            false => found.name().into(),
        };
        code.names.insert(instruction, Arc::clone(&name));
        name
    }
}

/// As `Symbols` calls it.
const UNMAPPED: &str = "unmapped code";
