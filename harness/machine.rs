//! What this machine allows: for the `environment` of each report, and for `refcow doctor`.
//!
//! Nothing here needs a privilege. What a user may not see is told as such, never as 0.

mod cgroup;
mod perf;
mod sample;
mod text;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::Path;

use miette::Diagnostic;
use nix::sys::prctl;
use nix::sys::utsname::{UtsName, uname};
use nix::unistd::{Pid, SysconfVar, geteuid, sysconf};
use procfs::process::Process;
use procfs::{ConfigSetting, Current, Meminfo};
use serde::Serialize;
use thiserror::Error;

use crate::model::{Environment, HugePages, Ksm, Privileges};
use crate::shm;

use sample::Sample;

const THP_ENABLED: &str = "/sys/kernel/mm/transparent_hugepage/enabled";
const KSM_RUN: &str = "/sys/kernel/mm/ksm/run";
const PTRACE_SCOPE: &str = "/proc/sys/kernel/yama/ptrace_scope";

// Numbers of capabilities, from linux/capability.h.
const CAP_SYS_PTRACE: u32 = 19;

/// What the run without arguments needs for each of its two forms of the three lists, in bytes: 3 × 2,000 × 64 KiB.
const DEFAULT_DATA_BYTES: u64 = 3 * 2000 * 65536;

/// Something that every Linux since 3.14 tells could not be had.
#[derive(Debug, Error, Diagnostic)]
#[error("{what} cannot be had: {reason}")]
#[diagnostic(help("refcow needs Linux 5.3 or newer with /proc mounted"))]
pub struct Error {
    what: &'static str,
    reason: String,
}

impl Error {
    fn new(what: &'static str, reason: impl ToString) -> Self {
        Self {
            what,
            reason: reason.to_string(),
        }
    }
}

/// How far something is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nothing is lost.
    Good,
    /// Figures can be had, but less than everything.
    Limited,
    /// What it is for cannot be had.
    Unavailable,
    /// The machine does not say.
    Unknown,
}

/// One line of `refcow doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub name: &'static str,
    /// How far it is available.
    pub state: State,
    /// What was found, in words and figures.
    pub found: String,
    /// What a user goes without. Absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
    /// How to get it. Absent: nothing to do, or nothing known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Good,
            found: found.into(),
            lost: None,
            remedy: None,
        }
    }

    fn less(
        name: &'static str,
        state: State,
        found: impl Into<String>,
        lost: &str,
        remedy: &str,
    ) -> Self {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            name,
            state,
            found: found.into(),
            lost: some(lost),
            remedy: some(remedy),
        }
    }
}

/// How much memory a dataset and its copies can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// The least of `MemAvailable` and of what each cgroup above this process has left, in bytes.
    pub available_bytes: u64,
    /// Which of them it is: `MemAvailable`, or `memory.max of …`.
    pub available_from: String,
    /// Free bytes of /dev/shm. They are memory too and count into `available_bytes`. `None`: there is no /dev/shm.
    pub shm_free_bytes: Option<u64>,
}

/// What a report says of the machine. `packages` is taken over as it is.
///
/// Transparent huge pages are given as turned off in the subject, because every subject that is not told to keep them does so
/// before Python starts or refuses to go on.
///
/// # Errors
/// /proc is not mounted, or is that of a kernel before 3.14, which does not know `MemAvailable`.
pub fn environment(
    packages: BTreeMap<String, String>,
    package_sha256: BTreeMap<String, String>,
    seeds: BTreeMap<String, u64>,
) -> Result<Environment, Error> {
    let system = system()?;
    let memory_total_bytes = Meminfo::current()
        .map_err(|error| Error::new("MemTotal of /proc/meminfo", error))?
        .mem_total;
    Ok(Environment {
        refcow_version: env!("CARGO_PKG_VERSION").to_owned(),
        refcow_commit: crate::COMMIT.map(str::to_owned),
        kernel: lossy(system.release()),
        architecture: lossy(system.machine()),
        page_size_bytes: page_size()?,
        transparent_huge_pages: HugePages {
            enabled: read(THP_ENABLED).and_then(|text| text::chosen(&text)),
            disabled_in_subject: true,
        },
        ksm: Ksm {
            running: read(KSM_RUN).and_then(|text| text::ksm_running(&text)),
        },
        privileges: Privileges {
            page_frame_numbers: Sample::start().shows_frames().unwrap_or(false),
            root: geteuid().is_root(),
        },
        cpu: read("/proc/cpuinfo").and_then(|text| text::cpu_model(&text)),
        cpus: cpus()?,
        memory_total_bytes,
        memory_available_bytes: memory()?.available_bytes,
        packages,
        package_sha256,
        kernel_settings: kernel_settings(),
        seeds,
        variables: BTreeMap::new(),
        all_variables: false,
    })
}

/// What page counts and times may depend on besides the kernel's version: where memory is put, when pages are moved, and
/// what an observer may see.
const KERNEL_SETTINGS: [&str; 12] = [
    "/proc/sys/kernel/numa_balancing",
    "/proc/sys/kernel/perf_event_mlock_kb",
    "/proc/sys/kernel/perf_event_paranoid",
    "/proc/sys/kernel/randomize_va_space",
    "/proc/sys/kernel/yama/ptrace_scope",
    "/proc/sys/vm/compact_unevictable_allowed",
    "/proc/sys/vm/compaction_proactiveness",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/vm/swappiness",
    "/sys/kernel/mm/ksm/run",
    "/sys/kernel/mm/transparent_hugepage/defrag",
    "/sys/kernel/mm/transparent_hugepage/shmem_enabled",
];

fn kernel_settings() -> BTreeMap<String, String> {
    let there = KERNEL_SETTINGS.iter().filter_map(|path| {
        let text = read(path)?;
        Some(((*path).to_owned(), text.trim().to_owned()))
    });
    there.collect()
}

/// How much memory there is to use now. A cgroup's file cache that the kernel would give up counts as free, as it does
/// in `MemAvailable`; swap does not count.
///
/// Source: `memory.max`, `memory.current` and `memory.stat` of cgroup v2 (or their forebears in v1) in each cgroup from
/// this process's own up to the root of the mount; Documentation/admin-guide/cgroup-v2.rst.
///
/// # Errors
/// /proc is not mounted, or is that of a kernel before 3.14, which does not know `MemAvailable`.
pub fn memory() -> Result<MemoryLimits, Error> {
    let what = "MemAvailable of /proc/meminfo";
    let machine = Meminfo::current()
        .map_err(|error| Error::new(what, error))?
        .mem_available
        .ok_or_else(|| Error::new(what, "the kernel does not give it"))?;
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

/// Whether the kernel says that it keeps no count of each page's users, on which bit 56 of pagemap, USS and PSS rest.
pub fn page_mapcount_missing() -> bool {
    procfs::kernel_config().is_ok_and(|config| page_mapcount(Ok(&config)).state == State::Limited)
}

/// Everything that can limit what refcow measures, each with what is lost and how to get it.
pub fn findings() -> Vec<Finding> {
    // Read once: unpacking /proc/config.gz takes a few milliseconds.
    let config = procfs::kernel_config().map_err(|error| error.to_string());
    let sample = Sample::start();
    vec![
        kernel(),
        page_size_finding(),
        page_frames(&sample),
        page_mapcount(config.as_ref()),
        soft_dirty(config.as_ref()),
        process_memory(&sample),
        perf::finding(),
        huge_pages(),
        ksm(),
        swap(),
        available(),
        shared_memory_finding(),
    ]
}

fn system() -> Result<UtsName, Error> {
    uname().map_err(|error| Error::new("uname", error))
}

fn lossy(text: &OsStr) -> String {
    text.to_string_lossy().into_owned()
}

fn page_size() -> Result<u64, Error> {
    let what = "the page size";
    sysconf(SysconfVar::PAGE_SIZE)
        .map_err(|error| Error::new(what, error))?
        .and_then(|size| size.try_into().ok())
        .ok_or_else(|| Error::new(what, "sysconf does not give it"))
}

/// Processors this process may run on. A quota on their time (cgroup `cpu.max`) does not change the number.
fn cpus() -> Result<u64, Error> {
    use nix::sched::{CpuSet, sched_getaffinity};

    let what = "the number of processors";
    let online = || {
        sysconf(SysconfVar::_NPROCESSORS_ONLN)
            .ok()
            .flatten()
            .and_then(|count| count.try_into().ok())
            .ok_or_else(|| Error::new(what, "sysconf does not give it"))
    };
    match sched_getaffinity(Pid::this()) {
        Ok(set) => Ok((0..CpuSet::count())
            .filter(|cpu| set.is_set(*cpu).unwrap_or(false))
            .count() as u64),
        // EINVAL: more processors than the C library's set has bits.
        Err(_) => online(),
    }
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

/// Effective capabilities of this process, one bit each; `None` if /proc does not say.
fn capabilities() -> Option<u64> {
    Some(Process::myself().ok()?.status().ok()?.capeff)
}

fn capable(capability: u32) -> bool {
    capabilities().is_some_and(|all| all >> capability & 1 == 1)
}

fn kernel() -> Finding {
    let name = "kernel";
    match system() {
        Ok(system) => Finding::good(
            name,
            format!(
                "{} {} on {}",
                lossy(system.sysname()),
                lossy(system.release()),
                lossy(system.machine())
            ),
        ),
        Err(error) => Finding::less(name, State::Unknown, error.to_string(), "", ""),
    }
}

fn page_size_finding() -> Finding {
    let name = "page size";
    match page_size() {
        Ok(size) => Finding::good(name, format!("{size} bytes")),
        Err(error) => Finding::less(name, State::Unknown, error.to_string(), "everything", ""),
    }
}

fn page_frames(sample: &Sample) -> Finding {
    let name = "page frame numbers";
    match sample.shows_frames() {
        Ok(true) => Finding::good(
            name,
            "given: pages are counted in two ways, which must agree",
        ),
        Ok(false) => Finding::less(
            name,
            State::Limited,
            "hidden (pagemap gives them only with CAP_SYS_ADMIN)",
            "the second way of counting; the counts are the same",
            if geteuid().is_root() {
                "run outside the container or user namespace, or start the container with --cap-add SYS_ADMIN"
            } else {
                "run as root"
            },
        ),
        Err(reason) => Finding::less(
            name,
            State::Unavailable,
            reason.to_string(),
            "everything: pages cannot be counted",
            "use a kernel with CONFIG_PROC_PAGE_MONITOR and a container that shows /proc/PID/pagemap",
        ),
    }
}

type Config<'a> = Result<&'a HashMap<String, ConfigSetting>, &'a String>;

fn page_mapcount(config: Config<'_>) -> Finding {
    let name = "count of each page's users";
    match config {
        Ok(config) if config.get("CONFIG_NO_PAGE_MAPCOUNT") == Some(&ConfigSetting::Yes) => {
            Finding::less(
                name,
                State::Limited,
                "not kept (CONFIG_NO_PAGE_MAPCOUNT=y)",
                "exact counts without page frame numbers; exact USS and PSS",
                "run as root, or boot a kernel without this option",
            )
        }
        Ok(_) => Finding::good(name, "kept (CONFIG_NO_PAGE_MAPCOUNT is not set)"),
        Err(reason) => Finding::less(
            name,
            State::Unknown,
            format!("the kernel's configuration cannot be read: {reason}"),
            "nothing, unless the kernel has CONFIG_NO_PAGE_MAPCOUNT; the calibration of each run would show it",
            "provide /proc/config.gz (CONFIG_IKCONFIG_PROC) or /boot/config-$(uname -r)",
        ),
    }
}

fn soft_dirty(config: Config<'_>) -> Finding {
    let name = "soft-dirty bits";
    match config {
        Ok(config) => {
            let found = match config.get("CONFIG_MEM_SOFT_DIRTY") {
                Some(ConfigSetting::Yes) => {
                    "kept (CONFIG_MEM_SOFT_DIRTY=y); refcow does not use them"
                }
                _ => "not kept (CONFIG_MEM_SOFT_DIRTY is not set); refcow does not need them",
            };
            Finding::good(name, found)
        }
        Err(_) => Finding::less(
            name,
            State::Unknown,
            "the kernel's configuration cannot be read; refcow does not need them",
            "",
            "",
        ),
    }
}

/// Reads memory through /proc, which a container may mask, and Yama's rule.
fn process_memory(sample: &Sample) -> Finding {
    let name = "other processes' memory";
    let lost = "identical copies: whether a copied page still equals its original; the counts stay";
    let scope = read(PTRACE_SCOPE).and_then(|text| text.trim().parse().ok());
    let (state, found) = text::ptrace_scope(scope, capable(CAP_SYS_PTRACE));
    if state != State::Good {
        let remedy = if scope == Some(3) {
            "set kernel.yama.ptrace_scope to 1 at boot: 3 cannot be undone before"
        } else {
            "sysctl kernel.yama.ptrace_scope=1, or run as root"
        };
        return Finding::less(name, state, found, lost, remedy);
    }
    match sample.read_memory() {
        Ok(()) => Finding::good(name, found),
        Err(error) => Finding::less(
            name,
            State::Unavailable,
            error.to_string(),
            lost,
            "start the container with a /proc of its own that is not masked (--security-opt systempaths=unconfined)",
        ),
    }
}

/// Why no process here has transparent huge pages, by the machine's setting of them; `None` if one may.
pub fn no_huge_pages(enabled: Option<&str>) -> Option<&'static str> {
    match enabled {
        None => Some("this kernel has no transparent huge pages, or does not show them"),
        Some("never") => Some("/sys/kernel/mm/transparent_hugepage/enabled is never"),
        // Inherited by all that is started from here.
        Some(_) if prctl::get_thp_disable().unwrap_or(false) => {
            Some("whoever started refcow turned them off (PR_SET_THP_DISABLE)")
        }
        Some(_) => None,
    }
}

fn huge_pages() -> Finding {
    let name = "transparent huge pages";
    Finding::good(
        name,
        match read(THP_ENABLED).and_then(|text| text::chosen(&text)) {
            Some(chosen) => format!("{chosen}; refcow turns them off in the processes it measures"),
            None => "none in this kernel, or not shown".to_owned(),
        },
    )
}

fn ksm() -> Finding {
    let name = "kernel samepage merging";
    match read(KSM_RUN).and_then(|text| text::ksm_running(&text)) {
        Some(true) => Finding::less(
            name,
            State::Limited,
            "on",
            "certainty: pages that a child had copied can be shared again before they are counted",
            "as root: echo 0 > /sys/kernel/mm/ksm/run",
        ),
        Some(false) => Finding::good(name, "off"),
        None => Finding::good(name, "none in this kernel, or not shown"),
    }
}

fn swap() -> Finding {
    let name = "swap";
    match Meminfo::current() {
        Ok(memory) if memory.swap_total == 0 => Finding::good(name, "none"),
        Ok(memory) => Finding::good(
            name,
            format!(
                "{} of {} free; pages that are in swap at the fork are not counted, and a warning says how many",
                text::size(memory.swap_free),
                text::size(memory.swap_total)
            ),
        ),
        Err(error) => Finding::less(name, State::Unknown, error.to_string(), "", ""),
    }
}

fn available() -> Finding {
    let name = "memory available";
    match memory() {
        Ok(memory) => {
            let found = format!(
                "{} ({})",
                text::size(memory.available_bytes),
                memory.available_from
            );
            // As much again for the second form of the data or what children copy.
            if memory.available_bytes >= 2 * DEFAULT_DATA_BYTES {
                Finding::good(name, found)
            } else {
                Finding::less(
                    name,
                    State::Limited,
                    found,
                    "the default size of the three lists, which is refused if it does not fit",
                    "end other programs, raise the cgroup's limit, or choose a smaller --count",
                )
            }
        }
        Err(error) => Finding::less(name, State::Unknown, error.to_string(), "", ""),
    }
}

fn shared_memory_finding() -> Finding {
    let name = shm::FOLDER;
    let lost = "data in multiprocessing.shared_memory";
    let remedy = "as root: mount -o remount,size=50% /dev/shm; for a container: --shm-size=2g";
    match shm::space() {
        Ok(shm::Space {
            size_bytes: None, ..
        }) => Finding::good(name, "no limit but that of memory"),
        Ok(shm::Space {
            size_bytes: Some(size),
            free_bytes,
        }) => {
            let found = format!("{} of {} free", text::size(free_bytes), text::size(size));
            if free_bytes >= DEFAULT_DATA_BYTES {
                Finding::good(name, found)
            } else {
                let lost = format!(
                    "{lost} at the default size, which needs {}",
                    text::size(DEFAULT_DATA_BYTES)
                );
                Finding::less(name, State::Limited, found, &lost, remedy)
            }
        }
        Err(error) => Finding::less(
            name,
            State::Unavailable,
            error.to_string(),
            lost,
            "as root: mount -t tmpfs tmpfs /dev/shm",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_says_what_every_linux_says() {
        let environment = environment(BTreeMap::new(), BTreeMap::new(), BTreeMap::new()).unwrap();
        assert!(environment.page_size_bytes.is_power_of_two());
        assert!(environment.cpus >= 1);
        assert!(environment.memory_available_bytes <= environment.memory_total_bytes);
        assert_eq!(environment.architecture, std::env::consts::ARCH);
    }

    #[test]
    fn whatever_is_lost_is_named_and_nothing_good_loses_anything() {
        let findings = findings();
        assert_eq!(findings.len(), 12);
        for finding in findings {
            assert!(!finding.found.is_empty(), "{finding:?}");
            if finding.state == State::Good {
                assert_eq!(
                    (&finding.lost, &finding.remedy),
                    (&None, &None),
                    "{finding:?}"
                );
            }
            if matches!(finding.state, State::Limited | State::Unavailable) {
                assert!(finding.lost.is_some(), "{finding:?}");
            }
        }
    }

    #[test]
    fn an_unreadable_or_unset_configuration_is_not_taken_for_the_other() {
        let unset = HashMap::new();
        assert_eq!(page_mapcount(Ok(&unset)).state, State::Good);
        let set = HashMap::from([("CONFIG_NO_PAGE_MAPCOUNT".to_owned(), ConfigSetting::Yes)]);
        assert_eq!(page_mapcount(Ok(&set)).state, State::Limited);
        let reason = "no file".to_owned();
        assert_eq!(page_mapcount(Err(&reason)).state, State::Unknown);
        assert_eq!(soft_dirty(Err(&reason)).state, State::Unknown);
    }
}
