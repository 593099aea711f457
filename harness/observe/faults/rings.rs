//! Memory in which the kernel writes records: how much of it, and for which processors.

use std::io;

use nix::errno::Errno;
use perf_event::events::Software;
use perf_event::{Builder, Clock, ReadFormat, SampleFlag, Sampler};
use procfs::process::Process;

use crate::page_size;
use crate::unavailable::{Attempt, Unavailable};

/// Memory for the rings of all processors together, in bytes, where the limits allow it. Only while
/// recording.
pub(super) const RINGS_BYTES: usize = 32 << 20;

/// At most this for the records of one: 100,000 records, for which a process needs some 50 ms at
/// least.
pub(super) const RING_BYTES: usize = 4 << 20;

/// Less than this would lose most.
pub(super) const LEAST_BYTES: usize = 32 << 10;

/// Why there is no ring.
pub(super) enum RingRefused {
    /// For want of memory that may be locked: less may be granted.
    Memory(Unavailable),
    Other(Unavailable),
}

impl From<Unavailable> for RingRefused {
    fn from(unavailable: Unavailable) -> Self {
        Self::Other(unavailable)
    }
}

impl From<RingRefused> for Unavailable {
    fn from(refused: RingRefused) -> Self {
        match refused {
            RingRefused::Memory(unavailable) | RingRefused::Other(unavailable) => unavailable,
        }
    }
}

/// Does something with rings of one size for each processor that a process may run on: the largest
/// that the limits allow.
pub(super) fn as_large_as_may_be<T>(
    pid: i32,
    with: impl Fn(&[usize], usize) -> Result<T, RingRefused>,
) -> Result<T, Unavailable> {
    let processors = processors_of(pid)?;
    let mut bytes = ring_bytes(processors.len(), page_bytes());
    loop {
        // An ordinary user may lock so much memory and no more, all its rings together (EPERM); see
        // perf_mmap in kernel/events/core.c. With less of it, only the thread that takes them up
        // must come sooner.
        match with(&processors, bytes) {
            Err(RingRefused::Memory(_)) if bytes > LEAST_BYTES => bytes /= 2,
            answer => return Ok(answer?),
        }
    }
}

/// A ring for each of these processors, all switched off.
pub(super) fn rings(
    pid: i32,
    processors: &[usize],
    bytes: usize,
) -> Result<Vec<Sampler>, RingRefused> {
    let each = processors.iter();
    each.map(|processor| ring(Some(pid), *processor, bytes))
        .collect()
}

/// The event, switched off, and the ring of one processor, for a process or the calling thread.
///
/// One a processor, as the kernel gives no ring to an event of all processors that threads inherit
/// (perf_mmap in kernel/events/core.c).
pub(super) fn ring(
    pid: Option<i32>,
    processor: usize,
    bytes: usize,
) -> Result<Sampler, RingRefused> {
    let mut event = event(pid);
    event
        .sample_period(1)
        .sample(SampleFlag::IP | SampleFlag::TID | SampleFlag::TIME | SampleFlag::ADDR)
        .clockid(Clock::MONOTONIC)
        .one_cpu(processor)
        // Early enough for the thread to come while there is room, and seldom enough to cost the
        // process nothing.
        .wakeup_watermark(bytes / 4);
    let event = event.build().map_err(Attempt::Open.failed())?;
    event.sampled(bytes).map_err(|error| {
        let memory = matches!(
            error.raw_os_error().map(Errno::from_raw),
            Some(Errno::EPERM | Errno::ENOMEM)
        );
        let unavailable = Attempt::Map.failed()(error);
        if memory {
            RingRefused::Memory(unavailable)
        } else {
            RingRefused::Other(unavailable)
        }
    })
}

/// The event of a process or the calling thread, switched off, on whichever processor it runs.
pub(super) fn event(pid: Option<i32>) -> Builder<'static> {
    let mut event = Builder::new(Software::PAGE_FAULTS_MIN);
    event
        .read_format(ReadFormat::empty())
        .exclude_kernel(true)
        .exclude_hv(true)
        .inherit(true);
    match pid {
        Some(pid) => event.observe_pid(pid),
        None => event.observe_self(),
    };
    event
}

pub(super) fn page_bytes() -> usize {
    usize::try_from(page_size()).unwrap_or(usize::MAX)
}

/// How many bytes of records each ring has: a power of two, with a page of the ring's own within
/// [`RINGS_BYTES`].
pub(super) fn ring_bytes(rings: usize, page: usize) -> usize {
    let each = (RINGS_BYTES / rings.max(1)).saturating_sub(page);
    let each = each.clamp(page, RING_BYTES);
    // Half of the next one, rounded up, is the one before.
    (each / 2 + 1).next_power_of_two()
}

/// Numbers of the processors that a process may run on, by its own choice or that of its cpuset,
/// and that are switched on.
pub(super) fn processors_of(pid: i32) -> Result<Vec<usize>, Unavailable> {
    let mut processors = online_processors()?;
    let status = Process::new(pid).and_then(|process| process.status());
    if let Some(allowed) = status.ok().and_then(|status| status.cpus_allowed_list) {
        processors.retain(|processor| {
            let mut ranges = allowed.iter();
            ranges.any(|(first, last)| (*first as usize..=*last as usize).contains(processor))
        });
    }
    Ok(processors)
}

/// Numbers of the processors that are switched on. One that is switched on later has no event.
pub(super) fn online_processors() -> Result<Vec<usize>, Unavailable> {
    let failed = Attempt::Other("reading the list of processors").failed();
    let (text, numbers): (_, fn(&str) -> _) =
        match std::fs::read_to_string("/sys/devices/system/cpu/online") {
            // A sandbox may have no /sys.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                (std::fs::read_to_string("/proc/stat"), numbers_of_stat)
            }
            list => (list, numbers),
        };
    let text = text.map_err(&failed)?;
    numbers(text.trim()).ok_or_else(|| failed(io::Error::other(format!("{text:?}"))))
}

/// The lines `cpu0 …` of /proc/stat, which has those alone that are switched on (fs/proc/stat.c).
fn numbers_of_stat(stat: &str) -> Option<Vec<usize>> {
    let names = stat.lines().filter_map(|line| line.strip_prefix("cpu"));
    let numbers = names.filter_map(|rest| rest.split(' ').next());
    let all: Result<Vec<usize>, _> = numbers
        .filter(|number| !number.is_empty())
        .map(str::parse)
        .collect();
    all.ok().filter(|all| !all.is_empty())
}

/// `0-3,5` (Documentation/admin-guide/cputopology.rst).
fn numbers(list: &str) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        all.extend(first.parse().ok()?..=last.parse::<usize>().ok()?);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read_with_their_gaps() {
        assert_eq!(numbers("0"), Some(vec![0]));
        assert_eq!(numbers("0-2,5,7-8"), Some(vec![0, 1, 2, 5, 7, 8]));
        assert_eq!(numbers(""), None);
        assert_eq!(numbers("0-"), None);
    }

    #[test]
    fn without_sys_they_are_those_of_proc() {
        let stat = "cpu  10 0 5 9\ncpu0 5 0 2 4\ncpu3 5 0 3 5\nintr 7 0\nctxt 9\n";
        assert_eq!(numbers_of_stat(stat), Some(vec![0, 3]));
        assert_eq!(numbers_of_stat("cpu  10 0\nintr 7"), None);
        assert_eq!(numbers_of_stat("cpux 10 0"), None);
        let here = std::fs::read_to_string("/proc/stat").unwrap();
        assert_eq!(numbers_of_stat(&here), online_processors().ok());
    }

    #[test]
    fn all_rings_together_are_within_their_limit() {
        for page in [4 << 10, 64 << 10] {
            for rings in 1..=256 {
                let bytes = ring_bytes(rings, page);
                assert!(bytes.is_power_of_two() && bytes >= page);
                assert!(rings * (bytes + page) <= RINGS_BYTES, "{rings} of {bytes}");
            }
        }
        assert_eq!(ring_bytes(1, 4 << 10), RING_BYTES);
        assert_eq!(ring_bytes(7, 4 << 10), RING_BYTES);
        assert_eq!(ring_bytes(8, 4 << 10), RING_BYTES / 2);
        assert_eq!(ring_bytes(256, 4 << 10), 64 << 10);
        assert_eq!(ring_bytes(0, 4 << 10), RING_BYTES);
        assert_eq!(ring_bytes(100_000, 4 << 10), 4 << 10);
    }
}
