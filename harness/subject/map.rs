//! Where the objects of a dataset are, and all others of the process.
//!
//! Runs in a forked process of its own, the mapper: taking buffers writes reference counts, and
//! lists take memory, but neither is then the measured process's. References are followed as the
//! collector follows them, by each type's `tp_traverse`. No code of the user's runs: no bytecode,
//! no import, no collection, no call that is audited.

mod allocator;
mod asked;
mod blocks;
mod buffer;
mod byte_code;
mod chunks;
mod collector;
mod held;
mod keys;
mod known;
mod layout;
mod layouts;
mod learn;
mod numpy;
mod object;
mod owners;
mod packages;
mod pages;
mod program;
mod seen;
mod type_object;
mod types;
mod unreached;
mod untold;
mod variables;
mod walk;
mod words;

use std::ops::Range;

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use refcow_model::RegionMap;
use refcow_observe::objects::RecordPart;

use allocator::Heap;
use blocks::{Before, Blocks};
use collector::Collector;
use pages::PagesFilled;
use walk::Walk;

/// Keeps the collector of this process from running, for good.
pub(crate) fn stop_collector(py: Python<'_>) {
    Collector::stopped(py);
}

/// Notes what the heap holds, before the dataset is built: what is there later and was not then was
/// allocated meanwhile.
pub(crate) fn keep_what_is_there(py: Python<'_>) -> PyResult<()> {
    // For the first random number glibc 2.41 maps pages, and whoever reads the maps needs one: it
    // would look as if the build had.
    let _ = std::hash::RandomState::new();
    blocks::keep(&Heap::of_this_process(py)?)
        .map_err(|error| PyOSError::new_err(format!("what was there before the dataset: {error}")))
}

/// The pages of everything in `data`, to any depth, and those of the program around it. With
/// `objects`, the table of all objects goes to the map's file.
pub(crate) fn map(data: &Bound<'_, PyAny>, objects: bool) -> PyResult<RegionMap> {
    let py = data.py();
    let collector = Collector::stopped(py);
    // Before anything else: what is free now is free in the parent, and all objects are the
    // parent's.
    let heap = Heap::of_this_process(py)?;
    let own = match objects {
        true => allocators_own(&heap),
        false => Vec::new(),
    };
    let variables = variables::find(&heap);
    let blocks = Blocks::of(heap);
    let mut walk = Walk::new(py)?;
    walk.records_wanted = objects;
    walk.blocks = Some(blocks);
    for range in own {
        walk.record(range, RecordPart::Allocator, None);
    }
    walk.follow_data(data.as_ptr())?;
    walk.of_dataset = false;
    let before = Before::kept().map_err(|error| {
        PyOSError::new_err(format!("what was there before the dataset: {error}"))
    })?;
    walk.follow_program(&collector, before.as_ref())?;
    let native = walk.unreached(before.as_ref(), &variables)? | &walk.held_by_c.set;
    let [modules, interpreter] = walk.around.each_ref().map(PagesFilled::ranges);
    let map = RegionMap {
        header: walk.regions.header.ranges(),
        spine: walk.regions.spine.ranges(),
        payload: walk.regions.payload.ranges(),
        native: refcow_observe::ranges(&native),
        modules,
        interpreter: [interpreter, variables.interpreter].concat(),
        libraries: variables.libraries,
        stack: variables.stacks,
        not_walked: walk.not_walked(),
        compiled: byte_code::compiled(py),
    };
    if objects {
        walk.write()
            .map_err(|error| PyOSError::new_err(format!("the table of objects: {error}")))?;
    }
    Ok(map)
}

/// What the allocators have for themselves, neighbours joined.
fn allocators_own(heap: &Heap) -> Vec<Range<usize>> {
    let mut own: Vec<Range<usize>> = Vec::new();
    heap.own_memory(|range| match own.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => own.push(range),
    });
    own
}
