//! What of the heap belongs to the allocators themselves: CPython's pools and blocks, and glibc's
//! chunks.
//!
//! Both are read as they stand in memory, and nothing is taken for a pool or a chunk that does not
//! say so of itself in every field. Another allocator (`--without-pymalloc`, musl) so gives less,
//! and nothing false.

use std::ops::Range;

use procfs::process::{MMPermissions, MMapPath};
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use refcow_observe::{PageSet, memory_maps, page_size, present_pages};

/// `struct pool_header` (Objects/obmalloc.c; since 3.13 Include/internal/pycore_obmalloc.h): the
/// same from 3.8 to 3.15.
pub(super) const POOL_HEADER: usize = 48;
/// Sizes of blocks are multiples of so many bytes (`ALIGNMENT`), and so are those of chunks
/// (`MALLOC_ALIGNMENT`).
pub(super) const ALIGNMENT: usize = 16;
/// The largest block has 512 bytes (`SMALL_REQUEST_THRESHOLD`).
const SIZE_CLASSES: u32 = 32;
/// The size of a chunk, in front of its content (malloc/malloc.c, `struct malloc_chunk`), and of
/// what is in front of that.
pub(super) const WORD: usize = size_of::<usize>();
/// Flags in a chunk's size: the one before is in use; it is a mapping of its own; it is of another
/// arena.
pub(super) const PREVIOUS_IN_USE: usize = 1;
pub(super) const MAPPED: usize = 2;
pub(super) const FLAGS: usize = 7;
/// The smallest chunk.
pub(super) const LEAST_CHUNK: usize = 4 * WORD;

/// Private writable memory of this process that is no file's.
pub(super) struct Heap {
    pub(super) ranges: Vec<Range<usize>>,
    /// Writable private mappings of files: variables.
    pub(super) variables: Vec<Range<usize>>,
    /// Those of `ranges` in front of which there are addresses without memory, as in front of a
    /// thread's stack.
    pub(super) guarded: Vec<Range<usize>>,
    /// Pages that are in memory: others hold nothing of the allocators', and reading one may be
    /// forbidden (a guard region, `MADV_GUARD_INSTALL`), or give the process a page.
    pub(super) present: PageSet,
    /// glibc's main arena (`brk`).
    pub(super) main_arena: Option<Range<usize>>,
    pub(super) pool_bytes: usize,
}

impl Heap {
    /// As `/proc/self/maps` has it now.
    pub(super) fn of_this_process(py: Python<'_>) -> PyResult<Self> {
        let mut heap = Self {
            ranges: Vec::new(),
            variables: Vec::new(),
            guarded: Vec::new(),
            present: PageSet::new(),
            main_arena: None,
            // `POOL_SIZE`: a page until 3.9, and 16 KiB since (bpo-37448).
            pool_bytes: match py.version_info() < (3, 10) {
                true => 4 << 10,
                false => 16 << 10,
            },
        };
        let pid = nix::unistd::getpid().as_raw();
        let maps = memory_maps(pid).map_err(|error| PyOSError::new_err(error.to_string()))?;
        let mut guard = 0;
        for map in &maps {
            let access = MMPermissions::READ | MMPermissions::WRITE | MMPermissions::EXECUTE;
            if !map.perms.intersects(access) {
                guard = map.address.1;
            }
            let wanted = MMPermissions::READ | MMPermissions::WRITE | MMPermissions::PRIVATE;
            if !map.perms.contains(wanted) {
                continue;
            }
            let (Ok(start), Ok(end)) = (
                usize::try_from(map.address.0),
                usize::try_from(map.address.1),
            ) else {
                continue;
            };
            if crate::apart::is_own(start) {
                continue;
            }
            match &map.pathname {
                MMapPath::Heap => heap.main_arena = Some(start..end),
                // CPython names its arenas since 3.15, where the kernel lets it
                // (PR_SET_VMA_ANON_NAME).
                MMapPath::Anonymous => {}
                MMapPath::Other(name) if name.starts_with("anon:") => {}
                MMapPath::Path(_) => {
                    heap.variables.push(start..end);
                    continue;
                }
                _ => continue,
            }
            if map.address.0 == guard {
                heap.guarded.push(start..end);
            }
            heap.ranges.push(start..end);
        }
        let pages = |range: &Range<usize>| {
            range.start as u64 / page_size()..(range.end as u64).div_ceil(page_size())
        };
        let mut pages: Vec<_> = heap
            .ranges
            .iter()
            .chain(&heap.variables)
            .map(pages)
            .collect();
        pages.sort_unstable_by_key(|range| range.start);
        heap.present =
            present_pages(pid, &pages).map_err(|error| PyOSError::new_err(error.to_string()))?;
        Ok(heap)
    }

    /// The pages of this range that are in memory. A mapping may be terabytes of nothing.
    pub(super) fn present_in(&self, range: &Range<usize>) -> impl Iterator<Item = u64> {
        let first = range.start as u64 / page_size();
        let end = (range.end as u64).div_ceil(page_size());
        let mut present = self.present.iter();
        present.advance_to(first);
        present.take_while(move |page| *page < end)
    }

    /// Whether the page of an address is in memory.
    pub(super) fn is_present(&self, address: usize) -> bool {
        self.present.contains(address as u64 / page_size())
    }

    /// The word at this address, if it is private memory that is there.
    pub(super) fn word_if_there(&self, address: usize) -> Option<usize> {
        let there = address.is_multiple_of(WORD)
            && self.containing(address).is_some()
            && self.is_present(address);
        there.then(|| self.word(address))
    }

    /// Whether a word is the address of something that is there. Where a program is at low
    /// addresses, with its heap right behind it, such a word could be a small number as well.
    pub(super) fn is_address(&self, word: usize) -> bool {
        let is_variable = || self.variables.iter().any(|range| range.contains(&word));
        self.containing(word).is_some() || is_variable()
    }

    pub(super) fn containing(&self, address: usize) -> Option<&Range<usize>> {
        let after = self.ranges.partition_point(|range| range.start <= address);
        let range = self.ranges[..after].last()?;
        range.contains(&address).then_some(range)
    }

    /// How many bytes the block at this address has, if an allocator says so: a block of a pool, or
    /// a chunk of glibc's. An address that no allocator gave out (a static table) has none.
    pub(super) fn block_bytes(&self, block: usize) -> Option<usize> {
        let mapping = self.containing(block)?;
        let pool = block - block % self.pool_bytes;
        if mapping.contains(&pool)
            && let Some(pool) = self.pool(pool, mapping)
            && pool.is_block(block)
        {
            return Some(pool.block_bytes);
        }
        let word = block
            .checked_sub(WORD)
            .filter(|word| mapping.contains(word) && block.is_multiple_of(ALIGNMENT))?;
        let size = self.word(word);
        let (bytes, flags) = (size & !FLAGS, size & FLAGS);
        let end = (block - 2 * WORD).checked_add(bytes)?;
        if bytes < LEAST_CHUNK || !bytes.is_multiple_of(ALIGNMENT) || end > mapping.end {
            return None;
        }
        if flags & MAPPED != 0 {
            return Some(self.mapping_bytes(block - 2 * WORD).unwrap_or(bytes) - 2 * WORD);
        }
        // The first word of the next chunk is this one's too.
        Some(bytes - WORD)
    }

    /// How long the mapping is that a chunk has for itself. Since glibc 2.43 its size is that
    /// without its head.
    pub(super) fn mapping_bytes(&self, chunk: usize) -> Option<usize> {
        let (in_front, size) = (self.word(chunk), self.word(chunk + WORD));
        let bytes = size & !FLAGS;
        let is_whole = |bytes: &usize| bytes.is_multiple_of(page_size() as usize);
        let plausible = in_front == 0 && size & FLAGS == MAPPED && bytes > 0;
        [bytes, bytes.checked_add(2 * WORD)?]
            .into_iter()
            .find(|bytes| plausible && is_whole(bytes))
    }

    /// Tells `found` of each range that is the allocators' own.
    pub(super) fn own_memory(&self, mut found: impl FnMut(Range<usize>)) {
        // Pools lie in mappings of CPython's own (`_PyObject_ArenaMmap`); where glibc's chunks are,
        // each pool that one could begin would be looked for in the middle of somebody's data.
        let others = self.ranges.iter();
        for mapping in others.filter(|range| self.main_arena.as_ref() != Some(range)) {
            let mut last = None;
            for page in self.present_in(mapping) {
                let address = page as usize * page_size() as usize;
                let pool = address - address % self.pool_bytes;
                if last != Some(pool)
                    && let Some(there) = self.pool(pool, mapping)
                {
                    self.free_blocks(&there, &mut found);
                }
                last = Some(pool);
            }
        }
        self.chunks(&mut found);
    }

    /// The pool that begins at this address, if one does.
    pub(super) fn pool(&self, start: usize, mapping: &Range<usize>) -> Option<Pool> {
        if start < mapping.start || start + self.pool_bytes > mapping.end || !self.is_present(start)
        {
            return None;
        }
        let half = |index: usize| {
            let word = self.word(start + index / 2 * WORD);
            // Fields of 32 bits, in pairs.
            (word >> (32 * (index % 2))) as u32
        };
        let (count, free) = (half(0) as usize, self.word(start + WORD));
        let (size_class, next, most) = (half(9), half(10) as usize, half(11) as usize);
        if size_class >= SIZE_CLASSES {
            return None;
        }
        let block_bytes = (size_class as usize + 1) * ALIGNMENT;
        let pool = Pool {
            start,
            end: start + self.pool_bytes,
            block_bytes,
            used: count,
            free,
            never_used: next,
        };
        // `maxnextoffset` is what remains to be certain of.
        let plausible = most == self.pool_bytes - block_bytes
            && next >= POOL_HEADER
            && next <= most + block_bytes
            && (next - POOL_HEADER).is_multiple_of(block_bytes)
            && count <= (self.pool_bytes - POOL_HEADER) / block_bytes
            && (free == 0 || pool.is_block(free));
        plausible.then_some(pool)
    }

    fn free_blocks(&self, pool: &Pool, found: &mut impl FnMut(Range<usize>)) {
        if pool.used == 0 {
            found(pool.start..pool.end);
            return;
        }
        found(pool.start..pool.start + POOL_HEADER);
        for block in self.free_in(pool) {
            found(block..block + pool.block_bytes);
        }
        if pool.never_used + pool.block_bytes <= self.pool_bytes {
            found(pool.start + pool.never_used..pool.end);
        }
    }

    /// The free blocks of a pool of those that have been used.
    pub(super) fn free_in(&self, pool: &Pool) -> Vec<usize> {
        let most = (self.pool_bytes - POOL_HEADER) / pool.block_bytes;
        let mut free = Vec::new();
        let mut block = pool.free;
        // A list that does not end is none.
        for _ in 0..most {
            if block == 0 || !pool.is_block(block) {
                break;
            }
            free.push(block);
            if !self.is_present(block) {
                break;
            }
            block = self.word(block);
        }
        free
    }

    /// A word of a variable of a program's or a library's, if it is in memory.
    pub(super) fn variable(&self, address: usize) -> Option<usize> {
        let is_there = address.is_multiple_of(WORD)
            && self.is_present(address)
            && self.variables.iter().any(|range| range.contains(&address));
        #[expect(unsafe_code, reason = "libraries hide their variables")]
        // SAFETY: aligned, in a mapping that can be read, and on a page that is in memory.
        is_there.then(|| unsafe { *(address as *const usize) })
    }

    /// The chunks of glibc's main arena, one behind the other from the start of the heap to the top
    /// chunk. What lies in the caches of other threads than the first looks as if it were in use.
    fn chunks(&self, found: &mut impl FnMut(Range<usize>)) {
        let Some(heap) = &self.main_arena else {
            return;
        };
        let mut chunk = heap.start.next_multiple_of(ALIGNMENT);
        let given_back = self.given_back(chunk, heap);
        while chunk + 2 * WORD <= heap.end && self.is_present(chunk + WORD) {
            let size = self.word(chunk + WORD);
            let bytes = size & !FLAGS;
            let end = match chunk.checked_add(bytes) {
                Some(end) if bytes >= LEAST_CHUNK && bytes.is_multiple_of(ALIGNMENT) => end,
                _ => return,
            };
            if end > heap.end || size & MAPPED != 0 {
                return;
            }
            // The top chunk ends where the heap does; nothing is behind it that could say it were
            // in use.
            let is_top = end + 2 * WORD > heap.end;
            if is_top
                || given_back.contains(&chunk)
                || self.is_present(end + WORD) && self.word(end + WORD) & PREVIOUS_IN_USE == 0
            {
                found(chunk + WORD..end);
            } else {
                found(chunk + WORD..chunk + 2 * WORD);
            }
            chunk = end;
        }
    }

    pub(super) fn word(&self, address: usize) -> usize {
        debug_assert!(self.containing(address).is_some());
        #[expect(
            unsafe_code,
            reason = "the allocators' structures have no other way in"
        )]
        // SAFETY: every caller asks for an aligned address within `ranges` and on a page of
        // `present`: private memory of this process that can be read, as it has been. The process
        // has one thread, and unmaps nothing while it looks (the mapper only reads and adds).
        unsafe {
            *(address as *const usize)
        }
    }
}

/// A pool: blocks of one size behind a header.
pub(super) struct Pool {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) block_bytes: usize,
    /// Blocks in use.
    pub(super) used: usize,
    /// The first free one of those that have been used; each leads to the next.
    free: usize,
    /// The offset from which on no block has ever been used.
    pub(super) never_used: usize,
}

impl Pool {
    fn is_block(&self, address: usize) -> bool {
        let first = self.start + POOL_HEADER;
        address >= first
            && address + self.block_bytes <= self.end
            && (address - first).is_multiple_of(self.block_bytes)
    }
}
