//! The kernel's own sums about a process: cruder than pages, and independent of them.

use procfs::process::{Process, SmapsRollup};

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

/// Resident memory of a process in bytes, shared pages included (`Rss` of `/proc/PID/smaps_rollup`); `None` where that
/// cannot be read.
pub fn rss_bytes(pid: i32) -> Option<u64> {
    let rollup = Process::new(pid).and_then(|process| process.smaps_rollup());
    let rollup = rollup.ok()?;
    let map = rollup.memory_map_rollup.iter().next()?;
    map.extension.map.get("Rss").copied()
}

/// Minor page faults since the process began, from `/proc/PID/stat` alone: the sums above make the kernel look at every
/// page of the process.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn minor_faults(pid: i32) -> Result<u64, Error> {
    let stat = Process::new(pid).and_then(|process| process.stat());
    Ok(stat.map_err(reading(pid, "stat"))?.minflt)
}

/// Bytes that the process has read by system calls since it began, from pipes and files alike (`rchar` of
/// `/proc/PID/io`); `None` where the kernel does not count them (CONFIG_TASK_IO_ACCOUNTING).
pub fn bytes_read(pid: i32) -> Option<u64> {
    let io = Process::new(pid).and_then(|process| process.io());
    io.ok().map(|io| io.rchar)
}

/// The children of a process that nobody has waited for.
///
/// From `/proc/PID/task/TID/children` where the kernel has it (CONFIG_PROC_CHILDREN, Linux 4.2), else from every process
/// that there is. A child of a child that has ended is among them if the process is a subreaper (prctl(2)).
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

/// Whether any page of a process is in swap (`VmSwap` of `/proc/PID/status`); where the kernel does not say, it may be.
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
/// A message arrives a moment before its sender has come to rest; a snapshot in between would miss its last writes.
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

    proptest! {
        #[test]
        fn any_text_is_sums_or_an_error(text in "[A-Za-z_:0-9 \\n]{0,200}") {
            let _ = parse(&format!("{HEAD}{text}"));
            let _ = parse(&text);
        }
    }
}
