//! What happened to a process of a tree, as the kernel's records tell it.

use perf_event::Record;

use crate::frames::Interpreter;

use super::records::{Fault, PERF_RECORD_SAMPLE, bytes, decode};

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A process touched a page that it had to be given.
    Fault(Fault),
    /// It forked this one. Not: it started a thread.
    Forked {
        /// The new process.
        new: i32,
    },
    /// It executes another program now.
    Executed(TaskName),
    /// Its first thread has ended.
    Ended,
    /// It wrote to the place that is watched.
    WrotePlace,
    /// An interpreter ends that is at this place, if that is the process's own.
    InterpreterEnds {
        /// Which.
        of: Interpreter,
    },
}

/// What the kernel calls a process: the file name of its program, or its first 15 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskName([u8; 16]);

impl TaskName {
    /// Of the bytes up to the first zero.
    pub fn new(bytes: &[u8]) -> Self {
        let mut name = [0; 16];
        let bytes = bytes.iter().take(15).take_while(|byte| **byte != 0);
        name.iter_mut()
            .zip(bytes)
            .for_each(|(to, from)| *to = *from);
        Self(name)
    }
}

impl std::fmt::Display for TaskName {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let end = self.0.iter().position(|byte| *byte == 0);
        let bytes = &self.0[..end.unwrap_or(self.0.len())];
        to.write_str(&String::from_utf8_lossy(bytes))
    }
}

/// What happened to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incident {
    /// In nanoseconds of CLOCK_MONOTONIC.
    pub time: u64,
    /// The process.
    pub process: i32,
    /// What.
    pub what: Happened,
}

/// What a record says, if it is one of these (`enum perf_event_type` of linux/perf_event.h).
pub(super) fn incident(record: &Record<'_>) -> Option<Incident> {
    const COMM: u32 = 3;
    const EXIT: u32 = 4;
    const FORK: u32 = 7;
    /// `PERF_RECORD_MISC_COMM_EXEC`.
    const BY_EXEC: u16 = 1 << 13;
    match record.ty() {
        PERF_RECORD_SAMPLE if length(record) == WATCHED => decode_watched(&record.to_vec()),
        PERF_RECORD_SAMPLE => {
            let (process, fault) = decode(bytes(record));
            Some(Incident {
                time: fault.time,
                process: process.cast_signed(),
                what: Happened::Fault(fault),
            })
        }
        kind @ (FORK | EXIT) => decode_task(kind == FORK, &record.to_vec()),
        COMM if record.misc() & BY_EXEC != 0 => {
            let bytes = record.to_vec();
            // Behind the name stand process, thread and time once more (`sample_id_all`).
            let time = bytes.last_chunk::<8>()?;
            Some(Incident {
                time: u64::from_ne_bytes(*time),
                process: number(&bytes, 0)?,
                what: Happened::Executed(TaskName::new(bytes.get(8..)?)),
            })
        }
        _ => None,
    }
}

/// Bytes of a record of a place that is watched, which is shorter than that of a fault: process,
/// thread and time.
const WATCHED: usize = 16;

fn length(record: &Record<'_>) -> usize {
    record.data().iter().map(|part| part.len()).sum()
}

fn decode_watched(bytes: &[u8]) -> Option<Incident> {
    Some(Incident {
        time: u64::from_ne_bytes(bytes.get(8..16)?.try_into().ok()?),
        process: number(bytes, 0)?,
        what: Happened::WrotePlace,
    })
}

/// Process, parent, thread, the parent's thread, and time.
fn decode_task(is_fork: bool, bytes: &[u8]) -> Option<Incident> {
    let (process, parent, thread) = (number(bytes, 0)?, number(bytes, 4)?, number(bytes, 8)?);
    let time = u64::from_ne_bytes(bytes.get(16..24)?.try_into().ok()?);
    let (process, what) = match is_fork {
        true if process != parent => (parent, Happened::Forked { new: process }),
        false if process == thread => (process, Happened::Ended),
        _ => return None,
    };
    Some(Incident {
        time,
        process,
        what,
    })
}

fn number(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(process: i32, parent: i32, thread: i32) -> Vec<u8> {
        let numbers = [process, parent, thread, 0].map(i32::to_ne_bytes);
        [&numbers.concat()[..], &77_u64.to_ne_bytes()].concat()
    }

    #[test]
    fn forks_and_ends_are_those_of_processes_and_not_of_threads() {
        let forked = Incident {
            time: 77,
            process: 4,
            what: Happened::Forked { new: 9 },
        };
        assert_eq!(decode_task(true, &task(9, 4, 9)), Some(forked));
        assert_eq!(decode_task(true, &task(4, 4, 10)), None);
        let ended = Incident {
            time: 77,
            process: 9,
            what: Happened::Ended,
        };
        assert_eq!(decode_task(false, &task(9, 4, 9)), Some(ended));
        assert_eq!(decode_task(false, &task(9, 4, 11)), None);
        assert_eq!(decode_task(true, &[0; 8]), None);
    }
}
