//! Runs another program to its end: output kept, time limited, nothing of it left running.

use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::fs::Mode;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::interrupt::{self, Wake};
use crate::process;

/// More than any of these programs has to say; a program that floods its output is stopped here.
const OUTPUT_LIMIT_BYTES: usize = 8 << 20;
const OTHERS_WRITE: Mode = Mode::WGRP.union(Mode::WOTH);

/// What a program left behind.
pub(super) struct ChildOutput {
    pub(super) status: ExitStatus,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

/// Why there is no [`ChildOutput`]. The program does not run any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChildFailure {
    #[error("{0}")]
    Start(#[source] io::Error),
    #[error("no end after {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("more than {} MiB of output", OUTPUT_LIMIT_BYTES >> 20)]
    TooMuchOutput,
    #[error("interrupted")]
    Interrupted,
    #[error("{0}")]
    Wait(#[source] io::Error),
}

/// Runs `command` with nothing on its standard input, in a process group of its own, for at most
/// `timeout`.
///
/// The whole group is killed when it ends, when it takes too long, when refcow is interrupted; the
/// program itself also when refcow is killed.
pub(super) fn run(command: &mut Command, timeout: Duration) -> Result<ChildOutput, ChildFailure> {
    let deadline = Instant::now() + timeout;
    let parent = rustix::process::getpid();
    let open_files = process::users_open_files();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let die_with_parent = move || {
        // What is installed is started later: whatever the user's umask, nobody else may write to
        // it.
        let umask = rustix::process::umask(OTHERS_WRITE);
        rustix::process::umask(umask | OTHERS_WRITE);
        process::lower_open_files(open_files)?;
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died between the fork and the call above; then no signal comes any
        // more.
        if rustix::process::getppid() == Some(parent) {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    };
    #[expect(
        unsafe_code,
        reason = "the parent-death signal can be set only by the child itself"
    )]
    // SAFETY: the closure runs in the forked child of a process that may have other threads, where
    // only async-signal-safe work is allowed. It makes system calls alone, touches no lock and no
    // memory but its own copies of a pid and a limit, and its error values are built without
    // allocating. The signal fires when the *thread* that forks ends: this function stays in it
    // until the child has been reaped.
    unsafe {
        command.pre_exec(die_with_parent);
    }
    let mut group = ProcessGroup(command.spawn().map_err(ChildFailure::Start)?);
    let (Some(stdout), Some(stderr)) = (group.0.stdout.take(), group.0.stderr.take()) else {
        unreachable!("both are piped, a few lines above");
    };
    let pid = Pid::from_child(&group.0);
    let ended = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        .map_err(|e| ChildFailure::Wait(e.into()))?;
    let mut stdout = Collected::new(stdout).map_err(ChildFailure::Wait)?;
    let mut stderr = Collected::new(stderr).map_err(ChildFailure::Wait)?;
    loop {
        // A descriptor of which the other end is closed would be ready for ever: it leaves the set.
        let mut fds = vec![PollFd::new(&ended, PollFlags::IN)];
        fds.extend(
            stdout
                .pipe
                .as_ref()
                .map(|pipe| PollFd::new(pipe, PollFlags::IN)),
        );
        fds.extend(
            stderr
                .pipe
                .as_ref()
                .map(|pipe| PollFd::new(pipe, PollFlags::IN)),
        );
        let wake = interrupt::wait(&mut fds, Some(deadline)).map_err(ChildFailure::Wait)?;
        let has_ended = !fds[0].revents().is_empty();
        match wake {
            Wake::Interrupted => return Err(ChildFailure::Interrupted),
            Wake::TimedOut => return Err(ChildFailure::TimedOut(timeout)),
            Wake::Ready => {}
        }
        // What a program wrote before its end is in the pipes by then. One that it left running may
        // hold them open, which is why their end is not waited for.
        stdout.drain()?;
        stderr.drain()?;
        if has_ended {
            break;
        }
    }
    let status = group.end().map_err(ChildFailure::Wait)?;
    Ok(ChildOutput {
        status,
        stdout: stdout.bytes,
        stderr: stderr.bytes,
    })
}

/// A child that leads its own process group.
struct ProcessGroup(Child);

impl ProcessGroup {
    /// Kills whatever of the group still runs, and reaps the leader.
    fn end(&mut self) -> io::Result<ExitStatus> {
        // Until it is reaped, the leader's pid, which is the group's id, cannot be anyone else's.
        // No such group, or a program that changed its user, leaves nothing to do here.
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        self.0.wait()
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // None: not reaped yet.
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.end();
        }
    }
}

struct Collected<P> {
    /// `None` once the other end is closed.
    pipe: Option<P>,
    bytes: Vec<u8>,
}

impl<P: Read + std::os::fd::AsFd> Collected<P> {
    fn new(pipe: P) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Self {
            pipe: Some(pipe),
            bytes: Vec::new(),
        })
    }

    fn drain(&mut self) -> Result<(), ChildFailure> {
        let mut buffer = [0; 8192];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(length) => {
                    self.bytes.extend_from_slice(&buffer[..length]);
                    if self.bytes.len() > OUTPUT_LIMIT_BYTES {
                        return Err(ChildFailure::TooMuchOutput);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ChildFailure::Wait(error)),
            }
        }
        Ok(())
    }
}

/// How a program ended, in words: `exit status 1`, `killed by signal 11`.
pub(super) fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The last `lines` lines that say something, for an error message.
pub(super) fn tail(bytes: &[u8], lines: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut last: Vec<&str> = text
        .lines()
        .rev()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
        .take(lines)
        .collect();
    last.reverse();
    last.join("\n")
}

/// The JSON behind `mark` in the last line that starts with it: a site's own start-up code may
/// print as well.
pub(super) fn marked_line<'a>(stdout: &'a [u8], mark: &str) -> Option<&'a [u8]> {
    stdout
        .split(|byte| *byte == b'\n')
        .rev()
        .find_map(|line| line.strip_prefix(mark.as_bytes()))
}

#[cfg(test)]
mod tests {
    use procfs::process::Process;

    use super::*;

    #[test]
    fn what_hangs_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let hangs = format!(
            "sleep 600 & echo $! >'{0}'; echo $$ >>'{0}'; wait",
            pids.display()
        );
        // Long enough for a shell to say who it is on a busy machine.
        let limit = Duration::from_secs(3);
        let ended = run(Command::new("sh").args(["-c", &hangs]), limit);
        assert!(matches!(ended, Err(ChildFailure::TimedOut(of)) if of == limit));
        let pids = std::fs::read_to_string(pids).unwrap();
        assert_eq!(pids.lines().count(), 2);
        let runs = |pid: i32| {
            let stat = Process::new(pid).and_then(|process| process.stat());
            stat.is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X'))
        };
        // It was sent a signal, and ends when it is its turn.
        let patience = Instant::now() + Duration::from_secs(60);
        for pid in pids.lines().map(|pid| pid.parse().unwrap()) {
            while runs(pid) {
                assert!(Instant::now() < patience, "process {pid} still runs");
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn the_tail_has_no_empty_lines_and_keeps_their_order() {
        assert_eq!(tail(b"a\nb\n\n c \n\n", 2), "b\n c");
        assert_eq!(tail(b"", 2), "");
    }

    #[test]
    fn the_last_marked_line_counts() {
        let out = b"hello\nmark:1\nmark:2\nbye\n";
        assert_eq!(marked_line(out, "mark:"), Some(&b"2"[..]));
        assert_eq!(marked_line(out, "other:"), None);
    }
}
