//! Everything that can limit what refcow measures, for `refcow doctor`.

use std::collections::HashMap;

use nix::sys::prctl;
use nix::unistd::geteuid;
use procfs::{ConfigSetting, Current, Meminfo};

use super::finding::{Availability, Finding};
use super::kernel::{KSM_RUN, THP_ENABLED, lossy, read, system};
use super::memory::memory;
use super::sample::Sample;
use super::{live, perf, text};
use crate::observe::{CAP_SYS_PTRACE, has_capability, page_size};
use crate::{fixtures, shm};

const PTRACE_SCOPE: &str = "/proc/sys/kernel/yama/ptrace_scope";

/// What the run without arguments needs for each of its two forms of the three lists, in bytes.
fn default_data_bytes() -> u64 {
    let lists = fixtures::find("three_lists").ok();
    let size = lists.and_then(|one| one.default_count.zip(one.default_item_bytes));
    size.map_or(0, |(count, item_bytes)| 3 * count * item_bytes)
}

/// Whether the kernel says that it keeps no count of each page's users, on which bit 56 of pagemap,
/// USS and PSS rest.
pub fn page_mapcount_missing() -> bool {
    procfs::kernel_config()
        .is_ok_and(|config| page_mapcount(Ok(&config)).state == Availability::Limited)
}

/// Everything that can limit what refcow measures, each with what is lost and how to get it.
pub fn findings() -> Vec<Finding> {
    // Read once: unpacking /proc/config.gz takes a few milliseconds.
    let config = procfs::kernel_config().map_err(|error| error.to_string());
    let sample = Sample::start();
    let mut all = vec![
        kernel(),
        Finding::good("page size", format!("{} bytes", page_size())),
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
    ];
    all.extend(live::findings(&sample));
    all
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
        Err(error) => Finding::less(name, Availability::Unknown, error.to_string(), "", ""),
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
            Availability::Limited,
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
            Availability::Unavailable,
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
                Availability::Limited,
                "not kept (CONFIG_NO_PAGE_MAPCOUNT=y)",
                "exact counts without page frame numbers; exact USS and PSS",
                "run as root, or boot a kernel without this option",
            )
        }
        Ok(_) => Finding::good(name, "kept (CONFIG_NO_PAGE_MAPCOUNT is not set)"),
        Err(reason) => Finding::less(
            name,
            Availability::Unknown,
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
            Availability::Unknown,
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
    let (state, found) = text::ptrace_scope(scope, has_capability(CAP_SYS_PTRACE) == Some(true));
    if state != Availability::Good {
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
            Availability::Unavailable,
            error.to_string(),
            lost,
            "start the container with a /proc of its own that is not masked (--security-opt systempaths=unconfined)",
        ),
    }
}

/// Why no process here has transparent huge pages, by the machine's setting of them; `None` if one
/// may.
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
            Availability::Limited,
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
        Err(error) => Finding::less(name, Availability::Unknown, error.to_string(), "", ""),
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
            if memory.available_bytes >= 2 * default_data_bytes() {
                Finding::good(name, found)
            } else {
                Finding::less(
                    name,
                    Availability::Limited,
                    found,
                    "the default size of the three lists, which is refused if it does not fit",
                    "end other programs, raise the cgroup's limit, or choose smaller data",
                )
            }
        }
        Err(error) => Finding::less(name, Availability::Unknown, error.to_string(), "", ""),
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
            if free_bytes >= default_data_bytes() {
                Finding::good(name, found)
            } else {
                let lost = format!(
                    "{lost} at the default size, which needs {}",
                    text::size(default_data_bytes())
                );
                Finding::less(name, Availability::Limited, found, &lost, remedy)
            }
        }
        Err(error) => Finding::less(
            name,
            Availability::Unavailable,
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
    fn whatever_is_lost_is_named_and_nothing_good_loses_anything() {
        let findings = findings();
        // Where faults cannot be recorded, three of running programs are left out.
        let of_running = |finding: &&Finding| finding.name.starts_with("running programs: ");
        let of_running = findings.iter().filter(of_running).count();
        assert!(matches!(of_running, 3 | 6), "{of_running}");
        assert_eq!(findings.len() - of_running, 12);
        for finding in findings {
            assert!(!finding.found.is_empty(), "{finding:?}");
            if finding.state == Availability::Good {
                assert_eq!(
                    (&finding.lost, &finding.remedy),
                    (&None, &None),
                    "{finding:?}"
                );
            }
            if matches!(
                finding.state,
                Availability::Limited | Availability::Unavailable
            ) {
                assert!(finding.lost.is_some(), "{finding:?}");
            }
        }
    }

    #[test]
    fn an_unreadable_or_unset_configuration_is_not_taken_for_the_other() {
        let unset = HashMap::new();
        assert_eq!(page_mapcount(Ok(&unset)).state, Availability::Good);
        let set = HashMap::from([("CONFIG_NO_PAGE_MAPCOUNT".to_owned(), ConfigSetting::Yes)]);
        assert_eq!(page_mapcount(Ok(&set)).state, Availability::Limited);
        let reason = "no file".to_owned();
        assert_eq!(page_mapcount(Err(&reason)).state, Availability::Unknown);
        assert_eq!(soft_dirty(Err(&reason)).state, Availability::Unknown);
    }
}
