//! Memory of a whole tree of processes, cut into what they share and what each has alone.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::driver::Subject;
use crate::experiment::sharing::measure::ProcessPages;
use crate::model::TreeMemory;
use crate::observe::{self, PageSet, page_size, settle, shared_parts, sizes};
use crate::{process, shm};

/// Bytes of a block that `stat(2)` counts in.
const BLOCK: u64 = 512;

/// Parent, workers and helpers, and the most that they had.
pub(super) struct TreeSeen {
    pub memory: Option<TreeMemory>,
    pub peak_bytes: Option<u64>,
}

/// Looks at all processes of a subject's group. `forked`: workers are forks of the parent, so that what one has where the
/// parent has a page is its copy.
pub(super) fn look(
    subject: &Subject,
    parent: &ProcessPages,
    workers: &[i32],
    forked: bool,
    folder: &Path,
) -> Result<TreeSeen, observe::Error> {
    let there = match forked {
        true => parent.states.present(),
        false => PageSet::new(),
    };
    let page = page_size();
    let (mut own, mut new, mut page_tables, mut beyond) = (0, 0, Some(0), Some(0));
    let (mut anonymous, mut shared_memory, mut files) = (Some(0), 0, 0);
    for pid in process::members(subject.pid()) {
        settle(pid)?;
        let pages = ProcessPages::at(pid)?;
        let copies = match workers.contains(&pid) {
            true => (&pages.own & &there).len(),
            false => pages.own.len(),
        };
        own += copies * page;
        new += (pages.own.len() - copies) * page;
        let sizes = sizes(pid)?;
        page_tables = page_tables
            .zip(sizes.page_table_bytes)
            .map(|(sum, one): (u64, u64)| sum.saturating_add(one));
        let less = sizes.peak_bytes.zip(sizes.resident_bytes);
        let less = less.map(|(peak, resident)| peak.saturating_sub(resident));
        beyond = beyond
            .zip(less)
            .map(|(sum, less): (u64, u64)| sum.saturating_add(less));
        let parts = shared_parts(pid, folder)?;
        anonymous = anonymous
            .zip(parts)
            .map(|(sum, parts): (u64, _)| sum.saturating_add(parts.anonymous_bytes));
        if let Some(parts) = parts {
            shared_memory += parts.shared_memory_bytes;
            files += parts.file_bytes;
        }
    }
    // What nobody has mapped any more takes memory all the same.
    let segments = shm::segments(subject.name()).into_iter();
    let segments = segments.filter_map(|path| path.metadata().ok());
    let in_segments: u64 = segments.map(|file| file.blocks() * BLOCK).sum();
    let in_tmpfs = shm::is_tmpfs(folder);
    let memory = anonymous.zip(page_tables);
    let memory = memory.map(|(anonymous, page_table_bytes)| TreeMemory {
        shared_bytes: anonymous.saturating_sub(own + new),
        own_bytes: own,
        new_bytes: new,
        page_table_bytes,
        mapped_bytes: shared_memory.max(in_segments) + if in_tmpfs { 0 } else { files },
    });
    let sum = memory.as_ref().map(TreeMemory::sum);
    Ok(TreeSeen {
        memory,
        peak_bytes: sum
            .zip(beyond)
            .map(|(sum, beyond)| sum.saturating_add(beyond)),
    })
}
