//! The kernel's own sums about a process: cruder than pages, and independent of them.

use std::path::Path;

use procfs::process::{MMPermissions, MMapPath, MemoryMap, MemoryMaps, Process, SmapsRollup};

use super::{Error, reading};

/// Sums over a process, taken at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Proportional set size in bytes: each page divided among the processes that map it.
    pub pss_bytes: Option<u64>,
    /// Unique set size in bytes: `Private_Clean` + `Private_Dirty`.
    pub uss_bytes: Option<u64>,
    /// `AnonHugePages` in bytes.
    pub huge_bytes: Option<u64>,
    /// Minor page faults since the process began.
    pub minor_faults: u64,
    /// Threads.
    pub threads: u64,
}

/// Reads `/proc/PID/smaps_rollup` (Linux 4.14) and `/proc/PID/stat`.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn counters(pid: i32) -> Result<Counters, Error> {
    let process = Process::new(pid).map_err(reading(pid, "stat"))?;
    let stat = process.stat().map_err(reading(pid, "stat"))?;
    let rollup = process
        .smaps_rollup()
        .map_err(reading(pid, "smaps_rollup"))?;
    let (pss_bytes, uss_bytes, huge_bytes) = sums(&rollup);
    Ok(Counters {
        pss_bytes,
        uss_bytes,
        huge_bytes,
        minor_faults: stat.minflt,
        threads: u64::try_from(stat.num_threads).unwrap_or(1),
    })
}

/// PSS, USS and huge pages in bytes, of what the kernel gives.
fn sums(rollup: &SmapsRollup) -> (Option<u64>, Option<u64>, Option<u64>) {
    let field = |name: &str| {
        let map = rollup.memory_map_rollup.iter().next()?;
        map.extension.map.get(name).copied()
    };
    let private = field("Private_Clean").zip(field("Private_Dirty"));
    (
        field("Pss"),
        private.and_then(|(clean, dirty)| clean.checked_add(dirty)),
        field("AnonHugePages"),
    )
}

/// What a process has of memory in which none but its relatives can have a part, in bytes:
/// anonymous pages, which reach others by fork alone, and pages of mappings that it shares to write
/// to. Each is divided among those that map it, so that the sum over a whole tree counts it once,
/// whatever other programs run. Pages of other files are left out: anybody may map those. `None`
/// where the kernel does not tell (`Pss_Anon` of `/proc/PID/smaps_rollup`: Linux 5.3).
///
/// # Errors
/// When the process is gone or may not be read.
pub fn family_bytes(pid: i32) -> Result<Option<u64>, Error> {
    let (rollup, maps) = rollup_and_maps(pid)?;
    Ok(family_sum(&rollup, &maps))
}

fn rollup_and_maps(pid: i32) -> Result<(MemoryMaps, MemoryMaps), Error> {
    let process = Process::new(pid).map_err(reading(pid, "smaps"))?;
    let rollup = process.smaps_rollup();
    let rollup = rollup.map_err(reading(pid, "smaps_rollup"))?;
    let maps = process.smaps().map_err(reading(pid, "smaps"))?;
    Ok((rollup.memory_map_rollup, maps))
}

/// A process's part of anonymous pages in bytes, each of which is divided among those that map it
/// (`Pss_Anon` of smaps_rollup); `None` where the kernel does not tell (before Linux 5.3).
///
/// # Errors
/// When the process is gone or may not be read.
pub fn anonymous_pss(pid: i32) -> Result<Option<u64>, Error> {
    let rollup = Process::new(pid).and_then(|process| process.smaps_rollup());
    let rollup = rollup.map_err(reading(pid, "smaps_rollup"))?;
    let map = rollup.memory_map_rollup.iter().next();
    Ok(map.and_then(|map| map.extension.map.get("Pss_Anon").copied()))
}

/// A process's part of what several processes have, in bytes, each page divided among those that map it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedParts {
    /// Anonymous pages (`Pss_Anon`).
    pub anonymous_bytes: u64,
    /// Shared memory: of /dev/shm, of memfds, and without a file (`Pss_Shmem`).
    pub shared_memory_bytes: u64,
    /// Mapped pages of files below a folder, but for those in shared memory.
    pub file_bytes: u64,
}

/// Reads them; `None` where the kernel does not tell (before Linux 5.3).
///
/// # Errors
/// When the process is gone or may not be read.
pub fn shared_parts(pid: i32, folder: &Path) -> Result<Option<SharedParts>, Error> {
    let (rollup, maps) = rollup_and_maps(pid)?;
    Ok(parts(&rollup, &maps, folder))
}

fn parts(rollup: &MemoryMaps, maps: &MemoryMaps, folder: &Path) -> Option<SharedParts> {
    let field = |map: &MemoryMap, name: &str| map.extension.map.get(name).copied();
    let all = rollup.iter().next()?;
    let mut parts = SharedParts {
        anonymous_bytes: field(all, "Pss_Anon")?,
        shared_memory_bytes: field(all, "Pss_Shmem")?,
        file_bytes: 0,
    };
    for map in maps.iter() {
        if let MMapPath::Path(path) = &map.pathname
            && path.starts_with(folder)
        {
            // Pages that a process wrote to, and has alone, are anonymous.
            let anonymous = field(map, "Anonymous").unwrap_or(0);
            let of_file = field(map, "Pss")?.saturating_sub(anonymous);
            parts.file_bytes = parts.file_bytes.checked_add(of_file)?;
        }
    }
    Some(parts)
}

fn family_sum(rollup: &MemoryMaps, maps: &MemoryMaps) -> Option<u64> {
    let field = |map: &MemoryMap, name: &str| map.extension.map.get(name).copied();
    let mut sum = field(rollup.iter().next()?, "Pss_Anon")?;
    let shared_to_write = MMPermissions::SHARED | MMPermissions::WRITE;
    for map in maps
        .iter()
        .filter(|map| map.perms.contains(shared_to_write))
    {
        sum = sum.checked_add(field(map, "Pss")?)?;
    }
    Some(sum)
}

/// Resident memory of a process in bytes, shared pages included (`Rss` of
/// `/proc/PID/smaps_rollup`); `None` where that cannot be read.
pub fn rss_bytes(pid: i32) -> Option<u64> {
    let rollup = Process::new(pid).and_then(|process| process.smaps_rollup());
    let rollup = rollup.ok()?;
    let map = rollup.memory_map_rollup.iter().next()?;
    map.extension.map.get("Rss").copied()
}

/// Minor page faults since the process began, from `/proc/PID/stat` alone: the sums above make the
/// kernel look at every page of the process.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn minor_faults(pid: i32) -> Result<u64, Error> {
    let stat = Process::new(pid).and_then(|process| process.stat());
    Ok(stat.map_err(reading(pid, "stat"))?.minflt)
}

/// Bytes that the process has read by system calls since it began, from pipes and files alike
/// (`rchar` of `/proc/PID/io`); `None` where the kernel does not count them
/// (CONFIG_TASK_IO_ACCOUNTING).
pub fn bytes_read(pid: i32) -> Option<u64> {
    let io = Process::new(pid).and_then(|process| process.io());
    io.ok().map(|io| io.rchar)
}

/// The children of a process that nobody has waited for.
///
/// From `/proc/PID/task/TID/children` where the kernel has it (CONFIG_PROC_CHILDREN, Linux 4.2),
/// else from every process that there is. A child of a child that has ended is among them if the
/// process is a subreaper (prctl(2)).
///
/// # Errors
/// When the process is gone or may not be read.
pub fn children_of(pid: i32) -> Result<Vec<i32>, Error> {
    let tasks = Process::new(pid).and_then(|process| process.tasks());
    let listed: Result<Vec<_>, _> = tasks
        .map_err(reading(pid, "task"))?
        .map(|task| task.and_then(|task| task.children()))
        .collect();
    Ok(match listed {
        Ok(listed) => {
            let listed = listed.into_iter().flatten();
            listed
                .filter_map(|child| i32::try_from(child).ok())
                .collect()
        }
        Err(_) => procfs::process::all_processes()
            .map_err(reading(pid, "task"))?
            .filter_map(|process| process.ok()?.stat().ok())
            .filter(|stat| stat.ppid == pid)
            .map(|stat| stat.pid)
            .collect(),
    })
}

/// Whether any page of a process is in swap (`VmSwap` of `/proc/PID/status`); where the kernel does
/// not say, it may be.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn is_in_swap(pid: i32) -> Result<bool, Error> {
    let status = Process::new(pid).and_then(|process| process.status());
    let status = status.map_err(reading(pid, "status"))?;
    Ok(status.vmswap.is_none_or(|kib| kib > 0))
}

/// Returns when the process sleeps, as one does that waits in `read(2)`, or is gone.
///
/// A message arrives a moment before its sender has come to rest; a snapshot in between would miss
/// its last writes.
///
/// # Errors
/// When the process may not be read.
pub fn settle(pid: i32) -> Result<(), Error> {
    let process = Process::new(pid).map_err(reading(pid, "stat"))?;
    // Runnable, or in the kernel on the way to where it will wait.
    while matches!(
        process.stat().map_err(reading(pid, "stat"))?.state,
        'R' | 'D'
    ) {
        std::thread::yield_now();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use procfs::FromBufRead;
    use proptest::prelude::*;

    const HEAD: &str = "5555555-7ffffff ---p 00000000 00:00 0  [rollup]\n";

    fn parse(text: &str) -> Option<(Option<u64>, Option<u64>, Option<u64>)> {
        let rollup = SmapsRollup::from_buf_read(text.as_bytes());
        rollup.ok().map(|rollup| sums(&rollup))
    }

    #[test]
    fn sums_are_in_bytes_and_absent_where_the_kernel_gives_none() {
        let text =
            format!("{HEAD}Rss:  90 kB\nPss:  12 kB\nPrivate_Clean:  4 kB\nPrivate_Dirty:  8 kB\n");
        assert_eq!(parse(&text), Some((Some(12 << 10), Some(12 << 10), None)));
    }

    #[test]
    fn memory_of_a_family_leaves_out_what_anybody_may_map() {
        let sum = |rollup: &str, maps: &str| {
            let rollup = SmapsRollup::from_buf_read(rollup.as_bytes()).unwrap();
            let maps = MemoryMaps::from_buf_read(maps.as_bytes()).unwrap();
            family_sum(&rollup.memory_map_rollup, &maps)
        };
        let rollup = format!("{HEAD}Pss:  900 kB\nPss_Anon:  20 kB\nPss_File:  800 kB\n");
        let maps = "1000-2000 r-xp 00000000 fe:01 7 /usr/lib/libm.so\nPss:  700 kB\n\
                    2000-3000 r--s 00000000 fe:01 8 /usr/lib/gconv-modules.cache\nPss:  3 kB\n\
                    3000-4000 rw-p 00000000 00:00 0 [heap]\nPss:  20 kB\n\
                    4000-5000 rw-s 00000000 00:1a 9 /dev/shm/block\nPss:  64 kB\n";
        assert_eq!(sum(&rollup, maps), Some(84 << 10));
        // As before Linux 5.3.
        assert_eq!(sum(&format!("{HEAD}Pss:  900 kB\n"), maps), None);
    }

    #[test]
    fn parts_tell_shared_memory_from_the_files_of_a_folder() {
        let rollup =
            format!("{HEAD}Pss:  900 kB\nPss_Anon:  20 kB\nPss_File:  800 kB\nPss_Shmem:  64 kB\n");
        let rollup = SmapsRollup::from_buf_read(rollup.as_bytes()).unwrap();
        let maps = "1000-2000 r-xp 00000000 fe:01 7 /usr/lib/libm.so\nPss:  700 kB\n\
                    2000-3000 r--s 00000000 fe:01 8 /tmp/run/data.npy\nPss:  32 kB\nAnonymous:  0 kB\n\
                    3000-4000 rw-p 00000000 fe:01 8 /tmp/run/data.npy\nPss:  8 kB\nAnonymous:  4 kB\n";
        let maps = MemoryMaps::from_buf_read(maps.as_bytes()).unwrap();
        let parts = parts(&rollup.memory_map_rollup, &maps, Path::new("/tmp/run")).unwrap();
        assert_eq!(parts.anonymous_bytes, 20 << 10);
        assert_eq!(parts.shared_memory_bytes, 64 << 10);
        assert_eq!(parts.file_bytes, 36 << 10);
    }

    proptest! {
        #[test]
        fn any_text_is_sums_or_an_error(text in "[A-Za-z_:0-9 \\n]{0,200}") {
            let _ = parse(&format!("{HEAD}{text}"));
            let _ = parse(&text);
        }
    }
}
