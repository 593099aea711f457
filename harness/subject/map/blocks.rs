//! Blocks that the allocators have given out, and which of them they had given out before the
//! dataset was built.
//!
//! What is there now and was not there before was allocated while the dataset was built (or
//! prepared). Blocks are told by their address and their size. A block that was freed since and
//! given out again, in the same size, looks as it did before: of that memory nothing is said, as it
//! may be either.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Mutex;

use refcow_observe::{PageSet, page_size};

use super::allocator::{ALIGNMENT, Heap, POOL_HEADER, WORD};
use super::seen::SeenAddresses;
use crate::handed::{self, KeptFile};

/// Of the smallest blocks in the larger pools.
const MOST_IN_POOL: usize = (16 << 10) / ALIGNMENT;

/// A block that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeapBlock {
    pub start: usize,
    pub bytes: usize,
    /// Whether it has just the size that was asked for, but for alignment: a pool's.
    pub of_pool: bool,
}

impl HeapBlock {
    pub(super) fn end(&self) -> usize {
        self.start + self.bytes
    }

    /// Address and size in one word, which orders by addresses.
    fn packed(&self) -> u64 {
        const SIZE_BITS: u32 = 20;
        let grains = (self.bytes / ALIGNMENT) as u64;
        let most = (1 << SIZE_BITS) - 1;
        ((self.start / ALIGNMENT) as u64) << SIZE_BITS | grains.min(most)
    }
}

/// What was given out before the dataset was built. It is kept in a file in memory: in no mapping
/// of the process that is measured.
static BEFORE: Mutex<Option<KeptFile>> = Mutex::new(None);

/// What of the heap was in use at a time.
#[derive(Default)]
pub(super) struct Before {
    blocks: Vec<u64>,
    /// Pages of which no allocator tells anything.
    others: PageSet,
}

impl Before {
    /// Whether this block was in use then.
    pub(super) fn has(&self, block: &HeapBlock) -> bool {
        self.blocks.binary_search(&block.packed()).is_ok()
    }

    /// Whether this page was in memory then, and no allocator's that is known.
    pub(super) fn has_page(&self, page: u64) -> bool {
        self.others.contains(page)
    }

    fn of(heap: &Heap) -> Self {
        let mut before = Self::default();
        let Self { blocks, others } = &mut before;
        heap.used(&mut |block| blocks.push(block.packed()), &mut |page| {
            others.insert(page);
        });
        before.blocks.sort_unstable();
        before
    }

    /// What [`keep`] wrote; `None` if nothing has been built.
    pub(super) fn kept() -> io::Result<Option<Self>> {
        let kept = BEFORE
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let Some(kept) = &*kept else {
            return Ok(None);
        };
        let mut file = kept.file()?;
        file.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (words, _) = bytes.as_chunks::<8>();
        let mut words = words.iter().map(|word| u64::from_ne_bytes(*word));
        let number = words.next().unwrap_or(0) as usize;
        Ok(Some(Self {
            blocks: words.by_ref().take(number).collect(),
            others: words.collect(),
        }))
    }
}

/// Notes what is in use now, right before the dataset is built. Nothing is written to the heap for
/// it.
pub(super) fn keep(heap: &Heap) -> io::Result<()> {
    let Before { blocks, others } = Before::of(heap);
    let file = rustix::fs::memfd_create("refcow-before", rustix::fs::MemfdFlags::CLOEXEC)?;
    let kept = KeptFile::new(handed::above(file)?)?;
    let mut bytes = Vec::with_capacity(8 * (1 + blocks.len()));
    for word in [blocks.len() as u64]
        .into_iter()
        .chain(blocks)
        .chain(&others)
    {
        bytes.extend(word.to_ne_bytes());
    }
    let mut file = kept.file()?;
    file.write_all(&bytes)?;
    *BEFORE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(kept);
    Ok(())
}

/// The blocks that were in use at a time, when Python has allocated more since.
pub(super) struct InUse {
    starts: SeenAddresses,
    others: PageSet,
}

impl InUse {
    pub(super) fn of(heap: &Heap) -> Self {
        let mut in_use = Self {
            starts: SeenAddresses::default(),
            others: PageSet::new(),
        };
        let Self { starts, others } = &mut in_use;
        heap.used(
            &mut |block| {
                starts.insert(block.start);
            },
            &mut |page| {
                others.insert(page);
            },
        );
        in_use
    }

    /// Whether a block in use begins here.
    pub(super) fn starts_at(&self, address: usize) -> bool {
        self.starts.has(address)
    }

    /// Those blocks again, and the pages of which no allocator tells.
    pub(super) fn each(&self, heap: &Heap, mut found: impl FnMut(HeapBlock)) -> &PageSet {
        heap.used(
            &mut |block| {
                if self.starts.has(block.start) {
                    found(block);
                }
            },
            &mut |_| {},
        );
        &self.others
    }
}

impl Heap {
    /// Tells `found` of each block that is in use, and `other` of each page that is in memory and
    /// no allocator's that is known.
    fn used(&self, found: &mut impl FnMut(HeapBlock), other: &mut impl FnMut(u64)) {
        for mapping in &self.ranges {
            if self.main_arena.as_ref() == Some(mapping) {
                let start = mapping.start.next_multiple_of(ALIGNMENT);
                let given_back = self.given_back(start, mapping);
                self.used_chunks(start..mapping.end, &given_back, found);
                continue;
            }
            self.used_of(mapping, found, other);
        }
    }

    /// Of a mapping that may hold anything.
    fn used_of(
        &self,
        mapping: &Range<usize>,
        found: &mut impl FnMut(HeapBlock),
        other: &mut impl FnMut(u64),
    ) {
        let page_bytes = page_size() as usize;
        // What has been dealt with reaches up to here.
        let mut done = mapping.start;
        for page in self.present_in(mapping) {
            let address = page as usize * page_bytes;
            if address < done {
                continue;
            }
            if let Some((chunks, arena)) = self.heap_of_another_arena(address, mapping) {
                let given_back = self.fast_chunks(arena);
                done = chunks.end;
                self.used_chunks(chunks, &given_back, found);
                continue;
            }
            if let Some(bytes) = self.mapped_chunk(address, mapping) {
                done = address + bytes;
                found(HeapBlock {
                    start: address + 2 * WORD,
                    bytes: bytes - 2 * WORD,
                    of_pool: false,
                });
                continue;
            }
            if address.is_multiple_of(self.pool_bytes)
                && let Some(pool) = self.pool(address, mapping)
            {
                done = pool.end;
                let first = pool.start + POOL_HEADER;
                let number = |block| (block - first) / pool.block_bytes;
                let mut free = [false; MOST_IN_POOL];
                for block in self.free_in(&pool) {
                    free[number(block)] = true;
                }
                let mut start = first;
                while pool.used > 0 && start < pool.start + pool.never_used {
                    if !free[number(start)] {
                        found(HeapBlock {
                            start,
                            bytes: pool.block_bytes,
                            of_pool: true,
                        });
                    }
                    start += pool.block_bytes;
                }
                continue;
            }
            other(page);
        }
    }
}

/// The heap as it was before Python allocated anything for the map.
pub(super) struct Blocks {
    pub(super) heap: Heap,
    pub(super) in_use: InUse,
}

impl Blocks {
    pub(super) fn of(heap: Heap) -> Self {
        Self {
            in_use: InUse::of(&heap),
            heap,
        }
    }
}
