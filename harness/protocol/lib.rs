//! The messages between observer and subject: one line of JSON each, over sockets.
//!
//! The observer talks to the parent over the control socket, which is the subject's standard input
//! when it starts, and to each child over a channel of its own, so that the parent can stay blocked
//! in `read(2)` while children run. The first thing on the control socket is one byte ([`GO`]) that
//! carries the other descriptors (`SCM_RIGHTS`, unix(7)): the file of the object map, then the
//! channels. Nobody chooses their numbers. Later a single such byte releases a blocked process:
//! reading it writes to no page that the process has not written before.

// What is `pub` is what another crate uses, so that rustc sees what nobody does.
#![warn(unreachable_pub)]

mod child;
mod control;
mod lines;
mod module_source;
mod own_files;
mod raised;

pub use child::{ChildMessage, Job};
pub use control::{
    Argument, Arguments, BuiltWith, Deferred, Footprint, ForkRequest, NamedArguments, Reading,
    Reply, Request, Size, Started,
};
pub use lines::{Interval, LineIntervals, PythonLine};
pub use module_source::ModuleSource;
pub use own_files::{OwnFiles, is_installed};
pub use raised::Raised;

/// Bytes in front of the map of objects, in the file that carries it to the observer: memory
/// (`memfd_create(2)`), as the map of many objects is large. They say what the mapper is about.
pub const ASKED_BYTES: u64 = 1 << 16;

/// The most children a measurement may have: each has a channel, and descriptors are limited
/// (`ulimit -n`).
pub const MOST_CHILDREN: usize = 64;

/// Releases a process that waits.
pub const GO: u8 = b'\n';

/// The channel of the witness, and of the mapper before there is a witness. Children have 1 to
/// [`MOST_CHILDREN`].
pub const WITNESS: usize = 0;

/// The exit status of an interpreter in which refcow-subject does not run: the loader took no
/// notice of `LD_PRELOAD`, and Python's own `main` did what its arguments say.
pub const NOT_LOADED: i32 = 93;

/// The exit status of a process that finds that the fixture has closed, or replaced, the descriptor
/// by which it hears the observer.
pub const CLOSED_DESCRIPTORS: u8 = 197;

/// Where descriptors begin that are refcow's: a fixture that closes those which a program usually
/// has finds none of them, and what it opens itself has the numbers that it would have in a plain
/// script.
pub const FIRST_DESCRIPTOR: i32 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = serde_json::from_slice::<Request>(&bytes);
            let _ = serde_json::from_slice::<Reply>(&bytes);
            let _ = serde_json::from_slice::<ChildMessage>(&bytes);
        }

        #[test]
        fn a_report_comes_back_as_it_was_sent(seconds in 0.0f64..1e6, pages in any::<u64>()) {
            let lazy = None;
            for report in [ChildMessage::Done { seconds, lazy }, ChildMessage::Wrote { pages }] {
                let line = serde_json::to_vec(&report).unwrap();
                prop_assert!(!line.contains(&b'\n'));
                prop_assert_eq!(serde_json::from_slice::<ChildMessage>(&line).unwrap(), report);
            }
        }
    }
}
