//! What cannot be measured is refused before anything is built: with a reason, a remedy and exit
//! status 2, and a user's files stay as they were.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{Place, REFCOW, When, canned, python, skipped};
use nix::libc::O_NONBLOCK;
use nix::unistd::geteuid;
use refcow::model::Report;
use rstest::rstest;
use rustix::process::Signal;

#[rstest]
#[case::near_a_fixture(&["measure", "three_list"], "no fixture `three_list`", "did you mean `three_lists`?")]
#[case::near_nothing(&["measure", "zzz"], "no fixture `zzz`", "fixtures: bitarrays, ")]
#[case::a_module_of_helpers(&["measure", "_visits"], "no fixture `_visits`", "fixtures: bitarrays, ")]
#[case::one_of_several(&["measure", "ints", "int_array"], "`int_array`", "did you mean `int_arrays`?")]
#[case::to_describe(&["fixtures", "bitarray"], "no fixture `bitarray`", "did you mean `bitarrays`?")]
#[case::near_a_visit(&["measure", "ints", "--visit", "iterat"], "no visit `iterat`", "did you mean `iterate`?")]
#[case::near_a_preparation(&["measure", "ints", "--prepare", "freez"], "no preparation `freez`", "did you mean `freeze`?")]
#[case::not_near_a_preparation(&["measure", "ints", "--prepare", "zzz"], "no preparation `zzz`", "its preparations: disable, freeze")]
#[case::not_near_a_visit(&["measure", "ints", "--visit", "zzz"], "no visit `zzz`", "its visits: idle, ")]
fn an_unknown_name_is_refused_and_the_nearest_offered(
    #[case] arguments: &[&str],
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    place.run(place.refcow(arguments)).refuses(2, error, help);
    place.nothing_remains();
}

#[rstest]
#[case::alone(&["--quick"], "`--quick`")]
#[case::before_a_command(&["--quiet", "measure", "ints"], "`--quiet`")]
#[case::with_a_value(&["--output=F", "claims"], "`--output=F`")]
#[case::short(&["-q"], "`-q`")]
fn an_option_without_its_command_is_refused(#[case] arguments: &[&str], #[case] option: &str) {
    let place = Place::new();
    place.run(place.refcow(arguments)).says(option).refuses(
        2,
        "stands before any command",
        "as in `refcow claims --quick`",
    );
    place.nothing_remains();
}

#[rstest]
#[case::no_elements("--count=0")]
#[case::fewer_than_none("--count=-1")]
#[case::half_an_element("--count=1.5")]
#[case::more_than_can_be_counted("--count=99999999999999999999")]
#[case::empty_elements("--item-bytes=0")]
#[case::less_than_empty("--item-bytes=-4096")]
#[case::a_word("--item-bytes=many")]
#[case::no_children("--children=0")]
#[case::more_children_than_channels("--children=65")]
#[case::no_time("--timeout=0")]
#[case::time_that_runs_backwards("--timeout=-1")]
#[case::time_without_end("--timeout=inf")]
#[case::no_number("--timeout=nan")]
fn a_size_that_means_nothing_is_refused_by_its_flag(#[case] flag: &str) {
    let place = Place::new();
    let (name, value) = flag.split_once('=').unwrap();
    place
        .run(place.refcow(["measure", "ints", flag]))
        .exits_with(2)
        .says(&format!("invalid value '{value}' for '{name}"));
}

#[rstest]
#[case::terabytes(&["ints", "--count", "1000000000000"], "98.2 TiB")]
#[case::more_than_64_bits_can_count(&["ints", "--count", "18446744073709551615"], "16 EiB")]
#[case::of_buffers(&["int_arrays", "--item-bytes", "9223372036854775800"], "16 EiB")]
fn data_that_does_not_fit_into_memory_is_refused_with_both_figures(
    #[case] arguments: &[&str],
    #[case] needed: &str,
) {
    let place = Place::new();
    place
        .run(place.measure(arguments))
        .says(&format!("needs about {needed}"))
        .says("is free (")
        .refuses(
            2,
            "B of shared memory",
            "choose smaller data or fewer --children, or try all the same with --force",
        );
    place.nothing_remains();
}

#[test]
fn pages_that_do_not_fit_into_memory_are_refused_before_one_is_filled() {
    let place = Place::new();
    // The most that can be asked for: 64 GiB, and the child's copies.
    let pages: u64 = 1 << 24;
    let available = refcow::machine::memory().unwrap().available_bytes;
    if available > pages * 2 * 4096 {
        skipped(
            "calibrate beyond memory",
            "there is more than refcow can ask for",
        );
        return;
    }
    let (pages, most) = (pages.to_string(), "129.5 GiB");
    place
        .run(place.refcow(["calibrate", "--write", "all", "--pages", &pages]))
        .says(&format!("{pages} plain pages"))
        .says(&format!("need about {most}"))
        .says("is free (")
        .refuses(2, "plain pages", "choose fewer --pages");
    place.nothing_remains();
}

/// A fixture that says of itself that it needs this and that, and builds next to nothing.
fn claims(place: &Place, footprint: &str) -> String {
    let text = format!(
        "def build(count, item_bytes):\n    return [object()]\n\n\
         def footprint(count, item_bytes):\n    return {footprint}\n"
    );
    place.file("claims.py", &text)
}

#[rstest]
#[case::memory("{'objects': 1 << 50}", "needs about ", "--force")]
#[case::every_child_may_copy_it("{'objects': 1 << 62}", "needs about ", "--force")]
#[case::shared_memory("{'segment': 1 << 50}", "needs 1 PiB in /dev/shm", "--force")]
fn force_measures_what_is_said_not_to_fit(
    #[case] footprint: &str,
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    let fixture = claims(&place, footprint);
    let measure = || place.measure([fixture.as_str(), "--visit", "idle"]);
    place.run(measure()).refuses(2, error, help);

    let mut forced = measure();
    forced.arg("--force");
    let forced = place.run(forced).exits_with(0);
    assert!(forced.stdout.contains("claims"), "{forced}");
    place.nothing_remains();
}

/// What probe.py would print in an interpreter.
fn probe_answer(implementation: &str, version: &str, program: &str, gil_disabled: bool) -> String {
    let numbers = version.replace('.', ",");
    format!(
        r#"refcow-probe:{{"implementation":"{implementation}","version":"{version} (main)","version_info":[{numbers}],"executable":null,"prefix":"/nowhere","base_prefix":"/nowhere","program":"{program}","gil_disabled":{gil_disabled},"loaded":[]}}"#
    )
}

#[rstest]
#[case::no_elf(
    probe_answer("cpython", "3.11.7", "/etc/passwd", false),
    "refcow-subject cannot be preloaded into /etc/passwd: it is no 64-bit ELF program",
    "refcow's own architecture"
)]
#[case::free_threaded(
    probe_answer("cpython", "3.13.1", "/bin/python", true),
    "free-threaded build (3.13.1)",
    "with the GIL"
)]
#[case::pypy(
    probe_answer("pypy", "3.10.13", "/bin/python", false),
    "it is pypy, not CPython",
    "CPython 3.8 or newer"
)]
#[case::too_old(
    probe_answer("cpython", "3.7.16", "/bin/python", false),
    "it is Python 3.7.16; 3.8 is the oldest",
    "CPython 3.8 or newer"
)]
#[case::no_python("hello".to_owned(), "not a Python interpreter", "give the path of a python3 program")]
fn an_interpreter_that_cannot_be_measured_is_refused_with_the_reason(
    #[case] answer: String,
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    let python = place.program("python3", &format!("#!/bin/sh\necho '{answer}'\n"));
    place
        .run(place.refcow(["measure", "ints", "--python", &python]))
        .says(&format!("{python} cannot be used"))
        .refuses(2, error, help);
    place.nothing_remains();
}

#[test]
fn an_interpreter_that_fails_is_quoted() {
    let place = Place::new();
    let python = place.program(
        "python3",
        "#!/bin/sh\necho 'no module named site' >&2\nexit 1\n",
    );
    place
        .run(place.refcow(["measure", "ints", "--python", &python]))
        .refuses(
            2,
            "does not run: exit status 1: no module named site",
            "by hand",
        );
}

#[rstest]
#[case::no_such_file(
    "nowhere/python3",
    "no Python at \"nowhere/python3\": there is no such file",
    "usable here:"
)]
#[case::no_such_command("no-such-python", "neither on PATH nor in this folder", "usable here:")]
#[case::no_such_version("3.99", "no Python 3.99 on this machine", "usable here:")]
#[case::not_an_environment(
    "/proc/self",
    "/proc/self is no Python environment",
    "the folder that holds bin/"
)]
#[case::not_a_program(
    "/proc/self/status",
    "cannot be executed",
    "a python3 program that this user may run"
)]
fn a_python_that_is_not_there_is_refused_and_others_are_offered(
    #[case] python: &str,
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    place
        .run(place.refcow(["measure", "ints", "--python", python]))
        .refuses(2, error, help);
}

#[test]
fn a_machine_without_any_python_is_told_what_to_install() {
    let place = Place::new();
    let mounts = "mount -t tmpfs none /usr/local/bin\nmount -t tmpfs none /usr/bin";
    let mut command = match place.refcow_in_mounts(mounts, &["measure", "ints"]) {
        Ok(command) => command,
        Err(why) => return skipped("a machine without any Python", &why),
    };
    for variable in [
        "VIRTUAL_ENV",
        "PYENV_ROOT",
        "UV_PYTHON_INSTALL_DIR",
        "XDG_DATA_HOME",
    ] {
        command.env_remove(variable);
    }
    command
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", place.path("home"));
    // Nothing that the user gave is wrong.
    place.run(command).refuses(
        3,
        "no usable CPython on this machine",
        "install CPython 3.8 or newer (Debian and Ubuntu: the package python3)",
    );
}

#[rstest]
#[case::no_file("missing.py", None, "cannot be read: No such file", "give its path")]
#[case::like_one_of_our_own("three_lists.py", None, "cannot be read: No such file", "bare name")]
#[case::syntax_error(
    "mine.py",
    Some("def build(count, item_bytes):\n    return [\n"),
    "not understood from line 2 on",
    "py_compile"
)]
#[case::no_build(
    "mine.py",
    Some("def visit_read(data):\n    pass\n"),
    "has no function `build`",
    "def build("
)]
#[case::not_a_module(
    "mine.txt",
    Some("def build(): pass\n"),
    "not a Python file",
    "ends in .py"
)]
#[case::a_visit_of_our_own(
    "mine.py",
    Some("def build(): pass\ndef visit_idle(data): pass\n"),
    "`idle` of its own",
    "another name"
)]
#[case::another_visit_of_our_own(
    "mine.py",
    Some("def build(): pass\ndef visit_exit(data): pass\n"),
    "`exit` of its own",
    "another name"
)]
fn a_file_that_is_no_fixture_is_refused_with_the_reason(
    #[case] name: &str,
    #[case] text: Option<&str>,
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    let path = place.path(name).to_str().unwrap().to_owned();
    if let Some(text) = text {
        fs::write(&path, text).unwrap();
    }
    place
        .run(place.refcow(["measure", &path]))
        .says(name)
        .refuses(2, error, help);
}

#[test]
fn sizes_that_a_fixture_cannot_have_are_bad_input() {
    let place = Place::new();
    place
        .run(place.refcow(["measure", "ints", "--item-bytes", "5"]))
        .says("28 or more in steps of 4, not 5")
        .refuses(
            2,
            "ints cannot be built with count=1000000 and item_bytes=5",
            "sizes that it can have",
        );
}

/// A measurement that leaves a mark if it comes so far as to build the data.
fn measure_and_mark(place: &Place, output: &str) -> Command {
    let mut command = place.measure_fixture_that(
        When::Build,
        "open(os.path.join(PLACE, 'built'), 'w').close()",
    );
    command.args(["--output", output]);
    command
}

#[rstest]
#[case::in_a_missing_folder("nowhere/report.json", "No such file or directory")]
#[case::at_a_folder("cache", "is a directory")]
#[case::under_a_file("acts.py/report.json", "Not a directory")]
fn an_output_that_cannot_be_written_is_found_before_anything_is_built(
    #[case] output: &str,
    #[case] reason: &str,
) {
    let place = Place::new();
    let output = place.path(output).to_str().unwrap().to_owned();
    place
        .run(measure_and_mark(&place, &output))
        .says(&format!("cannot write {output}"))
        .refuses(2, reason, "an existing directory that you may write to");
    assert!(!place.path("built").exists());

    // The same measurement would have left the mark.
    let output = place.path("report.json").to_str().unwrap().to_owned();
    place.run(measure_and_mark(&place, &output)).exits_with(0);
    assert!(place.path("built").exists());
    assert!(fs::read_to_string(output).unwrap().contains("acts"));
}

#[test]
fn a_folder_that_this_user_may_not_write_to_is_refused() {
    let place = Place::new();
    let folder = place.path("read-only");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o555)).unwrap();
    let mut command = match place.measure_as_ordinary_user() {
        Ok(command) => command,
        Err(why) => return skipped("a read-only folder", &why),
    };
    let output = folder.join("report.json");
    command
        .args(["ints", "--count", "10", "--output"])
        .arg(&output);
    place
        .run(command)
        .refuses(2, "Permission denied", "may write to");
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
}

/// A device like /dev/full. Not that itself where this user could replace it: if refcow did so, by
/// a fault that is to be found here, the machine would be without one.
fn full_device(place: &Place) -> String {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    if !nix::unistd::geteuid().is_root() {
        return "/dev/full".into();
    }
    let path = place.path("full");
    let device = makedev(1, 7);
    mknod(&path, SFlag::S_IFCHR, Mode::S_IRUSR | Mode::S_IWUSR, device).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_full_disk_is_told_after_the_measurement() {
    let place = Place::new();
    let full = full_device(&place);
    let mut measure = place.measure(["ints", "--count", "10", "--visit", "idle"]);
    measure.args(["--output", &full]);
    let error = format!("cannot write {full}: No space left on device");
    place.run(measure).refuses(3, &error, "make room");

    let full = File::options().write(true).open("/dev/full").unwrap();
    place
        .start_with_stdout(place.refcow(["schema"]), full)
        .wait()
        .refuses(
            3,
            "cannot write standard output: No space left on device",
            "make room",
        );
}

#[test]
fn a_report_goes_into_a_device_or_through_a_link_and_replaces_neither() {
    let place = Place::new();
    let measure = |output: &str| {
        let mut measure = place.measure(["ints", "--count", "10", "--visit", "idle"]);
        measure.args(["--format", "csv", "--output", output]);
        place.run(measure).exits_with(0)
    };

    // As a device, without the danger that a fault here replaces the machine's own.
    let pipe = place.path("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = File::options()
        .read(true)
        .custom_flags(O_NONBLOCK)
        .open(&pipe)
        .unwrap();
    measure(pipe.to_str().unwrap());
    let mut start = [0; 8];
    io::Read::read_exact(&mut &reader, &mut start).unwrap();
    assert_eq!(&start, b"fixture,");

    let (real, link) = (place.path("real.csv"), place.path("link.csv"));
    fs::write(&real, "old").unwrap();
    symlink("real.csv", &link).unwrap();
    measure(link.to_str().unwrap());
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&real).unwrap().starts_with("fixture,"));
}

/// `refcow report` of a run in a file of this place: quick, and its output is that of all commands.
fn written_to(place: &Place, output: &Path) -> Command {
    let run = Report::of(canned::run("3.12.1"));
    let run = place.file("run.json", &serde_json::to_string(&run).unwrap());
    let mut command = place.refcow(["report", &run, "--format", "csv", "--output"]);
    command.arg(output);
    command
}

#[test]
fn a_report_has_the_permissions_and_the_owner_of_what_it_replaces() {
    let place = Place::new();
    let output = place.path("report.csv");
    place.run(written_to(&place, &output)).exits_with(0);
    let fresh = fs::metadata(&output).unwrap();
    for mode in [0o640, 0o600, 0o666, 0o444] {
        fs::write(&output, "old").unwrap();
        fs::set_permissions(&output, PermissionsExt::from_mode(mode)).unwrap();
        if geteuid().is_root() {
            std::os::unix::fs::chown(&output, Some(12), Some(34)).unwrap();
        }
        let before = fs::metadata(&output).unwrap();
        place.run(written_to(&place, &output)).exits_with(0);
        let after = fs::metadata(&output).unwrap();
        assert_eq!(after.mode(), before.mode(), "{mode:o}");
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
        assert_eq!(after.len(), fresh.len());
    }
}

#[test]
fn links_are_followed_to_where_nothing_is_yet_and_stay() {
    let place = Place::new();
    let link = place.path("link.csv");
    symlink("second", &link).unwrap();
    symlink("real.csv", place.path("second")).unwrap();
    for _ in 0..2 {
        place.run(written_to(&place, &link)).exits_with(0);
        assert!(link.is_symlink() && place.path("second").is_symlink());
        let real = fs::symlink_metadata(place.path("real.csv")).unwrap();
        assert!(real.is_file());
    }
    symlink("round", place.path("round")).unwrap();
    place
        .run(written_to(&place, &place.path("round")))
        .refuses(2, "symbolic links", "--output");
}

/// A hard link is another name of the older file, and says so in the documentation.
#[test]
fn another_name_of_a_file_keeps_the_older_bytes() {
    let place = Place::new();
    let (output, other) = (place.path("report.csv"), place.path("other.csv"));
    fs::write(&output, "old").unwrap();
    fs::hard_link(&output, &other).unwrap();
    place.run(written_to(&place, &output)).exits_with(0);
    assert!(fs::read_to_string(&output).unwrap().starts_with("fixture,"));
    assert_eq!(fs::read_to_string(&other).unwrap(), "old");
}

#[rstest]
#[case::standard_output("/dev/stdout")]
#[case::by_its_number("/dev/fd/1")]
#[case::another_name_of_it("/proc/self/fd/1")]
#[case::another_descriptor("/dev/fd/3")]
fn an_open_file_is_written_to_and_not_replaced(#[case] output: &str) {
    let place = Place::new();
    let log = place.path("log");
    fs::write(&log, "before\n").unwrap();
    let inode = fs::metadata(&log).unwrap().ino();
    let command = written_to(&place, output.as_ref());
    // What the shell opens, it opens once for all.
    let script = "{ \"$0\" \"$@\"; echo after; } >> \"$LOG\" 3>> \"$LOG\"";
    let mut shell = place.command("sh", ["-c", script]);
    shell.arg(command.get_program()).args(command.get_args());
    shell.env("LOG", &log);
    place.run(shell).exits_with(0);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with("before\nfixture,"), "{text}");
    assert!(text.ends_with("\nafter\n"), "{text}");
    assert_eq!(fs::metadata(&log).unwrap().ino(), inode);
}

#[test]
fn a_file_that_cannot_be_replaced_is_found_before_the_measurement() {
    let place = Place::new();
    let output = place.path("report.csv");
    fs::write(&output, "old").unwrap();
    let slashed = format!("{}/", output.display());
    place
        .run(written_to(&place, slashed.as_ref()))
        .refuses(2, "is a directory", "--output");
    let path = output.to_str().unwrap();
    let mount = format!("touch {path}; mount --bind {path} {path}");
    let build = "open(os.path.join(PLACE, 'built'), 'w').close()";
    let fixture = place.fixture_that(When::Build, build);
    let arguments = ["measure", &fixture, "--output", path];
    match place.refcow_in_mounts(&mount, &arguments) {
        Ok(command) => {
            place
                .run(command)
                .refuses(2, "it is a mount point", "--output");
        }
        Err(why) => skipped("a file that is a mount point", &why),
    }
    assert!(!place.path("built").exists());
    assert_eq!(fs::read_to_string(&output).unwrap(), "old");
}

#[test]
fn a_file_of_another_user_in_a_sticky_folder_is_not_promised_to_be_replaced() {
    let place = Place::new();
    let folder = place.path("sticky");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o1777)).unwrap();
    if !geteuid().is_root() {
        return skipped("a file of another user", "only root can make one");
    }
    let output = folder.join("report.csv");
    fs::write(&output, "old").unwrap();
    let mut command = match place.measure_as_ordinary_user() {
        Ok(command) => command,
        Err(why) => return skipped("a file of another user", &why),
    };
    command
        .args(["ints", "--count", "10", "--output"])
        .arg(&output);
    place
        .run(command)
        .refuses(2, "belongs to another user", "may write to");
    assert_eq!(fs::read_to_string(&output).unwrap(), "old");
}

#[test]
fn a_run_that_is_killed_leaves_nothing_beside_its_output() {
    let place = Place::new();
    let folder = place.path("reports");
    fs::create_dir(&folder).unwrap();
    let output = folder.join("report.json");
    fs::write(&output, "old").unwrap();
    let mut measure = place.measure_fixture_that(When::Build, "say('building')\nsignal.pause()");
    measure.arg("--output").arg(&output);
    let mut run = place.start(measure);
    run.hear();
    run.signal(Signal::KILL);
    run.wait().killed_by(Signal::KILL);
    assert_eq!(fs::read_to_string(&output).unwrap(), "old");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    place.nothing_remains();
}

#[test]
fn a_failed_run_leaves_the_old_report_and_no_draft() {
    let place = Place::new();
    let folder = place.path("reports");
    fs::create_dir(&folder).unwrap();
    let output = folder.join("report.json");
    fs::write(&output, "old").unwrap();
    let mut measure = place.measure_fixture_that(When::Build, "raise RuntimeError('no')");
    measure.arg("--output").arg(&output);
    place.run(measure).exits_with(3);
    assert_eq!(fs::read_to_string(&output).unwrap(), "old");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

/// The write end of a pipe that nobody reads.
fn closed_pipe() -> Stdio {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn a_pipe_that_nobody_reads_is_found_before_the_measurement() {
    let place = Place::new();
    let output = place.path("pipe").to_str().unwrap().to_owned();
    nix::unistd::mkfifo(output.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    place.run(measure_and_mark(&place, &output)).refuses(
        2,
        "No such device or address",
        "--output",
    );
    assert!(!place.path("built").exists());
}

#[rstest]
#[case::of_a_text(&["schema"])]
#[case::of_a_list(&["fixtures"])]
#[case::of_a_report(&["measure", "ints", "--count", "10", "--visit", "idle", "--format", "json"])]
fn a_reader_that_has_closed_the_pipe_has_read_enough(#[case] arguments: &[&str]) {
    let place = Place::new();
    let mut command = place.refcow(arguments);
    if arguments[0] == "measure" {
        command.args(["--python", python()]);
    }
    let finished = place.start_with_stdout(command, closed_pipe()).wait();
    let finished = finished.exits_with(0);
    assert_eq!(finished.stderr, "");
    place.nothing_remains();
}

#[test]
fn an_error_that_nobody_reads_keeps_its_exit_status() {
    let status = Command::new(REFCOW)
        .args(["measure", "three_list"])
        .stdin(Stdio::null())
        .stderr(closed_pipe())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(2));
}

/// Where interpreters are looked for besides PATH: the variable, and the folder below the place
/// that it stands for.
#[rstest]
#[case::named_folder("REFCOW_PYTHONS", "named", "named/bin/python3")]
#[case::named_program("REFCOW_PYTHONS", "named/bin/python3", "named/bin/python3")]
#[case::setup_python("RUNNER_TOOL_CACHE", "cache", "cache/Python/3.7.16/x64/bin/python3.7")]
#[case::conda_environment("CONDA_PREFIX", "conda", "conda/bin/python3")]
#[case::conda_of_the_user("HOME", "home", "home/miniforge3/envs/mine/bin/python3")]
#[case::asdf("ASDF_DATA_DIR", "asdf", "asdf/installs/python/3.7.16/bin/python3")]
#[case::mise("MISE_DATA_DIR", "mise", "mise/installs/python/3.7.16/bin/python3")]
#[case::rye("RYE_HOME", "rye", "rye/py/cpython@3.7.16/bin/python3")]
#[case::uv("UV_PYTHON_INSTALL_DIR", "uv", "uv/cpython-3.7.16-linux/bin/python3.7")]
#[case::virtual_environment("VIRTUAL_ENV", "env", "env/bin/python3")]
#[case::pyenv("PYENV_ROOT", "pyenv", "pyenv/versions/3.7.16/bin/python3")]
fn pythons_lists_what_is_there_and_says_why_it_is_of_no_use(
    #[case] variable: &str,
    #[case] folder: &str,
    #[case] program: &str,
) {
    let place = Place::new();
    let answer = probe_answer("cpython", "3.7.16", "/bin/python", false);
    let python = place.program(program, &format!("#!/bin/sh\necho '{answer}'\n"));
    let mut refcow = place.refcow(["pythons"]);
    // Others that are found are asked, too.
    refcow
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", place.path("home"));
    refcow.env(variable, place.path(folder));
    let finished = place.run(refcow).exits_with(0);
    let expected = format!(
        "no       {python}: it is Python 3.7.16; 3.8 is the oldest that refcow can measure\n         \
         remedy: choose a CPython 3.8 or newer\n"
    );
    assert!(finished.stdout.contains(&expected), "{finished}");
}
