//! Where each series of CPython has what leads to a thread's frames, in builds of 64 bits.

use super::memory::{ReadMemory, field, is_address};

/// Why no frame of an interpreter can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownLayout {
    /// Its version is not known.
    #[error("refcow does not know the frames of this version of Python")]
    Version,
    /// The memory of the process cannot be read, or is not what it should be.
    #[error("the interpreter's memory does not say where its frames are")]
    Memory,
}

/// Offsets within the structs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuntimeLayout {
    /// `_PyRuntimeState`: the first interpreter.
    pub(super) interpreters: u64,
    /// `PyInterpreterState`.
    pub(super) next_interpreter: u64,
    pub(super) threads: u64,
    /// `PyThreadState`.
    pub(super) next_thread: u64,
    pub(super) thread_id: u64,
    /// The innermost frame, or what holds its address, and where that does.
    pub(super) current: u64,
    pub(super) current_in: Option<u64>,
    pub(super) frame: Frame,
    pub(super) code: CodeObject,
}

/// `PyFrameObject`, since 3.11 `_PyInterpreterFrame`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) previous: u64,
    pub(super) code: u64,
    /// Where it is in its code.
    pub(super) place: u64,
    /// Who holds the frame; those of C are marked there.
    pub(super) owner: Option<u64>,
    /// Whether the low bits of the code's address mean something else.
    is_tagged: bool,
}

/// `PyCodeObject`, with the objects that it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CodeObject {
    pub(super) file: u64,
    pub(super) function: u64,
    pub(super) first_line: u64,
    pub(super) line_table: u64,
    pub(super) line_table_is: LineTable,
    /// Where its instructions begin; `None` where frames count from there.
    instructions: Option<u64>,
    pub(super) bytes_length: u64,
    pub(super) bytes_content: u64,
    pub(super) text_length: u64,
    pub(super) text_state: u64,
    /// Bytes before the letters of a str of ASCII.
    pub(super) ascii_head: u64,
    /// Whether other ones have the length of their wide characters, too (PEP 623).
    pub(super) text_has_wide_head: bool,
}

/// How lines are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineTable {
    /// `co_lnotab`: steps of both bytes and lines.
    Steps,
    /// Ranges of bytes, each with a step of lines (PEP 626).
    Ranges,
    /// With columns (PEP 657).
    Locations,
}

impl RuntimeLayout {
    pub(super) fn of(
        minor: u8,
        runtime: u64,
        read: &mut impl ReadMemory,
    ) -> Result<Self, UnknownLayout> {
        match minor {
            8..=12 => Ok(Self::of_series(minor)),
            13..=15 => Self::told(minor, runtime, read),
            _ => Err(UnknownLayout::Version),
        }
    }

    /// As the headers of 3.8.18, 3.9.18, 3.10.13, 3.11.7 and 3.12.1 have them.
    fn of_series(minor: u8) -> Self {
        let old_code = CodeObject {
            file: 104,
            function: 112,
            first_line: 40,
            line_table: 120,
            line_table_is: if minor < 10 {
                LineTable::Steps
            } else {
                LineTable::Ranges
            },
            instructions: None,
            bytes_length: 16,
            bytes_content: 32,
            text_length: 16,
            text_state: 32,
            ascii_head: 48,
            text_has_wide_head: true,
        };
        match minor {
            ..=10 => Self {
                interpreters: 32,
                next_interpreter: 0,
                threads: 8,
                next_thread: 8,
                thread_id: 176,
                current: 24,
                current_in: None,
                frame: Frame {
                    previous: 24,
                    code: 32,
                    place: if minor < 10 { 104 } else { 96 },
                    owner: None,
                    is_tagged: false,
                },
                code: old_code,
            },
            11 => Self {
                interpreters: 40,
                next_interpreter: 0,
                threads: 16,
                next_thread: 8,
                thread_id: 152,
                current: 56,
                current_in: Some(8),
                frame: Frame {
                    previous: 48,
                    code: 32,
                    place: 56,
                    owner: Some(69),
                    is_tagged: false,
                },
                code: CodeObject {
                    file: 112,
                    function: 128,
                    first_line: 72,
                    line_table: 136,
                    line_table_is: LineTable::Locations,
                    instructions: Some(184),
                    ..old_code
                },
            },
            _ => Self {
                interpreters: 40,
                next_interpreter: 0,
                threads: 72,
                next_thread: 8,
                thread_id: 136,
                current: 56,
                current_in: Some(0),
                frame: Frame {
                    previous: 8,
                    code: 0,
                    place: 56,
                    owner: Some(70),
                    is_tagged: false,
                },
                code: CodeObject {
                    file: 112,
                    function: 128,
                    first_line: 68,
                    line_table: 136,
                    line_table_is: LineTable::Locations,
                    instructions: Some(192),
                    ascii_head: 40,
                    text_has_wide_head: false,
                    ..old_code
                },
            },
        }
    }

    /// As the interpreter itself says (`_Py_DebugOffsets`). Which word says what differs from
    /// series to series.
    fn told(minor: u8, runtime: u64, read: &mut impl ReadMemory) -> Result<Self, UnknownLayout> {
        const COOKIE: [u8; 8] = *b"xdebugpy";
        /// More than any series has of them that are read here.
        const WORDS: u64 = 96;
        let words: Option<Vec<u64>> = (0..WORDS)
            .map(|index| field(read, runtime, index * 8))
            .collect();
        let words = words.ok_or(UnknownLayout::Memory)?;
        let version = words[1] >> 16;
        if words[0] != u64::from_ne_bytes(COOKIE) || version != 0x300 | u64::from(minor) {
            return Err(UnknownLayout::Memory);
        }
        // Next interpreter; next thread, current frame, thread; previous frame, code, place, owner;
        // file, qualified name, table, first line, instructions; length and content of bytes; state
        // and length of a str, and its head.
        let places: [usize; 18] = match minor {
            13 => [
                8, 21, 23, 24, 29, 30, 31, 33, 35, 37, 38, 39, 43, 65, 66, 68, 69, 70,
            ],
            14 => [
                8, 24, 26, 27, 32, 33, 34, 36, 40, 42, 43, 44, 48, 75, 76, 78, 79, 80,
            ],
            _ => [
                8, 24, 26, 30, 40, 41, 42, 44, 48, 50, 51, 52, 56, 87, 88, 90, 91, 92,
            ],
        };
        let at = places.map(|place| words[place]);
        // Larger than any struct of theirs: not what it is taken for.
        if at.iter().any(|offset| *offset > 1 << 20) {
            return Err(UnknownLayout::Memory);
        }
        Ok(Self {
            interpreters: words[5],
            next_interpreter: at[0],
            threads: words[9],
            next_thread: at[1],
            thread_id: at[3],
            current: at[2],
            current_in: None,
            frame: Frame {
                previous: at[4],
                code: at[5],
                place: at[6],
                owner: Some(at[7]),
                is_tagged: minor >= 14,
            },
            code: CodeObject {
                file: at[8],
                function: at[9],
                line_table: at[10],
                first_line: at[11],
                line_table_is: LineTable::Locations,
                instructions: Some(at[12]),
                bytes_length: at[13],
                bytes_content: at[14],
                text_state: at[15],
                text_length: at[16],
                ascii_head: at[17],
                text_has_wide_head: false,
            },
        })
    }

    /// The innermost frame of a state; 0 if it has none.
    pub(super) fn current_frame(&self, state: u64, read: &mut impl ReadMemory) -> Option<u64> {
        let frame = field(read, state, self.current)?;
        match self.current_in {
            Some(at) => field(read, frame, at),
            None => Some(frame),
        }
    }

    /// In what the line table counts from the first instruction on: bytes before 3.10, else units
    /// of two.
    pub(super) fn place(&self, code: u64, of_frame: u64) -> i64 {
        match self.code.instructions {
            Some(at) => of_frame.wrapping_sub(code + at).cast_signed() / 2,
            // An int, of which only half of the word is read.
            None => i64::from((of_frame as u32).cast_signed()),
        }
    }
}

impl Frame {
    /// Which bits of the code's address count.
    pub(super) fn code_mask(&self) -> u64 {
        if self.is_tagged { !7 } else { !0 }
    }

    /// Its code, if it is one of Python; where it is in that, and its caller's frame.
    pub(super) fn read(
        &self,
        frame: u64,
        read: &mut impl ReadMemory,
    ) -> Option<(Option<u64>, u64, u64)> {
        /// `FRAME_OWNED_BY_CSTACK` and those behind it.
        const OF_C: u64 = 3;
        // One read for all fields.
        const BYTES: usize = 120;
        let mut bytes = [0; BYTES];
        let end = [
            self.previous,
            self.code,
            self.place,
            self.owner.unwrap_or(0),
        ];
        let end = usize::try_from(end.into_iter().max()?).ok()? + 8;
        if !is_address(frame) || !read(frame, bytes.get_mut(..end)?) {
            return None;
        }
        let at = |offset: u64| {
            let start = usize::try_from(offset).ok()?;
            let word = bytes.get(start..start + 8)?.try_into().ok()?;
            Some(u64::from_ne_bytes(word))
        };
        let code = at(self.code)? & self.code_mask();
        let is_of_c = match self.owner {
            Some(owner) => at(owner)? & 0xff >= OF_C,
            None => false,
        };
        Some((
            (!is_of_c).then_some(code),
            at(self.place)?,
            at(self.previous)?,
        ))
    }
}

impl CodeObject {
    /// The first of the fields that are read.
    pub(super) fn first(&self) -> u64 {
        self.fields().into_iter().min().unwrap_or(0)
    }

    /// How many bytes hold all of them.
    pub(super) fn bytes(&self) -> usize {
        let last = self.fields().into_iter().max().unwrap_or(0);
        usize::try_from(last - self.first() + 8).unwrap_or(0)
    }

    fn fields(&self) -> [u64; 4] {
        [self.file, self.function, self.first_line, self.line_table]
    }
}
