//! What refcow tells a keeper, and what that says.

use std::ffi::OsString;
use std::os::fd::BorrowedFd;

use serde::{Deserialize, Serialize};

/// How the keeper's program is called, and how `ps` shows it.
pub const NAME: &str = "refcow-keeper";

/// How a program is to be started, and what it finds around itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProgramToStart {
    /// What it is told of its own name.
    pub argv0: OsString,
    /// The other words.
    pub arguments: Vec<OsString>,
    /// Its whole environment, but for LD_PRELOAD and [`VARIABLE`](crate::run_name::VARIABLE).
    pub variables: Vec<(OsString, OsString)>,
    /// Its working folder; `None` for refcow's own.
    pub folder: Option<OsString>,
    /// Without the descriptors that refcow was given itself, and with one size of the stack: both
    /// can reach its heap.
    pub fixed: bool,
}

/// Files that it gets.
#[derive(Clone, Copy, Debug)]
pub struct Handed<'a> {
    /// The program itself.
    pub program: BorrowedFd<'a>,
    /// The library that is preloaded into it. It inherits this descriptor, as the dynamic linker
    /// opens it by that.
    pub preload: BorrowedFd<'a>,
    /// Its standard input.
    pub stdin: BorrowedFd<'a>,
}

/// How many these are.
pub(super) const HANDED: usize = 3;

/// What the keeper is told.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) program: ProgramToStart,
    pub(super) name: OsString,
    /// Its soft limit of open files, if that is not the keeper's own, which is refcow's.
    pub(super) open_files: Option<u64>,
}

/// What the keeper says.
#[derive(Serialize, Deserialize)]
pub(super) enum Notice {
    Started { pid: i32 },
    Failed { errno: i32 },
    Ended { status: i32 },
}
