//! What the program writes.

use super::Stack;
use super::instructions::{FRAME, HEAD, status};
use crate::frames::{Interpreter, NoLine, Ran};

/// What the program writes.
pub(super) struct Record<'a> {
    pub(super) time: u64,
    pub(super) process: i32,
    pub(super) thread: i32,
    pub(super) address: u64,
    pub(super) instruction: u64,
    pub(super) status: i32,
    pub(super) tree: usize,
    pub(super) ending: u64,
    pub(super) frames: &'a [u8],
}

impl<'a> Record<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (head, frames) = bytes.split_at_checked(HEAD as usize)?;
        let (words, _) = head.as_chunks::<8>();
        let word = |at: usize| u64::from_ne_bytes(words[at]);
        let packed = word(4);
        Some(Self {
            time: word(0),
            thread: (word(1) as u32).cast_signed(),
            process: ((word(1) >> 32) as u32).cast_signed(),
            address: word(2),
            instruction: word(3),
            status: (packed & 0xff) as i32,
            tree: (packed >> 8 & 0xff) as usize,
            ending: packed >> 16,
            frames,
        })
    }

    /// What the thread ran, if it was looked at.
    pub(super) fn stack(&self, interpreters: &[Option<Interpreter>]) -> Option<Stack> {
        let frames = match self.status {
            status::NOT_LOOKED => return None,
            status::NO_ROOM => return Some(Stack::MISSED),
            status::NO_FRAME => Err(NoLine::NoFrame),
            status::SEVERAL => Err(NoLine::SeveralInterpreters),
            status::FRAMES | status::UNREADABLE if !self.frames.is_empty() => {
                let (frames, _) = self.frames.as_chunks::<{ FRAME as usize }>();
                let word = |bytes: &[u8]| {
                    bytes
                        .iter()
                        .rev()
                        .fold(0, |word, byte| word << 8 | u64::from(*byte))
                };
                let frame = |frame: &[u8; FRAME as usize]| Ran {
                    code: word(&frame[..8]),
                    place: word(&frame[8..16]),
                    table: word(&frame[16..]),
                };
                Ok(frames.iter().map(frame).collect())
            }
            status::FRAMES => Err(NoLine::NoFrame),
            _ => Err(NoLine::Unreadable),
        };
        Some(Stack {
            of: Some((*interpreters.get(self.tree)?)?),
            frames,
        })
    }
}
