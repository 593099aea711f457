//! The recorder of page faults against known writes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use nix::libc;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use refcow::driver::{DriverError, Forked, Subject};
use refcow::observe::{
    CodeMapping, Fault, Faults, PageSet, Recorder, Unavailable, code_mappings, page_size, ranges,
};
use refcow::protocol::{Arguments, ChildMessage, ForkRequest, Job, ModuleSource, Size, WITNESS};
use refcow::python;
use refcow::symbols::Symbols;

fn subject() -> Subject {
    let interpreter = python::choose(None).expect("a usable interpreter");
    let launch = crate::common::launch(&interpreter, 1);
    Subject::start(&launch).unwrap()
}

/// Forks a witness and a child that has rehearsed and waits for its visit.
fn forked(subject: &mut Subject, job: Job) -> [Forked; 2] {
    let fork = |channel, job| ForkRequest { channel, job };
    let forks = vec![fork(WITNESS, Job::Wait), fork(1, job)];
    let forked = subject.fork(forks, |_| Ok::<_, DriverError>(())).unwrap();
    let [witness, child] = <[Forked; 2]>::try_from(forked).unwrap();
    subject.release(&child, "rehearsing").unwrap();
    let rehearsed = subject.hear(&child, "rehearsing").unwrap();
    assert!(
        matches!(rehearsed, ChildMessage::Done { .. }),
        "{rehearsed:?}"
    );
    [witness, child]
}

/// The visit of a child of plain pages, recorded.
struct PlainVisit {
    /// Where each of the pages was written, in that order.
    addresses: Vec<u64>,
    code: Vec<CodeMapping>,
    /// What was recorded at the plain pages.
    faults: Vec<Fault>,
    /// What was recorded elsewhere: pages of code that the child came to for the first time since
    /// its fork.
    fetched: u64,
    lost: u64,
}

fn visit(
    pages: u64,
    written: Vec<u64>,
    record: impl FnOnce(i32) -> Result<Recorder, Unavailable>,
) -> PlainVisit {
    let mut subject = subject();
    let first = subject.fill(pages, false).unwrap();
    // Where in the page: `byte` in harness/subject/plain.rs.
    let address = |page: &u64| (first + page) * page_size() + page * 61 % page_size();
    let addresses = written.iter().map(address).collect();
    let count = written.len() as u64;
    let job = Job::Write {
        pages: written,
        unreported: 0,
    };
    let [_witness, child] = forked(&mut subject, job);
    let code = code_mappings(child.pid).unwrap();
    let recorder = record(child.pid).unwrap();
    subject.release(&child, "writing").unwrap();
    let wrote = subject.hear(&child, "writing").unwrap();
    let Faults { faults, lost } = recorder.stop().unwrap();
    assert_eq!(wrote, ChildMessage::Wrote { pages: count });
    let plain = first * page_size()..(first + pages) * page_size();
    let (faults, others): (Vec<_>, Vec<_>) = faults
        .into_iter()
        .partition(|fault| plain.contains(&fault.address));
    // All else that the child writes, its stack and what the protocol uses, it has written in the
    // rehearsal.
    for fault in &others {
        let mut code = code.iter();
        let fetched = code.any(|one| one.range.contains(&fault.address));
        assert!(fetched, "{fault:x?}");
    }
    PlainVisit {
        addresses,
        code,
        faults,
        fetched: others.len() as u64,
        lost,
    }
}

fn monotonic() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    #[expect(unsafe_code, reason = "std keeps the clock's figure to itself")]
    // SAFETY: `now` is all that the call writes, and outlives it.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    assert_eq!(failed, 0);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[test]
fn each_written_page_is_recorded_once_with_its_address_instruction_and_time() {
    if crate::common::cannot_record(
        "each_written_page_is_recorded_once_with_its_address_instruction_and_time",
    ) {
        return;
    }
    // Backwards, with gaps.
    let written: Vec<u64> = (0..3_000).rev().filter(|page| page % 3 != 1).collect();
    let before = monotonic();
    let visit = visit(3_000, written, Recorder::start);
    let after = monotonic();

    let recorded = visit.faults.iter();
    let addresses: Vec<_> = recorded.clone().map(|fault| fault.address).collect();
    assert_eq!(addresses, visit.addresses);
    assert_eq!(visit.lost, 0);
    let times: Vec<_> = recorded.clone().map(|fault| fault.time).collect();
    assert!(times.is_sorted());
    assert!(times.iter().all(|time| (before..after).contains(time)));

    let subject = |fault: &Fault| {
        let mut code = visit.code.iter();
        code.find(|one| one.range.contains(&fault.instruction))
            .is_some_and(|one| one.path.ends_with("refcow-subject"))
    };
    assert!(recorded.clone().all(subject), "{:x?}", visit.code);
}

#[test]
fn what_a_full_ring_has_no_room_for_is_counted() {
    if crate::common::cannot_record("what_a_full_ring_has_no_room_for_is_counted") {
        return;
    }
    let count = 20_000;
    let visit = visit(count, (0..count).collect(), |pid| {
        Recorder::with_ring(pid, 1)
    });
    let recorded = visit.faults.len() as u64;
    let all = recorded + visit.fetched + visit.lost;
    // How many pages of code there are is the page cache's affair; some of their records may be
    // lost too.
    assert!((count..count + 10).contains(&all), "{all}");
    // In the same order, each at most once.
    let mut written = visit.addresses.iter();
    let mut recorded = visit.faults.iter();
    assert!(recorded.all(|fault| written.any(|one| *one == fault.address)));
}

/// Rings are for the processors that the process may run on when it is recorded.
#[test]
fn faults_on_a_processor_that_was_not_allowed_before_are_lost_and_counted() {
    let test = "faults elsewhere";
    if crate::common::cannot_record(test) {
        return;
    }
    let all = sched_getaffinity(Pid::this()).unwrap();
    let allowed = (0..CpuSet::count()).filter(|cpu| all.is_set(*cpu) == Ok(true));
    let allowed: Vec<_> = allowed.collect();
    let [one, .., other] = allowed[..] else {
        crate::common::skipped(test, "there is one processor alone");
        return;
    };
    let put = |pid, processor| {
        let mut set = CpuSet::new();
        set.set(processor).unwrap();
        sched_setaffinity(Pid::from_raw(pid), &set).unwrap();
    };
    let pages = 500;
    let record = |later| {
        visit(pages, (0..pages).collect(), |pid| {
            put(pid, one);
            let recorder = Recorder::start(pid);
            put(pid, later);
            recorder
        })
    };
    let here = record(one);
    assert_eq!((here.faults.len() as u64, here.lost), (pages, 0));
    let elsewhere = record(other);
    assert_eq!(elsewhere.faults, []);
    assert!(elsewhere.lost >= pages, "{}", elsewhere.lost);
}

#[test]
fn threads_count_and_forked_processes_do_not() {
    if crate::common::cannot_record("threads_count_and_forked_processes_do_not") {
        return;
    }
    let mut subject = subject();
    subject.start_python().unwrap();
    let fixture = ModuleSource {
        name: "fixture".into(),
        file: "fixture.py".into(),
        folder: None,
        source: "
import os
import threading

PAGE = os.sysconf('SC_PAGESIZE')

def build(count, item_bytes):
    return bytearray(count * PAGE)

def write(data, first, end, step):
    for page in range(first, end, step):
        data[page * PAGE + 99] = 1

def visit_write(data):
    half = len(data) // PAGE // 2
    threads = [threading.Thread(target=write, args=(data, n, half, 4)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    child = os.fork()
    if child == 0:
        write(data, half, len(data) // PAGE, 1)
        os._exit(0)
    os.waitpid(child, 0)
"
        .into(),
    };
    subject.load(Vec::new(), fixture, Vec::new()).unwrap();
    let count = 1_000;
    let size = Size {
        count,
        item_bytes: 1,
    };
    subject.build(&Arguments::Size(size)).unwrap();
    let (regions, _) = subject.map(false).unwrap();
    let payload: PageSet = regions.payload.into_iter().flatten().collect();
    let first = payload.min().unwrap();
    assert!(payload.len() >= count);

    let job = Job::Visit {
        name: "write".into(),
        lines: false,
    };
    let [_witness, child] = forked(&mut subject, job);
    let recorder = Recorder::start(child.pid).unwrap();
    subject.release(&child, "visiting").unwrap();
    subject.hear(&child, "visiting").unwrap();
    let recorded = recorder.stop().unwrap();

    let pages = recorded.faults.iter();
    let pages: Vec<_> = pages.map(|fault| fault.address / page_size()).collect();
    assert_eq!(recorded.lost, 0);
    let pages = pages.into_iter().filter(|page| payload.contains(*page));
    let in_payload: Vec<_> = pages.collect();
    // The child has copied them before it forks, and all that it writes later is elsewhere.
    let distinct: PageSet = in_payload.iter().copied().collect();
    assert_eq!(ranges(&distinct), [first..first + count / 2]);
    assert_eq!(in_payload.len() as u64, distinct.len());
}

#[test]
fn a_recorder_that_is_dropped_ends_its_thread() {
    if crate::common::cannot_record("a_recorder_that_is_dropped_ends_its_thread") {
        return;
    }
    let mut subject = subject();
    subject.fill(1, false).unwrap();
    let [_witness, child] = forked(&mut subject, Job::Idle);
    let threads = || {
        let tasks = procfs::process::Process::myself().unwrap().tasks().unwrap();
        // A thread of another test's may end meanwhile.
        let names = tasks.filter_map(|task| task.ok()?.stat().ok());
        let name = format!("faults {}", child.pid);
        names.filter(|stat| stat.comm == name).count()
    };
    let recorder = Recorder::start(child.pid).unwrap();
    // It takes its name itself, as the first thing it does.
    while threads() == 0 {
        std::thread::yield_now();
    }
    drop(recorder);
    assert_eq!(threads(), 0);
}

#[test]
fn a_process_that_ends_while_it_is_recorded_keeps_its_records() {
    if crate::common::cannot_record("a_process_that_ends_while_it_is_recorded_keeps_its_records") {
        return;
    }
    let mut subject = subject();
    subject.fill(100, false).unwrap();
    let job = Job::Write {
        pages: (0..100).collect(),
        unreported: 0,
    };
    let [_witness, child] = forked(&mut subject, job);
    let recorder = Recorder::start(child.pid).unwrap();
    subject.release(&child, "writing").unwrap();
    subject.hear(&child, "writing").unwrap();
    subject.dismiss(vec![child]).unwrap();
    let recorded = recorder.stop().unwrap();
    assert!(recorded.faults.len() >= 100, "{}", recorded.faults.len());
    assert_eq!(recorded.lost, 0);
}

#[test]
fn a_function_of_cpython_is_found_by_its_exported_name() {
    const SAYS_WHERE: &str = "import ctypes, sys\n\
        print(ctypes.cast(ctypes.pythonapi.PyList_New, ctypes.c_void_p).value, flush=True)\n\
        sys.stdin.read()";
    let interpreter = python::choose(None).expect("a usable interpreter");
    let mut child = Command::new(&interpreter.program)
        .args(["-c", SAYS_WHERE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    said.read_line(&mut address).unwrap();
    let pid = child.id().try_into().unwrap();
    let mut symbols = Symbols::of(code_mappings(pid).unwrap());
    let code = symbols.locate(address.trim().parse::<u64>().unwrap() + 3);
    // In the program, or in a library of its own.
    assert_eq!(code.function.as_deref(), Some("PyList_New"), "{code:?}");
    // The end of its input is its own.
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}
