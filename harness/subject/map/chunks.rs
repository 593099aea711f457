//! glibc's chunks: which are in use, and which only look so, as they lie in a cache of its own.
//!
//! Those of a heap are found one behind the other, from its first one on.

use std::collections::BTreeSet;
use std::ops::Range;

use refcow_observe::page_size;

use super::allocator::{ALIGNMENT, FLAGS, Heap, LEAST_CHUNK, MAPPED, PREVIOUS_IN_USE, WORD};
use super::blocks::HeapBlock;

/// `NON_MAIN_ARENA`.
const OF_ANOTHER_ARENA: usize = 4;
/// `HEAP_MAX_SIZE`: where heaps of other arenas than the main one begin.
const HEAP_BYTES: usize = 64 << 20;
/// `NFASTBINS` of `struct malloc_state`, until glibc 2.42: behind two words, and in front of `top`.
const FAST_BINS: usize = 10;
/// From `top` to `next`, the arena behind this one in their ring: `last_remainder`, `bins` and
/// `binmap` are between.
const TOP_TO_NEXT: usize = 258;
/// `TCACHE_MAX_BINS`: until glibc 2.41, and since.
const CACHE_BINS: usize = 64;
const MORE_CACHE_BINS: usize = 76;

impl Heap {
    /// A chunk with a mapping of its own, of so many bytes.
    pub(super) fn mapped_chunk(&self, start: usize, mapping: &Range<usize>) -> Option<usize> {
        self.mapping_bytes(start)
            .filter(|bytes| *bytes <= mapping.end - start)
    }

    /// The chunks of a heap of another arena (`struct _heap_info`), and that arena's `struct
    /// malloc_state`.
    pub(super) fn heap_of_another_arena(
        &self,
        start: usize,
        mapping: &Range<usize>,
    ) -> Option<(Range<usize>, usize)> {
        if !start.is_multiple_of(HEAP_BYTES) {
            return None;
        }
        let (arena, bytes) = (self.word(start), self.word(start + 2 * WORD));
        let end = start.checked_add(bytes).filter(|end| *end <= mapping.end)?;
        if !bytes.is_multiple_of(page_size() as usize) || arena % HEAP_BYTES > 8 * WORD {
            return None;
        }
        // Behind the heap's head, and the arena's, if it is its first heap. Nothing else leads to
        // the heap's very end in chunks.
        let mut firsts = (start + 4 * WORD..start + page_size() as usize).step_by(ALIGNMENT);
        let first = firsts.find(|first| self.is_chain(*first, end))?;
        Some((first..end, arena))
    }

    fn is_chain(&self, first: usize, end: usize) -> bool {
        let mut chunk = first;
        while chunk + 2 * WORD <= end && self.is_present(chunk + WORD) {
            let size = self.word(chunk + WORD);
            let bytes = size & !FLAGS;
            if bytes < LEAST_CHUNK
                || !bytes.is_multiple_of(ALIGNMENT)
                || size & MAPPED != 0
                || bytes > end - chunk
            {
                return false;
            }
            // The last but two or so are fence posts of a heap that has a later one.
            chunk += bytes;
            if chunk < end && size & OF_ANOTHER_ARENA == 0 {
                return false;
            }
        }
        chunk == end
    }

    /// The chunks in use of those that lie one behind the other.
    pub(super) fn used_chunks(
        &self,
        chunks: Range<usize>,
        given_back: &BTreeSet<usize>,
        found: &mut impl FnMut(HeapBlock),
    ) {
        let mut chunk = chunks.start;
        while chunk + 2 * WORD <= chunks.end && self.is_present(chunk + WORD) {
            let size = self.word(chunk + WORD);
            let bytes = size & !FLAGS;
            let end = match chunk.checked_add(bytes) {
                Some(end) if bytes >= LEAST_CHUNK && bytes.is_multiple_of(ALIGNMENT) => end,
                _ => return,
            };
            // The last one is the top chunk, which is free.
            if size & MAPPED != 0 || end + 2 * WORD > chunks.end || !self.is_present(end + WORD) {
                return;
            }
            let in_use = self.word(end + WORD) & PREVIOUS_IN_USE != 0;
            if in_use && !given_back.contains(&chunk) {
                found(HeapBlock {
                    start: chunk + 2 * WORD,
                    bytes: bytes - WORD,
                    of_pool: false,
                });
            }
            chunk = end;
        }
    }

    /// Chunks of the main arena that look as if they were in use, and are glibc's own: what lies in
    /// the cache of the process's first thread and in the fast bins, and that cache. (Until 2.41
    /// those of other threads are not looked for.)
    pub(super) fn given_back(&self, first: usize, mapping: &Range<usize>) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        if !self.is_present(first) {
            return all;
        }
        // `struct tcache_perthread_struct`: counts of 16 bits since 2.30, of 8 bits before.
        let (count_bytes, entries) = match self.word(first + WORD) & !FLAGS {
            0x290 => (2, first + 2 * WORD + 2 * CACHE_BINS),
            0x250 => (1, first + 2 * WORD + CACHE_BINS),
            _ => (0, 0),
        };
        if count_bytes > 0 {
            all.insert(first);
            for bin in 0..CACHE_BINS {
                let place = first + 2 * WORD + bin * count_bytes;
                let word = self.word(place - place % WORD);
                let count = word >> (8 * (place % WORD)) & ((1 << (8 * count_bytes)) - 1);
                self.list(self.word(entries + bin * WORD), count, 0, &mut all);
            }
        }
        let mut chunk = first;
        while let Some(end) = self.next_chunk(chunk, mapping) {
            all.extend(self.cache(chunk, end));
            chunk = end;
        }
        if let Some(arena) = self.main_state(first, mapping) {
            all.extend(self.fast_chunks(arena));
        }
        all
    }

    /// A thread's cache since 2.42, with all that is in it: in each list there is room for so many
    /// chunks (`num_slots`), and with those that are in it that is the same number for all.
    fn cache(&self, chunk: usize, end: usize) -> BTreeSet<usize> {
        let slots = chunk + 2 * WORD;
        let entries = slots + 2 * MORE_CACHE_BINS;
        let mut all = BTreeSet::new();
        let bytes = entries + MORE_CACHE_BINS * WORD - slots;
        if end - chunk != (bytes + WORD).next_multiple_of(ALIGNMENT) || !self.is_present(end) {
            return all;
        }
        let mut most = None;
        for bin in 0..MORE_CACHE_BINS {
            let place = slots + 2 * bin;
            let room = self.word(place - place % WORD) >> (8 * (place % WORD)) & 0xffff;
            let others = all.len();
            self.list(self.word(entries + bin * WORD), usize::MAX, 0, &mut all);
            let number = room + all.len() - others;
            if number == 0 || *most.get_or_insert(number) != number {
                return BTreeSet::new();
            }
        }
        all.insert(chunk);
        all
    }

    /// Where the chunk behind this one of the main arena begins, if it is not the last.
    fn next_chunk(&self, chunk: usize, mapping: &Range<usize>) -> Option<usize> {
        if chunk + 2 * WORD > mapping.end || !self.is_present(chunk + WORD) {
            return None;
        }
        let bytes = self.word(chunk + WORD) & !FLAGS;
        let end = chunk.checked_add(bytes)?;
        (bytes >= LEAST_CHUNK && end + 2 * WORD <= mapping.end).then_some(end)
    }

    /// Follows a list of free chunks. Since 2.32 a pointer in it is mangled with its own address
    /// (`PROTECT_PTR`). `link` is where it stands from the address on that leads there.
    fn list(&self, first: usize, most: usize, link: usize, all: &mut BTreeSet<usize>) {
        let mut at = first;
        for _ in 0..most {
            let is_heap = |at: usize| {
                at.is_multiple_of(ALIGNMENT) && self.containing(at).is_some() && self.is_present(at)
            };
            if !is_heap(at) || !is_heap(at + link) {
                return;
            }
            if !all.insert(at + link - 2 * WORD) {
                return;
            }
            let place = at + link;
            let next = self.word(place);
            let plain = next ^ (place >> 12);
            at = match plain == 0 || is_heap(plain) {
                true => plain,
                false => next,
            };
        }
    }

    /// The chunks in an arena's fast bins (`struct malloc_state`).
    pub(super) fn fast_chunks(&self, arena: usize) -> BTreeSet<usize> {
        let mut all = BTreeSet::new();
        if !self.has_fast_bins(arena) {
            return all;
        }
        for bin in 0..FAST_BINS {
            let place = arena + 2 * WORD + bin * WORD;
            let readable = self.containing(place).is_some() && self.is_present(place);
            let first = match readable {
                true => self.word(place),
                false => match self.variable(place) {
                    Some(word) => word,
                    None => return all,
                },
            };
            if first != 0 {
                // These lead to chunks, and the pointer stands behind the chunk's head.
                self.list(first, usize::MAX, 2 * WORD, &mut all);
            }
        }
        all
    }

    /// Whether the arena's struct has fast bins: then the ring of arenas, which is behind them,
    /// leads back to it.
    fn has_fast_bins(&self, arena: usize) -> bool {
        const NEXT: usize = (2 + FAST_BINS + TOP_TO_NEXT) * WORD;
        const MOST_ARENAS: usize = 1 << 10;
        let next = |arena: &usize| {
            let place = arena.checked_add(NEXT)?;
            self.word_if_there(place).or_else(|| self.variable(place))
        };
        std::iter::successors(Some(arena), next)
            .skip(1)
            .take(MOST_ARENAS)
            .any(|next| next == arena)
    }

    /// Where the main arena's `struct malloc_state` is, if it has fast bins, a variable of the C
    /// library: the only one that has the address of the top chunk and, two words on, either that
    /// place itself (an empty bin) or a chunk.
    fn main_state(&self, first: usize, mapping: &Range<usize>) -> Option<usize> {
        let mut top = first;
        while let Some(next) = self.next_chunk(top, mapping) {
            top = next;
        }
        let page_bytes = page_size() as usize;
        for file in &self.variables {
            for page in self.present_in(file) {
                let start = page as usize * page_bytes;
                for place in (start..start + page_bytes).step_by(WORD) {
                    if self.variable(place) != Some(top) {
                        continue;
                    }
                    let bin = self.variable(place + 2 * WORD);
                    if bin.is_some_and(|bin| bin == place || mapping.contains(&bin)) {
                        return place.checked_sub((FAST_BINS + 2) * WORD);
                    }
                }
            }
        }
        None
    }
}
