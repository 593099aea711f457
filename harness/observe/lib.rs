//! A pid and address ranges in, numbers out.
//!
//! Nothing here knows of Python, but for what its objects look like ([`headers`]), or of who forked
//! whom. Reading another process's `pagemap`, `maps` and `smaps_rollup` needs ptrace *read* access
//! (same user and a dumpable process, or CAP_SYS_PTRACE); reading its memory needs ptrace *attach*
//! access, which Yama's default grants to an ancestor. See `ptrace(2)`, "Ptrace access mode
//! checking". Recording its page faults needs ptrace read access and what `perf_event_paranoid`
//! asks for.

// What is `pub` is what another crate uses, so that rustc sees what nobody does.
#![warn(unreachable_pub)]

mod at_fork;
mod bpf;
mod capabilities;
mod counters;
mod descent;
mod faults;
mod follow;
pub mod frames;
mod growth;
pub mod headers;
pub mod inherited;
mod live_memory;
mod mappings;
mod memory;
mod migration;
pub mod objects;
mod page;
mod pagemap;
mod peak;
mod sharing;
pub mod stops;
pub mod symbols;
mod unavailable;
#[cfg(test)]
mod untouched;
mod waiting;
mod watch;

pub use at_fork::{AtFork, at_next_fork};
pub use capabilities::{CAP_SYS_PTRACE, has_capability};
pub use counters::{
    Counters, SharedParts, anonymous_pss, bytes_read, children_of, counters, family_bytes,
    is_in_swap, minor_faults, rss_bytes, settle, shared_parts,
};
pub use descent::{Grown, Relatives};
pub use faults::{
    Fault, Faults, Happened, Incident, RecordedBy, Recorder, Stack, StackNumber, TaskName,
    TreeRecorder, Unread, try_recording,
};
pub use follow::{Descendants, Ended, Follower};
pub use growth::{Growth, Had};
pub use live_memory::LiveMemory;
pub use mappings::{
    CodeMapping, Mappings, UNCOUNTED, code_mappings, mappings, memory_maps, ranges,
};
pub use memory::{StillMemory, identical_pages, read_page, zero_pages};
pub use migration::compare;
pub use page::{PageSet, page_size};
pub use pagemap::{
    FrameFlags, Gaps, PageStates, Pagemap, ReadWords, Word, anonymous_pages, huge_pages,
    page_states, present_pages,
};
pub use peak::{Sizes, forget_peak, sizes};
pub use sharing::{Disagreement, Regions, SharedAtFork, agree};
pub use unavailable::{Permission, Unavailable};
pub use waiting::{Locked, locked, other_threads};
pub use watch::{PeakSeen, Watcher};

use procfs::ProcError;

use inherited::{RAISE_OPEN_FILES, is_out_of_descriptors};

/// What went wrong, with the file it went wrong on.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    /// There is nothing left to look at.
    #[error("process {pid} has ended while it was looked at")]
    #[diagnostic(help(
        "something killed it: the kernel's log says if that was for want of memory (dmesg)"
    ))]
    Gone {
        /// The process.
        pid: i32,
    },
    /// A file in /proc could not be read.
    #[error("cannot read {file} of process {pid}: {source}")]
    #[diagnostic(help("{}", help_of(source)))]
    Proc {
        /// The process.
        pid: i32,
        /// Name of the file under /proc/PID.
        file: &'static str,
        /// The kernel's answer.
        source: Box<ProcError>,
    },
    /// It may not be stopped.
    #[error("cannot stop process {pid} at its fork (ptrace: {source})")]
    #[diagnostic(help(
        "ptrace is forbidden here: by Yama (kernel.yama.ptrace_scope above 1), or by a container's seccomp profile"
    ))]
    Trace {
        /// The process.
        pid: i32,
        /// The kernel's answer.
        source: nix::errno::Errno,
    },
}

fn help_of(source: &ProcError) -> &'static str {
    match source {
        ProcError::Io(error, _) if is_out_of_descriptors(error) => RAISE_OPEN_FILES,
        _ => {
            "the observer needs ptrace access: run it as the same user as the process, or as root, and see `refcow doctor`"
        }
    }
}

/// Names the file in an error of procfs.
fn reading(pid: i32, file: &'static str) -> impl Fn(ProcError) -> Error {
    move |source| {
        let gone = match &source {
            ProcError::NotFound(_) => true,
            ProcError::Io(error, _) => {
                error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
            }
            _ => false,
        };
        if gone {
            Error::Gone { pid }
        } else {
            Error::Proc {
                pid,
                file,
                source: Box::new(source),
            }
        }
    }
}
