//! What a run may have left behind.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};

use super::place::Place;
use super::waiting::ends;

/// A killed process is gone in an instant, where nothing else runs; one that was not killed stays longer than this.
const DEATH: Duration = Duration::from_secs(60);

impl Place {
    /// Fails if a process of a run in this place lives, or a segment of its fixture's is still in
    /// /dev/shm. A process that has been killed is given the time to go.
    pub fn nothing_remains(&self) {
        let deadline = Instant::now() + DEATH;
        loop {
            let living = self.processes();
            let Some((pid, ended, words)) = living.first() else {
                break;
            };
            if !ends(ended, deadline) {
                for (pid, ..) in &living {
                    let _ = rustix::process::kill_process(*pid, Signal::KILL);
                }
                panic!("process {} survived: {words}", pid.as_raw_nonzero());
            }
        }
        let segments: Vec<_> = fs::read_dir("/dev/shm")
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_string_lossy().contains(self.name()))
            .collect();
        for segment in &segments {
            let _ = fs::remove_file(segment);
        }
        assert!(segments.is_empty(), "left behind: {segments:?}");
    }

    /// Living processes of this place's runs, with their command lines.
    fn processes(&self) -> Vec<(Pid, OwnedFd, String)> {
        let mark = self.folder.path().as_os_str().as_bytes();
        let numbers = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let name = entry.ok()?.file_name();
            name.to_str()?.parse().ok().and_then(Pid::from_raw)
        });
        numbers
            .filter_map(|pid| {
                // Before anything is read of it, so that all is of one process.
                let ended = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
                let folder = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
                let environment = fs::read(folder.join("environ")).ok()?;
                let ours = environment.windows(mark.len()).any(|part| part == mark);
                let words = fs::read(folder.join("cmdline")).unwrap_or_default();
                let words = String::from_utf8_lossy(&words).replace('\0', " ");
                ours.then_some((pid, ended, words))
            })
            .collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Of a test that failed before it looked.
        for (pid, ..) in self.processes() {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

/// Fails unless the process of this number, as a fixture has said it, is gone, or goes soon.
#[track_caller]
pub fn is_gone(pid: &str) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    // Without one, it is gone already.
    if let Ok(ended) = rustix::process::pidfd_open(pid, PidfdFlags::empty())
        && !ends(&ended, Instant::now() + DEATH)
    {
        let _ = rustix::process::pidfd_send_signal(&ended, Signal::KILL);
        panic!("process {} survived", pid.as_raw_nonzero());
    }
}
