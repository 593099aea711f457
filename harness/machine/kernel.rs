//! What the kernel says of itself and of this process.

use std::ffi::OsStr;
use std::path::Path;

use nix::sys::utsname::{UtsName, uname};

use super::error::MachineError;

pub(super) const THP_ENABLED: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
pub(super) const KSM_RUN: &str = "/sys/kernel/mm/ksm/run";

pub(super) fn system() -> Result<UtsName, MachineError> {
    uname().map_err(|error| MachineError::new("uname", error))
}

pub(super) fn lossy(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

pub(super) fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
