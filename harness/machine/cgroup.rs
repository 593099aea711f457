//! What the cgroups above this process leave it of their memory.

use std::path::{Path, PathBuf};

use procfs::ProcessCGroup;
use procfs::process::{MountInfo, Process};

use super::kernel::read;

/// The two generations of the memory controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CgroupVersion {
    One,
    Two,
}

impl CgroupVersion {
    /// Files that hold the limit and the use, and the key in `memory.stat` for file cache not used
    /// of late, with that of the groups below included.
    fn names(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::One => (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
            ),
            Self::Two => ("memory.max", "memory.current", "inactive_file"),
        }
    }
}

/// The least that any cgroup above this process has left, in bytes, and that cgroup's limit file;
/// `None` where no limit is set or none can be seen.
pub(super) fn left() -> Option<(u64, String)> {
    least(left_in)
}

/// The least limit of any cgroup above this process, in bytes, and its file; `None` where no limit
/// is set or none can be seen.
pub(super) fn limit() -> Option<(u64, String)> {
    least(|folder, version| {
        let (limit, ..) = version.names();
        let bytes = limit_bytes(&read(folder.join(limit))?)?;
        Some((bytes, format!("{limit} of {}", folder.display())))
    })
}

/// The least of what is said of each of these cgroups.
fn least(of: fn(&Path, CgroupVersion) -> Option<(u64, String)>) -> Option<(u64, String)> {
    let process = Process::myself().ok()?;
    let mounts = process.mountinfo().ok()?;
    let groups = process.cgroups().ok()?;
    groups
        .0
        .iter()
        .filter_map(|group| Some((version(group)?, &group.pathname)))
        .flat_map(|(version, group)| {
            let folders = mounts
                .0
                .iter()
                .filter(|mount| holds_memory(mount, version))
                .flat_map(|mount| folders(&mount.mount_point, &mount.root, group))
                .collect::<Vec<_>>();
            folders
                .into_iter()
                .filter_map(move |folder| of(&folder, version))
        })
        .min()
}

fn version(group: &ProcessCGroup) -> Option<CgroupVersion> {
    if group.hierarchy == 0 {
        Some(CgroupVersion::Two)
    } else {
        let memory = group.controllers.iter().any(|name| name == "memory");
        memory.then_some(CgroupVersion::One)
    }
}

fn holds_memory(mount: &MountInfo, version: CgroupVersion) -> bool {
    match version {
        CgroupVersion::One => {
            mount.fs_type == "cgroup" && mount.super_options.contains_key("memory")
        }
        CgroupVersion::Two => mount.fs_type == "cgroup2",
    }
}

/// The cgroup's own folder and those above it, up to the mount point. A mount may show only a part
/// of the tree (`root`), as in a container: where the group lies outside it, only the mount point
/// itself is known to be above the process.
fn folders(mount_point: &Path, root: &str, group: &str) -> Vec<PathBuf> {
    let inside = Path::new(group)
        .strip_prefix(root)
        .ok()
        .filter(|inside| !inside.components().any(|part| part.as_os_str() == ".."))
        .unwrap_or(Path::new(""));
    inside
        .ancestors()
        .map(|inside| mount_point.join(inside).components().collect())
        .collect()
}

fn left_in(folder: &Path, version: CgroupVersion) -> Option<(u64, String)> {
    let (limit, used, cache) = version.names();
    let file = folder.join(limit);
    let limit_bytes = limit_bytes(&read(&file)?)?;
    let used_bytes = read(folder.join(used))?.trim().parse::<u64>().ok()?;
    let cache_bytes = read(folder.join("memory.stat"))
        .and_then(|text| stat(&text, cache))
        // Unknown: nothing is counted as free that may not be.
        .unwrap_or(0);
    Some((
        left_of(limit_bytes, used_bytes, cache_bytes),
        format!("{limit} of {}", folder.display()),
    ))
}

fn left_of(limit_bytes: u64, used_bytes: u64, cache_bytes: u64) -> u64 {
    limit_bytes.saturating_sub(used_bytes.saturating_sub(cache_bytes))
}

/// `None`: no limit, which is `max` in v2. v1 says it with the greatest number that is a multiple
/// of the page size and less than 2⁶³; that is above what any machine has.
fn limit_bytes(text: &str) -> Option<u64> {
    let limit = text.trim().parse().ok()?;
    (limit < 1 << 62).then_some(limit)
}

/// The value of one key of `memory.stat`.
fn stat(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| value.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(mount_point: &str, root: &str, group: &str) -> Vec<String> {
        folders(Path::new(mount_point), root, group)
            .into_iter()
            .map(|folder| folder.to_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn every_group_up_to_the_mount_point_counts() {
        assert_eq!(
            shown("/sys/fs/cgroup", "/", "/user.slice/job"),
            [
                "/sys/fs/cgroup/user.slice/job",
                "/sys/fs/cgroup/user.slice",
                "/sys/fs/cgroup"
            ]
        );
        assert_eq!(shown("/sys/fs/cgroup", "/", "/"), ["/sys/fs/cgroup"]);
        // A container that sees only its own part of the tree, without and with a cgroup namespace.
        assert_eq!(
            shown("/sys/fs/cgroup/memory", "/docker/1f", "/docker/1f"),
            ["/sys/fs/cgroup/memory"]
        );
        assert_eq!(
            shown("/sys/fs/cgroup", "/", "/../other"),
            ["/sys/fs/cgroup"]
        );
        assert_eq!(
            shown("/sys/fs/cgroup", "/docker/1f", "/elsewhere"),
            ["/sys/fs/cgroup"]
        );
    }

    #[test]
    fn no_limit_is_no_number() {
        assert_eq!(limit_bytes("max\n"), None);
        assert_eq!(limit_bytes("9223372036854771712\n"), None);
        // With pages of 64 KiB, as on some aarch64 kernels.
        assert_eq!(limit_bytes("9223372036854710272\n"), None);
        assert_eq!(limit_bytes("536870912\n"), Some(536_870_912));
        assert_eq!(limit_bytes("0\n"), Some(0));
    }

    #[test]
    fn cache_that_can_go_counts_as_free() {
        let text = "anon 1000\nfile 500\ninactive_anon 7\ninactive_file 300\nactive_file 200\n";
        assert_eq!(stat(text, "inactive_file"), Some(300));
        assert_eq!(stat(text, "total_inactive_file"), None);
        assert_eq!(left_of(2000, 1500, 300), 800);
        // A group can be above a limit that was lowered, and the figures are not read at one
        // instant.
        assert_eq!(left_of(1000, 1500, 0), 0);
        assert_eq!(left_of(1000, 100, 200), 1000);
    }
}
