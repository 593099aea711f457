//! What may be seen of programs that refcow did not start, for `refcow doctor`: each thing is tried
//! on this process.

use nix::unistd::geteuid;

use crate::observe::{CAP_SYS_PTRACE, FrameFlags, RecordedBy, TreeRecorder, has_capability};

use crate::observe::frames::Interpreter;

use super::finding::{Availability, Finding};
use super::kernel::read;
use super::sample::Sample;
use super::text;

const PTRACE_SCOPE: &str = "/proc/sys/kernel/yama/ptrace_scope";

/// For `refcow trees`, `attach` and `run`, each with what is absent without it.
pub(super) fn findings(sample: &Sample) -> Vec<Finding> {
    let mut all = vec![whose(), who_wrote(sample)];
    let own = std::process::id().cast_signed();
    let by_program = RecordedBy::Program { one_in: None };
    let recorder = TreeRecorder::new(by_program).and_then(|mut recorder| {
        recorder.add(own)?;
        Ok(recorder)
    });
    // Why faults cannot be recorded stands above, for all commands.
    if let Ok(mut recorder) = recorder {
        all.push(system_calls(recorder.is_with_kernel()));
        all.push(program(recorder.without_program()));
        all.push(shutdown(&mut recorder, own));
    }
    all.push(types());
    all
}

fn whose() -> Finding {
    let name = "running programs: trees";
    match has_capability(CAP_SYS_PTRACE) == Some(true) {
        true => Finding::good(name, "of every user"),
        false => Finding::less(
            name,
            Availability::Limited,
            "your own",
            "trees of other users, and of programs that have changed their user",
            match geteuid().is_root() {
                true => "start the container with --cap-add SYS_PTRACE",
                false => "run as root",
            },
        ),
    }
}

fn who_wrote(sample: &Sample) -> Finding {
    let name = "running programs: who wrote";
    match sample.shows_frames().is_ok_and(|shown| shown) && FrameFlags::open().is_some() {
        true => Finding::good(
            name,
            "seen for each page (page frames and /proc/kpageflags)",
        ),
        false => Finding::less(
            name,
            Availability::Limited,
            "seen by whether a page has one user",
            "who wrote where parent and worker have each their own page (`unknown`); what a parent rewrote between two forks counts as copied",
            match geteuid().is_root() {
                true => "run outside the container or user namespace, with Linux 5.19 or newer",
                false => "run as root, outside a user namespace, with Linux 5.19 or newer",
            },
        ),
    }
}

fn system_calls(with_kernel: bool) -> Finding {
    let name = "running programs: writes of system calls";
    match with_kernel {
        true => Finding::good(name, "recorded"),
        false => Finding::less(
            name,
            Availability::Limited,
            "not recorded",
            "pages that the kernel writes for a program (read, recv) while it is recorded",
            match geteuid().is_root() {
                true => "start the container with --cap-add PERFMON",
                false => "setcap cap_perfmon=ep on the program refcow, or run it as root",
            },
        ),
    }
}

fn program(without: Option<&str>) -> Finding {
    let name = "running programs: BPF";
    match without {
        None => Finding::good(
            name,
            "a BPF program says at each page fault which line ran: nobody stands still for it",
        ),
        Some(why) if !cfg!(target_arch = "x86_64") => Finding::less(
            name,
            Availability::Limited,
            format!("no BPF program: {why}"),
            "lines (--lines of `attach` and `run`), and some speed of what is recorded",
            "use a machine with x86-64; --lines of `measure` needs no such program",
        ),
        Some(why) => Finding::less(
            name,
            Availability::Limited,
            format!("no BPF program: {why}"),
            "lines without threads that stand still, and some speed of what is recorded",
            match geteuid().is_root() {
                true => {
                    "Linux 5.17 or newer on x86-64; a container needs --cap-add BPF, PERFMON and SYS_PTRACE, and --pid host"
                }
                false => "run as root, with Linux 5.17 or newer on x86-64",
            },
        ),
    }
}

fn shutdown(recorder: &mut TreeRecorder, own: i32) -> Finding {
    let name = "running programs: shutdown";
    let place = 0_u64;
    let is_by_program = recorder.without_program().is_none();
    let of = Interpreter {
        minor: 0,
        runtime: 0,
    };
    match recorder.watch_place(of, own, (&raw const place).addr() as u64) {
        Ok(()) if is_by_program => Finding::good(name, "told apart from work (the BPF program)"),
        Ok(()) => Finding::good(name, "told apart from work (a watchpoint of the processor)"),
        Err(error) => Finding::less(
            name,
            Availability::Limited,
            format!("no watchpoint: {error}"),
            "which pages are written while interpreters end",
            "end a debugger that uses all of them; some virtual machines have none",
        ),
    }
}

fn types() -> Finding {
    let scope = read(PTRACE_SCOPE).and_then(|text| text.trim().parse::<u8>().ok());
    let may_all = has_capability(CAP_SYS_PTRACE) == Some(true);
    types_of(scope, may_all, geteuid().is_root())
}

/// Under Yama's `ptrace_scope`; `may_all`: with CAP_SYS_PTRACE.
fn types_of(scope: Option<u8>, may_all: bool, is_root: bool) -> Finding {
    let name = "running programs: types";
    match scope {
        None | Some(0) => return Finding::good(name, "of all programs that are seen"),
        Some(1 | 2) if may_all => return Finding::good(name, "of all programs that are seen"),
        _ => {}
    }
    let (state, found) = text::ptrace_scope(scope, may_all);
    match scope {
        Some(1) => Finding::less(
            name,
            Availability::Limited,
            "of programs that `refcow run` starts (kernel.yama.ptrace_scope is 1)",
            "with `refcow attach`: causes and types of what is copied, shutdown, and what workers have alike",
            match is_root {
                true => {
                    "sysctl kernel.yama.ptrace_scope=0, or start the container with --cap-add SYS_PTRACE"
                }
                false => "sysctl kernel.yama.ptrace_scope=0, or run as root",
            },
        ),
        _ => Finding::less(
            name,
            state,
            found,
            "causes and types of what is copied, shutdown, and what workers have alike",
            match (scope, is_root) {
                (Some(2), true) => "start the container with --cap-add SYS_PTRACE",
                (Some(2), false) => "run as root",
                _ => {
                    "boot without kernel.yama.ptrace_scope=3, which cannot be changed while the system runs"
                }
            },
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_helps_depends_on_who_asks_and_nothing_does_where_nobody_may() {
        let of = |scope, may_all, is_root| {
            let found = types_of(scope, may_all, is_root);
            (found.state, found.remedy.unwrap_or_default())
        };
        for (scope, may_all) in [
            (None, false),
            (Some(0), false),
            (Some(1), true),
            (Some(2), true),
        ] {
            assert_eq!(of(scope, may_all, false).0, Availability::Good);
        }
        for scope in [1, 2] {
            let (state, remedy) = of(Some(scope), false, false);
            assert_ne!(state, Availability::Good);
            assert!(remedy.ends_with("run as root"), "{remedy}");
            let (_, remedy) = of(Some(scope), false, true);
            assert!(remedy.ends_with("--cap-add SYS_PTRACE"), "{remedy}");
        }
        let (state, remedy) = of(Some(3), true, true);
        assert_eq!(state, Availability::Unavailable);
        assert!(remedy.starts_with("boot without"), "{remedy}");
    }
}
