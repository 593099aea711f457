//! Memory that is neither heap nor a file's, and has an owner all the same: variables of libraries,
//! and stacks of threads.

use std::ffi::{c_int, c_void};
use std::ops::Range;

use nix::libc;
use pyo3::ffi;
use refcow_observe::{PageSet, page_size};

use super::allocator::Heap;

/// Their pages, by number.
#[derive(Default)]
pub(super) struct VariablePages {
    /// Of the program, or the library, in which CPython is.
    pub interpreter: Vec<Range<u64>>,
    /// Of others.
    pub libraries: Vec<Range<u64>>,
    /// Of threads but the first.
    pub stacks: Vec<Range<u64>>,
}

impl VariablePages {
    /// All pages.
    pub(super) fn pages(&self) -> PageSet {
        let mut all = PageSet::new();
        for range in self
            .interpreter
            .iter()
            .chain(&self.libraries)
            .chain(&self.stacks)
        {
            all.insert_range(range.clone());
        }
        all
    }
}

/// Finds them. Where a file has its variables, those that begin as zero (`.bss`) follow in memory
/// that is no file's.
pub(super) fn find(heap: &Heap) -> VariablePages {
    extern "C" fn of_one(
        object: *mut libc::dl_phdr_info,
        _: libc::size_t,
        found: *mut c_void,
    ) -> c_int {
        #[expect(unsafe_code, reason = "a callback's arguments have no lifetimes")]
        // SAFETY: the loader describes a loaded object, whose program headers are in memory; `find`
        // passes its list, which nothing else uses meanwhile.
        let (found, headers, base) = unsafe {
            let object = &*object;
            (
                &mut *found.cast::<Vec<Vec<(Range<u64>, bool)>>>(),
                std::slice::from_raw_parts(object.dlpi_phdr, usize::from(object.dlpi_phnum)),
                object.dlpi_addr,
            )
        };
        let segments = headers
            .iter()
            .filter(|header| header.p_type == libc::PT_LOAD);
        let segments = segments.map(|header| {
            let start = base.wrapping_add(header.p_vaddr);
            let end = start.saturating_add(header.p_memsz);
            let pages = start / page_size()..end.div_ceil(page_size());
            (pages, header.p_flags & libc::PF_W != 0)
        });
        found.push(segments.collect());
        0
    }
    let mut objects: Vec<Vec<(Range<u64>, bool)>> = Vec::new();
    #[expect(unsafe_code, reason = "the loader calls back")]
    // SAFETY: the callback takes what its argument is, and calls nothing of the loader's.
    unsafe {
        libc::dl_iterate_phdr(Some(of_one), (&raw mut objects).cast());
    }
    let mut variables = VariablePages::default();
    let interpreter = (&raw mut ffi::PyType_Type) as u64 / page_size();
    for segments in objects {
        let is_interpreter = segments
            .iter()
            .any(|(pages, _)| pages.contains(&interpreter));
        let list = match is_interpreter {
            true => &mut variables.interpreter,
            false => &mut variables.libraries,
        };
        list.extend(
            segments
                .into_iter()
                .filter(|(_, writable)| *writable)
                .map(|(pages, _)| pages),
        );
    }
    variables.stacks = stacks(heap);
    variables
}

/// Behind a guard, and up to what the C library keeps of a thread (`struct pthread`): its first and
/// its third word are its own address (`header.tcb` and `header.self`, x86-64).
#[cfg(target_arch = "x86_64")]
fn stacks(heap: &Heap) -> Vec<Range<u64>> {
    const ALIGNMENT: usize = 64;
    const WORD: usize = size_of::<usize>();
    let mut found = Vec::new();
    let page_bytes = page_size() as usize;
    for mapping in &heap.guarded {
        // From the top, where it is.
        let there: Vec<u64> = heap.present_in(mapping).collect();
        let is_thread = |page: &u64| {
            let start = *page as usize * page_bytes;
            let mut places = (start..start + page_bytes).step_by(ALIGNMENT);
            places.any(|at| heap.word(at) == at && heap.word(at + 2 * WORD) == at)
        };
        if let Some(last) = there.into_iter().rev().find(is_thread) {
            found.push(mapping.start as u64 / page_size()..last + 1);
        }
    }
    found
}

#[cfg(not(target_arch = "x86_64"))]
fn stacks(_: &Heap) -> Vec<Range<u64>> {
    Vec::new()
}
