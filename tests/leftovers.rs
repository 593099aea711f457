//! Whatever a fixture starts, and however a run ends: nothing of it stays.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::{Place, REFCOW, When, is_gone, python, signals, skipped};
use nix::unistd::geteuid;
use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};

const HANG: &str = "while True: signal.pause()";

/// In a session of its own and with an empty environment it has neither the group nor anything else
/// of the subject's.
const HELPER: &str = "helper = subprocess.Popen(['/bin/sleep', '1000'], env={}, start_new_session=True)\n\
                      say(helper.pid)\n";

/// It has no parent any more, no descriptor, and does not listen.
const DAEMON: &str = "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        \
                      signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n        pid = os.getpid()\n        \
                      say(pid)\n        os.closerange(0, 4096)\n        while True: time.sleep(1000)\n    os._exit(0)\n";

/// PR_SET_PDEATHSIG is 1, PR_SET_DUMPABLE 4.
const ESCAPED: &str = "for number in (1, 4): ctypes.CDLL(None).prctl(number, 0, 0, 0, 0)\n\
                       if os.fork() == 0:\n    os.setpgid(0, 0)\n    \
                       for number in (1, 2, 15): signal.signal(number, signal.SIG_IGN)\n    \
                       say(os.getpid())\n    while True: signal.pause()\n";

/// PTRACE_TRACEME is 0.
const TRACED: &str = "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        \
                      ctypes.CDLL(None).ptrace(0, 0, None, None)\n        say(os.getpid())\n        \
                      os.kill(os.getpid(), signal.SIGSTOP)\n    while True: signal.pause()\n";

#[rstest]
fn what_a_fixture_has_started_ends_with_the_run(
    #[values(When::Build, When::Visit)] when: When,
    #[values(HELPER, DAEMON, ESCAPED, TRACED)] start: &str,
    #[values(Signal::INT, Signal::KILL)] signal: Signal,
) {
    let place = Place::new();
    let mut run = place.start(place.measure_fixture_that(when, &format!("{start}{HANG}")));
    let pid = run.hear();
    run.signal(signal);
    match signal {
        Signal::KILL => drop(run.wait().killed_by(signal)),
        _ => drop(run.wait().exits_with(130)),
    }
    is_gone(&pid);
    place.nothing_remains();
}

#[rstest]
#[case::that_is_measured("", 0)]
#[case::that_raises("raise RuntimeError('no')", 3)]
#[case::that_exits("os._exit(1)", 3)]
fn so_does_it_with_a_run_of_its_own_accord(
    #[values(When::Build, When::Visit)] when: When,
    #[case] then: &str,
    #[case] status: i32,
) {
    let place = Place::new();
    let action = format!("global helper\n{HELPER}{then}");
    let mut run = place.start(place.measure_fixture_that(when, &action));
    let pid = run.hear();
    run.wait().exits_with(status);
    is_gone(&pid);
    place.nothing_remains();
}

/// As root: the kernel then forgets that it was to end with its parent, and an ordinary user may
/// not end it.
#[rstest]
fn a_process_that_becomes_another_user_ends_with_the_run(
    #[values(When::Build, When::Visit)] when: When,
    #[values("", "os.fork()\n")] twice: &str,
    #[values(Signal::INT, Signal::KILL)] signal: Signal,
) {
    if !geteuid().is_root() {
        return skipped("a child that becomes another user", "this is none that may");
    }
    let place = Place::new();
    // Opened before, by root.
    let action = format!(
        "said = os.open(PLACE + '/said', os.O_WRONLY)\nos.setgid(65534)\nos.setuid(65534)\n{twice}\
         os.write(said, b'%d\\n' % os.getpid())\n{HANG}"
    );
    let mut run = place.start(place.measure_fixture_that(when, &action));
    let pids = run.hear();
    run.signal(signal);
    match signal {
        Signal::KILL => drop(run.wait().killed_by(signal)),
        _ => drop(run.wait().exits_with(130)),
    }
    pids.lines().for_each(is_gone);
    place.nothing_remains();
}

/// What looks like a resource tracker of Python's is given time to remove shared memory.
const HANGING_TRACKER: &str = "tracker = subprocess.Popen([sys.executable, '-c', \
    'import signal; signal.pause() # multiprocessing.resource_tracker'], env={}, start_new_session=True)\n\
    say(tracker.pid)\n";

#[test]
fn a_second_signal_ends_a_run_that_is_tidying_up_and_still_nothing_is_left() {
    let place = Place::new();
    let action = format!("{HANGING_TRACKER}{HANG}");
    let mut run = place.start(place.measure_fixture_that(When::Build, &action));
    let pid = run.hear();
    let finished = run.signal_to_the_end(Signal::INT).exits_with(130);
    // Whoever has tidied up to the end says so: the second signal ends it before.
    assert_eq!(finished.stderr, "", "{finished}");
    is_gone(&pid);
    place.nothing_remains();
}

/// A fixture that goes on when it is told to.
const WAIT: &str = "say('waiting')\nopen(PLACE + '/go').read()";

fn waiting(place: &Place) -> Command {
    let go = place.path("go");
    nix::unistd::mkfifo(&go, nix::sys::stat::Mode::S_IRWXU).unwrap();
    place.measure_fixture_that(When::Build, WAIT)
}

#[test]
fn a_signal_that_was_ignored_when_refcow_started_stays_ignored() {
    let place = Place::new();
    let mut measure = waiting(&place);
    signals::ignoring(&mut measure, &[nix::sys::signal::Signal::SIGINT]);
    let mut run = place.start(measure);
    run.hear();
    run.signal(Signal::INT);
    fs::write(place.path("go"), "").unwrap();
    let finished = run.wait().exits_with(0);
    assert!(
        finished.stdout.contains("acts, shared by fork"),
        "{finished}"
    );

    let mut measure = place.measure_fixture_that(When::Build, &format!("say('here')\n{HANG}"));
    signals::ignoring(&mut measure, &[nix::sys::signal::Signal::SIGINT]);
    let mut run = place.start(measure);
    run.hear();
    run.signal(Signal::TERM);
    run.wait().exits_with(130);
    place.nothing_remains();
}

#[test]
fn a_fixture_has_signals_as_a_program_started_from_a_shell() {
    let place = Place::new();
    let action = "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n\
                  assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL\n\
                  assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())";
    let mut measure = place.measure_fixture_that(When::Build, action);
    use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGUSR1};
    signals::ignoring(&mut measure, &[SIGINT, SIGHUP, SIGUSR1]);
    place.run(measure).exits_with(0);
}

/// A keeper that something kills, which nobody should: the memory killer of the kernel, a user.
#[test]
fn a_subject_does_not_outlive_its_keeper_and_the_next_run_removes_its_segments() {
    let place = Place::new();
    let action = format!(
        "open('/dev/shm/{{}}-{{}}'.format(os.environ['REFCOW_SUBJECT'], os.path.basename(PLACE)), 'w').close()\n\
         say('%d %s' % (os.getppid(), os.environ['REFCOW_SUBJECT']))\n{HANG}"
    );
    let mut run = place.start(place.measure_fixture_that(When::Build, &action));
    let heard = run.hear();
    let (keeper, name) = heard.split_once(' ').unwrap();
    let segment = format!("/dev/shm/{name}-{}", place.name());
    let other = Place::new();
    let next = || other.run(other.measure(["ints", "--count", "10", "--visit", "idle"]));
    next().exits_with(0);
    assert!(Path::new(&segment).exists(), "removed while its run lives");
    kill_process(
        Pid::from_raw(keeper.parse().unwrap()).unwrap(),
        Signal::KILL,
    )
    .unwrap();
    run.wait().refuses(3, "the parent ended while building", "");
    // Any other test's run may be the next.
    next().exits_with(0);
    assert!(!Path::new(&segment).exists());
    assert!(!Path::new("/dev/shm").join(name).exists());
    place.nothing_remains();
}

/// It is not told of its parent's end, and nobody but refcow knows of it.
#[rstest]
fn nor_does_a_process_that_becomes_another_user(#[values(When::Build, When::Visit)] when: When) {
    if !geteuid().is_root() {
        return skipped(
            "a process that becomes another user",
            "this is none that may",
        );
    }
    let place = Place::new();
    // Opened before, by root.
    let action = format!(
        "said = os.open(PLACE + '/said', os.O_WRONLY)\nparent = os.getppid()\nstat = open(f'/proc/{{parent}}/stat').read()\n\
         os.setgid(65534)\nos.setuid(65534)\n\
         os.write(said, b'%d %d %s\\n' % (os.getpid(), parent, stat.split()[3].encode()))\n{HANG}"
    );
    // It is silent, and lives: at the time limit refcow asks no more.
    let mut refcow = place.measure_fixture_that(when, &action);
    refcow.args(["--timeout", "4"]);
    let mut run = place.start(refcow);
    let heard = run.hear();
    let numbers: Vec<&str> = heard.split(' ').collect();
    let kill = |pid: &str| kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL);
    let (its_own, parent, parents_parent) = (numbers[0], numbers[1], numbers[2]);
    // The keeper first: else it would end the child, as it is there for.
    let keeper = match when {
        When::Visit => parents_parent,
        _ => parent,
    };
    kill(keeper).unwrap();
    run.wait().exits_with(3);
    is_gone(its_own);
    place.nothing_remains();
}

/// Another container with the same /dev/shm has the same numbers of processes.
#[test]
fn shared_memory_of_another_pid_namespace_is_left_alone() {
    let place = Place::new();
    let apart = |arguments: &[&str]| {
        let first = ["--pid", "--fork", "--kill-child", "--mount-proc", REFCOW];
        place.command("unshare", [&first[..], arguments].concat())
    };
    let tried = apart(&["--version"]).output();
    if !tried.as_ref().is_ok_and(|tried| tried.status.success()) {
        return skipped("another PID namespace", &format!("{tried:?}"));
    }
    // By the name of the subject, as refcow's own fixtures name theirs, and by any number that the
    // second may have.
    let action = format!(
        "names = [os.environ['REFCOW_SUBJECT']] + ['refcow-%d' % number for number in range(400)]\n\
         for name in names: open('/dev/shm/{{}}-{{}}'.format(name, os.path.basename(PLACE)), 'w').close()\n\
         say(len(names))\n{HANG}"
    );
    let fixture = place.fixture_that(When::Build, &action);
    let measure = [
        "measure",
        "--children",
        "1",
        "--python",
        python(),
        "--count",
        "10",
    ];
    let first = apart(&[&measure[..], &[&fixture, "--visit", "act"]].concat());
    let mut first = place.start(first);
    let count: usize = first.hear().parse().unwrap();
    let there = || {
        let all = fs::read_dir("/dev/shm").unwrap();
        let all = all.map(|entry| entry.unwrap().path());
        all.filter(|path| path.to_str().unwrap().ends_with(place.name()))
            .collect::<Vec<_>>()
    };
    assert_eq!(there().len(), count);
    let ints = place.file(
        "other.py",
        "def build(count=1): return []\ndef visit_act(data): pass\n",
    );
    let second = apart(&[&measure[..], &[&ints, "--visit", "act"]].concat());
    Place::new().run(second).exits_with(0);
    let after = there().len();
    first.signal(Signal::KILL);
    drop(first);
    for path in there() {
        let _ = fs::remove_file(path);
    }
    assert_eq!(after, count);
}
