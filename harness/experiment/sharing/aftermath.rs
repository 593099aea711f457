//! What is left of a way to share when all of its processes are killed at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};

use crate::driver::{DriverError, Subject};
use crate::experiment::visit::VisitError;
use crate::interrupt::{self, Wake};
use crate::model::Leftover;
use crate::{observe, process, shm};

/// What a helper gets to notice that those it served are dead. One that does takes some
/// milliseconds, and longer where others use the processors.
const HELPER_TIME: Duration = Duration::from_secs(30);
/// What a manager gets. It looks for the end that it was told of once a second.
const MANAGER_TIME: Duration = Duration::from_millis(1100);

/// Kills parent and children at once, as what ends a job does, gives helpers the time to notice,
/// and looks at what is left. It is not removed here: that is for the ends of `subject` and
/// `folder`.
pub(super) fn left_after_kill(
    subject: &Subject,
    helpers: &BTreeMap<String, i32>,
    folder: &Path,
) -> Result<Vec<Leftover>, VisitError> {
    let group = subject.pid();
    let all = process::watched_members(group);
    let mut segments = shm::segments(subject.name());
    segments.extend(segments_mapped(all.iter().map(|(pid, _)| *pid)));
    // The parent first: a pool forks another for each that it finds dead, until it is killed itself.
    let parent: Vec<_> = all.into_iter().filter(|(pid, _)| *pid == group).collect();
    for (_, process) in &parent {
        let _ = process::kill(process);
    }
    let mut others = process::watched_members(group);
    others.retain(|(pid, _)| *pid != group);
    let (helping, mut killed): (Vec<_>, Vec<_>) = others
        .into_iter()
        .partition(|(pid, _)| helpers.values().any(|helper| helper == pid));
    // What a manager holds open keeps the others alive.
    let time = if helpers.contains_key("manager") {
        MANAGER_TIME
    } else {
        HELPER_TIME
    };
    for (_, process) in &killed {
        // Refused for another user's, and none of these is.
        let _ = process::kill(process);
    }
    killed.extend(parent);
    // What helpers are to notice has happened when the last of those is dead.
    for (processes, time) in [(killed, HELPER_TIME), (helping, time)] {
        let deadline = Instant::now() + time;
        for (_, process) in &processes {
            let mut fds = [PollFd::new(process, PollFlags::IN)];
            // Out of time, it is looked at all the same.
            if let Ok(Wake::Interrupted) = interrupt::wait(&mut fds, Some(deadline)) {
                return Err(DriverError::Interrupted.into());
            }
        }
    }
    let mut left: Vec<Leftover> = process::members(group)
        .into_iter()
        .map(|pid| {
            let helper = helpers.iter().find(|(_, helper)| **helper == pid);
            match helper.map(|(name, _)| name.as_str()) {
                Some("manager") => Leftover::Manager,
                Some("forkserver") => Leftover::Forkserver,
                Some("resource_tracker") => Leftover::ResourceTracker,
                _ => Leftover::Process,
            }
        })
        .collect();
    segments.extend(shm::segments(subject.name()));
    segments.retain(|path| path.exists());
    left.extend(segments.iter().map(|_| Leftover::Segment));
    files(folder, &mut left);
    left.sort_unstable();
    left.dedup();
    Ok(left)
}

/// Segments that processes have mapped, whatever their names.
fn segments_mapped(pids: impl Iterator<Item = i32>) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for pid in pids {
        let maps = observe::memory_maps(pid);
        for map in maps.into_iter().flatten() {
            if let procfs::process::MMapPath::Path(path) = map.pathname
                && path.starts_with(shm::FOLDER)
                && path.exists()
            {
                found.insert(path);
            }
        }
    }
    found
}

/// What is in a folder and those below it.
fn files(folder: &Path, left: &mut Vec<Leftover>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            let before = left.len();
            files(&entry.path(), left);
            if left.len() == before {
                left.push(Leftover::Folder);
            }
        } else if kind.is_socket() {
            left.push(Leftover::Socket);
        } else {
            left.push(Leftover::File);
        }
    }
}
