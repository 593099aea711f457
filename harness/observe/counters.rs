//! The kernel's own sums about a process: cruder than pages, and independent of them.

use procfs::process::Process;

use super::{Error, reading};

/// Sums over a process, taken at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Proportional set size in bytes: each page divided among the processes that map it.
    pub pss_bytes: Option<u64>,
    /// Unique set size in bytes: `Private_Clean` + `Private_Dirty`.
    pub uss_bytes: Option<u64>,
    /// `AnonHugePages` in bytes.
    pub huge_bytes: Option<u64>,
    /// Minor page faults since the process began.
    pub minor_faults: u64,
    /// Threads.
    pub threads: u64,
}

/// Reads `/proc/PID/smaps_rollup` (Linux 4.14) and `/proc/PID/stat`.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn counters(pid: i32) -> Result<Counters, Error> {
    let process = Process::new(pid).map_err(reading(pid, "stat"))?;
    let stat = process.stat().map_err(reading(pid, "stat"))?;
    let rollup = process
        .smaps_rollup()
        .map_err(reading(pid, "smaps_rollup"))?;
    let field = |name: &str| {
        rollup
            .memory_map_rollup
            .iter()
            .next()
            .and_then(|map| map.extension.map.get(name).copied())
    };
    Ok(Counters {
        pss_bytes: field("Pss"),
        uss_bytes: field("Private_Clean")
            .zip(field("Private_Dirty"))
            .map(|(clean, dirty)| clean + dirty),
        huge_bytes: field("AnonHugePages"),
        minor_faults: stat.minflt,
        threads: u64::try_from(stat.num_threads).unwrap_or(1),
    })
}

/// Returns when the process sleeps, as one does that waits in `read(2)`, or is gone.
///
/// A message arrives a moment before its sender has come to rest; a snapshot in between would miss its last writes.
///
/// # Errors
/// When the process may not be read.
pub fn settle(pid: i32) -> Result<(), Error> {
    let process = Process::new(pid).map_err(reading(pid, "stat"))?;
    // Runnable, or in the kernel on the way to where it will wait.
    while matches!(
        process.stat().map_err(reading(pid, "stat"))?.state,
        'R' | 'D'
    ) {
        std::thread::yield_now();
    }
    Ok(())
}
