//! Whatever goes wrong while refcow measures: it says what, and leaves neither a process nor a
//! segment behind.

use std::fs;

use crate::common::{Place, REFCOW, When, python, skipped};
use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};

/// In the middle of something that would never end by itself.
const SAY_AND_HANG: &str = "say(os.getpid())\nwhile True: signal.pause()";

#[rstest]
#[case::raised(
    "raise RuntimeError('no such luck')",
    "RuntimeError: no such luck",
    "fix the error in the dataset's code"
)]
#[case::asked_to_exit("sys.exit(7)", "SystemExit: 7", "fix the error in the dataset's code")]
#[case::missing_module(
    "import no_such_module",
    "ModuleNotFoundError: No module named 'no_such_module'",
    "--python path/to/venv"
)]
fn an_exception_is_shown_with_the_line_that_raised_it(
    #[values(When::Build, When::Visit)] when: When,
    #[case] action: &str,
    #[case] error: &str,
    #[case] help: &str,
) {
    is_shown_with_its_line(when, action, error, help);
}

#[rstest]
fn so_is_one_before_the_data_is_built_and_before_the_fork(
    #[values(When::Import, When::Prepare)] when: When,
) {
    let (error, help) = ("KeyError: 'a'", "fix the error in the dataset's code");
    is_shown_with_its_line(when, "{}['a']", error, help);
}

fn is_shown_with_its_line(when: When, action: &str, error: &str, help: &str) {
    let place = Place::new();
    let (_, during) = when.of_whom();
    let line = include_str!("fixtures/acts.py")
        .lines()
        .position(|line| line.trim() == "ACTION")
        .unwrap();
    place
        .run(place.measure_fixture_that(when, action))
        .says(during)
        .says(&format!(" raised {error}"))
        .says("Traceback (most recent call last):\n")
        .says(&format!(
            "acts.py\", line {}, in act\n    {action}\n",
            line + 1
        ))
        .refuses(3, error, help);
    place.nothing_remains();
}

/// As in any Python: what a handler raises at exit is printed, and the end goes on.
#[rstest]
#[case::raised("raise RuntimeError('no such luck')", "RuntimeError: no such luck")]
#[case::asked_to_exit("print('not so fast')\nsys.exit(7)", "not so fast")]
fn what_is_raised_at_exit_does_not_keep_a_child_from_its_end(
    #[case] action: &str,
    #[case] words: &str,
) {
    let place = Place::new();
    let measured = place.run(place.measure_fixture_that(When::Exit, action));
    let measured = measured.exits_with(0).says(words);
    assert!(
        measured.stdout.contains("acts, shared by fork"),
        "{measured}"
    );
    place.nothing_remains();
}

#[rstest]
#[case::exited("os._exit(7)", "exited with status 7")]
#[case::exited_well("os._exit(0)", "exited with status 0")]
#[case::read_from_nowhere("ctypes.string_at(0)", "was killed by SIGSEGV")]
#[case::aborted("os.abort()", "was killed by SIGABRT")]
fn a_process_that_dies_is_told_with_how_and_when(
    #[values(When::Build, When::Visit)] when: When,
    #[case] action: &str,
    #[case] how: &str,
) {
    is_told_with_how_and_when(when, action, how);
}

#[rstest]
fn so_is_one_that_dies_at_another_time(
    #[values(When::Import, When::Prepare, When::Exit)] when: When,
    #[values(("os._exit(7)", "exited with status 7"), ("os.abort()", "was killed by SIGABRT"))]
    dies: (&str, &str),
) {
    is_told_with_how_and_when(when, dies.0, dies.1);
}

fn is_told_with_how_and_when(when: When, action: &str, how: &str) {
    let place = Place::new();
    let (who, during) = when.of_whom();
    place
        .run(place.measure_fixture_that(when, action))
        .says(&format!(" while {during}"))
        .refuses(
            3,
            &format!("acts: the {who} {how}"),
            "a plain Python script",
        );
    place.nothing_remains();
}

/// Each of these hangs when those before it do, so that all wait for their limit at once.
#[rstest]
#[case::building(When::Build)]
#[case::visiting(When::Visit)]
fn what_hangs_is_ended_at_the_time_limit(#[case] when: When) {
    all_end_at_the_time_limit(&[
        (when, "time.sleep(10 ** 6)"),
        (
            when,
            "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: signal.pause()",
        ),
        (when, "os.kill(os.getpid(), signal.SIGSTOP)"),
        (when, "os.closerange(3, 4096)\ntime.sleep(10 ** 6)"),
        (when, "os.closerange(0, 4096)\ntime.sleep(10 ** 6)"),
        (when, "to_the_observer(b'{\"')\ntime.sleep(10 ** 6)"),
        (when, "while True: pass"),
    ]);
}

#[test]
fn so_is_what_hangs_before_the_visits_and_at_exit() {
    let asleep = "time.sleep(10 ** 6)";
    all_end_at_the_time_limit(&[(When::Prepare, asleep), (When::Exit, asleep)]);
}

fn all_end_at_the_time_limit(hanging: &[(When, &str)]) {
    let places: Vec<_> = hanging.iter().map(|_| Place::new()).collect();
    let started = places.iter().zip(hanging).map(|(place, (when, action))| {
        let action = format!("say('hangs')\n{action}");
        let mut measure = place.measure_fixture_that(*when, &action);
        // Long enough for all that comes before on a busy machine.
        measure.args(["--timeout", "4"]);
        let mut run = place.start(measure);
        run.hear();
        run
    });
    let runs: Vec<_> = started.collect();
    for (run, ((when, action), place)) in runs.into_iter().zip(hanging.iter().zip(&places)) {
        eprintln!("{when:?}: {action}");
        let (who, doing) = when.of_whom();
        run.wait()
            .says(&format!("the {who} did not finish {doing}"))
            .refuses(3, " within 4 s", "--timeout");
        place.nothing_remains();
    }
}

#[rstest]
#[case::the_parent_building(
    When::Build,
    "say(os.getpid())",
    "the parent was killed by SIGKILL while building"
)]
#[case::the_parent_of_a_visiting_child(
    When::Visit,
    "say(os.getppid())",
    "the parent was killed by SIGKILL while "
)]
#[case::a_visiting_child(
    When::Visit,
    "say(os.getpid())",
    "the child was killed by SIGKILL while visiting"
)]
fn a_process_killed_from_outside_is_told(
    #[case] when: When,
    #[case] say: &str,
    #[case] error: &str,
) {
    let place = Place::new();
    let action = format!("{say}\nwhile True: signal.pause()");
    let mut run = place.start(place.measure_fixture_that(when, &action));
    kill(&run.hear(), Signal::KILL);
    run.wait().refuses(3, error, "plain Python script");
    place.nothing_remains();
}

fn kill(pid: &str, signal: Signal) {
    let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[rstest]
fn a_signal_to_refcow_ends_everything(
    #[values(When::Import, When::Build, When::Visit)] when: When,
    #[values(Signal::INT, Signal::TERM, Signal::HUP)] signal: Signal,
) {
    let place = Place::new();
    let reports = place.path("reports");
    fs::create_dir(&reports).unwrap();
    let mut measure = place.measure_fixture_that(when, SAY_AND_HANG);
    measure.arg("--output").arg(reports.join("report.txt"));
    let mut run = place.start(measure);
    run.hear();
    run.signal(signal);
    run.wait().exits_with(130).says("interrupted");
    assert_eq!(fs::read_dir(reports).unwrap().count(), 0);
    place.nothing_remains();
}

#[rstest]
fn nothing_survives_a_refcow_that_is_killed(
    #[values(When::Import, When::Build, When::Visit)] when: When,
) {
    let place = Place::new();
    let mut run = place.start(place.measure_fixture_that(when, SAY_AND_HANG));
    run.hear();
    run.signal(Signal::KILL);
    run.wait().killed_by(Signal::KILL);
    place.nothing_remains();
}

/// A run that is making a private environment, with an installer that says so and hangs.
fn measure_and_hang_in_the_installer(place: &Place) -> std::process::Command {
    let said = place.path("said");
    // An interpreter without NumPy. refcow itself stands in for its program: it is of the right
    // architecture.
    let answer = format!(
        r#"refcow-probe:{{"implementation":"cpython","version":"3.11.7 (main)","version_info":[3,11,7],"executable":null,"prefix":"/nowhere","base_prefix":"/nowhere","program":"{REFCOW}","gil_disabled":false,"loaded":[]}}"#
    );
    let imports = r#"refcow-import:{"versions":{},"failures":{"numpy":"none here"}}"#;
    let python = place.program(
        "python3",
        &format!("#!/bin/sh\ncase \"$*\" in\n*refcow-probe*) echo '{answer}';;\n*) echo '{imports}';;\nesac\n"),
    );
    let never = place.path("never");
    nix::unistd::mkfifo(&never, nix::sys::stat::Mode::S_IRWXU).unwrap();
    place.program(
        "tools/uv",
        &format!(
            "#!/bin/sh\necho $$ > '{}'\nread -r nothing < '{}'\n",
            said.display(),
            never.display()
        ),
    );
    let mut measure = place.refcow(["measure", "numpy_arrays", "--python", &python]);
    let path = std::env::var("PATH").unwrap_or_default();
    measure.env("PATH", format!("{}:{path}", place.path("tools").display()));
    measure
}

#[rstest]
#[case::interrupted(Signal::INT, Some(130))]
#[case::ended(Signal::TERM, Some(130))]
#[case::killed(Signal::KILL, None)]
fn an_environment_in_the_making_is_given_up(#[case] signal: Signal, #[case] status: Option<i32>) {
    let place = Place::new();
    let mut run = place.start(measure_and_hang_in_the_installer(&place));
    run.hear();
    run.signal(signal);
    let finished = run.wait();
    match status {
        Some(status) => {
            let finished = finished.says("making a private environment");
            drop(finished.exits_with(status).says("interrupted"));
        }
        // The installer runs in one thread and what it is for is said by another, which may not
        // have come to it.
        None => drop(finished.killed_by(signal)),
    }
    place.nothing_remains();
    let made: Vec<_> = fs::read_dir(place.path("cache/refcow/environments"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        // Of a killed run its folder stays, by a name that the next run knows and removes.
        .filter(|name| !name.ends_with(".lock"))
        .filter(|name| status.is_some() || !name.starts_with(".building-"))
        .collect();
    assert!(made.is_empty(), "half-made: {made:?}");
}

#[rstest]
fn a_signal_ends_what_has_closed_its_descriptors(
    #[values(When::Build, When::Visit)] when: When,
    #[values("os.closerange(3, 4096)", "os.closerange(0, 4096)")] close: &str,
) {
    let place = Place::new();
    let action = format!("{close}\n{SAY_AND_HANG}");
    let mut run = place.start(place.measure_fixture_that(when, &action));
    run.hear();
    run.signal(Signal::INT);
    run.wait().exits_with(130).says("interrupted");
    place.nothing_remains();
}

#[rstest]
fn what_closes_descriptors_of_others_is_told_which_to_leave_alone(
    #[values(When::Import, When::Build, When::Prepare, When::Visit, When::Exit)] when: When,
    #[values("os.closerange(3, 4096)", "os.closerange(0, 4096)")] close: &str,
) {
    let place = Place::new();
    let (_, doing) = when.of_whom();
    // The file that is loaded is named before it ends.
    let end = if when == When::Import { "" } else { ")" };
    let error = format!(
        "acts: the measured code has closed refcow's file descriptors (seen while {doing}{end}"
    );
    place.run(place.measure_fixture_that(when, close)).refuses(
        3,
        &error,
        "leave the numbers from 100 on alone",
    );
    place.nothing_remains();
}

#[rstest]
fn what_closes_all_others_is_measured(#[values(When::Build, When::Visit)] when: When) {
    let place = Place::new();
    place
        .run(place.measure_fixture_that(when, "os.closerange(3, 100)"))
        .exits_with(0);
    place.nothing_remains();
}

/// A file that gets the number of a descriptor that was refcow's is not written to.
#[test]
fn what_takes_the_place_of_a_closed_descriptor_is_left_alone() {
    let place = Place::new();
    let mine = place.path("mine");
    let action = format!(
        "import fcntl\n\
         control, *others = sorted(int(fd) for fd in os.listdir('/proc/self/fd') if int(fd) >= 100)\n\
         os.closerange(others[0], 4096)\n\
         mine = open({mine:?}, 'w')\n\
         for fd in others: fcntl.fcntl(mine, fcntl.F_DUPFD, others[0])"
    );
    let finished = place.run(place.measure_fixture_that(When::Build, &action));
    finished.refuses(
        3,
        "acts: the measured code has closed refcow's file descriptors (seen while forking)",
        "os.closerange(3, 100)",
    );
    assert_eq!(std::fs::read_to_string(&mine).unwrap(), "");
    place.nothing_remains();
}

/// What never ends a word fills memory, or takes longer than it may, whichever comes first.
#[rstest]
fn a_flood_is_ended(#[values(When::Build, When::Visit)] when: When) {
    let place = Place::new();
    let mut measure =
        place.measure_fixture_that(when, "while True: to_the_observer(bytes(1 << 16))");
    measure.args(["--timeout", "4"]);
    place.run(measure).exits_with(3).says("error: ");
    place.nothing_remains();
}

#[test]
fn a_quiet_run_does_not_say_that_it_installs() {
    let place = Place::new();
    let mut measure = measure_and_hang_in_the_installer(&place);
    measure.arg("--quiet");
    let mut run = place.start(measure);
    run.hear();
    run.signal(Signal::INT);
    let finished = run.wait().exits_with(130);
    assert_eq!(finished.stderr, "error: interrupted\n");
}

#[rstest]
#[case::interrupted(Signal::INT, Some(130))]
#[case::killed(Signal::KILL, None)]
fn an_interpreter_that_does_not_answer_is_given_up(
    #[case] signal: Signal,
    #[case] status: Option<i32>,
) {
    let place = Place::new();
    let never = place.path("never");
    nix::unistd::mkfifo(&never, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let python = place.program(
        "python3",
        &format!(
            "#!/bin/sh\necho $$ > '{}'\nread -r nothing < '{}'\n",
            place.path("said").display(),
            never.display()
        ),
    );
    let mut run = place.start(place.refcow(["measure", "ints", "--python", &python]));
    run.hear();
    run.signal(signal);
    let finished = run.wait();
    match status {
        Some(status) => drop(finished.exits_with(status).says("interrupted")),
        None => drop(finished.killed_by(signal)),
    }
    place.nothing_remains();
}

#[test]
fn a_kernel_that_does_not_fork_is_told_with_the_limits_to_raise() {
    let place = Place::new();
    let fixture = place.fixture_that(
        When::Build,
        "resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))",
    );
    // Root is not held to this limit.
    let mut command = match place.measure_as_ordinary_user() {
        Ok(command) => command,
        Err(why) => return skipped("a fork that fails", &why),
    };
    command.args([fixture.as_str(), "--visit", "act", "--count", "10"]);
    place.run(command).refuses(
        3,
        "fork failed: Resource temporarily unavailable",
        "ulimit -u",
    );
    place.nothing_remains();
}

#[test]
fn an_ordinary_user_gets_a_report() {
    let place = Place::new();
    let mut command = match place.measure_as_ordinary_user() {
        Ok(command) => command,
        Err(why) => return skipped("measuring as an ordinary user", &why),
    };
    command.args(["ints", "--count", "10", "--visit", "idle"]);
    place.run(command).exits_with(0);
    place.nothing_remains();
}

#[rstest]
#[case::that_raises(When::Build, "raise RuntimeError('no')", 3)]
#[case::that_is_never_asked(When::Visit, "pass", 0)]
fn a_helper_that_a_fixture_started_ends_with_the_run(
    #[case] when: When,
    #[case] then: &str,
    #[case] status: i32,
    #[values(false, true)] in_a_session_of_its_own: bool,
) {
    let place = Place::new();
    let fixture = place.fixture_that(when, then);
    let source = fs::read_to_string(&fixture).unwrap();
    let session = if in_a_session_of_its_own {
        "True"
    } else {
        "False"
    };
    let helper = format!(
        "HELPER = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'], \
         start_new_session={session})\n"
    );
    fs::write(&fixture, format!("{source}\n\n{helper}")).unwrap();
    place
        .run(place.measure([fixture.as_str(), "--visit", "act", "--count", "10"]))
        .exits_with(status);
    place.nothing_remains();
}

#[rstest]
#[case::its_own("if os.fork() == 0:\n    signal.pause()")]
#[case::one_that_has_left_it(
    "child = os.fork()\nif child == 0:\n    os.setsid()\n    if os.fork() == 0:\n        signal.pause()\n    \
     os._exit(0)\nos.waitpid(child, 0)"
)]
fn a_visit_that_leaves_a_forked_process_alive_is_no_measurement(#[case] action: &str) {
    let place = Place::new();
    // It shares the child's copies: mapped twice, they would look like pages that were never
    // copied.
    place
        .run(place.measure_fixture_that(When::Visit, action))
        .refuses(
            3,
            "that the child forked during its visit is still alive",
            "let the visit wait for it",
        );
    place.nothing_remains();
}

#[rstest]
#[case::that_it_waits_for(
    "child = os.fork()\nif child == 0:\n    os._exit(0)\nos.waitpid(child, 0)"
)]
// It runs another program, so it shares no page.
#[case::that_run_something_else(
    "global helper\nhelper = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])"
)]
fn a_visit_may_start_processes(#[case] action: &str) {
    let place = Place::new();
    place
        .run(place.measure_fixture_that(When::Visit, action))
        .exits_with(0);
    place.nothing_remains();
}

#[test]
fn a_thread_that_a_visit_leaves_running_is_no_measurement() {
    let place = Place::new();
    let action = "threading.Thread(target=signal.pause, daemon=True).start()";
    place
        .run(place.measure_fixture_that(When::Visit, action))
        .refuses(
            3,
            "a thread that the child started",
            "let the visit join it",
        );
    place.nothing_remains();
}

#[test]
fn a_fixture_that_ignores_its_children_is_measured() {
    let place = Place::new();
    let action = "signal.signal(signal.SIGCHLD, signal.SIG_IGN)";
    place
        .run(place.measure_fixture_that(When::Build, action))
        .exits_with(0);
    place.nothing_remains();
}

#[test]
fn what_cannot_be_measured_does_not_keep_the_rest_from_it() {
    let place = Place::new();
    let fixture = place.fixture_that(When::Build, "raise KeyError('no')");
    let arguments = [
        "measure", &fixture, "ints", "--count", "1000", "--visit", "idle",
    ];
    let finished = place
        .run(place.refcow([&arguments[..], &["--format", "json"]].concat()))
        .exits_with(3)
        .says("raise KeyError('no')");
    let report = crate::common::run::the_run(&finished.stdout);
    assert_eq!(report.measurements.len(), 1);
    let missing = refcow::model::Warning::NotMeasured {
        fixture: "acts".into(),
        visit: None,
        reason: "building the dataset raised KeyError: 'no'".into(),
    };
    assert!(report.warnings.contains(&missing), "{:?}", report.warnings);
    place.nothing_remains();
}

#[test]
fn text_that_is_no_utf8_does_not_hide_a_traceback() {
    let place = Place::new();
    place
        .run(place.measure_fixture_that(When::Build, "raise KeyError('name \\udcff')"))
        .says("raise KeyError('name \\udcff')")
        .refuses(
            3,
            "building the dataset raised KeyError: 'name \\udcff'",
            "",
        );
    place.nothing_remains();
}

#[test]
fn a_witness_that_is_killed_is_no_measurement() {
    let place = Place::new();
    // Without it, nobody could tell what the child has copied from what only the child has left.
    let action = "family = '/proc/{0}/task/{0}/children'.format(os.getppid())\n\
                  witness, = set(open(family).read().split()) - {str(os.getpid())}\n\
                  os.kill(int(witness), signal.SIGKILL)";
    place
        .run(place.measure_fixture_that(When::Visit, action))
        .refuses(3, "has ended while it was looked at", "dmesg");
    place.nothing_remains();
}

/// The fixture has a segment that Python's resource tracker (a process that it starts) is to remove
/// at its end.
const TRACKED_SEGMENT: &str = "from multiprocessing import shared_memory\n\
     global segment\n\
     segment = shared_memory.SharedMemory(name=os.path.basename(PLACE), create=True, size=4096)\n";

/// It has one that nobody else knows of, by the name that refcow's own fixtures give theirs.
const OWN_SEGMENT: &str = "open('/dev/shm/{}-{}'.format(os.environ['REFCOW_SUBJECT'], os.path.basename(PLACE)), 'w').close()\n";

#[rstest]
#[case::of_a_run_that_ends_well("", 0)]
#[case::of_one_that_raises("raise RuntimeError('no')", 3)]
#[case::of_one_that_exits("os._exit(1)", 3)]
#[case::of_one_that_is_killed("os.kill(os.getpid(), signal.SIGKILL)", 3)]
fn a_segment_does_not_outlive_the_run(
    #[values(TRACKED_SEGMENT, OWN_SEGMENT)] segment: &str,
    #[case] then: &str,
    #[case] status: i32,
) {
    let place = Place::new();
    // If it did not come to be, its absence afterwards would say nothing.
    let action = format!(
        "{segment}assert any(os.path.basename(PLACE) in name for name in os.listdir('/dev/shm'))\n{then}"
    );
    place
        .run(place.measure_fixture_that(When::Build, &action))
        .exits_with(status);
    place.nothing_remains();
}

#[rstest]
fn a_segment_does_not_outlive_an_interruption(
    #[values(TRACKED_SEGMENT, OWN_SEGMENT)] segment: &str,
) {
    let place = Place::new();
    let action = format!("{segment}{SAY_AND_HANG}");
    let mut run = place.start(place.measure_fixture_that(When::Build, &action));
    run.hear();
    run.signal(Signal::INT);
    run.wait().exits_with(130);
    place.nothing_remains();
}

#[test]
fn a_tracked_segment_does_not_outlive_a_refcow_that_is_killed() {
    let place = Place::new();
    let action = format!("{TRACKED_SEGMENT}{SAY_AND_HANG}");
    let mut run = place.start(place.measure_fixture_that(When::Build, &action));
    run.hear();
    run.signal(Signal::KILL);
    run.wait().killed_by(Signal::KILL);
    place.nothing_remains();
}

#[test]
fn a_full_dev_shm_is_told_and_nothing_is_left_there() {
    let place = Place::new();
    let fixture = place.fixture_that(
        When::Build,
        "from multiprocessing import shared_memory\n\
         segment = shared_memory.SharedMemory(create=True, size=1 << 24)\n\
         segment.buf[:] = bytes(1 << 24)",
    );
    // What is left in it is seen by the shell that mounted it, after refcow's end.
    let mounts = "mount -t tmpfs -o size=1m none /dev/shm";
    let script = format!("{mounts}\n\"$@\" && status=0 || status=$?\nls -A /dev/shm\nexit $status");
    if let Err(why) = place.refcow_in_mounts(mounts, &["--version"]) {
        return skipped("a full /dev/shm", &why);
    }
    let mut command = place.command("unshare", ["--mount", "sh", "-e", "-c", &script, "sh"]);
    command.args([REFCOW, "measure", "--children", "1", "--python", python()]);
    command.args([fixture.as_str(), "--visit", "act", "--count", "10"]);
    place.run(command).refuses(
        3,
        "the parent was killed by SIGBUS while building the dataset (a shared mapping without memory behind it: \
         /dev/shm",
        "plain Python script",
    );
    place.nothing_remains();
}

/// A thread of the parent's waits in read(2), without the GIL. The child's write ends that: the
/// kernel then writes into a page of the parent's. The child's write is longer than the pipe, so it
/// ends only after that.
const THREAD: &str = r#"

if WHEN == "visit":
    READER, WRITER = os.pipe()
    BUFFER = ctypes.create_string_buffer(1 << 17)
    read = ctypes.CDLL(None).read
    arguments = READER, BUFFER, ctypes.c_size_t(len(BUFFER))
    threading.Thread(target=read, args=arguments, daemon=True).start()
"#;

#[test]
fn a_parent_that_does_not_hold_still_is_no_measurement() {
    let place = Place::new();
    let fixture = place.fixture_that(When::Visit, "os.write(WRITER, bytes((1 << 16) + 1))");
    let source = fs::read_to_string(&fixture).unwrap();
    fs::write(&fixture, source + THREAD).unwrap();
    place
        .run(place.measure([fixture.as_str(), "--visit", "act", "--count", "10"]))
        .refuses(
            3,
            "acts:act: the parent did not hold still",
            "end it in build(), before the fork",
        );
    place.nothing_remains();
}

#[rstest]
fn what_a_fixture_prints_does_not_get_into_the_report(
    #[values(When::Import, When::Build, When::Visit)] when: When,
) {
    let place = Place::new();
    let print =
        "for number in range(20000): print('line', number)\nprint('no end of line', end='')";
    let mut measure = place.measure_fixture_that(when, print);
    measure.args(["--format", "json"]);
    let finished = place
        .run(measure)
        .exits_with(0)
        .says("line 0\n")
        .says("line 19999\nno end of line");
    serde_json::from_str::<serde_json::Value>(&finished.stdout).unwrap();
    place.nothing_remains();
}

#[test]
fn a_calibration_that_fails_is_no_measurement() {
    let place = Place::new();
    let calibrate = |flags: &[&str]| {
        let mut command = place.refcow(["calibrate", "--python", python(), "--pages", "100"]);
        command.args(["--write", "every:10"]).args(flags);
        place.run(command)
    };
    calibrate(&["--unreported", "1"]).refuses(
        3,
        "calibration failed: a child wrote 10 pages and refcow counted 11",
        "refcow doctor",
    );
    let honest = calibrate(&[]).exits_with(0);
    assert_eq!(honest.stdout, "pages written 10, pages counted 10\n");
    place.nothing_remains();
}

#[rstest]
#[case::missing(None, "there is no refcow-subject beside ", "in one folder")]
#[case::damaged(
    Some("no library"),
    "refcow-subject does not run inside ",
    "the loader's message is above"
)]
fn refcow_without_its_subject_says_so(
    #[case] content: Option<&str>,
    #[case] error: &str,
    #[case] help: &str,
) {
    let place = Place::new();
    // The folder above is looked into as well.
    let bin = place.path("some/bin");
    fs::create_dir_all(&bin).unwrap();
    let copy = |from: &std::path::Path| {
        // Not by a descriptor of this process: another test's thread may be starting a program just
        // now, which would inherit it, and a program that is open for writing cannot be executed.
        let done = std::process::Command::new("cp")
            .arg(from)
            .arg(&bin)
            .status();
        assert!(done.unwrap().success());
    };
    copy(REFCOW.as_ref());
    if let Some(content) = content {
        fs::write(bin.join("refcow-subject"), content).unwrap();
    }
    let measure = ["measure", "ints", "--count", "10", "--python", python()];
    place
        .run(place.command(bin.join("refcow"), measure))
        .refuses(3, error, help);
    place.nothing_remains();
}

/// What a probe would hear from an interpreter of this version with this program.
fn answer(version: &str, program: &std::path::Path) -> String {
    let numbers = version.replace('.', ",");
    format!(
        r#"refcow-probe:{{"implementation":"cpython","version":"{version} (main)","version_info":[{numbers}],"executable":null,"prefix":"/nowhere","base_prefix":"/nowhere","program":"{}","gil_disabled":false,"loaded":[]}}"#,
        program.display()
    )
}

/// A program that answers so and can import nothing.
fn interpreter(place: &Place, name: &str, answer: &str) -> String {
    let imports = r#"refcow-import:{"versions":{},"failures":{"numpy":"none here"}}"#;
    place.program(
        name,
        &format!(
            "#!/bin/sh\ncase \"$*\" in\n*refcow-probe*) echo '{answer}';;\n*refcow-import*) echo '{imports}';;\n\
             *) echo 'no such module' >&2; exit 1;;\nesac\n"
        ),
    )
}

/// The real interpreter that tests measure with, and what is left of a run in which another one
/// fails.
fn measured_beside(place: &Place, other: &str, fixture: &[&str], error: &str) -> String {
    let words = ["measure", "--children", "1", "--format", "json"];
    let mut refcow = place.refcow_with_packages(words);
    refcow.args(["--python", python(), "--python", other]);
    refcow.args(fixture);
    // No installer but the interpreter's own.
    refcow.env("PATH", "/usr/bin:/bin");
    let finished = place.run(refcow).exits_with(3).says(error).says("help: ");
    let report = crate::common::run::report(&finished.stdout);
    assert_eq!(report.runs.len(), 1, "{finished}");
    assert!(!report.runs[0].measurements.is_empty(), "{finished}");
    let [warning] = &report.warnings[..] else {
        panic!("{finished}");
    };
    place.nothing_remains();
    warning.to_string()
}

const INTS: [&str; 5] = ["ints", "--count", "100", "--visit", "idle"];

#[test]
fn an_interpreter_that_disappears_does_not_keep_another_from_being_measured() {
    let place = Place::new();
    let program = place.path("program");
    fs::copy(REFCOW, &program).unwrap();
    let other = interpreter(&place, "other/python3", &answer("3.99.0", &program));
    // The older one comes first, and its child does it.
    let action = format!("os.unlink('{}')", program.display());
    let fixture = place.fixture_that(When::Visit, &action);
    let fixture = [&fixture, "--count", "10", "--visit", "act"];
    let gone = format!("{}: No such file", program.display());
    let warning = measured_beside(
        &place,
        &other,
        &fixture,
        &format!("CPython 3.99.0 ({other}): "),
    );
    assert!(
        warning.starts_with("CPython 3.99.0 was not measured: "),
        "{warning}"
    );
    assert!(warning.contains(&gone), "{warning}");
}

#[test]
fn an_environment_that_disappears_is_not_measured_as_another() {
    let place = Place::new();
    let venv = place.path("venv");
    let mut make = place.command(python(), ["-m", "venv", "--without-pip"]);
    make.arg(&venv);
    place.run(make).exits_with(0);
    let other = venv.join("bin/python3");
    // Of equal versions the one that is named first comes first, and its child does it.
    let fixture = place.fixture_that(
        When::Visit,
        &format!("import shutil\nshutil.rmtree('{}')", venv.display()),
    );
    let fixture = [&fixture, "--count", "10", "--visit", "act"];
    let wanted = format!(", not in {}", venv.display());
    let warning = measured_beside(
        &place,
        other.to_str().unwrap(),
        &fixture,
        "Python started in ",
    );
    assert!(warning.contains(&wanted), "{warning}");
}

#[test]
fn a_program_of_another_version_than_it_said_is_not_measured() {
    let place = Place::new();
    // The program of the real one, behind a wrapper that says otherwise.
    let real = refcow::python::choose(Some(python())).unwrap();
    let version = format!("{}.{}.99", real.series.0, real.series.1);
    let other = interpreter(&place, "other/python3", &answer(&version, &real.program));
    let says = format!(
        "is CPython {} now, and was {version} (main) when it was asked",
        real.full_version
    );
    let warning = measured_beside(&place, &other, &INTS, &says);
    assert!(warning.contains(&version), "{warning}");
    // Nor in anything else that starts it.
    for command in [
        &["claims", "zero-deletes"][..],
        &["sharing", "--way", "list"],
    ] {
        let mut refcow = place.refcow(command);
        refcow.args(["--python", &other]);
        place
            .run(refcow)
            .exits_with(3)
            .says(&format!("and was {version} (main) when it was asked"));
    }
}

#[test]
fn a_program_for_another_processor_does_not_keep_another_from_being_measured() {
    let place = Place::new();
    let program = place.path("program");
    // S/390.
    let mut bytes = fs::read(REFCOW).unwrap();
    bytes[18] = 22;
    fs::write(&program, bytes).unwrap();
    let other = interpreter(&place, "other/python3", &answer("3.99.0", &program));
    let warning = measured_beside(&place, &other, &INTS, "is built for another architecture");
    assert!(warning.contains(&other), "{warning}");
}

#[test]
fn an_environment_that_cannot_be_made_does_not_keep_another_from_being_measured() {
    let place = Place::new();
    let program = place.path("program");
    fs::copy(REFCOW, &program).unwrap();
    let other = interpreter(&place, "other/python3", &answer("3.99.0", &program));
    let fixture = [
        "numpy_arrays",
        "--count",
        "10",
        "--item-bytes",
        "64",
        "--visit",
        "idle",
    ];
    let warning = measured_beside(&place, &other, &fixture, "cannot make an environment");
    assert!(
        warning.starts_with("CPython 3.99.0 was not measured: "),
        "{warning}"
    );
}

#[test]
fn if_all_of_several_fail_nothing_was_measured() {
    let place = Place::new();
    let program = place.path("program");
    fs::copy(REFCOW, &program).unwrap();
    let one = interpreter(&place, "one/python3", &answer("3.99.0", &program));
    let two = interpreter(&place, "two/python3", &answer("3.99.1", &program));
    let mut refcow = place.refcow(["measure", "numpy_arrays"]);
    refcow
        .args(["--python", &one, "--python", &two])
        .env("PATH", "/usr/bin:/bin");
    place
        .run(refcow)
        .says(&format!("CPython 3.99.0 ({one}),"))
        .says(&format!("CPython 3.99.1 ({two}): "))
        .refuses(3, "error: CPython ", "python3-venv");
}

/// A fixture of this name that raises what the others raise.
fn that_raises(place: &Place, name: &str) -> String {
    let text = "def build():\n    raise RuntimeError('no such luck')\n\n\ndef visit_act(data):\n    pass\n";
    place.file(name, text)
}

/// Of a run in which all but `ints` fails: its errors, the warnings of its document, and those of
/// its table.
fn told_and_warned(place: &Place, arguments: &[&str]) -> (String, Vec<String>, Vec<String>) {
    let run = |format: &str| {
        let mut refcow = place.refcow(["measure", "--children", "1", "--quiet"]);
        refcow.args(["--count", "1000", "--format", format]);
        refcow.args(arguments);
        place.run(refcow).exits_with(3)
    };
    let document = run("json");
    let report = crate::common::run::report(&document.stdout);
    let of_runs = report.runs.iter().flat_map(|run| &run.warnings);
    let missing = report.warnings.iter().chain(of_runs);
    let missing = missing
        .map(ToString::to_string)
        .filter(|warning| warning.contains("not measured"));
    let table = run("table");
    assert_eq!(document.stderr, table.stderr);
    // What is too long for 80 columns goes on in the next line.
    let joined = table.stdout.replace('\n', " ");
    let warnings = joined.split("warning: ").skip(1);
    let warnings = warnings
        .filter(|warning| warning.contains("not measured"))
        .filter_map(|warning| warning.split_inclusive(" no such luck").next())
        .map(|warning| format!("warning: {warning}"))
        .collect();
    (document.stderr, missing.collect(), warnings)
}

#[test]
fn what_several_datasets_fail_for_is_said_once() {
    let place = Place::new();
    let (one, two) = (that_raises(&place, "one.py"), that_raises(&place, "two.py"));
    let arguments = [&one, &two, "ints", "--python", python()];
    let (told, document, table) = told_and_warned(&place, &arguments);
    let reason = "building the dataset raised RuntimeError: no such luck";
    assert!(
        told.starts_with(&format!("error: one, two: {reason}\n")),
        "{told}"
    );
    assert_eq!(
        told.matches("building the dataset raised").count(),
        1,
        "{told}"
    );
    assert_eq!(
        told.matches("fix the error in the dataset's code").count(),
        1,
        "{told}"
    );
    // Each with its own line.
    assert!(told.contains(&format!("{one}\", line 2")), "{told}");
    assert!(told.contains(&format!("{two}\", line 2")), "{told}");
    let each = ["one", "two"].map(|name| format!("{name} was not measured: {reason}"));
    assert_eq!(document, each);
    assert_eq!(
        table,
        [format!("warning: one, two were not measured: {reason}")]
    );
}

#[test]
fn what_several_interpreters_fail_for_with_a_dataset_is_said_once() {
    let place = Place::new();
    let venv = place.path("venv");
    let mut make = place.command(python(), ["-m", "venv", "--without-pip"]);
    make.arg(&venv);
    place.run(make).exits_with(0);
    let other = venv.join("bin/python3").display().to_string();
    let fixture = that_raises(&place, "one.py");
    let arguments = [&fixture, "ints", "--python", python(), "--python", &other];
    let (told, document, table) = told_and_warned(&place, &arguments);
    let reason = "building the dataset raised RuntimeError: no such luck";
    let joined = told.replace('\n', " ");
    assert!(
        joined.contains(&format!("({other}): one: {reason}")),
        "{told}"
    );
    assert_eq!(joined.matches("CPython ").count(), 2, "{told}");
    assert_eq!(
        joined.matches(" raised RuntimeError: no such luck").count(),
        1,
        "{told}"
    );
    assert_eq!(told.matches("Traceback").count(), 1, "{told}");
    assert_eq!(document, vec![format!("one was not measured: {reason}"); 2]);
    assert_eq!(table, [format!("warning: one was not measured: {reason}")]);
}

#[test]
fn what_several_interpreters_fail_for_is_said_once() {
    let place = Place::new();
    let program = place.path("program");
    fs::copy(REFCOW, &program).unwrap();
    let made = ["3.99.0", "3.99.1", "3.99.2"]
        .map(|version| interpreter(&place, version, &answer(version, &program)));
    let [one, two, three] = &made;
    // A fixture that the real one measures, and the others have no packages for.
    let others = ["--python", one, "--python", two, "--python", three];
    let names =
        format!("CPython 3.99.0 ({one}), CPython 3.99.1 ({two}), CPython 3.99.2 ({three}): ");
    let failed = |told: &str| {
        let joined = told.replace('\n', " ");
        assert!(joined.starts_with(&format!("error: {names}")), "{told}");
        assert_eq!(
            joined.matches("cannot make an environment").count(),
            1,
            "{told}"
        );
        assert_eq!(told.matches("python3-venv").count(), 1, "{told}");
    };
    let sizes = [
        "numpy_arrays",
        "--count=10",
        "--item-bytes=64",
        "--visit=idle",
    ];
    let mut none = place.refcow([&["measure", "--quiet"], &sizes[..], &others].concat());
    none.env("PATH", "/usr/bin:/bin");
    let none = place
        .run(none)
        .refuses(3, "error: CPython ", "python3-venv");
    failed(&none.stderr);

    let beside = [
        &["measure", "--quiet"],
        &sizes[..],
        &others,
        &["--python", python()],
    ]
    .concat();
    let mut beside = place.refcow_with_packages(beside);
    beside.env("PATH", "/usr/bin:/bin");
    let beside = place.run(beside).exits_with(3);
    failed(&beside.stderr);
    let said = "warning: CPython 3.99.0, CPython 3.99.1, CPython 3.99.2 were not measured: cannot make an environment: ";
    let table = beside.stdout.replace('\n', " ");
    assert!(table.contains(said), "{beside}");
    assert_eq!(table.matches("not measured").count(), 1, "{beside}");
}

#[test]
fn if_no_dataset_can_be_measured_all_reasons_are_told() {
    let place = Place::new();
    let one = that_raises(&place, "one.py");
    let two = place.file(
        "two.py",
        "def build():\n    raise KeyError('no')\n\n\ndef visit_act(data):\n    pass\n",
    );
    let measure = place.measure([&*one, &*two]);
    let finished = place
        .run(measure)
        .says("error: one: building the dataset raised RuntimeError: no such luck\n")
        .refuses(
            3,
            "error: two: building the dataset raised KeyError: 'no'\n",
            "fix the error in the dataset's code",
        );
    assert_eq!(finished.stderr.matches("\nhelp: ").count(), 2, "{finished}");
}

/// refcow where so many files may be open, with so many that whoever started it has left open.
fn with_descriptors(place: &Place, limit: usize, inherited: usize) -> std::process::Command {
    with_limits(place, [limit, limit], inherited)
}

/// The same with a soft limit and a hard one.
fn with_limits(place: &Place, [soft, hard]: [usize; 2], inherited: usize) -> std::process::Command {
    let start = format!(
        "import os, resource, sys\n\
         os.closerange(3, 4096)\n\
         for _ in range({inherited}): os.set_inheritable(os.dup(1), True)\n\
         resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n\
         os.execv(sys.argv[1], sys.argv[1:])"
    );
    let mut refcow = place.command(python(), ["-c", &start, REFCOW, "measure"]);
    refcow.args(["--python", python(), "--count", "10"]);
    refcow
}

// Below refcow's own, which begin at 100, and in their place.
#[rstest]
#[case::of_a_shell(3, 256)]
#[case::below(80, 256)]
#[case::in_their_place(120, 256)]
#[case::with_a_higher_limit(120, 1024)]
fn descriptors_that_are_inherited_are_in_nobodys_way(
    #[case] inherited: usize,
    #[case] limit: usize,
    #[values(true, false)] of_the_users: bool,
) {
    are_in_nobodys_way(inherited, 2, limit, of_the_users);
}

#[rstest]
#[case::with_room_for_all(30, 256)]
#[case::with_too_little(120, 256)]
#[case::with_a_higher_limit(120, 1024)]
fn so_they_are_if_there_are_many_children(
    #[case] inherited: usize,
    #[case] limit: usize,
    #[values(true, false)] of_the_users: bool,
) {
    are_in_nobodys_way(inherited, 64, limit, of_the_users);
}

fn are_in_nobodys_way(inherited: usize, children: usize, limit: usize, of_the_users: bool) {
    let place = Place::new();
    let mut refcow = with_descriptors(&place, limit, inherited);
    refcow.args(["--children", &children.to_string(), "--visit"]);
    match of_the_users {
        // It inherits them, too.
        true => refcow
            .arg("act")
            .arg(place.fixture_that(When::Import, "pass")),
        false => refcow.args(["iterate", "ints"]),
    };
    let finished = place.run(refcow);
    // Both ends of a socket for each child: more than that cannot be had.
    if inherited + 2 * children < limit - 16 {
        finished.exits_with(0);
    } else {
        finished.refuses(3, "Too many open files", "ulimit -n");
    }
    place.nothing_remains();
}

#[rstest]
#[case::to_start_a_subject(20, 0, "2")]
#[case::for_the_files_of_many(256, 108, "64")]
#[case::for_the_sockets_of_many(256, 120, "64")]
fn too_few_descriptors_are_told_with_the_limit_to_raise(
    #[case] limit: usize,
    #[case] inherited: usize,
    #[case] children: &str,
) {
    let place = Place::new();
    let mut refcow = with_descriptors(&place, limit, inherited);
    refcow.args(["ints", "--visit", "iterate", "--children", children]);
    place
        .run(refcow)
        .refuses(3, "Too many open files", "raise the limit of open files");
    place.nothing_remains();
}

#[rstest]
fn a_soft_limit_of_open_files_is_for_the_users_code_alone(#[values(8, 12, 256)] soft: usize) {
    let place = Place::new();
    let mut refcow = with_limits(&place, [soft, 1024], 0);
    let text = format!(
        "import resource\n\
         def look():\n    limits = resource.getrlimit(resource.RLIMIT_NOFILE)\n    assert limits == ({soft}, 1024), limits\n\
         look()\ndef build(count): return [[] for _ in range(count)]\ndef visit_act(data): look()\n"
    );
    let fixture = place.file("limits.py", &text);
    refcow.args(["--children", "20", "--visit", "act", &fixture]);
    place.run(refcow).exits_with(0);
    place.nothing_remains();
}

#[test]
fn want_of_descriptors_is_no_fault_of_the_interpreters() {
    let place = Place::new();
    let mut refcow = with_descriptors(&place, 8, 0);
    refcow.args(["ints", "--visit", "idle"]);
    place
        .run(refcow)
        .refuses(2, "Too many open files", "raise the limit of open files");
}
