//! Recording of this process.

use std::process::Command;

use rstest::rstest;

use super::*;
use crate::Fault;
use crate::frames::NoLine;
use crate::untouched::untouched;

const BY_PROGRAM: RecordedBy = RecordedBy::Program { one_in: Some(1) };

fn own() -> i32 {
    std::process::id().cast_signed()
}

/// Touches pages that nobody has had; where they begin.
fn touch(pages: usize) -> u64 {
    let pages = untouched(pages);
    for page in pages.chunks_mut(page_bytes()) {
        page[0] = 1;
    }
    pages.as_ptr().addr() as u64
}

/// Whether this process runs one test alone. If not, the calling one is run in such a process: the threads of all others touch
/// memory as they please, and what they do fills the rings.
fn is_alone() -> bool {
    const ALONE: &str = "REFCOW_TEST_IS_ALONE";
    let thread = std::thread::current();
    // libtest gives a thread the name of its test; if it runs one after the other, they are all run by the first thread.
    let test = thread.name().filter(|name| *name != "main");
    let Some(test) = test.filter(|_| std::env::var_os(ALONE).is_none()) else {
        return true;
    };
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(
        run.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&run.stderr)
    );
    false
}

/// Faults from an address on, of so many pages.
fn faults(incidents: &[Incident], address: u64, pages: usize) -> Vec<Fault> {
    let end = address + (pages * page_bytes()) as u64;
    let all = incidents.iter().filter_map(|incident| match incident.what {
        Happened::Fault(fault) => Some(fault),
        _ => None,
    });
    all.filter(|fault| (address..end).contains(&fault.address))
        .collect()
}

#[test]
fn what_is_not_there_cannot_be_recorded() {
    if super::super::try_recording().is_err() {
        return;
    }
    let mut recorder = TreeRecorder::new(RecordedBy::Kernel).unwrap();
    let refused = recorder.add(4_194_305).unwrap_err();
    assert!(
        refused.reason.contains("the process has ended"),
        "{refused:?}"
    );
}

/// Also of what another program in the kernel writes than the rest, in the order of time.
#[rstest]
#[case::the_kernel(RecordedBy::Kernel)]
#[case::a_program(BY_PROGRAM)]
fn faults_of_every_thread_are_recorded(#[case] by: RecordedBy) {
    use std::sync::mpsc::channel;
    const PAGES: usize = 64;
    if super::super::try_recording().is_err() || !is_alone() {
        return;
    }
    // A thread that is there before the recording, and one that it starts afterwards.
    let (go, begin) = channel::<()>();
    let (told, tell) = channel();
    let thread = std::thread::spawn(move || {
        told.send(0).unwrap();
        begin.recv().unwrap();
        told.send(touch(PAGES)).unwrap();
        let told = told.clone();
        std::thread::spawn(move || told.send(touch(PAGES)).unwrap())
            .join()
            .unwrap();
    });
    tell.recv().unwrap();
    let mut recorder = TreeRecorder::new(by).unwrap();
    recorder.add(own()).unwrap();
    go.send(()).unwrap();
    let touched = [tell.recv().unwrap(), tell.recv().unwrap()];
    thread.join().unwrap();
    let mut child = Command::new("true").spawn().unwrap();
    let new = child.id().cast_signed();
    child.wait().unwrap();
    let (incidents, lost) = recorder.finish().unwrap();
    assert_eq!(lost, 0);
    assert!(incidents.is_sorted_by_key(|incident| incident.time));
    let is_fork = |incident: &Incident| incident.what == Happened::Forked { new };
    assert!(incidents.iter().any(is_fork));
    for address in touched {
        let all = faults(&incidents, address, PAGES);
        // Beside a program, the kernel writes down none itself.
        assert!(all.iter().all(|fault| fault.stack.is_none()));
        let all = all.into_iter();
        let mut pages: Vec<u64> = all.map(|one| one.address / page_bytes() as u64).collect();
        pages.sort_unstable();
        pages.dedup();
        assert_eq!(pages.len(), PAGES);
    }
}

#[test]
fn faults_that_are_counted_and_leave_no_record_are_lost() {
    const PAGES: usize = 64;
    if super::super::try_recording().is_err() {
        return;
    }
    let mut recorder = TreeRecorder::new(RecordedBy::Kernel).unwrap();
    recorder
        .each_thread(own(), TreeRecorder::add_thread)
        .unwrap();
    recorder.writing.clear();
    let address = touch(PAGES);
    let (incidents, lost) = recorder.finish().unwrap();
    assert!(faults(&incidents, address, PAGES).is_empty());
    assert!(lost >= PAGES as u64, "{lost}");
}

/// As in processes that are forked while an event is there and the program is not yet.
#[test]
fn what_the_kernel_records_beside_the_program_has_not_been_looked_at() {
    const PAGES: usize = 16;
    if !is_alone() {
        return;
    }
    for (one_in, expected) in [(1, Some(NoLine::Missed)), (7, None)] {
        let one_in = Some(one_in);
        let Ok(mut recorder) = TreeRecorder::new(RecordedBy::Program { one_in }) else {
            return;
        };
        if recorder.without_program().is_some() {
            return;
        }
        let program = std::mem::replace(&mut recorder.program, Err(String::new()));
        recorder.add(own()).unwrap();
        recorder.program = program;
        let address = touch(PAGES);
        let (incidents, lost) = recorder.finish().unwrap();
        let all = faults(&incidents, address, PAGES);
        assert_eq!((all.len(), lost), (PAGES, 0));
        for fault in all {
            let stack = fault.stack.and_then(|number| recorder.stack(number));
            let why = stack.map(|stack| stack.frames.clone().unwrap_err());
            assert_eq!(why, expected);
        }
    }
}

/// Its number may be another's then.
#[test]
fn of_what_has_ended_it_is_not_known_any_more_that_its_interpreter_ends() {
    let Ok(mut recorder) = TreeRecorder::new(BY_PROGRAM) else {
        return;
    };
    if recorder.without_program().is_some() {
        return;
    }
    recorder.add(own()).unwrap();
    let mut child = Command::new("true").spawn().unwrap();
    let pid = child.id().cast_signed();
    child.wait().unwrap();
    let program = recorder.program.as_mut().unwrap();
    program.has_seen_end(pid);
    recorder.finish().unwrap();
    assert!(!recorder.program.as_ref().unwrap().knows_end_of(pid));
}
