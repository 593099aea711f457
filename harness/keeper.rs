//! A small process between refcow and a subject. It ends all that the subject has started, wherever that went, when
//! refcow says so or is no more.
//!
//! Every process below it whose parent ends becomes a child of the keeper (`PR_SET_CHILD_SUBREAPER`): one in a session
//! of its own and without an environment, too. It kills its children, and so those that they leave to it, until it has
//! none. Nobody but the keeper waits for its children, so that their numbers are nobody else's until then.
//!
//! It is refcow's own program under another name ([`NAME`]), and has one thread: whatever kills it kills the subject
//! (`PR_SET_PDEATHSIG`).

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::personality::{self, Persona};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{getpid, getppid, setsid};
use procfs::process::Process;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};
use serde::{Deserialize, Serialize};

use crate::interrupt::{self, Wake};
use crate::process::{self, ends, watch};
use crate::run_name::{self, RunName};
use crate::{leftovers, shm};

/// How the keeper's program is called, and how `ps` shows it.
pub const NAME: &str = "refcow-keeper";

/// What a resource tracker gets to remove what it keeps track of, once those who used it are dead. It takes no
/// hundredth of that, but for many segments.
const TRACKER_TIME: Duration = Duration::from_secs(5);

/// What the keeper gets for all of its work at the end: longer only if the kernel does not let a process go.
const END_TIME: Duration = Duration::from_secs(15);

/// What the keeper gets to say that its child has ended, which it hears of at once.
const STATUS_TIME: Duration = Duration::from_secs(2);

/// What a process gets to become another program.
const EXEC_TIME: Duration = Duration::from_secs(1);

/// How a program is to be started, and what it finds around itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Program {
    /// What it is told of its own name.
    pub argv0: OsString,
    /// The other words.
    pub arguments: Vec<OsString>,
    /// Its whole environment, but for LD_PRELOAD and [`run_name::VARIABLE`].
    pub variables: Vec<(OsString, OsString)>,
    /// Its working folder; `None` for refcow's own.
    pub folder: Option<OsString>,
    /// Without the descriptors that refcow was given itself, and with one size of the stack: both can reach its heap.
    pub fixed: bool,
}

/// Files that it gets.
#[derive(Clone, Copy, Debug)]
pub struct Handed<'a> {
    /// The program itself.
    pub program: BorrowedFd<'a>,
    /// The library that is preloaded into it. It inherits this descriptor, as the dynamic linker opens it by that.
    pub preload: BorrowedFd<'a>,
    /// Its standard input.
    pub stdin: BorrowedFd<'a>,
}

/// How many these are.
const HANDED: usize = 3;

/// What the keeper is told.
#[derive(Serialize, Deserialize)]
struct Told {
    program: Program,
    name: OsString,
    /// Its soft limit of open files, if that is not the keeper's own, which is refcow's.
    open_files: Option<u64>,
}

/// What the keeper says.
#[derive(Serialize, Deserialize)]
enum Said {
    Started { pid: i32 },
    Failed { errno: i32 },
    Ended { status: i32 },
}

/// A program that was started by a keeper. Dropped, all that it has started ends with it.
#[derive(Debug)]
pub struct Kept {
    pid: i32,
    ended: OwnedFd,
    status: Option<ExitStatus>,
    keeper: Keeper,
}

#[derive(Debug)]
struct Keeper {
    process: Child,
    ended: OwnedFd,
    line: UnixStream,
}

/// Starts a program in the hands of a new keeper, whose own program is `keeper`. Its standard output is refcow's
/// standard error.
///
/// # Errors
/// When there is no such program, or no keeper.
pub fn start(
    keeper: &Path,
    program: Program,
    name: &RunName,
    handed: Handed<'_>,
) -> io::Result<Kept> {
    let (line, theirs) = UnixStream::pair()?;
    let process = Command::new(keeper)
        .arg0(NAME)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        // What a fixture prints must not get between the lines of the report.
        .stdout(Stdio::from(io::stderr()))
        .spawn()?;
    let mut keeper = Keeper {
        ended: watch(process.id().cast_signed())?,
        process,
        line,
    };
    let told = Told {
        program,
        name: name.as_str().into(),
        open_files: process::users_open_files(),
    };
    keeper.tell(&told, handed)?;
    match keeper.hear(Instant::now() + END_TIME)? {
        Some(Said::Started { pid }) => Ok(Kept {
            pid,
            // The keeper waits for nobody yet, so that this is the process even if it has ended.
            ended: watch(pid)?,
            status: None,
            keeper,
        }),
        Some(Said::Failed { errno }) => Err(io::Error::from_raw_os_error(errno)),
        Some(Said::Ended { .. }) | None if interrupt::requested() => {
            Err(io::ErrorKind::Interrupted.into())
        }
        Some(Said::Ended { .. }) | None => Err(io::Error::other("its keeper has ended")),
    }
}

impl Kept {
    /// Its process, which is the leader of a process group. The number is nobody else's until this is dropped.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Becomes readable when it has ended.
    pub fn ended(&self) -> &OwnedFd {
        &self.ended
    }

    /// How it ended, once it has. `None` if nobody is left to say so.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none()
            && let Ok(Some(Said::Ended { status })) = self.keeper.hear(Instant::now() + STATUS_TIME)
        {
            self.status = Some(ExitStatus::from_raw(status));
        }
        self.status
    }
}

impl Keeper {
    fn tell(&mut self, told: &Told, handed: Handed<'_>) -> io::Result<()> {
        let handed = [handed.program, handed.preload, handed.stdin];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDED))];
        let mut along = SendAncillaryBuffer::new(&mut space);
        let fits = along.push(SendAncillaryMessage::ScmRights(&handed));
        debug_assert!(fits, "there is room for as many");
        rustix::net::sendmsg(
            &self.line,
            &[IoSlice::new(b"\n")],
            &mut along,
            SendFlags::NOSIGNAL,
        )?;
        let mut text = serde_json::to_vec(told)?;
        text.push(b'\n');
        self.line.write_all(&text)
    }

    /// What the keeper says next; `None` if it has ended.
    fn hear(&mut self, deadline: Instant) -> io::Result<Option<Said>> {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut fds = [PollFd::new(&self.line, PollFlags::IN)];
            match interrupt::wait(&mut fds, Some(deadline))? {
                // What it said before still counts.
                Wake::Interrupted if fds[0].revents().is_empty() => {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                Wake::TimedOut => return Err(io::ErrorKind::TimedOut.into()),
                Wake::Ready | Wake::Interrupted => {}
            }
            let mut byte = [0];
            match self.line.read(&mut byte) {
                Ok(0) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                read => line.extend_from_slice(&byte[..read?]),
            }
        }
        Ok(Some(serde_json::from_slice(&line)?))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.line.shutdown(std::net::Shutdown::Write);
        // What a fixture could have done to it. One that is gone needs nothing.
        let _ = rustix::process::pidfd_send_signal(&self.ended, rustix::process::Signal::CONT);
        // If the kernel does not let a process go, the keeper waits for that alone.
        if ends(&self.ended, Instant::now() + END_TIME) {
            let _ = self.process.wait();
        }
    }
}

/// The keeper's whole life. Its standard input is the socket to refcow.
///
/// # Errors
/// When it was not started by refcow.
pub fn run() -> io::Result<()> {
    let line = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // Not with the terminal's other processes: no signal of its keys is meant for this one.
    let _ = setsid();
    prctl::set_name(c"refcow-keeper")?;
    prctl::set_child_subreaper(true)?;
    interrupt::hear_of_children()?;
    // Those that can be blocked do nothing: refcow alone says when to end.
    SigSet::all().thread_block()?;
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let Some((told, handed)) = receive(&line)? else {
        // It was killed before it could say what to start.
        return Ok(());
    };
    let name = RunName::read(&told.name).ok_or(io::ErrorKind::InvalidData)?;
    let lives = shm::live(&name);
    match spawn(&told, handed) {
        Ok(child) => keep(&line, &signals, Pid::from_child(&child)),
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            say(&line, &Said::Failed { errno });
        }
    }
    end(&signals);
    leftovers::remove_all(&name);
    drop(lives);
    Ok(())
}

/// What refcow tells, and the descriptors that come along. `None` if it has gone.
fn receive(mut line: &UnixStream) -> io::Result<Option<(Told, [OwnedFd; HANDED])>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(HANDED))];
    let mut along = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let flags = RecvFlags::CMSG_CLOEXEC;
    rustix::net::recvmsg(line, &mut [IoSliceMut::new(&mut byte)], &mut along, flags)?;
    let handed: Vec<_> = along
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        })
        .flatten()
        .collect();
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    while text.last() != Some(&b'\n') {
        match line.read(&mut chunk)? {
            0 => return Ok(None),
            bytes => text.extend_from_slice(&chunk[..bytes]),
        }
    }
    let handed = <[OwnedFd; HANDED]>::try_from(handed);
    let handed = handed.map_err(|_| io::Error::other("not all descriptors came over"))?;
    Ok(Some((serde_json::from_slice(&text)?, handed)))
}

/// Starts the program. The keeper's own descriptors are of no use to it, nor are its to the keeper.
fn spawn(told: &Told, handed: [OwnedFd; HANDED]) -> io::Result<Child> {
    let Told {
        program,
        name,
        open_files,
    } = told;
    let [file, preload, stdin] = handed;
    if program.fixed {
        for number in inherited()? {
            set_flags(number, libc::FD_CLOEXEC)?;
        }
    }
    // By their descriptors, whose names have one length, and no space or colon, at which the loader would split.
    let mut command = Command::new(by_descriptor(&file));
    command
        .arg0(&program.argv0)
        .args(&program.arguments)
        .env_clear()
        .envs(program.variables.iter().map(|(name, value)| (name, value)))
        .env("LD_PRELOAD", by_descriptor(&preload))
        .env(run_name::VARIABLE, name)
        .stdin(stdin)
        .process_group(0);
    if let Some(folder) = &program.folder {
        command.current_dir(folder);
    }
    let (keeper, kept, fixed) = (getpid(), preload.as_raw_fd(), program.fixed);
    let open_files = *open_files;
    #[expect(unsafe_code, reason = "std has no safe way to do any of this")]
    // SAFETY: the closure runs between fork and exec of a process with one thread, and only makes system calls, none
    // of which allocates or takes a lock.
    unsafe {
        command.pre_exec(move || prepare(keeper, kept, fixed, open_files));
    }
    command.spawn()
}

/// A path of one length for any file: what stands in the environment, and the path of the program, are on the stack.
fn by_descriptor(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{:/>8}", file.as_raw_fd())
}

/// Descriptors that a program which this process starts would have, besides the first three: those of whoever started
/// refcow.
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
    // What was ignored when refcow started, and what the keeper blocks, is no matter of the program's.
    for signal in 1..=libc::SIGRTMAX() {
        #[expect(unsafe_code, reason = "nix has no signals of real time")]
        // SAFETY: the default action is no handler. SIGKILL and SIGSTOP are refused, which changes nothing.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
    SigSet::empty().thread_set_mask()?;
    // A fixture that crashes leaves no core file behind.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // Same addresses in each run: without it counts vary by a page or two. Containers may forbid it (a warning).
    if let Ok(persona) = personality::get() {
        let _ = personality::set(persona | Persona::ADDR_NO_RANDOMIZE);
    }
    Ok(())
}

/// Nobody may be left to hear it.
fn say(mut line: &UnixStream, said: &Said) {
    if let Ok(mut text) = serde_json::to_vec(said) {
        text.push(b'\n');
        // Blocked with all others, SIGPIPE ends nothing.
        let _ = line.write_all(&text);
    }
}

/// Until refcow has no more use for the program, or is no more.
fn keep(line: &UnixStream, signals: &SignalFd, program: Pid) {
    let pid = program.as_raw_nonzero().get();
    say(line, &Said::Started { pid });
    let mut has_ended = false;
    loop {
        if !has_ended {
            // Not waited for yet: refcow still knows it by its number.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if let Ok(Some(status)) = waitid(WaitId::Pid(program), options) {
                has_ended = true;
                let status = raw(&status);
                say(line, &Said::Ended { status });
            }
        }
        for orphan in children() {
            if orphan != program {
                let _ = waitid(
                    WaitId::Pid(orphan),
                    WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
                );
            }
        }
        let mut fds = [
            PollFd::new(line, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        let woken = rustix::event::poll(&mut fds, None);
        // refcow says nothing more, but closes its end.
        if !fds[0].revents().is_empty() || woken.is_err_and(|errno| errno != Errno::INTR) {
            return;
        }
        hear(signals);
    }
}

/// Takes the signals that have come: the next one is heard again.
fn hear(signals: &SignalFd) {
    while let Ok(Some(_)) = signals.read_signal() {}
}

/// The status as `waitpid` writes it.
fn raw(status: &WaitIdStatus) -> i32 {
    let killed = |signal: i32| signal | if status.dumped() { 0x80 } else { 0 };
    let exited = status.exit_status().map(|code| (code & 0xff) << 8);
    exited
        .or_else(|| status.terminating_signal().map(killed))
        .unwrap_or_default()
}

/// This process's children, dead ones too.
fn children() -> Vec<Pid> {
    let me = Process::myself();
    let listed = me
        .as_ref()
        .ok()
        .and_then(|me| me.task_main_thread().ok()?.children().ok());
    let numbers: Vec<i32> = match (listed, me) {
        (Some(listed), _) => listed.into_iter().map(u32::cast_signed).collect(),
        // A kernel without CONFIG_PROC_CHILDREN.
        (None, Ok(me)) => procfs::process::all_processes()
            .into_iter()
            .flatten()
            .filter_map(|process| process.ok()?.stat().ok())
            .filter(|stat| stat.ppid == me.pid)
            .map(|stat| stat.pid)
            .collect(),
        (None, Err(_)) => Vec::new(),
    };
    numbers.into_iter().filter_map(Pid::from_raw).collect()
}

/// Kills all children, and those that they leave behind, until there is none.
///
/// Resource trackers of Python's are killed last: they remove shared memory when the last of its users is gone.
fn end(signals: &SignalFd) {
    let trackers_until = Instant::now() + TRACKER_TIME;
    loop {
        hear(signals);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        loop {
            match waitid(WaitId::All, options) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(Errno::INTR) => {}
                // No child at all: the one answer that is sure.
                Err(_) => return,
            }
        }
        // What has become another user's (sudo) nobody but that user may end.
        let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
        let all = children();
        let refused = all.iter().filter(|child| {
            let may_stay = Instant::now() < trackers_until;
            if may_stay && is_resource_tracker(**child) {
                return false;
            }
            let killed =
                watch(child.as_raw_nonzero().get()).and_then(|child| process::kill(&child));
            killed.is_err_and(|error| is_refused(&error))
        });
        if refused.count() == all.len() && !all.is_empty() {
            return;
        }
        // Each that ends says so; what the list of children left out is looked for again.
        const MOMENT: Duration = Duration::from_millis(20);
        let again = Instant::now() + MOMENT;
        process::wait(&mut [PollFd::new(signals, PollFlags::IN)], again);
    }
}

/// Whether this is the process that `multiprocessing` starts to remove the shared memory that its users leave behind.
/// It does so when the last of them is gone, so killing it together with them would leave the segments in /dev/shm.
///
/// One that has just been started is waited for until it has words: the kernel lets whoever started it go on (vfork) when the
/// old program has gone, and sets the words of the new one last (Linux `fs/exec.c`, `fs/binfmt_elf.c`).
fn is_resource_tracker(pid: Pid) -> bool {
    let until = Instant::now() + EXEC_TIME;
    let Ok(process) = Process::new(pid.as_raw_nonzero().get()) else {
        return false;
    };
    loop {
        let Ok(words) = process.cmdline() else {
            return false;
        };
        let lives = || process.stat().is_ok_and(|stat| !"ZX".contains(stat.state));
        if words.is_empty() && lives() && Instant::now() < until {
            std::thread::yield_now();
            continue;
        }
        return words
            .iter()
            .any(|word| word.contains("multiprocessing.resource_tracker"));
    }
}
