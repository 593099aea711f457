//! The calls of bpf(2) that are used here.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;

use super::assembler::Assembler;
use super::types::types;

/// What may be asked: `enum bpf_cmd`.
#[derive(Clone, Copy)]
enum Request {
    MapCreate = 0,
    MapUpdate = 2,
    ProgramLoad = 5,
    MapLookup = 1,
    TestRun = 10,
    TypesLoad = 18,
}

/// `enum bpf_map_type`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MapKind {
    Array = 2,
    /// One for each processor.
    PerProcessor = 6,
    Ring = 27,
}

/// `enum bpf_prog_type`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Run where an event would write a record.
    Event = 7,
    /// Run when it is asked for.
    Asked = 17,
}

/// The kernel reads as much of `union bpf_attr` as it knows, and wants the rest to be zero.
const WORDS: usize = 18;
type Attributes = [u64; WORDS];

/// Two halves of a word, the first one at the lower address.
fn halves(first: u32, second: u32) -> u64 {
    let mut word = [0; 8];
    word[..4].copy_from_slice(&first.to_ne_bytes());
    word[4..].copy_from_slice(&second.to_ne_bytes());
    u64::from_ne_bytes(word)
}

fn bpf(request: Request, attributes: &mut Attributes) -> io::Result<RawFd> {
    #[expect(
        unsafe_code,
        reason = "no crate has bpf(2) without a compiler for its programs"
    )]
    // SAFETY: the attributes outlive the call, and what they point to belongs to the callers, who keep it for as long.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            request as libc::c_long,
            attributes.as_mut_ptr(),
            size_of::<Attributes>(),
        )
    };
    Ok(Errno::result(done)? as RawFd)
}

fn descriptor(number: RawFd) -> OwnedFd {
    #[expect(unsafe_code, reason = "bpf(2) gives a number")]
    // SAFETY: the kernel has just made it, for nobody else; with FD_CLOEXEC.
    unsafe {
        OwnedFd::from_raw_fd(number)
    }
}

/// Memory that programs and refcow share.
#[derive(Debug)]
pub(crate) struct Map {
    descriptor: OwnedFd,
    value: usize,
}

impl Map {
    /// With so many values of so many bytes; a ring has as many bytes as values, a power of two.
    pub(crate) fn new(kind: MapKind, value: usize, number: usize) -> io::Result<Self> {
        let key = if matches!(kind, MapKind::Ring) { 0 } else { 4 };
        let mut attributes = [0; WORDS];
        attributes[0] = halves(kind as u32, key);
        attributes[1] = halves(value as u32, number as u32);
        let made = bpf(Request::MapCreate, &mut attributes)?;
        Ok(Self {
            descriptor: descriptor(made),
            value,
        })
    }

    pub(super) fn number(&self) -> i32 {
        self.descriptor.as_raw_fd()
    }

    /// Writes the first value.
    pub(crate) fn write(&self, value: &[u64]) -> io::Result<()> {
        assert_eq!(
            size_of_val(value),
            self.value,
            "the kernel reads a whole value"
        );
        let key = 0_u32;
        let mut attributes = [0; WORDS];
        attributes[0] = halves(self.number() as u32, 0);
        attributes[1] = (&raw const key).expose_provenance() as u64;
        attributes[2] = value.as_ptr().expose_provenance() as u64;
        bpf(Request::MapUpdate, &mut attributes)?;
        Ok(())
    }

    /// Reads the first value.
    pub(crate) fn read(&self, value: &mut [u64]) -> io::Result<()> {
        assert_eq!(
            size_of_val(value),
            self.value,
            "the kernel writes a whole value"
        );
        let key = 0_u32;
        let mut attributes = [0; WORDS];
        attributes[0] = halves(self.number() as u32, 0);
        attributes[1] = (&raw const key).expose_provenance() as u64;
        attributes[2] = value.as_mut_ptr().expose_provenance() as u64;
        bpf(Request::MapLookup, &mut attributes)?;
        Ok(())
    }
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// A program that the kernel has checked.
#[derive(Debug)]
pub(crate) struct Program(OwnedFd);

impl Program {
    /// Has the kernel check it.
    pub(crate) fn load(kind: Kind, assembler: Assembler) -> io::Result<Self> {
        // What of the kernel's is asked for here is for programs under the GPL only; this one is under both licenses.
        const LICENSE: &std::ffi::CStr = c"Dual MIT/GPL";
        let (code, functions) = assembler.finish();
        let (types, numbers) = types(functions.len());
        let mut attributes = [0; WORDS];
        attributes[0] = types.as_ptr().expose_provenance() as u64;
        attributes[2] = halves(types.len() as u32, 0);
        let types_of = descriptor(bpf(Request::TypesLoad, &mut attributes)?);
        let begins = std::iter::once(0).chain(functions);
        let of_functions: Vec<[u32; 2]> = begins.zip(numbers).map(|(at, of)| [at, of]).collect();
        let mut attributes = [0; WORDS];
        attributes[0] = halves(kind as u32, code.len() as u32);
        attributes[1] = code.as_ptr().expose_provenance() as u64;
        attributes[2] = LICENSE.as_ptr().expose_provenance() as u64;
        attributes[9] = halves(types_of.as_raw_fd() as u32, size_of::<[u32; 2]>() as u32);
        attributes[10] = of_functions.as_ptr().expose_provenance() as u64;
        attributes[11] = halves(of_functions.len() as u32, 0);
        let loaded = bpf(Request::ProgramLoad, &mut attributes);
        #[cfg(test)]
        if loaded.is_err() {
            said_of(&mut attributes);
        }
        Ok(Self(descriptor(loaded?)))
    }

    /// Runs it for the calling thread.
    pub(crate) fn run(&self) -> io::Result<()> {
        let mut attributes = [0; WORDS];
        attributes[0] = halves(self.0.as_raw_fd() as u32, 0);
        bpf(Request::TestRun, &mut attributes)?;
        Ok(())
    }

    /// Has it run where an event, which is switched off, would write a record; and where those would that threads inherit from it.
    pub(crate) fn attach(&self, event: RawFd) -> io::Result<()> {
        /// `PERF_EVENT_IOC_SET_BPF` of linux/perf_event.h.
        const SET_PROGRAM: libc::c_ulong = 0x4004_2408;
        let program = libc::c_long::from(self.0.as_raw_fd());
        #[expect(
            unsafe_code,
            reason = "perf-event2 has no such request for a descriptor"
        )]
        // SAFETY: both are open descriptors of this process; the request takes numbers alone.
        let done = unsafe { libc::ioctl(event, SET_PROGRAM as _, program) };
        Errno::result(done)?;
        Ok(())
    }
}

/// Says what the kernel had to say against a program.
#[cfg(test)]
fn said_of(attributes: &mut Attributes) {
    let mut said = vec![0_u8; 1 << 20];
    attributes[3] = halves(1, said.len() as u32);
    attributes[4] = said.as_mut_ptr().expose_provenance() as u64;
    let _ = bpf(Request::ProgramLoad, attributes);
    let end = said
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(said.len());
    let text = String::from_utf8_lossy(&said[..end]);
    let last: Vec<&str> = text.lines().rev().take(60).collect();
    for line in last.iter().rev() {
        eprintln!("{line}");
    }
}
