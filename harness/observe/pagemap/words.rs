//! The words of a pagemap as they are, a stretch at a time: of address spaces for whose pages there
//! is no room at once.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use super::super::{Error, PageSet, reading};
use super::absent::Absent;
use super::gaps::{self, Gaps};
use super::{WORD, open};

/// What a word says of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Word(u64);

impl Word {
    const PRESENT: u64 = 1 << 63;
    const SWAP: u64 = 1 << 62;
    const FILE: u64 = 1 << 61;
    const EXCLUSIVE: u64 = 1 << 56;
    const FRAME: u64 = (1 << 55) - 1;
    /// All of it but what is set and cleared by whoever looks (soft-dirty, userfaultfd's and
    /// guards' marks).
    const TOLD: u64 = Self::PRESENT | Self::SWAP | Self::FILE | Self::EXCLUSIVE | Self::FRAME;

    /// Of what the kernel wrote. Where a mark stands, nothing is.
    pub fn new(bits: u64) -> Self {
        let is_absent = bits & (Self::PRESENT | Self::SWAP) == Self::SWAP;
        match is_absent && Absent::of(bits) == Absent::Mark {
            true => Self::default(),
            false => Self(bits & Self::TOLD),
        }
    }

    /// Neither in memory nor in swap.
    pub fn is_nowhere(self) -> bool {
        self.0 & (Self::PRESENT | Self::SWAP) == 0
    }

    /// In swap, or on its way to another frame.
    pub fn is_swapped(self) -> bool {
        self.0 & Self::SWAP != 0
    }

    /// In memory, and of a file or of memory that is shared to write to.
    pub fn is_of_file(self) -> bool {
        self.0 & (Self::PRESENT | Self::FILE) == Self::PRESENT | Self::FILE
    }

    /// In memory, and of no file.
    pub fn is_anonymous(self) -> bool {
        self.0 & (Self::PRESENT | Self::FILE) == Self::PRESENT
    }

    /// Mapped once, in this process.
    pub fn is_exclusive(self) -> bool {
        self.0 & Self::EXCLUSIVE != 0
    }

    /// The page frame of a page in memory; `None` where the kernel hides it.
    pub fn frame(self) -> Option<u64> {
        let frame = self.0 & Self::FRAME;
        (self.0 & Self::PRESENT != 0 && frame != 0).then_some(frame)
    }
}

/// The pagemap of one process.
#[derive(Debug)]
pub struct Pagemap {
    pid: i32,
    file: File,
}

impl Pagemap {
    /// Opens it.
    ///
    /// # Errors
    /// When the process is gone or may not be read.
    pub fn open(pid: i32) -> Result<Self, Error> {
        Ok(Self {
            pid,
            file: open(pid)?,
        })
    }

    /// Fills `words` with those of the pages from `first` on.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn read(&self, first: u64, words: &mut [Word], buffer: &mut Vec<u8>) -> Result<(), Error> {
        buffer.resize(words.len() * WORD, 0);
        self.file
            .read_exact_at(buffer, first * WORD as u64)
            .map_err(|error| self.failed(error))?;
        let (told, _) = buffer.as_chunks::<WORD>();
        for (word, bytes) in words.iter_mut().zip(told) {
            *word = Word::new(u64::from_ne_bytes(*bytes));
        }
        Ok(())
    }

    /// The word of one page; `None` where the process has gone.
    pub fn word_if_there(&self, page: u64) -> Option<Word> {
        let mut bytes = [0; WORD];
        let read = self.file.read_exact_at(&mut bytes, page * WORD as u64);
        read.ok().map(|()| Word::new(u64::from_ne_bytes(bytes)))
    }

    /// The same, nowhere where the process has gone.
    pub fn word(&self, page: u64) -> Word {
        self.word_if_there(page).unwrap_or_default()
    }

    /// Where something is in its mappings.
    pub fn gaps(&self) -> Gaps<'_> {
        Gaps::new(self.pid, &self.file)
    }

    /// Which of these pages are part of a huge page, and which are the kernel's page of zeros;
    /// `None` where the kernel does not tell (before Linux 6.7).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn huge_and_zero(&self, ranges: &[Range<u64>]) -> Result<Option<[PageSet; 2]>, Error> {
        gaps::huge_and_zero(&self.file, ranges).map_err(|error| self.failed(error))
    }

    /// A process whose memory has gone has a pagemap without a word in it.
    fn failed(&self, error: std::io::Error) -> Error {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Error::Gone { pid: self.pid },
            _ => reading(self.pid, "pagemap")(error.into()),
        }
    }
}

/// What the kernel says of page frames (`/proc/kpageflags`); for root.
#[derive(Debug)]
pub struct FrameFlags(File);

impl FrameFlags {
    /// `PG_anon_exclusive` has the place of `PG_mappedtodisk`, which means something of files alone
    /// (`KPF_MAPPEDTODISK` of Linux `include/linux/kernel-page-flags.h`, as tools/mm/page-types.c
    /// reads it).
    const ANONYMOUS: u64 = 1 << 12;
    const EXCLUSIVE: u64 = 1 << 34;
    /// Of a page of several frames: `KPF_COMPOUND_HEAD`, `KPF_COMPOUND_TAIL` and `KPF_THP`.
    const COMPOUND: u64 = 1 << 15 | 1 << 16 | 1 << 22;

    /// Opens it; `None` where this process may not, or before Linux 5.19, which has no such flag.
    pub fn open() -> Option<Self> {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
        let mut numbers = release
            .split(|letter: char| !letter.is_ascii_digit())
            .map(|number| number.parse::<u32>().unwrap_or(0));
        let version = (numbers.next()?, numbers.next()?);
        (version >= (5, 19))
            .then(|| File::open("/proc/kpageflags").ok())
            .flatten()
            .map(Self)
    }

    /// Of an anonymous page: whether its process has written or made it since that process last
    /// forked. `None`: it is none, or a part of a larger one, whose parts all show the flags of the
    /// first; that is right where one entry maps all of them (`huge`).
    pub fn is_written_since_fork(&self, frame: u64, huge: bool) -> Option<bool> {
        // One at a time: of many at once the kernel looks at each frame between.
        let mut word = [0; WORD];
        self.0.read_exact_at(&mut word, frame * WORD as u64).ok()?;
        let flags = u64::from_ne_bytes(word);
        let told = flags & Self::ANONYMOUS != 0 && (huge || flags & Self::COMPOUND == 0);
        told.then_some(flags & Self::EXCLUSIVE != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_the_kernel_documents() {
        let anonymous = Word::new(1 << 63 | 1 << 55 | 7);
        assert!(anonymous.is_anonymous() && !anonymous.is_exclusive());
        assert_eq!(anonymous.frame(), Some(7));
        assert_eq!(anonymous, Word::new(1 << 63 | 7));
        let file = Word::new(1 << 63 | 1 << 61 | 1 << 56);
        assert!(file.is_of_file() && !file.is_anonymous() && file.is_exclusive());
        assert_eq!(file.frame(), None);
        assert!(Word::new(1 << 62 | 31 | 4 << 5).is_nowhere());
        let swapped = Word::new(1 << 62 | 9);
        assert!(swapped.is_swapped() && !swapped.is_anonymous() && !swapped.is_nowhere());
        assert_eq!(swapped.frame(), None);
        assert!(Word::new(1 << 55).is_nowhere());
    }
}
