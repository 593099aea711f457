//! Programs of ours that the kernel runs where it would write a record (bpf(2)): put together here,
//! as they are too small for a compiler of their own.
//!
//! Needs CAP_BPF and CAP_PERFMON, and Linux 5.17 (`bpf_loop`).

mod assembler;
mod kernel;
mod ring;
mod thread_pointer;
mod types;

pub(crate) use assembler::{Assembler, Label, Register};
pub(crate) use kernel::{Kind, Map, MapKind, Program};
pub(crate) use ring::Ring;
pub(crate) use thread_pointer::thread_pointer_place;
