//! What this process may do besides what its user may: the numbers of linux/capability.h.

use procfs::process::Process;

/// To look into processes of other users, and past Yama.
pub const CAP_SYS_PTRACE: u32 = 19;
/// To read page frame numbers, and most else.
pub(crate) const CAP_SYS_ADMIN: u32 = 21;
/// To record events of the processor and the kernel.
pub(crate) const CAP_PERFMON: u32 = 38;

/// Whether this process has it now; `None` if /proc does not say.
pub fn has_capability(number: u32) -> Option<bool> {
    let all = Process::myself().ok()?.status().ok()?.capeff;
    Some(all >> number & 1 == 1)
}
