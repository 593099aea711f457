//! When the interpreter of a process ends: it says so in `_PyRuntime` before it does anything for it, and the kernel records that write.

use std::os::unix::fs::FileExt as _;

use procfs::process::Process;

use super::python::LivePython;
use crate::observe::{Pagemap, page_size};

/// Where the interpreters of a tree say that they end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is not ready yet: it has still to write what is there before it begins. It is asked for again.
    NotReady,
    /// The address of the thread that ends it, or 0.
    At(u64),
    /// Nothing tells.
    Unseen(&'static str),
}

/// Of a process that runs this Python, whose `_PyRuntime` is there.
pub fn ending(pid: i32, python: &LivePython, runtime: u64) -> Ending {
    let Some(minor) = python.known_minor() else {
        return Ending::Unseen("refcow does not know this version of Python");
    };
    let mut word = |address| word(pid, address);
    match places(minor, runtime, &mut word) {
        // The first interpreter is there: from here on nothing but its end writes there.
        Some((finalizing, first)) if word(first).is_some_and(|first| first != 0) => {
            Ending::At(finalizing)
        }
        _ => Ending::NotReady,
    }
}

/// Whether the interpreter of a process is ending; `None` if that cannot be read.
pub fn is_ending(pid: i32, address: u64) -> Option<bool> {
    Some(word(pid, address)? != 0)
}

/// Addresses of `finalizing` and `interpreters.head` (Include/internal/pycore_runtime.h); since 3.13 `_PyRuntime` begins with where they are
/// (pycore_debug_offsets.h). `None`: not written yet.
fn places(
    minor: u8,
    runtime: u64,
    word: &mut impl FnMut(u64) -> Option<u64>,
) -> Option<(u64, u64)> {
    const COOKIE: u64 = u64::from_ne_bytes(*b"xdebugpy");
    let (finalizing, first) = match minor {
        ..=10 => (16, 32),
        11 | 12 => (24, 40),
        _ => {
            if word(runtime)? != COOKIE {
                return None;
            }
            (word(runtime + 32)?, word(runtime + 40)?)
        }
    };
    Some((
        runtime.checked_add(finalizing)?,
        runtime.checked_add(first)?,
    ))
}

/// Eight bytes of a process, from a page that it has.
fn word(pid: i32, address: u64) -> Option<u64> {
    let page = Pagemap::open(pid)
        .ok()?
        .word_if_there(address / page_size())?;
    if page.is_nowhere() || page.is_swapped() {
        return None;
    }
    let mut bytes = [0; 8];
    let memory = Process::new(pid).and_then(|process| process.mem()).ok()?;
    memory.read_exact_at(&mut bytes, address).ok()?;
    Some(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_3_13_on_the_interpreter_says_where_it_says_that_it_ends() {
        let cookie = u64::from_ne_bytes(*b"xdebugpy");
        let mut said = |address| match address {
            1000 => Some(cookie),
            1032 => Some(600),
            1040 => Some(700),
            _ => None,
        };
        assert_eq!(places(14, 1000, &mut said), Some((1600, 1700)));
        assert_eq!(places(14, 2000, &mut said), None);
        assert_eq!(places(14, 2000, &mut |_| Some(0)), None);
        let mut nothing = |_| panic!("it is known");
        assert_eq!(places(8, 1000, &mut nothing), Some((1016, 1032)));
        assert_eq!(places(12, 1000, &mut nothing), Some((1024, 1040)));
    }
}
