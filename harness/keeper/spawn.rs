//! Starts the program that is to be kept.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::libc;
use nix::sys::personality::{self, Persona};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{getpid, getppid};
use procfs::process::Process;

use super::messages::{HANDED, Order};
use super::printed::Printed;
use crate::{process, run_name};

/// Starts the program. The keeper's own descriptors are of no use to it, nor are its to the keeper.
pub(super) fn spawn(order: &Order, handed: [OwnedFd; HANDED]) -> io::Result<(Child, Printed)> {
    let Order {
        program,
        name,
        open_files,
    } = order;
    let [file, preload, stdin] = handed;
    if program.fixed {
        for number in inherited()? {
            set_flags(number, libc::FD_CLOEXEC)?;
        }
    }
    // By their descriptors, whose names have one length, and no space or colon, at which the loader
    // would split.
    let (printed, prints) = Printed::new()?;
    let mut command = Command::new(by_descriptor(&file));
    command
        .arg0(&program.argv0)
        .args(&program.arguments)
        .env_clear()
        .envs(program.variables.iter().map(|(name, value)| (name, value)))
        .env("LD_PRELOAD", by_descriptor(&preload))
        .env(run_name::VARIABLE, name)
        .stdin(stdin)
        .stdout(prints.try_clone()?)
        .stderr(prints)
        .process_group(0);
    if let Some(folder) = &program.folder {
        command.current_dir(folder);
    }
    let (keeper, kept, fixed) = (getpid(), preload.as_raw_fd(), program.fixed);
    let open_files = *open_files;
    #[expect(unsafe_code, reason = "std has no safe way to do any of this")]
    // SAFETY: the closure runs between fork and exec of a process with one thread, and only makes
    // system calls, none of which allocates or takes a lock.
    unsafe {
        command.pre_exec(move || prepare(keeper, kept, fixed, open_files));
    }
    Ok((command.spawn()?, printed))
}

/// A path of one length for any file: what stands in the environment, and the path of the program,
/// are on the stack.
fn by_descriptor(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{:/>8}", file.as_raw_fd())
}

/// Descriptors that a program which this process starts would have, besides the first three: those
/// of whoever started refcow.
fn inherited() -> io::Result<Vec<RawFd>> {
    let own = Process::myself().map_err(io::Error::other)?;
    let all = own.fd().map_err(io::Error::other)?.flatten();
    let numbers = all.map(|entry| entry.fd).filter(|number| *number > 2);
    Ok(numbers
        .filter(|number| get_flags(*number).is_ok_and(|set| set & libc::FD_CLOEXEC == 0))
        .collect())
}

fn get_flags(number: RawFd) -> io::Result<i32> {
    #[expect(unsafe_code, reason = "the descriptor has no owner in this program")]
    // SAFETY: F_GETFD reads a flag of a descriptor, and fails with EBADF where there is none.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    Ok(nix::errno::Errno::result(flags)?)
}

fn set_flags(number: RawFd, flags: i32) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the descriptor has no owner in this program")]
    // SAFETY: F_SETFD writes a flag of a descriptor, and fails with EBADF where there is none.
    let set = unsafe { libc::fcntl(number, libc::F_SETFD, flags) };
    nix::errno::Errno::result(set)?;
    Ok(())
}

/// Runs in the new process between fork and exec: async-signal-safe calls only.
fn prepare(
    keeper: nix::unistd::Pid,
    kept: RawFd,
    fixed: bool,
    open_files: Option<u64>,
) -> io::Result<()> {
    // Killed with the keeper, however that ends.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != keeper {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    set_flags(kept, 0)?;
    process::lower_open_files(open_files)?;
    if fixed {
        // Where the kernel begins with mappings depends on it.
        const STACK_BYTES: u64 = 8 << 20;
        let (_, most) = getrlimit(Resource::RLIMIT_STACK)?;
        setrlimit(Resource::RLIMIT_STACK, STACK_BYTES.min(most), most)?;
    }
    // What was ignored when refcow started, and what the keeper blocks, is no matter of the
    // program's.
    for signal in 1..=libc::SIGRTMAX() {
        #[expect(unsafe_code, reason = "nix has no signals of real time")]
        // SAFETY: the default action is no handler. SIGKILL and SIGSTOP are refused, which changes
        // nothing.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
    SigSet::empty().thread_set_mask()?;
    // A fixture that crashes leaves no core file behind.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // Same addresses in each run: without it counts vary by a page or two. Containers may forbid it
    // (a warning).
    if let Ok(persona) = personality::get() {
        let _ = personality::set(persona | Persona::ADDR_NO_RANDOMIZE);
    }
    Ok(())
}
