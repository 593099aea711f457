//! Why page faults cannot be recorded one by one, and what helps: for whoever records them, and for
//! `refcow doctor`.

use std::io;

use nix::errno::Errno;
use procfs::process::Process;

use crate::capabilities::{CAP_PERFMON, CAP_SYS_ADMIN, has_capability};

/// The highest `perf_event_paranoid` at which an ordinary user may record what its own processes do
/// outside the kernel (Documentation/admin-guide/perf-security.rst). Debian and Ubuntu have added
/// levels above it.
const HIGHEST_LEVEL: i64 = 2;

/// Page faults cannot be recorded one by one. Who wrote first to a page stays unknown; that it was
/// copied does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, miette::Diagnostic)]
#[error("page faults cannot be recorded: {reason}")]
#[diagnostic(help("{remedy}"))]
pub struct Unavailable {
    /// Who or what refused, with the level of `perf_event_paranoid` and the kernel's answer. One
    /// line.
    pub reason: String,
    /// What can be done about it. One line.
    pub remedy: String,
}

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// `perf_event_open(2)`.
    Open,
    /// Mapping the memory for the records.
    Map,
    /// Starting the thread that takes the records out of it.
    Thread,
    /// Anything else.
    Other(&'static str),
}

impl Attempt {
    /// Makes the explanation of why it failed, here and now.
    pub(super) fn failed(self) -> impl Fn(io::Error) -> Unavailable {
        move |error| Permission::of_this_process().explain(self, &error)
    }
}

/// What the kernel decides by whether a process may use perf events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// `None` where the kernel has no such file, which is where it has no perf events, or /proc
    /// hides it.
    pub paranoid: Option<i64>,
    /// Whether this process has CAP_PERFMON; `None` if /proc does not say.
    pub privileged: Option<bool>,
    /// `Seccomp` of /proc/self/status: 0 off, 1 strict, 2 filter.
    pub seccomp: Option<u32>,
}

impl Permission {
    /// Of this process, now. Needs no privilege.
    pub fn of_this_process() -> Self {
        let status = Process::myself().and_then(|process| process.status()).ok();
        Self {
            paranoid: std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid")
                .ok()
                .and_then(|text| text.trim().parse().ok()),
            privileged: has_capability(CAP_PERFMON)
                .zip(has_capability(CAP_SYS_ADMIN))
                .map(|(perf, admin)| perf || admin),
            seccomp: status.and_then(|status| status.seccomp),
        }
    }

    /// `perf_event_paranoid` and its value, for people.
    pub fn level(&self) -> String {
        match self.paranoid {
            Some(level) => format!("perf_event_paranoid {level}"),
            None => "no perf_event_paranoid".to_owned(),
        }
    }

    /// Whether the level keeps ordinary users from recording.
    pub fn level_is_high(&self) -> bool {
        self.paranoid > Some(HIGHEST_LEVEL)
    }

    fn explain(&self, tried: Attempt, error: &io::Error) -> Unavailable {
        let (why, remedy) = self.why(tried, error.raw_os_error().map(Errno::from_raw));
        Unavailable {
            reason: format!("{why}: {error}"),
            remedy: remedy.to_owned(),
        }
    }

    fn why(&self, tried: Attempt, errno: Option<Errno>) -> (String, &'static str) {
        let level = self.level();
        match (tried, errno) {
            (Attempt::Thread, _) => (
                format!("no thread can be started to take the records up ({level})"),
                "raise `ulimit -u`, or the cgroup's pids.max",
            ),
            (_, Some(Errno::EMFILE)) => (
                format!("an event takes a descriptor for each processor ({level})"),
                "raise the limit of open files: `ulimit -n 4096`",
            ),
            (_, Some(Errno::ESRCH)) => (
                format!("the process has ended ({level})"),
                "something killed it: the kernel's log says if that was for want of memory (dmesg)",
            ),
            (Attempt::Map, Some(Errno::EPERM)) => (
                format!("kernel.perf_event_mlock_kb leaves no memory for the records ({level})"),
                "end other programs of this user that record, raise `ulimit -l`, or as root: sysctl kernel.perf_event_mlock_kb=1032",
            ),
            (Attempt::Open, Some(Errno::ENOSYS)) if self.paranoid.is_none() => (
                format!("this kernel has no perf events ({level})"),
                "use a kernel with CONFIG_PERF_EVENTS",
            ),
            // Docker's filter answers EPERM, Podman's ENOSYS, both to root as well. EACCES is never
            // a filter's.
            (Attempt::Open, Some(Errno::EPERM | Errno::ENOSYS)) if self.seccomp == Some(2) => (
                format!("a seccomp filter, as containers have, forbids perf_event_open ({level})"),
                "start the container with --cap-add PERFMON or --security-opt seccomp=unconfined",
            ),
            (Attempt::Open, Some(Errno::EACCES | Errno::EPERM))
                if self.level_is_high() && self.privileged != Some(true) =>
            {
                (
                    format!("{level} keeps them from ordinary users"),
                    // Not to refcow-subject: the kernel lets nobody look into a process whose
                    // program has capabilities.
                    "run as root, or as root: sysctl kernel.perf_event_paranoid=2, or setcap cap_perfmon=ep on the refcow program alone",
                )
            }
            (Attempt::Open, Some(Errno::EACCES | Errno::EPERM)) => (
                format!(
                    "perf_event_open is forbidden although {level} allows it: a security module, a sandbox, or a process of another user's"
                ),
                "ask who administers the machine's security module (SELinux, AppArmor) or sandbox",
            ),
            _ => (
                format!("{} fails ({level})", tried.name()),
                "see whether `perf record -e minor-faults:u -c 1 -d true` says more",
            ),
        }
    }
}

impl Attempt {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "perf_event_open",
            Self::Map => "mapping the records",
            Self::Thread => "starting a thread",
            Self::Other(what) => what,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(
        tried: Attempt,
        errno: Errno,
        paranoid: Option<i64>,
        privileged: bool,
        seccomp: u32,
    ) -> Unavailable {
        let permission = Permission {
            paranoid,
            privileged: Some(privileged),
            seccomp: Some(seccomp),
        };
        permission.explain(tried, &io::Error::from_raw_os_error(errno as i32))
    }

    #[test]
    fn each_refusal_is_laid_to_whoever_refused() {
        use Attempt::Open;

        let paranoid = failed(Open, Errno::EACCES, Some(4), false, 0);
        assert!(paranoid.reason.starts_with("perf_event_paranoid 4 keeps"));
        assert!(paranoid.remedy.contains("perf_event_paranoid=2"));
        assert!(paranoid.remedy.contains("setcap cap_perfmon=ep"));

        for errno in [Errno::EPERM, Errno::ENOSYS] {
            let filtered = failed(Open, errno, Some(2), true, 2);
            assert!(
                filtered.reason.starts_with("a seccomp filter"),
                "{filtered:?}"
            );
            assert!(filtered.remedy.contains("--cap-add PERFMON"));
        }
        // The level is what refuses even if some filter, that lets the call through, is there.
        let both = failed(Open, Errno::EACCES, Some(3), false, 2);
        assert!(both.reason.starts_with("perf_event_paranoid 3"), "{both:?}");

        let module = failed(Open, Errno::EACCES, Some(1), false, 0);
        assert!(module.reason.contains("a security module"), "{module:?}");
        let none = failed(Open, Errno::ENOSYS, None, false, 0);
        assert!(
            none.reason.starts_with("this kernel has no perf"),
            "{none:?}"
        );
        let other = failed(Open, Errno::EINVAL, Some(2), false, 0);
        assert!(
            other.reason.starts_with("perf_event_open fails"),
            "{other:?}"
        );
        assert!(other.remedy.contains("perf record"));
    }

    #[test]
    fn a_limit_is_told_from_a_refusal() {
        let memory = failed(Attempt::Map, Errno::EPERM, Some(2), false, 2);
        assert!(memory.reason.starts_with("kernel.perf_event_mlock_kb"));
        let thread = failed(Attempt::Thread, Errno::EAGAIN, Some(2), false, 0);
        assert!(thread.remedy.contains("ulimit -u"), "{thread:?}");
        let files = failed(Attempt::Open, Errno::EMFILE, Some(2), false, 0);
        assert!(files.remedy.contains("ulimit -n"), "{files:?}");
        let gone = failed(Attempt::Open, Errno::ESRCH, Some(2), false, 0);
        assert!(gone.reason.starts_with("the process has ended"), "{gone:?}");
    }

    #[test]
    fn every_reason_is_one_line_with_the_level() {
        let tried = [
            Attempt::Open,
            Attempt::Map,
            Attempt::Thread,
            Attempt::Other("poll"),
        ];
        for attempt in tried {
            for errno in [
                Errno::EPERM,
                Errno::EACCES,
                Errno::ENOSYS,
                Errno::EMFILE,
                Errno::ENOMEM,
            ] {
                for seccomp in [0, 2] {
                    let told = failed(attempt, errno, Some(3), false, seccomp);
                    let line = told.to_string();
                    assert!(line.contains("perf_event_paranoid 3"), "{line}");
                    assert!(!line.contains('\n') && !told.remedy.is_empty(), "{told:?}");
                }
            }
        }
    }
}
