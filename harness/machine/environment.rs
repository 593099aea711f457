//! What a report says of the machine.

use std::collections::BTreeMap;

use nix::unistd::{Pid, SysconfVar, geteuid, sysconf};
use procfs::{Current, Meminfo};

use super::error::MachineError;
use super::kernel::{KSM_RUN, THP_ENABLED, lossy, read, system};
use super::memory::memory;
use super::sample::Sample;
use super::text;
use crate::model::{Environment, HugePages, Ksm, Privileges};
use crate::observe::page_size;

/// What a report says of the machine. `packages` is taken over as it is.
///
/// Transparent huge pages are given as turned off in the subject, because every subject that is not
/// told to keep them does so before Python starts or refuses to go on.
///
/// # Errors
/// /proc is not mounted, or is that of a kernel before 3.14, which does not know `MemAvailable`.
pub fn environment(
    packages: BTreeMap<String, String>,
    package_sha256: BTreeMap<String, String>,
    seeds: BTreeMap<String, u64>,
) -> Result<Environment, MachineError> {
    let system = system()?;
    let memory_total_bytes = Meminfo::current()
        .map_err(|error| MachineError::new("MemTotal of /proc/meminfo", error))?
        .mem_total;
    Ok(Environment {
        refcow_version: env!("CARGO_PKG_VERSION").to_owned(),
        refcow_commit: crate::COMMIT.map(str::to_owned),
        kernel: lossy(system.release()),
        architecture: lossy(system.machine()),
        page_size_bytes: page_size(),
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

/// What page counts and times may depend on besides the kernel's version: where memory is put, when
/// pages are moved, and what an observer may see.
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

/// Processors this process may run on. A quota on their time (cgroup `cpu.max`) does not change the
/// number.
fn cpus() -> Result<u64, MachineError> {
    use nix::sched::{CpuSet, sched_getaffinity};

    let what = "the number of processors";
    let online = || {
        sysconf(SysconfVar::_NPROCESSORS_ONLN)
            .ok()
            .flatten()
            .and_then(|count| count.try_into().ok())
            .ok_or_else(|| MachineError::new(what, "sysconf does not give it"))
    };
    match sched_getaffinity(Pid::this()) {
        Ok(set) => Ok((0..CpuSet::count())
            .filter(|cpu| set.is_set(*cpu).unwrap_or(false))
            .count() as u64),
        // EINVAL: more processors than the C library's set has bits.
        Err(_) => online(),
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
}
