//! The machine, as far as figures depend on it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the figures of a run depend on besides the data and the interpreter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// refcow's own version.
    pub refcow_version: String,
    /// The commit that refcow was built from, with `-dirty` behind it if files had been changed. Absent of a build that is of
    /// no checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refcow_commit: Option<String>,
    /// `uname -r`.
    pub kernel: String,
    /// `uname -m`.
    pub architecture: String,
    /// The kernel's base page, from `sysconf(_SC_PAGESIZE)`.
    pub page_size_bytes: u64,
    /// Transparent huge pages: the machine's setting and refcow's own.
    pub transparent_huge_pages: HugePages,
    /// Kernel samepage merging, which can undo a copy.
    pub ksm: Ksm,
    /// What this process was allowed to see.
    pub privileges: Privileges,
    /// `model name` of the first processor, where the kernel gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Processors this process may run on.
    pub cpus: u64,
    /// `MemTotal`.
    pub memory_total_bytes: u64,
    /// `MemAvailable`, or less where a cgroup allows less, when the run began.
    pub memory_available_bytes: u64,
    /// Version of each Python package that a fixture of this run needs.
    pub packages: BTreeMap<String, String>,
    /// SHA-256 of the names and hashes of all files of each package, as its `RECORD` lists them (PEP 627), without byte code
    /// and what the installer adds. Absent of a package that was installed without one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub package_sha256: BTreeMap<String, String>,
    /// Settings of the kernel that figures can depend on, by their paths in /proc/sys or /sys. One that the kernel does not have
    /// is absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kernel_settings: BTreeMap<String, String>,
    /// Where anything is drawn at random: `PYTHONHASHSEED`. Visits that draw elements have their seed in their code.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seeds: BTreeMap<String, u64>,
    /// Variables that the command gave the measured processes (`--env`), with their values where it has them; without, the
    /// value was that of the user's environment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Option<String>>,
    /// Whether it gave them all of the user's variables (`--env-all`). Which those were is not recorded.
    #[serde(default, skip_serializing_if = "is_false")]
    pub all_variables: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

/// `/sys/kernel/mm/transparent_hugepage/enabled`, and whether refcow turned it off in the processes it measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HugePages {
    /// The machine's choice: `always`, `madvise` or `never`. Absent in a kernel without them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<String>,
    /// `prctl(PR_SET_THP_DISABLE)` in the subject before Python starts.
    pub disabled_in_subject: bool,
}

/// `/sys/kernel/mm/ksm/run`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ksm {
    /// Whether the machine merges pages now. Absent in a kernel without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
}

/// What the kernel let the observer do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Privileges {
    /// Whether pagemap gave page frame numbers (CAP_SYS_ADMIN): pages were then counted in two ways.
    pub page_frame_numbers: bool,
    /// Whether the user is root.
    pub root: bool,
}
