//! What `refcow doctor` says of machines that keep things from it, and that nothing breaks there.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use nix::unistd::geteuid;
use rstest::rstest;

use crate::common::{run, skipped};

/// Any user's: `nobody`.
const NOBODY: u32 = 65534;
/// One that any user may start.
const PYTHON: &str = "/usr/bin/python3";

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Programs that any user may start, and a folder for a cache.
fn copies() -> (tempfile::TempDir, std::path::PathBuf) {
    let (folder, program) = run::public_copies();
    let cache = folder.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    std::fs::set_permissions(&cache, PermissionsExt::from_mode(0o777)).unwrap();
    (folder, program)
}

#[test]
fn with_a_capability_of_its_file_doctor_says_what_is_true_of_measuring() {
    let test = "setcap";
    if !geteuid().is_root() {
        skipped(test, "only root gives capabilities to files");
        return;
    }
    let (folder, program) = copies();
    let mut setcap = Command::new("setcap");
    let given = setcap.arg("cap_perfmon=ep").arg(&program).output();
    if !given.is_ok_and(|output| output.status.success()) {
        skipped(test, "there is no setcap, or no file system for it");
        return;
    }
    let as_nobody = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.args(arguments).uid(NOBODY).gid(NOBODY);
        command.current_dir("/").env("HOME", folder.path());
        command.env("XDG_CACHE_HOME", folder.path().join("cache"));
        command.output().unwrap()
    };
    let calibrated = as_nobody(&["calibrate", "--python", PYTHON]);
    if !calibrated.status.success() {
        skipped(test, &text(&calibrated));
        return;
    }
    let said = text(&as_nobody(&["doctor"]));
    assert!(said.contains("page frame numbers: hidden"), "{said}");
    assert!(said.contains("other processes' memory: readable"), "{said}");
    assert!(!said.contains("cannot be counted"), "{said}");
}

#[rstest]
#[case::others_are_hidden("mount -t proc -o hidepid=2 proc /proc", Some(0))]
#[case::what_may_not_be_traced_is_hidden("mount -t proc -o hidepid=4 proc /proc", Some(0))]
#[case::nothing_but_processes("mount -t proc -o subset=pid proc /proc", Some(3))]
// No interpreter can be preloaded by a path there, which is refused before anything is measured.
#[case::no_proc("mount -t tmpfs tmpfs /proc", None)]
#[case::unreadable(
    "mount --bind /dev/null /proc/sys/kernel/perf_event_paranoid; mount --bind /dev/null /proc/meminfo",
    Some(3)
)]
fn where_proc_shows_less_there_is_an_answer_and_no_panic(
    #[case] mounts: &str,
    #[case] measure: Option<i32>,
    #[values(0, NOBODY)] user: u32,
) {
    if !geteuid().is_root() {
        skipped("proc", "only root mounts another /proc");
        return;
    }
    let (folder, program) = copies();
    let refcow = |arguments: &[&str]| {
        let ids = format!("--reuid={user} --regid={user} --clear-groups");
        let script = format!("{mounts}\nexec setpriv {ids} \"$@\"");
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-e", "-c", &script, "sh"])
            .arg(&program)
            .args(arguments)
            .current_dir("/")
            .env("HOME", folder.path())
            // Each of the interpreters that are looked for takes time.
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("XDG_CACHE_HOME", folder.path().join("cache"));
        command.output().unwrap()
    };
    let first = refcow(&["--version"]);
    if !first.status.success() {
        skipped(mounts, &text(&first));
        return;
    }
    for (arguments, status) in [
        (&["doctor"][..], Some(0)),
        (&["pythons"], None),
        (&["fixtures"], Some(0)),
        (&["calibrate", "--python", PYTHON], None),
        (
            &[
                "measure", "ints", "--count", "9", "--visit", "idle", "--python", PYTHON,
            ],
            measure,
        ),
    ] {
        let output = refcow(arguments);
        let said = text(&output);
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        let code = output.status.code().expect("no signal");
        assert!(code <= 3, "{arguments:?}: {code}: {said}");
        if let Some(status) = status {
            assert_eq!(code, status, "{arguments:?}: {said}");
        }
    }
}
