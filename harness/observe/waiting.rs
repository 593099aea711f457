//! What a process that does not end is waiting for, as far as the kernel tells.

use std::fs;

use nix::libc;
use procfs::process::Process;

/// `FUTEX_PRIVATE_FLAG` of linux/futex.h: no other process can wake who waits.
const PRIVATE: u64 = 128;

/// All threads of a process sleep in futex(2): each waits for a lock, or for something made of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Locked {
    /// How many threads it has.
    pub threads: usize,
    /// Whether each of them waits without a limit of its own, for what only a thread of this
    /// process can give. `None` where the kernel does not show that (`/proc/PID/syscall` takes the
    /// right to attach).
    pub for_ever: Option<bool>,
}

/// How one thread waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wait {
    for_ever: Option<bool>,
}

/// Whether all threads of a process sleep in futex(2). `None`: not all do, or it is not known.
pub fn locked(pid: i32) -> Option<Locked> {
    let tasks = Process::new(pid).and_then(|process| process.tasks()).ok()?;
    let mut threads = 0;
    let mut for_ever = Some(true);
    for task in tasks {
        let task = task.ok()?;
        if task.stat().ok()?.state != 'S' {
            return None;
        }
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/task/{}/{name}", task.tid));
        let wait = match read("syscall") {
            Ok(text) => of_call(&text)?,
            Err(_) => of_symbol(&read("wchan").ok()?)?,
        };
        threads += 1;
        for_ever = match (for_ever, wait.for_ever) {
            (Some(all), Some(one)) => Some(all && one),
            _ => None,
        };
    }
    (threads > 0).then_some(Locked { threads, for_ever })
}

/// A thread that sleeps in futex(2), by its system call and the arguments: `202 0x7f… 0x189 0x0 0x0
/// …`.
fn of_call(text: &str) -> Option<Wait> {
    let mut words = text.split_ascii_whitespace();
    let number: i64 = words.next()?.parse().ok()?;
    if number != libc::SYS_futex {
        return None;
    }
    let mut argument = || {
        let word = words.next()?.strip_prefix("0x")?;
        u64::from_str_radix(word, 16).ok()
    };
    let (_address, operation, _value, limit) = (argument()?, argument()?, argument()?, argument()?);
    Some(Wait {
        for_ever: Some(operation & PRIVATE != 0 && limit == 0),
    })
}

/// The same by the kernel's function in which it sleeps.
fn of_symbol(text: &str) -> Option<Wait> {
    text.contains("futex").then_some(Wait { for_ever: None })
}

/// The threads of a process but its first, each with the name that the kernel has for it.
pub fn other_threads(pid: i32) -> Vec<(i32, String)> {
    let tasks = Process::new(pid).and_then(|process| process.tasks());
    let tasks = tasks.into_iter().flatten().flatten();
    tasks
        .filter(|task| task.tid != pid)
        .map(|task| {
            let name = task.stat().map(|stat| stat.comm).unwrap_or_default();
            (task.tid, name)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn for_ever(text: &str) -> Option<Option<bool>> {
        of_call(text).map(|wait| wait.for_ever)
    }

    #[test]
    fn a_call_tells_whether_anybody_else_can_end_it() {
        let futex = libc::SYS_futex;
        let call = |operation: &str, limit: &str| {
            for_ever(&format!(
                "{futex} 0x7f0000001000 {operation} 0x0 {limit} 0x0 0xffffffff 0x7ffe0000 0x7f00\n"
            ))
        };
        assert_eq!(call("0x189", "0x0"), Some(Some(true)));
        // Woken by its own limit, and by another process.
        assert_eq!(call("0x189", "0x7ffe0010"), Some(Some(false)));
        assert_eq!(call("0x109", "0x0"), Some(Some(false)));
        assert_eq!(for_ever("0 0x3 0x7f 0x1 0x0 0x0 0x0 0x7ffe 0x7f\n"), None);
        assert_eq!(for_ever("running\n"), None);
        assert_eq!(for_ever(""), None);
    }

    #[test]
    fn a_symbol_tells_no_more_than_that_it_waits() {
        assert_eq!(of_symbol("futex_wait_queue"), Some(Wait { for_ever: None }));
        assert_eq!(of_symbol("hrtimer_nanosleep"), None);
        assert_eq!(of_symbol("0"), None);
    }
}
