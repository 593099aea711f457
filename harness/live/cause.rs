//! Why pages were copied or made: what stood where was written first, and what wrote.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use procfs::process::Process;
use rustc_hash::FxHashMap;

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
    pub pages: FxHashMap<Key, u64>,
    /// Pages of each tree that were copied from what nobody could be asked for any more.
    pub unread: FxHashMap<usize, u64>,
    /// For each process whose memory is read: by its number.
    memories: FxHashMap<i32, Option<Objects>>,
    codes: FxHashMap<i32, ProcessCode>,
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

/// How objects of a process are read.
struct Objects {
    headers: Headers<Read>,
    memory: Rc<RefCell<LiveMemory>>,
}

/// Fills a buffer from an address on, and says whether it could.
type Read = Box<dyn FnMut(u64, &mut [u8]) -> bool>;

struct ProcessCode {
    symbols: Symbols,
    /// Whether that is its own, or what it had from its fork.
    is_own: bool,
    names: FxHashMap<u64, Arc<str>>,
    /// How often the mappings were read anew for code that is not in them.
    anew: u32,
}

impl ProcessCode {
    fn new(symbols: Symbols, is_own: bool) -> Self {
        Self {
            symbols,
            is_own,
            names: FxHashMap::default(),
            anew: 0,
        }
    }

    /// Unless the process has ended.
    fn renew(&mut self, pid: i32) {
        if let Some(symbols) = code_of(pid) {
            self.symbols = symbols;
        }
    }
}

/// After so many pages what is known of types is learned anew: classes come to be where nothing was.
const RENEWED: u64 = 20_000;

/// Code that is written at run time, or loaded later, is looked for so often.
const MOST_ANEW: u32 = 100;

/// Addresses from here on are the kernel's.
const KERNEL: u64 = 1 << 63;

/// What stood where was written first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stood {
    /// What was changed by that.
    pub cause: Cause,
    /// The type of the object.
    pub type_name: Option<Arc<str>>,
    /// Whether somebody could be asked.
    pub is_read: bool,
}

impl Stood {
    /// Nobody could be asked.
    pub const UNREAD: Self = Self {
        is_read: false,
        ..Self::NOTHING_KNOWN
    };
    /// What is there is nothing that is known, or may not be what stood there.
    pub const NOTHING_KNOWN: Self = Self {
        cause: Cause::Unattributed,
        type_name: None,
        is_read: true,
    };
}

/// The memory of a process cannot be read any more.
struct Gone;

/// Who wrote.
#[derive(Clone, Copy, Debug)]
pub struct Who {
    /// The first process of the tree.
    pub root: usize,
    /// The process that wrote.
    pub writer: i32,
    /// What its interpreter does.
    pub phase: InterpreterPhase,
    /// Processes with the same code: what it was forked from.
    pub relatives: [i32; 2],
}

impl TreeCauses {
    /// What was read of memory may have changed.
    pub fn read_anew(&self) {
        let all = self.memories.values().flatten();
        all.for_each(|objects| objects.memory.borrow_mut().read_anew());
    }

    /// What stands at an address in the memory of a process, at a moment since [`Self::read_anew`].
    pub fn stands(&mut self, pid: i32, address: u64, python: Option<&LivePython>) -> Stood {
        self.looked += 1;
        if self.looked.is_multiple_of(RENEWED) {
            self.memories
                .values_mut()
                .flatten()
                .for_each(|objects| objects.headers.forget());
        }
        let objects = match self.objects(pid, python) {
            Ok(Some(objects)) => &mut objects.headers,
            Ok(None) => return Stood::NOTHING_KNOWN,
            Err(Gone) => return Stood::UNREAD,
        };
        let Some(found) = objects.at(address) else {
            return match objects.reads(address) {
                true => Stood::NOTHING_KNOWN,
                false => Stood::UNREAD,
            };
        };
        Stood {
            cause: match found.part {
                Part::Count => Cause::Refcount,
                Part::Collector => Cause::Gc,
                Part::Body => Cause::Body,
                Part::Block => Cause::Buffer,
                Part::Allocator => Cause::Allocator,
            },
            type_name: found.type_name,
            is_read: true,
        }
    }

    /// Takes a page up, and says for what it counts. Of one that is new, only who made it is known.
    pub fn add(&mut self, written: &MadePage, stood: Option<Stood>, who: Who, line: LineOf) -> Key {
        let fault = &written.fault;
        let by_kernel = fault.instruction >= KERNEL;
        let is_unread = stood.as_ref().is_some_and(|stood| !stood.is_read);
        if is_unread && written.deed == Deed::Copied && !by_kernel {
            *self.unread.entry(who.root).or_default() += 1;
        }
        let (cause, type_name) = match stood {
            Some(stood) if by_kernel => (Some(Cause::Kernel), stood.type_name),
            Some(stood) => (Some(stood.cause), stood.type_name),
            None => (None, None),
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

    /// Reads which code a process has that may end before anybody looks for what it did: what it has loaded itself nobody else tells.
    pub fn know_code_of(&mut self, pid: i32) {
        if let Some(symbols) = code_of(pid) {
            match self.codes.get_mut(&pid) {
                Some(code) => (code.symbols, code.is_own) = (symbols, true),
                None => drop(self.codes.insert(pid, ProcessCode::new(symbols, true))),
            }
        }
    }

    /// A process has forked another one, which has its code. Both may have ended when it is looked for what they did.
    pub fn fork_code(&mut self, parent: i32, new: i32) {
        if !self.codes.contains_key(&parent) {
            self.know_code_of(parent);
        }
        if let Some(code) = self.codes.get(&parent) {
            let inherited = ProcessCode::new(code.symbols.clone(), false);
            self.codes.insert(new, inherited);
        }
    }

    /// The memory of a process that has ended, or executes another program, is read no more: its number may be another's.
    pub fn forget_memory_of(&mut self, pid: i32) {
        self.memories.remove(&pid);
    }

    /// Nor does its code tell anything, once all that it did has been taken up.
    pub fn forget_code_of(&mut self, pid: i32) {
        self.codes.remove(&pid);
    }

    /// `None`: nothing is known of what runs no CPython.
    fn objects(
        &mut self,
        pid: i32,
        python: Option<&LivePython>,
    ) -> Result<Option<&mut Objects>, Gone> {
        let known = python.and_then(|python| Some((python.known_minor()?, python.free_threaded)));
        let Some((minor, free_threaded)) = known else {
            return Ok(None);
        };
        let opened = self.memories.entry(pid).or_insert_with(|| {
            let memory = Rc::new(RefCell::new(LiveMemory::open(pid).ok()?));
            let of_reader = Rc::clone(&memory);
            let read: Read =
                Box::new(move |address, buffer| of_reader.borrow_mut().read(address, buffer));
            let headers = match free_threaded {
                true => Headers::free_threaded(minor, read),
                false => Headers::new(minor, read),
            };
            Some(Objects { headers, memory })
        });
        opened.as_mut().map(Some).ok_or(Gone)
    }

    fn function(&mut self, who: Who, instruction: u64) -> Arc<str> {
        let pid = who.writer;
        let code = self.codes.entry(pid).or_insert_with(|| {
            // One that has ended already had the code of those that it was forked from.
            let mut relatives = who.relatives.into_iter();
            let symbols = relatives.find_map(code_of);
            let symbols = symbols.unwrap_or_else(|| Symbols::of(Vec::new()));
            ProcessCode::new(symbols, false)
        });
        if !code.is_own {
            code.is_own = true;
            code.renew(pid);
        }
        if let Some(known) = code.names.get(&instruction) {
            return Arc::clone(known);
        }
        let mut found = code.symbols.locate(instruction);
        if found.module == UNMAPPED && code.anew < MOST_ANEW && Process::new(pid).is_ok() {
            code.anew += 1;
            code.renew(pid);
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

/// Where a process has code; `None` of one that has ended.
fn code_of(pid: i32) -> Option<Symbols> {
    let maps = code_mappings(pid).ok()?;
    (!maps.is_empty()).then(|| Symbols::of(maps))
}

/// As `Symbols` calls it.
const UNMAPPED: &str = "unmapped code";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Fault;

    /// More than any process has.
    const ENDED: i32 = i32::MAX;

    #[test]
    fn what_wrote_is_known_of_a_process_that_has_ended_with_all_that_it_was_forked_from() {
        let mut causes = TreeCauses::default();
        let written = MadePage {
            by: 1,
            from: None,
            deed: Deed::Made,
            phase: InterpreterPhase::Working,
            fault: Fault {
                address: 0,
                instruction: code_of as fn(i32) -> Option<Symbols> as usize as u64,
                time: 0,
                thread: ENDED,
                stack: None,
            },
        };
        let who = Who {
            root: 0,
            writer: ENDED,
            phase: InterpreterPhase::Working,
            relatives: [ENDED - 1; 2],
        };
        let mut wrote = || {
            let key = causes.add(&written, None, who, LineOf::NotLooked);
            causes.forget_code_of(ENDED);
            causes.fork_code(std::process::id().cast_signed(), ENDED);
            key.function
        };
        assert_eq!(&*wrote(), UNMAPPED);
        let function = wrote();
        assert!(function.ends_with("code_of"), "{function}");
    }
}
