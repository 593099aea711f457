//! What a process had in memory at most, and what its page tables take, as `/proc/PID/status` says.

use std::fs;

use procfs::process::Process;

use super::{Error, reading};

/// Sizes that the kernel keeps of a process. Each is `None` where it does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Resident memory, shared pages included (`VmRSS`).
    pub resident_bytes: Option<u64>,
    /// The most that was resident (`VmHWM`) since the process began, or since [`forget_peak`].
    pub peak_bytes: Option<u64>,
    /// Page tables (`VmPTE`).
    pub page_table_bytes: Option<u64>,
}

/// Reads them.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn sizes(pid: i32) -> Result<Sizes, Error> {
    let status = Process::new(pid).and_then(|process| process.status());
    let status = status.map_err(reading(pid, "status"))?;
    let bytes = |kib: Option<u64>| kib.map(|kib| kib.saturating_mul(1024));
    Ok(Sizes {
        resident_bytes: bytes(status.vmrss),
        peak_bytes: bytes(status.vmhwm),
        page_table_bytes: bytes(status.vmpte),
    })
}

/// Has the kernel count the most of a process from now on (`5` into `/proc/PID/clear_refs`, Linux 4.0: it touches no page);
/// whether it does.
pub fn forget_peak(pid: i32) -> bool {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").is_ok()
}
