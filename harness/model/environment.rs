use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the figures of a run depend on besides the data and the interpreter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// refcow's own version.
    pub refcow_version: String,
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
