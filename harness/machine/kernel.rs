//! What the kernel says of itself and of this process.

use std::ffi::OsStr;
use std::path::Path;

use nix::sys::utsname::{UtsName, uname};
use nix::unistd::{SysconfVar, sysconf};
use procfs::process::Process;

use super::error::MachineError;

pub(super) const THP_ENABLED: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
pub(super) const KSM_RUN: &str = "/sys/kernel/mm/ksm/run";

pub(super) fn system() -> Result<UtsName, MachineError> {
    uname().map_err(|error| MachineError::new("uname", error))
}

pub(super) fn lossy(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

pub(super) fn page_size() -> Result<u64, MachineError> {
    let what = "the page size";
    sysconf(SysconfVar::PAGE_SIZE)
        .map_err(|error| MachineError::new(what, error))?
        .and_then(|size| size.try_into().ok())
        .ok_or_else(|| MachineError::new(what, "sysconf does not give it"))
}

pub(super) fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Effective capabilities of this process, one bit each; `None` if /proc does not say.
fn capabilities() -> Option<u64> {
    Some(Process::myself().ok()?.status().ok()?.capeff)
}

pub(super) fn capable(capability: u32) -> bool {
    capabilities().is_some_and(|all| all >> capability & 1 == 1)
}
