//! The processes of this machine, for a recording.

use super::now;
use crate::live::family::Member;
use crate::live::recording::{PageWords, ProcessSource};
use crate::observe::{PageSet, Pagemap, ReadWords, Word, anonymous_pages, mappings};

/// So many nanoseconds after a fork a look at what the parent has tells no more what it had then.
const LATE: u64 = 20_000_000;

/// The processes of this machine.
#[derive(Debug)]
pub struct Machine;

impl ProcessSource for Machine {
    type Memory = ReadWords;

    fn open(&mut self, pid: i32) -> Option<(Member, Option<ReadWords>)> {
        let member = Member::read(pid)?;
        // Of one that has ended, and that nobody has waited for, it can be opened on some kernels, and has nothing.
        let memory = Pagemap::open(pid).ok();
        let memory = memory.filter(|memory| memory.word_if_there(0).is_some());
        Some((member, memory.map(ReadWords::new)))
    }

    fn pages(&mut self, pid: i32, since: u64) -> Option<PageSet> {
        if now().saturating_sub(since) > LATE {
            return None;
        }
        anonymous_pages(pid, &mappings(pid).ok()?.ranges).ok()
    }
}

impl PageWords for ReadWords {
    fn word(&self, page: u64) -> Option<Word> {
        self.word_if_there(page)
    }

    fn read_anew(&self) {
        Self::read_anew(self);
    }
}
