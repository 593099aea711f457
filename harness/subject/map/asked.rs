//! What the mapper is about, where the observer can read it after the mapper's death: a type's
//! broken `tp_traverse` ends the process, and then its name is the one thing that helps.

use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use refcow_protocol::ASKED_BYTES;

use crate::handed;

/// The head of the map's file: first where the name of the type stands whose object is being asked
/// (0: none), then names, each behind its length, all numbers as 64 bits.
pub(super) struct Asked {
    words: NonNull<u64>,
    /// Where the name of each type stands; 0 of those for which there was no room.
    names: Vec<u64>,
    end: u64,
}

const WORD: u64 = size_of::<u64>() as u64;

impl Asked {
    /// Maps the head of the file, shared with the observer.
    pub(super) fn new() -> std::io::Result<Self> {
        let length = usize::try_from(ASKED_BYTES).expect("some pages");
        let length = length.try_into().expect("more than nothing");
        let file = handed::map()?;
        #[expect(unsafe_code, reason = "nix leaves mapping to its caller")]
        // SAFETY: a new mapping, at an address of the kernel's choice, of a file that the observer
        // has made that long.
        let mapped = unsafe {
            mmap(
                None,
                length,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
                file,
                0,
            )
        }?;
        let asked = Self {
            words: mapped.cast(),
            names: Vec::new(),
            end: WORD,
        };
        asked.write(0, 0);
        Ok(asked)
    }

    /// Writes down the next type.
    pub(super) fn add_type(&mut self, name: &str) {
        let bytes = name.as_bytes();
        let length = (bytes.len() as u64).next_multiple_of(WORD);
        if self.end + WORD + length > ASKED_BYTES {
            self.names.push(0);
            return;
        }
        self.names.push(self.end);
        self.write(self.end, bytes.len() as u64);
        for (place, chunk) in (self.end + WORD..).step_by(8).zip(bytes.chunks(8)) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write(place, u64::from_ne_bytes(word));
        }
        self.end += WORD + length;
    }

    /// From now on an object of this type, by its place in the order of [`Asked::add_type`], is
    /// being asked.
    pub(super) fn at(&self, of_type: u32) {
        self.write(0, self.names[of_type as usize]);
    }

    /// No object is.
    pub(super) fn end(&self) {
        self.write(0, 0);
    }

    fn write(&self, place: u64, value: u64) {
        debug_assert!(place.is_multiple_of(WORD) && place + WORD <= ASKED_BYTES);
        #[expect(unsafe_code, reason = "a mapping is bare memory")]
        // SAFETY: within the mapping, which lives as long as this process, and aligned. Volatile,
        // as it is read by another process after this one has gone.
        unsafe {
            self.words.byte_add(place as usize).write_volatile(value);
        }
    }
}
