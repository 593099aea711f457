//! How much memory there is to use now.

use procfs::{Current, Meminfo};

use super::cgroup;
use super::error::MachineError;
use crate::shm;

/// How much memory a dataset and its copies can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// The least of `MemAvailable` and of what each cgroup above this process has left, in bytes.
    pub available_bytes: u64,
    /// Which of them it is: `MemAvailable`, or `memory.max of …`.
    pub available_from: String,
    /// Free bytes of /dev/shm. They are memory too and count into `available_bytes`. `None`: there
    /// is no /dev/shm.
    pub shm_free_bytes: Option<u64>,
}

/// How much memory there is to use now. A cgroup's file cache that the kernel would give up counts
/// as free, as it does in `MemAvailable`; swap does not count.
///
/// Source: `memory.max`, `memory.current` and `memory.stat` of cgroup v2 (or their forebears in v1)
/// in each cgroup from this process's own up to the root of the mount;
/// Documentation/admin-guide/cgroup-v2.rst.
///
/// # Errors
/// /proc is not mounted, or is that of a kernel before 3.14, which does not know `MemAvailable`.
pub fn memory() -> Result<MemoryLimits, MachineError> {
    let what = "MemAvailable of /proc/meminfo";
    let machine = Meminfo::current()
        .map_err(|error| MachineError::new(what, error))?
        .mem_available
        .ok_or_else(|| MachineError::new(what, "the kernel does not give it"))?;
    let (available_bytes, available_from) = cgroup::left()
        .filter(|(left, _)| *left < machine)
        .unwrap_or_else(|| (machine, "MemAvailable".to_owned()));
    Ok(MemoryLimits {
        shm_free_bytes: shm::space().ok().map(|space| match space.size_bytes {
            Some(_) => space.free_bytes,
            None => available_bytes,
        }),
        available_bytes,
        available_from,
    })
}

/// How much memory there is at all: the least limit of a cgroup above this process, or else all of
/// the machine's; and what says so.
///
/// # Errors
/// As [`memory`].
pub fn memory_limit() -> Result<(u64, String), MachineError> {
    let machine = Meminfo::current()
        .map_err(|error| MachineError::new("MemTotal of /proc/meminfo", error))?
        .mem_total;
    let limit = cgroup::limit().filter(|(limit, _)| *limit < machine);
    Ok(limit.unwrap_or_else(|| (machine, "MemTotal".to_owned())))
}
