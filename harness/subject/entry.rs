//! What this library says if somebody starts it as the program that its place and its bits say it
//! is.
#![expect(unsafe_code, reason = "the compiler cannot look into assembly")]
// SAFETY: nothing calls this; the kernel jumps here (`-e`, build.rs) with a new stack, and no code
// of Rust's ever runs. Two system calls that touch no memory but the text, of which the second does
// not return: the dynamic linker has prepared nothing else.

use std::arch::global_asm;

use nix::libc;

/// Without its end of line.
macro_rules! words {
    () => {
        "refcow-subject is a library that refcow preloads into Python: run refcow"
    };
}

/// The entry point, of these instructions.
macro_rules! entry {
    ($($instruction:literal),*) => {
        global_asm!(
            ".pushsection .text.refcow_subject_entry, \"ax\"",
            ".globl refcow_subject_entry",
            "refcow_subject_entry:",
            $($instruction,)*
            concat!("2: .ascii \"", words!(), "\""),
            ".byte 10",
            ".popsection",
            length = const words!().len() + 1,
            write = const libc::SYS_write,
            exit = const libc::SYS_exit,
        );
    };
}

#[cfg(target_arch = "x86_64")]
entry!(
    "lea rsi, [rip + 2f]",
    "mov edx, {length}",
    "mov edi, 2",
    "mov eax, {write}",
    "syscall",
    "mov edi, 2",
    "mov eax, {exit}",
    "syscall"
);

#[cfg(target_arch = "aarch64")]
entry!(
    "adr x1, 2f",
    "mov x2, {length}",
    "mov x0, 2",
    "mov x8, {write}",
    "svc 0",
    "mov x0, 2",
    "mov x8, {exit}",
    "svc 0"
);
