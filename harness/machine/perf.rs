//! Whether page faults of a process can be recorded one by one.

use std::io;

use nix::errno::Errno;
use perf_event::events::Software;
use perf_event::{Builder, SampleFlag};

use super::{CAP_PERFMON, CAP_SYS_ADMIN, Finding, State, read};

const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

/// Opens the event on this process itself, as it would be opened on a child, and says why if that fails.
pub(super) fn finding(capabilities: Option<u64>, seccomp: Option<u32>) -> Finding {
    let paranoid = read(PARANOID).and_then(|text| text.trim().parse().ok());
    let privileged =
        capabilities.map(|all| all >> CAP_PERFMON & 1 == 1 || all >> CAP_SYS_ADMIN & 1 == 1);
    explain(&probe(), paranoid, privileged, seccomp)
}

/// One record a fault of user code, with the address: `PAGE_FAULTS_MIN`, period 1, kernel excluded. Needs
/// `perf_event_paranoid` of at most 2, or CAP_PERFMON (Documentation/admin-guide/perf-security.rst).
fn probe() -> io::Result<()> {
    Builder::new(Software::PAGE_FAULTS_MIN)
        .sample_period(1)
        .sample(SampleFlag::IP | SampleFlag::ADDR)
        .exclude_kernel(true)
        .observe_self()
        .build()
        .map(drop)
}

/// `paranoid`: `None` where the kernel has no such file, which is where it has no perf events.
fn explain(
    tried: &io::Result<()>,
    paranoid: Option<i64>,
    privileged: Option<bool>,
    seccomp: Option<u32>,
) -> Finding {
    let name = "page-fault events";
    let level = match paranoid {
        Some(level) => format!("perf_event_paranoid {level}"),
        None => "no perf_event_paranoid".to_owned(),
    };
    let error = match tried {
        Ok(()) if paranoid > Some(2) => {
            return Finding::good(name, format!("recorded, by privilege ({level})"));
        }
        Ok(()) => return Finding::good(name, format!("recorded ({level})")),
        Err(error) => error,
    };
    let unconfined =
        "start the container with --cap-add PERFMON or --security-opt seccomp=unconfined";
    let lower = "as root: sysctl kernel.perf_event_paranoid=2, or setcap cap_perfmon=ep on the refcow program";
    let (why, remedy) = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOSYS) if paranoid.is_none() => (
            "this kernel has no perf events".to_owned(),
            "use a kernel with CONFIG_PERF_EVENTS",
        ),
        Some(Errno::EPERM | Errno::ENOSYS) if seccomp == Some(2) => (
            format!("a seccomp filter, as containers have, forbids perf_event_open ({level})"),
            unconfined,
        ),
        Some(Errno::EACCES | Errno::EPERM) if paranoid > Some(2) && privileged != Some(true) => {
            (format!("{level} keeps them from ordinary users"), lower)
        }
        Some(Errno::EACCES | Errno::EPERM) => (
            format!(
                "perf_event_open is forbidden although {level} allows it: a security module, or a sandbox"
            ),
            "ask who administers the machine's security module (SELinux, AppArmor) or sandbox",
        ),
        _ => (format!("perf_event_open fails ({level})"), ""),
    };
    Finding::less(
        name,
        State::Unavailable,
        format!("{why}: {error}"),
        "the causes of copies (who wrote first); the counts stay",
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(errno: Errno, paranoid: Option<i64>, privileged: bool, seccomp: u32) -> Finding {
        let tried = Err(io::Error::from_raw_os_error(errno as i32));
        explain(&tried, paranoid, Some(privileged), Some(seccomp))
    }

    #[test]
    fn each_refusal_is_laid_to_whoever_refused() {
        let paranoid = failed(Errno::EACCES, Some(4), false, 0);
        assert!(paranoid.found.starts_with("perf_event_paranoid 4 keeps"));
        assert!(paranoid.remedy.unwrap().contains("perf_event_paranoid=2"));

        // Docker's filter answers EPERM, Podman's ENOSYS, both to root as well.
        for errno in [Errno::EPERM, Errno::ENOSYS] {
            let filtered = failed(errno, Some(2), true, 2);
            assert!(
                filtered.found.starts_with("a seccomp filter"),
                "{filtered:?}"
            );
        }
        // The level is what refuses even if some filter, that lets the call through, is there.
        let both = failed(Errno::EACCES, Some(3), false, 2);
        assert!(both.found.starts_with("perf_event_paranoid 3"), "{both:?}");

        let module = failed(Errno::EACCES, Some(1), false, 0);
        assert!(module.found.contains("a security module"), "{module:?}");
        let none = failed(Errno::ENOSYS, None, false, 0);
        assert!(
            none.found.starts_with("this kernel has no perf"),
            "{none:?}"
        );
        let other = failed(Errno::EMFILE, Some(2), false, 0);
        assert!(other.found.contains("perf_event_open fails"), "{other:?}");
        assert_eq!(other.remedy, None);
        assert_eq!(other.state, State::Unavailable);
    }

    #[test]
    fn a_high_level_passed_by_privilege_is_told() {
        let found = explain(&Ok(()), Some(4), Some(true), None);
        assert_eq!(
            found.found,
            "recorded, by privilege (perf_event_paranoid 4)"
        );
        let found = explain(&Ok(()), Some(2), Some(false), None);
        assert_eq!(found.found, "recorded (perf_event_paranoid 2)");
    }
}
