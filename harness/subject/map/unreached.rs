//! Blocks that no walk led to: memory that C holds.
//!
//! Some hold objects, which a container of C code keeps and shows to nobody. What stands at an
//! object's address tells: there is a pointer to its type, and a type is told by what every type
//! has in common. That is asked of blocks that an allocator gave out, whose beginning and size are
//! certain. Nothing is followed from there.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use pyo3::prelude::*;
use pyo3::{Borrowed, ffi};
use refcow_observe::objects::{RecordKind, RecordPart};
use refcow_observe::{PageSet, page_size};

use super::allocator::{Heap, WORD};
use super::blocks::{Before, Blocks, HeapBlock};
use super::known::Known;
use super::layout::{Layout, ObjectSize, OutOfLine};
use super::type_object::{STATIC_TYPE_BYTES, is_type};
use super::types::type_of;
use super::untold;
use super::variables::VariablePages;
use super::walk::Walk;

/// What may be in front of an object.
const BEFORE: [usize; 3] = [0, 16, 32];

/// An object by what stands at its address.
struct ObjectInBlock {
    object: *mut ffi::PyObject,
    layout: Layout,
    /// Whether nobody refers to it: the interpreter keeps some for the next of their type.
    is_free: bool,
}

/// A word, if it is in memory that can be read.
fn word(heap: &Heap, address: usize) -> Option<usize> {
    match address.is_multiple_of(WORD) && heap.containing(address).is_some() {
        true => heap.is_present(address).then(|| heap.word(address)),
        false => heap.variable(address),
    }
}

/// Whether a type is at this address, which is looked at once.
pub(super) fn has_type(known: &mut HashMap<usize, bool>, heap: &Heap, address: usize) -> bool {
    *known
        .entry(address)
        .or_insert_with(|| is_type(address, |at| word(heap, at)))
}

impl Walk<'_> {
    /// The pages on which C's own memory is: blocks that are in use and were not before the dataset
    /// was built, and that neither the dataset nor the program leads to. Objects in them, and in
    /// those that are older, go to the object map.
    ///
    /// A page that has objects of modules or the interpreter on it, too, counts if C's blocks are
    /// half of it or more.
    pub(super) fn unreached(
        &mut self,
        before: Option<&Before>,
        variables: &VariablePages,
    ) -> PyResult<PageSet> {
        let Some(mut found) = self.blocks.take() else {
            return Ok(PageSet::new());
        };
        let Blocks { heap, in_use } = &mut found;
        let heap = &*heap;
        let mut blocks = Vec::new();
        let seen = &self.seen;
        let others = in_use.each(heap, |block| {
            if !seen.has_any(block.start..block.end()) {
                blocks.push(block);
            }
        });
        let others = others - variables.pages();
        let is_new = |block: &HeapBlock| before.is_some_and(|before| !before.has(block));
        let mut objects = Vec::new();
        for block in &blocks {
            if let Some(there) = self.object_in(heap, block)? {
                objects.push((*block, there));
            }
        }
        // What is C's no more, or never was: objects that nobody refers to, and tables of older
        // dicts, such as the interpreter's of interned texts.
        let mut of_others = HashSet::new();
        for (block, there) in objects {
            let ObjectInBlock {
                object: address,
                layout,
                is_free,
            } = there;
            if is_free {
                of_others.insert(block.start);
                self.record(block.start..block.end(), RecordPart::Allocator, None);
                continue;
            }
            let of_type = self.known(type_of(address))?.of_type;
            let part = RecordPart::Object {
                before: layout.before as u32,
                collected: layout.collected,
            };
            let new = is_new(&block);
            self.record_unreached(block.start..block.end(), part, of_type, new);
            if matches!(layout.table, OutOfLine::Dict) {
                #[expect(unsafe_code, reason = "an object comes as a pointer")]
                // SAFETY: an object by its head, in a block that is in use; only the words of a
                // dict's struct are read.
                let dict = unsafe { Bound::from_borrowed_ptr(self.py, address) };
                let mut tables = Vec::new();
                self.layouts
                    .tables(&dict, layout.table, &self.heap, |table| tables.push(table));
                for table in tables {
                    if !new {
                        of_others.insert(table.start);
                    }
                    self.record_unreached(table, RecordPart::Buffer, of_type, new);
                }
            }
        }
        let mut native = PageSet::new();
        if before.is_none() {
            return Ok(native);
        }
        let mut bytes: HashMap<u64, usize> = HashMap::new();
        let around = &self.around[0].set | &self.around[1].set;
        for block in blocks.iter().filter(|block| is_new(block)) {
            if of_others.contains(&block.start) || is_arenas(heap, block) {
                continue;
            }
            for page in heap.present_in(&(block.start..block.end())) {
                let of_page = page as usize * page_size() as usize;
                let on_page =
                    block.end().min(of_page + page_size() as usize) - block.start.max(of_page);
                *bytes.entry(page).or_default() += on_page;
            }
        }
        native.extend(bytes.into_iter().filter_map(|(page, bytes)| {
            (!around.contains(page) || 2 * bytes >= page_size() as usize).then_some(page)
        }));
        for page in &(&others - &around) {
            let start = page as usize * page_size() as usize;
            let old = before.is_some_and(|before| before.has_page(page));
            if !old && !self.seen.has_any(start..start + page_size() as usize) {
                native.insert(page);
            }
        }
        Ok(native)
    }

    /// Takes in what a container of C code keeps and shows to nobody, and all that it leads to:
    /// objects which the collector knows, and to which memory leads that C has taken while the
    /// dataset was built. `others`: what the collector knows and no walk has led to, garbage in
    /// cycles among it. That has only itself to lead to it.
    pub(super) fn follow_what_c_holds(
        &mut self,
        others: &[*mut ffi::PyObject],
        before: Option<&Before>,
    ) -> PyResult<()> {
        let (Some(before), Some(found)) = (before, self.blocks.take()) else {
            return Ok(());
        };
        let mut known = HashSet::new();
        // Blocks that these objects have for themselves: their lists of pointers, their tables.
        let mut own = HashSet::new();
        for object in others {
            let kind = self.known(type_of(*object))?;
            known.insert(*object as usize);
            own.insert((*object as usize).wrapping_sub(kind.layout.before));
            if kind.layout.table != OutOfLine::None {
                #[expect(unsafe_code, reason = "an object comes as a pointer")]
                // SAFETY: the collector has it in its lists, so it is alive; only words of its
                // struct are read.
                let bound = unsafe { Borrowed::from_ptr(self.py, *object) };
                self.layouts
                    .tables(&bound, kind.layout.table, &self.heap, |table| {
                        own.insert(table.start);
                    });
            }
            untold::blocks(*object, kind.besides.untold, &self.heap, |block, _| {
                own.insert(block.start);
            });
        }
        let mut blocks = Vec::new();
        let seen = &self.seen;
        found.in_use.each(&found.heap, |block| {
            let is_others = own.contains(&block.start) || seen.has_any(block.start..block.end());
            if !is_others && !before.has(&block) {
                blocks.push(block);
            }
        });
        let mut kept = Vec::new();
        for block in blocks {
            // One that holds an object, or did, is no memory of C's own.
            if self.object_in(&found.heap, &block)?.is_some() {
                continue;
            }
            let words = (block.start..block.end()).step_by(WORD);
            let words = words.filter_map(|at| word(&found.heap, at));
            kept.extend(words.filter(|word| known.contains(word)));
        }
        self.blocks = Some(found);
        self.is_held_by_c = true;
        for object in kept {
            self.follow(object as *mut ffi::PyObject)?;
        }
        self.is_held_by_c = false;
        Ok(())
    }

    /// What an object of the program has in its struct that no traverse tells of: names, constants
    /// and bytecode of code, a class's table of attributes' names. Each word that leads to a block
    /// in use is taken for a pointer to what is there.
    pub(super) fn words_of(&mut self, object: *mut ffi::PyObject, known: &Known) -> PyResult<()> {
        const MOST_WORDS: usize = 256;
        if self.of_dataset || known.is_plain {
            return Ok(());
        }
        let Some(blocks) = self.blocks.take() else {
            return Ok(());
        };
        let address = object as usize;
        let bytes = match known.layout.collected && !known.layout.is_collected(object) {
            true => known.basic_bytes.min(STATIC_TYPE_BYTES),
            false => known.basic_bytes,
        };
        for at in (address..address + bytes).step_by(WORD).take(MOST_WORDS) {
            let Some(pointer) = word(&blocks.heap, at) else {
                break;
            };
            if !pointer.is_multiple_of(2 * WORD) || self.seen.has(pointer) {
                continue;
            }
            let mut starts = BEFORE
                .into_iter()
                .map(|before| pointer.wrapping_sub(before));
            let Some(start) = starts.find(|start| blocks.in_use.starts_at(*start)) else {
                continue;
            };
            let Some(bytes) = blocks.heap.block_bytes(start) else {
                continue;
            };
            let of_pool = false;
            let block = HeapBlock {
                start,
                bytes,
                of_pool,
            };
            match self.object_in(&blocks.heap, &block)? {
                Some(there) if there.object as usize == pointer => {
                    // Of others the collector will tell, in case this is none after all.
                    let kind = type_of(there.object);
                    if !there.is_free && (!there.layout.collected || is_plain(kind)) {
                        self.pending.push(there.object);
                    }
                }
                Some(_) => {}
                None if pointer == start => {
                    self.record(
                        block.start..block.end(),
                        RecordPart::Buffer,
                        Some(known.of_type),
                    );
                }
                None => {}
            }
        }
        self.blocks = Some(blocks);
        Ok(())
    }

    /// The object at the beginning of a block, if there is one.
    fn object_in(&mut self, heap: &Heap, block: &HeapBlock) -> PyResult<Option<ObjectInBlock>> {
        for before in BEFORE {
            let address = block.start + before;
            if address + 2 * WORD > block.end() {
                break;
            }
            let (Some(count), Some(kind)) = (word(heap, address), word(heap, address + WORD))
            else {
                break;
            };
            // The interpreter's lists of free objects have no count; since 3.14 the address of the
            // next one is in its place.
            let is_next = || {
                heap.block_bytes(count.wrapping_sub(before)) == Some(block.bytes)
                    && word(heap, count + WORD) == Some(kind)
            };
            let is_free = count == 0 || is_next();
            if !(is_free || self.layouts.is_count(heap, count))
                || !has_type(&mut self.is_type, heap, kind)
            {
                continue;
            }
            let object = address as *mut ffi::PyObject;
            let layout = self.known(kind as *mut ffi::PyTypeObject)?.layout;
            let room = block.bytes - before;
            // A pool's blocks are no larger than they must be, and chunks hardly.
            let is_tight = match layout.size {
                ObjectSize::Struct { basic, item: 0 } => match block.of_pool {
                    true => (before + basic).next_multiple_of(2 * WORD) == block.bytes,
                    false => room.saturating_sub(basic) < 6 * WORD,
                },
                _ => true,
            };
            if layout.before == before && is_tight && self.fits(object, layout, room) {
                return Ok(Some(ObjectInBlock {
                    object,
                    layout,
                    is_free,
                }));
            }
        }
        Ok(None)
    }

    /// Whether there is room for the object where so many bytes are.
    pub(super) fn fits(&self, object: *mut ffi::PyObject, layout: Layout, room: usize) -> bool {
        match layout.size {
            ObjectSize::Struct { basic, .. } => {
                basic <= room && layout.bytes(object).is_some_and(|bytes| bytes <= room)
            }
            ObjectSize::Integer => room >= 3 * WORD && self.layouts.integer_bytes(object) <= room,
            ObjectSize::Text => room >= 5 * WORD,
            ObjectSize::Block { basic } => basic <= room,
        }
    }

    /// Whether a live object of the heap is at this address: a word of a struct may also be
    /// anything, of memory that is no more.
    pub(super) fn is_object(&mut self, address: usize) -> bool {
        /// Seven of `PYMEM_FORBIDDENBYTE`.
        const FORBIDDEN: usize = 0xfd_fdfd_fdfd_fdfd;
        const WORD: usize = size_of::<usize>();
        let (Some(count), Some(kind)) = (
            self.heap.word_if_there(address),
            self.heap.word_if_there(address.wrapping_add(WORD)),
        ) else {
            return false;
        };
        // What is free has an address there, or nothing, and so have blocks of pointers.
        if !self.layouts.is_count(&self.heap, count) {
            return false;
        }
        if !has_type(&mut self.is_type, &self.heap, kind) {
            return false;
        }
        let Ok(known) = self.known(kind as *mut ffi::PyTypeObject) else {
            return false;
        };
        let layout = known.layout;
        let start = address.wrapping_sub(layout.before);
        match self.heap.block_bytes(start) {
            Some(bytes) => {
                let room = bytes.saturating_sub(layout.before);
                self.fits(address as *mut ffi::PyObject, layout, room)
            }
            // In front of what Python's debug hooks give out (PYTHONMALLOC=debug).
            None => {
                let in_front = self.heap.word_if_there(start.wrapping_sub(WORD));
                in_front.is_some_and(|word| word >> 8 == FORBIDDEN)
            }
        }
    }

    /// Takes in what C holds, or what is older and has no other owner than the interpreter.
    fn record_unreached(&mut self, range: Range<usize>, part: RecordPart, of_type: u32, new: bool) {
        if !new {
            self.around[1].add(range.start, range.len());
        }
        if self.records_wanted {
            let kind = RecordKind {
                part,
                of_type: Some(of_type),
                package: None,
                bytes: range.len() as u64,
            };
            self.objects.add(range.start as u64, kind);
        }
    }
}

/// Whether objects of this type keep nothing that is not looked for anyway.
pub(super) fn is_plain(kind: *mut ffi::PyTypeObject) -> bool {
    [
        &raw mut ffi::PyTuple_Type,
        &raw mut ffi::PyDict_Type,
        &raw mut ffi::PyList_Type,
        &raw mut ffi::PyUnicode_Type,
        &raw mut ffi::PyBytes_Type,
        &raw mut ffi::PyLong_Type,
        &raw mut ffi::PyFloat_Type,
        &raw mut ffi::PySet_Type,
        &raw mut ffi::PyFrozenSet_Type,
    ]
    .contains(&kind)
}

/// Whether pymalloc's list of arenas is in this block: `struct arena_object`, six words each, in
/// which stands where the arena is, and how many of its pools, 64 or one less, are free.
fn is_arenas(heap: &Heap, block: &HeapBlock) -> bool {
    const RECORD: usize = 6 * WORD;
    const POOLS: usize = 64;
    let records = (block.start..block.end()).step_by(RECORD).take(64);
    let mut full = records.map_while(|at| {
        Some((
            word(heap, at)?,
            word(heap, at + WORD)?,
            word(heap, at + 2 * WORD)?,
        ))
    });
    full.any(|(arena, pools, counts)| {
        let (free, all) = (counts as u32, counts >> 32);
        (POOLS - 1..=POOLS).contains(&all)
            && free as usize <= all
            && (arena..=arena + POOLS * heap.pool_bytes).contains(&pools)
            && heap.containing(arena).is_some()
    })
}
