//! What the kernel writes of a page fault.

use perf_event::Record;

/// One minor page fault of user code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The address that was touched, to the byte.
    pub address: u64,
    /// The address of the instruction that touched it.
    pub instruction: u64,
    /// When the kernel had dealt with it, in nanoseconds of CLOCK_MONOTONIC.
    pub time: u64,
    /// The thread that touched it; that of a process's first thread is the process's own.
    pub thread: i32,
    /// What that thread ran, if it was looked at ([`super::TreeRecorder::stack`]).
    pub stack: Option<StackNumber>,
}

/// The number of a [`super::Stack`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StackNumber(pub(super) u32);

/// `enum perf_event_type` of linux/perf_event.h.
pub(super) const PERF_RECORD_SAMPLE: u32 = 9;

/// Length of a record of ours behind its header: instruction, process and thread, time, address.
pub(super) const SAMPLE: usize = 32;

/// A record's bytes in one piece; it may run over the end of the ring.
pub(super) fn bytes(record: &Record<'_>) -> [u8; SAMPLE] {
    let mut whole = [0; SAMPLE];
    let mut left = &mut whole[..];
    for part in record.data() {
        let length = part.len().min(left.len());
        left[..length].copy_from_slice(&part[..length]);
        left = &mut left[length..];
    }
    whole
}

/// The process and its fault. The order of the fields is that of `PERF_RECORD_SAMPLE` in
/// linux/perf_event.h.
pub(super) fn decode(record: [u8; SAMPLE]) -> (u32, Fault) {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&record[at..at + 8]);
        u64::from_ne_bytes(word)
    };
    let half = |at: usize| {
        let mut half = [0; 4];
        half.copy_from_slice(&record[at..at + 4]);
        half
    };
    let fault = Fault {
        instruction: word(0),
        thread: i32::from_ne_bytes(half(12)),
        time: word(16),
        address: word(24),
        stack: None,
    };
    (u32::from_ne_bytes(half(8)), fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_decoded_field_by_field() {
        let mut record = [0; SAMPLE];
        record[..8].copy_from_slice(&0x7f00_1234_u64.to_ne_bytes());
        record[8..12].copy_from_slice(&41_u32.to_ne_bytes());
        record[12..16].copy_from_slice(&42_u32.to_ne_bytes());
        record[16..24].copy_from_slice(&9_000_000_001_u64.to_ne_bytes());
        record[24..].copy_from_slice(&0x7f55_5678_u64.to_ne_bytes());
        let fault = Fault {
            instruction: 0x7f00_1234,
            thread: 42,
            time: 9_000_000_001,
            address: 0x7f55_5678,
            stack: None,
        };
        assert_eq!(decode(record), (41, fault));
    }
}
