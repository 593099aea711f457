//! How this library gets to run in the place of an interpreter's `main`.

use std::ffi::{c_char, c_int, c_void};
use std::mem::transmute;
use std::process::abort;

use nix::libc::{self, RTLD_NEXT};
use nix::sys::signal::{SigHandler, Signal, signal};

/// `main`, which glibc calls with the environment as a third argument.
type CMain = unsafe extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) -> c_int;

/// glibc's `__libc_start_main` (csu/libc-start.c; LSB Core, "__libc_start_main").
type LibcStart = unsafe extern "C" fn(
    CMain,
    c_int,
    *mut *mut c_char,
    Option<unsafe extern "C" fn()>,
    Option<unsafe extern "C" fn()>,
    Option<unsafe extern "C" fn()>,
    *mut c_void,
) -> c_int;

#[expect(unsafe_code, reason = "a symbol that glibc has, too, is interposed")]
// SAFETY: the first code of every program that is linked with glibc calls this symbol, once, and
// the dynamic linker takes that of a preloaded library. What it is called with goes to glibc's own,
// but for the program's `main`.
#[unsafe(no_mangle)]
unsafe extern "C" fn __libc_start_main(
    _: CMain,
    count: c_int,
    arguments: *mut *mut c_char,
    init: Option<unsafe extern "C" fn()>,
    fini: Option<unsafe extern "C" fn()>,
    rtld_fini: Option<unsafe extern "C" fn()>,
    stack_end: *mut c_void,
) -> c_int {
    // SAFETY: the name is a C string, and the next library that has it is glibc, where it is a
    // function of this type. If no library has it, nothing is called.
    unsafe {
        let next = libc::dlsym(RTLD_NEXT, c"__libc_start_main".as_ptr());
        if next.is_null() {
            abort();
        }
        let start = transmute::<*mut c_void, LibcStart>(next);
        start(main, count, arguments, init, fini, rtld_fini, stack_end)
    }
}

/// In the place of Python's.
extern "C" fn main(_: c_int, _: *mut *mut c_char, _: *mut *mut c_char) -> c_int {
    // What std does before a program's `main`, which this has not: a closed socket is an error, not
    // a signal.
    #[expect(unsafe_code, reason = "nix marks it unsafe for the sake of handlers")]
    // SAFETY: to ignore a signal is no handler.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
    drop_preload();
    match crate::serve() {
        Ok(()) => 0,
        Err(error) => match crate::handed::status(&error) {
            // The observer says what that means.
            Some(status) => status.into(),
            None => {
                eprintln!("refcow-subject: {error}");
                2
            }
        },
    }
}

/// No process that Python starts may get this library.
fn drop_preload() {
    const NAME: &str = "LD_PRELOAD";
    let file = std::env::var(NAME).unwrap_or_default();
    #[expect(unsafe_code, reason = "the environment is shared by nature")]
    // SAFETY: this process has one thread, so nobody reads the environment meanwhile.
    unsafe {
        std::env::remove_var(NAME);
    }
    // It is mapped; its descriptor was for the dynamic linker.
    if let Some(number) = file.rsplit('/').next().and_then(|name| name.parse().ok()) {
        let _ = nix::unistd::close::<std::os::fd::RawFd>(number);
    }
}
