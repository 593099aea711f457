//! Processes by their descent: what a process has forked, wherever that has gone since.
//!
//! A process may leave its session, lose its parent, or have one that runs another program by now.
//! It stays below the nearest subreaper (prctl(2)), so it is looked for from there, and by what the
//! kernel keeps of a fork.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use nix::libc;
use procfs::process::{Process, Stat};

use super::{Error, reading};

/// `PF_FORKNOEXEC` of Linux `include/linux/sched.h`: the process was forked, and has executed no
/// program since.
const FORKED: u32 = 0x40;

/// `PF_EXITING`: the process ends, and has given its memory back or is about to.
const ENDING: u32 = 0x4;

/// What ends has ended within this, if the kernel has nothing else to do.
const END_TIME: Duration = Duration::from_secs(10);

/// How often a family is gone through before it is taken as it is: while one of them forks all the
/// time, no two looks agree.
const LOOKS: usize = 50;

/// A process and those around it, before it does something that may leave further ones behind.
#[derive(Clone, Debug)]
pub struct Relatives {
    pid: i32,
    parent: i32,
    /// The parent's own parent, a subreaper.
    top: i32,
    /// All below `top`, each with the time of its start: numbers are used again.
    known: BTreeSet<(i32, u64)>,
    /// Page faults of children that it has waited for.
    waited_for: u64,
}

impl Relatives {
    /// Of a process whose grandparent is a subreaper.
    ///
    /// # Errors
    /// When one of them is gone or may not be read.
    pub fn of(pid: i32) -> Result<Self, Error> {
        let own = stat(pid)?;
        let parent = stat(own.ppid)?;
        let known = below(parent.ppid)?;
        Ok(Self {
            pid,
            parent: parent.pid,
            top: parent.ppid,
            known: known.values().map(key).collect(),
            waited_for: waited_for(&own),
        })
    }

    /// The living processes that it, or what it has forked, has forked since, and that still have
    /// its memory: nothing was executed since the fork. One of which that cannot be told is among
    /// them.
    ///
    /// # Errors
    /// When the process is gone or may not be read.
    pub fn copies(&self) -> Result<Vec<i32>, Error> {
        let until = Instant::now() + END_TIME;
        loop {
            let copies = self.look_for_copies()?;
            if copies.iter().all(|one| one.flags & ENDING == 0) || Instant::now() > until {
                return Ok(copies.iter().map(|one| one.pid).collect());
            }
            std::thread::yield_now();
        }
    }

    fn look_for_copies(&self) -> Result<Vec<Stat>, Error> {
        let now = below(self.top)?;
        let start = start_of(self.pid);
        let same = |pid| match (start, start_of(pid)) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        };
        let copies = now.values().filter(|one| {
            // One without memory is a process that ends.
            one.vsize > 0
                && !matches!(one.state, 'Z' | 'X')
                && one.flags & FORKED != 0
                && self.is_new(one, &now)
                && same(one.pid)
        });
        Ok(copies.cloned().collect())
    }

    /// Whether it has started processes since: it has waited for some, or some are there; or it
    /// lets the kernel wait for them, which leaves no trace.
    ///
    /// # Errors
    /// When the process is gone or may not be read.
    pub fn has_grown(&self) -> Result<Grown, Error> {
        let own = stat(self.pid)?;
        let now = below(self.top)?;
        if waited_for(&own) > self.waited_for || now.values().any(|one| self.is_new(one, &now)) {
            return Ok(Grown::Yes);
        }
        let status = Process::new(self.pid).and_then(|process| process.status());
        let ignored = status.map_err(reading(self.pid, "status"))?.sigign;
        let is_ignored = ignored & 1 << (libc::SIGCHLD - 1) != 0;
        Ok(if is_ignored {
            Grown::Perhaps
        } else {
            Grown::No
        })
    }

    /// Whether it was started since, by this process or below it. One whose forebears are lost is:
    /// they may have been.
    fn is_new(&self, one: &Stat, all: &BTreeMap<i32, Stat>) -> bool {
        let mut one = one;
        loop {
            if self.known.contains(&key(one)) {
                return false;
            }
            if [self.pid, self.parent, self.top].contains(&one.ppid) {
                return true;
            }
            match all.get(&one.ppid) {
                Some(parent) => one = parent,
                None => return true,
            }
        }
    }
}

/// Whether a process has started others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grown {
    /// It has.
    Yes,
    /// It has not.
    No,
    /// Nobody would see it.
    Perhaps,
}

fn key(stat: &Stat) -> (i32, u64) {
    (stat.pid, stat.starttime)
}

fn waited_for(stat: &Stat) -> u64 {
    stat.cminflt.saturating_add(stat.cmajflt)
}

fn stat(pid: i32) -> Result<Stat, Error> {
    let stat = Process::new(pid).and_then(|process| process.stat());
    stat.map_err(reading(pid, "stat"))
}

/// All processes below this one, dead ones that nobody has waited for included.
///
/// While it is gone through, one may end and its children become another's; so it is looked again
/// until two looks agree.
fn below(top: i32) -> Result<BTreeMap<i32, Stat>, Error> {
    let mut found = look_below(top)?;
    for _ in 1..LOOKS {
        let again = look_below(top)?;
        let same = again.keys().eq(found.keys());
        found = again;
        if same {
            break;
        }
    }
    Ok(found)
}

/// From `/proc/PID/task/TID/children` where the kernel has it (CONFIG_PROC_CHILDREN, Linux 4.2),
/// else from every process that there is.
fn look_below(top: i32) -> Result<BTreeMap<i32, Stat>, Error> {
    let mut found = BTreeMap::new();
    let mut all: Option<Vec<Stat>> = None;
    let mut left = vec![top];
    while let Some(pid) = left.pop() {
        let children = match (listed(pid), &mut all) {
            (Some(children), _) => children,
            (None, all) => {
                if all.is_none() {
                    let every = procfs::process::all_processes().map_err(reading(pid, "stat"))?;
                    let stats = every.filter_map(|process| process.ok()?.stat().ok());
                    *all = Some(stats.collect());
                }
                let every = all.iter().flatten().filter(|stat| stat.ppid == pid);
                every.map(|stat| stat.pid).collect()
            }
        };
        for child in children {
            // One that has ended meanwhile is not there the next time.
            if let Ok(stat) = stat(child)
                && found.insert(child, stat).is_none()
            {
                left.push(child);
            }
        }
    }
    Ok(found)
}

/// The children of a process by the kernel's own list; `None` if it keeps none, or the process is
/// gone.
fn listed(pid: i32) -> Option<Vec<i32>> {
    let tasks = Process::new(pid).and_then(|process| process.tasks()).ok()?;
    let mut children = Vec::new();
    for task in tasks {
        let of_task = task.ok()?.children().ok()?;
        children.extend(of_task.into_iter().map(u32::cast_signed));
    }
    Some(children)
}

/// The random bytes that the kernel gives a program when it starts it (`AT_RANDOM`, getauxval(3)):
/// a fork has its parent's, and no other process has them, also if it runs the same program. `None`
/// where they cannot be read.
fn start_of(pid: i32) -> Option<[u8; 16]> {
    const AT_RANDOM: u64 = 25;
    let process = Process::new(pid).ok()?;
    let address = *process.auxv().ok()?.get(&AT_RANDOM)?;
    let mut bytes = [0; 16];
    process
        .mem()
        .ok()?
        .read_exact_at(&mut bytes, address)
        .ok()?;
    Some(bytes)
}
