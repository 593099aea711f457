//! Which line of Python a thread of another process runs, read from its memory while it stands
//! still.
//!
//! From 3.13 on the interpreter says itself where its structs have their fields
//! (`_Py_DebugOffsets`, the first thing of `_PyRuntime`); before, they are the same in all releases
//! of a series. A series that is not known has no lines: nothing here is guessed.

mod code;
mod layout;
mod line_table;
mod memory;

use std::collections::HashMap;
use std::sync::Arc;

use code::{KnownCode, known_code};
use layout::RuntimeLayout;
use memory::{field, is_address};
use serde::{Deserialize, Serialize};

pub use code::IsOwn;
pub use layout::UnknownLayout;
pub use memory::ReadMemory;

/// Where a thread was, as `FUNCTION (FILE:LINE)`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunningAt {
    /// The innermost line.
    pub line: Arc<str>,
    /// The innermost one of the user's own code that had called it; `None` where that is the line
    /// itself, or none had.
    pub own: Option<Arc<str>>,
}

/// Why it is not known where a thread was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NoLine {
    /// No Python had called what ran there: the interpreter begins or ends, or the thread is not
    /// Python's.
    NoFrame,
    /// It runs Python in several interpreters of the process at once.
    SeveralInterpreters,
    /// What its frame says makes no sense, as while it is being made.
    Unreadable,
    /// What it ran had been freed before it was looked up, or its process had ended.
    Gone,
    /// What it ran was not written down when it wrote: there was no room for that, or what does it was not there yet.
    Missed,
}

impl NoLine {
    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoFrame => "no Python was running",
            Self::SeveralInterpreters => "the thread ran Python in several interpreters",
            Self::Unreadable => "the frame could not be read",
            Self::Gone => "what ran was gone before refcow looked it up",
            Self::Missed => "refcow was too slow to look, or had only just begun",
        }
    }
}

/// Reads frames of an interpreter, in the process that started it and in all that were forked from
/// that.
pub struct RemoteFrames {
    layout: RuntimeLayout,
    /// Address of `_PyRuntime`.
    runtime: u64,
    is_own: IsOwn,
    /// Code by its address.
    codes: HashMap<u64, KnownCode>,
    /// The state of each thread of the system, where it was last.
    states: HashMap<i32, u64>,
}

/// Which interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interpreter {
    /// CPython 3.`minor`.
    pub minor: u8,
    /// The address of `_PyRuntime`.
    pub runtime: u64,
}

/// What leads to a thread's frames, for whoever goes there on a way of its own.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    /// The address of the address of the first interpreter.
    pub(crate) first_interpreter: u64,
    /// Places within the structs, as [`layout`] has them.
    pub(crate) threads: u64,
    pub(crate) next_interpreter: u64,
    pub(crate) next_thread: u64,
    pub(crate) thread_id: u64,
    pub(crate) current: u64,
    pub(crate) current_in: Option<u64>,
    pub(crate) owner: Option<u64>,
    pub(crate) previous: u64,
    pub(crate) code: u64,
    pub(crate) place: u64,
    pub(crate) code_mask: u64,
    /// In a code.
    pub(crate) line_table: u64,
}

/// What a frame ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ran {
    /// The address of its code.
    pub code: u64,
    /// The place in that, as the frame has it.
    pub place: u64,
    /// The address of the code's table of lines: where another one stands later, it is another code.
    pub table: u64,
}

/// Longer lists than this are none.
const MOST_STATES: usize = 10_000;
/// As many frames are looked through for the user's own.
const MOST_FRAMES: usize = 500;
/// So many codes are remembered.
const MOST_CODES: usize = 100_000;
impl std::fmt::Debug for RemoteFrames {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Frames")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}

impl RemoteFrames {
    /// Of CPython 3.`minor`, whose `_PyRuntime` is at this address.
    ///
    /// # Errors
    /// When it is not known where it has its frames.
    pub fn new(
        minor: u8,
        runtime: u64,
        is_own: IsOwn,
        read: &mut impl ReadMemory,
    ) -> Result<Self, UnknownLayout> {
        Ok(Self {
            layout: RuntimeLayout::of(minor, runtime, read)?,
            runtime,
            is_own,
            codes: HashMap::new(),
            states: HashMap::new(),
        })
    }

    /// Whether the interpreter has begun: there is a thread that can run Python.
    pub fn has_begun(&self, read: &mut impl ReadMemory) -> bool {
        let interpreter = field(read, self.runtime, self.layout.interpreters);
        let thread = interpreter.and_then(|of| field(read, of, self.layout.threads));
        thread.is_some_and(|thread| thread != 0)
    }

    /// What a thread runs that stands still: `identity` is what pthread_self(3) is in it.
    ///
    /// # Errors
    /// With the reason when that is not known.
    pub fn running<Read: ReadMemory>(
        &mut self,
        thread: i32,
        identity: u64,
        read: &mut Read,
    ) -> Result<RunningAt, NoLine> {
        let mut frame = self.frame_of(thread, identity, read)?;
        let of = self.layout.frame;
        let next = |read: &mut Read| {
            // Some frames stand for a call from C.
            for _ in 0..MOST_FRAMES {
                let at = Some(frame).filter(|frame| *frame != 0)?;
                let Some((code, place, previous)) = of.read(at, read) else {
                    return Some(Err(NoLine::Unreadable));
                };
                frame = previous;
                if let Some(code) = code {
                    return Some(Ok((code, place)));
                }
            }
            None
        };
        self.innermost(next, read)
    }

    /// What ran some time ago, the innermost frame first.
    ///
    /// # Errors
    /// When a code cannot be read, or is another one by now.
    pub fn of_frames(
        &mut self,
        frames: &[Ran],
        read: &mut impl ReadMemory,
    ) -> Result<RunningAt, NoLine> {
        let at = self.layout.code.line_table;
        let mut frames = frames.iter();
        let next = |read: &mut _| {
            let ran = frames.next()?;
            let is_there = field(read, ran.code, at) == Some(ran.table);
            Some(match is_there {
                true => Ok((ran.code, ran.place)),
                false => Err(NoLine::Gone),
            })
        };
        self.innermost(next, read)
    }

    /// The innermost line, and the user's own.
    fn innermost<Read: ReadMemory>(
        &mut self,
        mut next: impl FnMut(&mut Read) -> Option<Result<(u64, u64), NoLine>>,
        read: &mut Read,
    ) -> Result<RunningAt, NoLine> {
        let mut line = None;
        for _ in 0..MOST_FRAMES {
            let Some(frame) = next(read) else { break };
            let known = frame.and_then(|(code, place)| {
                let known = self.line(code, place, read);
                known.ok_or(NoLine::Unreadable)
            });
            let (name, is_own) = match known {
                Ok(known) => known,
                Err(why) => return line.map(alone).ok_or(why),
            };
            match line {
                None if is_own => return Ok(alone(name)),
                None => line = Some(name),
                Some(line) if is_own => {
                    return Ok(RunningAt {
                        line,
                        own: Some(name),
                    });
                }
                Some(_) => {}
            }
        }
        line.map(alone).ok_or(NoLine::NoFrame)
    }

    /// What leads to the frames.
    pub fn way(&self) -> Way {
        let layout = &self.layout;
        Way {
            first_interpreter: self.runtime.wrapping_add(layout.interpreters),
            threads: layout.threads,
            next_interpreter: layout.next_interpreter,
            next_thread: layout.next_thread,
            thread_id: layout.thread_id,
            current: layout.current,
            current_in: layout.current_in,
            owner: layout.frame.owner,
            previous: layout.frame.previous,
            code: layout.frame.code,
            place: layout.frame.place,
            code_mask: layout.frame.code_mask(),
            line_table: layout.code.line_table,
        }
    }

    /// Forgets a thread that has ended.
    pub fn forget(&mut self, thread: i32) {
        self.states.remove(&thread);
    }

    /// The innermost frame of a thread. It has a state in each interpreter in which it has been; of
    /// these one has a frame.
    fn frame_of(
        &mut self,
        thread: i32,
        identity: u64,
        read: &mut impl ReadMemory,
    ) -> Result<u64, NoLine> {
        let layout = &self.layout;
        let known = self.states.get(&thread).copied();
        if let Some(state) = known
            && field(read, state, layout.thread_id) == Some(identity)
            && let Some(frame @ 1..) = layout.current_frame(state, read)
        {
            return Ok(frame);
        }
        let mut found = None;
        let mut number = 0;
        let mut interpreter = field(read, self.runtime, layout.interpreters);
        while let Some(of @ 1..) = interpreter {
            let mut state = field(read, of, layout.threads);
            while let Some(at @ 1..) = state {
                number += 1;
                if number > MOST_STATES {
                    return Err(NoLine::Unreadable);
                }
                if field(read, at, layout.thread_id) == Some(identity)
                    && let Some(frame @ 1..) = layout.current_frame(at, read)
                    && found.replace((at, frame)).is_some()
                {
                    return Err(NoLine::SeveralInterpreters);
                }
                state = field(read, at, layout.next_thread);
            }
            number += 1;
            if number > MOST_STATES {
                return Err(NoLine::Unreadable);
            }
            interpreter = field(read, of, layout.next_interpreter);
        }
        let (state, frame) = found.ok_or(NoLine::NoFrame)?;
        // What has several states may have its frame in another one next time.
        self.states.insert(thread, state);
        Ok(frame)
    }

    /// What stands for a place in a code, and whether that is the user's own.
    fn line(
        &mut self,
        code: u64,
        place: u64,
        read: &mut impl ReadMemory,
    ) -> Option<(Arc<str>, bool)> {
        let layout = &self.layout;
        let mut fields = vec![0; layout.code.bytes()];
        if !is_address(code) || !read(code + layout.code.first(), &mut fields) {
            return None;
        }
        if self
            .codes
            .get(&code)
            .is_none_or(|known| known.fields != fields)
        {
            if self.codes.len() >= MOST_CODES {
                self.codes.clear();
            }
            let known = known_code(&layout.code, fields, &self.is_own, read)?;
            self.codes.insert(code, known);
        }
        let known = self.codes.get_mut(&code)?;
        let place = layout.place(code, place);
        Some((known.line(&layout.code, place), known.is_own))
    }
}

fn alone(line: Arc<str>) -> RunningAt {
    RunningAt { line, own: None }
}

#[cfg(test)]
mod tests {
    use super::memory::END_OF_ADDRESSES;
    use super::*;

    /// Memory as words of some addresses.
    fn reader(words: &[(u64, u64)]) -> impl ReadMemory {
        let words: HashMap<u64, u64> = words.iter().copied().collect();
        move |address: u64, buffer: &mut [u8]| {
            for (index, byte) in buffer.iter_mut().enumerate() {
                let at = address + index as u64;
                let word = words.get(&(at - at % 8)).copied().unwrap_or(0);
                *byte = word.to_ne_bytes()[(at % 8) as usize];
            }
            true
        }
    }

    fn frames(minor: u8, words: &[(u64, u64)]) -> Result<RemoteFrames, UnknownLayout> {
        let own = Box::new(|file: &str| file == "app.py");
        RemoteFrames::new(minor, RUNTIME, own, &mut reader(words))
    }

    const RUNTIME: u64 = 0x10_0000;
    const THREAD: u64 = 0x7fff_0000;

    /// A str of ASCII as 3.8 has it, at an address.
    fn text(at: u64, text: &str) -> Vec<(u64, u64)> {
        let mut words = vec![
            (at + 16, text.len() as u64),
            (at + 32, 1 << 2 | 1 << 5 | 1 << 6),
        ];
        for (index, bytes) in text.as_bytes().chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            words.push((at + 48 + index as u64 * 8, u64::from_ne_bytes(word)));
        }
        words
    }

    /// Code of 3.8 with one line, 7.
    fn code(at: u64, file: u64, name: u64, table: u64) -> Vec<(u64, u64)> {
        vec![
            (at + 40, 7),
            (at + 104, file),
            (at + 112, name),
            (at + 120, table),
            (table + 16, 0),
        ]
    }

    /// An interpreter of 3.8 with a thread that runs `dumps` of a library, called by the user's
    /// `main`.
    fn running() -> Vec<(u64, u64)> {
        let (interpreter, state, inner, outer) = (0x20_0000, 0x21_0000, 0x22_0000, 0x23_0000);
        let mut words = vec![(RUNTIME + 32, interpreter), (interpreter + 8, state)];
        words.extend([(state + 176, THREAD), (state + 24, inner)]);
        words.extend([(inner + 24, outer), (inner + 32, 0x24_0000)]);
        words.extend([(outer + 24, 0), (outer + 32, 0x25_0000)]);
        words.extend(code(0x24_0000, 0x26_0000, 0x27_0000, 0x2a_0000));
        words.extend(code(0x25_0000, 0x28_0000, 0x29_0000, 0x2a_0000));
        words.extend(text(0x26_0000, "/usr/lib/python3.8/json.py"));
        words.extend(text(0x27_0000, "dumps"));
        words.extend(text(0x28_0000, "app.py"));
        words.extend(text(0x29_0000, "main"));
        words
    }

    #[test]
    fn the_innermost_line_and_the_users_own_are_told() {
        let words = running();
        let mut frames = frames(8, &words).unwrap();
        let mut read = reader(&words);
        assert!(frames.has_begun(&mut read));
        let expected = RunningAt {
            line: "dumps (/usr/lib/python3.8/json.py:7)".into(),
            own: Some("main (app.py:7)".into()),
        };
        assert_eq!(frames.running(1, THREAD, &mut read), Ok(expected.clone()));
        // The same once more, of what is known by then.
        assert_eq!(frames.running(1, THREAD, &mut read), Ok(expected));
    }

    #[test]
    fn other_code_at_the_address_of_one_that_is_known_is_seen() {
        let mut words = running();
        let mut frames = frames(8, &words).unwrap();
        frames.running(1, THREAD, &mut reader(&words)).unwrap();
        words.extend(code(0x24_0000, 0x28_0000, 0x29_0000, 0x2a_0000));
        let now = frames.running(1, THREAD, &mut reader(&words)).unwrap();
        assert_eq!(&*now.line, "main (app.py:7)");
        assert_eq!(now.own, None);
    }

    #[test]
    fn what_ran_is_known_as_long_as_its_code_is_the_same() {
        let words = running();
        let mut frames = frames(8, &words).unwrap();
        let ran = |code, table| Ran {
            code,
            place: 0,
            table,
        };
        let inner = ran(0x24_0000, 0x2a_0000);
        let all = [inner, ran(0x25_0000, 0x2a_0000)];
        let running = frames.of_frames(&all, &mut reader(&words)).unwrap();
        assert_eq!(&*running.line, "dumps (/usr/lib/python3.8/json.py:7)");
        assert_eq!(running.own.as_deref(), Some("main (app.py:7)"));
        // Another one stands where the innermost was, or where the other was.
        let other = [ran(0x24_0000, 0x2b_0000), all[1]];
        let running = frames.of_frames(&other, &mut reader(&words));
        assert_eq!(running, Err(NoLine::Gone));
        let other = [inner, ran(0x25_0000, 0x2b_0000)];
        let running = frames.of_frames(&other, &mut reader(&words)).unwrap();
        assert_eq!(running.own, None);
        let none = frames.of_frames(&[], &mut reader(&words));
        assert_eq!(none, Err(NoLine::NoFrame));
    }

    #[test]
    fn a_thread_without_a_frame_and_one_with_two_have_no_line() {
        let mut words = running();
        let mut first = frames(8, &words).unwrap();
        let none = first.running(2, THREAD + 8, &mut reader(&words));
        assert_eq!(none, Err(NoLine::NoFrame));
        // A second interpreter, in which the same thread has a state: at first without a frame.
        words.extend([(0x20_0000, 0x30_0000), (0x30_0000 + 8, 0x31_0000)]);
        words.push((0x31_0000 + 176, THREAD));
        let mut both = frames(8, &words).unwrap();
        assert!(both.running(1, THREAD, &mut reader(&words)).is_ok());
        words.push((0x31_0000 + 24, 0x23_0000));
        let mut both = frames(8, &words).unwrap();
        let two = both.running(1, THREAD, &mut reader(&words));
        assert_eq!(two, Err(NoLine::SeveralInterpreters));
    }

    #[test]
    fn a_version_that_is_not_known_has_no_lines() {
        assert_eq!(frames(7, &[]).unwrap_err(), UnknownLayout::Version);
        assert_eq!(frames(16, &[]).unwrap_err(), UnknownLayout::Version);
        // It says itself where its frames are, and this says nothing.
        assert_eq!(frames(13, &[]).unwrap_err(), UnknownLayout::Memory);
        let other = [
            (RUNTIME, u64::from_ne_bytes(*b"xdebugpy")),
            (RUNTIME + 8, 0x030e_00f0),
        ];
        assert_eq!(frames(13, &other).unwrap_err(), UnknownLayout::Memory);
        assert!(frames(14, &other).is_ok());
    }

    #[test]
    fn frames_of_anything_are_read_without_harm() {
        for word in [0, 1, 4096, 0x20_0000, END_OF_ADDRESSES - 8, u64::MAX] {
            for minor in 8..=15 {
                let mut read = |address: u64, buffer: &mut [u8]| {
                    for (index, byte) in buffer.iter_mut().enumerate() {
                        let at = usize::try_from((address + index as u64) % 8).unwrap();
                        *byte = word.to_ne_bytes()[at];
                    }
                    true
                };
                let own = Box::new(|_: &str| true);
                if let Ok(mut frames) = RemoteFrames::new(minor, RUNTIME, own, &mut read) {
                    assert!(frames.running(1, word, &mut read).is_err());
                }
            }
        }
    }
}
